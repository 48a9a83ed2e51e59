//! Deliveries of simulated providers: Shopify's to an app, Airtable's to a channel.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::header::COOKIE;
use ::http::{HeaderValue, Request, StatusCode};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use connector_airtable::{Airtable, AirtableConfig};
use connector_axum::{ApiKeys, RouterConfig, WebhookSecretHandler, router};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::GenericConnector;
use connector_core::provider::subscription::Watch;
use connector_core::store::MemoryStore;
use connector_core::{
    Actor, App, AppKey, CorrelationId, Error, ErrorKind, FixedApps, ProviderId, RequestContext,
    Result, TenantId,
};
use connector_hub::{Delivered, DeliveryHandler, Hub};
use connector_shopify::sim::{SimulatedShop, Simulator, WebhookHeaders};
use connector_shopify::{ShopDomain, Shopify, ShopifyConfig};
use connector_sim::Consent;
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::{drive, trace};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

use crate::rig::{ALL, Keys, SITE, acme, config, request, signing_key};

#[derive(Debug, Clone, Default)]
struct Handled(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        self.0.lock().unwrap().push(delivery.event().topic.clone());
        Ok(())
    }
}

struct World {
    clock: ManualClock,
    shopify: Simulator,
    shop: ShopDomain,
    airtable: connector_airtable::sim::Simulator,
    hub: Hub,
    keys: Keys,
    router: Router,
    handled: Handled,
}

impl World {
    async fn new() -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let shop = ShopDomain::parse("first.myshopify.com").unwrap();
        let uri = |provider: &str| format!("{SITE}/v1/callback/{provider}").parse().unwrap();
        let shopify = Simulator::builder(clock.clone())
            .with_mark(canary("shopify"))
            .with_redirect_uri(uri("shopify"))
            .with_shop(SimulatedShop::new(shop.clone()))
            .start()
            .await
            .unwrap();
        let airtable = connector_airtable::sim::Simulator::builder(clock.clone())
            .with_mark(canary("airtable"))
            .with_redirect_uri(uri("airtable"))
            .start()
            .await
            .unwrap();
        let handled = Handled::default();
        let hub = Hub::builder()
            .store(MemoryStore::new(Arc::new(clock.clone())))
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .clock(clock.clone())
            .connector(Shopify::new(
                ShopifyConfig::for_simulator(&shopify).unwrap(),
            ))
            .connector(Airtable::new(
                AirtableConfig::for_simulator(&airtable).unwrap(),
            ))
            .on_delivery(handled.clone())
            .with_webhook_base(Url::parse(&format!("{SITE}/v1/webhooks/")).unwrap())
            .build()
            .unwrap();
        let keys = Keys::default();
        let key = SecretString::from(canary("signing-key").repeat(2));
        let config = RouterConfig::new(Url::parse(SITE).unwrap(), key, "/");
        let router = router(&hub, keys.clone(), config).await.unwrap();
        Self {
            clock,
            shopify,
            shop,
            airtable,
            hub,
            keys,
            router: Router::new().nest("/connect", router),
            handled,
        }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String, ::http::HeaderMap) {
        let response = self.router.clone().oneshot(request);
        let (parts, body) = drive(&self.clock, Duration::from_millis(100), response)
            .await
            .unwrap()
            .into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            String::from_utf8(body.to_vec()).unwrap(),
            parts.headers,
        )
    }

    /// Sends a provider's delivery to the path of the router.
    async fn deliver(&self, path: &str, delivery: Request<Bytes>) -> (StatusCode, String) {
        let (mut parts, body) = delivery.into_parts();
        parts.uri = format!("/connect/v1/webhooks/{path}").parse().unwrap();
        let (status, text, _) = self
            .send(Request::from_parts(parts, Body::from(body)))
            .await;
        (status, text)
    }

    async fn work(&self) {
        for _ in 0..10 {
            self.clock.advance(Duration::from_secs(1));
            let step = Duration::from_millis(100);
            drive(&self.clock, step, self.hub.worker().tick())
                .await
                .unwrap();
        }
    }

    fn topics(&self) -> Vec<String> {
        self.handled.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_signed_delivery_is_accepted_once_and_a_forged_one_never() {
    let world = World::new().await;
    let ann = world.keys.add("t1", "ann", ALL);
    let mut begin = request(
        "POST",
        "/v1/connectors/shopify/connect",
        &ann,
        Body::from(format!("{{\"account\":\"{}\"}}", world.shop)),
    );
    let json = HeaderValue::from_static("application/json");
    begin.headers_mut().insert("content-type", json);
    let (_, text, headers) = world.send(begin).await;
    let started: Value = serde_json::from_str(&text).unwrap();
    let url = Url::parse(started["authorization_url"].as_str().unwrap()).unwrap();
    let callback = world.shopify.visit(&url).unwrap();
    let path = callback.as_str().strip_prefix(SITE).unwrap();
    let mut load = request("GET", path, &ann, Body::empty());
    let cookie = headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    load.headers_mut().insert(COOKIE, cookie.parse().unwrap());
    let (status, _, headers) = world.send(load).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(
        headers["location"]
            .to_str()
            .unwrap()
            .contains("connect=connected")
    );

    let sign = || {
        let headers = WebhookHeaders::default();
        world
            .shopify
            .webhook(&world.shop, "orders/create", "{\"id\":1}", headers)
            .unwrap()
    };
    let delivery = sign();
    for expected in [StatusCode::OK, StatusCode::OK] {
        assert_eq!(world.deliver("shopify", delivery.clone()).await.0, expected);
    }
    let mut refused = 0;
    let mut forged = Vec::new();
    let mut changed = sign();
    *changed.body_mut() = "{\"id\":2}".into();
    forged.push(changed);
    let mut unsigned = sign();
    unsigned.headers_mut().remove("x-shopify-hmac-sha256");
    forged.push(unsigned);
    forged.push(Request::post("/").body(Bytes::new()).unwrap());
    for forged in forged {
        let (status, text) = world.deliver("shopify", forged).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
        assert!(text.contains("webhook_refused"));
        refused += 1;
    }
    world.work().await;
    assert_eq!(world.topics(), ["orders/create"]);
    println!("deliveries refused: {refused}");
}

#[tokio::test]
async fn a_notification_is_accepted_at_the_channel_that_the_hub_registered() {
    let world = World::new().await;
    let base = world.airtable.add_base("Work").unwrap();
    let table = world.airtable.add_table(&base, "Tasks", &["Name"]).unwrap();
    let tenant = TenantId::new("t1").unwrap();
    let ann = Actor::User("ann".into());
    let authorize = world
        .hub
        .authorize(&tenant, Airtable::ID)
        .actor(ann.clone());
    let begun = authorize.begin().await.unwrap();
    let callback = world
        .airtable
        .authority()
        .visit(begun.url(), &Consent::Grant)
        .unwrap();
    let query = callback.query().unwrap();
    let finish = world
        .hub
        .callback(Airtable::ID, query, begun.binding().clone());
    let step = Duration::from_millis(100);
    let connected = drive(&world.clock, step, finish.actor(ann.clone()).into_future());
    let key = connected.await.unwrap().key().clone();
    let context = RequestContext::new(ann, CorrelationId::default());
    let watch = Watch::new(base.to_string()).unwrap();
    world.hub.subscribe(&key, watch, context).await.unwrap();
    world.work().await;
    let mut fields = connector_airtable::models::Fields::new();
    fields.insert("Name".to_owned(), "by a colleague".into());
    world.airtable.add_record(&base, &table, fields).unwrap();
    let pings = world.airtable.pings().unwrap();
    let mut accepted = 0;
    for ping in pings {
        let path = ping
            .url
            .strip_prefix(&format!("{SITE}/v1/webhooks/"))
            .unwrap();
        let (status, text) = world.deliver(path, ping.request.clone()).await;
        assert!(status.is_success(), "{text}");
        let (status, _) = world
            .deliver("airtable/unknown", ping.request.clone())
            .await;
        assert!(status.is_client_error(), "{status}");
        accepted += 1;
    }
    assert!(accepted > 0);
    world.work().await;
    assert_eq!(world.topics().len(), 1);
    println!("notifications accepted: {accepted}");
}

/// Stores the first secret, and refuses others.
#[derive(Clone, Default)]
struct FirstSecret(Arc<Mutex<Option<String>>>);

#[async_trait]
impl WebhookSecretHandler for FirstSecret {
    async fn store(&self, provider: &ProviderId, secret: SecretString) -> Result<()> {
        assert_eq!(provider.as_str(), "acme");
        let mut stored = self.0.lock().unwrap();
        if stored.is_some() {
            let message = "a secret is in use";
            return Err(Error::new(ErrorKind::WebhookRefused, "test", message));
        }
        *stored = Some(secret.expose_secret().to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn a_secret_in_a_handshake_reaches_the_handler_which_may_refuse_it() {
    trace::init();
    let mut description = acme();
    description.webhook = Some(
        serde_json::from_value(json!({
            "signatures": [{ "headers": ["x-acme-signature"], "encoding": "hex" }],
            "secret": "webhook",
            "handshakes": [{ "secret": { "pointer": "/verification_token" } }]
        }))
        .unwrap(),
    );
    let redirect = format!("{SITE}/v1/callback/acme").parse().unwrap();
    let app = App::new("client-1").with_redirect_uri(redirect);
    let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&canary_key()).unwrap())
        .clock(clock)
        .apps(FixedApps::new().with(description.provider.clone(), AppKey::default(), app))
        .connector(GenericConnector::new(description).unwrap())
        .build()
        .unwrap();
    let handler = FirstSecret::default();
    let with = config(signing_key()).with_webhook_secrets(handler.clone());
    let without = config(signing_key());
    let with = router(&hub, ApiKeys::new(), with).await.unwrap();
    let without = router(&hub, ApiKeys::new(), without).await.unwrap();
    let (first, second) = (canary("first"), canary("second"));
    let (mut stored, mut refused) = (0, 0);
    for (router, secret, status) in [
        (&without, &first, 500),
        (&with, &first, 200),
        (&with, &second, 401),
    ] {
        let body = Body::from(json!({ "verification_token": secret }).to_string());
        let request = Request::post("/v1/webhooks/acme").body(body).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains(secret.as_str()));
        if status == 200 {
            stored += 1;
        } else {
            refused += 1;
        }
    }
    assert_eq!(handler.0.lock().unwrap().as_ref(), Some(&first));
    println!("handshakes stored: {stored}, refused: {refused}");
}
