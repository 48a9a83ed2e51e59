//! Typed clients of connections use the tokens and the rate limits of the hub.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they counted"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{Idempotency, MintedTokens, Request, Response, RetryPolicy, TokenMint};
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::limit::{Limit, Per};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::description::{EndpointTemplate, IdentityRule, TokenEndpoint};
use connector_core::provider::{Description, Endpoint, GenericConnector, ProviderClient};
use connector_core::store::{AuditFilter, AuditLog, MemoryStore};
use connector_core::{
    Actor, App, AppKey, AppSource, ConnectionId, ConnectionKey, CorrelationId, Credential,
    CredentialKind, Error, ErrorKind, Event, FixedApps, ProviderId, RequestContext, Result,
    TenantId,
};
use connector_hub::{CallAudit, Hub};
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use futures_util::FutureExt;
use futures_util::future::join_all;

const ACME: ProviderId = ProviderId::from_static("acme");

fn token(number: u64) -> String {
    static MARK: LazyLock<String> = LazyLock::new(|| canary("access"));
    format!("{}-{number}", *MARK)
}

/// Accepts one access token at a time. A refresh returns the next one.
#[derive(Debug, Default)]
struct Provider {
    good: AtomicU64,
    calls: AtomicU64,
    refreshes: AtomicU64,
    /// True while the token endpoint refuses the client.
    refuses_client: AtomicBool,
    /// True while the API refuses every token.
    refuses_calls: AtomicBool,
    /// The body of the last token request.
    asked: Mutex<String>,
}

#[derive(Debug)]
struct Network(Arc<Provider>);

#[async_trait]
impl HttpTransport for Network {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        // Yields, so that requests interleave as on a network.
        tokio::task::yield_now().await;
        let request = outbound.request;
        let provider = &self.0;
        let good = provider.good.load(Ordering::SeqCst);
        let bearer = request.headers().get("authorization");
        let refuses = provider.refuses_calls.load(Ordering::SeqCst);
        let authorized =
            !refuses && bearer.is_some_and(|it| it == format!("Bearer {}", token(good)).as_str());
        let (status, body) = match request.uri().path() {
            "/token" => {
                provider.refreshes.fetch_add(1, Ordering::SeqCst);
                let asked = String::from_utf8(request.body().to_vec()).unwrap();
                *provider.asked.lock().unwrap() = asked;
                // The response takes a while.
                tokio::task::yield_now().await;
                if provider.refuses_client.load(Ordering::SeqCst) {
                    let body = r#"{"error":"invalid_client"}"#;
                    let response = http::Response::builder().status(401);
                    return Ok(response.body(body.into()).unwrap());
                }
                let body = serde_json::json!({
                    "access_token": token(good),
                    "refresh_token": format!("{}-refresh", token(good)),
                    "expires_in": 3600,
                });
                (200, body.to_string())
            }
            "/me" => (200, r#"{"id":"a-1"}"#.to_owned()),
            "/busy" => {
                provider.calls.fetch_add(1, Ordering::SeqCst);
                (503, String::new())
            }
            _ => {
                provider.calls.fetch_add(1, Ordering::SeqCst);
                (if authorized { 200 } else { 401 }, "{}".to_owned())
            }
        };
        let response = http::Response::builder().status(status);
        Ok(response.body(body.into()).unwrap())
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

connector_core::provider::provider_client! {
    struct OtherClient for ProviderId::from_static("other");
}

struct World {
    hub: Hub,
    provider: Arc<Provider>,
    clock: ManualClock,
    store: MemoryStore,
    tenant: TenantId,
}

impl World {
    fn new(limits: Vec<Limit>) -> Self {
        let app = App::new("client").with_client_secret(canary("client-secret"));
        Self::with_apps(limits, FixedApps::new().with(ACME, AppKey::default(), app))
    }

    fn with_apps(limits: Vec<Limit>, apps: impl AppSource) -> Self {
        Self::with(limits, apps, RetryPolicy::default())
    }

    fn with_policy(limits: Vec<Limit>, policy: RetryPolicy) -> Self {
        let app = App::new("client").with_client_secret(canary("client-secret"));
        let apps = FixedApps::new().with(ACME, AppKey::default(), app);
        Self::with(limits, apps, policy)
    }

    fn with(limits: Vec<Limit>, apps: impl AppSource, policy: RetryPolicy) -> Self {
        Self::auditing(CallAudit::Off, limits, apps, policy)
    }

    fn auditing(
        audit: CallAudit,
        limits: Vec<Limit>,
        apps: impl AppSource,
        policy: RetryPolicy,
    ) -> Self {
        trace::init();
        let provider = Arc::new(Provider::default());
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let mut description = Description::new(ACME, "Acme");
        let endpoint = |path| EndpointTemplate::new(format!("https://api.acme.example{path}"));
        description.api = vec![endpoint("")];
        description.token = Some(TokenEndpoint::new(endpoint("/token")));
        description.identity = Some(IdentityRule::endpoint(endpoint("/me"), "/id"));
        description.limits = limits;
        let connector = GenericConnector::new(description)
            .unwrap()
            .with_apps(Arc::new(apps));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = MemoryStore::new(shared);
        let hub = Hub::builder()
            .store(store.clone())
            .with_call_audit(audit)
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(Network(Arc::clone(&provider)))
            .clock(clock.clone())
            .connector(connector)
            .with_retry_policy(policy)
            .build()
            .unwrap();
        Self {
            hub,
            provider,
            clock,
            store,
            tenant: TenantId::new("t1").unwrap(),
        }
    }

    async fn connect(&self) -> ConnectionKey {
        self.connect_with(&self.tenant, &[]).await
    }

    async fn connect_as(&self, tenant: &TenantId) -> ConnectionKey {
        self.connect_with(tenant, &[]).await
    }

    async fn connect_with(&self, tenant: &TenantId, scopes: &[&str]) -> ConnectionKey {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        let now = self.clock.now();
        let credential = Credential::new(CredentialKind::OAuth, origin, token(0), now)
            .with_refresh_token(format!("{}-refresh", token(0)))
            .with_expiry(now.after(Duration::from_secs(3600)))
            .with_scopes(scopes.iter().copied());
        let adopted = self
            .hub
            .adopt(tenant, ACME, credential)
            .actor(Actor::Service("test".into()))
            .await
            .unwrap();
        adopted.connection().key.clone()
    }
}

#[tokio::test]
async fn a_hundred_calls_that_are_refused_at_once_cause_one_refresh() {
    let world = World::new(Vec::new());
    let key = world.connect().await;
    let client: AcmeClient = world.hub.client(&key).await.unwrap();
    client.session().send(&ReadThing).await.unwrap();
    let before = world.provider.refreshes.load(Ordering::SeqCst);
    world.provider.good.store(1, Ordering::SeqCst);
    let calls = (0..100).map(|_| client.session().send(&ReadThing));
    let results = join_all(calls).await;
    assert!(results.iter().all(Result::is_ok));
    let refreshes = world.provider.refreshes.load(Ordering::SeqCst) - before;
    println!("100 refused calls, {refreshes} refresh");
    assert_eq!(refreshes, 1);
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), 201);
}

#[tokio::test]
async fn all_clients_of_an_account_share_its_limit() {
    let world = World::new(vec![Limit::window("account", Per::Account, 2, 10)]);
    let key = world.connect().await;
    for _ in 0..2 {
        let client: AcmeClient = world.hub.client(&key).await.unwrap();
        client.session().send(&ReadThing).await.unwrap();
    }
    let client: AcmeClient = world.hub.client(&key).await.unwrap();
    let mut third = Box::pin(client.session().send(&ReadThing));
    assert!(third.as_mut().now_or_never().is_none());
    world.clock.advance(Duration::from_secs(10));
    third.await.unwrap();
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), 3);
}

/// Registrations by tenant: a separate client id for each listed tenant, and `client` for all
/// others. If `client` is `None`, no registration is shared.
#[derive(Debug)]
struct Registrations {
    shared: Option<&'static str>,
    own: &'static [(&'static str, &'static str)],
}

#[async_trait]
impl AppSource for Registrations {
    async fn app(&self, _: &ProviderId, tenant: &TenantId, _: &AppKey) -> Result<Arc<App>> {
        let own = self.own.iter().find(|(name, _)| *name == tenant.as_str());
        let client = own.map(|(_, client)| *client).or(self.shared).unwrap();
        Ok(Arc::new(
            App::new(client).with_client_secret(canary("client-secret")),
        ))
    }

    async fn shared(&self, _: &ProviderId, _: &AppKey) -> Result<Arc<App>> {
        match self.shared {
            Some(client) => Ok(Arc::new(App::new(client))),
            None => Err(Error::new(
                ErrorKind::Configuration,
                "test",
                "none is shared",
            )),
        }
    }
}

#[tokio::test]
async fn tenants_share_limits_only_under_a_registration_that_they_share() {
    // Columns: the registrations, and whether the other tenant must wait after one tenant has used
    // up the app's limit.
    let table = [
        (Some("client"), &[][..], true),
        (Some("client"), &[("t2", "other")][..], false),
        (None, &[("t1", "one"), ("t2", "two")][..], false),
        // A tenant that uses another tenant's client id cannot spend its limit.
        (None, &[("t1", "one"), ("t2", "one")][..], false),
    ];
    let count = table.len();
    for (shared, own, waits) in table {
        let limits = vec![Limit::window("app", Per::App, 1, 60)];
        let world = World::with_apps(limits, Registrations { shared, own });
        let other = TenantId::new("t2").unwrap();
        let keys = [world.connect().await, world.connect_as(&other).await];
        let mut clients = Vec::new();
        for key in &keys {
            clients.push(world.hub.client::<AcmeClient>(key).await.unwrap());
        }
        clients[0].session().send(&ReadThing).await.unwrap();
        let second = clients[1].session().with_patience(Duration::ZERO);
        let result = second.send(&ReadThing).await;
        assert_eq!(result.is_err(), waits, "{shared:?} {own:?}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::RateLimited);
        }
    }
    println!("{count} kinds of registrations");
}

#[tokio::test]
async fn a_client_is_had_for_a_connection_of_its_provider_and_its_tenant_only() {
    let world = World::new(Vec::new());
    let key = world.connect().await;
    let error = world.hub.client::<OtherClient>(&key).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let others = TenantId::new("t2").unwrap();
    for key in [
        ConnectionKey::new(others, key.id),
        ConnectionKey::new(world.tenant.clone(), ConnectionId::from_bytes([7; 16])),
    ] {
        let error = world.hub.session(&key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.operation(), "hub.session");
        let context = RequestContext::new(Actor::Service("test".into()), CorrelationId::default());
        let error = world.hub.check(&key, context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.operation(), "hub.check");
    }
}

/// An operation that needs a scope, and for which the provider is busy.
struct WriteBusy;

impl Endpoint for WriteBusy {
    type Client = AcmeClient;
    type Output = ();
    const NAME: &'static str = "WriteBusy";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["write"];

    fn request(&self) -> Result<Request> {
        Request::get(["busy"])
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn calls_know_the_granted_scopes_and_the_hubs_retry_policy() {
    for (scopes, kind, calls) in [
        (&["read"][..], ErrorKind::Forbidden, 0),
        (&["read", "write"], ErrorKind::ProviderUnavailable, 1),
        (&[], ErrorKind::ProviderUnavailable, 1),
    ] {
        let world = World::with_policy(Vec::new(), RetryPolicy::never());
        let key = world.connect_with(&world.tenant, scopes).await;
        let client: AcmeClient = world.hub.client(&key).await.unwrap();
        let error = client.send(&WriteBusy).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{scopes:?}");
        assert_eq!(world.provider.calls.load(Ordering::SeqCst), calls);
    }
}

impl World {
    fn token_requests(&self) -> u64 {
        self.provider.refreshes.load(Ordering::SeqCst)
    }

    async fn app_client(&self, scopes: &[&str]) -> AcmeClient {
        let client = self.hub.app_client::<AcmeClient>(&self.tenant);
        client.scopes(scopes.iter().copied()).await.unwrap()
    }
}

#[tokio::test]
async fn an_app_token_is_requested_once_for_all_clients_and_again_before_it_expires() {
    let world = World::new(Vec::new());
    let first = world.app_client(&["b", "a"]).await;
    assert_eq!(world.token_requests(), 0, "the first call requests it");
    let second = world.app_client(&["a", "b"]).await;
    let clients = [&first, &second];
    let calls = (0..100).map(|at| clients[at % 2].session().send(&ReadThing));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(world.token_requests(), 1);
    let asked = world.provider.asked.lock().unwrap().clone();
    assert!(asked.contains("grant_type=client_credentials"));
    assert!(asked.contains("scope=a+b"), "{asked}");
    let mut requests = vec![(0, 1)];
    for (later, total) in [(3000, 1), (530, 1), (11, 2), (3600, 3)] {
        world.clock.advance(Duration::from_secs(later));
        first.session().send(&ReadThing).await.unwrap();
        requests.push((later, world.token_requests()));
        assert_eq!(world.token_requests(), total, "{later} seconds later");
    }
    // Other scopes need another token. This provider accepts one token at a time.
    world
        .app_client(&[])
        .await
        .session()
        .send(&ReadThing)
        .await
        .unwrap();
    assert_eq!(world.token_requests(), 4);
    println!("seconds later, token requests: {requests:?}");
}

#[tokio::test]
async fn a_refused_app_token_is_replaced_once_and_not_again_unless_the_new_one_worked() {
    let world = World::new(Vec::new());
    let client = world.app_client(&[]).await;
    client.session().send(&ReadThing).await.unwrap();
    world.provider.good.store(1, Ordering::SeqCst);
    let calls = (0..100).map(|_| client.session().send(&ReadThing));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(world.token_requests(), 2);
    // From here on, the provider issues tokens that its API refuses.
    world.provider.refuses_calls.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        let error = client.session().send(&ReadThing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
    }
    let requests = world.token_requests();
    println!(
        "20 calls whose tokens never work: {} token requests",
        requests - 2
    );
    assert_eq!(requests, 3);
    world.provider.refuses_calls.store(false, Ordering::SeqCst);
    client.session().send(&ReadThing).await.unwrap();
    assert_eq!(world.token_requests(), 3, "it works now");
}

#[tokio::test]
async fn a_refused_app_is_asked_once_until_its_pause_is_over() {
    let world = World::new(Vec::new());
    let client = world.app_client(&[]).await;
    world.provider.refuses_client.store(true, Ordering::SeqCst);
    let results = join_all((0..50).map(|_| client.session().send(&ReadThing))).await;
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AppMisconfigured);
        assert_eq!(error.code(), Some("invalid_client"));
        assert!(!error.report().contains(&canary("client-secret")));
    }
    assert_eq!(world.token_requests(), 1);
    world.provider.refuses_client.store(false, Ordering::SeqCst);
    client.session().send(&ReadThing).await.unwrap_err();
    assert_eq!(world.token_requests(), 1);
    world.clock.advance(Duration::from_secs(31));
    client.session().send(&ReadThing).await.unwrap();
    println!(
        "52 calls of a refused app: {} token requests",
        world.token_requests()
    );
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test]
async fn an_app_client_is_had_for_a_known_provider_origin_and_registration_only() {
    let apps = Registrations {
        shared: None,
        own: &[("t1", "one"), ("t2", "one")],
    };
    let world = World::with_apps(Vec::new(), apps);
    let client = world.hub.app_client::<OtherClient>(&world.tenant);
    let error = client.await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let elsewhere = Origin::parse("https://other.example").unwrap();
    let client = world.hub.app_client::<AcmeClient>(&world.tenant);
    let error = client.origin(elsewhere).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // Tenants with their own registrations share no token, even with the same client id.
    for tenant in ["t1", "t2", "t1"] {
        let tenant = TenantId::new(tenant).unwrap();
        let client = world.hub.app_client::<AcmeClient>(&tenant).await.unwrap();
        client.session().send(&ReadThing).await.unwrap();
    }
    assert_eq!(world.token_requests(), 2);
}

/// Derives tokens for restricted operations from the connection's own token.
struct Derived {
    base: AcmeClient,
    number: AtomicU64,
}

#[async_trait]
impl TokenMint for Derived {
    async fn mint(&self) -> Result<Credential> {
        self.base.session().send(&ReadThing).await?;
        self.number.fetch_add(1, Ordering::SeqCst);
        let origin = Origin::parse("https://api.acme.example")?;
        Ok(Credential::new(
            CredentialKind::OAuth,
            origin,
            token(0),
            Timestamp::UNIX_EPOCH,
        ))
    }
}

#[tokio::test]
async fn a_session_with_derived_tokens_keeps_its_limits_and_derives_one_for_all_calls() {
    let world = World::new(vec![Limit::window("account", Per::Account, 12, 60)]);
    let key = world.connect().await;
    let base: AcmeClient = world.hub.client(&key).await.unwrap();
    let tokens = Arc::new(MintedTokens::new(
        Derived {
            base: base.clone(),
            number: AtomicU64::new(0),
        },
        Arc::new(world.clock.clone()),
    ));
    let restricted = base.session().with_tokens(tokens);
    assert!(
        join_all((0..10).map(|_| restricted.send(&ReadThing)))
            .await
            .iter()
            .all(Result::is_ok)
    );
    let calls = world.provider.calls.load(Ordering::SeqCst);
    println!("10 calls with a derived token: {calls} calls in all");
    assert_eq!(calls, 11);
    base.session().send(&ReadThing).await.unwrap();
    let impatient = restricted.with_patience(Duration::ZERO);
    let error = impatient.send(&ReadThing).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::RateLimited,
        "both draw from one limit"
    );
}

#[tokio::test]
async fn a_caller_that_is_dropped_does_not_cancel_the_token_request_of_others() {
    let world = World::new(Vec::new());
    let client = world.app_client(&[]).await;
    let mut first = Box::pin(client.session().send(&ReadThing));
    while world.token_requests() == 0 {
        assert!(first.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(first);
    client.session().send(&ReadThing).await.unwrap();
    println!(
        "token requests after a dropped caller: {}",
        world.token_requests()
    );
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn requests_are_recorded_as_the_application_chose() {
    let table = [
        (CallAudit::Off, 0, 0),
        (CallAudit::Failures, 0, 5),
        (CallAudit::All, 2, 5),
    ];
    for (audit, succeeded, failed) in table {
        let app = App::new("client").with_client_secret(canary("client-secret"));
        let apps = FixedApps::new().with(ACME, AppKey::default(), app);
        let policy = RetryPolicy::default();
        let world = World::auditing(audit, Vec::new(), apps, policy);
        let key = world.connect().await;
        let client: AcmeClient = world.hub.client(&key).await.unwrap();
        let by = RequestContext::new(Actor::User("ann".to_owned()), CorrelationId::default());
        let client = client.with_context(by.clone());
        client.send(&ReadThing).await.unwrap();
        // A 401, then the successful retry.
        world.provider.good.store(1, Ordering::SeqCst);
        client.send(&ReadThing).await.unwrap();
        // Four failed attempts.
        let mut busy = Box::pin(client.raw(Request::get(["busy"]).unwrap(), Idempotency::Safe));
        let outcome = loop {
            match busy.as_mut().now_or_never() {
                Some(outcome) => break outcome.unwrap(),
                None => world.clock.advance(Duration::from_secs(1)),
            }
        };
        assert_eq!(outcome.status(), 503);
        // An abandoned call.
        drop(client.send(&ReadThing).now_or_never());
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let log = world.store.audit(&AuditFilter::default(), None, 100).await;
        let mut counts = [0, 0, 0];
        for record in log.unwrap().items {
            let Event::ApiCall {
                operation,
                status,
                failure,
                abandoned,
                ..
            } = &record.entry.event
            else {
                continue;
            };
            assert_eq!(record.entry.context, by);
            assert_eq!(record.entry.connection, Some(key.id));
            assert_eq!(operation == "api.raw", *status == Some(503));
            counts[0] += usize::from(failure.is_none() && !abandoned);
            counts[1] += usize::from(failure.is_some());
            counts[2] += usize::from(*abandoned);
        }
        println!("{audit:?}: {counts:?} recorded as succeeded, failed, abandoned");
        let abandoned = usize::from(audit != CallAudit::Off);
        assert_eq!(counts, [succeeded, failed, abandoned]);
        world.hub.shutdown(Duration::ZERO).await.unwrap();
    }
}
