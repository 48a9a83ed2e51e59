//! The tests of the contract, in one program.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod api;
mod cipher;
mod limits;
mod long;
mod rotation;
mod schemes;
mod simulation;
mod store_memory;
mod webhook;
