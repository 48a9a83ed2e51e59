//! The consumer check: the number of packages and the build time of a program that uses the facade,
//! compared with a program without it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::Result;
use crate::check::Outcome;
use crate::dependencies::BANNED;
use crate::process::{cargo, stdout_of};
use crate::workspace::Workspace;

/// The baseline: a program that calls APIs without this library. It has HTTP with TLS by ring,
/// JSON, compressed and streamed responses, and the runtime.
const FLOOR: Consumer = Consumer {
    name: "floor",
    dependencies: &[
        (
            "reqwest",
            &["gzip", "http2", "json", "rustls-no-provider", "stream"],
        ),
        ("rustls", &["ring", "std", "tls12"]),
        ("serde_json", &["std"]),
        ("tokio", &["full"]),
    ],
    facade: &[],
};

/// The baseline for build times: the same with reqwest's default cryptography, as most programs
/// have it.
const FLOOR_TO_BUILD: Consumer = Consumer {
    name: "floor-to-build",
    dependencies: &[
        ("reqwest", &["gzip", "http2", "json", "rustls", "stream"]),
        ("serde_json", &["std"]),
        ("tokio", &["full"]),
    ],
    facade: &[],
};

/// Number of clean builds per consumer. One build takes minutes.
const BUILDS: usize = 3;
const BUILD_TARGET: f64 = 1.25;

/// Consumers of the facade, each with its maximum number of packages beyond the baseline.
const BUDGETS: &[(Consumer, usize)] = &[
    (
        Consumer {
            name: "without-store",
            dependencies: &[],
            facade: &["shopify"],
        },
        40,
    ),
    (
        Consumer {
            name: "with-sqlite",
            dependencies: &[],
            facade: &["shopify", "sqlite"],
        },
        70,
    ),
];

/// A program that a user of the library could write.
struct Consumer {
    name: &'static str,
    /// Crates with their enabled features. The versions are the workspace's.
    dependencies: &'static [(&'static str, &'static [&'static str])],
    /// The enabled features of the facade. Without any, the program does not use the facade.
    facade: &'static [&'static str],
}

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    // The baseline contains no crate of ours, so an error here means that the registry is
    // unavailable.
    let floor = match tree_of(workspace, &FLOOR) {
        Ok(tree) => tree.len(),
        Err(error) => {
            return Ok(Outcome::Skipped(format!(
                "the baseline cannot be resolved: {error}"
            )));
        }
    };
    let mut looked_at = vec![format!("floor {floor}")];
    let mut complaints = Vec::new();
    for (consumer, extra) in BUDGETS {
        let tree = tree_of(workspace, consumer)?;
        let (count, most) = (tree.len(), floor + extra);
        looked_at.push(format!("{} {count} of {most}", consumer.name));
        complaints.extend(complaints_about(consumer.name, &tree, most));
    }
    Ok(Outcome::of_complaints(looked_at.join(", "), &complaints))
}

fn complaints_about(name: &str, tree: &BTreeSet<String>, most: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    if tree.len() > most {
        complaints.push(format!(
            "{name}: {} packages are compiled, {most} are the limit",
            tree.len()
        ));
    }
    let versions_of = |wanted: &str| {
        tree.iter()
            .filter(|package| package.split_whitespace().next() == Some(wanted))
            .count()
    };
    for single in ["reqwest", "ring"] {
        let versions = versions_of(single);
        if versions != 1 {
            complaints.push(format!("{name}: {versions} versions of {single}"));
        }
    }
    for other in BANNED {
        if versions_of(other) > 0 {
            complaints.push(format!("{name}: {other} beside ring"));
        }
    }
    complaints
}

/// Measures clean release builds of the baseline and of a consumer with one provider, alternating.
/// Returns the results as Markdown.
pub(crate) fn build_times(workspace: &Workspace) -> Result<String> {
    let mut lines = Vec::new();
    let mut ratios = Vec::new();
    for build in 1..=BUILDS {
        let floor = build_time(workspace, &FLOOR_TO_BUILD)?;
        let consumer = build_time(workspace, &BUDGETS[0].0)?;
        let ratio = consumer / floor;
        ratios.push(ratio);
        lines.push(format!(
            "| {build} | {floor:.0} | {consumer:.0} | {ratio:.2} |"
        ));
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let met = if median <= BUILD_TARGET { "yes" } else { "no" };
    Ok(format!(
        "| Build | floor, s | consumer, s | ratio |\n|---|---|---|---|\n{}\n\n\
         | Row | Ratio to the floor: min | median | max | Target | Met |\n|---|---|---|---|---|---|\n\
         | P12 clean release build | {:.2} | {median:.2} | {:.2} | {BUILD_TARGET} | {met} |\n\n\
         The floor is a program with reqwest (feature `rustls`), `serde_json` and tokio. The consumer is a\n\
         program that uses the facade with one provider and no store. Downloads are not timed. The check\n\
         `cargo xtask check consumer` limits the number of packages that each program compiles.",
        lines.join("\n"),
        ratios[0],
        ratios[ratios.len() - 1]
    ))
}

/// Measures a clean release build of `consumer`, in seconds.
fn build_time(workspace: &Workspace, consumer: &Consumer) -> Result<f64> {
    let directory = prepare(workspace, consumer)?;
    stdout_of(cargo(&directory, &["fetch"]))?;
    let target = directory.join("target");
    match fs::remove_dir_all(&target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut build = cargo(&directory, &["build", "--release", "--target-dir"]);
    build.arg(&target);
    #[expect(
        clippy::disallowed_methods,
        reason = "the measured value is the duration of a child process"
    )]
    let start = Instant::now();
    stdout_of(build)?;
    let taken = start.elapsed();
    fs::remove_dir_all(&target)?;
    Ok(taken.as_secs_f64())
}

/// Returns the name and version of every package that `consumer` compiles on this machine, except
/// its own.
fn tree_of(workspace: &Workspace, consumer: &Consumer) -> Result<BTreeSet<String>> {
    let directory = prepare(workspace, consumer)?;
    let text = stdout_of(cargo(
        &directory,
        &["tree", "--edges", "normal", "--prefix", "none"],
    ))?;
    Ok(packages(&text, consumer.name))
}

/// Writes the program of `consumer`, and returns its directory.
fn prepare(workspace: &Workspace, consumer: &Consumer) -> Result<PathBuf> {
    let directory = workspace
        .target_directory()
        .join("consumer")
        .join(consumer.name);
    fs::create_dir_all(directory.join("src"))?;
    fs::write(directory.join("src/main.rs"), "fn main() {}\n")?;
    fs::write(directory.join("Cargo.toml"), manifest(workspace, consumer)?)?;
    // Uses the workspace's tested versions. Cargo drops the unused ones.
    fs::copy(
        workspace.root().join("Cargo.lock"),
        directory.join("Cargo.lock"),
    )?;
    Ok(directory)
}

fn manifest(workspace: &Workspace, consumer: &Consumer) -> Result<String> {
    let mut lines = Vec::new();
    if !consumer.facade.is_empty() {
        let path = workspace.root().join("crates").join("connectors");
        lines.push(format!(
            "connectors = {{ path = {:?}, features = {:?} }}",
            path.display().to_string(),
            consumer.facade
        ));
    }
    for (name, features) in consumer.dependencies {
        let version = workspace
            .packages()
            .iter()
            .find(|package| package.name == *name)
            .map(|package| package.version.as_str())
            .ok_or_else(|| format!("the workspace does not use {name}"))?;
        lines.push(format!(
            "{name} = {{ version = \"={version}\", default-features = false, features = {features:?} }}"
        ));
    }
    // The program is its own workspace, because its directory may be inside another one.
    Ok(format!(
        "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [workspace]\n\n[dependencies]\n{}\n",
        consumer.name,
        lines.join("\n")
    ))
}

/// Parses lines such as `ring v0.17.14`, `serde v1.0.0 (*)` and `connectors v0.1.0 (/path)`.
/// Returns each package once, except `own`.
fn packages(tree: &str, own: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?);
            (name != own).then(|| format!("{name} {version}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{complaints_about, packages};

    const TREE: &str = "consumer v0.0.0 (/somewhere)\nreqwest v0.13.5\nring v0.17.14\n\
                        serde_derive v1.0.229 (proc-macro)\nring v0.17.14 (*)\n\n";

    #[test]
    fn a_package_counts_once_and_the_consumer_does_not() {
        let tree = packages(TREE, "consumer");
        assert_eq!(
            tree.into_iter().collect::<Vec<_>>(),
            ["reqwest v0.13.5", "ring v0.17.14", "serde_derive v1.0.229"]
        );
    }

    #[test]
    fn two_versions_of_a_package_count_twice() {
        let tree = packages("hashbrown v0.15.0\nhashbrown v0.16.0\n", "consumer");
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn the_limit_is_the_last_count_that_passes() {
        let tree = packages(TREE, "consumer");
        assert!(complaints_about("consumer", &tree, 3).is_empty());
        assert_eq!(
            complaints_about("consumer", &tree, 2),
            ["consumer: 3 packages are compiled, 2 are the limit"]
        );
    }

    #[test]
    fn a_second_http_stack_and_other_cryptography_are_refused() {
        let text = format!("{TREE}reqwest v0.12.9\naws-lc-rs v1.0.0\n");
        assert_eq!(
            complaints_about("consumer", &packages(&text, "consumer"), 100),
            [
                "consumer: 2 versions of reqwest",
                "consumer: aws-lc-rs beside ring"
            ]
        );
    }
}
