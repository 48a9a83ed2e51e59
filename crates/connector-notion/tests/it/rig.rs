//! Test setup: a simulated Notion and a hub that uses it.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{Actor, ConnectionKey, CorrelationId, RequestContext, Result, TenantId};
use connector_hub::{Authorization, Delivered, DeliveryHandler, Hub};
use connector_notion::sim::{Consent, Simulator};
use connector_notion::{HandshakeSwitch, Notion, NotionClient, NotionConfig};
use connector_testkit::described::{ApiDescription, WatchedRequests, oracle};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use secrecy::SecretString;

/// Events that the application's handler received, with the connection of each event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handled(pub(crate) Arc<Mutex<Vec<Told>>>);

type Told = (Event, Vec<ConnectionKey>);

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let connections = delivery.connection().into_iter().cloned().collect();
        let event = (**delivery.event()).clone();
        self.0.lock().unwrap().push((event, connections));
        Ok(())
    }
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) sim: Simulator,
    pub(crate) store: MemoryStore,
    pub(crate) keys: String,
    pub(crate) hub: Hub,
    pub(crate) handled: Handled,
    pub(crate) switch: HandshakeSwitch,
    _requests: Option<WatchedRequests>,
}

/// Notion's published description, if it is available. The description is of version 2025-09-03 and
/// simplifies some bodies.
pub(crate) fn described() -> Option<&'static Arc<ApiDescription>> {
    static DESCRIPTION: OnceLock<Option<Arc<ApiDescription>>> = OnceLock::new();
    let read = || {
        let document = oracle("notion/notion-openapi.json")?;
        let description = ApiDescription::openapi(document);
        let all = EXCEPTIONS.iter();
        let description = all.fold(description, |it, (at, place)| it.except(at, place));
        Some(Arc::new(description))
    };
    DESCRIPTION.get_or_init(read).as_ref()
}

/// Places where the description lacks what Notion's reference documents: members of version
/// 2026-03-11, further types of blocks and parents, icons, sort criteria. Notion's own library checks
/// these places; see the tests of the workspace.
const EXCEPTIONS: [(&str, &str); 20] = [
    (QUERY, "/sorts/*/timestamp"),
    (QUERY, "/sorts/*/property"),
    ("PATCH /v1/blocks/{block_id}/children", "/children/*"),
    ("PATCH /v1/blocks/{block_id}/children", "/position"),
    // The members of the body are the types of blocks.
    ("PATCH /v1/blocks/{block_id}", ""),
    ("POST /v1/search", "/filter/in_trash"),
    ("POST /v1/comments", "/rich_text/*/type"),
    ("POST /v1/comments", "/parent"),
    ("POST /v1/comments", "/discussion_id"),
    ("POST /v1/data_sources", "/parent"),
    ("PATCH /v1/data_sources/{data_source_id}", "/icon"),
    ("PATCH /v1/data_sources/{data_source_id}", "/in_trash"),
    ("POST /v1/pages", "/parent"),
    ("POST /v1/pages", "/children/*"),
    ("POST /v1/pages", "/icon"),
    ("POST /v1/pages", "/position"),
    ("POST /v1/pages", "/markdown"),
    ("POST /v1/pages", "/allow_async"),
    // A page with Markdown can take its title from the first heading.
    ("POST /v1/pages", "/properties"),
    ("PATCH /v1/pages/{page_id}", "/icon"),
];
const QUERY: &str = "POST /v1/data_sources/{data_source_id}/query";

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(1, 180).await
    }

    pub(crate) async fn with(bots: usize, requests_per_minute: usize) -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let builder = Simulator::builder(clock.clone()).with_mark(canary("notion"));
        let builder = builder
            .with_bots(bots)
            .with_requests_per_minute(requests_per_minute);
        let sim = builder.start().await.unwrap();
        let requests = described().map(|it| it.watch(sim.server()));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let keys = Keyring::generate().unwrap();
        let keys = secrecy::ExposeSecret::expose_secret(&keys).to_owned();
        let (handled, switch) = (Handled::default(), HandshakeSwitch::new());
        let mut rig = Self {
            hub: hub_of(&clock, &sim, &store, &keys, &handled, &switch, None),
            clock,
            sim,
            store,
            keys,
            handled,
            switch,
            _requests: requests,
        };
        rig.restart(None);
        rig
    }

    /// Restarts the process with this verification token.
    pub(crate) fn restart(&mut self, token: Option<SecretString>) {
        self.hub = hub_of(
            &self.clock,
            &self.sim,
            &self.store,
            &self.keys,
            &self.handled,
            &self.switch,
            token,
        );
    }

    pub(crate) async fn begin(&self) -> Authorization {
        let tenant = TenantId::new("t1").unwrap();
        let authorize = self.hub.authorize(&tenant, Notion::ID);
        authorize.actor(Actor::Worker).begin().await.unwrap()
    }

    /// Connects the signed-in user with the simulated browser.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        let begun = self.begin().await;
        let authority = self.sim.authority();
        let back = authority.visit(begun.url(), &Consent::Grant).unwrap();
        let query = back.query().unwrap();
        let connected = self
            .hub
            .callback(Notion::ID, query, begun.binding().clone())
            .unbound();
        connected.await.unwrap().connection().key().clone()
    }

    pub(crate) async fn client(&self) -> NotionClient {
        let key = self.connect().await;
        self.hub.client::<NotionClient>(&key).await.unwrap()
    }

    /// Waits for a future and advances the clock.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_secs(1), future)
    }

    /// Runs the worker until no job is due.
    pub(crate) async fn work(&self) {
        for _ in 0..20 {
            self.clock.advance(Duration::from_secs(1));
            self.drive(self.hub.worker().tick()).await.unwrap();
        }
    }
}

fn hub_of(
    clock: &ManualClock,
    sim: &Simulator,
    store: &MemoryStore,
    keys: &str,
    handled: &Handled,
    switch: &HandshakeSwitch,
    token: Option<SecretString>,
) -> Hub {
    let mut config = NotionConfig::builder().for_simulator(sim);
    if let Some(token) = token {
        config = config.with_webhook_verification_token(token);
    }
    let config = config
        .build()
        .unwrap()
        .with_handshake_switch(switch.clone());
    Hub::builder()
        .store(store.clone())
        .cipher(Keyring::parse(&SecretString::from(keys)).unwrap())
        .clock(clock.clone())
        .connector(Notion::new(config))
        .on_delivery(handled.clone())
        .build()
        .unwrap()
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}
