//! Receivers of webhooks in other languages: the official libraries of Standard Webhooks, and the
//! examples in `docs/sending-webhooks.md`.

use std::collections::BTreeMap;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::counterpart::{Counterpart, Program};

static NODE: Counterpart = Counterpart::new(
    "the receiver for Node",
    "CONNECTORS_RECEIVERS_NODE",
    "receiver.js",
);
static PYTHON: Counterpart = Counterpart::new(
    "the receiver for Python",
    "CONNECTORS_RECEIVERS_PYTHON",
    "receiver.py",
);
static PHP: Counterpart = Counterpart::new(
    "the receiver for PHP",
    "CONNECTORS_RECEIVERS_PHP",
    "receiver.php",
);

/// The language of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// JavaScript, run by Node.
    Node,
    /// Python.
    Python,
    /// PHP.
    Php,
}

/// A receiver in a separate process, which ends when this value is dropped.
#[derive(Debug)]
pub struct Receiver {
    program: Program,
}

impl Receiver {
    /// Starts the receiver with the example of the documentation. If the language is not installed,
    /// prints a message and returns `None`; the test then ends.
    ///
    /// # Errors
    /// If the program cannot be started, if the example has no function `verify`, or if the language
    /// is not installed and `CI` is `true`.
    pub fn start(language: Language, example: &str) -> io::Result<Option<Self>> {
        let counterpart = match language {
            Language::Node => &NODE,
            Language::Python => &PYTHON,
            Language::Php => &PHP,
        };
        let Some(directory) = counterpart.directory()? else {
            return Ok(None);
        };
        let mut program = counterpart.start(&directory)?;
        let question = json!({ "ask": "load", "source": example });
        if program.ask(&question)? {
            Ok(Some(Self { program }))
        } else {
            Err(io::Error::other("the example has no function `verify`"))
        }
    }

    /// Verifies a message with the example and with each library. Returns true under the name of each
    /// verifier that accepts the message.
    ///
    /// # Errors
    /// If the program does not respond.
    pub fn verify(
        &mut self,
        secret: &SecretString,
        headers: &BTreeMap<&str, String>,
        body: &[u8],
    ) -> io::Result<BTreeMap<String, bool>> {
        self.program.ask(&json!({
            "ask": "verify",
            "secret": secret.expose_secret(),
            "headers": headers,
            "body": STANDARD.encode(body),
        }))
    }

    /// Signs a message with each library. Returns the signature headers under the names of the
    /// libraries.
    ///
    /// # Errors
    /// If the program does not respond.
    pub fn sign(
        &mut self,
        secret: &SecretString,
        id: &str,
        seconds: i64,
        body: &[u8],
    ) -> io::Result<BTreeMap<String, String>> {
        let question: Value = json!({
            "ask": "sign",
            "secret": secret.expose_secret(),
            "id": id,
            "seconds": seconds,
            "body": STANDARD.encode(body),
        });
        self.program.ask(&question)
    }
}
