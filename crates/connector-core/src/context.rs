//! Who asks, and in the course of what.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::name;

/// Who caused a change. It reaches the state, the audit entry and the event of the change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// A person, by the id that the application knows them by.
    User(String),
    /// A program of the application, by its name.
    Service(String),
    /// The library's own background work.
    Worker,
    /// The provider, through a webhook or an answer.
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
    /// Ties together what one request caused: log lines, audit entries, events, later work.
    /// Take the request id of the application's own log.
    CorrelationId, "correlation id"
}

impl Default for CorrelationId {
    /// What belongs to no request: `none`.
    fn default() -> Self {
        Self("none".into())
    }
}

/// What every call that changes something carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// Who causes the change.
    pub actor: Actor,
    /// Ties the change to the application's own log.
    pub correlation: CorrelationId,
}

impl RequestContext {
    /// A context of `actor` under `correlation`.
    #[must_use]
    pub fn new(actor: Actor, correlation: CorrelationId) -> Self {
        Self { actor, correlation }
    }
}
