//! The transport that the suite passes to hooks. The transport records requests, and can return its
//! own responses.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{
    HttpTransport, OutboundRequest, RequestClass, Sent, TransportError, TransportErrorKind,
};
use http::HeaderMap;
use tokio::sync::watch;

/// A sent request. The type does not implement `Debug`, because it contains secrets.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) method: http::Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) max_response_len: usize,
    pub(super) class: RequestClass,
}

/// A replacement for the provider's response.
pub(super) enum Instead {
    Answer(u16, Vec<(&'static str, String)>, String),
    Error(TransportErrorKind, Sent),
}

pub(super) struct Wire {
    inner: Arc<dyn HttpTransport>,
    state: Mutex<State>,
    /// While true, requests wait before they are sent.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    instead: VecDeque<Instead>,
}

impl Wire {
    pub(super) fn around(inner: Arc<dyn HttpTransport>) -> Self {
        Self {
            inner,
            state: Mutex::default(),
            held: watch::Sender::new(false),
        }
    }

    /// Returns the requests since the last call.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    /// Returns the number of requests since the last [`Wire::take`].
    pub(super) fn count(&self) -> usize {
        self.state().seen.len()
    }

    /// Replaces the response to the next request.
    pub(super) fn answer(&self, instead: Instead) {
        self.state().instead.push_back(instead);
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpTransport for Wire {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = &outbound.request;
        let seen = Seen {
            method: request.method().clone(),
            url: request.uri().to_string(),
            headers: request.headers().clone(),
            body: request.body().clone(),
            timeout: outbound.timeout,
            max_response_len: outbound.max_response_len,
            class: outbound.class,
        };
        let instead = {
            let mut state = self.state();
            state.seen.push(seen);
            state.instead.pop_front()
        };
        // The sender lives as long as this transport, so waiting cannot fail.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        match instead {
            None => self.inner.send(outbound).await,
            Some(Instead::Error(kind, sent)) => Err(TransportError::new(kind, sent)),
            Some(Instead::Answer(status, headers, body)) => {
                let mut response = http::Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response
                    .body(Bytes::from(body))
                    .map_err(|_| TransportError::new(TransportErrorKind::Answer, Sent::Maybe))
            }
        }
    }
}
