//! The tests of the program `kills`, with a PostgreSQL server instead of an SQLite file.
//!
//! The child processes run this test program with the test `child`. They share one PostgreSQL
//! schema ([`backend`]) and a clock in a file. The parent advances the clock only when all children have reported that they
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
#[path = "../kills/child.rs"]
mod child;
#[path = "../kills/clock.rs"]
mod clock;
#[path = "../kills/fleet.rs"]
mod fleet;
#[path = "../kills/frozen.rs"]
mod frozen;
#[path = "../kills/inbox.rs"]
mod inbox;
#[path = "../kills/keeper.rs"]
mod keeper;
#[path = "../kills/process.rs"]
mod process;
#[path = "../kills/provider.rs"]
mod provider;
#[path = "../kills/random.rs"]
mod random;
#[path = "../kills/sweep.rs"]
mod sweep;
#[path = "../kills/world.rs"]
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
