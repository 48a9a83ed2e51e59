//! Feeds 2021-06-30.
//!
//! Processing a feed takes a minute. Messages of a listings feed are checked for the members that
//! the schema requires. Feed types that Amazon has discontinued end in FATAL.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Value, json};

use super::documents::{self, SimulatedDocument};
use super::jobs::{self, Job};
use super::listing::Listing;
use super::{Call, Simulator, invalid, missing};

const ROOT: [&str; 2] = ["feeds", "2021-06-30"];
const TAKES: Duration = Duration::from_secs(60);
const FIRST: usize = 60_001;

/// The data.
#[derive(Default)]
pub(super) struct State {
    feeds: Vec<Job>,
    /// Documents created for uploads, by seller and id.
    documents: BTreeSet<(String, String)>,
    /// SKUs whose messages are treated as previews.
    previewed: Vec<String>,
}

impl State {
    fn json(&self, at: usize, now: Timestamp) -> Value {
        let feed = &self.feeds[at];
        let status = feed.status(TAKES, now);
        let mut body = json!({
            "feedId": format!("{}", FIRST + at),
            "feedType": feed.specification["feedType"],
            "marketplaceIds": feed.specification["marketplaceIds"],
            "createdTime": feed.created.to_string(),
            "processingStatus": status,
        });
        if matches!(status, "DONE" | "FATAL") {
            body["processingEndTime"] = feed.created.after(TAKES).to_string().into();
            if let Some(document) = &feed.end.1 {
                body["resultFeedDocumentId"] = document.as_str().into();
            }
        }
        body
    }
}

/// Responds to a call of this API; `None` for other calls.
pub(super) fn answer(
    state: &mut State,
    documents: &mut documents::State,
    call: &Call<'_>,
) -> Option<Response> {
    let (method, path) = call.route();
    let path = path.strip_prefix(&ROOT)?;
    let own = |state: &State, id: &str| jobs::own(&state.feeds, FIRST, id, call.seller);
    Some(match (method, path) {
        ("POST", ["documents"]) => {
            let body = call.request.json();
            let Some(content_type) = body["contentType"].as_str().filter(|it| !it.is_empty())
            else {
                return Some(invalid("contentType is required."));
            };
            let id = documents.reserve(content_type);
            state.documents.insert((call.seller.to_owned(), id.clone()));
            let url = documents.link(&id, "PUT", call.now, call.secrets);
            Response::json(201, &json!({ "feedDocumentId": id, "url": url }))
        }
        ("GET", ["documents", id]) => {
            let mut feeds = state.feeds.iter();
            let is_own = feeds.any(|it| it.has_document(id, call.seller))
                || state
                    .documents
                    .contains(&(call.seller.to_owned(), (*id).to_owned()));
            if !is_own {
                return Some(missing());
            }
            documents.place("feedDocumentId", id, call)
        }
        ("POST", ["feeds"]) => create(state, documents, call),
        ("GET", ["feeds"]) => list(state, call),
        ("GET", ["feeds", id]) => match own(state, id) {
            Some(at) => Response::json(200, &state.json(at, call.now)),
            None => missing(),
        },
        ("DELETE", ["feeds", id]) => match own(state, id) {
            Some(at) if state.feeds[at].status(TAKES, call.now) == "IN_QUEUE" => {
                state.feeds[at].is_cancelled = true;
                Response::new(200, "application/json", "")
            }
            Some(_) => invalid("The feed is not in the queue."),
            None => missing(),
        },
        _ => missing(),
    })
}

fn create(state: &mut State, documents: &mut documents::State, call: &Call<'_>) -> Response {
    let specification = call.request.json();
    let feed_type = specification["feedType"].as_str().unwrap_or_default();
    let document = specification["inputFeedDocumentId"]
        .as_str()
        .unwrap_or_default();
    let marketplaces = specification["marketplaceIds"]
        .as_array()
        .map_or(0, Vec::len);
    if feed_type.is_empty() || !(1..=25).contains(&marketplaces) {
        return invalid("feedType and marketplaceIds are required.");
    }
    let is_own = state
        .documents
        .contains(&(call.seller.to_owned(), document.to_owned()));
    let content = documents.get(document).filter(|_| is_own);
    let Some(content) = content else {
        return invalid("The document does not exist or was not uploaded.");
    };
    let id = format!("{}", FIRST + state.feeds.len());
    let end = match feed_type {
        "JSON_LISTINGS_FEED" => {
            let body: Value = serde_json::from_slice(&content.bytes).unwrap_or(Value::Null);
            if let Some(report) = process(&id, &body, call.seller, &state.previewed) {
                let report = report.to_string();
                let content_type = "application/json;charset=UTF-8";
                let report = SimulatedDocument::gzip(content_type, report.as_bytes());
                ("DONE", Some(documents.add(report)))
            } else {
                let reason =
                    json!({ "errorDetails": "The feed is not a valid JSON_LISTINGS_FEED." });
                let reason = SimulatedDocument::plain("application/json", reason.to_string());
                ("FATAL", Some(documents.add(reason)))
            }
        }
        "POST_PRODUCT_DATA"
        | "POST_INVENTORY_AVAILABILITY_DATA"
        | "POST_PRODUCT_PRICING_DATA"
        | "POST_FLAT_FILE_LISTINGS_DATA" => ("FATAL", None),
        _ => ("DONE", None),
    };
    state.feeds.push(Job {
        seller: call.seller.to_owned(),
        specification,
        created: call.now,
        end,
        is_cancelled: false,
    });
    Response::json(202, &json!({ "feedId": id }))
}

/// Builds the processing report of a listings feed; `None` if the feed is rejected as a whole.
fn process(id: &str, body: &Value, seller: &str, previewed: &[String]) -> Option<Value> {
    let header = &body["header"];
    let messages = body["messages"]
        .as_array()
        .filter(|it| (1..=25_000).contains(&it.len()))?;
    if header["version"] != "2.0" || header["sellerId"] != seller {
        return None;
    }
    let (mut issues, mut invalid) = (Vec::new(), 0);
    for message in messages {
        let operation = message["operationType"].as_str().unwrap_or_default();
        let is_known = ["UPDATE", "PARTIAL_UPDATE", "PATCH", "DELETE"].contains(&operation);
        let wanted = match operation {
            "PATCH" => Some("patches"),
            "UPDATE" | "PARTIAL_UPDATE" => Some("attributes"),
            _ => None,
        };
        let lacks = |name: &str| message[name].is_null();
        let mut problems = Vec::new();
        if !is_known {
            problems.push(("4000001", "'operationType' is invalid.".to_owned()));
        }
        if wanted.is_some() && lacks("productType") {
            problems.push((
                "90220",
                "'productType' is required but not supplied.".to_owned(),
            ));
        }
        if let Some(wanted) = wanted.filter(|it| lacks(it)) {
            problems.push(("90220", format!("'{wanted}' is required but not supplied.")));
        }
        invalid += usize::from(!problems.is_empty());
        for (code, text) in problems {
            issues.push(json!({
                "messageId": message["messageId"], "sku": message["sku"], "code": code,
                "severity": "ERROR", "message": text,
            }));
        }
    }
    let items: Vec<Value> = previewed
        .iter()
        .map(|sku| json!({ "sku": sku, "status": "VALID" }))
        .collect();
    let mut report = json!({
        "header": { "sellerId": header["sellerId"], "version": "2.0", "feedId": id },
        "issues": issues,
        "summary": {
            "errors": issues.len(), "warnings": 0, "messagesProcessed": messages.len(),
            "messagesAccepted": messages.len() - invalid, "messagesInvalid": invalid,
        },
    });
    if !items.is_empty() {
        report["items"] = items.into();
    }
    Some(report)
}

fn list(state: &State, call: &Call<'_>) -> Response {
    let listing = match Listing::read(call) {
        Ok(listing) => listing,
        Err(refusal) => return refusal,
    };
    if !(1..=100).contains(&listing.size()) {
        return invalid("pageSize is between 1 and 100.");
    }
    let found: Vec<usize> = (0..state.feeds.len())
        .rev()
        .filter(|at| {
            let feed = &state.feeds[*at];
            let feed_type = feed.specification["feedType"].as_str().unwrap_or_default();
            feed.seller == call.seller
                && listing.has("feedTypes", feed_type)
                && listing.has("processingStatuses", feed.status(TAKES, call.now))
        })
        .collect();
    listing.answer("feeds", &found, |at| state.json(at, call.now))
}

impl Simulator {
    /// Makes processing reports treat messages of this SKU as previews.
    pub fn preview_messages_of(&self, sku: impl Into<String>) {
        self.world().feeds.previewed.push(sku.into());
    }
}
