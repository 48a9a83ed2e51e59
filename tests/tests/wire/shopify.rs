//! Tests of lost token responses at a provider with a grace period: the Shopify simulator.

use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::store::{MemoryStore, Store};
use connector_core::{Actor, ConnectionKey, Status, TenantId};
use connector_http::HttpClient;
use connector_hub::Hub;
use connector_shopify::endpoints::GetShop;
use connector_shopify::sim::{Route, Simulator};
use connector_shopify::{Shopify, ShopifyClient, ShopifyConfig};
use connector_store_sqlite::SqliteOptions;
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::proxy::FaultProxy;
use connector_testkit::{artefacts, trace};

use crate::is_full;
use crate::loss::{DEADLINE, Dice, Stage, Tally, Truth, truth};
use crate::pace::Pace;
use crate::witness::Witness;

pub(crate) const TOKEN: &str = "/admin/oauth/access_token";

/// A shop, and a hub that connects to it through the proxy.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    pub(crate) sim: Simulator,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        Self::on(async |pace| MemoryStore::new(Arc::new(pace))).await
    }

    pub(crate) async fn on<S: Store + Clone>(open: impl AsyncFnOnce(Pace) -> S) -> Self {
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let pace = Pace::new(clock.clone());
        trace::init();
        let sim = Simulator::builder(clock.clone())
            .with_mark(canary("shopify"))
            .start()
            .await
            .unwrap();
        let proxy = FaultProxy::start(sim.server().address(), clock.clone())
            .await
            .unwrap();
        let origin = Origin::parse(&format!("https://{}", sim.shops()[0])).unwrap();
        let client = HttpClient::builder()
            .with_loopback(LoopbackOverride::new(origin, proxy.address()).unwrap())
            .with_clock(Arc::new(clock))
            .build()
            .unwrap();
        let witness = Witness::new(client);
        let config = ShopifyConfig::for_simulator(&sim).unwrap();
        let store = open(pace.clone()).await;
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(witness.clone())
            .clock(pace.clone())
            .random(Dice::new(0))
            .connector(Shopify::new(config))
            .build()
            .unwrap();
        let stage = Stage {
            hub,
            store: Arc::new(store),
            pace,
            proxy,
            witness,
            tenant: TenantId::new("tenant").unwrap(),
            token: TOKEN,
            life: Duration::from_hours(1),
        };
        Self { stage, sim }
    }

    pub(crate) fn actor() -> Actor {
        Actor::User("owner".to_owned())
    }

    pub(crate) async fn connect(&self) -> ConnectionKey {
        let stage = &self.stage;
        let authorize = stage.hub.authorize(&stage.tenant, Shopify::ID);
        let account = format!("https://{}/", self.sim.shops()[0]);
        let begun = authorize.actor(Self::actor()).account(account).begin();
        let begun = begun.await.unwrap();
        let target = self.sim.visit(begun.url()).unwrap();
        let query = target.query().unwrap();
        let finish = stage
            .hub
            .callback(Shopify::ID, query, begun.binding().clone());
        let finish = finish.actor(Self::actor()).tenant(&stage.tenant);
        finish.await.unwrap().key.clone()
    }

    async fn lose(&self, what: &str, run: u64, cases: u64) {
        let stage = &self.stage;
        let key = self.connect().await;
        let client: ShopifyClient = stage.hub.client(&key).await.unwrap();
        let mut tally = Tally::default();
        for seed in Tally::seeds(run, cases) {
            let before = self.sim.count(Route::Token);
            let ended = match stage.lose(&key, seed).await {
                Ok(ended) => ended,
                Err(why) => {
                    tally.broken(seed, &why);
                    break;
                }
            };
            tally.add(&ended);
            if ended.connection.status != Status::Connected {
                tally.broken(seed, &format!("{:?}", ended.connection.status));
                break;
            }
            // The requests that reached the provider: the request with the fault, and one more.
            let expected = match truth(ended.fault, DEADLINE) {
                Truth::Untouched | Truth::Answered => 1,
                Truth::Lost => 2,
            };
            let reached = self.sim.count(Route::Token) - before;
            if reached != expected {
                let why = format!("{:?}: {reached} token requests", ended.fault);
                tally.broken(seed, &why);
            }
            let works = async { client.send(&GetShop::new()).await };
            let works = stage.pace.drive(&[], DEADLINE, works);
            if let Err(error) = works.await {
                tally.broken(seed, &format!("the API refuses: {}", error.report()));
            }
        }
        tally.finish(what, cases);
        assert_eq!(stage.proxy.unmet(), 0);
    }
}

#[tokio::test]
async fn no_lost_response_costs_a_connection_with_a_grace() {
    let cases = if is_full() { 1500 } else { 120 };
    Shop::new().await.lose("grace, memory", 1, cases).await;
}

#[tokio::test]
async fn no_lost_response_costs_a_connection_with_a_grace_on_sqlite() {
    let cases = if is_full() { 1000 } else { 40 };
    let directory = artefacts::directory("wire-grace").unwrap();
    let shop = Shop::on(async |pace| {
        let options = SqliteOptions::new(directory.path().join("wire.sqlite"));
        options.with_clock(Arc::new(pace)).open().await.unwrap()
    });
    shop.await.lose("grace, SQLite", 2, cases).await;
}
