//! Settings of one call that differ from those of its session.

use std::time::Duration;

use crate::api::endpoint::IdempotencyKey;
use crate::http::limit::Priority;

/// Settings of one call, for [`Session::send_with`](crate::api::Session::send_with).
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
    /// The session's own settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the deadline of each attempt, from the look-up of the host to the last byte of the
    /// response. Default: the request's, which is 30 seconds unless it says otherwise.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the call's priority among those that wait for the provider's limit. Default: the
    /// session's.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the idempotency key, so that a call that is repeated by another process, or after a
    /// restart, is recognised by the provider. Default: a random key for each call.
    ///
    /// Only operations that are [`Idempotency::Keyed`](crate::api::Idempotency::Keyed) take one.
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}
