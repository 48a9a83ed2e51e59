//! The tests of the store, in one program. They need a server; see `fixture`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod bad_input;
mod contention;
#[path = "../fixture/mod.rs"]
mod fixture;
mod pooler;
mod queues;
mod sharing;
mod suites;
mod tls;
