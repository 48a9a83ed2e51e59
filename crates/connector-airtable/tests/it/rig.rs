//! A simulated Airtable with one base, and a hub.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_airtable::models::{BaseId, Fields, TableId};
use connector_airtable::sim::{Consent, Simulator};
use connector_airtable::{Airtable, AirtableClient, AirtableConfig};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{Actor, ConnectionKey, CorrelationId, RequestContext, Result, TenantId};
use connector_hub::{Authorization, Delivered, DeliveryHandler, Hub};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use url::Url;

/// The events that the application's handler received.
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
    pub(crate) base: BaseId,
    /// The table `Tasks` with the fields `Name` and `Status`.
    pub(crate) table: TableId,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let builder = Simulator::builder(clock.clone()).with_mark(canary("airtable"));
        let sim = builder.start().await.unwrap();
        let base = sim.add_base("Work").unwrap();
        let table = sim.add_table(&base, "Tasks", &["Name", "Status"]).unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let handled = Handled::default();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(Airtable::new(AirtableConfig::for_simulator(&sim).unwrap()))
            .on_delivery(handled.clone())
            .with_webhook_base(Url::parse("https://hooks.example/in/").unwrap())
            .build()
            .unwrap();
        Self {
            clock,
            sim,
            store,
            hub,
            handled,
            base,
            table,
        }
    }

    pub(crate) async fn begin(&self) -> Authorization {
        let tenant = TenantId::new("t1").unwrap();
        let authorize = self.hub.authorize(&tenant, Airtable::ID);
        authorize.actor(Actor::Worker).begin().await.unwrap()
    }

    /// Connects the signed-in user through the browser flow.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        let begun = self.begin().await;
        let authority = self.sim.authority();
        let back = authority.visit(begun.url(), &Consent::Grant).unwrap();
        let query = back.query().unwrap();
        let connected = self
            .hub
            .callback(Airtable::ID, query, begun.binding().clone())
            .unbound();
        connected.await.unwrap().connection().key().clone()
    }

    pub(crate) async fn client(&self) -> AirtableClient {
        let key = self.connect().await;
        self.hub.client::<AirtableClient>(&key).await.unwrap()
    }

    /// Runs a future while the clock advances.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_millis(250), future)
    }
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}

pub(crate) fn cells(name: &str, status: &str) -> Fields {
    let mut fields = Fields::new();
    fields.insert("Name".to_owned(), name.into());
    fields.insert("Status".to_owned(), status.into());
    fields
}
