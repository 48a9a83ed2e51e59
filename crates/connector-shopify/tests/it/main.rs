//! The tests of the connector, in one program.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    reason = "tests fail by panicking, print their counts and tell whole stories"
)]

mod bulk;
mod conformance;
mod documents;
mod embedded;
mod endpoints;
mod fixture;
mod limits;
mod migration;
mod oauth;
mod operations;
mod rig;
mod schema;
mod shapes;
mod signature;
mod subscriptions;
mod webhook;
mod world;
