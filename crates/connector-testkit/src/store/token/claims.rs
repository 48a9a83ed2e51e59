//! Claims.

use std::sync::Arc;

use connector_core::store::{
    ClaimKind, ClaimOutcome, ClaimRequest, ConnectionRecord, End, EndRequest, FailOutcome, Fence,
    GrantNumber, PutOutcome, SideEffects, TimeLeft,
};

use super::reading::deactivate;
use crate::fixture::StoreFixture;
use crate::store::samples::{HOLD, claim_id, claim_request, key, next_grant, seconds};
use crate::store::steps::{
    LATER, claimed, connect, done, granted, joined, loaded, open, outcome, overtaken, refreshed,
};

fn exchange(seen: &ConnectionRecord, number: u8) -> ClaimRequest {
    ClaimRequest {
        kind: ClaimKind::Exchange,
        ..claim_request(seen, number)
    }
}

pub(in crate::store) async fn a_claim_of_a_moved_generation_returns_the_row<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    let stale = connect(&store, &key, "shop-1").await.connection;
    let before = refreshed(&store, &key, 1, "second").await;
    let wrong = [
        claim_request(&stale, 2),
        exchange(&stale, 3),
        ClaimRequest {
            grant: GrantNumber::new(2),
            ..claim_request(&before.connection, 4)
        },
        ClaimRequest {
            seen: before.connection.generation.next(),
            ..claim_request(&before.connection, 5)
        },
    ];
    for request in wrong {
        let moved = outcome!(
            done(store.claim(&key, request).await),
            ClaimOutcome::Moved(stored) => stored
        );
        assert_eq!(*moved, before);
        assert_eq!(loaded(&store, &key).await, before, "nothing is written");
    }
}

pub(in crate::store) async fn a_standing_claim_is_held<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    let seen = connect(&store, &key, "shop-1").await.connection;
    let claim = claimed(&store, &key, 1).await;
    fixture.advance(seconds(59));
    for (number, request) in [(2, claim_request(&seen, 2)), (3, exchange(&seen, 3))] {
        let (fence, until) = outcome!(
            done(other.claim(&key, request).await),
            ClaimOutcome::Held { fence, until } => (fence, until)
        );
        assert_eq!(fence, claim.fence, "claim {number}");
        assert_eq!(until.remaining(), seconds(1), "claim {number}");
    }
    let standing = loaded(&store, &key).await.claim;
    assert_eq!(standing.map(|claim| claim.claim_id), Some(claim_id(1)));
}

pub(in crate::store) async fn of_many_claims_one_is_granted<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let key = key(1);
    let seen = connect(&stores[0], &key, "shop-1").await.connection;
    let tasks: Vec<_> = (1..=32_u8)
        .map(|number| {
            let store = Arc::clone(&stores[usize::from(number) % 2]);
            let (key, request) = (key.clone(), claim_request(&seen, number));
            tokio::spawn(async move { done(store.claim(&key, request).await) })
        })
        .collect();
    let (mut granted, mut held) = (Vec::new(), Vec::new());
    for task in tasks {
        match joined(task.await) {
            ClaimOutcome::Granted { fence, .. } => granted.push(fence),
            ClaimOutcome::Held { fence, .. } => held.push(fence),
            other => panic!("expected Granted or Held, got {other:?}"),
        }
    }
    assert_eq!(granted.len(), 1, "{granted:?}");
    assert!(held.iter().all(|fence| *fence == granted[0]), "{held:?}");
    let standing = loaded(&stores[1], &key).await.claim;
    assert_eq!(standing.map(|claim| claim.fence), Some(granted[0]));
}

pub(in crate::store) async fn a_claim_past_its_hold_is_superseded<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    assert_eq!(older.superseded, None);
    assert!(younger.fence > older.fence);
    let Some(superseded) = younger.superseded.clone() else {
        panic!("the older claim is not reported");
    };
    assert_eq!(superseded.claim_id, claim_id(1));
    assert_eq!(superseded.fence, older.fence);
    assert_eq!(superseded.grant, older.request.grant);
    assert_eq!(superseded.generation, older.request.seen);
    assert_eq!(superseded.kind, ClaimKind::Refresh);
    assert!(superseded.until.has_passed());

    let resolved = store.fail(&key, younger.failure(true, LATER), SideEffects::none());
    assert_eq!(done(resolved.await), FailOutcome::Applied);
    let third = claimed(&store, &key, 3).await;
    assert_eq!(third.superseded, None, "a resolved claim is not superseded");
}

pub(in crate::store) async fn fences_only_grow<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let key = key(1);
    let mut last = connect(&stores[0], &key, "shop-1").await.connection.fence;
    let mut grown = |fence: Fence, after: &str| {
        assert!(fence > last, "fence {fence} after {last}, {after}");
        last = fence;
    };
    grown(claimed(&stores[0], &key, 1).await.fence, "a first grant");
    fixture.advance(HOLD);
    let claim = claimed(&stores[1], &key, 2).await;
    grown(claim.fence, "an unresolved claim");
    let commit = stores[1].commit(&key, claim.commit("second"), SideEffects::none());
    done(commit.await);
    let claim = claimed(&stores[0], &key, 3).await;
    grown(claim.fence, "a commit");
    let failure = stores[0].fail(&key, claim.failure(true, LATER), SideEffects::none());
    done(failure.await);
    let seen = loaded(&stores[1], &key).await.connection;
    let claim = granted(&stores[1], &key, exchange(&seen, 4)).await;
    grown(claim.fence, "a failure");
    let put = stores[1].put_grant(next_grant(&seen, claim.fence, "anew"), SideEffects::none());
    assert_eq!(done(put.await), PutOutcome::Stored);
    let claim = claimed(&stores[0], &key, 5).await;
    grown(claim.fence, "a new grant");
    deactivate(&stores[0], &key).await;
    let seen = loaded(&stores[1], &key).await.connection;
    let claim = granted(&stores[1], &key, exchange(&seen, 6)).await;
    grown(claim.fence, "an end");
    let put = stores[1].put_grant(next_grant(&seen, claim.fence, "again"), SideEffects::none());
    assert_eq!(done(put.await), PutOutcome::Stored);
    grown(claimed(&stores[0], &key, 7).await.fence, "a reconnect");
}

pub(in crate::store) async fn a_repeated_claim_returns_the_first_result<F: StoreFixture>(
    fixture: &F,
) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let (_older, younger) = overtaken(fixture, &store, &key, (1, 2)).await;
    fixture.advance(seconds(10));
    let again = granted(&other, &key, younger.request.clone()).await;
    assert_eq!(again.fence, younger.fence);
    let named = |claim: Option<connector_core::store::Claim>| claim.map(|claim| claim.claim_id);
    assert_eq!(named(again.superseded), named(younger.superseded));
    assert_eq!(
        again.until.remaining(),
        seconds(50),
        "a repetition does not extend the lifetime of the claim"
    );
    let seen = loaded(&store, &key).await.connection;
    assert_eq!(seen.fence, younger.fence, "no fence was used");
}

pub(in crate::store) async fn granted_carries_the_claimed_row<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    refreshed(&store, &key, 1, "second").await;
    let claim = claimed(&store, &key, 2).await;
    assert_eq!(claim.stored, loaded(&other, &key).await);
    let Some(standing) = claim.stored.claim else {
        panic!("the row does not contain the claim");
    };
    assert_eq!(standing.claim_id, claim_id(2));
    assert_eq!(standing.fence, claim.fence);
    assert_eq!(standing.generation, claim.request.seen);
    assert_eq!(standing.grant, claim.request.grant);
    assert_eq!(standing.kind, ClaimKind::Refresh);
    assert_eq!(standing.until, claim.until);
    assert_eq!(claim.stored.connection.fence, claim.fence);
    assert_eq!(TimeLeft::remaining(claim.until), HOLD);
}

pub(in crate::store) async fn a_claim_on_an_ended_connection_ends<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (ended, forgotten, never) = (key(1), key(2), key(3));
    connect(&store, &ended, "shop-1").await;
    deactivate(&store, &ended).await;
    let seen = loaded(&store, &ended).await.connection;
    outcome!(
        done(store.claim(&ended, claim_request(&seen, 1)).await),
        ClaimOutcome::Ended => ()
    );
    assert_eq!(loaded(&store, &ended).await.claim, None);

    let seen = connect(&store, &forgotten, "shop-2").await.connection;
    let request = EndRequest {
        how: End::Forget,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    done(store.end(&forgotten, request, SideEffects::none()).await);
    for key in [&forgotten, &never] {
        for request in [claim_request(&seen, 2), exchange(&seen, 3)] {
            outcome!(
                done(store.claim(key, request).await),
                ClaimOutcome::Ended => ()
            );
        }
    }
}

pub(in crate::store) async fn a_deactivated_connection_can_be_claimed_for_exchange<
    F: StoreFixture,
>(
    fixture: &F,
) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    deactivate(&store, &key).await;
    let seen = loaded(&store, &key).await.connection;
    let claim = granted(&store, &key, exchange(&seen, 1)).await;
    assert_eq!(claim.stored.current, None);
    outcome!(
        done(other.claim(&key, exchange(&seen, 2)).await),
        ClaimOutcome::Held { fence, .. } => assert_eq!(fence, claim.fence)
    );
    let put = other.put_grant(next_grant(&seen, claim.fence, "again"), SideEffects::none());
    assert_eq!(done(put.await), PutOutcome::Stored);
    let stored = loaded(&store, &key).await;
    assert!(stored.connection.is_live());
    assert_eq!(stored.claim, None);
}
