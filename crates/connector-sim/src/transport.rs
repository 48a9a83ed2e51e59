//! A transport that calls a simulated provider without a socket.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{
    HttpTransport, Origin, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use futures_util::future::{Either, select};
use url::Url;

use crate::message::Request;
use crate::server::{Outcome, Shared};

pub(crate) struct InProcess(Arc<Shared>);

impl InProcess {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

#[async_trait]
impl HttpTransport for InProcess {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let fail = |kind, sent| Err(TransportError::new(kind, sent));
        let refused = || TransportError::new(TransportErrorKind::AddressRefused, Sent::No);
        let (parts, body) = outbound.request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| refused())?;
        let origin = Origin::of(&url).map_err(|_| refused())?;
        if !self.0.service.origins().contains(&origin) {
            return fail(TransportErrorKind::Connect, Sent::No);
        }
        if outbound.last_check.is_some_and(|check| !check.may_go()) {
            return fail(TransportErrorKind::TooLate, Sent::No);
        }
        let request = Request::new(parts.method, url, parts.headers, body);
        let answered = pin!(self.0.handle(&request));
        let outcome = match select(answered, self.0.clock.sleep(outbound.timeout)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => return fail(TransportErrorKind::Timeout, Sent::Maybe),
        };
        match outcome {
            Outcome::Complete(response) if response.body().len() > outbound.max_response_len => {
                fail(TransportErrorKind::Answer, Sent::Maybe)
            }
            Outcome::Complete(response) => Ok(response.into_http(|bytes| bytes)),
            Outcome::Truncated(_) | Outcome::Dropped => {
                fail(TransportErrorKind::Broken, Sent::Maybe)
            }
        }
    }
}
