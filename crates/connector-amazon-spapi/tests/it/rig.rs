//! A simulated Amazon and a hub that is connected to it.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_amazon_spapi::sim::{Consent, Simulator};
use connector_amazon_spapi::{
    AmazonClient, AmazonConfig, AmazonConfigBuilder, AmazonSpApi, Marketplace, Region,
};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{
    Actor, App, AppKey, AppSource, ConnectionKey, CorrelationId, ProviderId, RequestContext,
    Result, TenantId,
};
use connector_hub::{Authorization, Delivered, DeliveryHandler, Hub};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};

/// Events that the application's handler received.
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
    pub(crate) amazon: AmazonSpApi,
}

/// Registrations that change while the service runs.
#[derive(Debug, Clone)]
pub(crate) struct Apps(pub(crate) Arc<Mutex<App>>);

#[async_trait]
impl AppSource for Apps {
    async fn app(&self, provider: &ProviderId, _: &TenantId, app: &AppKey) -> Result<Arc<App>> {
        self.shared(provider, app).await
    }

    async fn shared(&self, _: &ProviderId, _: &AppKey) -> Result<Arc<App>> {
        Ok(Arc::new(self.0.lock().unwrap().clone()))
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with_sellers(&[]).await
    }

    /// Creates a rig with these sellers. The first seller is signed in. Without sellers, the
    /// simulator's default seller is used.
    pub(crate) async fn with_sellers(sellers: &[(&str, Region)]) -> Self {
        Self::configured(sellers, |it| it, None).await
    }

    /// Creates a rig with other settings, or with registrations of the application.
    pub(crate) async fn configured(
        sellers: &[(&str, Region)],
        configure: impl FnOnce(AmazonConfigBuilder) -> AmazonConfigBuilder,
        apps: Option<Apps>,
    ) -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let mut builder = Simulator::builder(clock.clone()).with_mark(canary("amazon"));
        for (seller, region) in sellers {
            builder = builder.with_seller(*seller, *region);
        }
        let sim = builder.start().await.unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let handled = Handled::default();
        // Registrations of the application replace those of the connector.
        let config = match &apps {
            Some(_) => AmazonConfig::builder()
                .with_marketplace(Marketplace::Us)
                .with_simulator(sim.server().address()),
            None => AmazonConfigBuilder::for_simulator(&sim),
        };
        let config = configure(config);
        let amazon = AmazonSpApi::new(config.build().unwrap());
        let mut hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(amazon.clone())
            .on_delivery(handled.clone());
        if let Some(apps) = apps {
            *apps.0.lock().unwrap() = sim.app();
            hub = hub.apps(apps);
        }
        Self {
            clock,
            sim,
            store,
            hub: hub.build().unwrap(),
            handled,
            amazon,
        }
    }

    pub(crate) async fn begin(&self) -> Authorization {
        let authorize = self.hub.authorize(&tenant(), AmazonSpApi::ID);
        authorize.actor(Actor::Worker).begin().await.unwrap()
    }

    /// Connects the signed-in seller through the browser.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        let begun = self.begin().await;
        let query = self.consent(&begun);
        self.finish(&begun, &query).await.unwrap()
    }

    /// Returns the query of the callback after the seller's consent.
    pub(crate) fn consent(&self, begun: &Authorization) -> String {
        let authority = self.sim.authority();
        let back = authority.visit(begun.url(), &Consent::Grant).unwrap();
        back.query().unwrap().to_owned()
    }

    pub(crate) async fn finish(&self, begun: &Authorization, query: &str) -> Result<ConnectionKey> {
        let binding = begun.binding().clone();
        let connected = self.hub.callback(AmazonSpApi::ID, query, binding);
        let connected = connected.actor(Actor::Worker);
        Ok(connected.await?.connection().key().clone())
    }

    pub(crate) async fn client(&self) -> AmazonClient {
        let key = self.connect().await;
        self.hub.client::<AmazonClient>(&key).await.unwrap()
    }

    /// Waits for a future while advancing the clock.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_millis(250), future)
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("t1").unwrap()
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}
