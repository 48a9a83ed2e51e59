//! Wrong connection strings, servers, schemas and rights are rejected with an error that says what to
//! do, and no data is lost.

use std::time::Duration;

use connector_core::store::{
    AuditFilter, AuditLog, ClaimOutcome, CommitOutcome, DeliveryQueue, Direction, Filter,
    LeaseRequest, Maintenance, PutOutcome, SideEffects, TokenStore, WorkKind,
};
use connector_core::{Error, ErrorKind};
use connector_store_postgres::{PostgresOptions, PostgresStore};
use connector_testkit::StoreFixture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::grants::{claim, commit, effects, first_grant, key};
use crate::fixture::{Fixture, connect, options, schema, server, sql};

async fn refusal(options: &PostgresOptions) -> Error {
    options.open().await.unwrap_err()
}

fn expect(error: &Error, kind: ErrorKind, advice: &str) {
    assert_eq!(error.kind(), kind, "{}", error.report());
    assert!(error.message().contains(advice), "{}", error.report());
}

#[tokio::test]
async fn a_wrong_connection_string_is_refused_without_repeating_it() {
    let canary = "canary-password";
    let cases = [
        (canary.to_owned(), "cannot be parsed"),
        (
            format!("postgresql://user:{canary}@host:port/x"),
            "cannot be parsed",
        ),
        (
            format!("postgresql://user:{canary}@host/x?sslmode={canary}"),
            "`require`",
        ),
        (
            format!("postgresql://user:{canary}@host/x?{canary}=1"),
            "cannot be parsed",
        ),
        (format!("postgresql://user:{canary}@/x"), "no host"),
        ("postgresql://host/x".to_owned(), "no user"),
    ];
    for (url, advice) in &cases {
        let options = PostgresOptions::new(url.as_str());
        let error = refusal(&options).await;
        expect(&error, ErrorKind::Configuration, advice);
        assert!(!error.report().contains(canary), "{}", error.report());
        assert!(!format!("{error:?} {options:?}").contains(canary));
        expect(
            &options.migrate().await.unwrap_err(),
            ErrorKind::Configuration,
            advice,
        );
    }
    for name in ["", &"x".repeat(64)] {
        let options = PostgresOptions::new("postgresql://u@127.0.0.1/x").with_schema(name);
        expect(
            &refusal(&options).await,
            ErrorKind::Configuration,
            "1 to 63 bytes",
        );
    }
    let none = PostgresOptions::new("postgresql://u@127.0.0.1/x").with_connections(0);
    expect(
        &refusal(&none).await,
        ErrorKind::Configuration,
        "at least one",
    );
    println!("wrong connection strings refused: {}", cases.len());
}

#[tokio::test]
async fn an_unreachable_server_is_reported() {
    // A port on which nothing listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = PostgresOptions::new(format!("postgresql://u@{address}/x"));
    let error = refusal(&options).await;
    expect(&error, ErrorKind::StoreUnavailable, "cannot be reached");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let options = PostgresOptions::new(format!("postgresql://u@{address}/x"))
        .with_connect_timeout(Duration::from_millis(100));
    let error = refusal(&options).await;
    expect(
        &error,
        ErrorKind::StoreUnavailable,
        "did not respond in time",
    );
}

#[tokio::test]
async fn a_server_that_is_not_postgresql_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 8];
            let _ = stream.read_exact(&mut start).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let options = PostgresOptions::new(format!("postgresql://u@{address}/x?sslmode=disable"));
    let error = refusal(&options).await;
    assert_eq!(
        error.kind(),
        ErrorKind::StoreUnavailable,
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_server_without_encryption_is_refused_if_encryption_is_required() {
    let Some(url) = server() else { return };
    let error = refusal(&PostgresOptions::new(format!("{url}?sslmode=require"))).await;
    expect(&error, ErrorKind::Configuration, "sslmode=disable");
}

#[tokio::test]
async fn a_missing_database_and_a_wrong_password_are_reported() {
    let Some(url) = server() else { return };
    let (start, _) = url.rsplit_once('/').unwrap();
    let missing = PostgresOptions::new(format!("{start}/no_such_database"));
    expect(
        &refusal(&missing).await,
        ErrorKind::Configuration,
        "does not exist",
    );

    // The server asks this user for a password.
    let role = "connectors_password";
    let script = format!(
        "DO $$ BEGIN CREATE ROLE {role} LOGIN PASSWORD 'right'; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    sql(&url, &script).await;
    let host = url.rsplit_once('@').unwrap().1;
    let wrong = PostgresOptions::new(format!("postgresql://{role}:canary-wrong@{host}"));
    let error = refusal(&wrong).await;
    expect(&error, ErrorKind::Configuration, "password");
    assert!(!error.report().contains("canary"), "{}", error.report());
    let none = PostgresOptions::new(format!("postgresql://{role}@{host}"));
    expect(&refusal(&none).await, ErrorKind::Configuration, "password");
    let right = PostgresOptions::new(format!("postgresql://{role}:right@{host}"));
    expect(
        &refusal(&right.with_schema("no_such_schema")).await,
        ErrorKind::StoreIncompatible,
        "migrate",
    );
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused_and_unchanged() {
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name);
    expect(
        &refusal(&options).await,
        ErrorKind::StoreIncompatible,
        "migrate",
    );
    assert_eq!(options.migrate().await.unwrap(), 1);
    assert_eq!(options.migrate().await.unwrap(), 0);
    options.open().await.unwrap();

    let newer =
        format!("INSERT INTO {name}.migrations (version, name, checksum) VALUES (2, 'later', 'x')");
    sql(&url, &newer).await;
    expect(
        &refusal(&options).await,
        ErrorKind::StoreIncompatible,
        "update this node",
    );
    expect(
        &options.migrate().await.unwrap_err(),
        ErrorKind::StoreIncompatible,
        "update this node",
    );
    let foreign = format!(
        "DELETE FROM {name}.migrations WHERE version = 2; UPDATE {name}.migrations SET checksum = 'x'"
    );
    sql(&url, &foreign).await;
    expect(
        &refusal(&options).await,
        ErrorKind::StoreIncompatible,
        "different migrations",
    );
    expect(
        &options.migrate().await.unwrap_err(),
        ErrorKind::StoreIncompatible,
        "different migrations",
    );
}

#[tokio::test]
async fn a_server_that_may_lose_writes_is_refused() {
    let Some(url) = server() else { return };
    let name = schema();
    let lossy = options(&url, &name);
    lossy.migrate().await.unwrap();
    let settings = connect(&url).await;
    let fsync: String = settings.query_one("SHOW fsync", &[]).await.unwrap().get(0);
    assert_eq!(fsync, "off", "the tests' server is fast");
    let error = refusal(&lossy.clone().allow_data_loss(false)).await;
    expect(&error, ErrorKind::Configuration, "`fsync` is off");

    let serializable = format!("{url}?options=-c%20default_transaction_isolation%3Dserializable");
    let error = refusal(&options(&serializable, &name)).await;
    expect(&error, ErrorKind::Configuration, "isolation level");
}

#[tokio::test]
async fn a_user_with_the_granted_rights_can_do_everything_but_change_the_schema() {
    let Some(url) = server() else { return };
    let name = schema();
    let role = format!("role_{name}");
    options(&url, &name).migrate().await.unwrap();
    sql(
        &url,
        &format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {name} TO {role}"),
    )
    .await;
    let host = url.rsplit_once('@').unwrap().1;
    let limited_url = format!("postgresql://{role}@{host}");
    let limited = options(&limited_url, &name);
    let error = refusal(&limited).await;
    expect(&error, ErrorKind::Configuration, "grants_sql");

    sql(&url, &PostgresStore::grants_sql(&name, &role)).await;
    let store = limited.open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), effects(1));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let claimed = store.claim(&key(1), claim(1, 1)).await.unwrap();
    let ClaimOutcome::Granted { fence, .. } = claimed else {
        panic!("nobody else claims this connection");
    };
    let stored = store
        .commit(&key(1), commit(1, 1, fence, b"second"), effects(1))
        .await;
    assert_eq!(stored.unwrap(), CommitOutcome::Stored);
    let due = store
        .take_due(&WorkKind::ALL, 9, Duration::from_secs(1))
        .await;
    assert_eq!(due.unwrap().len(), 1);
    assert_eq!(store.purge(9).await.unwrap(), 0);
    let lease = LeaseRequest::new(Direction::Inbound, 9, Duration::from_secs(1));
    assert_eq!(store.lease(&lease).await.unwrap(), []);

    let raw = connect(&limited_url).await;
    for forbidden in [
        format!("DROP TABLE {name}.connections"),
        format!("CREATE TABLE {name}.other (x int)"),
        format!("DELETE FROM {name}.migrations"),
    ] {
        assert!(raw.batch_execute(&forbidden).await.is_err(), "{forbidden}");
    }
    // Nothing is missing, so this needs no right.
    assert_eq!(limited.migrate().await.unwrap(), 0);
    let other = limited.clone().with_schema(format!("{name}_other"));
    let error = other.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.report());

    let read_only = format!("{limited_url}?options=-c%20default_transaction_read_only%3Don");
    let store = options(&read_only, &name).open().await.unwrap();
    let put = store.put_grant(first_grant(2, b"sealed"), SideEffects::none());
    expect(
        &put.await.unwrap_err(),
        ErrorKind::StoreUnavailable,
        "primary",
    );
    assert!(store.load(&key(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_tenant_reads_only_its_own_rows_with_row_level_security() {
    let Some(url) = server() else { return };
    let name = schema();
    let (store_role, reader) = (format!("store_{name}"), format!("reader_{name}"));
    options(&url, &name).migrate().await.unwrap();
    let script = format!(
        "CREATE ROLE {store_role} LOGIN; CREATE ROLE {reader} LOGIN; \
         GRANT USAGE ON SCHEMA {name} TO {reader}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {reader}; {}",
        PostgresStore::grants_sql(&name, &store_role)
    );
    sql(&url, &script).await;
    // The file can be applied again.
    for _ in 0..2 {
        sql(
            &url,
            &PostgresStore::row_level_security_sql(&name, &store_role),
        )
        .await;
    }
    let host = url.rsplit_once('@').unwrap().1;
    let store = options(&format!("postgresql://{store_role}@{host}"), &name);
    let store = store.open().await.unwrap();
    for number in 1..=3 {
        let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
        assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    }
    let listed = store.list(&Filter::everyone(), None, 9).await.unwrap();
    assert_eq!(listed.items.len(), 3, "the store reads all rows");

    let reader = connect(&format!("postgresql://{reader}@{host}")).await;
    let mut counted = 0;
    for (tenant, rows) in [(None, 0_i64), (Some("tenant"), 3), (Some("other"), 0)] {
        if let Some(tenant) = tenant {
            let set = format!("SET connectors.tenant = '{tenant}'");
            reader.batch_execute(&set).await.unwrap();
        }
        for table in ["connections", "work", "audit"] {
            let count = format!("SELECT count(*) FROM {name}.{table}");
            let count: i64 = reader.query_one(&count, &[]).await.unwrap().get(0);
            assert_eq!(count, rows, "{table} of {tenant:?}");
            counted += 1;
        }
    }
    println!("tables read by tenants: {counted}");
    assert_eq!(counted, 9);
}

/// The server reports a failure in the middle of a commit.
#[tokio::test]
async fn a_failure_during_a_commit_writes_nothing_and_the_next_call_is_clean() {
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name).with_connections(1);
    options.migrate().await.unwrap();
    let store = options.open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let claimed = store.claim(&key(1), claim(1, 1)).await.unwrap();
    let ClaimOutcome::Granted { fence, .. } = claimed else {
        panic!("nobody else claims this connection");
    };
    let before = store.load(&key(1)).await.unwrap();
    let cases = [
        ("53100", ErrorKind::StoreUnavailable, "disk is full"),
        ("53200", ErrorKind::StoreUnavailable, "log"),
        ("57P01", ErrorKind::StoreUnavailable, "repeat the call"),
        ("40001", ErrorKind::StoreUnavailable, "repeat the call"),
        ("25006", ErrorKind::StoreUnavailable, "primary"),
        ("42501", ErrorKind::Configuration, "grants_sql"),
        ("XX001", ErrorKind::StoreIncompatible, "damaged"),
    ];
    for (code, kind, advice) in cases {
        sql(
            &url,
            &format!(
                "CREATE OR REPLACE FUNCTION {name}.broken() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION 'canary' USING ERRCODE = '{code}'; END $$; \
                 CREATE OR REPLACE TRIGGER broken BEFORE INSERT ON {name}.audit \
                 FOR EACH ROW EXECUTE FUNCTION {name}.broken()"
            ),
        )
        .await;
        let result = commit(1, 1, fence, b"second");
        let error = store.commit(&key(1), result, effects(1)).await.unwrap_err();
        expect(&error, kind, advice);
        assert_eq!(error.operation(), "store.commit");
        // The valid token is still served.
        let after = store.load(&key(1)).await.unwrap();
        let unchanged = |stored: &Option<connector_core::store::Stored>| {
            let stored = stored.as_ref().unwrap();
            (stored.connection.clone(), stored.current.clone())
        };
        assert_eq!(unchanged(&after), unchanged(&before), "{code}");
    }
    sql(&url, &format!("DROP TRIGGER broken ON {name}.audit")).await;
    let result = commit(1, 1, fence, b"second");
    let stored = store.commit(&key(1), result, effects(1)).await;
    assert_eq!(stored.unwrap(), CommitOutcome::Stored);
    let entries = store.audit(&AuditFilter::default(), None, 99).await;
    assert_eq!(entries.unwrap().items.len(), 1);
    println!("failures during a commit: {}", cases.len());
}

#[tokio::test]
async fn an_exhausted_pool_is_reported_and_recovers() {
    let Some(url) = server() else { return };
    let name = schema();
    let options = options(&url, &name)
        .with_connections(1)
        .with_timeout(Duration::from_millis(900))
        .with_pool_timeout(Duration::from_millis(50));
    options.migrate().await.unwrap();
    let store = options.open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"first"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let mut holder = connect(&url).await;
    let holding = holder.transaction().await.unwrap();
    let lock = format!("SELECT 1 FROM {name}.connections FOR UPDATE");
    holding.batch_execute(&lock).await.unwrap();

    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.claim(&key(1), claim(1, 1)).await }
    });
    // The other call may not have its connection yet.
    let error = loop {
        if let Err(error) = store.load(&key(1)).await {
            break error;
        }
    };
    expect(&error, ErrorKind::StoreUnavailable, "with_connections");
    let error = waiting.await.unwrap().unwrap_err();
    expect(&error, ErrorKind::StoreUnavailable, "in time");
    holding.rollback().await.unwrap();
    assert!(store.load(&key(1)).await.unwrap().is_some());
    let claimed = store.claim(&key(1), claim(2, 1)).await.unwrap();
    assert!(matches!(
        claimed,
        ClaimOutcome::Granted { .. } | ClaimOutcome::Held { .. }
    ));
}

#[tokio::test]
async fn a_closed_store_reports_it() {
    if Fixture::skipped().is_some() {
        return;
    }
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    store.close();
    let error = store.load(&key(1)).await.unwrap_err();
    expect(&error, ErrorKind::StoreUnavailable, "open it again");
    let shown = format!("{store:?}");
    assert_eq!(
        shown,
        format!("PostgresStore {{ clock: Some({:?}), .. }}", fixture.clock)
    );
}
