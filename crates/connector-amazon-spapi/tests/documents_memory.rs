//! Reads a gzipped report with many rows in constant memory.
//!
//! This test is a separate binary, because it measures the memory of its process.
//! `CONNECTORS_SOAK=full` reads 10^7 rows; the default is 2 * 10^5.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the measured figures are the point")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the test")]

use std::io::Write;

use bytes::Bytes;
use connector_amazon_spapi::documents::{Compression, Document, DocumentOptions};
use connector_testkit::memory;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use serde::Deserialize;

/// Number of rows in one gzip member. The report repeats the member.
const MEMBER: u64 = 10_000;
const MAX_GROWTH: u64 = 64 << 20;

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

/// A gzip member with rows like those of a listings report.
fn member() -> (Bytes, u64) {
    let mut text = Vec::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for row in 0..MEMBER {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        writeln!(
            text,
            "Caf\u{fffd} item {row}\tSKU-{seed:016x}\t{}.{:02}\t{}\tB0{:08}\tActive\t2026-11-20 12:00:00 PST",
            seed % 500,
            seed % 100,
            seed % 1000,
            seed % 100_000_000,
        )
        .unwrap();
    }
    let length = text.len() as u64;
    (gzip(&text), length)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listing {
    item_name: String,
    seller_sku: String,
    price: f64,
    quantity: u32,
    asin: String,
    status: String,
    open_date: String,
}

#[tokio::test]
async fn a_report_larger_than_memory_is_read_with_flat_memory() {
    connector_testkit::trace::init();
    #[expect(
        clippy::disallowed_methods,
        reason = "how much is read is not configuration"
    )]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let rows: u64 = if is_full { 10_000_000 } else { 200_000 };
    let header = gzip(b"item-name\tseller-sku\tprice\tquantity\tasin\tstatus\topen-date\n");
    let (member, length) = member();
    let members = rows / MEMBER;
    // Chunks of 16 KiB, as from a connection.
    let pieces = (0..members).flat_map(move |_| {
        let member = member.clone();
        (0..member.len())
            .step_by(16 * 1024)
            .map(move |at| member.slice(at..(at + 16 * 1024).min(member.len())))
    });
    let pieces = stream::iter([header].into_iter().chain(pieces).map(Ok));
    let before = memory::current().unwrap();
    let options = DocumentOptions::new();
    let document = Document::from_stream(pieces, Some(&Compression::Gzip), None, options);
    let mut typed = document.typed_rows::<Listing>().await.unwrap();
    let (mut count, mut sum, mut texts) = (0_u64, 0.0, 0_usize);
    while let Some(row) = typed.next().await {
        let row = row.unwrap();
        count += 1;
        sum += row.price * f64::from(row.quantity);
        texts += row.item_name.len() + row.seller_sku.len() + row.asin.len();
        texts += row.status.len() + row.open_date.len();
    }
    let progress = typed.progress();
    let growth = memory::peak().unwrap().saturating_sub(before);
    println!(
        "rows: {count}, {} MiB out of {} MiB, memory growth: {} KiB",
        progress.decoded_bytes >> 20,
        progress.bytes >> 20,
        growth >> 10,
    );
    assert_eq!((count, progress.rows), (rows, rows));
    assert!(progress.decoded_bytes > members * length);
    assert!(sum > 0.0 && texts > 0);
    assert!(growth < MAX_GROWTH, "{growth}");
}
