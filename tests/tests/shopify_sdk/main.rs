//! Compares the Shopify connector and its simulator with Shopify's own library for Node. Both sides
//! sign and verify random input from a fixed seed. All differences are intended, and the tests
//! count them.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

mod callback;
mod comparison;
mod embedded;
mod flow;
mod judges;
mod scopes;
mod shops;
mod webhook;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Generates `count` values, the same in every run.
fn samples<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Generates text of all kinds: plain, empty, with characters that have a meaning in a query, in
/// any language.
fn text() -> impl Strategy<Value = String> {
    proptest::prop_oneof![
        3 => "[A-Za-z0-9._-]{0,24}",
        1 => "",
        2 => "[ +]{1,3}[a-z]{0,4}[ +]{0,3}",
        3 => r#"[ a-z+&=%#?/*~'"\\<>:;,@!$()\[\]{}|^`_-]{1,10}"#,
        3 => "\\PC{1,12}",
        1 => "[\\x00-\\x1f\\x7f]{1,3}",
    ]
}
