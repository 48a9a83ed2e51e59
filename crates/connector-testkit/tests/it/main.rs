//! The tests of the testkit, in one program. `trace` starts its own program again with another
//! environment. `wrong_stores` silences the panics of all worker threads of its process.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod cipher_suite;
mod connector_suite;
mod history;
mod kill;
mod proxy;
mod rules;
