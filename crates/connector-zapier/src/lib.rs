#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// There is no `oauth.rs`, because hooks are connected without OAuth; the OAuth settings of the Workflow
// API are in `workflow.rs`. There is no `subscriptions.rs`, because Zapier subscribes to events of the
// application, never the reverse. There is no `metadata.rs`, because all metadata of a hook comes from its
// address.
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
