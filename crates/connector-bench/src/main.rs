//! Measures the workspace against its performance targets, one row per target:
//!
//! ```text
//! cargo run --release -p connector-bench -- p3
//! ```
//!
//! Every row runs the compared programs alternately in one process, and prints Markdown tables. The
//! last table has one line per target, `| P4 2 KiB | min | median | max | target | met |`, which
//! `cargo xtask bench` parses. Explanations of the results are in `notes/`. A missed target is
//! reported but does not fail the run.

#![expect(
    clippy::print_stdout,
    reason = "the tables are the output of the program"
)]

mod fixture;
mod p1;
mod p10;
mod p11;
mod p15;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p9;
mod postgres;
mod server;
mod turns;
mod typed_call;

use std::error::Error;
use std::process::ExitCode;

type Outcome = Result<(), Box<dyn Error>>;

struct Row {
    name: &'static str,
    what: &'static str,
    notes: &'static str,
    measure: fn() -> Outcome,
}

const ROWS: &[Row] = &[
    Row {
        name: "p1",
        what: "the cached access token",
        notes: include_str!("../notes/p1.md"),
        measure: p1::measure,
    },
    Row {
        name: "p2",
        what: "10,000 tasks on one expired token",
        notes: include_str!("../notes/p2.md"),
        measure: p2::measure,
    },
    Row {
        name: "p3",
        what: "seal and open 1 KiB",
        notes: include_str!("../notes/p3.md"),
        measure: p3::measure,
    },
    Row {
        name: "p4",
        what: "verify a webhook of 2, 16 and 256 KiB",
        notes: include_str!("../notes/p4.md"),
        measure: p4::measure,
    },
    Row {
        name: "p5",
        what: "a typed call on loopback, 32 in flight",
        notes: include_str!("../notes/p5.md"),
        measure: p5::measure,
    },
    Row {
        name: "p6",
        what: "a page of 250 records into typed values",
        notes: include_str!("../notes/p6.md"),
        measure: p6::measure,
    },
    Row {
        name: "p9",
        what: "a resumable upload and a download of 64 MiB",
        notes: include_str!("../notes/p9.md"),
        measure: p9::measure,
    },
    Row {
        name: "p10",
        what: "read and refresh a connection in SQLite",
        notes: include_str!("../notes/p10.md"),
        measure: p10::measure,
    },
    Row {
        name: "p11",
        what: "the sweep over 1,000,000 connections",
        notes: include_str!("../notes/p11.md"),
        measure: p11::measure,
    },
    Row {
        name: "p10pg",
        what: "read and refresh a connection in PostgreSQL",
        notes: include_str!("../notes/p10pg.md"),
        measure: postgres::measure_refresh,
    },
    Row {
        name: "p11pg",
        what: "the sweep over 1,000,000 connections in PostgreSQL",
        notes: include_str!("../notes/p11pg.md"),
        measure: postgres::measure_sweep,
    },
    Row {
        name: "p15",
        what: "sending 5,000 webhooks to 1,000 endpoints",
        notes: include_str!("../notes/p15.md"),
        measure: p15::measure,
    },
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| ROWS.iter().any(|row| row.name == name);
    if wanted.is_empty() || !wanted.iter().all(known) {
        println!("Usage: connector-bench ROW...");
        for row in ROWS {
            println!("  {}  {}", row.name, row.what);
        }
        return ExitCode::FAILURE;
    }
    for row in ROWS {
        if wanted.iter().any(|name| name == row.name) {
            println!("\n{}: {}\n", row.name, row.what);
            if let Err(error) = (row.measure)() {
                println!("{} could not be measured: {error}", row.name);
                return ExitCode::FAILURE;
            }
            println!("\n{}", row.notes.trim_end());
        }
    }
    ExitCode::SUCCESS
}
