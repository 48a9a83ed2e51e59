//! Bulk operations of the simulated shop, and the host of their files.

use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request, Response};
use http::Method;
use serde_json::{Value, json};

use super::data::ShopState;
use super::graphql;
use super::mutations::{Call, done, refused};
use super::query::Query;

/// The host of results, and the host of uploads.
pub(super) const HOSTS: [&str; 2] = [
    "storage.googleapis.com",
    "shopify-staged-uploads.storage.googleapis.com",
];
/// Maximum number of bulk operations at once.
const AT_ONCE: usize = 5;
/// Time until an operation runs, and until it ends.
const TIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// A bulk operation with its result.
pub(super) struct BulkJob {
    id: String,
    begun: Timestamp,
    lines: Vec<Value>,
    /// Number of objects without children.
    roots: usize,
    failure: Option<(String, Option<usize>)>,
    /// The published result.
    result: Option<Bytes>,
}

/// Changes the states of the operations as time passes.
pub(super) fn advance(state: &mut ShopState, now: Timestamp) {
    let mut jobs = std::mem::take(&mut state.bulk);
    for job in &mut jobs {
        let Some(operation) = state.find_mut(&json!(job.id)) else {
            continue;
        };
        let passed = now.since(job.begun);
        match operation["status"].as_str() {
            Some("CREATED") if passed >= TIMES.0 => operation["status"] = "RUNNING".into(),
            Some("CANCELING") => {
                operation["status"] = "CANCELED".into();
                operation["completedAt"] = now.to_string().into();
            }
            _ => {}
        }
        if operation["status"] != "RUNNING" || passed < TIMES.1 {
            continue;
        }
        let written = match &job.failure {
            Some((_, written)) => *written,
            None => Some(job.lines.len()),
        };
        operation["completedAt"] = now.to_string().into();
        operation["status"] = "COMPLETED".into();
        let name = if let Some((code, _)) = &job.failure {
            operation["status"] = "FAILED".into();
            operation["errorCode"] = code.as_str().into();
            "partialDataUrl"
        } else {
            "url"
        };
        let lines = job.lines.iter().take(written.unwrap_or_default());
        let file = lines.fold(String::new(), |file, line| file + &line.to_string() + "\n");
        operation["objectCount"] = written.unwrap_or_default().to_string().into();
        operation["rootObjectCount"] = job.roots.to_string().into();
        operation["fileSize"] = file.len().to_string().into();
        // An empty result has no file.
        if written.is_some_and(|it| it > 0) {
            let number = job.id.rsplit('/').next().unwrap_or_default();
            let url = format!(
                "https://{}/shopify/bulk-{number}.jsonl?X-Goog-Signature=x",
                HOSTS[0]
            );
            operation[name] = url.into();
            job.result = Some(Bytes::from(file));
        }
    }
    state.bulk = jobs;
}

fn start(call: &mut Call<'_>, kind: &str, lines: Vec<Value>) -> Value {
    let running = call.state.table("BulkOperation").iter().filter(|it| {
        matches!(
            it["status"].as_str(),
            Some("CREATED" | "RUNNING" | "CANCELING")
        )
    });
    if running.count() >= AT_ONCE {
        let message = "A bulk operation for this app and shop is already in progress";
        return refused(&[], message, "OPERATION_IN_PROGRESS");
    }
    let id = call.state.next_id("BulkOperation");
    let operation = json!({
        "id": id, "status": "CREATED", "errorCode": null, "type": kind,
        "createdAt": call.now.to_string(), "completedAt": null, "objectCount": "0",
        "rootObjectCount": "0", "fileSize": null, "url": null, "partialDataUrl": null,
    });
    call.state.insert("BulkOperation", operation.clone());
    let roots = lines.iter().filter(|it| it["__parentId"].is_null()).count();
    let failure = call.state.bulk_failures.pop_front();
    call.state.bulk.push(BulkJob {
        id,
        begun: call.now,
        lines,
        roots,
        failure,
        result: None,
    });
    done("bulkOperation", operation)
}

pub(super) fn run_query(call: &mut Call<'_>, document: &Value) -> Value {
    let text = document.as_str().unwrap_or_default();
    let invalid = |message: &str| refused(&["query"], message, "INVALID");
    let query = match Query::parse(text, serde_json::Map::new()) {
        Ok(query) if !query.is_mutation => query,
        _ => return invalid("Invalid bulk query"),
    };
    let Ok(roots) = query.roots() else {
        return invalid("Invalid bulk query");
    };
    let [field] = roots[..] else {
        return invalid("Bulk queries cannot contain multiple top level selections");
    };
    let argument = |name: &str| query.argument(field, name);
    let whole = graphql::read(call.state, call.grant, call.now, &field.name, &argument);
    match whole.and_then(|whole| query.lines(field, &whole)) {
        Ok(lines) => start(call, "QUERY", lines),
        Err(refusal) => invalid(&refusal.message),
    }
}

pub(super) fn run_mutation(call: &mut Call<'_>, mutation: &Value, path: &Value) -> Value {
    let path = path.as_str().unwrap_or_default();
    let Some(file) = call.state.uploads.get(path).cloned() else {
        return refused(&[], "The input file does not exist", "NO_SUCH_FILE");
    };
    let mutation = mutation.as_str().unwrap_or_default();
    let mut lines = Vec::new();
    for (number, line) in file.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let Ok(Value::Object(variables)) = serde_json::from_slice(line) else {
            return refused(
                &[],
                "The input file is not valid JSONL",
                "INVALID_STAGED_UPLOAD_FILE",
            );
        };
        let Ok(query) = Query::parse(mutation, variables) else {
            return refused(&["mutation"], "Invalid mutation", "INVALID_MUTATION");
        };
        let (data, errors) = graphql::execute(&query, call.state, call.grant, call.now);
        let mut line = json!({ "data": data, "__lineNumber": number });
        if !errors.is_empty() {
            line["errors"] = Value::Array(errors);
        }
        lines.push(line);
    }
    start(call, "MUTATION", lines)
}

pub(super) fn cancel(state: &mut ShopState, id: &Value, _: Timestamp) -> Value {
    let Some(operation) = state.find_mut(id) else {
        return refused(&["id"], "Bulk operation does not exist", "");
    };
    if !matches!(operation["status"].as_str(), Some("CREATED" | "RUNNING")) {
        return refused(
            &["id"],
            "A bulk operation cannot be canceled when it is completed",
            "",
        );
    }
    operation["status"] = "CANCELING".into();
    let operation = operation.clone();
    done("bulkOperation", operation)
}

/// Creates places for uploads.
pub(super) fn stage(state: &mut ShopState, input: &Value) -> Value {
    let count = input.as_array().map_or(0, Vec::len);
    let targets: Vec<Value> = (0..count)
        .map(|_| {
            let id = state.next_id("Upload");
            let number = id.rsplit('/').next().unwrap_or_default();
            let key = format!("tmp/{}/bulk/{number}/bulk_op_vars.jsonl", state.number);
            let parameter = |name: &str, value: &str| json!({ "name": name, "value": value });
            json!({
                "url": format!("https://{}/", HOSTS[1]),
                "resourceUrl": null,
                "parameters": [
                    parameter("key", &key), parameter("Content-Type", "text/jsonl"),
                    parameter("success_action_status", "201"), parameter("acl", "private"),
                    parameter("policy", "a-policy"), parameter("x-goog-signature", "a-signature"),
                ],
            })
        })
        .collect();
    done("stagedTargets", json!(targets))
}

/// Returns the response of the file hosts. They know no access tokens.
pub(super) fn file<'a>(
    request: &Request,
    shops: impl Iterator<Item = &'a mut ShopState>,
    grant: Option<&Grant>,
) -> Response {
    if grant.is_some() || !request.header("x-shopify-access-token").is_empty() {
        return Response::json(400, &json!({ "error": "a token was sent to another host" }));
    }
    if *request.method() == Method::POST && request.host() == HOSTS[1] {
        return upload(request, shops);
    }
    let mut jobs = shops.flat_map(|it| it.bulk.iter());
    let found = jobs.find_map(|job| {
        let number = job.id.rsplit('/').next().unwrap_or_default();
        let is_own = request.path() == format!("/shopify/bulk-{number}.jsonl");
        job.result.clone().filter(|_| is_own)
    });
    let Some(file) = found else {
        return Response::new(404, "application/xml", "<Error/>");
    };
    let etag = format!("\"{}\"", file.len());
    let total = file.len();
    let range = request.header("range").strip_prefix("bytes=");
    let start = range.and_then(|it| it.trim_end_matches('-').parse::<usize>().ok());
    match start.filter(|start| *start < total && request.header("if-range") == etag) {
        Some(start) => Response::new(206, "application/jsonl", file.slice(start..))
            .with_header(
                "content-range",
                &format!("bytes {start}-{}/{total}", total - 1),
            )
            .with_header("etag", &etag),
        None => Response::new(200, "application/jsonl", file).with_header("etag", &etag),
    }
}

fn upload<'a>(request: &Request, shops: impl Iterator<Item = &'a mut ShopState>) -> Response {
    let refused = || Response::new(400, "application/xml", "<Error/>");
    let boundary = request.header("content-type").split("boundary=").nth(1);
    let Some(boundary) = boundary.map(|it| it.trim_matches('"')) else {
        return refused();
    };
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let separator = format!("--{boundary}");
    let (mut key, mut file, mut is_last) = (None, None, false);
    for part in body.split(separator.as_str()) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        is_last = head.contains("name=\"file\"");
        if head.contains("name=\"key\"") {
            key = Some(content.to_owned());
        } else if is_last {
            file = Some(Bytes::from(content.to_owned()));
        }
    }
    let (Some(key), Some(file), true) = (key, file, is_last) else {
        return refused();
    };
    for shop in shops {
        if key.starts_with(&format!("tmp/{}/", shop.number)) {
            shop.uploads.insert(key, file);
            return Response::new(201, "application/xml", "<PostResponse/>");
        }
    }
    refused()
}
