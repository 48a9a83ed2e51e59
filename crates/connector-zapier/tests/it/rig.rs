//! Test setup: a simulated Zapier and a hub that uses it.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock as _, ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{Actor, ConnectionKey, Result, TenantId};
use connector_hub::{Delivered, DeliveryHandler, Hub};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use connector_zapier::sim::Simulator;
use connector_zapier::{Zapier, ZapierClient, ZapierConfig};
use secrecy::SecretString;

/// Events that the application's handler received, with the connection of each event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handled(pub(crate) Arc<Mutex<Vec<Told>>>);

type Told = (Event, Option<ConnectionKey>);

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let event = (**delivery.event()).clone();
        let connection = delivery.connection().cloned();
        self.0.lock().unwrap().push((event, connection));
        Ok(())
    }
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) sim: Simulator,
    pub(crate) store: MemoryStore,
    pub(crate) hub: Hub,
    pub(crate) handled: Handled,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let sim = Simulator::start(clock.clone(), &canary("z")).await.unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let handled = Handled::default();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(Zapier::new(ZapierConfig::for_simulator(&sim).unwrap()))
            .on_delivery(handled.clone())
            .build()
            .unwrap();
        Self {
            clock,
            sim,
            store,
            hub,
            handled,
        }
    }

    /// Adopts a hook.
    pub(crate) async fn connect(&self, hook: &SecretString) -> ConnectionKey {
        let credential = Zapier::hook(hook.clone(), self.clock.now()).unwrap();
        let adopted = self.hub.adopt(&tenant(), Zapier::ID, credential);
        let connected = adopted.actor(Actor::Worker).await.unwrap();
        connected.connection().key().clone()
    }

    pub(crate) async fn client(&self, hook: &SecretString) -> ZapierClient {
        let key = self.connect(hook).await;
        self.hub.client::<ZapierClient>(&key).await.unwrap()
    }

    /// Waits for a future and advances the clock.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_secs(1), future)
    }

    /// Runs the worker until no job is due.
    pub(crate) async fn work(&self) {
        for _ in 0..10 {
            self.clock.advance(Duration::from_secs(1));
            self.drive(self.hub.worker().tick()).await.unwrap();
        }
    }

    /// Returns the total number of requests to the simulator.
    pub(crate) fn requests(&self) -> usize {
        self.sim.server().counts().values().sum()
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("t1").unwrap()
}
