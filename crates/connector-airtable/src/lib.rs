#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// There is no `account.rs`, because all accounts use the same hosts.
mod client;
mod config;
mod connector;
pub mod endpoints;
mod error;
mod limits;
mod metadata;
pub mod models;
mod oauth;
#[cfg(feature = "sim")]
pub mod sim;
mod subscriptions;
mod webhook;

pub use self::client::AirtableClient;
pub use self::config::{AirtableConfig, AirtableConfigBuilder, VARIABLES, Variable};
pub use self::connector::Airtable;
pub use self::error::is_expired_offset;
pub use self::models::{CHANGES_TOPIC, PAYLOAD_ERROR_TOPIC};
