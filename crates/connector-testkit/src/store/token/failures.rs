//! Exchanges that returned no credential.

use connector_core::store::{
    CommitOutcome, End, EndRequest, FailOutcome, Fence, SideEffects, Verdict,
};
use connector_core::{DegradedReason, ReauthorizationReason, Status};

use super::reading::deactivate;
use crate::fixture::StoreFixture;
use crate::store::samples::{key, seconds};
use crate::store::steps::{
    LATER, claimed, connect, done, loaded, names, open, outcome, overtaken, pending,
};

const DEAD: Verdict = Verdict::GiveUp {
    reason: ReauthorizationReason::GrantRevoked,
};

pub(in crate::store) async fn a_definite_failure_resolves_its_claim<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let (plain, moved) = (key(1), key(2));
    connect(&store, &plain, "shop-1").await;
    let claim = claimed(&store, &plain, 1).await;
    let failure = store.fail(&plain, claim.failure(true, LATER), SideEffects::none());
    assert_eq!(done(failure.await), FailOutcome::Applied);
    assert_eq!(loaded(&reader, &plain).await.claim, None);

    connect(&store, &moved, "shop-2").await;
    let (older, younger) = overtaken(fixture, &store, &moved, (2, 3)).await;
    let commit = store.commit(&moved, older.commit("older"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let standing = loaded(&reader, &moved).await.claim;
    assert_eq!(standing.map(|claim| claim.fence), Some(younger.fence));
    let failure = store.fail(&moved, younger.failure(true, LATER), SideEffects::none());
    outcome!(done(failure.await), FailOutcome::Moved(_) => ());
    let standing = loaded(&reader, &moved).await.claim;
    assert_eq!(standing, None, "for any outcome");
}

pub(in crate::store) async fn an_unresolved_failure_keeps_its_claim<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    let unresolved = Verdict::Later {
        status: Some(Status::Degraded(DegradedReason::RefreshUnresolved)),
    };
    let failure = store.fail(
        &key,
        younger.failure(false, unresolved),
        SideEffects::none(),
    );
    assert_eq!(done(failure.await), FailOutcome::Applied);
    let stored = loaded(&store, &key).await;
    assert_eq!(
        stored.connection.status,
        Status::Degraded(DegradedReason::RefreshUnresolved)
    );
    let standing = stored
        .claim
        .map(|claim| (claim.fence, claim.until.remaining()));
    assert_eq!(standing, Some((younger.fence, seconds(60))));

    let failure = store.fail(&key, older.failure(true, LATER), SideEffects::none());
    assert_eq!(done(failure.await), FailOutcome::Applied);
    let standing = loaded(&store, &key).await.claim.map(|claim| claim.fence);
    assert_eq!(
        standing,
        Some(younger.fence),
        "a failure of another claim does not resolve it"
    );
}

pub(in crate::store) async fn a_failure_of_a_moved_generation_changes_nothing<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    let commit = store.commit(&key, younger.commit("younger"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let before = loaded(&store, &key).await;
    let degraded = Verdict::Later {
        status: Some(Status::AppMisconfigured),
    };
    for verdict in [degraded, DEAD] {
        let failure = store.fail(&key, older.failure(true, verdict), SideEffects::none());
        let moved = outcome!(done(failure.await), FailOutcome::Moved(stored) => stored);
        assert_eq!(*moved, before);
        assert_eq!(loaded(&store, &key).await, before);
    }
}

pub(in crate::store) async fn giving_up_is_refused_while_a_pair_is_pending<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    pending(fixture, &store, &key, (1, 2)).await;
    let claim = claimed(&store, &key, 3).await;
    let before = loaded(&store, &key).await;
    let failure = store.fail(&key, claim.failure(false, DEAD), SideEffects::none());
    let left = outcome!(done(failure.await), FailOutcome::PendingLeft(stored) => stored);
    assert_eq!(names(&left).pending, ["older"]);
    let after = loaded(&store, &key).await;
    assert_eq!(after.connection.status, before.connection.status);
    assert_eq!(names(&after), names(&before));
    let failure = store.fail(&key, claim.failure(true, LATER), SideEffects::none());
    assert_eq!(
        done(failure.await),
        FailOutcome::Applied,
        "a failure that does not give up is"
    );
}

pub(in crate::store) async fn giving_up_is_refused_while_another_claim_stands<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    fixture.advance(seconds(20));
    let failure = store.fail(&key, older.failure(true, DEAD), SideEffects::none());
    let (fence, until) = outcome!(
        done(failure.await),
        FailOutcome::Held { fence, until } => (fence, until)
    );
    assert_eq!((fence, until.remaining()), (younger.fence, seconds(40)));
    let seen = loaded(&store, &key).await.connection;
    assert_eq!(seen.status, Status::Connected);

    let failure = store.fail(&key, younger.failure(true, DEAD), SideEffects::none());
    assert_eq!(
        done(failure.await),
        FailOutcome::Applied,
        "the holder of the claim may"
    );
}

pub(in crate::store) async fn a_failure_counts_once_per_claim<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let failures = async || loaded(&store, &key).await.connection.failures;
    for number in 1..=2 {
        let claim = claimed(&store, &key, number).await;
        for resolves in [false, true, true] {
            let failure = store.fail(&key, claim.failure(resolves, LATER), SideEffects::none());
            assert_eq!(done(failure.await), FailOutcome::Applied);
            assert_eq!(failures().await, u32::from(number));
        }
    }
}

pub(in crate::store) async fn giving_up_keeps_the_credential<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let before = crate::store::steps::refreshed(&store, &key, 1, "second").await;
    let claim = claimed(&store, &key, 2).await;
    let failure = store.fail(&key, claim.failure(true, DEAD), SideEffects::none());
    assert_eq!(done(failure.await), FailOutcome::Applied);
    let after = loaded(&store, &key).await;
    assert_eq!(
        after.connection.status,
        Status::NeedsReauthorization(ReauthorizationReason::GrantRevoked)
    );
    assert_eq!(after.current, before.current);
    assert_eq!(after.previous, before.previous);
    assert_eq!(after.connection.generation, before.connection.generation);
}

pub(in crate::store) async fn a_failure_on_an_ended_connection_ends<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (ended, forgotten, never) = (key(1), key(2), key(3));
    connect(&store, &ended, "shop-1").await;
    let claim = claimed(&store, &ended, 1).await;
    deactivate(&store, &ended).await;
    let before = loaded(&store, &ended).await;
    for verdict in [LATER, DEAD] {
        let failure = store.fail(&ended, claim.failure(true, verdict), SideEffects::none());
        outcome!(done(failure.await), FailOutcome::Ended => ());
    }
    assert_eq!(loaded(&store, &ended).await, before);

    connect(&store, &forgotten, "shop-2").await;
    let claim = claimed(&store, &forgotten, 2).await;
    assert!(claim.fence > Fence::new(1));
    let request = EndRequest {
        how: End::Forget,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    done(store.end(&forgotten, request, SideEffects::none()).await);
    for key in [&forgotten, &never] {
        let failure = store.fail(key, claim.failure(true, DEAD), SideEffects::none());
        outcome!(done(failure.await), FailOutcome::Ended => ());
    }
}
