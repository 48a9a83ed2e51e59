//! The cases of `OutboundStore`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connector_core::AuditEntry;
use connector_core::outbound::{EventType, MessageId};
use connector_core::store::{
    AuditFilter, ChangeEndpointOutcome, Cursor, Endpoint, EndpointAudit, EndpointChange,
    EndpointFilter, EndpointHealth, EndpointId, EndpointKey, EndpointState, EndpointTransition,
    Enqueued, LeasedMessage, MessageKey, MessageLease, NewAttempt, NewEndpoint, NewMessage,
    OutboundFilter, OutboundRecord, OutboundState, OutboundVerdict, PutEndpointOutcome, Settled,
    Settlement, Version,
};

use super::samples::{
    LEASE, audit_entry, key_of, name_of, provider, reason_of, sealed, seconds, tenant,
};
use super::steps::{Handle, done, joined, open, valid};
use crate::fixture::StoreFixture;

/// Time of failures after which an endpoint is disabled.
const DISABLE_AFTER: Duration = Duration::from_secs(1_000);

fn endpoint_key(tenant_name: &str, number: u8) -> EndpointKey {
    EndpointKey::new(tenant(tenant_name), EndpointId::from_bytes([number; 16]))
}

fn kind(name: &str) -> EventType {
    valid(EventType::new(name))
}

fn message_id(name: &str) -> MessageId {
    valid(MessageId::new(name))
}

/// Returns an endpoint that receives all event types.
pub(super) fn new_endpoint(tenant_name: &str, number: u8) -> NewEndpoint {
    NewEndpoint {
        key: endpoint_key(tenant_name, number),
        provider: provider(),
        label: format!("{number}.example"),
        alias: None,
        event_types: Vec::new(),
        is_ordered: false,
        sealed: sealed(&format!("endpoint {number}")),
        limit: 1_000,
    }
}

pub(super) fn new_message(tenant_name: &str, name: &str) -> NewMessage {
    NewMessage {
        key: MessageKey {
            tenant: tenant(tenant_name),
            provider: provider(),
            id: message_id(name),
        },
        event_type: kind("order.created"),
        resource: None,
        at: connector_core::clock::Timestamp::from_unix_seconds(1),
        sealed: sealed(name),
        keep_for: seconds(604_800),
        only: None,
    }
}

fn audits(name: &str) -> Vec<AuditEntry> {
    vec![audit_entry(&key_of("t1", 1), name)]
}

pub(super) async fn put(store: &Handle, new: NewEndpoint) {
    let outcome = done(store.put_endpoint(new, Vec::new()).await);
    assert_eq!(outcome, PutEndpointOutcome::Stored);
}

pub(super) async fn enqueued(store: &Handle, message: NewMessage) -> Enqueued {
    done(store.enqueue(message).await)
}

async fn endpoint(store: &Handle, key: &EndpointKey) -> Endpoint {
    match done(store.endpoint(key).await) {
        Some(endpoint) => endpoint,
        None => panic!("no endpoint {key:?}"),
    }
}

async fn change(store: &Handle, key: &EndpointKey, change: EndpointChange) -> Endpoint {
    let at = endpoint(store, key).await.version;
    match done(store.change_endpoint(key, at, change, Vec::new()).await) {
        ChangeEndpointOutcome::Changed(changed) => *changed,
        other => panic!("{other:?}"),
    }
}

fn to_state(state: EndpointState) -> EndpointChange {
    EndpointChange {
        state: Some(state),
        ..EndpointChange::default()
    }
}

async fn leased(store: &Handle) -> Vec<LeasedMessage> {
    done(store.lease_messages(&MessageLease::new(100, LEASE)).await)
}

/// Leases one message. The case fails unless exactly one is due.
pub(super) async fn leased_one(store: &Handle) -> LeasedMessage {
    let mut leased = leased(store).await;
    match (leased.pop(), leased.is_empty()) {
        (Some(one), true) => one,
        (one, _) => panic!("expected one message, got {one:?} and {leased:?}"),
    }
}

/// Returns the ids of messages, sorted.
fn ids(leased: &[LeasedMessage]) -> Vec<&str> {
    let mut ids: Vec<_> = leased.iter().map(|it| it.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn result(leased: &LeasedMessage, verdict: OutboundVerdict) -> Settlement {
    let failed = !matches!(verdict, OutboundVerdict::Delivered);
    let entry = |name| audit_entry(&key_of("t1", 1), name);
    Settlement {
        endpoint: leased.endpoint.key.clone(),
        provider: leased.endpoint.provider.clone(),
        id: leased.id.clone(),
        lease: leased.lease,
        attempt: leased.attempt,
        log: NewAttempt {
            took: Duration::from_millis(7),
            status: Some(if failed { 500 } else { 200 }),
            error: failed.then(|| "status".to_owned()),
            excerpt: failed.then(|| "sorry".to_owned()),
        },
        version: leased.endpoint.version,
        verdict,
        pause: None,
        warn_at: 3,
        disable_after: DISABLE_AFTER,
        audit: failed.then(|| {
            Box::new(EndpointAudit {
                failing: entry("failing"),
                failed: entry("failed"),
                gone: entry("gone"),
            })
        }),
    }
}

async fn settle(store: &Handle, result: Settlement) -> Option<Settled> {
    let mut settled = done(store.settle_messages(&[result]).await);
    assert_eq!(settled.len(), 1);
    settled.pop().flatten()
}

async fn records(store: &Handle, filter: &OutboundFilter) -> Vec<OutboundRecord> {
    done(store.outbound(filter, None, 100).await).items
}

async fn state(store: &Handle, name: &str) -> OutboundState {
    let mut filter = OutboundFilter::default();
    filter.message = Some(message_id(name));
    match &records(store, &filter).await[..] {
        [one] => one.state,
        other => panic!("{other:?}"),
    }
}

async fn audit_reasons(store: &Handle) -> Vec<String> {
    let page = done(store.audit(&AuditFilter::default(), None, 100).await);
    page.items.iter().map(|it| reason_of(&it.entry)).collect()
}

pub(super) async fn an_endpoint_is_read_back<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let new = NewEndpoint {
        alias: Some("a".to_owned()),
        event_types: vec![kind("order.created"), kind("order.paid")],
        is_ordered: true,
        ..new_endpoint("t1", 1)
    };
    let outcome = done(store.put_endpoint(new.clone(), audits("added")).await);
    assert_eq!(outcome, PutEndpointOutcome::Stored);
    let kept = endpoint(&other, &new.key).await;
    let expected = Endpoint {
        key: new.key.clone(),
        provider: provider(),
        label: "1.example".to_owned(),
        alias: Some("a".to_owned()),
        event_types: new.event_types.clone(),
        is_ordered: true,
        state: EndpointState::Enabled,
        health: EndpointHealth::default(),
        version: Version::new(1),
        created_at: kept.created_at,
        sealed: sealed("endpoint 1"),
    };
    assert_eq!(kept, expected);
    assert_eq!(done(other.endpoint(&endpoint_key("t2", 1)).await), None);
    assert_eq!(done(other.endpoint(&endpoint_key("t1", 2)).await), None);
    assert_eq!(audit_reasons(&store).await, ["added"]);
}

pub(super) async fn aliases_and_numbers_of_endpoints_are_limited<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let named = |tenant, number, alias: &str| NewEndpoint {
        alias: Some(alias.to_owned()),
        limit: 2,
        ..new_endpoint(tenant, number)
    };
    let put = async |new: NewEndpoint| done(store.put_endpoint(new, audits("added")).await);
    assert_eq!(put(named("t1", 1, "a")).await, PutEndpointOutcome::Stored);
    assert_eq!(
        put(named("t1", 1, "b")).await,
        PutEndpointOutcome::Stored,
        "same key"
    );
    let first = endpoint(&store, &endpoint_key("t1", 1)).await;
    assert_eq!(first.alias.as_deref(), Some("a"), "nothing changed");
    let exists = PutEndpointOutcome::Exists(Box::new(first.clone()));
    assert_eq!(put(named("t1", 2, "a")).await, exists);
    assert_eq!(put(named("t2", 2, "a")).await, PutEndpointOutcome::Stored);
    assert_eq!(put(named("t1", 3, "c")).await, PutEndpointOutcome::Stored);
    assert_eq!(put(named("t1", 4, "d")).await, PutEndpointOutcome::TooMany);
    // A gone endpoint does not count.
    change(&store, &first.key, to_state(EndpointState::Gone)).await;
    assert_eq!(put(named("t1", 4, "d")).await, PutEndpointOutcome::Stored);
    assert_eq!(audit_reasons(&store).await.len(), 4);
}

pub(super) async fn listing_endpoints_meets_each_once<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for number in 1..=7 {
        put(&store, new_endpoint("t1", number)).await;
    }
    put(&store, new_endpoint("t2", 1)).await;
    let other = NewEndpoint {
        provider: connector_core::ProviderId::from_static("other"),
        ..new_endpoint("t1", 8)
    };
    put(&store, other).await;
    change(
        &store,
        &endpoint_key("t1", 3),
        to_state(EndpointState::Disabled),
    )
    .await;
    let mut filter = EndpointFilter::default();
    filter.tenant = Some(tenant("t1"));
    filter.provider = Some(provider());
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = done(store.endpoints(&filter, after.as_ref(), 2).await);
        assert!(page.items.len() <= 2);
        found.extend(page.items.into_iter().map(|it| it.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<_> = (1..=7).map(|it| endpoint_key("t1", it)).collect();
    assert_eq!(found, all);
    filter.state = Some(EndpointState::Disabled);
    let page = done(store.endpoints(&filter, None, 10).await);
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].key, endpoint_key("t1", 3));
}

pub(super) async fn of_many_changes_of_an_endpoint_one_is_written<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    put(&stores[0], new_endpoint("t1", 1)).await;
    let key = endpoint_key("t1", 1);
    let tasks: Vec<_> = (0..16)
        .map(|number: usize| {
            let (store, key) = (Arc::clone(&stores[number % 2]), key.clone());
            tokio::spawn(async move {
                let change = EndpointChange {
                    label: Some(format!("label {number}")),
                    ..EndpointChange::default()
                };
                done(
                    store
                        .change_endpoint(&key, Version::new(1), change, audits("changed"))
                        .await,
                )
            })
        })
        .collect();
    let mut written = 0;
    for task in tasks {
        match joined(task.await) {
            ChangeEndpointOutcome::Changed(_) => written += 1,
            ChangeEndpointOutcome::Moved(now) => assert_eq!(now.version, Version::new(2)),
            other @ ChangeEndpointOutcome::Missing => panic!("{other:?}"),
        }
    }
    assert_eq!(written, 1);
    assert_eq!(audit_reasons(&stores[0]).await, ["changed"]);
    let missing = stores[0]
        .change_endpoint(
            &endpoint_key("t2", 1),
            Version::new(2),
            EndpointChange::default(),
            audits("missing"),
        )
        .await;
    assert_eq!(done(missing), ChangeEndpointOutcome::Missing);
    assert_eq!(audit_reasons(&stores[0]).await, ["changed"]);
}

pub(super) async fn deliveries_of_a_disabled_endpoint_are_kept_as_skipped<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    let key = endpoint_key("t1", 1);
    for name in ["m1", "m2"] {
        enqueued(&store, new_message("t1", name)).await;
    }
    let under_way = done(store.lease_messages(&MessageLease::new(1, LEASE)).await);
    change(&store, &key, to_state(EndpointState::Disabled)).await;
    let later = enqueued(&store, new_message("t1", "m3")).await;
    assert_eq!((later.pending, later.skipped), (0, 1));
    fixture.advance(LEASE * 2);
    assert_eq!(leased(&store).await, []);
    for name in ["m1", "m2", "m3"] {
        assert_eq!(state(&store, name).await, OutboundState::Skipped, "{name}");
    }
    // The attempt that was under way can still succeed.
    let settled = settle(&store, result(&under_way[0], OutboundVerdict::Delivered)).await;
    assert_eq!(settled.map(|it| it.state), Some(OutboundState::Delivered));
    let enabled = change(&store, &key, to_state(EndpointState::Enabled)).await;
    assert_eq!(enabled.state, EndpointState::Enabled);
    assert_eq!(
        leased(&store).await,
        [],
        "skipped messages wait for a replay"
    );
    enqueued(&store, new_message("t1", "m4")).await;
    assert_eq!(ids(&leased(&store).await), ["m4"]);
}

pub(super) async fn a_removed_endpoint_is_gone<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    put(&store, new_endpoint("t1", 2)).await;
    let key = endpoint_key("t1", 1);
    enqueued(&store, new_message("t1", "m1")).await;
    let leased = leased(&store).await;
    assert_eq!(leased.len(), 2);
    assert!(!done(
        store
            .remove_endpoint(&endpoint_key("t2", 1), audits("no"))
            .await
    ));
    assert!(done(store.remove_endpoint(&key, audits("removed")).await));
    assert!(!done(store.remove_endpoint(&key, audits("no")).await));
    assert_eq!(audit_reasons(&store).await, ["removed"]);
    assert_eq!(done(store.endpoint(&key).await), None);
    let left = records(&store, &OutboundFilter::default()).await;
    assert_eq!(left.len(), 1, "only that of the other endpoint");
    for message in &leased {
        let settled = settle(&store, result(message, OutboundVerdict::Delivered)).await;
        assert_eq!(settled.is_some(), message.endpoint.key != key);
    }
}

pub(super) async fn a_message_goes_to_the_matching_endpoints<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let choosing = |number, types: &[&str]| NewEndpoint {
        event_types: types.iter().map(|it| kind(it)).collect(),
        ..new_endpoint("t1", number)
    };
    put(&store, choosing(1, &[])).await;
    put(&store, choosing(2, &["order.created", "order.paid"])).await;
    put(&store, choosing(3, &["order.paid"])).await;
    put(&store, new_endpoint("t2", 1)).await;
    let other = NewEndpoint {
        provider: connector_core::ProviderId::from_static("other"),
        ..new_endpoint("t1", 4)
    };
    put(&store, other).await;
    for (number, state) in [
        (5, EndpointState::Disabled),
        (6, EndpointState::Failed),
        (7, EndpointState::Gone),
    ] {
        put(&store, new_endpoint("t1", number)).await;
        change(&store, &endpoint_key("t1", number), to_state(state)).await;
    }
    let outcome = enqueued(&store, new_message("t1", "m1")).await;
    let expected = Enqueued {
        is_duplicate: false,
        pending: 2,
        skipped: 2,
    };
    assert_eq!(outcome, expected);
    let leased_now = leased(&store).await;
    let to: BTreeSet<_> = leased_now
        .iter()
        .map(|it| it.endpoint.key.clone())
        .collect();
    assert_eq!(
        to,
        BTreeSet::from([endpoint_key("t1", 1), endpoint_key("t1", 2)])
    );
    for message in &leased_now {
        assert_eq!(name_of(&message.sealed), "m1");
        assert_eq!((message.attempt, message.tries), (1, 0));
        assert_eq!(message.event_type, kind("order.created"));
    }
    let only = NewMessage {
        only: Some(EndpointId::from_bytes([3; 16])),
        ..new_message("t1", "m2")
    };
    assert_eq!(enqueued(&store, only).await.pending, 1);
    assert_eq!(leased_one(&store).await.endpoint.key, endpoint_key("t1", 3));
}

pub(super) async fn a_message_is_enqueued_once<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    put(&stores[0], new_endpoint("t1", 1)).await;
    put(&stores[0], new_endpoint("t2", 1)).await;
    let tasks: Vec<_> = (0..16)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { enqueued(&store, new_message("t1", "m1")).await })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        let outcome = joined(task.await);
        assert_eq!(outcome.pending, u32::from(!outcome.is_duplicate));
        first += u32::from(!outcome.is_duplicate);
    }
    assert_eq!(first, 1);
    assert!(
        !enqueued(&stores[1], new_message("t2", "m1"))
            .await
            .is_duplicate
    );
    let leased = leased(&stores[1]).await;
    assert_eq!(leased.len(), 2);
    for message in &leased {
        settle(&stores[0], result(message, OutboundVerdict::Delivered)).await;
    }
    fixture.advance(seconds(604_000));
    assert!(
        enqueued(&stores[0], new_message("t1", "m1"))
            .await
            .is_duplicate
    );
}

pub(super) async fn a_message_is_leased_to_one_worker<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    put(&store, new_endpoint("t1", 1)).await;
    enqueued(&store, new_message("t1", "m1")).await;
    assert_eq!(
        done(store.lease_messages(&MessageLease::new(0, LEASE)).await),
        []
    );
    let first = leased_one(&store).await;
    assert_eq!(leased(&other).await, []);
    let one = MessageLease::new(1, LEASE).for_one(first.endpoint.key.clone(), first.id.clone());
    assert_eq!(done(other.lease_messages(&one).await), [], "leased");
    fixture.advance(LEASE);
    let second = leased_one(&other).await;
    assert_eq!((second.attempt, second.tries), (2, 0));
    assert!(second.lease > first.lease);
    fixture.advance(LEASE);
    enqueued(&store, new_message("t1", "m2")).await;
    let wanted = done(store.lease_messages(&one).await);
    assert_eq!(ids(&wanted), ["m1"], "only the requested message");
}

pub(super) async fn endpoints_and_tenants_take_turns<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for number in 1..=3 {
        put(&store, new_endpoint("t1", number)).await;
    }
    put(&store, new_endpoint("t2", 1)).await;
    for number in 0..6 {
        enqueued(&store, new_message("t1", &format!("a{number}"))).await;
    }
    enqueued(&store, new_message("t2", "b0")).await;
    let two = MessageLease::new(2, LEASE).with_caps(100, 100);
    let mut order = Vec::new();
    for _ in 0..3 {
        for message in done(store.lease_messages(&two).await) {
            order.push(message.endpoint.key);
        }
    }
    let of = |tenant: &str| {
        let key = tenant.to_owned();
        order.iter().position(|it| it.tenant.as_str() == key)
    };
    assert!(
        of("t2").is_some_and(|at| at < 2),
        "the tenants take turns: {order:?}"
    );
    let first: BTreeSet<_> = order.iter().take(4).cloned().collect();
    assert_eq!(
        first.len(),
        4,
        "every endpoint comes before one comes twice: {order:?}"
    );
}

pub(super) async fn leased_messages_are_limited<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    put(&store, new_endpoint("t1", 1)).await;
    put(&store, new_endpoint("t1", 2)).await;
    for number in 0..9 {
        enqueued(&store, new_message("t1", &format!("m{number}"))).await;
    }
    let request = MessageLease::new(100, LEASE).with_caps(5, 3);
    let first = done(store.lease_messages(&request).await);
    assert_eq!(first.len(), 5, "per tenant");
    for number in 1..=2 {
        let of_endpoint = |it: &&LeasedMessage| it.endpoint.key == endpoint_key("t1", number);
        let n = first.iter().filter(of_endpoint).count();
        assert!((1..=3).contains(&n), "per endpoint: {n}");
    }
    assert_eq!(done(other.lease_messages(&request).await), []);
    // A failing endpoint gets one message at a time.
    let failed = first
        .iter()
        .find(|it| it.endpoint.key == endpoint_key("t1", 1));
    let failed = failed.cloned().into_iter().next();
    if let Some(failed) = failed {
        settle(&store, result(&failed, OutboundVerdict::Retry(seconds(1)))).await;
    }
    fixture.advance(LEASE);
    let again = done(other.lease_messages(&request).await);
    let of_failing = again
        .iter()
        .filter(|it| it.endpoint.key == endpoint_key("t1", 1));
    assert_eq!(of_failing.count(), 1);
    assert_eq!(again.len(), 4);
}

pub(super) async fn messages_of_one_resource_keep_their_order<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(
        &store,
        NewEndpoint {
            is_ordered: true,
            ..new_endpoint("t1", 1)
        },
    )
    .await;
    put(&store, new_endpoint("t1", 2)).await;
    for (name, resource) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
        let message = NewMessage {
            resource: Some(resource.to_owned()),
            ..new_message("t1", name)
        };
        assert_eq!(enqueued(&store, message).await.pending, 2);
    }
    enqueued(&store, new_message("t1", "c1")).await;
    let ordered = async || {
        let mut leased = leased(&store).await;
        leased.retain(|it| it.endpoint.key == endpoint_key("t1", 1));
        leased
    };
    let first = ordered().await;
    assert_eq!(ids(&first), ["a1", "b1", "c1"]);
    let of = |all: &[LeasedMessage], name: &str| match all.iter().find(|it| it.id.as_str() == name)
    {
        Some(found) => found.clone(),
        None => panic!("{name} was not leased"),
    };
    let a1 = of(&first, "a1");
    settle(&store, result(&a1, OutboundVerdict::Retry(seconds(10)))).await;
    settle(
        &store,
        result(&of(&first, "b1"), OutboundVerdict::Delivered),
    )
    .await;
    settle(
        &store,
        result(&of(&first, "c1"), OutboundVerdict::Delivered),
    )
    .await;
    assert_eq!(ordered().await, [], "a2 waits for a1");
    fixture.advance(seconds(10));
    let second = ordered().await;
    assert_eq!(ids(&second), ["a1"]);
    settle(&store, result(&second[0], OutboundVerdict::Failed)).await;
    let third = ordered().await;
    assert_eq!(ids(&third), ["a2"], "a1 was given up");
    settle(&store, result(&third[0], OutboundVerdict::Delivered)).await;
    assert_eq!(ids(&ordered().await), ["a3"]);
}

pub(super) async fn a_lost_message_lease_changes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    put(&store, new_endpoint("t1", 1)).await;
    enqueued(&store, new_message("t1", "m1")).await;
    let lost = leased_one(&store).await;
    fixture.advance(LEASE);
    let held = leased_one(&other).await;
    for verdict in [
        OutboundVerdict::Delivered,
        OutboundVerdict::Failed,
        OutboundVerdict::Gone,
    ] {
        assert_eq!(settle(&store, result(&lost, verdict)).await, None);
    }
    let before = endpoint(&store, &lost.endpoint.key).await;
    assert_eq!(before.health, EndpointHealth::default());
    assert_eq!(before.state, EndpointState::Enabled);
    assert_eq!(done(store.attempts(&lost.endpoint.key, &lost.id).await), []);
    let settled = settle(&other, result(&held, OutboundVerdict::Delivered)).await;
    assert_eq!(settled.map(|it| it.state), Some(OutboundState::Delivered));
    assert_eq!(
        settle(&other, result(&held, OutboundVerdict::Delivered)).await,
        None
    );
    assert_eq!(
        endpoint(&store, &held.endpoint.key).await.health.delivered,
        1
    );
}

pub(super) async fn a_settled_message_waits_or_rests<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    enqueued(&store, new_message("t1", "m1")).await;
    let first = leased_one(&store).await;
    settle(&store, result(&first, OutboundVerdict::Retry(seconds(10)))).await;
    fixture.advance(seconds(9));
    assert_eq!(leased(&store).await, []);
    fixture.advance(seconds(1));
    let second = leased_one(&store).await;
    assert_eq!((second.attempt, second.tries), (2, 1));
    settle(
        &store,
        result(&second, OutboundVerdict::Postponed(seconds(5))),
    )
    .await;
    fixture.advance(seconds(5));
    let third = leased_one(&store).await;
    assert_eq!(
        (third.attempt, third.tries),
        (3, 1),
        "a postponement is no try"
    );
    assert_eq!(third.endpoint.health.failures, 1);
    settle(&store, result(&third, OutboundVerdict::Delivered)).await;
    for (name, verdict, expected) in [
        ("m2", OutboundVerdict::Failed, OutboundState::Failed),
        ("m3", OutboundVerdict::Parked, OutboundState::Parked),
    ] {
        enqueued(&store, new_message("t1", name)).await;
        let leased = leased_one(&store).await;
        settle(&store, result(&leased, verdict)).await;
        assert_eq!(state(&store, name).await, expected);
    }
    assert_eq!(state(&store, "m1").await, OutboundState::Delivered);
    fixture.advance(seconds(500_000));
    assert_eq!(leased(&store).await, []);
}

pub(super) async fn a_pause_delays_all_messages<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    put(&store, new_endpoint("t1", 2)).await;
    enqueued(&store, new_message("t1", "m1")).await;
    let first = leased(&store).await;
    for message in &first {
        let mut result = result(message, OutboundVerdict::Retry(seconds(5)));
        if message.endpoint.key == endpoint_key("t1", 1) {
            result.pause = Some(seconds(60));
        }
        settle(&store, result).await;
    }
    enqueued(&store, new_message("t1", "m2")).await;
    let now = leased(&store).await;
    assert!(
        now.iter()
            .all(|it| it.endpoint.key == endpoint_key("t1", 2))
    );
    assert_eq!(now.len(), 1);
    let worked = settle(&store, result(&now[0], OutboundVerdict::Delivered)).await;
    assert_eq!(worked.map(|it| it.state), Some(OutboundState::Delivered));
    fixture.advance(seconds(59));
    let now = leased(&store).await;
    assert!(
        now.iter()
            .all(|it| it.endpoint.key == endpoint_key("t1", 2))
    );
    // A message that is leased by its id does not wait for the end of the pause. Its success does
    // not end the pause for the others.
    let one = MessageLease::new(1, LEASE).for_one(endpoint_key("t1", 1), message_id("m2"));
    let single = done(store.lease_messages(&one).await);
    assert_eq!(single.len(), 1, "during the pause");
    settle(&store, result(&single[0], OutboundVerdict::Delivered)).await;
    let now = leased(&store).await;
    assert!(
        now.iter()
            .all(|it| it.endpoint.key != endpoint_key("t1", 1)),
        "the pause goes on"
    );
    fixture.advance(seconds(1));
    let now = leased(&store).await;
    assert!(
        now.iter()
            .any(|it| it.endpoint.key == endpoint_key("t1", 1))
    );
}

pub(super) async fn an_endpoint_is_disabled_once<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let store = &stores[0];
    put(store, new_endpoint("t1", 1)).await;
    let key = endpoint_key("t1", 1);
    for number in 0..12 {
        enqueued(store, new_message("t1", &format!("m{number}"))).await;
    }
    let leased = leased(store).await;
    assert_eq!(leased.len(), 12);
    let mut transitions = Vec::new();
    for message in &leased[..2] {
        let settled = settle(store, result(message, OutboundVerdict::Retry(seconds(1)))).await;
        transitions.push(settled.and_then(|it| it.transition));
    }
    let settled = settle(store, result(&leased[2], OutboundVerdict::Failed)).await;
    transitions.push(settled.and_then(|it| it.transition));
    assert_eq!(transitions, [None, None, Some(EndpointTransition::Failing)]);
    fixture.advance(seconds(999));
    // The leases have expired, but nobody else has taken them.
    let early = settle(store, result(&leased[3], OutboundVerdict::Failed)).await;
    assert_eq!(
        early.and_then(|it| it.transition),
        None,
        "one second too early"
    );
    fixture.advance(seconds(1));
    let tasks: Vec<_> = leased[4..10]
        .iter()
        .enumerate()
        .map(|(number, message)| {
            let store = Arc::clone(&stores[number % 2]);
            let result = result(message, OutboundVerdict::Failed);
            tokio::spawn(async move { settle(&store, result).await })
        })
        .collect();
    let mut disabled = 0;
    for task in tasks {
        let settled = joined(task.await);
        assert_eq!(settled.map(|it| it.state), Some(OutboundState::Failed));
        let transition = settled.and_then(|it| it.transition);
        disabled += u32::from(transition == Some(EndpointTransition::Failed));
    }
    assert_eq!(disabled, 1);
    assert_eq!(audit_reasons(store).await, ["failing", "failed"]);
    assert_eq!(endpoint(store, &key).await.state, EndpointState::Failed);
    let mut filter = OutboundFilter::default();
    filter.state = Some(OutboundState::Skipped);
    assert_eq!(
        records(store, &filter).await.len(),
        4,
        "two retried, two leased"
    );
    // A 410 of an attempt that was under way does not disable the endpoint again.
    let gone = settle(store, result(&leased[10], OutboundVerdict::Gone)).await;
    assert_eq!(gone.and_then(|it| it.transition), None);
    assert_eq!(audit_reasons(store).await.len(), 2);

    put(store, new_endpoint("t2", 1)).await;
    enqueued(store, new_message("t2", "n1")).await;
    enqueued(store, new_message("t2", "n2")).await;
    let leased = super::outbound::leased(store).await;
    let gone = settle(store, result(&leased[0], OutboundVerdict::Gone)).await;
    let expected = Settled {
        state: OutboundState::Failed,
        transition: Some(EndpointTransition::Gone),
    };
    assert_eq!(gone, Some(expected));
    assert_eq!(audit_reasons(store).await, ["failing", "failed", "gone"]);
    let kept = endpoint(store, &endpoint_key("t2", 1)).await;
    assert_eq!(kept.state, EndpointState::Gone);
}

pub(super) async fn a_late_410_does_not_end_an_endpoint<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    let key = endpoint_key("t1", 1);
    enqueued(&store, new_message("t1", "m1")).await;
    let old = leased_one(&store).await;
    let moved = EndpointChange {
        sealed: Some(sealed("another address")),
        ..EndpointChange::default()
    };
    change(&store, &key, moved).await;
    let late = settle(&store, result(&old, OutboundVerdict::Gone)).await;
    let expected = Settled {
        state: OutboundState::Waiting,
        transition: None,
    };
    assert_eq!(late, Some(expected));
    assert_eq!(endpoint(&store, &key).await.state, EndpointState::Enabled);
    let again = leased_one(&store).await;
    assert_eq!(again.endpoint.sealed, sealed("another address"));
    let gone = settle(&store, result(&again, OutboundVerdict::Gone)).await;
    assert_eq!(
        gone.and_then(|it| it.transition),
        Some(EndpointTransition::Gone)
    );
}

/// Constant failures disable an endpoint, although no message has used up its attempts.
pub(super) async fn retries_disable_an_endpoint_too<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    let mut transitions = Vec::new();
    for number in 0..6 {
        enqueued(&store, new_message("t1", &format!("m{number}"))).await;
        let now = done(store.lease_messages(&MessageLease::new(1, LEASE)).await);
        let again = OutboundVerdict::Retry(DISABLE_AFTER * 9);
        let settled = settle(&store, result(&now[0], again)).await;
        transitions.push(settled.and_then(|it| it.transition));
        fixture.advance(DISABLE_AFTER / 5);
    }
    let failing = Some(EndpointTransition::Failing);
    let failed = Some(EndpointTransition::Failed);
    assert_eq!(transitions, [None, None, failing, None, None, failed]);
    let kept = endpoint(&store, &endpoint_key("t1", 1)).await;
    assert_eq!(kept.state, EndpointState::Failed);
}

pub(super) async fn replayed_messages_keep_their_order<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let mut new = new_endpoint("t1", 1);
    new.is_ordered = true;
    put(&store, new).await;
    let key = endpoint_key("t1", 1);
    for number in 1..=4 {
        let mut message = new_message("t1", &format!("m{number}"));
        message.resource = Some("order/1".to_owned());
        enqueued(&store, message).await;
    }
    // The first fails, the second is delivered, the third is parked, the fourth is skipped.
    for verdict in [
        OutboundVerdict::Failed,
        OutboundVerdict::Delivered,
        OutboundVerdict::Parked,
    ] {
        let one = leased_one(&store).await;
        settle(&store, result(&one, verdict)).await;
    }
    change(&store, &key, to_state(EndpointState::Disabled)).await;
    change(&store, &key, to_state(EndpointState::Enabled)).await;
    let mut filter = OutboundFilter::default();
    filter.undelivered = true;
    assert_eq!(records(&store, &filter).await.len(), 3);
    assert_eq!(done(store.replay_messages(&filter, 100).await), 3);
    let mut order = Vec::new();
    for _ in 0..3 {
        let one = leased_one(&store).await;
        order.push(one.id.as_str().to_owned());
        settle(&store, result(&one, OutboundVerdict::Delivered)).await;
    }
    assert_eq!(order, ["m1", "m3", "m4"]);
    assert!(leased(&store).await.is_empty());
}

pub(super) async fn a_success_resets_the_failures<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    let key = endpoint_key("t1", 1);
    let mut number = 0;
    let mut attempt = async |verdict| {
        number += 1;
        let name = format!("m{number}");
        enqueued(&store, new_message("t1", &name)).await;
        let one = MessageLease::new(1, LEASE).for_one(key.clone(), message_id(&name));
        let leased = done(store.lease_messages(&one).await);
        settle(&store, result(&leased[0], verdict)).await;
        endpoint(&store, &key).await
    };
    let failed = attempt(OutboundVerdict::Failed).await.health;
    assert_eq!(
        (failed.failures, failed.failed, failed.status),
        (1, 1, Some(500))
    );
    assert_eq!(failed.error.as_deref(), Some("status"));
    assert_eq!(failed.failing_since, failed.failed_at);
    fixture.advance(seconds(990));
    let worked = attempt(OutboundVerdict::Delivered).await.health;
    assert_eq!((worked.failures, worked.delivered), (0, 1));
    assert_eq!(worked.failing_since, None);
    fixture.advance(seconds(20));
    let kept = attempt(OutboundVerdict::Failed).await;
    assert_eq!(kept.state, EndpointState::Enabled, "the success counts");
    // An endpoint without attempts for days was idle, not failing.
    fixture.advance(DISABLE_AFTER + seconds(1));
    let kept = attempt(OutboundVerdict::Failed).await;
    assert_eq!(kept.state, EndpointState::Enabled);
    assert_eq!(kept.health.failing_since, kept.health.failed_at);
}

pub(super) async fn attempts_are_listed<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    enqueued(&store, new_message("t1", "m1")).await;
    let (key, id) = (endpoint_key("t1", 1), message_id("m1"));
    for _ in 0..25 {
        let leased = leased_one(&store).await;
        settle(&store, result(&leased, OutboundVerdict::Retry(seconds(1)))).await;
        fixture.advance(seconds(1));
    }
    let log = done(store.attempts(&key, &id).await);
    let numbers: Vec<_> = log.iter().map(|it| it.attempt).collect();
    assert_eq!(numbers, (6..=25).collect::<Vec<_>>());
    let expected = NewAttempt {
        took: Duration::from_millis(7),
        status: Some(500),
        error: Some("status".to_owned()),
        excerpt: Some("sorry".to_owned()),
    };
    assert!(log.iter().all(|it| it.log == expected));
    assert_eq!(log[1].at, log[0].at.after(seconds(1)));
    assert_eq!(done(store.attempts(&endpoint_key("t2", 1), &id).await), []);
}

pub(super) async fn listing_messages_meets_each_once<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    put(&store, new_endpoint("t2", 1)).await;
    let mut times = Vec::new();
    for number in 0..7 {
        let message = NewMessage {
            resource: Some(format!("r{number}")),
            ..new_message("t1", &format!("m{number}"))
        };
        enqueued(&store, message).await;
        fixture.advance(seconds(10));
    }
    enqueued(&store, new_message("t2", "m0")).await;
    let mut filter = OutboundFilter::default();
    filter.tenant = Some(tenant("t1"));
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = done(store.outbound(&filter, after.as_ref(), 2).await);
        for record in page.items {
            times.push(record.accepted_at);
            found.push(record.message.to_string());
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<_> = (0..7).map(|it| format!("m{it}")).collect();
    assert_eq!(found, all);
    filter.since = Some(times[2]);
    filter.until = Some(times[5]);
    filter.endpoint = Some(EndpointId::from_bytes([1; 16]));
    filter.provider = Some(provider());
    let some = records(&store, &filter).await;
    assert_eq!(some.len(), 3);
    let expected = OutboundRecord {
        endpoint: endpoint_key("t1", 1),
        message: message_id("m2"),
        event_type: kind("order.created"),
        resource: Some("r2".to_owned()),
        at: connector_core::clock::Timestamp::from_unix_seconds(1),
        state: OutboundState::Waiting,
        attempts: 0,
        error: None,
        accepted_at: times[2],
        due_at: times[2],
    };
    assert_eq!(some[0], expected);
}

pub(super) async fn replayed_messages_are_leased_again<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    put(&store, new_endpoint("t1", 2)).await;
    put(&store, new_endpoint("t2", 1)).await;
    for (name, verdict) in [
        ("m1", OutboundVerdict::Delivered),
        ("m2", OutboundVerdict::Failed),
        ("m3", OutboundVerdict::Parked),
    ] {
        enqueued(&store, new_message("t1", name)).await;
        enqueued(&store, new_message("t2", name)).await;
        for message in &leased(&store).await {
            settle(&store, result(message, verdict)).await;
        }
    }
    enqueued(&store, new_message("t1", "m4")).await;
    change(
        &store,
        &endpoint_key("t1", 2),
        to_state(EndpointState::Disabled),
    )
    .await;
    let mut filter = OutboundFilter::default();
    filter.tenant = Some(tenant("t1"));
    assert_eq!(done(store.replay_messages(&filter, 0).await), 0);
    filter.message = Some(message_id("m2"));
    assert_eq!(done(store.replay_messages(&filter, 10).await), 1);
    assert_eq!(done(store.replay_messages(&filter, 10).await), 0, "pending");
    filter.message = None;
    assert_eq!(
        done(store.replay_messages(&filter, 1).await),
        1,
        "m1, the oldest"
    );
    assert_eq!(done(store.replay_messages(&filter, 10).await), 1, "m3");
    fixture.advance(seconds(120));
    let mut again = leased(&store).await;
    while let more = leased(&store).await
        && !more.is_empty()
    {
        again.extend(more);
    }
    assert!(
        again
            .iter()
            .all(|it| it.endpoint.key == endpoint_key("t1", 1))
    );
    // The last attempt failed, so that the messages are leased one by one.
    for message in again.clone() {
        settle(&store, result(&message, OutboundVerdict::Delivered)).await;
    }
    again.extend(leased(&store).await);
    assert_eq!(ids(&again), ["m1", "m2", "m3", "m4"]);
    let attempts = |name: &str| {
        again
            .iter()
            .find(|it| it.id.as_str() == name)
            .map(|it| (it.attempt, it.tries))
    };
    assert_eq!(attempts("m2"), Some((2, 0)));
    assert_eq!(attempts("m4"), Some((1, 0)));
}

pub(super) async fn expired_messages_are_purged<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    put(&store, new_endpoint("t1", 1)).await;
    for name in ["m1", "m2", "m3"] {
        enqueued(&store, new_message("t1", name)).await;
    }
    for message in &leased(&store).await[..2] {
        settle(&store, result(message, OutboundVerdict::Delivered)).await;
    }
    fixture.advance(seconds(604_799));
    assert_eq!(done(store.purge(100).await), 0);
    fixture.advance(seconds(1));
    assert_eq!(done(store.purge(1).await), 1);
    assert_eq!(done(store.purge(100).await), 1, "the pending one is kept");
    let left = records(&store, &OutboundFilter::default()).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].state, OutboundState::Waiting);
    assert_eq!(done(store.purge(100).await), 0);
}
