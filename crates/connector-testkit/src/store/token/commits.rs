//! Commits of exchange results.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use connector_core::store::{
    ClaimKind, ClaimRequest, Commit, CommitOutcome, End, EndRequest, Expiries, FailOutcome, Fence,
    PutOutcome, SideEffects, TimeLeft,
};
use connector_core::{DegradedReason, Status};

use super::reading::deactivate;
use crate::fixture::StoreFixture;
use crate::store::samples::{
    HOLD, audited as effects, claim_id, claim_request, key, name_of, next_grant, seconds,
};
use crate::store::steps::{
    LATER, Names, claimed, connect, done, granted, loaded, names, open, overtaken, pending,
    reasons, refreshed,
};

pub(in crate::store) async fn a_commit_moves_the_generation<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let failed = claimed(&store, &key, 1).await;
    let failure = store.fail(&key, failed.failure(true, LATER), SideEffects::none());
    assert_eq!(done(failure.await), FailOutcome::Applied);
    let before = loaded(&store, &key).await;
    assert_eq!(before.connection.failures, 1);
    fixture.advance(seconds(100));

    let claim = claimed(&store, &key, 2).await;
    let degraded = Status::Degraded(DegradedReason::ScopesReduced);
    let commit = Commit {
        status: degraded.clone(),
        expiries: Expiries {
            access: Some(seconds(7_200)),
            refresh: None,
        },
        ..claim.commit("second")
    };
    let commit = done(store.commit(&key, commit, SideEffects::none()).await);
    assert_eq!(commit, CommitOutcome::Stored);

    let after = loaded(&reader, &key).await;
    let seen = &after.connection;
    assert_eq!(seen.generation, before.connection.generation.next());
    assert_eq!(seen.grant, before.connection.grant);
    assert_eq!(seen.failures, 0);
    assert_eq!(seen.status, degraded);
    assert_eq!(
        seen.refreshed_at,
        before.connection.refreshed_at.after(seconds(100))
    );
    assert_eq!(seen.updated_at, seen.refreshed_at);
    assert_eq!(seen.created_at, before.connection.created_at);
    assert!(seen.version > before.connection.version);
    let (current, previous) = match (after.current, after.previous) {
        (Some(current), Some(previous)) => (current, previous),
        (current, previous) => panic!("current {current:?}, previous {previous:?}"),
    };
    assert_eq!(name_of(&current.sealed), "second");
    assert_eq!(current.generation, seen.generation);
    assert_eq!(current.grant, seen.grant);
    assert_eq!(current.fence, claim.fence);
    let left = current.access_left.map(TimeLeft::remaining);
    assert_eq!(left, Some(seconds(7_200)));
    assert_eq!(current.refresh_left, None);
    assert_eq!(name_of(&previous.sealed), "first");
    assert_eq!(previous.generation, before.connection.generation);
    assert_eq!(previous.fence, Fence::new(1));
    let left = previous.access_left.map(TimeLeft::remaining);
    assert_eq!(left, Some(seconds(3_500)));
}

pub(in crate::store) async fn a_commit_clears_its_own_claim<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let claim = claimed(&store, &key, 1).await;
    let commit = store.commit(&key, claim.commit("second"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    assert_eq!(loaded(&reader, &key).await.claim, None);
    let next = claimed(&reader, &key, 2).await;
    assert_eq!(next.superseded, None);
}

pub(in crate::store) async fn a_commit_leaves_a_younger_claim<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    let commit = store.commit(&key, older.commit("older"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let stored = loaded(&store, &key).await;
    assert_eq!(names(&stored).current.as_deref(), Some("older"));
    let standing = stored.claim.map(|claim| claim.fence);
    assert_eq!(standing, Some(younger.fence));
}

pub(in crate::store) async fn a_late_commit_is_kept_as_pending<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (first, second) = overtaken(fixture, &store, &key, (1, 2)).await;
    fixture.advance(HOLD);
    let third = claimed(&store, &key, 3).await;
    // The oldest response arrives first, while the youngest claim is still active.
    let commit = store.commit(&key, first.commit("first answer"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let before = loaded(&store, &key).await;

    for (claim, name) in [(&second, "second answer"), (&third, "third answer")] {
        let late = Commit {
            status: Status::AppMisconfigured,
            rotates: true,
            ..claim.commit(name)
        };
        let commit = done(store.commit(&key, late, SideEffects::none()).await);
        assert_eq!(commit, CommitOutcome::Pending);
    }
    let after = loaded(&reader, &key).await;
    assert_eq!(
        names(&after),
        Names {
            current: Some("first answer".to_owned()),
            previous: Some("first".to_owned()),
            pending: vec!["third answer".to_owned(), "second answer".to_owned()],
        }
    );
    let kept = &after.pending[0];
    assert_eq!(kept.fence, third.fence);
    assert_eq!(kept.base, third.request.seen);
    assert_eq!(kept.grant, third.request.grant);
    let left = kept.access_left.map(TimeLeft::remaining);
    assert_eq!(left, Some(seconds(3_600)));
    assert_eq!(after.claim, None, "its own claim is resolved");
    assert_eq!(after.connection.status, before.connection.status);
    assert_eq!(after.connection.generation, before.connection.generation);
    assert_eq!(
        after.connection.refreshed_at,
        before.connection.refreshed_at
    );
    assert_eq!(after.current, before.current);
    assert_eq!(after.previous, before.previous);
}

pub(in crate::store) async fn a_commit_of_an_ended_grant_is_refused<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (replaced, ended, forgotten, never) = (key(1), key(2), key(3), key(4));
    connect(&store, &replaced, "shop-1").await;
    let late = claimed(&store, &replaced, 1).await;
    fixture.advance(HOLD);
    let claim = claimed(&store, &replaced, 2).await;
    let grant = next_grant(&claim.stored.connection, claim.fence, "anew");
    let put = done(store.put_grant(grant, SideEffects::none()).await);
    assert_eq!(put, PutOutcome::Stored);
    let before = loaded(&store, &replaced).await;
    let commit = store.commit(&replaced, late.commit("late"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Ended);
    assert_eq!(loaded(&store, &replaced).await, before, "nothing is stored");

    connect(&store, &ended, "shop-2").await;
    let late = claimed(&store, &ended, 3).await;
    deactivate(&store, &ended).await;
    let before = loaded(&store, &ended).await;
    let commit = store.commit(&ended, late.commit("late"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Ended);
    assert_eq!(loaded(&store, &ended).await, before, "nothing is stored");

    let exchange = ClaimRequest {
        kind: ClaimKind::Exchange,
        ..claim_request(&before.connection, 5)
    };
    let claim = granted(&store, &ended, exchange).await;
    let commit = store.commit(&ended, claim.commit("not a grant"), SideEffects::none());
    assert_eq!(
        done(commit.await),
        CommitOutcome::Ended,
        "the connection needs a new grant"
    );
    assert_eq!(loaded(&store, &ended).await.current, None);

    connect(&store, &forgotten, "shop-3").await;
    let late = claimed(&store, &forgotten, 4).await;
    let request = EndRequest {
        how: End::Forget,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    done(store.end(&forgotten, request, SideEffects::none()).await);
    for key in [&forgotten, &never] {
        let commit = store.commit(key, late.commit("late"), SideEffects::none());
        assert_eq!(done(commit.await), CommitOutcome::Ended);
        assert_eq!(done(store.load(key).await), None);
    }
}

pub(in crate::store) async fn a_pending_pair_becomes_current<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let late = pending(fixture, &store, &key, (1, 2)).await;
    let claim = claimed(&store, &key, 3).await;
    let take = |fence| Commit {
        takes_pending: Some(fence),
        ..claim.commit("older")
    };
    let before = loaded(&store, &key).await;
    let unknown = Commit {
        claim_id: claim_id(9),
        ..take(Fence::new(99))
    };
    let commit = done(store.commit(&key, unknown, SideEffects::none()).await);
    assert_eq!(
        commit,
        CommitOutcome::Pending,
        "there is no such pending pair"
    );
    let after = loaded(&store, &key).await;
    assert_eq!(names(&after), names(&before));
    assert_eq!(after.connection, before.connection);
    assert_eq!(
        after.claim, before.claim,
        "it may still bring a credential of its own"
    );

    let commit = done(
        store
            .commit(&key, take(late.fence), SideEffects::none())
            .await,
    );
    assert_eq!(commit, CommitOutcome::Stored);
    let after = loaded(&reader, &key).await;
    assert_eq!(
        names(&after),
        Names {
            current: Some("older".to_owned()),
            previous: Some("younger".to_owned()),
            pending: Vec::new(),
        }
    );
    let fence = after.current.map(|held| held.fence);
    assert_eq!(fence, Some(late.fence), "it was sealed under that fence");
    assert_eq!(after.claim, None);
    assert_eq!(
        after.connection.generation,
        before.connection.generation.next()
    );
}

pub(in crate::store) async fn an_observed_rotation_is_remembered<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    assert!(!refreshed(&store, &key, 1, "same").await.connection.rotates);
    let claim = claimed(&store, &key, 2).await;
    let commit = Commit {
        rotates: true,
        ..claim.commit("rotated")
    };
    done(store.commit(&key, commit, SideEffects::none()).await);
    assert!(loaded(&store, &key).await.connection.rotates);
    let seen = refreshed(&store, &key, 3, "same again").await.connection;
    assert!(seen.rotates, "one rotation is sufficient");
}

/// Polls a call at most `polls` times and then drops it. Returns true if the call completed.
async fn dropped_after<T>(call: impl Future<Output = T>, polls: usize) -> bool {
    let mut call = pin!(call);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        match call.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub(in crate::store) async fn a_dropped_commit_is_whole<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    for polls in 0_u8..20 {
        let key = key(polls);
        let reason = format!("after {polls} polls");
        connect(&store, &key, &format!("shop-{polls}")).await;
        let claim = claimed(&store, &key, polls).await;
        let commit = store.commit(&key, claim.commit("second"), effects(&key, &reason));
        let returned = dropped_after(commit, polls.into()).await;
        // Work that a dropped call left running may finish between two reads.
        let (stored, audited) = loop {
            let before = reasons(&reader).await;
            let stored = loaded(&reader, &key).await;
            if reasons(&reader).await == before {
                break (stored, before.contains(&reason));
            }
        };
        let moved = stored.connection.generation > claim.request.seen;
        assert_eq!(moved, audited, "credential and effects {reason}");
        assert_eq!(
            moved,
            stored.claim.is_none(),
            "credential and claim {reason}"
        );
        assert!(moved || !returned, "a completed call is stored, {reason}");
        let repeated = store.commit(&key, claim.commit("second"), effects(&key, &reason));
        assert_eq!(done(repeated.await), CommitOutcome::Stored, "{reason}");
        let times = reasons(&reader)
            .await
            .iter()
            .filter(|it| **it == reason)
            .count();
        assert_eq!(times, 1, "a repetition completes it {reason}");
    }
}

pub(in crate::store) async fn a_repeated_commit_returns_the_first_result<F: StoreFixture>(
    fixture: &F,
) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    let stored = younger.commit("stored");
    let kept = older.commit("kept");
    for (store, round) in [(&store, "first"), (&other, "second")] {
        let commit = store.commit(&key, stored.clone(), effects(&key, "stored"));
        assert_eq!(done(commit.await), CommitOutcome::Stored, "{round} time");
        let commit = store.commit(&key, kept.clone(), SideEffects::none());
        assert_eq!(done(commit.await), CommitOutcome::Pending, "{round} time");
    }
    let seen = loaded(&store, &key).await;
    assert_eq!(
        names(&seen),
        Names {
            current: Some("stored".to_owned()),
            previous: Some("first".to_owned()),
            pending: vec!["kept".to_owned()],
        }
    );
    assert_eq!(
        reasons(&store).await,
        ["stored"],
        "its side effects were applied once"
    );

    let claim = claimed(&store, &key, 3).await;
    let first = claim.commit("first of eight");
    let commit = store.commit(&key, first.clone(), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    for number in 4..11 {
        refreshed(&store, &key, number, &format!("refresh {number}")).await;
    }
    let before = loaded(&store, &key).await;
    let commit = store.commit(&key, first, effects(&key, "again"));
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    assert_eq!(loaded(&store, &key).await, before, "nothing changes");
    assert_eq!(reasons(&store).await, ["stored"]);
}
