//! The validity of a refresh token after its use.

use serde::{Deserialize, Serialize};

/// The validity of a refresh token after its use (RFC 6749 section 6, RFC 9700 section 4.14).
///
/// If the response to a refresh was lost, the class determines how long other workers wait before
/// they use the same token. The class also determines whether a new token pair may be used before
/// it has been stored. The default is [`RotationClass::Strict`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RotationClass {
    /// The refresh token does not change. Repeating a refresh is harmless.
    Stable,
    /// Each response contains a new refresh token. The old refresh tokens stay valid.
    OldTokensLiveOn,
    /// Each response contains a new refresh token. The previous refresh token stays valid for a
    /// limited time.
    Grace(Grace),
    /// Each response contains a new refresh token. Using an old refresh token ends the grant.
    #[default]
    Strict,
}

impl RotationClass {
    /// Returns true if a lost response can leave the grant without a valid refresh token.
    #[must_use]
    pub const fn rotates(self) -> bool {
        matches!(self, Self::Grace(_) | Self::Strict)
    }

    /// Returns true if the first use of a new access token or refresh token invalidates the
    /// previous refresh token.
    ///
    /// A new token pair must then be stored before it is used.
    #[must_use]
    pub const fn first_use_ends_grace(self) -> bool {
        matches!(self, Self::Grace(Grace::UntilSuccessorUsed { .. }))
    }
}

impl Grace {
    /// Returns the maximum time, in seconds, for which a used refresh token stays valid.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Time { seconds } => seconds,
            Self::UntilSuccessorUsed { max_seconds } => max_seconds,
        }
    }
}

/// The time for which a refresh token stays valid after its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grace {
    /// A fixed time.
    Time {
        /// The time, in seconds.
        seconds: u32,
    },
    /// The old refresh token is valid until the new access token or the new refresh token is used.
    UntilSuccessorUsed {
        /// The maximum time, in seconds.
        max_seconds: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_from_a_description() {
        let read = |text: &str| serde_json::from_str::<RotationClass>(text).unwrap();
        assert_eq!(
            read(r#""old_tokens_live_on""#),
            RotationClass::OldTokensLiveOn
        );
        assert_eq!(
            read(r#"{"grace":{"until_successor_used":{"max_seconds":3600}}}"#),
            RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds: 3600 })
        );
        assert!(serde_json::from_str::<RotationClass>(r#""perhaps""#).is_err());
    }

    #[test]
    fn rotation_is_strict_by_default() {
        assert_eq!(RotationClass::default(), RotationClass::Strict);
    }
}
