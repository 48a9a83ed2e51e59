//! Outcome of a refresh, for all waiting callers.

use std::time::Duration;

use connector_core::{Error, ErrorKind, ReauthorizationReason, Retry};

/// Default retry delay if the response states none.
const LATER: Duration = Duration::from_secs(60);

/// Outcome of a refresh, which all waiting callers receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RefreshOutcome {
    /// The cache holds the newest token.
    Current,
    /// There is no newer token.
    NoToken(NoToken),
}

/// A refresh that returned no newer token. An unexpired token is still returned to callers, unless
/// the connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NoToken {
    /// The reason why no token is available.
    pub reason: NoTokenReason,
    /// Time until the next attempt; `None` if a person must act first.
    pub retry_after: Option<Duration>,
}

/// The reason why no token is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoTokenReason {
    /// Another process holds the claim.
    Held,
    /// The refresh failed temporarily: network, rate limit, provider outage.
    Transient,
    /// This process was repeatedly too slow to use its claim.
    TooSlow,
    /// The provider returned the previous access token.
    SameAccessToken,
    /// The remaining lifetime of the returned access token is too short for any call.
    Unusable {
        /// Remaining lifetime in seconds.
        seconds: u32,
    },
    /// A request was sent, and its outcome is unknown.
    Unresolved,
    /// The provider's API refuses fresh access tokens.
    Unauthorized,
    /// The provider refuses the app's registration.
    AppRefused,
    /// The provider refused the refresh with an unrecognized error response.
    RefreshRefused,
    /// The provider refused the grant as part of a wave of refusals, and the grant was not marked
    /// as ended.
    Withheld,
    /// The account of the new credential could not be identified yet.
    AccountUnverified,
    /// Only the owner can restore the connection.
    NeedsReauthorization(ReauthorizationReason),
    /// The connection has ended.
    Ended,
    /// The store cannot be reached.
    StoreUnavailable,
    /// The store is older than the state that this process has seen. No request was sent.
    StoreBehind,
    /// This process is shutting down.
    ShuttingDown,
    /// An error that is not about a token: a missing connector, or a record that cannot be opened.
    Failed(ErrorKind, &'static str),
}

impl NoToken {
    /// Returns an outcome with a retry of the refresh after `retry_after`.
    #[must_use]
    pub const fn later(reason: NoTokenReason, retry_after: Duration) -> Self {
        Self {
            reason,
            retry_after: Some(retry_after),
        }
    }

    /// Returns an outcome without a retry. A person must act first.
    #[must_use]
    pub const fn finally(reason: NoTokenReason) -> Self {
        Self {
            reason,
            retry_after: None,
        }
    }

    /// Returns the error for a caller of `operation`.
    #[must_use]
    pub fn error(&self, operation: &'static str) -> Error {
        let retry = self.retry_after.unwrap_or(LATER);
        let (kind, message) = match self.reason {
            NoTokenReason::NeedsReauthorization(reason) => {
                let kind = ErrorKind::NeedsReauthorization;
                return Error::new(kind, operation, reauthorization(reason));
            }
            NoTokenReason::Ended => {
                return Error::new(
                    ErrorKind::NotFound,
                    operation,
                    "the connection does not exist or was disconnected; connect the account",
                );
            }
            NoTokenReason::StoreBehind => {
                return Error::new(
                    ErrorKind::StoreIncompatible,
                    operation,
                    "the store contains an older credential than this process has used; restore a \
                     newer backup",
                );
            }
            NoTokenReason::ShuttingDown => return shutting_down(operation),
            NoTokenReason::Failed(kind, message) => return Error::new(kind, operation, message),
            NoTokenReason::Unusable { seconds } => {
                let message = format!(
                    "the provider returned an access token with a remaining lifetime of {seconds} \
                     s, which is too short for a call; the hub retries after a pause"
                );
                let error = Error::new(ErrorKind::UnexpectedResponse, operation, message);
                return error.with_retry(Retry::After(retry));
            }
            NoTokenReason::Unresolved => (
                ErrorKind::RefreshUnresolved,
                "a refresh was sent and its outcome is not known yet; retry later",
            ),
            NoTokenReason::Held => (
                ErrorKind::RefreshUnresolved,
                "another process is refreshing this connection; retry",
            ),
            NoTokenReason::Unauthorized => (
                ErrorKind::Unauthorized,
                "the provider refuses a fresh access token; the hub retries with growing pauses",
            ),
            NoTokenReason::AppRefused => (
                ErrorKind::AppMisconfigured,
                "the provider refuses the app; check its client id and secret. The grant is kept",
            ),
            NoTokenReason::RefreshRefused => (
                ErrorKind::Rejected,
                "the provider refused the refresh with a response that has no known meaning; check \
                 the provider, then force a refresh or connect the account again",
            ),
            NoTokenReason::Withheld => (
                ErrorKind::ProviderUnavailable,
                "the provider refuses many grants at once, so this grant is not marked as dead; \
                 the hub retries, or an operator confirms with Hub::confirm_dead_grants",
            ),
            NoTokenReason::AccountUnverified => (
                ErrorKind::ProviderUnavailable,
                "the account of the new credential could not be identified yet; retry",
            ),
            NoTokenReason::StoreUnavailable => (
                ErrorKind::StoreUnavailable,
                "the store is unavailable and no valid token is cached; retry",
            ),
            NoTokenReason::SameAccessToken => (
                ErrorKind::UnexpectedResponse,
                "the provider returned the previous access token; the hub retries later",
            ),
            NoTokenReason::Transient | NoTokenReason::TooSlow => (
                ErrorKind::ProviderUnavailable,
                "the token could not be refreshed; the hub retries with growing pauses",
            ),
        };
        Error::new(kind, operation, message).with_retry(Retry::After(retry))
    }
}

impl From<NoToken> for RefreshOutcome {
    fn from(no_token: NoToken) -> Self {
        Self::NoToken(no_token)
    }
}

/// Returns the error for work that is refused during a shutdown.
pub(crate) fn shutting_down(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::ShuttingDown,
        operation,
        "this process is shutting down; send the request to another process",
    )
}

fn reauthorization(reason: ReauthorizationReason) -> &'static str {
    match reason {
        ReauthorizationReason::RefreshTokenExpired => {
            "the refresh token expired; the account's owner must connect it again"
        }
        ReauthorizationReason::LostInFlight => {
            "the provider's response to a refresh was lost or could not be read; the account's owner \
             must connect it again"
        }
        ReauthorizationReason::AppNotInstalled => {
            "the app is no longer installed; the account's owner must connect it again"
        }
        ReauthorizationReason::NotRefreshable => {
            "the credential expired and cannot be refreshed; the owner must connect it again"
        }
        ReauthorizationReason::NonExpiringToken => {
            "the provider no longer accepts this kind of token; the owner must connect it again"
        }
        ReauthorizationReason::AccountMismatch => {
            "the provider returned tokens of another account, which are withheld; the owner must \
             connect the account again"
        }
        _ => "the provider ended the grant; the account's owner must connect it again",
    }
}
