//! P5: a typed call on loopback, with 32 calls in flight, compared with reqwest-middleware with
//! reqwest-retry, and with octocrab. For reference, also raw reqwest and a bare client of
//! hyper-util, on which the others are built.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

use crate::server::Server;
use crate::turns::{Candidate, take_turns};
use crate::typed_call::{
    BODY, DEADLINE, IN_FLIGHT, ReadThing, Thing, USER_AGENT, calls, is_thing, reqwest_client,
    session, url, with_reqwest,
};
use crate::{Outcome, print};

const TURNS: u32 = 31;
const CALLS: u32 = 1_000;

async fn with_middleware(client: &ClientWithMiddleware, url: &str) -> bool {
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

async fn with_octocrab(client: &octocrab::Octocrab) -> bool {
    let thing = client
        .get::<Thing, _, ()>("/things/7?fields=id%2Ctitle", None)
        .await;
    thing.is_ok_and(|thing| thing.is_right())
}

async fn with_hyper(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> bool {
    let request = http::Request::get(url)
        .header("user-agent", USER_AGENT)
        .header("authorization", "Bearer token")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .body(Empty::new());
    let Ok(request) = request else { return false };
    let exchange = tokio::time::timeout(DEADLINE, async {
        let answer = client.request(request).await.ok()?;
        answer.into_body().collect().await.ok()
    });
    let body = exchange.await.ok().flatten();
    body.is_some_and(|body| is_thing(&body.to_bytes()))
}

pub(crate) fn measure() -> Outcome {
    // The server has its own runtime, as if it were another program.
    let server_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = server_runtime.block_on(Server::start(BODY, Duration::ZERO))?;
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    let (session, _) = session(server.address)?;
    let retry = ExponentialBackoff::builder().build_with_max_retries(3);
    let middleware = ClientBuilder::new(reqwest_client()?)
        .with(RetryTransientMiddleware::new_with_policy(retry))
        .build();
    let octocrab = {
        let _inside = client.enter();
        octocrab::Octocrab::builder()
            .base_uri(format!("http://{}", server.address))?
            .personal_token("token".to_owned())
            // octocrab has no timeout for a whole request. This is the closest setting.
            .set_read_timeout(Some(DEADLINE))
            .build()?
    };
    let raw = reqwest_client()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let bare = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let url = url(server.address);

    let mut failed = [0; 5];
    let [
        ours,
        middleware_failed,
        octocrab_failed,
        raw_failed,
        bare_failed,
    ] = &mut failed;
    let figures = take_turns(
        &mut [
            Candidate::new("session.send", || {
                *ours += calls(&client, CALLS, || async {
                    let thing = session.send(&ReadThing).await;
                    thing.is_ok_and(|thing| thing.is_right())
                });
            }),
            Candidate::new("reqwest-middleware", || {
                let one = || with_middleware(&middleware, &url);
                *middleware_failed += calls(&client, CALLS, one);
            }),
            Candidate::new("octocrab", || {
                let one = || with_octocrab(&octocrab);
                *octocrab_failed += calls(&client, CALLS, one);
            }),
            Candidate::new("raw reqwest", || {
                *raw_failed += calls(&client, CALLS, || with_reqwest(&raw, &url));
            }),
            Candidate::new("hyper-util", || {
                *bare_failed += calls(&client, CALLS, || with_hyper(&bare, &url));
            }),
        ],
        TURNS,
        1,
    );
    if failed != [0; 5] {
        return Err(format!("so many calls failed: {failed:?}").into());
    }
    let (wanted, arrived) = (
        5 * (TURNS + 1) * CALLS,
        server.requests.load(Ordering::SeqCst),
    );
    if arrived != wanted {
        return Err(format!("{arrived} requests arrived, not {wanted}").into());
    }
    println!("{TURNS} turns of {CALLS} calls, {IN_FLIGHT} in flight; ns per call\n");
    print(
        "P5",
        f64::from(CALLS),
        &[
            ("session.send", &figures[0]),
            ("reqwest-middleware with reqwest-retry", &figures[1]),
            ("octocrab", &figures[2]),
            ("raw reqwest, for reference", &figures[3]),
            ("hyper-util's client, for reference", &figures[4]),
        ],
        &[1.0, 1.0],
    );
    println!(
        "\nFor reference: raw reqwest takes {:.2} times as long as ours, hyper-util's client {:.2} \
         times (medians).",
        figures[3].ratio_to(&figures[0]).median(),
        figures[4].ratio_to(&figures[0]).median()
    );
    Ok(())
}
