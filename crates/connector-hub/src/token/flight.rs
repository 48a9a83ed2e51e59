//! One flight for each connection in a process: a task of its own owns the work, callers hold a
//! receiver, and a caller that goes away takes nothing with it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::ConnectionKey;
use tokio::sync::watch;

use crate::token::driver::Landing;

/// The flights of this process.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    running: Mutex<HashMap<ConnectionKey, watch::Receiver<Option<Landing>>>>,
    count: watch::Sender<usize>,
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

    /// Joins the flight of `key`, or starts it. The second value is true if it was joined.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &ConnectionKey,
        fly: impl FnOnce(Board) -> F,
    ) -> (Ticket, bool)
    where
        F: Future<Output = Landing> + Send + 'static,
    {
        let mut running = self.running();
        if let Some(receiver) = running.get(key) {
            return (Ticket(receiver.clone()), true);
        }
        let (sender, receiver) = watch::channel(None);
        let board = Board(Arc::new(sender));
        let flight = fly(board.clone());
        running.insert(key.clone(), receiver.clone());
        self.count.send_modify(|count| *count += 1);
        let end = End {
            flights: Arc::clone(self),
            key: key.clone(),
        };
        tokio::spawn(async move {
            let landing = flight.await;
            // A caller that comes from now on starts a flight of its own.
            drop(end);
            board.announce(landing);
        });
        (Ticket(receiver), false)
    }

    /// Returns once no flight is under way.
    pub(crate) async fn landed(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ConnectionKey, watch::Receiver<Option<Landing>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list, also when its task panics.
struct End {
    flights: Arc<Flights>,
    key: ConnectionKey,
}

impl Drop for End {
    fn drop(&mut self) {
        self.flights.running().remove(&self.key);
        self.flights.count.send_modify(|count| *count -= 1);
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
