//! The fate of a refresh token that was used.

use serde::{Deserialize, Serialize};

/// A provider's treatment of a refresh token that was used (RFC 6749 section 6, RFC 9700
/// section 4.14).
///
/// It decides how long others stay away from a token whose answer was lost, and what may be done
/// with a new pair before it is durable. A provider that says nothing is [`RotationClass::Strict`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RotationClass {
    /// The refresh token stays the same; sending it twice is an ordinary repetition.
    Stable,
    /// Each answer brings a new refresh token, and the old ones go on working.
    OldTokensLiveOn,
    /// Each answer brings a new refresh token, and the one before works for a while.
    Grace(Grace),
    /// Each answer brings a new refresh token, and using an old one ends the grant.
    #[default]
    Strict,
}

impl RotationClass {
    /// True where a lost answer takes the usable refresh token with it, or may do so.
    #[must_use]
    pub const fn rotates(self) -> bool {
        matches!(self, Self::Grace(_) | Self::Strict)
    }

    /// True where the first use of a new access token or refresh token ends the time in which the
    /// one before still works, so that a pair must be durable before it is used.
    #[must_use]
    pub const fn first_use_ends_grace(self) -> bool {
        matches!(self, Self::Grace(Grace::UntilSuccessorUsed { .. }))
    }
}

impl Grace {
    /// The longest time, in seconds, for which a used refresh token still works.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Time { seconds } => seconds,
            Self::UntilSuccessorUsed { max_seconds } => max_seconds,
        }
    }
}

/// The time for which a refresh token still works after it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grace {
    /// For a fixed time.
    Time {
        /// The time in seconds.
        seconds: u32,
    },
    /// Until anything of its successor is used.
    UntilSuccessorUsed {
        /// The longest time in seconds.
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
    fn a_provider_that_says_nothing_is_strict() {
        assert_eq!(RotationClass::default(), RotationClass::Strict);
    }
}
