//! Connecting accounts: authorize, callback, adopt, against a scripted provider.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it counted"
)]

mod adopt;
mod flows;
mod grants;
mod provider;
mod reconnect;
mod refusals;
mod rig;
mod tenants;
