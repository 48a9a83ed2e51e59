//! Hubs with one in-memory store and a manual clock, a provider that knows some tokens, and a
//! connector whose deliveries are signed here.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, Keyring};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::webhook;
use connector_core::provider::webhook::{
    AccountHint, Event, Incoming, Secrets, SignedField, WebhookEndpoint, decode_base64, refused,
    single_header,
};
use connector_core::provider::{Connector, Context, Description};
use connector_core::store::{
    AuditFilter, AuditLog, DeliveryFilter, DeliveryRecord, MemoryStore, StateKey, Store, Stored,
    TokenStore,
};
use connector_core::{
    AccountKey, Actor, App, AppKey, AppSource, ConnectionKey, CorrelationId, Credential,
    CredentialKind, Error, ErrorKind, FixedApps, ProviderId, RequestContext, Result, TenantId,
};
use connector_hub::{Delivered, DeliveryHandler, Hub, HubBuilder, Receipt};
use connector_testkit::leak::{canary, canary_key};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Signs only the body. Accounts are identified by host.
pub(crate) const SHOP: ProviderId = ProviderId::from_static("shop");
/// Signs the id, the time and the body. Accounts are identified by key.
pub(crate) const MAIL: ProviderId = ProviderId::from_static("mail");
/// Signs the time and the body, as its description defines.
pub(crate) const ACME: ProviderId = ProviderId::from_static("acme");
pub(crate) static SECRET: LazyLock<String> = LazyLock::new(|| canary("app-secret"));
pub(crate) static OLD_SECRET: LazyLock<String> = LazyLock::new(|| canary("app-secret"));
static ACCESS: LazyLock<String> = LazyLock::new(|| canary("access"));
pub(crate) const START: i64 = 1_700_000_000;

fn description(provider: &str) -> Description {
    let text = match provider {
        "shop" => {
            r#"{
                "provider": "shop", "name": "Shop",
                "api": ["https://{account}"],
                "token": { "endpoint": "https://{account}/token" },
                "identity": { "endpoint": "https://{account}/me", "account": "/id" },
                "account_host": { "suffix": ".shop.example" }
            }"#
        }
        "mail" => {
            r#"{
                "provider": "mail", "name": "Mail",
                "api": ["https://api.mail.example"],
                "token": { "endpoint": "https://api.mail.example/token" },
                "identity": { "endpoint": "https://api.mail.example/me", "account": "/id" }
            }"#
        }
        _ => {
            r#"{
                "provider": "acme", "name": "Acme",
                "api": ["https://api.acme.example"],
                "token": { "endpoint": "https://api.acme.example/token" },
                "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
                "webhook": {
                    "signatures": [{
                        "headers": ["x-acme-signature"], "encoding": "hex", "prefix": "v1=",
                        "signed": [{ "header": "x-acme-time" }, { "text": "." }, "body"],
                        "timestamp": { "header": "x-acme-time" }
                    }],
                    "topic": [{ "header": "x-acme-topic" }],
                    "account_key": [{ "header": "x-acme-account" }],
                    "delivery_id": [{ "header": "x-acme-id" }],
                    "probe_topics": ["app.removed"]
                }
            }"#
        }
    };
    serde_json::from_str(text).unwrap()
}

/// A connector with a signature rule in code.
#[derive(Debug)]
struct Signer(Description);

#[async_trait]
impl Connector for Signer {
    fn description(&self) -> &Description {
        &self.0
    }

    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        if self.0.webhook.is_some() {
            return webhook::verify(&self.0, cx, endpoint, request);
        }
        let secrets = if endpoint.secrets.is_empty() {
            cx.app.client_secrets()
        } else {
            endpoint.secrets
        };
        let secrets = Secrets::new(secrets.iter().map(|it| it.expose_secret().as_bytes()))?;
        let headers = request.headers();
        let need =
            |name| single_header(headers, name)?.ok_or_else(|| refused("a header is missing"));
        let (signature, id, topic) = (need("x-signature")?, need("x-id")?, need("x-topic")?);
        let signature = decode_base64(signature)?;
        let is_mail = self.0.provider == MAIL;
        if is_mail {
            let parts = [id.as_bytes(), b".", topic.as_bytes(), b".", request.body()];
            secrets.verify_parts(&parts, &signature)?;
        } else {
            secrets.verify(request.body(), &signature)?;
        }
        if topic == "handshake" {
            let mut reply = http::Response::new(request.body().clone());
            *reply.status_mut() = http::StatusCode::ACCEPTED;
            return Ok(Incoming::Reply(reply));
        }
        let account = single_header(headers, "x-account")?;
        let mut event = Event::new(
            self.0.provider.clone(),
            endpoint.app.clone(),
            topic,
            request.body().clone(),
        );
        event.delivery_id = Some(id.to_owned());
        event.probes = topic == "app/uninstalled";
        event.account = match account {
            None => None,
            Some(key) if is_mail => Some(AccountHint::Key(AccountKey::new(key).unwrap())),
            Some(host) => Some(AccountHint::Host(host.to_owned())),
        };
        if is_mail {
            event.signed = &[SignedField::DeliveryId, SignedField::Topic];
        }
        let count = single_header(headers, "x-count")?.map_or(1, |it| it.parse().unwrap());
        Ok(Incoming::events(vec![event; count]))
    }
}

/// A separate registration for each tenant.
#[derive(Debug)]
pub(crate) struct OwnApps;

#[async_trait]
impl AppSource for OwnApps {
    async fn app(&self, _: &ProviderId, tenant: &TenantId, _: &AppKey) -> Result<Arc<App>> {
        Ok(Arc::new(
            App::new("client").with_client_secret(format!("secret-of-{tenant}")),
        ))
    }
}

/// The provider. Every token belongs to an account until it is revoked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provider {
    dead: Arc<Mutex<BTreeSet<String>>>,
    requests: Arc<Mutex<usize>>,
}

impl Provider {
    /// Removes the app from the account, as its owner would.
    pub(crate) fn remove(&self, account: &str) {
        lock(&self.dead).insert(account.to_owned());
    }

    pub(crate) fn requests(&self) -> usize {
        *lock(&self.requests)
    }
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        *lock(&self.requests) += 1;
        let request = request.request;
        let bearer = request.headers().get("authorization");
        let bearer = bearer.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let account = bearer.split_once("-of-").map_or("", |(_, account)| account);
        let (status, body) = match request.uri().path() {
            "/me" if account.is_empty() || lock(&self.dead).contains(account) => {
                (401, "{}".to_owned())
            }
            "/me" => (200, serde_json::json!({ "id": account }).to_string()),
            "/token" => (400, r#"{"error":"invalid_grant"}"#.to_owned()),
            other => panic!("no such endpoint: {other}"),
        };
        let response = http::Response::builder().status(status);
        Ok(response.body(Bytes::from(body)).unwrap())
    }
}

/// The arguments of a handler call.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) connection: Option<ConnectionKey>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attempt: u32,
}

/// The reaction of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Handles,
    Fails,
    Panics,
    Hangs,
}

/// Records its calls. Reacts with its mood to the topic `poison`.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    told: Arc<Mutex<Vec<Told>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            told: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Handles)),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }

    pub(crate) fn connections(&self) -> BTreeSet<Option<ConnectionKey>> {
        self.told()
            .into_iter()
            .map(|told| told.connection)
            .collect()
    }
}

#[async_trait]
impl DeliveryHandler for Recorder {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let event = delivery.event();
        lock(&self.told).push(Told {
            topic: event.topic.clone(),
            body: event.body.clone(),
            connection: delivery.connection().cloned(),
            tenant: delivery.tenant().cloned(),
            attempt: delivery.attempt(),
        });
        let mood = *lock(&self.mood);
        if event.topic != "poison" {
            return Ok(());
        }
        match mood {
            Mood::Handles => Ok(()),
            Mood::Fails => Err(Error::new(
                ErrorKind::Rejected,
                "test",
                "it does not like it",
            )),
            Mood::Panics => panic!("the handler dies"),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) key: SecretString,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) provider: Provider,
    pub(crate) recorder: Recorder,
    pub(crate) hub: Hub,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(START));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let key = canary_key();
        let keyring = Arc::new(Keyring::parse(&key).unwrap());
        let (provider, recorder) = (Provider::default(), Recorder::new());
        let hub = builder(
            &clock,
            store.clone(),
            Shared(Arc::clone(&keyring)),
            &provider,
        )
        .apps(apps())
        .on_delivery(recorder.clone())
        .build()
        .unwrap();
        Self {
            clock,
            store,
            key,
            keyring,
            provider,
            recorder,
            hub,
        }
    }

    /// Returns a separate process on the same store, without handlers and registrations.
    pub(crate) fn another(&self) -> HubBuilder {
        self.another_on(self.store.clone(), Shared(Arc::clone(&self.keyring)))
    }

    pub(crate) fn another_on(
        &self,
        store: impl Store,
        cipher: impl CredentialCipher,
    ) -> HubBuilder {
        builder(&self.clock, store, cipher, &self.provider)
    }

    /// Returns a separate process like the first one.
    pub(crate) fn other_hub(&self) -> Hub {
        let hub = self
            .another()
            .apps(apps())
            .on_delivery(self.recorder.clone());
        hub.build().unwrap()
    }

    /// Connects an account. Shops have their own hosts.
    pub(crate) async fn connect(
        &self,
        name: &str,
        provider: ProviderId,
        account: &str,
    ) -> ConnectionKey {
        self.connect_on(&self.hub, name, provider, account).await
    }

    pub(crate) async fn connect_on(
        &self,
        hub: &Hub,
        name: &str,
        provider: ProviderId,
        account: &str,
    ) -> ConnectionKey {
        let host = format!("{account}.shop.example");
        let origin = match provider.as_str() {
            "shop" => format!("https://{host}"),
            other => format!("https://api.{other}.example"),
        };
        let now = self.clock.now();
        let mut credential = Credential::new(
            CredentialKind::OAuth,
            Origin::parse(&origin).unwrap(),
            format!("{}-of-{account}", *ACCESS),
            now,
        )
        .with_refresh_token(format!("{}-refresh-of-{account}", *ACCESS))
        .with_expiry(now.after(Duration::from_secs(400 * 86_400)));
        if provider == SHOP {
            credential = credential.with_account_host(host);
        }
        let adopt = hub.adopt(&tenant(name), provider, credential);
        let connected = adopt.actor(Actor::User("ann".to_owned())).await.unwrap();
        connected.key().clone()
    }

    pub(crate) async fn receive(&self, provider: &ProviderId, request: Request) -> Receipt {
        self.hub.receive(provider, request.into()).await.unwrap()
    }

    /// Runs one round of the worker.
    pub(crate) async fn tick(&self) -> usize {
        self.hub.worker().tick().await.unwrap().deliveries
    }

    pub(crate) async fn deliveries(&self) -> Vec<DeliveryRecord> {
        let filter = DeliveryFilter::default();
        self.hub
            .deliveries(&filter, None, 10_000)
            .await
            .unwrap()
            .items
    }

    pub(crate) async fn stored(&self, key: &ConnectionKey) -> Stored {
        self.store.load(key).await.unwrap().unwrap()
    }

    pub(crate) async fn audit(&self) -> Vec<connector_core::AuditEntry> {
        let slice = self.store.audit(&AuditFilter::default(), None, 1000).await;
        slice
            .unwrap()
            .items
            .into_iter()
            .map(|it| it.entry)
            .collect()
    }
}

/// A keyring that several hubs share.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<Keyring>);

#[async_trait]
impl CredentialCipher for Shared {
    async fn seal(
        &self,
        place: &connector_core::cipher::SealContext<'_>,
        plaintext: &[u8],
    ) -> Result<connector_core::cipher::Sealed> {
        CredentialCipher::seal(&*self.0, place, plaintext).await
    }

    async fn open(
        &self,
        place: &connector_core::cipher::SealContext<'_>,
        sealed: &connector_core::cipher::Sealed,
    ) -> Result<connector_core::cipher::Plaintext> {
        CredentialCipher::open(&*self.0, place, sealed).await
    }

    fn sealing_key(&self) -> connector_core::cipher::KeyId {
        CredentialCipher::sealing_key(&*self.0)
    }
}

fn builder(
    clock: &ManualClock,
    store: impl Store,
    cipher: impl CredentialCipher,
    provider: &Provider,
) -> HubBuilder {
    connector_testkit::trace::init();
    Hub::builder()
        .store(store)
        .cipher(cipher)
        .transport(provider.clone())
        .clock(clock.clone())
        .connector(Signer(description("shop")))
        .connector(Signer(description("mail")))
        .connector(Signer(description("acme")))
}

pub(crate) fn apps() -> FixedApps {
    let app = || {
        App::new("client")
            .with_client_secret(SECRET.as_str())
            .with_client_secret(OLD_SECRET.as_str())
    };
    FixedApps::new()
        .with(SHOP, AppKey::default(), app())
        .with(MAIL, AppKey::default(), app())
        .with(ACME, AppKey::default(), app())
        .with(SHOP, AppKey::new("second").unwrap(), app())
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn operator() -> RequestContext {
    let actor = Actor::User("operator".to_owned());
    RequestContext::new(actor, CorrelationId::default())
}

pub(crate) fn sign(secret: &str, message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message).as_ref().try_into().unwrap()
}

/// A delivery to send.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A delivery of the shop: only the body is signed.
    pub(crate) fn shop(id: &str, topic: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::shop_signed(&SECRET, id, topic, body)
    }

    pub(crate) fn shop_signed(
        secret: &str,
        id: &str,
        topic: &str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let body = body.into();
        let signature = STANDARD.encode(sign(secret, &body));
        let headers = vec![
            ("x-signature", signature),
            ("x-id", id.to_owned()),
            ("x-topic", topic.to_owned()),
        ];
        Self { headers, body }
    }

    /// A delivery of the mail provider: the id and the topic are signed, too.
    pub(crate) fn mail(id: &str, topic: &str, body: &[u8]) -> Self {
        let message = [id.as_bytes(), b".", topic.as_bytes(), b".", body].concat();
        let mut request = Self::shop(id, topic, body);
        request.headers[0].1 = STANDARD.encode(sign(&SECRET, &message));
        request
    }

    /// A delivery of acme, sent at this time.
    pub(crate) fn acme(id: &str, topic: &str, at: i64, body: &[u8]) -> Self {
        let signature = sign(&SECRET, &[at.to_string().as_bytes(), b".", body].concat());
        let hex = StateKey::from_bytes(signature);
        let headers = vec![
            ("x-acme-signature", format!("v1={hex}")),
            ("x-acme-time", at.to_string()),
            ("x-acme-id", id.to_owned()),
            ("x-acme-topic", topic.to_owned()),
        ];
        let body = body.to_vec();
        Self { headers, body }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn about(self, account: &str) -> Self {
        self.with("x-account", account)
    }
}

impl From<Request> for http::Request<Bytes> {
    fn from(request: Request) -> Self {
        let mut builder = http::Request::builder().method("POST").uri("/webhooks");
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        builder.body(Bytes::from(request.body)).unwrap()
    }
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
