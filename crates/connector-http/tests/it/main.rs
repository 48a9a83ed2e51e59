//! The tests of the transport, in one program. Programs of their own measure the memory of their
//! process, change its environment or its log.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

#[path = "../server/mod.rs"]
mod server;
mod streams;
#[path = "../transfers/mod.rs"]
mod transfers;
mod transport;
