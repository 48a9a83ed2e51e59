//! Subscriptions with a hub: webhooks are created, compared, repaired and deleted, and changes are
//! read once. Also typed payloads, and captured deliveries.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use connector_core::provider::subscription::Watch;
use connector_core::webhook::{Event, TypedEvent};
use connector_core::{AppKey, ConnectionKey, ErrorKind};
use connector_shopify::endpoints::GetShop;
use connector_shopify::sim::{SimulatedShop, WebhookHeaders};
use connector_shopify::*;
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use crate::rig::{Rig, context};

const HOUR: Duration = Duration::from_secs(3600);

impl Rig {
    async fn watch(&self, key: &ConnectionKey, topic: &str) {
        let watch = Watch::new(topic).unwrap();
        self.hub.subscribe(key, watch, context()).await.unwrap();
        self.work().await;
    }

    /// The application's endpoint for subscriptions: the last segment of the URL is the channel.
    async fn receive(&self, request: Request<Bytes>, uri: &str) -> Result<u16, ErrorKind> {
        let channel = uri.rsplit('/').next().unwrap().to_owned();
        let received = self.hub.receive(&Shopify::ID, request).channel(channel);
        let receipt = received.await.map_err(|error| error.kind())?;
        Ok(receipt.response().status().as_u16())
    }

    fn topics(&self) -> Vec<String> {
        let subscriptions = self.sim.subscriptions(&self.shop).unwrap();
        subscriptions.into_iter().map(|it| it.0).collect()
    }

    fn handled(&self) -> Vec<(String, Value)> {
        let events = self.handled.0.lock().unwrap();
        let read = |it: &Event| (it.topic.clone(), serde_json::from_slice(&it.body).unwrap());
        events.iter().map(read).collect()
    }
}

#[tokio::test]
async fn subscriptions_are_created_repaired_and_deleted() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    rig.watch(&key, "products/update").await;
    rig.watch(&key, "inventory_levels/update").await;
    assert_eq!(rig.topics(), ["PRODUCTS_UPDATE", "INVENTORY_LEVELS_UPDATE"]);
    // Shopify deletes subscriptions after eight failures. The comparison creates them again.
    rig.sim.drop_subscriptions(&rig.shop).unwrap();
    rig.clock.advance(HOUR);
    rig.work().await;
    rig.work().await;
    let repaired: BTreeSet<String> = rig.topics().into_iter().collect();
    assert_eq!(repaired.len(), 2, "{repaired:?}");
    for wrong in [
        "ORDERS_UPDATED",
        "orders",
        "customers/redact",
        "orders/Updated",
        "a/b/c",
    ] {
        let watch = Watch::new(wrong).unwrap();
        let error = rig.hub.subscribe(&key, watch, context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
    rig.hub.disconnect(&key, context()).await.unwrap();
    rig.work().await;
    assert!(rig.topics().is_empty(), "they end with the connection");
}

#[tokio::test]
async fn changes_are_read_after_a_delivery_and_after_a_gap() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    rig.watch(&key, "products/update").await;
    let (_, uri) = rig.sim.subscriptions(&rig.shop).unwrap().remove(0);
    rig.clock.advance(Duration::from_secs(60));
    let changed = rig.sim.touch(&rig.shop, "Product", 3).unwrap();
    // The delivery arrives twice, and names another product than the ones that have changed.
    let delivery = rig.sim.webhook(
        &rig.shop,
        "products/update",
        r#"{"id":1}"#,
        WebhookHeaders::Plain,
    );
    let delivery = delivery.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.receive(delivery.clone(), &uri).await, Ok(200));
    }
    rig.work().await;
    let ids = |handled: &[(String, Value)]| -> BTreeSet<String> {
        let id = |it: &(String, Value)| it.1["admin_graphql_api_id"].as_str().unwrap().to_owned();
        handled.iter().map(id).collect()
    };
    let handled = rig.handled();
    assert_eq!(
        (handled.len(), ids(&handled)),
        (3, changed.into_iter().collect())
    );
    assert!(handled.iter().all(|it| it.0 == "products/update"));
    // All deliveries of an hour are lost: more changes than fit on a page are read.
    rig.clock.advance(Duration::from_secs(600));
    let missed = rig.sim.touch(&rig.shop, "Product", 55).unwrap();
    rig.clock.advance(HOUR);
    rig.work().await;
    rig.work().await;
    let handled = rig.handled();
    assert_eq!(ids(&handled[3..]), missed.into_iter().collect());
    let events = rig.handled.0.lock().unwrap();
    let ids: BTreeSet<_> = events.iter().map(|it| it.event_id.clone()).collect();
    assert_eq!(ids.len(), events.len(), "each change once");
    println!("changes handled: {}", events.len());
}

/// The topic and the shop of a delivery are not signed.
#[tokio::test]
async fn a_captured_body_under_another_topic_or_shop_changes_nothing() {
    let other = ShopDomain::parse("other-shop").unwrap();
    let demo = ShopDomain::parse("demo-shop").unwrap();
    let rig = Rig::with(
        |sim| {
            sim.with_shop(SimulatedShop::new(demo))
                .with_shop(SimulatedShop::new(other.clone()))
        },
        |config| config,
    )
    .await;
    let key = rig.connect().await;
    rig.watch(&key, "products/update").await;
    let (_, uri) = rig.sim.subscriptions(&rig.shop).unwrap().remove(0);
    let captured = |topic: &str, shop: &ShopDomain, header: Option<(&'static str, &str)>| {
        let body = r#"{"id":9,"title":"captured"}"#;
        let mut request = rig
            .sim
            .webhook(shop, topic, body, WebhookHeaders::Prefixed)
            .unwrap();
        if let Some((name, value)) = header {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(name, value);
        }
        request
    };
    let shop_header = "x-shopify-shop-domain";
    let replays = [
        captured(
            "products/update",
            &rig.shop,
            Some(("x-shopify-topic", "products/delete")),
        ),
        captured(
            "products/update",
            &rig.shop,
            Some(("x-shopify-topic", "app/uninstalled")),
        ),
        captured(
            "products/update",
            &rig.shop,
            Some(("x-shopify-webhook-id", "another-id")),
        ),
        captured(
            "products/update",
            &other,
            Some((shop_header, rig.shop.as_str())),
        ),
        captured(
            "app/uninstalled",
            &other,
            Some((shop_header, rig.shop.as_str())),
        ),
    ];
    let count = replays.len();
    for replay in replays {
        assert_eq!(rig.receive(replay, &uri).await, Ok(200));
        rig.work().await;
    }
    assert!(rig.handled().is_empty(), "nothing has changed in the shop");
    assert_eq!(
        rig.connection(&key).await.status,
        connector_core::Status::Connected
    );

    // Forged and oversized deliveries are refused.
    let mut forged = captured("products/update", &rig.shop, None);
    *forged.body_mut() = Bytes::from_static(br#"{"id":10}"#);
    assert_eq!(
        rig.receive(forged, &uri).await,
        Err(ErrorKind::WebhookRefused)
    );
    let long = format!(r#"{{"id":1,"x":"{}"}}"#, "y".repeat(2 << 20));
    let long = rig
        .sim
        .webhook(&rig.shop, "products/update", long, WebhookHeaders::Plain);
    assert_eq!(
        rig.receive(long.unwrap(), &uri).await,
        Err(ErrorKind::InvalidInput)
    );
    println!("captured deliveries without effect: {count}, refused: 2");
}

/// The shop's host changes; its id does not.
#[tokio::test]
async fn a_shop_whose_domain_changes_keeps_its_connection() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let renamed = ShopDomain::parse("renamed-shop").unwrap();
    let before = rig.connection(&key).await;
    rig.sim.rename_in_place(&rig.shop, &renamed).unwrap();
    rig.clock.advance(2 * HOUR);
    rig.work().await;
    let after = rig.connection(&key).await;
    assert_eq!(after.account.key, before.account.key);
    assert_eq!(after.key(), before.key());
    assert_eq!(after.status, connector_core::Status::Connected);
    let metadata = after.metadata.get::<String>("domain");
    assert_eq!(metadata.as_deref(), Some(renamed.as_str()));
    rig.client(&key).await.send(&GetShop::new()).await.unwrap();
    // When the owner connects the shop again, the id finds the same connection.
    assert_eq!(rig.connect().await, key);
}

fn event(topic: &str, body: &Value) -> Event {
    let body = Bytes::from(body.to_string());
    Event::new(Shopify::ID, AppKey::default(), topic, body)
}

/// Decodes the body of a topic with its type, if `T` is the type.
fn decode<T: TypedEvent>(event: &Event) -> Option<connector_core::Result<()>> {
    T::TOPICS
        .contains(&event.topic.as_str())
        .then(|| T::decode(event).map(drop))
}

#[test]
fn every_typed_topic_keeps_unknown_fields_and_needs_none() {
    macro_rules! all {
        ($event:expr; $($type:ty),* $(,)?) => {{
            let event = $event;
            [$(decode::<$type>(event)),*].into_iter().flatten().collect::<Vec<_>>()
        }};
    }
    let bodies = [
        json!({ "id": 9_007_199_254_740_993_u64, "admin_graphql_api_id": "gid://shopify/X/1",
                "updated_at": "2026-11-20T12:00:00Z", "later": [{ "a": null }] }),
        json!({}),
        json!({ "id": 1, "email": null, "line_items": [{ "id": 2, "sku": null, "later": 1 }] }),
    ];
    let mut topics = 0;
    let compliance = ["customers/data_request", "customers/redact", "shop/redact"];
    for topic in WEBHOOK_TOPICS {
        for body in &bodies {
            let event = event(topic, body);
            let decoded = all!(&event; ShopifyEvent, AppScopesUpdate, AppSubscriptionsUpdate,
                BulkOperationsFinish, CollectionsCreate, CollectionsDelete, CollectionsUpdate,
                CustomersCreate, CustomersDelete, CustomersUpdate, DraftOrdersCreate,
                DraftOrdersDelete, DraftOrdersUpdate, FulfillmentsCreate, FulfillmentsUpdate,
                InventoryItemsCreate, InventoryItemsDelete, InventoryItemsUpdate,
                InventoryLevelsConnect, InventoryLevelsDisconnect, InventoryLevelsUpdate,
                LocationsCreate, LocationsDelete, LocationsUpdate, OrdersCancelled, OrdersCreate,
                OrdersDelete, OrdersFulfilled, OrdersPaid, OrdersPartiallyFulfilled, OrdersUpdated,
                ProductsCreate, ProductsDelete, ProductsUpdate, RefundsCreate);
            assert!(!decoded.is_empty(), "{topic} has no type");
            for outcome in decoded {
                assert!(
                    outcome.is_ok() || compliance.contains(topic),
                    "{topic} {body}"
                );
            }
        }
        topics += 1;
    }
    println!("typed topics: {topics}");
    assert!(topics >= 25);
    let order = json!({
        "id": 1, "name": "#1001", "total_price": "19.90", "currency": "EUR",
        "line_items": [{ "id": 2, "quantity": 3, "variant_id": 4, "grams": 5 }], "note": "private",
    });
    let OrdersCreate(order) = OrdersCreate::decode(&event("orders/create", &order)).unwrap();
    let line = &order.line_items.as_ref().unwrap()[0];
    assert_eq!(
        (line.quantity, line.fields["grams"].as_i64()),
        (Some(3), Some(5))
    );
    assert_eq!(order.fields["note"], "private");
    assert!(!format!("{order:?}").contains("private"));
}
