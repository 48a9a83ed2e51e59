//! Webhooks to customers, with real stores, ciphers and signatures, and receivers in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "tests fail by panicking, and print their counts"
)]

mod crash;
mod egress;
mod endpoints;
mod fair;
mod rig;
mod sending;
mod signing;
mod stopping;
