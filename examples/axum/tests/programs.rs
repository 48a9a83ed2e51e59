//! Runs the programs.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Command;

#[test]
fn the_service_connects_and_disconnects_an_account() {
    connector_testkit::trace::init();
    let output = Command::new(env!("CARGO_BIN_EXE_axum_service"))
        .env_remove("SITE_URL")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{errors}");
    for line in [
        "callback: app.example/ connect=connected",
        "status: \"connected\"",
        "check: \"works\"",
        "without confirmation: \"confirmation_stale\"",
        "disconnected",
        "done",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is missing in: {text}"
        );
    }
}
