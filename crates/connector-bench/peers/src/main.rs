//! Measures other projects that do the same work, alternating with the workspace in one process.
//! Built and run by `cargo xtask bench`. Prints the same tables as `connector-bench`, with one line
//! for each target.

#[path = "../../src/fixture.rs"]
#[allow(dead_code, reason = "both programs share this code")]
mod fixture;
mod npm;
mod p1;
mod p2;
mod p4;
mod p5;
#[path = "../../src/server.rs"]
mod server;
#[path = "../../src/turns.rs"]
#[allow(dead_code, reason = "both programs share this code")]
mod turns;
#[path = "../../src/typed_call.rs"]
mod typed_call;
mod yup;

use std::error::Error;
use std::process::ExitCode;

use turns::Figures;

type Outcome = Result<(), Box<dyn Error>>;

const ROWS: &[(&str, fn() -> Outcome)] = &[
    ("p1", p1::measure),
    ("p2", p2::measure),
    ("p4", p4::measure),
    ("p5", p5::measure),
];

fn main() -> ExitCode {
    // Several peers use the process-wide TLS provider.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        println!("a TLS provider is already installed");
        return ExitCode::FAILURE;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| ROWS.iter().any(|(row, _)| row == name);
    if wanted.is_empty() || !wanted.iter().all(known) {
        println!("Usage: connector-bench-peers p1|p2|p4|p5...");
        return ExitCode::FAILURE;
    }
    for (name, measure) in ROWS {
        if wanted.iter().any(|wanted| wanted == name) {
            println!("\n{name}: peers\n");
            if let Err(error) = measure() {
                println!("{name} could not be measured: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Prints the values of each candidate, and the ratio of each other candidate to the first one,
/// which is ours.
fn print(row: &str, unit: f64, named: &[(&str, &Figures)], targets: &[f64]) {
    print_figures(unit, named);
    let peers: Vec<_> = named[1..]
        .iter()
        .zip(targets)
        .map(|((name, figures), target)| {
            (
                format!("{row}, {name}"),
                figures.ratio_to(named[0].1),
                *target,
            )
        })
        .collect();
    print_ratios(&peers);
}

fn print_figures(unit: f64, named: &[(&str, &Figures)]) {
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in named {
        println!("| {name} | {} |", figures.scaled(1.0 / unit).cells());
    }
}

/// Prints, for each row, the ratio of the other candidate to ours, and its minimum target.
fn print_ratios(rows: &[(String, Figures, f64)]) {
    println!("\n| Row | Times as long as ours: min | median | max | Target | Met |");
    println!("|---|---|---|---|---|---|");
    for (row, ratio, target) in rows {
        println!(
            "| {row} | {:.2} | {:.2} | {:.2} | at least {target:.1} | {} |",
            ratio.min(),
            ratio.median(),
            ratio.max(),
            if ratio.median() >= *target {
                "yes"
            } else {
                "no"
            }
        );
    }
}
