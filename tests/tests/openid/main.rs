//! Tests of the hub against a certified OpenID provider.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

mod callback;
mod connect;
mod disconnect;
mod fleet;
mod judge;
mod refresh;
mod world;
