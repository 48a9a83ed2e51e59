//! Streamed request and response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::{
    BodyError, BodyStream, RequestBody, Sent, TransportError, TransportErrorKind,
};
use futures_util::{Stream as _, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use url::Url;

use crate::body::{Encoding, Stream};
use crate::bulkhead::OwnedPlace;
use crate::client::{announce_no_body, before, bodiless, failure, refused};

/// A request body for hyper that counts the bytes that hyper takes.
struct Leaving {
    body: RequestBody,
    sent: Arc<AtomicU64>,
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(cx));
        if let Some(Ok(piece)) = &piece {
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        let left = self
            .body
            .length()
            .map(|length| length.saturating_sub(self.sent.load(Ordering::Relaxed)));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Builds the reqwest request. Also returns whether this client decompresses the response, and a
/// counter of the body bytes that were taken.
pub(crate) fn streaming(
    url: Url,
    parts: http::request::Parts,
    body: RequestBody,
) -> (reqwest::Request, bool, Arc<AtomicU64>) {
    let (mut request, is_decoded) = bodiless(url, parts);
    let sent = Arc::new(AtomicU64::new(0));
    if body.length() == Some(0) {
        announce_no_body(&mut request);
    } else {
        let leaving = Leaving {
            body,
            sent: Arc::clone(&sent),
        };
        *request.body_mut() = Some(reqwest::Body::wrap(leaving));
    }
    (request, is_decoded, sent)
}

/// A response body that is still arriving.
pub(crate) struct Arriving {
    response: reqwest::Response,
    decoder: Stream,
    idle: Duration,
    clock: Arc<dyn Clock>,
    /// The response counts toward the limit on streams to its host until the body ends.
    _place: OwnedPlace,
}

impl Arriving {
    pub(crate) fn new(
        response: reqwest::Response,
        encoding: Encoding,
        longest: u64,
        idle: Duration,
        clock: Arc<dyn Clock>,
        place: OwnedPlace,
    ) -> Self {
        Self {
            response,
            decoder: Stream::new(encoding, longest),
            idle,
            clock,
            _place: place,
        }
    }

    /// Returns the pieces as a stream, which ends after the last piece or the first error.
    pub(crate) fn into_stream(self) -> BodyStream {
        let pieces = stream::unfold(Some(self), |arriving| async {
            let mut arriving = arriving?;
            match arriving.next().await {
                Ok((piece, true)) => Some((Ok(piece), Some(arriving))),
                Ok((piece, false)) if piece.is_empty() => None,
                Ok((piece, false)) => Some((Ok(piece), None)),
                Err(error) => Some((Err(error), None)),
            }
        });
        BodyStream::new(pieces.boxed())
    }

    /// Returns the next piece, and whether more pieces may follow.
    async fn next(&mut self) -> Result<(Bytes, bool), TransportError> {
        loop {
            let chunk = std::pin::pin!(self.response.chunk());
            let Some(chunk) = before(chunk, self.clock.sleep(self.idle)).await else {
                return Err(TransportError::new(
                    TransportErrorKind::Timeout,
                    Sent::Maybe,
                ));
            };
            let Some(chunk) = chunk.map_err(failure)? else {
                return Ok((self.decoder.finish().map_err(refused)?, false));
            };
            let piece = self.decoder.push(chunk).map_err(refused)?;
            if !piece.is_empty() {
                return Ok((piece, true));
            }
        }
    }
}
