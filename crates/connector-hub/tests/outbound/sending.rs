//! Attempts: schedule, statuses, pauses, disabling, replay, order, the delivery log, the test button.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::{Sent, TransportError, TransportErrorKind};
use connector_core::store::{EndpointState, OutboundState};
use connector_core::{ErrorKind, Event};
use connector_hub::NewTarget;

use crate::rig::{World, context, id, message, status};

const MINUTE: Duration = Duration::from_secs(60);
type Reply = Result<http::Response<Bytes>, TransportError>;
/// A name, the reply, the number of attempts, and the final state.
type Case = (
    String,
    Box<dyn Fn() -> Reply + Send + Sync>,
    usize,
    OutboundState,
);

const HOUR: Duration = Duration::from_secs(3_600);

async fn add(world: &World, host: &str) -> connector_core::store::EndpointId {
    let target = NewTarget::new(format!("https://{host}/hooks/private-path"));
    world.outbound().add(target, context()).await.unwrap().id()
}

async fn state(
    world: &World,
    host: connector_core::store::EndpointId,
    name: &str,
) -> OutboundState {
    let outbound = world.outbound();
    let mut filter = outbound.filter();
    filter.endpoint = Some(host);
    filter.message = Some(id(name));
    let page = outbound.deliveries(&filter, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    page.items[0].state
}

#[tokio::test]
async fn a_failing_endpoint_gets_eight_attempts_on_the_schedule() {
    let world = World::new();
    world.receivers.statuses("down.example", &[500]);
    let down = add(&world, "down.example").await;
    world.outbound().publish(message("m1")).await.unwrap();
    world.pass(MINUTE, Duration::from_secs(1)).await;
    world.pass(HOUR * 40, Duration::from_secs(30)).await;
    let got = world.receivers.got("down.example");
    let gaps: Vec<u64> = got
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at).as_secs())
        .collect();
    println!("attempts: {}, gaps in seconds: {gaps:?}", got.len());
    let schedule = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
    assert_eq!(gaps.len(), schedule.len());
    for (gap, base) in gaps.iter().zip(schedule) {
        let (least, most) = (base * 4 / 5, base * 6 / 5 + 31);
        assert!((least..=most).contains(gap), "{gap} for {base}");
    }
    assert!(
        gaps.iter().zip(schedule).any(|(gap, base)| *gap != base),
        "varied"
    );
    let ids: BTreeSet<_> = got.iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(ids.len(), 1, "every attempt has the same id");
    let times: BTreeSet<_> = got
        .iter()
        .map(|it| it.header("webhook-timestamp").to_owned())
        .collect();
    assert_eq!(times.len(), 8, "every attempt has its own time");
    assert_eq!(state(&world, down, "m1").await, OutboundState::Failed);
    let info = world.outbound().get(down).await.unwrap();
    assert_eq!(info.state, EndpointState::Enabled, "one day is not five");
    assert_eq!(info.health.failures, 8);
    let failing = world
        .events()
        .await
        .into_iter()
        .filter(|it| matches!(it, Event::EndpointFailing { .. }));
    assert_eq!(failing.count(), 1, "one warning");
}

#[tokio::test]
async fn each_status_has_its_own_reaction() {
    let transport = |kind| move || Err(TransportError::new(kind, Sent::Maybe));
    let statuses = [
        (200, 1, OutboundState::Delivered),
        (204, 1, OutboundState::Delivered),
        (299, 1, OutboundState::Delivered),
        (301, 1, OutboundState::Failed),
        (302, 1, OutboundState::Failed),
        (304, 1, OutboundState::Failed),
        (400, 3, OutboundState::Failed),
        (401, 3, OutboundState::Failed),
        (404, 3, OutboundState::Failed),
        (408, 8, OutboundState::Failed),
        (409, 8, OutboundState::Failed),
        (410, 1, OutboundState::Failed),
        (413, 1, OutboundState::Failed),
        (425, 8, OutboundState::Failed),
        (429, 8, OutboundState::Failed),
        (500, 8, OutboundState::Failed),
        (503, 8, OutboundState::Failed),
        (504, 8, OutboundState::Failed),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (code, attempts, expected) in statuses {
        let reply = move || Ok(status(code));
        cases.push((code.to_string(), Box::new(reply), attempts, expected));
    }
    for (kind, attempts) in [
        (TransportErrorKind::AddressRefused, 1),
        (TransportErrorKind::Connect, 8),
        (TransportErrorKind::Timeout, 8),
        (TransportErrorKind::Broken, 8),
        (TransportErrorKind::Answer, 8),
    ] {
        let name = format!("{kind:?}").to_lowercase();
        cases.push((
            name,
            Box::new(transport(kind)),
            attempts,
            OutboundState::Failed,
        ));
    }
    let mut count = 0;
    for (name, reply, attempts, expected) in cases {
        let world = World::new();
        let host = format!("s{name}.example");
        world.receivers.on(&host, move |_, _| reply());
        let endpoint = add(&world, &host).await;
        world.outbound().publish(message("m1")).await.unwrap();
        world.pass(HOUR * 40, Duration::from_secs(300)).await;
        assert_eq!(world.receivers.got(&host).len(), attempts, "{name}");
        assert_eq!(state(&world, endpoint, "m1").await, expected, "{name}");
        let info = world.outbound().get(endpoint).await.unwrap();
        let gone = info.state == EndpointState::Gone;
        assert_eq!(gone, name == "410", "{name}");
        count += 1;
    }
    println!("reactions to statuses and failures: {count}");
    assert_eq!(count, 23);
}

#[tokio::test]
async fn our_own_failures_are_not_failures_of_the_endpoint() {
    let world = World::new();
    world.receivers.on("a.example", |_, n| {
        if n < 12 {
            let kinds = [TransportErrorKind::Busy, TransportErrorKind::Unsupported];
            Err(TransportError::new(kinds[n % 2], Sent::No))
        } else {
            Ok(status(200))
        }
    });
    let endpoint = add(&world, "a.example").await;
    world.outbound().publish(message("m1")).await.unwrap();
    world.pass(HOUR, MINUTE).await;
    assert_eq!(
        state(&world, endpoint, "m1").await,
        OutboundState::Delivered
    );
    let health = world.outbound().get(endpoint).await.unwrap().health;
    println!(
        "own failures before the delivery: {}",
        world.receivers.count() - 1
    );
    assert_eq!((health.failed, health.delivered), (0, 1));
    assert_eq!(health.failing_since, None);
}

#[tokio::test]
async fn retry_after_is_followed_within_bounds() {
    let mut count = 0;
    for (stated, least, most) in [
        ("120", 120, 125),
        ("1", 60, 65),
        ("86400", 900, 905),
        ("garbage", 60, 65),
    ] {
        let world = World::new();
        world.receivers.on("a.example", move |request, _| {
            let mut response = status(200);
            if request.headers()["webhook-id"] == "m1" {
                response = status(429);
                response
                    .headers_mut()
                    .insert("retry-after", stated.parse().unwrap());
            }
            Ok(response)
        });
        add(&world, "a.example").await;
        add(&world, "b.example").await;
        world.outbound().publish(message("m1")).await.unwrap();
        world.tick().await;
        let first = world.receivers.got("a.example")[0].at;
        // The pause delays the other messages for the endpoint, too, but no other endpoint.
        world.outbound().publish(message("m2")).await.unwrap();
        assert_eq!(world.tick().await, 1);
        assert_eq!(world.receivers.got("b.example").len(), 2);
        assert_eq!(world.receivers.got("a.example").len(), 1);
        world
            .pass(Duration::from_secs(3_700), Duration::from_secs(5))
            .await;
        let got = world.receivers.got("a.example");
        let again = got.iter().skip(1).find(|it| it.id() == "m1").unwrap();
        let waited = again.at.since(first).as_secs();
        if stated == "86400" {
            // The whole endpoint pauses for an hour at most.
            assert!((3_600..=3_605).contains(&waited), "{stated}: {waited}");
        } else {
            assert!((least..=most).contains(&waited), "{stated}: {waited}");
        }
        count += 1;
    }
    println!("values of Retry-After: {count}");
    assert_eq!(count, 4);
}

#[tokio::test]
async fn an_endpoint_is_disabled_once_after_days_and_skipped_messages_are_replayed() {
    let world = World::new();
    world.receivers.statuses("down.example", &[503]);
    let down = add(&world, "down.example").await;
    let outbound = world.outbound();
    let start = world.clock.now();
    let mut published = 0;
    for _ in 0..8 * 24 {
        published += 1;
        outbound
            .publish(message(&format!("m{published}")))
            .await
            .unwrap();
        world.pass(HOUR, Duration::from_secs(600)).await;
    }
    let info = outbound.get(down).await.unwrap();
    assert_eq!(info.state, EndpointState::Failed);
    let events = world.events().await;
    let disabled: Vec<_> = events
        .iter()
        .filter(|it| matches!(it, Event::EndpointDisabled { .. }))
        .collect();
    assert_eq!(disabled.len(), 1, "{disabled:?}");
    assert!(matches!(disabled[0], Event::EndpointDisabled { reason, .. } if reason == "failed"));
    let failing = events
        .iter()
        .filter(|it| matches!(it, Event::EndpointFailing { .. }));
    assert_eq!(failing.count(), 1);
    let sent = world.receivers.count();
    world.pass(HOUR * 24, HOUR).await;
    assert_eq!(
        world.receivers.count(),
        sent,
        "nothing is sent while it is disabled"
    );
    let mut filter = outbound.filter();
    filter.state = Some(OutboundState::Skipped);
    let skipped = outbound
        .deliveries(&filter, None, 1_000)
        .await
        .unwrap()
        .items
        .len();
    assert!(skipped > 48, "{skipped}");

    // The receiver works again.
    world.receivers.statuses("down.example", &[200]);
    let end = world.clock.now();
    let refused = outbound.replay_between(down, start, end, context()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    outbound.enable(down, context()).await.unwrap();
    let replayed = outbound
        .replay_between(down, start, end, context())
        .await
        .unwrap();
    assert_eq!(replayed, published, "none was delivered before");
    let mut delivered = 0;
    while delivered < published {
        let now = world.tick().await;
        assert!(now > 0);
        delivered += u64::try_from(now).unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    println!("messages: {published}, skipped: {skipped}, delivered after a replay: {delivered}");
    let info = outbound.get(down).await.unwrap();
    assert_eq!(
        (info.state, info.health.failures),
        (EndpointState::Enabled, 0)
    );

    // One message again.
    let before = world.receivers.count();
    outbound.replay(down, &id("m7"), context()).await.unwrap();
    assert_eq!(world.tick().await, 1);
    assert_eq!(world.receivers.count(), before + 1);
    assert_eq!(
        world.receivers.got("down.example").last().unwrap().id(),
        "m7"
    );
    let missing = outbound.replay(down, &id("m9999"), context()).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn messages_of_a_resource_keep_their_order_and_delay_no_other() {
    let world = World::new();
    // The first message of resource "a" fails three times.
    let failures = AtomicUsize::new(0);
    world.receivers.on("a.example", move |request, _| {
        let is_first = request.headers()["webhook-id"] == "a-0";
        let fails = is_first && failures.fetch_add(1, Ordering::SeqCst) < 3;
        Ok(status(if fails { 500 } else { 200 }))
    });
    let target = NewTarget::new("https://a.example/").with_order_per_resource();
    world.outbound().add(target, context()).await.unwrap();
    for number in 0..20 {
        for resource in ["a", "b", "c"] {
            let message = message(&format!("{resource}-{number}")).with_resource(resource);
            world.outbound().publish(message).await.unwrap();
        }
    }
    world
        .pass(Duration::from_secs(120), Duration::from_secs(1))
        .await;
    let got = world.receivers.got("a.example");
    let of = |resource: &str| -> Vec<String> {
        let own = got.iter().map(|it| it.id().to_owned());
        own.filter(|it| it.starts_with(resource)).collect()
    };
    let in_order = |resource: &str| {
        (0..20)
            .map(|it| format!("{resource}-{it}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("b"), in_order("b"), "other resources go on");
    assert_eq!(of("c"), in_order("c"));
    assert!(of("a").iter().all(|it| it == "a-0"));
    world.pass(HOUR * 8, Duration::from_secs(60)).await;
    let mut order = {
        let got = world.receivers.got("a.example");
        let own = got.iter().map(|it| it.id().to_owned());
        own.filter(|it| it.starts_with('a')).collect::<Vec<_>>()
    };
    let attempts = order.len();
    order.dedup();
    println!(
        "attempts for the stuck resource: {attempts}, order: {} messages",
        order.len()
    );
    assert_eq!(order, in_order("a"));
    assert!(attempts > order.len());
}

#[tokio::test]
async fn the_delivery_log_contains_no_secret() {
    let world = World::new();
    let token = "tok_0123456789abcdef0123456789abcdef";
    world.receivers.on("a.example", move |request, _| {
        let headers = format!("{:?}", request.headers()["x-api-key"].to_str().unwrap());
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let text = format!(
            "<p>it failed:\u{7} {body} key {headers} at {} for someone@example.com, {token}</p>\
             {} {}",
            request.uri(),
            serde_json::json!({
                "echo": body,
                "url": request.uri().to_string().replace('/', "\\/"),
            }),
            "x y ".repeat(2_000)
        );
        // A secret across the end of the excerpt.
        let text = format!("{}header-secret{}", &text[..1_017], &text[1_017..]);
        let mut response = status(500);
        *response.body_mut() = Bytes::from(text);
        Ok(response)
    });
    let target = NewTarget::new("https://a.example/hooks/private-path")
        .with_header("x-api-key", "header-secret");
    let outbound = world.outbound();
    let endpoint = outbound.add(target, context()).await.unwrap();
    outbound.publish(message("payload-marker")).await.unwrap();
    world.tick().await;
    let log = outbound
        .attempts(endpoint.id(), &id("payload-marker"))
        .await
        .unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].log.status, Some(500));
    assert_eq!(log[0].log.error.as_deref(), Some("status"));
    let excerpt = log[0].log.excerpt.clone().unwrap();
    let mut searched = 0;
    for secret in [
        "header-secret",
        "header",
        "private-path",
        "payload-marker",
        "payload",
        token,
        "someone@example.com",
        "\u{7}",
    ] {
        assert!(!excerpt.contains(secret), "{secret} in {excerpt}");
        searched += 1;
    }
    assert!(excerpt.contains("it failed"), "{excerpt}");
    assert!(excerpt.contains("[redacted]"));
    assert!(excerpt.len() <= 1_100, "{}", excerpt.len());
    let shown = format!("{:?}", outbound.get(endpoint.id()).await.unwrap());
    assert!(!shown.contains("private-path"));
    println!("secrets searched in the delivery log: {searched}, found: 0");
    assert_eq!(searched, 8);

    // A success leaves no excerpt.
    world.receivers.statuses("a.example", &[200]);
    world.pass(MINUTE, Duration::from_secs(1)).await;
    let log = outbound
        .attempts(endpoint.id(), &id("payload-marker"))
        .await
        .unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].log.excerpt, None);
}

#[tokio::test]
async fn the_test_button_takes_the_same_path() {
    let world = World::new();
    let a = add(&world, "a.example").await;
    let target = NewTarget::new("https://b.example/").with_event_types([crate::rig::kind("other")]);
    let b = world.outbound().add(target, context()).await.unwrap().id();
    let reserved = message("m1");
    let at = connector_core::clock::Timestamp::from_unix_seconds(crate::rig::START);
    let reserved = connector_core::outbound::Message::json(
        reserved.id,
        crate::rig::kind("webhook.test"),
        at,
        &1,
    );
    let refused = world.outbound().publish(reserved.unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    let outcome = world.outbound().test(b).await.unwrap();
    assert!(outcome.is_delivered);
    let got = world.receivers.got("b.example");
    assert_eq!(got[0].id(), outcome.message.as_str());
    assert!(got[0].header("webhook-signature").starts_with("v1,"));
    assert!(world.receivers.got("a.example").is_empty());
    world.receivers.statuses("a.example", &[500]);
    let outcome = world.outbound().test(a).await.unwrap();
    assert!(!outcome.is_delivered);
    assert_eq!(outcome.attempt.log.status, Some(500));
    world.pass(HOUR, MINUTE).await;
    println!("test messages: {}", world.receivers.count());
    assert_eq!(world.receivers.count(), 2, "sent once");
    let unknown = connector_core::store::EndpointId::from_bytes([9; 16]);
    assert_eq!(
        world.outbound().test(unknown).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
