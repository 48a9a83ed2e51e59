//! Deliveries from providers: receiving, keeping, routing, handling.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it counted"
)]

mod fair;
mod forged;
mod handling;
mod outages;
mod rig;
mod routing;
mod secrets;
