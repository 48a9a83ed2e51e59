//! Starts programs under `counterparts/` and exchanges messages with them.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;

use connector_testkit::trace;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum length of a response in bytes.
const MAX_RESPONSE: u64 = 16 * 1024 * 1024;

/// A program that `cargo xtask test` installs.
pub(crate) struct Counterpart {
    what: &'static str,
    variable: &'static str,
    script: &'static str,
    said: Once,
}

impl Counterpart {
    /// Creates a counterpart. `what` is its name in messages, `variable` is the environment
    /// variable with its directory, and `script` is the file in this directory that Node runs, or
    /// Python if its name ends with `.py`, or PHP if it ends with `.php`.
    pub(crate) const fn new(
        what: &'static str,
        variable: &'static str,
        script: &'static str,
    ) -> Self {
        Self {
            what,
            variable,
            script,
            said: Once::new(),
        }
    }

    /// Returns the directory of the program. If the program is not installed, prints that the test
    /// is skipped and returns `None`.
    ///
    /// Fails if `CI` is `true` and the program is not installed.
    pub(crate) fn directory(&self) -> io::Result<Option<PathBuf>> {
        if let Some(directory) = variable(self.variable) {
            return Ok(Some(directory.into()));
        }
        let skipped = format!(
            "skipped: {} is not installed: `cargo xtask test` installs it",
            self.what
        );
        self.said.call_once(|| {
            // Written directly to standard error, because the test harness hides the output of a
            // passing test.
            let _ = writeln!(io::stderr().lock(), "{skipped}");
        });
        if variable("CI").is_some_and(|ci| ci == "true") {
            return Err(io::Error::new(io::ErrorKind::NotFound, skipped));
        }
        announce(&skipped);
        Ok(None)
    }

    /// Starts it.
    pub(crate) fn start(&self, directory: &Path) -> io::Result<Program> {
        trace::init();
        let extension = Path::new(self.script).extension();
        let mut program = match extension.and_then(|it| it.to_str()) {
            Some("py") => {
                let mut python = Command::new("python3");
                // What is installed there, and nothing else.
                python.arg("-sP").env("PYTHONPATH", directory.join("site"));
                python
            }
            Some("php") => Command::new("php"),
            _ => Command::new(variable("CONNECTORS_NODE").unwrap_or_else(|| "node".to_owned())),
        };
        let mut child = program
            .arg(self.script)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the program has no streams"));
        };
        Ok(Program {
            what: self.what,
            input: stdin,
            output: BufReader::new(stdout),
            child,
        })
    }
}

/// A running program that answers each line of JSON with one line. The program ends when this value
/// is dropped or this process ends, because its standard input is closed then.
pub(crate) struct Program {
    what: &'static str,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    child: Child,
}

impl Program {
    /// Writes a line and waits for the response.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, question: &Value) -> io::Result<T> {
        // A single write, because the program reads whole lines.
        let mut line = question.to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes())?;
        line.clear();
        self.output
            .by_ref()
            .take(MAX_RESPONSE)
            .read_line(&mut line)?;
        if !line.ends_with('\n') {
            let why = format!("{} ended instead of answering", self.what);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program has no state that a sudden end could damage. A failure can be ignored.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

/// Returns `short`, or ten times `short` if `CONNECTORS_SOAK` is `full`.
#[must_use]
pub fn repetitions(short: usize) -> usize {
    let is_full = variable("CONNECTORS_SOAK").is_some_and(|mode| mode == "full");
    short * if is_full { 10 } else { 1 }
}

#[expect(
    clippy::print_stdout,
    reason = "`cargo xtask test` counts what tests say they skipped"
)]
fn announce(why: &str) {
    println!("{why}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only way in which a test program learns what is installed"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
