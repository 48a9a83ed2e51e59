//! `PyPI` packages `google-api-python-client` and `google-auth`, Google's own libraries for Python, as clients of
//! the simulated Drive.
//!
//! The program around them is `counterparts/gdrive-sdk/sdk.py`.

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

/// The client, in a process of its own that ends when this is dropped.
///
/// Every method waits for the client's answer and fails if the client breaks instead of answering.
/// Its own errors are answers.
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
    /// Where the simulator listens.
    pub address: SocketAddr,
}

/// That the client raised an error about a response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The reasons that it read.
    pub reasons: Vec<Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Answer(T),
    Refusal(Refusal),
}

impl GdriveSdk {
    /// Starts the client; `None` if it is not installed here, after saying so: the test ends there.
    ///
    /// # Errors
    /// If it cannot be started, or is not installed where `CI` is `true`.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(directory) = COUNTERPART.directory()? else {
            return Ok(None);
        };
        let program = COUNTERPART.start(&directory)?;
        Ok(Some(Self { program }))
    }

    /// Asks the client for something, by the name of a function of the program and its arguments.
    ///
    /// # Errors
    /// If the client breaks, or its answer is of another type.
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
