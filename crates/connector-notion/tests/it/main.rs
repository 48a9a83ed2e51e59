//! All integration tests of the connector, in one binary.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod bulk;
mod conformance;
mod connection;
mod limits;
mod operations;

mod rig;
mod shapes;

mod webhook;
