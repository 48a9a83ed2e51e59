//! The tests of the simulator framework, in one program.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod forms;
mod server;
