//! Reads, lookups and lists.

use std::collections::BTreeSet;

use connector_core::store::{
    CommitOutcome, ConnectionRecord, Cursor, End, EndOutcome, EndRequest, Expect, Fence, Filter,
    Generation, GrantNumber, Page, PutGrant, PutOutcome, SideEffects, StoredCredential, TimeLeft,
    UpdateOutcome, Version,
};
use connector_core::{
    Account, AppKey, ConnectionKey, DegradedReason, Metadata, ProviderId, Status,
};

use crate::fixture::StoreFixture;
use crate::store::samples::{
    HOLD, account_key, account_ref, app, claim_request, expiries, first_grant, key, key_of,
    next_grant, provider, sealed, seconds, tenant,
};
use crate::store::steps::{
    Handle, LATER, claimed, connect, done, loaded, names, open, outcome, refreshed, valid,
};

pub(in crate::store) async fn a_grant_is_read_back<F: StoreFixture>(fixture: &F) {
    let (writer, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    let mut metadata = Metadata::new();
    valid(metadata.insert("plan", "basic"));
    valid(metadata.insert("scopes", &["read_products", "write_orders"]));
    valid(metadata.insert("größe", &Some(12)));
    let grant = PutGrant {
        app: app("merchant-7"),
        account: Account::asserted(account_key("shop-1"))
            .with_label("Café Zürich")
            .with_host("cafe.example"),
        status: Status::Degraded(DegradedReason::ScopesReduced),
        metadata: metadata.clone(),
        ..first_grant(&key, "shop-1")
    };
    let put = done(writer.put_grant(grant.clone(), SideEffects::none()).await);
    assert_eq!(put, PutOutcome::Stored);

    let stored = loaded(&reader, &key).await;
    let seen = &stored.connection;
    let expected = ConnectionRecord {
        key: key.clone(),
        provider: provider(),
        app: app("merchant-7"),
        account: grant.account,
        status: grant.status,
        status_since: seen.created_at,
        failures: 0,
        check: None,
        rotates: false,
        metadata,
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        confirmed: None,
        fence: Fence::new(1),
        version: seen.version,
        created_at: seen.created_at,
        updated_at: seen.created_at,
        refreshed_at: seen.created_at,
    };
    assert_eq!(*seen, expected);
    let current = StoredCredential {
        sealed: sealed("first"),
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        fence: Fence::new(1),
        access_left: Some(TimeLeft::between(
            seen.created_at,
            seen.created_at.after(seconds(3_600)),
        )),
        refresh_left: Some(TimeLeft::between(
            seen.created_at,
            seen.created_at.after(seconds(86_400)),
        )),
    };
    assert_eq!(stored.current, Some(current));
    assert_eq!(stored.previous, None);
    assert_eq!(stored.pending, []);
    assert_eq!(stored.claim, None);
}

pub(in crate::store) async fn another_tenant_finds_nothing<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let ours = key_of("t1", 1);
    let theirs = key_of("t2", 1);
    connect(&store, &ours, "shop-1").await;
    let claim = claimed(&store, &ours, 1).await;
    let before = loaded(&store, &ours).await;
    let seen = &before.connection;

    assert_eq!(done(store.load(&theirs).await), None);
    assert_eq!(done(store.generation(&theirs).await), None);
    assert_eq!(
        done(store.find(&account_ref(&theirs, "shop-1")).await),
        None
    );
    let put = PutGrant {
        key: theirs.clone(),
        ..next_grant(seen, claim.fence, "theirs")
    };
    let put = done(store.put_grant(put, SideEffects::none()).await);
    assert_eq!(put, PutOutcome::Missing);
    let update = store.update(
        &theirs,
        seen.version,
        connector_core::store::Patch::default(),
        SideEffects::none(),
    );
    assert_eq!(done(update.await), UpdateOutcome::Missing);
    let request = claim_request(seen, 2);
    outcome!(
        done(store.claim(&theirs, request).await),
        connector_core::store::ClaimOutcome::Ended => ()
    );
    let commit = store.commit(&theirs, claim.commit("theirs"), SideEffects::none());
    assert_eq!(done(commit.await), CommitOutcome::Ended);
    let failure = store.fail(&theirs, claim.failure(true, LATER), SideEffects::none());
    outcome!(done(failure.await), connector_core::store::FailOutcome::Ended => ());
    let end = EndRequest {
        how: End::Forget,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    let end = done(store.end(&theirs, end, SideEffects::none()).await);
    assert_eq!(end, EndOutcome::Missing);
    assert_eq!(loaded(&store, &ours).await, before);
}

pub(in crate::store) async fn time_left_follows_the_stores_clock<F: StoreFixture>(fixture: &F) {
    let (writer, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&writer, &key, "shop-1").await;
    claimed(&writer, &key, 1).await;
    let left = async || {
        let stored = loaded(&reader, &key).await;
        [
            stored.current.as_ref().and_then(|held| held.access_left),
            stored.current.as_ref().and_then(|held| held.refresh_left),
            stored.claim.map(|claim| claim.until),
        ]
        .map(|left| left.map(TimeLeft::remaining))
    };
    let full = [expiries().access, expiries().refresh, Some(HOLD)];
    assert_eq!(left().await, full);
    fixture.advance(seconds(20));
    let later = full.map(|left| left.map(|left| left.saturating_sub(seconds(20))));
    assert_eq!(left().await, later);
    fixture.advance(seconds(100_000));
    assert_eq!(left().await, [Some(seconds(0)); 3]);
}

pub(in crate::store) async fn generation_is_what_load_says<F: StoreFixture>(fixture: &F) {
    let (writer, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    assert_eq!(done(reader.generation(&key).await), None);
    connect(&writer, &key, "shop-1").await;
    assert_eq!(
        done(reader.generation(&key).await),
        Some(Generation::new(1))
    );
    refreshed(&writer, &key, 1, "second").await;
    assert_eq!(
        done(reader.generation(&key).await),
        Some(Generation::new(2))
    );
    deactivate(&writer, &key).await;
    let stored = loaded(&writer, &key).await;
    assert_eq!(
        done(reader.generation(&key).await),
        Some(stored.connection.generation)
    );
}

pub(in crate::store) async fn an_account_is_found_by_its_reference<F: StoreFixture>(fixture: &F) {
    let (writer, reader) = (open(fixture).await, open(fixture).await);
    let key = key(1);
    connect(&writer, &key, "shop-1").await;
    let right = account_ref(&key, "shop-1");
    assert_eq!(done(reader.find(&right).await), Some(key.clone()));

    let mut wrong = [right.clone(), right.clone(), right.clone(), right.clone()];
    wrong[0].tenant = tenant("t2");
    wrong[1].provider = ProviderId::from_static("other");
    wrong[2].app = app("other");
    wrong[3].account = account_key("shop-2");
    for reference in wrong {
        assert_eq!(done(reader.find(&reference).await), None, "{reference:?}");
    }

    deactivate(&writer, &key).await;
    assert_eq!(
        done(reader.find(&right).await),
        Some(key),
        "after the connection's end"
    );
}

pub(in crate::store) async fn routing_finds_live_identified_connections_of_all_tenants<
    F: StoreFixture,
>(
    fixture: &F,
) {
    routing(fixture, async |store, after| {
        let (acme, app, account) = (provider(), AppKey::default(), account_key("shop-1"));
        done(store.find_by_account(&acme, &app, &account, after, 1).await)
    })
    .await;
}

pub(in crate::store) async fn routing_finds_connections_by_account_host<F: StoreFixture>(
    fixture: &F,
) {
    routing(fixture, async |store, after| {
        let (acme, app) = (provider(), AppKey::default());
        done(
            store
                .find_by_host(&acme, &app, "shop-1.example", after, 1)
                .await,
        )
    })
    .await;
}

async fn routing<F: StoreFixture>(
    fixture: &F,
    find: impl AsyncFn(&Handle, Option<&Cursor>) -> Page<ConnectionKey>,
) {
    let store = open(fixture).await;
    let (live, also_live) = (key_of("t1", 1), key_of("t2", 2));
    let (ended, asserted) = (key_of("t3", 3), key_of("t4", 4));
    for key in [&live, &also_live, &ended] {
        connect(&store, key, "shop-1").await;
    }
    deactivate(&store, &ended).await;
    let others = [
        PutGrant {
            account: Account::asserted(account_key("shop-1")).with_host("shop-1.example"),
            ..first_grant(&asserted, "shop-1")
        },
        PutGrant {
            app: app("other"),
            ..first_grant(&key_of("t5", 5), "shop-1")
        },
        PutGrant {
            provider: ProviderId::from_static("other"),
            ..first_grant(&key_of("t6", 6), "shop-1")
        },
        first_grant(&key_of("t7", 7), "shop-2"),
    ];
    for grant in others {
        let put = done(store.put_grant(grant, SideEffects::none()).await);
        assert_eq!(put, PutOutcome::Stored);
    }

    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let slice = find(&store, after.as_ref()).await;
        assert!(slice.items.len() <= 1, "the limit was one");
        found.extend(slice.items);
        match slice.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, [live, also_live]);
}

/// Follows the cursors to the end, two connections at a time, alternating between both handles.
async fn listed(stores: [&Handle; 2], filter: &Filter) -> Vec<ConnectionKey> {
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    for turn in 0.. {
        let slice = done(stores[turn % 2].list(filter, after.as_ref(), 2).await);
        assert!(slice.items.len() <= 2, "the limit was two");
        found.extend(slice.items.into_iter().map(|connection| connection.key));
        match slice.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found
}

pub(in crate::store) async fn listing_meets_each_connection_once<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    // Ids and accounts have opposite orders, so that a wrong order is not hidden by chance.
    for number in 1..=7 {
        connect(&store, &key(number), &format!("shop-{}", 9 - number)).await;
        fixture.advance(seconds(1));
    }
    let slice = done(store.list(&Filter::everyone(), None, 3).await);
    let mut met: Vec<_> = slice.items.iter().map(|seen| seen.key.clone()).collect();
    // A connection that changes during the listing keeps its position.
    for number in 1..=7 {
        fixture.advance(seconds(1));
        refreshed(&other, &key(number), number, "second").await;
    }
    let mut after = slice.next;
    while let Some(cursor) = after {
        let slice = done(other.list(&Filter::everyone(), Some(&cursor), 3).await);
        met.extend(slice.items.into_iter().map(|seen| seen.key));
        after = slice.next;
    }
    let distinct: BTreeSet<_> = met.iter().cloned().collect();
    assert_eq!(distinct, (1..=7).map(key).collect());
    assert_eq!(met.len(), 7, "a connection was listed twice: {met:?}");
}

pub(in crate::store) async fn listing_leaves_out_other_tenants<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let stores: [&Handle; 2] = [&store, &other];
    let grants = [
        first_grant(&key_of("t1", 1), "shop-1"),
        PutGrant {
            app: app("other"),
            ..first_grant(&key_of("t1", 2), "shop-1")
        },
        PutGrant {
            provider: ProviderId::from_static("other"),
            ..first_grant(&key_of("t1", 3), "shop-1")
        },
        PutGrant {
            status: Status::AppMisconfigured,
            ..first_grant(&key_of("t1", 4), "shop-4")
        },
        first_grant(&key_of("t2", 5), "shop-1"),
        first_grant(&key_of("t10", 6), "shop-1"),
    ];
    for grant in grants {
        assert_eq!(grant.expect, Expect::Absent);
        let put = done(store.put_grant(grant, SideEffects::none()).await);
        assert_eq!(put, PutOutcome::Stored);
    }
    let ours = || Filter::tenant(tenant("t1"));
    let expected = [
        (ours(), vec![1, 2, 3, 4]),
        (ours().with_provider(provider()), vec![1, 2, 4]),
        (ours().with_app(AppKey::default()), vec![1, 3, 4]),
        (ours().with_status("connected"), vec![1, 2, 3]),
        (Filter::everyone().with_status("app_misconfigured"), vec![4]),
        (Filter::everyone(), vec![1, 2, 3, 4, 5, 6]),
        (Filter::tenant(tenant("t3")), vec![]),
    ];
    for (filter, numbers) in expected {
        let mut found: Vec<_> = listed(stores, &filter)
            .await
            .iter()
            .map(|key| key.id.as_bytes()[0])
            .collect();
        found.sort_unstable();
        assert_eq!(found, numbers, "{filter:?}");
    }
}

/// Ends a connection and keeps its record.
pub(super) async fn deactivate(store: &Handle, key: &ConnectionKey) {
    let request = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    let end = done(store.end(key, request, SideEffects::none()).await);
    assert_eq!(end, EndOutcome::Ended);
    let stored = loaded(store, key).await;
    assert_eq!(names(&stored).current, None);
    assert_ne!(stored.connection.version, Version::default());
}
