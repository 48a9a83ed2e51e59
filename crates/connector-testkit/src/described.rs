//! Checks of requests against a provider's official description: an `OpenAPI` document or a Google
//! discovery document.
//!
//! [`ApiDescription::check`] looks a request up by method and path, and checks its query and its
//! JSON body: names, types, enumerations, required members. [`ApiDescription::watch`] checks every
//! request that reaches a simulator. Descriptions are read from the directory in
//! `CONNECTORS_ORACLES`: see [`oracle`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_sim::Server;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// Reads the JSON file with this name, relative to the directory in `CONNECTORS_ORACLES`. If the
/// variable is not set, prints that a test is skipped and returns `None`.
///
/// # Panics
/// If the file cannot be read or is not JSON.
#[must_use]
#[expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they skip"
)]
pub fn oracle(name: &str) -> Option<Value> {
    let Some(root) = crate::config::oracles() else {
        println!("skipped: CONNECTORS_ORACLES names no directory with {name}");
        return None;
    };
    let text = std::fs::read(root.join(name));
    let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
    let json = serde_json::from_slice(&text);
    Some(json.unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    OpenApi,
    Discovery,
}

/// An operation of a description.
#[derive(Debug)]
struct Described {
    method: String,
    path: String,
    /// Query parameters: name, schema, whether required, whether repeated.
    query: BTreeMap<String, (Value, bool, bool)>,
    body: Option<Value>,
    is_body_required: bool,
}

/// The outcome of [`ApiDescription::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The description has no operation with this method and path.
    Unknown,
    /// The request matches the description.
    Valid {
        /// Method and path template of the operation.
        operation: String,
        /// The number of query parameters and body values that were checked.
        values: usize,
    },
    /// The request differs from the description.
    Invalid {
        /// Method and path template of the operation.
        operation: String,
        /// The differences.
        problems: Vec<String>,
    },
}

/// The official description of a provider's API.
pub struct ApiDescription {
    document: Value,
    format: Format,
    operations: Vec<Described>,
    exceptions: Vec<(String, String)>,
}

impl ApiDescription {
    /// Reads an `OpenAPI` document, version 3.
    #[must_use]
    pub fn openapi(document: Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                let method = method.to_uppercase();
                if !METHODS.contains(&method.as_str()) {
                    continue;
                }
                let parameters = [&item["parameters"], &operation["parameters"]];
                let parameters = parameters.into_iter().filter_map(|it| it.as_array());
                let mut query = BTreeMap::new();
                for parameter in parameters.flatten() {
                    let parameter = resolved(&document, Format::OpenApi, parameter);
                    if parameter["in"] == "query" {
                        let schema = parameter["schema"].clone();
                        let is_repeated = schema["type"] == "array";
                        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
                        let is_required = parameter["required"] == true;
                        query.insert(name, (schema, is_required, is_repeated));
                    }
                }
                let content = &operation["requestBody"];
                let content = resolved(&document, Format::OpenApi, content);
                let body = content
                    .pointer("/content/application~1json/schema")
                    .cloned();
                operations.push(Described {
                    method,
                    path: path.clone(),
                    query,
                    is_body_required: content["required"] == true,
                    body,
                });
            }
        }
        Self::new(document, Format::OpenApi, operations)
    }

    /// Reads a Google discovery document.
    #[must_use]
    pub fn discovery(document: Value) -> Self {
        let mut operations = Vec::new();
        let mut resources: Vec<&Value> = vec![&document];
        while let Some(resource) = resources.pop() {
            resources.extend(members(&resource["resources"]).map(|(_, it)| it));
            for (_, method) in members(&resource["methods"]) {
                let service = document["servicePath"].as_str().unwrap_or_default();
                let path = method["path"].as_str().unwrap_or_default();
                let upload = method.pointer("/mediaUpload/protocols/simple/path");
                let parameters = [&document["parameters"], &method["parameters"]];
                let parameters = parameters.into_iter().flat_map(members);
                let query =
                    parameters
                        .filter(|(_, it)| it["location"] == "query")
                        .map(|(name, it)| {
                            let is = |what: &str| it[what] == true;
                            (name.clone(), (it.clone(), is("required"), is("repeated")))
                        });
                let query: BTreeMap<_, _> = query.collect();
                let paths = [
                    Some(format!("/{service}{path}")),
                    upload.and_then(Value::as_str).map(str::to_owned),
                ];
                for path in paths.into_iter().flatten() {
                    operations.push(Described {
                        method: method["httpMethod"].as_str().unwrap_or_default().to_owned(),
                        path,
                        query: query.clone(),
                        body: method.get("request").cloned(),
                        is_body_required: false,
                    });
                }
            }
        }
        Self::new(document, Format::Discovery, operations)
    }

    fn new(document: Value, format: Format, operations: Vec<Described>) -> Self {
        Self {
            document,
            format,
            operations,
            exceptions: Vec::new(),
        }
    }

    /// Accepts any value at a place where the description is known to be wrong or outdated.
    /// `operation` is a method and a path template, or `*`. `place` is a JSON pointer in the body,
    /// where `*` stands for every index, or `?name` for a query parameter. Everything below the
    /// place is accepted too.
    #[must_use]
    pub fn except(mut self, operation: &str, place: &str) -> Self {
        self.exceptions
            .push((operation.to_owned(), place.to_owned()));
        self
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns true if the description has no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Checks a request. `target` is the path with the query. `body` is the JSON body; pass `None`
    /// for other bodies, which are not checked.
    #[must_use]
    pub fn check(&self, method: &str, target: &str, body: Option<&Value>) -> Verdict {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let candidates = self.operations.iter();
        let candidates = candidates.filter(|it| it.method == method && is_at(&it.path, path));
        // A path without arguments has precedence: `/v1/users/me`.
        let Some(described) = candidates.min_by_key(|it| it.path.matches('{').count()) else {
            return Verdict::Unknown;
        };
        let operation = format!("{method} {}", described.path);
        let mut found = Found {
            description: self,
            operation: &operation,
            values: 0,
            problems: Vec::new(),
        };
        found.query(described, query);
        match (body, &described.body) {
            (Some(body), Some(schema)) => found.value(body, schema, ""),
            (Some(Value::Object(body)), None) if !body.is_empty() => {
                found.problem("", "a body is not described");
            }
            (None, Some(_)) if described.is_body_required => {
                found.problem("", "the body is missing");
            }
            _ => {}
        }
        let (values, problems) = (found.values, found.problems);
        if problems.is_empty() {
            Verdict::Valid { operation, values }
        } else {
            Verdict::Invalid {
                operation,
                problems,
            }
        }
    }

    /// Checks every request that reaches `server`. Requests without an operation are not checked.
    /// Dropping the result fails the test if a request differed.
    pub fn watch(self: &Arc<Self>, server: &Server) -> WatchedRequests {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (description, kept) = (Arc::clone(self), Arc::clone(&seen));
        server.observe(move |request| {
            let json = request.is_json().then(|| request.json());
            let target = request.url().query().map_or_else(
                || request.path().to_owned(),
                |query| format!("{}?{query}", request.path()),
            );
            let verdict = description.check(request.method().as_str(), &target, json.as_ref());
            let mut seen = locked(&kept);
            match verdict {
                Verdict::Unknown => {}
                Verdict::Valid { values, .. } => {
                    seen.requests += 1;
                    seen.values += values;
                }
                Verdict::Invalid {
                    operation,
                    problems,
                } => {
                    let problems = problems.into_iter();
                    seen.problems
                        .extend(problems.map(|it| format!("{operation}: {it}")));
                }
            }
        });
        WatchedRequests { seen }
    }

    fn is_excepted(&self, operation: &str, place: &str) -> bool {
        self.exceptions.iter().any(|(known, prefix)| {
            let is_below = place
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            (known == "*" || known == operation) && is_below
        })
    }
}

impl fmt::Debug for ApiDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiDescription")
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    values: usize,
    problems: Vec<String>,
}

/// The requests that reached a simulator. On drop, the test fails if one of them differed from the
/// description.
#[derive(Debug)]
#[must_use = "the requests are checked until this value is dropped"]
pub struct WatchedRequests {
    seen: Arc<Mutex<Seen>>,
}

impl WatchedRequests {
    /// Returns the number of valid requests and of their checked values.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let seen = locked(&self.seen);
        (seen.requests, seen.values)
    }

    /// Returns the differences.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        locked(&self.seen).problems.clone()
    }
}

impl Drop for WatchedRequests {
    #[expect(
        clippy::print_stdout,
        reason = "tests print the counts that their claims rest on"
    )]
    fn drop(&mut self) {
        let seen = locked(&self.seen);
        if seen.requests > 0 {
            println!(
                "requests as described: {}, with {} values",
                seen.requests, seen.values
            );
        }
        assert!(
            seen.problems.is_empty() || std::thread::panicking(),
            "requests that differ from the description: {:#?}",
            seen.problems
        );
    }
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn is_at(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(part, found)| {
            match part.strip_prefix('{').and_then(|it| it.split_once('}')) {
                // An argument may have a suffix: `{id}:cancel`.
                Some((_, suffix)) => found.strip_suffix(suffix).is_some_and(|it| !it.is_empty()),
                None => part == found,
            }
        })
}

/// Follows a reference.
fn resolved<'d>(document: &'d Value, format: Format, schema: &'d Value) -> &'d Value {
    let mut at = schema;
    // A chain of references is short. The bound ends a cycle.
    for _ in 0..16 {
        let Some(reference) = at["$ref"].as_str() else {
            break;
        };
        let target = match format {
            Format::OpenApi => reference
                .strip_prefix('#')
                .and_then(|it| document.pointer(it)),
            Format::Discovery => document["schemas"].get(reference),
        };
        let Some(target) = target else { break };
        at = target;
    }
    at
}

/// The values and problems of one request.
struct Found<'d> {
    description: &'d ApiDescription,
    operation: &'d str,
    values: usize,
    problems: Vec<String>,
}

impl Found<'_> {
    fn problem(&mut self, place: &str, what: &str) {
        if !self.description.is_excepted(self.operation, place) {
            self.problems.push(format!("`{place}`: {what}"));
        }
    }

    fn query(&mut self, described: &Described, query: &str) {
        let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            sent.entry(name).or_default().push(value);
        }
        for (name, (_, is_required, _)) in &described.query {
            if *is_required && !sent.contains_key(name) {
                self.problem(&format!("?{name}"), "the parameter is missing");
            }
        }
        for (name, values) in &sent {
            let place = format!("?{name}");
            let Some((schema, _, is_repeated)) = described.query.get(name) else {
                self.problem(&place, "the parameter is not described");
                continue;
            };
            if values.len() > 1 && !is_repeated {
                self.problem(&place, "the parameter is repeated");
            }
            let items = schema.get("items").filter(|_| schema["type"] == "array");
            let schema = items.unwrap_or(schema);
            for text in values {
                let kind =
                    &resolved(&self.description.document, self.description.format, schema)["type"];
                let value = match kind.as_str() {
                    Some("integer" | "number" | "boolean") => {
                        serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
                    }
                    _ => Value::from(text.as_str()),
                };
                self.value(&value, schema, &place);
            }
        }
    }

    /// Returns true if a value has no problems with a schema.
    fn is_valid(&mut self, value: &Value, schema: &Value, place: &str) -> bool {
        let before = (self.values, self.problems.len());
        self.value(value, schema, place);
        let is_valid = self.problems.len() == before.1;
        self.problems.truncate(before.1);
        if !is_valid {
            self.values = before.0;
        }
        is_valid
    }

    fn value(&mut self, value: &Value, schema: &Value, place: &str) {
        let description = self.description;
        let schema = resolved(&description.document, description.format, schema).clone();
        let mut counted = None;
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.value(value, part, place);
            counted = Some(self.values);
        }
        for name in ["anyOf", "oneOf"] {
            let Some(choices) = schema[name].as_array() else {
                continue;
            };
            if !choices.iter().any(|it| self.is_valid(value, it, place)) {
                self.problem(place, "the value has none of the described forms");
                return;
            }
            counted = Some(self.values);
        }
        if !has_type(value, &schema) {
            self.problem(place, &format!("the type is not {}", schema["type"]));
            return;
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
        {
            self.problem(place, &format!("{value} is not in the enumeration"));
        }
        if schema.get("const").is_some_and(|it| it != value) {
            self.problem(place, &format!("{value} is not {}", schema["const"]));
        }
        match value {
            Value::Object(object) => self.object(object, &schema, place),
            Value::Array(items) => {
                if let Some(most) = schema["maxItems"].as_u64()
                    && items.len() as u64 > most
                {
                    self.problem(place, "the array has too many items");
                }
                if schema["items"].is_object() {
                    for item in items {
                        self.value(item, &schema["items"], &format!("{place}/*"));
                    }
                }
            }
            Value::String(text) => {
                self.values += 1;
                let most = schema["maxLength"].as_u64();
                if most.is_some_and(|most| text.chars().count() as u64 > most) {
                    self.problem(place, "the text is too long");
                }
            }
            _ => self.values += 1,
        }
        // The form counted the values already.
        self.values = counted.unwrap_or(self.values);
    }

    fn object(&mut self, object: &Map<String, Value>, schema: &Value, place: &str) {
        // A discovery document marks members that some other operation requires as objects.
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !object.contains_key(name) {
                self.problem(&format!("{place}/{name}"), "the member is missing");
            }
        }
        let described = schema["properties"].as_object();
        let rest = schema.get("additionalProperties");
        for (name, value) in object {
            let place = format!("{place}/{name}");
            if let Some(schema) = described.and_then(|it| it.get(name)) {
                self.value(value, schema, &place);
            } else if let Some(schema) = rest.filter(|it| it.is_object()) {
                self.value(value, schema, &place);
            } else if rest == Some(&Value::Bool(false))
                || (rest.is_none() && described.is_some_and(|it| !it.is_empty()))
            {
                self.problem(&place, "the member is not described");
            } else {
                self.values += 1;
            }
        }
    }
}

/// Returns true if a value has the type of a schema. A schema without a type accepts every value.
fn has_type(value: &Value, schema: &Value) -> bool {
    let is = |kind: &str| match kind {
        "string" => match (value, schema["format"].as_str()) {
            // Discovery documents describe 64-bit numbers as text.
            (Value::String(text), Some("int64")) => text.parse::<i64>().is_ok(),
            (value, _) => value.is_string(),
        },
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    };
    match &schema["type"] {
        Value::String(kind) => is(kind) || (value.is_null() && schema["nullable"] == true),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{ApiDescription, Verdict};

    fn description() -> ApiDescription {
        ApiDescription::openapi(json!({
            "paths": {
                "/v1/things/{id}": {
                    "parameters": [{ "$ref": "#/components/parameters/verbose" }],
                    "patch": {
                        "parameters": [
                            { "name": "id", "in": "path" },
                            { "name": "size", "in": "query", "schema": { "type": "integer" } },
                            { "name": "tag", "in": "query", "required": true,
                              "schema": { "type": "array", "items": { "enum": ["a", "b"] } } },
                        ],
                        "requestBody": { "required": true, "content": { "application/json": {
                            "schema": { "$ref": "#/components/schemas/thing" } } } },
                    },
                },
                "/v1/things/me": { "patch": {} },
            },
            "components": {
                "parameters": { "verbose": {
                    "name": "verbose", "in": "query", "schema": { "type": "boolean" } } },
                "schemas": { "thing": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string", "maxLength": 5 },
                    "parts": { "type": "array", "maxItems": 2, "items": { "oneOf": [
                        { "type": "object", "properties": { "n": { "type": "number" } },
                          "required": ["n"], "additionalProperties": false },
                        { "const": "none" },
                    ] } },
                    "note": { "type": ["string", "null"] },
                    "free": { "type": "object", "additionalProperties": { "type": "boolean" } },
                } } },
            },
        }))
    }

    #[test]
    fn valid_requests_are_accepted_and_their_values_counted() {
        let body = json!({
            "name": "x", "parts": [{ "n": 1.5 }, "none"], "note": null, "free": { "a": true },
        });
        let verdict = description().check(
            "PATCH",
            "/v1/things/1?size=3&tag=a&tag=b&verbose=true",
            Some(&body),
        );
        let operation = "PATCH /v1/things/{id}".to_owned();
        assert_eq!(
            verdict,
            Verdict::Valid {
                operation,
                values: 9
            }
        );
        assert_eq!(
            description().check("GET", "/v1/things/1", None),
            Verdict::Unknown
        );
        let me = description().check("PATCH", "/v1/things/me", None);
        assert!(matches!(me, Verdict::Valid { operation, .. } if operation.ends_with("/me")));
    }

    #[test]
    fn each_difference_is_found() {
        let valid = || json!({ "name": "x" });
        let with = |name: &str, value: Value| {
            let mut body = valid();
            body[name] = value;
            body
        };
        let path = "/v1/things/1?tag=a";
        let wrong = [
            ("/v1/things/1", Some(valid())),
            ("/v1/things/1?tag=c", Some(valid())),
            ("/v1/things/1?tag=a&size=x", Some(valid())),
            ("/v1/things/1?tag=a&size=1&size=2", Some(valid())),
            ("/v1/things/1?tag=a&verbose=1", Some(valid())),
            ("/v1/things/1?tag=a&other=1", Some(valid())),
            (path, None),
            (path, Some(json!({}))),
            (path, Some(json!([]))),
            (path, Some(with("name", json!(1)))),
            (path, Some(with("name", json!("too long")))),
            (path, Some(with("parts", json!(["none", "none", "none"])))),
            (path, Some(with("parts", json!(["some"])))),
            (path, Some(with("parts", json!([{ "n": 1, "m": 1 }])))),
            (path, Some(with("note", json!(1)))),
            (path, Some(with("free", json!({ "a": 1 })))),
            (path, Some(with("unknown", json!(1)))),
        ];
        for (target, body) in &wrong {
            let verdict = description().check("PATCH", target, body.as_ref());
            assert!(
                matches!(verdict, Verdict::Invalid { .. }),
                "{target} {body:?}"
            );
        }
    }

    #[test]
    fn an_exception_accepts_a_place_and_nothing_else() {
        let description = description()
            .except("PATCH /v1/things/{id}", "/parts")
            .except("*", "?other");
        let body = json!({ "name": "x", "parts": [{ "m": 1 }] });
        let verdict = description.check("PATCH", "/v1/things/1?tag=a&other=1", Some(&body));
        assert!(matches!(verdict, Verdict::Valid { .. }), "{verdict:?}");
        let wrong = json!({ "name": 1, "parts": [{ "m": 1 }] });
        let verdict = description.check("PATCH", "/v1/things/1?tag=a", Some(&wrong));
        assert!(matches!(verdict, Verdict::Invalid { problems, .. } if problems.len() == 1));
    }

    #[test]
    fn discovery_documents_are_read() {
        let description = Arc::new(ApiDescription::discovery(json!({
            "servicePath": "drive/v3/",
            "parameters": { "fields": { "location": "query", "type": "string" } },
            "schemas": { "File": { "type": "object", "properties": {
                "size": { "type": "string", "format": "int64" } } } },
            "resources": { "files": { "methods": { "update": {
                "httpMethod": "PATCH", "path": "files/{fileId}",
                "request": { "$ref": "File" },
                "parameters": { "fileId": { "location": "path" } },
                "mediaUpload": { "protocols": { "simple": { "path": "/upload/drive/v3/files/{fileId}" } } },
            } } } },
        })));
        assert_eq!(description.len(), 2);
        let check = |target: &str, size: Value| {
            let body = json!({ "size": size });
            let verdict = description.check("PATCH", target, Some(&body));
            matches!(verdict, Verdict::Valid { .. })
        };
        assert!(check("/drive/v3/files/1?fields=id", json!("5")));
        assert!(check("/upload/drive/v3/files/1", json!("5")));
        assert!(!check("/drive/v3/files/1", json!(5)));
        assert!(!check("/drive/v3/files/1", json!("five")));
        assert!(!check("/drive/v3/files/1?page=1", json!("5")));
    }
}
