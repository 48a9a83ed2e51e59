//! The token engine: the cache that callers read, the flights that they join, and the driver that
//! carries out what the machine decides.

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
        reason = "reached by the explorer through the feature `machine`"
    )
)]
pub mod machine;
#[cfg_attr(
    not(feature = "machine"),
    expect(
        unreachable_pub,
        reason = "reached by the explorer through the feature `machine`"
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
