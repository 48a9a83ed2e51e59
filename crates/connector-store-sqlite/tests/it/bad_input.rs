//! Unusable files and paths are rejected with an error that says what to do, and no data is lost.

use std::path::Path;
use std::time::Duration;

use connector_core::store::{Filter, Maintenance, PutOutcome, SideEffects, TokenStore};
use connector_core::{Error, ErrorKind, Retry};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::{StoreFixture, artefacts};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::fixture::Fixture;
use crate::fixture::grants::{claim, first_grant, key};

async fn refusal(path: impl AsRef<Path>) -> Error {
    SqliteStore::open(path).await.unwrap_err()
}

async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Creates a store with one connection and closes it.
async fn filled(fixture: &Fixture) {
    let store = fixture.open().await;
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    store.close().await;
}

#[tokio::test]
async fn a_wrong_path_is_refused() {
    let directory = artefacts::directory("sqlite").unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let cases = [
        (directory.path().join("missing/store.db"), "create it first"),
        (directory.path().to_owned(), "is not a file"),
        (file.join("store.db"), "not a directory"),
        (file.join("below/store.db"), "not a directory"),
        (directory.path().join("x".repeat(300)), "cannot be read"),
        ("".into(), "name one"),
        (":memory:".into(), "MemoryStore"),
        ("/proc/self/store.db".into(), "cannot be opened"),
    ];
    for (path, advice) in cases {
        let error = refusal(&path).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.message().contains(advice), "{error}");
        if let Some(name) = path.file_name() {
            assert!(error.message().contains(name.to_str().unwrap()), "{error}");
        }
    }
    let missing = directory.path().join("missing.db");
    let options = SqliteOptions::new(&missing).create_if_missing(false);
    let error = options.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.message().contains("does not exist"), "{error}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_path_that_looks_like_a_url_is_a_path() {
    let directory = artefacts::directory("sqlite").unwrap();
    let path = directory.path().join("file:store.db?mode=memory");
    SqliteStore::open(&path).await.unwrap().close().await;
    assert!(path.is_file());
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_rejected_and_unchanged() {
    let directory = artefacts::directory("sqlite").unwrap();
    for content in ["text".to_owned(), "no database".repeat(1000)] {
        let path = directory.path().join("text");
        std::fs::write(&path, &content).unwrap();
        let error = refusal(&path).await;
        assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{error}");
        assert!(
            error.message().contains("not an SQLite database"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let fixture = Fixture::create().await;
    filled(&fixture).await;
    let whole = std::fs::read(fixture.path()).unwrap();
    let cut = whole[..whole.len() / 2].to_vec();
    let mut scratched = whole.clone();
    scratched[100..4096].fill(0xff);
    for damaged in [cut, scratched] {
        std::fs::write(fixture.path(), damaged).unwrap();
        let error = refusal(fixture.path()).await;
        assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{error}");
        assert!(error.message().contains("backup"), "{error}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_rejected_and_unchanged() {
    let statements = [
        "CREATE TABLE notes (text TEXT)",
        "PRAGMA application_id = 7",
        // This store's application id, without a schema version.
        "PRAGMA application_id = 0x43584442",
        "PRAGMA application_id = 0x43584442; PRAGMA user_version = -1",
        "PRAGMA user_version = 2",
    ];
    for (number, statement) in statements.into_iter().enumerate() {
        let directory = artefacts::directory("sqlite").unwrap();
        let path = directory.path().join(format!("other{number}.db"));
        let mut other = raw(&path).await;
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = refusal(&path).await;
        assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{error}");
        assert!(error.message().contains("another program"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{statement}");
    }
}

#[tokio::test]
async fn a_missing_table_is_an_error() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let mut other = raw(&fixture.path()).await;
    sqlx::query("DROP TABLE credentials")
        .execute(&mut other)
        .await
        .unwrap();
    let error = store.load(&key(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreIncompatible, "{error}");
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap_err().kind(), ErrorKind::StoreIncompatible);
}

#[tokio::test]
async fn a_number_beyond_sqlites_range_is_rejected() {
    let fixture = Fixture::create().await;
    filled(&fixture).await;
    let store = fixture.open().await;
    let fence = connector_core::store::Fence::new(u64::MAX);
    let error = store.revoked(&key(1), fence).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("2^63"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_loses_nothing() {
    let fixture = Fixture::create().await;
    let limited = fixture.options().with_largest_size(1_000_000);
    let store = limited.open().await.unwrap();
    // The file may contain sealed bytes, so this is not a canary secret. Errors must not contain
    // them.
    let secret = "marked-bytes-of-a-sealed-record".to_owned();
    let content = secret.repeat(60_000 / secret.len());
    let mut stored = Vec::new();
    let error = loop {
        let number = u8::try_from(stored.len() + 1).unwrap();
        let put = store.put_grant(first_grant(number, content.as_bytes()), SideEffects::none());
        match put.await {
            Ok(outcome) => {
                assert_eq!(outcome, PutOutcome::Stored);
                stored.push(number);
            }
            Err(error) => break error,
        }
    };
    assert!(!stored.is_empty());
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(error.message().contains("free space"), "{error}");
    let shown = format!("{error} {error:?} {}", error.report());
    assert!(!shown.contains(&secret), "{shown}");

    // Reads still work, and so do writes that need no additional space.
    for number in &stored {
        let found = store.load(&key(*number)).await.unwrap().unwrap();
        assert_eq!(found.current.unwrap().sealed.bytes(), content.as_bytes());
    }
    store.claim(&key(1), claim(1, 1)).await.unwrap();
    store.close().await;
    let length = std::fs::metadata(fixture.path()).unwrap().len();
    assert!((800_000..=1_000_000).contains(&length), "{length} bytes");
    let store = fixture.open().await;
    let everyone = store
        .list(&Filter::everyone(), None, u16::MAX)
        .await
        .unwrap();
    assert_eq!(everyone.items.len(), stored.len());
    let next = u8::try_from(stored.len() + 1).unwrap();
    let put = store.put_grant(first_grant(next, content.as_bytes()), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    println!("grants stored before the disk was full: {}", stored.len());
}

#[tokio::test]
async fn a_file_locked_for_too_long_is_a_retryable_error() {
    let fixture = Fixture::create().await;
    let impatient = fixture.options().with_busy_timeout(Duration::ZERO);
    let store = impatient.open().await.unwrap();
    let mut other = raw(&fixture.path()).await;
    let holding = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    let error = put.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(error.message().contains("busy timeout"), "{error}");
    // Reads do not wait for writes.
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    let opened = fixture.options().with_busy_timeout(Duration::ZERO).open();
    let error = opened.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    holding.rollback().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
}

#[tokio::test]
async fn a_closed_store_returns_an_error() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let clone = store.clone();
    store.close().await;
    let error = clone.load(&key(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(error.message().contains("closed"), "{error}");
    let error = clone.claim(&key(1), claim(1, 1)).await.unwrap_err();
    assert!(error.message().contains("closed"), "{error}");
    clone.close().await;
}

/// The ways in which the file of an open store can disappear.
#[cfg(unix)]
#[tokio::test]
async fn a_deleted_or_replaced_file_is_detected_at_the_next_write() {
    use std::fs;

    type Change = fn(&Path);
    fn beside(path: &Path, ending: &str) -> std::path::PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }
    let ways: [(&str, Change); 8] = [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("moved", |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
        }),
        ("replaced by a copy", |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        }),
        ("replaced by an empty file", |path| {
            fs::remove_file(path).unwrap();
            fs::write(path, b"").unwrap();
        }),
        // The files of write-ahead mode: what is not yet in the database is in the log alone.
        ("log deleted", |path| {
            fs::remove_file(beside(path, "-wal")).unwrap();
        }),
        ("log replaced", |path| {
            let (log, copy) = (beside(path, "-wal"), beside(path, "-copy"));
            fs::copy(&log, &copy).unwrap();
            fs::rename(&copy, &log).unwrap();
        }),
        ("index of the log deleted", |path| {
            fs::remove_file(beside(path, "-shm")).unwrap();
        }),
        ("log and index moved", |path| {
            for ending in ["-wal", "-shm"] {
                fs::rename(beside(path, ending), beside(path, &format!("{ending}-old"))).unwrap();
            }
        }),
    ];
    let mut noticed = 0;
    for (way, change) in ways {
        let fixture = Fixture::create().await;
        let store = fixture.open().await;
        let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
        put.await.unwrap();
        change(&fixture.path());
        // The claim before the use of the refresh token fails, so that no refresh token is used.
        let refused = [
            store.claim(&key(1), claim(1, 1)).await.map(drop),
            store
                .put_grant(first_grant(2, b"sealed"), SideEffects::none())
                .await
                .map(drop),
            store.purge(1).await.map(drop),
        ];
        for outcome in refused {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{way}: {error}");
            assert!(
                error.message().contains("deleted, moved or replaced"),
                "{error}"
            );
            noticed += 1;
        }
        store.close().await;
    }
    // After the file is moved back, the store uses it again.
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let away = fixture.path().with_extension("away");
    fs::rename(fixture.path(), &away).unwrap();
    store.purge(1).await.unwrap_err();
    fs::rename(&away, fixture.path()).unwrap();
    store.purge(1).await.unwrap();
    println!("writes rejected after the file was changed: {noticed}");
    assert_eq!(noticed, 24);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_access_a_new_file() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    store.purge(1).await.unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir(fixture.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        checked += 1;
    }
    println!("files with mode 0600: {checked}");
    assert!(checked >= 3, "the database, its log and its index");
}
