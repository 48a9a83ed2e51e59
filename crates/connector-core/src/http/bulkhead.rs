//! So many requests per host at once, and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts the requests under way per host. Holds nothing for a host without any.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    places: usize,
    hosts: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

impl Bulkhead {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a place. Whoever waits is served in order; dropping the future gives up.
    pub(crate) async fn enter(&self, host: &str) -> Place<'_> {
        let gate = {
            let mut hosts = self.hosts();
            if let Some(gate) = hosts.get(host) {
                Arc::clone(gate)
            } else {
                let gate = Arc::new(Semaphore::new(self.places));
                hosts.insert(host.into(), Arc::clone(&gate));
                gate
            }
        };
        // Made before the wait, so that an abandoned wait is cleaned up as well.
        let mut place = Place {
            bulkhead: self,
            host: host.into(),
            gate: Some(Arc::clone(&gate)),
            permit: None,
        };
        // The semaphore is never closed.
        place.permit = gate.acquire_owned().await.ok();
        place
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Semaphore>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the requests to a host, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    bulkhead: &'a Bulkhead,
    host: Box<str>,
    gate: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut hosts = self.bulkhead.hosts();
        self.gate = None;
        // New references are made under the lock only: one left means that nobody else is here.
        if hosts
            .get(&self.host)
            .is_some_and(|gate| Arc::strong_count(gate) == 1)
        {
            hosts.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn places_are_counted_per_host_and_nothing_is_left_behind() {
        let bulkhead = Bulkhead::new(2);
        let first = bulkhead.enter("a").await;
        let second = bulkhead.enter("a").await;
        let mut third = Box::pin(bulkhead.enter("a"));
        let abandoned = Box::pin(bulkhead.enter("a"));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(abandoned.now_or_never().is_none());
        let other = bulkhead.enter("b").await;
        assert_eq!(bulkhead.hosts().len(), 2);
        drop(first);
        let third = third.await;
        drop((second, third, other));
        assert!(bulkhead.hosts().is_empty());
        let waiting = Bulkhead::new(0);
        assert!(waiting.enter("a").now_or_never().is_none());
        assert!(waiting.hosts().is_empty());
    }
}
