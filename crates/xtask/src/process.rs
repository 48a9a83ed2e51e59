//! Child processes, started with a closed standard input and a clean environment.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// A finished process, with its output.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Returns both output streams, for a failure report.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Creates a command in `directory` that cannot wait for user input.
///
/// `cargo run` sets environment variables that build scripts watch, for example that of ring. This
/// function removes the variables, because otherwise every child build would start from scratch.
pub(crate) fn command(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if is_set_by_cargo_run(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Creates a `cargo` command with `arguments`, for the toolchain that runs this program.
pub(crate) fn cargo(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = command("cargo", directory);
    command.args(arguments);
    command
}

/// Runs `command` to its end, and captures its output.
pub(crate) fn finish(mut command: Command) -> Result<Finished> {
    let output = command
        .output()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    Ok(Finished {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `command`, and returns its standard output. A failure status is an error.
pub(crate) fn stdout_of(command: Command) -> Result<String> {
    let shown = format!("{command:?}");
    let finished = finish(command)?;
    if finished.success {
        Ok(finished.stdout)
    } else {
        Err(format!("{shown} failed:\n{}", finished.output()).into())
    }
}

fn is_set_by_cargo_run(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || matches!(name, "CARGO" | "CARGO_BIN_NAME" | "CARGO_CRATE_NAME")
    })
}
