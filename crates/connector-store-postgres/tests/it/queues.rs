//! Queues: unreadable rows, texts that PostgreSQL cannot store, the low-water mark, a message in a
//! transaction of the application, and concurrent calls that lock several rows.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, MessageId};
use connector_core::store::{
    AcceptOutcome, AuditLog, DeliveryFilter, DeliveryKey, DeliveryLimits, DeliveryQueue,
    DeliveryState, DeliveryTurn, Direction, EndpointChange, EndpointId, EndpointKey, LeaseRequest,
    Maintenance, MessageKey, MessageLease, NewAttempt, NewDelivery, NewEndpoint, NewMessage,
    OutboundFilter, OutboundStore, OutboundVerdict, Patch, SideEffects, TokenStore, UpdateOutcome,
    Version, WorkKind,
};
use connector_core::store::{LeasedMessage, Settlement};
use connector_core::{AppKey, ErrorKind, TenantId};
use connector_testkit::StoreFixture;
use tokio::task::JoinSet;

use crate::fixture::grants::{PROVIDER, effects, first_grant, key, sealed};
use crate::fixture::{Fixture, SERVER, connect, options, schema, server, sql, url};

fn delivery(id: &str) -> NewDelivery {
    NewDelivery {
        key: DeliveryKey {
            direction: Direction::Inbound,
            provider: PROVIDER,
            app: AppKey::default(),
            endpoint: "hook".to_owned(),
            id: id.to_owned(),
        },
        tenant: Some(key(1).tenant),
        sealed: sealed(b"delivery"),
        delay: Duration::ZERO,
        keep_for: Duration::from_secs(3600),
        turn: DeliveryTurn::default(),
        content: None,
        limits: DeliveryLimits::default(),
    }
}

pub(crate) fn message(tenant: &str, name: &str) -> NewMessage {
    NewMessage {
        key: MessageKey {
            tenant: TenantId::new(tenant).unwrap(),
            provider: PROVIDER,
            id: MessageId::new(name).unwrap(),
        },
        event_type: EventType::new("order.created").unwrap(),
        resource: Some("order".to_owned()),
        at: Timestamp::from_unix_seconds(1),
        sealed: sealed(name.as_bytes()),
        keep_for: Duration::from_secs(3600),
        only: None,
    }
}

pub(crate) fn endpoint(tenant: &str, number: u8) -> NewEndpoint {
    NewEndpoint {
        key: EndpointKey::new(
            TenantId::new(tenant).unwrap(),
            EndpointId::from_bytes([number; 16]),
        ),
        provider: PROVIDER,
        label: format!("{number}.example"),
        alias: None,
        event_types: Vec::new(),
        is_ordered: number.is_multiple_of(2),
        sealed: sealed(b"endpoint"),
        limit: 100,
    }
}

#[tokio::test]
async fn one_unreadable_row_does_not_block_a_queue() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    if Fixture::skipped().is_some() {
        return;
    }
    let lease = Duration::from_secs(60);
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    for number in 1..=3 {
        let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
        put.await.unwrap();
        store
            .accept(delivery(&format!("delivery {number}")))
            .await
            .unwrap();
    }
    let name = &fixture.schema;
    let damages = [
        format!(
            "UPDATE {name}.work SET tenant = chr(1) WHERE connection = '\\x{}'",
            "01".repeat(16)
        ),
        format!("UPDATE {name}.deliveries SET tenant = chr(1) WHERE id = 'delivery 1'"),
        format!("UPDATE {name}.audit SET actor = 'no JSON' WHERE number = 1"),
    ];
    let raw = connect(&url(SERVER).unwrap()).await;
    for damage in &damages {
        assert_eq!(raw.execute(damage, &[]).await.unwrap(), 1, "{damage}");
    }
    let mut handed_out = 0;
    for left in [2, 0] {
        let due = store.take_due(&WorkKind::ALL, 9, DAY * 2).await.unwrap();
        let changes = store.take_changes(9, DAY * 2).await.unwrap();
        let request = LeaseRequest::new(Direction::Inbound, 9, DAY * 2);
        let deliveries = store.lease(&request).await.unwrap();
        assert_eq!([due.len(), changes.len(), deliveries.len()], [left; 3]);
        handed_out += due.len() + changes.len() + deliveries.len();
        fixture.advance(lease);
    }
    let parked = store.deliveries(&DeliveryFilter::default(), None, 9).await;
    assert_eq!(parked.unwrap_err().kind(), ErrorKind::StoreIncompatible);
    sql(
        &url(SERVER).unwrap(),
        &format!("UPDATE {name}.deliveries SET tenant = 'tenant'"),
    )
    .await;
    let all = store.deliveries(&DeliveryFilter::default(), None, 9).await;
    let all = all.unwrap().items;
    let parked = all.iter().filter(|it| it.state == DeliveryState::Parked);
    assert_eq!(parked.count(), 1);
    // After a day, the row is reported again.
    fixture.advance(DAY);
    let repaired = format!("UPDATE {name}.work SET tenant = 'tenant'");
    raw.execute(&repaired, &[]).await.unwrap();
    let due = store.take_due(&WorkKind::ALL, 9, lease).await.unwrap();
    assert_eq!(due.len(), 1);
    println!("rows leased beside unreadable ones: {handed_out}");
    assert_eq!(handed_out, 6);
}

#[tokio::test]
async fn a_zero_character_is_replaced_in_texts_and_refused_in_keys() {
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    store
        .put_grant(first_grant(1, b"sealed"), SideEffects::none())
        .await
        .unwrap();
    let patch = Patch {
        label: Some("Shop\0name".to_owned()),
        check: Some(Some("error\0".to_owned())),
        ..Patch::default()
    };
    let one = key(1);
    let updated = store.update(&one, Version::new(1), patch, SideEffects::none());
    assert!(matches!(updated.await.unwrap(), UpdateOutcome::Updated(_)));
    let stored = store.load(&key(1)).await.unwrap().unwrap();
    let label = stored.connection.account.label;
    assert_eq!(label.as_deref(), Some("Shop\u{fffd}name"));
    for bad in ["id\0", "\0"] {
        let error = store.accept(delivery(bad)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    // A key may be longer than an index entry.
    let long = "x".repeat(100_000);
    assert_eq!(
        store.accept(delivery(&long)).await.unwrap(),
        AcceptOutcome::Accepted
    );
    assert_eq!(
        store.accept(delivery(&long)).await.unwrap(),
        AcceptOutcome::Duplicate
    );
}

#[tokio::test]
async fn work_below_the_low_water_mark_is_found_after_a_minute() {
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let lease = Duration::from_secs(10);
    assert_eq!(store.take_due(&WorkKind::ALL, 9, lease).await.unwrap(), []);
    let put = store.put_grant(first_grant(1, b"sealed"), effects(1));
    put.await.unwrap();
    // As after a failover to a server whose clock is an hour behind.
    let name = &fixture.schema;
    sql(
        &url(SERVER).unwrap(),
        &format!("UPDATE {name}.work SET due_at = due_at - 3600000"),
    )
    .await;
    assert_eq!(store.take_due(&WorkKind::ALL, 9, lease).await.unwrap(), []);
    fixture.advance(Duration::from_secs(60));
    // This sweep ends the minute, and the next one begins at the start.
    assert_eq!(store.take_due(&WorkKind::ALL, 9, lease).await.unwrap(), []);
    assert_eq!(
        store
            .take_due(&WorkKind::ALL, 9, lease)
            .await
            .unwrap()
            .len(),
        1
    );
    // Another process has its own mark.
    fixture.advance(lease);
    let other = fixture.open().await;
    assert_eq!(
        other
            .take_due(&WorkKind::ALL, 9, lease)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_message_is_enqueued_if_and_only_if_the_callers_transaction_commits() {
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let store = options(&url, &name).open().await.unwrap();
    store
        .put_endpoint(endpoint("tenant", 1), Vec::new())
        .await
        .unwrap();
    let mut client = connect(&url).await;
    let (mut committed, mut rolled_back) = (0, 0);
    for number in 0..20 {
        let message = message("tenant", &format!("order-{number}"));
        let transaction = client.transaction().await.unwrap();
        let enqueued = store.enqueue_in(&transaction, &message).await.unwrap();
        assert_eq!((enqueued.is_duplicate, enqueued.pending), (false, 1));
        if number % 3 == 0 {
            transaction.rollback().await.unwrap();
            rolled_back += 1;
        } else {
            transaction.commit().await.unwrap();
            committed += 1;
        }
    }
    let all = store.outbound(&OutboundFilter::default(), None, 99).await;
    assert_eq!(all.unwrap().items.len(), committed);
    let lease = MessageLease::new(99, Duration::from_secs(60));
    assert_eq!(store.lease_messages(&lease).await.unwrap().len(), committed);
    println!("messages committed: {committed}, rolled back: {rolled_back}");
    assert!(rolled_back > 0);
}

pub(crate) fn settlement(leased: &LeasedMessage, verdict: OutboundVerdict) -> Settlement {
    Settlement {
        endpoint: leased.endpoint.key.clone(),
        provider: leased.endpoint.provider.clone(),
        id: leased.id.clone(),
        lease: leased.lease,
        attempt: leased.attempt,
        log: NewAttempt::default(),
        version: leased.endpoint.version,
        verdict,
        pause: None,
        warn_at: 5,
        disable_after: Duration::from_secs(3600),
        audit: None,
    }
}

/// Calls that lock several rows run at the same time on the same rows. The store locks them in one
/// order, so that no call fails because of a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_calls_on_the_same_rows_never_deadlock() {
    const ROUNDS: u16 = 40;
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name).with_connections(12);
    options.migrate().await.unwrap();
    let store = options.open().await.unwrap();
    for tenant in ["one", "two"] {
        for number in 1..=4 {
            store
                .put_endpoint(endpoint(tenant, number), Vec::new())
                .await
                .unwrap();
        }
    }
    let mut tasks: JoinSet<u32> = JoinSet::new();
    for worker in 0..2 {
        for tenant in ["one", "two"] {
            let store = store.clone();
            tasks.spawn(async move {
                for round in 0..ROUNDS {
                    let message = message(tenant, &format!("{worker}-{round}"));
                    assert_eq!(store.enqueue(message).await.unwrap().pending, 4);
                }
                u32::from(ROUNDS)
            });
        }
        let leasing = store.clone();
        tasks.spawn(async move {
            let mut settled = 0;
            for round in 0..ROUNDS {
                let lease = MessageLease::new(8, Duration::from_secs(60)).with_caps(16, 2);
                let mut leased = leasing.lease_messages(&lease).await.unwrap();
                if round.is_multiple_of(2) {
                    leased.reverse();
                }
                let results: Vec<_> = leased
                    .iter()
                    .map(|it| settlement(it, OutboundVerdict::Delivered))
                    .collect();
                let all = leasing.settle_messages(&results).await.unwrap();
                settled += u32::try_from(all.iter().flatten().count()).unwrap();
            }
            settled
        });
        let replaying = store.clone();
        tasks.spawn(async move {
            let mut calls = 0;
            for round in 0..ROUNDS {
                let filter = OutboundFilter::default();
                calls += replaying.replay_messages(&filter, 3).await.unwrap();
                replaying.purge(9).await.unwrap();
                let key = endpoint("one", u8::try_from(round % 4).unwrap() + 1).key;
                let kept = replaying.endpoint(&key).await.unwrap().unwrap();
                let change = EndpointChange {
                    label: Some(format!("label {round}")),
                    ..EndpointChange::default()
                };
                replaying
                    .change_endpoint(&key, kept.version, change, Vec::new())
                    .await
                    .unwrap();
            }
            calls
        });
    }
    let results = tasks.join_all().await;
    let calls: u32 = results.iter().sum();
    println!("enqueued, settled and replayed at the same time: {calls}");
    assert!(calls > u32::from(ROUNDS) * 4);
    // Everything is still delivered.
    let mut idle = 0;
    while idle < 2 {
        let lease = MessageLease::new(64, Duration::from_secs(60));
        let leased = store.lease_messages(&lease).await.unwrap();
        let results: Vec<_> = leased
            .iter()
            .map(|it| settlement(it, OutboundVerdict::Delivered))
            .collect();
        store.settle_messages(&results).await.unwrap();
        idle = if leased.is_empty() { idle + 1 } else { 0 };
    }
    let filter = OutboundFilter::default();
    let all = store.outbound(&filter, None, u16::MAX).await.unwrap().items;
    assert_eq!(all.len(), usize::from(ROUNDS) * 4 * 4);
    assert!(all.iter().all(|it| !it.state.is_pending()));
}
