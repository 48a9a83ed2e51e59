//! Sending of messages to customers' endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::clock::{Clock, Monotonic, Timestamp};
use connector_core::http::LastCheck;
use connector_core::store::{MessageLease, OutboundState, Settlement};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::Shared;
use crate::hub::Inner;

/// Maximum number of messages per lease call.
const BATCH: u16 = 64;
/// Maximum number of concurrent attempts of this process.
const AT_ONCE: usize = 256;
/// Maximum number of concurrent slow attempts. They do not count towards [`AT_ONCE`].
const SLOW_AT_ONCE: usize = 2_048;
/// Time after which an attempt is considered slow.
const SLOW: Duration = Duration::from_secs(1);
/// Lease of a message. Longer than the maximum time for an attempt.
pub(crate) const LEASE: Duration = Duration::from_secs(120);
/// Maximum time between two lease calls while attempts are in flight.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Maximum time for which a finished attempt keeps its lease, to space out requests.
const MAX_SPACING: Duration = Duration::from_secs(10);
/// Pauses before a failed write of results is repeated. The lease is still valid afterwards.
const STORE_RETRIES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// Slots for attempts.
#[derive(Debug)]
pub(super) struct Slots {
    fast: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            fast: Arc::new(Semaphore::new(AT_ONCE)),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
        }
    }
}

impl Shared {
    /// Sends all messages that are due, until none is due and none is in flight. Returns the number of
    /// delivered messages. Returns at once if another task of this process sends already.
    pub(super) async fn send_outbound(&self) -> usize {
        if self.sending.swap(true, Ordering::AcqRel) {
            return 0;
        }
        let _reset = Reset(self);
        let inner = &self.hub.inner;
        let mut under_way = JoinSet::new();
        let mut delivered = 0;
        loop {
            if !self.stopping.load(Ordering::Acquire) {
                self.start(&mut under_way).await;
            }
            if under_way.is_empty() {
                return delivered;
            }
            let mut results = Vec::new();
            tokio::select! {
                biased;
                Some(ended) = under_way.join_next() => results.extend(finished(ended)),
                () = inner.outgoing.notified() => {}
                () = inner.clock.sleep(LOOK_AGAIN) => {}
            }
            // All finished attempts are stored in one commit.
            while results.len() < usize::from(BATCH)
                && let Some(ended) = under_way.try_join_next()
            {
                results.extend(finished(ended));
            }
            // The slots become free only now, so that a slow store is not flooded with results.
            let (results, _slots): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            delivered += settle(inner, &results).await;
        }
    }

    /// Leases messages for the free slots and starts attempts.
    async fn start(&self, under_way: &mut JoinSet<Done>) {
        loop {
            let free = self.outbound_slots.fast.available_permits();
            let n = u16::try_from(free).map_or(BATCH, |free| free.min(BATCH));
            if n == 0 {
                return;
            }
            let policy = &self.hub.inner.outbound_policy;
            let request =
                MessageLease::new(n, LEASE).with_caps(policy.per_tenant, policy.per_endpoint);
            let deadline = LastSend::of(&self.hub.inner);
            let leased = match self.hub.inner.store.lease_messages(&request).await {
                Ok(leased) => leased,
                Err(error) => {
                    tracing::warn!(operation = "worker.outbound", error = %error, "none taken");
                    return;
                }
            };
            let is_last = leased.len() < usize::from(n);
            for message in leased {
                let fast = Arc::clone(&self.outbound_slots.fast);
                let Ok(place) = fast.acquire_owned().await else {
                    return;
                };
                let slow = Arc::clone(&self.outbound_slots.slow);
                let inner = Arc::clone(&self.hub.inner);
                let may_send = deadline.check();
                under_way.spawn(async move {
                    let begun = inner.clock.monotonic();
                    let attempt = inner.attempt(&message, may_send);
                    let patience = inner.clock.sleep(SLOW);
                    let (done, place) = timed(attempt, patience, place, &slow).await;
                    let took = inner.clock.monotonic().since(begun);
                    let left = inner.outbound_policy.minimum().saturating_sub(took);
                    if left.is_zero() {
                        return (done, place);
                    }
                    let place = moved(place, &slow);
                    inner.clock.sleep(left.min(MAX_SPACING)).await;
                    (done, place)
                });
            }
            if is_last {
                return;
            }
        }
    }
}

/// The result of an attempt, with its slot.
type Done = (Settlement, OwnedSemaphorePermit);

/// Returns the result of an attempt that has ended. An attempt that panicked is logged, and its
/// message is sent again after its lease.
fn finished(ended: Result<Done, JoinError>) -> Option<Done> {
    if let Err(error) = &ended {
        tracing::error!(
            operation = "worker.outbound",
            error = %error,
            "an attempt to send a message panicked; please report it"
        );
    }
    ended.ok()
}

/// The last time at which a request may start, so that it ends within its lease.
///
/// After the lease, another process may send later messages of the same resource.
pub(crate) struct LastSend {
    clock: Arc<dyn Clock>,
    steady: Monotonic,
    wall: Timestamp,
    patience: Duration,
}

impl LastSend {
    /// Creates the check before the lease begins.
    pub(crate) fn of(inner: &Inner) -> Self {
        Self {
            clock: Arc::clone(&inner.clock),
            steady: inner.clock.monotonic(),
            wall: inner.clock.now(),
            patience: LEASE.saturating_sub(inner.outbound_policy.timeout),
        }
    }

    /// Returns the check of a request. It uses both clocks, because one of them may stop while the
    /// machine is suspended.
    pub(crate) fn check(&self) -> LastCheck {
        let (clock, patience) = (Arc::clone(&self.clock), self.patience);
        let (steady, wall) = (self.steady, self.wall);
        LastCheck::new(move || {
            clock.monotonic().since(steady).max(clock.now().since(wall)) <= patience
        })
    }
}

/// Runs an attempt. A slow attempt moves to another slot, so that slow endpoints do not delay others.
async fn timed<T>(
    attempt: impl Future<Output = T>,
    patience: impl Future<Output = ()>,
    place: OwnedSemaphorePermit,
    slow: &Arc<Semaphore>,
) -> (T, OwnedSemaphorePermit) {
    let mut attempt = std::pin::pin!(attempt);
    tokio::select! {
        biased;
        done = &mut attempt => return (done, place),
        () = patience => {}
    }
    let place = moved(place, slow);
    (attempt.await, place)
}

/// Exchanges the slot for one that other attempts do not wait for, if one is free.
fn moved(place: OwnedSemaphorePermit, slow: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(slow).try_acquire_owned().unwrap_or(place)
}

/// Stores the results of attempts. Returns the number of delivered messages.
async fn settle(inner: &Inner, results: &[Settlement]) -> usize {
    if results.is_empty() {
        return 0;
    }
    let mut retries = STORE_RETRIES.iter();
    loop {
        let error = match inner.store.settle_messages(results).await {
            Ok(settled) => {
                let settled = settled.iter().flatten();
                return settled
                    .filter(|it| it.state == OutboundState::Delivered)
                    .count();
            }
            Err(error) => error,
        };
        tracing::warn!(
            operation = "worker.outbound",
            error = %error,
            "the results of attempts could not be stored"
        );
        match retries.next() {
            Some(pause) => inner.clock.sleep(*pause).await,
            // After their leases, the messages are sent again.
            None => return 0,
        }
    }
}

/// Marks the end of a run, also if the task is dropped.
struct Reset<'a>(&'a Shared);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        self.0.sending.store(false, Ordering::Release);
    }
}
