//! A provider without a network, and a hub that uses it, on a manual clock.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test program uses a part of this module"
)]

pub mod outage;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, Keyring, SealContext, SealedKind};
use connector_core::clock::{Clock, ManualClock, Monotonic, Timestamp};
use connector_core::http::{
    HttpTransport, Origin, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::description::{
    EndpointTemplate, IdentityRule, RevocationEndpoint, RevocationReach, TokenEndpoint,
};
use connector_core::provider::oauth::RotationClass;
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Expect, Expiries, Fence, Generation,
    GrantNumber, MemoryStore, PutGrant, PutOutcome, SideEffects, Store, Stored, TokenStore,
    WorkKind,
};
use connector_core::{
    Account, AccountKey, Actor, App, AppKey, AppSource, ConnectionId, ConnectionKey, CorrelationId,
    Credential, CredentialKind, FixedApps, Metadata, ProviderId, RequestContext, Status, TenantId,
};
use connector_hub::{Hub, HubBuilder};
use connector_testkit::leak::canary;
use connector_testkit::trace;
use secrecy::SecretString;

pub const ACME: ProviderId = ProviderId::from_static("acme");
pub const HOUR: Duration = Duration::from_secs(3600);
pub const MINUTE: Duration = Duration::from_secs(60);
/// Time at which the advisory window of every connection with a one-hour token is open.
pub const DUE: Duration = Duration::from_secs(3000);

/// The provider's reaction to one token request.
pub enum Reply {
    /// The normal response.
    Real,
    /// The normal response with changed fields.
    With(fn(&mut serde_json::Map<String, serde_json::Value>)),
    /// This response, without any effect.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// No response and no effect.
    Failed(TransportErrorKind, Sent),
    /// The normal effect, but the response is lost.
    Lost,
}

impl Reply {
    pub fn error(status: u16, code: &str) -> Self {
        Self::Answer(status, Vec::new(), format!(r#"{{"error":"{code}"}}"#))
    }

    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }
}

type Script = Box<dyn FnMut(&str) -> Reply + Send>;

#[derive(Default)]
struct Grant {
    newest: u64,
    /// The first pair of the newest authorization.
    first: u64,
    /// True after the newest access token was used, which ends the grace period.
    used: bool,
    dead: bool,
}

#[derive(Default)]
struct State {
    grants: BTreeMap<String, Grant>,
    script: Option<Script>,
    redeemed: BTreeMap<String, u64>,
    refused_access: BTreeSet<String>,
    issued: BTreeMap<String, Monotonic>,
    others: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct Provider(Arc<Shared>);

struct Shared {
    class: RotationClass,
    clock: ManualClock,
    state: Mutex<State>,
    gate: tokio::sync::watch::Sender<bool>,
    token_calls: AtomicU64,
    revocations: AtomicU64,
    identifications: AtomicU64,
    secret_is_wrong: AtomicBool,
    is_down: AtomicBool,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl Provider {
    pub fn new(class: RotationClass, clock: &ManualClock) -> Self {
        Self(Arc::new(Shared {
            class,
            clock: clock.clone(),
            state: Mutex::default(),
            gate: tokio::sync::watch::Sender::new(true),
            token_calls: AtomicU64::new(0),
            revocations: AtomicU64::new(0),
            identifications: AtomicU64::new(0),
            secret_is_wrong: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Creates a grant for an account, and returns its first pair.
    pub fn grant(&self, account: &str) -> (String, String) {
        let mut state = self.state();
        let grant = state.grants.entry(account.to_owned()).or_default();
        grant.newest += 1;
        grant.dead = false;
        grant.used = false;
        let newest = grant.newest;
        grant.first = newest;
        let access = access_token(account, newest);
        let now = self.0.clock.monotonic();
        state.issued.insert(access.clone(), now);
        (access, self.refresh_token(account, newest))
    }

    fn refresh_token(&self, account: &str, number: u64) -> String {
        static MARK: LazyLock<String> = LazyLock::new(|| canary("refresh"));
        let number = match self.0.class {
            RotationClass::Stable => 0,
            _ => number,
        };
        format!("{}.{account}.{number}", *MARK)
    }

    pub fn script(&self, script: impl FnMut(&str) -> Reply + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    /// Uses this reply for the next request, and normal replies afterwards.
    pub fn once(&self, reply: Reply) {
        let mut reply = Some(reply);
        self.script(move |_| reply.take().unwrap_or(Reply::Real));
    }

    pub fn behave(&self) {
        self.state().script = None;
    }

    pub fn kill(&self, account: &str) {
        self.state().grants.get_mut(account).unwrap().dead = true;
    }

    pub fn is_alive(&self, account: &str) -> bool {
        !self.state().grants[account].dead
    }

    /// Makes the API refuse this access token.
    pub fn refuse_access(&self, access_token: String) {
        self.state().refused_access.insert(access_token);
    }

    /// Returns the age of this access token.
    pub fn age(&self, access_token: &str) -> Duration {
        let issued = self.state().issued[access_token];
        self.0.clock.monotonic().since(issued)
    }

    /// Makes the identity endpoint return the account `other` for every token of `account`.
    pub fn answer_for(&self, account: &str, other: &str) {
        let mut state = self.state();
        state.others.insert(account.to_owned(), other.to_owned());
    }

    pub fn token_calls(&self) -> u64 {
        self.0.token_calls.load(Ordering::SeqCst)
    }

    pub fn revocations(&self) -> u64 {
        self.0.revocations.load(Ordering::SeqCst)
    }

    pub fn identifications(&self) -> u64 {
        self.0.identifications.load(Ordering::SeqCst)
    }

    /// Returns the maximum number of uses of a single refresh token.
    pub fn most_redeemed(&self) -> u64 {
        self.state().redeemed.values().copied().max().unwrap_or(0)
    }

    pub fn set_secret_wrong(&self, wrong: bool) {
        self.0.secret_is_wrong.store(wrong, Ordering::SeqCst);
    }

    pub fn set_down(&self, down: bool) {
        self.0.is_down.store(down, Ordering::SeqCst);
    }

    /// Holds all responses until the gate is opened.
    pub fn close_gate(&self) {
        self.0.gate.send_replace(false);
    }

    pub fn open_gate(&self) {
        self.0.gate.send_replace(true);
    }

    fn redeem(
        &self,
        refresh_token: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, ()> {
        let mut parts = refresh_token.split('.');
        let (_, account, number) = (parts.next(), parts.next().ok_or(())?, parts.next());
        let number: u64 = number.and_then(|it| it.parse().ok()).ok_or(())?;
        let mut state = self.state();
        let count = state.redeemed.entry(refresh_token.to_owned()).or_default();
        *count += 1;
        let grant = state.grants.get_mut(account).ok_or(())?;
        let known = match self.0.class {
            RotationClass::Stable | RotationClass::OldTokensLiveOn => true,
            RotationClass::Grace(_) => {
                number == grant.newest || number + 1 == grant.newest && !grant.used
            }
            _ => number == grant.newest,
        };
        if grant.dead || !known {
            grant.dead = true;
            return Err(());
        }
        grant.newest += 1;
        grant.used = false;
        let newest = grant.newest;
        let access = access_token(account, newest);
        let now = self.0.clock.monotonic();
        state.issued.insert(access.clone(), now);
        let answer = serde_json::json!({
            "access_token": access,
            "refresh_token": self.refresh_token(account, newest),
            "expires_in": 3600,
            "token_type": "bearer",
        });
        Ok(answer.as_object().unwrap().clone())
    }

    fn token(&self, request: &OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        use base64::Engine as _;
        let body = request.request.body();
        self.0.token_calls.fetch_add(1, Ordering::SeqCst);
        let header = request.request.headers().get(http::header::AUTHORIZATION);
        let proof = header
            .and_then(|it| it.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|it| base64::engine::general_purpose::STANDARD.decode(it).ok())
            .unwrap_or_default();
        let wrong = proof.ends_with(format!(":{WRONG_SECRET}").as_bytes());
        if wrong || self.0.secret_is_wrong.load(Ordering::SeqCst) {
            return Ok(answer(401, r#"{"error":"invalid_client"}"#));
        }
        let refresh_token = match field(body, "refresh_token") {
            // A request for a derived token contains the account.
            it if it.is_empty() => {
                let account = field(body, "account");
                let newest = self.state().grants[&account].newest;
                self.refresh_token(&account, newest)
            }
            it => it,
        };
        let account = refresh_token.split('.').nth(1).unwrap_or("").to_owned();
        let script = self.state().script.take();
        let reply = match script {
            Some(mut script) => {
                let reply = script(&account);
                self.state().script = Some(script);
                reply
            }
            None => Reply::Real,
        };
        let real = |change: fn(&mut serde_json::Map<String, serde_json::Value>)| match self
            .redeem(&refresh_token)
        {
            Ok(mut fields) => {
                change(&mut fields);
                answer(200, &serde_json::Value::Object(fields).to_string())
            }
            Err(()) => answer(400, r#"{"error":"invalid_grant"}"#),
        };
        match reply {
            Reply::Real => Ok(real(|_| {})),
            Reply::With(change) => Ok(real(change)),
            Reply::Answer(status, headers, body) => {
                let mut response = answer(status, &body);
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                Ok(response)
            }
            Reply::Failed(kind, sent) => Err(TransportError::new(kind, sent)),
            Reply::Lost => {
                drop(real(|_| {}));
                Err(TransportError::new(TransportErrorKind::Broken, Sent::Maybe))
            }
        }
    }

    fn me(&self, request: &OutboundRequest) -> http::Response<Bytes> {
        self.0.identifications.fetch_add(1, Ordering::SeqCst);
        let header = request.request.headers()[http::header::AUTHORIZATION].to_str();
        let token = header.unwrap().trim_start_matches("Bearer ").to_owned();
        let account = token.split('.').nth(1).unwrap_or("").to_owned();
        let number: u64 = token.split('.').nth(2).unwrap().parse().unwrap();
        let mut state = self.state();
        if state.refused_access.contains(&token) {
            return answer(401, "");
        }
        let named = state.others.get(&account).unwrap_or(&account).clone();
        match state.grants.get_mut(&account) {
            Some(grant) if !grant.dead => {
                grant.used |= grant.newest == number;
                let account = named;
                answer(200, &format!(r#"{{"id":"{account}"}}"#))
            }
            _ => answer(401, ""),
        }
    }

    fn revoke(&self, body: &Bytes) -> http::Response<Bytes> {
        let token = field(body, "token");
        let account = token.split('.').nth(1).unwrap_or("").to_owned();
        self.0.revocations.fetch_add(1, Ordering::SeqCst);
        let number: u64 = token.split('.').nth(2).unwrap().parse().unwrap();
        if let Some(grant) = self.state().grants.get_mut(&account) {
            // Other authorizations of the same account remain valid.
            grant.dead |= number >= grant.first || self.0.class == RotationClass::Stable;
        }
        answer(200, "")
    }
}

/// Returns the access token that the provider issues to an account as its `number`th.
pub fn access_token(account: &str, number: u64) -> String {
    static MARK: LazyLock<String> = LazyLock::new(|| canary("access"));
    format!("{}.{account}.{number}", *MARK)
}

fn field(body: &Bytes, name: &str) -> String {
    url::form_urlencoded::parse(body)
        .find(|(it, _)| it == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn answer(status: u16, body: &str) -> http::Response<Bytes> {
    http::Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if request.request.uri().host() != Some("acme.example") {
            // Every other provider hangs.
            std::future::pending::<()>().await;
        }
        let _ = self.0.gate.subscribe().wait_for(|open| *open).await;
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(TransportError::new(TransportErrorKind::Connect, Sent::No));
        }
        let longest = request.max_response_len;
        let response = match request.request.uri().path() {
            "/token" => self.token(&request)?,
            "/revoke" => self.revoke(request.request.body()),
            "/me" => self.me(&request),
            path => panic!("no such endpoint: {path}"),
        };
        if response.body().len() > longest {
            return Err(TransportError::new(TransportErrorKind::Answer, Sent::Maybe));
        }
        Ok(response)
    }
}

pub fn description(class: RotationClass, reach: RevocationReach) -> Description {
    describe(ACME, class, reach)
}

/// Describes a provider whose endpoints are on a host with its name.
pub fn describe(provider: ProviderId, class: RotationClass, reach: RevocationReach) -> Description {
    let host = format!("https://{provider}.example");
    let at = |path: &str| EndpointTemplate::new(format!("{host}{path}"));
    let mut description = Description::new(provider, "Acme");
    description.api = vec![at("")];
    description.token = Some(TokenEndpoint::new(at("/token")));
    let mut revocation = RevocationEndpoint::new(at("/revoke"));
    revocation.reach = reach;
    description.revocation = Some(revocation);
    description.identity = Some(IdentityRule::endpoint(at("/me"), "/id"));
    description.rotation = class;
    description
}

pub fn keyring(first: u8, others: &[u8]) -> Keyring {
    use base64::Engine as _;
    let key = |byte: &u8| base64::engine::general_purpose::STANDARD.encode([*byte; 32]);
    let keys: Vec<String> = std::iter::once(&first).chain(others).map(key).collect();
    Keyring::parse(&SecretString::from(keys.join(","))).unwrap()
}

pub fn context() -> RequestContext {
    RequestContext::new(Actor::User("u1".into()), CorrelationId::default())
}

/// An application with its provider and its clock.
pub struct World {
    pub clock: ManualClock,
    pub store: MemoryStore,
    pub provider: Provider,
    pub description: Description,
    pub hub: Hub,
}

impl World {
    pub fn new(class: RotationClass) -> Self {
        Self::with(description(class, RevocationReach::Grant), |builder| {
            builder
        })
    }

    pub fn with(description: Description, more: impl FnOnce(HubBuilder) -> HubBuilder) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let provider = Provider::new(description.rotation, &clock);
        let builder = builder(&description, &provider, store.clone(), &clock);
        let hub = more(builder).build().unwrap();
        Self {
            clock,
            store,
            provider,
            description,
            hub,
        }
    }

    /// Restarts the process with these keys and an offset of the wall clock.
    pub fn restart(&mut self, keys: Keyring, offset: i64) {
        let clock = self.clock.with_offset(offset);
        let store = self.store.clone();
        let builder = builder(&self.description, &self.provider, store, &clock);
        self.hub = builder.cipher(keys).build().unwrap();
    }

    /// Returns another process on the same store, with an offset of the wall clock in milliseconds.
    pub fn other_hub(&self, offset: i64) -> Hub {
        self.hub_on(self.store.clone(), offset)
    }

    pub fn hub_on(&self, store: impl Store, offset: i64) -> Hub {
        let clock = self.clock.with_offset(offset);
        builder(&self.description, &self.provider, store, &clock)
            .build()
            .unwrap()
    }

    /// Returns a process on `store`, with additional builder settings.
    pub fn hub_with(&self, store: impl Store, more: impl FnOnce(HubBuilder) -> HubBuilder) -> Hub {
        let builder = builder(&self.description, &self.provider, store, &self.clock);
        more(builder).build().unwrap()
    }

    /// Creates a connection with a one-hour token.
    pub async fn connect(&self, account: &str) -> ConnectionKey {
        self.connect_for("t1", account, HOUR).await
    }

    pub async fn connect_for(
        &self,
        tenant: &str,
        account: &str,
        access: Duration,
    ) -> ConnectionKey {
        let key = new_key(tenant);
        self.put(&key, account, access, None).await;
        key
    }

    /// Creates a connection in another store, with this credential.
    pub async fn connect_in(&self, store: &dyn Store, tenant: &str, new: New) -> ConnectionKey {
        let key = new_key(tenant);
        self.put_in(store, &key, new, None).await;
        key
    }

    /// Stores a grant as a connect flow does: a first one, or a new one for an existing connection.
    pub async fn put(
        &self,
        key: &ConnectionKey,
        account: &str,
        access: Duration,
        over: Option<&Stored>,
    ) {
        let new = New {
            access: Some(access),
            ..New::of(account)
        };
        self.put_in(&self.store, key, new, over).await;
    }

    async fn put_in(
        &self,
        store: &dyn Store,
        key: &ConnectionKey,
        new: New,
        over: Option<&Stored>,
    ) {
        let New {
            provider,
            account,
            access,
            refreshable,
        } = new;
        let account = account.as_str();
        let (access_token, refresh_token) = self.provider.grant(account);
        let now = self.clock.now();
        let origin = Origin::parse(&format!("https://{provider}.example")).unwrap();
        let mut credential = Credential::new(CredentialKind::OAuth, origin, access_token, now)
            .with_client_id("client");
        if refreshable {
            credential = credential.with_refresh_token(refresh_token);
        }
        if let Some(access) = access {
            credential = credential.with_expiry(now.after(access));
        }
        let rule = self.description.account_host.as_ref();
        let host = rule.map(|rule| format!("{account}{}", rule.suffix));
        if let Some(host) = &host {
            credential = credential.with_account_host(host);
        }
        let identified = Account::identified(AccountKey::new(account).unwrap());
        let identified = self.description.qualify(identified, host.as_deref());
        let (grant, generation, fence) = match over {
            None => (GrantNumber::new(1), Generation::new(1), Fence::new(1)),
            Some(stored) => {
                let it = &stored.connection;
                let fence = self.claim(key, stored).await;
                (it.grant.next(), it.generation.next(), fence)
            }
        };
        let app = AppKey::default();
        let row = key.id.to_string();
        let place = SealContext {
            tenant: Some(&key.tenant),
            provider: &provider,
            app: &app,
            row: &row,
            kind: SealedKind::Credential,
            grant,
            fence,
        };
        let plaintext = credential.to_plaintext().unwrap();
        let sealed = keyring(1, &[])
            .seal(&place, plaintext.expose())
            .await
            .unwrap();
        let mut metadata = Metadata::new();
        metadata.insert("name", account).unwrap();
        let put = PutGrant {
            key: key.clone(),
            provider: provider.clone(),
            app: app.clone(),
            account: identified.unwrap(),
            expect: over.map_or(Expect::Absent, |it| Expect::At(it.connection.generation)),
            grant,
            generation,
            fence,
            credential: sealed,
            expiries: Expiries {
                access,
                refresh: None,
            },
            status: Status::Connected,
            metadata,
            takes: None,
        };
        let due = |access: Duration| access.saturating_sub(HOUR.saturating_sub(DUE));
        let effects = SideEffects {
            schedule: vec![(WorkKind::Refresh, access.map(due))],
            audit: Vec::new(),
        };
        let outcome = store.put_grant(put, effects).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored);
    }

    /// Claims the connection for a reconnect.
    async fn claim(&self, key: &ConnectionKey, stored: &Stored) -> Fence {
        let random = connector_core::SystemRandom::new();
        let request = ClaimRequest {
            claim_id: ClaimId::generate(&random).unwrap(),
            grant: stored.connection.grant,
            seen: stored.connection.generation,
            kind: ClaimKind::Exchange,
            hold: MINUTE,
            confirmed: None,
        };
        loop {
            match self.store.claim(key, request.clone()).await.unwrap() {
                ClaimOutcome::Granted { fence, .. } => return fence,
                ClaimOutcome::Held { until, .. } => self.clock.advance(until.remaining()),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Claims the connection for a minute, as another process would.
    pub async fn hold(&self, key: &ConnectionKey) {
        let stored = self.stored(key).await;
        self.claim(key, &stored).await;
    }

    pub async fn stored(&self, key: &ConnectionKey) -> Stored {
        self.store.load(key).await.unwrap().unwrap()
    }

    pub async fn status(&self, key: &ConnectionKey) -> Status {
        self.stored(key).await.connection.status
    }

    pub async fn generation(&self, key: &ConnectionKey) -> u64 {
        self.stored(key).await.connection.generation.get()
    }

    /// Advances the clock until the future is ready.
    pub async fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        drive(&self.clock, future).await
    }

    /// Advances the clock by `minutes` minutes, with worker rounds in each minute.
    pub async fn minutes(&self, minutes: u32) {
        let worker = self.hub.worker();
        for _ in 0..minutes {
            self.clock.advance(MINUTE);
            while self.drive(worker.tick()).await.unwrap().more {}
        }
    }
}

/// A grant to store.
pub struct New {
    pub provider: ProviderId,
    pub account: String,
    pub access: Option<Duration>,
    pub refreshable: bool,
}

impl New {
    /// A one-hour token and a refresh token.
    pub fn of(account: &str) -> Self {
        Self {
            provider: ACME,
            account: account.to_owned(),
            access: Some(HOUR),
            refreshable: true,
        }
    }
}

fn new_key(tenant: &str) -> ConnectionKey {
    let tenant = TenantId::new(tenant).unwrap();
    let id = ConnectionId::generate(&connector_core::SystemRandom::new()).unwrap();
    ConnectionKey::new(tenant, id)
}

/// A separate registration for each tenant, all with one client id. The tenant `loud` has a wrong
/// secret.
#[derive(Debug)]
pub struct OwnApps;

pub const WRONG_SECRET: &str = "wrong";

#[async_trait]
impl AppSource for OwnApps {
    async fn app(
        &self,
        _provider: &ProviderId,
        tenant: &TenantId,
        _app: &AppKey,
    ) -> connector_core::Result<Arc<App>> {
        let secret = match tenant.as_str() {
            "loud" => WRONG_SECRET.to_owned(),
            _ => canary("client-secret"),
        };
        Ok(Arc::new(App::new("client").with_client_secret(secret)))
    }
}

fn builder(
    description: &Description,
    provider: &Provider,
    store: impl Store,
    clock: &ManualClock,
) -> HubBuilder {
    trace::init();
    let app = App::new("client").with_client_secret(canary("client-secret"));
    let apps = FixedApps::new().with(ACME, AppKey::default(), app);
    Hub::builder()
        .store(store)
        .cipher(keyring(1, &[2]))
        .transport(provider.clone())
        .clock(clock.clone())
        .apps(apps)
        .connector(GenericConnector::new(description.clone()).unwrap())
}

/// Advances the clock in small steps whenever no task can run.
pub async fn drive<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = settle(16) => clock.advance(Duration::from_millis(200)),
        }
    }
    panic!("it is not ready after half an hour");
}

/// Lets all other tasks run.
pub async fn settle(rounds: usize) {
    for _ in 0..rounds {
        tokio::task::yield_now().await;
    }
}

/// A deterministic sequence of numbers.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
