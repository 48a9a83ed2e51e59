//! Responses to deliveries.

use bytes::Bytes;
use connector_core::webhook::Event;
use connector_core::{Error, ErrorKind, Retry};
use http::StatusCode;
use secrecy::SecretString;

use super::Verified;

/// The result of receiving a delivery. Send [`Receipt::response`] to the provider, or
/// [`Receipt::refusal`] after an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Receipt {
    /// The delivery is genuine and stored. The worker passes it to the handlers.
    Accepted {
        /// The new events of the delivery.
        events: Vec<Verified<Event>>,
        /// The response that the provider expects; `None` for an empty response.
        reply: Option<http::Response<Bytes>>,
    },
    /// The delivery is genuine, and an earlier copy was already accepted. Nothing changed.
    Duplicate {
        /// The response that the provider expects; `None` for an empty response.
        reply: Option<http::Response<Bytes>>,
    },
    /// The request was a handshake. Contains the response.
    Reply(http::Response<Bytes>),
    /// The request was a handshake that contained the endpoint's secret. Store the secret, sealed,
    /// and configure it for the registration or the endpoint. The hub then verifies later
    /// deliveries with this secret.
    ///
    /// The handshake does not prove that the secret comes from the provider. Before you rely on
    /// deliveries, compare the secret with the provider's settings page, or confirm the secret
    /// there.
    Secret {
        /// The secret.
        secret: SecretString,
        /// The response.
        reply: http::Response<Bytes>,
    },
}

impl Receipt {
    /// Returns the response to send to the provider.
    #[must_use]
    pub fn response(self) -> http::Response<Bytes> {
        match self {
            Self::Accepted { reply, .. } | Self::Duplicate { reply } => {
                reply.unwrap_or_else(|| with_status(StatusCode::OK))
            }
            Self::Reply(reply) | Self::Secret { reply, .. } => reply,
        }
    }

    /// Returns the response to a delivery that [`Hub::receive`](crate::Hub::receive) refused:
    /// * 401 if the delivery is not genuine,
    /// * 413 if it is too large,
    /// * 404 if the endpoint does not exist,
    /// * 503 if it could not be stored now,
    /// * 500 otherwise.
    ///
    /// Providers retry after 503 and 500. Many also retry after the other status codes.
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
