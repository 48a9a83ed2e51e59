//! `cargo xtask check`: runs checks that need no tests, and prints one line for each.

use std::process::{Command, ExitCode};
use std::{fs, io};

use crate::process::{cargo, finish};
use crate::workspace::Workspace;
use crate::{Result, api, book, consumer, dependencies, features, text, toolchains};

/// The outcome of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Passed. The text describes the scope of the check.
    Passed(String),
    /// Not possible on this machine. The text contains the reason.
    Skipped(String),
    /// Failed. The text may have many lines.
    Failed(String),
}

impl Outcome {
    /// Returns `Passed` if there are no complaints, and otherwise `Failed` with all of them.
    pub(crate) fn of_complaints(looked_at: String, complaints: &[String]) -> Self {
        if complaints.is_empty() {
            Self::Passed(looked_at)
        } else {
            Self::Failed(complaints.join("\n"))
        }
    }
}

struct Gate {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

/// The checks, quick ones first, so that small mistakes are reported before long compilations.
const GATES: &[Gate] = &[
    Gate {
        name: "text",
        run: text::gate,
    },
    Gate {
        name: "format",
        run: format,
    },
    Gate {
        name: "dependencies",
        run: dependencies::gate,
    },
    Gate {
        name: "licences",
        run: dependencies::licences,
    },
    Gate {
        name: "book",
        run: book::gate,
    },
    Gate {
        name: "consumer",
        run: consumer::gate,
    },
    Gate {
        name: "advisories",
        run: advisories,
    },
    Gate {
        name: "semver",
        run: semver,
    },
    Gate {
        name: "lints",
        run: lints,
    },
    Gate {
        name: "docs",
        run: docs,
    },
    Gate {
        name: "features",
        run: features::gate,
    },
    Gate {
        name: "msrv",
        run: toolchains::gate,
    },
    Gate {
        name: "api",
        run: api::gate,
    },
    Gate {
        name: "package",
        run: package,
    },
];

pub(crate) fn run(workspace: &Workspace, names: &[&str]) -> Result<ExitCode> {
    if let Some(unknown) = names
        .iter()
        .find(|name| GATES.iter().all(|gate| gate.name != **name))
    {
        let known: Vec<&str> = GATES.iter().map(|gate| gate.name).collect();
        return Err(format!("no gate `{unknown}`; the gates are {}", known.join(", ")).into());
    }
    let mut failed = Vec::new();
    let mut skipped = 0;
    let mut passed = 0;
    for gate in GATES
        .iter()
        .filter(|gate| names.is_empty() || names.contains(&gate.name))
    {
        // A check that cannot be run counts as failed.
        let outcome =
            (gate.run)(workspace).unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        match outcome {
            Outcome::Passed(looked_at) => {
                passed += 1;
                println!("ok: {}: {looked_at}", gate.name);
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                println!("skipped: {}: {why}", gate.name);
            }
            Outcome::Failed(details) => {
                failed.push(gate.name);
                for line in details.lines() {
                    println!("    {line}");
                }
                println!("failed: {}", gate.name);
            }
        }
    }
    println!(
        "check: {passed} ok, {skipped} skipped, {} failed",
        failed.len()
    );
    if failed.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("failed gates: {}", failed.join(", "));
        Ok(ExitCode::FAILURE)
    }
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    command(
        cargo(
            workspace.root(),
            &["fmt", "--all", "--check", "--", "--color=never"],
        ),
        "all members",
    )
}

fn lints(workspace: &Workspace) -> Result<Outcome> {
    command(
        cargo(
            workspace.root(),
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        ),
        "all targets, all features",
    )
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    let mut doc = cargo(
        workspace.root(),
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--all-features",
            "--quiet",
        ],
    );
    doc.env("RUSTDOCFLAGS", "-D warnings");
    command(doc, "all members, all features")
}

/// Packs every published crate as for a registry, and builds it from the package.
fn package(workspace: &Workspace) -> Result<Outcome> {
    let names: Vec<&str> = workspace
        .published()
        .map(|package| package.name.as_str())
        .collect();
    // Cargo unpacks each version of a package only once per directory, and would later build
    // outdated files from there. Therefore each run has its own directory.
    let name = format!("package-{}", std::process::id());
    let target = workspace.target_directory().join(name);
    let mut package = cargo(
        workspace.root(),
        &["package", "--allow-dirty", "--quiet", "--all-features"],
    );
    package.arg("--target-dir").arg(&target);
    for name in &names {
        package.args(["--package", name]);
    }
    let outcome = command(package, &names.join(", "));
    match fs::remove_dir_all(&target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => outcome,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every check has the same signature"
)]
fn advisories(_: &Workspace) -> Result<Outcome> {
    Ok(Outcome::Skipped("no advisory database is available".into()))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every check has the same signature"
)]
fn semver(_: &Workspace) -> Result<Outcome> {
    Ok(Outcome::Skipped(
        "there is no release to compare with yet".into(),
    ))
}

fn command(command: Command, looked_at: &str) -> Result<Outcome> {
    let finished = finish(command)?;
    Ok(if finished.success {
        Outcome::Passed(looked_at.to_owned())
    } else {
        Outcome::Failed(finished.output())
    })
}
