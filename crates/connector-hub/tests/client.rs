//! Typed clients of connections: their tokens are the hub's, and so are their limits.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they counted"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{Idempotency, Request, Response, RetryPolicy};
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::limit::{Limit, Per};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::description::{EndpointTemplate, IdentityRule, TokenEndpoint};
use connector_core::provider::{Description, Endpoint, GenericConnector, ProviderClient};
use connector_core::store::MemoryStore;
use connector_core::{
    Actor, App, AppKey, AppSource, ConnectionId, ConnectionKey, CorrelationId, Credential,
    CredentialKind, Error, ErrorKind, FixedApps, ProviderId, RequestContext, Result, TenantId,
};
use connector_hub::Hub;
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use futures_util::FutureExt;
use futures_util::future::join_all;

const ACME: ProviderId = ProviderId::from_static("acme");

fn token(number: u64) -> String {
    static MARK: LazyLock<String> = LazyLock::new(|| canary("access"));
    format!("{}-{number}", *MARK)
}

/// Accepts one access token at a time; a refresh brings the next.
#[derive(Debug, Default)]
struct Provider {
    good: AtomicU64,
    calls: AtomicU64,
    refreshes: AtomicU64,
}

#[derive(Debug)]
struct Network(Arc<Provider>);

#[async_trait]
impl HttpTransport for Network {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        // Others come in between, as they do on a network.
        tokio::task::yield_now().await;
        let request = outbound.request;
        let provider = &self.0;
        let good = provider.good.load(Ordering::SeqCst);
        let bearer = request.headers().get("authorization");
        let authorized = bearer.is_some_and(|it| it == format!("Bearer {}", token(good)).as_str());
        let (status, body) = match request.uri().path() {
            "/token" => {
                provider.refreshes.fetch_add(1, Ordering::SeqCst);
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
        let hub = Hub::builder()
            .store(MemoryStore::new(shared))
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

/// Registrations by tenant: a client id for each tenant that has one of its own, `client` for all
/// others. `None` as the client id of all others: no registration is shared.
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
    // One tenant spends the app's limit; whether the other one must wait then.
    let table = [
        (Some("client"), &[][..], true),
        (Some("client"), &[("t2", "other")][..], false),
        (None, &[("t1", "one"), ("t2", "two")][..], false),
        // A tenant that names another tenant's client id cannot spend its limit.
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

/// Needs a scope, and finds the provider busy.
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
