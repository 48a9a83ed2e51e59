#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! * who and what: [`TenantId`], [`ProviderId`], [`AppKey`], [`AccountKey`], [`ConnectionKey`];
//! * [`Connection`], its [`Status`], and the [`Credential`] behind it;
//! * what a database must offer ([`store`]) and a store in memory, [`store::MemoryStore`];
//! * what seals secrets ([`cipher`]): [`cipher::CredentialCipher`] and our [`cipher::Keyring`];
//! * what is special about a provider, as data ([`description`]), the messages of OAuth that follow
//!   from it ([`oauth`]), and the [`Connector`] that puts both behind hooks;
//! * typed calls of a provider's API ([`api`]) and what its webhooks are ([`webhook`]);
//! * subscriptions to changes at a provider ([`subscription`]);
//! * an application's registration, read from variables ([`config`]);
//! * time and randomness as dependencies ([`clock`], [`Random`]) and the one door to the network
//!   ([`http`]);
//! * the one [`Error`] type.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access_token;
mod account;
pub mod api;
mod app;
pub mod cipher;
pub mod clock;
pub mod config;
mod connection;
mod connector;
mod context;
mod credential;
pub mod description;
mod error;
mod event;
pub mod http;
mod json;
mod metadata;
mod name;
pub mod oauth;
mod provider;
mod random;
pub mod store;
pub mod subscription;
pub mod webhook;

pub use self::access_token::{AccessToken, Deadlines, IssuedToken, Phase, TokenSlot};
pub use self::account::{Account, AccountKey, AccountRef, TenantId};
pub use self::app::{App, AppKey, AppSource, FixedApps, RedirectUri};
pub use self::connection::{
    Check, Connection, ConnectionId, ConnectionKey, DegradedReason, Fence, Generation, GrantNumber,
    ReauthorizationReason, Status, TimeLeft, Version,
};
pub use self::connector::{Connector, Context, GenericConnector, Renewal};
pub use self::context::{Actor, CorrelationId, RequestContext};
pub use self::credential::{Credential, CredentialKind};
pub use self::description::Description;
pub use self::error::{Error, ErrorKind, Result, Retry};
pub use self::event::{AuditClass, AuditEntry, Event};
pub use self::metadata::Metadata;
pub use self::name::InvalidName;
pub use self::provider::ProviderId;
pub use self::random::{Random, SystemRandom};
