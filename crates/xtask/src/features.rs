//! The feature check: every crate must compile with no feature, and with each feature alone.

use crate::Result;
use crate::check::Outcome;
use crate::process::{cargo, finish};
use crate::workspace::{Package, Workspace};

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut complaints = Vec::new();
    let mut builds = 0;
    for package in workspace.members() {
        for feature in selections(package) {
            builds += 1;
            let finished = finish(cargo(
                workspace.root(),
                &[
                    "check",
                    "--quiet",
                    "--package",
                    &package.name,
                    "--no-default-features",
                    "--features",
                    feature,
                ],
            ))?;
            if !finished.success {
                complaints.push(format!(
                    "{} with features [{feature}]:\n{}",
                    package.name,
                    finished.output()
                ));
            }
        }
    }
    Ok(Outcome::of_complaints(
        format!("{builds} builds"),
        &complaints,
    ))
}

/// Returns the arguments of `--features`, one per build. The empty string stands for no feature.
fn selections(package: &Package) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(package.features.keys().map(String::as_str))
}
