//! The token engine, which consists of the token cache, the in-flight refreshes, and the driver
//! that executes the machine's actions.

mod access;
mod cache;
mod deadline;
mod driver;
mod flight;
#[cfg_attr(
    not(feature = "machine"),
    expect(
        unreachable_pub,
        dead_code,
        reason = "the explorer tests use this module through the feature `machine`"
    )
)]
pub mod machine;
#[cfg_attr(
    not(feature = "machine"),
    expect(
        unreachable_pub,
        reason = "the explorer tests use this module through the feature `machine`"
    )
)]
mod outcome;
pub(crate) mod renewal;
pub(crate) mod windows;

pub(crate) use self::cache::{Arrival, Cache};
pub(crate) use self::driver::RefreshTrigger;
pub(crate) use self::flight::{Enlisted, Flights};
pub(crate) use self::machine::effective as effective_class;
pub(crate) use self::outcome::{NoTokenReason, RefreshOutcome, shutting_down};
