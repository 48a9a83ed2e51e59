//! Deliveries from providers: receiving, storing, routing, handling.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print their counts"
)]

mod crashes;
mod fair;
mod forged;
mod handling;
mod outages;
mod rig;
mod routing;
mod secrets;
mod typed;
