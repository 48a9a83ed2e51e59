#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// `account.rs` is absent, because all accounts use the same hosts.
mod client;
mod config;
mod connector;
pub mod endpoints;
mod error;
mod limits;
mod metadata;
pub mod models;
mod oauth;
mod service_account;
#[cfg(feature = "sim")]
pub mod sim;
mod subscriptions;
pub mod upload;
mod webhook;

pub use self::client::{DriveClient, PathMatch};
pub use self::config::{GoogleDriveConfig, GoogleDriveConfigBuilder, VARIABLES, Variable};
pub use self::connector::GoogleDrive;
pub use self::error::Reason;
pub use self::oauth::scope;
