//! The operations, with session, transport and simulator.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use connector_core::api::{Idempotency, PageCursor, Request, Response};
use connector_core::clock::Timestamp;
use connector_core::provider::Endpoint;
use connector_core::{ErrorKind, Retry};
use connector_shopify::endpoints::{
    AppUninstall, CreateWebhookSubscription, DeleteWebhookSubscription, GetCurrentAppInstallation,
    GetProduct, GetProductVariant, GetShop, ListProductVariants, ListProducts,
    ListWebhookSubscriptions, ProductSort, WebhookInput,
};
use connector_shopify::models::{
    Product, ProductId, ProductStatus, ProductVariantId, WebhookFormat, WebhookSubscriptionId,
};
use connector_shopify::sim::{Fault, Route};
use connector_shopify::{GraphqlErrors, PathSegment, Shopify, ShopifyClient, UserErrors};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::World;

async fn connected() -> (World, ShopifyClient) {
    let world = World::new().await;
    let credential = world.connect().await;
    let client = world.client(&credential);
    (world, client)
}

#[tokio::test]
async fn the_shop_is_read() {
    let (world, client) = connected().await;
    let shop = client.send(&GetShop::new()).await.unwrap();
    assert_eq!(shop.myshopify_domain, world.shop.as_str());
    assert_eq!(shop.currency_code, "EUR");
    assert_eq!(shop.primary_host, "demo-shop.example");
    assert_eq!(shop.plan.public_display_name, "Basic");
    assert_eq!(shop.resource_limits.max_product_variants, 2048);
    assert_eq!(shop.updated_at, world.now());
}

#[test]
fn data_that_does_not_fit_hides_no_error() {
    const REFUSED: &str = r#"[{"message":"no","extensions":{"code":"ACCESS_DENIED"}}]"#;
    const DATA: [&str; 4] = [
        r#"{"shop":null}"#,
        r#"{"shop":{"id":[]}}"#,
        r#"{"shop":{"id":"gid://shopify/Shop/x"}}"#,
        "7",
    ];
    let kind = |body: String| {
        let answer = http::Response::new(Bytes::from(body));
        let at = Timestamp::UNIX_EPOCH;
        let mut response = Response::new(Shopify::ID, GetShop::NAME, at, answer);
        GetShop::new().decode(&mut response).unwrap_err().kind()
    };
    for data in DATA {
        let refused = kind(format!(r#"{{"data":{data},"errors":{REFUSED}}}"#));
        assert_eq!(refused, ErrorKind::Forbidden, "{data}");
        let misfit = kind(format!(r#"{{"data":{data}}}"#));
        assert_eq!(misfit, ErrorKind::UnexpectedResponse, "{data}");
    }
    println!("data that does not fit: {}", DATA.len());
}

#[tokio::test]
async fn products_are_paged_to_the_last() {
    let (_world, client) = connected().await;
    for size in [1, 7, 60, 250] {
        let list = ListProducts::new().with_page_size(size);
        let products: Vec<Product> = client.pages(list).items().try_collect().await.unwrap();
        let ids: BTreeSet<ProductId> = products.iter().map(|it| it.id).collect();
        assert_eq!((products.len(), ids.len()), (60, 60), "{size}");
        assert!(ids.first().unwrap().number() > 1 << 53);
    }
}

#[tokio::test]
async fn a_listing_continues_from_a_stored_cursor() {
    let (_world, client) = connected().await;
    let list = ListProducts::new()
        .with_page_size(25)
        .sorted_by(ProductSort::Title);
    let first = client.send(&list).await.unwrap();
    let kept = serde_json::to_string(&first.next.unwrap()).unwrap();
    let cursor: PageCursor = serde_json::from_str(&kept).unwrap();
    let rest: Vec<Product> = client
        .pages(list.after(cursor))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!((first.items.len(), rest.len()), (25, 35));
    assert!(first.items.last().unwrap().title <= rest[0].title);
}

#[tokio::test]
async fn lists_are_narrowed_and_turned_around() {
    let (world, client) = connected().await;
    let drafts = client
        .send(&ListProducts::new().matching("status:draft"))
        .await
        .unwrap();
    assert_eq!(drafts.items.len(), 6);
    assert!(
        drafts
            .items
            .iter()
            .all(|it| it.status == ProductStatus::Draft)
    );
    let since = world.now().before(std::time::Duration::from_secs(60 * 9));
    let newest = ListProducts::new()
        .updated_since(since)
        .sorted_by(ProductSort::UpdatedAt)
        .reversed();
    let newest = client.send(&newest).await.unwrap().items;
    assert_eq!(newest.len(), 10);
    assert!(newest.is_sorted_by(|a, b| a.updated_at >= b.updated_at));
    let product = newest[0].id;
    let variants = ListProductVariants::new().of_product(product);
    let variants = client.send(&variants).await.unwrap().items;
    assert_eq!(variants.len(), 2);
    assert!(variants.iter().all(|it| it.product_id == product));
}

#[tokio::test]
async fn one_product_and_one_variant_are_read_or_not_there() {
    let (_world, client) = connected().await;
    let variants = ListProductVariants::new().with_page_size(1);
    let variant = client.send(&variants).await.unwrap().items.remove(0);
    let same = client
        .send(&GetProductVariant::new(variant.id))
        .await
        .unwrap();
    assert_eq!(same, variant);
    assert_eq!(variant.price.as_str(), "10.90");
    let product = client
        .send(&GetProduct::new(variant.product_id))
        .await
        .unwrap();
    assert_eq!(product.vendor, "Example Potteries");
    for error in [
        client
            .send(&GetProduct::new(ProductId::new(1)))
            .await
            .unwrap_err(),
        client
            .send(&GetProductVariant::new(ProductVariantId::new(1)))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ProviderNotFound);
        assert!(
            error
                .request_id()
                .is_some_and(|id| id.starts_with("simulated-"))
        );
    }
}

#[tokio::test]
async fn subscriptions_are_created_listed_and_deleted() {
    let (_world, client) = connected().await;
    let input = WebhookInput::new("https://app.example/hooks")
        .with_name("products")
        .with_fields(["id", "updated_at"]);
    let create = CreateWebhookSubscription::new("PRODUCTS_UPDATE", input);
    let created = client.send(&create).await.unwrap();
    assert_eq!(created.topic, "PRODUCTS_UPDATE");
    assert_eq!(created.format, WebhookFormat::Json);
    assert_eq!(created.include_fields, ["id", "updated_at"]);
    assert_eq!(created.name.as_deref(), Some("products"));

    let error = client.send(&create).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Rejected, Retry::Never)
    );
    let source = error
        .source()
        .unwrap()
        .downcast_ref::<UserErrors>()
        .unwrap();
    assert_eq!(source.errors().len(), 1);
    assert_eq!(
        source.errors()[0].field.as_deref(),
        Some(&["webhookSubscription".to_owned(), "uri".to_owned()][..])
    );
    assert!(
        !error.report().contains("already been taken"),
        "Shopify's words are data"
    );

    let other = ListWebhookSubscriptions::new().of_topics(["SHOP_UPDATE"]);
    assert!(client.send(&other).await.unwrap().items.is_empty());
    let all = client.send(&ListWebhookSubscriptions::new()).await.unwrap();
    assert_eq!(all.items, std::slice::from_ref(&created));
    client
        .send(&DeleteWebhookSubscription::new(created.id))
        .await
        .unwrap();
    let gone = DeleteWebhookSubscription::new(created.id);
    assert_eq!(
        client.send(&gone).await.unwrap_err().kind(),
        ErrorKind::Rejected
    );
    assert!(
        client
            .send(&ListWebhookSubscriptions::new())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn arguments_that_cannot_be_right_are_refused_before_anything_is_sent() {
    let (world, client) = connected().await;
    let before = world.sim.count(Route::Graphql);
    for size in [0, 251, u32::MAX] {
        let error = client
            .send(&ListProducts::new().with_page_size(size))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{size}");
    }
    for topic in ["", "products/update", "PRODUCTS UPDATE"] {
        let create = CreateWebhookSubscription::new(topic, "https://app.example/");
        assert_eq!(
            client.send(&create).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    let input = WebhookInput::new("https://app.example/").with_name("x".repeat(51));
    let named = CreateWebhookSubscription::new("SHOP_UPDATE", input);
    assert_eq!(
        client.send(&named).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(world.sim.count(Route::Graphql), before);
}

#[tokio::test]
async fn the_granted_scopes_are_read_and_a_missing_one_is_reported() {
    let world = World::new().await;
    let token = world
        .sim
        .install_without_expiry(&world.shop, &["read_orders"])
        .unwrap();
    let credential =
        connector_shopify::Shopify::non_expiring_credential(&world.shop, token, world.now())
            .unwrap();
    let client = world.client(&credential);
    let installation = client
        .send(&GetCurrentAppInstallation::new())
        .await
        .unwrap();
    assert_eq!(installation.access_scopes, ["read_orders"]);
    let error = client.send(&ListProducts::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    let source = error
        .source()
        .unwrap()
        .downcast_ref::<GraphqlErrors>()
        .unwrap();
    assert_eq!(source.errors()[0].code(), Some("ACCESS_DENIED"));

    world.sim.accept_non_expiring_tokens(false);
    let error = client.send(&GetShop::new()).await.unwrap_err();
    assert!(error.needs_reauthorization());
    assert!(error.message().contains("Hub::migrate"));
}

#[tokio::test]
async fn uninstalling_ends_the_token() {
    let (world, client) = connected().await;
    client.send(&AppUninstall::new()).await.unwrap();
    assert!(!world.sim.is_installed(&world.shop).unwrap());
    let error = client.send(&GetShop::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_document_of_ones_own_keeps_the_data_beside_the_errors() {
    let world = World::new().await;
    let token = world.sim.install_without_expiry(&world.shop, &[]).unwrap();
    let credential =
        connector_shopify::Shopify::non_expiring_credential(&world.shop, token, world.now())
            .unwrap();
    let client = world.client(&credential);
    let document = "query Mine($n: Int!) {
        mine: shop { ...Names } products(first: $n) { nodes { id } }
    } fragment Names on Shop { name }";
    let answer = client
        .graphql::<Value>(document, &json!({ "n": 2 }))
        .await
        .unwrap();
    assert_eq!(
        answer.data,
        json!({ "mine": { "name": "demo-shop" }, "products": null })
    );
    assert_eq!(answer.errors.len(), 1);
    assert_eq!(
        answer.errors[0].path,
        [PathSegment::Field("products".to_owned())]
    );
    assert!(answer.cost.unwrap().throttle_status.is_some());
    let error = client
        .graphql::<Value>("{ shop { colour } }", &())
        .await
        .unwrap();
    assert_eq!(error.errors[0].code(), Some("undefinedField"));
    let wrong = client.graphql::<Value>("{ shop { name } }", &[1]).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_raw_request_returns_refusals_as_they_are() {
    let (world, client) = connected().await;
    let session = {
        use connector_core::provider::ProviderClient;
        client.session().clone()
    };
    let raw = |query: &'static str| {
        let path = ["admin", "api", "2026-10", "graphql.json"];
        let request = Request::post(path)
            .unwrap()
            .json(&json!({ "query": query }))
            .unwrap();
        session.raw(request, Idempotency::Safe)
    };
    let answer = raw("{ shop { name } }").await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["data"]["shop"]["name"], "demo-shop");
    let refused = raw("{ shop { colour } }").await.unwrap();
    let body: Value = serde_json::from_slice(refused.body()).unwrap();
    assert!(body["errors"].is_array(), "{body}");
    world.sim.uninstall(&world.shop).unwrap();
    assert_eq!(raw("{ shop { name } }").await.unwrap().status(), 401);
}

/// Every status and every kind of failure of a call.
#[tokio::test]
async fn every_bad_response_has_its_kind() {
    use ErrorKind::{
        Conflict, Forbidden, Network, ProviderNotFound, ProviderUnavailable, RateLimited, Rejected,
        Unauthorized, UnexpectedResponse,
    };
    let errors = |code: &str| {
        format!(r#"{{"errors":[{{"message":"x","extensions":{{"code":"{code}"}}}}]}}"#)
    };
    let table = [
        (Fault::answer(400, "{}"), Rejected),
        (
            Fault::answer(401, r#"{"errors":"[API] Invalid API key"}"#),
            Unauthorized,
        ),
        (
            Fault::answer(402, r#"{"errors":"Unavailable Shop"}"#),
            Forbidden,
        ),
        (
            Fault::answer(403, r#"{"errors":"requires merchant approval"}"#),
            Forbidden,
        ),
        (Fault::answer(404, "<html>"), ProviderNotFound),
        (Fault::answer(409, ""), Conflict),
        (Fault::answer(422, ""), Rejected),
        (Fault::answer(423, ""), Forbidden),
        (Fault::answer(429, ""), RateLimited),
        (Fault::answer(430, ""), Forbidden),
        (Fault::answer(500, "<html>"), ProviderUnavailable),
        (Fault::answer(503, ""), ProviderUnavailable),
        (Fault::answer(302, ""), UnexpectedResponse),
        (Fault::answer(200, "<html>"), UnexpectedResponse),
        (Fault::answer(200, "{}"), UnexpectedResponse),
        (
            Fault::answer(200, r#"{"data":{"shop":{}}}"#),
            UnexpectedResponse,
        ),
        (Fault::answer(200, errors("THROTTLED")), RateLimited),
        (
            Fault::answer(200, errors("INTERNAL_SERVER_ERROR")),
            ProviderUnavailable,
        ),
        (Fault::answer(200, errors("SHOP_INACTIVE")), Forbidden),
        (Fault::answer(200, errors("MAX_COST_EXCEEDED")), Rejected),
        (Fault::answer(200, errors("SOMETHING_NEW")), Rejected),
        (Fault::DropBefore, Network),
        (Fault::DropAfter, Network),
        (Fault::Truncate, Network),
    ];
    let world = World::new().await;
    let credential = world.connect().await;
    let session = world.session_with(&credential, connector_core::api::RetryPolicy::never());
    let count = table.len();
    for (at, (fault, kind)) in table.into_iter().enumerate() {
        world.sim.fault(Route::Graphql, fault);
        let error = session.send(&GetShop::new()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "case {at}");
        // The source of fixed tokens has no provider.
        let provider = (kind != Unauthorized).then_some("shopify");
        assert_eq!(error.provider(), provider, "case {at}");
        // An exceeded limit pauses the calls of the shop.
        world.clock.advance(Duration::from_secs(60));
        session.send(&GetShop::new()).await.unwrap();
    }
    println!("bad answers to calls: {count}");
}

#[test]
fn unknown_values_and_fields_are_tolerated() {
    let product: Product = serde_json::from_value(json!({
        "id": "gid://shopify/Product/7", "title": "t", "handle": "h", "status": "SLEEPING",
        "vendor": "v", "productType": "p", "tags": [], "totalInventory": -3,
        "createdAt": "2026-11-20T12:00:00+01:00", "updatedAt": "2026-11-20T11:00:00Z",
        "invented": { "later": true },
    }))
    .unwrap();
    assert_eq!(product.status, ProductStatus::Other("SLEEPING".to_owned()));
    assert_eq!(serde_json::to_value(&product.status).unwrap(), "SLEEPING");
    assert_eq!(product.created_at, product.updated_at);
}

#[test]
fn ids_are_of_one_type_and_64_bits() {
    let id: ProductId = "gid://shopify/Product/18446744073709551615"
        .parse()
        .unwrap();
    assert_eq!(id.number(), u64::MAX);
    assert_eq!(id.to_string(), "gid://shopify/Product/18446744073709551615");
    assert_eq!(
        serde_json::from_value::<ProductId>(json!(u64::MAX)).unwrap(),
        id
    );
    let bad = [
        "",
        "7",
        "gid://shopify/ProductVariant/7",
        "gid://shopify/Product/",
        "gid://shopify/Product/-7",
        "gid://shopify/Product/+7",
        "gid://shopify/Product/7/8",
        "gid://shopify/Product/18446744073709551616",
        "gid://evil/Product/7",
    ];
    for text in bad {
        assert!(text.parse::<ProductId>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn an_id_reads_what_it_writes(number: u64) {
        let id = WebhookSubscriptionId::new(number);
        prop_assert_eq!(id.to_string().parse::<WebhookSubscriptionId>().unwrap(), id);
        let written = serde_json::to_value(id).unwrap();
        prop_assert_eq!(serde_json::from_value::<WebhookSubscriptionId>(written).unwrap(), id);
    }
}
