//! Faults on the wire between the whole library and the providers that stand for the real ones: the
//! Shopify simulator, which keeps a grace, and a certified OpenID provider with strict rotation.
//!
//! Cases are drawn from a seed. `CONNECTORS_WIRE_SEED` makes a run begin with the case of that
//! number, to see a failure again.
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

/// True for the long form of the tests.
pub(crate) fn is_full() -> bool {
    variable("CONNECTORS_SOAK").is_some_and(|mode| mode == "full")
}

#[expect(clippy::disallowed_methods, reason = "the switches of these tests")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
