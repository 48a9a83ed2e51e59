//! Quarantined token responses whose account has not been identified yet.

use connector_core::AppKey;
use connector_core::store::Quarantined;

use crate::fixture::StoreFixture;
use crate::store::samples::{
    LEASE, name_of, provider, quarantine, sealed, seconds, state_key, tenant,
};
use crate::store::steps::{Handle, done, open};

pub(in crate::store) async fn a_flow_has_one_quarantined_response<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    assert!(done(store.quarantine(quarantine(1, "answer")).await));
    assert!(
        done(other.quarantine(quarantine(1, "answer")).await),
        "again"
    );
    assert!(!done(other.quarantine(quarantine(1, "another")).await));
    let kept = done(store.quarantined(&state_key(1)).await);
    assert_eq!(
        kept.map(|kept| name_of(&kept.sealed)).as_deref(),
        Some("answer")
    );
}

pub(in crate::store) async fn a_quarantined_response_is_read_back<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    assert!(done(store.quarantine(quarantine(1, "answer")).await));
    fixture.advance(seconds(400));
    let Some(kept) = done(other.quarantined(&state_key(1)).await) else {
        panic!("the response is missing");
    };
    assert_eq!(kept.until.remaining(), seconds(86_000));
    let expected = Quarantined {
        state: state_key(1),
        tenant: tenant("t1"),
        provider: provider(),
        app: AppKey::default(),
        sealed: sealed("answer"),
        until: kept.until,
    };
    assert_eq!(kept, expected);
    assert_eq!(done(other.quarantined(&state_key(2)).await), None);
    fixture.advance(seconds(86_000));
    assert_eq!(
        done(other.quarantined(&state_key(1)).await),
        None,
        "its retention has ended"
    );
}

pub(in crate::store) async fn quarantined_responses_are_handed_out_after_their_delay<
    F: StoreFixture,
>(
    fixture: &F,
) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        assert!(done(store.quarantine(quarantine(number, name)).await));
    }
    let taken = async |store: &Handle, n| {
        let taken = done(store.take_quarantined(n, LEASE).await);
        let mut names: Vec<_> = taken.iter().map(|kept| name_of(&kept.sealed)).collect();
        names.sort();
        names
    };
    fixture.advance(seconds(29));
    assert_eq!(
        taken(&store, 10).await,
        Vec::<String>::new(),
        "one second too early"
    );
    fixture.advance(seconds(1));
    let mut names = taken(&store, 2).await;
    assert_eq!(names.len(), 2, "the limit was two");
    names.extend(taken(&other, 2).await);
    names.sort();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(
        taken(&other, 10).await,
        Vec::<String>::new(),
        "all are leased"
    );
    fixture.advance(LEASE);
    assert_eq!(taken(&other, 10).await, ["one", "three", "two"]);
    fixture.advance(seconds(90_000));
    let late = taken(&store, 10).await;
    assert_eq!(late, Vec::<String>::new(), "their retention has ended");
}

pub(in crate::store) async fn a_released_response_is_gone<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    assert!(!done(store.release(&state_key(1)).await));
    assert!(done(store.quarantine(quarantine(1, "answer")).await));
    assert!(done(store.quarantine(quarantine(2, "another")).await));
    assert!(done(other.release(&state_key(1)).await));
    assert_eq!(done(store.quarantined(&state_key(1)).await), None);
    assert!(!done(store.release(&state_key(1)).await));
    assert!(done(store.quarantined(&state_key(2)).await).is_some());
}
