//! State transitions of an endpoint and of its deliveries.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::connection::Version;
use crate::store::{
    Endpoint, EndpointChange, EndpointHealth, EndpointState, EndpointTransition, NewEndpoint,
    NewMessage, OutboundState, OutboundVerdict, Settled, Settlement,
};

/// Maximum number of attempts per delivery in the delivery log. Stores remove older attempts.
pub const ATTEMPTS_KEPT: u32 = 20;

impl Endpoint {
    /// Creates the record of a new endpoint.
    #[must_use]
    pub fn new(new: NewEndpoint, now: Timestamp) -> Self {
        Self {
            key: new.key,
            provider: new.provider,
            label: new.label,
            alias: new.alias,
            event_types: new.event_types,
            is_ordered: new.is_ordered,
            state: EndpointState::Enabled,
            health: EndpointHealth::default(),
            version: Version::new(1),
            created_at: now,
            sealed: new.sealed,
        }
    }

    /// Applies a change. Returns true if the store must skip the pending deliveries.
    #[must_use = "pending deliveries of a disabled endpoint must be skipped"]
    pub fn change(&mut self, change: EndpointChange) -> bool {
        let was_enabled = self.state == EndpointState::Enabled;
        if let Some(label) = change.label {
            self.label = label;
        }
        if let Some(event_types) = change.event_types {
            self.event_types = event_types;
        }
        if let Some(is_ordered) = change.is_ordered {
            self.is_ordered = is_ordered;
        }
        if let Some(sealed) = change.sealed {
            self.sealed = sealed;
        }
        if let Some(state) = change.state {
            self.state = state;
            if state == EndpointState::Enabled {
                self.health.failures = 0;
                self.health.failing_since = None;
                self.health.not_before = None;
            }
        }
        self.version = self.version.next();
        was_enabled && self.state != EndpointState::Enabled
    }

    /// Returns the state of a new delivery to this endpoint; `None` if the endpoint does not receive
    /// the message. `is_preceded` is true if a pending delivery of the same resource exists.
    #[must_use]
    pub fn receives(&self, message: &NewMessage, is_preceded: bool) -> Option<OutboundState> {
        let is_chosen = match message.only {
            Some(only) => only == self.key.id,
            None => self.event_types.is_empty() || self.event_types.contains(&message.event_type),
        };
        let is_theirs =
            self.key.tenant == message.key.tenant && self.provider == message.key.provider;
        if !is_chosen || !is_theirs {
            return None;
        }
        match self.state {
            EndpointState::Gone => None,
            EndpointState::Enabled if is_preceded && self.is_ordered => Some(OutboundState::Held),
            EndpointState::Enabled => Some(OutboundState::Waiting),
            _ => Some(OutboundState::Skipped),
        }
    }

    /// Applies the result of an attempt. `state` is the current state of the delivery.
    ///
    /// If the result contains a transition other than `Failing`, the store must skip the endpoint's
    /// other pending deliveries.
    #[must_use]
    pub fn settle(&mut self, state: OutboundState, result: &Settlement, now: Timestamp) -> Settled {
        // An address that the endpoint no longer has cannot end the endpoint.
        let is_outdated = result.version != self.version && result.verdict == OutboundVerdict::Gone;
        let transition = if is_outdated {
            None
        } else {
            self.note(result, now)
        };
        // The endpoint may have been disabled during the attempt.
        let again = if state == OutboundState::Waiting && self.state == EndpointState::Enabled {
            OutboundState::Waiting
        } else {
            OutboundState::Skipped
        };
        let state = match result.verdict {
            OutboundVerdict::Delivered => OutboundState::Delivered,
            OutboundVerdict::Retry(_) | OutboundVerdict::Postponed(_) => again,
            OutboundVerdict::Gone if is_outdated => again,
            OutboundVerdict::Failed | OutboundVerdict::Gone => OutboundState::Failed,
            OutboundVerdict::Parked => OutboundState::Parked,
        };
        Settled { state, transition }
    }

    /// Records a result in the health and the state of the endpoint.
    fn note(&mut self, result: &Settlement, now: Timestamp) -> Option<EndpointTransition> {
        let health = &mut self.health;
        match result.verdict {
            OutboundVerdict::Postponed(_) | OutboundVerdict::Parked => return None,
            OutboundVerdict::Delivered => {
                health.failures = 0;
                health.failing_since = None;
                // Another attempt may have been asked for a pause in the meantime.
                health.not_before = health.not_before.filter(|at| *at > now);
                health.succeeded_at = Some(now);
                health.delivered = health.delivered.saturating_add(1);
                return None;
            }
            OutboundVerdict::Retry(_) | OutboundVerdict::Failed | OutboundVerdict::Gone => {}
        }
        // Without attempts for that long, the endpoint was idle, not failing.
        let is_stale = health
            .failed_at
            .is_none_or(|at| now.since(at) > result.disable_after);
        if is_stale || health.failing_since.is_none() {
            health.failing_since = Some(now);
        }
        health.failures = health.failures.saturating_add(1);
        health.failed = health.failed.saturating_add(1);
        health.failed_at = Some(now);
        health.status = result.log.status;
        health.error.clone_from(&result.log.error);
        if let Some(pause) = result.pause {
            health.not_before = health.not_before.max(Some(now.after(pause)));
        }
        if self.state != EndpointState::Enabled {
            return None;
        }
        let failing_for = health
            .failing_since
            .map_or(Duration::ZERO, |at| now.since(at));
        let (state, transition) = match result.verdict {
            OutboundVerdict::Gone => (EndpointState::Gone, EndpointTransition::Gone),
            _ if failing_for >= result.disable_after => {
                (EndpointState::Failed, EndpointTransition::Failed)
            }
            _ if health.failures == result.warn_at => {
                return Some(EndpointTransition::Failing);
            }
            _ => return None,
        };
        self.state = state;
        self.version = self.version.next();
        Some(transition)
    }
}
