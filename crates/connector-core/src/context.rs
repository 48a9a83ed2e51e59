//! The actor and the correlation id of a request.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::name;

/// The actor that caused a change. The OAuth state, the audit entry and the event of the change
/// contain the actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// A person, identified by your application's user id.
    User(String),
    /// A program of your application, identified by its name.
    Service(String),
    /// A background job of this library.
    Worker,
    /// The provider, through a webhook or a response.
    Provider,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Worker => f.write_str("worker"),
            Self::Provider => f.write_str("provider"),
        }
    }
}

name! {
    /// Id that links the log lines, audit entries, events and background work that one request
    /// caused. Use the request id of your application's own log.
    CorrelationId, "correlation id"
}

impl Default for CorrelationId {
    /// Returns `none`, the id for work that belongs to no request.
    fn default() -> Self {
        Self("none".into())
    }
}

/// Context of a state-changing call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The actor that causes the change.
    pub actor: Actor,
    /// Id that links the change to your application's log.
    pub correlation: CorrelationId,
}

impl RequestContext {
    /// Creates a context for `actor` with the correlation id `correlation`.
    #[must_use]
    pub fn new(actor: Actor, correlation: CorrelationId) -> Self {
        Self { actor, correlation }
    }
}
