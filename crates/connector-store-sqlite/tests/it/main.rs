//! The tests of the store, in one program. `processes` and `read_only` start their own program again
//! as other processes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod bad_input;
mod damaged;
#[path = "../fixture/mod.rs"]
mod fixture;
mod lists;
mod schema;
mod sharing;
mod suites;
