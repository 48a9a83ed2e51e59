//! npm `@notionhq/client`, Notion's own library for JavaScript. Tests use it as a client of the
//! simulated Notion, check responses and requests against its types, and compare signatures.
//!
//! The program `counterparts/notion-sdk/sdk.js` calls the library.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::counterpart::{Counterpart, Program};

static COUNTERPART: Counterpart = Counterpart::new(
    "Notion's library for JavaScript",
    "CONNECTORS_NOTION_SDK",
    "sdk.js",
);

/// The library in a separate process, which ends when this value is dropped.
///
/// Every method waits for the response of the library, and fails if the library does not respond. A
/// refusal is a response.
#[derive(Debug)]
pub struct NotionSdk {
    program: Program,
}

/// A connection whose Notion is at a simulator.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedConnection<'a> {
    /// The access token.
    pub token: &'a SecretString,
    /// The address of the simulator.
    pub address: SocketAddr,
}

/// An error that the library raised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Refusal {
    /// The name of the error's class.
    pub name: String,
    /// The error code.
    pub code: String,
    /// The status code of the response.
    pub status: Option<u16>,
    /// The member `additional_data` of the response.
    pub data: Option<Value>,
}

/// All items of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Collected {
    /// The ids of the items.
    pub ids: Vec<String>,
    /// The number of pages read.
    pub pages: usize,
}

/// A request that the library builds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BuiltRequest {
    /// The method.
    pub verb: String,
    /// The path.
    pub path: String,
    /// The decoded query parameters.
    pub query: Vec<(String, String)>,
    /// The header `Notion-Version`.
    pub version: String,
    /// The body.
    pub body: Option<String>,
}

/// The result of a type check.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TypeCheck {
    /// The number of checked values.
    pub checked: usize,
    /// The values that do not have their type.
    pub errors: Vec<TypeError>,
}

/// A value that does not have its type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TypeError {
    /// The function of the library that received or sent the value.
    pub what: String,
    /// The compiler's message.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Answer(T),
    Refusal(Refusal),
}

impl NotionSdk {
    /// Starts the library. If it is not installed, prints a message and returns `None`; the test
    /// then ends.
    ///
    /// # Errors
    /// If the program cannot be started, or if it is not installed and `CI` is `true`.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(directory) = COUNTERPART.directory()? else {
            return Ok(None);
        };
        let program = COUNTERPART.start(&directory)?;
        Ok(Some(Self { program }))
    }

    fn outcome<T: DeserializeOwned>(
        &mut self,
        connection: SimulatedConnection<'_>,
        mut question: Value,
    ) -> io::Result<Result<T, Refusal>> {
        question["app"] = json!({
            "port": connection.address.port(),
            "token": connection.token.expose_secret(),
        });
        let outcome: Outcome<T> = self.program.ask(&question)?;
        Ok(match outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Refusal(refusal) => Err(refusal),
        })
    }

    /// Calls the function `method` of the library, for example `blocks.children.append`. The
    /// response is recorded for [`NotionSdk::check_types`].
    ///
    /// # Errors
    /// If the library does not respond, or if its response has another type.
    pub fn call<T: DeserializeOwned>(
        &mut self,
        connection: SimulatedConnection<'_>,
        method: &str,
        args: &Value,
    ) -> io::Result<Result<T, Refusal>> {
        let question = json!({ "ask": "call", "method": method, "args": args });
        self.outcome(connection, question)
    }

    /// Reads all pages of a list with the library's own iteration.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn collect(
        &mut self,
        connection: SimulatedConnection<'_>,
        method: &str,
        args: &Value,
    ) -> io::Result<Result<Collected, Refusal>> {
        let question = json!({ "ask": "collect", "method": method, "args": args });
        self.outcome(connection, question)
    }

    /// Returns the ids of all rows of a data source, without the limit of one query.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn all_rows(
        &mut self,
        connection: SimulatedConnection<'_>,
        args: &Value,
    ) -> io::Result<Result<Vec<String>, Refusal>> {
        self.outcome(connection, json!({ "ask": "all_rows", "args": args }))
    }

    /// Returns the request that the function `method` sends for these arguments. Nothing is sent.
    /// The arguments are recorded for [`NotionSdk::check_types`].
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn request(&mut self, method: &str, args: &Value) -> io::Result<BuiltRequest> {
        self.program
            .ask(&json!({ "ask": "request", "method": method, "args": args }))
    }

    /// Records a value as a response of the function `method`.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn record(&mut self, method: &str, value: &Value) -> io::Result<()> {
        let question = json!({ "ask": "record", "method": method, "value": value });
        self.program.ask::<Value>(&question).map(drop)
    }

    /// Checks everything that was recorded since the last check against the library's types. A
    /// member that a type does not contain is an error.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn check_types(&mut self) -> io::Result<TypeCheck> {
        self.program.ask(&json!({ "ask": "check_types" }))
    }

    /// Returns the value of the header `X-Notion-Signature` for a body.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn sign_webhook(&mut self, token: &SecretString, body: &[u8]) -> io::Result<String> {
        self.program.ask(&json!({
            "ask": "sign_webhook",
            "token": token.expose_secret(),
            "body": BASE64_STANDARD.encode(body),
        }))
    }

    /// Returns true if the library accepts the signature of a webhook.
    ///
    /// # Errors
    /// As for [`NotionSdk::call`].
    pub fn accepts_webhook(
        &mut self,
        token: &SecretString,
        body: &[u8],
        signature: &str,
    ) -> io::Result<bool> {
        self.program.ask(&json!({
            "ask": "verify_webhook",
            "token": token.expose_secret(),
            "body": BASE64_STANDARD.encode(body),
            "signature": signature,
        }))
    }
}
