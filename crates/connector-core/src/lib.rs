#![doc = include_str!("../README.md")]
//!
//!
//! # Modules
//!
//! The root and the modules [`api`], [`cipher`], [`clock`], [`http`], [`outbound`] and [`webhook`] are for
//! applications:
//!
//! * keys: [`TenantId`], [`ProviderId`], [`AppKey`], [`AccountKey`], [`ConnectionKey`];
//! * connections: [`Connection`] with its [`Status`], and the [`Credential`] type;
//! * calls to a provider's API ([`api`]) and events from its webhooks ([`webhook`]);
//! * webhooks that the application sends to its own customers ([`outbound`]);
//! * encryption of stored secrets ([`cipher`]): [`cipher::CredentialCipher`] and
//!   [`cipher::Keyring`];
//! * injectable dependencies: time ([`clock`]), randomness ([`Random`]) and the network ([`http`]);
//! * the [`Error`] type of all crates.
//!
//! Two modules are for implementors:
//!
//! * [`provider`] is for authors of connectors. It contains the [`Connector`](provider::Connector)
//!   trait, the [`Description`](provider::Description) of a provider as data, OAuth messages,
//!   webhook schemes, subscriptions and settings.
//! * [`store`] is for authors of stores. It contains the store traits, stored rows, claims, fences
//!   and generations, and [`MemoryStore`](store::MemoryStore).

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
pub mod outbound;
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

/// Events from a provider's webhooks.
///
/// Schemes, secrets and verification are in [`provider::webhook`].
pub mod webhook {
    pub use crate::provider::webhook::{AccountHint, Event, SignedField, TypedEvent};
}
