//! The workspace commands: `cargo xtask check`, `cargo xtask test`, `cargo xtask api`,
//! `cargo xtask bench`.
//!
//! `check` runs every check that needs no tests. `test` runs all tests, and then searches their
//! output and files for planted secrets. `api` updates the listings of the public API in
//! `docs/api/`. `bench` measures the performance targets and updates `docs/benchmarks.md`.
#![expect(
    clippy::print_stdout,
    reason = "a command-line program prints to standard output"
)]

mod api;
mod bench;
mod book;
mod check;
mod consumer;
mod counterparts;
mod dependencies;
mod features;
mod layers;
mod leak;
mod process;
mod servers;
mod test;
mod text;
mod toolchains;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use crate::workspace::Workspace;

/// The result type of this program. Errors are only printed, so they have no type of their own.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: cargo xtask <command>

  check [gate…]             run the gates that need no test, or only the named ones
  test [--short | --full]   run all tests, then search what they left behind for secrets;
       [--keep]             --full sets CONNECTORS_SOAK=full, --short clears it,
                            --keep leaves the artefacts directory after a passing run
  api                       rewrite docs/api/, the listing of the public API
  bench [row…]              measure the performance targets, or only the named rows (p1, p2, …),
                            and rewrite their sections of docs/benchmarks.md
";

fn main() -> ExitCode {
    if api::is_rustdoc_call() {
        return report(api::run_rustdoc());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    report(run(&arguments))
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        ["check", gates @ ..] => check::run(&Workspace::load()?, gates),
        ["test", options @ ..] => test::run(&Workspace::load()?, &test::Options::parse(options)?),
        ["api"] => api::rewrite(&Workspace::load()?),
        ["bench", rows @ ..] => bench::run(&Workspace::load()?, rows),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("unknown command `{}`\n\n{USAGE}", arguments.join(" ")).into()),
    }
}

fn report(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
