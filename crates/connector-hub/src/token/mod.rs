//! The token engine: the cache that callers read, the flights that they join, and the driver that
//! carries out what the machine decides.

mod access;
mod cache;
mod driver;
mod flight;
pub mod machine;
pub(crate) mod renewal;
pub(crate) mod windows;

pub(crate) use self::cache::{Arrival, Cache};
pub(crate) use self::driver::{Errand, Landing, Why};
pub(crate) use self::flight::Flights;
