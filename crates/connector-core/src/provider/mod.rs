//! Names for those who write a connector.
//!
//! A provider that needs no code of its own is a [`Description`] behind a [`GenericConnector`]. A
//! provider that deviates implements [`Connector`], whose hooks receive a [`Context`]. Typed
//! operations implement [`Endpoint`] or [`PagedEndpoint`] for a client that
//! [`provider_client!`](crate::provider_client) defines.

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
pub use crate::provider_client;
