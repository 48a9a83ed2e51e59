//! The data of one shop.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use connector_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::bulk::BulkJob;
use super::{Consent, SimulatedShop};

/// The member that marks a value as a connection and contains its nodes.
pub(super) const CONNECTION: &str = "\u{0}nodes";

pub(super) struct ShopState {
    pub(super) number: u64,
    pub(super) shop: Value,
    /// The objects of each type, by the name of the type.
    tables: BTreeMap<&'static str, Vec<Value>>,
    pub(super) consents: VecDeque<Consent>,
    /// The scopes of the installation, if they differ from those of the app.
    pub(super) scopes: Option<Vec<String>>,
    /// True after an operation has uninstalled the app.
    pub(super) uninstalled: bool,
    pub(super) bucket: Bucket,
    /// The input and the result of each idempotency key.
    pub(super) keys: BTreeMap<String, (Value, Value)>,
    pub(super) bulk: Vec<BulkJob>,
    /// The uploaded files, by their key.
    pub(super) uploads: BTreeMap<String, bytes::Bytes>,
    /// The scripted failures of the next bulk operations: the error code, and the number of lines
    /// that are written before.
    pub(super) bulk_failures: VecDeque<(String, Option<usize>)>,
    made: u64,
}

impl ShopState {
    pub(super) fn new(number: u64, seed: &SimulatedShop, now: Timestamp) -> Self {
        let domain = seed.domain.as_str();
        let name = domain.split('.').next().unwrap_or_default();
        let mut state = Self {
            number,
            shop: json!({
                "id": format!("gid://shopify/Shop/{}", 60_000_000_000 + number),
                "name": name,
                "email": format!("owner@{name}.example"),
                "contactEmail": format!("hello@{name}.example"),
                "myshopifyDomain": domain,
                "primaryDomain": { "host": format!("{name}.example") },
                "plan": {
                    "publicDisplayName": seed.plan,
                    "partnerDevelopment": false,
                    "shopifyPlus": seed.plan.contains("Plus"),
                },
                "currencyCode": "EUR",
                "ianaTimezone": "Europe/Berlin",
                "shopOwnerName": "Ada Example",
                "createdAt": now.to_string(),
                "updatedAt": now.to_string(),
                "resourceLimits": {
                    "locationLimit": 10,
                    "maxProductOptions": 3,
                    "maxProductVariants": 2048,
                    "redirectLimitReached": false,
                },
            }),
            tables: BTreeMap::new(),
            consents: VecDeque::new(),
            scopes: None,
            uninstalled: false,
            bucket: Bucket {
                limit: seed.cost_limit,
                rate: seed.restored_per_second,
                available: seed.cost_limit,
                at: now,
            },
            keys: BTreeMap::new(),
            bulk: Vec::new(),
            uploads: BTreeMap::new(),
            bulk_failures: VecDeque::new(),
            made: 0,
        };
        for name in ["Warehouse", "Shop"] {
            let id = state.next_id("Location");
            state.insert(
                "Location",
                json!({
                    "id": id, "name": name, "isActive": true, "isFulfillmentService": false,
                    "shipsInventory": true, "fulfillsOnlineOrders": true,
                }),
            );
        }
        catalogue(&mut state, seed.products, now);
        customers(&mut state, seed.customers, now);
        orders(&mut state, seed.orders, now);
        state
    }

    /// Returns the id of a new object. Numbers are greater than 2^53, like some real ids.
    pub(super) fn next_id(&mut self, kind: &str) -> String {
        self.made += 1;
        let number = 9_007_199_254_740_993 + self.number * 1_000_000 + self.made;
        format!("gid://shopify/{kind}/{number}")
    }

    pub(super) fn insert(&mut self, kind: &'static str, object: Value) {
        self.tables.entry(kind).or_default().push(object);
    }

    pub(super) fn table(&self, kind: &str) -> &[Value] {
        self.tables.get(kind).map_or(&[], Vec::as_slice)
    }

    pub(super) fn table_mut(&mut self, kind: &'static str) -> &mut Vec<Value> {
        self.tables.entry(kind).or_default()
    }

    /// Returns the object with this id, whatever its type.
    pub(super) fn find(&self, id: &Value) -> Option<&Value> {
        self.tables.values().flatten().find(|it| it["id"] == *id)
    }

    pub(super) fn find_mut(&mut self, id: &Value) -> Option<&mut Value> {
        let mut all = self.tables.values_mut().flatten();
        all.find(|it| it["id"] == *id)
    }

    /// Removes the object with this id. Returns false if there is none.
    pub(super) fn remove(&mut self, id: &Value) -> bool {
        let mut removed = false;
        for table in self.tables.values_mut() {
            let before = table.len();
            table.retain(|it| it["id"] != *id);
            removed |= table.len() < before;
        }
        removed
    }

    /// Returns the object with its connections and references to other objects.
    pub(super) fn whole(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let id = object["id"].clone();
        let kind = id
            .as_str()
            .and_then(|it| it.split('/').nth(3))
            .unwrap_or_default();
        let of = |table: &str, member: &str| -> Value {
            let all = self.table(table).iter();
            let own = all.filter(|it| it[member]["id"] == id);
            json!({ CONNECTION: own.map(|it| self.whole(it)).collect::<Vec<_>>() })
        };
        match kind {
            "Product" => {
                object["variants"] = of("ProductVariant", "product");
                object["totalInventory"] = total(&object["variants"]).into();
            }
            "InventoryItem" => object["inventoryLevels"] = of("InventoryLevel", "item"),
            "Collection" => {
                let count = object["products"].as_array().map_or(0, Vec::len);
                object["productsCount"] = json!({ "count": count, "precision": "EXACT" });
            }
            _ => {}
        }
        object
    }
}

fn total(variants: &Value) -> i64 {
    let nodes = variants[CONNECTION].as_array().cloned().unwrap_or_default();
    let quantity = |it: &Value| it["inventoryQuantity"].as_i64().unwrap_or_default();
    nodes.iter().map(quantity).sum()
}

/// The points bucket of the app in this shop.
pub(super) struct Bucket {
    pub(super) limit: f64,
    pub(super) rate: f64,
    available: f64,
    at: Timestamp,
}

impl Bucket {
    /// Returns the currently available points.
    pub(super) fn available(&mut self, now: Timestamp) -> f64 {
        let refilled = now.since(self.at).as_secs_f64() * self.rate;
        self.available = (self.available + refilled).min(self.limit);
        self.at = self.at.max(now);
        self.available
    }

    pub(super) fn take(&mut self, points: f64) {
        self.available -= points;
    }
}

/// Returns an amount in the shop's currency.
pub(super) fn money(amount: &str) -> Value {
    let price = json!({ "amount": amount, "currencyCode": "EUR" });
    json!({ "shopMoney": price, "presentmentMoney": price })
}

/// Returns the members of a JSON object.
pub(super) fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Returns a product with this title.
pub(super) fn product(id: &str, title: &str, now: Timestamp) -> Value {
    let handle = title.to_lowercase().replace(' ', "-");
    json!({
        "id": id,
        "legacyResourceId": id.rsplit('/').next(),
        "title": title,
        "handle": handle,
        "status": "ACTIVE",
        "vendor": "Example Potteries",
        "productType": title.split(' ').next(),
        "descriptionHtml": "",
        "tags": ["tea"],
        "options": [{ "name": "Colour", "position": 1, "values": ["Blue", "White"] }],
        "media": { CONNECTION: [] },
        "createdAt": now.to_string(),
        "updatedAt": now.to_string(),
    })
}

/// Adds a variant of a product, with its inventory item and its stock at every location.
pub(super) fn add_variant(state: &mut ShopState, product: &Value, input: &Value, now: Timestamp) {
    let item = state.next_id("InventoryItem");
    let variants = state.table("ProductVariant").iter();
    let position = 1 + variants
        .filter(|it| it["product"]["id"] == *product)
        .count();
    let sku = match &input["inventoryItem"]["sku"] {
        Value::Null => input["sku"].clone(),
        sku => sku.clone(),
    };
    let options = input["optionValues"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let options: Vec<Value> = options
        .iter()
        .map(|it| json!({ "name": it["optionName"], "value": it["name"] }))
        .collect();
    let title = options.iter().filter_map(|it| it["value"].as_str());
    let title: Vec<&str> = title.collect();
    let quantity = input["quantity"].as_i64().unwrap_or_default();
    let id = state.next_id("ProductVariant");
    let variant = json!({
        "id": id, "product": { "id": product }, "inventoryItem": { "id": item },
        "title": title.join(" / "), "sku": sku, "barcode": input["barcode"],
        "price": input["price"].as_str().unwrap_or("0.00"),
        "compareAtPrice": input["compareAtPrice"], "inventoryQuantity": quantity,
        "position": position, "selectedOptions": options,
        "createdAt": now.to_string(), "updatedAt": now.to_string(),
    });
    state.insert("ProductVariant", variant);
    state.insert(
        "InventoryItem",
        json!({
            "id": item, "sku": sku, "tracked": true, "requiresShipping": true,
            "createdAt": now.to_string(), "updatedAt": now.to_string(),
        }),
    );
    let locations: Vec<Value> = state
        .table("Location")
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    for (at, location) in locations.iter().enumerate() {
        let available = if at == 0 { quantity } else { 0 };
        let level = level(state, &item, location, available, now);
        state.insert("InventoryLevel", level);
    }
}

/// Returns the stock of an item at a location.
pub(super) fn level(
    state: &mut ShopState,
    item: &str,
    location: &Value,
    available: i64,
    now: Timestamp,
) -> Value {
    let number = item.rsplit('/').next().unwrap_or_default();
    let id = format!(
        "{}?inventory_item_id={number}",
        state.next_id("InventoryLevel")
    );
    let quantity = |name: &str, quantity: i64| json!({ "name": name, "quantity": quantity });
    json!({
        "id": id, "item": { "id": item }, "location": { "id": location }, "isActive": true,
        "quantities": [
            quantity("available", available), quantity("on_hand", available),
            quantity("committed", 0), quantity("incoming", 0), quantity("reserved", 0),
        ],
        "updatedAt": now.to_string(),
    })
}

fn catalogue(state: &mut ShopState, products: usize, now: Timestamp) {
    const NOUNS: [&str; 6] = ["Teapot", "Kettle", "Cup", "Saucer", "Tray", "Strainer"];
    const COLOURS: [&str; 2] = ["Blue", "White"];
    for at in 0..products {
        let noun = NOUNS[at % NOUNS.len()];
        let changed = now.before(Duration::from_secs(60 * at as u64));
        let id = state.next_id("Product");
        let mut product = product(&id, &format!("{noun} {}", at + 1), changed);
        product["tags"] = json!(["tea", noun.to_lowercase()]);
        if at % 10 == 9 {
            product["status"] = "DRAFT".into();
        }
        state.insert("Product", product);
        for (position, colour) in (1_u64..).zip(COLOURS) {
            let input = json!({
                "sku": format!("{noun}-{at}-{colour}"), "barcode": null,
                "price": format!("{}.90", 10 + at % 90), "compareAtPrice": null,
                "quantity": 7 + position,
                "optionValues": [{ "optionName": "Colour", "name": colour }],
            });
            add_variant(state, &json!(id), &input, changed);
        }
    }
}

fn customers(state: &mut ShopState, count: usize, now: Timestamp) {
    for at in 0..count {
        let input = json!({
            "firstName": format!("Ada {at}"), "lastName": "Example",
            "email": format!("ada-{at}@customers.example"),
        });
        let customer = customer(state, &input, now);
        state.insert("Customer", customer);
    }
}

/// Returns a new customer.
pub(super) fn customer(state: &mut ShopState, input: &Value, now: Timestamp) -> Value {
    let id = state.next_id("Customer");
    let mut customer = json!({
        "id": id, "displayName": "", "firstName": null, "lastName": null,
        "defaultEmailAddress": null, "defaultPhoneNumber": null, "state": "DISABLED", "tags": [],
        "note": null, "numberOfOrders": "0", "defaultAddress": null,
        "amountSpent": { "amount": "0.00", "currencyCode": "EUR" },
        "createdAt": now.to_string(), "updatedAt": now.to_string(),
    });
    change_customer(&mut customer, input);
    customer
}

pub(super) fn change_customer(customer: &mut Value, input: &Value) {
    for (name, value) in members(input) {
        match name.as_str() {
            "email" => customer["defaultEmailAddress"] = json!({ "emailAddress": value }),
            "phone" => customer["defaultPhoneNumber"] = json!({ "phoneNumber": value }),
            "addresses" => {
                let first = value[0].clone();
                let mut address = json!({
                    "name": null, "company": null, "address1": null, "address2": null,
                    "zip": null, "city": null, "provinceCode": null, "countryCodeV2": null,
                    "phone": null,
                });
                for (name, value) in members(&first) {
                    let name = if name == "countryCode" {
                        "countryCodeV2"
                    } else {
                        &name
                    };
                    address[name] = value;
                }
                customer["defaultAddress"] = address;
            }
            _ => customer[name.as_str()] = value,
        }
    }
    let name = |member: &str| customer[member].as_str().unwrap_or_default().to_owned();
    let display = format!("{} {}", name("firstName"), name("lastName"));
    customer["displayName"] = display.trim().into();
}

/// The first order is from today, and each further one is three days older.
fn orders(state: &mut ShopState, count: usize, now: Timestamp) {
    for at in 0..count {
        let placed = now.before(Duration::from_secs(3 * 86_400 * at as u64));
        let variants = state.table("ProductVariant");
        let variant = variants.get(at % variants.len().max(1)).cloned();
        let customers = state.table("Customer");
        let customer = customers.get(at % customers.len().max(1));
        let customer = customer.map_or(Value::Null, |it| json!({ "id": it["id"] }));
        let line = line(state, variant.as_ref(), 2);
        let mut order = order(state, &format!("#{}", 1001 + at), &[line], placed);
        order["customer"] = customer;
        add_fulfillment_order(state, &order, placed);
        state.insert("Order", order);
    }
}

/// Returns an item of an order.
pub(super) fn line(state: &mut ShopState, variant: Option<&Value>, quantity: i64) -> Value {
    let variant = variant.cloned().unwrap_or_default();
    json!({
        "id": state.next_id("LineItem"), "title": variant["title"], "sku": variant["sku"],
        "quantity": quantity, "currentQuantity": quantity, "unfulfilledQuantity": quantity,
        "originalUnitPriceSet": money(variant["price"].as_str().unwrap_or("1.00")),
        "variant": match &variant["id"] {
            Value::Null => Value::Null,
            id => json!({ "id": id }),
        },
        "inventoryItem": variant["inventoryItem"],
    })
}

/// Returns a new order.
pub(super) fn order(
    state: &mut ShopState,
    name: &str,
    lines: &[Value],
    placed: Timestamp,
) -> Value {
    json!({
        "id": state.next_id("Order"), "name": name, "email": "ada@customers.example", "note": null,
        "tags": [], "test": false, "closed": false, "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED", "currencyCode": "EUR",
        "currentTotalPriceSet": money("21.80"), "totalRefundedSet": money("0.00"),
        "customer": null, "shippingAddress": null, "lineItems": { CONNECTION: lines },
        "createdAt": placed.to_string(), "processedAt": placed.to_string(),
        "updatedAt": placed.to_string(), "cancelledAt": null,
    })
}

pub(super) fn add_fulfillment_order(state: &mut ShopState, order: &Value, placed: Timestamp) {
    let id = state.next_id("FulfillmentOrder");
    let lines = order["lineItems"][CONNECTION]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let items: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "id": state.next_id("FulfillmentOrderLineItem"),
                "totalQuantity": line["quantity"], "remainingQuantity": line["quantity"],
                "sku": line["sku"], "productTitle": line["title"],
                "inventoryItemId": line["inventoryItem"]["id"],
            })
        })
        .collect();
    let location = state.table("Location").first().map(|it| it["id"].clone());
    state.insert(
        "FulfillmentOrder",
        json!({
            "id": id, "orderId": order["id"], "orderName": order["name"], "status": "OPEN",
            "requestStatus": "UNSUBMITTED", "assignedLocation": { "location": { "id": location } },
            "lineItems": { CONNECTION: items },
            "createdAt": placed.to_string(), "updatedAt": placed.to_string(),
        }),
    );
}
