#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// There is no `account.rs`, because a seller has no host of their own, but a region. There are no
// `webhook.rs` and `subscriptions.rs`, because notifications come through a queue or an event bus:
// `flows/notification.rs` reads them.
mod appstore;
mod client;
mod config;
mod connector;
#[cfg(feature = "_documents")]
pub mod documents;
pub mod endpoints;
mod error;
#[cfg(any(feature = "_documents", feature = "notifications"))]
pub mod flows;
mod limits;
#[cfg(feature = "listings")]
mod listings;
mod marketplace;
mod metadata;
pub mod models;
mod oauth;
mod restricted;
#[cfg(feature = "sim")]
pub mod sim;
mod user_agent;

pub use self::appstore::AppstoreLogin;
pub use self::client::{AmazonClient, GrantlessClient};
pub use self::config::{AmazonConfig, AmazonConfigBuilder, VARIABLES, Variable};
pub use self::connector::AmazonSpApi;
#[cfg(feature = "listings")]
pub use self::listings::{ListingCheck, Verification};
pub use self::marketplace::{Marketplace, Region};
pub use self::restricted::RestrictedClients;
pub use self::user_agent::UserAgent;
