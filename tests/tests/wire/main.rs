//! Tests of network faults between the library and two providers: the Shopify simulator, which has
//! a grace period, and a certified OpenID provider with strict rotation.
//!
//! Cases are generated from a seed. Set `CONNECTORS_WIRE_SEED` to a number to start a run with the
//! case of this number, for example to reproduce a failure.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

mod calls;
mod flows;
mod loss;
mod openid;
mod pace;
mod shopify;
mod witness;

/// Returns true for the long form of the tests.
pub(crate) fn is_full() -> bool {
    variable("CONNECTORS_SOAK").is_some_and(|mode| mode == "full")
}

#[expect(clippy::disallowed_methods, reason = "the switches of these tests")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
