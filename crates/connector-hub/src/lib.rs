//! The engine that applications hold: it connects accounts, keeps their credentials fresh and
//! disconnects them.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "machine")]
mod token;

#[cfg(feature = "machine")]
#[doc(hidden)]
pub use crate::token::machine;
