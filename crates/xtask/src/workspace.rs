//! Metadata of this workspace from cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Result;
use crate::process::{cargo, stdout_of};

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The source of the package. `None` for a path.
    pub(crate) source: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The dependencies declared in `Cargo.toml`.
    pub(crate) dependencies: Vec<Declared>,
    /// The registries to which the package may be published. `None` means all; an empty list means
    /// none.
    publish: Option<Vec<String>>,
    targets: Vec<Target>,
}

/// A dependency declared in `Cargo.toml`.
#[derive(Debug, Deserialize)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// `None` for a normal dependency; otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) optional: bool,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }

    /// Returns the name of the library in code, if the package has a library.
    pub(crate) fn library(&self) -> Option<String> {
        self.targets
            .iter()
            .find(|target| target.kind.iter().any(|kind| kind == "lib"))
            .map(|target| target.name.replace('-', "_"))
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

/// The workspace of the current directory, with all packages in its lock file.
#[derive(Debug)]
pub(crate) struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let json = stdout_of(cargo(
            &std::env::current_dir()?,
            &["metadata", "--format-version", "1", "--all-features"],
        ))?;
        Ok(Self {
            metadata: serde_json::from_str(&json)?,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.metadata.workspace_root
    }

    pub(crate) fn target_directory(&self) -> &Path {
        &self.metadata.target_directory
    }

    pub(crate) fn packages(&self) -> &[Package] {
        &self.metadata.packages
    }

    pub(crate) fn is_member(&self, package: &Package) -> bool {
        self.metadata.workspace_members.contains(&package.id)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages()
            .iter()
            .filter(|package| self.is_member(package))
    }

    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members().filter(|package| package.is_published())
    }
}
