//! Node libraries that verify webhooks. One process holds a delivery for each library and verifies
//! it the requested number of times. The program is in the folder `npm`.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The environment variables in which `cargo xtask bench` passes the path of Node, the path of the
/// packages, and the reason if they are missing.
const NODE: &str = "CONNECTORS_NODE";
const FOLDER: &str = "CONNECTORS_NPM_PEERS";
const SKIPPED: &str = "CONNECTORS_NPM_PEERS_SKIPPED";

#[expect(
    clippy::disallowed_methods,
    reason = "a command-line program is configured by its environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the paths of Node and the packages, or the reason why they are not measured.
pub(crate) fn installed() -> std::result::Result<Installed, String> {
    match (variable(NODE), variable(FOLDER)) {
        (Some(node), Some(folder)) => Ok(Installed {
            node: node.into(),
            folder: folder.into(),
        }),
        _ => Err(variable(SKIPPED)
            .unwrap_or_else(|| "only `cargo xtask bench` installs them".to_owned())),
    }
}

pub(crate) struct Installed {
    node: PathBuf,
    folder: PathBuf,
}

/// The process. It ends when this value is dropped.
pub(crate) struct Verifiers {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Verifiers {
    pub(crate) fn start(installed: &Installed) -> Result<Self> {
        let mut child = Command::new(&installed.node)
            .arg("verify.js")
            .current_dir(&installed.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the verifiers have no pipes".into());
        };
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Sends the delivery that `library` must verify, and runs the library until it is compiled.
    ///
    /// # Errors
    /// Fails if the library refuses the delivery, or accepts it with another body.
    pub(crate) fn load(
        &mut self,
        library: &str,
        secret: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<()> {
        let headers: serde_json::Map<_, _> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        self.ask(&json!({
            "library": library, "secret": secret, "body": body, "headers": headers,
        }))
        .map(drop)
    }

    /// Returns the duration of `times` verifications of the delivery.
    pub(crate) fn run(&mut self, library: &str, times: u32) -> Result<Duration> {
        let answer = self.ask(&json!({ "library": library, "times": times }))?;
        let taken = answer["nanoseconds"].as_u64();
        Ok(Duration::from_nanos(
            taken.ok_or("a response contains no time")?,
        ))
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.input, "{question}")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the verifiers have ended".into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => Err(format!("{}: {error}", question["library"]).into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        // The process ends with its input, but not while it is busy.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
