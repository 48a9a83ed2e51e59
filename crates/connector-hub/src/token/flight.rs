//! In-flight refreshes, one per connection and process. Each flight runs in its own task, and
//! callers wait on a receiver. A flight continues if a caller is dropped.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::ConnectionKey;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::token::outcome::{NoToken, NoTokenReason, RefreshOutcome};

/// The in-flight refreshes of this process, and all other work that a shutdown waits for.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    running: Mutex<Running>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Running {
    flights: HashMap<ConnectionKey, Ticket>,
    /// True after a shutdown has started: no new flight starts.
    closed: bool,
}

/// Current step of a flight, for callers that stop waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waiting for the store.
    Store,
    /// Preparing the request: registration, name resolution, sealed credential.
    Preparing,
    /// Waiting for the result of another process.
    Held,
    /// Waiting for the response to a sent request.
    Sent,
}

/// The progress of a flight, shared with its callers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Progress {
    const STEPS: [Step; 4] = [Step::Store, Step::Preparing, Step::Held, Step::Sent];

    pub(crate) fn set(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    /// Returns the reason why a caller that stops waiting now has no token.
    pub(crate) fn reason(&self) -> NoTokenReason {
        let step = usize::from(self.0.load(Ordering::Relaxed));
        match Self::STEPS.get(step) {
            Some(Step::Sent) => NoTokenReason::Unresolved,
            Some(Step::Held) => NoTokenReason::Held,
            Some(Step::Preparing) => NoTokenReason::Transient,
            _ => NoTokenReason::StoreUnavailable,
        }
    }
}

/// The callers that wait for a flight, from the side of the flight's task.
#[derive(Debug, Clone)]
pub(crate) struct Waiters {
    outcome: Arc<watch::Sender<Option<RefreshOutcome>>>,
    progress: Progress,
}

impl Waiters {
    /// Sends the outcome to the callers that wait now. The flight may continue.
    pub(crate) fn answer(&self, outcome: RefreshOutcome) {
        self.outcome.send_replace(Some(outcome));
    }

    pub(crate) const fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Joins the flight of `key`, or starts one. The second value is true if the flight already
    /// existed. After a shutdown has started, no flight starts, and the ticket reports this.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &ConnectionKey,
        fly: impl FnOnce(Waiters) -> F,
    ) -> (Ticket, bool)
    where
        F: Future<Output = RefreshOutcome> + Send + 'static,
    {
        let mut running = self.running();
        if let Some(ticket) = running.flights.get(key) {
            return (ticket.clone(), true);
        }
        let progress = Progress::default();
        if running.closed {
            let refused = NoToken::finally(NoTokenReason::ShuttingDown);
            let (_, outcome) = watch::channel(Some(refused.into()));
            return (Ticket { outcome, progress }, false);
        }
        let (sender, outcome) = watch::channel(None);
        let waiters = Waiters {
            outcome: Arc::new(sender),
            progress: progress.clone(),
        };
        let ticket = Ticket { outcome, progress };
        let flight = fly(waiters.clone());
        running.flights.insert(key.clone(), ticket.clone());
        let end = End {
            key: key.clone(),
            enlisted: self.count_one(),
        };
        let task = async move {
            let outcome = flight.await;
            // Callers that arrive after this point start another flight.
            drop(end);
            waiters.answer(outcome);
        };
        // If the runtime is shutting down, it drops the flight here. The drop removes the flight
        // from the list.
        drop(running);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            // Outside of a runtime, reads work as usual. The work waits for a caller inside a
            // runtime.
            Err(_) => drop(task),
        }
        (ticket, false)
    }

    /// Registers work that must end before a shutdown. The work ends when the returned value is
    /// dropped. Returns `None` after a shutdown has started.
    pub(crate) fn enlist(self: &Arc<Self>) -> Option<Enlisted> {
        let running = self.running();
        (!running.closed).then(|| self.count_one())
    }

    fn count_one(self: &Arc<Self>) -> Enlisted {
        self.count.send_modify(|count| *count += 1);
        Enlisted(Arc::clone(self))
    }

    /// Prevents new flights from starting.
    pub(crate) fn close(&self) {
        self.running().closed = true;
    }

    /// Returns true after a shutdown has started.
    pub(crate) fn is_closed(&self) -> bool {
        self.running().closed
    }

    /// Returns the number of in-flight tasks.
    pub(crate) fn under_way(&self) -> usize {
        *self.count.borrow()
    }

    /// Returns when no task is in flight.
    pub(crate) async fn landed(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that a shutdown waits for.
#[derive(Debug)]
pub(crate) struct Enlisted(Arc<Flights>);

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

/// Removes a flight from the list when dropped, even if its task panics.
struct End {
    key: ConnectionKey,
    enlisted: Enlisted,
}

impl Drop for End {
    fn drop(&mut self) {
        self.enlisted.0.running().flights.remove(&self.key);
    }
}

/// A caller's subscription to a flight.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    outcome: watch::Receiver<Option<RefreshOutcome>>,
    progress: Progress,
}

impl Ticket {
    /// Waits for the flight's next outcome. Returns `None` if the flight's task panicked.
    pub(crate) async fn outcome(&mut self) -> Option<RefreshOutcome> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => *outcome,
            Err(_) => None,
        }
    }

    /// Returns the reason why a caller that stops waiting now has no token.
    pub(crate) fn reason(&self) -> NoTokenReason {
        self.progress.reason()
    }
}

#[cfg(test)]
mod tests {
    use connector_core::{ConnectionId, TenantId};
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_flight_without_a_runtime_is_removed_and_blocks_no_caller() {
        let flights = Arc::new(Flights::new());
        let tenant = TenantId::new("tenant").unwrap();
        let key = ConnectionKey::new(tenant, ConnectionId::from_bytes([7; 16]));
        for _ in 0..2 {
            let over = std::future::ready(RefreshOutcome::Current);
            let (mut ticket, joined) = flights.join(&key, |_| over);
            assert!(!joined);
            assert!(matches!(ticket.outcome().now_or_never(), Some(None)));
        }
        assert!(!flights.is_closed());
        assert!(flights.running().flights.is_empty());
        assert_eq!(flights.under_way(), 0);
    }
}
