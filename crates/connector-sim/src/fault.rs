//! Scripted faults, and decisions on the consent page.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::message::Response;

/// A fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server waits for this time on its clock, then processes the request normally.
    Slow(Duration),
    /// The connection is closed before the server processes the request.
    DropBefore,
    /// The server processes the request, and the connection is closed before the response.
    DropAfter,
    /// The server processes the request, and the connection is closed in the middle of the
    /// response.
    Truncate,
    /// The server sends this response without processing the request.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body, JSON or not.
        body: String,
    },
    /// The server processes the request and edits the JSON object in its response. Each listed
    /// member is set to the JSON text, or removed for `None`.
    Edit(Vec<(&'static str, Option<&'static str>)>),
}

impl Fault {
    /// Returns a fault that sends the given status and body without processing the request.
    #[must_use]
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Returns a fault that sends status 429 with `Retry-After` in seconds, without processing the
    /// request.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        Self::Answer {
            status: 429,
            headers: vec![("retry-after", seconds.to_string())],
            body: String::new(),
        }
    }

    /// Returns the response with its body edited by this fault.
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
    /// Grants only these scopes.
    GrantOnly(Vec<String>),
    /// Grants nothing.
    Deny,
}
