//! The cases of `StateStore`.

use std::sync::Arc;

use connector_core::store::{BeginOutcome, ConnectOutcome, NewState, PutStateOutcome, StateKey};

use super::samples::{key, new_state, seconds, state_key, tenant};
use super::steps::{done, joined, open};
use crate::fixture::StoreFixture;

const BINDING: [u8; 32] = [7; 32];
const OTHER_BINDING: [u8; 32] = [8; 32];
const CODE: [u8; 32] = [1; 32];
const OTHER_CODE: [u8; 32] = [2; 32];

fn failed(reason: &str, code: Option<&str>) -> ConnectOutcome {
    ConnectOutcome::Failed {
        reason: reason.to_owned(),
        code: code.map(str::to_owned),
    }
}

pub(super) async fn too_many_open_states_are_refused<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let most = u8::try_from(StateKey::OPEN_PER_TENANT).unwrap_or(u8::MAX);
    for number in 0..most {
        let put = done(store.put_state(new_state(number)).await);
        assert_eq!(put, PutStateOutcome::Stored, "state {number}");
    }
    let one_more = || new_state(200);
    assert_eq!(
        done(other.put_state(one_more()).await),
        PutStateOutcome::TooMany
    );
    let nothing = done(store.begin(&state_key(200), &BINDING, &CODE).await);
    assert_eq!(nothing, BeginOutcome::Unknown, "nothing was written");
    let theirs = NewState {
        tenant: tenant("t2"),
        ..new_state(201)
    };
    let put = done(store.put_state(theirs).await);
    assert_eq!(
        put,
        PutStateOutcome::Stored,
        "another tenant has its own limit"
    );

    done(store.begin(&state_key(0), &BINDING, &CODE).await);
    let put = done(store.put_state(one_more()).await);
    assert_eq!(
        put,
        PutStateOutcome::Stored,
        "a flow that has begun does not count"
    );
    let put = done(store.put_state(new_state(202)).await);
    assert_eq!(put, PutStateOutcome::TooMany);
    fixture.advance(seconds(600));
    let put = done(store.put_state(new_state(202)).await);
    assert_eq!(put, PutStateOutcome::Stored, "expired flows do not count");
}

pub(super) async fn too_many_unfinished_states_are_refused<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let state = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes()[..8]);
        NewState {
            key: StateKey::from_bytes(bytes),
            ..new_state(1)
        }
    };
    for number in 0..StateKey::UNFINISHED_PER_TENANT {
        let put = done(store.put_state(state(number)).await);
        assert_eq!(put, PutStateOutcome::Stored, "state {number}");
        let key = state(number).key;
        let begun = done(store.begin(&key, &BINDING, &CODE).await);
        assert_eq!(begun, BeginOutcome::First, "state {number}");
    }
    let next = || state(StateKey::UNFINISHED_PER_TENANT);
    let put = done(store.put_state(next()).await);
    assert_eq!(put, PutStateOutcome::TooMany);
    let theirs = NewState {
        tenant: tenant("t2"),
        ..state(1_000)
    };
    let put = done(store.put_state(theirs).await);
    assert_eq!(put, PutStateOutcome::Stored, "another tenant's limit");
    let first = state(0).key;
    let finished = store.finish_state(&first, failed("consent_denied", None));
    assert!(done(finished.await));
    let put = done(store.put_state(next()).await);
    assert_eq!(
        put,
        PutStateOutcome::Stored,
        "a finished flow does not count"
    );
}

pub(super) async fn a_finished_state_is_dropped_early<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for number in [1, 2, 3] {
        done(store.put_state(new_state(number)).await);
        done(store.begin(&state_key(number), &BINDING, &CODE).await);
    }
    let outcome = failed("consent_denied", None);
    assert!(done(
        store.finish_state(&state_key(1), outcome.clone()).await
    ));
    // A flow with a shorter retention is not kept longer.
    let short = NewState {
        keep_for: seconds(60),
        ..new_state(4)
    };
    done(store.put_state(short).await);
    done(store.begin(&state_key(4), &BINDING, &CODE).await);
    assert!(done(
        store.finish_state(&state_key(4), outcome.clone()).await
    ));
    fixture.advance(seconds(60));
    let gone = done(store.begin(&state_key(4), &BINDING, &CODE).await);
    assert_eq!(gone, BeginOutcome::Unknown, "its own retention");
    fixture.advance(StateKey::FINISHED_FOR.saturating_sub(seconds(61)));
    let kept = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(
        kept,
        BeginOutcome::Done(outcome),
        "a second load of the page"
    );
    fixture.advance(seconds(1));
    let gone = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(gone, BeginOutcome::Unknown);
    assert_eq!(done(store.purge(100).await), 2, "only the finished flows");
    for number in [2, 3] {
        let unfinished = done(store.begin(&state_key(number), &BINDING, &CODE).await);
        assert_eq!(unfinished, BeginOutcome::InProgress, "state {number}");
    }
}

pub(super) async fn a_state_is_read_back<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let put = done(store.put_state(new_state(1)).await);
    assert_eq!(put, PutStateOutcome::Stored);
    let read = done(other.state(&state_key(1)).await).map(|it| (it.tenant, it.app, it.sealed));
    let written = new_state(1);
    assert_eq!(read, Some((written.tenant, written.app, written.sealed)));
    assert_eq!(done(store.state(&state_key(2)).await), None);
    let first = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(first, BeginOutcome::First, "a read consumes nothing");
    assert!(done(store.state(&state_key(1)).await).is_some());

    done(store.put_state(new_state(3)).await);
    fixture.advance(seconds(600));
    assert_eq!(done(store.state(&state_key(3)).await), None, "it expired");
    assert!(
        done(store.state(&state_key(1)).await).is_some(),
        "a flow that has begun is kept"
    );
}

pub(super) async fn put_state_twice_stores_it_once<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    for store in [&store, &other, &store] {
        let put = done(store.put_state(new_state(1)).await);
        assert_eq!(put, PutStateOutcome::Stored);
    }
    let most = u8::try_from(StateKey::OPEN_PER_TENANT).unwrap_or(u8::MAX);
    for number in 2..=most {
        let put = done(store.put_state(new_state(number)).await);
        assert_eq!(put, PutStateOutcome::Stored, "state {number}");
    }
    let put = done(other.put_state(new_state(1)).await);
    assert_eq!(put, PutStateOutcome::Stored, "a repetition at the limit");
    let first = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(first, BeginOutcome::First);
    let put = done(other.put_state(new_state(1)).await);
    assert_eq!(put, PutStateOutcome::Stored);
    let again = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(
        again,
        BeginOutcome::InProgress,
        "a repetition does not reset a flow that has begun"
    );
}

pub(super) async fn a_state_begins_once<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    done(stores[0].put_state(new_state(1)).await);
    let tasks: Vec<_> = (0..32)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { done(store.begin(&state_key(1), &BINDING, &CODE).await) })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        match joined(task.await) {
            BeginOutcome::First => first += 1,
            BeginOutcome::InProgress => {}
            other => panic!("expected First or InProgress, got {other:?}"),
        }
    }
    assert_eq!(first, 1, "callbacks that were the first");
}

pub(super) async fn the_same_code_again_is_in_progress<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    let first = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(first, BeginOutcome::First);
    for store in [&store, &other] {
        let again = done(store.begin(&state_key(1), &BINDING, &CODE).await);
        assert_eq!(again, BeginOutcome::InProgress);
    }
}

pub(super) async fn a_finished_state_returns_its_outcome<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let outcomes = [
        (1, ConnectOutcome::Connected { connection: key(1) }),
        (2, failed("consent_denied", None)),
        (3, failed("code_refused", Some("redirect_uri_mismatch"))),
    ];
    for (number, outcome) in outcomes {
        done(store.put_state(new_state(number)).await);
        done(store.begin(&state_key(number), &BINDING, &CODE).await);
        assert!(done(
            store
                .finish_state(&state_key(number), outcome.clone())
                .await
        ));
        let again = done(other.begin(&state_key(number), &BINDING, &CODE).await);
        assert_eq!(again, BeginOutcome::Done(outcome));
    }
}

pub(super) async fn another_code_is_a_conflict<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    done(store.begin(&state_key(1), &BINDING, &CODE).await);
    let conflict = done(other.begin(&state_key(1), &BINDING, &OTHER_CODE).await);
    assert_eq!(conflict, BeginOutcome::Conflict { first: true });
    let conflict = done(store.begin(&state_key(1), &BINDING, &[3; 32]).await);
    let again = BeginOutcome::Conflict { first: false };
    assert_eq!(conflict, again, "for any other code");
    let unharmed = done(other.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(unharmed, BeginOutcome::InProgress);
    done(
        store
            .finish_state(&state_key(1), failed("consent_denied", None))
            .await,
    );
    let conflict = done(other.begin(&state_key(1), &BINDING, &OTHER_CODE).await);
    assert_eq!(conflict, again, "also after the flow has ended");
}

pub(super) async fn a_wrong_binding_consumes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    let wrong = async || done(other.begin(&state_key(1), &OTHER_BINDING, &CODE).await);
    assert_eq!(wrong().await, BeginOutcome::Unknown);
    let first = done(store.begin(&state_key(1), &BINDING, &OTHER_CODE).await);
    assert_eq!(first, BeginOutcome::First);
    assert_eq!(wrong().await, BeginOutcome::Unknown, "after it has begun");
    done(
        store
            .finish_state(&state_key(1), failed("consent_denied", None))
            .await,
    );
    assert_eq!(wrong().await, BeginOutcome::Unknown, "after it has ended");
}

pub(super) async fn an_expired_state_is_unknown<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    done(store.put_state(new_state(2)).await);
    fixture.advance(seconds(599));
    let first = done(other.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(first, BeginOutcome::First);
    fixture.advance(seconds(1));
    let expired = done(other.begin(&state_key(2), &BINDING, &CODE).await);
    assert_eq!(expired, BeginOutcome::Unknown);
    let never = done(other.begin(&state_key(3), &BINDING, &CODE).await);
    assert_eq!(never, BeginOutcome::Unknown);
}

pub(super) async fn a_begun_state_is_kept<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    fixture.advance(seconds(500));
    done(store.begin(&state_key(1), &BINDING, &CODE).await);
    fixture.advance(seconds(86_399));
    done(store.purge(100).await);
    let again = done(other.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(again, BeginOutcome::InProgress);
    assert!(done(
        store
            .finish_state(&state_key(1), failed("identify_failed", None))
            .await
    ));
}

pub(super) async fn the_first_outcome_stays<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.put_state(new_state(1)).await);
    let finish = async |reason: &str| {
        done(
            other
                .finish_state(&state_key(1), failed(reason, None))
                .await,
        )
    };
    assert!(!finish("too early").await, "it has not begun");
    done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert!(finish("consent_denied").await);
    assert!(finish("consent_denied").await, "the same state again");
    assert!(!finish("another").await);
    let outcome = done(store.begin(&state_key(1), &BINDING, &CODE).await);
    assert_eq!(outcome, BeginOutcome::Done(failed("consent_denied", None)));
    let unknown = state_key(2);
    let unknown = store.finish_state(&unknown, failed("unknown", None)).await;
    assert!(!done(unknown), "the flow does not exist");
}
