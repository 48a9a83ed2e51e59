//! Writes values that this crate never writes to every column of every table, one at a time. A call
//! that reads an unreadable value must return an error, and no call may panic.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use connector_core::cipher::KeyId;
use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, MessageId};
use connector_core::provider::subscription::{ChannelId, Watch};
use connector_core::store::{
    AuditFilter, AuditLog, BeginChannel, ConnectOutcome, DeliveryFilter, DeliveryKey,
    DeliveryLimits, DeliveryQueue, DeliveryState, DeliveryTurn, Direction, End, EndRequest,
    EndingCredential, EndpointId, EndpointKey, Expect, Fence, Filter, Generation, GrantNumber,
    LeaseRequest, LeasedMessage, Maintenance, MessageKey, MessageLease, NewAttempt, NewDelivery,
    NewEndpoint, NewMessage, NewQuarantine, NewRevocation, NewState, NewSubscription,
    OpenedChannel, OutboundFilter, OutboundStore, OutboundVerdict, Patch, Settlement, SideEffects,
    StateKey, StateStore, SubscriptionChange, SubscriptionId, SubscriptionKey, SubscriptionStore,
    TokenStore, Version, WorkKind,
};
use connector_core::{AccountKey, AppKey, ErrorKind, Result};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::StoreFixture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::fixture::Fixture;
use crate::fixture::grants::{PROVIDER, claim, commit, effects, first_grant, key, sealed};

/// The values to write, as SQL. The tables are strict, so most columns reject most of the values.
const VALUES: [&str; 8] = [
    "NULL",
    "-1",
    "9223372036854775806",
    "''",
    "'\u{1}'",
    "x''",
    "zeroblob(16)",
    "zeroblob(17)",
];
const LEASE: Duration = Duration::from_mins(5);

fn state() -> StateKey {
    StateKey::of("state")
}

fn delivery() -> DeliveryKey {
    DeliveryKey {
        direction: Direction::Inbound,
        provider: PROVIDER,
        app: AppKey::default(),
        endpoint: "webhook".to_owned(),
        id: "delivery".to_owned(),
    }
}

async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Creates a file with a row in every table and a value in every nullable column.
async fn filled() -> Fixture {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let mut grant = first_grant(1, b"sealed");
    grant.account.label = Some("Account".to_owned());
    grant.account.host = Some("a.acme.example".to_owned());
    store.put_grant(grant, effects(1)).await.unwrap();
    store.claim(&key(1), claim(1, 1)).await.unwrap();
    let first = commit(1, 1, Fence::new(2), b"second");
    store
        .commit(&key(1), first, SideEffects::none())
        .await
        .unwrap();
    store.claim(&key(1), claim(2, 2)).await.unwrap();
    fixture.advance(Duration::from_mins(2));
    store.claim(&key(1), claim(3, 2)).await.unwrap();
    let late = commit(1, 1, Fence::new(9), b"pending");
    store
        .commit(&key(1), late, SideEffects::none())
        .await
        .unwrap();
    let queued = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: vec![NewRevocation {
            grant: GrantNumber::new(1),
            fence: Fence::new(1),
            sealed: sealed(b"revoked"),
        }],
        unsubscribe: None,
    };
    store
        .put_grant(first_grant(2, b"other"), SideEffects::none())
        .await
        .unwrap();
    store
        .end(&key(2), queued, SideEffects::none())
        .await
        .unwrap();
    subscribe(&fixture, &store).await;
    let quarantine = NewQuarantine {
        state: state(),
        tenant: key(1).tenant,
        provider: PROVIDER,
        app: AppKey::default(),
        sealed: sealed(b"answer"),
        delay: Duration::ZERO,
        keep_for: Duration::from_hours(1),
    };
    store.quarantine(quarantine).await.unwrap();
    let flow = NewState {
        key: state(),
        tenant: key(1).tenant,
        provider: PROVIDER,
        app: AppKey::default(),
        binding: [1; 32],
        sealed: sealed(b"flow"),
        open_for: Duration::from_hours(1),
        keep_for: Duration::from_hours(1),
    };
    store.put_state(flow).await.unwrap();
    store.begin(&state(), &[1; 32], &[2; 32]).await.unwrap();
    let outcome = ConnectOutcome::Connected { connection: key(1) };
    store.finish_state(&state(), outcome).await.unwrap();
    let new = NewDelivery {
        key: delivery(),
        tenant: Some(key(1).tenant),
        sealed: sealed(b"delivery"),
        delay: Duration::ZERO,
        keep_for: Duration::from_hours(1),
        turn: DeliveryTurn::default(),
        content: Some([3; 32]),
        limits: DeliveryLimits::default(),
    };
    store.accept(new).await.unwrap();
    store.close().await;
    fixture
}

fn channel(digit: char) -> ChannelId {
    ChannelId::new(digit.to_string().repeat(32)).unwrap()
}

/// Creates a subscription with an open channel, a candidate and a failure, and an ending with a
/// copy of a credential.
async fn subscribe(fixture: &Fixture, store: &SqliteStore) {
    let subscription = |number: u8| {
        let id = SubscriptionId::from_bytes([number; 16]);
        SubscriptionKey::new(key(number), id)
    };
    store
        .put_grant(first_grant(3, b"third"), SideEffects::none())
        .await
        .unwrap();
    for number in [1, 3] {
        let new = NewSubscription {
            key: subscription(number),
            grant: GrantNumber::new(1),
            watch: Watch::new("orders").unwrap(),
        };
        store
            .put_subscription(new, SideEffects::none())
            .await
            .unwrap();
        let begin = |digit| SubscriptionChange {
            begin: Some(BeginChannel {
                channel: channel(digit),
                secrets: sealed(b"secrets"),
            }),
            cursor: Some("cursor".to_owned()),
            read: Some(0),
            compared: true,
            outcome: Some(Some("timeout".to_owned())),
            ..SubscriptionChange::default()
        };
        let (first, second) = if number == 1 { ('a', 'b') } else { ('c', 'd') };
        let open = SubscriptionChange {
            open: Some(OpenedChannel {
                channel: channel(first),
                resource: "resource".to_owned(),
                expires_in: Some(Duration::from_hours(1)),
                secrets: sealed(b"secrets"),
            }),
            ..SubscriptionChange::default()
        };
        for (at, change) in [(1, begin(first)), (2, open), (3, begin(second))] {
            let key = subscription(number);
            let changed =
                store.change_subscription(&key, Version::new(at), change, SideEffects::none());
            changed.await.unwrap();
        }
    }
    let ended = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: Vec::new(),
        unsubscribe: Some(EndingCredential {
            grant: GrantNumber::new(1),
            fence: Fence::new(1),
            sealed: sealed(b"copy"),
        }),
    };
    store
        .end(&key(3), ended, SideEffects::none())
        .await
        .unwrap();
    fixture.advance(Duration::from_secs(1));
}

/// Makes the calls that read a table. Each result is listed with the operation that its error must
/// name.
async fn read(table: &str, store: &SqliteStore) -> Vec<(&'static str, Result<()>)> {
    let one = key(1);
    let other = KeyId::from_bytes([9; 8]);
    let rows = store.sealed_rows(&other, None, 9).await.map(drop);
    let mut results = match table {
        "connections" => connections(store).await,
        "credentials" => {
            let again = commit(3, 2, Fence::new(4), b"third");
            let commit = store.commit(&one, again, SideEffects::none());
            vec![
                ("store.load", store.load(&one).await.map(drop)),
                ("store.commit", commit.await.map(drop)),
            ]
        }
        "work" | "leases" => {
            let due = store.take_due(&[WorkKind::Refresh], 9, LEASE).await;
            vec![("store.take_due", due.map(drop))]
        }
        "quarantine" => {
            let taken = store.take_quarantined(9, LEASE).await;
            vec![
                (
                    "store.quarantined",
                    store.quarantined(&state()).await.map(drop),
                ),
                ("store.take_quarantined", taken.map(drop)),
            ]
        }
        "revocations" => {
            let revocations = store.revocations(&key(2)).await;
            vec![("store.revocations", revocations.map(drop))]
        }
        "states" => {
            let begun = store.begin(&state(), &[1; 32], &[2; 32]).await;
            let outcome = ConnectOutcome::Connected { connection: key(1) };
            let finished = store.finish_state(&state(), outcome).await;
            vec![
                ("store.state", store.state(&state()).await.map(drop)),
                ("store.begin", begun.map(drop)),
                ("store.finish_state", finished.map(drop)),
            ]
        }
        "deliveries" => {
            let all = store.deliveries(&DeliveryFilter::default(), None, 9).await;
            let leased = store
                .lease(&LeaseRequest::new(Direction::Inbound, 9, LEASE))
                .await;
            vec![
                ("store.deliveries", all.map(drop)),
                ("store.lease", leased.map(drop)),
            ]
        }
        "audit" => {
            let all = store.audit(&AuditFilter::default(), None, 9).await;
            vec![
                ("store.audit", all.map(drop)),
                (
                    "store.take_changes",
                    store.take_changes(9, LEASE).await.map(drop),
                ),
            ]
        }
        "subscriptions" => subscriptions(store).await,
        "endings" => {
            let endings = store.endings(&key(3), 9).await;
            vec![("store.endings", endings.map(drop))]
        }
        other => unreachable!("the table {other} is not read"),
    };
    results.push(("store.sealed_rows", rows));
    results
}

async fn subscriptions(store: &SqliteStore) -> Vec<(&'static str, Result<()>)> {
    let id = SubscriptionId::from_bytes([1; 16]);
    let key_1 = SubscriptionKey::new(key(1), id);
    let all = store.subscriptions(&key(1)).await;
    let found = store.subscription_by_channel(&channel('a')).await;
    let change = SubscriptionChange::default();
    let changed = store.change_subscription(&key_1, Version::new(9), change, SideEffects::none());
    let changed = changed.await;
    let new = NewSubscription {
        key: SubscriptionKey::new(key(1), SubscriptionId::from_bytes([2; 16])),
        grant: GrantNumber::new(1),
        watch: Watch::new("orders").unwrap(),
    };
    let put = store.put_subscription(new, SideEffects::none()).await;
    let noticed = store.notify_subscription(&channel('a')).await;
    let ended = store.end_subscription(&key_1, SideEffects::none()).await;
    vec![
        ("store.subscriptions", all.map(drop)),
        ("store.subscription_by_channel", found.map(drop)),
        ("store.change_subscription", changed.map(drop)),
        ("store.put_subscription", put.map(drop)),
        ("store.notify_subscription", noticed.map(drop)),
        ("store.end_subscription", ended.map(drop)),
    ]
}

async fn connections(store: &SqliteStore) -> Vec<(&'static str, Result<()>)> {
    let one = key(1);
    let (app, account) = (AppKey::default(), AccountKey::new("account 1").unwrap());
    let acme = PROVIDER;
    let by_account = store.find_by_account(&acme, &app, &account, None, 9);
    let by_host = store.find_by_host(&acme, &app, "a.acme.example", None, 9);
    let patch = Patch {
        label: Some("Renamed".to_owned()),
        ..Patch::default()
    };
    let update = store.update(&one, Version::new(1), patch, SideEffects::none());
    let again = commit(3, 2, Fence::new(4), b"third");
    let commit = store.commit(&one, again, SideEffects::none());
    let mut grant = first_grant(1, b"anew");
    grant.expect = Expect::At(Generation::new(3));
    let put = store.put_grant(grant, SideEffects::none());
    vec![
        ("store.load", store.load(&one).await.map(drop)),
        ("store.generation", store.generation(&one).await.map(drop)),
        ("store.find_by_account", by_account.await.map(drop)),
        ("store.find_by_host", by_host.await.map(drop)),
        (
            "store.list",
            store.list(&Filter::everyone(), None, 9).await.map(drop),
        ),
        (
            "store.claim",
            store.claim(&one, claim(3, 2)).await.map(drop),
        ),
        ("store.update", update.await.map(drop)),
        ("store.commit", commit.await.map(drop)),
        ("store.put_grant", put.await.map(drop)),
    ]
}

/// Writes every accepted value to every column of `table` and makes the calls that read it. Returns
/// the number of written values and the number of errors per call.
async fn damage(table: &'static str) -> (usize, BTreeMap<&'static str, usize>) {
    let fixture = filled().await;
    let mut connection = raw(&fixture.path()).await;
    let columns = AssertSqlSafe(format!("SELECT name FROM pragma_table_info('{table}')"));
    let columns = sqlx::query(columns).fetch_all(&mut connection).await;
    let columns: Vec<String> = columns.unwrap().iter().map(|row| row.get(0)).collect();
    // Moves everything into the database file, so that the log does not have to be copied.
    let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
    checkpoint.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let damaged = fixture.directory.path().join("damaged.db");
    let (mut written, mut refused) = (0, BTreeMap::new());
    for column in &columns {
        for value in VALUES {
            for beside in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(
                    fixture.directory.path().join(format!("damaged.db{beside}")),
                );
            }
            std::fs::copy(fixture.path(), &damaged).unwrap();
            let mut connection = raw(&damaged).await;
            let changed = AssertSqlSafe(format!("UPDATE {table} SET {column} = {value}"));
            let changed = sqlx::query(changed).execute(&mut connection).await;
            connection.close().await.unwrap();
            if changed.is_err() {
                continue;
            }
            written += 1;
            let options =
                SqliteOptions::new(&damaged).with_clock(std::sync::Arc::new(fixture.clock.clone()));
            let store = options.open().await.unwrap();
            for (operation, result) in read(table, &store).await {
                if let Err(error) = result {
                    // The row now belongs to another app or account, so the grant is rejected.
                    if error.kind() == ErrorKind::InvalidInput && operation == "store.put_grant" {
                        continue;
                    }
                    let what = format!("{table}.{column} = {value}: {}", error.report());
                    assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{what}");
                    assert_eq!(error.operation(), operation, "{what}");
                    *refused.entry(operation).or_default() += 1;
                }
            }
            store.close().await;
        }
    }
    (written, refused)
}

async fn is_noticed(table: &'static str, by: &[&'static str]) {
    let (written, refused) = damage(table).await;
    println!("{table}: {written} damaged values, rejected: {refused:?}");
    assert!(written > 0);
    let noticed: Vec<&str> = refused.keys().copied().collect();
    assert_eq!(noticed, by);
}

#[tokio::test]
async fn damaged_connections_are_detected() {
    is_noticed(
        "connections",
        &[
            "store.claim",
            "store.commit",
            "store.find_by_account",
            "store.find_by_host",
            "store.generation",
            "store.list",
            "store.load",
            "store.put_grant",
            "store.sealed_rows",
            "store.update",
        ],
    )
    .await;
}

#[tokio::test]
async fn damaged_credentials_are_detected() {
    is_noticed(
        "credentials",
        &["store.commit", "store.load", "store.sealed_rows"],
    )
    .await;
}

#[tokio::test]
async fn damaged_work_is_detected() {
    // An unreadable row is skipped; see `one_unreadable_row_does_not_block_a_queue`.
    is_noticed("work", &[]).await;
    is_noticed("leases", &[]).await;
}

#[tokio::test]
async fn damaged_quarantined_responses_are_detected() {
    is_noticed(
        "quarantine",
        &[
            "store.quarantined",
            "store.sealed_rows",
            "store.take_quarantined",
        ],
    )
    .await;
}

#[tokio::test]
async fn damaged_revocations_are_detected() {
    is_noticed("revocations", &["store.revocations", "store.sealed_rows"]).await;
}

#[tokio::test]
async fn damaged_flows_are_detected() {
    is_noticed(
        "states",
        &[
            "store.begin",
            "store.finish_state",
            "store.sealed_rows",
            "store.state",
        ],
    )
    .await;
}

#[tokio::test]
async fn damaged_deliveries_are_detected() {
    is_noticed("deliveries", &["store.deliveries", "store.sealed_rows"]).await;
}

#[tokio::test]
async fn a_damaged_delivery_is_parked_and_other_deliveries_are_leased() {
    let mut parked = 0;
    for damage in [
        "attempts = -1",
        "provider = ''",
        "app = ''",
        "tenant = ''",
        "accepted_at = accepted_at || 'x'",
        "id = CAST(x'ff' AS TEXT)",
    ] {
        let fixture = filled().await;
        let path = fixture.path();
        let store = fixture.open().await;
        for number in 0..20 {
            let new = NewDelivery {
                key: DeliveryKey {
                    id: format!("good-{number}"),
                    ..delivery()
                },
                tenant: None,
                sealed: sealed(b"good"),
                delay: Duration::ZERO,
                keep_for: Duration::from_hours(1),
                turn: DeliveryTurn::default(),
                content: None,
                limits: DeliveryLimits::default(),
            };
            store.accept(new).await.unwrap();
        }
        let mut connection = raw(&path).await;
        let changed = format!("UPDATE deliveries SET {damage} WHERE number = 1");
        if sqlx::query(sqlx::AssertSqlSafe(changed))
            .execute(&mut connection)
            .await
            .is_err()
        {
            // The schema itself rejects the value.
            continue;
        }
        let request = LeaseRequest::new(Direction::Inbound, 5, LEASE);
        let mut leased = 0;
        for _ in 0..6 {
            leased += store.lease(&request).await.unwrap().len();
        }
        assert_eq!(leased, 20, "{damage}");
        let state: String = sqlx::query_scalar("SELECT state FROM deliveries WHERE number = 1")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(state, "parked", "{damage}");
        parked += 1;
    }
    println!("damaged deliveries parked, other deliveries leased: {parked}");
    assert!(parked >= 4);
}

/// Returns a message of one resource.
fn message(name: &str) -> NewMessage {
    NewMessage {
        key: MessageKey {
            tenant: key(1).tenant,
            provider: PROVIDER,
            id: MessageId::new(name).unwrap(),
        },
        event_type: EventType::new("order.created").unwrap(),
        resource: Some("order/1".to_owned()),
        at: Timestamp::from_unix_seconds(1),
        sealed: sealed(b"payload"),
        keep_for: Duration::from_hours(1),
        only: None,
    }
}

/// Returns the result of a successful attempt.
fn delivered(leased: &LeasedMessage) -> Settlement {
    Settlement {
        endpoint: leased.endpoint.key.clone(),
        provider: leased.endpoint.provider.clone(),
        id: leased.id.clone(),
        lease: leased.lease,
        attempt: leased.attempt,
        log: NewAttempt::default(),
        version: leased.endpoint.version,
        verdict: OutboundVerdict::Delivered,
        pause: None,
        warn_at: 4,
        disable_after: Duration::from_hours(1),
        audit: None,
    }
}

/// One unreadable row of an endpoint or a message does not block other messages, and nothing is
/// lost.
#[tokio::test]
async fn damaged_endpoints_and_messages_do_not_block_other_messages() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let endpoint = |number| EndpointKey::new(key(1).tenant, EndpointId::from_bytes([number; 16]));
    for number in [1, 2] {
        let new = NewEndpoint {
            key: endpoint(number),
            provider: PROVIDER,
            label: "a".to_owned(),
            alias: None,
            event_types: Vec::new(),
            is_ordered: true,
            sealed: sealed(b"target"),
            limit: 9,
        };
        store.put_endpoint(new, Vec::new()).await.unwrap();
    }
    store.enqueue(message("m1")).await.unwrap();
    store.enqueue(message("m2")).await.unwrap();
    let request = MessageLease::new(9, LEASE);
    let leased = store.lease_messages(&request).await.unwrap();
    assert_eq!(leased.len(), 2, "the first message, for both endpoints");
    let mut connection = raw(&fixture.path()).await;
    let mut damage = async |sql: &'static str| {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    };
    damage("UPDATE endpoints SET state = 'x' WHERE number = 1").await;
    // The result for the damaged endpoint is refused, the other one is stored.
    let results: Vec<_> = leased.iter().map(delivered).collect();
    let settled = store.settle_messages(&results).await.unwrap();
    assert_eq!(settled.iter().flatten().count(), 1);
    // The message for the damaged endpoint is kept, the other one is sent.
    let enqueued = store.enqueue(message("m3")).await.unwrap();
    assert_eq!((enqueued.pending, enqueued.skipped), (1, 1));
    damage("UPDATE messages SET event_type = '' WHERE id = 'm2'").await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        for one in store.lease_messages(&request).await.unwrap() {
            sent.push((one.endpoint.key.id, one.id.as_str().to_owned()));
            store.settle_messages(&[delivered(&one)]).await.unwrap();
        }
    }
    // The damaged message is parked, and the next one of its resource is sent.
    assert_eq!(sent, [(endpoint(2).id, "m3".to_owned())]);
    damage("UPDATE endpoints SET state = 'enabled' WHERE number = 1").await;
    damage("UPDATE messages SET event_type = 'order.created' WHERE id = 'm2'").await;
    let mut filter = OutboundFilter::default();
    filter.undelivered = true;
    let parked = store.outbound(&filter, None, 9).await.unwrap().items;
    let parked: Vec<_> = parked.iter().map(|it| it.message.as_str()).collect();
    println!("parked deliveries: {parked:?}");
    assert_eq!(parked, ["m2", "m3"]);
    assert_eq!(store.replay_messages(&filter, 9).await.unwrap(), 2);
}

#[tokio::test]
async fn damaged_audit_entries_are_detected() {
    is_noticed("audit", &["store.audit"]).await;
}

#[tokio::test]
async fn damaged_subscriptions_are_detected() {
    is_noticed(
        "subscriptions",
        &[
            "store.change_subscription",
            "store.end_subscription",
            "store.notify_subscription",
            "store.put_subscription",
            "store.sealed_rows",
            "store.subscription_by_channel",
            "store.subscriptions",
        ],
    )
    .await;
    is_noticed("endings", &["store.endings", "store.sealed_rows"]).await;
}

/// One row of each queue is unreadable. That row is skipped, and the rows after it are leased.
#[tokio::test]
async fn one_unreadable_row_does_not_block_a_queue() {
    const DAY: Duration = Duration::from_hours(24);
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    for number in 1..=3 {
        let work = SideEffects::none().with_work(WorkKind::Refresh, Duration::ZERO);
        let mut entry = effects(number).audit.remove(0);
        entry.notify = true;
        let grant = first_grant(number, b"sealed");
        store
            .put_grant(grant, work.with_audit(entry))
            .await
            .unwrap();
        let new = NewDelivery {
            key: DeliveryKey {
                id: format!("delivery {number}"),
                ..delivery()
            },
            tenant: Some(key(1).tenant),
            sealed: sealed(b"delivery"),
            delay: Duration::ZERO,
            keep_for: Duration::from_hours(1),
            turn: DeliveryTurn::default(),
            content: None,
            limits: DeliveryLimits::default(),
        };
        store.accept(new).await.unwrap();
    }
    // Damages the first row of each queue, in lease order.
    let mut connection = raw(&fixture.path()).await;
    for damage in [
        "UPDATE work SET tenant = char(1) WHERE connection = x'01010101010101010101010101010101'",
        "UPDATE deliveries SET tenant = char(1) WHERE id = 'delivery 1'",
        "UPDATE audit SET actor = 'no JSON' WHERE number = (SELECT min(number) FROM audit)",
    ] {
        let changed = sqlx::query(damage).execute(&mut connection).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{damage}");
    }
    connection.close().await.unwrap();

    let mut handed_out = 0;
    for (turn, left) in [(0, 2), (1, 0)] {
        let due = store
            .take_due(&[WorkKind::Refresh], 9, LEASE)
            .await
            .unwrap();
        let leased = {
            let request = LeaseRequest::new(Direction::Inbound, 9, LEASE);
            store.lease(&request).await.unwrap()
        };
        let changes = store.take_changes(9, LEASE).await.unwrap();
        let counts = [due.len(), leased.len(), changes.len()];
        assert_eq!(counts, [left; 3], "turn {turn}");
        handed_out += counts.iter().sum::<usize>();
    }
    // After a day, unreadable work and changes are read again. The other rows are leased again
    // earlier.
    fixture.advance(DAY);
    let due = store
        .take_due(&[WorkKind::Refresh], 9, LEASE)
        .await
        .unwrap();
    assert_eq!(due.len(), 2);
    let mut parked = DeliveryFilter::default();
    parked.state = Some(DeliveryState::Parked);
    let parked = store.deliveries(&parked, None, 9).await;
    assert_eq!(parked.unwrap_err().kind(), ErrorKind::StoreIncompatible);
    println!("rows leased next to unreadable rows: {handed_out}");
    assert_eq!(handed_out, 6);
}
