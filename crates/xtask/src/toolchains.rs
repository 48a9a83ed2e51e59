//! The oldest supported toolchain of each crate, where rustup has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::check::Outcome;
use crate::process::{command, finish};
use crate::workspace::Workspace;

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut crates_by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in workspace.published() {
        let Some(version) = &package.rust_version else {
            return Ok(Outcome::Failed(format!(
                "{} names no rust-version",
                package.name
            )));
        };
        crates_by_version
            .entry(version)
            .or_default()
            .push(&package.name);
    }

    let installed = installed(workspace);
    let mut missing = BTreeSet::new();
    let mut built = Vec::new();
    let mut complaints = Vec::new();
    for (version, crates) in crates_by_version {
        let Some(toolchain) = installed.iter().find(|name| is_toolchain(name, version)) else {
            missing.insert(version);
            continue;
        };
        for name in crates {
            let mut check = command("rustup", workspace.root());
            check.args([
                "run",
                toolchain,
                "cargo",
                "check",
                "--quiet",
                "--all-features",
            ]);
            check.args(["--package", name]);
            // Two compilers in one directory would make each other's work stale.
            check
                .arg("--target-dir")
                .arg(workspace.target_directory().join("msrv"));
            let finished = finish(check)?;
            if finished.success {
                built.push(format!("{name} with {version}"));
            } else {
                complaints.push(format!("{name} with {version}:\n{}", finished.output()));
            }
        }
    }
    if built.is_empty() && complaints.is_empty() {
        let missing: Vec<&str> = missing.into_iter().collect();
        return Ok(Outcome::Skipped(format!(
            "no toolchain {} is installed",
            missing.join(" and no ")
        )));
    }
    let mut looked_at = built.join(", ");
    for version in missing {
        looked_at.push_str("; not tried, no toolchain: ");
        looked_at.push_str(version);
    }
    Ok(Outcome::of_complaints(looked_at, &complaints))
}

/// The names rustup knows; none where there is no rustup.
fn installed(workspace: &Workspace) -> Vec<String> {
    let mut list = command("rustup", workspace.root());
    list.args(["toolchain", "list"]);
    finish(list).map_or_else(
        |_| Vec::new(),
        |finished| {
            finished
                .stdout
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned)
                .collect()
        },
    )
}

/// Whether `name` (`1.88.0-x86_64-unknown-linux-gnu`) is a toolchain of `version` (`1.88`).
fn is_toolchain(name: &str, version: &str) -> bool {
    let release = name.split('-').next().unwrap_or(name);
    release == version
        || release.strip_prefix(version).is_some_and(|patch| {
            patch
                .strip_prefix('.')
                .is_some_and(|patch| patch.parse::<u32>().is_ok())
        })
}

#[cfg(test)]
mod tests {
    use super::is_toolchain;

    #[test]
    fn patch_releases_and_targets_belong_to_a_version() {
        assert!(is_toolchain("1.88-x86_64-unknown-linux-gnu", "1.88"));
        assert!(is_toolchain("1.88.0-x86_64-unknown-linux-gnu", "1.88"));
        assert!(is_toolchain("1.88.0", "1.88.0"));
    }

    #[test]
    fn other_releases_and_channels_do_not() {
        assert!(!is_toolchain("1.8-x86_64-unknown-linux-gnu", "1.88"));
        assert!(!is_toolchain("1.880.0-x86_64-unknown-linux-gnu", "1.88"));
        assert!(!is_toolchain("stable-x86_64-unknown-linux-gnu", "1.88"));
        assert!(!is_toolchain(
            "nightly-2026-01-01-x86_64-unknown-linux-gnu",
            "1.88"
        ));
    }
}
