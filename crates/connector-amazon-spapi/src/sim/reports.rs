//! Reports 2021-06-30.
//!
//! Creating a report takes a minute. A second report of the same seller, type and marketplace
//! within 30 minutes is refused (CANCELLED), as users have reported.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Value, json};

use super::documents::{self, SimulatedDocument};
use super::jobs::{self, Job};
use super::listing::Listing;
use super::{Call, Simulator, denied, invalid, missing};
use crate::models::report::is_restricted;

const COOLDOWN: Duration = Duration::from_secs(30 * 60);
const ROOT: [&str; 2] = ["reports", "2021-06-30"];
const FIRST: usize = 50_001;

/// The simulated result of a report type.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SimulatedReport {
    /// A document.
    Document(SimulatedDocument),
    /// No data: the report is cancelled.
    NoData,
    /// No data: the report is done and has no document.
    Empty,
    /// The report fails. The text is the content of its error document, if it has one.
    Fatal(Option<String>),
}

/// State of this API.
pub(super) struct State {
    reports: Vec<Job>,
    schedules: BTreeMap<String, (String, Value)>,
    scheduled: u64,
    types: BTreeMap<String, SimulatedReport>,
    takes: Duration,
    has_cooldown: bool,
}

impl Default for State {
    fn default() -> Self {
        let listings = SimulatedReport::Document(example());
        Self {
            reports: Vec::new(),
            schedules: BTreeMap::new(),
            scheduled: 0,
            types: BTreeMap::from([("GET_MERCHANT_LISTINGS_ALL_DATA".to_owned(), listings)]),
            takes: Duration::from_secs(60),
            has_cooldown: true,
        }
    }
}

/// A listings report in ISO-8859-1, as in Europe and North America.
fn example() -> SimulatedDocument {
    let mut text = b"item-name\tseller-sku\tprice\tquantity\r\n".to_vec();
    for number in 1..=1000 {
        let row = format!(
            "Caf\u{e9} \"cup\" {number}\tSKU-{number}\t{}.99\t{}\r\n",
            number % 50,
            number % 7
        );
        text.extend(
            row.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')),
        );
    }
    SimulatedDocument::gzip("text/plain;charset=Cp1252", &text)
}

fn id(at: usize) -> String {
    format!("{}", FIRST + at)
}

impl State {
    fn json(&self, at: usize, now: Timestamp) -> Value {
        let report = &self.reports[at];
        let status = report.status(self.takes, now);
        let mut body = json!({
            "reportId": id(at),
            "reportType": report.specification["reportType"],
            "marketplaceIds": report.specification["marketplaceIds"],
            "createdTime": report.created.to_string(),
            "processingStatus": status,
        });
        for name in ["dataStartTime", "dataEndTime"] {
            if let Some(value) = report.specification.get(name) {
                body[name] = value.clone();
            }
        }
        if status == "IN_PROGRESS" || matches!(status, "DONE" | "FATAL") {
            body["processingStartTime"] = report.created.after(self.takes / 4).to_string().into();
        }
        if matches!(status, "DONE" | "FATAL") {
            body["processingEndTime"] = report.created.after(self.takes).to_string().into();
            if let Some(document) = &report.end.1 {
                body["reportDocumentId"] = document.as_str().into();
            }
        }
        body
    }

    /// Returns true if the same report was created recently.
    fn cools_down(&self, seller: &str, specification: &Value, now: Timestamp) -> bool {
        let marketplaces = marketplaces(specification);
        self.has_cooldown
            && self.reports.iter().any(|it| {
                let theirs = self::marketplaces(&it.specification);
                it.seller == seller
                    && it.specification["reportType"] == specification["reportType"]
                    && it.end.0 != "CANCELLED"
                    && !it.is_cancelled
                    && now.since(it.created) < COOLDOWN
                    && theirs.iter().any(|it| marketplaces.contains(it))
            })
    }
}

fn marketplaces(body: &Value) -> Vec<&str> {
    let ids = body["marketplaceIds"].as_array();
    ids.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Responds to a call of this API; `None` for other calls.
pub(super) fn answer(
    state: &mut State,
    documents: &mut documents::State,
    call: &Call<'_>,
) -> Option<Response> {
    let (method, path) = call.route();
    let path = path.strip_prefix(&ROOT)?;
    let own = |state: &State, id: &str| jobs::own(&state.reports, FIRST, id, call.seller);
    Some(match (method, path) {
        ("POST", ["reports"]) => create(state, documents, call),
        ("GET", ["reports"]) => list(state, call),
        ("GET", ["reports", id]) => match own(state, id) {
            Some(at) => Response::json(200, &state.json(at, call.now)),
            None => missing(),
        },
        ("DELETE", ["reports", id]) => match own(state, id) {
            Some(at) if state.reports[at].status(state.takes, call.now) == "IN_QUEUE" => {
                state.reports[at].is_cancelled = true;
                Response::new(200, "application/json", "")
            }
            Some(_) => invalid("The report is not in the queue."),
            None => missing(),
        },
        ("GET", ["documents", id]) => {
            let mut reports = state.reports.iter();
            let Some(own) = reports.find(|it| it.has_document(id, call.seller)) else {
                return Some(missing());
            };
            let report_type = own.specification["reportType"].as_str();
            if report_type.is_some_and(is_restricted) && !call.is_restricted {
                return Some(denied());
            }
            documents.place("reportDocumentId", id, call)
        }
        (_, ["schedules", ..]) => schedules(state, call, method, &path[1..]),
        _ => missing(),
    })
}

fn create(state: &mut State, documents: &mut documents::State, call: &Call<'_>) -> Response {
    let specification = call.request.json();
    let report_type = specification["reportType"].as_str().unwrap_or_default();
    if report_type.is_empty() || !(1..=25).contains(&marketplaces(&specification).len()) {
        return invalid("reportType and marketplaceIds are required.");
    }
    let is_refused = state.cools_down(call.seller, &specification, call.now);
    let content = state.types.get(report_type).cloned();
    let end = match content {
        _ if is_refused => ("CANCELLED", None),
        None | Some(SimulatedReport::NoData) => ("CANCELLED", None),
        Some(SimulatedReport::Empty) => ("DONE", None),
        Some(SimulatedReport::Document(document)) => ("DONE", Some(documents.add(document))),
        Some(SimulatedReport::Fatal(details)) => {
            let document = details.map(|details| {
                let body = json!({ "errorDetails": details }).to_string();
                documents.add(SimulatedDocument::gzip("application/json", body.as_bytes()))
            });
            ("FATAL", document)
        }
    };
    state.reports.push(Job {
        seller: call.seller.to_owned(),
        specification,
        created: call.now,
        end,
        is_cancelled: false,
    });
    Response::json(202, &json!({ "reportId": id(state.reports.len() - 1) }))
}

fn list(state: &State, call: &Call<'_>) -> Response {
    let listing = match Listing::read(call) {
        Ok(listing) => listing,
        Err(refusal) => return refusal,
    };
    if !(1..=100).contains(&listing.size()) {
        return invalid("pageSize is between 1 and 100.");
    }
    let time = |name: &str| listing.get(name).and_then(Timestamp::parse);
    let found: Vec<usize> = (0..state.reports.len())
        .rev()
        .filter(|at| {
            let report = &state.reports[*at];
            let report_type = report.specification["reportType"]
                .as_str()
                .unwrap_or_default();
            let status = report.status(state.takes, call.now);
            report.seller == call.seller
                && listing.has("reportTypes", report_type)
                && listing.has("processingStatuses", status)
                && marketplaces(&report.specification)
                    .iter()
                    .any(|it| listing.has("marketplaceIds", it))
                && time("createdSince").is_none_or(|it| report.created >= it)
                && time("createdUntil").is_none_or(|it| report.created <= it)
        })
        .collect();
    listing.answer("reports", &found, |at| state.json(at, call.now))
}

fn schedules(state: &mut State, call: &Call<'_>, method: &str, path: &[&str]) -> Response {
    let own = |state: &State, id: &str| {
        let (seller, schedule) = state.schedules.get(id)?;
        (seller == call.seller).then(|| schedule.clone())
    };
    match (method, path) {
        ("POST", []) => {
            let body = call.request.json();
            if body["reportType"].is_null() || body["period"].is_null() {
                return invalid("reportType and period are required.");
            }
            let seller = call.seller;
            state.schedules.retain(|_, (of, known)| {
                of != seller
                    || known["reportType"] != body["reportType"]
                    || known["marketplaceIds"] != body["marketplaceIds"]
            });
            state.scheduled += 1;
            let id = format!("{}", 7000 + state.scheduled);
            let mut schedule = body;
            schedule["reportScheduleId"] = id.as_str().into();
            state
                .schedules
                .insert(id.clone(), (seller.to_owned(), schedule));
            Response::json(201, &json!({ "reportScheduleId": id }))
        }
        ("GET", []) => {
            let types = call.list("reportTypes");
            if !(1..=10).contains(&types.len()) {
                return invalid("reportTypes is required.");
            }
            let found: Vec<&Value> = state
                .schedules
                .values()
                .filter(|(seller, _)| seller == call.seller)
                .map(|(_, schedule)| schedule)
                .filter(|it| types.iter().any(|name| it["reportType"] == *name))
                .collect();
            Response::json(200, &json!({ "reportSchedules": found }))
        }
        ("GET", [id]) => own(state, id).map_or_else(missing, |it| Response::json(200, &it)),
        ("DELETE", [id]) => {
            if own(state, id).is_none() {
                return missing();
            }
            state.schedules.remove(*id);
            Response::new(200, "application/json", "")
        }
        _ => missing(),
    }
}

impl Simulator {
    /// Sets the result of reports of this type. By default, `GET_MERCHANT_LISTINGS_ALL_DATA` has
    /// 1,000 rows in ISO-8859-1, and other types have no data.
    pub fn set_report(&self, report_type: impl Into<String>, report: SimulatedReport) {
        self.world()
            .reports
            .types
            .insert(report_type.into(), report);
    }

    /// Sets the processing time of a report. Default: one minute.
    pub fn set_report_duration(&self, takes: Duration) {
        self.world().reports.takes = takes;
    }

    /// Creates a report on behalf of another application of the seller.
    pub fn add_report_of_another_application(
        &self,
        seller: &str,
        report_type: &str,
        marketplace_id: &str,
    ) {
        let specification =
            json!({ "reportType": report_type, "marketplaceIds": [marketplace_id] });
        let created = self.clock.now();
        self.world().reports.reports.push(Job {
            seller: seller.to_owned(),
            specification,
            created,
            end: ("DONE", None),
            is_cancelled: false,
        });
    }
}
