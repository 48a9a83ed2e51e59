//! The tests of the crate, in one program.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod callback;
mod connections;
mod hostile;
mod http;
mod live;
mod mount;
mod notices;
mod openapi;
mod rig;
mod startup;
mod tenancy;
mod webhooks;
