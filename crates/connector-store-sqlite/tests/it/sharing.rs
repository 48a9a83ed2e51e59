//! Many callers, several handles, and cancelled calls.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use connector_core::store::{
    AuditFilter, AuditLog, ClaimOutcome, CommitOutcome, ConnectionRecord, Fence, Filter,
    Generation, PutOutcome, SideEffects, TokenStore, WorkKind,
};
use connector_store_sqlite::{Migration, SqliteOptions, SqliteStore};
use connector_testkit::StoreFixture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::fixture::Fixture;
use crate::fixture::grants::{claim, commit, effects, first_grant, key};

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<SqliteStore>();
    check::<SqliteOptions>();
    check::<Migration>();
}

async fn everything(store: &SqliteStore) -> Vec<ConnectionRecord> {
    let all = store.list(&Filter::everyone(), None, u16::MAX).await;
    all.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_handles_open_a_new_file_concurrently() {
    let mut opened = 0;
    for _ in 0..8 {
        let fixture = Fixture::create().await;
        let mut tasks = JoinSet::new();
        for number in 0..16 {
            let options = fixture.options();
            tasks.spawn(async move {
                let store = options.open().await.unwrap();
                let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
                assert_eq!(put.await.unwrap(), PutOutcome::Stored);
            });
        }
        opened += tasks.join_all().await.len();
        assert_eq!(everything(&fixture.open().await).await.len(), 16);
    }
    println!("handles opened concurrently: {opened}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_never_return_a_busy_error() {
    const TASKS: u8 = 16;
    const ROUNDS: u8 = 50;
    let fixture = Fixture::create().await;
    let handles = [fixture.open().await, fixture.open().await];
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = handles[usize::from(number % 2)].clone();
        tasks.spawn(async move {
            let put = store.put_grant(first_grant(number, b"sealed"), SideEffects::none());
            assert_eq!(put.await.unwrap(), PutOutcome::Stored);
            for round in 1..=ROUNDS {
                let claimed = store.claim(&key(number), claim(round, round.into())).await;
                let ClaimOutcome::Granted { fence, .. } = claimed.unwrap() else {
                    panic!("no other caller claims this connection");
                };
                let result = commit(round, round.into(), fence, b"refreshed");
                let outcome = store.commit(&key(number), result, effects(number)).await;
                assert_eq!(outcome.unwrap(), CommitOutcome::Stored);
            }
        });
    }
    let finished = tasks.join_all().await.len();
    assert_eq!(finished, usize::from(TASKS));
    for connection in everything(&handles[0]).await {
        let expected = Generation::new(u64::from(ROUNDS) + 1);
        assert_eq!(connection.generation, expected);
    }
    println!(
        "writes without a busy file: {}",
        finished * usize::from(ROUNDS) * 2
    );
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_leaves_no_transaction_open() {
    const MAX_POLLS: usize = 24;
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let other = fixture.open().await;
    let put = store.put_grant(first_grant(0, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let (mut cancelled, mut finished) = (0, 0);
    for polls in 0..=MAX_POLLS {
        let number = u8::try_from(polls + 1).unwrap();

        // A first grant is written completely with its side effects, or not at all.
        let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
        match cancelled_after(polls, put).await {
            Some(outcome) => {
                assert_eq!(outcome.unwrap(), PutOutcome::Stored);
                finished += 1;
            }
            None => cancelled += 1,
        }
        // The other handle waits for the write lock, so this call returns only after the lock is
        // free.
        let generation = next_refresh(&other).await;
        let is_there = other.load(&key(number)).await.unwrap().is_some();
        assert_eq!(entries_of(&other, number).await, usize::from(is_there));
        let due = other.take_due(&WorkKind::ALL, 10, Duration::from_mins(1));
        assert_eq!(due.await.unwrap().len(), usize::from(is_there));

        // A refresh is written completely or not at all, too.
        let now = Generation::new(generation);
        let claimed = store.claim(&key(0), claim(number, generation)).await;
        let ClaimOutcome::Granted { fence, .. } = claimed.unwrap() else {
            panic!("no other caller claims this connection");
        };
        let result = commit(number, generation, fence, &[number]);
        match cancelled_after(polls, store.commit(&key(0), result.clone(), effects(0))).await {
            Some(outcome) => {
                assert_eq!(outcome.unwrap(), CommitOutcome::Stored);
                finished += 1;
            }
            None => cancelled += 1,
        }
        // A repeated call after the unknown outcome returns the first result and is applied once.
        let outcome = other.commit(&key(0), result, effects(0)).await;
        assert_eq!(outcome.unwrap(), CommitOutcome::Stored);
        let stored = other.load(&key(0)).await.unwrap().unwrap();
        assert_eq!(stored.connection.generation, now.next());
        assert_eq!(stored.current.unwrap().sealed.bytes().as_ref(), [number]);
        assert_eq!(stored.claim, None);
        let due = other.take_due(&WorkKind::ALL, 10, Duration::from_mins(1));
        assert_eq!(due.await.unwrap().len(), 1);
    }
    assert_eq!(entries_of(&other, 0).await, MAX_POLLS + 1);
    assert!(cancelled > 0 && finished > 0, "{cancelled} {finished}");
    println!("calls cancelled: {cancelled}, finished: {finished}");
}

/// Returns the generation of connection 0, read under the write lock.
async fn next_refresh(store: &SqliteStore) -> u64 {
    store.revoked(&key(0), Fence::new(1)).await.unwrap();
    let generation = store.generation(&key(0)).await.unwrap();
    generation.unwrap().get()
}

async fn entries_of(store: &SqliteStore, number: u8) -> usize {
    let mut filter = AuditFilter::default();
    filter.connection = Some(key(number).id);
    store
        .audit(&filter, None, u16::MAX)
        .await
        .unwrap()
        .items
        .len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_callers_leave_the_queue() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let put = store.put_grant(first_grant(0, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let options = SqliteConnectOptions::new().filename(fixture.path());
    let mut holder = options.connect().await.unwrap();
    let holding = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let together = Arc::new(Barrier::new(101));
    let mut tasks = JoinSet::new();
    for name in 0..100 {
        let (store, together) = (store.clone(), Arc::clone(&together));
        tasks.spawn(async move {
            together.wait().await;
            store.claim(&key(0), claim(name, 1)).await
        });
    }
    together.wait().await;
    tokio::task::yield_now().await;
    tasks.abort_all();
    let mut aborted = 0;
    while let Some(ended) = tasks.join_next().await {
        aborted += usize::from(ended.is_err());
    }
    holding.rollback().await.unwrap();
    let claimed = store.claim(&key(0), claim(200, 1)).await.unwrap();
    assert!(
        matches!(claimed, ClaimOutcome::Granted { .. }),
        "{claimed:?}"
    );
    assert_eq!(aborted, 100);
    println!("cancelled callers: {aborted}");
}
