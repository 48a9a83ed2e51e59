//! The routes of the simulator.

use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::records;
use super::world::{Base, Table, WEEK, Webhook, World};

/// The body of a successful response, or a refusal.
pub(super) type Answer = Result<Value, Response>;

pub(super) fn refused(status: u16, kind: &str, message: &str) -> Response {
    Response::json(
        status,
        &json!({ "error": { "type": kind, "message": message } }),
    )
}

pub(super) fn not_found() -> Response {
    Response::json(404, &json!({ "error": "NOT_FOUND" }))
}

pub(super) fn no_access() -> Response {
    let message = "Invalid permissions, or the requested model was not found.";
    refused(403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", message)
}

pub(super) fn invalid(kind: &str) -> Response {
    refused(422, kind, "The request is invalid.")
}

fn limited(code: &str) -> Response {
    let message = "The limit is exceeded. Please try again later.";
    Response::json(
        429,
        &json!({ "errors": [{ "error": code, "message": message }] }),
    )
}

pub(super) fn answer(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    grant: &Grant,
) -> Response {
    let segments: Vec<String> = request.path().split('/').skip(1).map(decoded).collect();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["v0", path @ ..] = path.as_slice() else {
        return not_found();
    };
    let outcome = route(world, now, request, grant, path);
    outcome.map_or_else(|refusal| refusal, |body| Response::json(200, &body))
}

/// Decodes a path segment. The client percent-encodes `+`, `=` and `&` in segments.
fn decoded(segment: &str) -> String {
    let mut pairs = form_urlencoded::parse(segment.as_bytes());
    pairs
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

fn needs(grant: &Grant, scope: &str) -> Result<(), Response> {
    if grant.scopes.iter().any(|it| it == scope) {
        return Ok(());
    }
    Err(no_access())
}

fn route(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    grant: &Grant,
    path: &[&str],
) -> Answer {
    let method = request.method().as_str();
    if let ["meta", "bases"] = path {
        return match method {
            "GET" => {
                needs(grant, "schema.bases:read")?;
                let bases = world.bases.iter().filter(|(_, it)| !it.withdrawn);
                let bases: Vec<Value> = bases
                    .map(|(id, it)| {
                        json!({ "id": id, "name": it.name, "permissionLevel": "create" })
                    })
                    .collect();
                Ok(json!({ "bases": bases }))
            }
            "POST" => {
                needs(grant, "schema.bases:write")?;
                create_base(world, &request.json())
            }
            _ => Err(not_found()),
        };
    }
    let (id, is_meta) = match path {
        ["meta", "bases", base, ..] | ["bases", base, ..] => (*base, path[0] == "meta"),
        [base, _, ..] => (*base, false),
        _ => return Err(not_found()),
    };
    let base = world.bases.get_mut(id).filter(|it| !it.withdrawn);
    let base = base.ok_or_else(no_access)?;
    if !base.admits(now) {
        return Err(limited("RATE_LIMIT_REACHED"));
    }
    if world.capped && !is_meta {
        return Err(limited("PUBLIC_API_BILLING_LIMIT_EXCEEDED"));
    }
    match path {
        ["meta", "bases", base, "tables", rest @ ..] => {
            let scope = if method == "GET" {
                "schema.bases:read"
            } else {
                "schema.bases:write"
            };
            needs(grant, scope)?;
            schema(world, method, base, rest, &request.json())
        }
        ["bases", base, "webhooks", rest @ ..] => {
            needs(grant, "webhook:manage")?;
            webhooks(world, now, request, base, rest)
        }
        [base, table, rest @ ..] => {
            let kind = if rest.contains(&"comments") {
                "recordComments"
            } else {
                "records"
            };
            let reads = method == "GET" || rest == ["listRecords"];
            let right = if reads { "read" } else { "write" };
            needs(grant, &format!("data.{kind}:{right}"))?;
            records::route(world, now, request, (base, table), rest, grant)
        }
        _ => Err(not_found()),
    }
}

fn create_base(world: &mut World, new: &Value) -> Answer {
    let tables = new["tables"].as_array().cloned().unwrap_or_default();
    let Some(name) = new["name"].as_str().filter(|_| !tables.is_empty()) else {
        return Err(invalid("INVALID_REQUEST_BODY"));
    };
    let id = world.add_base(name);
    for table in &tables {
        world
            .add_table(&id, table)
            .ok_or_else(|| invalid("INVALID_REQUEST_BODY"))?;
    }
    let tables = world.with_base(&id, |it| described(it));
    Ok(json!({ "id": id, "tables": tables }))
}

fn described(base: &Base) -> Vec<Value> {
    base.tables.iter().map(Table::describe).collect()
}

fn schema(world: &mut World, method: &str, base: &str, rest: &[&str], body: &Value) -> Answer {
    if let ("POST", []) = (method, rest) {
        let id = world
            .add_table(base, body)
            .ok_or_else(|| invalid("INVALID_REQUEST_BODY"))?;
        let found = world.with_base(base, |it| {
            let mut tables = it.tables.iter();
            tables.find(|it| it.id == id).map(Table::describe)
        });
        return found.flatten().ok_or_else(no_access);
    }
    let field = world.field(body);
    let base = world.bases.get_mut(base).ok_or_else(no_access)?;
    if let ("GET", []) = (method, rest) {
        return Ok(json!({ "tables": described(base) }));
    }
    let id = rest.first().copied().unwrap_or_default();
    let table = base
        .tables
        .iter_mut()
        .find(|it| it.id == id)
        .ok_or_else(no_access)?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    match (method, rest) {
        ("PATCH", [_]) => {
            table.name = text("name").unwrap_or_else(|| table.name.clone());
            table.description = text("description").or_else(|| table.description.clone());
            Ok(table.describe())
        }
        ("POST", [_, "fields"]) => {
            table.fields.push(field.clone());
            Ok(field)
        }
        ("PATCH", [_, "fields", id]) => {
            let known = table.fields.iter_mut().find(|it| it["id"] == *id);
            let known = known.ok_or_else(no_access)?;
            for name in ["name", "description"] {
                if let Some(text) = text(name) {
                    known[name] = text.into();
                }
            }
            Ok(known.clone())
        }
        _ => Err(not_found()),
    }
}

fn listed(id: &str, webhook: &Webhook) -> Value {
    json!({
        "id": id,
        "notificationUrl": webhook.url,
        "specification": webhook.specification,
        "areNotificationsEnabled": webhook.enabled,
        "isHookEnabled": true,
        "cursorForNextPayload": webhook.next,
        "expirationTime": webhook.expires.to_string(),
        "lastNotificationResult": null,
    })
}

fn webhooks(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    id: &str,
    rest: &[&str],
) -> Answer {
    const PER_BASE: usize = 2;
    let base = world.bases.get_mut(id).ok_or_else(no_access)?;
    let method = request.method().as_str();
    match (method, rest) {
        ("GET", []) => {
            let live = base.webhooks.iter().filter(|(_, it)| it.is_live(now));
            let webhooks: Vec<Value> = live.map(|(id, it)| listed(id, it)).collect();
            return Ok(json!({ "webhooks": webhooks }));
        }
        ("POST", []) => {
            let live = base.webhooks.values().filter(|it| it.is_live(now));
            if live.count() >= PER_BASE {
                return Err(invalid("TOO_MANY_WEBHOOKS_BY_OAUTH_INTEGRATION_IN_BASE"));
            }
            let created = world.create_webhook(now, id, &request.json());
            return created.ok_or_else(no_access);
        }
        _ => {}
    }
    let (id, rest) = rest.split_first().ok_or_else(not_found)?;
    let webhook = base.webhooks.get_mut(*id).ok_or_else(not_found)?;
    if let ("GET", ["payloads"]) = (method, rest) {
        // The payloads of an expired webhook can be read for another week.
        if now >= webhook.expires.after(WEEK) {
            return Err(not_found());
        }
        if webhook.is_live(now) {
            webhook.expires = now.after(WEEK);
        }
        return Ok(payloads(webhook, now, request));
    }
    if !webhook.is_live(now) {
        return Err(not_found());
    }
    match (method, rest) {
        ("POST", ["refresh"]) => {
            webhook.expires = now.after(WEEK);
            Ok(json!({ "expirationTime": webhook.expires.to_string() }))
        }
        ("POST", ["enableNotifications"]) => {
            if request.json()["enable"] == true {
                webhook.enable();
            }
            Ok(json!({}))
        }
        ("DELETE", []) => {
            base.webhooks.remove(*id);
            Ok(json!({}))
        }
        _ => Err(not_found()),
    }
}

fn payloads(webhook: &mut Webhook, now: Timestamp, request: &Request) -> Value {
    let number = |name: &str| request.query(name).and_then(|it| it.parse::<u64>().ok());
    let from = number("cursor").unwrap_or(1);
    let limit = number("limit").unwrap_or(50).clamp(1, 50);
    webhook.payloads.retain(|(_, at, _)| now.since(*at) <= WEEK);
    let left: Vec<_> = webhook
        .payloads
        .iter()
        .filter(|(at, ..)| *at >= from)
        .collect();
    let page: Vec<_> = left
        .iter()
        .take(usize::try_from(limit).unwrap_or(50))
        .collect();
    let next = page.last().map_or(from.max(1), |(at, ..)| at + 1);
    let bodies: Vec<&Value> = page.iter().map(|(_, _, body)| body).collect();
    json!({ "payloads": bodies, "cursor": next, "mightHaveMore": page.len() < left.len() })
}
