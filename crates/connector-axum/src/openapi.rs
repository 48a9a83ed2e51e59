//! The `OpenAPI` document, generated from the table of routes and the types of requests and
//! responses.

use serde_json::{Map, Value, json};

use crate::problem::ProblemBody;
use crate::routes::{Body, Guard, ROUTES, Route, Schemas, Success, TOKEN_ROUTES, schema};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// The form of a provider's id.
const PROVIDER: &str = "^[a-z][a-z0-9-]{0,63}$";

/// Returns the document. `base` is the public address of the routers.
pub(crate) fn document(base: &str, is_enveloped: bool) -> Value {
    let mut schemas = Schemas::new();
    let problem = value(schema::<ProblemBody>(&mut schemas));
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().chain(TOKEN_ROUTES) {
        let operation = operation(route, &problem, is_enveloped, &mut schemas);
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, value(schema)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "connectors",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Connects accounts at other companies, and reports their status.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": base }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "application": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The application decides how callers are identified: with \
                                    API keys, or with the cookies of its own login."
                }
            }
        }
    })
}

fn value(schema: impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

fn operation(route: &Route, problem: &Value, is_enveloped: bool, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "responses": responses(route, problem, is_enveloped, schemas),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(request) = route.request {
        let content = json!({ "schema": value(request(schemas)) });
        let mut types = json!({ JSON: content });
        if route.body == Body::JsonOrForm {
            // A form has an additional field.
            types["application/x-www-form-urlencoded"] = json!({ "schema": {
                "type": "object",
                "required": ["csrf"],
                "properties": { "csrf": { "type": "string" } },
                "additionalProperties": { "type": "string" }
            } });
        }
        operation["requestBody"] = json!({ "required": true, "content": types });
    } else if route.body == Body::Raw {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "*/*": { "schema": {} } }
        });
    }
    if let Guard::Caller(permission) = route.guard {
        operation["security"] = json!([{ "application": [] }]);
        operation["description"] =
            json!(format!("Needs the permission `{}`.", permission.as_str()));
    }
    if matches!(
        route.guard,
        Guard::AnyCaller | Guard::Callback | Guard::Ticket
    ) {
        operation["security"] = json!([{ "application": [] }]);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema = match name {
                "id" => json!({ "type": "string", "format": "uuid" }),
                "provider" => json!({ "type": "string", "pattern": PROVIDER }),
                _ => json!({ "type": "string" }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    for name in route.query.iter().filter(|it| **it != "_") {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 }),
            "status" => json!({ "type": "string", "enum": [
                "connected", "degraded", "needs_reauthorization", "app_misconfigured",
                "disconnected"
            ] }),
            "provider" => json!({ "type": "string", "pattern": PROVIDER }),
            _ => json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        };
        parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
    }
    parameters
}

fn responses(route: &Route, problem: &Value, is_enveloped: bool, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for success in route.success {
        let (status, response) = match success {
            Success::Json(status, schema) => {
                let schema = enveloped(value(schema(schemas)), "data", is_enveloped);
                let content = json!({ JSON: { "schema": schema } });
                (
                    *status,
                    json!({ "description": "Success.", "content": content }),
                )
            }
            Success::Document => (
                200,
                json!({
                    "description": "The document.",
                    "content": { JSON: { "schema": { "type": "object" } } }
                }),
            ),
            Success::Empty(status) => (*status, json!({ "description": "Success." })),
            Success::Redirect => (
                303,
                json!({
                    "description": "A redirect.",
                    "headers": { "location": { "schema": { "type": "string" } } }
                }),
            ),
            Success::Events => (
                200,
                json!({
                    "description": "Events `connection`, `removed`, `truncated` and `ready`.",
                    "content": { "text/event-stream": { "schema": { "type": "string" } } }
                }),
            ),
            Success::ProviderReply => (
                200,
                json!({
                    "description": "The response that the provider expects. Some providers expect \
                                    another status in the range 2XX."
                }),
            ),
        };
        responses.insert(status.to_string(), response);
    }
    if route.is_tagged {
        responses.insert(
            "304".to_owned(),
            json!({ "description": "The response has not changed." }),
        );
    }
    for status in statuses(route) {
        let schema = enveloped(problem.clone(), "error", is_enveloped);
        let media_type = if is_enveloped { JSON } else { PROBLEM };
        responses.insert(
            status.to_string(),
            json!({
                "description": "A problem.",
                "content": { media_type: { "schema": schema } }
            }),
        );
    }
    Value::Object(responses)
}

/// Returns the statuses of a route's problems.
pub(crate) fn statuses(route: &Route) -> Vec<u16> {
    let mut statuses = route.problems.to_vec();
    if !matches!(route.guard, Guard::Public | Guard::Provider) {
        statuses.extend([401, 403, 503]);
    }
    if route.path.contains('{') || !route.query.contains(&"_") {
        statuses.extend([400, 404]);
    }
    // A query that is not UTF-8, or that repeats a known parameter.
    statuses.push(400);
    match route.body {
        Body::None => {}
        Body::Json | Body::JsonOrForm => statuses.extend([400, 403, 408, 413, 415]),
        Body::Raw => statuses.extend([408, 413]),
    }
    if route.limit.is_some() {
        statuses.push(429);
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn enveloped(schema: Value, member: &str, is_enveloped: bool) -> Value {
    if !is_enveloped {
        return schema;
    }
    json!({
        "type": "object",
        "required": ["success", member, "timestamp", "requestId"],
        "properties": {
            "success": { "const": member == "data" },
            member: schema,
            "timestamp": { "type": "string", "format": "date-time" },
            "requestId": { "type": "string" }
        }
    })
}
