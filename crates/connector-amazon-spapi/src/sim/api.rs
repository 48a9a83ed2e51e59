//! Rules and example data of the simulator: sellers, orders, catalog, listings, product types,
//! prices, inventory, finances.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Map, Value, json};

use super::{Call, denied, invalid, missing};
use crate::{Marketplace, Region};

/// Delay until an accepted submission is applied.
const APPLIED_AFTER: Duration = Duration::from_secs(120);
/// Minimum age of the end of a search window.
const SETTLED: Duration = Duration::from_secs(120);
/// Lifetime of a page token of FBA Inventory.
const INVENTORY_TOKEN: Duration = Duration::from_secs(30);
/// Lifetime of a page token of Orders.
const ORDERS_TOKEN: Duration = Duration::from_secs(24 * 3600);
/// The product in the catalog.
const ASIN: &str = "B000000001";

/// The data.
#[derive(Default)]
pub(super) struct State {
    sellers: BTreeMap<String, Seller>,
}

/// The data of one seller.
#[derive(Default)]
pub(super) struct Seller {
    pub(super) regions: Vec<Region>,
    pub(super) orders: Vec<Value>,
    pub(super) listings: BTreeMap<String, Value>,
    pending: Vec<(Timestamp, String, Change)>,
    pub(super) inventory: Vec<Value>,
    pub(super) transactions: Vec<Value>,
}

enum Change {
    Put(Value),
    Patch(Value),
    Delete,
}

type Answer = Result<Value, Response>;

impl State {
    /// Adds a seller with example data in a region.
    pub(super) fn add(&mut self, id: &str, region: Region, now: Timestamp) {
        let seller = self.sellers.entry(id.to_owned()).or_default();
        seller.regions.push(region);
        if !seller.orders.is_empty() {
            return;
        }
        for number in 1..=3_u64 {
            seller.orders.push(order(number, now, region));
        }
        let marketplace = home(region).id();
        seller
            .listings
            .insert("SKU-1".to_owned(), listing("SKU-1", marketplace, now));
        seller.inventory.push(json!({
            "asin": ASIN, "fnSku": "X000000001", "sellerSku": "SKU-1", "condition": "NewItem",
            "lastUpdatedTime": now.to_string(), "productName": "Example product",
            "totalQuantity": 12, "stores": [],
            "inventoryDetails": { "fulfillableQuantity": 10, "inboundShippedQuantity": 2 },
        }));
        seller.transactions.push(json!({
            "transactionId": "T1", "transactionType": "Shipment", "transactionStatus": "RELEASED",
            "description": "Order Payment", "postedDate": now.to_string(),
            "sellingPartnerMetadata": { "sellingPartnerId": id, "marketplaceId": marketplace },
            "totalAmount": { "currencyAmount": 17.99, "currencyCode": "USD" },
            "relatedIdentifiers": [{
                "relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": "900-0000000-0000001",
            }],
        }));
    }

    pub(super) fn seller(&mut self, id: &str) -> &mut Seller {
        self.sellers.entry(id.to_owned()).or_default()
    }

    /// Returns true if the seller sells in the region of a host.
    pub(super) fn sells_at(&self, id: &str, host: &str) -> bool {
        self.sellers.get(id).is_some_and(|seller| {
            seller.regions.iter().any(|region| {
                [region.endpoint(), region.sandbox()]
                    .iter()
                    .any(|it| it.strip_prefix("https://") == Some(host))
            })
        })
    }
}

fn home(region: Region) -> Marketplace {
    match region {
        Region::Na => Marketplace::Us,
        Region::Eu => Marketplace::De,
        Region::Fe => Marketplace::Jp,
    }
}

fn order(number: u64, now: Timestamp, region: Region) -> Value {
    let marketplace = home(region);
    json!({
        "orderId": format!("900-0000000-{number:07}"),
        "createdTime": now.before(Duration::from_secs(86_400 * number)).to_string(),
        "lastUpdatedTime": now.before(Duration::from_secs(3600 * number)).to_string(),
        "programs": ["PRIME"],
        "salesChannel": {
            "channelName": "AMAZON", "marketplaceId": marketplace.id(),
            "marketplaceName": format!("Amazon {marketplace}"),
        },
        "buyer": { "buyerName": "Example Buyer", "buyerEmail": "buyer@example.com" },
        "recipient": { "deliveryAddress": {
            "name": "Example Buyer", "addressLine1": "1 Example Street", "city": "Example City",
            "postalCode": "00000", "countryCode": marketplace.code(),
        } },
        "proceeds": { "grandTotal": { "amount": "17.99", "currencyCode": "USD" } },
        "fulfillment": { "fulfillmentStatus": "UNSHIPPED", "fulfilledBy": "MERCHANT" },
        "orderItems": [{
            "orderItemId": format!("{number:014}"), "quantityOrdered": 1,
            "product": { "asin": ASIN, "title": "Example product", "sellerSku": "SKU-1" },
            "proceeds": { "proceedsTotal": { "amount": "17.99", "currencyCode": "USD" } },
            "fulfillment": { "quantityFulfilled": 0, "quantityUnfulfilled": 1 },
        }],
    })
}

fn listing(sku: &str, marketplace: &str, now: Timestamp) -> Value {
    json!({
        "sku": sku,
        "summaries": [{
            "marketplaceId": marketplace, "asin": ASIN, "productType": "LUGGAGE",
            "conditionType": "new_new", "status": ["BUYABLE", "DISCOVERABLE"],
            "itemName": "Example product", "createdDate": now.to_string(),
            "lastUpdatedDate": now.to_string(),
        }],
        "attributes": { "item_name": [{ "value": "Example product", "marketplace_id": marketplace }] },
        "issues": [],
        "offers": [{
            "marketplaceId": marketplace, "offerType": "B2C",
            "price": { "currencyCode": "USD", "amount": "17.99" },
        }],
        "fulfillmentAvailability": [{ "fulfillmentChannelCode": "DEFAULT", "quantity": 10 }],
    })
}

/// Responds to a call of this API; `None` for other calls.
pub(super) fn answer(state: &mut State, call: &Call<'_>) -> Option<Response> {
    let (method, path) = call.route();
    let seller = state.seller(call.seller);
    seller.apply(call.now);
    let found: Answer = match (method, path.as_slice()) {
        ("GET", ["sellers", "v1", "marketplaceParticipations"]) => {
            Ok(json!({ "payload": seller.participations() }))
        }
        ("GET", ["sellers", "v1", "account"]) => Ok(json!({ "payload": {
            "businessType": "PRIVATE_LIMITED", "sellingPlan": "PROFESSIONAL",
            "marketplaceParticipationList": seller.participations(),
            "business": { "name": "Example Ltd", "registeredBusinessAddress": {
                "addressLine1": "1 Example Street", "city": "Example City", "countryCode": "US",
            } },
        } })),
        ("GET", ["vendor", "orders", "v1", "purchaseOrders"]) => {
            Ok(json!({ "payload": { "orders": [] } }))
        }
        ("GET", ["orders", "2026-01-01", "orders"]) => seller.search_orders(call),
        ("GET", ["orders", "2026-01-01", "orders", id]) => seller.order(call, id),
        (_, ["orders", "v0", "orders", id, rest @ ..]) => {
            return Some(seller.order_v0(call, id, method, rest));
        }
        ("GET", ["catalog", "2022-04-01", "items"]) => search_catalog(call),
        ("GET", ["catalog", "2022-04-01", "items", asin]) => catalog_item(call, asin),
        ("GET", ["listings", "2021-08-01", "restrictions"]) => Ok(json!({ "restrictions": [] })),
        (_, ["listings", "2021-08-01", "items", id, rest @ ..]) => {
            if *id == call.seller {
                seller.listing(call, method, rest)
            } else {
                Err(denied())
            }
        }
        ("GET", ["definitions", "2020-09-01", "productTypes"]) => Ok(json!({
            "productTypes": [{
                "name": "LUGGAGE", "displayName": "Luggage", "marketplaceIds": call.list("marketplaceIds"),
            }],
            "productTypeVersion": "U000000000000000",
        })),
        ("GET", ["definitions", "2020-09-01", "productTypes", name]) => definition(call, name),
        (_, ["products", "pricing", "v0", rest @ ..]) => prices(call, rest),
        ("POST", ["batches", "products", "pricing", version, rest @ ..]) => {
            batch(call, version, rest)
        }
        ("GET", ["fba", "inventory", "v1", "summaries"]) => seller.inventory(call),
        ("GET", ["finances", "2024-06-19", kind]) => seller.finances(call, kind),
        _ => return None,
    };
    Some(found.map_or_else(|refusal| refusal, |body| Response::json(200, &body)))
}

/// Returns one page of `items`, and the token of the next page. A token is valid only with the same
/// arguments, except for the arguments in `free`.
fn paged(
    call: &Call<'_>,
    items: Vec<Value>,
    (size, most): (&str, usize),
    token: &str,
    free: &[&str],
    lifetime: Duration,
) -> Result<(Vec<Value>, Option<String>), Response> {
    let mut hasher = DefaultHasher::new();
    let fixed = call
        .query
        .iter()
        .filter(|(name, _)| *name != token && *name != size && !free.contains(&name.as_str()));
    fixed.collect::<Vec<_>>().hash(&mut hasher);
    let fingerprint = hasher.finish();
    let begin = match call.get(token) {
        None => 0,
        Some(text) => {
            let read = text.strip_prefix('+').and_then(|it| it.strip_suffix('='));
            let parts: Vec<&str> = read.unwrap_or_default().split('/').collect();
            let number = |at: usize| parts.get(at).and_then(|it| it.parse::<u64>().ok());
            let (Some(begin), Some(known), Some(issued)) = (number(0), number(1), number(2)) else {
                return Err(invalid("The token is invalid."));
            };
            let issued = Timestamp::from_unix_seconds(i64::try_from(issued).unwrap_or_default());
            if known != fingerprint || call.now.since(issued) >= lifetime {
                return Err(invalid(
                    "The token has expired or belongs to other parameters.",
                ));
            }
            usize::try_from(begin).unwrap_or(usize::MAX)
        }
    };
    let size = call.get(size).and_then(|it| it.parse().ok());
    let size = size.unwrap_or(most).clamp(1, most);
    let end = begin.saturating_add(size);
    let next = (end < items.len()).then(|| {
        let issued = call.now.as_unix_millis() / 1000;
        format!("+{end}/{fingerprint}/{issued}=")
    });
    let page = items.into_iter().skip(begin).take(size);
    Ok((page.collect(), next))
}

/// Parses a time in the query.
fn time(call: &Call<'_>, name: &str) -> Result<Option<Timestamp>, Response> {
    let read = |text: &str| Timestamp::parse(text).ok_or_else(|| invalid("A time is malformed."));
    call.get(name).map(read).transpose()
}

/// Keeps only those optional members that `included` names.
fn with_included(mut object: Value, optional: &[(&str, &str)], included: &[&str]) -> Value {
    if let Some(members) = object.as_object_mut() {
        for (name, data) in optional {
            if !included.contains(data) {
                members.remove(*name);
            }
        }
    }
    object
}

/// Members of an order by data set.
const ORDER_DATA: &[(&str, &str)] = &[
    ("buyer", "BUYER"),
    ("recipient", "RECIPIENT"),
    ("proceeds", "PROCEEDS"),
    ("fulfillment", "FULFILLMENT"),
    ("packages", "PACKAGES"),
    ("tax", "TAX"),
    ("payment", "PAYMENT"),
];
const LISTING_DATA: &[(&str, &str)] = &[
    ("summaries", "summaries"),
    ("attributes", "attributes"),
    ("issues", "issues"),
    ("offers", "offers"),
    ("fulfillmentAvailability", "fulfillmentAvailability"),
    ("productTypes", "productTypes"),
];

impl Seller {
    fn participations(&self) -> Value {
        let markets = Marketplace::ALL.iter();
        let markets = markets.filter(|it| self.regions.contains(&it.region()));
        markets
            .map(|it| {
                json!({
                    "marketplace": {
                        "id": it.id(), "name": format!("Amazon {it}"), "countryCode": it.code(),
                        "defaultCurrencyCode": "USD", "defaultLanguageCode": "en_US",
                        "domainName": "www.amazon.example",
                    },
                    "participation": { "isParticipating": true, "hasSuspendedListings": false },
                    "storeName": "Example Store",
                })
            })
            .collect()
    }

    fn search_orders(&self, call: &Call<'_>) -> Answer {
        let created = time(call, "createdAfter")?;
        let updated = time(call, "lastUpdatedAfter")?;
        let (member, after, before) = match (created, updated) {
            (Some(after), None) => ("createdTime", after, time(call, "createdBefore")?),
            (None, Some(after)) => ("lastUpdatedTime", after, time(call, "lastUpdatedBefore")?),
            _ => {
                return Err(invalid(
                    "Exactly one of createdAfter and lastUpdatedAfter is required.",
                ));
            }
        };
        let settled = call.now.before(SETTLED);
        if before.is_some_and(|it| it > settled) {
            return Err(invalid(
                "The end of the window is less than two minutes in the past.",
            ));
        }
        let before = before.unwrap_or(settled);
        let (markets, states) = (
            call.list("marketplaceIds"),
            call.list("fulfillmentStatuses"),
        );
        let is_of = |list: &[&str], value: &Value| {
            list.is_empty() || value.as_str().is_some_and(|it| list.contains(&it))
        };
        let included = call.list("includedData");
        let orders = self.orders.iter().filter(|order| {
            let at = order[member].as_str().and_then(Timestamp::parse);
            at.is_some_and(|at| at >= after && at < before)
                && is_of(&markets, &order["salesChannel"]["marketplaceId"])
                && is_of(&states, &order["fulfillment"]["fulfillmentStatus"])
        });
        let orders = orders.map(|it| with_included(it.clone(), ORDER_DATA, &included));
        let size = ("maxResultsPerPage", 100);
        let free = ["includedData"];
        let (orders, next) = paged(
            call,
            orders.collect(),
            size,
            "paginationToken",
            &free,
            ORDERS_TOKEN,
        )?;
        let mut body = json!({ "orders": orders });
        if let Some(next) = next {
            body["pagination"] = json!({ "nextToken": next });
        }
        let end = member.replace("Time", "Before");
        body[end] = before.to_string().into();
        Ok(body)
    }

    fn order(&self, call: &Call<'_>, id: &str) -> Answer {
        let order = self.orders.iter().find(|it| it["orderId"] == id);
        let order = order.cloned().ok_or_else(missing)?;
        let order = with_included(order, ORDER_DATA, &call.list("includedData"));
        Ok(json!({ "order": order }))
    }

    fn order_v0(&mut self, call: &Call<'_>, id: &str, method: &str, rest: &[&str]) -> Response {
        let Some(order) = self.orders.iter_mut().find(|it| it["orderId"] == id) else {
            return missing();
        };
        let body = call.request.json();
        match (method, rest) {
            ("POST", ["shipmentConfirmation"]) => {
                let detail = &body["packageDetail"];
                if detail["trackingNumber"].as_str().is_none() || body["marketplaceId"].is_null() {
                    return invalid("A required member is missing.");
                }
                order["fulfillment"]["fulfillmentStatus"] = "SHIPPED".into();
                order["lastUpdatedTime"] = call.now.to_string().into();
                Response::new(204, "application/json", "")
            }
            ("POST", ["shipment"]) if body["shipmentStatus"].is_string() => {
                Response::new(204, "application/json", "")
            }
            ("PATCH", ["regulatedInfo"])
                if body["regulatedOrderVerificationStatus"].is_object() =>
            {
                Response::new(204, "application/json", "")
            }
            ("GET", ["regulatedInfo"]) if !call.is_restricted => denied(),
            ("GET", ["regulatedInfo"]) => Response::json(
                200,
                &json!({ "payload": {
                "AmazonOrderId": id,
                "RegulatedInformation": { "Fields": [{
                    "FieldId": "pet_name", "FieldLabel": "Name", "FieldType": "Text",
                    "FieldValue": "Example",
                }] },
                "RequiresDosageLabel": false,
                "RegulatedOrderVerificationStatus": {
                    "Status": "Pending", "RequiresMerchantAction": true,
                    "ValidRejectionReasons": [],
                },
            } }),
            ),
            _ => invalid("The request is invalid."),
        }
    }

    fn inventory(&self, call: &Call<'_>) -> Answer {
        let market = call.list("marketplaceIds");
        if call.get("granularityType") != Some("Marketplace") || market.len() != 1 {
            return Err(invalid("One marketplace is required."));
        }
        let wanted = [call.list("sellerSkus"), call.list("sellerSku")].concat();
        let since = time(call, "startDateTime")?;
        let items = self.inventory.iter().filter(|it| {
            let updated = it["lastUpdatedTime"].as_str().and_then(Timestamp::parse);
            (wanted.is_empty()
                || it["sellerSku"]
                    .as_str()
                    .is_some_and(|sku| wanted.contains(&sku)))
                && since.is_none_or(|since| updated.is_some_and(|it| it >= since))
        });
        let details = if call.get("details") == Some("true") {
            &["details"][..]
        } else {
            &[]
        };
        let items =
            items.map(|it| with_included(it.clone(), &[("inventoryDetails", "details")], details));
        let size = ("", 50);
        let (items, next) = paged(
            call,
            items.collect(),
            size,
            "nextToken",
            &[],
            INVENTORY_TOKEN,
        )?;
        let granularity = json!({ "granularityType": "Marketplace", "granularityId": market[0] });
        let mut body = json!({
            "payload": { "granularity": granularity, "inventorySummaries": items },
        });
        if let Some(next) = next {
            body["pagination"] = json!({ "nextToken": next });
        }
        Ok(body)
    }

    fn finances(&self, call: &Call<'_>, kind: &str) -> Answer {
        match kind {
            "transactions" => {
                let after = time(call, "postedAfter")?;
                if after.is_none() && call.get("relatedIdentifierName").is_none() {
                    return Err(invalid("postedAfter is required."));
                }
                let before = time(call, "postedBefore")?;
                let related = call.get("relatedIdentifierValue");
                let found = self.transactions.iter().filter(|it| {
                    let at = it["postedDate"].as_str().and_then(Timestamp::parse);
                    let mut ids = it["relatedIdentifiers"].as_array().into_iter().flatten();
                    at.is_some_and(|at| {
                        after.is_none_or(|it| at >= it) && before.is_none_or(|it| at < it)
                    }) && related.is_none_or(|it| ids.any(|id| id["relatedIdentifierValue"] == it))
                });
                let found = found.cloned().collect();
                let (found, next) = paged(call, found, ("", 100), "nextToken", &[], ORDERS_TOKEN)?;
                let mut payload = json!({ "transactions": found });
                if let Some(next) = next {
                    payload["nextToken"] = next.into();
                }
                Ok(json!({ "payload": payload }))
            }
            "balances" => Ok(json!({ "balances": [{
                "balanceType": "TOTAL", "asOfDate": call.now.to_string(),
                "amount": { "currencyAmount": 17.99, "currencyCode": "USD" },
                "partnerMetadata": { "partnerId": call.seller },
            }] })),
            "summary" => Ok(json!({ "summaries": [{
                "netProceeds": { "currencyAmount": 17.99, "currencyCode": "USD" },
                "partnerMetadata": { "partnerId": call.seller },
            }] })),
            _ => Err(missing()),
        }
    }

    /// Applies the submissions that are due.
    pub(super) fn apply(&mut self, now: Timestamp) {
        let (due, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _, _)| *at <= now);
        self.pending = rest;
        for (at, sku, change) in due {
            match change {
                Change::Delete => drop(self.listings.remove(&sku)),
                Change::Put(listing) => drop(self.listings.insert(sku, listing)),
                // Amazon accepts a patch of a SKU that does not exist, without any effect.
                Change::Patch(body) => {
                    if let Some(listing) = self.listings.get_mut(&sku) {
                        patch(listing, &body);
                        listing["summaries"][0]["lastUpdatedDate"] = at.to_string().into();
                    }
                }
            }
        }
    }

    fn listing(&mut self, call: &Call<'_>, method: &str, rest: &[&str]) -> Answer {
        let market = call.list("marketplaceIds");
        let Some(market) = market.first() else {
            return Err(invalid("marketplaceIds is required."));
        };
        let included = match call.list("includedData") {
            none if none.is_empty() => vec!["summaries"],
            included => included,
        };
        if rest.is_empty() {
            let skus = call.list("identifiers");
            let found = self.listings.iter();
            let found = found.filter(|(sku, _)| skus.is_empty() || skus.contains(&sku.as_str()));
            let found = found.map(|(_, it)| with_included(it.clone(), LISTING_DATA, &included));
            let found: Vec<Value> = found.collect();
            let count = found.len();
            let (items, next) = paged(
                call,
                found,
                ("pageSize", 20),
                "pageToken",
                &[],
                ORDERS_TOKEN,
            )?;
            let mut body = json!({ "numberOfResults": count, "items": items });
            if let Some(next) = next {
                body["pagination"] = json!({ "nextToken": next });
            }
            return Ok(body);
        }
        let [sku] = rest else { return Err(missing()) };
        let body = call.request.json();
        let change = match method {
            "GET" => {
                let found = self.listings.get(*sku).cloned().ok_or_else(missing)?;
                return Ok(with_included(found, LISTING_DATA, &included));
            }
            "DELETE" => Change::Delete,
            "PUT" if body["productType"].is_string() && body["attributes"].is_object() => {
                let mut listing = listing(sku, market, call.now);
                listing["attributes"] = body["attributes"].clone();
                listing["summaries"][0]["productType"] = body["productType"].clone();
                Change::Put(listing)
            }
            "PATCH" if body["patches"].is_array() => Change::Patch(body.clone()),
            _ => return Err(invalid("The body is invalid.")),
        };
        let submission = |status: &str, issues: Value| {
            json!({
                "sku": sku, "status": status, "submissionId": format!("S{}", call.now.as_unix_millis()),
                "issues": issues,
            })
        };
        let attributes = &body["attributes"];
        if matches!(change, Change::Put(_)) && attributes["item_name"].is_null() {
            return Ok(submission(
                "INVALID",
                json!([{
                    "code": "90220", "message": "'item_name' is required but not supplied.",
                    "severity": "ERROR", "attributeNames": ["item_name"], "categories": ["MISSING_ATTRIBUTE"],
                }]),
            ));
        }
        if call.get("mode") == Some("VALIDATION_PREVIEW") {
            return Ok(submission("VALID", json!([])));
        }
        let at = call.now.after(APPLIED_AFTER);
        self.pending.push((at, (*sku).to_owned(), change));
        Ok(submission("ACCEPTED", json!([])))
    }
}

fn patch(listing: &mut Value, body: &Value) {
    for patch in body["patches"].as_array().into_iter().flatten() {
        let path = patch["path"].as_str().unwrap_or_default();
        let Some(name) = path.strip_prefix("/attributes/") else {
            continue;
        };
        let Some(attributes) = listing["attributes"].as_object_mut() else {
            continue;
        };
        if patch["op"] == "delete" {
            attributes.remove(name);
        } else {
            attributes.insert(name.to_owned(), patch["value"].clone());
        }
    }
}

fn item(market: &str) -> Value {
    json!({
        "asin": ASIN,
        "attributes": { "item_name": [{ "value": "Example product", "marketplace_id": market }] },
        "identifiers": [{ "marketplaceId": market, "identifiers": [
            { "identifierType": "EAN", "identifier": "0000000000000" },
        ] }],
        "images": [{ "marketplaceId": market, "images": [
            { "variant": "MAIN", "link": "https://images.example/1.jpg", "height": 500, "width": 500 },
        ] }],
        "salesRanks": [{ "marketplaceId": market, "displayGroupRanks": [
            { "websiteDisplayGroup": "fashion_display_on_website", "title": "Fashion", "rank": 48602 },
        ] }],
        "summaries": [{ "marketplaceId": market, "itemName": "Example product", "brand": "Example" }],
    })
}

const ITEM_DATA: &[(&str, &str)] = &[
    ("attributes", "attributes"),
    ("identifiers", "identifiers"),
    ("images", "images"),
    ("salesRanks", "salesRanks"),
    ("summaries", "summaries"),
];

fn included(call: &Call<'_>) -> Value {
    let market = call.get("marketplaceIds").unwrap_or_default();
    let data = match call.list("includedData") {
        none if none.is_empty() => vec!["summaries"],
        data => data,
    };
    with_included(item(market), ITEM_DATA, &data)
}

fn search_catalog(call: &Call<'_>) -> Answer {
    let is_by_identifiers = call.get("identifiers").is_some();
    if is_by_identifiers == call.get("keywords").is_some() || call.get("marketplaceIds").is_none() {
        return Err(invalid("Identifiers or keywords are required."));
    }
    let wanted = call.list("identifiers");
    let is_found = !is_by_identifiers || wanted.contains(&ASIN) || wanted.contains(&"SKU-1");
    let items = if is_found {
        vec![included(call)]
    } else {
        Vec::new()
    };
    Ok(json!({ "numberOfResults": items.len(), "items": items, "pagination": {} }))
}

fn catalog_item(call: &Call<'_>, asin: &str) -> Answer {
    if asin == ASIN {
        Ok(included(call))
    } else {
        Err(missing())
    }
}

fn definition(call: &Call<'_>, name: &str) -> Answer {
    if name != "LUGGAGE" {
        return Err(missing());
    }
    let schema = |path: &str| {
        json!({
            "link": { "resource": format!("https://schemas.example/{path}"), "verb": "GET" },
            "checksum": "AAAAAAAAAAAAAAAAAAAAAA==",
        })
    };
    Ok(json!({
        "metaSchema": schema("meta"), "schema": schema("luggage"), "requirements": "LISTING",
        "requirementsEnforced": "ENFORCED", "locale": call.get("locale").unwrap_or("DEFAULT"),
        "propertyGroups": { "offer": {
            "title": "Offer", "description": "Offer", "propertyNames": ["item_name"],
        } },
        "marketplaceIds": call.list("marketplaceIds"), "productType": name, "displayName": "Luggage",
        "productTypeVersion": {
            "version": "U000000000000000", "latest": true, "releaseCandidate": false,
        },
    }))
}

fn offers(market: &str, asin: &str, condition: &Value) -> Value {
    json!({
        "marketplaceId": market, "ASIN": asin, "ItemCondition": condition, "status": "Success",
        "Identifier": { "MarketplaceId": market, "ASIN": asin, "ItemCondition": condition },
        "Summary": { "TotalOfferCount": 1 },
        "Offers": [{
            "SellerId": "A1EXAMPLE", "SubCondition": "new", "IsFulfilledByAmazon": true,
            "ListingPrice": { "CurrencyCode": "USD", "Amount": 17.99 },
            "Shipping": { "CurrencyCode": "USD", "Amount": 0.0 },
            "SellerFeedbackRating": { "FeedbackCount": 0 },
        }],
    })
}

fn prices(call: &Call<'_>, rest: &[&str]) -> Answer {
    let market = call.get("MarketplaceId").unwrap_or_default();
    match rest {
        ["price" | "competitivePrice"] => {
            let ids = [call.list("Asins"), call.list("Skus")].concat();
            if ids.is_empty() || ids.len() > 20 {
                return Err(invalid("One to 20 identifiers are required."));
            }
            let prices = ids.iter().map(|id| {
                json!({
                    "status": "Success", "ASIN": id,
                    "Product": {
                        "Identifiers": { "MarketplaceASIN": { "MarketplaceId": market, "ASIN": id } },
                        "Offers": [{
                            "BuyingPrice": {
                                "LandedPrice": { "CurrencyCode": "USD", "Amount": 17.99 },
                            },
                            "RegularPrice": { "CurrencyCode": "USD", "Amount": 17.99 },
                            "FulfillmentChannel": "AMAZON", "ItemCondition": "New",
                            "ItemSubCondition": "New", "SellerSKU": "SKU-1",
                        }],
                    },
                })
            });
            Ok(json!({ "payload": prices.collect::<Vec<_>>() }))
        }
        ["items" | "listings", id, "offers"] => {
            let condition = call
                .get("ItemCondition")
                .ok_or_else(|| invalid("A condition is missing."))?;
            Ok(json!({ "payload": offers(market, id, &condition.into()) }))
        }
        _ => Err(missing()),
    }
}

fn batch(call: &Call<'_>, version: &str, rest: &[&str]) -> Answer {
    let body = call.request.json();
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    if requests.is_empty() || requests.len() > 40 {
        return Err(invalid("The batch is empty or too large."));
    }
    // One request in a batch may fail while the batch succeeds.
    let status = |is_known: bool| {
        if is_known {
            json!({ "statusCode": 200, "reasonPhrase": "OK" })
        } else {
            json!({ "statusCode": 404, "reasonPhrase": "Not Found" })
        }
    };
    let unknown =
        || json!({ "errors": [{ "code": "NotFound", "message": "There is no such item." }] });
    let answer = |request: &Value| match (version, rest) {
        ("v0", ["itemOffers" | "listingOffers"]) => {
            let id = request["uri"].as_str().unwrap_or_default();
            let id = id.split('/').nth_back(1).unwrap_or_default();
            let is_known = id == ASIN || id == "SKU-1";
            let market = request["MarketplaceId"].as_str().unwrap_or_default();
            let found = json!({ "payload": offers(market, id, &request["ItemCondition"]) });
            json!({
                "headers": { "Date": "Fri, 20 Nov 2026 12:00:00 GMT", "x-amzn-RequestId": "1" },
                "status": status(is_known),
                "body": if is_known { found } else { unknown() },
                "request": { "MarketplaceId": market, "ItemCondition": request["ItemCondition"] },
            })
        }
        (_, ["offer", ..]) => {
            let is_known = request["sku"] == "SKU-1";
            let found = json!({
                "offerIdentifier": { "marketplaceId": request["marketplaceId"], "sku": request["sku"] },
                "featuredOfferExpectedPriceResults": [{
                    "featuredOfferExpectedPrice": {
                        "listingPrice": { "currencyCode": "USD", "amount": 16.99 },
                    },
                    "resultStatus": "VALID_FOEP",
                }],
            });
            json!({
                "headers": {}, "status": status(is_known),
                "request": { "marketplaceId": request["marketplaceId"], "sku": request["sku"] },
                "body": if is_known { found } else { unknown() },
            })
        }
        _ => {
            let is_known = request["asin"] == ASIN;
            let found = json!({
                "asin": request["asin"], "marketplaceId": request["marketplaceId"],
                "referencePrices": [{
                    "name": "CompetitivePrice", "price": { "currencyCode": "USD", "amount": 17.99 },
                }],
            });
            json!({ "status": status(is_known), "body": if is_known { found } else { unknown() } })
        }
    };
    let answers: Vec<Value> = requests.iter().map(answer).collect();
    Ok(Value::Object(Map::from_iter([(
        "responses".to_owned(),
        answers.into(),
    )])))
}
