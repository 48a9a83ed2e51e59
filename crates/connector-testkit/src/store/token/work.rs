//! Due work and its leases.

use std::sync::Arc;

use connector_core::ConnectionKey;
use connector_core::store::{Due, Patch, PutOutcome, SideEffects, UpdateOutcome, WorkKind};

use crate::fixture::StoreFixture;
use crate::store::samples::{LEASE, first_grant, key, seconds};
use crate::store::steps::{Handle, done, due, joined, loaded, open, outcome};

/// Creates a connection with work of the given kind, due in `delay` seconds.
async fn scheduled(store: &Handle, key: &ConnectionKey, kind: WorkKind, delay: u64) {
    let account = format!("shop of {}", key.id);
    let effects = SideEffects::none().with_work(kind, seconds(delay));
    let put = store.put_grant(first_grant(key, &account), effects);
    assert_eq!(done(put.await), PutOutcome::Stored);
}

/// Changes only the schedule of a connection, with an update.
async fn reschedule(store: &Handle, key: &ConnectionKey, effects: SideEffects) {
    let at = loaded(store, key).await.connection.version;
    let update = store.update(key, at, Patch::default(), effects);
    outcome!(done(update.await), UpdateOutcome::Updated(_) => ());
}

/// Leases work. The case fails unless exactly one item is due.
async fn leased(store: &Handle) -> Due {
    let mut due = done(store.take_due(&WorkKind::ALL, 100, LEASE).await);
    match (due.pop(), due.is_empty()) {
        (Some(one), true) => one,
        (one, _) => panic!("expected one due job, got {one:?} and {due:?}"),
    }
}

pub(in crate::store) async fn work_is_handed_out_when_due<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    scheduled(&store, &key, WorkKind::Refresh, 10).await;
    assert_eq!(due(&other).await, []);
    fixture.advance(seconds(9));
    assert_eq!(due(&other).await, [], "one second too early");
    fixture.advance(seconds(3));
    let work = leased(&other).await;
    assert_eq!((work.key, work.kind), (key, WorkKind::Refresh));
    assert_eq!(work.late_by, seconds(2));
}

pub(in crate::store) async fn the_longest_due_work_comes_first<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for (number, delay) in [(1, 20), (2, 10), (3, 30), (4, 5)] {
        scheduled(&store, &key(number), WorkKind::Refresh, delay).await;
    }
    fixture.advance(seconds(60));
    let mut order = Vec::new();
    for _ in 0..2 {
        let work = done(store.take_due(&WorkKind::ALL, 2, LEASE).await);
        assert_eq!(work.len(), 2, "the limit was two");
        order.extend(work.into_iter().map(|due| due.key.id.as_bytes()[0]));
    }
    assert_eq!(order, [4, 2, 1, 3]);
}

pub(in crate::store) async fn leased_work_is_not_handed_out_again<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    scheduled(&store, &key(1), WorkKind::Refresh, 0).await;
    leased(&store).await;
    fixture.advance(seconds(29));
    assert_eq!(due(&store).await, []);
    assert_eq!(due(&other).await, []);
}

pub(in crate::store) async fn of_many_workers_one_gets_the_work<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    for number in 1..=8 {
        scheduled(&stores[0], &key(number), WorkKind::Refresh, 0).await;
    }
    let tasks: Vec<_> = (0..32)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { done(store.take_due(&WorkKind::ALL, 2, LEASE).await) })
        })
        .collect();
    let mut handed_out = Vec::new();
    for task in tasks {
        let work = joined(task.await);
        handed_out.extend(work.into_iter().map(|due| due.key.id.as_bytes()[0]));
    }
    handed_out.sort_unstable();
    assert_eq!(handed_out, [1, 2, 3, 4, 5, 6, 7, 8]);
}

pub(in crate::store) async fn expired_leases_are_handed_out_again<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    scheduled(&store, &key(1), WorkKind::Refresh, 0).await;
    let first = leased(&store).await;
    fixture.advance(LEASE);
    let second = leased(&other).await;
    assert_eq!((second.key, second.kind), (first.key, first.kind));
    assert!(
        second.lease > first.lease,
        "a later lease has a higher number"
    );
}

pub(in crate::store) async fn other_kinds_stay<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    scheduled(&store, &key(1), WorkKind::Refresh, 0).await;
    scheduled(&store, &key(2), WorkKind::Metadata, 0).await;
    scheduled(&store, &key(3), WorkKind::KeepAlive, 0).await;
    let kinds = [WorkKind::Metadata, WorkKind::KeepAlive];
    let mut taken: Vec<_> = done(store.take_due(&kinds, 10, LEASE).await)
        .into_iter()
        .map(|due| due.kind)
        .collect();
    taken.sort();
    assert_eq!(taken, [WorkKind::KeepAlive, WorkKind::Metadata]);
    assert_eq!(done(store.take_due(&[], 10, LEASE).await), []);
    assert_eq!(due(&store).await, [(key(1), WorkKind::Refresh)]);
}

pub(in crate::store) async fn finished_work_is_gone_or_due_later<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    scheduled(&store, &key(1), WorkKind::Refresh, 0).await;
    let work = leased(&store).await;
    assert!(done(other.finish(&work, Some(seconds(100))).await));
    fixture.advance(seconds(99));
    assert_eq!(due(&store).await, []);
    fixture.advance(seconds(1));
    let work = leased(&store).await;
    assert!(done(store.finish(&work, None).await));
    fixture.advance(seconds(100_000));
    assert_eq!(due(&other).await, [], "the job is gone");
}

pub(in crate::store) async fn a_change_that_schedules_ends_the_lease<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    scheduled(&store, &key, WorkKind::Refresh, 0).await;
    let work = leased(&store).await;
    let later = SideEffects::none().with_work(WorkKind::Refresh, seconds(10));
    reschedule(&other, &key, later).await;
    assert!(!done(store.finish(&work, None).await), "the lease is lost");
    assert_eq!(due(&store).await, [], "it is due in ten seconds");
    fixture.advance(seconds(10));
    let again = leased(&store).await;
    assert!(again.lease > work.lease);

    let removed = SideEffects::none().without_work(WorkKind::Refresh);
    reschedule(&other, &key, removed).await;
    let finished = done(store.finish(&again, Some(seconds(0))).await);
    assert!(!finished, "work that was removed does not come back");
    assert_eq!(due(&store).await, []);

    let other_kind = SideEffects::none().with_work(WorkKind::Metadata, seconds(0));
    reschedule(&other, &key, other_kind).await;
    let work = leased(&store).await;
    let unrelated = SideEffects::none().with_work(WorkKind::Refresh, seconds(0));
    reschedule(&other, &key, unrelated).await;
    assert!(
        done(store.finish(&work, None).await),
        "the lease of another kind remains"
    );
}

pub(in crate::store) async fn a_lost_lease_changes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    scheduled(&store, &key(1), WorkKind::Refresh, 0).await;
    let lost = leased(&store).await;
    fixture.advance(LEASE);
    let held = leased(&other).await;
    assert!(!done(store.finish(&lost, None).await));
    assert!(!done(store.finish(&lost, Some(seconds(0))).await));
    assert_eq!(due(&store).await, [], "the lease of the other job remains");
    assert!(done(other.finish(&held, Some(seconds(5))).await));
    fixture.advance(seconds(5));
    let next = leased(&store).await;
    assert!(done(store.finish(&next, None).await));
    assert!(
        !done(store.finish(&next, None).await),
        "it was finished before"
    );
}
