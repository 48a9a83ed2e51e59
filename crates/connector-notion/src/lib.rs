#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// There is no `account.rs`, because all accounts use the same API host.
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

pub use self::client::NotionClient;
pub use self::config::{NotionConfig, NotionConfigBuilder, VARIABLES, Variable};
pub use self::connector::Notion;
pub use self::error::is_not_shared;
pub use self::oauth::Introspection;
pub use self::subscriptions::EDITED_TOPIC;
pub use self::webhook::HandshakeSwitch;
