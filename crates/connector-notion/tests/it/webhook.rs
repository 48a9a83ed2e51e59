//! Tests of the handshake, published signatures, events for several accounts, and catching up.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{Clock as _, ManualClock, Timestamp};
use connector_core::provider::subscription::Watch;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Connector as _, Context};
use connector_core::webhook::TypedEvent as _;
use connector_core::{App, AppKey, ErrorKind, Result};
use connector_hub::Receipt;
use connector_notion::models::{EVENT_TYPES, WebhookEvent};
use connector_notion::sim::{Simulator, sign};
use connector_notion::{EDITED_TOPIC, HandshakeSwitch, Notion, NotionConfig};
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::rig::{Rig, context};

const MINUTES: Duration = Duration::from_secs(600);

/// Verifies a request offline.
fn verified(
    switch: &HandshakeSwitch,
    token: Option<&str>,
    request: &http::Request<Bytes>,
) -> Result<Incoming> {
    let config = NotionConfig::builder()
        .build()?
        .with_handshake_switch(switch.clone());
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let transport = connector_http::HttpClient::builder().build()?;
    let mut app = App::new("client");
    if let Some(token) = token {
        app = app.with_webhook_secret(token);
    }
    let key = AppKey::default();
    let cx = Context::new(&app, &transport, &clock);
    let endpoint = WebhookEndpoint::of_app(&key);
    let verified = Notion::new(config)
        .verify_webhook(&cx, &endpoint, request)
        .now_or_never();
    verified.unwrap()
}

fn posted(signature: &str, body: &str) -> http::Request<Bytes> {
    let request = http::Request::post("/").header("x-notion-signature", signature);
    request
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

#[test]
fn the_published_signature_is_accepted_and_changed_ones_are_refused() {
    const TOKEN: &str = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
    const SIGNATURE: &str =
        "sha256=461e8cbcba8a75c3edd866f0e71280f5a85cbf21eff040ebd10fe266df38a735";
    let body = format!(r#"{{"verification_token":"{TOKEN}"}}"#);
    let off = HandshakeSwitch::new();
    // With a configured token, a handshake with the same token is a repeated delivery: the hub
    // acknowledges it and stores nothing.
    let published = posted(SIGNATURE, &body);
    assert!(matches!(
        verified(&off, Some(TOKEN), &published),
        Ok(Incoming::Reply(_))
    ));
    let upper = SIGNATURE.replace("sha256=", "").to_uppercase();
    let upper = posted(&format!("sha256={upper}"), &body);
    assert!(verified(&off, Some(TOKEN), &upper).is_ok());
    assert_eq!(
        sign(TOKEN, body.clone().into()).unwrap().headers()["x-notion-signature"],
        SIGNATURE
    );
    // Vectors created with the official library.
    let key = "secret_abc123_verification_token";
    let others = [
        (
            r#"{"id":"evt_1","type":"page.created"}"#,
            "942ac06e288d4872c2c3944cb92793dabf59e7b005dab9c6f883aff7132c686c",
        ),
        (
            r#"{"id":"evt_1"}"#,
            "22e3fa3082bbcdf5fdde563f8ea9a63f1b26f223a4a68060fd5b48606628a407",
        ),
    ];
    for (body, digits) in others {
        let request = posted(&format!("sha256={digits}"), body);
        let Ok(Incoming::Accept { events, .. }) = verified(&off, Some(key), &request) else {
            panic!("{body}");
        };
        assert_eq!(events[0].event_id.as_deref(), Some("evt_1"));
    }
    let spaced = body.replace(':', ": ");
    let bare = SIGNATURE.trim_start_matches("sha256=");
    let refused = [
        (TOKEN, posted(SIGNATURE, &spaced)),
        (TOKEN, posted(bare, &body)),
        (TOKEN, posted("", &body)),
        (TOKEN, posted(&SIGNATURE[..70], &body)),
        (key, posted(SIGNATURE, &body)),
        (
            TOKEN,
            http::Request::post("/").body(body.clone().into()).unwrap(),
        ),
    ];
    for (token, request) in &refused {
        let error = verified(&off, Some(token), request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    }
    println!(
        "signatures accepted: {}, refused: {}",
        2 + others.len(),
        refused.len()
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the directory is an argument of the test run"
)]
fn all_signature_vectors_have_the_expected_result() {
    let Some(root) = std::env::var_os("CONNECTORS_ORACLES") else {
        println!("skipped: CONNECTORS_ORACLES names no directory with vectors");
        return;
    };
    let text = std::fs::read(Path::new(&root).join("vectors.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    let mut count = 0;
    for vector in vectors.iter().filter(|it| it["provider"] == "notion") {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (secret, body) = (
            text(&vector["inputs"]["secret"]),
            text(&vector["inputs"]["body"]),
        );
        let signature = text(&vector["expected"]);
        let off = HandshakeSwitch::new();
        assert!(verified(&off, Some(&secret), &posted(&signature, &body)).is_ok());
        assert!(verified(&off, Some("secret_other"), &posted(&signature, &body)).is_err());
        assert!(verified(&off, Some(&secret), &posted(&signature, &(body + " "))).is_err());
        count += 1;
    }
    println!("vectors of Notion: {count}");
    assert!(count > 0);
}

#[tokio::test]
async fn a_handshake_is_accepted_once_and_only_while_an_operator_has_armed_it() {
    let mut rig = Rig::new().await;
    let handshake = rig.sim.create_webhook().unwrap();
    let receive = async |rig: &Rig, request: &http::Request<Bytes>| {
        rig.hub.receive(&Notion::ID, request.clone()).await
    };
    let error = receive(&rig, &handshake).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    assert!(!error.report().contains("secret_"), "{error}");
    // The armed time has passed.
    rig.switch.arm(rig.clock.now(), MINUTES);
    rig.clock.advance(MINUTES);
    assert!(receive(&rig, &handshake).await.is_err());
    rig.switch.arm(rig.clock.now(), MINUTES);
    // A handshake with an invalid signature does not disarm the switch.
    let mut forged = handshake.clone();
    *forged.body_mut() = Bytes::from(r#"{"verification_token":"secret_forged"}"#);
    assert!(receive(&rig, &forged).await.is_err());
    let Ok(Receipt::Secret { secret, reply }) = receive(&rig, &handshake).await else {
        panic!("an armed handshake is refused");
    };
    assert_eq!(reply.status(), 200);
    assert!(!rig.switch.is_armed(rig.clock.now()));
    assert!(
        receive(&rig, &handshake).await.is_err(),
        "the handshake was accepted twice"
    );
    // After the token is configured, its deliveries are verified, and the same handshake is a
    // repeated delivery.
    rig.restart(Some(secret.clone()));
    assert!(matches!(
        receive(&rig, &handshake).await,
        Ok(Receipt::Reply(_))
    ));
    // A new subscription has a new token. While the switch is armed, the new token is accepted
    // beside the old one.
    let next = rig.sim.create_webhook().unwrap();
    assert!(receive(&rig, &next).await.is_err());
    rig.switch.arm(rig.clock.now(), MINUTES);
    let Ok(Receipt::Secret { secret: other, .. }) = receive(&rig, &next).await else {
        panic!("a handshake beside an old token was rejected");
    };
    assert_ne!(secret.expose_secret(), other.expose_secret());
    println!("handshakes refused: 5, accepted: 2");
}

#[tokio::test]
async fn every_account_gets_each_event_once() {
    let mut rig = Rig::with(3, 10_000).await;
    let first = rig.connect().await;
    rig.sim.authority().sign_in(&Simulator::bot(2)).unwrap();
    let second = rig.connect().await;
    let token = {
        let handshake = rig.sim.create_webhook().unwrap();
        let body: Value = serde_json::from_slice(handshake.body()).unwrap();
        SecretString::from(body["verification_token"].as_str().unwrap())
    };
    rig.restart(Some(token));
    let page = rig.sim.add_page("Page").unwrap();
    let bots = [1, 2, 3].map(Simulator::bot);
    let kinds: Vec<&str> = EVENT_TYPES
        .iter()
        .copied()
        .chain(["page.dreamt", "agent.created"])
        .collect();
    let mut requests = Vec::new();
    for kind in &kinds {
        let request = rig.sim.event(kind, ("page", page.as_str()), &bots).unwrap();
        // Each event arrives three times, with different attempt numbers.
        for attempt in 1..=3 {
            let mut body: Value = serde_json::from_slice(request.body()).unwrap();
            body["attempt_number"] = attempt.into();
            requests.push(resigned(&rig, &body));
        }
    }
    for request in &requests {
        let receipt = rig.hub.receive(&Notion::ID, request.clone()).await.unwrap();
        assert_eq!(receipt.response().status(), 200);
    }
    rig.work().await;
    let handled = rig.handled.0.lock().unwrap().clone();
    let (mut of_first, mut of_second) = (BTreeSet::new(), BTreeSet::new());
    for (event, connections) in &handled {
        // Events of unknown types match no typed handler.
        let is_known = EVENT_TYPES.contains(&event.topic.as_str());
        assert_eq!(WebhookEvent::matches(event), is_known);
        let read = WebhookEvent::decode(event).unwrap();
        assert_eq!(read.entity.unwrap().id, page.as_str());
        for (key, seen) in [(&first, &mut of_first), (&second, &mut of_second)] {
            if connections.contains(key) {
                assert!(
                    seen.insert(event.topic.clone()),
                    "{} was handled twice",
                    event.topic
                );
            }
        }
    }
    assert_eq!(
        (of_first.len(), of_second.len()),
        (kinds.len(), kinds.len())
    );
    let mut changed = requests[0].clone();
    let mut body = changed.body().to_vec();
    body[10] ^= 1;
    *changed.body_mut() = body.into();
    assert!(rig.hub.receive(&Notion::ID, changed).await.is_err());
    println!(
        "types of events handled once for each account: {}",
        kinds.len()
    );
}

/// Returns a webhook request with this body, signed with the simulator's token.
fn resigned(rig: &Rig, body: &Value) -> http::Request<Bytes> {
    rig.sim.sign_event(body).unwrap()
}

#[tokio::test]
async fn search_finds_changes_that_webhooks_missed() {
    let rig = Rig::with(1, 100_000).await;
    let key = rig.connect().await;
    for number in 0..50 {
        rig.sim.add_page(&format!("Old {number}")).unwrap();
    }
    rig.clock.advance(Duration::from_secs(300));
    rig.hub
        .subscribe(&key, Watch::new("edits").unwrap(), context())
        .await
        .unwrap();
    let wrong = rig
        .hub
        .subscribe(&key, Watch::new("pages").unwrap(), context())
        .await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidInput);
    rig.work().await;
    let mut made = BTreeSet::new();
    for hour in 0..6 {
        rig.clock.advance(Duration::from_secs(90));
        // Several changes within one minute, and in some hours more than one page of results.
        for number in 0..(30 + 60 * hour) {
            made.insert(
                rig.sim
                    .add_page(&format!("New {hour} {number}"))
                    .unwrap()
                    .to_string(),
            );
        }
        if hour == 3 {
            // The read fails before its last page, more than once.
            for _ in 0..9 {
                rig.sim
                    .server()
                    .fault("/v1/search", connector_notion::sim::Fault::answer(502, ""));
            }
        }
        for _ in 0..8 {
            rig.clock.advance(Duration::from_secs(900));
            rig.work().await;
            // Change one more page within the minute that was read last.
            made.insert(rig.sim.add_page("Late").unwrap().to_string());
        }
    }
    for _ in 0..8 {
        rig.clock.advance(Duration::from_secs(900));
        rig.work().await;
    }
    let handled = rig.handled.0.lock().unwrap();
    let mut seen = BTreeSet::new();
    for (event, connections) in handled.iter() {
        assert_eq!(
            (event.topic.as_str(), connections),
            (EDITED_TOPIC, &vec![key.clone()])
        );
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!(body["object"], json!("page"));
        assert!(
            seen.insert(body["id"].as_str().unwrap().to_owned()),
            "handled twice"
        );
    }
    assert_eq!(seen, made);
    println!("changes found by search, once each: {}", seen.len());
}
