//! Compares every typed operation with Amazon's official models: its requests, the static sandbox
//! examples, and the properties of its responses. `CONNECTORS_ORACLES` is the directory that
//! contains the models.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use connector_amazon_spapi::endpoints::*;
use connector_amazon_spapi::models::catalog::IdentifiersType;
use connector_amazon_spapi::models::feed::{FeedDocumentSpecification, FeedSpecification};
use connector_amazon_spapi::models::inventory::GranularityType;
use connector_amazon_spapi::models::listing::{
    ListingStatus, Mode, PatchListing, PatchOperation, PutListing, SortBy, SortOrder,
    SubmissionData, WithIssueSeverity,
};
use connector_amazon_spapi::models::price_v0::{
    CustomerType, ItemCondition, ItemType, OfferCustomerType,
};
use connector_amazon_spapi::models::token::{
    RestrictedDataTokenBody, RestrictedMethod, RestrictedResource,
};
use connector_amazon_spapi::models::{
    catalog, data_kiosk, listing, notification, order, order_v0, price, price_v0, product_type,
    report, restriction,
};
use connector_amazon_spapi::sim::{SELLER, Simulator};
use connector_amazon_spapi::{AmazonSpApi, Region};
use connector_core::api::{Request, Response};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::OutboundRequest;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

#[expect(
    clippy::disallowed_methods,
    reason = "the directory is an argument of the test run"
)]
fn directory() -> Option<PathBuf> {
    let root = std::env::var_os("CONNECTORS_ORACLES")?;
    let directory = Path::new(&root).join("amazon-sp-api/models");
    directory.is_dir().then_some(directory)
}

/// The models by file name.
fn models() -> Option<BTreeMap<String, Value>> {
    let Some(directory) = directory() else {
        println!("skipped: CONNECTORS_ORACLES names no directory with Amazon's models");
        return None;
    };
    let mut models = BTreeMap::new();
    for folder in std::fs::read_dir(directory).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|it| it == "json") {
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                let model = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                models.insert(name, model);
            }
        }
    }
    Some(models)
}

/// An operation in a model.
fn described<'m>(
    models: &'m BTreeMap<String, Value>,
    operation: &Operation,
) -> (&'m Value, &'m Value) {
    let model = models
        .get(operation.model)
        .unwrap_or_else(|| panic!("{}", operation.model));
    let method = operation.method.to_ascii_lowercase();
    let item = &model["paths"][operation.path];
    let found = &item[&method];
    let mut id = operation.name.to_owned();
    id[..1].make_ascii_lowercase();
    assert_eq!(
        found["operationId"], id,
        "{} {}",
        operation.method, operation.path
    );
    (model, found)
}

fn resolved<'m>(model: &'m Value, schema: &'m Value) -> &'m Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(model, model.pointer(&reference[1..]).unwrap()),
        None => schema,
    }
}

fn parameters<'m>(model: &'m Value, operation: &Operation) -> Vec<&'m Value> {
    let item = &model["paths"][operation.path];
    let own = &item[operation.method.to_ascii_lowercase()]["parameters"];
    let all = [&item["parameters"], own];
    let all = all.into_iter().filter_map(Value::as_array).flatten();
    all.map(|it| resolved(model, it)).collect()
}

/// Removes nulls and empty lists, which serialization omits.
fn meaning(value: &Value) -> Value {
    let is_kept =
        |value: &Value| !value.is_null() && value.as_array().is_none_or(|it| !it.is_empty());
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), meaning(value)));
            // An empty object and an absent one are equal.
            let is_full = |value: &Value| value.as_object().is_none_or(|it| !it.is_empty());
            Value::Object(
                members
                    .filter(|(_, it)| is_kept(it) && is_full(it))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(meaning).collect(),
        other => other.clone(),
    }
}

fn kept<T: DeserializeOwned + serde::Serialize>(what: &str, body: &Value) {
    let read: T = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(meaning(&again), meaning(body), "{what}");
}

/// Totals over all operations.
#[derive(Debug, Default)]
struct Counts {
    operations: usize,
    examples: usize,
    properties: usize,
    untyped: Vec<String>,
}

fn success(operation: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let responses = operation["responses"].as_object().unwrap().iter();
    responses.filter(|(status, _)| status.starts_with('2'))
}

/// Decodes and encodes every successful example, and a generated response with every property.
fn check_answers<E: SpApiOperation>(models: &BTreeMap<String, Value>, counts: &mut Counts) {
    let (model, operation) = described(models, &E::OPERATION);
    counts.operations += 1;
    for (status, response) in success(operation) {
        let examples = response["x-amzn-api-sandbox"]["static"].as_array();
        for (number, example) in examples.into_iter().flatten().enumerate() {
            let what = format!("{} {status} example {number}", E::NAME);
            // A 204 has no body, even if the example has one.
            if let Some(body) = example.get("response").filter(|_| status != "204") {
                kept::<E::Answer>(&what, body);
            }
            counts.examples += 1;
        }
        let Some(schema) = response.get("schema") else {
            continue;
        };
        let mut whole = made(model, schema, 0);
        kept::<E::Answer>(&format!("{} {status} made up", E::NAME), &whole);
        if serde_json::from_value::<E::Answer>(json!("any")).is_ok() {
            // No part of the response is typed: it only confirms success.
            continue;
        }
        // A property is typed if a value of the wrong type is rejected.
        let mut places = Vec::new();
        leaves(&whole, &mut String::new(), &mut places);
        for place in places {
            let value = whole.pointer_mut(&place).unwrap();
            let wrong = match value {
                Value::Object(_) => Value::from("wrong"),
                _ => json!({ "wrong": [1] }),
            };
            let right = std::mem::replace(value, wrong);
            counts.properties += 1;
            if serde_json::from_value::<E::Answer>(whole.clone()).is_ok() {
                counts.untyped.push(format!("{} {place}", E::NAME));
            }
            *whole.pointer_mut(&place).unwrap() = right;
        }
    }
}

/// Paths of all scalars and objects in a value.
fn leaves(value: &Value, at: &mut String, places: &mut Vec<String>) {
    let length = at.len();
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                leaves(value, at, places);
                at.truncate(length);
            }
            if length > 0 && !members.is_empty() {
                places.push(at.clone());
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                at.push('/');
                at.push_str(&number.to_string());
                leaves(value, at, places);
                at.truncate(length);
            }
        }
        // Depth at which generated values of recursive types end.
        Value::Null => {}
        _ => places.push(at.clone()),
    }
}

/// Generates a value of a schema, with every property.
fn made(model: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(model, schema);
    let mut properties: Map<String, Value> = Map::new();
    for part in schema["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([schema])
    {
        let part = resolved(model, part);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    }
    if depth > 12 {
        return Value::Null;
    }
    if !properties.is_empty() {
        let members = properties.iter();
        return Value::Object(
            members
                .map(|(name, it)| (name.clone(), made(model, it, depth + 1)))
                .collect(),
        );
    }
    let choice = schema["enum"].as_array().and_then(|it| it.first());
    match schema["type"].as_str() {
        _ if choice.is_some() => choice.cloned().unwrap(),
        Some("array") => match made(model, &schema["items"], depth + 1) {
            // A recursive type ends here.
            Value::Null => json!([]),
            item => json!([item]),
        },
        Some("integer") => json!(7),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("string") => json!("text"),
        _ => match schema["additionalProperties"].as_object() {
            Some(of) if !of.is_empty() => {
                json!({ "key": made(model, &schema["additionalProperties"], depth + 1) })
            }
            // An object without a fixed structure.
            _ => json!({}),
        },
    }
}

macro_rules! each_operation {
    ($check:ident, $($argument:expr),*) => {
        each_operation! { @each $check ($($argument),*)
            GetMarketplaceParticipations GetAccount CreateRestrictedDataToken
            SearchOrders GetOrder ConfirmShipment UpdateShipmentStatus GetOrderRegulatedInfo
            UpdateVerificationStatus SearchCatalogItems GetCatalogItem SearchListingsItems
            GetListingsItem PutListingsItem PatchListingsItem DeleteListingsItem
            GetListingsRestrictions SearchDefinitionsProductTypes GetDefinitionsProductType
            GetPricing GetCompetitivePricing GetListingOffers GetItemOffers GetItemOffersBatch
            GetListingOffersBatch GetFeaturedOfferExpectedPriceBatch GetCompetitiveSummary
            GetInventorySummaries ListTransactions ListBalances ListSummary
            GetReports CreateReport GetReport CancelReport GetReportSchedules CreateReportSchedule
            GetReportSchedule CancelReportSchedule GetReportDocument
            GetFeeds CreateFeed GetFeed CancelFeed CreateFeedDocument GetFeedDocument
            GetSubscriptions GetSubscription CreateSubscription GetSubscriptionById
            DeleteSubscriptionById SendTestNotification GetDestinations CreateDestination
            GetDestination DeleteDestination
            GetQueries CreateQuery GetQuery CancelQuery GetDocument
            CreateUploadDestinationForResource
        }
    };
    (@each $check:ident $arguments:tt $($operation:ident)*) => {
        $(each_operation! { @one $check $operation $arguments })*
    };
    (@one $check:ident $operation:ident ($($argument:expr),*)) => {
        $check::<$operation>($($argument),*);
    };
}

fn all() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().flat_map(|it| it.iter())
}

#[test]
fn every_example_is_decoded_and_kept_and_every_property_has_a_type() {
    let Some(models) = models() else { return };
    let mut counts = Counts::default();
    each_operation!(check_answers, &models, &mut counts);
    println!(
        "operations: {} of {}, successful examples decoded and kept: {}, properties with a type: {} of {}",
        counts.operations,
        all().count(),
        counts.examples,
        counts.properties - counts.untyped.len(),
        counts.properties
    );
    for untyped in &counts.untyped {
        println!("without a type: {untyped}");
    }
    assert_eq!(counts.operations, all().count());
    assert!(
        counts.examples >= 60 && counts.properties > 1000,
        "{counts:?}"
    );
    assert!(counts.untyped.is_empty(), "{:?}", counts.untyped);
}

#[test]
fn a_response_may_lack_fields_and_have_nulls_and_unknown_values() {
    let Some(models) = models() else { return };
    let mut checked = 0;
    fn check<E: SpApiOperation>(models: &BTreeMap<String, Value>, checked: &mut usize) {
        let (model, operation) = described(models, &E::OPERATION);
        for (_, response) in success(operation) {
            let Some(schema) = response.get("schema") else {
                continue;
            };
            let whole = made(model, schema, 0);
            let mut places = Vec::new();
            leaves(&whole, &mut String::new(), &mut places);
            for place in places {
                // Secrets and URLs, which are required in a response.
                let is_needed = ["/restrictedDataToken"].contains(&place.as_str());
                // An element of a list or map cannot be null.
                let last = place.rsplit('/').next().unwrap_or_default();
                let is_element = last == "key" || last.parse::<usize>().is_ok();
                if is_needed || is_element {
                    continue;
                }
                let mut null = whole.clone();
                *null.pointer_mut(&place).unwrap() = Value::Null;
                if let Err(error) = serde_json::from_value::<E::Answer>(null) {
                    panic!("{} {place} null: {error}", E::NAME);
                }
                let mut unknown = whole.clone();
                let value = unknown.pointer_mut(&place).unwrap();
                if value.is_string() {
                    *value = json!("A_VALUE_OF_NEXT_YEAR");
                    kept::<E::Answer>(&format!("{} {place}", E::NAME), &unknown);
                }
                *checked += 1;
            }
        }
    }
    each_operation!(check, &models, &mut checked);
    println!("properties that may be null or unknown: {checked}");
    assert!(checked > 1000);
}

/// A request with the name of its operation.
fn built<E: SpApiOperation>(operation: E) -> (Operation, Request) {
    operation
        .validate()
        .unwrap_or_else(|error| panic!("{}: {error}", E::NAME));
    (E::OPERATION, operation.request().unwrap())
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Every operation with all its arguments.
#[expect(clippy::too_many_lines, reason = "one table of all operations")]
fn requests() -> Vec<(Operation, Request)> {
    let m = || ["ATVPDKIKX0DER"];
    let t = "2026-11-20T00:00:00Z";
    let item_offers = || {
        read::<price_v0::GetItemOffersBatchRequest>(json!({ "requests": [{
        "uri": "/products/pricing/v0/items/B000000001/offers", "method": "GET",
        "MarketplaceId": "ATVPDKIKX0DER", "ItemCondition": "New", "CustomerType": "Consumer",
    }] }))
    };
    let listing_offers = || {
        read::<price_v0::GetListingOffersBatchRequest>(json!({ "requests": [{
        "uri": "/products/pricing/v0/listings/SKU-1/offers", "method": "GET",
        "MarketplaceId": "ATVPDKIKX0DER", "ItemCondition": "New",
    }] }))
    };
    let featured = || {
        read::<price::GetFeaturedOfferExpectedPriceBatchRequest>(json!({ "requests": [{
        "uri": "/products/pricing/2022-05-01/offer/featuredOfferExpectedPrice", "method": "GET",
        "marketplaceId": "ATVPDKIKX0DER", "sku": "SKU-1",
    }] }))
    };
    let summary = || {
        read::<price::CompetitiveSummaryBatchRequest>(json!({ "requests": [{
        "uri": "/products/pricing/2022-05-01/items/competitiveSummary", "method": "GET",
        "asin": "B000000001", "marketplaceId": "ATVPDKIKX0DER", "includedData": ["referencePrices"],
    }] }))
    };
    let shipment = || {
        read::<order_v0::ConfirmShipmentBody>(json!({
            "marketplaceId": "ATVPDKIKX0DER",
            "packageDetail": {
                "packageReferenceId": "1", "carrierCode": "FedEx", "trackingNumber": "1",
                "shipDate": t, "orderItems": [{ "orderItemId": "1", "quantity": 1 }],
            },
        }))
    };
    let pickup = || {
        read::<order_v0::UpdateShipmentStatusBody>(json!({
            "marketplaceId": "ATVPDKIKX0DER", "shipmentStatus": "ReadyForPickup",
        }))
    };
    let verification = || {
        read::<order_v0::UpdateVerificationStatusBody>(json!({
            "regulatedOrderVerificationStatus": { "status": "Approved", "externalReviewerId": "r" },
        }))
    };
    let attributes = json!({ "item_name": [{ "value": "x" }] })
        .as_object()
        .unwrap()
        .clone();
    let put = PutListing::new("LUGGAGE", attributes.clone());
    let patch = PatchListing::new("LUGGAGE")
        .with(PatchOperation::replace(
            "item_name",
            vec![attributes.clone()],
        ))
        .with(PatchOperation::add("brand", vec![attributes.clone()]))
        .with(PatchOperation::merge("brand", vec![attributes.clone()]))
        .with(PatchOperation::delete("brand", vec![attributes]));
    let regulated = "/orders/v0/orders/{orderId}/regulatedInfo";
    let resource = RestrictedResource::new(RestrictedMethod::Get, regulated);
    let restricted = RestrictedDataTokenBody::new([resource.with_data_elements(["buyerInfo"])]);
    vec![
        built(GetMarketplaceParticipations::new()),
        built(GetAccount::new()),
        built(CreateRestrictedDataToken::new(&restricted)),
        built(
            SearchOrders::new()
                .with_created_after(t)
                .with_created_before(t)
                .with_marketplace_ids(m())
                .with_fulfillment_statuses([order::FulfillmentStatus::Unshipped])
                .with_fulfilled_by([order::FulfilledBy::Merchant])
                .with_included_data([order::IncludedData::Buyer])
                .with_max_results_per_page(10_u32)
                .with_pagination_token("a+b/c="),
        ),
        built(
            SearchOrders::new()
                .with_last_updated_after(Timestamp::parse(t).unwrap())
                .with_last_updated_before(t),
        ),
        built(GetOrder::new("1").with_included_data([order::IncludedData::Tax])),
        built(ConfirmShipment::new("1", &shipment())),
        built(UpdateShipmentStatus::new("1", &pickup())),
        built(GetOrderRegulatedInfo::new("1")),
        built(UpdateVerificationStatus::new("1", &verification())),
        built(
            SearchCatalogItems::new(m())
                .with_identifiers(["SKU-1"])
                .with_identifiers_type(IdentifiersType::Sku)
                .with_seller_id("A1")
                .with_included_data([catalog::IncludedData::Summaries])
                .with_locale("en_US")
                .with_page_size(5_u32)
                .with_page_token("t"),
        ),
        built(
            SearchCatalogItems::new(m())
                .with_keywords(["red", "shoe"])
                .with_brand_names(["b"])
                .with_classification_ids(["c"])
                .with_keywords_locale("en_US"),
        ),
        built(
            GetCatalogItem::new("B000000001", m())
                .with_included_data([catalog::IncludedData::Images])
                .with_locale("en_US"),
        ),
        built(
            SearchListingsItems::new("A1", m())
                .with_issue_locale("en_US")
                .with_included_data([listing::IncludedData::Issues])
                .with_identifiers(["SKU-1"])
                .with_identifiers_type(listing::IdentifiersType::Sku)
                .with_variation_parent_sku("P")
                .with_package_hierarchy_sku("P")
                .with_created_after(t)
                .with_created_before(t)
                .with_last_updated_after(t)
                .with_last_updated_before(t)
                .with_issue_severity([WithIssueSeverity::Error])
                .with_status([ListingStatus::Buyable])
                .without_status([ListingStatus::Discoverable])
                .with_sort_by(SortBy::Sku)
                .with_sort_order(SortOrder::Asc)
                .with_page_size(5_u32)
                .with_page_token("t"),
        ),
        built(
            GetListingsItem::new("A1", "A/B", m())
                .with_issue_locale("en_US")
                .with_included_data([listing::IncludedData::Offers]),
        ),
        built(
            PutListingsItem::new("A1", "SKU-1", m(), &put)
                .with_issue_locale("en_US")
                .with_included_data([SubmissionData::Issues])
                .with_mode(Mode::ValidationPreview),
        ),
        built(
            PatchListingsItem::new("A1", "SKU-1", m(), &patch)
                .with_issue_locale("en_US")
                .with_included_data([SubmissionData::Identifiers])
                .with_mode(Mode::ValidationPreview),
        ),
        built(DeleteListingsItem::new("A1", "SKU-1", m()).with_issue_locale("en_US")),
        built(
            GetListingsRestrictions::new("B000000001", "A1", m())
                .with_condition_type(restriction::ConditionType::NewNew)
                .with_reason_locale("en_US")
                .with_product_type("LUGGAGE"),
        ),
        built(
            SearchDefinitionsProductTypes::new(m())
                .with_keywords(["luggage"])
                .with_item_name("x")
                .with_locale("en_US")
                .with_search_locale("en_US"),
        ),
        built(
            GetDefinitionsProductType::new("LUGGAGE", m())
                .with_seller_id("A1")
                .with_product_type_version("LATEST")
                .with_requirements(product_type::Requirements::Listing)
                .with_requirements_enforced(product_type::RequirementsEnforced::Enforced)
                .with_locale(product_type::Locale::EnUs)
                .with_parentage_level(product_type::ParentageLevel::None),
        ),
        built(
            GetPricing::new("ATVPDKIKX0DER", ItemType::Asin)
                .with_asins(["B000000001"])
                .with_item_condition(ItemCondition::New)
                .with_offer_type(OfferCustomerType::B2c),
        ),
        built(GetPricing::new("ATVPDKIKX0DER", ItemType::Sku).with_skus(["SKU-1"])),
        built(
            GetCompetitivePricing::new("ATVPDKIKX0DER", ItemType::Asin)
                .with_asins(["B000000001"])
                .with_customer_type(CustomerType::Consumer),
        ),
        built(GetCompetitivePricing::new("ATVPDKIKX0DER", ItemType::Sku).with_skus(["SKU-1"])),
        built(
            GetListingOffers::new("A B", "ATVPDKIKX0DER", ItemCondition::New)
                .with_customer_type(CustomerType::Consumer),
        ),
        built(
            GetItemOffers::new("B000000001", "ATVPDKIKX0DER", ItemCondition::New)
                .with_customer_type(CustomerType::Business),
        ),
        built(GetItemOffersBatch::new(&item_offers())),
        built(GetListingOffersBatch::new(&listing_offers())),
        built(GetFeaturedOfferExpectedPriceBatch::new(&featured())),
        built(GetCompetitiveSummary::new(&summary())),
        built(
            GetInventorySummaries::new(GranularityType::Marketplace, "ATVPDKIKX0DER", m())
                .with_details(true)
                .with_start_date_time(t)
                .with_seller_skus(["SKU-1"])
                .with_seller_sku("A,B")
                .with_next_token("t"),
        ),
        built(
            ListTransactions::new()
                .with_posted_after(t)
                .with_posted_before(t)
                .with_marketplace_id("ATVPDKIKX0DER")
                .with_transaction_status("RELEASED")
                .with_related_identifier_name("ORDER_ID")
                .with_related_identifier_value("1")
                .with_next_token("t"),
        ),
        built(
            ListBalances::new()
                .with_marketplace_ids(m())
                .with_balance_type("TOTAL")
                .with_account_type("x")
                .with_as_of_date(t)
                .with_next_token("t"),
        ),
        built(
            ListSummary::new()
                .with_marketplace_ids(m())
                .with_account_type("x")
                .with_related_identifier_name("ORDER_ID")
                .with_related_identifier_value("1")
                .with_period_start(t)
                .with_period_end(t)
                .with_next_token("t"),
        ),
    ]
    .into_iter()
    .chain(others())
    .collect()
}

#[test]
fn every_request_has_the_path_the_parameters_and_the_required_fields_of_its_model() {
    let Some(models) = models() else { return };
    let (mut sent, mut covered) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<String>>::new());
    for (operation, request) in requests() {
        let (model, _) = described(&models, &operation);
        let name = operation.name;
        assert_eq!(request.method().as_str(), operation.method, "{name}");
        let (path, query) = request
            .target()
            .split_once('?')
            .unwrap_or((request.target(), ""));
        let (parts, wanted) = (path.split('/'), operation.path.split('/'));
        assert_eq!(
            parts.clone().count(),
            wanted.clone().count(),
            "{name}: {path}"
        );
        assert!(
            parts
                .zip(wanted)
                .all(|(it, wanted)| wanted.starts_with('{') || it == wanted),
            "{path}"
        );
        let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let parameters = parameters(model, &operation);
        let named = |it: &str| parameters.iter().find(|parameter| parameter["name"] == it);
        for (parameter, value) in &query {
            let described = named(parameter).unwrap_or_else(|| panic!("{name} has no {parameter}"));
            assert_eq!(described["in"], "query", "{name}: {parameter}");
            let choices = described["enum"]
                .as_array()
                .or(described["items"]["enum"].as_array());
            if let Some(choices) = choices {
                for value in value.split(',') {
                    assert!(
                        choices.contains(&json!(value)),
                        "{name}: {parameter}={value}"
                    );
                }
            }
            covered.entry(name).or_default().insert(parameter.clone());
        }
        let is_next = ["nextToken", "paginationToken"]
            .iter()
            .any(|it| query.contains_key(*it));
        for parameter in &parameters {
            let parameter_name = parameter["name"].as_str().unwrap();
            let is_required = parameter["required"] == true && !is_next;
            match parameter["in"].as_str().unwrap() {
                "query" if is_required => assert!(
                    query.contains_key(parameter_name),
                    "{name}: {parameter_name}"
                ),
                "path" => assert!(operation.path.contains(&format!("{{{parameter_name}}}"))),
                "body" => {
                    let body: Value = serde_json::from_slice(request.bytes()).unwrap();
                    required(model, &parameter["schema"], &body, name);
                }
                _ => {}
            }
        }
        let takes_body = parameters.iter().any(|it| it["in"] == "body");
        assert_eq!(takes_body, !request.bytes().is_empty(), "{name}: the body");
        sent.insert(name);
    }
    let names: BTreeSet<&str> = all().map(|it| it.name).collect();
    assert_eq!(sent, names, "every operation is built");
    let (mut known, mut missing) = (0, Vec::new());
    for operation in all() {
        let (model, _) = described(&models, operation);
        for parameter in parameters(model, operation) {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            known += 1;
            let is_covered = covered
                .get(operation.name)
                .is_some_and(|it| it.contains(name));
            if !is_covered {
                missing.push(format!("{} {name}", operation.name));
            }
        }
    }
    println!(
        "operations checked: {}, parameters of queries: {} of {known}",
        sent.len(),
        known - missing.len()
    );
    println!("parameters without a method: {missing:?}");
    // Amazon requires that a page token is the only parameter; `PagedEndpoint::at` ensures this.
    missing.retain(|it| !it.ends_with(" nextToken") && !it.ends_with(" paginationToken"));
    assert_eq!(missing, OMITTED, "parameters without a method");
}

/// Checks the required members of a body.
fn required(model: &Value, schema: &Value, body: &Value, name: &str) {
    let schema = resolved(model, schema);
    for part in schema["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([schema])
    {
        let part = resolved(model, part);
        for member in part["required"].as_array().into_iter().flatten() {
            let member = member.as_str().unwrap();
            assert!(
                body.get(member).is_some(),
                "{name}: {member} is missing in {body}"
            );
        }
        for (member, property) in part["properties"].as_object().into_iter().flatten() {
            if let Some(value) = body.get(member) {
                required(model, property, value, name);
            }
        }
    }
    if let Some(items) = body.as_array() {
        for item in items {
            required(model, &schema["items"], item, name);
        }
    }
}

/// Compares the default plans with the tables in the models' descriptions.
#[test]
fn default_plans_are_at_most_those_of_the_models() {
    let Some(models) = models() else { return };
    let mut compared = 0;
    for operation in all() {
        let (_, found) = described(&models, operation);
        let text = found["description"].as_str().unwrap_or_default();
        let numbers = text.lines().filter_map(|line| {
            let mut cells = line.split('|').map(|it| it.trim().parse::<f64>().ok());
            let (_, rate, burst) = (cells.next()?, cells.next()??, cells.next()??);
            Some((rate, burst))
        });
        for (rate, burst) in numbers.take(1) {
            let plan = operation.plan;
            assert!(
                plan.per_second <= rate + 1e-9,
                "{}: {} > {rate}",
                operation.name,
                plan.per_second
            );
            assert!(
                f64::from(plan.burst) <= burst,
                "{}: {} > {burst}",
                operation.name,
                plan.burst
            );
            compared += 1;
        }
    }
    println!(
        "plans compared with the models: {compared} of {}",
        all().count()
    );
    assert!(compared > 40);
}

/// Requests every example of every model from the simulator's model mode, for all operations.
#[tokio::test]
async fn the_simulator_answers_every_example_of_the_models() {
    let (Some(models), Some(directory)) = (models(), directory()) else {
        return;
    };
    let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
    let simulator = Simulator::builder(clock)
        .with_models(directory)
        .start()
        .await
        .unwrap();
    let (token, _) = simulator.authority().issue(SELLER, &[]).unwrap();
    let transport = simulator.server().transport();
    let typed: BTreeSet<&str> = all().map(|it| it.path).collect();
    let (mut asked, mut exact, mut typed_asked, mut typed_exact) = (0, 0, 0, 0);
    let mut other = Vec::new();
    for model in models.values() {
        for (path, item) in model["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(responses) = operation["responses"].as_object() else {
                    continue;
                };
                let described = Described { path, method };
                for (status, response) in responses {
                    let examples = response["x-amzn-api-sandbox"]["static"].as_array();
                    for example in examples.into_iter().flatten() {
                        let (target, body) = described.filled(model, operation, item, example);
                        let url = format!("{}{target}", Region::Na.sandbox());
                        let request = http::Request::builder()
                            .method(method.to_ascii_uppercase().as_str())
                            .uri(url)
                            .header("x-amz-access-token", token.expose_secret())
                            .header("user-agent", "Test/1.0 (Language=Rust)")
                            .header("content-type", "application/json");
                        let request = request.body(Bytes::from(body)).unwrap();
                        let answer = transport.send(OutboundRequest::new(request)).await.unwrap();
                        let found: Value =
                            serde_json::from_slice(answer.body()).unwrap_or_default();
                        let wanted = example.get("response").cloned().unwrap_or_default();
                        let is_exact = answer.status().as_str() == status && found == wanted;
                        asked += 1;
                        exact += usize::from(is_exact);
                        if typed.contains(path.as_str()) {
                            typed_asked += 1;
                            typed_exact += usize::from(is_exact);
                        }
                        if !is_exact {
                            other.push(format!("{method} {path} {status}"));
                        }
                    }
                }
            }
        }
    }
    println!(
        "examples answered exactly: {exact} of {asked}; of typed operations: {typed_exact} of {typed_asked}"
    );
    println!("answered by another example with as many conditions: {other:?}");
    assert!(
        asked > 900 && exact * 100 >= asked * 95,
        "{exact} of {asked}"
    );
    let _ = AmazonSpApi::ID;
}

struct Described<'m> {
    path: &'m str,
    method: &'m str,
}

impl Described<'_> {
    /// The target and body of a request with the parameters of an example.
    fn filled(
        &self,
        model: &Value,
        operation: &Value,
        item: &Value,
        example: &Value,
    ) -> (String, String) {
        let lists = [&item["parameters"], &operation["parameters"]];
        let lists = lists.into_iter().filter_map(Value::as_array).flatten();
        let described: Vec<&Value> = lists.map(|it| resolved(model, it)).collect();
        let (mut path, mut query, mut body) = (self.path.to_owned(), Vec::new(), Value::Null);
        let conditions = example["request"]["parameters"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, condition) in &conditions {
            let value = match condition.get("value") {
                Some(value) => value.clone(),
                None if condition.as_object().is_some_and(|it| !it.is_empty()) => condition.clone(),
                None => continue,
            };
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            let joined = match &value {
                Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
                value => text(value),
            };
            let place = described
                .iter()
                .find(|it| it["name"] == **name)
                .map(|it| it["in"].as_str().unwrap());
            match place {
                Some("path") => {
                    let encoded: String = percent_encoding::utf8_percent_encode(
                        &joined,
                        percent_encoding::NON_ALPHANUMERIC,
                    )
                    .collect();
                    path = path.replace(&format!("{{{name}}}"), &encoded);
                }
                Some("query") => query.push((name.clone(), joined)),
                Some("header") => {}
                _ if self.method == "get" => {}
                _ => body = value,
            }
        }
        while let Some((begin, end)) = path.find('{').zip(path.find('}')) {
            path.replace_range(begin..=end, "any");
        }
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{query}")
        };
        (
            target,
            if body.is_null() {
                String::new()
            } else {
                body.to_string()
            },
        )
    }
}

/// The decoder of every operation rejects a body that is not JSON. The error does not quote the
/// body.
#[test]
fn a_response_that_is_no_json_is_an_error_that_quotes_nothing() {
    fn check<E: SpApiOperation>(count: &mut usize) {
        let answer = http::Response::new(Bytes::from_static(b"<html>tell-nobody</html>"));
        let response = Response::new(AmazonSpApi::ID, E::NAME, Timestamp::UNIX_EPOCH, answer);
        if let Err(error) = E::read(&response) {
            assert!(!error.report().contains("tell-nobody"), "{error}");
            *count += 1;
        }
    }
    let mut count = 0;
    each_operation!(check, &mut count);
    println!("decoders that refuse HTML: {count} of {}", all().count());
    assert_eq!(count, all().count());
}

/// Parameters that no method sets. The content encoding of documents keeps Amazon's default, which
/// the document decoder requires.
const OMITTED: [&str; 2] = [
    "GetFeedDocument enableContentEncodingUrlHeader",
    "GetReportDocument enableContentEncodingUrlHeader",
];

/// The operations of reports, feeds, notifications, Data Kiosk and uploads, with all their
/// arguments.
fn others() -> Vec<(Operation, Request)> {
    use connector_amazon_spapi::flows::ProcessingStatus;
    use notification::{
        DestinationSpecification, NotificationType, SubscriptionSpecification,
        TestNotificationSpecification,
    };
    let m = || ["ATVPDKIKX0DER"];
    let t = "2026-11-20T00:00:00Z";
    let kind = || NotificationType::from("ORDER_CHANGE");
    let report = report::ReportSpecification::new("GET_MERCHANT_LISTINGS_ALL_DATA", m())
        .with_start(t)
        .with_end(t)
        .with_option("a", "b");
    let schedule = report::ReportScheduleSpecification::new(
        "GET_MERCHANT_LISTINGS_ALL_DATA",
        m(),
        report::SchedulePeriod::from("P1D"),
    );
    let feed = FeedSpecification::new("JSON_LISTINGS_FEED", m(), "document");
    let document = FeedDocumentSpecification::new("application/json; charset=UTF-8");
    let subscription = SubscriptionSpecification::new("1.0", "destination");
    let test = TestNotificationSpecification::new("destination", "1.0").with_scenario("x");
    let destination =
        DestinationSpecification::sqs("queue", "arn:aws:sqs:us-east-2:000000000000:q");
    let query = data_kiosk::QuerySpecification::new("query { x }").with_pagination_token("t");
    vec![
        built(
            GetReports::new()
                .with_report_types(["X"])
                .with_processing_statuses([ProcessingStatus::Done])
                .with_marketplace_ids(m())
                .with_page_size(10_u32)
                .with_created_since(t)
                .with_created_until(t),
        ),
        built(CreateReport::new(&report)),
        built(GetReport::new("1")),
        built(CancelReport::new("1")),
        built(GetReportSchedules::new(["X"])),
        built(CreateReportSchedule::new(&schedule)),
        built(GetReportSchedule::new("1")),
        built(CancelReportSchedule::new("1")),
        built(GetReportDocument::new("1")),
        built(
            GetFeeds::new()
                .with_feed_types(["X"])
                .with_processing_statuses([ProcessingStatus::Done])
                .with_marketplace_ids(m())
                .with_page_size(10_u32)
                .with_created_since(t)
                .with_created_until(t),
        ),
        built(CreateFeed::new(&feed)),
        built(GetFeed::new("1")),
        built(CancelFeed::new("1")),
        built(CreateFeedDocument::new(&document)),
        built(GetFeedDocument::new("1")),
        built(
            GetSubscriptions::new([kind()])
                .with_payload_version("1.0")
                .with_page_size(50_u32),
        ),
        built(GetSubscription::new(kind()).with_payload_version("1.0")),
        built(CreateSubscription::new(kind(), &subscription)),
        built(GetSubscriptionById::new(kind(), "1")),
        built(DeleteSubscriptionById::new(kind(), "1")),
        built(SendTestNotification::new(kind(), &test)),
        built(GetDestinations::new()),
        built(CreateDestination::new(&destination)),
        built(GetDestination::new("1")),
        built(DeleteDestination::new("1")),
        built(
            GetQueries::new()
                .with_processing_statuses([ProcessingStatus::Done])
                .with_page_size(10_u32)
                .with_created_since(t)
                .with_created_until(t),
        ),
        built(CreateQuery::new(&query)),
        built(GetQuery::new("1")),
        built(CancelQuery::new("1")),
        built(GetDocument::new("1")),
        built(
            CreateUploadDestinationForResource::new(m(), "md5", "messaging")
                .with_content_type("application/pdf"),
        ),
    ]
}
