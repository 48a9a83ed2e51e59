//! P6: a page of 250 records into typed values, against `serde_json` on the same bytes.

use std::hint::black_box;

use bytes::Bytes;
use connector_core::ProviderId;
use connector_core::api::{Endpoint, Page, PageCursor, Repeat, Request, Response};
use connector_core::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Outcome;
use crate::turns::{Contestant, take_turns};

const TURNS: u32 = 101;
const OPERATIONS: u32 = 50;
const TARGET: f64 = 1.10;
const PEER_TARGET: f64 = 2.0;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    title: String,
    vendor: String,
    status: String,
    created_at: String,
    total_inventory: i64,
    tags: Vec<String>,
    description: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Records {
    items: Vec<Record>,
    next: Option<PageCursor>,
}

struct ListRecords;

impl Endpoint for ListRecords {
    type Output = Page<Record>;
    const NAME: &'static str = "ListRecords";
    const REPEAT: Repeat = Repeat::Safe;

    fn request(&self) -> connector_core::Result<Request> {
        Request::get(["records"])
    }

    fn decode(response: &mut Response) -> connector_core::Result<Self::Output> {
        let records: Records = response.json()?;
        Ok(Page::new(records.items, records.next))
    }
}

fn body() -> Vec<u8> {
    let items: Vec<Value> = (0..250)
        .map(|number| {
            json!({
                "id": format!("gid://acme/Record/{number}"),
                "title": format!("Record number {number} with a name of usual length"),
                "vendor": "Acme",
                "status": "ACTIVE",
                "created_at": "2026-11-20T12:00:00Z",
                "total_inventory": number * 3,
                "tags": ["one", "two", "three"],
                "description": "A text of some length, as people write it about what they sell.",
                "unknown": { "nested": [1, 2, 3] },
            })
        })
        .collect();
    json!({ "items": items, "next": "cursor" })
        .to_string()
        .into()
}

pub(crate) fn measure() -> Outcome {
    let body = Bytes::from(body());
    let received = Timestamp::from_unix_seconds(1_800_000_000);
    let provider = ProviderId::from_static("acme");
    let mut failed = 0_u64;
    let mut direct_failed = 0_u64;
    let mut value_failed = 0_u64;
    let figures = take_turns(
        &mut [
            Contestant::new("decode of an operation", || {
                let answer = http::Response::new(black_box(&body).clone());
                let mut response =
                    Response::new(provider.clone(), ListRecords::NAME, received, answer);
                let page = ListRecords::decode(&mut response);
                failed += u64::from(black_box(page).is_err());
            }),
            Contestant::new("serde_json, typed", || {
                let records = serde_json::from_slice::<Records>(black_box(&body));
                direct_failed += u64::from(black_box(records).is_err());
            }),
            Contestant::new("serde_json, Value, then typed", || {
                let records = serde_json::from_slice::<Value>(black_box(&body))
                    .and_then(serde_json::from_value::<Records>);
                value_failed += u64::from(black_box(records).is_err());
            }),
        ],
        TURNS,
        OPERATIONS,
    );
    if failed + direct_failed + value_failed > 0 {
        return Err("a good page was not read".into());
    }
    println!(
        "{TURNS} turns of {OPERATIONS} pages of {} bytes, ns per page\n",
        body.len()
    );
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in [
        "decode of an operation",
        "serde_json, typed",
        "serde_json, Value first",
    ]
    .iter()
    .zip(&figures)
    {
        println!("| {name} | {} |", figures.cells());
    }
    println!("\n| Row | Ratio: min | median | max | Target | Met |\n|---|---|---|---|---|---|");
    let own = figures[0].ratio_to(&figures[1]);
    let peer = figures[2].ratio_to(&figures[0]);
    let met = |met: bool| if met { "yes" } else { "no" };
    println!(
        "| P6 to serde_json typed | {:.2} | {:.2} | {:.2} | at most {TARGET:.2} | {} |",
        own.min(),
        own.median(),
        own.max(),
        met(own.median() <= TARGET)
    );
    println!(
        "| P6 Value first to it | {:.2} | {:.2} | {:.2} | at least {PEER_TARGET:.2} | {} |",
        peer.min(),
        peer.median(),
        peer.max(),
        met(peer.median() >= PEER_TARGET)
    );
    Ok(())
}
