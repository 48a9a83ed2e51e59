//! Schemathesis, a fuzzer of APIs that reads their `OpenAPI` document.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};

use secrecy::{ExposeSecret as _, SecretString};

use crate::counterpart::Counterpart;

static COUNTERPART: Counterpart =
    Counterpart::new("Schemathesis", "CONNECTORS_SCHEMATHESIS", "schemathesis");

/// The fuzzer.
#[derive(Debug)]
pub struct Schemathesis {
    directory: PathBuf,
}

impl Schemathesis {
    /// Finds the fuzzer. If it is not installed, prints a message and returns `None`; the test then
    /// ends.
    ///
    /// # Errors
    /// If it is not installed and `CI` is `true`.
    pub fn find() -> io::Result<Option<Self>> {
        let directory = COUNTERPART.directory()?;
        Ok(directory.map(|directory| Self { directory }))
    }

    /// Runs the fuzzer on the document at `url`, with global options, a bearer token and further
    /// arguments. Waits until it ends.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn run_with(
        &self,
        globals: &[String],
        url: &str,
        key: &SecretString,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> io::Result<Output> {
        let code =
            "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())";
        Command::new("python3")
            .args(["-sP", "-c", code])
            .args(globals)
            .args(["run", url])
            .args([
                "--header",
                &format!("Authorization: Bearer {}", key.expose_secret()),
            ])
            .args(arguments)
            .env("PYTHONPATH", self.directory.join("site"))
            .env("NO_COLOR", "1")
            .current_dir(&self.directory)
            .output()
    }
}
