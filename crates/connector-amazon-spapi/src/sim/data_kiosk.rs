//! Data Kiosk 2023-11-15. A query takes a minute, and its results have a fixed page size.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Value, json};

use super::documents::{self, SimulatedDocument};
use super::jobs::{self, Job};
use super::{Call, invalid, missing};

const ROOT: [&str; 2] = ["dataKiosk", "2023-11-15"];
const TAKES: Duration = Duration::from_secs(60);
const FIRST: usize = 80_001;
/// Number of pages in the results of every query, and of rows in a page.
const PAGES: usize = 2;
const ROWS: usize = 3;

/// The data.
#[derive(Default)]
pub(super) struct State {
    queries: Vec<Job>,
}

impl State {
    fn json(&self, at: usize, now: Timestamp) -> Value {
        let query = &self.queries[at];
        let status = query.status(TAKES, now);
        let mut body = json!({
            "queryId": format!("{}", FIRST + at),
            "query": query.specification["query"],
            "createdTime": query.created.to_string(),
            "processingStatus": status,
        });
        if matches!(status, "DONE" | "FATAL") {
            body["processingEndTime"] = query.created.after(TAKES).to_string().into();
            if let Some(id) = &query.end.1 {
                let name = if status == "DONE" {
                    "dataDocumentId"
                } else {
                    "errorDocumentId"
                };
                body[name] = id.as_str().into();
                let next = page(&query.specification).map_or(PAGES, |page| page + 1);
                if status == "DONE" && next < PAGES {
                    body["pagination"] = json!({ "nextToken": token(next) });
                }
            }
        }
        body
    }
}

/// Returns the token of a page of results.
fn token(page: usize) -> String {
    format!("page={page}+/=")
}

/// Returns the page that a query asks for; `None` if its token is invalid.
fn page(specification: &Value) -> Option<usize> {
    match specification["paginationToken"].as_str() {
        None => Some(0),
        Some(text) => (1..PAGES).find(|page| text == token(*page)),
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
    let own = |state: &State, id: &str| jobs::own(&state.queries, FIRST, id, call.seller);
    Some(match (method, path) {
        ("POST", ["queries"]) => create(state, documents, call),
        ("GET", ["queries"]) => {
            let statuses = call.list("processingStatuses");
            let start = call
                .get("paginationToken")
                .and_then(|it| it.parse().ok())
                .unwrap_or(0);
            let size = call
                .get("pageSize")
                .and_then(|it| it.parse().ok())
                .unwrap_or(10);
            if !(1..=100).contains(&size) {
                return Some(invalid("pageSize is between 1 and 100."));
            }
            let found: Vec<usize> = (0..state.queries.len())
                .rev()
                .filter(|at| {
                    let query = &state.queries[*at];
                    let status = query.status(TAKES, call.now);
                    query.seller == call.seller
                        && (statuses.is_empty() || statuses.contains(&status))
                })
                .collect();
            let page = found.iter().skip(start).take(size);
            let page: Vec<Value> = page.map(|at| state.json(*at, call.now)).collect();
            let mut body = json!({ "queries": page });
            if start + size < found.len() {
                body["pagination"] = json!({ "nextToken": format!("{}", start + size) });
            }
            Response::json(200, &body)
        }
        ("GET", ["queries", id]) => match own(state, id) {
            Some(at) => Response::json(200, &state.json(at, call.now)),
            None => missing(),
        },
        ("DELETE", ["queries", id]) => match own(state, id) {
            Some(at) if state.queries[at].status(TAKES, call.now) == "IN_QUEUE" => {
                state.queries[at].is_cancelled = true;
                Response::new(204, "application/json", "")
            }
            Some(_) => invalid("The query is not in the queue."),
            None => missing(),
        },
        ("GET", ["documents", id]) => {
            let mut queries = state.queries.iter();
            if !queries.any(|it| it.has_document(id, call.seller)) {
                return Some(missing());
            }
            let url = documents.link(id, "GET", call.now, call.secrets);
            Response::json(200, &json!({ "documentId": id, "documentUrl": url }))
        }
        _ => missing(),
    })
}

/// A query with `noData` in its text returns no data. A query with `unknownField` fails.
fn create(state: &mut State, documents: &mut documents::State, call: &Call<'_>) -> Response {
    let body = call.request.json();
    let text = body["query"].as_str().unwrap_or_default();
    if text.is_empty() || text.trim().chars().count() > 8000 {
        return invalid("query is required.");
    }
    let is_first = body["paginationToken"].as_str().is_none();
    let is_known = |it: &Job| it.seller == call.seller && it.specification["query"] == text;
    let page = page(&body).filter(|_| is_first || state.queries.iter().any(is_known));
    let Some(page) = page else {
        return invalid("paginationToken does not belong to the query.");
    };
    let end = if text.contains("unknownField") {
        let error = json!({ "errors": [{ "message": "Field 'unknownField' is undefined" }] });
        let error = SimulatedDocument::gzip("application/json", error.to_string().as_bytes());
        ("FATAL", Some(documents.add(error.encoded())))
    } else if text.contains("noData") {
        ("DONE", None)
    } else {
        let rows: String = (0..ROWS)
            .map(|row| {
                json!({ "date": format!("2026-11-{:02}", page * ROWS + row + 1) }).to_string()
                    + "\n"
            })
            .collect();
        let rows = SimulatedDocument::gzip("application/jsonl", rows.as_bytes());
        ("DONE", Some(documents.add(rows.encoded())))
    };
    state.queries.push(Job {
        seller: call.seller.to_owned(),
        specification: body,
        created: call.now,
        end,
        is_cancelled: false,
    });
    let id = format!("{}", FIRST + state.queries.len() - 1);
    Response::json(202, &json!({ "queryId": id }))
}
