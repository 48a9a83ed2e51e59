//! Webhook deliveries: their signature, both spellings of the headers, and their events.

use bytes::Bytes;
use connector_core::provider::webhook::{
    AccountHint, Event, Incoming, SignedField, WebhookEndpoint,
};
use connector_core::provider::{Connector, Context};
use connector_core::webhook::TypedEvent;
use connector_core::{App, AppKey, ErrorKind, Result};
use connector_shopify::sim::WebhookHeaders;
use connector_shopify::{
    CustomerDataRequest, OrdersCreate, OrdersPaid, ProductsDelete, ShopRedaction, ShopifyEvent,
};
use serde_json::json;

use crate::world::World;

async fn verify_with(world: &World, app: &App, request: &http::Request<Bytes>) -> Result<Event> {
    let key = AppKey::default();
    let endpoint = WebhookEndpoint::of_app(&key);
    let cx = Context::new(app, &*world.transport, &world.clock);
    match world
        .shopify
        .verify_webhook(&cx, &endpoint, request)
        .await?
    {
        Incoming::Accept { mut events, .. } => {
            assert_eq!(events.len(), 1);
            Ok(events.remove(0))
        }
        other => panic!("{other:?}"),
    }
}

async fn verify(world: &World, request: &http::Request<Bytes>) -> Result<Event> {
    verify_with(world, &world.app, request).await
}

fn delivery(world: &World, headers: WebhookHeaders) -> http::Request<Bytes> {
    let body = json!({ "id": 1, "title": "mânecă / & ü" });
    world
        .sim
        .webhook(&world.shop, "products/update", body.to_string(), headers)
        .unwrap()
}

/// Test vectors from Shopify's libraries, or computed with their keys.
#[tokio::test]
async fn published_signatures_fit() {
    const VECTORS: [(&str, &str, &str); 4] = [
        (
            "test_secret_key",
            r#"{"foo": "bar"}"#,
            "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=",
        ),
        (
            "testApiSecretKey",
            r#"{"foo": "bar"}"#,
            "PANl7JhOmE9k72wha4F9eRYMcExxfPqgVcyabvIDaeY=",
        ),
        (
            "test_secret_key",
            "{}",
            "XvcIOG8nFWDt7em908qMy3qjutRcuCIanacuUBx1sD8=",
        ),
        (
            "test_secret_key",
            r#"{"title":"mânecă"}"#,
            "LNGLFghEtQuKncodqNjpfSbe1AWBK3K9U1fi3/gCeOo=",
        ),
    ];
    let world = World::new().await;
    for (secret, body, signature) in VECTORS {
        let request = http::Request::post("/")
            .header("x-shopify-topic", "orders/create")
            .header("x-shopify-shop-domain", "demo-shop.myshopify.com")
            .header("X-Shopify-Hmac-Sha256", signature)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        let signed = App::new("app").with_client_secret(secret.to_owned());
        let event = verify_with(&world, &signed, &request).await.unwrap();
        assert_eq!(event.body, body);
        let rotated = App::new("app")
            .with_client_secret("newer".to_owned())
            .with_client_secret(secret.to_owned());
        verify_with(&world, &rotated, &request).await.unwrap();
        let other = App::new("app").with_client_secret("newer".to_owned());
        let error = verify_with(&world, &other, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    }
    println!("published webhook signatures: {}", VECTORS.len());
}

#[tokio::test]
async fn both_spellings_of_the_headers_are_read() {
    let world = World::new().await;
    let all = [
        WebhookHeaders::Prefixed,
        WebhookHeaders::Plain,
        WebhookHeaders::Both,
    ];
    for (number, headers) in (1..).zip(all) {
        let event = verify(&world, &delivery(&world, headers)).await.unwrap();
        assert_eq!(event.topic, "products/update");
        assert_eq!(
            event.account,
            Some(AccountHint::Host(world.shop.to_string()))
        );
        assert_eq!(event.delivery_id, Some(format!("delivery-{number}")));
        assert_eq!(event.event_id, Some(format!("event-{number}")));
        assert_eq!(event.triggered_at, Some(world.now()));
        for hint in [
            SignedField::Account,
            SignedField::Topic,
            SignedField::DeliveryId,
        ] {
            assert!(!event.is_signed(hint), "only the body is signed");
        }
    }
    let mut request = delivery(&world, WebhookHeaders::Both);
    request
        .headers_mut()
        .insert("x-shopify-topic", "shop/redact".parse().unwrap());
    let event = verify(&world, &request).await.unwrap();
    assert_eq!(event.topic, "products/update", "the newer spelling counts");
}

#[tokio::test]
async fn a_delivery_without_its_one_topic_or_shop_is_refused() {
    let world = World::new().await;
    let good = delivery(&world, WebhookHeaders::Prefixed);
    let mut bad: Vec<(&str, http::Request<Bytes>)> = Vec::new();
    let mut add = |why, change: &dyn Fn(&mut http::Request<Bytes>)| {
        let mut request = good.clone();
        change(&mut request);
        bad.push((why, request));
    };
    let set = |request: &mut http::Request<Bytes>, name: &'static str, value: &'static str| {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    };
    add("no topic", &|it| {
        it.headers_mut().remove("x-shopify-topic");
    });
    add("no shop", &|it| {
        it.headers_mut().remove("x-shopify-shop-domain");
    });
    for host in [
        "evil.example",
        "a.myshopify.com.evil.example",
        "a.myshopify.com@evil.example",
        "a",
    ] {
        add("a host that is no shop", &|it| {
            set(it, "x-shopify-shop-domain", host);
        });
    }
    add("a doubled topic", &|it| {
        it.headers_mut().append(
            "x-shopify-topic",
            http::HeaderValue::from_static("shop/redact"),
        );
    });
    for (why, request) in &bad {
        let error = verify(&world, request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{why}");
    }
    println!("broken deliveries refused: {}", bad.len());
}

/// The body is signed and the headers are not. If both contain a shop, it must be the same.
#[tokio::test]
async fn the_shop_of_a_delivery_is_read_from_its_body_too() {
    let world = World::new().await;
    let deliver = async |topic: &str, body: serde_json::Value, host: Option<&'static str>| {
        let headers = WebhookHeaders::Prefixed;
        let mut request = world
            .sim
            .webhook(&world.shop, topic, body.to_string(), headers)
            .unwrap();
        let map = request.headers_mut();
        match host {
            Some(host) => map.insert(
                "x-shopify-shop-domain",
                http::HeaderValue::from_static(host),
            ),
            None => map.remove("x-shopify-shop-domain"),
        };
        verify(&world, &request).await
    };
    let named = || json!({ "shop_id": 1, "shop_domain": "demo-shop.myshopify.com" });
    let mut accepted = 0;
    for topic in ["shop/redact", "customers/redact", "customers/data_request"] {
        let event = deliver(topic, named(), None).await.unwrap();
        let shop = AccountHint::Host("demo-shop.myshopify.com".to_owned());
        assert_eq!(event.account, Some(shop));
        assert!(event.is_signed(SignedField::Account));
        accepted += 1;
    }
    let mut refused = 0;
    for (body, host) in [
        (json!({ "id": 1 }), None),
        (named(), Some("other-shop.myshopify.com")),
        (json!({ "shop_domain": "evil.example" }), None),
        (
            json!({ "myshopify_domain": "other-shop.myshopify.com" }),
            Some("demo-shop.myshopify.com"),
        ),
    ] {
        let error = deliver("shop/redact", body, host).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused);
        refused += 1;
    }
    println!("shops of bodies: {accepted} accepted without the header, {refused} refused");
}

#[tokio::test]
async fn compliance_deliveries_are_read_without_optional_fields() {
    let world = World::new().await;
    // None of these deliveries needs a token: the app is not even installed.
    let customer = json!({ "id": 9_007_199_254_740_993_u64, "email": null });
    let bodies = [
        (
            "customers/data_request",
            json!({ "shop_id": 954_889, "shop_domain": "demo-shop.myshopify.com",
                "orders_requested": [1, 2], "customer": customer, "data_request": { "id": 9 } }),
        ),
        (
            "customers/redact",
            json!({ "shop_id": 954_889, "shop_domain": "demo-shop.myshopify.com",
                "customer": customer, "orders_to_redact": [3] }),
        ),
        (
            "shop/redact",
            json!({ "shop_id": 954_889, "shop_domain": "demo-shop.myshopify.com" }),
        ),
        ("app/uninstalled", json!({ "id": 1 })),
        ("app/scopes_update", json!({ "id": 1 })),
        ("shop/update", json!({ "id": 1 })),
        ("orders/create", json!({ "id": 1 })),
    ];
    let mut read = Vec::new();
    for (topic, body) in bodies {
        let request = world
            .sim
            .webhook(
                &world.shop,
                topic,
                body.to_string(),
                WebhookHeaders::default(),
            )
            .unwrap();
        let event = verify(&world, &request).await.unwrap();
        read.push(ShopifyEvent::of(&event).unwrap());
    }
    match &read[..] {
        [
            ShopifyEvent::CustomerDataRequested(request),
            ShopifyEvent::CustomerRedacted(redaction),
            ShopifyEvent::ShopRedacted(shop),
            ShopifyEvent::AppUninstalled,
            ShopifyEvent::ScopesUpdated,
            ShopifyEvent::ShopUpdated,
            ShopifyEvent::Other,
        ] => {
            assert_eq!(request.customer.id, 9_007_199_254_740_993);
            assert_eq!(request.customer.email, None);
            assert_eq!(request.orders_requested, [1, 2]);
            assert_eq!(redaction.orders_to_redact, [3]);
            assert_eq!(shop.shop_id.number(), 954_889);
        }
        other => panic!("{other:?}"),
    }
}

/// Returns a verified event of a signed delivery that requests the deletion of a customer's data.
async fn redaction(world: &World, body: &serde_json::Value) -> Event {
    let request = world
        .sim
        .webhook(
            &world.shop,
            "customers/redact",
            body.to_string(),
            WebhookHeaders::default(),
        )
        .unwrap();
    verify(world, &request).await.unwrap()
}

#[tokio::test]
async fn a_customer_is_shown_by_number_only() {
    let world = World::new().await;
    let body = json!({ "shop_id": 1, "shop_domain": "demo-shop.myshopify.com",
        "customer": { "id": 191_167, "email": "jo@shop.example", "phone": "555-0100" },
        "orders_to_redact": [] });
    let event = redaction(&world, &body).await;
    let event = ShopifyEvent::of(&event).unwrap();
    let ShopifyEvent::CustomerRedacted(redaction) = &event else {
        panic!("{event:?}");
    };
    assert_eq!(redaction.customer.email.as_deref(), Some("jo@shop.example"));
    assert_eq!(redaction.customer.phone.as_deref(), Some("555-0100"));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("ComplianceCustomer { id: 191167, .. }"),
        "{shown}"
    );
    assert!(!shown.contains("jo@") && !shown.contains("555"), "{shown}");
}

#[tokio::test]
async fn a_compliance_delivery_without_its_customer_is_an_error_that_quotes_nothing() {
    let world = World::new().await;
    let body = json!({ "shop_id": 1, "shop_domain": "demo-shop.myshopify.com",
        "customer": { "id": "tell-nobody" } });
    let event = redaction(&world, &body).await;
    let error = ShopifyEvent::of(&event).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert!(!error.report().contains("tell-nobody"));
}

/// Returns a signed delivery with a change in its signed part.
fn mutated(world: &World, number: u64) -> http::Request<Bytes> {
    let random = |salt: u64| {
        let seed = number.wrapping_mul(16).wrapping_add(salt).to_be_bytes();
        let drawn = ring::digest::digest(&ring::digest::SHA256, &seed);
        <[u8; 32]>::try_from(drawn.as_ref()).unwrap()
    };
    let drawn = random(0);
    let mut body = [random(1), random(2)].concat();
    body.truncate(1 + usize::from(drawn[0]) % 64);
    let all = [
        WebhookHeaders::Prefixed,
        WebhookHeaders::Plain,
        WebhookHeaders::Both,
    ];
    let headers = all[usize::from(drawn[1]) % 3];
    let signed = world
        .sim
        .webhook(&world.shop, "products/update", body.clone(), headers);
    let mut request = signed.unwrap();
    let names = ["x-shopify-hmac-sha256", "shopify-hmac-sha256"];
    let set = |request: &mut http::Request<Bytes>, change: &dyn Fn(&mut Vec<u8>)| {
        for name in names {
            if let Some(value) = request.headers().get(name) {
                let mut value = value.as_bytes().to_vec();
                change(&mut value);
                let value = http::HeaderValue::from_bytes(&value).unwrap();
                request.headers_mut().insert(name, value);
            }
        }
    };
    let at = usize::from(drawn[2]) % body.len();
    match drawn[3] % 7 {
        0 => body[at] ^= 1 << (drawn[4] % 8),
        1 => drop(body.remove(at)),
        2 => body.insert(at, drawn[5]),
        3 => body.push(drawn[5]),
        4 => set(&mut request, &|value| value.truncate(at % 44)),
        // Another character of the base64 alphabet.
        5 => set(&mut request, &|value| {
            let at = at % 43;
            value[at] = if value[at] == b'A' { b'B' } else { b'A' };
        }),
        _ => {
            let other =
                world
                    .sim
                    .webhook(&world.shop, "products/update", random(3).to_vec(), headers);
            let other = other.unwrap();
            for name in names {
                if let Some(value) = other.headers().get(name) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
        }
    }
    *request.body_mut() = body.into();
    request
}

#[tokio::test]
async fn mutated_deliveries_are_refused() {
    #[expect(clippy::disallowed_methods, reason = "selects the long mode")]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let deliveries = if is_full { 1_000_000 } else { 5_000 };
    let world = World::new().await;
    let (mut accepted, mut genuine) = (0, 0);
    for number in 0..deliveries {
        let request = mutated(&world, number);
        if verify(&world, &request).await.is_ok() {
            accepted += 1;
            println!("delivery {number} was accepted: {request:?}");
        }
        if number % 10 == 0 {
            let body = json!({ "id": number, "title": format!("{number} ü") }).to_string();
            let headers = WebhookHeaders::default();
            let genuine_one =
                world
                    .sim
                    .webhook(&world.shop, "products/update", body.clone(), headers);
            let event = verify(&world, &genuine_one.unwrap()).await.unwrap();
            assert_eq!(event.body, body);
            genuine += 1;
        }
    }
    println!(
        "Shopify: {deliveries} mutated deliveries, {accepted} accepted; {genuine} genuine ones \
         accepted"
    );
    assert_eq!(accepted, 0);
}

#[tokio::test]
async fn typed_events_match_their_topic_and_keep_unknown_fields() {
    let world = World::new().await;
    let event = async |topic: &str, body: serde_json::Value| {
        let (shop, headers) = (&world.shop, WebhookHeaders::default());
        let request = world.sim.webhook(shop, topic, body.to_string(), headers);
        verify(&world, &request.unwrap()).await.unwrap()
    };
    let id = 9_007_199_254_740_993_u64;
    let order = json!({ "id": id, "admin_graphql_api_id": "gid://shopify/Order/1",
        "email": "a-customer@example.com", "updated_at": "2026-11-30T12:00:00Z" });
    let created = event("orders/create", order).await;
    assert!(OrdersCreate::matches(&created) && !OrdersPaid::matches(&created));
    assert!(!ShopifyEvent::matches(&created));
    let order = OrdersCreate::decode(&created).unwrap().0;
    assert_eq!((order.id, order.fields.len()), (Some(id), 0));
    assert_eq!(order.email.as_deref(), Some("a-customer@example.com"));
    assert!(!format!("{order:?}").contains("a-customer"));
    let deleted = event("products/delete", json!({ "id": 7 })).await;
    assert_eq!(ProductsDelete::decode(&deleted).unwrap().0.id, Some(7));
    let body = json!({ "shop_id": 954_889, "shop_domain": "demo-shop.myshopify.com" });
    let redacted = event("shop/redact", body).await;
    assert!(ShopRedaction::matches(&redacted) && ShopifyEvent::matches(&redacted));
    assert!(ShopRedaction::decode(&redacted).is_ok());
    // A body of another topic.
    let mut moved = redacted;
    "customers/data_request".clone_into(&mut moved.topic);
    let refused = CustomerDataRequest::decode(&moved).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnexpectedResponse);
    let refused = OrdersCreate::decode(&event("orders/create", json!({ "id": "x" })).await);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
}
