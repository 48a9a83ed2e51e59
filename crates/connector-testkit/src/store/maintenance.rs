//! The cases of `Maintenance`.

use std::collections::BTreeMap;

use connector_core::cipher::{Sealed, SealedKind};
use connector_core::store::{
    CommitOutcome, Cursor, DeliveryFilter, Fence, GrantNumber, LeaseRequest, NewDelivery, NewState,
    Revocation, RowRef, SealedRow, SideEffects, WorkKind,
};
use connector_core::{AppKey, ConnectionKey};

use super::delivery::{delivery, leased_one};
use super::samples::{
    KEY, OTHER_KEY, account_key, first_grant, key, name_of, new_state, provider, quarantine,
    sealed, sealed_under, seconds, state_key,
};
use super::steps::{Handle, claimed, connect, done, due, loaded, names, open, pending};
use super::subscription::{channel, end_with_copy, opened, subscribed};
use crate::fixture::StoreFixture;

/// Creates one record of every kind, all sealed under [`KEY`].
#[expect(clippy::too_many_lines, reason = "one block for each kind of record")]
async fn one_of_each<F: StoreFixture>(fixture: &F, store: &Handle) -> Vec<SealedRow> {
    let key = key(1);
    connect(store, &key, "shop-1").await;
    let late = pending(fixture, store, &key, (1, 2)).await;
    let stored = loaded(store, &key).await;
    let revocation = Revocation {
        key: key.clone(),
        provider: provider(),
        app: AppKey::default(),
        account: account_key("shop-1"),
        grant: GrantNumber::new(1),
        fence: Fence::new(9),
        sealed: sealed("revocation"),
    };
    done(
        store
            .queue_revocation(revocation, SideEffects::none())
            .await,
    );
    assert!(done(store.quarantine(quarantine(1, "quarantine")).await));
    done(store.put_state(new_state(2)).await);
    let for_an_app = NewDelivery {
        tenant: None,
        ..delivery("delivery")
    };
    let delivery_key = for_an_app.key.clone();
    done(store.accept(for_an_app).await);
    let subscribed = subscribed(store, &key, 1, "orders").await;
    opened(store, &subscribed, 'a', None).await;
    let ended = super::samples::key(9);
    connect(store, &ended, "shop-9").await;
    let other = super::subscription::subscribed(store, &ended, 9, "orders").await;
    opened(store, &other, 'b', None).await;
    end_with_copy(store, &ended).await;
    let endpoint = super::outbound::new_endpoint("t1", 7);
    super::outbound::put(store, endpoint.clone()).await;
    let message = super::outbound::new_message("t1", "message");
    super::outbound::enqueued(store, message.clone()).await;

    let row = |row, row_id: String, kind, fence: Fence, name: &str| SealedRow {
        row,
        tenant: (kind != SealedKind::Delivery).then(|| key.tenant.clone()),
        provider: provider(),
        app: AppKey::default(),
        row_id,
        kind,
        grant: GrantNumber::new(u64::from(fence > Fence::new(0))),
        fence,
        sealed: sealed(name),
    };
    let credential = SealedKind::Credential;
    let (of, id) = (|| key.clone(), || key.id.to_string());
    let current = stored.current.map(|held| held.fence).unwrap_or_default();
    let none = Fence::new(0);
    vec![
        row(RowRef::Current(of()), id(), credential, current, "younger"),
        row(
            RowRef::Previous(of()),
            id(),
            credential,
            Fence::new(1),
            "first",
        ),
        row(
            RowRef::Pending(of(), late.fence),
            id(),
            credential,
            late.fence,
            "older",
        ),
        row(
            RowRef::Revocation(of(), Fence::new(9)),
            id(),
            SealedKind::Revocation,
            Fence::new(9),
            "revocation",
        ),
        row(
            RowRef::Quarantine(state_key(1)),
            state_key(1).to_string(),
            SealedKind::Quarantine,
            none,
            "quarantine",
        ),
        row(
            RowRef::State(state_key(2)),
            state_key(2).to_string(),
            SealedKind::State,
            none,
            "state 2",
        ),
        row(
            RowRef::Delivery(delivery_key.clone()),
            delivery_key.row_id(),
            SealedKind::Delivery,
            none,
            "delivery",
        ),
        SealedRow {
            grant: GrantNumber::new(1),
            ..row(
                RowRef::Subscription(subscribed.clone()),
                subscribed.row_id(),
                SealedKind::WebhookSecret,
                none,
                "secrets of a",
            )
        },
        row(
            RowRef::Ending(ended.clone(), channel('b')),
            ended.id.to_string(),
            SealedKind::Revocation,
            Fence::new(1),
            "copy",
        ),
        row(
            RowRef::Endpoint(endpoint.key.clone()),
            endpoint.key.row_id(),
            SealedKind::WebhookSecret,
            none,
            "endpoint 7",
        ),
        SealedRow {
            tenant: Some(message.key.tenant.clone()),
            ..row(
                RowRef::Message(message.key.clone()),
                message.key.row_id(),
                SealedKind::Delivery,
                none,
                "message",
            )
        },
    ]
}

/// Returns every record that is not sealed under the given key, `n` per page.
async fn rows(store: &Handle, not_under: connector_core::cipher::KeyId, n: u16) -> Vec<SealedRow> {
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let slice = done(store.sealed_rows(&not_under, after.as_ref(), n).await);
        assert!(slice.items.len() <= usize::from(n), "the limit was {n}");
        found.extend(slice.items);
        match slice.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found
}

fn by_row(rows: Vec<SealedRow>) -> BTreeMap<RowRef, SealedRow> {
    rows.into_iter().map(|row| (row.row.clone(), row)).collect()
}

pub(super) async fn sealed_rows_lists_every_kind<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let expected = one_of_each(fixture, &store).await;
    let found = rows(&reader, OTHER_KEY, 100).await;
    assert_eq!(found.len(), expected.len());
    assert_eq!(by_row(found), by_row(expected));
}

pub(super) async fn sealed_rows_leaves_out_the_named_key<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let expected = one_of_each(fixture, &store).await;
    assert_eq!(rows(&store, KEY, 100).await, []);
    for row in &expected {
        let new = sealed_under(OTHER_KEY, "sealed again");
        assert!(
            done(store.reseal(&row.row, &row.sealed, new).await),
            "{:?}",
            row.row
        );
    }
    assert_eq!(rows(&store, OTHER_KEY, 100).await, []);
    assert_eq!(rows(&store, KEY, 100).await.len(), expected.len());
}

pub(super) async fn sealed_rows_pages_meet_every_record_once<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let mut expected = one_of_each(fixture, &store).await.len();
    for number in 2..=6 {
        connect(&store, &key(number), &format!("shop-{number}")).await;
        done(store.put_state(new_state(10 + number)).await);
        expected += 2;
    }
    for n in [1, 2, 3] {
        let found = rows(&store, OTHER_KEY, n).await;
        assert_eq!(found.len(), expected, "{n} at a time");
        assert_eq!(by_row(found).len(), expected, "{n} at a time");
    }

    // A rotation changes every record that it lists, and still lists all the others.
    let mut met = 0;
    let mut after: Option<Cursor> = None;
    loop {
        let slice = done(store.sealed_rows(&OTHER_KEY, after.as_ref(), 2).await);
        for row in slice.items {
            let new = sealed_under(OTHER_KEY, &name_of(&row.sealed));
            assert!(done(store.reseal(&row.row, &row.sealed, new).await));
            met += 1;
        }
        match slice.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(met, expected);
}

pub(super) async fn reseal_changes_the_bytes_and_nothing_else<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let rows_before = one_of_each(fixture, &store).await;
    let mut expected = loaded(&reader, &key(1)).await;
    let listed = async || {
        let filter = DeliveryFilter::default();
        done(reader.deliveries(&filter, None, 10).await)
    };
    let deliveries = listed().await;
    for row in &rows_before {
        let new = sealed_under(OTHER_KEY, &format!("{} again", name_of(&row.sealed)));
        assert!(
            done(store.reseal(&row.row, &row.sealed, new).await),
            "{:?}",
            row.row
        );
        let repeated = sealed_under(OTHER_KEY, "repeated");
        let repeated = done(store.reseal(&row.row, &row.sealed, repeated).await);
        assert!(!repeated, "{:?}", row.row);
    }
    let again = |sealed: &mut Sealed| {
        *sealed = sealed_under(OTHER_KEY, &format!("{} again", name_of(sealed)));
    };
    for held in expected
        .current
        .iter_mut()
        .chain(expected.previous.iter_mut())
    {
        again(&mut held.sealed);
    }
    for held in &mut expected.pending {
        again(&mut held.sealed);
    }
    assert_eq!(names(&loaded(&reader, &key(1)).await), names(&expected));
    assert_eq!(loaded(&reader, &key(1)).await, expected);
    assert_eq!(listed().await, deliveries);
    let mut after = rows_before;
    for row in &mut after {
        again(&mut row.sealed);
    }
    assert_eq!(by_row(rows(&reader, KEY, 100).await), by_row(after));
    assert_eq!(due(&reader).await, []);
}

pub(super) async fn reseal_of_a_changed_record_is_refused<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let rows_before = one_of_each(fixture, &store).await;
    let before = loaded(&store, &key(1)).await;
    let earlier = sealed("the previous content");
    for row in &rows_before {
        let refused = store.reseal(&row.row, &earlier, sealed_under(OTHER_KEY, "too late"));
        assert!(!done(refused.await), "{:?}", row.row);
    }
    assert_eq!(loaded(&store, &key(1)).await, before);
    assert_eq!(
        by_row(rows(&store, OTHER_KEY, 100).await),
        by_row(rows_before)
    );

    let key = key(1);
    let claim = claimed(&other, &key, 3).await;
    let commit = other.commit(&key, claim.commit("refreshed"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Stored);
    let (current, younger) = (RowRef::Current(key.clone()), sealed("younger"));
    let refused = store.reseal(&current, &younger, sealed("too late"));
    assert!(!done(refused.await), "a refresh happened in between");
    let stored = loaded(&store, &key).await;
    assert_eq!(names(&stored).current.as_deref(), Some("refreshed"));
    assert_eq!(names(&stored).previous.as_deref(), Some("younger"));

    let gone = [
        RowRef::Current(ConnectionKey::new(super::samples::tenant("t2"), key.id)),
        RowRef::Pending(key.clone(), Fence::new(99)),
        RowRef::Revocation(key, Fence::new(99)),
        RowRef::State(state_key(99)),
        RowRef::Quarantine(state_key(99)),
        RowRef::Ending(super::samples::key(9), channel('c')),
        RowRef::Ending(super::samples::key(8), channel('b')),
    ];
    for row in gone {
        let refused = done(
            store
                .reseal(&row, &sealed("refreshed"), sealed("new"))
                .await,
        );
        assert!(!refused, "{row:?}");
    }
}

/// Creates connections, work, revocations and deliveries that never expire, and records that expire
/// after a day.
async fn long_lived<F: StoreFixture>(fixture: &F, store: &Handle) -> usize {
    let rows = one_of_each(fixture, store).await;
    let work = SideEffects::none().with_work(WorkKind::Refresh, seconds(0));
    done(store.put_grant(first_grant(&key(2), "shop-2"), work).await);
    rows.len() + 1
}

pub(super) async fn purge_removes_only_what_has_expired<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let kept = long_lived(fixture, &store).await;
    // An unfinished flow, a flow that has begun, a quarantined response and three deliveries, all
    // of which expire after a minute.
    let minute = seconds(60);
    let short = |number| NewState {
        open_for: minute,
        keep_for: minute,
        ..new_state(number)
    };
    done(store.put_state(short(20)).await);
    done(store.put_state(short(21)).await);
    done(store.begin(&state_key(21), &[7; 32], &[1; 32]).await);
    let mut answer = quarantine(22, "short");
    answer.keep_for = minute;
    assert!(done(store.quarantine(answer).await));
    let brief = |id: &str| NewDelivery {
        keep_for: minute,
        ..delivery(id)
    };
    let first = done(
        store
            .lease(&LeaseRequest::new(
                connector_core::store::Direction::Inbound,
                1,
                seconds(1),
            ))
            .await,
    );
    assert!(done(store.retry(&first[0], seconds(1_000), "later").await));
    for (id, park) in [("done", false), ("parked", true)] {
        done(store.accept(brief(id)).await);
        let leased = leased_one(&store).await;
        let ended = if park {
            store.park(&leased, "gave up").await
        } else {
            store.done(&leased).await
        };
        assert!(done(ended));
    }
    done(store.accept(brief("waiting")).await);
    let all = rows(&reader, OTHER_KEY, 100).await.len();
    assert_eq!(all, kept + 6);

    fixture.advance(seconds(59));
    assert_eq!(done(store.purge(100).await), 0, "one second too early");
    assert_eq!(rows(&reader, OTHER_KEY, 100).await.len(), all);
    fixture.advance(seconds(61));
    assert_eq!(done(store.purge(100).await), 5);
    let left = rows(&reader, OTHER_KEY, 100).await;
    assert_eq!(left.len(), kept + 1, "queued deliveries are kept: {left:?}");
    assert_eq!(leased_one(&reader).await.key.id, "waiting");
    assert_eq!(due(&reader).await, [(key(2), WorkKind::Refresh)]);
    assert_eq!(done(store.purge(100).await), 0);
    let accepted = done(store.accept(brief("done")).await);
    assert_eq!(
        accepted,
        connector_core::store::AcceptOutcome::Accepted,
        "it was forgotten"
    );
}

pub(super) async fn purge_is_bounded<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for number in 0..5 {
        done(store.put_state(new_state(number)).await);
        assert!(done(store.quarantine(quarantine(number, "answer")).await));
    }
    fixture.advance(seconds(1_000_000));
    let mut removed = Vec::new();
    for _ in 0..5 {
        removed.push(done(store.purge(3).await));
    }
    assert_eq!(removed, [3, 3, 3, 1, 0]);
    assert_eq!(done(store.purge(0).await), 0);
}
