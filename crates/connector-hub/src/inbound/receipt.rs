//! What is answered to the sender of a delivery.

use bytes::Bytes;
use connector_core::webhook::Event;
use connector_core::{Error, ErrorKind, Retry};
use http::StatusCode;

use super::Verified;

/// What became of a delivery. Send [`Receipt::response`] to the provider, and
/// [`Receipt::refusal`] where there is an error instead.
#[derive(Debug)]
#[non_exhaustive]
pub enum Receipt {
    /// It is genuine and kept: the worker hands it to the handlers. These of its events are new.
    Accepted(Vec<Verified<Event>>),
    /// It is genuine and was accepted before; nothing changed.
    Duplicate,
    /// It was a handshake; this is the answer.
    Reply(http::Response<Bytes>),
}

impl Receipt {
    /// The answer to the provider.
    #[must_use]
    pub fn response(self) -> http::Response<Bytes> {
        match self {
            Self::Accepted(_) | Self::Duplicate => with_status(StatusCode::OK),
            Self::Reply(response) => response,
        }
    }

    /// The answer to a delivery that [`Hub::receive`](crate::Hub::receive) did not accept: 401 if it
    /// is not genuine, 413 if it is too large, 404 if there is no such endpoint, 503 if it could not
    /// be kept now, else 500. The provider repeats all but the first three, and many repeat those
    /// too.
    #[must_use]
    pub fn refusal(error: &Error) -> http::Response<Bytes> {
        with_status(match error.kind() {
            ErrorKind::WebhookRefused => StatusCode::UNAUTHORIZED,
            ErrorKind::InvalidInput => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::NotFound | ErrorKind::Unsupported => StatusCode::NOT_FOUND,
            ErrorKind::StoreUnavailable | ErrorKind::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ if error.retry() != Retry::Never => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }
}

fn with_status(status: StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
