#![doc = include_str!("../README.md")]
//!
//! # Suites
//!
//! Suites are macros that expand to one `#[test]` per rule of a trait's documentation, named after
//! the rule. A store's own tests apply them to a [`StoreFixture`], from its `tests/` folder:
//!
//! ```ignore
//! connector_testkit::token_store_suite!(Fixture);
//! connector_testkit::state_store_suite!(Fixture);
//! connector_testkit::delivery_queue_suite!(Fixture);
//! connector_testkit::subscription_store_suite!(Fixture);
//! connector_testkit::audit_log_suite!(Fixture);
//! connector_testkit::maintenance_suite!(Fixture);
//! ```
//!
//! A cipher's tests apply [`cipher_suite!`] to a [`CipherFixture`](cipher::CipherFixture).
//!
//! A provider's tests apply [`connector_suite!`] to a [`ConnectorFixture`](connector::ConnectorFixture):
//! its connector in front of a simulator of the provider. Which cases apply follows from the
//! connector's description.
//!
//! [`history`] records what concurrent callers of a store saw, and judges it afterwards.
//! [`kill`] ends the process, or loses an answer, before and after each call of a store, a cipher or
//! a transport. [`proxy`] loses, cuts and delays what goes over the wire to a provider.
//!
//! [`leak`] plants secrets and finds them where they should not be: in the files of [`artefacts`] and
//! in the logs that [`trace`] records.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod artefacts;
pub mod cipher;
mod config;
pub mod connector;
mod fixture;
pub mod history;
pub mod kill;
pub mod leak;
pub mod proxy;
pub mod store;
pub mod trace;

pub use self::fixture::{Case, StoreFixture};
