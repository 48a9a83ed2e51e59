//! Fairness between tenants: while one tenant revokes, fails, hangs, floods and fills as much as the
//! public API and webhooks allow, the refreshes, calls, deliveries and connects of another tenant
//! are never refused, and take at most twice their undisturbed time plus one token call.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they counted"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Monotonic, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::{Description, Endpoint, GenericConnector};
use connector_core::store::{MemoryStore, Store};
use connector_core::{
    App, AppKey, AppSource, ConnectionKey, CorrelationId, Error, ErrorKind, ProviderId,
    RequestContext, Result, TenantId,
};
use connector_hub::{Delivered, DeliveryHandler, Hub, Receipt};
use connector_store_sqlite::SqliteOptions;
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use ring::hmac;
use secrecy::ExposeSecret;
use url::Url;

const ACME: ProviderId = ProviderId::from_static("acme");

/// Duration of each request to the provider.
const LATENCY: Duration = Duration::from_millis(500);
/// Step of the clock.
const STEP: Duration = Duration::from_millis(20);
/// Lifetime of an access token.
const LIFETIME: Duration = Duration::from_secs(40);

static SECRET: LazyLock<String> = LazyLock::new(|| canary("client-secret"));

fn description() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "acme", "name": "Acme",
            "api": ["https://api.acme.example"],
            "authorization": { "endpoint": "https://acme.example/authorize" },
            "token": { "endpoint": "https://acme.example/token" },
            "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
            "lifetimes": { "refresh_ahead_seconds": 10 },
            "rotation": "stable",
            "limits": [{
                "name": "app", "per": "app",
                "model": { "bucket": { "capacity": 40, "per_second": 20.0 } }
            }],
            "webhook": {
                "signatures": [{
                    "headers": ["x-acme-signature"], "encoding": "hex", "signed": ["body"]
                }],
                "topic": [{ "header": "x-acme-topic" }],
                "account_key": [{ "header": "x-acme-account" }],
                "delivery_id": [{ "header": "x-acme-id" }]
            }
        }"#,
    )
    .unwrap()
}

/// The provider. An account's name says how it behaves: the grants of `dead…` are revoked after the
/// connect, and requests of `hang…` get no response.
#[derive(Debug, Clone)]
struct Provider {
    clock: ManualClock,
    /// Accounts by token, without those that never end.
    tokens: Arc<Mutex<BTreeMap<String, String>>>,
    number: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl Provider {
    fn issue(&self, kind: &str, account: &str) -> String {
        static MARK: LazyLock<String> = LazyLock::new(|| canary("token"));
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let token = format!("{}-{kind}-{number}", *MARK);
        let mut tokens = self.tokens.lock().unwrap();
        tokens.insert(token.clone(), account.to_owned());
        token
    }

    fn account(&self, token: &str) -> Option<String> {
        self.tokens.lock().unwrap().get(token).cloned()
    }

    fn token_response(&self, form: &BTreeMap<String, String>) -> (u16, String) {
        let refused = |code: &str| (400, format!(r#"{{"error":"{code}"}}"#));
        if form.get("client_secret").is_some_and(|it| *it != *SECRET) {
            return (401, r#"{"error":"invalid_client"}"#.to_owned());
        }
        let is_refresh = form["grant_type"] == "refresh_token";
        let token = if is_refresh {
            &form["refresh_token"]
        } else {
            &form["code"]
        };
        let Some(account) = self.account(token) else {
            return refused("invalid_grant");
        };
        if is_refresh && account.starts_with("dead") {
            return refused("invalid_grant");
        }
        let refresh_token = if is_refresh {
            token.clone()
        } else {
            self.issue("refresh", &account)
        };
        let body = serde_json::json!({
            "access_token": self.issue("access", &account),
            "refresh_token": refresh_token,
            "expires_in": LIFETIME.as_secs(),
        });
        (200, body.to_string())
    }
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.clock.sleep(LATENCY).await;
        let request = outbound.request;
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let bearer = request.headers().get("authorization");
        let bearer = bearer.map_or("", |it| it.to_str().unwrap().trim_start_matches("Bearer "));
        let token = form.get("refresh_token").map_or(bearer, String::as_str);
        let account = self.account(token).unwrap_or_default();
        let is_identity = request.uri().path() == "/me";
        if account.starts_with("hang") && !is_identity {
            self.clock
                .sleep(outbound.timeout.saturating_sub(LATENCY))
                .await;
            return Err(TransportError::new(
                TransportErrorKind::Timeout,
                Sent::Maybe,
            ));
        }
        let (status, body) = match request.uri().path() {
            "/token" => self.token_response(&form),
            _ if account.is_empty() => (401, "{}".to_owned()),
            "/me" => (200, format!(r#"{{"id":"{account}"}}"#)),
            _ => (200, "{}".to_owned()),
        };
        Ok(http::Response::builder()
            .status(status)
            .body(body.into())
            .unwrap())
    }
}

/// One registration, or one for each tenant; that of `loud` then has a wrong secret after its
/// accounts are connected.
#[derive(Debug, Clone, Default)]
struct Apps {
    per_tenant: bool,
    loud_fails: Arc<std::sync::atomic::AtomicBool>,
}

#[async_trait]
impl AppSource for Apps {
    async fn app(&self, _: &ProviderId, tenant: &TenantId, _: &AppKey) -> Result<Arc<App>> {
        let client_id = if self.per_tenant {
            format!("client-of-{tenant}")
        } else {
            "client".to_owned()
        };
        let is_wrong =
            self.per_tenant && tenant.as_str() == "loud" && self.loud_fails.load(Ordering::SeqCst);
        let secret = if is_wrong {
            canary("wrong")
        } else {
            SECRET.clone()
        };
        Ok(Arc::new(
            App::new(client_id)
                .with_client_secret(secret)
                .with_redirect_uri("https://app.example/callback".parse()?),
        ))
    }

    async fn shared(&self, provider: &ProviderId, app: &AppKey) -> Result<Arc<App>> {
        if self.per_tenant {
            return Err(Error::new(
                ErrorKind::Configuration,
                "test",
                "tenants share no registration",
            ));
        }
        self.app(provider, &tenant("any"), app).await
    }
}

struct ReadThing;

impl Endpoint for ReadThing {
    type Client = AcmeClient;
    type Output = ();
    const NAME: &'static str = "ReadThing";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Request::get(["things"])
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}

connector_core::provider::provider_client! {
    struct AcmeClient for ACME;
}

/// Handles deliveries with the topic `slow` in 200 s, refuses the topic `fail`, and handles others
/// in one second.
#[derive(Debug, Clone)]
struct Handler {
    clock: ManualClock,
    handled: Arc<Mutex<BTreeMap<String, Monotonic>>>,
}

#[async_trait]
impl DeliveryHandler for Handler {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let event = delivery.event();
        let seconds = if event.topic == "slow" { 200 } else { 1 };
        self.clock.sleep(Duration::from_secs(seconds)).await;
        if event.topic == "fail" {
            return Err(Error::new(ErrorKind::Rejected, "test", "it fails"));
        }
        let id = event.delivery_id.clone().unwrap();
        let now = self.clock.monotonic();
        self.handled.lock().unwrap().insert(id, now);
        Ok(())
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn context() -> RequestContext {
    RequestContext::new(
        connector_core::Actor::User("ann".to_owned()),
        CorrelationId::new("test").unwrap(),
    )
}

fn delivery(id: &str, topic: &str, account: &str) -> http::Request<Bytes> {
    let body = format!(r#"{{"id":"{id}"}}"#);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let signature = hex::encode(tag);
    http::Request::post("https://app.example/hooks/acme")
        .header("x-acme-signature", signature)
        .header("x-acme-topic", topic)
        .header("x-acme-account", account)
        .header("x-acme-id", id)
        .body(body.into())
        .unwrap()
}

#[derive(Clone)]
struct World {
    hub: Hub,
    clock: ManualClock,
    provider: Provider,
    handler: Handler,
    apps: Apps,
    /// Real time for each step of the clock. The workers of SQLite need some.
    patience: Option<Duration>,
}

impl World {
    fn new(store: impl Store, clock: &ManualClock, apps: Apps, patience: Option<Duration>) -> Self {
        let provider = Provider {
            clock: clock.clone(),
            tokens: Arc::default(),
            number: Arc::default(),
            requests: Arc::default(),
        };
        let handler = Handler {
            clock: clock.clone(),
            handled: Arc::default(),
        };
        let connector = GenericConnector::new(description())
            .unwrap()
            .with_apps(Arc::new(apps.clone()));
        let hub = Hub::builder()
            .store(store)
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(provider.clone())
            .clock(clock.clone())
            .apps(apps.clone())
            .connector(connector)
            .on_delivery(handler.clone())
            .build()
            .unwrap();
        Self {
            hub,
            clock: clock.clone(),
            provider,
            handler,
            apps,
            patience,
        }
    }

    /// Awaits `work` while the clock advances.
    async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let step = async {
                match self.patience {
                    Some(patience) => tokio::time::sleep(patience).await,
                    None => {
                        for _ in 0..40 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = step => self.clock.advance(STEP),
            }
        }
    }

    async fn connect(&self, tenant_name: &str, account: &str) -> Result<ConnectionKey> {
        let begun = self
            .hub
            .authorize(&tenant(tenant_name), ACME)
            .actor(context().actor)
            .begin()
            .await?;
        let code = self.provider.issue("code", account);
        let state = begun
            .url()
            .query_pairs()
            .find(|(name, _)| name == "state")
            .map(|(_, state)| state.into_owned())
            .unwrap();
        let mut query = Url::parse("https://app.example/callback").unwrap();
        query
            .query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &state);
        let binding = begun.binding().expose_secret().to_owned();
        let connected = self
            .hub
            .callback(ACME, query.query().unwrap(), binding)
            .unbound()
            .await?;
        Ok(connected.key().clone())
    }

    async fn receive(&self, tenant_name: &str, request: http::Request<Bytes>) -> Result<Receipt> {
        let receive = self.hub.receive(&ACME, request);
        if self.apps.per_tenant {
            receive.tenant(tenant(tenant_name)).await
        } else {
            receive.await
        }
    }

    async fn call(&self, key: &ConnectionKey) -> Result<()> {
        let client: AcmeClient = self.hub.client(key).await?;
        client.send(&ReadThing).await
    }

    /// Starts everything that one tenant can do to disturb others. Returns the tasks.
    async fn disturb(&self) -> Vec<tokio::task::JoinHandle<()>> {
        // Accounts of each kind, calls per account, deliveries, and the pause of a task between two
        // rounds. On SQLite, each round takes real time.
        let (accounts, calls, deliveries, pause) = match self.patience {
            Some(_) => (4, 2, 40, 20 * STEP),
            None => (12, 10, 200, STEP),
        };
        let mut keys = BTreeMap::<&str, Vec<ConnectionKey>>::new();
        for kind in ["dead", "hang", "busy"] {
            for number in 0..accounts {
                let account = format!("{kind}{number}");
                let connect = self.connect("loud", &account);
                keys.entry(kind)
                    .or_default()
                    .push(self.drive(connect).await.unwrap());
            }
        }
        self.apps.loud_fails.store(true, Ordering::SeqCst);
        let mut tasks = Vec::new();
        // Revoked and hanging grants, refreshed and called without end.
        for key in keys["dead"].iter().chain(&keys["hang"]) {
            let (world, key) = (self.clone(), key.clone());
            tasks.push(tokio::spawn(async move {
                loop {
                    drop(world.hub.refresh(&key, context()).await);
                    drop(world.call(&key).await);
                    drop(world.hub.check(&key, context()).await);
                    world.clock.sleep(pause).await;
                }
            }));
        }
        // A flood of calls under the shared limit.
        for _ in 0..calls {
            for key in &keys["busy"] {
                let (world, key) = (self.clone(), key.clone());
                tasks.push(tokio::spawn(async move {
                    loop {
                        drop(world.call(&key).await);
                        world.clock.sleep(pause).await;
                    }
                }));
            }
        }
        // Connects that nobody finishes, and callbacks that fit nothing.
        let world = self.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let begin = world
                    .hub
                    .authorize(&tenant("loud"), ACME)
                    .actor(context().actor);
                drop(begin.begin().await);
                let query = "code=junk&state=junk";
                drop(
                    world
                        .hub
                        .callback(ACME, query, "junk".to_owned())
                        .unbound()
                        .await,
                );
                world.clock.sleep(pause).await;
            }
        }));
        // Slow and failing deliveries.
        for number in 0..deliveries {
            let topic = if number % 3 == 0 { "fail" } else { "slow" };
            let account = format!("busy{}", number % accounts);
            let request = delivery(&format!("loud-{number}"), topic, &account);
            drop(
                self.drive(async { self.receive("loud", request).await })
                    .await,
            );
        }
        tasks
    }

    async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Duration {
        let began = self.clock.monotonic();
        self.drive(work).await.unwrap();
        self.clock.monotonic().since(began)
    }

    /// Returns the longest duration of each kind of work of a calm tenant.
    async fn measure(&self, is_disturbed: bool) -> BTreeMap<&'static str, Duration> {
        let calm = self.drive(self.connect("calm", "calm")).await.unwrap();
        let tasks = if is_disturbed {
            self.disturb().await
        } else {
            Vec::new()
        };
        let worker = self.hub.worker();
        let running = tokio::spawn(worker.run(std::future::pending()));
        let mut longest = BTreeMap::new();
        let mut keep = |name, took: Duration| {
            let longest: &mut Duration = longest.entry(name).or_default();
            *longest = took.max(*longest);
        };
        let rounds = if self.patience.is_some() { 1 } else { 4 };
        for round in 0..rounds {
            keep(
                "refresh",
                self.timed(self.hub.refresh(&calm, context())).await,
            );
            keep("call", self.timed(self.call(&calm)).await);
            let id = format!("calm-{round}");
            let handled = async {
                let receipt = self.receive("calm", delivery(&id, "quick", "calm")).await?;
                assert!(matches!(receipt, Receipt::Accepted { .. }), "{receipt:?}");
                while !self.handler.handled.lock().unwrap().contains_key(&id) {
                    self.clock.sleep(STEP).await;
                }
                Ok(())
            };
            keep("delivery", self.timed(handled).await);
            let account = format!("calm{round}");
            let connect = self.connect("calm", &account);
            keep("connect", self.timed(connect).await);
            // The worker refreshes the token in time, so a caller never waits for it.
            let began = self.clock.monotonic();
            while self.clock.monotonic().since(began) < LIFETIME {
                keep(
                    "cached token",
                    self.timed(self.hub.access_token(&calm)).await,
                );
                self.drive(self.clock.sleep(Duration::from_secs(1))).await;
            }
        }
        running.abort();
        for task in tasks {
            task.abort();
        }
        longest
    }
}

async fn fairness(name: &str, per_tenant: bool) {
    let mut runs = Vec::new();
    for is_disturbed in [false, true] {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let apps = Apps {
            per_tenant,
            ..Apps::default()
        };
        // A file in memory, so that the tasks of the other tenant do not wait for the disk.
        let memory = std::path::Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let world = if name == "memory" {
            World::new(MemoryStore::new(shared), &clock, apps, None)
        } else {
            let store = SqliteOptions::new(directory.path().join("c.db")).with_clock(shared);
            let store = store.open().await.unwrap();
            World::new(store, &clock, apps, Some(Duration::from_millis(2)))
        };
        runs.push(world.measure(is_disturbed).await);
        println!(
            "{name}, per tenant {per_tenant}, disturbed {is_disturbed}: {} requests",
            world.provider.requests.load(Ordering::SeqCst)
        );
    }
    let (calm, disturbed) = (&runs[0], &runs[1]);
    assert_eq!(calm.len(), 5);
    for (work, undisturbed) in calm {
        let disturbed = disturbed[work];
        println!(
            "{name}, per tenant {per_tenant}: {work} {undisturbed:?}, beside the other tenant \
             {disturbed:?}"
        );
        assert!(
            disturbed <= 2 * *undisturbed + LATENCY,
            "{name}, per tenant {per_tenant}: {work} takes {disturbed:?}, undisturbed \
             {undisturbed:?}"
        );
    }
}

#[tokio::test]
async fn one_tenant_at_its_worst_delays_no_other_under_a_shared_registration() {
    trace::init();
    fairness("memory", false).await;
}

#[tokio::test]
async fn one_tenant_at_its_worst_delays_no_other_under_registrations_of_their_own() {
    trace::init();
    fairness("memory", true).await;
}

#[tokio::test]
async fn one_tenant_at_its_worst_delays_no_other_on_sqlite() {
    trace::init();
    fairness("SQLite", false).await;
    fairness("SQLite", true).await;
}
