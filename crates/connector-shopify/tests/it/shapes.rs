//! Requests as a server receives them: calls of the API, and every kind of token request.

use std::sync::Arc;

use connector_core::api::{FixedToken, Session};
use connector_core::clock::{Clock as _, SystemClock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::oauth::{CodeExchange, CodeVerifier};
use connector_core::provider::{Connector as _, Context, Endpoint, ProviderClient as _};
use connector_core::{App, Credential, SystemRandom};
use connector_http::HttpClient;
use connector_shopify::endpoints::{AddTags, CreateRefund, GetShop, ListProducts, RefundInput};
use connector_shopify::models::{OrderId, ProductId};
use connector_shopify::{ShopDomain, Shopify, ShopifyClient, ShopifyConfig};
use mockito::Matcher;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::world::World;

/// A server that replaces a shop.
struct Wire {
    server: mockito::ServerGuard,
    shopify: Shopify,
    transport: Arc<HttpClient>,
    shop: ShopDomain,
}

impl Wire {
    async fn new() -> Self {
        let server = mockito::Server::new_async().await;
        let shop = ShopDomain::parse("demo-shop").unwrap();
        let config = ShopifyConfig::builder();
        let config = config.with_simulated_shop(shop.clone(), server.socket_address());
        let config = config.build().unwrap();
        let mut transport = HttpClient::builder();
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        Self {
            server,
            shopify: Shopify::new(config),
            transport: Arc::new(transport.build().unwrap()),
            shop,
        }
    }

    /// Sends an operation and checks its variables. The response does not matter.
    async fn send<E: Endpoint<Client = ShopifyClient>>(&mut self, operation: E, variables: Value) {
        let body = json!({ "variables": variables });
        let mock = self
            .server
            .mock("POST", "/admin/api/2026-10/graphql.json")
            .match_header("x-shopify-access-token", "a-token")
            .match_header("content-type", "application/json")
            .match_header("accept", "application/json")
            .match_header("authorization", Matcher::Missing)
            .match_body(Matcher::PartialJson(body))
            .with_body(r#"{"errors":[{"message":"no","extensions":{"code":"ACCESS_DENIED"}}]}"#)
            .expect(1)
            .create_async()
            .await;
        let origin = Origin::parse(&format!("https://{}", self.shop)).unwrap();
        let token = Arc::new(FixedToken::new(origin, "a-token"));
        let transport = Arc::<HttpClient>::clone(&self.transport);
        let session = Session::builder(&self.shopify, token, transport).build();
        let outcome = ShopifyClient::new(session).send(&operation).await;
        assert!(outcome.is_err(), "{}", E::NAME);
        mock.assert_async().await;
    }

    /// Expects a token request with exactly these fields.
    async fn expect(&mut self, fields: &[(&str, &str)]) -> mockito::Mock {
        let mut fields: Vec<(&str, &str)> = fields.to_vec();
        fields.extend([("client_id", "an-id"), ("client_secret", "a-secret")]);
        let count = fields.len();
        let wanted: Vec<(String, String)> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        self.server
            .mock("POST", "/admin/oauth/access_token")
            .match_header("authorization", Matcher::Missing)
            .match_header("accept", "application/json")
            .match_request(move |request| {
                let body = request.body().unwrap();
                let pairs: Vec<(String, String)> =
                    url::form_urlencoded::parse(body).into_owned().collect();
                pairs.len() == count && wanted.iter().all(|it| pairs.contains(it))
            })
            .with_body(r#"{"access_token":"new","scope":"read_products","expires_in":3600}"#)
            .expect(1)
            .create_async()
            .await
    }
}

#[tokio::test]
async fn calls_have_the_documented_form() {
    let mut wire = Wire::new().await;
    wire.send(GetShop::new(), json!({})).await;
    let list = ListProducts::new()
        .with_page_size(7)
        .matching("status:active");
    wire.send(list, json!({ "first": 7, "query": "status:active" }))
        .await;
    let id = ProductId::new(9_007_199_254_740_993);
    let tags = AddTags::new(id, ["tea"]);
    let gid = "gid://shopify/Product/9007199254740993";
    wire.send(tags, json!({ "id": gid, "tags": ["tea"] })).await;
    let refund = CreateRefund::new(RefundInput::new(OrderId::new(1)));
    let order = json!({ "input": { "orderId": "gid://shopify/Order/1" } });
    wire.send(refund, order).await;
    println!("calls with the documented form: 4");
}

#[tokio::test]
async fn token_requests_have_the_documented_fields() {
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    const OFFLINE: &str = "urn:shopify:params:oauth:token-type:offline-access-token";
    const ONLINE: &str = "urn:shopify:params:oauth:token-type:online-access-token";
    let world = World::new().await;
    let token = world.sim.session_token(&world.shop, 1).unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&token).to_owned();
    let app = world.sim.authority().app();
    let session = world
        .shopify
        .verify_session_token(&app, world.now(), &token);
    let session = session.unwrap();
    let mut wire = Wire::new().await;
    let app = App::new("an-id").with_client_secret("a-secret");
    let (transport, clock) = (Arc::clone(&wire.transport), SystemClock::new());
    let cx = Context::new(&app, &*transport, &clock);
    let (shop, now) = (wire.shop.clone(), clock.now());
    let hour = now.after(std::time::Duration::from_secs(3600));

    let mock = wire.expect(&[("code", "a-code"), ("expiring", "1")]).await;
    let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
    let code = SecretString::from("a-code");
    let exchange = CodeExchange::new(&code, &verifier).with_account_host(Some(shop.as_str()));
    wire.shopify.exchange_code(&cx, &exchange).await.unwrap();
    mock.assert_async().await;
    mock.remove_async().await;

    let exchanged = |kind| {
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", token.as_str()),
            ("subject_token_type", ID_TOKEN),
            ("requested_token_type", kind),
        ]
    };
    let mut offline = exchanged(OFFLINE);
    offline.push(("expiring", "1"));
    let old = |shop: &ShopDomain, at: Timestamp| {
        Shopify::non_expiring_credential(shop, "old", at).unwrap()
    };
    let refreshes: [(Credential, Vec<(&str, &str)>); 4] = [
        (Shopify::offline_credential(&session, now).unwrap(), offline),
        (
            Shopify::online_credential(&session, now).unwrap(),
            exchanged(ONLINE),
        ),
        (
            Shopify::client_credentials(&shop, now).unwrap(),
            vec![("grant_type", "client_credentials")],
        ),
        (
            Shopify::expiring_credential(&shop, "a", "a-refresh", now, hour).unwrap(),
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "a-refresh"),
            ],
        ),
    ];
    let count = refreshes.len();
    for (credential, fields) in refreshes {
        let mock = wire.expect(&fields).await;
        wire.shopify.refresh(&cx, &credential).await.unwrap();
        mock.assert_async().await;
        mock.remove_async().await;
    }
    let migrate = [
        ("grant_type", EXCHANGE),
        ("subject_token", "old"),
        ("subject_token_type", OFFLINE),
        ("requested_token_type", OFFLINE),
        ("expiring", "1"),
    ];
    let mock = wire.expect(&migrate).await;
    wire.shopify.migrate(&cx, &old(&shop, now)).await.unwrap();
    mock.assert_async().await;
    println!("token requests with the documented fields: {}", count + 2);
}
