//! The leak probe finds secrets in the log output of a test process. The process is a child with
//! its own environment, and runs this same program.

use std::process::Command;

use connector_testkit::leak::{self, Probe};
use connector_testkit::{artefacts, trace};

#[test]
#[ignore = "a process of its own, started by the parents below"]
fn child() {
    trace::init();
    trace::init();
    let secret = leak::canary("token");
    let key = leak::canary_bytes::<32>();
    let span = tracing::trace_span!("refresh", key = ?key);
    drop(span.entered());
    tracing::trace!(%secret, "refreshing");
    let directory = artefacts::directory("store").unwrap();
    std::fs::write(directory.path().join("store.db"), secret).unwrap();
}

#[test]
fn what_a_process_leaves_behind_is_searched() {
    trace::init();
    let run = tempfile::tempdir().unwrap();
    let prefix = leak::random_prefix();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .env("CONNECTORS_TEST_ARTEFACTS", run.path())
        .env("CONNECTORS_TEST_CANARY", &prefix)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");

    let report = Probe::new(&prefix).scan_directory(run.path()).unwrap();

    assert_eq!((report.files, report.planted), (3, 2), "{report:?}");
    let found = |name: &str| {
        let inside = |path: &std::path::Path| path.to_string_lossy().contains(name);
        let found = report.findings.iter().filter(|found| inside(&found.path));
        let mut encodings: Vec<_> = found.map(|found| found.encoding.as_str()).collect();
        encodings.dedup();
        encodings
    };
    assert_eq!(found("trace-"), ["numbers", "raw"], "{report:?}");
    assert_eq!(found("store.db"), ["raw"], "{report:?}");
    assert_eq!(found("planted-"), [""; 0], "{report:?}");
    let other = Probe::new(leak::random_prefix()).scan_directory(run.path());
    assert_eq!(other.unwrap().findings, []);
}

#[test]
fn a_malformed_canary_ends_the_test_without_showing_it() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("CONNECTORS_TEST_CANARY", "too-short!")
        .output()
        .unwrap();
    assert!(!child.status.success());
    let shown = format!("{child:?}");
    assert!(shown.contains("CONNECTORS_TEST_CANARY"), "{shown}");
    assert!(!shown.contains("too-short!"), "{shown}");
}
