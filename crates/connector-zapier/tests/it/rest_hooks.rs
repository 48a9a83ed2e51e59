//! REST Hooks that Zapier subscribes at the application, and catch hooks that are fed by the queue.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, Message};
use connector_core::store::{AuditFilter, AuditLog, EndpointId, EndpointState};
use connector_core::{Actor, CorrelationId, Event, RequestContext};
use connector_hub::RestHooks;
use connector_zapier::Zapier;
use connector_zapier::models::ZapEvent;
use connector_zapier::sim::ZapState;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::rig::{Rig, tenant};

fn context() -> RequestContext {
    RequestContext::new(Actor::User("u1".into()), CorrelationId::new("r1").unwrap())
}

fn created() -> EventType {
    EventType::new("order.created").unwrap()
}

fn order(number: usize) -> Message {
    let at = Timestamp::from_unix_seconds(1_790_000_000);
    let event = ZapEvent::new("order.created", at, &json!({ "order": number })).unwrap();
    event.with_id(format!("order-{number}")).message().unwrap()
}

fn body(hook: &SecretString, field: &str) -> Vec<u8> {
    json!({ field: hook.expose_secret(), "event": "order.created" })
        .to_string()
        .into_bytes()
}

async fn subscribed(hooks: &RestHooks, hook: &SecretString, field: &str) -> EndpointId {
    let response = hooks
        .subscribe(&body(hook, field), &[created()], context())
        .await;
    assert_eq!(response.status(), 201);
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    answer["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn zaps_subscribe_receive_events_and_unsubscribe() {
    let rig = Rig::new().await;
    let hooks = rig.hub.rest_hooks(&tenant(), &Zapier::ID);
    let zaps: Vec<_> = (0..3).map(|_| rig.sim.add_rest_hook()).collect();
    let mut ids = Vec::new();
    for (zap, field) in zaps.iter().zip(["target_url", "hookUrl", "url"]) {
        ids.push(subscribed(&hooks, zap, field).await);
    }
    assert_eq!(
        subscribed(&hooks, &zaps[0], "target_url").await,
        ids[0],
        "the same subscription"
    );
    assert_eq!(hooks.live(None, 10).await.unwrap().items.len(), 3);
    assert_eq!(
        rig.requests(),
        0,
        "a subscription sends no request to the hook"
    );

    let enqueued = hooks.publish(order(1)).await.unwrap();
    assert_eq!(enqueued.pending, 3);
    rig.work().await;
    // The sample and the live event have one serializer.
    let samples = hooks.samples(&[order(1)]);
    let samples: Value = serde_json::from_slice(samples.body()).unwrap();
    let mut runs = 0;
    for zap in &zaps {
        let live = rig.sim.runs(zap).unwrap();
        assert_eq!(samples, Value::Array(live.clone()));
        runs += live.len();
    }

    // A Zap that was turned off without unsubscribing answers 410.
    rig.sim.set_state(&zaps[1], ZapState::Off).unwrap();
    hooks.publish(order(2)).await.unwrap();
    rig.work().await;
    hooks.publish(order(3)).await.unwrap();
    rig.work().await;
    let orphaned = hooks.orphaned(None, 10).await.unwrap().items;
    assert_eq!(orphaned.len(), 1);
    assert_eq!(
        (orphaned[0].id, orphaned[0].state),
        (ids[1], EndpointState::Gone)
    );
    assert!(orphaned[0].label.starts_with("hooks.zapier.com/"));
    assert_eq!(rig.sim.runs(&zaps[0]).unwrap().len(), 3, "the others go on");

    for id in [ids[2].to_string(), ids[2].to_string(), "unknown".to_owned()] {
        assert_eq!(hooks.unsubscribe(&id, context()).await.status(), 200);
    }
    hooks.publish(order(4)).await.unwrap();
    rig.work().await;
    assert_eq!(rig.sim.runs(&zaps[2]).unwrap().len(), 3);
    assert_eq!(rig.sim.runs(&zaps[0]).unwrap().len(), 4);

    // The Zap is turned on again.
    rig.sim.set_state(&zaps[1], ZapState::On).unwrap();
    assert_eq!(subscribed(&hooks, &zaps[1], "target_url").await, ids[1]);
    hooks.publish(order(5)).await.unwrap();
    rig.work().await;
    assert_eq!(hooks.orphaned(None, 10).await.unwrap().items.len(), 0);

    // Ended from this side: Zapier pauses the Zap.
    assert!(rig.drive(hooks.end(ids[0], context())).await.unwrap());
    assert!(!rig.drive(hooks.end(ids[0], context())).await.unwrap());

    let log = rig
        .store
        .audit(&AuditFilter::default(), None, 1_000)
        .await
        .unwrap();
    let count = |wanted: &str| {
        let events = log.items.iter().map(|it| &it.entry.event);
        let found = events.filter(|it| match it {
            Event::EndpointDisabled { reason, .. } | Event::EndpointRemoved { reason, .. } => {
                reason == wanted
            }
            _ => false,
        });
        found.count()
    };
    println!(
        "runs of subscribed Zaps: {runs}, ends in the audit log: gone {}, unsubscribed {}, removed {}",
        count("gone"),
        count("unsubscribed"),
        count("removed")
    );
    assert_eq!(
        (count("gone"), count("unsubscribed"), count("removed")),
        (1, 1, 1)
    );
    assert_eq!(runs, 3);
    let text = format!("{:?}", log.items);
    assert!(
        zaps.iter().all(|it| !text.contains(it.expose_secret())),
        "no address in the log"
    );
}

#[tokio::test]
async fn other_subscriptions_are_refused() {
    let rig = Rig::new().await;
    let hooks = rig.hub.rest_hooks(&tenant(), &Zapier::ID);
    let zap = rig.sim.add_rest_hook();
    let url = zap.expose_secret();
    let mut refused = 0;
    for body in [
        String::new(),
        "[]".to_owned(),
        json!({ "event": "order.created" }).to_string(),
        json!({ "target_url": url }).to_string(),
        json!({ "target_url": url, "event": "order.deleted" }).to_string(),
        json!({ "target_url": "https://evil.example/hooks/standard/1/a/", "event": "order.created" }).to_string(),
        json!({ "target_url": "http://hooks.zapier.com/hooks/standard/1/a/", "event": "order.created" }).to_string(),
        json!({ "target_url": "https://hooks.zapier.com/fake-subscription-url", "event": "order.created" }).to_string(),
        json!({ "target_url": "https://169.254.169.254/", "event": "order.created" }).to_string(),
        json!({ "target_url": url, "event": "order.created", "x": "y".repeat(20_000) }).to_string(),
    ] {
        let response = hooks.subscribe(body.as_bytes(), &[created()], context()).await;
        assert_eq!(response.status(), 400, "{body:.90}");
        assert!(!String::from_utf8_lossy(response.body()).contains("hooks/standard"));
        refused += 1;
    }
    println!("subscriptions refused: {refused}");
    assert_eq!(refused, 10);
    assert_eq!(hooks.live(None, 10).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn events_for_catch_hooks_go_through_the_queue() {
    let rig = Rig::new().await;
    let hooks = rig.hub.rest_hooks(&tenant(), &Zapier::ID);
    let catch = rig.sim.add_catch_hook();
    hooks
        .add(catch.clone(), created(), &context())
        .await
        .unwrap();
    assert_eq!(rig.requests(), 0);
    let path = catch
        .expose_secret()
        .trim_start_matches("https://hooks.zapier.com");
    // The queue retries what an interactive call reports as an error.
    rig.sim
        .server()
        .fault(path, connector_zapier::sim::Fault::rate_limited(60));
    hooks.publish(order(1)).await.unwrap();
    assert!(hooks.publish(order(1)).await.unwrap().is_duplicate);
    rig.work().await;
    rig.clock.advance(Duration::from_secs(60));
    rig.work().await;
    println!(
        "runs of a catch hook after a rate limit: {}",
        rig.sim.runs(&catch).unwrap().len()
    );
    assert_eq!(rig.sim.runs(&catch).unwrap().len(), 1);
}
