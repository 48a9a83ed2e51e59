//! Credentials that are stored only for their revocation.

use connector_core::AppKey;
use connector_core::store::{
    End, EndOutcome, EndRequest, Fence, GrantNumber, NewRevocation, Revocation, SideEffects,
    WorkKind,
};

use crate::fixture::StoreFixture;
use crate::store::samples::{
    account_key, audit_entry, key, key_of, provider, revocation, sealed, seconds,
};
use crate::store::steps::{connect, done, due, open, reasons};

fn orphan(fence: u64, name: &str) -> Revocation {
    Revocation {
        key: key(1),
        provider: provider(),
        app: AppKey::default(),
        account: account_key("shop-1"),
        grant: GrantNumber::new(1),
        fence: Fence::new(fence),
        sealed: sealed(name),
    }
}

pub(in crate::store) async fn a_revocation_needs_no_connection<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let effects = || {
        SideEffects::none()
            .with_work(WorkKind::Revocation, seconds(0))
            .with_audit(audit_entry(&key(1), "orphan"))
    };
    done(store.queue_revocation(orphan(7, "late"), effects()).await);
    let queued = done(other.revocations(&key(1)).await);
    assert_eq!(queued, [orphan(7, "late")]);
    assert_eq!(reasons(&other).await, ["orphan"]);
    assert_eq!(due(&other).await, [(key(1), WorkKind::Revocation)]);

    done(
        other
            .queue_revocation(orphan(7, "late"), SideEffects::none())
            .await,
    );
    let queued = done(store.revocations(&key(1)).await);
    assert_eq!(
        queued,
        [orphan(7, "late")],
        "a repeated call queues it once"
    );
    assert_eq!(done(store.revocations(&key_of("t2", 1)).await), []);
}

pub(in crate::store) async fn revocations_outlive_their_connection<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    connect(&store, &key(1), "shop-1").await;
    let request = EndRequest {
        how: End::Forget,
        at: None,
        revoke: vec![
            revocation(Fence::new(2), "younger"),
            NewRevocation {
                grant: GrantNumber::new(1),
                ..revocation(Fence::new(1), "older")
            },
        ],
        unsubscribe: None,
    };
    let ended = done(store.end(&key(1), request, SideEffects::none()).await);
    assert_eq!(ended, EndOutcome::Ended);
    let mut queued = done(other.revocations(&key(1)).await);
    let again = done(store.revocations(&key(1)).await);
    assert_eq!(queued, again, "the order is stable");
    queued.sort_by_key(|queued| queued.fence);
    assert_eq!(queued, [orphan(1, "older"), orphan(2, "younger")]);
    fixture.advance(seconds(10_000_000));
    done(store.purge(100).await);
    let left = done(other.revocations(&key(1)).await);
    assert_eq!(left.len(), 2, "it does not expire");
}

pub(in crate::store) async fn a_finished_revocation_is_gone<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    for (fence, name) in [(1, "one"), (2, "two")] {
        done(
            store
                .queue_revocation(orphan(fence, name), SideEffects::none())
                .await,
        );
    }
    assert!(!done(store.revoked(&key_of("t2", 1), Fence::new(1)).await));
    assert!(!done(store.revoked(&key(1), Fence::new(3)).await));
    assert!(done(other.revoked(&key(1), Fence::new(1)).await));
    assert!(!done(store.revoked(&key(1), Fence::new(1)).await));
    let left = done(store.revocations(&key(1)).await);
    assert_eq!(left, [orphan(2, "two")]);
}
