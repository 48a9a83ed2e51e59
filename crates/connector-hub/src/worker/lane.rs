//! How many requests go to one provider's token endpoint at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use connector_core::ProviderId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;

/// So many wait for a place at most; the work of the others goes back, so that a slow provider does
/// not take all the room.
const WAITING: usize = 256;

#[derive(Debug)]
pub(super) struct Lanes {
    width: usize,
    lanes: Mutex<HashMap<ProviderId, Arc<Lane>>>,
}

#[derive(Debug)]
struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Lanes {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width: width.min(Semaphore::MAX_PERMITS),
            lanes: Mutex::default(),
        }
    }

    /// A place, kept until the value is dropped; `None` if too many wait already.
    pub(super) async fn place(&self, provider: &ProviderId) -> Option<OwnedSemaphorePermit> {
        let lane = self.lane(provider);
        let waiting = Waiting::new(&lane.waiting)?;
        let place = Arc::clone(&lane.places).acquire_owned().await.ok();
        drop(waiting);
        place
    }

    fn lane(&self, provider: &ProviderId) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        let lane = lanes.entry(provider.clone()).or_insert_with(|| {
            Arc::new(Lane {
                places: Arc::new(Semaphore::new(self.width)),
                waiting: AtomicUsize::new(0),
            })
        });
        Arc::clone(lane)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Self(waiting);
        (before < WAITING).then_some(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
