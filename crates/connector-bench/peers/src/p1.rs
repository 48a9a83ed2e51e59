//! P1: the cached access token of yup-oauth2 and of google-cloud-auth, on one thread.

use std::hint::black_box;
use std::time::Duration;

use connector_core::clock::{Clock as _, SystemClock};
use connector_hub::Token;
use google_cloud_auth::credentials::user_account;
use serde_json::json;

use crate::fixture::{Endpoint, hub};
use crate::server::Server;
use crate::turns::{Candidate, take_turns};
use crate::{Outcome, print, yup};

const CONNECTIONS: u32 = 10_000;
const TURNS: u32 = 51;
const READS: u32 = 20_000;
const TARGET: f64 = 3.0;

pub(crate) fn measure() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (hub, keys) = runtime.block_on(hub(
        CONNECTIONS,
        Duration::from_hours(24),
        Endpoint::default(),
    ))?;
    for key in &keys {
        runtime.block_on(hub.access_token(key))?;
    }
    let answer = r#"{"access_token":"access-1","token_type":"Bearer","expires_in":86400}"#;
    let server = runtime.block_on(Server::start(answer, Duration::ZERO))?;
    let url = format!("http://{}/token", server.address);
    let yup = runtime.block_on(yup::authenticator(url.clone(), 86_400))?;
    let google = runtime.block_on(async {
        user_account::Builder::new(json!({
            "type": "authorized_user",
            "client_id": "client",
            "client_secret": "secret",
            "refresh_token": "refresh-0",
        }))
        .with_token_uri(url)
        .build_access_token_credentials()
    })?;
    runtime.block_on(google.access_token())?;

    let (mut failed, mut spread_failed) = (0_u64, 0_u64);
    let (mut yup_failed, mut google_failed) = (0_u64, 0_u64);
    let is_ready = |key| match hub.token(black_box(key)) {
        Token::Ready(token) => {
            drop(black_box(token));
            true
        }
        Token::Wait(_) => false,
    };
    let clock = SystemClock::new();
    let mut next = 0;
    let figures = take_turns(
        &mut [
            Candidate::new("ours, one connection", || {
                // A read may start a comparison with the store, which needs a runtime.
                let _entered = runtime.enter();
                for _ in 0..READS {
                    failed += u64::from(!is_ready(&keys[0]));
                }
            }),
            Candidate::new("ours, many connections", || {
                let _entered = runtime.enter();
                for _ in 0..READS {
                    next = (next + 31) % keys.len();
                    spread_failed += u64::from(!is_ready(&keys[next]));
                }
            }),
            Candidate::new("both clocks", || {
                for _ in 0..READS {
                    black_box((clock.monotonic(), clock.now()));
                }
            }),
            Candidate::new("yup-oauth2", || {
                runtime.block_on(async {
                    for _ in 0..READS {
                        let token = yup.token(black_box(&["read"])).await;
                        yup_failed += u64::from(black_box(token).is_err());
                    }
                });
            }),
            Candidate::new("google-cloud-auth", || {
                runtime.block_on(async {
                    for _ in 0..READS {
                        let token = google.access_token().await;
                        google_failed += u64::from(black_box(token).is_err());
                    }
                });
            }),
        ],
        TURNS,
        1,
    );
    if failed + spread_failed + yup_failed + google_failed > 0 {
        return Err(format!(
            "{failed}, {spread_failed}, {yup_failed} and {google_failed} reads failed"
        )
        .into());
    }
    println!(
        "One thread; {TURNS} turns of {READS} reads, ns per read. Each peer has one token and no \
         tenant, so it is compared with a single connection of ours. For reference, the table also \
         contains reads of {CONNECTIONS} connections in turn, and the share of the clocks.\n"
    );
    print(
        "P1",
        f64::from(READS),
        &[
            ("ours, one connection", &figures[0]),
            ("yup-oauth2", &figures[3]),
            ("google-cloud-auth", &figures[4]),
            ("ours, 10,000 connections", &figures[1]),
            ("reading both clocks, nothing else", &figures[2]),
        ],
        &[TARGET, TARGET],
    );
    Ok(())
}
