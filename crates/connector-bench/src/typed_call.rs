//! The call of P5, as a typed operation and with raw reqwest.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::ProviderId;
use connector_core::api::{FixedToken, Idempotency, Request, Response, Session};
use connector_core::http::limit::{Limit, Per};
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::Endpoint;
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_http::HttpClient;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::runtime::Runtime;

pub(crate) const IN_FLIGHT: usize = 32;
pub(crate) const BODY: &str = r#"{"id":7,"title":"a short name"}"#;
pub(crate) const USER_AGENT: &str = "acme-orders/1.0";
/// The request timeout of our calls, and of all other clients that support one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Returns the URL of every call, on the server at `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}/things/7?fields=id%2Ctitle")
}

#[derive(Deserialize)]
pub(crate) struct Thing {
    id: u64,
    title: String,
}

impl Thing {
    pub(crate) fn is_right(&self) -> bool {
        self.id == 7 && !self.title.is_empty()
    }
}

connector_core::provider::provider_client! {
    /// The client of the simulated provider.
    pub(crate) struct AcmeClient for ProviderId::from_static("acme");
}

pub(crate) struct ReadThing;

impl Endpoint for ReadThing {
    type Client = AcmeClient;
    type Output = Thing;
    const NAME: &'static str = "ReadThing";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> connector_core::Result<Request> {
        Ok(Request::get(["things", "7"])?.query("fields", "id,title"))
    }

    fn decode(&self, response: &mut Response) -> connector_core::Result<Thing> {
        response.json()
    }
}

/// Returns a session, with a rate limit that never delays a call, and its transport. Both use the
/// server at `address`.
pub(crate) fn session(address: SocketAddr) -> Result<(Session, Arc<HttpClient>), Box<dyn Error>> {
    let origin = Origin::parse("https://api.acme.example")?;
    let transport = HttpClient::builder()
        .with_loopback(LoopbackOverride::new(origin.clone(), address)?)
        .with_user_agent(USER_AGENT)
        .build()?;
    let transport = Arc::new(transport);
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    let limit = Limit::bucket("account", Per::Account, 1_000_000_000, 1e9);
    description.limits = vec![limit];
    let session = Session::fixed(
        &GenericConnector::new(description)?,
        FixedToken::new(origin, "token"),
        Arc::<HttpClient>::clone(&transport),
    );
    Ok((session, transport))
}

/// Returns a reqwest client with the same headers and the same timeout.
pub(crate) fn reqwest_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .user_agent(USER_AGENT)
        .timeout(DEADLINE)
        .build()
}

/// Makes the call with raw reqwest. Returns true if it succeeded.
pub(crate) async fn with_reqwest(client: &reqwest::Client, url: &str) -> bool {
    let answer = client
        .get(url)
        .header("authorization", "Bearer token")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    let Ok(answer) = answer else { return false };
    answer.bytes().await.is_ok_and(|body| is_thing(&body))
}

/// Returns true if `body` is the expected body.
pub(crate) fn is_thing(body: &[u8]) -> bool {
    serde_json::from_slice::<Thing>(body).is_ok_and(|thing| thing.is_right())
}

/// Makes `count` calls on the thread of `runtime`, [`IN_FLIGHT`] at once, and returns the number of
/// failed calls.
pub(crate) fn calls<F: Future<Output = bool>>(
    runtime: &Runtime,
    count: u32,
    one: impl Fn() -> F,
) -> usize {
    let failed = stream::iter(0..count)
        .map(|_| one())
        .buffer_unordered(IN_FLIGHT)
        .filter(|good| std::future::ready(!good));
    runtime.block_on(failed.count())
}
