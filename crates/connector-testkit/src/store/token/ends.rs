//! Ending connections.

use connector_core::Status;
use connector_core::store::{
    End, EndOutcome, EndRequest, Fence, Filter, Patch, RowRef, SideEffects, UpdateOutcome, WorkKind,
};

use crate::fixture::StoreFixture;
use crate::store::samples::{
    OTHER_KEY, account_ref, first_grant, key, name_of, revocation, seconds,
};
use crate::store::steps::{
    Names, claimed, connect, done, due, loaded, names, open, outcome, pending, refreshed,
};

fn end(how: End) -> EndRequest {
    EndRequest {
        how,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    }
}

pub(in crate::store) async fn an_end_removes_secrets_claims_and_work<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    for (number, how) in [(1, End::Deactivate), (2, End::Forget)] {
        let key = key(number);
        let work = SideEffects::none()
            .with_work(WorkKind::Refresh, seconds(0))
            .with_work(WorkKind::Subscriptions, seconds(0));
        let grant = first_grant(&key, &format!("shop-{number}"));
        done(store.put_grant(grant, work).await);
        pending(fixture, &store, &key, (1, 2)).await;
        claimed(&store, &key, 3).await;
        let before = loaded(&store, &key).await.connection;
        fixture.advance(seconds(1));
        let request = EndRequest {
            revoke: vec![revocation(Fence::new(3), "to be revoked")],
            ..end(how)
        };
        let effects = SideEffects::none().with_work(WorkKind::Revocation, seconds(0));
        let ended = done(store.end(&key, request, effects).await);
        assert_eq!(ended, EndOutcome::Ended);

        let rows = done(reader.sealed_rows(&OTHER_KEY, None, 100).await);
        let left: Vec<_> = rows
            .items
            .into_iter()
            .filter(|row| match &row.row {
                RowRef::Current(of)
                | RowRef::Previous(of)
                | RowRef::Pending(of, _)
                | RowRef::Revocation(of, _) => *of == key,
                _ => true,
            })
            .map(|row| (row.row, name_of(&row.sealed)))
            .collect();
        let queued = RowRef::Revocation(key.clone(), Fence::new(3));
        assert_eq!(left, [(queued, "to be revoked".to_owned())], "{how:?}");
        let mut due = due(&reader).await;
        due.retain(|(of, _)| *of == key);
        assert_eq!(due, [(key.clone(), WorkKind::Revocation)], "{how:?}");

        if how == End::Deactivate {
            let stored = loaded(&reader, &key).await;
            let nothing = Names {
                current: None,
                previous: None,
                pending: Vec::new(),
            };
            assert_eq!(names(&stored), nothing);
            assert_eq!(stored.claim, None);
            let seen = stored.connection;
            assert_eq!(seen.status, Status::Disconnected);
            assert_eq!(seen.status_since, before.status_since.after(seconds(61)));
            assert_eq!(seen.generation, before.generation.next());
            assert_eq!(seen.grant, before.grant.next());
        }
    }
}

pub(in crate::store) async fn an_end_at_a_moved_generation_is_refused<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let key = key(1);
    let seen = connect(&store, &key, "shop-1").await.connection;
    let before = refreshed(&store, &key, 1, "second").await;
    let request = EndRequest {
        at: Some(seen.generation),
        revoke: vec![revocation(Fence::new(1), "not to be revoked")],
        ..end(End::Deactivate)
    };
    let moved = outcome!(
        done(store.end(&key, request, SideEffects::none()).await),
        EndOutcome::Moved(stored) => stored
    );
    assert_eq!(*moved, before);
    assert_eq!(loaded(&store, &key).await, before);
    assert_eq!(done(store.revocations(&key).await), []);

    let request = EndRequest {
        at: Some(before.connection.generation),
        ..end(End::Deactivate)
    };
    let ended = done(store.end(&key, request, SideEffects::none()).await);
    assert_eq!(ended, EndOutcome::Ended);
}

pub(in crate::store) async fn a_forgotten_connection_is_gone<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let (forgotten, anew) = (key(1), key(2));
    let seen = connect(&store, &forgotten, "shop-1").await.connection;
    let ended = store.end(&forgotten, end(End::Forget), SideEffects::none());
    assert_eq!(done(ended.await), EndOutcome::Ended);

    assert_eq!(done(reader.load(&forgotten).await), None);
    assert_eq!(done(reader.generation(&forgotten).await), None);
    let account = account_ref(&forgotten, "shop-1");
    assert_eq!(done(reader.find(&account).await), None);
    let listed = done(reader.list(&Filter::everyone(), None, 10).await);
    assert_eq!(listed.items, []);
    let update = store.update(
        &forgotten,
        seen.version,
        Patch::default(),
        SideEffects::none(),
    );
    assert_eq!(done(update.await), UpdateOutcome::Missing);
    connect(&store, &anew, "shop-1").await;
    assert_eq!(done(reader.find(&account).await), Some(anew));

    let kept = key(3);
    connect(&store, &kept, "shop-3").await;
    let ended = store.end(&kept, end(End::Deactivate), SideEffects::none());
    assert_eq!(done(ended.await), EndOutcome::Ended);
    assert!(
        done(reader.load(&kept).await).is_some(),
        "a deactivated connection remains"
    );
}

pub(in crate::store) async fn revocations_are_queued_once<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let key = key(1);
    connect(&store, &key, "shop-1").await;
    let request = |revoke| EndRequest {
        revoke,
        ..end(End::Deactivate)
    };
    let (first, late) = (
        revocation(Fence::new(1), "first"),
        revocation(Fence::new(2), "late"),
    );
    let queued = async || {
        let mut queued: Vec<_> = done(store.revocations(&key).await)
            .iter()
            .map(|queued| name_of(&queued.sealed))
            .collect();
        queued.sort();
        queued
    };
    let ended = store.end(&key, request(vec![first.clone()]), SideEffects::none());
    assert_eq!(done(ended.await), EndOutcome::Ended);
    assert_eq!(queued().await, ["first"]);
    let work = || SideEffects::none().with_work(WorkKind::Revocation, seconds(0));
    let repeated = store.end(&key, request(vec![first.clone()]), work());
    assert_eq!(done(repeated.await), EndOutcome::AlreadyEnded);
    assert_eq!(queued().await, ["first"]);
    assert_eq!(due(&store).await, [], "nothing was queued");
    // A revocation that is queued late needs the work that executes it.
    let after = store.end(&key, request(vec![late.clone(), first]), work());
    assert_eq!(done(after.await), EndOutcome::AlreadyEnded);
    assert_eq!(queued().await, ["first", "late"]);
    assert_eq!(due(&store).await, [(key.clone(), WorkKind::Revocation)]);

    let never = crate::store::samples::key(2);
    let missing = store.end(&never, request(vec![late]), SideEffects::none());
    assert_eq!(done(missing.await), EndOutcome::Missing);
    assert_eq!(done(store.revocations(&never).await), []);
}
