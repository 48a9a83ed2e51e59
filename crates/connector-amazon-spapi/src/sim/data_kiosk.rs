//! Data Kiosk 2023-11-15. A query takes a minute, and its results have a fixed page size.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Value, json};

use super::documents::{self, SimulatedDocument};
use super::{Call, invalid, refused};

const ROOT: [&str; 2] = ["dataKiosk", "2023-11-15"];
const TAKES: Duration = Duration::from_secs(60);
const FIRST: usize = 80_001;
/// Number of pages in the results of every query, and of rows in a page.
const PAGES: usize = 2;
const ROWS: usize = 3;

struct Query {
    seller: String,
    text: String,
    page: usize,
    created: Timestamp,
    data: Option<String>,
    error: Option<String>,
    is_cancelled: bool,
}

/// The data.
#[derive(Default)]
pub(super) struct State {
    queries: Vec<Query>,
}

impl State {
    fn status(query: &Query, now: Timestamp) -> &'static str {
        let age = now.since(query.created);
        if query.is_cancelled {
            "CANCELLED"
        } else if age < TAKES / 4 {
            "IN_QUEUE"
        } else if age < TAKES {
            "IN_PROGRESS"
        } else if query.error.is_some() {
            "FATAL"
        } else {
            "DONE"
        }
    }

    fn json(&self, at: usize, now: Timestamp) -> Value {
        let query = &self.queries[at];
        let status = Self::status(query, now);
        let mut body = json!({
            "queryId": format!("{}", FIRST + at),
            "query": query.text,
            "createdTime": query.created.to_string(),
            "processingStatus": status,
        });
        if matches!(status, "DONE" | "FATAL") {
            body["processingEndTime"] = query.created.after(TAKES).to_string().into();
            for (name, id) in [
                ("dataDocumentId", &query.data),
                ("errorDocumentId", &query.error),
            ] {
                if let Some(id) = id {
                    body[name] = id.as_str().into();
                }
            }
            if query.data.is_some() && query.page + 1 < PAGES {
                body["pagination"] = json!({ "nextToken": format!("page={}+/=", query.page + 1) });
            }
        }
        body
    }
}

fn missing() -> Response {
    refused(404, "NotFound", "The resource does not exist.")
}

/// Responds to a call of this API; `None` for other calls.
pub(super) fn answer(
    state: &mut State,
    documents: &mut documents::State,
    call: &Call<'_>,
) -> Option<Response> {
    let (method, path) = call.route();
    let path = path.strip_prefix(&ROOT)?;
    let own = |state: &State, id: &str| {
        let at = id.parse::<usize>().ok()?.checked_sub(FIRST)?;
        let query = state.queries.get(at)?;
        (query.seller == call.seller).then_some(at)
    };
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
            let found: Vec<usize> = (0..state.queries.len())
                .rev()
                .filter(|at| {
                    let query = &state.queries[*at];
                    let status = State::status(query, call.now);
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
            Some(at) if State::status(&state.queries[at], call.now) == "IN_QUEUE" => {
                state.queries[at].is_cancelled = true;
                Response::new(204, "application/json", "")
            }
            Some(_) => invalid("The query is not in the queue."),
            None => missing(),
        },
        ("GET", ["documents", id]) => {
            let is_its = |it: &Query| {
                let ids = [it.data.as_deref(), it.error.as_deref()];
                it.seller == call.seller && ids.contains(&Some(*id))
            };
            if !state.queries.iter().any(is_its) {
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
    let page = match body["paginationToken"].as_str() {
        None => 0,
        Some(token) => {
            let known = (1..PAGES).find(|page| token == format!("page={page}+/="));
            let is_same = state
                .queries
                .iter()
                .any(|it| it.seller == call.seller && it.text == text);
            match known.filter(|_| is_same) {
                Some(page) => page,
                None => return invalid("paginationToken does not belong to the query."),
            }
        }
    };
    let (data, error) = if text.contains("unknownField") {
        let error = json!({ "errors": [{ "message": "Field 'unknownField' is undefined" }] });
        let error = SimulatedDocument::gzip("application/json", error.to_string().as_bytes());
        (None, Some(documents.add(error.encoded())))
    } else if text.contains("noData") {
        (None, None)
    } else {
        let rows: String = (0..ROWS)
            .map(|row| {
                json!({ "date": format!("2026-11-{:02}", page * ROWS + row + 1) }).to_string()
                    + "\n"
            })
            .collect();
        let rows = SimulatedDocument::gzip("application/jsonl", rows.as_bytes());
        (Some(documents.add(rows.encoded())), None)
    };
    state.queries.push(Query {
        seller: call.seller.to_owned(),
        text: text.to_owned(),
        page,
        created: call.now,
        data,
        error,
        is_cancelled: false,
    });
    let id = format!("{}", FIRST + state.queries.len() - 1);
    Response::json(202, &json!({ "queryId": id }))
}
