//! Files with an older, a newer or an unknown schema.

use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::store::{PutOutcome, SideEffects, TokenStore, WorkKind};
use connector_store_sqlite::{Migration, SqliteStore};
use connector_testkit::StoreFixture;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::fixture::Fixture;
use crate::fixture::grants::{first_grant, key};

/// Changes the closed database directly.
async fn change(fixture: &Fixture, sql: &'static str) {
    let mut connection = raw(fixture).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn raw(fixture: &Fixture) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(fixture.path());
    options.connect().await.unwrap()
}

async fn number(fixture: &Fixture, sql: &'static str) -> i64 {
    let mut connection = raw(fixture).await;
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

async fn filled() -> Fixture {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    store.close().await;
    fixture
}

#[test]
fn migrations_can_be_printed() {
    let steps = SqliteStore::migrations();
    let printed: String = steps.iter().map(ToString::to_string).collect();
    for table in [
        "connections",
        "credentials",
        "work",
        "quarantine",
        "revocations",
        "states",
        "deliveries",
        "audit",
        "subscriptions",
        "endings",
        "endpoints",
        "messages",
        "outbound",
        "attempts",
    ] {
        assert!(
            printed.contains(&format!("CREATE TABLE {table} (")),
            "{table}"
        );
    }
    assert!(steps[0].sql().contains("STRICT"));
    assert_eq!((steps[0].version(), steps[0].name()), (1, "connections"));
    let versions = steps.iter().map(Migration::version);
    assert!(versions.eq(1..=5), "without gaps");
}

#[tokio::test]
async fn the_migrations_table_contains_the_digest_of_every_migration() {
    let fixture = filled().await;
    let mut connection = raw(&fixture).await;
    let books = sqlx::query("SELECT checksum FROM migrations ORDER BY version");
    let books = books.fetch_all(&mut connection).await.unwrap();
    let kept: Vec<String> = books.iter().map(|row| row.get(0)).collect();
    let digests: Vec<String> = SqliteStore::migrations()
        .iter()
        .map(|step| {
            let digest = ring::digest::digest(&ring::digest::SHA256, step.sql().as_bytes());
            let bytes = digest.as_ref().iter();
            bytes.fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        })
        .collect();
    assert_eq!(kept, digests);
}

#[tokio::test]
async fn a_newer_schema_is_rejected_and_unchanged() {
    let fixture = filled().await;
    change(&fixture, "PRAGMA user_version = 99").await;
    let before = std::fs::read(fixture.path()).unwrap();
    let error = fixture.options().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreIncompatible);
    assert!(error.message().contains("update this node"), "{error}");
    assert_eq!(std::fs::read(fixture.path()).unwrap(), before);
}

#[tokio::test]
async fn an_older_schema_is_migrated_and_keeps_its_data() {
    let fixture = filled().await;
    change(
        &fixture,
        "DROP TABLE states; DROP TABLE deliveries; DROP TABLE audit; \
         DROP TABLE subscriptions; DROP TABLE endings; DROP TABLE endpoints; \
         DROP TABLE messages; DROP TABLE outbound; DROP TABLE attempts; \
         DELETE FROM migrations WHERE version > 1; PRAGMA user_version = 1",
    )
    .await;
    let store = fixture.open().await;
    let kept = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(kept.current.unwrap().sealed.bytes(), b"sealed".as_slice());
    let put = store.put_grant(
        first_grant(2, b"sealed"),
        crate::fixture::grants::effects(2),
    );
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    store.close().await;
    let newest = i64::try_from(SqliteStore::migrations().len()).unwrap();
    assert_eq!(number(&fixture, "PRAGMA user_version").await, newest);
    assert_eq!(number(&fixture, "SELECT count(*) FROM audit").await, 1);
}

#[tokio::test]
async fn a_schema_of_different_migrations_is_rejected() {
    for sql in [
        "UPDATE migrations SET checksum = 'of something else' WHERE version = 1",
        "DELETE FROM migrations WHERE version = 1",
        "DROP TABLE migrations",
        "PRAGMA user_version = 0",
    ] {
        let fixture = filled().await;
        change(&fixture, sql).await;
        let error = fixture.options().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{sql}: {error}");
    }
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let fixture = filled().await;
    let before = number(&fixture, "SELECT max(applied_at) FROM migrations").await;
    fixture.advance(Duration::from_secs(1));
    fixture.open().await.close().await;
    let after = number(&fixture, "SELECT max(applied_at) FROM migrations").await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_file_is_durable_and_has_the_application_id() {
    let fixture = filled().await;
    let mut connection = raw(&fixture).await;
    let row = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "wal");
    let mark = i64::from(u32::from_be_bytes(*b"CXDB"));
    assert_eq!(number(&fixture, "PRAGMA application_id").await, mark);
}

/// Returns the pages of the work table with the number of rows in each.
async fn pages_of_work(fixture: &Fixture) -> Vec<(i64, i64)> {
    let mut connection = raw(fixture).await;
    let rows = sqlx::query("SELECT pageno, ncell FROM dbstat WHERE name = 'work' ORDER BY pageno")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Returns the number of pages in the write-ahead log.
fn pages_written(fixture: &Fixture) -> u64 {
    const HEADER: u64 = 32;
    const PAGE: u64 = 24 + 4096;
    let log = fixture.directory.path().join("store.db-wal");
    (std::fs::metadata(log).unwrap().len() - HEADER) / PAGE
}

/// A sweep writes few pages: only the pages with the work that is due next. No row may grow and
/// move to another page.
#[tokio::test]
async fn a_sweep_writes_few_pages_and_moves_no_row() {
    const ROWS: u16 = 5_000;
    const SWEEP: u16 = 256;
    let fixture = Fixture::create().await;
    fixture.open().await.close().await;
    // The work becomes due at different times, all before the fixture's current time, in a
    // different order than the connections. The pages are full.
    change(
        &fixture,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) \
         INSERT INTO work (tenant, connection, kind, due_at, leased_until) \
         SELECT 'tenant', unhex(printf('%032x', n)), 'refresh', due, due \
         FROM (SELECT n, 1700000000000 - (n * 7919) % 5000 AS due FROM n) ORDER BY due",
    )
    .await;
    let before = pages_of_work(&fixture).await;
    let rows: i64 = before.iter().map(|(_, rows)| rows).sum();
    assert_eq!(rows, i64::from(ROWS));
    let store = fixture.open().await;
    let lease = Duration::from_mins(1);
    let due = store.take_due(&WorkKind::ALL, SWEEP, lease).await.unwrap();
    assert_eq!(due.len(), usize::from(SWEEP));
    let written = pages_written(&fixture);
    assert!((1..=40).contains(&written), "{written} pages");
    let mut leases = due.len();
    // Every row is leased once, and most rows a second time.
    for _ in 0..2 {
        let due = store.take_due(&WorkKind::ALL, ROWS, lease).await.unwrap();
        leases += due.len();
        fixture.advance(lease);
    }
    assert_eq!(leases, usize::from(ROWS) * 2);
    store.close().await;
    assert_eq!(pages_of_work(&fixture).await, before);
    println!(
        "leases: {leases}, pages that kept their rows: {}, written by a sweep: {written}",
        before.len()
    );
}
