//! What an answer means.

use std::fmt;

use crate::api::response::Response;
use crate::error::Result;

/// What a provider's answers mean. One for each provider, without state.
///
/// The kind of the error decides what the pipeline does:
/// * [`Unauthorized`](crate::ErrorKind::Unauthorized): the token is refreshed once and the request
///   sent again;
/// * [`RateLimited`](crate::ErrorKind::RateLimited): the provider did not carry the request out; it
///   is sent again, whatever its [`Idempotency`](crate::api::Idempotency);
/// * [`Retry::Backoff`](crate::Retry::Backoff) and [`Retry::After`](crate::Retry::After) of any
///   other kind: it is sent again unless it is [`Idempotency::Never`](crate::api::Idempotency::Never).
pub trait Classifier: fmt::Debug + Send + Sync + 'static {
    /// Decides by what can be seen without parsing a success's body, and tells the limiter what the
    /// headers say with [`Response::report`].
    ///
    /// # Errors
    /// What the answer means, if it is no success. Make it with [`Response::error`].
    fn classify(&self, response: &mut Response) -> Result<()> {
        response.by_status()
    }

    /// Reads a body that no operation decodes, that of [`Session::raw`](crate::api::Session::raw):
    /// for providers that put errors or limits into the body of a success.
    ///
    /// # Errors
    /// What the answer means, if it is no success.
    fn inspect(&self, response: &mut Response) -> Result<()> {
        let _ = response;
        Ok(())
    }
}

/// Decides by the status alone, as [`Response::by_status`] does.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ByStatus;

impl ByStatus {
    /// The classifier.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Classifier for ByStatus {}
