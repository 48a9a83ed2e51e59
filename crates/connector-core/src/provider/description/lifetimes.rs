//! Scopes, token lifetimes and refresh policies.

use std::time::Duration;

use serde::Deserialize;

/// Scopes (RFC 6749 section 3.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Scopes {
    /// Scopes to request, unless the app or the flow sets other scopes.
    pub default: Vec<String>,
    /// Scopes without which the connector does not work.
    pub required: Vec<String>,
    /// Separator between two scopes.
    pub separator: char,
}

impl Default for Scopes {
    fn default() -> Self {
        Self {
            default: Vec::new(),
            required: Vec::new(),
            separator: ' ',
        }
    }
}

/// Lifetimes of tokens in seconds, used when the token response does not state them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Lifetimes {
    /// Lifetime of an access token if the response does not state one.
    pub unstated: UnstatedLifetime,
    /// Lifetime of a refresh token. Absent if refresh tokens do not expire.
    pub refresh_seconds: Option<u64>,
    /// Time after which the provider deletes an unused refresh token.
    pub idle_seconds: Option<u64>,
    /// Time before expiry at which an access token is refreshed in the background. Default: a
    /// quarter of the token's lifetime, at most 30 minutes.
    pub refresh_ahead_seconds: Option<u64>,
    /// Time before a refresh token expires at which its owner is asked to connect again. Default: a
    /// sixth of its lifetime, at most 14 days.
    pub notice_seconds: Option<u64>,
    /// True if an access token does not expire when the response contains neither `expires_in` nor
    /// a refresh token.
    pub access_may_never_expire: bool,
}

impl Lifetimes {
    /// Returns the lifetime of a refresh token if the response does not state one.
    #[must_use]
    pub fn refresh(&self) -> Option<Duration> {
        self.refresh_seconds.map(Duration::from_secs)
    }

    /// Returns the time before expiry at which an access token is refreshed in the background.
    #[must_use]
    pub fn refresh_ahead(&self) -> Option<Duration> {
        self.refresh_ahead_seconds.map(Duration::from_secs)
    }

    /// Returns the time before a refresh token expires at which its owner is asked to connect again.
    #[must_use]
    pub fn notice(&self) -> Option<Duration> {
        self.notice_seconds.map(Duration::from_secs)
    }

    /// Returns the name of the first field with an invalid value.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        const MAX_SECONDS: u64 = 100 * 365 * 86_400;
        let senseless = |seconds: u64| seconds == 0 || seconds > MAX_SECONDS;
        if matches!(self.unstated, UnstatedLifetime::Assume(seconds) if senseless(seconds)) {
            Some("unstated")
        } else if self.refresh_seconds.is_some_and(senseless) {
            Some("refresh_seconds")
        } else if self.idle_seconds.is_some_and(senseless) {
            Some("idle_seconds")
        } else if self.refresh_ahead_seconds.is_some_and(senseless) {
            Some("refresh_ahead_seconds")
        } else if self.notice_seconds.is_some_and(senseless) {
            Some("notice_seconds")
        } else {
            None
        }
    }
}

/// Lifetime of an access token if the response does not state one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnstatedLifetime {
    /// A fixed lifetime in seconds.
    Assume(u64),
    /// An unknown lifetime. The token is refreshed only after the provider's API rejects it
    /// (Notion).
    UntilRefused,
}

impl Default for UnstatedLifetime {
    /// One hour.
    fn default() -> Self {
        Self::Assume(3600)
    }
}

/// The policy for refreshing access tokens: before they expire, or on demand.
///
/// With both policies, the hub uses a refresh token before it expires or reaches its idle limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// Tokens are refreshed before they expire, so that callers do not wait for a refresh.
    #[default]
    Proactive,
    /// A token is refreshed when a caller needs it. Use this policy if tokens are short-lived and
    /// most connections are rarely used.
    OnDemand,
}

/// Maximum number of active grants of one app for one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantsPerAccount {
    /// Any number of independent grants.
    #[default]
    Many,
    /// One grant. A new grant invalidates the previous grant, even if that grant belongs to another
    /// tenant.
    One,
}
