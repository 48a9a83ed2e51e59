//! Scopes, lifetimes, and the policies that follow from them.

use std::time::Duration;

use serde::Deserialize;

/// Scopes (RFC 6749 section 3.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Scopes {
    /// The scopes to request unless the app or the flow names others.
    pub default: Vec<String>,
    /// The scopes that the connector cannot work without.
    pub required: Vec<String>,
    /// The character between two scopes.
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

/// Lifetimes of tokens where the token response does not state them, in seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Lifetimes {
    /// The access token's lifetime where a response states none.
    pub unstated: Unstated,
    /// The refresh token's lifetime, if it has one.
    pub refresh_seconds: Option<u64>,
    /// The time after which the provider drops an unused refresh token.
    pub idle_seconds: Option<u64>,
    /// The time before its end at which an access token is refreshed in the background. Default: a
    /// quarter of its lifetime, at most 30 minutes.
    pub refresh_ahead_seconds: Option<u64>,
    /// The time before a refresh token's end at which its owner is asked to connect again. Default: a
    /// sixth of its lifetime, at most 14 days.
    pub notice_seconds: Option<u64>,
    /// True if an access token without `expires_in` and without a refresh token does not expire.
    pub access_may_never_expire: bool,
}

impl Lifetimes {
    /// The refresh token's lifetime where the response does not state it.
    #[must_use]
    pub fn refresh(&self) -> Option<Duration> {
        self.refresh_seconds.map(Duration::from_secs)
    }

    /// The time before its end at which an access token is refreshed in the background.
    #[must_use]
    pub fn refresh_ahead(&self) -> Option<Duration> {
        self.refresh_ahead_seconds.map(Duration::from_secs)
    }

    /// The time before a refresh token's end at which its owner is asked to connect again.
    #[must_use]
    pub fn notice(&self) -> Option<Duration> {
        self.notice_seconds.map(Duration::from_secs)
    }

    /// The name of the first field that has a senseless value.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        const LONGEST: u64 = 100 * 365 * 86_400;
        let senseless = |seconds: u64| seconds == 0 || seconds > LONGEST;
        if matches!(self.unstated, Unstated::Assume(seconds) if senseless(seconds)) {
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

/// The lifetime of an access token whose response states none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unstated {
    /// This many seconds.
    Assume(u64),
    /// Unknown: the token is refreshed once the provider's API refuses it, and never on a guess
    /// (Notion).
    UntilRefused,
}

impl Default for Unstated {
    /// One hour.
    fn default() -> Self {
        Self::Assume(3600)
    }
}

/// The policy for refreshing access tokens: before they expire, or on demand.
///
/// Under either policy a refresh token is used before it expires or lies idle for too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// Before they expire, so that no caller waits for a refresh.
    #[default]
    Proactive,
    /// When somebody asks for one. Right where tokens are short-lived and most connections are
    /// seldom used.
    OnDemand,
}

/// The number of grants of one app that may live for one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantsPerAccount {
    /// Any number, independently of each other.
    #[default]
    Many,
    /// One: a new grant ends the old one, whoever holds it.
    One,
}
