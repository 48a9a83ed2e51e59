//! The kept document, and the running router against it.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use axum::body::Body;
use connector_axum::openapi_json;
use connector_testkit::drive;
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, request};

/// The kept document, `crates/connector-axum/openapi.json`.
const KEPT: &str = include_str!("../../openapi.json");

#[test]
fn the_kept_document_is_current() {
    let current = openapi_json("https://app.example/integrations").unwrap() + "\n";
    if current != KEPT {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&path, &current).unwrap();
        panic!(
            "the document has changed; copy {} to crates/connector-axum",
            path.display()
        );
    }
    let document: Value = serde_json::from_str(KEPT).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()));
        }
    }
    println!("operations: {}", ids.len());
    assert!(!ids.is_empty());
}

/// Checks a value against a schema of the document: the part of JSON Schema that the document uses.
/// Returns the number of checked values.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> usize {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap();
        return check(document, target, value, at);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(options) = schema[word].as_array() {
            let fits = |it: &&Value| {
                it["type"] != "null" && !value.is_null() || it["type"] == "null" && value.is_null()
            };
            let option = options.iter().find(fits);
            return check(
                document,
                option.unwrap_or_else(|| panic!("{at}: {value}")),
                value,
                at,
            );
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().map(|it| check(document, it, value, at)).sum();
    }
    let known = [
        "type",
        "properties",
        "required",
        "items",
        "format",
        "description",
        "enum",
        "additionalProperties",
        "minimum",
        "propertyNames",
        "const",
    ];
    for word in schema.as_object().unwrap().keys() {
        assert!(
            known.contains(&word.as_str()),
            "{at}: the check does not know {word}"
        );
    }
    if let Some(options) = schema["enum"].as_array() {
        assert!(options.contains(value), "{at}: {value}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().map(|it| it.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    assert!(
        kinds.is_empty() || kinds.contains(&kind),
        "{at}: {value} is not {kinds:?}"
    );
    if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str()) {
        assert!(
            connector_core::clock::Timestamp::parse(text).is_some(),
            "{at}: {text}"
        );
    }
    let mut checked = 1;
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            checked += check(document, &schema["items"], item, &format!("{at}/{index}"));
        }
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(
                members.contains_key(name.as_str().unwrap()),
                "{at} has no {name}"
            );
        }
        for (name, member) in members {
            let own = &schema["properties"][name];
            let schema = if own.is_null() {
                &schema["additionalProperties"]
            } else {
                own
            };
            if schema.is_object() {
                checked += check(document, schema, member, &format!("{at}/{name}"));
            } else {
                // Only actors and events have free members.
                let is_free = at.ends_with("/actor") || at.ends_with("/event");
                assert!(is_free, "{at}: {name} is not documented");
            }
        }
    }
    checked
}

/// The statuses that requests got.
#[derive(Default)]
struct Seen {
    pairs: BTreeSet<(String, u16)>,
    values: usize,
}

impl Seen {
    /// Checks a response against the operation that describes it.
    fn check(&mut self, document: &Value, operation: &Value, answer: &Answer) {
        let id = operation["operationId"].as_str().unwrap();
        let status = answer.status.as_u16();
        let response = &operation["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{id}: {status} is not documented: {}",
            answer.text
        );
        assert!(status < 500, "{id}: {}", answer.text);
        self.pairs.insert((id.to_owned(), status));
        let content = &response["content"];
        if !content.is_object() || answer.text.is_empty() {
            return;
        }
        let media_type = answer.header("content-type");
        let schema = &content[media_type]["schema"];
        assert!(
            schema.is_object(),
            "{id}: {status} has the type {media_type}"
        );
        if media_type.ends_with("json") && id != "getOpenApi" {
            self.values += check(document, schema, &answer.json(), id);
        }
    }
}

/// Values for path parameters and texts in bodies.
const TEXTS: [&str; 12] = [
    "acme",
    "1",
    "",
    "..",
    "%00",
    "%ff",
    "a%2Fb",
    "%F0%9F%92%A5",
    "unknown",
    "0192f0c1-0000-7000-8000-000000000001",
    "%27%22%3C%3E",
    "x%0D%0Aset-cookie%3A%20a",
];

/// Queries, most of them with errors.
const QUERIES: [&str; 9] = [
    "",
    "?limit=1",
    "?limit=x",
    "?provider=acme&account=1",
    "?after=%00",
    "?limit=1&limit=1",
    "?status=connected",
    "?code=1&state=2",
    "?%ff=%ff",
];

/// Returns bodies of several routes, right and wrong.
fn bodies() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "return_to": "team" }),
        json!({ "return_to": "https://evil.example" }),
        json!({ "account": "a b" }),
        json!({ "reconnect": "x" }),
        json!({ "scopes": "read" }),
        json!({ "kind": "oauth" }),
        json!({ "kind": "api_key", "secret": "" }),
        json!({ "kind": "secret_url", "secret": "http://127.0.0.1/" }),
        json!({ "confirmation": "x" }),
        json!({ "confirmation": "x", "mode": "forget" }),
        json!({ "app": "\u{0}" }),
        json!([1, null]),
        json!("text"),
        Value::Null,
    ]
}

/// Returns the path with values that exist, and with other texts.
fn filled(path: &str, id: &str) -> Vec<String> {
    let valid = path.replace("{id}", id);
    let mut paths = vec![valid.replace("{provider}", "acme").replace("{code}", "bug")];
    paths.extend(TEXTS.iter().map(|text| {
        let names = ["{id}", "{provider}", "{code}", "{channel}", "{ticket}"];
        let path = path.to_owned();
        names
            .iter()
            .fold(path, |path, name| path.replace(name, text))
    }));
    paths.retain(|it| !it.contains('{') && !it.contains("//") && !it.ends_with('/'));
    paths.sort();
    paths.dedup();
    paths
}

#[tokio::test]
async fn every_response_of_the_running_router_is_documented() {
    let minute = Duration::from_secs(60);
    let rig = Rig::with(|it| {
        it.with_connect_limit(u32::MAX, minute)
            .with_callback_limit(u32::MAX, minute)
    })
    .await;
    let id = rig.connect(&rig.ann, "1").await.to_string();
    let document: Value = serde_json::from_str(KEPT).unwrap();
    let (mut seen, mut sent) = (Seen::default(), 0);
    let stranger = rig
        .keys
        .add("t2", "bob", connector_axum::Permissions::none());
    let keys = [rig.ann.as_str(), &stranger, ""];
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            // A stream has no end; its tests are in `live`.
            if operation["operationId"] == "streamConnections" {
                continue;
            }
            let cases = filled(path, &id).into_iter().flat_map(|path| {
                let bodies = bodies().into_iter().enumerate();
                bodies.flat_map(move |(index, body)| {
                    keys.map(|key| (path.clone(), index, body.clone(), key))
                })
            });
            for (path, index, body, key) in cases {
                let path = format!("{path}{}", QUERIES[(index + sent) % QUERIES.len()]);
                let body = match method.as_str() {
                    "GET" => Body::empty(),
                    _ => Body::from(body.to_string()),
                };
                let mut request = request(&method, &path, key, body);
                let types = ["application/json", "application/json", "text/plain"];
                let media_type = types[index % types.len()].parse().unwrap();
                request.headers_mut().insert(CONTENT_TYPE, media_type);
                let answer = drive(&rig.clock, Duration::from_secs(1), rig.send(request)).await;
                sent += 1;
                // A path that belongs to another route is not described by this operation.
                let is_unmatched = answer.text.contains("route_not_found");
                if answer.status != 405 && !is_unmatched {
                    seen.check(&document, operation, &answer);
                }
            }
        }
    }
    let succeeded = |id: &str| {
        seen.pairs
            .iter()
            .any(|(it, status)| it == id && *status < 400)
    };
    // Adoption, tickets and webhooks succeed in tests of their own.
    for needed in [
        "listConnectors",
        "beginConnect",
        "createTicket",
        "finishConnect",
        "listConnections",
        "getConnection",
        "refreshConnection",
        "checkConnection",
        "getHistory",
        "explainConnection",
        "getDisconnectConsequences",
        "issueToken",
        "getHealth",
        "getReadiness",
        "getAppHealth",
        "getProblem",
        "getOpenApi",
        "getCsrfToken",
    ] {
        assert!(succeeded(needed), "{needed} never succeeded");
    }
    println!(
        "requests: {sent}, statuses of operations: {}, checked values: {}",
        seen.pairs.len(),
        seen.values
    );
    assert!(seen.values > 1000);
}
