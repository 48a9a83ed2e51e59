//! Documents, variables and responses of every operation, compared with Shopify's official schema.
//! The schema is two versions older than the API version in use.

use std::collections::BTreeSet;

use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::api::{Idempotency, IdempotencyKey, Response};
use connector_core::clock::Timestamp;
use connector_core::provider::Endpoint;
use connector_shopify::endpoints::*;
use connector_shopify::models::*;
use connector_shopify::{Graphql, Shopify};
use serde_json::{Value, json};

use crate::schema::{Form, Schema};

fn schema() -> Option<Schema> {
    let schema = Schema::load();
    if schema.is_none() {
        println!("skipped: CONNECTORS_ORACLES names no folder with Shopify's schema");
    }
    schema
}

fn operations() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().flat_map(|area| area.iter())
}

#[test]
fn every_document_fits_the_official_schema() {
    let Some(schema) = schema() else { return };
    let (mut documents, mut fields, mut wrong) = (0, 0, Vec::new());
    for operation in operations() {
        match schema.check(operation.document) {
            Ok(count) => fields += count,
            Err(complaint) => wrong.push(format!("{}: {complaint}", operation.name)),
        }
        documents += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("documents: {documents}, fields: {fields}");
    assert!(documents > 60 && fields > 500);
    let refused = [
        "query { shop { colour } }",
        "query { shop }",
        "query { shop { name { x } } }",
        "query { product { id } }",
        "query { products(first: 1, last2: 1) { nodes { id } } }",
        "query ($n: String) { products(first: $n) { nodes { id } } }",
        "query ($id: ID) { product(id: $id) { id } }",
        "query { products(first: $n) { nodes { id } } }",
        "query { product(id: \"x\") { bodyHtml } }",
        "mutation { shop { name } }",
        "query { shop { ...Missing } }",
    ];
    for document in refused {
        assert!(schema.check(document).is_err(), "{document}");
    }
    println!("wrong documents refused: {}", refused.len());
}

fn respond(data: &Value) -> Response {
    let body = json!({ "data": data, "extensions": { "cost": null, "aLaterField": 1 } });
    let answer = http::Response::new(Bytes::from(body.to_string()));
    Response::new(Shopify::ID, "Test", Timestamp::UNIX_EPOCH, answer)
}

#[test]
fn every_type_decodes_the_official_shapes_and_additions() {
    let Some(schema) = schema() else { return };
    let (mut decoded, mut wrong) = (0, Vec::new());
    for operation in operations() {
        for form in [Form::Full, Form::Null, Form::Later] {
            let data = schema.answer(operation.document, form);
            match (operation.decode)(&mut respond(&data)) {
                Ok(()) => decoded += 1,
                Err(error) => wrong.push(format!("{} {form:?}: {error}", operation.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("generated responses decoded: {decoded}");
    assert!(decoded > 180);
}

#[test]
fn user_errors_of_every_mutation_become_errors_with_their_fields() {
    let Some(schema) = schema() else { return };
    let mut count = 0;
    for operation in operations().filter(|it| it.document.starts_with("mutation")) {
        let mut data = schema.answer(operation.document, Form::Full);
        let result = data["result"].as_object_mut().unwrap();
        for (_, value) in result.iter_mut() {
            *value = Value::Null;
        }
        result.insert(
            "userErrors".to_owned(),
            json!([{ "field": ["input", "items", "3", "price"], "message": "tell nobody",
                     "code": "INVALID" }]),
        );
        let error = (operation.decode)(&mut respond(&data)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{}", operation.name);
        assert_eq!(error.code(), Some("INVALID"));
        let source = std::error::Error::source(&error).unwrap();
        let errors = source
            .downcast_ref::<connector_shopify::UserErrors>()
            .unwrap();
        let path = errors.errors()[0].field.as_ref().unwrap();
        assert_eq!(path, &["input", "items", "3", "price"]);
        assert!(!error.report().contains("tell nobody"));
        // A mutation that returns nothing at all is no success.
        let nothing = json!({ "result": null });
        assert!(
            (operation.decode)(&mut respond(&nothing)).is_err(),
            "{}",
            operation.name
        );
        count += 1;
    }
    println!("mutations with user errors: {count}");
    assert!(count > 35);
}

#[test]
fn expected_costs_follow_the_published_rules() {
    let mut wrong = Vec::new();
    for operation in operations() {
        let cost = |size: u32| {
            let document = Graphql::<Value>::new(operation.document, &json!({ "first": size }));
            document.unwrap().cost()
        };
        for size in [10, 50, 100] {
            let expected = operation.cost.of_page(size).max(10);
            if cost(size) != expected {
                // Two sizes give the line.
                let each = (cost(100) - cost(50)) / 50;
                let fixed = cost(100) - each * 100;
                wrong.push(format!("COST {} {fixed} {each}", operation.name));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("expected costs: {}", operations().count());
}

struct Sample {
    name: &'static str,
    body: Value,
}

fn sample<E: Endpoint>(operation: &E) -> Sample {
    operation.validate().unwrap();
    let request = match E::IDEMPOTENCY {
        Idempotency::Keyed => operation.keyed_request(&IdempotencyKey::derived_from("job")),
        _ => operation.request(),
    };
    let request = request.unwrap();
    assert_eq!(request.target(), "/admin/api/2026-10/graphql.json");
    Sample {
        name: E::NAME,
        body: serde_json::from_slice(request.bytes()).unwrap(),
    }
}

macro_rules! samples {
    ($($operation:expr),* $(,)?) => { vec![$(sample(&$operation)),*] };
}

fn address() -> AddressInput {
    AddressInput::new()
        .with_first_name("Ada")
        .with_last_name("Example")
        .with_company("Example")
        .with_address1("1 Main Street")
        .with_address2("Floor 2")
        .with_zip("10115")
        .with_city("Berlin")
        .with_province_code("BE")
        .with_country_code("DE")
        .with_phone("+4930123456")
}

/// Every operation with every argument that has a method.
fn samples() -> Vec<Sample> {
    let (product, variant) = (ProductId::new(1), ProductVariantId::new(2));
    let (order, line) = (OrderId::new(3), LineItemId::new(4));
    let (item, location) = (InventoryItemId::new(5), LocationId::new(6));
    let time = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
    let price = Price::new("10.00", "EUR");
    let media = NewMedia::new("https://cdn.example/x.png", MediaType::Image).with_alt("A cup");
    let tracking = TrackingInfo::new("UPS", "1Z").with_url("https://track.example/1Z");
    let option = OptionInput::new("Colour", ["Blue", "White"]).with_position(1_u32);
    let stock = InventoryItemInput::new()
        .with_sku("TEA-1")
        .with_tracked(true)
        .with_requires_shipping(true)
        .with_cost("3.00");
    let variant_input = VariantInput::new()
        .with_id(variant)
        .with_price("10.00")
        .with_compare_at_price("12.00")
        .with_barcode("4006381333931")
        .with_options([OptionValue::new("Colour", "Blue")])
        .with_inventory_item(stock.clone());
    let variant_set = VariantSetInput::new([OptionValue::new("Colour", "Blue")])
        .with_id(variant)
        .with_price("10.00")
        .with_compare_at_price("12.00")
        .with_sku("TEA-1")
        .with_barcode("4006381333931")
        .with_position(1_u32)
        .with_inventory([SetInventory::new(location, "available", 3)])
        .with_inventory_item(stock);
    let product_set = ProductSetInput::new()
        .with_title("Cup")
        .with_description_html("<p>Blue</p>")
        .with_handle("cup")
        .with_status(ProductStatus::Active)
        .with_vendor("Example")
        .with_product_type("Cup")
        .with_tags(["tea"])
        .with_collections([CollectionId::new(7)])
        .with_options([option.clone()])
        .with_variants([variant_set]);
    let collection = CollectionInput::new()
        .with_id(CollectionId::new(7))
        .with_title("Tea")
        .with_handle("tea")
        .with_description_html("<p>Tea</p>");
    let draft = DraftOrderInput::new()
        .with_items([
            DraftItem::variant(variant, 2),
            DraftItem::custom("Gift", "1.00", 1),
        ])
        .with_customer(CustomerId::new(8))
        .with_email("ada@example.com")
        .with_note("A note")
        .with_tags(["tea"])
        .with_shipping_address(address());
    let webhook = WebhookInput::new("https://app.example/hooks")
        .with_format(WebhookFormat::Json)
        .with_filter("id:1")
        .with_fields(["id"])
        .with_name("orders");
    samples![
        GetShop::new(),
        ListApiVersions::new(),
        GetCurrentAppInstallation::new(),
        AppUninstall::new(),
        RevokeAccessScopes::new(["read_orders"]),
        CreateAppSubscription::new(
            "Basic",
            [
                SubscriptionItem::every_30_days(&price),
                SubscriptionItem::usage(&price, "1 euro for each order"),
                SubscriptionItem::annual(&price),
            ],
            "https://app.example/billing",
        )
        .with_test(true)
        .with_trial_days(14_u32),
        CancelAppSubscription::new(AppSubscriptionId::new(9)).with_prorate(true),
        ListProducts::new()
            .with_page_size(50)
            .matching("status:active")
            .updated_since(time)
            .sorted_by(ProductSort::UpdatedAt)
            .reversed(),
        GetProduct::new(product),
        GetProductByIdentifier::new(Identifier::handle("cup")),
        CountProducts::new()
            .with_query("status:active")
            .with_limit(100_u32),
        CreateProduct::new(
            ProductInput::new("Cup")
                .with_description_html("<p>Blue</p>")
                .with_handle("cup")
                .with_status(ProductStatus::Draft)
                .with_vendor("Example")
                .with_product_type("Cup")
                .with_tags(["tea"])
                .with_collections([CollectionId::new(7)])
                .with_options([option]),
        )
        .with_media([media.clone()]),
        UpdateProduct::new(
            ProductUpdate::new(product)
                .with_title("Cup")
                .with_description_html("<p>Blue</p>")
                .with_handle("cup")
                .with_status(ProductStatus::Archived)
                .with_vendor("Example")
                .with_product_type("Cup")
                .with_tags(["tea"])
                .with_collections_to_join([CollectionId::new(7)])
                .with_collections_to_leave([CollectionId::new(8)])
                .with_field("seo", json!({ "title": "Cup" })),
        )
        .with_media([media]),
        SetProduct::new(product_set.clone())
            .with_identifier(Identifier::custom("custom", "key", "value")),
        StartSetProduct::new(product_set).with_identifier(Identifier::id(product)),
        GetProductOperation::new("gid://shopify/ProductSetOperation/1"),
        DeleteProduct::new(product),
        ListProductVariants::new()
            .of_product(product)
            .sorted_by(ProductVariantSort::Position),
        GetProductVariant::new(variant),
        CreateProductVariants::new(product, [variant_input.clone()]),
        UpdateProductVariants::new(product, [variant_input]).with_partial_updates(true),
        DeleteProductVariants::new(product, [variant]),
        CreateFiles::new([FileInput::new("https://cdn.example/x.png")
            .with_alt("A cup")
            .with_content_type("IMAGE")
            .with_filename("x.png")]),
        DeleteFiles::new([GlobalId::from("gid://shopify/MediaImage/1")]),
        ListCollections::new().sorted_by(CollectionSort::Title),
        GetCollection::new(CollectionId::new(7)),
        CreateCollection::new(collection.clone().with_products([product])),
        UpdateCollection::new(collection),
        DeleteCollection::new(CollectionId::new(7)),
        AddProductsToCollection::new(CollectionId::new(7), [product]),
        ListOrders::created_since(time)
            .sorted_by(OrderSort::UpdatedAt)
            .reversed(),
        CountOrders::all()
            .matching("test:false")
            .with_limit(100_u32),
        GetOrder::new(order),
        GetOrderByIdentifier::new(Identifier::id(order)),
        UpdateOrder::new(
            OrderUpdate::new(order)
                .with_email("ada@example.com")
                .with_note("A note")
                .with_tags(["tea"])
                .with_po_number("1")
                .with_shipping_address(address()),
        ),
        CloseOrder::new(order),
        OpenOrder::new(order),
        CancelOrder::new(order, CancelReason::Customer, true)
            .with_refund()
            .with_notification(true)
            .with_staff_note("A note"),
        CreateRefund::new(
            RefundInput::new(order)
                .with_items([RefundItem::new(line, 1_u32)
                    .with_restock(RestockType::Return)
                    .with_location(location)])
                .with_note("A note")
                .with_notification(true),
        ),
        ListDraftOrders::new().sorted_by(DraftOrderSort::UpdatedAt),
        GetDraftOrder::new(DraftOrderId::new(10)),
        CreateDraftOrder::new(draft.clone()),
        UpdateDraftOrder::new(DraftOrderId::new(10), draft),
        CompleteDraftOrder::new(DraftOrderId::new(10)),
        DeleteDraftOrder::new(DraftOrderId::new(10)),
        ListCustomers::new()
            .with_page_size(50)
            .sorted_by(CustomerSort::Name),
        GetCustomer::new(CustomerId::new(8)),
        SetCustomer::new(
            CustomerInput::new()
                .with_first_name("Ada")
                .with_last_name("Example")
                .with_email("ada@example.com")
                .with_phone("+4930123456")
                .with_note("A note")
                .with_locale("de")
                .with_tags(["tea"])
                .with_addresses([address()]),
        )
        .with_identifier(Identifier::email("ada@example.com")),
        DeleteCustomer::new(CustomerId::new(8)),
        ListFulfillmentOrders::new()
            .with_page_size(50)
            .of_order(order)
            .with_closed(true),
        GetFulfillmentOrder::new(FulfillmentOrderId::new(11)),
        CreateFulfillment::new(
            FulfillmentInput::new([
                FulfilledOrder::new(FulfillmentOrderId::new(11)).with_items([FulfilledItem::new(
                    FulfillmentOrderLineItemId::new(12),
                    1_u32
                ),])
            ])
            .with_tracking(tracking.clone())
            .with_notification(true),
        ),
        UpdateTracking::new(FulfillmentId::new(13), tracking).with_notification(true),
        CancelFulfillment::new(FulfillmentId::new(13)),
        ListLocations::new().with_inactive(true),
        ListInventoryItems::new().matching("sku:TEA-1"),
        GetInventoryItem::new(item),
        SetQuantities::of(
            "available",
            "correction",
            [
                QuantityInput::new(item, location, 3),
                QuantityInput::new(item, location, 3).from_quantity(2),
            ],
        )
        .with_reference("app://job/1"),
        AdjustQuantities::of(
            "on_hand",
            "received",
            [
                ChangeInput::new(item, location, -1),
                ChangeInput::new(item, location, 2)
                    .from_quantity(1)
                    .with_ledger("app://ledger/1"),
            ],
        )
        .with_reference("app://job/1"),
        ActivateInventory::new(item, location).with_available(3),
        SetMetafields::new([MetafieldInput::new(product, "care", "wash")
            .with_namespace("custom")
            .with_type("single_line_text_field")
            .with_compare_digest("abc")]),
        DeleteMetafields::new([MetafieldKey::new(product, "custom", "care")]),
        ListMetaobjects::new("author").reversed(),
        GetMetaobject::new(MetaobjectId::new(14)),
        SetMetaobject::new(
            MetaobjectHandle::new("author", "ada"),
            MetaobjectInput::new([FieldInput::new("name", "Ada")]),
        ),
        DeleteMetaobject::new(MetaobjectId::new(14)),
        AddTags::new(product, ["tea"]),
        RemoveTags::new(product, ["tea"]),
        CreateWebhookSubscription::new("ORDERS_CREATE", webhook.clone()),
        UpdateWebhookSubscription::new(WebhookSubscriptionId::new(15), webhook),
        DeleteWebhookSubscription::new(WebhookSubscriptionId::new(15)),
        ListWebhookSubscriptions::new().of_topics(["ORDERS_CREATE"]),
        CountWebhookSubscriptions::new(),
        GetBulkOperation::new(BulkOperationId::new(16)),
        ListBulkOperations::new(),
        CancelBulkOperation::new(BulkOperationId::new(16)),
        CreateStagedUploads::new([StagedUploadInput::new(
            "BULK_MUTATION_VARIABLES",
            "vars.jsonl",
            "text/jsonl",
        )
        .with_method("POST")]),
    ]
}

/// Variables that other modules send: the bulk operations are covered by their own tests.
const COVERED_ELSEWHERE: [&str; 3] = ["Identify", "RunBulkMutation", "RunBulkQuery"];

#[test]
fn the_variables_of_every_operation_fit_the_official_schema() {
    let Some(schema) = schema() else { return };
    let (mut seen, mut variables, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    for sample in samples() {
        let document = sample.body["query"].as_str().unwrap();
        match schema.check_variables(document, &sample.body["variables"]) {
            Ok(count) => variables += count,
            Err(complaint) => wrong.push(format!("{}: {complaint}", sample.name)),
        }
        seen.insert(sample.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<&str> = operations()
        .map(|it| it.name)
        .filter(|it| !seen.contains(it) && !COVERED_ELSEWHERE.contains(it))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    println!("requests: {}, variables: {variables}", seen.len());
}
