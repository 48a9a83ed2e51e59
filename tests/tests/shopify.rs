//! The hub, the Shopify connector and its simulator together.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::store::{MemoryStore, Store};
use connector_core::{Actor, ConnectionKey, ErrorKind, ReauthorizationReason, Status, TenantId};
use connector_http::HttpClient;
use connector_hub::Hub;
use connector_shopify::endpoints::{GetShop, ListProducts};
use connector_shopify::models::Product;
use connector_shopify::sim::{Consent, Fault, Route, Simulator};
use connector_shopify::{ShopDomain, Shopify, ShopifyClient, ShopifyConfig};
use connector_store_sqlite::SqliteOptions;
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::{artefacts, trace};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use secrecy::ExposeSecret;

const HOUR: Duration = Duration::from_hours(1);

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap())
}

struct World {
    hub: Hub,
    sim: Simulator,
    clock: ManualClock,
    tenant: TenantId,
    shop: ShopDomain,
    /// The directory of the store, kept as long as the hub.
    _directory: Option<artefacts::Directory>,
}

impl World {
    /// Creates a world with a SQLite store. The search for secrets reads its file afterwards.
    async fn new() -> Self {
        let clock = clock();
        let directory = artefacts::directory("shopify").unwrap();
        let store = SqliteOptions::new(directory.path().join("connectors.db"))
            .with_clock(Arc::new(clock.clone()))
            .open()
            .await
            .unwrap();
        let world = Self::with(store, clock).await;
        Self {
            _directory: Some(directory),
            ..world
        }
    }

    /// Creates a world with a store in memory, which answers at once, so that a clock that advances
    /// by itself does not get ahead of it.
    async fn in_memory() -> Self {
        let clock = clock();
        Self::with(MemoryStore::new(Arc::new(clock.clone())), clock).await
    }

    async fn with(store: impl Store, clock: ManualClock) -> Self {
        trace::init();
        let sim = Simulator::builder(clock.clone())
            .with_mark(canary("shopify"))
            .start()
            .await
            .unwrap();
        let config = ShopifyConfig::for_simulator(&sim).unwrap();
        let mut transport = HttpClient::builder();
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        let hub = Hub::builder()
            .store(store)
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(transport.build().unwrap())
            .clock(clock.clone())
            .connector(Shopify::new(config))
            .build()
            .unwrap();
        Self {
            shop: sim.shops().remove(0),
            tenant: TenantId::new("tenant").unwrap(),
            _directory: None,
            hub,
            sim,
            clock,
        }
    }

    fn actor() -> Actor {
        Actor::User("ada".to_owned())
    }

    async fn connect(&self) -> connector_core::Result<ConnectionKey> {
        let begun = self
            .hub
            .authorize(&self.tenant, Shopify::ID)
            .actor(Self::actor())
            .account(format!("https://{}/", self.shop))
            .begin()
            .await?;
        let target = self.sim.visit(begun.url())?;
        let binding = begun.binding().clone();
        let connected = self
            .hub
            .callback(Shopify::ID, target.query().unwrap_or_default(), binding)
            .actor(Self::actor())
            .tenant(&self.tenant)
            .await?;
        Ok(connected.key.clone())
    }

    async fn token(&self, key: &ConnectionKey) -> connector_core::Result<String> {
        let token = self.hub.access_token(key).await?;
        Ok(token.into_secret().expose_secret().to_owned())
    }
}

#[tokio::test]
async fn a_shop_is_connected_and_its_products_are_paged() {
    let world = World::new().await;
    let key = world.connect().await.unwrap();
    let connection = world.hub.tenant(&world.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.status, Status::Connected);
    assert_eq!(
        connection.account.host.as_deref(),
        Some(world.shop.as_str())
    );
    let client: ShopifyClient = world.hub.client(&key).await.unwrap();
    let list = ListProducts::new().with_page_size(7);
    let products: Vec<Product> = client.pages(list).items().try_collect().await.unwrap();
    assert_eq!(products.len(), 60);
}

#[tokio::test]
async fn a_hundred_callers_of_an_expired_token_cost_one_token_request() {
    let world = World::new().await;
    let key = world.connect().await.unwrap();
    let before = world.sim.count(Route::Token);
    world.clock.advance(2 * HOUR);
    let tokens = join_all((0..100).map(|_| world.token(&key))).await;
    let tokens: BTreeSet<String> = tokens.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        (tokens.len(), world.sim.count(Route::Token) - before),
        (1, 1)
    );
    let client: ShopifyClient = world.hub.client(&key).await.unwrap();
    client.send(&GetShop::new()).await.unwrap();
    println!("callers: 100, token requests: 1");
}

#[tokio::test]
async fn a_response_that_is_lost_after_the_rotation_costs_nothing() {
    let world = World::in_memory().await;
    let key = world.connect().await.unwrap();
    let faults = [
        Fault::DropAfter,
        Fault::Truncate,
        Fault::answer(502, "<html>bad gateway</html>"),
        Fault::answer(200, "<html>hello</html>"),
    ];
    let count = faults.len();
    for fault in faults {
        world.clock.advance(2 * HOUR);
        world.sim.fault(Route::Token, fault);
        let mut waited = Duration::ZERO;
        loop {
            let outcome = tokio::select! {
                outcome = world.token(&key) => outcome,
                () = advance(&world.clock) => unreachable!("the clock advances forever"),
            };
            match outcome {
                Ok(_) => break,
                Err(error) => assert_ne!(error.kind(), ErrorKind::NeedsReauthorization, "{error}"),
            }
            world.clock.advance(Duration::from_secs(30));
            waited += Duration::from_secs(30);
            assert!(waited < HOUR, "the connection does not come back");
        }
        let client: ShopifyClient = world.hub.client(&key).await.unwrap();
        client.send(&GetShop::new()).await.unwrap();
    }
    println!("lost answers survived: {count}");
}

async fn advance(clock: &ManualClock) {
    loop {
        clock.wait_for_sleepers(1).await;
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_denied_consent_connects_nothing() {
    let world = World::new().await;
    world.sim.decide(&world.shop, Consent::Deny).unwrap();
    let error = world.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackRefused);
    assert_eq!(world.sim.count(Route::Token), 0);
}

#[tokio::test]
async fn an_adopted_token_that_does_not_expire_is_never_refreshed() {
    let world = World::new().await;
    let token = world
        .sim
        .install_without_expiry(&world.shop, &["read_products"])
        .unwrap();
    let credential =
        Shopify::non_expiring_credential(&world.shop, token.clone(), world.clock.now()).unwrap();
    let connected = world
        .hub
        .adopt(&world.tenant, Shopify::ID, credential)
        .actor(World::actor())
        .await
        .unwrap();
    world.clock.advance(1000 * 24 * HOUR);
    assert_eq!(
        world.token(&connected.key).await.unwrap(),
        token.expose_secret()
    );
    assert_eq!(world.sim.count(Route::Token), 0);
    world.sim.accept_non_expiring_tokens(false);
    let client: ShopifyClient = world.hub.client(&connected.key).await.unwrap();
    let error = client.send(&GetShop::new()).await.unwrap_err();
    assert!(error.needs_reauthorization());
    let over = ReauthorizationReason::NonExpiringToken;
    assert_eq!(error.reauthorization(), Some(over));

    // The hourly metadata read detects this without a call of the application.
    world.clock.advance(2 * HOUR);
    world.hub.worker().tick().await.unwrap();
    let connection = world
        .hub
        .tenant(&world.tenant)
        .get(connected.key.id)
        .await
        .unwrap();
    assert_eq!(connection.status, Status::NeedsReauthorization(over));
    assert_eq!(world.sim.count(Route::Token), 0);
}
