//! P6: decoding a page of 250 Shopify products into typed values, compared with `serde_json` on the
//! same bytes.

use std::hint::black_box;

use bytes::Bytes;
use connector_core::api::{PageCursor, Response};
use connector_core::clock::Timestamp;
use connector_core::provider::Endpoint;
use connector_shopify::Shopify;
use connector_shopify::endpoints::ListProducts;
use connector_shopify::models::Product;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::turns::{Candidate, take_turns};

const TURNS: u32 = 101;
const OPERATIONS: u32 = 50;
const TARGET: f64 = 1.10;
const PEER_TARGET: f64 = 2.0;

/// The response type of a program that uses only this operation.
#[derive(Debug, Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    products: Products,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Products {
    nodes: Vec<Product>,
    page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<PageCursor>,
}

/// Uses all decoded data so that the compiler cannot optimize any of the work away.
impl Answer {
    fn len(&self) -> usize {
        let Products { nodes, page_info } = &self.data.products;
        let more = page_info.has_next_page && page_info.end_cursor.is_some();
        nodes.len() + usize::from(more)
    }
}

fn body() -> Vec<u8> {
    let nodes: Vec<Value> = (0..250)
        .map(|number| {
            json!({
                "id": format!("gid://shopify/Product/{}", 8_000_000_000_000_u64 + number),
                "title": format!("Product number {number} with a name of usual length"),
                "handle": format!("product-number-{number}-with-a-name-of-usual-length"),
                "status": "ACTIVE",
                "vendor": "Acme",
                "productType": "Tea",
                "tags": ["one", "two", "three"],
                "totalInventory": number * 3,
                "createdAt": "2026-11-20T12:00:00Z",
                "updatedAt": "2026-11-20T12:30:00Z",
            })
        })
        .collect();
    json!({
        "data": { "products": {
            "nodes": nodes,
            "pageInfo": { "hasNextPage": true, "endCursor": "eyJsYXN0X2lkIjo4MDAwfQ==" },
        } },
        "extensions": { "cost": {
            "requestedQueryCost": 252,
            "actualQueryCost": 252,
            "throttleStatus": {
                "maximumAvailable": 2000.0,
                "currentlyAvailable": 1748.0,
                "restoreRate": 100.0,
            },
        } },
    })
    .to_string()
    .into()
}

pub(crate) fn measure() -> Outcome {
    let body = Bytes::from(body());
    let received = Timestamp::from_unix_seconds(1_800_000_000);
    let operation = ListProducts::new();
    let mut failed = 0_u64;
    let mut direct_failed = 0_u64;
    let mut value_failed = 0_u64;
    let figures = take_turns(
        &mut [
            Candidate::new("decode of an operation", || {
                let answer = http::Response::new(black_box(&body).clone());
                let mut response = Response::new(Shopify::ID, ListProducts::NAME, received, answer);
                let page = operation.decode(&mut response);
                failed += u64::from(black_box(page).is_err());
            }),
            Candidate::new("serde_json, typed", || {
                let records = serde_json::from_slice::<Answer>(black_box(&body));
                direct_failed += u64::from(black_box(records).map_or(0, |it| it.len()) != 251);
            }),
            Candidate::new("serde_json, Value, then typed", || {
                let records = serde_json::from_slice::<Value>(black_box(&body))
                    .and_then(serde_json::from_value::<Answer>);
                value_failed += u64::from(black_box(records).map_or(0, |it| it.len()) != 251);
            }),
        ],
        TURNS,
        OPERATIONS,
    );
    if failed + direct_failed + value_failed > 0 {
        return Err("a valid page could not be decoded".into());
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
