//! One flight for each connection in a process: a task of its own owns the work, callers hold a
//! receiver, and a caller that goes away takes nothing with it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::ConnectionKey;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::token::driver::{Landing, Why};

/// The flights of this process, and whatever else a shutdown waits for.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    running: Mutex<Running>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Running {
    flights: HashMap<ConnectionKey, watch::Receiver<Option<Landing>>>,
    /// True once a shutdown has begun: nothing new starts.
    closed: bool,
}

/// What the task of a flight answers its callers through.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<watch::Sender<Option<Landing>>>);

impl Board {
    /// Tells those who wait; the flight may go on.
    pub(crate) fn announce(&self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Joins the flight of `key`, or starts it. The second value is true if it was joined. Once a
    /// shutdown has begun, no flight starts and the ticket says so.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &ConnectionKey,
        fly: impl FnOnce(Board) -> F,
    ) -> (Ticket, bool)
    where
        F: Future<Output = Landing> + Send + 'static,
    {
        let mut running = self.running();
        if let Some(receiver) = running.flights.get(key) {
            return (Ticket(receiver.clone()), true);
        }
        if running.closed {
            let (_, receiver) = watch::channel(Some(Landing::Over(Why::ShuttingDown)));
            return (Ticket(receiver), false);
        }
        let (sender, receiver) = watch::channel(None);
        let board = Board(Arc::new(sender));
        let flight = fly(board.clone());
        running.flights.insert(key.clone(), receiver.clone());
        let end = End {
            key: key.clone(),
            enlisted: self.count_one(),
        };
        let task = async move {
            let landing = flight.await;
            // A caller that comes from now on starts a flight of its own.
            drop(end);
            board.announce(landing);
        };
        // A runtime that is shutting down drops the flight here, which takes it off the list.
        drop(running);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            // A thread outside of the runtime reads tokens as others do; what is due waits for
            // somebody inside.
            Err(_) => drop(task),
        }
        (Ticket(receiver), false)
    }

    /// Announces work that a shutdown is to wait for, until the value is dropped; `None` once a
    /// shutdown has begun.
    pub(crate) fn enlist(self: &Arc<Self>) -> Option<Enlisted> {
        let running = self.running();
        (!running.closed).then(|| self.count_one())
    }

    fn count_one(self: &Arc<Self>) -> Enlisted {
        self.count.send_modify(|count| *count += 1);
        Enlisted(Arc::clone(self))
    }

    /// From now on nothing new starts.
    pub(crate) fn close(&self) {
        self.running().closed = true;
    }

    /// True once a shutdown has begun.
    pub(crate) fn is_closed(&self) -> bool {
        self.running().closed
    }

    /// How much is under way.
    pub(crate) fn under_way(&self) -> usize {
        *self.count.borrow()
    }

    /// Returns once nothing is under way.
    pub(crate) async fn landed(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
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

/// Takes a flight off the list, also when its task panics.
struct End {
    key: ConnectionKey,
    enlisted: Enlisted,
}

impl Drop for End {
    fn drop(&mut self) {
        self.enlisted.0.running().flights.remove(&self.key);
    }
}

/// A caller's place on a flight.
#[derive(Debug)]
pub(crate) struct Ticket(watch::Receiver<Option<Landing>>);

impl Ticket {
    /// How the flight ended, or what it has to say before its end. `None` if its task died.
    pub(crate) async fn landing(mut self) -> Option<Landing> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone(),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use connector_core::{ConnectionId, TenantId};
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_flight_that_finds_no_runtime_leaves_the_list_and_blocks_nobody() {
        let flights = Arc::new(Flights::new());
        let tenant = TenantId::new("tenant").unwrap();
        let key = ConnectionKey::new(tenant, ConnectionId::from_bytes([7; 16]));
        for _ in 0..2 {
            let over = std::future::ready(Landing::Over(Why::ShuttingDown));
            let (ticket, joined) = flights.join(&key, |_| over);
            assert!(!joined);
            assert!(matches!(ticket.landing().now_or_never(), Some(None)));
        }
        assert!(!flights.is_closed());
        assert!(flights.running().flights.is_empty());
        assert_eq!(flights.under_way(), 0);
    }
}
