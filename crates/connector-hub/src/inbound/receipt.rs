//! What is answered to the sender of a delivery.

use bytes::Bytes;
use connector_core::webhook::Event;
use connector_core::{Error, ErrorKind, Retry};
use http::StatusCode;
use secrecy::SecretString;

use super::Verified;

/// What became of a delivery. Send [`Receipt::response`] to the provider, and
/// [`Receipt::refusal`] where there is an error instead.
#[derive(Debug)]
#[non_exhaustive]
pub enum Receipt {
    /// It is genuine and kept: the worker hands it to the handlers.
    Accepted {
        /// Those of its events that are new.
        events: Vec<Verified<Event>>,
        /// The answer that the provider waits for, if it is not an empty one.
        reply: Option<http::Response<Bytes>>,
    },
    /// It is genuine and was accepted before; nothing changed.
    Duplicate {
        /// The answer that the provider waits for, if it is not an empty one.
        reply: Option<http::Response<Bytes>>,
    },
    /// It was a handshake; this is the answer.
    Reply(http::Response<Bytes>),
    /// It was a handshake that brought the endpoint's secret. Keep it, sealed, and give it to the
    /// registration or the endpoint: from then on deliveries are verified with it.
    ///
    /// The secret is not known to be the provider's. Compare it with the provider's page, or confirm
    /// it there, before deliveries are relied upon.
    Secret {
        /// The secret.
        secret: SecretString,
        /// The answer.
        reply: http::Response<Bytes>,
    },
}

impl Receipt {
    /// The answer to the provider.
    #[must_use]
    pub fn response(self) -> http::Response<Bytes> {
        match self {
            Self::Accepted { reply, .. } | Self::Duplicate { reply } => {
                reply.unwrap_or_else(|| with_status(StatusCode::OK))
            }
            Self::Reply(reply) | Self::Secret { reply, .. } => reply,
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
