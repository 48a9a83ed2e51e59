//! The toolchain check: builds each crate with its minimum supported Rust version, if rustup has
//! it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::check::Outcome;
use crate::process::{command, finish};
use crate::workspace::{Package, Workspace};

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut crates_by_version: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in workspace.published() {
        let Some(version) = &package.rust_version else {
            return Ok(Outcome::Failed(format!(
                "{} has no rust-version",
                package.name
            )));
        };
        crates_by_version.entry(version).or_default().push(package);
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
        for package in crates {
            let name = &package.name;
            let mut check = command("rustup", workspace.root());
            check.args([
                "run",
                toolchain,
                "cargo",
                "check",
                "--quiet",
                "--package",
                name,
            ]);
            check.args([
                "--features",
                &features(workspace, package, version).join(","),
            ]);
            // Two compilers must not share a target directory, because each would invalidate the
            // other's output.
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
        looked_at.push_str("; not checked, because the toolchain is missing: ");
        looked_at.push_str(version);
    }
    Ok(Outcome::of_complaints(looked_at, &complaints))
}

/// Returns the features of `package` that must compile with `version`. Features that enable a
/// workspace crate with a newer minimum version are excluded.
fn features<'a>(workspace: &Workspace, package: &'a Package, version: &str) -> Vec<&'a str> {
    let newer: Vec<&str> = workspace
        .published()
        .filter(|member| {
            let needed = member.rust_version.as_deref().unwrap_or_default();
            numbers(needed) > numbers(version)
        })
        .map(|member| member.name.as_str())
        .collect();
    package
        .features
        .iter()
        .filter(|(_, enables)| !enables.iter().any(|it| brings(it, &newer)))
        .map(|(feature, _)| feature.as_str())
        .collect()
}

/// Returns true if a feature entry, such as `dep:connector-core`, enables one of `crates`.
fn brings(entry: &str, crates: &[&str]) -> bool {
    entry
        .strip_prefix("dep:")
        .is_some_and(|name| crates.contains(&name))
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or_default())
        .collect()
}

/// Returns the names of rustup's toolchains. Empty if rustup is not installed.
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

/// Returns true if `name` (`1.88.0-x86_64-unknown-linux-gnu`) is a toolchain of `version` (`1.88`).
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
    use super::{brings, is_toolchain, numbers};

    #[test]
    fn patch_releases_and_targets_belong_to_a_version() {
        assert!(is_toolchain("1.88-x86_64-unknown-linux-gnu", "1.88"));
        assert!(is_toolchain("1.88.0-x86_64-unknown-linux-gnu", "1.88"));
        assert!(is_toolchain("1.88.0", "1.88.0"));
    }

    #[test]
    fn a_feature_that_brings_a_newer_crate_is_recognised() {
        assert!(brings(
            "dep:connector-store-sqlite",
            &["connector-store-sqlite"]
        ));
        assert!(!brings(
            "dep:connector-shopify",
            &["connector-store-sqlite"]
        ));
        assert!(!brings(
            "connector-store-sqlite/sim",
            &["connector-store-sqlite"]
        ));
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("1.94") > numbers("1.88"));
        assert!(numbers("1.100") > numbers("1.94"));
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
