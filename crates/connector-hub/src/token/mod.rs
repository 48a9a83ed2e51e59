//! The token engine: the cache that callers read, the flights that they join, and the driver that
//! carries out what the machine decides.

mod cache;
mod driver;
mod flight;
pub mod machine;
mod windows;

pub(crate) use self::cache::Cache;
pub(crate) use self::flight::Flights;
