//! Many callers, several handles, cancelled calls, lost connections, and the server's clock.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::{
    AuditFilter, AuditLog, ClaimOutcome, CommitOutcome, ConnectionRecord, Fence, Filter,
    Generation, Maintenance, PutOutcome, SideEffects, StateKey, StateStore, TokenStore, WorkKind,
};
use connector_store_postgres::{Migration, PostgresOptions, PostgresStore};
use connector_testkit::StoreFixture;
use tokio::task::JoinSet;

use crate::fixture::grants::{claim, commit, effects, first_grant, key};
use crate::fixture::{Fixture, connect, options, schema, server, sql};

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<PostgresStore>();
    check::<PostgresOptions>();
    check::<Migration>();
}

async fn everything(store: &PostgresStore) -> Vec<ConnectionRecord> {
    let all = store.list(&Filter::everyone(), None, u16::MAX).await;
    all.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_processes_migrate_concurrently() {
    let Some(url) = server() else { return };
    let name = schema();
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let options = options(&url, &name).with_connections(1);
        tasks.spawn(async move {
            let applied = options.migrate().await.unwrap();
            let store = options.open().await.unwrap();
            let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
            assert_eq!(put.await.unwrap(), PutOutcome::Stored);
            applied
        });
    }
    let applied: u32 = tasks.join_all().await.into_iter().sum();
    assert_eq!(applied, 1, "one process applied the migrations");
    let store = options(&url, &name).open().await.unwrap();
    assert_eq!(everything(&store).await.len(), 16);
}

#[tokio::test]
async fn a_printed_schema_is_accepted() {
    let Some(url) = server() else { return };
    // A name that must be quoted.
    let name = format!("{}-\"quoted\" %", schema());
    let options = options(&url, &name);
    for migration in PostgresStore::migrations() {
        sql(&url, &migration.sql(&name)).await;
    }
    assert_eq!(options.migrate().await.unwrap(), 0);
    let store = options.open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), effects(1));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    // Applying a script again fails and changes nothing.
    let again = PostgresStore::migrations()[0].sql(&name);
    assert!(connect(&url).await.batch_execute(&again).await.is_err());
    assert_eq!(everything(&store).await.len(), 1);
}

/// Polls a future at most `polls` times and drops it, like a cancelled call.
async fn cancelled_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Every kind of call is dropped after each number of polls. The store has one connection, so the next
/// call uses the connection of the dropped call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_leaves_its_connection_clean() {
    const MAX_POLLS: usize = 12;
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let one = fixture.options().with_connections(1);
    let store = one.open().await.unwrap();
    let other = fixture.open().await;
    let put = store.put_grant(first_grant(0, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let (mut cancelled, mut finished) = (0, 0);
    let mut count = |ended: bool| if ended { finished += 1 } else { cancelled += 1 };
    for polls in 0..=MAX_POLLS {
        let number = u8::try_from(polls + 1).unwrap();
        let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
        count(cancelled_after(polls, put).await.is_some());
        let generation = store.generation(&key(0)).await.unwrap().unwrap().get();
        // A first grant is written completely with its side effects, or not at all.
        let is_there = other.load(&key(number)).await.unwrap().is_some();
        assert_eq!(entries_of(&other, number).await, usize::from(is_there));

        let claimed = store.claim(&key(0), claim(number, generation)).await;
        let ClaimOutcome::Granted { fence, .. } = claimed.unwrap() else {
            panic!("no other caller claims this connection");
        };
        let result = commit(number, generation, fence, &[number]);
        let zero = key(0);
        let committed = store.commit(&zero, result.clone(), effects(0));
        count(cancelled_after(polls, committed).await.is_some());
        // A repeated call after the unknown outcome returns the first result and is applied once.
        let outcome = store.commit(&key(0), result, effects(0)).await;
        assert_eq!(outcome.unwrap(), CommitOutcome::Stored);
        let stored = other.load(&key(0)).await.unwrap().unwrap();
        assert_eq!(
            stored.connection.generation,
            Generation::new(generation + 1)
        );
        assert_eq!(stored.current.unwrap().sealed.bytes().as_ref(), [number]);
        assert_eq!(entries_of(&other, 0).await, polls + 1);

        // Calls with a transaction.
        let flow = StateKey::from_bytes([number; 32]);
        let begun = store.begin(&flow, &[1; 32], &[2; 32]);
        count(cancelled_after(polls, begun).await.is_some());
        let purged = store.purge(1);
        count(cancelled_after(polls, purged).await.is_some());
        let kinds = WorkKind::ALL;
        let taken = store.take_due(&kinds, 10, Duration::from_secs(60));
        count(cancelled_after(polls, taken).await.is_some());
        assert!(store.load(&key(0)).await.unwrap().is_some());
    }
    println!("calls cancelled: {cancelled}, finished: {finished}");
    assert!(cancelled > 0 && finished > 0, "{cancelled} {finished}");
    let idle = connect(&crate::fixture::url(crate::fixture::SERVER).unwrap()).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
                AND application_name = 'connectors' AND query LIKE $1";
    let name = format!("%{}%", fixture.schema);
    let open: i64 = idle.query_one(open, &[&name]).await.unwrap().get(0);
    assert_eq!(open, 0, "no transaction is open");
}

async fn entries_of(store: &PostgresStore, number: u8) -> usize {
    let mut filter = AuditFilter::default();
    filter.connection = Some(key(number).id);
    let entries = store.audit(&filter, None, u16::MAX).await;
    entries.unwrap().items.len()
}

/// A caller that begins a call and never polls it again does not keep a connection of the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_polled_blocks_nobody() {
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let store = fixture.options().with_connections(1).open().await.unwrap();
    let put = store.put_grant(first_grant(0, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let mut parked = Vec::new();
    for number in 1..=32 {
        let store = store.clone();
        let mut call = Box::pin(async move {
            match number % 2 {
                0 => store.load(&key(0)).await.map(drop),
                _ => store.purge(1).await.map(drop),
            }
        });
        let begun = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context)));
        let _ = begun.await;
        parked.push(call);
    }
    assert!(store.load(&key(0)).await.unwrap().is_some());
    println!("calls parked: {}", parked.len());
}

/// The connections to the server are cut again and again while callers refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_connections_lose_no_commit() {
    const CALLERS: u8 = 4;
    const ROUNDS: u8 = 60;
    let Some(url) = server() else { return };
    let name = schema();
    let application = format!("cut_{name}");
    options(&url, &name).migrate().await.unwrap();
    let named = format!("{url}?application_name={application}");
    let store = options(&named, &name).open().await.unwrap();
    for number in 0..CALLERS {
        let put = store.put_grant(first_grant(number, b"first"), SideEffects::none());
        assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let cutter = tokio::spawn({
        let stop = Arc::clone(&stop);
        let admin = connect(&url).await;
        async move {
            let mut cut = 0_i64;
            while !stop.load(Ordering::Relaxed) {
                let row = admin
                    .query_one(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE application_name = $1",
                        &[&application],
                    )
                    .await
                    .unwrap();
                cut += row.get::<_, i64>(0);
                // The server takes about this long to refuse a few connections.
                admin.batch_execute("SELECT pg_sleep(0.005)").await.unwrap();
            }
            cut
        }
    });
    let mut tasks = JoinSet::new();
    for number in 0..CALLERS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut failures = 0_u32;
            let mut note = |error: connector_core::Error| {
                assert_eq!(
                    error.kind(),
                    ErrorKind::StoreUnavailable,
                    "{}",
                    error.report()
                );
                failures += 1;
            };
            for round in 1..=ROUNDS {
                let fence = loop {
                    match store.claim(&key(number), claim(round, round.into())).await {
                        Ok(ClaimOutcome::Granted { fence, .. }) => break fence,
                        Ok(other) => panic!("a repeated claim returns its first result: {other:?}"),
                        Err(error) => note(error),
                    }
                };
                let result = commit(round, round.into(), fence, &[round]);
                loop {
                    match store
                        .commit(&key(number), result.clone(), effects(number))
                        .await
                    {
                        Ok(outcome) => break assert_eq!(outcome, CommitOutcome::Stored),
                        Err(error) => note(error),
                    }
                }
            }
            failures
        });
    }
    let failures: u32 = tasks.join_all().await.into_iter().sum();
    stop.store(true, Ordering::Relaxed);
    let cut = cutter.await.unwrap();
    let calm = options(&url, &name).open().await.unwrap();
    for number in 0..CALLERS {
        let stored = calm.load(&key(number)).await.unwrap().unwrap();
        let last = Generation::new(u64::from(ROUNDS) + 1);
        assert_eq!(stored.connection.generation, last);
        assert_eq!(stored.current.unwrap().sealed.bytes().as_ref(), [ROUNDS]);
        assert_eq!(entries_of(&calm, number).await, usize::from(ROUNDS));
    }
    println!("connections cut: {cut}, failed calls: {failures}, commits lost: 0");
    assert!(cut > 0 && failures > 0);
}

/// Handles with clocks that differ by hours agree, because the times come from the server.
#[tokio::test]
async fn times_come_from_the_servers_clock() {
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name);
    options.migrate().await.unwrap();
    let store = options.open().await.unwrap();
    let mut grant = first_grant(1, b"sealed");
    grant.expiries.access = Some(Duration::from_secs(3600));
    let put = store.put_grant(grant, effects(1));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let server_now: f64 = connect(&url)
        .await
        .query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[])
        .await
        .unwrap()
        .get(0);
    let stored = store.load(&key(1)).await.unwrap().unwrap();
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this century are exact"
    )]
    let created = stored.connection.created_at.as_unix_millis() as f64 / 1000.0;
    assert!(
        (server_now - created).abs() < 30.0,
        "{server_now} {created}"
    );
    let left = stored.current.unwrap().access_left.unwrap().remaining();
    assert!(
        left <= Duration::from_secs(3600) && left > Duration::from_secs(3540),
        "{left:?}"
    );
    let ClaimOutcome::Granted { until, .. } = store.claim(&key(1), claim(1, 1)).await.unwrap()
    else {
        panic!("nobody else claims this connection");
    };
    assert!(until.remaining() <= Duration::from_secs(60));
    assert!(until.remaining() > Duration::from_secs(30));
    let again = store.claim(&key(1), claim(2, 1)).await.unwrap();
    assert!(matches!(again, ClaimOutcome::Held { .. }), "{again:?}");
    let due = store
        .take_due(&WorkKind::ALL, 9, Duration::from_secs(60))
        .await;
    let due = due.unwrap();
    assert_eq!(due.len(), 1);
    assert!(due[0].late_by < Duration::from_secs(30));
    assert!(
        store
            .finish(&due[0], Some(Duration::from_secs(3600)))
            .await
            .unwrap()
    );
    let later = store
        .take_due(&WorkKind::ALL, 9, Duration::from_secs(60))
        .await;
    assert_eq!(later.unwrap(), []);
}

/// After a failover, the new server's clock is 4 seconds off. Fences still grow, no claim is granted
/// while another one is active by the new clock, and nothing is lost.
#[tokio::test]
async fn a_clock_that_is_four_seconds_off_after_a_failover_loses_nothing() {
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let at = |seconds: i64| ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000 + seconds));
    let open = async |clock: ManualClock| {
        options(&url, &name)
            .with_clock(Arc::new(clock))
            .open()
            .await
            .unwrap()
    };
    let (old, behind, ahead) = (open(at(0)).await, open(at(-4)).await, open(at(4)).await);
    let put = old.put_grant(first_grant(1, b"first"), effects(1));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let ClaimOutcome::Granted { fence, .. } = old.claim(&key(1), claim(1, 1)).await.unwrap() else {
        panic!("nobody else claims this connection");
    };
    for (promoted, left) in [(&behind, 64), (&ahead, 56)] {
        let held = promoted.claim(&key(1), claim(2, 1)).await.unwrap();
        let ClaimOutcome::Held { until, .. } = held else {
            panic!("the claim is still active: {held:?}");
        };
        assert_eq!(until.remaining(), Duration::from_secs(left));
    }
    let result = commit(1, 1, fence, b"second");
    let stored = behind.commit(&key(1), result, effects(1)).await.unwrap();
    assert_eq!(stored, CommitOutcome::Stored);
    let next = behind.claim(&key(1), claim(3, 2)).await.unwrap();
    let ClaimOutcome::Granted { fence: later, .. } = next else {
        panic!("the claim was resolved: {next:?}");
    };
    assert!(later > fence && fence > Fence::new(1));
    // Work that was scheduled by the old clock is due 4 seconds later by the new one.
    let due = behind
        .take_due(&WorkKind::ALL, 9, Duration::from_secs(60))
        .await;
    let count = due.unwrap().len();
    let due = ahead
        .take_due(&WorkKind::ALL, 9, Duration::from_secs(60))
        .await;
    assert_eq!(count + due.unwrap().len(), 1);
}
