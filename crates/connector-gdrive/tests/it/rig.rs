//! A simulated Google Drive and a hub that uses the simulator.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::api::{FixedToken, RetryPolicy, Session};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, SystemClock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::ProviderClient as _;
use connector_core::store::MemoryStore;
use connector_core::webhook::Event;
use connector_core::{Actor, ConnectionKey, CorrelationId, RequestContext, Result, TenantId};
use connector_gdrive::sim::{Consent, SCOPES, Simulator, SimulatorBuilder};
use connector_gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig};
use connector_http::HttpClient;
use connector_hub::{Authorization, Delivered, DeliveryHandler, Hub};
use connector_testkit::described::{ApiDescription, WatchedRequests, oracle};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use url::Url;

/// Id of the signed-in user.
pub(crate) const USER: &str = "100000000000000000001";

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
    _requests: Option<WatchedRequests>,
}

/// Google's discovery document, if it is available.
pub(crate) fn described() -> Option<&'static Arc<ApiDescription>> {
    static DESCRIPTION: OnceLock<Option<Arc<ApiDescription>>> = OnceLock::new();
    let read = || {
        let description = ApiDescription::discovery(oracle("google/drive.v3.json")?);
        let all = EXCEPTIONS.iter();
        let description = all.fold(description, |it, (at, place)| it.except(at, place));
        Some(Arc::new(description))
    };
    DESCRIPTION.get_or_init(read).as_ref()
}

/// Places where the document lacks what Google's guides describe.
const EXCEPTIONS: [(&str, &str); 0] = [];

pub(crate) fn start() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").unwrap()
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) -> Self {
        trace::init();
        let clock = ManualClock::new(start());
        let builder = Simulator::builder(clock.clone()).with_mark(canary("gdrive"));
        let sim = change(builder).start().await.unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let handled = Handled::default();
        let config = GoogleDriveConfig::for_simulator(&sim).unwrap();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(GoogleDrive::new(config))
            .on_delivery(handled.clone())
            .with_webhook_base(Url::parse("https://hooks.example/in/").unwrap())
            .build()
            .unwrap();
        Self {
            _requests: described().map(|it| it.watch(sim.server())),
            clock,
            sim,
            store,
            hub,
            handled,
        }
    }

    pub(crate) fn tenant() -> TenantId {
        TenantId::new("t1").unwrap()
    }

    pub(crate) async fn begin(&self) -> Authorization {
        let authorize = self.hub.authorize(&Self::tenant(), GoogleDrive::ID);
        authorize.actor(Actor::Worker).begin().await.unwrap()
    }

    /// Connects the signed-in user through a simulated browser.
    pub(crate) async fn connect(&self) -> ConnectionKey {
        self.connect_at(&self.hub, &Self::tenant()).await
    }

    /// Connects the signed-in user to a tenant of `hub` through a simulated browser.
    pub(crate) async fn connect_at(&self, hub: &Hub, tenant: &TenantId) -> ConnectionKey {
        let authorize = hub.authorize(tenant, GoogleDrive::ID);
        let begun = authorize.actor(Actor::Worker).begin().await.unwrap();
        let authority = self.sim.authority();
        let back = authority.visit(begun.url(), &Consent::Grant).unwrap();
        let query = back.query().unwrap();
        let connected = hub
            .callback(GoogleDrive::ID, query, begun.binding().clone())
            .unbound();
        connected.await.unwrap().connection().key().clone()
    }

    pub(crate) async fn client(&self) -> DriveClient {
        let key = self.connect().await;
        self.hub.client::<DriveClient>(&key).await.unwrap()
    }

    /// Waits for a future while simulated time advances.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_millis(250), future)
    }
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::Worker, CorrelationId::default())
}

/// Returns a client without a hub, for transfers in real time with short pauses.
pub(crate) fn transfer_client(sim: &Simulator, scopes: &[&str]) -> DriveClient {
    let config = GoogleDriveConfig::for_simulator(sim).unwrap();
    let mut transport = HttpClient::builder();
    for loopback in config.loopbacks() {
        transport = transport.with_loopback(loopback.clone());
    }
    let (access, _) = sim.authority().issue(USER, scopes).unwrap();
    let origin = Origin::parse("https://www.googleapis.com").unwrap();
    let token = Arc::new(FixedToken::new(origin, access));
    let transport = Arc::new(transport.build().unwrap());
    let pause = Duration::from_millis(2);
    let session = Session::builder(&GoogleDrive::new(config), token, transport)
        .with_retry_policy(RetryPolicy::default().with_pauses(pause, pause))
        .build();
    DriveClient::new(session)
}

/// Returns a simulator in real time, and a client with all scopes.
pub(crate) async fn transfers(
    change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder,
) -> (Simulator, DriveClient) {
    trace::init();
    let builder = Simulator::builder(SystemClock::new()).with_mark(canary("gdrive"));
    let sim = change(builder).start().await.unwrap();
    let client = transfer_client(&sim, &SCOPES);
    (sim, client)
}

/// Returns pseudorandom bytes, which are the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
