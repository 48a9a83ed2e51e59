#![doc = include_str!("../README.md")]
//!
//! # Two sets of names
//!
//! The root and the modules [`api`], [`cipher`], [`clock`], [`http`], [`subscription`] and [`webhook`]
//! are for applications:
//!
//! * keys: [`TenantId`], [`ProviderId`], [`AppKey`], [`AccountKey`], [`ConnectionKey`];
//! * [`Connection`] and its [`Status`], the [`Credential`] of an adopted connection;
//! * calls of a provider's API ([`api`]), events from webhooks ([`webhook`]);
//! * encryption of stored secrets ([`cipher`]): [`cipher::CredentialCipher`] and
//!   [`cipher::Keyring`];
//! * time ([`clock`]), randomness ([`Random`]) and the network ([`http`]) as dependencies;
//! * the one [`Error`] type.
//!
//! Two modules are for implementors:
//!
//! * [`provider`], for those who write a connector: the [`Connector`](provider::Connector) trait,
//!   the [`Description`](provider::Description) of a provider as data, OAuth messages, webhook
//!   schemes, subscriptions and settings;
//! * [`store`], for those who write a store: the store traits, stored rows, claims, fences and
//!   generations, and [`MemoryStore`](store::MemoryStore).

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access_token;
mod account;
pub mod api;
mod app;
pub mod cipher;
pub mod clock;
mod connection;
mod context;
mod credential;
mod error;
mod event;
pub mod http;
mod json;
mod metadata;
mod name;
pub mod provider;
mod provider_id;
mod random;
pub mod store;

pub use self::access_token::AccessToken;
pub use self::account::{Account, AccountKey, TenantId};
pub use self::app::{App, AppKey, AppSource, FixedApps, RedirectUri};
pub use self::connection::{
    Check, Connection, ConnectionId, ConnectionKey, DegradedReason, ReauthorizationReason, Status,
};
pub use self::context::{Actor, CorrelationId, RequestContext};
pub use self::credential::{Credential, CredentialKind};
pub use self::error::{Error, ErrorKind, Result, Retry};
pub use self::event::{AuditClass, AuditEntry, Event};
pub use self::metadata::Metadata;
pub use self::name::InvalidName;
pub use self::provider_id::ProviderId;
pub use self::random::{Random, SystemRandom, random_token};

/// Data of a connection that an application asks to be told about.
///
/// Channels, renewal and comparison are in [`provider::subscription`].
pub mod subscription {
    pub use crate::provider::subscription::Watch;
}

/// Events from a provider's webhooks.
///
/// Schemes, secrets and verification are in [`provider::webhook`].
pub mod webhook {
    pub use crate::provider::webhook::{AccountHint, Event, SignedField};
}
