//! Updates of a record.

use connector_core::store::{
    ClaimRequest, ConnectionRecord, Generation, Patch, SideEffects, UpdateOutcome, Version,
};
use connector_core::{Check, ConnectionKey, DegradedReason, Metadata, Status};

use super::reading::deactivate;
use crate::fixture::StoreFixture;
use crate::store::samples::{HOLD, claim_request, key, seconds};
use crate::store::steps::{
    Handle, claimed, connect, done, granted, loaded, names, open, outcome, refreshed, valid,
};

/// Applies a patch. The case fails if the store does not accept the patch.
async fn updated(store: &Handle, key: &ConnectionKey, patch: Patch) -> ConnectionRecord {
    let at = loaded(store, key).await.connection.version;
    let version = outcome!(
        done(store.update(key, at, patch, SideEffects::none()).await),
        UpdateOutcome::Updated(version) => version
    );
    let seen = loaded(store, key).await.connection;
    assert_eq!(
        seen.version, version,
        "the version that the update reported"
    );
    seen
}

fn status(status: Status) -> Patch {
    Patch {
        status: Some(status),
        ..Patch::default()
    }
}

pub(in crate::store) async fn an_update_of_a_moved_version_is_refused<F: StoreFixture>(
    fixture: &F,
) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    let stale = connect(&store, &key, "shop-1").await.connection.version;
    updated(&other, &key, status(Status::AppMisconfigured)).await;
    let before = loaded(&store, &key).await;
    let moved = outcome!(
        done(store.update(&key, stale, status(Status::Connected), SideEffects::none()).await),
        UpdateOutcome::Moved(stored) => stored
    );
    assert_eq!(*moved, before);
    assert_eq!(loaded(&store, &key).await, before);
}

pub(in crate::store) async fn an_update_of_a_missing_connection_is_missing<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    let update = store.update(
        &key,
        Version::new(1),
        status(Status::Connected),
        SideEffects::none(),
    );
    assert_eq!(done(update.await), UpdateOutcome::Missing);
    assert_eq!(done(store.load(&key).await), None);
}

pub(in crate::store) async fn an_update_leaves_the_rest_alone<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    refreshed(&store, &key, 1, "second").await;
    claimed(&store, &key, 2).await;
    let mut metadata = Metadata::new();
    valid(metadata.insert("plan", "plus"));
    let patches = [
        Patch {
            label: Some("A better name".to_owned()),
            ..Patch::default()
        },
        Patch {
            host: Some("better.example".to_owned()),
            ..Patch::default()
        },
        Patch {
            metadata: Some(metadata.clone()),
            ..Patch::default()
        },
        Patch {
            check: Some(Some("the account is frozen".to_owned())),
            ..Patch::default()
        },
        Patch {
            check: Some(None),
            ..Patch::default()
        },
        status(Status::Degraded(DegradedReason::Unauthorized)),
    ];
    let mut expected = loaded(&store, &key).await;
    for patch in patches {
        let at = expected.connection.version;
        let version = outcome!(
            done(store.update(&key, at, patch.clone(), SideEffects::none()).await),
            UpdateOutcome::Updated(version) => version
        );
        assert!(version > at, "{at} before, {version} after");
        let seen = &mut expected.connection;
        seen.version = version;
        if let Some(label) = patch.label {
            seen.account.label = Some(label);
        }
        if let Some(host) = patch.host {
            seen.account.host = Some(host);
        }
        if let Some(metadata) = patch.metadata {
            seen.metadata = metadata;
        }
        if let Some(error) = patch.check {
            // The clock has not advanced since the record's last write.
            let at = seen.updated_at;
            seen.check = Some(Check { at, error });
        }
        if let Some(status) = patch.status {
            seen.status = status;
        }
        assert_eq!(loaded(&reader, &key).await, expected);
    }
}

pub(in crate::store) async fn status_since_moves_with_the_status<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    let made = connect(&store, &key, "shop-1").await.connection;
    fixture.advance(seconds(10));
    let seen = updated(&store, &key, status(Status::Connected)).await;
    assert_eq!(
        seen.status_since, made.status_since,
        "the status is unchanged"
    );
    assert_eq!(seen.updated_at, made.updated_at.after(seconds(10)));
    let seen = updated(&store, &key, status(Status::AppMisconfigured)).await;
    assert_eq!(seen.status_since, made.status_since.after(seconds(10)));
    fixture.advance(seconds(10));
    let seen = updated(&store, &key, Patch::default()).await;
    assert_eq!(seen.status_since, made.status_since.after(seconds(10)));
    let seen = refreshed(&store, &key, 1, "second").await.connection;
    assert_eq!(seen.status, Status::Connected);
    assert_eq!(seen.status_since, made.status_since.after(seconds(20)));
}

pub(in crate::store) async fn confirming_the_current_generation_drops_the_previous<
    F: StoreFixture,
>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    refreshed(&store, &key, 1, "second").await;
    let confirm = |number| Patch {
        confirmed: Some(Generation::new(number)),
        ..Patch::default()
    };
    let previous = async || names(&loaded(&store, &key).await).previous;

    updated(&store, &key, confirm(1)).await;
    assert_eq!(
        previous().await.as_deref(),
        Some("first"),
        "the older generation works"
    );
    let seen = updated(&store, &key, confirm(2)).await;
    assert_eq!(previous().await, None, "the current generation works");
    assert_eq!(seen.confirmed, Some(Generation::new(2)));
    let seen = updated(&store, &key, confirm(1)).await;
    assert_eq!(seen.confirmed, Some(Generation::new(2)), "it only grows");

    let seen = refreshed(&store, &key, 2, "third").await.connection;
    let claim = |number, confirmed| ClaimRequest {
        confirmed: Some(Generation::new(confirmed)),
        ..claim_request(&seen, number)
    };
    granted(&store, &key, claim(3, 2)).await;
    assert_eq!(previous().await.as_deref(), Some("second"));
    fixture.advance(HOLD);
    let claim = granted(&store, &key, claim(4, 3)).await;
    assert_eq!(names(&claim.stored).previous, None, "in the returned row");
    assert_eq!(previous().await, None, "confirmed by a claim");
    let seen = loaded(&store, &key).await.connection;
    assert_eq!(seen.confirmed, Some(Generation::new(3)));
}

pub(in crate::store) async fn an_ended_connection_keeps_its_status<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    deactivate(&store, &key).await;
    let before = loaded(&store, &key).await;
    let at = before.connection.version;
    let update = store.update(&key, at, status(Status::Connected), SideEffects::none());
    outcome!(done(update.await), UpdateOutcome::Moved(_) => ());
    assert_eq!(loaded(&store, &key).await, before);
}
