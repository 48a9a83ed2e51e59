#![doc = include_str!("../README.md")]
//!
//! # Suites
//!
//! A suite is a macro that generates one `#[test]` per rule of a trait's documentation, named after
//! the rule. Apply a store suite to a [`StoreFixture`] in the `tests/` folder of your store:
//!
//! ```ignore
//! connector_testkit::token_store_suite!(Fixture);
//! connector_testkit::state_store_suite!(Fixture);
//! connector_testkit::delivery_queue_suite!(Fixture);
//! connector_testkit::subscription_store_suite!(Fixture);
//! connector_testkit::outbound_store_suite!(Fixture);
//! connector_testkit::audit_log_suite!(Fixture);
//! connector_testkit::maintenance_suite!(Fixture);
//! ```
//!
//! For a cipher, apply [`cipher_suite!`] to a [`CipherFixture`](cipher::CipherFixture).
//!
//! For a provider, apply [`connector_suite!`] to a
//! [`ConnectorFixture`](connector::ConnectorFixture), which combines the connector with a simulator
//! of the provider. The connector's description determines which cases apply.
//!
//! The other modules test failures. [`history`] records the calls of concurrent callers of a store,
//! and checks their outcomes afterwards. [`kill`] aborts the process, or loses a response, before
//! and after each call of a store, a cipher or a transport. [`proxy`] drops, truncates and delays
//! the traffic to a provider.
//!
//! [`described`] checks requests against a provider's official description.
//!
//! [`leak`] plants secrets and searches for them where they must not appear: in the files of
//! [`artefacts`] and in the logs that [`trace`] records. [`memory`] reads the memory use of the
//! process.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod artefacts;
pub mod cipher;
mod config;
pub mod connector;
pub mod described;
mod drive;
mod fixture;
pub mod history;
pub mod kill;
pub mod leak;
pub mod memory;
pub mod proxy;
pub mod store;
pub mod trace;

pub use self::drive::drive;

pub use self::fixture::{Case, StoreFixture};
