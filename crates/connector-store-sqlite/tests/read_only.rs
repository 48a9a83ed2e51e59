//! A store cannot be opened on a read-only file or directory, and the error says so.
//!
//! A program of its own, because it copies itself and runs the copy as another user.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it counted"
)]
#![cfg(target_os = "linux")]

mod fixture;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use connector_core::ErrorKind;
use connector_store_sqlite::SqliteStore;
use connector_testkit::StoreFixture;

use self::fixture::Fixture;

const NAME: &str = "a_read_only_file_or_directory_is_refused";
const PLACE: &str = "CONNECTORS_TEST_READ_ONLY";
/// The uid of the user `nobody`.
const UNPRIVILEGED: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

async fn refused(path: PathBuf) {
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let message = error.message();
    assert!(
        message.contains("write") && message.contains("directory"),
        "{error}"
    );
}

async fn check(place: &Path) {
    refused(place.join("file/store.db")).await;
    refused(place.join("directory/store.db")).await;
    refused(place.join("directory/new.db")).await;
    assert!(!place.join("directory/new.db").exists());
    println!("read-only paths rejected: 3");
}

#[tokio::test]
async fn a_read_only_file_or_directory_is_refused() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent process of this test set it"
    )]
    let place = std::env::var_os(PLACE);
    if let Some(place) = place {
        check(Path::new(&place)).await;
        return;
    }
    let fixture = Fixture::create().await;
    fixture.open().await.close().await;
    let place = fixture.directory.path();
    for (name, file, directory) in [("file", 0o444, 0o777), ("directory", 0o666, 0o555)] {
        let inside = place.join(name);
        fs::create_dir(&inside).unwrap();
        fs::copy(fixture.path(), inside.join("store.db")).unwrap();
        set_mode(&inside.join("store.db"), file);
        set_mode(&inside, directory);
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        as_nobody(place);
    } else {
        check(place).await;
    }
    set_mode(&place.join("directory"), 0o755);
}

/// File permissions do not apply to root, so the check runs in an unprivileged process.
fn as_nobody(place: &Path) {
    set_mode(place, 0o755);
    let program = place.join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let child = Command::new(&program)
        .args([NAME, "--exact", "--nocapture"])
        .env(PLACE, place)
        .current_dir("/")
        .uid(UNPRIVILEGED)
        .output();
    fs::remove_file(&program).unwrap();
    match child {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}{complained}");
            assert!(said.contains("read-only paths rejected: 3"), "{said}");
            println!("read-only paths rejected: 3");
        }
        Err(cause) => println!("skipped: running as root, and no other user may run: {cause}"),
    }
}
