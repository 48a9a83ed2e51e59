//! Delivery of webhook events to handlers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connector_core::store::{Direction, LeaseRequest, LeasedDelivery};
use connector_core::{ConnectionKey, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::{Shared, lock};
use crate::inbound::{Delivered, Registration, Route, SharedParts, Unhandled};
use crate::telemetry;

/// Maximum number of deliveries per lease call.
const BATCH: u16 = 16;
/// Maximum number of in-flight deliveries.
pub(super) const AT_ONCE: usize = 64;
/// Maximum number of in-flight deliveries of one owner, and of one lane of an owner, in all
/// processes together.
const CAPS: (u16, u16) = (8, 4);
/// Maximum number of concurrent handler calls for one delivery.
const CALLS: usize = 32;
/// Maximum number of deliveries whose successful calls are kept in memory between two attempts.
const REMEMBERED: usize = 10_000;
/// Lease of a delivery. Longer than the time limit of the handlers.
const LEASE: Duration = Duration::from_secs(300);
/// Maximum time for all handlers of one delivery together.
const MAX_DURATION: Duration = Duration::from_secs(240);
/// Pauses between attempts. After the last attempt, a delivery is parked.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(10 * 3_600),
];

/// The index of a handler, and the connection for which the handler was called.
type Call = (usize, Option<ConnectionKey>);
/// The successful calls for one delivery.
pub(super) type Handled = BTreeSet<Call>;

/// Returns 1 if the delivery was handled, and 0 otherwise.
fn was_handled(ended: Result<bool, JoinError>) -> usize {
    match ended {
        Ok(was_handled) => usize::from(was_handled),
        Err(error) => {
            super::report(Err(error));
            0
        }
    }
}

impl Shared {
    /// Schedules the probes that deliveries request, then passes queued deliveries to the handlers.
    /// Returns the number of handled deliveries.
    pub(super) async fn deliver(self: Arc<Self>) -> usize {
        self.probe_due().await;
        let inner = &self.hub.inner;
        // Deliveries are left to processes that have handlers.
        if inner.delivery_handlers.is_empty() {
            return 0;
        }
        let (mut handled, mut under_way) = (0, JoinSet::new());
        loop {
            // Each free slot may go to another owner's delivery.
            while let Some(room) = self.room() {
                let n = u16::try_from(room.num_permits()).unwrap_or(BATCH);
                let leased = self.lease(Direction::Inbound, n).await;
                let last = leased.len() < usize::from(n);
                let mut room = room;
                for delivery in leased {
                    let place = room.split(1);
                    let shared = Arc::clone(&self);
                    // A task of its own: a future that waits for the store must be polled while
                    // this task waits for the store too, otherwise neither continues.
                    under_way.spawn(async move {
                        let _place = place;
                        shared.deliver_one(delivery).await
                    });
                }
                if last {
                    break;
                }
            }
            let Some(ended) = under_way.join_next().await else {
                return handled;
            };
            handled += was_handled(ended);
            // All finished deliveries are counted before the store is called again.
            while let Some(ended) = under_way.try_join_next() {
                handled += was_handled(ended);
            }
        }
    }

    /// Reserves slots for some deliveries; `None` if all slots are taken.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        let free = self.delivering.available_permits();
        let n = u32::try_from(free).map_or(u32::from(BATCH), |free| free.min(BATCH.into()));
        if n == 0 {
            return None;
        }
        Arc::clone(&self.delivering).try_acquire_many_owned(n).ok()
    }

    async fn lease(&self, direction: Direction, n: u16) -> Vec<LeasedDelivery> {
        let request = LeaseRequest::new(direction, n, LEASE).with_caps(CAPS.0, CAPS.1);
        match self.hub.inner.store.lease(&request).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(operation = "worker.deliveries", error = %error, "none taken");
                Vec::new()
            }
        }
    }

    /// Schedules probes of the connections that deliveries are about, once for each delivery.
    async fn probe_due(&self) {
        loop {
            let leased = self.lease(Direction::Probe, BATCH).await;
            if leased.is_empty() {
                return;
            }
            for delivery in leased {
                let outcome = self.probe_for(&delivery).await;
                self.settle_delivery(&delivery, outcome, Handled::new())
                    .await;
            }
        }
    }

    async fn probe_for(&self, delivery: &LeasedDelivery) -> Result<(), Unhandled> {
        let inner = &self.hub.inner;
        let probe = async {
            let payload = inner.open_delivery(delivery).await?;
            let route = inner.route(&payload, delivery.tenant.as_ref()).await?;
            if let Route::Connections(keys) = route {
                for key in &keys {
                    inner.probe(key).await?;
                }
            }
            Ok::<(), Error>(())
        };
        Ok(probe.await?)
    }

    pub(super) fn room_for_deliveries() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(AT_ONCE))
    }

    async fn deliver_one(&self, delivery: LeasedDelivery) -> bool {
        let mut handled = self.recall(&delivery);
        let span = tracing::info_span!(
            "worker.delivery",
            connector = delivery.key.provider.as_str(),
            endpoint = delivery.key.endpoint,
            delivery = delivery.key.id,
        );
        let attempt = self
            .hand_out(&delivery, &mut handled)
            .instrument(span)
            .await;
        self.settle_delivery(&delivery, attempt, handled).await
    }

    /// Stores the result of an attempt. Returns true if the delivery is done.
    async fn settle_delivery(
        &self,
        delivery: &LeasedDelivery,
        attempt: Result<(), Unhandled>,
        handled: Handled,
    ) -> bool {
        let store = &self.hub.inner.store;
        let provider = delivery.key.provider.as_str();
        let settled = match attempt {
            Ok(()) => {
                telemetry::count(telemetry::HANDLED, &[provider, "handled"]);
                store.done(delivery).await
            }
            Err(Unhandled { reason, is_final }) => {
                let pause = pause(delivery).filter(|_| !is_final);
                tracing::warn!(
                    operation = "worker.deliveries",
                    connector = delivery.key.provider.as_str(),
                    endpoint = delivery.key.endpoint,
                    attempt = delivery.attempt,
                    reason,
                    parked = pause.is_none(),
                    "a delivery could not be handled"
                );
                let result = if pause.is_some() { "retried" } else { "parked" };
                telemetry::count(telemetry::HANDLED, &[provider, result]);
                match pause {
                    Some(pause) => {
                        self.remember(delivery, handled);
                        store.retry(delivery, pause, reason).await
                    }
                    None => store.park(delivery, reason).await,
                }
            }
        };
        match settled {
            Ok(true) => attempt.is_ok(),
            // Another process has leased the delivery in the meantime.
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(
                    operation = "worker.deliveries",
                    error = %error,
                    "the result of a delivery could not be stored; the delivery is retried after \
                     its lease"
                );
                false
            }
        }
    }

    /// Stores the successful calls for the next attempt, so that a failed call for one tenant does
    /// not repeat the calls for other tenants.
    fn remember(&self, delivery: &LeasedDelivery, calls: Handled) {
        if calls.is_empty() {
            return;
        }
        let mut handled = lock(&self.handled);
        if handled.len() >= REMEMBERED {
            handled.clear();
        }
        handled.insert(delivery.key.clone(), (delivery.attempt, calls));
    }

    /// Returns the successful calls of the previous attempt. Older attempts are ignored, because
    /// the delivery may have been replayed since.
    fn recall(&self, delivery: &LeasedDelivery) -> Handled {
        let remembered = lock(&self.handled).remove(&delivery.key);
        match remembered {
            Some((attempt, calls)) if attempt.checked_add(1) == Some(delivery.attempt) => calls,
            _ => Handled::new(),
        }
    }

    /// Calls every handler for every connection of a delivery, except for the calls in `past`,
    /// which succeeded before. If several calls failed, an error that can be retried is returned
    /// first.
    async fn hand_out(
        &self,
        delivery: &LeasedDelivery,
        past: &mut Handled,
    ) -> Result<(), Unhandled> {
        let inner = &self.hub.inner;
        let targets = self.targets(delivery).await?;
        let mut calls = JoinSet::new();
        let mut outcome = Ok(());
        let all = async {
            for target in targets {
                let event = target.event();
                for (number, handler) in Registration::taking(&inner.delivery_handlers, event) {
                    let call = (number, target.connection.clone());
                    if past.contains(&call) {
                        continue;
                    }
                    if calls.len() >= CALLS
                        && let Some(ended) = calls.join_next().await
                    {
                        outcome = both(outcome, verdict(ended, past));
                    }
                    // Each call runs in its own task, so that a panic in a handler stops only this
                    // call.
                    let (handler, target) = (Arc::clone(handler), target.clone());
                    calls.spawn(async move { (call, handler.call(&target).await) });
                }
            }
            while let Some(ended) = calls.join_next().await {
                outcome = both(outcome, verdict(ended, past));
            }
        };
        tokio::select! {
            biased;
            () = all => outcome,
            // The calls are dropped. After the lease, another process may start new ones.
            () = inner.clock.sleep(MAX_DURATION) => Err(Unhandled::retried("timeout")),
        }
    }

    async fn targets(&self, delivery: &LeasedDelivery) -> Result<Vec<Delivered>> {
        let inner = &self.hub.inner;
        let payload = inner.open_delivery(delivery).await?;
        let route = inner.route(&payload, delivery.tenant.as_ref()).await?;
        let connections: Vec<_> = match route {
            Route::Connections(keys) => keys.into_iter().map(Some).collect(),
            Route::Nobody => vec![None],
            Route::Gone => Vec::new(),
        };
        let shared = Arc::new(SharedParts {
            event: payload.event,
            key: delivery.key.clone(),
            tenant: delivery.tenant.clone(),
            attempt: delivery.attempt,
            accepted_at: delivery.accepted_at,
        });
        let delivered = |connection| Delivered {
            shared: Arc::clone(&shared),
            connection,
        };
        Ok(connections.into_iter().map(delivered).collect())
    }
}

fn verdict(
    ended: Result<(Call, Result<(), Unhandled>), JoinError>,
    past: &mut Handled,
) -> Result<(), Unhandled> {
    match ended {
        Ok((call, Ok(()))) => {
            past.insert(call);
            Ok(())
        }
        Ok((_, Err(unhandled))) => Err(unhandled),
        Err(_) => Err(Unhandled::retried("panicked")),
    }
}

/// Combines the results of two calls. The delivery is parked only if no retry can help.
fn both(one: Result<(), Unhandled>, other: Result<(), Unhandled>) -> Result<(), Unhandled> {
    match (one, other) {
        (Err(one), Err(other)) if one.is_final => Err(other),
        (one, other) => one.and(other),
    }
}

/// Returns the pause after a failed attempt; `None` after the last one. The pause is extended by up
/// to a fifth, so that deliveries with the same failure time are retried at different times.
fn pause(delivery: &LeasedDelivery) -> Option<Duration> {
    let attempt = usize::try_from(delivery.attempt).unwrap_or(usize::MAX);
    let pause = *PAUSES.get(attempt.saturating_sub(1))?;
    // The id is a digest, so its bytes can be used as random bits.
    let row = delivery.key.row_id();
    let byte = row.as_bytes().get(attempt).copied().unwrap_or_default();
    Some(pause + pause / 5 * u32::from(byte) / 255)
}
