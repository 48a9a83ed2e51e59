//! Responses of a provider's API.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::Report;
use crate::http::retry_after;
use crate::json;
use crate::provider::oauth::request_id;
use crate::provider_id::ProviderId;

/// A complete response of the provider, with any HTTP status.
pub struct Response {
    answer: http::Response<Bytes>,
    provider: ProviderId,
    operation: &'static str,
    received: Timestamp,
    reports: SmallVec<[Report; 1]>,
}

impl Response {
    /// Creates a response to `operation` of `provider` that was received at `received`. Sessions
    /// call this function. Tests of a decoder can call it too.
    #[must_use]
    pub fn new(
        provider: ProviderId,
        operation: &'static str,
        received: Timestamp,
        answer: http::Response<Bytes>,
    ) -> Self {
        Self {
            answer,
            provider,
            operation,
            received,
            reports: SmallVec::new(),
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// Returns the value of a header if the header is present and its value is valid text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.answer.body()
    }

    /// Returns the name of the operation.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the time at which the response was received, on the wall clock.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// Returns the wait before the next request, if `Retry-After` or a similar header contains one.
    /// See [`retry_after`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.status(), self.headers(), self.body(), self.received)
    }

    /// Parses the body as JSON. Skips a leading byte order mark.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`], with the position of the mismatch but without quoting the
    /// body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(json::without_bom(self.body())).map_err(|error| {
            // The parser's error may quote the body.
            self.error(
                ErrorKind::UnexpectedResponse,
                format!(
                    "the response is not the expected JSON, at line {} column {}; report it \
                     if the provider changed its format",
                    error.line(),
                    error.column()
                ),
            )
        })
    }

    /// Passes rate-limit values from the response to the limiter. A later report about the same
    /// limit replaces an earlier one. At most 16 limits can be reported.
    pub fn report(&mut self, report: Report) {
        const MAX_COUNT: usize = 16;
        let same = |it: &&mut Report| it.limit == report.limit;
        if let Some(earlier) = self.reports.iter_mut().find(same) {
            *earlier = report;
        } else if self.reports.len() < MAX_COUNT {
            self.reports.push(report);
        }
    }

    /// Creates an error with this response's status, provider and request id. If the response
    /// states a wait and the kind may be retried, the error contains the wait.
    #[must_use]
    pub fn error(
        &self,
        kind: ErrorKind,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Error {
        let mut error = Error::new(kind, self.operation, message)
            .with_provider(self.provider.as_str().to_owned())
            .with_status(self.status());
        if let Some(id) = request_id(self.headers()) {
            error = error.with_request_id(id);
        }
        match self.retry_after() {
            Some(after) if error.retry() == Retry::Backoff => error.with_retry(Retry::After(after)),
            _ => error,
        }
    }

    /// Accepts statuses from 200 to 299 and converts any other status to its default error.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] for 401, [`ErrorKind::Forbidden`] for 403,
    /// [`ErrorKind::ProviderNotFound`] for 404 and 410, [`ErrorKind::Timeout`] for 408,
    /// [`ErrorKind::Conflict`] for 409, 412 and 423, [`ErrorKind::RateLimited`] for 429,
    /// [`ErrorKind::Rejected`] for all other 4xx, [`ErrorKind::ProviderUnavailable`] for 5xx
    /// (except 501 and 505, which are [`ErrorKind::Rejected`]), and [`ErrorKind::UnexpectedResponse`]
    /// for all other statuses.
    pub fn by_status(&self) -> Result<()> {
        let status = self.status();
        let (kind, message) = match status.as_u16() {
            200..=299 => return Ok(()),
            401 => (
                ErrorKind::Unauthorized,
                "the provider rejected the access token",
            ),
            403 => (
                ErrorKind::Forbidden,
                "the connection is not allowed to do this; check its scopes and its plan",
            ),
            404 | 410 => (
                ErrorKind::ProviderNotFound,
                "the resource does not exist at the provider; check the id",
            ),
            408 => (
                ErrorKind::Timeout,
                "the provider timed out while it waited for the request; try again later",
            ),
            409 | 412 | 423 => (
                ErrorKind::Conflict,
                "the request conflicts with the resource's current state; read the resource again",
            ),
            429 => (
                ErrorKind::RateLimited,
                "the provider's rate limit is reached; try again later",
            ),
            501 | 505 | 400..=499 => (
                ErrorKind::Rejected,
                "the provider rejected the request; check its arguments",
            ),
            500..=599 => (
                ErrorKind::ProviderUnavailable,
                "the provider failed; try again later",
            ),
            _ => (
                ErrorKind::UnexpectedResponse,
                "the provider returned an unexpected status; report it",
            ),
        };
        Err(self.error(kind, message))
    }

    pub(crate) fn take_reports(&mut self) -> SmallVec<[Report; 1]> {
        std::mem::take(&mut self.reports)
    }

    pub(crate) fn into_answer(self) -> http::Response<Bytes> {
        self.answer
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("operation", &self.operation)
            .field("status", &self.status())
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}
