//! A limit on the number of concurrent requests per host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// Counts the requests in flight per host. Hosts without requests use no memory.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    places: usize,
    hosts: Mutex<HashMap<Box<str>, Gate>>,
}

#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    /// Number of requests that are in flight or waiting.
    guests: usize,
}

impl Bulkhead {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a place. Waiters are served in order. Dropping the future removes the request from
    /// the queue.
    pub(crate) async fn enter<'a>(&'a self, host: &'a str) -> Place<'a> {
        let places = {
            let mut hosts = self.hosts();
            if let Some(gate) = hosts.get_mut(host) {
                gate.guests += 1;
                Arc::clone(&gate.places)
            } else {
                let places = Arc::new(Semaphore::new(self.places));
                let gate = Gate {
                    places: Arc::clone(&places),
                    guests: 1,
                };
                hosts.insert(host.into(), gate);
                places
            }
        };
        // Created before the wait, so that a cancelled wait is cleaned up as well.
        let mut place = Place {
            bulkhead: self,
            host,
            places,
            is_taken: false,
        };
        // The semaphore is never closed.
        if let Ok(permit) = place.places.acquire().await {
            permit.forget();
            place.is_taken = true;
        }
        place
    }

    /// Like [`Bulkhead::enter`], but returns a permit that owns its data.
    pub(crate) async fn enter_owned(self: Arc<Self>, host: Box<str>) -> OwnedPlace {
        let mut place = self.enter(&host).await;
        // The permit moves to the returned place.
        let is_taken = std::mem::take(&mut place.is_taken);
        let places = Arc::clone(&place.places);
        self.guest(&host);
        drop(place);
        OwnedPlace {
            bulkhead: self,
            host,
            places,
            is_taken,
        }
    }

    fn guest(&self, host: &str) {
        if let Some(gate) = self.hosts().get_mut(host) {
            gate.guests += 1;
        }
    }

    fn leave(&self, host: &str, places: &Semaphore, is_taken: bool) {
        if is_taken {
            places.add_permits(1);
        }
        let mut hosts = self.hosts();
        if let Some(gate) = hosts.get_mut(host) {
            gate.guests -= 1;
            if gate.guests == 0 {
                hosts.remove(host);
            }
        }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Box<str>, Gate>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit for one request to a host. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    bulkhead: &'a Bulkhead,
    host: &'a str,
    places: Arc<Semaphore>,
    is_taken: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bulkhead.leave(self.host, &self.places, self.is_taken);
    }
}

/// A permit that owns its data. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct OwnedPlace {
    bulkhead: Arc<Bulkhead>,
    host: Box<str>,
    places: Arc<Semaphore>,
    is_taken: bool,
}

impl Drop for OwnedPlace {
    fn drop(&mut self) {
        self.bulkhead.leave(&self.host, &self.places, self.is_taken);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn places_are_counted_per_host_and_cleaned_up() {
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
        let bulkhead = Arc::new(Bulkhead::new(1));
        let owned = Arc::clone(&bulkhead).enter_owned("a".into()).await;
        let mut second = Box::pin(bulkhead.enter("a"));
        assert!(second.as_mut().now_or_never().is_none());
        drop(owned);
        drop(second.await);
        assert!(bulkhead.hosts().is_empty());
        let waiting = Bulkhead::new(0);
        assert!(waiting.enter("a").now_or_never().is_none());
        assert!(waiting.hosts().is_empty());
    }
}
