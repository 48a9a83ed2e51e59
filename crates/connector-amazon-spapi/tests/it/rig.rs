//! A simulated Amazon, and a hub in front of it.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_amazon_spapi::sim::{Consent, Simulator};
use connector_amazon_spapi::{AmazonClient, AmazonConfig, AmazonSpApi};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{Actor, ConnectionKey, CorrelationId, RequestContext, Result, TenantId};
use connector_hub::{Authorization, Delivered, DeliveryHandler, Hub};
use connector_testkit::leak::canary;
use connector_testkit::trace;

/// The events that the application's handler was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handled(pub(crate) Arc<Mutex<Vec<Event>>>);

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        self.0.lock().unwrap().push((**delivery.event()).clone());
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
        let builder = Simulator::builder(clock.clone()).with_mark(canary("amazon"));
        let sim = builder.start().await.unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let handled = Handled::default();
        let config = AmazonConfig::for_simulator(&sim).unwrap();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(AmazonSpApi::new(config))
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

    pub(crate) async fn begin(&self) -> Authorization {
        let tenant = TenantId::new("t1").unwrap();
        let authorize = self.hub.authorize(&tenant, AmazonSpApi::ID);
        authorize.actor(Actor::Worker).begin().await.unwrap()
    }

    /// Connects the signed-in seller by way of the browser.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        let begun = self.begin().await;
        let authority = self.sim.authority();
        let back = authority.visit(begun.url(), &Consent::Grant).unwrap();
        let query = back.query().unwrap();
        let binding = begun.binding().clone();
        let connected = self.hub.callback(AmazonSpApi::ID, query, binding);
        connected.await.unwrap().connection().key().clone()
    }

    pub(crate) async fn client(&self) -> AmazonClient {
        let key = self.connect().await;
        self.hub.client::<AmazonClient>(&key).await.unwrap()
    }

    /// Waits for a future while time passes.
    pub(crate) async fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..20_000 {
            tokio::select! {
                biased;
                done = &mut future => return done,
                () = tokio::time::sleep(Duration::from_millis(2)) => {
                    self.clock.advance(Duration::from_millis(250));
                }
            }
        }
        panic!("it is not ready after hours");
    }
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}
