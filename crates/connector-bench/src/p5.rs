//! P5: a typed call on loopback, with 32 calls in flight, compared with raw reqwest. Both send the
//! same requests with the same headers and a timeout.

use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::clock::{Clock, SystemClock};
use connector_core::http::{HttpTransport, OutboundRequest};

use crate::Outcome;
use crate::server::Server;
use crate::turns::{Candidate, take_turns};
use crate::typed_call::{
    BODY, IN_FLIGHT, ReadThing, calls, reqwest_client, session, url, with_reqwest,
};

const TURNS: u32 = 51;
const CALLS: u32 = 2_000;
const TARGET: f64 = 0.93;

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

    let (session, transport) = session(server.address)?;
    // The library configures this for itself. A program must install it once.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is already installed")?;
    let raw = reqwest_client()?;
    let url = url(server.address);

    let clock = SystemClock::new();
    let started = clock.monotonic();
    let (mut failed, mut raw_failed, mut transport_failed) = (0, 0, 0);
    let figures = take_turns(
        &mut [
            Candidate::new("session.send", || {
                failed += calls(&client, CALLS, || async {
                    let thing = session.send(&ReadThing).await;
                    thing.is_ok_and(|thing| thing.is_right())
                });
            }),
            Candidate::new("raw reqwest", || {
                raw_failed += calls(&client, CALLS, || with_reqwest(&raw, &url));
            }),
            Candidate::new("the transport alone", || {
                transport_failed += calls(&client, CALLS, || async {
                    let request = http::Request::get("https://api.acme.example/things/7")
                        .header("authorization", "Bearer token")
                        .header("accept", "application/json")
                        .body(bytes::Bytes::new());
                    let Ok(request) = request else { return false };
                    let answer = transport.send(OutboundRequest::new(request)).await;
                    answer.is_ok_and(|it| it.status().is_success())
                });
            }),
        ],
        TURNS,
        1,
    );
    if failed + raw_failed + transport_failed > 0 {
        return Err(format!("{failed}, {raw_failed} and {transport_failed} calls failed").into());
    }
    let (wanted, arrived) = (
        3 * (TURNS + 1) * CALLS,
        server.requests.load(Ordering::SeqCst),
    );
    if arrived != wanted {
        return Err(format!("{arrived} requests arrived, not {wanted}").into());
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
        "\nThe client's single thread is always busy, so a call takes {more:.1} µs more CPU time \
         than a call of raw reqwest (target: at most 5)."
    );
    Ok(())
}
