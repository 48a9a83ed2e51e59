//! Files with an older, a newer and a strange schema.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it counted"
)]

mod fixture;

use connector_core::ErrorKind;
use connector_core::store::{Effects, PutOutcome, TokenStore};
use connector_store_sqlite::SqliteStore;
use connector_testkit::StoreFixture;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use self::fixture::Fixture;
use self::fixture::grants::{first_grant, key};

/// Changes the closed database by hand.
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
    let put = store.put_grant(first_grant(1, b"sealed"), Effects::none());
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
    ] {
        assert!(
            printed.contains(&format!("CREATE TABLE {table} (")),
            "{table}"
        );
    }
    assert!(steps[0].sql().contains("STRICT"));
    assert_eq!((steps[0].version(), steps[0].name()), (1, "connections"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = filled().await;
    change(&fixture, "PRAGMA user_version = 99").await;
    let before = std::fs::read(fixture.path()).unwrap();
    let error = fixture.options().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreIncompatible);
    assert!(error.message().contains("update this node"), "{error}");
    assert_eq!(std::fs::read(fixture.path()).unwrap(), before);
}

#[tokio::test]
async fn an_older_schema_is_brought_up_and_keeps_its_data() {
    let fixture = filled().await;
    change(
        &fixture,
        "DROP TABLE states; DROP TABLE deliveries; DROP TABLE audit; \
         DELETE FROM migrations WHERE version > 1; PRAGMA user_version = 1",
    )
    .await;
    let store = fixture.open().await;
    let kept = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(kept.current.unwrap().sealed.bytes(), b"sealed".as_slice());
    let put = store.put_grant(first_grant(2, b"sealed"), fixture::grants::effects(2));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    store.close().await;
    let newest = i64::try_from(SqliteStore::migrations().len()).unwrap();
    assert_eq!(number(&fixture, "PRAGMA user_version").await, newest);
    assert_eq!(number(&fixture, "SELECT count(*) FROM audit").await, 1);
}

#[tokio::test]
async fn a_schema_made_by_other_migrations_is_refused() {
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
    fixture.advance(std::time::Duration::from_secs(1));
    fixture.open().await.close().await;
    let after = number(&fixture, "SELECT max(applied_at) FROM migrations").await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_file_is_durable_and_marked() {
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
