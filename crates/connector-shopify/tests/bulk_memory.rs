//! Reads a bulk result that is larger than memory should be, in constant memory.
//!
//! This test is a separate binary, because it measures the memory of its process.
//! `CONNECTORS_SOAK=full` reads 2 GiB; the default is 32 MiB.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the measured figures are the point")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the test")]

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{Clock as _, SystemClock};
use connector_shopify::{BulkOptions, BulkResult, Group};
use connector_testkit::memory;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

const MAX_GROWTH: u64 = 16 << 20;
/// Number of products in one block. The result repeats the block.
const BLOCK: usize = 500;
const CHILDREN: usize = 9;

#[derive(Deserialize)]
struct Product {
    id: String,
    title: String,
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Variant {
    #[serde(rename = "__parentId")]
    parent: String,
    sku: String,
    price: String,
}

/// A line of any kind, as a program without our types would read it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the baseline only parses")]
struct Either {
    id: String,
    title: Option<String>,
    tags: Option<Vec<String>>,
    #[serde(rename = "__parentId")]
    parent: Option<String>,
    sku: Option<String>,
    price: Option<String>,
}

/// Products with their variants, as Shopify writes them.
fn block() -> Bytes {
    let mut text = String::new();
    for product in 0..BLOCK {
        let id = 9_007_199_254_740_993_usize + product;
        writeln!(
            text,
            r#"{{"id":"gid://shopify/Product/{id}","title":"Teapot m\u00e2nec\u0103 {product}","handle":"teapot-{product}","status":"ACTIVE","vendor":"Example Potteries","tags":["tea","pot","sale-{product}"],"updatedAt":"2026-11-20T12:00:00Z"}}"#
        )
        .unwrap();
        for variant in 0..CHILDREN {
            writeln!(
                text,
                r#"{{"id":"gid://shopify/ProductVariant/{id}{variant}","sku":"SKU-{product}-{variant}","price":"{product}.90","inventoryQuantity":{variant},"selectedOptions":[{{"name":"Colour","value":"Blue"}}],"__parentId":"gid://shopify/Product/{id}"}}"#
            )
            .unwrap();
        }
    }
    text.into()
}

/// Returns `length` bytes of result in pieces of 16 KiB, as from a connection.
fn pieces(blocks: usize) -> impl stream::Stream<Item = connector_core::Result<Bytes>> + Send {
    let block = block();
    stream::iter((0..blocks).flat_map(move |_| {
        let block = block.clone();
        (0..block.len())
            .step_by(16 * 1024)
            .map(move |at| Ok(block.slice(at..(at + 16 * 1024).min(block.len()))))
    }))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

#[tokio::test]
async fn a_result_larger_than_memory_is_joined_with_flat_memory() {
    connector_testkit::trace::init();
    #[expect(
        clippy::disallowed_methods,
        reason = "how much is read is not configuration"
    )]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let length: usize = if is_full { 2 << 30 } else { 32 << 20 };
    let blocks = length / block().len() + 1;
    let length = blocks * block().len();
    let clock = SystemClock::new();

    // The lower bound of the same work: split, and parse each line once.
    let begun = clock.monotonic();
    let (mut held, mut lines) = (Vec::new(), 0_usize);
    let mut source = std::pin::pin!(pieces(blocks));
    while let Some(piece) = source.next().await {
        held.extend_from_slice(&piece.unwrap());
        let mut start = 0;
        while let Some(at) = held[start..].iter().position(|byte| *byte == b'\n') {
            let _: Either = serde_json::from_slice(&held[start..start + at]).unwrap();
            start += at + 1;
            lines += 1;
        }
        held.drain(..start);
    }
    let bound = rate(length, clock.monotonic().since(begun));

    let before = memory::current().unwrap();
    let begun = clock.monotonic();
    let result = BulkResult::from_stream(pieces(blocks), &BulkOptions::new());
    let mut groups = result.groups::<Product, Variant>();
    let (mut parents, mut children, mut texts) = (0, 0, 0);
    while let Some(group) = groups.next().await {
        let Group {
            parent,
            children: own,
            ..
        } = group.unwrap();
        assert!(own.iter().all(|it| it.parent == parent.id));
        texts += parent.title.len() + parent.tags.len();
        texts += own
            .iter()
            .map(|it| it.sku.len() + it.price.len())
            .sum::<usize>();
        parents += 1;
        children += own.len();
    }
    let joined = rate(length, clock.monotonic().since(begun));
    let growth = memory::peak().unwrap().saturating_sub(before);

    let begun = clock.monotonic();
    let result = BulkResult::from_stream(pieces(blocks), &BulkOptions::new());
    let rows = result.rows::<Either>().fold(0, |count, row| {
        row.unwrap();
        std::future::ready(count + 1)
    });
    assert_eq!(rows.await, lines);
    let rows = rate(length, clock.monotonic().since(begun));
    println!(
        "{} MiB, objects: {parents}, children: {children}, memory growth: {} KiB; MB/s: split and \
         parse {bound:.0}, rows {rows:.0} ({:.2}), joined {joined:.0} ({:.2})",
        length >> 20,
        growth >> 10,
        rows / bound,
        joined / bound,
    );
    assert_eq!(
        (parents, children),
        (blocks * BLOCK, blocks * BLOCK * CHILDREN)
    );
    assert!(texts > 0);
    assert!(growth < MAX_GROWTH, "{growth}");
}
