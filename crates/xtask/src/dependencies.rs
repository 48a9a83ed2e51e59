//! The dependency check: the permitted dependencies of published crates, and their licences.

use std::collections::{BTreeMap, BTreeSet};

use spdx::{Expression, ParseMode};

use crate::Result;
use crate::check::Outcome;
use crate::layers;
use crate::process::{cargo, stdout_of};
use crate::workspace::Workspace;

/// Cryptography and TLS crates other than ring and rustls.
pub(crate) const BANNED: &[&str] = &[
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
];

/// Crates that may occur in only one version. A second version would add a second HTTP stack, TLS
/// stack or embedded library.
const SINGLE: &[&str] = &[
    "http",
    "libsqlite3-sys",
    "reqwest",
    "ring",
    "rustls",
    "secrecy",
    "sqlx",
    "tokio",
    "url",
];

/// Permitted licences: those whose only obligation is to include the licence text and, for MPL-2.0,
/// to publish the source of modified files.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const TREE_FORMAT: &str = "{p}\t{l}";

/// One package of a dependency tree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    licence: String,
}

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut complaints: Vec<String> = workspace
        .packages()
        .iter()
        .filter(|package| !workspace.is_member(package))
        .filter(|package| !is_from_registry(package.source.as_deref()))
        .map(|package| format!("{} does not come from a registry", package.name))
        .collect();
    complaints.extend(layers::complaints(workspace));
    let mut seen = BTreeSet::new();
    for package in workspace.published() {
        let tree = tree_of(workspace, &package.name)?;
        complaints.extend(
            complaints_about(&tree)
                .into_iter()
                .map(|text| format!("{}: {text}", package.name)),
        );
        complaints.extend(layers::network_below(
            &package.name,
            tree.iter().map(|dependency| &*dependency.name),
        ));
        seen.extend(tree);
    }
    Ok(Outcome::of_complaints(
        format!("{} packages below the published crates", seen.len()),
        &complaints,
    ))
}

pub(crate) fn licences(workspace: &Workspace) -> Result<Outcome> {
    let mut seen = BTreeSet::new();
    for package in workspace.published() {
        seen.extend(tree_of(workspace, &package.name)?);
    }
    let complaints: Vec<String> = seen
        .iter()
        .filter_map(|dependency| {
            refusal(&dependency.licence)
                .map(|why| format!("{} {}: {why}", dependency.name, dependency.version))
        })
        .collect();
    Ok(Outcome::of_complaints(
        format!("{} packages", seen.len()),
        &complaints,
    ))
}

/// Returns all normal dependencies of a crate with all its features, on every platform.
///
/// `cargo tree` resolves features as a build of the crate does. The graph of `cargo metadata` would
/// also contain dependencies of tests and of weak features.
fn tree_of(workspace: &Workspace, name: &str) -> Result<BTreeSet<Dependency>> {
    let text = stdout_of(cargo(
        workspace.root(),
        &[
            "tree",
            "--package",
            name,
            "--all-features",
            "--edges",
            "normal",
            "--target",
            "all",
            "--prefix",
            "none",
            "--no-dedupe",
            "--format",
            TREE_FORMAT,
        ],
    ))?;
    let tree = text
        .lines()
        .map(parse_line)
        .collect::<Result<BTreeSet<_>>>()?;
    if tree.is_empty() {
        return Err(format!("cargo tree lists nothing for {name}").into());
    }
    Ok(tree)
}

/// Parses a line such as `ring v0.17.14` or `serde_derive v1.0.0 (proc-macro)`, followed by the
/// licence.
fn parse_line(line: &str) -> Result<Dependency> {
    let (package, licence) = line
        .split_once('\t')
        .ok_or_else(|| format!("unexpected line of cargo tree: {line}"))?;
    let mut words = package.split_whitespace();
    match (
        words.next(),
        words.next().and_then(|word| word.strip_prefix('v')),
    ) {
        (Some(name), Some(version)) => Ok(Dependency {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.trim().to_owned(),
        }),
        _ => Err(format!("unexpected line of cargo tree: {line}").into()),
    }
}

fn complaints_about(tree: &BTreeSet<Dependency>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for dependency in tree {
        versions
            .entry(&dependency.name)
            .or_default()
            .insert(&dependency.version);
    }
    let banned = BANNED
        .iter()
        .filter(|name| versions.contains_key(**name))
        .map(|name| format!("{name} is not allowed"));
    let doubled = SINGLE.iter().filter_map(|name| {
        let found = versions.get(name).filter(|found| found.len() > 1)?;
        let found: Vec<&str> = found.iter().copied().collect();
        Some(format!(
            "{name} in more than one version: {}",
            found.join(", ")
        ))
    });
    banned.chain(doubled).collect()
}

fn is_from_registry(source: Option<&str>) -> bool {
    source.is_some_and(|source| source.starts_with("registry+") || source.starts_with("sparse+"))
}

/// Returns the reason why a licence expression is refused; `None` if the permitted licences satisfy
/// it.
fn refusal(expression: &str) -> Option<String> {
    if expression.is_empty() {
        return Some("has no licence".into());
    }
    // Old packages use the form `MIT/Apache-2.0`.
    match Expression::parse_mode(expression, ParseMode::LAX) {
        Err(error) => Some(format!(
            "licence `{expression}` cannot be parsed: {}",
            error.reason
        )),
        Ok(parsed) => {
            let satisfied = parsed.evaluate(|requirement| {
                requirement
                    .license
                    .id()
                    .is_some_and(|id| ALLOWED.iter().any(|allowed| *allowed == id.name))
            });
            (!satisfied).then(|| format!("licence `{expression}` is not on the list"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ALLOWED, complaints_about, is_from_registry, parse_line, refusal};

    fn tree(lines: &[&str]) -> BTreeSet<super::Dependency> {
        lines
            .iter()
            .map(|line| parse_line(&format!("{line}\tMIT")).expect("a line"))
            .collect()
    }

    #[test]
    fn either_side_of_or_satisfies() {
        assert_eq!(refusal("MIT OR GPL-3.0-only"), None);
        assert_eq!(refusal("GPL-3.0-only OR Apache-2.0"), None);
        assert_eq!(refusal("(MIT OR Apache-2.0) AND Unicode-3.0"), None);
        assert_eq!(refusal("Apache-2.0 WITH LLVM-exception"), None);
        assert_eq!(refusal("MIT/Apache-2.0"), None);
    }

    #[test]
    fn every_side_of_and_is_needed() {
        assert!(refusal("MIT AND GPL-3.0-only").is_some());
        assert!(refusal("(MIT OR Apache-2.0) AND AGPL-3.0-only").is_some());
    }

    #[test]
    fn copyleft_unknown_and_missing_licences_are_refused() {
        for expression in [
            "GPL-3.0-only",
            "AGPL-3.0-or-later",
            "LGPL-2.1",
            "LicenseRef-own",
            "",
        ] {
            assert!(refusal(expression).is_some(), "{expression} was accepted");
        }
        assert!(refusal("free for all").is_some_and(|why| why.contains("cannot be parsed")));
    }

    #[test]
    fn every_allowed_licence_is_a_known_identifier() {
        for name in ALLOWED {
            assert_eq!(refusal(name), None);
        }
    }

    #[test]
    fn banned_crates_are_named() {
        let complaints = complaints_about(&tree(&["ring v0.17.14", "openssl v0.10.70"]));
        assert_eq!(complaints, ["openssl is not allowed"]);
    }

    #[test]
    fn a_second_reqwest_is_refused_and_a_repeated_one_is_not() {
        assert_eq!(
            complaints_about(&tree(&["reqwest v0.12.9", "reqwest v0.13.5"])),
            ["reqwest in more than one version: 0.12.9, 0.13.5"]
        );
        assert!(complaints_about(&tree(&["reqwest v0.13.5", "reqwest v0.13.5"])).is_empty());
    }

    #[test]
    fn lines_with_notes_are_read_and_other_text_is_an_error() {
        let line = parse_line("serde_derive v1.0.229 (proc-macro)\tMIT OR Apache-2.0");
        let dependency = line.expect("a line");
        assert_eq!(
            (
                dependency.name.as_str(),
                dependency.version.as_str(),
                dependency.licence.as_str()
            ),
            ("serde_derive", "1.0.229", "MIT OR Apache-2.0")
        );
        assert!(parse_line("serde_derive v1.0.229").is_err());
        assert!(parse_line("[build-dependencies]\t").is_err());
    }

    #[test]
    fn only_registries_are_sources() {
        assert!(is_from_registry(Some("registry+https://example.com/index")));
        assert!(!is_from_registry(Some(
            "git+https://example.com/repository#abc"
        )));
        assert!(!is_from_registry(None));
    }
}
