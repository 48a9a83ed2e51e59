//! `PyPI` packages `google-api-python-client` and `google-auth`, Google's own libraries for Python.
//! Tests use them as a client of the simulated Drive.
//!
//! The program `counterparts/gdrive-sdk/sdk.py` calls the libraries.

use std::io;
use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::counterpart::{Counterpart, Program};

static COUNTERPART: Counterpart = Counterpart::new(
    "Google's client for Python",
    "CONNECTORS_GDRIVE_SDK",
    "sdk.py",
);

/// The client in a separate process, which ends when this value is dropped.
///
/// Every method waits for the response of the client, and fails if the client does not respond. A
/// refusal is a response.
#[derive(Debug)]
pub struct GdriveSdk {
    program: Program,
}

/// An app whose Drive is at a simulator.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedDrive<'a> {
    /// The client ID.
    pub client_id: &'a str,
    /// The client secret.
    pub client_secret: &'a SecretString,
    /// A live access token.
    pub token: &'a SecretString,
    /// The address of the simulator.
    pub address: SocketAddr,
}

/// An error that the client raised about a response of the simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Refusal {
    /// The status code of the response.
    pub status: u16,
    /// The reasons that the client read from the response.
    pub reasons: Vec<Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Answer(T),
    Refusal(Refusal),
}

impl GdriveSdk {
    /// Starts the client. If it is not installed, prints a message and returns `None`; the test then
    /// ends.
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

    /// Calls the function `what` of the program with these arguments.
    ///
    /// # Errors
    /// If the client does not respond, or if its response has another type.
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        drive: SimulatedDrive<'_>,
        what: &str,
        arguments: Value,
    ) -> io::Result<Result<T, Refusal>> {
        let mut question = arguments;
        question["ask"] = what.into();
        question["app"] = json!({
            "port": drive.address.port(),
            "token": drive.token.expose_secret(),
            "client_id": drive.client_id,
            "client_secret": drive.client_secret.expose_secret(),
        });
        let outcome: Outcome<T> = self.program.ask(&question)?;
        Ok(match outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Refusal(refusal) => Err(refusal),
        })
    }
}
