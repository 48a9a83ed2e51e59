//! The engine that applications hold: it connects accounts, keeps their credentials fresh and
//! disconnects them.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod adopt;
mod authorize;
mod breaker;
mod callback;
mod client;
mod connect;
mod flow;
mod hub;
mod token;
mod vault;

pub use crate::adopt::Adopt;
pub use crate::authorize::{Authorization, Authorize};
pub use crate::callback::FinishConnect;
pub use crate::connect::{Connected, ScopeReport};
pub use crate::hub::{Hub, HubBuilder, Tenant};
#[cfg(feature = "machine")]
#[doc(hidden)]
pub use crate::token::machine;
pub use connector_core::api::Token;
