//! Transactions of the application, large backlogs, reseals during changes, missing rights, unusual
//! names, and unreadable rows.

use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::provider::subscription::{ChannelId, Watch};
use connector_core::store::{
    BeginChannel, ChangeEndpointOutcome, ChangeSubscriptionOutcome, EndpointChange, EndpointState,
    GrantNumber, Maintenance, MessageLease, NewSubscription, OutboundFilter, OutboundState,
    OutboundStore, OutboundVerdict, PutOutcome, SideEffects, SubscriptionChange, SubscriptionId,
    SubscriptionKey, SubscriptionStore, TokenStore, Version, WorkKind,
};
use connector_store_postgres::PostgresStore;
use connector_testkit::StoreFixture;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::fixture::grants::{effects, first_grant, key, sealed};
use crate::fixture::{Fixture, SERVER, connect, options, schema, server, sql, url};
use crate::queues::{endpoint, message, settlement};

const LEASE: Duration = Duration::from_secs(60);

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Waits until a statement on a table of `schema` waits for a lock.
async fn until_blocked(client: &Client, schema: &str) {
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND position('{schema}' IN query) > 0"
    );
    while number(client, &query).await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_delays_only_its_own_tenant() {
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name).with_timeout(Duration::from_secs(10));
    options.migrate().await.unwrap();
    let store = options.open().await.unwrap();
    for tenant in ["one", "two"] {
        for number in [1, 2] {
            let put = store.put_endpoint(endpoint(tenant, number), Vec::new());
            put.await.unwrap();
        }
        store.enqueue(message(tenant, "first")).await.unwrap();
    }
    let all = MessageLease::new(99, LEASE);
    let first = store.lease_messages(&all).await.unwrap();
    assert_eq!(first.len(), 4);
    let results: Vec<_> = first
        .iter()
        .map(|it| settlement(it, OutboundVerdict::Delivered))
        .collect();
    // Both tenants have another due message.
    for tenant in ["one", "two"] {
        store.enqueue(message(tenant, "second")).await.unwrap();
    }

    let mut client = connect(&url).await;
    let open = client.transaction().await.unwrap();
    let third = message("one", "third");
    assert_eq!(store.enqueue_in(&open, &third).await.unwrap().pending, 2);

    // The ordered endpoint holds its message back until the first one is settled.
    let leased = store.lease_messages(&all).await.unwrap();
    let of_two =
        |it: &&connector_core::store::LeasedMessage| it.endpoint.key.tenant.as_str() == "two";
    assert_eq!(leased.iter().filter(of_two).count(), leased.len());
    assert_eq!(leased.len(), 1);
    let settling = store.clone();
    let settled = tokio::spawn(async move { settling.settle_messages(&results).await.unwrap() });
    let observer = connect(&url).await;
    let delivered = format!("SELECT count(*) FROM {name}.outbound WHERE state = 'delivered'");
    while number(&observer, &delivered).await < 2 {
        tokio::task::yield_now().await;
    }
    until_blocked(&observer, &name).await;
    assert_eq!(
        number(&observer, &delivered).await,
        2,
        "those of tenant two"
    );
    let more = store.lease_messages(&all).await.unwrap();
    assert_eq!(
        more.iter().filter(of_two).count(),
        1,
        "the ordered endpoint"
    );
    assert_eq!(more.len(), 1);

    open.commit().await.unwrap();
    let settled = settled.await.unwrap();
    assert_eq!(settled.iter().flatten().count(), 4);
    let rest = store.lease_messages(&all).await.unwrap();
    assert_eq!(rest.len(), 3, "all but the third of the ordered endpoint");
    println!(
        "leased and settled beside an open transaction: {}",
        2 + leased.len() + more.len()
    );
}

/// A lease that finds all endpoints locked waits for one of them, outside of the lock of all leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_endpoint_is_leased_when_it_becomes_free() {
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let store = options(&url, &name).open().await.unwrap();
    store
        .put_endpoint(endpoint("one", 1), Vec::new())
        .await
        .unwrap();
    store.enqueue(message("one", "first")).await.unwrap();
    let all = MessageLease::new(9, LEASE);
    let mut client = connect(&url).await;
    let observer = connect(&url).await;
    let mut rounds = 0;
    let leased = loop {
        rounds += 1;
        let open = client.transaction().await.unwrap();
        let again = message("one", &format!("again-{rounds}"));
        store.enqueue_in(&open, &again).await.unwrap();
        let leasing = store.clone();
        let request = all.clone();
        let lease = tokio::spawn(async move { leasing.lease_messages(&request).await.unwrap() });
        while !lease.is_finished() {
            let waiting = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND position('{name}' IN query) > 0"
            );
            if number(&observer, &waiting).await > 0 {
                break;
            }
        }
        open.commit().await.unwrap();
        let leased = lease.await.unwrap();
        if !leased.is_empty() {
            break leased;
        }
    };
    println!(
        "messages leased after a wait: {}, rounds: {rounds}",
        leased.len()
    );
    assert!(leased.len() > 1);
}

#[tokio::test]
async fn an_endpoint_with_a_large_backlog_is_disabled_and_removed_in_batches() {
    const BACKLOG: i64 = 12_000;
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let store = options(&url, &name).open().await.unwrap();
    let new = endpoint("one", 1);
    let key = new.key.clone();
    store.put_endpoint(new, Vec::new()).await.unwrap();
    let client = connect(&url).await;
    client
        .batch_execute(&format!(
            "INSERT INTO {name}.messages (tenant, provider, id, event_type, at, accepted_at, \
                 keep_until, key_id, sealed) \
             SELECT 'one', 'acme', 'm' || n, 'order', 1, 1, 9000000000000, '\\x0101010101010101', \
                 '\\x01' FROM generate_series(1, {BACKLOG}) n; \
             INSERT INTO {name}.outbound (endpoint, message, state, due_at) \
             SELECT e.number, m.number, 'waiting', 1 \
             FROM {name}.endpoints e, {name}.messages m ORDER BY m.number; \
             INSERT INTO {name}.attempts (delivery, attempt, at, took) \
             SELECT number, 1, 1, 1 FROM {name}.outbound; \
             UPDATE {name}.endpoints SET due_at = 1"
        ))
        .await
        .unwrap();
    let all = MessageLease::new(9, LEASE);
    let under_way = store.lease_messages(&all).await.unwrap();
    assert_eq!(under_way.len(), 9);

    let rows =
        |state: &str| format!("SELECT count(*) FROM {name}.outbound WHERE state = '{state}'");
    let mut version = Version::new(1);
    for state in [EndpointState::Disabled, EndpointState::Enabled] {
        let change = EndpointChange {
            state: Some(state),
            ..EndpointChange::default()
        };
        let changed = store
            .change_endpoint(&key, version, change, Vec::new())
            .await;
        let ChangeEndpointOutcome::Changed(changed) = changed.unwrap() else {
            panic!("nobody else changes the endpoint");
        };
        version = changed.version;
        // The change writes no delivery.
        assert_eq!(number(&client, &rows("waiting")).await, BACKLOG);
    }
    let mut skipped = OutboundFilter::default();
    skipped.state = Some(OutboundState::Skipped);
    let listed = store
        .outbound(&skipped, None, u16::MAX)
        .await
        .unwrap()
        .items;
    assert_eq!(i64::try_from(listed.len()).unwrap(), BACKLOG);
    assert!(listed.iter().all(|it| it.state == OutboundState::Skipped));
    let mut waiting = OutboundFilter::default();
    waiting.state = Some(OutboundState::Waiting);
    assert_eq!(store.outbound(&waiting, None, 9).await.unwrap().items, []);
    assert_eq!(store.lease_messages(&all).await.unwrap(), []);
    // The attempts that were under way end as before; a retry does not make them due.
    let retry = settlement(&under_way[0], OutboundVerdict::Postponed(Duration::ZERO));
    let settled = store.settle_messages(&[retry]).await.unwrap();
    assert_eq!(settled[0].as_ref().unwrap().state, OutboundState::Skipped);
    assert_eq!(store.replay_messages(&skipped, 3).await.unwrap(), 3);
    assert_eq!(store.lease_messages(&all).await.unwrap().len(), 3);

    let mut batches = 0;
    let mut left = BACKLOG;
    while left > 3 {
        assert_eq!(store.purge(100).await.unwrap(), 0);
        let now = number(&client, &rows("waiting")).await;
        assert!(now < left && left - now <= 5_001, "{left} to {now}");
        left = now;
        batches += 1;
    }
    assert_eq!(left, 3, "those replayed");
    assert!(batches >= 3);
    let stale = format!("SELECT count(*) FROM {name}.endpoints WHERE stale");
    store.purge(100).await.unwrap();
    assert_eq!(number(&client, &stale).await, 0);

    assert!(store.remove_endpoint(&key, Vec::new()).await.unwrap());
    let everything = OutboundFilter::default();
    assert_eq!(
        store.outbound(&everything, None, 9).await.unwrap().items,
        []
    );
    assert_eq!(store.attempts(&key, &under_way[0].id).await.unwrap(), []);
    let outbound = format!("SELECT count(*) FROM {name}.outbound");
    assert_eq!(number(&client, &outbound).await, BACKLOG - 5_000);
    let mut removed = i64::from(store.purge(100).await.unwrap());
    assert_eq!(removed, 100);
    while number(&client, &outbound).await > 0 {
        removed += i64::from(store.purge(6_000).await.unwrap());
    }
    store.purge(100).await.unwrap();
    assert_eq!(removed, BACKLOG - 5_000);
    for table in ["attempts", "removals"] {
        let query = format!("SELECT count(*) FROM {name}.{table}");
        assert_eq!(number(&client, &query).await, 0, "{table}");
    }
    println!("deliveries skipped in {batches} batches, removed later: {removed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reseal_during_a_change_of_a_subscription_is_kept() {
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let store = options(&url, &name).open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let new = NewSubscription {
        key: SubscriptionKey::new(key(1), SubscriptionId::from_bytes([1; 16])),
        grant: GrantNumber::new(1),
        watch: Watch::new("orders").unwrap(),
    };
    let subscription = new.key.clone();
    store
        .put_subscription(new, SideEffects::none())
        .await
        .unwrap();
    let candidate = SubscriptionChange {
        begin: Some(BeginChannel {
            channel: ChannelId::new("7".repeat(32)).unwrap(),
            secrets: sealed(b"old"),
        }),
        ..SubscriptionChange::default()
    };
    let begun = store.change_subscription(
        &subscription,
        Version::new(1),
        candidate,
        SideEffects::none(),
    );
    let ChangeSubscriptionOutcome::Changed(version) = begun.await.unwrap() else {
        panic!("nobody else changes the subscription");
    };
    // The statement of a reseal.
    let mut client = connect(&url).await;
    let reseal = client.transaction().await.unwrap();
    let statement =
        format!("UPDATE {name}.subscriptions SET key_id = '\\x0202020202020202', sealed = 'new'");
    assert_eq!(reseal.execute(&statement, &[]).await.unwrap(), 1);
    let (changing, read) = (
        store.clone(),
        SubscriptionChange {
            cursor: Some("position".to_owned()),
            ..SubscriptionChange::default()
        },
    );
    let changed = tokio::spawn(async move {
        let changed =
            changing.change_subscription(&subscription, version, read, SideEffects::none());
        changed.await.unwrap()
    });
    let observer = connect(&url).await;
    until_blocked(&observer, &name).await;
    reseal.commit().await.unwrap();
    let changed = changed.await.unwrap();
    assert!(matches!(changed, ChangeSubscriptionOutcome::Changed(_)));
    let kept = format!(
        "SELECT count(*) FROM {name}.subscriptions WHERE sealed = 'new' AND cursor = 'position'"
    );
    assert_eq!(number(&observer, &kept).await, 1);
}

#[tokio::test]
async fn a_missing_right_on_any_table_is_refused() {
    let Some(url) = server() else { return };
    let name = schema();
    let role = format!("rights_{name}");
    options(&url, &name).migrate().await.unwrap();
    let client = connect(&url).await;
    let create = format!(
        "CREATE ROLE {role} LOGIN; {}",
        PostgresStore::grants_sql(&name, &role)
    );
    client.batch_execute(&create).await.unwrap();
    let host = url.rsplit_once('@').unwrap().1;
    let limited = options(&format!("postgresql://{role}@{host}"), &name).with_connections(1);
    limited.open().await.unwrap();
    let query = "SELECT relname::text, relkind = 'S' FROM pg_class \
                 WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'S') \
                 AND relname <> 'migrations'";
    let mut refused = 0;
    for row in client.query(query, &[&name]).await.unwrap() {
        let relation: String = row.get(0);
        let (kind, rights): (_, &[&str]) = if row.get(1) {
            ("SEQUENCE", &["USAGE"])
        } else {
            ("TABLE", &["SELECT", "INSERT", "UPDATE", "DELETE"])
        };
        for right in rights {
            let revoke = format!("REVOKE {right} ON {kind} {name}.{relation} FROM {role}");
            client.batch_execute(&revoke).await.unwrap();
            let error = limited.open().await.err();
            let error = error.unwrap_or_else(|| panic!("opened without {right} on {relation}"));
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains("grants_sql"), "{}", error.report());
            let grant = format!("GRANT {right} ON {kind} {name}.{relation} TO {role}");
            client.batch_execute(&grant).await.unwrap();
            refused += 1;
        }
    }
    limited.open().await.unwrap();
    println!("missing rights refused: {refused}");
    assert!(refused > 60);
}

#[tokio::test]
async fn a_schema_name_may_contain_anything() {
    let Some(url) = server() else { return };
    let name = format!("{}'s \"@now\" @asof@. %", schema());
    let role = format!("{}'s @schema %", schema());
    let options = options(&url, &name);
    assert_eq!(options.migrate().await.unwrap(), 1);
    sql(
        &url,
        &format!(
            "CREATE ROLE \"{role}\" LOGIN; {}",
            PostgresStore::grants_sql(&name, &role)
        ),
    )
    .await;
    sql(&url, &PostgresStore::row_level_security_sql(&name, &role)).await;
    let store = options.open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), effects(1));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let due = store.take_due(&WorkKind::ALL, 9, LEASE).await.unwrap();
    assert_eq!(due.len(), 1, "a lease has the next number");
    store
        .put_endpoint(endpoint("one", 1), Vec::new())
        .await
        .unwrap();
    store.enqueue(message("one", "first")).await.unwrap();
    let leased = store.lease_messages(&MessageLease::new(9, LEASE)).await;
    assert_eq!(leased.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn migrations_do_not_depend_on_the_default_isolation() {
    let Some(url) = server() else { return };
    let name = schema();
    let url = format!("{url}?options=-c%20default_transaction_isolation%3Dserializable");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let options = options(&url, &name);
        tasks.spawn(async move { options.migrate().await.unwrap() });
    }
    let applied: Vec<u32> = tasks.join_all().await;
    println!("concurrent migrations: {}", applied.len());
    assert_eq!(applied.iter().sum::<u32>(), 1);
}

#[tokio::test]
async fn an_unreadable_token_response_or_endpoint_blocks_no_other() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let (server, name) = (url(SERVER).unwrap(), &fixture.schema);
    let insert = format!(
        "INSERT INTO {name}.quarantine (state, tenant, provider, app, available_at, keep_until, \
             first_sealed, key_id, sealed) \
         SELECT sha256(n::text::bytea), CASE n WHEN 2 THEN chr(1) ELSE 'tenant' END, 'acme', 'default', n, \
             9000000000000, sha256('x'), '\\x0101010101010101', '\\x01' FROM generate_series(1, 3) n"
    );
    sql(&server, &insert).await;
    let taken = store.take_quarantined(9, LEASE).await.unwrap();
    assert_eq!(taken.len(), 2);
    fixture.advance(LEASE);
    assert_eq!(store.take_quarantined(9, DAY * 2).await.unwrap().len(), 2);
    sql(
        &server,
        &format!("UPDATE {name}.quarantine SET tenant = 'tenant'"),
    )
    .await;
    fixture.advance(DAY);
    assert_eq!(store.take_quarantined(9, LEASE).await.unwrap().len(), 1);

    for number in [1, 3] {
        let put = store.put_endpoint(endpoint("one", number), Vec::new());
        put.await.unwrap();
    }
    store.enqueue(message("one", "first")).await.unwrap();
    let damage = "UPDATE {name}.endpoints SET event_types = chr(1) WHERE label = '1.example'";
    sql(&server, &damage.replace("{name}", name)).await;
    let all = MessageLease::new(9, LEASE);
    let leased = store.lease_messages(&all).await.unwrap();
    assert_eq!(leased.len(), 1);
    let results = [settlement(&leased[0], OutboundVerdict::Delivered)];
    store.settle_messages(&results).await.unwrap();
    sql(
        &server,
        &format!("UPDATE {name}.endpoints SET event_types = ''"),
    )
    .await;
    assert_eq!(store.lease_messages(&all).await.unwrap(), []);
    // After a day, the corrected row is leased.
    fixture.advance(DAY);
    assert_eq!(store.lease_messages(&all).await.unwrap().len(), 1);
}
