//! P5: a typed call on loopback, 32 in flight, against reqwest-middleware with reqwest-retry, and
//! octocrab.

use std::sync::Arc;
use std::time::Duration;

use connector_core::api::{Endpoint, FixedToken, Repeat, Request, Response, Session};
use connector_core::description::EndpointTemplate;
use connector_core::http::limit::RateModel;
use connector_core::http::{HttpClient, LoopbackOpening, Origin};
use connector_core::{Description, GenericConnector, ProviderId};
use futures_util::{StreamExt as _, stream};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use serde::Deserialize;

use crate::server::Server;
use crate::turns::{Contestant, take_turns};
use crate::{Outcome, print};

const TURNS: u32 = 31;
const CALLS: u32 = 1_000;
const IN_FLIGHT: usize = 32;
const BODY: &str = r#"{"id":7,"title":"a short name"}"#;

#[derive(Deserialize)]
struct Thing {
    id: u64,
    title: String,
}

impl Thing {
    fn is_right(&self) -> bool {
        self.id == 7 && !self.title.is_empty()
    }
}

struct ReadThing;

impl Endpoint for ReadThing {
    type Output = Thing;
    const NAME: &'static str = "ReadThing";
    const REPEAT: Repeat = Repeat::Safe;

    fn request(&self) -> connector_core::Result<Request> {
        Ok(Request::get(["things", "7"])?.query("fields", "id,title"))
    }

    fn decode(response: &mut Response) -> connector_core::Result<Thing> {
        response.json()
    }
}

/// `CALLS` calls, `IN_FLIGHT` at once; how many went wrong.
async fn calls<F: Future<Output = bool>>(one: impl Fn() -> F) -> usize {
    stream::iter(0..CALLS)
        .map(|_| one())
        .buffer_unordered(IN_FLIGHT)
        .filter(|good| std::future::ready(!good))
        .count()
        .await
}

pub(crate) fn measure() -> Outcome {
    // The server has a runtime of its own, as another program would.
    let server_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = server_runtime.block_on(Server::start(BODY, Duration::ZERO))?;
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    let origin = Origin::parse("https://api.acme.example")?;
    let transport = HttpClient::builder()
        .with_opening(LoopbackOpening::new(origin.clone(), server.address)?)
        .build()?;
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    description.rate = Some(RateModel::Bucket {
        capacity: 1_000_000_000,
        per_second: 1e9,
    });
    let session = Session::fixed(
        &GenericConnector::new(description)?,
        FixedToken::new(origin, "token"),
        Arc::new(transport),
    );
    let retry = ExponentialBackoff::builder().build_with_max_retries(3);
    let middleware = ClientBuilder::new(reqwest::Client::builder().no_proxy().build()?)
        .with(RetryTransientMiddleware::new_with_policy(retry))
        .build();
    let url = format!("http://{}/things/7?fields=id%2Ctitle", server.address);
    let octocrab = {
        let _inside = client.enter();
        octocrab::Octocrab::builder()
            .base_uri(format!("http://{}", server.address))?
            .personal_token("token".to_owned())
            .build()?
    };

    let (mut failed, mut middleware_failed, mut octocrab_failed) = (0, 0, 0);
    let figures = take_turns(
        &mut [
            Contestant::new("session.send", || {
                failed += client.block_on(calls(|| async {
                    let thing = session.send(&ReadThing).await;
                    thing.is_ok_and(|thing| thing.is_right())
                }));
            }),
            Contestant::new("reqwest-middleware", || {
                middleware_failed += client.block_on(calls(|| async {
                    let answer = middleware
                        .get(&url)
                        .header("authorization", "Bearer token")
                        .header("accept", "application/json")
                        .send()
                        .await;
                    let Ok(answer) = answer else { return false };
                    let Ok(body) = answer.bytes().await else {
                        return false;
                    };
                    serde_json::from_slice::<Thing>(&body).is_ok_and(|thing| thing.is_right())
                }));
            }),
            Contestant::new("octocrab", || {
                octocrab_failed += client.block_on(calls(|| async {
                    let thing = octocrab
                        .get::<Thing, _, ()>("/things/7?fields=id%2Ctitle", None)
                        .await;
                    thing.is_ok_and(|thing| thing.is_right())
                }));
            }),
        ],
        TURNS,
        1,
    );
    if failed + middleware_failed + octocrab_failed > 0 {
        return Err(
            format!("{failed}, {middleware_failed} and {octocrab_failed} calls failed").into(),
        );
    }
    println!("{TURNS} turns of {CALLS} calls, {IN_FLIGHT} in flight; µs per call\n");
    print(
        "P5",
        f64::from(CALLS) * 1e3,
        &[
            ("session.send", &figures[0]),
            ("reqwest-middleware with reqwest-retry", &figures[1]),
            ("octocrab", &figures[2]),
        ],
        &[1.0, 1.0],
    );
    Ok(())
}
