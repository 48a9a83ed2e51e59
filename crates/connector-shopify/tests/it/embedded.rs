//! Embedded apps and the other grants: session tokens, token exchange, online tokens, client
//! credentials, static tokens, app proxies and the `host` parameter.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock as _, Timestamp};
use connector_core::{Actor, App, Connection, Credential, ErrorKind, Result, Status};
use connector_hub::Migration;
use connector_shopify::endpoints::GetShop;
use connector_shopify::sim::{Fault, Route, WebhookHeaders};
use connector_shopify::{Entry, SessionToken, SessionTokens, Shopify, ShopifyConfig};
use http::{HeaderMap, Uri};
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use crate::rig::{Rig, context};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const USER: u64 = 902_541_635;

fn shopify() -> Shopify {
    Shopify::new(ShopifyConfig::builder().build().unwrap())
}

impl World {
    fn verified(&self, claims: &Value) -> Result<SessionToken> {
        let token = self.sim.sign_session(claims);
        let app = self.sim.authority().app();
        self.shopify
            .verify_session_token(&app, self.now(), token.expose_secret())
    }

    fn claims(&self) -> Value {
        let now = self.now().as_unix_seconds();
        json!({
            "iss": format!("https://{}/admin", self.shop), "dest": format!("https://{}", self.shop),
            "aud": self.sim.authority().app().client_id(), "sub": "7", "sid": "s", "jti": "j",
            "exp": now + 60, "nbf": now, "iat": now,
        })
    }
}

/// The token of the provider's fact sheet: its signature was computed independently.
#[test]
fn the_known_session_token_is_verified() {
    const PAYLOAD: &str = r#"{"iss":"https://test-shop.myshopify.com/admin","dest":"https://test-shop.myshopify.com","aud":"test_key","sub":"1","exp":1700000060,"nbf":1700000000,"iat":1700000000,"jti":"4321","sid":"abc123"}"#;
    let encode = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = encode(r#"{"alg":"HS256","typ":"JWT"}"#) + "." + &encode(PAYLOAD);
    let token = signed + ".BbScn8Uod8Q3Auhua-sJHY8gai8rabVdnkp7q8t4Cn4";
    let app = App::new("test_key").with_client_secret("test_secret_key");
    let now = Timestamp::from_unix_seconds(1_700_000_030);
    let session = shopify().verify_session_token(&app, now, &token).unwrap();
    assert_eq!(session.shop().as_str(), "test-shop.myshopify.com");
    assert_eq!(
        (session.user(), session.session()),
        (Some(1), Some("abc123"))
    );
    let mut refused = 0;
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        let error = shopify().verify_session_token(&app, now, &changed);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unauthorized, "{at}");
        refused += 1;
    }
    println!("session tokens with one bit changed refused: {refused}");
}

#[tokio::test]
async fn a_session_token_has_a_leeway_of_ten_seconds_and_one_shop() {
    let world = World::new().await;
    let now = world.now().as_unix_seconds();
    let with = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        world.verified(&claims)
    };
    let accepted = [
        with("exp", json!(now - 9)),
        with("nbf", json!(now + 10)),
        with("iat", json!(now + 10)),
        with("dest", json!(world.shop.as_str())),
        with("sub", json!("gid://shopify/Customer/1")),
    ];
    let refused = [
        with("exp", json!(now - 10)),
        with("exp", Value::Null),
        with("nbf", json!(now + 11)),
        with("iat", json!(now + 11)),
        with("aud", json!("another-app")),
        with("dest", json!("https://evil.example")),
        with("dest", json!("https://other-shop.myshopify.com")),
        with(
            "dest",
            json!("https://demo-shop.myshopify.com.evil.example"),
        ),
        with("dest", Value::Null),
        with("iss", json!("https://other-shop.myshopify.com/admin")),
        with(
            "iss",
            json!("https://demo-shop.myshopify.com.evil.example/admin"),
        ),
        with("iss", json!("https://demo-shop.myshopify.com")),
        with("iss", Value::Null),
    ];
    println!(
        "session tokens accepted: {}, refused: {}",
        accepted.len(),
        refused.len()
    );
    for session in accepted {
        assert_eq!(session.unwrap().shop(), &world.shop);
    }
    for session in refused {
        assert_eq!(session.unwrap_err().kind(), ErrorKind::Unauthorized);
    }
    // Tokens of checkout extensions are verified, but cannot be exchanged.
    let issuer = format!("https://{}/checkouts", world.shop);
    let session = with("iss", json!(issuer)).unwrap();
    assert!(!session.is_exchangeable());
    let error = Shopify::offline_credential(&session, world.now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn both_secrets_verify_during_a_rotation() {
    let world = World::new().await;
    let old = world.sim.authority().app();
    let claims = world.claims();
    let token = world.sim.sign_session(&claims);
    let proxied = world.sim.proxied(&world.shop, None, &[]).unwrap();
    let new = world.sim.authority().rotate_client_secret();
    let both = App::new(old.client_id())
        .with_client_secret(new.clone())
        .with_client_secret(old.client_secret().unwrap().clone());
    let only = App::new(old.client_id()).with_client_secret(new);
    let now = world.now();
    let token = token.expose_secret();
    world
        .shopify
        .verify_session_token(&both, now, token)
        .unwrap();
    world
        .shopify
        .verify_app_proxy(&both, now, &proxied)
        .unwrap();
    assert!(
        world
            .shopify
            .verify_session_token(&only, now, token)
            .is_err()
    );
    assert!(
        world
            .shopify
            .verify_app_proxy(&only, now, &proxied)
            .is_err()
    );
}

/// Vectors of Shopify's documentation and libraries.
#[test]
fn the_published_app_proxy_requests_are_verified() {
    const START: &str = "extra=1&extra=2&shop=shop-name.myshopify.com&path_prefix=%2Fapps%2Fawesome_reviews&timestamp=1317327555";
    let vectors = [
        (
            "",
            "a9718877bea71c2484f91608a7eaea1532bdf71f5c56825065fa4ccabe549ef3",
            None,
        ),
        (
            "&logged_in_customer_id=",
            "e072b6d7e6622d85912a5214b860d3100dc1e73d9bc29f43796ac8c9ff8093cb",
            None,
        ),
        (
            "&logged_in_customer_id=1",
            "4c68c8624d737112c91818c11017d24d334b524cb5c2b8ba08daa056f7395ddb",
            Some(1),
        ),
    ];
    let app = App::new("an-app").with_client_secret("hush");
    let verify = |seconds: i64, query: &str| {
        let now = Timestamp::from_unix_seconds(1_317_327_555 + seconds);
        shopify().verify_app_proxy(&app, now, query)
    };
    let mut refused = 0;
    for (more, signature, customer) in vectors {
        let query = format!("{START}{more}&signature={signature}");
        let request = verify(0, &query).unwrap();
        assert_eq!(request.shop.as_str(), "shop-name.myshopify.com");
        assert_eq!(
            request.path_prefix.as_deref(),
            Some("/apps/awesome_reviews")
        );
        assert_eq!(request.customer, customer);
        verify(90, &query).unwrap();
        for (seconds, query) in [
            (91, query.clone()),
            (-91, query.clone()),
            (0, query.replace("extra=2", "extra=3")),
            (0, format!("{query}&shop=shop-name.myshopify.com")),
            (0, format!("{query}&timestamp=1317327555")),
            (0, format!("{query}&signature={signature}")),
            (0, query.replace("signature=", "signatur=")),
        ] {
            let error = verify(seconds, &query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CallbackRefused, "{query}");
            refused += 1;
        }
    }
    println!(
        "app proxy requests: {} verified, {refused} refused",
        vectors.len()
    );
}

/// A customer chooses parameters whose signed text reads like that of another shop or customer.
#[tokio::test]
async fn a_customer_cannot_choose_the_shop_or_the_customer() {
    let world = World::new().await;
    let (app, now) = (world.sim.authority().app(), world.now());
    let at = now.as_unix_seconds();
    let verify = |query: &str| world.shopify.verify_app_proxy(&app, now, query);
    // Signed for the customer's parameter `a`; then read as other parameters.
    let forge = |value: &str, read: &str| {
        let query = world
            .sim
            .proxied(&world.shop, None, &[("a", value)])
            .unwrap();
        let (_, signature) = query.split_once("&signature=").unwrap();
        let forged = format!("{read}&signature={signature}");
        (query, forged)
    };
    let shop = &world.shop;
    let (own, forged) = forge(
        "1logged_in_customer_id=path_prefix=/pshop=evil.myshopify.comt=",
        &format!(
            "a=1&logged_in_customer_id=&path_prefix=/p&shop=evil.myshopify.com\
             &t=logged_in_customer_id=path_prefix=/apps/exampleshop={shop}&timestamp={at}"
        ),
    );
    assert!(verify(&forged).is_err() && verify(&own).is_err());
    let (own, forged) = forge(
        "1logged_in_customer_id=7m=",
        &format!(
            "a=1&logged_in_customer_id=7&m=logged_in_customer_id=&path_prefix=/apps/example\
             &shop={shop}&timestamp={at}"
        ),
    );
    assert!(verify(&forged).is_err() && verify(&own).is_err());
    // The forged text is the signed one, so that only the rule about names refuses it.
    let usual = world
        .sim
        .proxied(shop, Some(7), &[("a", "1"), ("b", "x y&z=ü")]);
    assert_eq!(verify(&usual.unwrap()).unwrap().customer, Some(7));
}

proptest! {
    #[test]
    fn only_hosts_of_shopify_pass_as_host(text in "(https://)?[a-z.-]{0,12}(admin\\.shopify\\.com|\\.myshopify\\.com)?(/[a-z/@:]{0,8})?") {
        let host = shopify().embedded_host(&BASE64_STANDARD.encode(&text));
        if let Ok(host) = host {
            let url = Url::parse(&format!("https://{host}/apps/x")).unwrap();
            let name = url.host_str().unwrap();
            prop_assert!(name == "admin.shopify.com" || name.ends_with(".myshopify.com"));
        }
    }
}

#[test]
fn the_host_parameter_is_a_host_of_shopify() {
    let host = |text: &str| shopify().embedded_host(&BASE64_STANDARD.encode(text)).ok();
    for good in [
        "admin.shopify.com/store/my-shop",
        "my-shop.myshopify.com/admin",
        "my-shop.myshopify.com",
    ] {
        assert_eq!(host(good).as_deref(), Some(good));
    }
    let unpadded = BASE64_STANDARD.encode("my-shop.myshopify.com/admin");
    let unpadded = unpadded.trim_end_matches('=');
    assert!(shopify().embedded_host(unpadded).is_ok());
    let bad = [
        "evil.example",
        "my-shop.myshopify.com.evil.example/admin",
        "evilmyshopify.com",
        "my-shop.myshopify.com@evil.example",
        "my-shop.myshopify.com:80/admin",
        "https://my-shop.myshopify.com",
        "admin.shopify.com/store/../../x",
        "my-shop.myshopify.com\\evil.example",
        "",
    ];
    for text in bad {
        assert_eq!(host(text), None, "{text}");
    }
    for text in ["not base64!", "bXk", "&&&&"] {
        assert!(shopify().embedded_host(text).is_err(), "{text}");
    }
    println!("host parameters refused: {}", bad.len() + 3);
}

#[tokio::test]
async fn a_request_without_a_session_is_answered_as_app_bridge_expects() {
    let world = World::new().await;
    let (app, now) = (world.sim.authority().app(), world.now());
    let base = Url::parse("https://app.example/").unwrap();
    let token = world.sim.session_token(&world.shop, USER).unwrap();
    let enter = |header: Option<&str>, target: &str| {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("authorization", header.parse().unwrap());
        }
        let target: Uri = target.parse().unwrap();
        world.shopify.enter(&app, now, &headers, &target, &base)
    };
    let bearer = format!("Bearer {}", token.expose_secret());
    let by_query = format!(
        "/page?id_token={}&shop={}",
        token.expose_secret(),
        world.shop
    );
    for entry in [enter(Some(&bearer), "/api"), enter(None, &by_query)] {
        let Entry::Session(session) = entry else {
            panic!("{entry:?}");
        };
        assert_eq!((session.shop(), session.user()), (&world.shop, Some(USER)));
    }
    let response = |entry: Entry| match entry {
        Entry::Respond(response) => response,
        other => panic!("{other:?}"),
    };
    // A request of a script.
    for header in ["Bearer x", "Basic x", ""] {
        let response = response(enter(Some(header), &by_query));
        assert_eq!(response.status(), 401);
        let retry = &response.headers()["x-shopify-retry-invalid-session-request"];
        assert_eq!(retry, "1");
    }
    // The load of a document: first a redirect, then the page that reloads the document.
    let target = format!("/page?q=a%20b&id_token=secret&shop={}&host=abc", world.shop);
    let redirect = response(enter(None, &target));
    assert_eq!(redirect.status(), 302);
    let location = redirect.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("/page?"), "{location}");
    assert!(!location.contains("secret"), "{location}");
    let to = base.join(location).unwrap();
    let reload = to
        .query_pairs()
        .find(|it| it.0 == "shopify-reload")
        .unwrap();
    let reload = Url::parse(&reload.1).unwrap();
    assert_eq!(reload.origin(), base.origin());
    assert_eq!(reload.path(), "/page");
    let page = response(enter(None, location));
    assert_eq!(page.status(), 200);
    let body = std::str::from_utf8(page.body()).unwrap();
    assert!(
        body.contains("app-bridge.js") && body.contains(app.client_id()),
        "{body}"
    );
    let frames = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(frames.contains(world.shop.as_str()), "{frames}");
}

impl Rig {
    fn session_token(&self, user: u64) -> SessionToken {
        let (app, now) = (self.sim.authority().app(), self.clock.now());
        let token = self.sim.session_token(&self.shop, user).unwrap();
        shopify()
            .verify_session_token(&app, now, token.expose_secret())
            .unwrap()
    }

    async fn adopt(&self, credential: Credential) -> Result<Connection> {
        let adopt = self.hub.adopt(&self.tenant, Shopify::ID, credential);
        let adopted = adopt.actor(Actor::User("ada".to_owned())).await?;
        Ok(adopted.into_connection())
    }

    async fn name(&self, connection: &Connection) -> Result<String> {
        let client = self.client(connection.key()).await;
        client.send(&GetShop::new()).await.map(|shop| shop.name)
    }
}

#[tokio::test]
async fn session_tokens_become_offline_and_online_connections() {
    let rig = Rig::new().await;
    rig.sim
        .install(&rig.shop, ["read_products", "write_orders"])
        .unwrap();
    let now = rig.clock.now();
    let offline = Shopify::offline_credential(&rig.session_token(USER), now).unwrap();
    let offline = rig.adopt(offline).await.unwrap();
    assert_eq!(
        offline.account.key.as_str(),
        "gid://shopify/Shop/60000000001"
    );

    // Each user's token is a connection of its own, beside the shop's.
    let mut keys = Vec::new();
    for user in [USER, USER + 1] {
        let online = Shopify::online_credential(&rig.session_token(user), now).unwrap();
        let online = rig.adopt(online).await.unwrap();
        let account = format!("gid://shopify/Shop/60000000001/User/{user}");
        assert_eq!(online.account.key.as_str(), account);
        assert_eq!(
            online.account.label.as_deref(),
            Some("Ada Example (demo-shop)")
        );
        assert_eq!(rig.name(&online).await.unwrap(), "demo-shop");
        keys.push(online);
    }
    assert_ne!(keys[0].key(), keys[1].key());
    assert_eq!(rig.name(&offline).await.unwrap(), "demo-shop");

    // Only the shop's own connection receives its webhooks.
    let body = r#"{"id":1,"shop_domain":"demo-shop.myshopify.com"}"#;
    let delivery = rig
        .sim
        .webhook(&rig.shop, "orders/create", body, WebhookHeaders::Plain);
    rig.hub
        .receive(&Shopify::ID, delivery.unwrap())
        .await
        .unwrap();
    rig.work().await;
    assert_eq!(rig.handled.0.lock().unwrap().len(), 1);

    // After an hour the offline token is refreshed; after a day the online tokens have ended.
    rig.clock.advance(DAY);
    assert_eq!(rig.name(&offline).await.unwrap(), "demo-shop");
    assert_eq!(
        rig.name(&keys[0]).await.unwrap_err().kind(),
        ErrorKind::NeedsReauthorization
    );
    // The user's next visit connects the same connection again.
    let now = rig.clock.now();
    let again = Shopify::online_credential(&rig.session_token(USER), now).unwrap();
    let again = rig.adopt(again).await.unwrap();
    assert_eq!(again.key(), keys[0].key());
    assert_eq!(rig.name(&again).await.unwrap(), "demo-shop");
}

#[tokio::test]
async fn an_expired_session_token_connects_nothing() {
    let rig = Rig::new().await;
    let session = rig.session_token(USER);
    rig.clock.advance(Duration::from_secs(120));
    let credential = Shopify::offline_credential(&session, rig.clock.now()).unwrap();
    let error = rig.adopt(credential).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test]
async fn client_credentials_are_requested_again_and_static_tokens_never() {
    let rig = Rig::new().await;
    let credential = Shopify::client_credentials(&rig.shop, rig.clock.now()).unwrap();
    let own = rig.adopt(credential).await.unwrap();
    assert_eq!(rig.name(&own).await.unwrap(), "demo-shop");
    for _ in 0..3 {
        rig.clock.advance(DAY);
        assert_eq!(rig.name(&own).await.unwrap(), "demo-shop");
    }
    assert_eq!(rig.sim.count(Route::Token), 4);
    let migration = rig.hub.migrate(own.key(), context()).dry_run();
    assert!(matches!(migration.await.unwrap(), Migration::NotNeeded));

    let rig = Rig::new().await;
    let token = rig
        .sim
        .install_without_expiry(&rig.shop, &["read_products"]);
    let now = rig.clock.now();
    let credential = Shopify::custom_app_credential(&rig.shop, token.unwrap(), now).unwrap();
    let own = rig.adopt(credential).await.unwrap();
    rig.clock.advance(400 * DAY);
    rig.work().await;
    assert_eq!(rig.name(&own).await.unwrap(), "demo-shop");
    let migration = rig.hub.migrate(own.key(), context());
    assert!(matches!(migration.await.unwrap(), Migration::NotNeeded));
    assert_eq!(rig.sim.count(Route::Token), 0);
}

/// A 520 in the middle of a refresh, then 401: the shop of an embedded app is not lost.
#[tokio::test]
async fn a_refused_refresh_falls_back_to_the_newest_session_token() {
    const DEAD: &str = r#"{"error":"invalid_request","error_description":"This request requires an active refresh_token"}"#;
    for (is_embedded, is_present) in [(true, true), (true, false), (false, true)] {
        let tokens = SessionTokens::new();
        let rig = Rig::with(
            |sim| sim,
            |config| {
                if is_embedded {
                    config.with_session_tokens(tokens.clone())
                } else {
                    config
                }
            },
        )
        .await;
        let key = rig.connect().await;
        rig.clock.advance(2 * HOUR);
        if is_present {
            tokens.remember(&rig.session_token(USER), rig.clock.now());
        }
        rig.sim.fault(Route::Token, Fault::answer(520, "<html>"));
        rig.sim.fault(Route::Token, Fault::answer(401, DEAD));
        let mut outcome = rig.drive(rig.token(&key)).await;
        // The hub repeats a refresh with an unknown outcome after a pause.
        for _ in 0..40 {
            match &outcome {
                Err(error) if !error.needs_reauthorization() => {}
                _ => break,
            }
            rig.clock.advance(Duration::from_secs(1));
            // Each request of the embedded app has a new session token.
            if is_present {
                tokens.remember(&rig.session_token(USER), rig.clock.now());
            }
            outcome = rig.drive(rig.token(&key)).await;
        }
        let status = rig.connection(&key).await.status;
        if is_embedded && is_present {
            outcome.unwrap();
            assert_eq!(status, Status::Connected);
            rig.client(&key).await.send(&GetShop::new()).await.unwrap();
        } else {
            assert!(outcome.unwrap_err().needs_reauthorization());
            assert!(
                matches!(status, Status::NeedsReauthorization(_)),
                "{status:?}"
            );
        }
    }
}

/// Compliance deliveries arrive when no token works any more.
#[tokio::test]
async fn compliance_deliveries_need_neither_a_token_nor_a_connection() {
    const TOPICS: [&str; 3] = ["customers/data_request", "customers/redact", "shop/redact"];
    let body = |shop: &str| {
        json!({
            "shop_id": 60_000_000_001_u64, "shop_domain": shop,
            "customer": { "id": 1, "email": null }, "orders_requested": [1],
            "orders_to_redact": [2], "data_request": { "id": 3 },
        })
    };
    let rig = Rig::new().await;
    let key = rig.connect().await;
    rig.sim.uninstall(&rig.shop).unwrap();
    let mut expected = 0;
    for is_disconnected in [false, true] {
        if is_disconnected {
            let disconnect = rig.hub.disconnect(&key, context());
            disconnect.without_revocation().await.unwrap();
        }
        let before = rig.sim.count(Route::Token);
        for topic in TOPICS {
            let body = Bytes::from(body(rig.shop.as_str()).to_string());
            let delivery = rig
                .sim
                .webhook(&rig.shop, topic, body, WebhookHeaders::Both);
            let receipt = rig
                .hub
                .receive(&Shopify::ID, delivery.unwrap())
                .await
                .unwrap();
            assert_eq!(receipt.response().status(), 200, "{topic}");
            expected += 1;
        }
        assert_eq!(
            rig.sim.count(Route::Token),
            before,
            "receiving needs no token"
        );
        rig.work().await;
        assert_eq!(rig.handled.0.lock().unwrap().len(), expected);
    }
    println!("compliance deliveries handled without a token: {expected}");
}
