//! Scripted faults, and decisions on the consent page.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::message::Response;

/// A fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server waits this long on its clock before it acts; then it answers as usual.
    Slow(Duration),
    /// The connection breaks before the server acts.
    DropBefore,
    /// The server acts, and the connection breaks before the response.
    DropAfter,
    /// The server acts, and the connection breaks in the middle of the response.
    Truncate,
    /// The server does not act. It sends this response.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body, JSON or not.
        body: String,
    },
    /// The server acts. These members of its response, which is a JSON object, are set to this JSON
    /// text, or removed.
    Edit(Vec<(&'static str, Option<&'static str>)>),
}

impl Fault {
    /// A response with this status and body; the server does not act.
    #[must_use]
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A response 429 with `Retry-After` in seconds; the server does not act.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        Self::Answer {
            status: 429,
            headers: vec![("retry-after", seconds.to_string())],
            body: String::new(),
        }
    }

    /// The response with the members of its body edited as this fault says.
    pub(crate) fn edit(&self, mut response: Response) -> Response {
        let Self::Edit(changes) = self else {
            return response;
        };
        let mut members: Map<String, Value> =
            serde_json::from_slice(response.body()).unwrap_or_default();
        for (name, text) in changes {
            match text {
                Some(text) => {
                    let value = serde_json::from_str(text).unwrap_or(Value::Null);
                    members.insert((*name).to_owned(), value);
                }
                None => drop(members.remove(*name)),
            }
        }
        response.set_body(Bytes::from(Value::Object(members).to_string()));
        response
    }
}

/// The decision of an account's owner on the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// Grants all scopes of the request.
    Grant,
    /// Grants these scopes only.
    GrantOnly(Vec<String>),
    /// Grants nothing.
    Deny,
}
