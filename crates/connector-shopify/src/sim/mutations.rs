//! The mutations of the simulated shop.

use std::collections::BTreeMap;

use connector_core::clock::Timestamp;
use connector_sim::Grant;
use serde_json::{Value, json};

use super::bulk;
use super::data::{
    CONNECTION, ShopState, add_fulfillment_order, add_variant, change_customer, customer, level,
    line, members, money, order, product,
};
use super::graphql::{Argument, require};
use super::query::Refusal;

/// The mutations that need an idempotency key since version 2026-04.
const KEYED: [&str; 4] = [
    "inventoryActivate",
    "inventoryAdjustQuantities",
    "inventorySetQuantities",
    "refundCreate",
];
/// Maximum number of items of a list in an input.
const MAX_ITEMS: usize = 250;

/// The scope that a mutation needs, by the start of its name.
const SCOPES: &[(&str, &str)] = &[
    ("product", "write_products"),
    ("collection", "write_products"),
    ("file", "write_files"),
    ("order", "write_orders"),
    ("refund", "write_orders"),
    ("draftOrder", "write_draft_orders"),
    ("customer", "write_customers"),
    ("fulfillment", "write_merchant_managed_fulfillment_orders"),
    ("inventory", "write_inventory"),
    ("metaobject", "write_metaobjects"),
];

/// One mutation.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut ShopState,
    pub(super) grant: &'a Grant,
    pub(super) now: Timestamp,
    pub(super) key: Option<String>,
}

impl Call<'_> {
    /// Executes a mutation. Returns its payload with everything that can be selected.
    pub(super) fn mutate(&mut self, name: &str, argument: Argument<'_>) -> Result<Value, Refusal> {
        let scope = SCOPES.iter().find(|(start, _)| name.starts_with(start));
        require(self.grant, name, scope.map_or("", |it| it.1))?;
        for list in ["variants", "productIds", "metafields"] {
            if argument(list)
                .as_array()
                .is_some_and(|it| it.len() > MAX_ITEMS)
            {
                return Err(Refusal::new(
                    "The input array size is too large",
                    "MAX_INPUT_SIZE",
                ));
            }
        }
        if !KEYED.contains(&name) {
            return self.execute(name, argument);
        }
        let Some(key) = self.key.clone() else {
            let message = "The @idempotent directive is required for this mutation";
            return Err(Refusal::new(message, "BAD_REQUEST"));
        };
        let input = json!([name, argument("input"), argument("inventoryItemId")]);
        if let Some((known, payload)) = self.state.keys.get(&key) {
            if *known == input {
                return Ok(payload.clone());
            }
            return Ok(refused(
                &["input"],
                "The same key was used with other input",
                "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
            ));
        }
        let payload = self.execute(name, argument)?;
        self.state.keys.insert(key, (input, payload.clone()));
        Ok(payload)
    }

    #[expect(clippy::too_many_lines, reason = "one entry for each mutation")]
    fn execute(&mut self, name: &str, argument: Argument<'_>) -> Result<Value, Refusal> {
        let now = self.now;
        let input = argument("input");
        Ok(match name {
            "appUninstall" => {
                self.state.table_mut("WebhookSubscription").clear();
                self.state.uninstalled = true;
                done("app", json!({ "id": "gid://shopify/App/1" }))
            }
            "appRevokeAccessScopes" => refused(
                &["scopes"],
                "The scope is required by the app",
                "CANNOT_REVOKE_REQUIRED_SCOPES",
            ),
            "appSubscriptionCreate" => {
                let id = self.state.next_id("AppSubscription");
                let subscription = json!({
                    "id": id, "name": argument("name"), "status": "PENDING",
                    "test": argument("test") == true,
                    "trialDays": argument("trialDays").as_i64().unwrap_or_default(),
                    "createdAt": now.to_string(), "currentPeriodEnd": null,
                });
                self.state.insert("AppSubscription", subscription.clone());
                let mut payload = done("appSubscription", subscription);
                payload["confirmationUrl"] = "https://admin.shopify.com/charges/confirm".into();
                payload
            }
            "appSubscriptionCancel" => self.change(
                "appSubscription",
                &argument("id"),
                &json!({ "status": "CANCELLED" }),
            ),
            "productCreate" => {
                let id = self.state.next_id("Product");
                let input = argument("product");
                let title = input["title"].as_str().unwrap_or_default();
                if title.is_empty() {
                    return Ok(refused(&["title"], "Title can't be blank", ""));
                }
                let mut product = product(&id, title, now);
                merge(
                    &mut product,
                    &input,
                    &["collectionsToJoin", "productOptions"],
                );
                self.add_media(&mut product, &argument("media"));
                self.state.insert("Product", product);
                self.one("product", &json!(id))
            }
            "productUpdate" => {
                let input = argument("product");
                let ignored = ["collectionsToJoin", "collectionsToLeave"];
                let mut changed = input.clone();
                remove(&mut changed, &ignored);
                let mut payload = self.change("product", &input["id"], &changed);
                if !payload["product"].is_null() {
                    let mut media = json!({ "media": payload["product"]["media"] });
                    self.add_media(&mut media, &argument("media"));
                    payload = self.change("product", &input["id"], &media);
                }
                payload
            }
            "productSet" => self.set_product(argument),
            "productDelete" => self.delete("deletedProductId", &input["id"]),
            "productVariantsBulkCreate" => {
                let product = argument("productId");
                if self.state.find(&product).is_none() {
                    return Ok(refused(
                        &["productId"],
                        "Product does not exist",
                        "PRODUCT_DOES_NOT_EXIST",
                    ));
                }
                for variant in list(&argument("variants")) {
                    add_variant(self.state, &product, &variant, now);
                }
                let count = list(&argument("variants")).len();
                let variants = self.state.table("ProductVariant");
                let made = variants[variants.len() - count..].to_vec();
                done("productVariants", json!(made))
            }
            "productVariantsBulkUpdate" => {
                let variants = list(&argument("variants"));
                let wrong = variants
                    .iter()
                    .position(|it| self.state.find(&it["id"]).is_none());
                if let Some(at) = wrong {
                    let field = ["variants", &at.to_string(), "id"];
                    let message = "Product variant does not exist";
                    return Ok(refused(&field, message, "PRODUCT_VARIANT_DOES_NOT_EXIST"));
                }
                let changed: Vec<Value> = variants
                    .iter()
                    .map(|variant| {
                        let mut input = variant.clone();
                        remove(&mut input, &["inventoryItem", "optionValues"]);
                        self.change("it", &variant["id"], &input)["it"].clone()
                    })
                    .collect();
                done("productVariants", json!(changed))
            }
            "productVariantsBulkDelete" => {
                for id in list(&argument("variantsIds")) {
                    self.state.remove(&id);
                }
                self.one("product", &argument("productId"))
            }
            "fileCreate" => {
                let files: Vec<Value> = list(&argument("files"))
                    .iter()
                    .map(|file| {
                        json!({
                            "id": self.state.next_id("MediaImage"), "alt": file["alt"],
                            "fileStatus": "UPLOADED", "createdAt": now.to_string(),
                        })
                    })
                    .collect();
                for file in &files {
                    self.state.insert("File", file.clone());
                }
                done("files", json!(files))
            }
            "fileDelete" => {
                let ids = argument("fileIds");
                for id in list(&ids) {
                    self.state.remove(&id);
                }
                done("deletedFileIds", ids)
            }
            "collectionCreate" => {
                let id = self.state.next_id("Collection");
                let mut collection = json!({
                    "id": id, "title": "", "handle": "", "descriptionHtml": "",
                    "sortOrder": "BEST_SELLING", "products": [], "updatedAt": now.to_string(),
                });
                merge(&mut collection, &input, &["id"]);
                self.state.insert("Collection", collection);
                self.one("collection", &json!(id))
            }
            "collectionUpdate" => self.change("collection", &input["id"], &input),
            "collectionDelete" => self.delete("deletedCollectionId", &input["id"]),
            "collectionAddProducts" => {
                let id = argument("id");
                let known = self.state.find(&id).map(|it| list(&it["products"]));
                let mut products = known.unwrap_or_default();
                products.extend(list(&argument("productIds")));
                self.change("collection", &id, &json!({ "products": products }))
            }
            "orderUpdate" => self.change("order", &input["id"], &input),
            "orderClose" => self.change("order", &input["id"], &json!({ "closed": true })),
            "orderOpen" => self.change("order", &input["id"], &json!({ "closed": false })),
            "orderCancel" => {
                let cancelled = json!({ "cancelledAt": now.to_string(), "closed": true });
                let mut payload = self.change("order", &argument("orderId"), &cancelled);
                payload["orderCancelUserErrors"] = payload["userErrors"].clone();
                payload["job"] = json!({ "id": "gid://shopify/Job/1" });
                payload
            }
            "refundCreate" => self.refund(&input),
            "draftOrderCreate" => {
                let id = self.state.next_id("DraftOrder");
                let draft = json!({
                    "id": id, "name": "#D1", "status": "OPEN", "email": null,
                    "totalPriceSet": money("10.00"),
                    "invoiceUrl": "https://shop.example/invoices/1", "order": null,
                    "lineItems": { CONNECTION: [] },
                    "createdAt": now.to_string(), "updatedAt": now.to_string(),
                });
                self.state.insert("DraftOrder", draft);
                self.change_draft(&json!(id), &input)
            }
            "draftOrderUpdate" => self.change_draft(&argument("id"), &input),
            "draftOrderComplete" => {
                let id = argument("id");
                let Some(draft) = self.state.find(&id).cloned() else {
                    return Ok(missing(&["id"]));
                };
                if draft["status"] == "COMPLETED" {
                    return Ok(refused(&["id"], "This order has been paid", ""));
                }
                let lines = list(&draft["lineItems"][CONNECTION]);
                let order = order(self.state, "#2001", &lines, now);
                add_fulfillment_order(self.state, &order, now);
                self.state.insert("Order", order.clone());
                let completed = json!({ "status": "COMPLETED", "order": { "id": order["id"] } });
                self.change("draftOrder", &id, &completed)
            }
            "draftOrderDelete" => self.delete("deletedId", &input["id"]),
            "customerSet" => {
                let identifier = argument("identifier");
                let email = &identifier["email"];
                let known = self.state.table("Customer").iter().find(|it| {
                    it["id"] == identifier["id"]
                        || (email.is_string()
                            && it["defaultEmailAddress"]["emailAddress"] == *email)
                });
                let id = known.map(|it| it["id"].clone());
                if let Some(id) = &id {
                    if let Some(customer) = self.state.find_mut(id) {
                        change_customer(customer, &input);
                        customer["updatedAt"] = now.to_string().into();
                    }
                    return Ok(self.one("customer", id));
                }
                let customer = customer(self.state, &input, now);
                self.state.insert("Customer", customer.clone());
                self.one("customer", &customer["id"])
            }
            "customerDelete" => self.delete("deletedCustomerId", &input["id"]),
            "fulfillmentCreate" => self.fulfill(&argument("fulfillment")),
            "fulfillmentTrackingInfoUpdate" => {
                let info = argument("trackingInfoInput");
                let info = json!({ "trackingInfo": [tracking(&info)] });
                self.change("fulfillment", &argument("fulfillmentId"), &info)
            }
            "fulfillmentCancel" => self.change(
                "fulfillment",
                &argument("id"),
                &json!({ "status": "CANCELLED" }),
            ),
            "inventorySetQuantities" => self.set_quantities(&input, true),
            "inventoryAdjustQuantities" => self.set_quantities(&input, false),
            "inventoryActivate" => {
                let (item, location) = (argument("inventoryItemId"), argument("locationId"));
                let is_level =
                    |it: &&Value| it["item"]["id"] == item && it["location"]["id"] == location;
                let known = self
                    .state
                    .table("InventoryLevel")
                    .iter()
                    .find(is_level)
                    .cloned();
                let level = known.unwrap_or_else(|| {
                    let available = argument("available").as_i64().unwrap_or_default();
                    let item = item.as_str().unwrap_or_default();
                    let level = level(self.state, item, &location, available, now);
                    self.state.insert("InventoryLevel", level.clone());
                    level
                });
                done("inventoryLevel", level)
            }
            "metafieldsSet" => self.set_metafields(&argument("metafields")),
            "metafieldsDelete" => {
                let given = list(&argument("metafields"));
                let is_same = |it: &Value, key: &Value| {
                    ["ownerId", "namespace", "key"]
                        .iter()
                        .all(|name| it[*name] == key[*name])
                };
                let table = self.state.table_mut("Metafield");
                table.retain(|it| !given.iter().any(|key| is_same(it, key)));
                done("deletedMetafields", json!(given))
            }
            "metaobjectUpsert" => {
                let handle = argument("handle");
                let given = argument("metaobject");
                let known =
                    self.state.table("Metaobject").iter().find(|it| {
                        it["type"] == handle["type"] && it["handle"] == handle["handle"]
                    });
                let id = known.map_or(Value::Null, |it| it["id"].clone());
                let fields: Vec<Value> = list(&given["fields"])
                    .iter()
                    .map(|it| {
                        json!({
                            "key": it["key"], "value": it["value"],
                            "type": "single_line_text_field",
                        })
                    })
                    .collect();
                if id.is_null() {
                    let id = self.state.next_id("Metaobject");
                    self.state.insert(
                        "Metaobject",
                        json!({
                            "id": id, "type": handle["type"], "handle": handle["handle"],
                            "displayName": handle["handle"], "fields": fields,
                            "updatedAt": now.to_string(),
                        }),
                    );
                    return Ok(self.one("metaobject", &json!(id)));
                }
                self.change("metaobject", &id, &json!({ "fields": fields }))
            }
            "metaobjectDelete" => self.delete("deletedId", &argument("id")),
            "tagsAdd" | "tagsRemove" => {
                let (id, given) = (argument("id"), list(&argument("tags")));
                let Some(owner) = self.state.find(&id) else {
                    return Ok(missing(&["id"]));
                };
                let mut tags = list(&owner["tags"]);
                tags.retain(|it| !given.contains(it));
                if name == "tagsAdd" {
                    tags.extend(given);
                }
                self.change("node", &id, &json!({ "tags": tags }))
            }
            "webhookSubscriptionCreate" => {
                self.subscribe(&argument("topic"), &argument("webhookSubscription"))
            }
            "webhookSubscriptionUpdate" => {
                let input = argument("webhookSubscription");
                self.change("webhookSubscription", &argument("id"), &input)
            }
            "webhookSubscriptionDelete" => {
                let id = argument("id");
                if self.state.remove(&id) {
                    done("deletedWebhookSubscriptionId", id)
                } else {
                    refused(&["id"], "Webhook subscription does not exist", "")
                }
            }
            "bulkOperationRunQuery" => bulk::run_query(self, &argument("query")),
            "bulkOperationRunMutation" => {
                bulk::run_mutation(self, &argument("mutation"), &argument("stagedUploadPath"))
            }
            "bulkOperationCancel" => bulk::cancel(self.state, &argument("id"), now),
            "stagedUploadsCreate" => bulk::stage(self.state, &input),
            _ => {
                return Err(Refusal::new(
                    format!("Field '{name}' doesn't exist on type 'Mutation'"),
                    "undefinedField",
                ));
            }
        })
    }

    /// Returns the payload with an object.
    pub(super) fn one(&self, name: &str, id: &Value) -> Value {
        match self.state.find(id) {
            Some(object) => done(name, self.state.whole(object)),
            None => missing(&["id"]),
        }
    }

    /// Changes members of an object, and returns the payload with it.
    fn change(&mut self, name: &str, id: &Value, members: &Value) -> Value {
        let now = self.now.to_string();
        match self.state.find_mut(id) {
            Some(object) => {
                merge(object, members, &["id"]);
                object["updatedAt"] = now.into();
            }
            None => return missing(&["id"]),
        }
        self.one(name, id)
    }

    fn delete(&mut self, name: &str, id: &Value) -> Value {
        if self.state.remove(id) {
            done(name, id.clone())
        } else {
            missing(&["id"])
        }
    }

    fn add_media(&mut self, product: &mut Value, given: &Value) {
        let mut media = list(&product["media"][CONNECTION]);
        for new in list(given) {
            media.push(json!({
                "id": self.state.next_id("MediaImage"),
                "mediaContentType": new["mediaContentType"], "alt": new["alt"],
                "status": "UPLOADED", "preview": { "image": null },
            }));
        }
        product["media"] = json!({ CONNECTION: media });
    }

    /// Creates a product, or updates an existing product to match the input. A list in the input
    /// replaces the list.
    fn set_product(&mut self, argument: Argument<'_>) -> Value {
        let (input, identifier) = (argument("input"), argument("identifier"));
        let products = self.state.table("Product").iter();
        let mut known = products.filter(|it| {
            it["id"] == identifier["id"]
                || (identifier["handle"].is_string() && it["handle"] == identifier["handle"])
        });
        let id = known.next_back().map(|it| it["id"].clone());
        let id = id.unwrap_or_else(|| {
            let id = self.state.next_id("Product");
            let title = input["title"].as_str().unwrap_or_default();
            self.state.insert("Product", product(&id, title, self.now));
            json!(id)
        });
        let mut changed = input.clone();
        remove(&mut changed, &["variants", "collections", "productOptions"]);
        self.change("product", &id, &changed);
        if let Some(variants) = input["variants"].as_array() {
            let kept: Vec<&Value> = variants.iter().map(|it| &it["id"]).collect();
            let table = self.state.table_mut("ProductVariant");
            table.retain(|it| it["product"]["id"] != id || kept.contains(&&it["id"]));
            for variant in variants.iter().filter(|it| it["id"].is_null()) {
                add_variant(self.state, &id, variant, self.now);
            }
        }
        if argument("synchronous") == false {
            let operation = json!({
                "id": self.state.next_id("ProductSetOperation"), "status": "COMPLETE",
                "product": { "id": id }, "userErrors": [],
            });
            self.state.insert("ProductSetOperation", operation.clone());
            let mut started = operation;
            started["status"] = "CREATED".into();
            return done("productSetOperation", started);
        }
        self.one("product", &id)
    }

    fn refund(&mut self, input: &Value) -> Value {
        if self.state.find(&input["orderId"]).is_none() {
            return missing(&["orderId"]);
        }
        let items: Vec<Value> = list(&input["refundLineItems"])
            .iter()
            .map(|it| json!({ "lineItem": { "id": it["lineItemId"] }, "quantity": it["quantity"] }))
            .collect();
        let refund = json!({
            "id": self.state.next_id("Refund"), "note": input["note"],
            "createdAt": self.now.to_string(), "totalRefundedSet": money("10.90"),
            "refundLineItems": { CONNECTION: items },
        });
        let refunded = json!({
            "displayFinancialStatus": "PARTIALLY_REFUNDED", "totalRefundedSet": money("10.90"),
        });
        self.change("order", &input["orderId"], &refunded);
        self.state.insert("Refund", refund.clone());
        done("refund", refund)
    }

    fn change_draft(&mut self, id: &Value, input: &Value) -> Value {
        let mut changed = input.clone();
        remove(
            &mut changed,
            &["lineItems", "customerId", "shippingAddress"],
        );
        if let Some(items) = input["lineItems"].as_array() {
            let lines: Vec<Value> = items
                .iter()
                .map(|item| {
                    let variant = self.state.find(&item["variantId"]).cloned();
                    let quantity = item["quantity"].as_i64().unwrap_or(1);
                    let mut line = line(self.state, variant.as_ref(), quantity);
                    if variant.is_none() {
                        line["title"] = item["title"].clone();
                        let price = item["originalUnitPrice"].as_str().unwrap_or("0.00");
                        line["originalUnitPriceSet"] = money(price);
                    }
                    line
                })
                .collect();
            changed["lineItems"] = json!({ CONNECTION: lines });
        }
        self.change("draftOrder", id, &changed)
    }

    fn fulfill(&mut self, input: &Value) -> Value {
        let mut total = 0;
        for part in list(&input["lineItemsByFulfillmentOrder"]) {
            let id = &part["fulfillmentOrderId"];
            let Some(order) = self.state.find(id).cloned() else {
                return missing(&[
                    "fulfillment",
                    "lineItemsByFulfillmentOrder",
                    "0",
                    "fulfillmentOrderId",
                ]);
            };
            if order["status"] != "OPEN" {
                return refused(&["fulfillment"], "The fulfillment order is not open", "");
            }
            let wanted = part["fulfillmentOrderLineItems"].as_array();
            let mut items = list(&order["lineItems"][CONNECTION]);
            for item in &mut items {
                let remaining = item["remainingQuantity"].as_i64().unwrap_or_default();
                let wanted = wanted.map_or(Some(remaining), |all| {
                    let own = all.iter().find(|it| it["id"] == item["id"]);
                    own.and_then(|it| it["quantity"].as_i64())
                });
                let taken = wanted.unwrap_or_default();
                if taken > remaining {
                    return refused(
                        &["fulfillment"],
                        "Invalid fulfillment order line item quantity",
                        "",
                    );
                }
                total += taken;
                item["remainingQuantity"] = (remaining - taken).into();
            }
            let is_left = items.iter().any(|it| it["remainingQuantity"] != 0);
            let status = if is_left { "OPEN" } else { "CLOSED" };
            let changed = json!({ "lineItems": { CONNECTION: items }, "status": status });
            self.change("order", id, &changed);
            let status = if is_left {
                "PARTIALLY_FULFILLED"
            } else {
                "FULFILLED"
            };
            let changed = json!({ "displayFulfillmentStatus": status });
            self.change("order", &order["orderId"], &changed);
        }
        let info = &input["trackingInfo"];
        let info = if info.is_null() {
            json!([])
        } else {
            json!([tracking(info)])
        };
        let fulfillment = json!({
            "id": self.state.next_id("Fulfillment"), "name": "#1001.1", "status": "SUCCESS",
            "totalQuantity": total, "trackingInfo": info,
            "createdAt": self.now.to_string(), "updatedAt": self.now.to_string(),
        });
        self.state.insert("Fulfillment", fulfillment.clone());
        done("fulfillment", fulfillment)
    }

    #[expect(clippy::too_many_lines, reason = "all checks, then all changes")]
    fn set_quantities(&mut self, input: &Value, is_absolute: bool) -> Value {
        let member = if is_absolute { "quantities" } else { "changes" };
        let changes = list(&input[member]);
        if changes.len() > MAX_ITEMS {
            return refused(&["input", member], "Too many quantities", "MAX_INPUT_SIZE");
        }
        let name = input["name"].as_str().unwrap_or_default();
        let of = |item: &Value, location: &Value| {
            let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            (text(item), text(location))
        };
        let levels = self.state.table("InventoryLevel").iter().enumerate();
        let levels: BTreeMap<(String, String), usize> = levels
            .map(|(at, it)| (of(&it["item"]["id"], &it["location"]["id"]), at))
            .collect();
        let position = |change: &Value| {
            let key = of(&change["inventoryItemId"], &change["locationId"]);
            levels.get(&key).copied()
        };
        let quantity = |level: &Value| {
            let quantities = list(&level["quantities"]);
            let own = quantities.iter().position(|it| it["name"] == name);
            own.map(|at| (at, quantities[at]["quantity"].as_i64().unwrap_or_default()))
        };
        // Everything is checked before anything changes.
        for (at, change) in changes.iter().enumerate() {
            let at = at.to_string();
            let field = |name: &str| {
                [
                    "input".to_owned(),
                    member.to_owned(),
                    at.clone(),
                    name.to_owned(),
                ]
            };
            let wrong = |name: &str, message: &str, code: &str| {
                let field = field(name);
                let field: Vec<&str> = field.iter().map(String::as_str).collect();
                refused(&field, message, code)
            };
            if change.get("changeFromQuantity").is_none() {
                return wrong(
                    "changeFromQuantity",
                    "The field is required",
                    "CHANGE_FROM_QUANTITY_MISSING",
                );
            }
            let Some(level) = position(change) else {
                return wrong(
                    "inventoryItemId",
                    "The item does not exist",
                    "INVALID_INVENTORY_ITEM",
                );
            };
            let Some((_, before)) = quantity(&self.state.table("InventoryLevel")[level]) else {
                return wrong(
                    "name",
                    "The quantity name is invalid",
                    "INVALID_QUANTITY_NAME",
                );
            };
            let expected = change["changeFromQuantity"].as_i64();
            if expected.is_some_and(|it| it != before) {
                return wrong(
                    "changeFromQuantity",
                    "The quantity has changed",
                    "CHANGE_FROM_QUANTITY_STALE",
                );
            }
            if !is_absolute && name != "available" && change["ledgerDocumentUri"].is_null() {
                return wrong(
                    "ledgerDocumentUri",
                    "A ledger document is required",
                    "INVALID_LEDGER_DOCUMENT",
                );
            }
        }
        let mut made = Vec::new();
        for change in &changes {
            let Some(at) = position(change) else {
                continue;
            };
            let level = &mut self.state.table_mut("InventoryLevel")[at];
            let Some((own, before)) = quantity(level) else {
                continue;
            };
            let after = if is_absolute {
                change["quantity"].as_i64().unwrap_or_default()
            } else {
                before + change["delta"].as_i64().unwrap_or_default()
            };
            level["quantities"][own]["quantity"] = after.into();
            made.push(json!({
                "name": name, "delta": after - before, "quantityAfterChange": after,
                "item": { "id": change["inventoryItemId"] },
                "location": { "id": change["locationId"] },
            }));
        }
        let group = json!({
            "id": self.state.next_id("InventoryAdjustmentGroup"), "reason": input["reason"],
            "referenceDocumentUri": input["referenceDocumentUri"], "changes": made,
            "createdAt": self.now.to_string(),
        });
        done("inventoryAdjustmentGroup", group)
    }

    fn set_metafields(&mut self, given: &Value) -> Value {
        let given = list(given);
        if given.len() > 25 {
            return refused(
                &["metafields"],
                "Exceeded the maximum of 25",
                "LESS_THAN_OR_EQUAL_TO",
            );
        }
        let mut set = Vec::new();
        for (at, field) in given.iter().enumerate() {
            if self.state.find(&field["ownerId"]).is_none() {
                let path = ["metafields", &at.to_string(), "ownerId"];
                return refused(&path, "Owner does not exist.", "INVALID");
            }
            let namespace = field["namespace"].as_str().unwrap_or("app--1");
            let is_same = |it: &&mut Value| {
                it["ownerId"] == field["ownerId"]
                    && it["namespace"] == namespace
                    && it["key"] == field["key"]
            };
            let id = self.state.next_id("Metafield");
            let value = field["value"].as_str().unwrap_or_default();
            let new = json!({
                "id": id, "ownerId": field["ownerId"], "namespace": namespace,
                "key": field["key"], "value": value,
                "type": field["type"].as_str().unwrap_or("single_line_text_field"),
                "compareDigest": format!("{:016x}", value.len()),
                "updatedAt": self.now.to_string(),
            });
            let table = self.state.table_mut("Metafield");
            match table.iter_mut().find(is_same) {
                Some(known) => {
                    let id = known["id"].clone();
                    *known = new.clone();
                    known["id"] = id;
                }
                None => table.push(new.clone()),
            }
            set.push(new);
        }
        done("metafields", json!(set))
    }

    fn subscribe(&mut self, topic: &Value, input: &Value) -> Value {
        let field = ["webhookSubscription", "uri"];
        let uri = input["uri"].as_str().unwrap_or_default();
        let starts = ["https://", "pubsub://", "arn:aws:events:"];
        if !starts.iter().any(|start| uri.starts_with(start)) {
            return refused(&field, "Address is invalid", "");
        }
        let is_taken = |it: &Value| {
            it["topic"] == *topic && it["uri"] == input["uri"] && it["filter"] == input["filter"]
        };
        if self.state.table("WebhookSubscription").iter().any(is_taken) {
            return refused(&field, "Address for this topic has already been taken", "");
        }
        let made = json!({
            "id": self.state.next_id("WebhookSubscription"),
            "topic": topic,
            "uri": uri,
            "format": input["format"].as_str().unwrap_or("JSON"),
            "filter": input["filter"],
            "includeFields": list(&input["includeFields"]),
            "name": input["name"],
        });
        self.state.insert("WebhookSubscription", made.clone());
        done("webhookSubscription", made)
    }
}

fn tracking(input: &Value) -> Value {
    json!({ "company": input["company"], "number": input["number"], "url": input["url"] })
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Copies the members of `from`, except the named ones.
fn merge(object: &mut Value, from: &Value, except: &[&str]) {
    for (name, value) in members(from) {
        if !except.contains(&name.as_str()) {
            object[name.as_str()] = value;
        }
    }
}

fn remove(object: &mut Value, names: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Returns the payload of a success.
pub(super) fn done(name: &str, value: impl Into<Value>) -> Value {
    json!({ name: value.into(), "userErrors": [], "orderCancelUserErrors": [] })
}

fn missing(field: &[&str]) -> Value {
    refused(field, "The resource does not exist", "NOT_FOUND")
}

/// Returns the payload of a refused mutation. Every resource in it is null.
pub(super) fn refused(field: &[&str], message: &str, code: &str) -> Value {
    const RESOURCES: [&str; 30] = [
        "app",
        "appSubscription",
        "bulkOperation",
        "collection",
        "confirmationUrl",
        "customer",
        "deletedCollectionId",
        "deletedCustomerId",
        "deletedFileIds",
        "deletedId",
        "deletedMetafields",
        "deletedProductId",
        "deletedWebhookSubscriptionId",
        "draftOrder",
        "files",
        "fulfillment",
        "inventoryAdjustmentGroup",
        "inventoryLevel",
        "job",
        "metafields",
        "metaobject",
        "node",
        "order",
        "product",
        "productSetOperation",
        "productVariants",
        "refund",
        "revoked",
        "stagedTargets",
        "webhookSubscription",
    ];
    let code = if code.is_empty() {
        Value::Null
    } else {
        code.into()
    };
    let error = json!({ "field": field, "message": message, "code": code });
    let mut payload = json!({ "userErrors": [error], "orderCancelUserErrors": [error] });
    for resource in RESOURCES {
        payload[resource] = Value::Null;
    }
    payload
}
