//! The error type of all crates in the workspace.
//!
//! An [`Error`] tells a program what happened ([`Error::kind`]), whether to retry the call
//! ([`Error::retry`]), and whether the account's owner must authorize again
//! ([`Error::needs_reauthorization`]). The message is for people and states what to do next. It
//! never contains a URL, a response body, a token or a secret. The cause is available through
//! [`std::error::Error::source`], and [`Error::report`] prints it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::api::PageCursor;
use crate::connection::ReauthorizationReason;
use crate::provider::oauth::ProviderText;

/// Result type of all fallible calls in the workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Category of an [`Error`], for programs to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is invalid. Nothing was sent or stored. Correct the argument.
    InvalidInput,
    /// The configuration is incomplete or contradictory. Correct it and restart.
    Configuration,
    /// The named connection, delivery or record does not exist for this tenant.
    NotFound,
    /// The account's owner must authorize again: the connection has no working credential.
    NeedsReauthorization,
    /// The provider rejects the application's own registration (client id or secret).
    AppMisconfigured,
    /// A refresh request was sent, and its outcome is not known yet.
    RefreshUnresolved,
    /// The account already has a connection elsewhere, and its provider allows only one grant.
    ConnectedElsewhere,
    /// A callback was rejected because its state, binding, issuer or signature is not valid.
    CallbackRefused,
    /// A webhook was rejected because its signature, timestamp or format is not valid.
    WebhookRefused,
    /// The provider rejected the credential.
    Unauthorized,
    /// The credential is not allowed to perform the operation (scope, plan or approval).
    Forbidden,
    /// The resource does not exist at the provider.
    ProviderNotFound,
    /// The provider rejected the request because it conflicts with the resource's current state.
    Conflict,
    /// The provider rejected the content of the request.
    Rejected,
    /// A rate limit of the provider was reached.
    RateLimited,
    /// The provider ended a listing before the last page. [`Error::resume`] returns the cursor to
    /// continue from.
    Truncated,
    /// The provider failed with a 5xx status.
    ProviderUnavailable,
    /// The provider's response could not be parsed.
    UnexpectedResponse,
    /// The deadline passed before the call completed.
    Timeout,
    /// The network connection to the provider failed.
    Network,
    /// The address is not allowed: it is not public, not in the allow-list, or not https.
    AddressRefused,
    /// The store cannot be reached, or stayed busy longer than the busy timeout.
    StoreUnavailable,
    /// This version cannot use the store's data or schema.
    StoreIncompatible,
    /// A sealed record cannot be decrypted: wrong key, wrong context, or modified bytes.
    Unsealable,
    /// The key that sealed a record is not in the keyring.
    KeyUnknown,
    /// This provider or store does not support the operation.
    Unsupported,
    /// The engine is shutting down.
    ShuttingDown,
    /// An internal invariant was violated. Please report it.
    Bug,
}

impl ErrorKind {
    /// All categories.
    pub const ALL: [Self; 28] = [
        Self::InvalidInput,
        Self::Configuration,
        Self::NotFound,
        Self::NeedsReauthorization,
        Self::AppMisconfigured,
        Self::RefreshUnresolved,
        Self::ConnectedElsewhere,
        Self::CallbackRefused,
        Self::WebhookRefused,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ProviderNotFound,
        Self::Conflict,
        Self::Rejected,
        Self::RateLimited,
        Self::Truncated,
        Self::ProviderUnavailable,
        Self::UnexpectedResponse,
        Self::Timeout,
        Self::Network,
        Self::AddressRefused,
        Self::StoreUnavailable,
        Self::StoreIncompatible,
        Self::Unsealable,
        Self::KeyUnknown,
        Self::Unsupported,
        Self::ShuttingDown,
        Self::Bug,
    ];

    /// Returns a stable, lower-case name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Configuration => "configuration",
            Self::NotFound => "not_found",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::AppMisconfigured => "app_misconfigured",
            Self::RefreshUnresolved => "refresh_unresolved",
            Self::ConnectedElsewhere => "connected_elsewhere",
            Self::CallbackRefused => "callback_refused",
            Self::WebhookRefused => "webhook_refused",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ProviderNotFound => "provider_not_found",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::RateLimited => "rate_limited",
            Self::Truncated => "truncated",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::UnexpectedResponse => "unexpected_response",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::AddressRefused => "address_refused",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreIncompatible => "store_incompatible",
            Self::Unsealable => "unsealable",
            Self::KeyUnknown => "key_unknown",
            Self::Unsupported => "unsupported",
            Self::ShuttingDown => "shutting_down",
            Self::Bug => "bug",
        }
    }

    const fn default_retry(self) -> Retry {
        match self {
            Self::NeedsReauthorization => Retry::AfterReauthorization,
            Self::RefreshUnresolved
            | Self::RateLimited
            | Self::ProviderUnavailable
            | Self::Timeout
            | Self::Network
            | Self::StoreUnavailable => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Retry advice for a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Do not retry, because the result would be the same.
    Never,
    /// Retry with a back-off that grows with every attempt. You choose the delays.
    Backoff,
    /// Retry after at least this delay.
    After(Duration),
    /// Retry after the owner has authorized the account again.
    AfterReauthorization,
    /// The retry policy's maximum number of attempts was reached.
    Exhausted,
}

/// An error with its operation, its cause and advice on what to do next. The type is one pointer
/// wide.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    operation: &'static str,
    message: Cow<'static, str>,
    provider: Option<Cow<'static, str>>,
    request_id: Option<String>,
    status: Option<StatusCode>,
    code: Option<String>,
    reason: Option<&'static str>,
    resume: Option<PageCursor>,
    reauthorization: Option<ReauthorizationReason>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of `kind` in `operation`. `message` says in one line what happened and what
    /// to do next. It must not contain a secret, a URL or a provider's response body.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.default_retry(),
            operation,
            message: message.into(),
            provider: None,
            request_id: None,
            status: None,
            code: None,
            reason: None,
            resume: None,
            reauthorization: None,
            source: None,
        }))
    }

    /// Sets the cause. Only [`Error::report`] prints its text.
    ///
    /// Remove sensitive data from the cause first. For example, the error of an HTTP client often
    /// contains the full URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Replaces the default retry advice of the error kind.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Sets the provider's name.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Sets the provider's id of the failed request. The provider's support team asks for this id.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.0.request_id = Some(request_id.into());
        self
    }

    /// Sets the HTTP status of the provider's response.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Sets the provider's machine-readable error code. Keeps the first 64 printable ASCII
    /// characters other than quotation marks and backslashes (RFC 6749 section 5.2).
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.0.code = Some(shown_code(code)).filter(|code| !code.is_empty());
        self
    }

    /// Sets the stable name of the reason, if the operation distinguishes several reasons of one
    /// kind.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// Sets the cursor from which a truncated listing continues.
    #[must_use]
    pub fn with_resume(mut self, cursor: PageCursor) -> Self {
        self.0.resume = Some(cursor);
        self
    }

    /// Sets the reason why the account's owner must authorize again, if the provider's response
    /// contains one. The hub copies the reason into the connection's status.
    #[must_use]
    pub fn with_reauthorization(mut self, reason: ReauthorizationReason) -> Self {
        self.0.reauthorization = Some(reason);
        self
    }

    /// Returns a copy of the error without its cause, for callers that share one result.
    pub(crate) fn without_source(&self) -> Self {
        let inner = &self.0;
        Self(Box::new(Inner {
            kind: inner.kind,
            retry: inner.retry,
            operation: inner.operation,
            message: inner.message.clone(),
            provider: inner.provider.clone(),
            request_id: inner.request_id.clone(),
            status: inner.status,
            code: inner.code.clone(),
            reason: inner.reason,
            resume: inner.resume.clone(),
            reauthorization: inner.reauthorization,
            source: None,
        }))
    }

    /// Returns the category of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether and when to retry the call.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Returns true if only a new authorization by the account's owner can resolve the error.
    #[must_use]
    pub fn needs_reauthorization(&self) -> bool {
        self.0.kind == ErrorKind::NeedsReauthorization
    }

    /// Returns why a new authorization is needed, if the provider's response contained a reason.
    #[must_use]
    pub fn reauthorization(&self) -> Option<ReauthorizationReason> {
        self.0.reauthorization
    }

    /// Returns the operation that failed, for example `store.claim` or `ListProducts`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Returns the message, which says what happened and what to do next.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the provider's name, if a provider was involved.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// Returns the provider's id for the failed request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the HTTP status, if the error comes from a response of the provider.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the provider's machine-readable error code, for example `invalid_grant`, if the
    /// provider sent one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the stable name of the reason, for example `consent_denied` for a refused callback.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.0.reason
    }

    /// Returns the cursor from which a truncated listing continues ([`ErrorKind::Truncated`]), or
    /// `None` if the provider offers no way to continue.
    #[must_use]
    pub fn resume(&self) -> Option<&PageCursor> {
        self.0.resume.as_ref()
    }

    /// Formats the error and all its causes on a single line. Write the result only to logs that
    /// operators read.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let shown = error.to_string();
            // Some errors already include their cause in their own text.
            if !text.ends_with(&shown) {
                text.push_str(": ");
                text.push_str(&shown);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.message)?;
        if let Some(provider) = &self.0.provider {
            write!(f, " (provider {provider}")?;
            if let Some(status) = self.0.status {
                write!(f, ", status {}", status.as_u16())?;
            }
            if let Some(code) = &self.0.code {
                write!(f, ", code {code}")?;
            }
            if let Some(id) = &self.0.request_id {
                write!(f, ", request {id}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// Returns the first 64 characters of a code that RFC 6749 section 5.2 allows.
pub(crate) fn shown_code(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}

/// Wrapper that shows the text of a cause but hides its `Debug` output, which may quote the
/// provider's response.
struct Cause<'a>(&'a (dyn StdError + Send + Sync + 'static));

impl fmt::Debug for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The provider's own text may contain personal data, so only `Error::report` prints it.
        if self.0.is::<ProviderText>() {
            return f.write_str("ProviderText");
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("provider", &self.0.provider)
            .field("request_id", &self.0.request_id)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("reason", &self.0.reason)
            .field("resume", &self.0.resume.is_some())
            .field("reauthorization", &self.0.reauthorization)
            .field("source", &self.0.source.as_deref().map(Cause))
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn display_is_one_line_without_the_cause() {
        let error = Error::new(
            ErrorKind::Network,
            "token.refresh",
            "the connection was reset",
        )
        .with_source(std::io::Error::other("socket details"))
        .with_provider("shopify")
        .with_request_id("r-1");
        let shown = error.to_string();
        assert_eq!(
            shown,
            "token.refresh: the connection was reset (provider shopify, request r-1)"
        );
        assert!(error.report().ends_with(": socket details"));
    }

    #[test]
    fn a_report_contains_no_duplicate_text() {
        #[derive(Debug)]
        struct Talkative(std::io::Error);
        impl fmt::Display for Talkative {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the driver failed: {}", self.0)
            }
        }
        impl StdError for Talkative {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::new(ErrorKind::StoreUnavailable, "store.load", "try again")
            .with_source(Talkative(std::io::Error::other("no room")));
        assert_eq!(
            error.report(),
            "store.load: try again: the driver failed: no room"
        );
    }

    #[test]
    fn retry_advice_follows_from_the_kind_unless_replaced() {
        let error = Error::new(ErrorKind::NeedsReauthorization, "token", "connect again");
        assert!(error.needs_reauthorization());
        assert_eq!(error.retry(), Retry::AfterReauthorization);
        let error = Error::new(ErrorKind::RateLimited, "call", "wait")
            .with_retry(Retry::After(Duration::from_secs(3)));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(3)));
    }
}
