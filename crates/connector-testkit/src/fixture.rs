//! What a suite needs to know about the store that it tests.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::Store;

/// A store under test: a place for its data, and a clock that the cases move.
///
/// Every case makes its own, so that cases run in any order and at the same time.
#[async_trait]
pub trait StoreFixture: Send + Sync + Sized + 'static {
    /// The store.
    type Store: Store;

    /// A fresh, empty place for data. Panics if there is none to be had: the case then fails.
    async fn create() -> Self;

    /// Opens the data. May be called again while older handles are in use; all see the same data,
    /// as several processes would.
    async fn open(&self) -> Self::Store;

    /// Moves the clock of the store forward, for every handle.
    fn advance(&self, by: Duration);
}

/// One case of a suite: a rule's name, and what shows it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: fn(),
}

impl Case {
    pub(crate) const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, run }
    }

    /// The rule's name, as the trait's documentation has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case on a fixture of its own.
    ///
    /// # Panics
    /// If the rule does not hold.
    pub fn run(&self) {
        (self.run)();
    }
}
