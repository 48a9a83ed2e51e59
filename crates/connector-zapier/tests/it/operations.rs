//! Tests of operations against the simulator.

use std::time::Duration;

use connector_core::clock::{Clock as _, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::{ErrorKind, Event, Retry, Status};
use connector_zapier::endpoints::{OPERATIONS, ReverseUnsubscribe, SendEvent, SendEvents};
use connector_zapier::is_gone;
use connector_zapier::models::{Accepted, ZapEvent};
use connector_zapier::sim::{Fault, ZapState};
use futures_util::future::join_all;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::rig::{Rig, tenant};

fn event(number: usize) -> ZapEvent {
    let at = Timestamp::from_unix_seconds(1_790_000_000);
    ZapEvent::new("order.created", at, &json!({ "order": number })).unwrap()
}

/// Returns the path of a hook, which is the key of its request count.
fn path(hook: &secrecy::SecretString) -> &str {
    hook.expose_secret()
        .trim_start_matches("https://hooks.zapier.com")
}

#[test]
fn an_event_has_an_id_that_every_process_derives_alike() {
    assert_eq!(event(1), event(1));
    assert_ne!(event(1).id(), event(2).id());
    assert_eq!(event(1).id().len(), 32);
    let value = serde_json::to_value(event(7).with_id("order-7")).unwrap();
    let expected = json!({
        "id": "order-7", "type": "order.created", "occurred_at": "2026-09-21T14:13:20.000Z",
        "data": { "order": 7 },
    });
    assert_eq!(value, expected);
    let test = ZapEvent::test(Timestamp::UNIX_EPOCH).unwrap();
    assert!(test.id().starts_with("test-") && test.kind() == "connection.test");
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = ZapEvent::new("a", Timestamp::UNIX_EPOCH, &keys).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn every_operation_reaches_the_hook_and_nothing_else() {
    let rig = Rig::new().await;
    let (catch, rest) = (rig.sim.add_catch_hook(), rig.sim.add_rest_hook());
    let client = rig.client(&catch).await;
    let sent = client
        .send(&SendEvent::new(&event(1)).unwrap())
        .await
        .unwrap();
    assert_eq!(sent.status.as_deref(), Some("success"));
    assert!(sent.id.is_some() && sent.request_id.is_some() && sent.attempt.is_some());
    let two = [event(2), event(3)];
    client
        .send(&SendEvents::to_catch_hook(&two).unwrap())
        .await
        .unwrap();
    let subscribed = rig.client(&rest).await;
    subscribed
        .send(&SendEvent::new(&event(4)).unwrap())
        .await
        .unwrap();
    subscribed.send(&ReverseUnsubscribe::new()).await.unwrap();

    let numbers = |runs: Vec<Value>| -> Vec<u64> {
        runs.iter()
            .map(|it| it["data"]["order"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(rig.sim.runs(&catch).unwrap()), [1, 2, 3]);
    assert_eq!(numbers(rig.sim.runs(&rest).unwrap()), [4]);
    let server = rig.sim.server();
    assert_eq!(server.count(&Method::POST, path(&catch)), 2);
    assert_eq!(server.count(&Method::POST, path(&rest)), 1);
    assert_eq!(server.count(&Method::DELETE, path(&rest)), 1);
    assert_eq!(rig.requests(), 4);
    println!("operations that were sent: {}", OPERATIONS.len());
    assert_eq!(OPERATIONS.len(), 3);
}

#[tokio::test]
async fn an_array_in_the_data_starts_one_run() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await;
    let lines = [json!({ "sku": "a" }), json!({ "sku": "b" })];
    let now = rig.clock.now();
    let order = ZapEvent::new("order.created", now, &lines).unwrap();
    client.send(&SendEvent::new(&order).unwrap()).await.unwrap();
    let runs = rig.sim.runs(&hook).unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["data"], json!(lines));
    // A raw catch hook does not split arrays.
    let raw = rig.sim.add_raw_catch_hook();
    let client = rig.client(&raw).await;
    let both = SendEvents::to_catch_hook(&[event(1), event(2)]).unwrap();
    client.send(&both).await.unwrap();
    assert_eq!(rig.sim.runs(&raw).unwrap().len(), 1);

    for wrong in [
        vec![],
        vec![event(1), event(1)],
        vec![event(1), event(2).with_id("")],
    ] {
        let error = SendEvents::to_catch_hook(&wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(SendEvent::new(&event(1).with_id("")).is_err());
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused() {
    let rig = Rig::new().await;
    let (hook, raw) = (rig.sim.add_catch_hook(), rig.sim.add_raw_catch_hook());
    let client = rig.client(&hook).await;
    let large = |bytes: usize| {
        let text = "x".repeat(bytes);
        SendEvent::new(&ZapEvent::new("a", Timestamp::UNIX_EPOCH, &text).unwrap()).unwrap()
    };
    let error = client.send(&large(1_000_000)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::InvalidInput, Retry::Never)
    );
    assert_eq!(rig.requests(), 0, "nothing is sent");
    client.send(&large(999_000)).await.unwrap();
    let raised = large(3_000_000).with_longest_body(usize::MAX);
    client.send(&raised).await.unwrap();
    let error = client
        .send(&large(10_000_000).with_longest_body(usize::MAX))
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(rig.requests(), 2);
    // Zapier's limit for raw catch hooks.
    let client = rig.client(&raw).await;
    let error = client.send(&raised).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Rejected, Retry::Never)
    );
    assert_eq!(error.status().unwrap().as_u16(), 413);
    assert_eq!(rig.requests(), 3);
}

#[tokio::test]
async fn a_catch_hook_accepts_events_while_its_zap_is_off_or_silent() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await;
    rig.sim.set_state(&hook, ZapState::Off).unwrap();
    let sent = client
        .send(&SendEvent::new(&event(1)).unwrap())
        .await
        .unwrap();
    assert_eq!(sent.status.as_deref(), Some("success"));
    assert!(rig.sim.runs(&hook).unwrap().is_empty(), "and no Zap ran");
    rig.sim.set_state(&hook, ZapState::Silent).unwrap();
    let sent = client
        .send(&SendEvent::new(&event(2)).unwrap())
        .await
        .unwrap();
    assert_eq!(sent, Accepted::default());
    assert_eq!(rig.sim.runs(&hook).unwrap().len(), 1);
    // A successful response with an unreadable body still counts as accepted: the event is not sent again.
    for body in ["<html>", "[]", "null", "{\"id\":7}", "\u{feff}{}"] {
        rig.sim
            .server()
            .fault(path(&hook), Fault::answer(200, body));
        let sent = client
            .send(&SendEvent::new(&event(3)).unwrap())
            .await
            .unwrap();
        assert_eq!(sent, Accepted::default(), "{body}");
    }
    assert_eq!(rig.requests(), 7);
}

#[tokio::test]
async fn a_hook_that_is_gone_ends_its_connection_with_one_entry() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_rest_hook();
    let key = rig.connect(&hook).await;
    let client: connector_zapier::ZapierClient = rig.hub.client(&key).await.unwrap();
    rig.sim.set_state(&hook, ZapState::Off).unwrap();
    let send = SendEvent::new(&event(1)).unwrap();
    let error = rig.drive(client.send(&send)).await.unwrap_err();
    assert!(is_gone(&error), "{error}");
    assert_eq!(error.retry(), Retry::AfterReauthorization);
    assert_eq!(rig.requests(), 1, "410 is not repeated");
    for _ in 0..5 {
        let error = rig.drive(client.send(&send)).await.unwrap_err();
        assert!(is_gone(&error), "{error}");
    }
    assert_eq!(rig.requests(), 1, "nothing more is sent");
    let connections = rig.hub.tenant(&tenant());
    let connection = connections.get(key.id).await.unwrap();
    assert!(matches!(connection.status, Status::NeedsReauthorization(_)));
    assert_eq!(changes(&rig.store).await, 1);

    // The owner turns on the Zap, and Zapier sends a new target.
    let next = rig.sim.add_rest_hook();
    rig.client(&next).await.send(&send).await.unwrap();
    assert_eq!(rig.sim.runs(&next).unwrap().len(), 1);
    println!("events refused without a request after 410: 5");
}

/// Returns the number of audit entries about a status change.
async fn changes(store: &MemoryStore) -> usize {
    use connector_core::store::{AuditFilter, AuditLog as _};
    let entries = store
        .audit(&AuditFilter::default(), None, 100)
        .await
        .unwrap();
    let entries = entries.items.iter();
    entries
        .filter(|it| matches!(it.entry.event, Event::StatusChanged { .. }))
        .count()
}

#[tokio::test]
async fn statuses_have_their_meaning() {
    let table = [
        (302, ErrorKind::Rejected, 1, false),
        (400, ErrorKind::Rejected, 1, false),
        (401, ErrorKind::Rejected, 1, false),
        (403, ErrorKind::Forbidden, 1, false),
        (404, ErrorKind::ProviderNotFound, 2, true),
        (413, ErrorKind::Rejected, 1, false),
        (500, ErrorKind::ProviderUnavailable, 2, true),
        (503, ErrorKind::ProviderUnavailable, 2, true),
    ];
    let rig = Rig::new().await;
    for (status, kind, least, repeats) in table {
        let hook = rig.sim.add_catch_hook();
        let client = rig.client(&hook).await;
        let before = rig.requests();
        for _ in 0..10 {
            let fault = Fault::Answer {
                status,
                headers: vec![("location", "https://evil.example/".to_owned())],
                body: r#"{"status":"error"}"#.to_owned(),
            };
            rig.sim.server().fault(path(&hook), fault);
        }
        let sent = rig
            .drive(client.send(&SendEvent::new(&event(1)).unwrap()))
            .await;
        let error = sent.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(!is_gone(&error), "{status}");
        let requests = rig.requests() - before;
        assert!(
            requests >= least && (requests == 1) != repeats,
            "{status}: {requests}"
        );
        assert!(!error.report().contains(path(&hook)), "{error}");
    }
    println!("statuses with their meaning: {}", table.len());
}

#[tokio::test]
async fn an_event_whose_response_is_lost_is_sent_again_with_its_id() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await;
    rig.sim.server().fault(path(&hook), Fault::DropAfter);
    rig.sim.server().fault(path(&hook), Fault::answer(500, ""));
    rig.drive(client.send(&SendEvent::new(&event(1)).unwrap()))
        .await
        .unwrap();
    let runs = rig.sim.runs(&hook).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0]["id"], runs[1]["id"]);
    assert_eq!(rig.requests(), 3);
}

#[tokio::test]
async fn a_slow_hook_is_waited_for() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await;
    rig.sim
        .server()
        .fault(path(&hook), Fault::Slow(Duration::from_secs(20)));
    let began = rig.clock.now();
    rig.drive(client.send(&SendEvent::new(&event(1)).unwrap()))
        .await
        .unwrap();
    assert!(rig.clock.now().since(began) >= Duration::from_secs(20));
    assert_eq!(rig.requests(), 1);
}

#[tokio::test]
async fn a_refusal_by_the_rate_limit_is_waited_for() {
    for retry_after in [Some(20), None] {
        let rig = Rig::new().await;
        let hook = rig.sim.add_catch_hook();
        let client = rig.client(&hook).await.background();
        let mut headers = Vec::new();
        headers.extend(retry_after.map(|it: u64| ("retry-after", it.to_string())));
        let fault = Fault::Answer {
            status: 429,
            headers,
            body: String::new(),
        };
        rig.sim.server().fault(path(&hook), fault);
        let began = rig.clock.now();
        rig.drive(client.send(&SendEvent::new(&event(1)).unwrap()))
            .await
            .unwrap();
        let took = rig.clock.now().since(began);
        let least = Duration::from_secs(60);
        assert!(took >= least, "{retry_after:?}: {took:?}");
        assert_eq!(rig.requests(), 2);
    }
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await;
    let state = ZapState::Limited {
        retry_after: Some(600),
    };
    rig.sim.set_state(&hook, state).unwrap();
    let sent = rig
        .drive(client.send(&SendEvent::new(&event(1)).unwrap()))
        .await;
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(600)));
    assert!(!is_gone(&error));
}

#[tokio::test]
async fn three_hundred_events_stay_within_the_limit_of_a_hook() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let client = rig.client(&hook).await.background();
    let mut outcomes = Vec::new();
    for batch in 0..6 {
        let sends = (0..50).map(|number| {
            let (client, event) = (client.clone(), event(batch * 50 + number));
            async move { client.send(&SendEvent::new(&event)?).await }
        });
        outcomes.extend(rig.drive(join_all(sends)).await);
    }
    let refused = outcomes.iter().filter(|it| it.is_err()).count();
    assert_eq!((refused, rig.requests()), (0, 300));
    assert_eq!(rig.sim.runs(&hook).unwrap().len(), 300);
    println!("events without a refusal: {}", outcomes.len());
}
