//! Tests in which processes are killed and frozen while they refresh tokens at a provider that
//! rotates, and while they send webhooks.
//!
//! The child processes run this test program with the test `child`. They share one database
//! ([`backend`]) and a clock in a file. The parent advances the clock only when all children have reported that they
//! are idle. Therefore no outcome depends on the speed of the machine. A run with one command at a
//! time is fully determined by its seed.
//!
//! `CONNECTORS_SOAK=full` kills and freezes more often.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

mod backend;
mod child;
mod clock;
mod fleet;
mod frozen;
mod inbox;
mod keeper;
mod outbound;
mod process;
mod provider;
mod random;
mod sweep;
mod world;

/// Set for a child.
const CHILD: &str = "CONNECTORS_TEST_KILLS_CHILD";

#[test]
#[ignore = "a child process, which the tests of this program start"]
#[expect(
    clippy::disallowed_methods,
    reason = "a child recognises its role by an environment variable"
)]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        child::run();
    }
}

#[test]
#[ignore = "a child process, which the tests of this program start"]
#[expect(
    clippy::disallowed_methods,
    reason = "a child recognises its role by an environment variable"
)]
fn outbound_child() {
    if std::env::var_os(CHILD).is_some() {
        outbound::child();
    }
}

/// Returns true, and prints the reason, if the database is not available.
fn is_skipped() -> bool {
    let missing = backend::missing();
    if let Some(reason) = missing {
        println!("skipped: {reason}");
    }
    missing.is_some()
}

/// Returns true if the long form is requested.
#[expect(
    clippy::disallowed_methods,
    reason = "the long form is asked for by the environment"
)]
fn full() -> bool {
    std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full")
}
