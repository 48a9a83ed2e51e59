//! P5: a typed call on loopback, 32 in flight, against raw reqwest with the same requests: the same
//! headers on the wire, and a deadline for each, which no client may leave out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::api::{Endpoint, FixedToken, Repeat, Request, Response, Session};
use connector_core::clock::{Clock, SystemClock};
use connector_core::description::EndpointTemplate;
use connector_core::http::limit::RateModel;
use connector_core::http::{HttpClient, HttpTransport, LoopbackOpening, Origin, OutboundRequest};
use connector_core::{Description, GenericConnector, ProviderId};
use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::turns::{Contestant, take_turns};

const TURNS: u32 = 51;
const CALLS: u32 = 2_000;
const IN_FLIGHT: usize = 32;
const USER_AGENT: &str = "acme-orders/1.0";
const TARGET: f64 = 0.93;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 31\r\n\r\n{\"id\":7,\"title\":\"a short name\"}";

#[derive(Deserialize)]
struct Thing {
    id: u64,
    title: String,
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

/// Answers every request on a connection, and nothing else.
async fn serve(mut connection: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut length = 0;
    loop {
        let read = connection.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Ok(());
        }
        length += read;
        if buffer[..length].ends_with(b"\r\n\r\n") {
            connection.write_all(ANSWER).await?;
            length = 0;
        } else if length == buffer.len() {
            return Ok(());
        }
    }
}

async fn listen() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    Ok(address)
}

#[expect(
    clippy::too_many_lines,
    reason = "what is compared stands side by side"
)]
pub(crate) fn measure() -> Outcome {
    // The server has a runtime of its own, as another program would.
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let address = server.block_on(listen())?;
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    let origin = Origin::parse("https://api.acme.example")?;
    let transport = HttpClient::builder()
        .with_opening(LoopbackOpening::new(origin.clone(), address)?)
        .with_user_agent(USER_AGENT)
        .build()?;
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    description.rate = Some(RateModel::Bucket {
        capacity: 1_000_000_000,
        per_second: 1e9,
    });
    let transport = Arc::new(transport);
    let session = Session::fixed(
        &GenericConnector::new(description)?,
        FixedToken::new(origin, "token"),
        Arc::<HttpClient>::clone(&transport),
    );
    // What the library configures for itself; a program installs it once.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let raw = reqwest::Client::builder()
        .no_proxy()
        .user_agent(USER_AGENT)
        .timeout(Duration::from_secs(30))
        .build()?;
    let url = format!("http://{address}/things/7?fields=id%2Ctitle");

    let clock = SystemClock::new();
    let started = clock.monotonic();
    let mut failed = 0_usize;
    let mut raw_failed = 0_usize;
    let mut transport_failed = 0_usize;
    let figures = {
        let mut contestants = [
            Contestant::new("session.send", || {
                let calls = stream::iter(0..CALLS).map(|_| async {
                    let thing = session.send(&ReadThing).await;
                    thing.is_ok_and(|it| it.id == 7 && !it.title.is_empty())
                });
                let bad = calls
                    .buffer_unordered(IN_FLIGHT)
                    .filter(|good| std::future::ready(!good));
                failed += client.block_on(bad.count());
            }),
            Contestant::new("raw reqwest", || {
                let calls = stream::iter(0..CALLS).map(|_| async {
                    let answer = raw
                        .get(&url)
                        .header("authorization", "Bearer token")
                        .header("accept", "application/json")
                        .header("accept-encoding", "gzip")
                        .send()
                        .await;
                    let Ok(answer) = answer else { return false };
                    let Ok(body) = answer.bytes().await else {
                        return false;
                    };
                    serde_json::from_slice::<Thing>(&body)
                        .is_ok_and(|it| it.id == 7 && !it.title.is_empty())
                });
                let bad = calls
                    .buffer_unordered(IN_FLIGHT)
                    .filter(|good| std::future::ready(!good));
                raw_failed += client.block_on(bad.count());
            }),
            Contestant::new("the transport alone", || {
                let calls = stream::iter(0..CALLS).map(|_| async {
                    let request = http::Request::get("https://api.acme.example/things/7")
                        .header("authorization", "Bearer token")
                        .header("accept", "application/json")
                        .body(bytes::Bytes::new());
                    let Ok(request) = request else { return false };
                    let answer = transport.send(OutboundRequest::new(request)).await;
                    answer.is_ok_and(|it| it.status().is_success())
                });
                let bad = calls
                    .buffer_unordered(IN_FLIGHT)
                    .filter(|good| std::future::ready(!good));
                transport_failed += client.block_on(bad.count());
            }),
        ];
        take_turns(&mut contestants, TURNS, 1)
    };
    if failed + raw_failed + transport_failed > 0 {
        return Err(format!("{failed}, {raw_failed} and {transport_failed} calls failed").into());
    }
    println!(
        "{TURNS} turns of {CALLS} calls, {IN_FLIGHT} in flight, one client thread, {:.0} s; ns per \
         {CALLS} calls\n",
        clock.monotonic().since(started).as_secs_f64()
    );
    println!("| What | min | median | max |\n|---|---|---|---|");
    println!("| session.send | {} |", figures[0].cells());
    println!("| raw reqwest | {} |", figures[1].cells());
    println!(
        "| the transport alone, nothing decoded | {} |",
        figures[2].cells()
    );
    let throughput = figures[1].ratio_to(&figures[0]);
    let more = (figures[0].median() - figures[1].median()) / f64::from(CALLS) / 1000.0;
    println!(
        "\n| Row | Throughput to raw: min | median | max | Target | Met |\n|---|---|---|---|---|---|"
    );
    println!(
        "| P5 | {:.2} | {:.2} | {:.2} | at least {TARGET:.2} | {} |",
        throughput.min(),
        throughput.median(),
        throughput.max(),
        if throughput.median() >= TARGET {
            "yes"
        } else {
            "no"
        }
    );
    println!(
        "\nThe client's one thread is busy all the time, so a call takes {more:.1} µs more of it \
         than raw reqwest (target: at most 5)."
    );
    Ok(())
}
