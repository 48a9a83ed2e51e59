//! Requests and responses with streamed bodies.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use crate::http::{LastCheck, OutboundRequest, RequestClass, TransportError};

/// Maximum length of a sent piece of the body. Small pieces make progress measurable.
const PIECE: usize = 64 * 1024;

/// A request with streamed request and response bodies, which may be larger than memory.
///
/// The exchange has no overall deadline. Instead, [`StreamRequest::idle`] limits the time without
/// progress.
#[non_exhaustive]
pub struct StreamRequest {
    /// The HTTP request, with an absolute URL.
    pub request: http::Request<RequestBody>,
    /// Maximum time without progress. There is no progress while the connection accepts no byte of
    /// the request and no byte of the response arrives.
    pub idle: Duration,
    /// Maximum length of the response body in bytes, after decompression. A longer body is an
    /// error.
    pub max_response_len: u64,
    /// Class of the request.
    pub class: RequestClass,
    /// Check that runs before the request is sent.
    pub last_check: Option<LastCheck>,
}

impl StreamRequest {
    /// Creates a request with the limits of a transfer: 30 seconds without progress, 64 GiB.
    #[must_use]
    pub fn new(request: http::Request<RequestBody>) -> Self {
        Self {
            request,
            idle: Duration::from_secs(30),
            max_response_len: 64 << 30,
            class: RequestClass::Call,
            last_check: None,
        }
    }

    /// Sets the maximum time without progress.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets the maximum length of the response's body in bytes, after decompression.
    #[must_use]
    pub fn with_max_response_len(mut self, bytes: u64) -> Self {
        self.max_response_len = bytes;
        self
    }
}

/// Shows lengths only, like [`OutboundRequest`].
impl fmt::Debug for StreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest")
            .field("method", self.request.method())
            .field("host", &self.request.uri().host())
            .field("headers", &self.request.headers().len())
            .field("body", self.request.body())
            .field("idle", &self.idle)
            .field("max_response_len", &self.max_response_len)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

impl From<OutboundRequest> for StreamRequest {
    /// Converts the request. The deadline of `request` becomes the maximum time without progress.
    fn from(outbound: OutboundRequest) -> Self {
        let request = outbound.request.map(RequestBody::from_bytes);
        Self {
            request,
            idle: outbound.timeout,
            max_response_len: u64::try_from(outbound.max_response_len).unwrap_or(u64::MAX),
            class: outbound.class,
            last_check: outbound.last_check,
        }
    }
}

/// Failure of the source of a request body. The error contains no body bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The source contains fewer bytes than announced.
    #[error("the body ended before its announced length")]
    TooShort,
    /// The source contains more bytes than announced.
    #[error("the body is longer than announced")]
    TooLong,
    /// The source could not be read.
    #[error("the body could not be read from its source")]
    Source,
}

/// The body of a request. It can be read only once. If the length is known, it is sent as
/// `Content-Length` and enforced.
pub struct RequestBody {
    length: Option<u64>,
    sent: u64,
    /// The mutex only makes the type `Sync`. It is never locked.
    pieces: Mutex<BoxStream<'static, Result<Bytes, BodyError>>>,
    failure: BodyFailure,
}

/// Handle that reports whether the source of a request body failed after the transport took the
/// body.
#[derive(Debug, Clone, Default)]
pub struct BodyFailure(Arc<Mutex<Option<BodyError>>>);

impl BodyFailure {
    /// Returns the failure of the source, or `None` if the source has not failed.
    #[must_use]
    pub fn get(&self) -> Option<BodyError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, error: BodyError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl RequestBody {
    /// Creates an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_bytes(Bytes::new())
    }

    /// Creates a body from bytes in memory.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        let length = u64::try_from(bytes.len()).ok();
        let pieces = stream::iter(Pieces(bytes).map(Ok));
        Self::new(length, pieces.boxed())
    }

    /// Creates a body that is read from `pieces`. Without a `length`, the body is sent in chunks
    /// (HTTP/1.1) or without an announced length (HTTP/2).
    #[must_use]
    pub fn new(length: Option<u64>, pieces: BoxStream<'static, Result<Bytes, BodyError>>) -> Self {
        Self {
            length,
            sent: 0,
            pieces: Mutex::new(pieces),
            failure: BodyFailure::default(),
        }
    }

    /// Returns the length in bytes, if known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns a handle that reports whether the source failed.
    #[must_use]
    pub fn failure(&self) -> BodyFailure {
        self.failure.clone()
    }

    fn fail(&self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.failure.set(error);
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pieces = self
            .pieces
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        match ready!(pieces.as_mut().poll_next(cx)) {
            Some(Ok(piece)) => {
                let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                self.sent = self.sent.saturating_add(length);
                if self.length.is_some_and(|length| self.sent > length) {
                    return self.fail(BodyError::TooLong);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => self.fail(error),
            None if self.length.is_some_and(|length| self.sent < length) => {
                self.fail(BodyError::TooShort)
            }
            None => Poll::Ready(None),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Splits bytes into pieces without copying.
struct Pieces(Bytes);

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.split_to(self.0.len().min(PIECE)))
    }
}

/// The body of a response, streamed as it arrives. The stream ends after the last byte or the first
/// error.
///
/// Dropping the stream closes the connection of the exchange.
pub struct BodyStream(Mutex<BoxStream<'static, Result<Bytes, TransportError>>>);

impl BodyStream {
    /// Creates a body from a stream of pieces.
    #[must_use]
    pub fn new(pieces: BoxStream<'static, Result<Bytes, TransportError>>) -> Self {
        Self(Mutex::new(pieces))
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pieces = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        pieces.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}
