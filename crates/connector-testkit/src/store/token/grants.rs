//! Grants, and the side effects of their commits.

use std::sync::Arc;

use connector_core::store::{
    ClaimKind, ClaimRequest, CommitOutcome, End, EndOutcome, EndRequest, Expect, FailOutcome,
    Fence, Filter, Generation, GrantNumber, Patch, PutGrant, PutOutcome, SideEffects,
    UpdateOutcome, Verdict, WorkKind,
};
use connector_core::{Account, AppKey, ErrorKind, ProviderId, ReauthorizationReason, Status};

use super::reading::deactivate;
use crate::fixture::StoreFixture;
use crate::store::samples::{
    account_key, app, audit_entry, audited, claim_request, first_grant, key, key_of, next_grant,
    quarantine, sealed, seconds, state_key,
};
use crate::store::steps::{
    LATER, Names, claimed, connect, done, due, granted, joined, loaded, names, open, outcome,
    overtaken, pending, reasons, refreshed,
};

pub(in crate::store) async fn one_connection_per_account<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (first, second) = (key(1), key(2));
    connect(&store, &first, "shop-1").await;
    let before = loaded(&store, &first).await;

    let again = first_grant(&second, "shop-1");
    let moved = outcome!(
        done(store.put_grant(again.clone(), SideEffects::none()).await),
        PutOutcome::Moved(stored) => stored
    );
    assert_eq!(*moved, before);
    assert_eq!(done(store.load(&second).await), None);
    assert_eq!(loaded(&store, &first).await, before);

    deactivate(&store, &first).await;
    let moved = outcome!(
        done(store.put_grant(again, SideEffects::none()).await),
        PutOutcome::Moved(stored) => stored
    );
    assert_eq!(
        moved.connection.key, first,
        "an ended connection keeps its account"
    );

    connect(&store, &key_of("t2", 3), "shop-1").await;
    let put = PutGrant {
        app: app("other"),
        ..first_grant(&key(4), "shop-1")
    };
    let put = done(store.put_grant(put, SideEffects::none()).await);
    assert_eq!(
        put,
        PutOutcome::Stored,
        "another app has a separate connection"
    );
}

pub(in crate::store) async fn of_many_first_grants_one_is_stored<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let tasks: Vec<_> = (1..=32)
        .map(|number| {
            let store = Arc::clone(&stores[usize::from(number) % 2]);
            tokio::spawn(async move {
                let grant = first_grant(&key(number), "shop-1");
                done(store.put_grant(grant, SideEffects::none()).await)
            })
        })
        .collect();
    let (mut kept, mut moved) = (0, Vec::new());
    for task in tasks {
        match joined(task.await) {
            PutOutcome::Stored => kept += 1,
            PutOutcome::Moved(winner) => moved.push(winner.connection.key),
            PutOutcome::Missing => panic!("no grant was expected"),
        }
    }
    let listed = done(stores[0].list(&Filter::everyone(), None, 100).await).items;
    let keys: Vec<_> = listed
        .into_iter()
        .map(|connection| connection.key)
        .collect();
    assert_eq!((kept, keys.len()), (1, 1));
    assert!(moved.iter().all(|key| *key == keys[0]), "{moved:?}");
}

pub(in crate::store) async fn a_grant_over_a_moved_generation_is_refused<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    let stale = connect(&store, &key, "shop-1").await.connection;
    let before = refreshed(&store, &key, 1, "second").await;
    let grant = next_grant(&stale, before.connection.fence, "stale");
    let moved = outcome!(
        done(store.put_grant(grant, SideEffects::none()).await),
        PutOutcome::Moved(stored) => stored
    );
    assert_eq!(*moved, before);
    assert_eq!(loaded(&store, &key).await, before);
}

pub(in crate::store) async fn a_grant_for_a_missing_connection_is_refused<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let grant = PutGrant {
        expect: Expect::At(Generation::new(1)),
        grant: GrantNumber::new(2),
        generation: Generation::new(2),
        ..first_grant(&key(1), "shop-1")
    };
    let put = done(store.put_grant(grant, SideEffects::none()).await);
    assert_eq!(put, PutOutcome::Missing);
    assert_eq!(done(store.load(&key(1)).await), None);
}

pub(in crate::store) async fn a_new_grant_ends_older_claims_and_pairs<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    pending(fixture, &store, &key, (1, 2)).await;
    let older = claimed(&store, &key, 3).await;
    let mut rotated = older.commit("third");
    rotated.rotates = true;
    let commit = done(store.commit(&key, rotated, SideEffects::none()).await);
    assert_eq!(commit, CommitOutcome::Stored);
    let refresh = claimed(&store, &key, 4).await;
    fixture.advance(seconds(60));
    let seen = loaded(&store, &key).await.connection;
    assert!(seen.rotates, "the old grant was seen to rotate");
    let exchange = ClaimRequest {
        kind: ClaimKind::Exchange,
        ..claim_request(&seen, 5)
    };
    let exchange = granted(&store, &key, exchange).await;
    let put = store.put_grant(
        next_grant(&seen, exchange.fence, "anew"),
        SideEffects::none(),
    );
    assert_eq!(done(put.await), PutOutcome::Stored);

    let stored = loaded(&store, &key).await;
    assert_eq!(
        names(&stored),
        Names {
            current: Some("anew".to_owned()),
            previous: None,
            pending: Vec::new(),
        }
    );
    assert_eq!(stored.claim, None);
    assert!(
        !stored.connection.rotates,
        "the new grant was not seen to rotate"
    );
    assert_eq!(stored.connection.generation, seen.generation.next());
    assert_eq!(stored.connection.grant, seen.grant.next());
    let late = store.commit(&key, refresh.commit("late"), SideEffects::none());
    assert_eq!(done(late.await), CommitOutcome::Ended);
    assert_eq!(loaded(&store, &key).await, stored);
}

pub(in crate::store) async fn a_grant_whose_numbers_do_not_follow_is_refused<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let refused =
        async |grant: PutGrant, what: &str| match store.put_grant(grant, SideEffects::none()).await
        {
            Ok(outcome) => panic!("{what}: {outcome:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}"),
        };
    let first = first_grant(&key(1), "shop-1");
    let mut wrong = first.clone();
    wrong.grant = GrantNumber::new(2);
    refused(wrong, "a first grant that is not the first").await;
    let mut wrong = first;
    wrong.generation = Generation::new(2);
    refused(wrong, "a first generation that is not the first").await;
    assert_eq!(done(store.load(&key(1)).await), None);

    let first = connect(&store, &key(1), "shop-1").await;
    let claim = claimed(&store, &key(1), 1).await;
    let before = loaded(&store, &key(1)).await;
    let next = next_grant(&before.connection, claim.fence, "next");
    // One number is wrong at a time, so that each number is checked.
    for (grant, generation) in [(1, 2), (3, 2), (2, 1), (2, 3)] {
        let mut wrong = next.clone();
        wrong.grant = GrantNumber::new(grant);
        wrong.generation = Generation::new(generation);
        refused(wrong, &format!("grant {grant}, generation {generation}")).await;
    }
    for (fence, what) in [
        (Fence::default(), "no fence"),
        (first.connection.fence, "the fence of the first grant"),
        (claim.fence.next(), "a fence without a claim"),
    ] {
        let mut wrong = next.clone();
        wrong.fence = fence;
        refused(wrong, what).await;
    }
    assert_eq!(loaded(&store, &key(1)).await, before);
    let outcome = done(store.put_grant(next, SideEffects::none()).await);
    assert_eq!(outcome, PutOutcome::Stored);
}

pub(in crate::store) async fn a_grant_for_another_account_is_refused<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    connect(&store, &key(1), "shop-1").await;
    let claim = claimed(&store, &key(1), 1).await;
    let before = loaded(&store, &key(1)).await;
    let next = next_grant(&before.connection, claim.fence, "next");
    let wrong = [
        PutGrant {
            provider: ProviderId::from_static("other"),
            ..next.clone()
        },
        PutGrant {
            app: app("other"),
            ..next.clone()
        },
        PutGrant {
            account: Account::identified(account_key("shop-2")),
            ..next
        },
    ];
    for grant in wrong {
        match store.put_grant(grant, SideEffects::none()).await {
            Ok(outcome) => panic!("it was taken: {outcome:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        }
    }
    assert_eq!(loaded(&store, &key(1)).await, before);
}

pub(in crate::store) async fn a_grant_takes_its_quarantined_response<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    assert!(done(store.quarantine(quarantine(1, "answer")).await));
    assert!(done(store.quarantine(quarantine(2, "another")).await));
    let taking = |number, account| PutGrant {
        takes: Some(state_key(1)),
        ..first_grant(&key(number), account)
    };
    connect(&store, &key(1), "shop-1").await;
    let refused = store.put_grant(taking(2, "shop-1"), SideEffects::none());
    outcome!(done(refused.await), PutOutcome::Moved(_) => ());
    let kept = done(other.quarantined(&state_key(1)).await);
    assert!(kept.is_some(), "a refused grant consumes nothing");

    let put = done(
        store
            .put_grant(taking(2, "shop-2"), SideEffects::none())
            .await,
    );
    assert_eq!(put, PutOutcome::Stored);
    assert_eq!(done(other.quarantined(&state_key(1)).await), None);
    let kept = done(other.quarantined(&state_key(2)).await);
    assert!(kept.is_some(), "the response of another flow remains");
}

pub(in crate::store) async fn effects_ride_in_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    let effects = |reason: &str| {
        SideEffects::none()
            .with_work(WorkKind::Metadata, seconds(0))
            .with_audit(audit_entry(&key, reason))
    };
    let mut expected = Vec::new();
    let mut check = async |reason: &str| {
        expected.push(reason.to_owned());
        assert_eq!(reasons(&other).await, expected, "the audit after {reason}");
        let work = vec![(key.clone(), WorkKind::Metadata)];
        assert_eq!(due(&other).await, work, "the work after {reason}");
    };

    let put = store.put_grant(first_grant(&key, "shop-1"), effects("put"));
    assert_eq!(done(put.await), PutOutcome::Stored);
    check("put").await;

    let at = loaded(&store, &key).await.connection.version;
    let update = store.update(&key, at, Patch::default(), effects("update"));
    outcome!(done(update.await), UpdateOutcome::Updated(_) => ());
    check("update").await;

    let claim = claimed(&store, &key, 1).await;
    let commit = store.commit(&key, claim.commit("second"), effects("commit"));
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    check("commit").await;

    let claim = claimed(&store, &key, 2).await;
    let failure = store.fail(&key, claim.failure(true, LATER), effects("fail"));
    assert_eq!(done(failure.await), FailOutcome::Applied);
    check("fail").await;

    let both = effects("end").with_audit(audit_entry(&key, "end, second entry"));
    let request = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    let end = done(store.end(&key, request, both).await);
    assert_eq!(end, EndOutcome::Ended);
    expected.push("end".to_owned());
    expected.push("end, second entry".to_owned());
    assert_eq!(reasons(&other).await, expected);
    assert_eq!(due(&other).await, [(key, WorkKind::Metadata)]);
}

pub(in crate::store) async fn refused_changes_have_no_effects<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (key, absent) = (key(1), key(9));
    let effects = |reason: &str| {
        SideEffects::none()
            .with_work(WorkKind::Metadata, seconds(0))
            .with_audit(audit_entry(&key, reason))
    };
    let stale = connect(&store, &key, "shop-1").await.connection;
    let late = pending(fixture, &store, &key, (1, 2)).await;

    let put = store.put_grant(first_grant(&absent, "shop-1"), effects("put, taken"));
    outcome!(done(put.await), PutOutcome::Moved(_) => ());
    let put = next_grant(&stale, late.fence, "stale");
    let put = store.put_grant(put, effects("put, moved"));
    outcome!(done(put.await), PutOutcome::Moved(_) => ());
    let put = PutGrant {
        key: absent.clone(),
        ..next_grant(&stale, late.fence, "missing")
    };
    let put = store.put_grant(put, effects("put, missing"));
    outcome!(done(put.await), PutOutcome::Missing => ());

    let update = store.update(
        &key,
        stale.version,
        Patch::default(),
        effects("update, moved"),
    );
    outcome!(done(update.await), UpdateOutcome::Moved(_) => ());
    let update = store.update(
        &absent,
        stale.version,
        Patch::default(),
        effects("update, missing"),
    );
    outcome!(done(update.await), UpdateOutcome::Missing => ());

    let commit = store.commit(&absent, late.commit("absent"), effects("commit, ended"));
    assert_eq!(done(commit.await), CommitOutcome::Ended);
    let (older, younger) = overtaken(fixture, &store, &key, (6, 7)).await;
    let commit = store.commit(&key, younger.commit("in time"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let commit = store.commit(&key, older.commit("late"), effects("commit, pending"));
    assert_eq!(done(commit.await), CommitOutcome::Pending);

    let failure = store.fail(&key, late.failure(true, LATER), effects("fail, moved"));
    outcome!(done(failure.await), FailOutcome::Moved(_) => ());
    let dead = || Verdict::GiveUp {
        reason: ReauthorizationReason::GrantRevoked,
    };
    let claim = claimed(&store, &key, 3).await;
    let failure = store.fail(&key, claim.failure(false, dead()), effects("fail, pending"));
    outcome!(done(failure.await), FailOutcome::PendingLeft(_) => ());
    let failure = store.fail(&absent, claim.failure(true, dead()), effects("fail, ended"));
    outcome!(done(failure.await), FailOutcome::Ended => ());

    let end = |how| EndRequest {
        how,
        at: Some(stale.generation),
        revoke: Vec::new(),
        unsubscribe: None,
    };
    let moved = store.end(&key, end(End::Deactivate), effects("end, moved"));
    outcome!(done(moved.await), EndOutcome::Moved(_) => ());
    let missing = store.end(&absent, end(End::Forget), effects("end, missing"));
    outcome!(done(missing.await), EndOutcome::Missing => ());

    let held = crate::store::samples::key(2);
    connect(&store, &held, "shop-2").await;
    let (older, _younger) = overtaken(fixture, &store, &held, (4, 5)).await;
    let failure = store.fail(&held, older.failure(true, dead()), effects("fail, held"));
    outcome!(done(failure.await), FailOutcome::Held { .. } => ());

    assert_eq!(reasons(&store).await, Vec::<String>::new());
    assert_eq!(due(&store).await, []);
}

pub(in crate::store) async fn putting_a_grant_twice_stores_it_once<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    let first = first_grant(&key, "shop-1");
    for store in [&store, &other] {
        let put = store.put_grant(first.clone(), audited(&key, "first"));
        assert_eq!(done(put.await), PutOutcome::Stored);
    }
    let stored = loaded(&store, &key).await;
    assert_eq!(reasons(&store).await, ["first"]);

    let claim = claimed(&store, &key, 1).await;
    let next = next_grant(&stored.connection, claim.fence, "second");
    for store in [&store, &other] {
        let put = store.put_grant(next.clone(), audited(&key, "second"));
        assert_eq!(done(put.await), PutOutcome::Stored);
    }
    let stored = loaded(&store, &key).await;
    assert_eq!(stored.connection.grant, GrantNumber::new(2));
    assert_eq!(stored.connection.generation, Generation::new(2));
    assert_eq!(reasons(&store).await, ["first", "second"]);

    refreshed(&store, &key, 2, "third").await;
    let late = done(store.put_grant(next, SideEffects::none()).await);
    outcome!(late, PutOutcome::Moved(_) => ());

    let other_bytes = PutGrant {
        credential: sealed("other bytes"),
        app: AppKey::default(),
        ..first_grant(&crate::store::samples::key(2), "shop-2")
    };
    connect(&store, &other_bytes.key, "shop-2").await;
    let other = done(store.put_grant(other_bytes, SideEffects::none()).await);
    outcome!(other, PutOutcome::Moved(_) => ());
    let status = loaded(&store, &key).await.connection.status;
    assert_eq!(status, Status::Connected);
}
