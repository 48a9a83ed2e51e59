//! A hub with simulated shops.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock as _, ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{
    Actor, Connection, ConnectionKey, CorrelationId, RequestContext, Result, TenantId,
};
use connector_hub::{Delivered, DeliveryHandler, Hub};
use connector_shopify::sim::{Simulator, SimulatorBuilder};
use connector_shopify::{ShopDomain, Shopify, ShopifyClient, ShopifyConfig, ShopifyConfigBuilder};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use secrecy::{ExposeSecret as _, SecretString};
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
    pub(crate) hub: Hub,
    pub(crate) handled: Handled,
    pub(crate) tenant: TenantId,
    pub(crate) shop: ShopDomain,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|sim| sim, |config| config).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder,
        configure: impl FnOnce(ShopifyConfigBuilder) -> ShopifyConfigBuilder,
    ) -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let builder = Simulator::builder(clock.clone()).with_mark(canary("shopify"));
        let sim = change(builder).start().await.unwrap();
        let config = configure(ShopifyConfig::builder_for_simulator(&sim)).build();
        let handled = Handled::default();
        let hub = Hub::builder()
            .store(MemoryStore::new(Arc::new(clock.clone())))
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(Shopify::new(config.unwrap()))
            .on_delivery(handled.clone())
            .with_webhook_base(Url::parse("https://hooks.example/in/").unwrap())
            .build()
            .unwrap();
        Self {
            shop: sim.shops().remove(0),
            tenant: TenantId::new("tenant").unwrap(),
            clock,
            sim,
            hub,
            handled,
        }
    }

    /// Connects the first shop through the browser flow.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        let authorize = self.hub.authorize(&self.tenant, Shopify::ID);
        let authorize = authorize.actor(Actor::Worker).account(self.shop.as_str());
        let begun = authorize.begin().await.unwrap();
        let back = self.sim.visit(begun.url()).unwrap();
        let query = back.query().unwrap();
        let callback = self
            .hub
            .callback(Shopify::ID, query, begun.binding().clone());
        callback.unbound().await.unwrap().connection().key().clone()
    }

    /// Installs the app in a shop with the old flow, and adopts its token, which does not expire.
    pub(crate) async fn adopt_without_expiry(&self, shop: &ShopDomain) -> ConnectionKey {
        let token = self
            .sim
            .install_without_expiry(shop, &["read_products"])
            .unwrap();
        let credential = Shopify::non_expiring_credential(shop, token, self.clock.now()).unwrap();
        let adopt = self.hub.adopt(&self.tenant, Shopify::ID, credential);
        let adopted = adopt.actor(Actor::Worker).await.unwrap();
        adopted.connection().key().clone()
    }

    pub(crate) async fn connection(&self, key: &ConnectionKey) -> Connection {
        self.hub.tenant(&key.tenant).get(key.id).await.unwrap()
    }

    pub(crate) async fn client(&self, key: &ConnectionKey) -> ShopifyClient {
        self.hub.client(key).await.unwrap()
    }

    pub(crate) async fn token(&self, key: &ConnectionKey) -> Result<SecretString> {
        let token = self.hub.access_token(key).await?;
        Ok(token.into_secret().expose_secret().into())
    }

    /// Runs a future while the clock advances.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_millis(250), future)
    }

    /// Runs the worker until no work is due.
    pub(crate) async fn work(&self) {
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(1));
            self.drive(self.hub.worker().tick()).await.unwrap();
        }
    }
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}
