//! Processes that are killed and frozen while they refresh against a provider that rotates.
//!
//! The children are this very test program, started again for the test `child`. They share one
//! SQLite file and a clock in a file. The parent moves the clock, and only when nothing runs in any
//! child: it is told so by them. So no outcome depends on how fast the machine is, and of a run
//! with one command at a time a seed says everything.
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

mod child;
mod clock;
mod fleet;
mod frozen;
mod inbox;
mod keeper;
mod process;
mod provider;
mod random;
mod sweep;
mod world;

/// Set for a child.
const CHILD: &str = "CONNECTORS_TEST_KILLS_CHILD";

#[test]
#[ignore = "a process of its own, started by the tests of this program"]
#[expect(
    clippy::disallowed_methods,
    reason = "a child is told by its environment that it is one"
)]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        child::run();
    }
}

/// True if the long form is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "the long form is asked for by the environment"
)]
fn full() -> bool {
    std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full")
}
