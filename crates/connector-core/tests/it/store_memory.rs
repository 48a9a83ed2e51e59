//! Runs the store test suites against the in-memory store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_testkit::StoreFixture;

struct Memory {
    clock: ManualClock,
    store: MemoryStore,
}

#[async_trait]
impl StoreFixture for Memory {
    type Store = MemoryStore;

    async fn create() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Self { clock, store }
    }

    async fn open(&self) -> MemoryStore {
        self.store.clone()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

connector_testkit::token_store_suite!(Memory);
connector_testkit::state_store_suite!(Memory);
connector_testkit::delivery_queue_suite!(Memory);
connector_testkit::audit_log_suite!(Memory);
connector_testkit::maintenance_suite!(Memory);
connector_testkit::subscription_store_suite!(Memory);
connector_testkit::outbound_store_suite!(Memory);
