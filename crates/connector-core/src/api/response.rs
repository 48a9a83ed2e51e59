//! What came back.

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

/// A complete answer of the provider, whatever its status.
pub struct Response {
    answer: http::Response<Bytes>,
    provider: ProviderId,
    operation: &'static str,
    received: Timestamp,
    reports: SmallVec<[Report; 1]>,
}

impl Response {
    /// The answer to `operation` of `provider`, as it was `received`. Sessions make them; so may
    /// tests of a decoder.
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

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// A header as text, if it is there and readable.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.answer.body()
    }

    /// The name of the operation that it answers.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// When it was received, on the wall clock.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// The time to wait before the next request, if the response states one: `Retry-After` and its
    /// kin, as [`retry_after`] reads them.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.status(), self.headers(), self.body(), self.received)
    }

    /// The body read as JSON. A byte order mark in front of it is skipped.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedAnswer`] says where it stops to fit, and quotes nothing of it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(json::without_bom(self.body())).map_err(|error| {
            // The parser's own text may quote the body.
            self.error(
                ErrorKind::UnexpectedAnswer,
                format!(
                    "the answer is not the JSON that was expected, at line {} column {}; report it \
                     if the provider changed its format",
                    error.line(),
                    error.column()
                ),
            )
        })
    }

    /// Passes what the response states about one of the provider's limits to the limiter. A later
    /// report about the same limit replaces an earlier one. At most 16 limits are reported.
    pub fn report(&mut self, report: Report) {
        const MOST: usize = 16;
        let same = |it: &&mut Report| it.limit == report.limit;
        if let Some(earlier) = self.reports.iter_mut().find(same) {
            *earlier = report;
        } else if self.reports.len() < MOST {
            self.reports.push(report);
        }
    }

    /// The provider's own id of the request, if it sent one.
    pub(super) fn request_id(&self) -> Option<String> {
        request_id(self.headers())
    }

    /// An error about this response, with its status, the provider's name and its id of the request.
    /// If the response states a wait, an error of a kind that may be retried carries it.
    #[must_use]
    pub fn error(
        &self,
        kind: ErrorKind,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Error {
        let mut error = Error::new(kind, self.operation, message)
            .with_provider(self.provider.as_str().to_owned())
            .with_status(self.status());
        if let Some(id) = self.request_id() {
            error = error.with_request_id(id);
        }
        match self.retry_after() {
            Some(after) if error.retry() == Retry::Backoff => error.with_retry(Retry::After(after)),
            _ => error,
        }
    }

    /// Passes 2xx, and turns every other status into the error that it usually means.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] for 401, [`ErrorKind::Forbidden`] for 403,
    /// [`ErrorKind::ProviderNotFound`] for 404 and 410, [`ErrorKind::Timeout`] for 408,
    /// [`ErrorKind::Conflict`] for 409, 412 and 423, [`ErrorKind::RateLimited`] for 429,
    /// [`ErrorKind::Rejected`] for the rest of 4xx, [`ErrorKind::ProviderUnavailable`] for 5xx (501
    /// and 505 are [`ErrorKind::Rejected`]), else [`ErrorKind::UnexpectedAnswer`].
    pub fn by_status(&self) -> Result<()> {
        let status = self.status();
        let (kind, message) = match status.as_u16() {
            200..=299 => return Ok(()),
            401 => (
                ErrorKind::Unauthorized,
                "the provider refused the access token",
            ),
            403 => (
                ErrorKind::Forbidden,
                "the provider does not allow this to the connection; check its scopes and its plan",
            ),
            404 | 410 => (
                ErrorKind::ProviderNotFound,
                "the provider has nothing there; check the id",
            ),
            408 => (
                ErrorKind::Timeout,
                "the provider gave up waiting for the request; try again later",
            ),
            409 | 412 | 423 => (
                ErrorKind::Conflict,
                "the request contradicts the state that the provider has; read it again first",
            ),
            429 => (
                ErrorKind::RateLimited,
                "the provider's limit is reached; try again later",
            ),
            501 | 505 | 400..=499 => (
                ErrorKind::Rejected,
                "the provider refused the request; check its arguments",
            ),
            500..=599 => (
                ErrorKind::ProviderUnavailable,
                "the provider failed; try again later",
            ),
            _ => (
                ErrorKind::UnexpectedAnswer,
                "the provider answered with a status that the operation does not know; report it",
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
