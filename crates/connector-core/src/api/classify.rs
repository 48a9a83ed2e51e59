//! Classification of a provider's responses.

use std::fmt;

use crate::api::response::Response;
use crate::error::Result;

/// Classifies a provider's responses as success or error. Each provider has one stateless
/// classifier.
///
/// The kind of the error decides what the pipeline does:
/// * [`Unauthorized`](crate::ErrorKind::Unauthorized): refreshes the token once and retries the
///   request.
/// * [`RateLimited`](crate::ErrorKind::RateLimited): retries the request, whatever its
///   [`Idempotency`](crate::api::Idempotency), because the provider did not execute it.
/// * Any other kind with [`Retry::Backoff`](crate::Retry::Backoff) or
///   [`Retry::After`](crate::Retry::After): retries the request, unless it is
///   [`Idempotency::Never`](crate::api::Idempotency::Never).
pub trait Classifier: fmt::Debug + Send + Sync + 'static {
    /// Classifies a response without parsing a successful body. Passes rate-limit values from the
    /// headers to the limiter with [`Response::report`].
    ///
    /// # Errors
    /// The error that the response represents, created with [`Response::error`].
    fn classify(&self, response: &mut Response) -> Result<()> {
        response.by_status()
    }

    /// Inspects a body that no operation decodes, from [`Session::raw`](crate::api::Session::raw).
    /// Override this method for providers that return errors or rate-limit values in the body of a
    /// successful response.
    ///
    /// # Errors
    /// The error that the response represents.
    fn inspect(&self, response: &mut Response) -> Result<()> {
        let _ = response;
        Ok(())
    }
}

/// Classifies responses by HTTP status alone, like [`Response::by_status`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ByStatus;

impl ByStatus {
    /// Creates the classifier.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Classifier for ByStatus {}
