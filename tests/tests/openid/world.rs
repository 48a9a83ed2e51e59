//! A hub with its dependencies, and the provider.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, Keyring, SealContext, SealedKind};
use connector_core::clock::{Clock, ManualClock, Monotonic, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::GenericConnector;
use connector_core::provider::oauth::CodeVerifier;
use connector_core::store::{
    AuditFilter, AuditLog, ConnectionRecord, MemoryStore, Store, Stored, TokenStore,
};
use connector_core::{
    Actor, AppKey, ConnectionKey, CorrelationId, Credential, Event, FixedApps, RequestContext,
    Status, SystemRandom, TenantId,
};
use connector_http::HttpClient;
use connector_hub::{Authorize, Connected, Hub};
use connector_testkit::leak::canary_key;
use connector_tests::openid::{Ledger, OpenId, PROVIDER};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::{Url, form_urlencoded};

/// The fault for the next request to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// The provider acts on the request, and its response is lost.
    LoseResponse,
    /// The request contains another code verifier.
    OtherVerifier,
}

/// The library's transport, which counts the requests to the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    client: Arc<HttpClient>,
    token_requests: Arc<AtomicU64>,
    next: Arc<Mutex<Option<Mischief>>>,
    down: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) fn token_requests(&self) -> u64 {
        self.token_requests.load(Ordering::SeqCst)
    }

    pub(crate) fn next_is(&self, mischief: Mischief) {
        *self.next.lock().unwrap() = Some(mischief);
    }

    pub(crate) fn is_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[async_trait]
impl HttpTransport for Wire {
    async fn send(
        &self,
        mut request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(TransportError::new(TransportErrorKind::Connect, Sent::No));
        }
        if request.request.uri().path() != "/token" {
            return self.client.send(request).await;
        }
        self.token_requests.fetch_add(1, Ordering::SeqCst);
        let mischief = self.next.lock().unwrap().take();
        if mischief == Some(Mischief::OtherVerifier) {
            let other = CodeVerifier::generate(&SystemRandom::new()).unwrap();
            let pairs = form_urlencoded::parse(request.request.body());
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in pairs {
                match &*name {
                    "code_verifier" => form.append_pair(&name, other.secret().expose_secret()),
                    _ => form.append_pair(&name, &value),
                };
            }
            *request.request.body_mut() = Bytes::from(form.finish());
        }
        let answer = self.client.send(request).await;
        if mischief == Some(Mischief::LoseResponse) {
            assert!(answer.unwrap().status().is_success());
            return Err(TransportError::new(TransportErrorKind::Broken, Sent::Maybe));
        }
        answer
    }
}

/// A manual clock that counts short sleeps, in which a hub waits to read the store again.
#[derive(Debug, Clone)]
pub(crate) struct Looks {
    clock: ManualClock,
    /// Number of sleeping tasks and of tasks that have woken.
    count: watch::Sender<(usize, usize)>,
}

impl Looks {
    const MAX_DURATION: Duration = Duration::from_secs(1);

    fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            count: watch::Sender::new((0, 0)),
        }
    }

    /// Advances the wall clock and the monotonic clock.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Waits for all tasks. The first task ends without an advance of the clock. The other tasks
    /// may have to read the store again.
    pub(crate) async fn all<T: Send + 'static>(&self, mut tasks: JoinSet<T>) -> Vec<T> {
        let mut ended = vec![tasks.join_next().await.unwrap().unwrap()];
        // Waits for started wake-ups, so that the clock does not advance before all tasks have read
        // the store.
        let mut wake = Box::pin(self.wake());
        loop {
            tokio::select! {
                biased;
                next = tasks.join_next() => match next {
                    Some(next) => ended.push(next.unwrap()),
                    None => return ended,
                },
                () = &mut wake => wake = Box::pin(self.wake()),
            }
        }
    }

    /// Waits until a task sleeps, then wakes all sleeping tasks.
    async fn wake(&self) {
        let mut count = self.count.subscribe();
        let (asleep, woken) = *count.wait_for(|(asleep, _)| *asleep > 0).await.unwrap();
        self.clock.advance(Self::MAX_DURATION);
        let all = count.wait_for(|(_, now)| *now >= woken + asleep).await;
        all.unwrap();
    }
}

#[async_trait]
impl Clock for Looks {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        if duration > Self::MAX_DURATION {
            return self.clock.sleep(duration).await;
        }
        let _look = Look::new(&self.count);
        self.clock.sleep(duration).await;
    }
}

struct Look<'a>(&'a watch::Sender<(usize, usize)>);

impl<'a> Look<'a> {
    fn new(count: &'a watch::Sender<(usize, usize)>) -> Self {
        count.send_modify(|(asleep, _)| *asleep += 1);
        Self(count)
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|(asleep, woken)| {
            *asleep -= 1;
            *woken += 1;
        });
    }
}

/// A started authorization in one browser.
pub(crate) struct Flow {
    pub(crate) url: Url,
    pub(crate) binding: SecretString,
}

impl Flow {
    pub(crate) async fn of(authorize: Authorize) -> Self {
        let begun = authorize.actor(owner()).begin().await.unwrap();
        Self {
            url: begun.url().clone(),
            binding: begun.binding().clone(),
        }
    }
}

/// One hub with a store in memory and a manual clock.
pub(crate) struct World {
    pub(crate) openid: &'static OpenId,
    pub(crate) hub: Hub,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Looks,
    pub(crate) wire: Wire,
    pub(crate) tenant: TenantId,
    pub(crate) keys: SecretString,
}

impl World {
    /// Returns `None` if the provider is not installed.
    pub(crate) fn new() -> Option<Self> {
        let openid = OpenId::shared().expect("the provider runs")?;
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let clock = Looks::new(ManualClock::new(start));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let wire = Wire {
            client: Arc::new(openid.transport().unwrap()),
            token_requests: Arc::default(),
            next: Arc::default(),
            down: Arc::default(),
        };
        let keys = canary_key();
        let hub = hub(openid, store.clone(), &keys, &wire, clock.clone());
        Some(Self {
            openid,
            hub,
            store,
            clock,
            wire,
            tenant: TenantId::new("acme").unwrap(),
            keys,
        })
    }

    pub(crate) async fn begin(&self) -> Flow {
        Flow::of(self.hub.authorize(&self.tenant, PROVIDER)).await
    }

    /// Returns the query of the callback after `account` has consented.
    pub(crate) async fn consent(&self, flow: &Flow, account: &str) -> String {
        let callback = self.openid.consent(&flow.url, account).await.unwrap();
        callback.query().unwrap().to_owned()
    }

    pub(crate) async fn call_back(
        &self,
        flow: &Flow,
        query: &str,
    ) -> connector_core::Result<Connected> {
        let finish = self.hub.callback(PROVIDER, query, flow.binding.clone());
        finish.actor(owner()).tenant(&self.tenant).await
    }

    pub(crate) async fn connect(&self, account: &str) -> ConnectionRecord {
        let key = self.connect_at(&self.hub, account).await;
        self.stored(&key).await.connection
    }

    pub(crate) async fn connect_at(&self, hub: &Hub, account: &str) -> ConnectionKey {
        let flow = Flow::of(hub.authorize(&self.tenant, PROVIDER)).await;
        let query = self.consent(&flow, account).await;
        let finish = hub.callback(PROVIDER, &query, flow.binding.clone());
        let connected = finish.actor(owner()).await.unwrap();
        connected.key().clone()
    }

    pub(crate) async fn stored(&self, key: &ConnectionKey) -> Stored {
        self.store.load(key).await.unwrap().expect("a connection")
    }

    pub(crate) async fn status(&self, key: &ConnectionKey) -> Status {
        self.stored(key).await.connection.status
    }

    /// Returns the opened credential of the store.
    pub(crate) async fn credential(&self, key: &ConnectionKey) -> Credential {
        credential(&self.keys, &self.stored(key).await).await
    }

    pub(crate) async fn ledger(&self, account: &str) -> Ledger {
        self.openid.ledger(account).await.unwrap()
    }

    /// Returns all events of the tenant.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let slice = self.store.audit(&AuditFilter::default(), None, 1000).await;
        let records = slice.unwrap().items;
        records.into_iter().map(|it| it.entry.event).collect()
    }
}

pub(crate) fn owner() -> Actor {
    Actor::User("owner".to_owned())
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(owner(), CorrelationId::new("test").unwrap())
}

/// Longer than the lifetime of an access token plus the hold time of a claim.
pub(crate) fn past_expiry() -> Duration {
    Duration::from_secs(2 * connector_tests::openid::ACCESS_TOKEN_SECONDS)
}

/// Creates a hub for the provider. Any number of hubs may share a store, keys and a clock.
pub(crate) fn hub(
    openid: &OpenId,
    store: impl Store,
    keys: &SecretString,
    wire: &Wire,
    clock: impl Clock,
) -> Hub {
    let apps = FixedApps::new().with(PROVIDER, AppKey::default(), openid.app().unwrap());
    Hub::builder()
        .store(store)
        .cipher(Keyring::parse(keys).unwrap())
        .transport(wire.clone())
        .clock(clock)
        .apps(apps)
        .connector(GenericConnector::new(OpenId::description()).unwrap())
        .build()
        .unwrap()
}

pub(crate) async fn credential(keys: &SecretString, stored: &Stored) -> Credential {
    let connection = &stored.connection;
    let current = stored.current.as_ref().expect("a credential");
    let row = connection.key.id.to_string();
    let place = SealContext {
        tenant: Some(&connection.key.tenant),
        provider: &connection.provider,
        app: &connection.app,
        row: &row,
        kind: SealedKind::Credential,
        grant: current.grant,
        fence: current.fence,
    };
    let keyring = Keyring::parse(keys).unwrap();
    let plaintext = keyring.open(&place, &current.sealed).await.unwrap();
    Credential::from_plaintext(&plaintext).unwrap()
}
