//! `cargo xtask bench`: measures the performance targets, and updates `docs/benchmarks.md`.
//!
//! The benchmarks are in `connector-bench`. Its folder `peers` compares them with other projects;
//! it is a separate workspace that only this command builds. The peers for Node are in `peers/npm`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::process::{cargo, command, stdout_of};
use crate::servers::Servers;
use crate::workspace::Workspace;
use crate::{Result, consumer, counterparts};

/// Path of the page, relative to the root.
const PAGE: &str = "docs/benchmarks.md";

const INTRODUCTION: &str = "\
# Benchmarks

On this page you see how fast the library is, compared with a lower bound and with other libraries. `cargo
xtask bench` writes the page. Each row measures its candidates in turns, in one process, because figures of
different runs on a shared machine cannot be compared. A target is a ratio within one run. A benchmark
never fails a test run. Use the medians: the machine was busy, so the maxima are not meaningful.
";

/// The program that measures one row of the results table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    /// `connector-bench`.
    Here,
    /// `connector-bench`, and `connector-bench/peers` for the comparison with other projects.
    WithPeers,
    /// `connector-bench`, with a private PostgreSQL server.
    WithServer,
    /// This program.
    Builds,
}

const ROWS: &[(&str, &str, Measured)] = &[
    ("P1", "the cached access token", Measured::WithPeers),
    ("P2", "many tasks on one expired token", Measured::WithPeers),
    ("P3", "seal and open 1 KiB", Measured::Here),
    ("P4", "verify a webhook", Measured::WithPeers),
    ("P5", "a typed call on loopback", Measured::WithPeers),
    (
        "P6",
        "a page of 250 records into typed values",
        Measured::Here,
    ),
    (
        "P9",
        "a resumable upload to Google Drive and a download",
        Measured::Here,
    ),
    (
        "P10",
        "read and refresh a connection in SQLite",
        Measured::Here,
    ),
    (
        "P11",
        "the sweep over 1,000,000 connections",
        Measured::Here,
    ),
    (
        "P10PG",
        "read and refresh a connection in PostgreSQL",
        Measured::WithServer,
    ),
    (
        "P11PG",
        "the sweep over 1,000,000 connections in PostgreSQL",
        Measured::WithServer,
    ),
    ("P12", "the release build of a consumer", Measured::Builds),
];

/// The row that has peers for Node.
const ROW_WITH_NODE: &str = "P4";

/// Measures the rows in `wanted`, or all rows, and replaces their sections on the page.
pub(crate) fn run(workspace: &Workspace, wanted: &[&str]) -> Result<ExitCode> {
    if let Some(unknown) = wanted.iter().find(|wanted| {
        !ROWS
            .iter()
            .any(|(name, ..)| name.eq_ignore_ascii_case(wanted))
    }) {
        let known: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("no row `{unknown}`; the rows are {}", known.join(", ")).into());
    }
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|(name, ..)| {
            wanted.is_empty() || wanted.iter().any(|row| row.eq_ignore_ascii_case(name))
        })
        .collect();
    let path = workspace.root().join(PAGE);
    let machine = machine()?;
    let mut sections = if rows.len() == ROWS.len() {
        BTreeMap::new()
    } else {
        let page = fs::read_to_string(&path)?;
        if page.contains(&machine) {
            sections_of(&page)
        } else {
            println!("{PAGE} is from another machine: all its other rows are removed");
            BTreeMap::new()
        }
    };
    let programs = Programs::build(workspace, &rows)?;
    let mut failed = Vec::new();
    for (name, what, measured) in rows {
        let load = load()?;
        match programs.measure(workspace, name, *measured) {
            Ok(text) => {
                let date = today()?;
                let text = format!(
                    "## {name}: {what}\n\n`cargo xtask bench {}`, {date}, load of the machine \
                     before: {load}.\n\n{}\n",
                    name.to_lowercase(),
                    text.trim()
                );
                println!("{text}");
                sections.insert(place(name), text);
                // The page is written after each row, because a full run takes long.
                fs::write(&path, page(&machine, &sections))?;
            }
            Err(error) => {
                println!("{name} could not be measured: {error}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("not measured: {}", failed.join(", "));
        Ok(ExitCode::FAILURE)
    }
}

/// The benchmark programs.
struct Programs {
    directory: PathBuf,
    /// The environment variables with the paths of the Node peers.
    peers: Vec<(&'static str, PathBuf)>,
    servers: Servers,
}

impl Programs {
    fn build(workspace: &Workspace, rows: &[&(&str, &str, Measured)]) -> Result<Self> {
        if rows.iter().any(|row| row.2 != Measured::Builds) {
            stdout_of(cargo(
                workspace.root(),
                &["build", "--release", "--package", "connector-bench"],
            ))?;
        }
        if rows.iter().any(|row| row.2 == Measured::WithPeers) {
            // The target directory is shared, so that common dependencies are built once.
            let mut build = cargo(
                &workspace.root().join("crates/connector-bench/peers"),
                &["build", "--release", "--target-dir"],
            );
            build.arg(workspace.target_directory());
            stdout_of(build)?;
        }
        let peers = if rows.iter().any(|row| row.0 == ROW_WITH_NODE) {
            counterparts::install_peers(workspace)
        } else {
            Vec::new()
        };
        let servers = if rows.iter().any(|row| row.2 == Measured::WithServer) {
            Servers::start()?
        } else {
            Servers::default()
        };
        Ok(Self {
            directory: workspace.target_directory().join("release"),
            peers,
            servers,
        })
    }

    /// Returns the tables of a row as Markdown.
    fn measure(&self, workspace: &Workspace, name: &str, measured: Measured) -> Result<String> {
        let run = |program: &str| {
            let program = self.directory.join(program);
            let mut program = command(&program.to_string_lossy(), workspace.root());
            program
                .arg(name.to_lowercase())
                .envs(self.peers.iter().cloned())
                .envs(self.servers.variables());
            let text = stdout_of(program)?;
            // The first line repeats the name of the row.
            let (_, text) = text.trim().split_once('\n').unwrap_or_default();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(text.trim().to_owned())
        };
        match measured {
            Measured::Here | Measured::WithServer => run("connector-bench"),
            Measured::WithPeers => Ok(format!(
                "{}\n\n### Peers of {name}\n\n{}",
                run("connector-bench")?,
                run("connector-bench-peers")?
            )),
            Measured::Builds => consumer::build_times(workspace),
        }
    }
}

/// Returns the position of a row among all rows.
fn place(name: &str) -> usize {
    ROWS.iter()
        .position(|(row, ..)| *row == name)
        .unwrap_or(ROWS.len())
}

/// Returns the sections of a page, keyed by position.
fn sections_of(page: &str) -> BTreeMap<usize, String> {
    let mut sections = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.split(':').next().unwrap_or_default();
        if ROWS.iter().any(|(row, ..)| *row == name) {
            sections.insert(place(name), format!("## {}\n", section.trim_end()));
        }
    }
    sections
}

fn page(machine: &str, sections: &BTreeMap<usize, String>) -> String {
    let mut page = format!(
        "{INTRODUCTION}\nMachine: {machine}\n\n| Target | Measured, median | Target | Met |\n\
         |---|---|---|---|\n"
    );
    for section in sections.values() {
        for line in section.lines() {
            if let Some([name, median, target, met]) = target_of(line) {
                // Writing to a `String` cannot fail.
                let _ = writeln!(page, "| {name} | {median} | {target} | {met} |");
            }
        }
    }
    for section in sections.values() {
        page.push('\n');
        page.push_str(section);
    }
    page
}

/// Parses the name, the median, the target and the result of a line such as
/// `| P4 2 KiB | 0.9 | 1.05 | 1.3 | 1.10 | yes |`.
fn target_of(line: &str) -> Option<[&str; 4]> {
    let cells: Vec<&str> = line
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .split(" | ")
        .collect();
    let &[name, _, median, _, target, met] = cells.as_slice() else {
        return None;
    };
    let is_row = ROWS.iter().any(|(row, ..)| {
        name.strip_prefix(row)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    });
    (is_row && matches!(met, "yes" | "no")).then_some([name, median, target, met])
}

/// Returns the processor, the kernel and the compiler in one line.
fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |name: &str| {
        cpu.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map_or("", |(_, value)| value.trim())
    };
    let features: Vec<&str> = of("flags")
        .split_whitespace()
        .filter(|flag| matches!(*flag, "aes" | "sha_ni" | "avx2" | "avx512f" | "vaes"))
        .collect();
    let here = Path::new(".");
    let mut kernel = command("uname", here);
    kernel.arg("-srm");
    let mut compiler = command("rustc", here);
    compiler.arg("--version");
    Ok(format!(
        "{} cores of {} ({}); {}; {}.",
        std::thread::available_parallelism()?,
        of("model name"),
        features.join(", "),
        stdout_of(kernel)?.trim(),
        stdout_of(compiler)?.trim()
    ))
}

/// Returns the load average of the last minute.
fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned())
}

fn today() -> Result<String> {
    let mut date = command("date", Path::new("."));
    date.args(["-u", "+%Y-%m-%d"]);
    Ok(stdout_of(date)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{page, place, sections_of, target_of};

    #[test]
    fn a_target_has_six_cells_and_the_name_of_a_row() {
        assert_eq!(
            target_of("| P4 2 KiB | 0.53 | 1.05 | 2.66 | 1.10 | yes |"),
            Some(["P4 2 KiB", "1.05", "1.10", "yes"])
        );
        assert_eq!(
            target_of("| P12 build | 1 | 2 | 3 | 1.25 | no |"),
            Some(["P12 build", "2", "1.25", "no"])
        );
        for other in [
            "| Row | min | median | max | Target | Met |",
            "| P99 build | 1 | 2 | 3 | 1.25 | no |",
            "| P4 verify | 1 | 2 | 3 |",
            "|---|---|---|---|---|---|",
            "P4",
        ] {
            assert_eq!(target_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_page_is_read_as_it_was_written_and_one_section_is_replaced() {
        let section = |name: &str, met: &str| {
            format!("## {name}: what\n\n| {name} it | 1 | 2 | 3 | 4 | {met} |\n\n### Peers\n\nx\n")
        };
        let mut sections = [
            (place("P4"), section("P4", "no")),
            (place("P12"), section("P12", "yes")),
        ]
        .into_iter()
        .collect();
        let written = page("a machine", &sections);
        assert_eq!(sections_of(&written), sections);
        sections.insert(place("P4"), section("P4", "yes"));
        let again = page("a machine", &sections);
        assert_eq!(sections_of(&again), sections);
        assert!(again.contains("| P4 it | 2 | 4 | yes |\n| P12 it | 2 | 4 | yes |"));
        assert!(!again.contains("| no |"));
    }
}
