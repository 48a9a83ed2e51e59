//! The GraphQL endpoint: access control, query costs and data.

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::data::{CONNECTION, ShopState};
use super::oauth::compressed;
use super::query::{Query, Refusal};

/// Maximum cost of one query, in points.
const LARGEST_COST: f64 = 1000.0;
/// The supported API versions, oldest first.
const VERSIONS: [&str; 4] = ["2026-01", "2026-04", "2026-07", "2026-10"];
/// Fields that require permission to read products.
const PRODUCT_FIELDS: [&str; 4] = ["products", "product", "productVariants", "productVariant"];

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
    let (data, errors) = execute(&query, state, grant);
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

fn execute(query: &Query<'_>, state: &mut ShopState, grant: &Grant) -> (Value, Vec<Value>) {
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
            mutate(state, &field.name, &argument)
        } else {
            read(state, grant, &field.name, &argument)
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

type Argument<'a> = &'a dyn Fn(&str) -> Value;

fn read(
    state: &ShopState,
    grant: &Grant,
    name: &str,
    argument: Argument<'_>,
) -> Result<Value, Refusal> {
    let scopes = crate::expand_scopes(&grant.scopes);
    if PRODUCT_FIELDS.contains(&name) && !scopes.iter().any(|it| it == "read_products") {
        return Err(Refusal::new(
            format!(
                "Access denied for {name} field. Required access: `read_products` access scope."
            ),
            "ACCESS_DENIED",
        ));
    }
    let one = |items: &[Value]| {
        let id = argument("id");
        let found = items.iter().find(|item| item["id"] == id);
        found.cloned().unwrap_or(Value::Null)
    };
    Ok(match name {
        "shop" => state.shop.clone(),
        "currentAppInstallation" => installation(state, grant),
        "products" => connection(&state.products, argument),
        "productVariants" => connection(&state.variants, argument),
        "product" => one(&state.products),
        "productVariant" => one(&state.variants),
        "webhookSubscriptions" => {
            let topics = argument("topics");
            let wanted: Vec<Value> = state
                .subscriptions
                .iter()
                .filter(|it| {
                    topics
                        .as_array()
                        .is_none_or(|topics| topics.is_empty() || topics.contains(&it["topic"]))
                })
                .cloned()
                .collect();
            json!({ CONNECTION: wanted })
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
    let scopes = compressed(&grant.scopes).into_iter();
    let handles = scopes.map(|scope| json!({ "handle": scope, "description": scope }));
    let handles: Vec<Value> = handles.collect();
    json!({
        "id": format!("gid://shopify/AppInstallation/{}", 500_000_000_000 + state.number),
        "accessScopes": handles,
        "app": app(),
        "launchUrl": "https://app.example/",
        "uninstallUrl": null,
    })
}

fn app() -> Value {
    json!({ "id": "gid://shopify/App/1", "title": "Simulated", "handle": "simulated" })
}

/// Returns the items that match the argument `query`, in the order of `sortKey` and `reverse`.
fn connection(items: &[Value], argument: Argument<'_>) -> Value {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let query = argument("query");
    let query = query.as_str().unwrap_or_default();
    let mut found: Vec<Value> = items
        .iter()
        .filter(|item| query.split_whitespace().all(|term| matches(item, term)))
        .cloned()
        .collect();
    match argument("sortKey").as_str() {
        Some("UPDATED_AT") => found.sort_by_key(|item| text(item, "updatedAt")),
        Some("CREATED_AT") => found.sort_by_key(|item| text(item, "createdAt")),
        Some("TITLE" | "FULL_TITLE") => found.sort_by_key(|item| text(item, "title")),
        Some("SKU") => found.sort_by_key(|item| text(item, "sku")),
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
        ("updated_at", Some(since)) => has("updatedAt").as_str() >= since,
        _ => true,
    }
}

fn mutate(state: &mut ShopState, name: &str, argument: Argument<'_>) -> Result<Value, Refusal> {
    Ok(match name {
        "webhookSubscriptionCreate" => subscribe(state, argument),
        "webhookSubscriptionDelete" => {
            let id = argument("id");
            let before = state.subscriptions.len();
            state.subscriptions.retain(|it| it["id"] != id);
            if state.subscriptions.len() < before {
                json!({ "deletedWebhookSubscriptionId": id, "userErrors": [] })
            } else {
                json!({
                    "deletedWebhookSubscriptionId": null,
                    "userErrors": [user_error(&["id"], "Webhook subscription does not exist")],
                })
            }
        }
        "appUninstall" => {
            state.subscriptions.clear();
            state.uninstalled = true;
            json!({ "app": app(), "userErrors": [] })
        }
        _ => {
            return Err(Refusal::new(
                format!("Field '{name}' doesn't exist on type 'Mutation'"),
                "undefinedField",
            ));
        }
    })
}

fn subscribe(state: &mut ShopState, argument: Argument<'_>) -> Value {
    let (topic, input) = (argument("topic"), argument("webhookSubscription"));
    let refused = |field: &[&str], message: &str| json!({ "webhookSubscription": null, "userErrors": [user_error(field, message)] });
    let uri = input["uri"].as_str().unwrap_or_default();
    if !["https://", "pubsub://", "arn:aws:events:"]
        .iter()
        .any(|start| uri.starts_with(start))
    {
        return refused(&["webhookSubscription", "uri"], "Address is invalid");
    }
    let is_taken = |it: &Value| {
        it["topic"] == topic && it["uri"] == input["uri"] && it["filter"] == input["filter"]
    };
    if state.subscriptions.iter().any(is_taken) {
        return refused(
            &["webhookSubscription", "uri"],
            "Address for this topic has already been taken",
        );
    }
    state.subscriptions_made += 1;
    let made = json!({
        "id": format!("gid://shopify/WebhookSubscription/{}", state.subscriptions_made),
        "topic": topic,
        "uri": uri,
        "format": input["format"].as_str().unwrap_or("JSON"),
        "filter": input["filter"],
        "includeFields": input["includeFields"].as_array().cloned().unwrap_or_default(),
        "name": input["name"],
    });
    state.subscriptions.push(made.clone());
    json!({ "webhookSubscription": made, "userErrors": [] })
}

fn user_error(field: &[&str], message: &str) -> Value {
    json!({ "field": field, "message": message, "code": null })
}
