//! A wrapper of the library's transport. It tracks requests in flight, and refresh tokens that are
//! used although their successor is known.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{HttpTransport, OutboundRequest, TransportError};
use connector_http::HttpClient;
use serde_json::Value;
use tokio::sync::watch;
use url::form_urlencoded;

#[derive(Debug, Clone)]
pub(crate) struct Witness {
    client: Arc<HttpClient>,
    under_way: watch::Sender<usize>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Refresh tokens whose successor arrived in a response.
    replaced: BTreeSet<String>,
    redeemed: usize,
    redeemed_in_vain: usize,
}

impl Witness {
    pub(crate) fn new(client: HttpClient) -> Self {
        Self {
            client: Arc::new(client),
            under_way: watch::Sender::new(0),
            seen: Arc::default(),
        }
    }

    /// Waits until no request is in flight.
    pub(crate) async fn idle(&self) {
        let mut under_way = self.under_way.subscribe();
        under_way.wait_for(|count| *count == 0).await.unwrap();
    }

    /// Returns the number of sent refresh tokens, and the number of those whose successor was
    /// known.
    pub(crate) fn redemptions(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        (seen.redeemed, seen.redeemed_in_vain)
    }
}

/// Counts a request while this value exists.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl HttpTransport for Witness {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let spent = form_urlencoded::parse(request.request.body())
            .find(|(name, _)| name == "refresh_token")
            .map(|(_, token)| token.into_owned());
        if let Some(spent) = &spent {
            let mut seen = self.seen.lock().unwrap();
            seen.redeemed += 1;
            seen.redeemed_in_vain += usize::from(seen.replaced.contains(spent));
        }
        let _under_way = UnderWay::new(&self.under_way);
        let answer = self.client.send(request).await?;
        if let Some(spent) = spent {
            let brought: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let newer = brought.get("refresh_token").and_then(Value::as_str);
            if newer.is_some_and(|newer| newer != spent) {
                self.seen.lock().unwrap().replaced.insert(spent);
            }
        }
        Ok(answer)
    }
}
