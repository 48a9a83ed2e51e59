//! The GraphQL endpoint: access control, query costs and reads.

use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::data::{CONNECTION, ShopState};
use super::oauth::compressed;
use super::query::{Query, Refusal};
use super::{bulk, mutations};

/// Maximum cost of one query, in points.
const LARGEST_COST: f64 = 1000.0;
/// The supported API versions, oldest first.
pub(super) const VERSIONS: [&str; 4] = ["2026-01", "2026-04", "2026-07", "2026-10"];
/// The age from which orders need another scope.
const OLD: Duration = Duration::from_secs(60 * 86_400);

/// The root fields that return objects of a type: the connection, the single object, the type, and
/// the scope to read it.
const READS: &[(&str, &str, &str, &str)] = &[
    ("products", "product", "Product", "read_products"),
    (
        "productVariants",
        "productVariant",
        "ProductVariant",
        "read_products",
    ),
    ("collections", "collection", "Collection", "read_products"),
    ("orders", "order", "Order", "read_orders"),
    (
        "draftOrders",
        "draftOrder",
        "DraftOrder",
        "read_draft_orders",
    ),
    ("customers", "customer", "Customer", "read_customers"),
    ("locations", "location", "Location", "read_locations"),
    (
        "inventoryItems",
        "inventoryItem",
        "InventoryItem",
        "read_inventory",
    ),
    (
        "fulfillmentOrders",
        "fulfillmentOrder",
        "FulfillmentOrder",
        "read_merchant_managed_fulfillment_orders",
    ),
    (
        "metaobjects",
        "metaobject",
        "Metaobject",
        "read_metaobjects",
    ),
    (
        "webhookSubscriptions",
        "webhookSubscription",
        "WebhookSubscription",
        "",
    ),
    ("bulkOperations", "bulkOperation", "BulkOperation", ""),
];

/// Returns the API version that serves a request for the version `asked`.
pub(super) fn served_version(asked: &str) -> &'static str {
    VERSIONS
        .into_iter()
        .find(|version| *version == asked)
        .unwrap_or(VERSIONS[0])
}

#[derive(Deserialize)]
struct Body {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// Returns the response without a live access token.
pub(super) fn unauthorized() -> Response {
    let message = "[API] Invalid API key or access token (unrecognized login or wrong password)";
    Response::json(401, &json!({ "errors": message }))
}

/// Returns the response to a token that does not expire, if Shopify no longer accepts such tokens.
pub(super) fn forbidden() -> Response {
    let message = "[API] Non-expiring access tokens are no longer accepted for the Admin API. \
                   Start using expiring offline tokens: \
                   https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens";
    Response::json(403, &json!({ "errors": message }))
}

/// Returns the response to a request with a live access token.
pub(super) fn answer(
    state: &mut ShopState,
    grant: &Grant,
    now: Timestamp,
    body: &Bytes,
) -> Response {
    let Ok(Body { query, variables }) = serde_json::from_slice(body) else {
        return Response::json(400, &json!({ "errors": "Bad Request" }));
    };
    let query = match Query::parse(&query, variables.unwrap_or_default()) {
        Ok(query) => query,
        Err(refusal) => return Response::json(200, &json!({ "errors": [refusal.to_json()] })),
    };
    bulk::advance(state, now);
    let requested = query.cost();
    let available = state.bucket.available(now);
    let refusal = if requested > LARGEST_COST {
        let message = "Query cost exceeds the single query limit";
        Some(Refusal::new(message, "MAX_COST_EXCEEDED"))
    } else if requested > available {
        Some(Refusal::new("Throttled", "THROTTLED"))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        let cost = cost(state, requested, None, available);
        return Response::json(
            200,
            &json!({ "errors": [refusal.to_json()], "extensions": cost }),
        );
    }
    let (data, errors) = execute(&query, state, grant, now);
    let actual = actual_cost(&data, query.is_mutation).min(requested);
    state.bucket.take(actual);
    let left = state.bucket.available(now);
    let mut whole =
        json!({ "data": data, "extensions": cost(state, requested, Some(actual), left) });
    if !errors.is_empty() {
        whole["errors"] = Value::Array(errors);
    }
    let response = Response::json(200, &whole);
    if std::mem::take(&mut state.uninstalled) {
        return response.with_grants_ended();
    }
    response
}

fn cost(state: &ShopState, requested: f64, actual: Option<f64>, available: f64) -> Value {
    json!({ "cost": {
        "requestedQueryCost": requested,
        "actualQueryCost": actual,
        "throttleStatus": {
            "maximumAvailable": state.bucket.limit,
            "currentlyAvailable": available.floor(),
            "restoreRate": state.bucket.rate,
        },
    } })
}

/// Returns the actual cost of the returned data: one point for each object.
fn actual_cost(data: &Value, is_mutation: bool) -> f64 {
    fn objects(value: &Value) -> f64 {
        match value {
            Value::Array(items) => items.iter().map(objects).sum(),
            Value::Object(object) => 1.0 + object.values().map(objects).sum::<f64>(),
            _ => 0.0,
        }
    }
    let base = if is_mutation { 10.0 } else { 0.0 };
    base + (objects(data) - 1.0).max(0.0)
}

/// Executes an operation. Returns its data and its errors.
pub(super) fn execute(
    query: &Query<'_>,
    state: &mut ShopState,
    grant: &Grant,
    now: Timestamp,
) -> (Value, Vec<Value>) {
    let mut data = Map::new();
    let mut errors = Vec::new();
    let roots = match query.roots() {
        Ok(roots) => roots,
        Err(refusal) => return (Value::Null, vec![refusal.to_json()]),
    };
    for field in roots {
        let key = field.alias.as_ref().unwrap_or(&field.name).clone();
        let argument = |name: &str| query.argument(field, name);
        let whole = if query.is_mutation {
            let key = query.idempotency_key(field);
            let mut call = mutations::Call {
                state,
                grant,
                now,
                key,
            };
            call.mutate(&field.name, &argument)
        } else {
            read(state, grant, now, &field.name, &argument)
        };
        match whole.and_then(|whole| query.project(field, &whole)) {
            Ok(value) => {
                data.insert(key, value);
            }
            Err(refusal) => {
                let mut error = refusal.to_json();
                error["path"] = json!([key]);
                errors.push(error);
                data.insert(key, Value::Null);
            }
        }
    }
    (Value::Object(data), errors)
}

pub(super) type Argument<'a> = &'a dyn Fn(&str) -> Value;

/// Returns an error if the grant has not the scope, or the scope to write the same data.
pub(super) fn require(grant: &Grant, field: &str, scope: &str) -> Result<(), Refusal> {
    let scopes = crate::expand_scopes(&grant.scopes);
    if scope.is_empty() || scopes.iter().any(|it| it == scope) {
        return Ok(());
    }
    let message =
        format!("Access denied for {field} field. Required access: `{scope}` access scope.");
    Err(Refusal::new(message, "ACCESS_DENIED"))
}

/// Returns the value of a root field of a query, with everything that can be selected.
pub(super) fn read(
    state: &ShopState,
    grant: &Grant,
    now: Timestamp,
    name: &str,
    argument: Argument<'_>,
) -> Result<Value, Refusal> {
    // Without the scope for all orders, older ones are left out without an error.
    let reads_all = grant.scopes.iter().any(|it| it == "read_all_orders");
    let oldest = now.before(OLD).to_string();
    let is_readable = |item: &&Value| {
        let is_order = item["processedAt"].is_string();
        reads_all || !is_order || item["createdAt"].as_str() >= Some(&oldest)
    };
    for (connection, single, kind, scope) in READS {
        if name == *connection {
            require(grant, name, scope)?;
            let items = state.table(kind).iter().filter(is_readable);
            return Ok(listed(state, items, argument));
        }
        if name == *single {
            require(grant, name, scope)?;
            let found = state.table(kind).iter().filter(is_readable);
            let id = argument("id");
            let mut found = found.filter(|it| it["id"] == id);
            return Ok(found.next().map_or(Value::Null, |it| state.whole(it)));
        }
    }
    let count = |kind: &str| {
        let items = state.table(kind).iter().filter(is_readable);
        let found = listed(state, items, argument);
        let count = found[CONNECTION].as_array().map_or(0, Vec::len);
        let limit = argument("limit").as_u64().unwrap_or(10_000);
        let is_exact = (count as u64) <= limit;
        json!({
            "count": (count as u64).min(limit),
            "precision": if is_exact { "EXACT" } else { "AT_LEAST" },
        })
    };
    let identified = |kind: &str| {
        let identifier = argument("identifier");
        let mut items = state.table(kind).iter().filter(is_readable);
        let found = items.find(|it| match (&identifier["id"], &identifier["handle"]) {
            (Value::Null, Value::Null) => {
                let custom = &identifier["customId"];
                let fields = state.table("Metafield").iter();
                fields
                    .filter(|field| field["ownerId"] == it["id"])
                    .any(|field| {
                        ["namespace", "key", "value"]
                            .iter()
                            .all(|name| field[*name] == custom[*name])
                    })
            }
            (Value::Null, handle) => it["handle"] == *handle,
            (id, _) => it["id"] == *id,
        });
        found.map_or(Value::Null, |it| state.whole(it))
    };
    Ok(match name {
        "shop" => state.shop.clone(),
        "publicApiVersions" => {
            let versions = VERSIONS.iter().map(
                |version| json!({ "handle": version, "displayName": version, "supported": true }),
            );
            versions.collect()
        }
        "currentAppInstallation" => installation(state, grant),
        "productsCount" => {
            require(grant, name, "read_products")?;
            count("Product")
        }
        "ordersCount" => {
            require(grant, name, "read_orders")?;
            count("Order")
        }
        "webhookSubscriptionsCount" => count("WebhookSubscription"),
        "productByIdentifier" => {
            require(grant, name, "read_products")?;
            identified("Product")
        }
        "orderByIdentifier" => {
            require(grant, name, "read_orders")?;
            identified("Order")
        }
        "productOperation" => {
            let id = argument("id");
            let mut all = state.table("ProductSetOperation").iter();
            all.find(|it| it["id"] == id).cloned().unwrap_or_default()
        }
        _ => {
            return Err(Refusal::new(
                format!("Field '{name}' doesn't exist on type 'QueryRoot'"),
                "undefinedField",
            ));
        }
    })
}

fn installation(state: &ShopState, grant: &Grant) -> Value {
    let handles = |scopes: Vec<&str>| -> Value {
        let handle = |scope: &str| json!({ "handle": scope, "description": scope });
        scopes.into_iter().map(handle).collect()
    };
    json!({
        "id": format!("gid://shopify/AppInstallation/{}", 500_000_000_000 + state.number),
        "accessScopes": handles(compressed(&grant.scopes)),
        "app": {
            "id": "gid://shopify/App/1", "title": "Simulated", "handle": "simulated",
            "apiKey": grant.client_id,
            "requestedAccessScopes": handles(compressed(&grant.scopes)),
            "optionalAccessScopes": [],
        },
        "launchUrl": "https://app.example/",
        "uninstallUrl": null,
        "activeSubscriptions": state.table("AppSubscription").iter()
            .filter(|it| it["status"] == "ACTIVE").cloned().collect::<Vec<_>>(),
    })
}

/// Returns the items that match the arguments, in the order of `sortKey` and `reverse`.
fn listed<'a>(
    state: &ShopState,
    items: impl Iterator<Item = &'a Value>,
    argument: Argument<'_>,
) -> Value {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let query = argument("query");
    let query = query.as_str().unwrap_or_default();
    let (topics, kind) = (argument("topics"), argument("type"));
    let mut found: Vec<Value> = items
        .filter(|item| query.split_whitespace().all(|term| matches(item, term)))
        .filter(|item| {
            let topics = topics.as_array().filter(|it| !it.is_empty());
            topics.is_none_or(|topics| topics.contains(&item["topic"]))
                && (kind.is_null() || item["type"] == kind)
                && (argument("includeInactive") == true || item["isActive"] != false)
                && (argument("includeClosed") == true
                    || item["requestStatus"].is_null()
                    || item["status"] != "CLOSED")
        })
        .map(|item| state.whole(item))
        .collect();
    match argument("sortKey").as_str() {
        Some("UPDATED_AT") => found.sort_by_key(|item| text(item, "updatedAt")),
        Some("CREATED_AT" | "PROCESSED_AT") => found.sort_by_key(|item| text(item, "createdAt")),
        Some("TITLE" | "FULL_TITLE") => found.sort_by_key(|item| text(item, "title")),
        Some("SKU") => found.sort_by_key(|item| text(item, "sku")),
        Some("NAME") => found.sort_by_key(|item| text(item, "displayName")),
        _ => found.sort_by_key(|item| text(item, "id")),
    }
    if argument("reverse") == json!(true) {
        found.reverse();
    }
    json!({ CONNECTION: found })
}

/// Returns true if an item matches one term of Shopify's search syntax. An unknown term matches
/// every item.
fn matches(item: &Value, term: &str) -> bool {
    let Some((name, wanted)) = term.split_once(':') else {
        return true;
    };
    let wanted = wanted.replace('\'', "");
    let has = |member: &str| item[member].as_str().unwrap_or_default().to_owned();
    match (name, wanted.strip_prefix(">=")) {
        ("status", _) => has("status").eq_ignore_ascii_case(&wanted),
        ("vendor", _) => has("vendor") == wanted,
        ("sku", _) => has("sku") == wanted,
        ("product_id", _) => item["product"]["id"] == format!("gid://shopify/Product/{wanted}"),
        ("order_id", _) => item["orderId"] == format!("gid://shopify/Order/{wanted}"),
        ("updated_at", Some(since)) => has("updatedAt").as_str() >= since,
        ("created_at", Some(since)) => has("createdAt").as_str() >= since,
        ("test", _) => item["test"] == (wanted == "true"),
        _ => true,
    }
}
