//! What providers do to a refresh token that is used.

use serde::Deserialize;

/// What a provider does to a refresh token that is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RotationClass {
    /// Nothing: it can be used again and again.
    Stable,
    /// Nothing known: treated as if a second use ended the grant.
    #[default]
    Strict,
}
