//! The user of an access token.

use serde::Deserialize;

/// The user of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The id, `usr…`.
    pub id: String,
    /// The e-mail address, with the scope `user.email:read`.
    #[serde(default)]
    pub email: Option<String>,
    /// The scopes of the access token.
    #[serde(default)]
    pub scopes: Vec<String>,
}
