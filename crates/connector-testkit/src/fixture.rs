//! Fixtures for the store suites.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::Store;

/// A store under test: storage for its data, and a clock that the cases advance.
///
/// Each case creates its own fixture, so that cases run in any order and concurrently.
#[async_trait]
pub trait StoreFixture: Send + Sync + Sized + 'static {
    /// The store.
    type Store: Store;

    /// Returns the reason if the storage is not available on this machine, for example because a
    /// database server is not installed. The cases then print `skipped` with the reason and do
    /// nothing. The default is `None`.
    #[must_use]
    fn skipped() -> Option<String> {
        None
    }

    /// Creates fresh, empty storage. Panics on failure, so that the case fails.
    async fn create() -> Self;

    /// Opens the data. May be called again while older handles are in use. All handles share the
    /// same data, like several processes on one database.
    async fn open(&self) -> Self::Store;

    /// Advances the clock of the store for every handle.
    fn advance(&self, by: Duration);
}

/// One case of a suite, with the name of a rule and a test of the rule.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: fn(),
}

impl Case {
    pub(crate) const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, run }
    }

    /// Returns the name of the rule, as in the trait's documentation.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case with a new fixture.
    ///
    /// # Panics
    /// Panics if the store breaks the rule.
    pub fn run(&self) {
        (self.run)();
    }
}
