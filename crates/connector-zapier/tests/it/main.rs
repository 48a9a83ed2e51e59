//! Integration tests of the connector, in one program.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod address;
mod conformance;
mod operations;
mod rest_hooks;
mod rig;
mod webhook;
#[cfg(feature = "workflow-api")]
mod workflow;
