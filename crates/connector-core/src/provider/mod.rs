//! Types and traits for implementing a connector.
//!
//! A provider that needs no code of its own is a [`Description`] wrapped in a [`GenericConnector`].
//! For a provider that deviates from the standards, you implement [`Connector`]. Its hooks receive
//! a [`Context`]. For typed operations, you implement [`Endpoint`] or [`PagedEndpoint`] for a
//! client that you define with [`provider_client!`](crate::provider_client).
//! [`provider_config!`](crate::provider_config) defines how settings are read.

pub mod config;
mod connector;
pub mod description;
pub mod oauth;
pub mod subscription;
pub mod webhook;

pub use self::connector::{Connector, Context, GenericConnector, Renewal};
pub use self::description::Description;
pub use crate::api::classify::{ByStatus, Classifier};
pub use crate::api::endpoint::{Endpoint, PagedEndpoint, ProviderClient};
pub use crate::api::error_table::{CodeAt, ErrorRule, ErrorTable};
pub use crate::{open_enum, provider_client, provider_config};
