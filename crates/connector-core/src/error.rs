//! The one error type of the workspace.
//!
//! [`Error`] answers three questions a program asks: what happened ([`Error::kind`]), may the same
//! call be repeated ([`Error::retry`]), and must a person connect the account again
//! ([`Error::needs_reauthorization`]). Its text is for people and says what to do next. It never
//! holds a URL, a response body, a token or a secret; the cause is reached through
//! [`std::error::Error::source`] and printed by [`Error::report`].

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::api::PageCursor;
use crate::connection::ReauthorizationReason;
use crate::provider::oauth::ProviderText;

/// What every fallible call of the workspace returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for programs to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is malformed; nothing was sent or stored. Correct the argument.
    InvalidInput,
    /// The configuration is incomplete or contradictory. Correct it and start again.
    Configuration,
    /// The named connection, delivery or record does not exist for this tenant.
    NotFound,
    /// The connection needs its owner: no credential of it works any more.
    NeedsReauthorization,
    /// The application's own registration at the provider is refused (client id or secret).
    AppMisconfigured,
    /// A refresh was sent and its outcome is not known yet.
    RefreshUnresolved,
    /// The account is connected elsewhere, and its provider allows one grant only.
    ConnectedElsewhere,
    /// A callback was refused: its state, binding, issuer or signature does not fit.
    CallbackRefused,
    /// A webhook's signature, timestamp or form does not fit.
    WebhookRefused,
    /// The provider refused the credential.
    Unauthorized,
    /// The provider refused the operation for this credential (scope, plan, approval).
    Forbidden,
    /// The provider does not know the resource.
    ProviderNotFound,
    /// The provider refused the request as contradicting its current state.
    Conflict,
    /// The provider refused the request's content.
    Rejected,
    /// The provider's limit is reached.
    RateLimited,
    /// The provider ended a listing before its end. [`Error::resume`] says where to go on.
    Truncated,
    /// The provider failed (5xx).
    ProviderUnavailable,
    /// The provider's answer could not be understood.
    UnexpectedAnswer,
    /// The deadline passed.
    Timeout,
    /// The connection to the provider failed.
    Network,
    /// The address may not be reached: not public, not allowed, or not https.
    AddressRefused,
    /// The store cannot be reached or is busy beyond its patience.
    StoreUnavailable,
    /// The store's data or schema is not usable by this version.
    StoreIncompatible,
    /// A sealed record does not open: wrong key, wrong place, or changed bytes.
    Unsealable,
    /// The key that sealed a record is not in the key ring.
    KeyUnknown,
    /// The operation is not offered by this provider or store.
    Unsupported,
    /// The engine is shutting down.
    ShuttingDown,
    /// A rule of this library does not hold. Please report it.
    Bug,
}

impl ErrorKind {
    /// A stable, lower-case name for logs and metrics.
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
            Self::UnexpectedAnswer => "unexpected_answer",
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

/// Whether the same call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Repeating it gives the same answer.
    Never,
    /// Repeat it after a pause of the caller's choice that grows with every attempt.
    Backoff,
    /// Repeat it no sooner than this.
    After(Duration),
    /// Repeat it once the account has been connected again.
    AfterReauthorization,
    /// It was repeated as often as the policy allows.
    Exhausted,
}

/// What went wrong, where, and what to do about it. One pointer wide.
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
    resume: Option<PageCursor>,
    reauthorization: Option<ReauthorizationReason>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` in `operation`. `message` says what happened and what to do next, in one
    /// line, without a secret, a URL or a provider's body.
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
            resume: None,
            reauthorization: None,
            source: None,
        }))
    }

    /// Adds the cause. Its text is shown by [`Error::report`] only.
    ///
    /// Strip what must not be shown first: an HTTP client's error often carries the whole URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Replaces the advice that follows from the kind.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds the provider's name.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Adds the provider's own id of the failed request; its support asks for it.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.0.request_id = Some(request_id.into());
        self
    }

    /// Adds the status of the provider's response.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the provider's machine-readable error code. Kept are the first 64 printable ASCII
    /// characters other than quotation marks and backslashes (RFC 6749 section 5.2).
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.0.code = Some(shown_code(code)).filter(|code| !code.is_empty());
        self
    }

    /// Adds the cursor from which a truncated listing goes on.
    #[must_use]
    pub fn with_resume(mut self, cursor: PageCursor) -> Self {
        self.0.resume = Some(cursor);
        self
    }

    /// Says why the account's owner has to authorize again, where the provider's answer tells. The
    /// engine puts it into the connection's state.
    #[must_use]
    pub fn with_reauthorization(mut self, reason: ReauthorizationReason) -> Self {
        self.0.reauthorization = Some(reason);
        self
    }

    /// The same error without its cause, to return it once more.
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
            resume: inner.resume.clone(),
            reauthorization: inner.reauthorization,
            source: None,
        }))
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may be repeated, and when.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// True when only a new authorization by the account's owner helps.
    #[must_use]
    pub fn needs_reauthorization(&self) -> bool {
        self.0.kind == ErrorKind::NeedsReauthorization
    }

    /// Why only a new authorization helps, where the provider's answer told.
    #[must_use]
    pub fn reauthorization(&self) -> Option<ReauthorizationReason> {
        self.0.reauthorization
    }

    /// The operation that failed, for example `store.claim` or `ListProducts`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The sentence that says what happened and what to do next.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider, where one was involved.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The provider's own id of the failed request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The status of the provider's response, if the error comes from one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The provider's machine-readable error code, for example `invalid_grant`, if it sent one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The cursor from which a listing goes on that the provider truncated
    /// ([`ErrorKind::Truncated`]); `None` if the provider offers no way to go on.
    #[must_use]
    pub fn resume(&self) -> Option<&PageCursor> {
        self.0.resume.as_ref()
    }

    /// The error and its causes in one line, for a log that only operators read.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let shown = error.to_string();
            // Many an error shows its own cause too.
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

/// A code that may be shown: the characters that RFC 6749 section 5.2 allows, and not too many.
pub(crate) fn shown_code(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}

/// The text of a cause, without its `Debug` form, which may quote what a provider sent.
struct Cause<'a>(&'a (dyn StdError + Send + Sync + 'static));

impl fmt::Debug for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The provider's own words may be about a person; Error::report shows them to operators.
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
    fn a_report_says_nothing_twice() {
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
    fn advice_follows_from_the_kind_unless_replaced() {
        let error = Error::new(ErrorKind::NeedsReauthorization, "token", "connect again");
        assert!(error.needs_reauthorization());
        assert_eq!(error.retry(), Retry::AfterReauthorization);
        let error = Error::new(ErrorKind::RateLimited, "call", "wait")
            .with_retry(Retry::After(Duration::from_secs(3)));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(3)));
    }
}
