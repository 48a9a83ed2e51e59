//! Tests of the connector, in one binary.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod conformance;
mod connect;
mod documents;
mod flows;
mod limits;
mod notifications;
mod operations;
mod oracle;
mod rig;
