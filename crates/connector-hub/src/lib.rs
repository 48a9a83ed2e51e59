//! The engine that applications hold: it connects accounts, keeps their credentials fresh and
//! disconnects them.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod breaker;
mod hub;
mod token;
mod vault;

pub use crate::hub::{Hub, HubBuilder, Tenant};
pub use crate::token::Token;
#[cfg(feature = "machine")]
#[doc(hidden)]
pub use crate::token::machine;
