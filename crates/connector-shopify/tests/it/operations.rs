//! The operations of each area, with session, transport and simulator.

use std::error::Error as _;
use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::api::{CallOptions, IdempotencyKey};
use connector_core::clock::Clock as _;
use connector_core::provider::ProviderClient as _;
use connector_shopify::endpoints::*;
use connector_shopify::models::*;
use connector_shopify::sim::{Consent, Fault, Route, SimulatedShop};
use connector_shopify::{Graphql, ShopDomain, ShopifyClient, UserErrors};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use crate::rig::Rig;
use crate::world::World;

pub(crate) const SCOPES: [&str; 10] = [
    "read_all_orders",
    "write_products",
    "write_files",
    "write_orders",
    "write_draft_orders",
    "write_customers",
    "write_inventory",
    "read_locations",
    "write_merchant_managed_fulfillment_orders",
    "write_metaobjects",
];

pub(crate) async fn connected(scopes: &[&str]) -> (World, ShopifyClient) {
    let shop = ShopDomain::parse("demo-shop").unwrap();
    let shop = SimulatedShop::new(shop).with_plan("Plus", 20_000.0, 1000.0);
    let world = World::with(|builder| builder.with_shop(shop)).await;
    let scopes = scopes.iter().map(|it| (*it).to_owned()).collect();
    world
        .sim
        .decide(&world.shop, Consent::GrantOnly(scopes))
        .unwrap();
    let credential = world.connect().await;
    let client = world.client(&credential);
    (world, client)
}

/// Returns the client of a hub, which knows the granted scopes.
async fn through_hub(scopes: &[&str]) -> (Rig, ShopifyClient) {
    let rig = Rig::new().await;
    let scopes = scopes.iter().map(|it| (*it).to_owned()).collect();
    rig.sim
        .decide(&rig.shop, Consent::GrantOnly(scopes))
        .unwrap();
    let key = rig.connect().await;
    let client = rig.client(&key).await;
    (rig, client)
}

fn field(error: &connector_core::Error) -> Vec<String> {
    let source = error.source().unwrap();
    let errors = source.downcast_ref::<UserErrors>().unwrap();
    errors.errors()[0].field.clone().unwrap_or_default()
}

#[tokio::test]
async fn products_variants_media_and_collections_are_managed() {
    let (_world, client) = connected(&SCOPES).await;
    let input = ProductInput::new("Sugar bowl")
        .with_vendor("Example")
        .with_tags(["tea"]);
    let media = NewMedia::new("https://cdn.example/x.png", MediaType::Image).with_alt("A bowl");
    let create = CreateProduct::new(input).with_media([media]);
    let product = client.send(&create).await.unwrap();
    let whole = client.send(&GetProduct::new(product.id)).await.unwrap();
    assert_eq!(whole.title, "Sugar bowl");
    let media = whole.media.unwrap();
    assert_eq!(
        (media.items[0].alt.as_deref(), media.next),
        (Some("A bowl"), None)
    );

    let new = |colour: &str, price: &str| {
        VariantInput::new()
            .with_price(price)
            .with_options([OptionValue::new("Colour", colour)])
            .with_inventory_item(InventoryItemInput::new().with_sku(format!("BOWL-{colour}")))
    };
    let variants = [new("Blue", "10.00"), new("White", "11.00")];
    let variants = client
        .send(&CreateProductVariants::new(product.id, variants))
        .await;
    let variants = variants.unwrap();
    assert_eq!(variants[1].sku.as_deref(), Some("BOWL-White"));
    let cheaper = VariantInput::new()
        .with_id(variants[0].id)
        .with_price("9.00");
    let changed = client
        .send(&UpdateProductVariants::new(product.id, [cheaper]))
        .await
        .unwrap();
    assert_eq!(changed[0].price.as_str(), "9.00");
    let wrong = [
        VariantInput::new().with_id(variants[0].id),
        VariantInput::new().with_id(ProductVariantId::new(1)),
    ];
    let error = client
        .send(&UpdateProductVariants::new(product.id, wrong))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some("PRODUCT_VARIANT_DOES_NOT_EXIST"));
    assert_eq!(field(&error), ["variants", "1", "id"]);
    client
        .send(&DeleteProductVariants::new(product.id, [variants[1].id]))
        .await
        .unwrap();

    // `productSet` replaces lists.
    let kept = VariantSetInput::new([OptionValue::new("Colour", "Red")]).with_price("5.00");
    let set = ProductSetInput::new()
        .with_title("Red bowl")
        .with_variants([kept]);
    let set = SetProduct::new(set).with_identifier(Identifier::id(product.id));
    client.send(&set).await.unwrap();
    let whole = client.send(&GetProduct::new(product.id)).await.unwrap();
    assert_eq!(
        (whole.title.as_str(), whole.variants.unwrap().items.len()),
        ("Red bowl", 1)
    );
    let start = StartSetProduct::new(ProductSetInput::new().with_title("Jug"));
    let started = client.send(&start).await.unwrap();
    let ended = client
        .send(&GetProductOperation::new(started.id))
        .await
        .unwrap();
    assert_eq!(ended.status, "COMPLETE");
    let jug = client
        .send(&GetProduct::new(ended.product.unwrap().id))
        .await
        .unwrap();
    assert_eq!(jug.title, "Jug");

    let collection = CollectionInput::new()
        .with_title("Bowls")
        .with_handle("bowls");
    let collection = client
        .send(&CreateCollection::new(collection))
        .await
        .unwrap();
    let add = AddProductsToCollection::new(collection.id, [product.id]);
    let filled = client.send(&add).await.unwrap();
    assert_eq!(filled.products_count.unwrap().count, 1);
    let renamed = CollectionInput::new()
        .with_id(collection.id)
        .with_title("Big bowls");
    client.send(&UpdateCollection::new(renamed)).await.unwrap();
    let all = client.send(&ListCollections::new()).await.unwrap().items;
    assert_eq!(all[0].title, "Big bowls");
    assert_eq!(
        client
            .send(&GetCollection::new(collection.id))
            .await
            .unwrap(),
        all[0]
    );
    client
        .send(&DeleteCollection::new(collection.id))
        .await
        .unwrap();

    let files = [FileInput::new("https://cdn.example/y.png").with_alt("A file")];
    let files = client.send(&CreateFiles::new(files)).await.unwrap();
    client
        .send(&DeleteFiles::new([files[0].id.clone()]))
        .await
        .unwrap();

    let by_handle = GetProductByIdentifier::new(Identifier::handle("jug"));
    assert_eq!(client.send(&by_handle).await.unwrap().title, "Jug");
    let update = ProductUpdate::new(product.id).with_status(ProductStatus::Archived);
    let archived = client.send(&UpdateProduct::new(update)).await.unwrap();
    assert_eq!(archived.status, ProductStatus::Archived);
    let count = client.send(&CountProducts::new()).await.unwrap();
    assert_eq!((count.count, count.precision), (62, CountPrecision::Exact));
    client.send(&DeleteProduct::new(product.id)).await.unwrap();
    let gone = client.send(&GetProduct::new(product.id)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ProviderNotFound);
    let twice = client
        .send(&DeleteProduct::new(product.id))
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Rejected);
}

/// Shopify leaves orders out that are older than 60 days, without an error. We do not.
#[tokio::test]
async fn old_orders_need_their_scope_before_anything_is_sent() {
    let day = Duration::from_secs(86_400);
    let (world, client) = through_hub(&["read_orders"]).await;
    let now = world.clock.now();
    let recent: Vec<Order> = client
        .pages(ListOrders::readable().with_page_size(7))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(recent.len(), 21, "three days apart, at most 60 days old");
    let sent = world.sim.count(Route::Graphql);
    for error in [
        client
            .send(&ListOrders::created_since(now.before(61 * day)))
            .await
            .unwrap_err(),
        client.send(&ListOrders::all()).await.unwrap_err(),
        client
            .send(&CountOrders::created_since(now.before(61 * day)))
            .await
            .unwrap_err(),
        client.send(&CountOrders::all()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
        assert!(error.to_string().contains("read_all_orders"), "{error}");
    }
    assert_eq!(world.sim.count(Route::Graphql), sent, "nothing was sent");
    let young = ListOrders::created_since(now.before(59 * day));
    assert_eq!(client.send(&young).await.unwrap().items.len(), 20);

    let (world, client) = through_hub(&SCOPES).await;
    let all = client
        .send(&ListOrders::all().with_page_size(100))
        .await
        .unwrap();
    assert_eq!(all.items.len(), 30);
    let count = CountOrders::created_since(world.clock.now().before(61 * day));
    assert_eq!(client.send(&count).await.unwrap().count, 21);
}

#[tokio::test]
async fn orders_are_changed_fulfilled_and_refunded() {
    let (_world, client) = connected(&SCOPES).await;
    let newest = ListOrders::all().sorted_by(OrderSort::CreatedAt).reversed();
    let order = client.send(&newest).await.unwrap().items.remove(0);
    let whole = client.send(&GetOrder::new(order.id)).await.unwrap();
    let line = whole.line_items.unwrap().items.remove(0);
    assert_eq!(
        (line.quantity, line.unit_price.currency_code.as_str()),
        (2, "EUR")
    );
    let update = OrderUpdate::new(order.id)
        .with_note("Ring twice")
        .with_tags(["vip"]);
    let updated = client.send(&UpdateOrder::new(update)).await.unwrap();
    assert_eq!(updated.note.as_deref(), Some("Ring twice"));
    assert!(
        client
            .send(&CloseOrder::new(order.id))
            .await
            .unwrap()
            .closed
    );
    assert!(!client.send(&OpenOrder::new(order.id)).await.unwrap().closed);

    let of_order = ListFulfillmentOrders::new()
        .with_page_size(10)
        .of_order(order.id);
    let pending = client.send(&of_order).await.unwrap().items.remove(0);
    let item = &pending.line_items.items[0];
    let ship = |quantity: u32| {
        let items = [FulfilledItem::new(item.id, quantity)];
        let order = FulfilledOrder::new(pending.id).with_items(items);
        let input = FulfillmentInput::new([order]);
        CreateFulfillment::new(input.with_tracking(TrackingInfo::new("UPS", "1Z")))
    };
    let shipped = client.send(&ship(1)).await.unwrap();
    assert_eq!(shipped.tracking_info[0].number.as_deref(), Some("1Z"));
    let error = client.send(&ship(5)).await.unwrap_err();
    assert_eq!(field(&error), ["fulfillment"]);
    let left = client
        .send(&GetFulfillmentOrder::new(pending.id))
        .await
        .unwrap();
    assert_eq!(left.line_items.items[0].remaining_quantity, 1);
    let tracking = TrackingInfo::new("DHL", "2");
    let moved = client
        .send(&UpdateTracking::new(shipped.id, tracking))
        .await
        .unwrap();
    assert_eq!(moved.tracking_info[0].company.as_deref(), Some("DHL"));
    let cancelled = client
        .send(&CancelFulfillment::new(shipped.id))
        .await
        .unwrap();
    assert_eq!(cancelled.status, FulfillmentStatus::Cancelled);

    let refund = RefundInput::new(order.id).with_items([RefundItem::new(line.id, 1_u32)]);
    let refund = client.send(&CreateRefund::new(refund)).await.unwrap();
    assert_eq!(refund.refund_line_items.items[0].line_item_id, line.id);
    let cancel = CancelOrder::new(order.id, CancelReason::Customer, true).with_refund();
    client.send(&cancel).await.unwrap();
    let whole = client.send(&GetOrder::new(order.id)).await.unwrap();
    assert!(whole.cancelled_at.is_some());
    assert_eq!(
        format!("{whole:?}"),
        "Order { .. }",
        "personal data is not shown"
    );

    let variant = line.variant_id.unwrap();
    let items = [
        DraftItem::variant(variant, 2),
        DraftItem::custom("Gift wrap", "1.00", 1),
    ];
    let draft = DraftOrderInput::new()
        .with_items(items)
        .with_email("ada@example.com");
    let draft = client.send(&CreateDraftOrder::new(draft)).await.unwrap();
    assert_eq!(draft.line_items.unwrap().items[1].title, "Gift wrap");
    let note = DraftOrderInput::new().with_note("later");
    client
        .send(&UpdateDraftOrder::new(draft.id, note))
        .await
        .unwrap();
    let done = client
        .send(&CompleteDraftOrder::new(draft.id))
        .await
        .unwrap();
    assert_eq!(done.status, DraftOrderStatus::Completed);
    let made = client
        .send(&GetOrder::new(done.order_id.unwrap()))
        .await
        .unwrap();
    assert_eq!(made.line_items.unwrap().items.len(), 2);
    assert!(
        client
            .send(&CompleteDraftOrder::new(draft.id))
            .await
            .is_err()
    );
    let same = client.send(&GetDraftOrder::new(draft.id)).await.unwrap();
    assert_eq!(
        same.id,
        client.send(&ListDraftOrders::new()).await.unwrap().items[0].id
    );
    client.send(&DeleteDraftOrder::new(draft.id)).await.unwrap();
}

#[tokio::test]
async fn customers_metafields_metaobjects_and_tags_are_managed() {
    let (_world, client) = connected(&SCOPES).await;
    let input = CustomerInput::new()
        .with_first_name("Ada")
        .with_email("ada@new.example");
    let identifier = Identifier::email("ada@new.example");
    let set = SetCustomer::new(input).with_identifier(identifier.clone());
    let customer = client.send(&set).await.unwrap();
    let again = SetCustomer::new(CustomerInput::new().with_note("Likes tea"));
    let same = client
        .send(&again.with_identifier(identifier))
        .await
        .unwrap();
    assert_eq!(
        (same.id, same.note.as_deref()),
        (customer.id, Some("Likes tea"))
    );
    assert_eq!(
        client.send(&GetCustomer::new(customer.id)).await.unwrap(),
        same
    );
    let all: Vec<Customer> = client
        .pages(ListCustomers::new().with_page_size(4))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(all.len(), 11);
    client
        .send(&AddTags::new(customer.id, ["vip", "tea"]))
        .await
        .unwrap();
    client
        .send(&RemoveTags::new(customer.id, ["tea"]))
        .await
        .unwrap();
    assert_eq!(
        client
            .send(&GetCustomer::new(customer.id))
            .await
            .unwrap()
            .tags,
        ["vip"]
    );

    let metafield = MetafieldInput::new(customer.id, "size", "42").with_namespace("custom");
    let set = client.send(&SetMetafields::new([metafield])).await.unwrap();
    assert_eq!(
        (set[0].value.as_str(), set[0].namespace.as_str()),
        ("42", "custom")
    );
    let foreign = MetafieldInput::new(CustomerId::new(1), "size", "42");
    let error = client
        .send(&SetMetafields::new([foreign]))
        .await
        .unwrap_err();
    assert_eq!(field(&error), ["metafields", "0", "ownerId"]);
    let key = MetafieldKey::new(customer.id, "custom", "size");
    client.send(&DeleteMetafields::new([key])).await.unwrap();

    let handle = || MetaobjectHandle::new("author", "ada");
    let set = |name: &str| {
        let fields = [FieldInput::new("name", name)];
        SetMetaobject::new(handle(), MetaobjectInput::new(fields))
    };
    let author = client.send(&set("Ada")).await.unwrap();
    let same = client.send(&set("Ada Example")).await.unwrap();
    assert_eq!(same.id, author.id);
    let listed = client
        .send(&ListMetaobjects::new("author"))
        .await
        .unwrap()
        .items;
    assert_eq!(listed[0].fields[0].value.as_deref(), Some("Ada Example"));
    assert!(
        client
            .send(&ListMetaobjects::new("book"))
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        client.send(&GetMetaobject::new(author.id)).await.unwrap(),
        listed[0]
    );
    client
        .send(&DeleteMetaobject::new(author.id))
        .await
        .unwrap();
    client
        .send(&DeleteCustomer::new(customer.id))
        .await
        .unwrap();
    let gone = client
        .send(&GetCustomer::new(customer.id))
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ProviderNotFound);
}

#[tokio::test]
async fn stock_is_set_once_and_compared() {
    let (world, client) = connected(&SCOPES).await;
    let location = client.send(&ListLocations::new()).await.unwrap().items[0].id;
    let item = client.send(&ListInventoryItems::new()).await.unwrap().items[0].id;
    let stock = async |name: &str| {
        let item = client.send(&GetInventoryItem::new(item)).await.unwrap();
        let levels = item.inventory_levels.unwrap().items;
        let level = levels.into_iter().find(|it| it.location_id == location);
        level.unwrap().quantity(name).unwrap()
    };
    let set = |input| SetQuantities::of("available", "correction", [input]);
    let plain = QuantityInput::new(item, location, 40);
    let made = client.send(&set(plain.clone())).await.unwrap();
    assert_eq!(made.changes[0].quantity_after_change, Some(40));
    assert_eq!(stock("available").await, 40);
    client
        .send(&set(
            QuantityInput::new(item, location, 41).from_quantity(40)
        ))
        .await
        .unwrap();
    let stale = set(QuantityInput::new(item, location, 42).from_quantity(40));
    let error = client.send(&stale).await.unwrap_err();
    assert_eq!(error.code(), Some("CHANGE_FROM_QUANTITY_STALE"));
    assert_eq!(
        field(&error),
        ["input", "quantities", "0", "changeFromQuantity"]
    );

    // A lost response: the retry has the same key, so the stock changes once.
    world.sim.fault(Route::Graphql, Fault::DropAfter);
    let add = AdjustQuantities::of(
        "available",
        "received",
        [ChangeInput::new(item, location, 5)],
    );
    let call = async { client.send(&add).await };
    connector_testkit::drive(&world.clock, Duration::from_millis(250), call)
        .await
        .unwrap();
    assert_eq!(stock("available").await, 46);
    // The same key with other input is refused.
    let key = || CallOptions::new().with_idempotency_key(IdempotencyKey::derived_from("job 7"));
    client.session().send_with(&add, key()).await.unwrap();
    client.session().send_with(&add, key()).await.unwrap();
    assert_eq!(stock("available").await, 51);
    let other = AdjustQuantities::of(
        "available",
        "received",
        [ChangeInput::new(item, location, 6)],
    );
    let error = client.session().send_with(&other, key()).await.unwrap_err();
    assert_eq!(error.code(), Some("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"));
    let without_ledger =
        AdjustQuantities::of("on_hand", "received", [ChangeInput::new(item, location, 1)]);
    let error = client.send(&without_ledger).await.unwrap_err();
    assert_eq!(error.code(), Some("INVALID_LEDGER_DOCUMENT"));
    let shop = client.send(&ListLocations::new()).await.unwrap().items[1].id;
    let level = client
        .send(&ActivateInventory::new(item, shop).with_available(2))
        .await
        .unwrap();
    assert_eq!(level.location_id, shop);
}

/// 50,000 quantities are sent in calls of 250, and a repeated job changes the stock once.
#[tokio::test]
async fn a_large_change_is_divided_by_itself() {
    const COUNT: usize = 50_000;
    let (world, client) = connected(&SCOPES).await;
    let location = client.send(&ListLocations::new()).await.unwrap().items[0].id;
    let items: Vec<InventoryItem> = client
        .pages(ListInventoryItems::new())
        .items()
        .try_collect()
        .await
        .unwrap();
    let changes: Vec<ChangeInput> = (0..COUNT)
        .map(|at| ChangeInput::new(items[at % items.len()].id, location, 1))
        .collect();
    let before = world.sim.count(Route::Graphql);
    let run = |changes: Vec<ChangeInput>| {
        let client = client.clone();
        let sent = async move {
            client
                .adjust_quantities("job", ("available", "received"), &changes)
                .await
        };
        connector_testkit::drive(&world.clock, Duration::from_millis(250), sent)
    };
    // The first run fails in the middle.
    for _ in 0..3 {
        world.sim.fault(Route::Graphql, Fault::answer(200, r#"{"data":{"result":{"value":null,"userErrors":[{"field":null,"message":"no","code":"X"}]}}}"#));
    }
    let first = run(changes.clone()).await;
    assert!(first.error.is_some());
    assert_eq!(first.applied, 0);
    let mut runs = 1;
    let whole = loop {
        let divided = run(changes.clone()).await;
        runs += 1;
        if divided.error.is_none() {
            break divided;
        }
        assert!(runs < 6);
    };
    assert_eq!((whole.applied, whole.done.len()), (COUNT, COUNT / 250));
    let again = run(changes).await;
    assert_eq!(again.applied, COUNT);
    let total: i64 = {
        let item = client
            .send(&GetInventoryItem::new(items[0].id))
            .await
            .unwrap();
        let levels = item.inventory_levels.unwrap().items;
        let level = levels
            .into_iter()
            .find(|it| it.location_id == location)
            .unwrap();
        level.quantity("available").unwrap()
    };
    let each = i64::try_from(COUNT.div_ceil(items.len())).unwrap();
    assert_eq!(total, each + 8, "each change happened once");
    let calls = world.sim.count(Route::Graphql) - before;
    println!("quantities: {COUNT}, runs: {}, calls: {calls}", runs + 1);
}

#[tokio::test]
async fn the_installation_its_scopes_and_its_charges_are_managed() {
    let (world, client) = through_hub(&["write_products"]).await;
    let installation = client
        .send(&GetCurrentAppInstallation::new())
        .await
        .unwrap();
    assert_eq!(installation.access_scopes, ["write_products"]);
    let app = installation.app.unwrap();
    assert_eq!(app.api_key, world.sim.authority().app().client_id());
    let error = client
        .send(&RevokeAccessScopes::new(["write_products"]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("CANNOT_REVOKE_REQUIRED_SCOPES"));
    let price = Price::new("10.00", "EUR");
    let items = [SubscriptionItem::every_30_days(&price)];
    let create = CreateAppSubscription::new("Basic", items, "https://app.example/").with_test(true);
    let new = client.send(&create).await.unwrap();
    assert!(new.confirmation_url.host_str() == Some("admin.shopify.com"));
    assert_eq!(new.subscription.status, AppSubscriptionStatus::Pending);
    let cancelled = client
        .send(&CancelAppSubscription::new(new.subscription.id))
        .await
        .unwrap();
    assert_eq!(cancelled.status, AppSubscriptionStatus::Cancelled);
    let versions = client.send(&ListApiVersions::new()).await.unwrap();
    assert!(
        versions
            .iter()
            .any(|it| it.handle == "2026-10" && it.supported)
    );
    // A scope that is missing is reported before anything is sent.
    let sent = world.sim.count(Route::Graphql);
    let error = client.send(&ListCustomers::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert_eq!(world.sim.count(Route::Graphql), sent);
    let create = CreateWebhookSubscription::new("PRODUCTS_UPDATE", "https://app.example/a");
    let hook = client.send(&create).await.unwrap();
    let moved = WebhookInput::new("https://app.example/b");
    let moved = client
        .send(&UpdateWebhookSubscription::new(hook.id, moved))
        .await
        .unwrap();
    assert_eq!(
        (moved.id, moved.uri.as_str()),
        (hook.id, "https://app.example/b")
    );
    assert_eq!(
        client
            .send(&CountWebhookSubscriptions::new())
            .await
            .unwrap()
            .count,
        1
    );
}

/// Documents of the application go through the same checks and limits.
#[tokio::test]
async fn raw_documents_are_measured_before_they_are_sent() {
    let (world, client) = connected(&["write_products"]).await;
    let sent = world.sim.count(Route::Graphql);
    for (document, variables) in [
        (
            "{ products(first: 250) { nodes { variants(first: 100) { nodes { id } } } } }",
            json!({}),
        ),
        (
            "query($n: Int!) { products(first: $n) { nodes { media(first: 9) { nodes { id } } } } }",
            json!({ "n": 250 }),
        ),
        ("{ shop { name }", json!({})),
        ("{ a } { b }", json!({})),
        ("{ shop { ...Missing } }", json!({})),
    ] {
        let error = client
            .graphql::<Value>(document, &variables)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{document}");
    }
    assert_eq!(world.sim.count(Route::Graphql), sent, "nothing was sent");
    let cost = |document: &str| Graphql::<Value>::new(document, &()).unwrap().cost();
    assert_eq!(cost("{ products(first: 100) { nodes { id } } }"), 102);
    assert_eq!(cost("{ shop { name } }"), 10, "at least ten points");
    // A query is retried like other reads, a mutation is not.
    for (document, is_retried) in [
        ("{ shop { name } }", true),
        (
            "mutation { tagsAdd(id: \"x\", tags: [\"y\"]) { userErrors { message } } }",
            false,
        ),
    ] {
        world.sim.fault(Route::Graphql, Fault::DropAfter);
        let call = client.graphql::<Value>(document, &());
        let outcome = connector_testkit::drive(&world.clock, Duration::from_millis(250), call);
        assert_eq!(outcome.await.is_ok(), is_retried, "{document}");
    }
}
