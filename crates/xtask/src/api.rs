//! The listings of the public API of each published crate, written to `docs/api/` and compared by a
//! check.
//!
//! Core and the facade have two listings: `<crate>.txt` for applications, and
//! `<crate>-implementors.txt` for authors of connectors and stores.
//!
//! The listing is generated from rustdoc's JSON, which a stable toolchain writes only if unstable
//! features are enabled. Enabling them for the whole build would also affect build scripts and
//! rebuild every dependency. Therefore this program acts as a rustdoc wrapper and enables them for
//! rustdoc only.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use public_api::{Builder, MINIMUM_NIGHTLY_RUST_VERSION};
use serde::Deserialize;

use crate::Result;
use crate::check::Outcome;
use crate::process::{cargo, finish};
use crate::workspace::{Package, Workspace};

/// The environment variable that marks a call by cargo instead of rustdoc. Contains the output
/// directory of the JSON.
const STAND_IN: &str = "CONNECTORS_XTASK_RUSTDOC_OUTPUT";

/// The rustdoc JSON format that the used version of `public-api` reads.
const FORMAT: u32 = 57;

/// Crates with two listings.
const SPLIT: [&str; 2] = ["connector-core", "connectors"];

/// The root items for implementors in these crates. They are modules, and macros that Rust can
/// export only at the root.
const IMPLEMENTORS: [&str; 4] = ["provider", "provider_client", "provider_config", "store"];

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut complaints = Vec::new();
    let mut items = 0;
    let mut expected_files = BTreeSet::new();
    for package in workspace
        .published()
        .filter(|package| package.library().is_some())
    {
        let listing = match list(workspace, package)? {
            Listing::Items(listing) => listing,
            Listing::Unreadable(why) => return Ok(Outcome::Skipped(why)),
        };
        for (name, listing) in listings(&package.name, &listing) {
            items += listing.lines().count();
            let path = listing_path(workspace, &name);
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            let difference = difference(&recorded, &listing);
            if !difference.is_empty() {
                complaints.push(format!("{name}:\n{}", difference.join("\n")));
            }
            expected_files.insert(path);
        }
    }
    for path in recorded_files(workspace)? {
        if !expected_files.contains(&path) {
            complaints.push(format!(
                "{}: no published library has this name",
                path.display()
            ));
        }
    }
    if !complaints.is_empty() {
        complaints.push("run `cargo xtask api` if the change is intended".into());
    }
    Ok(Outcome::of_complaints(
        format!("{items} items in {} listings", expected_files.len()),
        &complaints,
    ))
}

pub(crate) fn rewrite(workspace: &Workspace) -> Result<ExitCode> {
    fs::create_dir_all(directory(workspace))?;
    let mut written = BTreeSet::new();
    for package in workspace
        .published()
        .filter(|package| package.library().is_some())
    {
        match list(workspace, package)? {
            Listing::Unreadable(why) => return Err(why.into()),
            Listing::Items(listing) => {
                for (name, listing) in listings(&package.name, &listing) {
                    let path = listing_path(workspace, &name);
                    fs::write(&path, &listing)?;
                    println!("{name}: {} items", listing.lines().count());
                    written.insert(path);
                }
            }
        }
    }
    for path in recorded_files(workspace)? {
        if !written.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the listings of a crate, keyed by file name.
fn listings(package: &str, listing: &str) -> Vec<(String, String)> {
    if !SPLIT.contains(&package) {
        return vec![(package.to_owned(), listing.to_owned())];
    }
    let root = format!("{}::", package.replace('-', "_"));
    let (mut applications, mut implementors) = (String::new(), String::new());
    let mut is_for_implementors = false;
    for line in listing.lines() {
        // An `impl` line belongs to the type or trait before it.
        let declares = line.contains("pub ") && !line.starts_with("impl");
        if declares {
            let name = line.split_once(&root).map_or("", |(_, path)| path);
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            is_for_implementors = IMPLEMENTORS.contains(&name);
        }
        let set = if is_for_implementors {
            &mut implementors
        } else {
            &mut applications
        };
        set.push_str(line);
        set.push('\n');
    }
    vec![
        (package.to_owned(), applications),
        (format!("{package}-implementors"), implementors),
    ]
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.root().join("docs").join("api")
}

fn listing_path(workspace: &Workspace, name: &str) -> PathBuf {
    directory(workspace).join(format!("{name}.txt"))
}

fn recorded_files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let directory = directory(workspace);
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    Ok(files)
}

enum Listing {
    /// One public item per line.
    Items(String),
    /// The toolchain writes a format that this program cannot read.
    Unreadable(String),
}

fn list(workspace: &Workspace, package: &Package) -> Result<Listing> {
    let library = package
        .library()
        .ok_or("a crate without a library has no API")?;
    let directory = workspace
        .target_directory()
        .join("api")
        .join(std::process::id().to_string());
    let listing = list_into(workspace, package, &library, &directory);
    fs::remove_dir_all(&directory)?;
    listing
}

fn list_into(
    workspace: &Workspace,
    package: &Package,
    library: &str,
    directory: &Path,
) -> Result<Listing> {
    fs::create_dir_all(directory)?;
    let mut rustdoc = cargo(
        workspace.root(),
        &[
            "rustdoc",
            "--quiet",
            "--package",
            &package.name,
            "--lib",
            "--all-features",
            "--",
        ],
    );
    // A unique argument that the wrapper removes. Without it, cargo would treat the output of an
    // earlier run as current.
    rustdoc.arg(format!("{RUN}{}", std::process::id()));
    rustdoc
        .env("RUSTDOC", std::env::current_exe()?)
        .env(STAND_IN, directory);
    let finished = finish(rustdoc)?;
    if !finished.success {
        return Err(format!("rustdoc of {} failed:\n{}", package.name, finished.output()).into());
    }
    let json = directory.join(format!("{library}.json"));
    let Format { format_version } = serde_json::from_str(&fs::read_to_string(&json)?)?;
    if format_version != FORMAT {
        return Ok(Listing::Unreadable(format!(
            "this toolchain's rustdoc writes format {format_version}, but the listing needs \
             {FORMAT} (as of {MINIMUM_NIGHTLY_RUST_VERSION})"
        )));
    }
    let api = Builder::from_rustdoc_json(json)
        .sorted(true)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()?;
    let mut lines = String::new();
    for item in api.items() {
        writeln!(lines, "{item}")?;
    }
    Ok(Listing::Items(lines))
}

#[derive(Deserialize)]
struct Format {
    format_version: u32,
}

const RUN: &str = "--connectors-run=";

/// Returns true if cargo started this program instead of rustdoc.
#[expect(
    clippy::disallowed_methods,
    reason = "set by this program for its own child"
)]
pub(crate) fn is_rustdoc_call() -> bool {
    std::env::var_os(STAND_IN).is_some()
}

/// Runs the real rustdoc with JSON output to the directory that the parent set.
#[expect(
    clippy::disallowed_methods,
    reason = "set by this program for its own child"
)]
pub(crate) fn run_rustdoc() -> Result<ExitCode> {
    let output =
        std::env::var_os(STAND_IN).ok_or("this program was not called instead of rustdoc")?;
    let status = Command::new("rustdoc")
        .args(redirected(std::env::args_os().skip(1), &output))
        .args(["-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove(STAND_IN)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the arguments with the new output directory and without this program's marker.
fn redirected(mut arguments: impl Iterator<Item = OsString>, output: &OsString) -> Vec<OsString> {
    let mut result = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "-o" {
            arguments.next();
            result.extend([argument, output.clone()]);
        } else if !argument.to_str().is_some_and(|text| text.starts_with(RUN)) {
            result.push(argument);
        }
    }
    result
}

/// Returns the removed (`-`) and added (`+`) lines, in the order of the listings.
fn difference(recorded: &str, current: &str) -> Vec<String> {
    let old: BTreeSet<&str> = recorded.lines().collect();
    let new: BTreeSet<&str> = current.lines().collect();
    let removed = old.difference(&new).map(|line| format!("- {line}"));
    let added = new.difference(&old).map(|line| format!("+ {line}"));
    removed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{RUN, difference, listings, redirected};

    #[test]
    fn a_crate_with_two_sets_of_names_has_two_listings() {
        let listing = "\
            pub mod connector_core\n\
            pub mod connector_core::provider\n\
            pub struct connector_core::provider::Plain\n\
            impl core::fmt::Debug for connector_core::provider::Plain\n\
            pub macro connector_core::provider_client!\n\
            pub struct connector_core::ProviderId(_)\n\
            impl core::fmt::Debug for connector_core::ProviderId\n\
            pub fn connector_core::Hub::store(connector_core::store::Page)\n";
        let [(applications, names), (implementors, others)] =
            &listings("connector-core", listing)[..]
        else {
            panic!("two listings")
        };
        assert_eq!(applications, "connector-core");
        assert_eq!(implementors, "connector-core-implementors");
        assert_eq!(names.lines().count() + others.lines().count(), 8);
        assert_eq!(others.lines().count(), 4, "{others}");
        assert!(names.contains("ProviderId(_)") && names.contains("Hub::store"));
        let whole = listings("connector-hub", listing);
        assert_eq!(whole, [("connector-hub".to_owned(), listing.to_owned())]);
    }

    #[test]
    fn the_same_listing_has_no_difference() {
        assert!(difference("pub fn a::b()\npub mod a\n", "pub fn a::b()\npub mod a\n").is_empty());
    }

    #[test]
    fn removed_added_and_changed_items_are_shown() {
        assert_eq!(
            difference(
                "pub fn a::b()\npub fn a::c()\npub mod a\n",
                "pub fn a::b(u8)\npub fn a::d()\npub mod a\n",
            ),
            [
                "- pub fn a::b()",
                "- pub fn a::c()",
                "+ pub fn a::b(u8)",
                "+ pub fn a::d()"
            ]
        );
    }

    #[test]
    fn a_missing_listing_shows_every_item() {
        assert_eq!(difference("", "pub mod a\n"), ["+ pub mod a"]);
    }

    #[test]
    fn rustdoc_writes_where_the_parent_chose() {
        let arguments = [
            "--crate-name",
            "a",
            "-o",
            "target/doc",
            &format!("{RUN}7"),
            "--cfg",
            "x",
        ];
        let result = redirected(arguments.into_iter().map(OsString::from), &"here".into());
        assert_eq!(result, ["--crate-name", "a", "-o", "here", "--cfg", "x"]);
    }
}
