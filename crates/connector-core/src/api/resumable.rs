//! Resumable uploads.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderValue, RANGE};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::api::response::Response;
use crate::api::session::Session;
use crate::api::transfer::{Exchange, MAX_RESPONSE, Prepared, Transfer};
use crate::api::upload::UploadBody;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::{BodyError, RequestBody};

/// The progress of an upload, as reported by the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// The provider has stored all bytes before this offset. The next chunk starts at this offset.
    UpTo(u64),
    /// The provider has stored all bytes, and the response describes the file.
    Complete,
}

/// A provider's protocol for resumable uploads. The trait covers the differences between providers
/// that accept chunks with `Content-Range`.
///
/// Implementations: [`RangeHeader`] and [`ExpectedRanges`].
pub trait UploadProtocol: fmt::Debug + Send + Sync {
    /// Returns the chunk alignment in bytes. The length of every chunk except the last is a
    /// multiple of this number.
    fn alignment(&self) -> u64;

    /// Returns the method of the request that asks for the progress of an upload, and its
    /// `Content-Range` if it needs one.
    fn question(&self, total: Option<u64>) -> (Method, Option<String>);

    /// Parses the response to a chunk or to a progress request. The response has status 308 or a
    /// status from 200 to 299.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the response cannot be parsed.
    fn received(&self, response: &Response) -> Result<Received>;
}

/// Google's protocol: status 308 with a `Range` header. Progress is requested with `Content-Range:
/// bytes */total`.
///
/// See [Google Drive docs: Perform a resumable
/// upload](https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RangeHeader;

impl RangeHeader {
    /// Creates the protocol.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl UploadProtocol for RangeHeader {
    fn alignment(&self) -> u64 {
        256 * 1024
    }

    fn question(&self, total: Option<u64>) -> (Method, Option<String>) {
        let total = total.map_or("*".to_owned(), |total| total.to_string());
        (Method::PUT, Some(format!("bytes */{total}")))
    }

    fn received(&self, response: &Response) -> Result<Received> {
        if response.status() != StatusCode::PERMANENT_REDIRECT {
            return Ok(Received::Complete);
        }
        // Without the header, no byte is stored yet.
        let Some(range) = response.headers().get(RANGE) else {
            return Ok(Received::UpTo(0));
        };
        range
            .to_str()
            .ok()
            .and_then(|text| text.trim().strip_prefix("bytes=0-")?.parse::<u64>().ok())
            .and_then(|last| last.checked_add(1))
            .map(Received::UpTo)
            .ok_or_else(|| not_understood(response))
    }
}

/// Microsoft's protocol: a JSON body with `nextExpectedRanges`. Progress is requested with GET.
///
/// See [Microsoft Graph docs: Upload large files with an upload
/// session](https://learn.microsoft.com/graph/api/driveitem-createuploadsession).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ExpectedRanges;

impl ExpectedRanges {
    /// Creates the protocol.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session365 {
    next_expected_ranges: Option<Vec<String>>,
}

impl UploadProtocol for ExpectedRanges {
    fn alignment(&self) -> u64 {
        320 * 1024
    }

    fn question(&self, _: Option<u64>) -> (Method, Option<String>) {
        (Method::GET, None)
    }

    fn received(&self, response: &Response) -> Result<Received> {
        if response.status() == StatusCode::CREATED {
            return Ok(Received::Complete);
        }
        let body: Session365 = response.json()?;
        match body.next_expected_ranges.as_deref() {
            // The response describes the finished file instead of the session.
            None => Ok(Received::Complete),
            Some([first, ..]) => first
                .split('-')
                .next()
                .and_then(|start| start.trim().parse().ok())
                .map(Received::UpTo)
                .ok_or_else(|| not_understood(response)),
            Some([]) => Err(not_understood(response)),
        }
    }
}

fn not_understood(response: &Response) -> Error {
    response.error(
        ErrorKind::UnexpectedResponse,
        "the provider does not report the upload's progress; start the upload again",
    )
}

/// A chunked upload that resumes after a failure. The upload asks the provider for its progress and
/// sends the missing bytes.
///
/// Keeps one chunk in memory. Create it with [`Session::resumable_upload`].
#[derive(Debug)]
#[must_use]
pub struct ResumableUpload<P> {
    session: Session,
    prepared: Prepared,
    protocol: P,
    body: UploadBody,
    chunk: u64,
    /// True if another process started the upload, so that the first request asks for the progress.
    asks_first: bool,
}

impl Session {
    /// Creates a resumable upload to an upload session that the provider opened. The target is a
    /// link. If the upload of the chunks requires the credential, the target is an operation
    /// instead.
    ///
    /// # Errors
    /// Same as [`Session::send`], before anything is sent.
    pub fn resumable_upload<T: Transfer + ?Sized, P: UploadProtocol>(
        &self,
        to: &T,
        protocol: P,
        body: UploadBody,
    ) -> Result<ResumableUpload<P>> {
        Ok(ResumableUpload {
            session: self.clone(),
            prepared: to.prepare(self, &Method::PUT)?,
            chunk: aligned(8 * 1024 * 1024, protocol.alignment()),
            protocol,
            body,
            asks_first: false,
        })
    }
}

fn aligned(bytes: u64, alignment: u64) -> u64 {
    let alignment = alignment.max(1);
    (bytes / alignment).max(1) * alignment
}

/// The part of the body that is in memory, with its offset.
struct Window {
    start: u64,
    bytes: Bytes,
    is_last: bool,
}

impl Window {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl<P: UploadProtocol> ResumableUpload<P> {
    /// Sets the length of a chunk in bytes, rounded down to the protocol's alignment. Default: 8
    /// MiB. One chunk is kept in memory.
    pub fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk = aligned(bytes, self.protocol.alignment());
        self
    }

    /// Resumes an upload that another process started. The body must be the same. A body from a
    /// reader must start at the offset where the upload stopped. A body from a file can start at
    /// any offset.
    pub fn resuming(mut self) -> Self {
        self.asks_first = true;
        self
    }

    /// Uploads the body and returns the response that describes the file.
    ///
    /// After a failure, the upload asks the provider for the progress and sends the missing bytes.
    /// The upload fails when the number of consecutive failures without progress reaches the
    /// maximum number of attempts of the session's [`RetryPolicy`](crate::api::RetryPolicy).
    ///
    /// # Errors
    /// Same as [`Session::upload`]. [`ErrorKind::ProviderNotFound`] if the provider has dropped the
    /// upload session; open a new one.
    pub async fn run(mut self) -> Result<Response> {
        let mut window = Window {
            start: 0,
            bytes: Bytes::new(),
            is_last: self.body.length() == Some(0),
        };
        let mut offset = 0;
        let mut faults = 0;
        let mut asks = self.asks_first;
        loop {
            let outcome = if asks {
                self.ask().await
            } else {
                if offset >= window.end() && !window.is_last {
                    window.bytes = Bytes::new();
                    window = self.load(offset).await?;
                }
                self.put(&window, offset).await
            };
            match outcome {
                Ok((Received::Complete, response)) => {
                    self.body.report(self.body.length().unwrap_or(window.end()));
                    return Ok(response);
                }
                Ok((Received::UpTo(at), response)) => {
                    let reached = window.end().max(offset);
                    let has_jumped = asks && self.asks_first && faults == 0;
                    if at > reached && !has_jumped {
                        return Err(not_understood(&response));
                    }
                    if at > offset {
                        faults = 0;
                    } else if !asks {
                        // The provider responded but stored no byte.
                        faults = self.fault(faults, stuck(&response)).await?;
                    }
                    if at < offset && !asks {
                        // Stored bytes count as lost only if a progress request confirms the loss.
                        // The response to a chunk can be wrong, for example a 308 without a range.
                        asks = true;
                        continue;
                    }
                    if at < window.start || at > window.end() {
                        if !self.body.is_repeatable() && at != window.end() && !has_jumped {
                            return Err(response.error(
                                ErrorKind::Conflict,
                                "the provider lost a part of the upload that cannot be read again; \
                                 start it again",
                            ));
                        }
                        window = self.load(at).await?;
                    }
                    offset = at;
                    asks = false;
                    self.body.report(offset);
                }
                Err(error) => {
                    faults = self.fault(faults, error).await?;
                    asks = true;
                }
            }
        }
    }

    /// Counts a failure and waits before the next attempt. After the last attempt, returns the
    /// error.
    async fn fault(&mut self, faults: u32, error: Error) -> Result<u32> {
        let policy = &self.session.shared.policy;
        let asked = match error.retry() {
            Retry::Backoff | Retry::Exhausted => None,
            Retry::After(after) if after <= policy.longest_wait => Some(after),
            _ => return Err(error),
        };
        let faults = faults + 1;
        if faults >= policy.attempts.max(1) {
            return Err(error);
        }
        let pause = match asked {
            Some(after) => after,
            None => policy.pause(faults, &*self.session.shared.random)?,
        };
        self.session.rest(faults, pause).await;
        Ok(faults)
    }

    /// Reads the chunk at `start`.
    async fn load(&mut self, start: u64) -> Result<Window> {
        let longest = usize::try_from(self.chunk).unwrap_or(usize::MAX);
        let failed = |error| self.session.source_failed(&self.prepared.call, error);
        let bytes = self.body.chunk(start, longest).await.map_err(failed)?;
        let end = start.saturating_add(bytes.len() as u64);
        let is_short = (bytes.len() as u64) < self.chunk;
        let is_last = match self.body.length() {
            Some(total) if end > total => return Err(failed(BodyError::TooLong)),
            Some(total) if is_short && end < total => return Err(failed(BodyError::TooShort)),
            Some(total) => end == total,
            None => is_short,
        };
        Ok(Window {
            start,
            bytes,
            is_last,
        })
    }

    async fn put(&mut self, window: &Window, offset: u64) -> Result<(Received, Response)> {
        let skip = usize::try_from(offset - window.start).unwrap_or(usize::MAX);
        let bytes = window.bytes.slice(skip.min(window.bytes.len())..);
        let total = match self.body.length() {
            Some(total) => total.to_string(),
            None if window.is_last => window.end().to_string(),
            None => "*".to_owned(),
        };
        let range = match window.end().checked_sub(1) {
            Some(last) if !bytes.is_empty() => Some(format!("bytes {offset}-{last}/{total}")),
            Some(_) => Some(format!("bytes */{total}")),
            // An empty file is one request without a range. The range `bytes */0` would make it a
            // progress request.
            None => None,
        };
        self.exchange(None, range, bytes).await
    }

    async fn ask(&mut self) -> Result<(Received, Response)> {
        let (method, range) = self.protocol.question(self.body.length());
        self.exchange(Some(method), range, Bytes::new()).await
    }

    async fn exchange(
        &mut self,
        method: Option<Method>,
        range: Option<String>,
        bytes: Bytes,
    ) -> Result<(Received, Response)> {
        let mut headers = HeaderMap::new();
        if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
            headers.insert(CONTENT_RANGE, range);
        }
        let mut exchange = Exchange {
            method,
            headers,
            body: &mut || Some(RequestBody::from_bytes(bytes.clone())),
            max_response_len: MAX_RESPONSE,
            idle: None,
            accepts: |status| status.is_success() || status == StatusCode::PERMANENT_REDIRECT,
            is_retried: false,
        };
        let opened = self.session.open(&self.prepared, &mut exchange).await?;
        let response = self.session.finish(&self.prepared.call, opened).await?;
        Ok((self.protocol.received(&response)?, response))
    }
}

fn stuck(response: &Response) -> Error {
    response
        .error(
            ErrorKind::ProviderUnavailable,
            "the provider accepts no more bytes of the upload; try again later",
        )
        .with_retry(Retry::Backoff)
}
