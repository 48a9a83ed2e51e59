//! Connect flows: authorize, callback and adopt, with a scripted provider.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print their counts"
)]

mod adopt;
mod flows;
mod grants;
mod metrics;
mod openid;
mod provider;
mod reconnect;
mod refusals;
mod rig;
mod tenants;
mod views;
