#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// No `oauth.rs`: a hook is connected without OAuth, and the Workflow API has a module of its own. No
// `subscriptions.rs`: Zapier subscribes at the application, never the application at Zapier.
mod account;
mod client;
mod config;
mod connector;
pub mod endpoints;
mod error;
mod limits;
pub mod models;
#[cfg(feature = "sim")]
pub mod sim;
mod webhook;
#[cfg(feature = "workflow-api")]
pub mod workflow;

pub use self::account::{HookForm, HookUrl};
pub use self::client::ZapierClient;
pub use self::config::{VARIABLES, Variable, ZapierConfig, ZapierConfigBuilder};
pub use self::connector::Zapier;
pub use self::error::is_gone;
