//! Tests of the connector, in one binary.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::items_after_statements,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::unnecessary_wraps,
    reason = "tests fail by panicking and print their counts; tables of cases are long, and their \
              helpers stand beside them"
)]

mod conformance;
mod connect;
mod documents;
mod flows;
mod limits;
mod notifications;
mod operations;
mod oracle;
mod rig;
