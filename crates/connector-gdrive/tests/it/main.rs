//! Tests of the connector, compiled into one binary.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod conformance;
mod downloads;
mod limits;
mod operations;
mod oracle;
mod rig;
mod service_account;
mod shapes;
mod subscriptions;
mod uploads;
