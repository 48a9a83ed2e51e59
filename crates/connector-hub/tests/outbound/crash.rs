//! Crashes between the enqueueing of a message and the end of its delivery.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::{
    EndpointFilter, EndpointState, MemoryStore, OutboundFilter, OutboundState, Store,
};
use connector_hub::{Hub, NewTarget};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::drive;
use connector_testkit::kill::{Action, KillPoints};
use secrecy::SecretString;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::rig::{Receivers, START, context, hub, lock, message, tenant};

const MESSAGES: usize = 3;

/// What every process of one run shares.
struct Run {
    clock: ManualClock,
    receivers: Receivers,
    keys: SecretString,
}

impl Run {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(START));
        let receivers = Receivers::new(Arc::new(clock.clone()));
        receivers.statuses("flaky.example", &[500, 200]);
        receivers.statuses("gone.example", &[410]);
        Self {
            clock,
            receivers,
            keys: Keyring::generate().unwrap(),
        }
    }

    /// Starts a process whose calls pass the kill points.
    fn process<S: Store + Clone>(&self, store: &S, points: &KillPoints) -> Hub {
        let store = points.wrap(Arc::new(store.clone()));
        let transport = points.wrap(Arc::new(self.receivers.clone()));
        hub(store, self.clock.clone(), transport, &self.keys)
            .build()
            .unwrap()
    }

    async fn set_up<S: Store + Clone>(&self, store: &S) {
        let hub = self.process(store, &KillPoints::counting());
        for host in ["steady.example", "flaky.example", "gone.example"] {
            let target = NewTarget::new(format!("https://{host}/"));
            hub.outbound(&tenant())
                .add(target, context())
                .await
                .unwrap();
        }
    }

    /// Publishes the messages and sends them. Returns the accepted messages.
    async fn work(&self, hub: &Hub, accepted: &Mutex<Vec<String>>) {
        for number in 0..MESSAGES {
            let name = format!("m{number}");
            if hub
                .outbound(&tenant())
                .publish(message(&name))
                .await
                .is_ok()
            {
                lock(accepted).push(name);
            }
            self.tick(hub).await;
        }
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(10));
            self.tick(hub).await;
        }
    }

    /// Runs one round. Time goes on while the round waits.
    async fn tick(&self, hub: &Hub) -> usize {
        let worker = hub.worker();
        let ticked = drive(&self.clock, Duration::from_secs(1), worker.tick()).await;
        ticked.map_or(0, |it| it.outbound)
    }
}

/// Runs the scenario in a process that dies at each point, and then another process. A dead process
/// makes no call any more. Returns the number of points, and the number of duplicates.
async fn die_at_every_point<S: Store + Clone, K>(
    open: impl AsyncFn(&ManualClock) -> (S, K),
) -> (u64, usize) {
    let total = {
        let run = Run::new();
        let (store, _keep) = open(&run.clock).await;
        run.set_up(&store).await;
        let points = KillPoints::counting();
        let accepted = Mutex::default();
        run.work(&run.process(&store, &points), &accepted).await;
        assert_eq!(lock(&accepted).len(), MESSAGES);
        for host in ["steady.example", "flaky.example"] {
            let codes = usize::from(host != "steady.example");
            assert_eq!(
                run.receivers.got(host).len(),
                MESSAGES + codes,
                "no duplicate without a crash"
            );
        }
        points.passed()
    };
    assert!(total > 20, "{total} points");
    let mut duplicates = 0;
    for dies_at in 1..=total {
        let run = Run::new();
        let (store, _keep) = open(&run.clock).await;
        run.set_up(&store).await;
        let reached = Arc::new(AtomicU64::new(0));
        let points = KillPoints::deciding(move |_| {
            let number = reached.fetch_add(1, Ordering::SeqCst) + 1;
            (number >= dies_at).then_some(Action::Fail)
        });
        let accepted = Mutex::default();
        let first = run.process(&store, &points);
        run.work(&first, &accepted).await;
        drop(first);
        // Another process, after the leases of the first one.
        run.clock.advance(Duration::from_secs(600));
        let second = run.process(&store, &KillPoints::counting());
        for _ in 0..12 {
            run.tick(&second).await;
            run.clock.advance(Duration::from_secs(400));
        }
        let page = store.outbound(&OutboundFilter::default(), None, 100).await;
        for record in page.unwrap().items {
            assert!(!record.state.is_pending(), "{dies_at}: {record:?}");
            assert_ne!(record.state, OutboundState::Parked, "{dies_at}");
        }
        for host in ["steady.example", "flaky.example"] {
            let mut received = BTreeMap::new();
            for got in run.receivers.got(host) {
                *received.entry(got.id().to_owned()).or_insert(0_usize) += 1;
            }
            for name in &*lock(&accepted) {
                assert!(
                    received.contains_key(name),
                    "{dies_at}: {host} never got {name}"
                );
            }
            if host == "steady.example" {
                let extra: usize = received.values().map(|it| it - 1).sum();
                assert!(extra <= 1, "{dies_at}: {received:?}");
                duplicates += extra;
            }
        }
        let gone = store
            .endpoints(&EndpointFilter::default(), None, 10)
            .await
            .unwrap();
        let gone = gone
            .items
            .iter()
            .filter(|it| it.state == EndpointState::Gone);
        assert!(gone.count() <= 1);
    }
    (total, duplicates)
}

#[tokio::test]
async fn no_accepted_message_is_lost_at_any_point_in_memory() {
    let (points, duplicates) = die_at_every_point(async |clock: &ManualClock| {
        (MemoryStore::new(Arc::new(clock.clone())), ())
    })
    .await;
    println!("crash points, memory: {points}, messages sent twice: {duplicates}");
    assert!(points > 0);
}

async fn open_file(clock: &ManualClock) -> (SqliteStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteOptions::new(directory.path().join("store.db"))
        .with_clock(Arc::new(clock.clone()))
        .open()
        .await
        .unwrap();
    (store, directory)
}

#[tokio::test]
async fn no_accepted_message_is_lost_at_any_point_in_sqlite() {
    let (points, duplicates) = die_at_every_point(open_file).await;
    println!("crash points, SQLite: {points}, messages sent twice: {duplicates}");
    assert!(points > 0);
}

#[tokio::test]
async fn a_message_is_sent_if_and_only_if_the_callers_transaction_commits() {
    let run = Run::new();
    let (store, directory) = open_file(&run.clock).await;
    run.set_up(&store).await;
    let hub = run.process(&store, &KillPoints::counting());
    let outbound = hub.outbound(&tenant());
    let options = SqliteConnectOptions::new().filename(directory.path().join("store.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, paid INTEGER) STRICT")
        .execute(&mut connection)
        .await
        .unwrap();
    let (mut committed, mut rolled_back) = (Vec::new(), 0);
    for number in 0..40 {
        let name = format!("order-{number}");
        let prepared = outbound.prepare(message(&name)).await.unwrap();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO orders VALUES (?1, 1)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let enqueued = store.enqueue_in(&mut transaction, &prepared).await.unwrap();
        assert!(!enqueued.is_duplicate);
        if number % 3 == 0 {
            transaction.rollback().await.unwrap();
            rolled_back += 1;
        } else {
            transaction.commit().await.unwrap();
            committed.push(name);
            outbound.wake();
        }
    }
    for _ in 0..20 {
        run.tick(&hub).await;
        run.clock.advance(Duration::from_secs(10));
    }
    let mut got: Vec<_> = run
        .receivers
        .got("steady.example")
        .iter()
        .map(|it| it.id().to_owned())
        .collect();
    got.sort_unstable();
    committed.sort_unstable();
    println!(
        "committed: {}, rolled back: {rolled_back}, sent: {}",
        committed.len(),
        got.len()
    );
    assert_eq!(got, committed);
    assert!(rolled_back > 0);
    // A message that was enqueued in an aborted transaction can be published later.
    outbound.publish(message("order-0")).await.unwrap();
    assert!(run.tick(&hub).await >= 1);
}
