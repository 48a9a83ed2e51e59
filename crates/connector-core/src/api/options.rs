//! Options for a single call.

use std::time::Duration;

use crate::api::endpoint::IdempotencyKey;
use crate::http::limit::Priority;

/// Options for one call, passed to [`Session::send_with`](crate::api::Session::send_with). They
/// override the session's settings.
///
/// ```
/// use std::time::Duration;
/// use connector_core::api::{CallOptions, IdempotencyKey};
/// use connector_core::http::limit::Priority;
///
/// let options = CallOptions::new()
///     .with_timeout(Duration::from_secs(5))
///     .with_priority(Priority::Background)
///     .with_idempotency_key(IdempotencyKey::derived_from("invoice-4711"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CallOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) priority: Option<Priority>,
    pub(super) idempotency_key: Option<IdempotencyKey>,
}

impl CallOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the deadline of each attempt, from the DNS lookup to the last byte of the response.
    /// Default: the request's timeout, or 30 seconds if the request sets none.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the call's priority in the queues of rate limits. Default: the session's priority.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the idempotency key. With a fixed key, the provider recognizes the call if your service
    /// repeats it in another process or after a restart. Default: a random key for each call.
    ///
    /// Only [`Idempotency::Keyed`](crate::api::Idempotency::Keyed) operations accept a key.
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}
