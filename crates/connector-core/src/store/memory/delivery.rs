//! The delivery queue in memory.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, number_after, slice};
use crate::account::TenantId;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::{
    AcceptOutcome, Cursor, DeliveryFilter, DeliveryKey, DeliveryQueue, DeliveryRecord,
    DeliveryState, Direction, LeasedDelivery, NewDelivery, Slice,
};

#[derive(Default)]
pub(super) struct Deliveries {
    rows: BTreeMap<DeliveryKey, Delivery>,
    order: BTreeMap<u64, DeliveryKey>,
    last_lease: u64,
}

pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) tenant: Option<TenantId>,
    pub(super) sealed: Sealed,
    state: DeliveryState,
    attempts: u32,
    error: Option<String>,
    accepted_at: Timestamp,
    due_at: Timestamp,
    keep_until: Timestamp,
    /// Whoever has it now; the lease ends when it is due again and somebody takes it.
    lease: Option<u64>,
}

impl Delivery {
    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.state != DeliveryState::Waiting && self.keep_until <= now
    }

    fn record(&self, key: &DeliveryKey) -> DeliveryRecord {
        DeliveryRecord {
            key: key.clone(),
            tenant: self.tenant.clone(),
            state: self.state,
            attempts: self.attempts,
            error: self.error.clone(),
            accepted_at: self.accepted_at,
            due_at: self.due_at,
        }
    }
}

impl Deliveries {
    pub(super) fn rows(&self) -> impl Iterator<Item = (&DeliveryKey, &Delivery)> {
        self.rows.iter()
    }

    pub(super) fn get_mut(&mut self, key: &DeliveryKey) -> Option<&mut Delivery> {
        self.rows.get_mut(key)
    }

    fn remove(&mut self, key: &DeliveryKey) {
        if let Some(row) = self.rows.remove(key) {
            self.order.remove(&row.number);
        }
    }

    /// Removes at most `n` that need not be remembered any more.
    pub(super) fn purge(&mut self, now: Timestamp, n: usize) -> usize {
        let gone: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| row.is_forgotten(now))
            .take(n)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            self.remove(key);
        }
        gone.len()
    }

    /// The delivery, if this lease of it was not lost. The lease ends.
    fn end_lease(&mut self, leased: &LeasedDelivery) -> Option<&mut Delivery> {
        let row = self.rows.get_mut(&leased.key)?;
        if row.lease != Some(leased.lease) {
            return None;
        }
        row.lease = None;
        Some(row)
    }
}

fn matches(filter: &DeliveryFilter, key: &DeliveryKey, row: &Delivery) -> bool {
    filter.direction.is_none_or(|way| way == key.direction)
        && filter.provider.as_ref().is_none_or(|p| *p == key.provider)
        && filter
            .tenant
            .as_ref()
            .is_none_or(|t| Some(t) == row.tenant.as_ref())
        && filter.state.is_none_or(|state| state == row.state)
}

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        if let Some(row) = data.deliveries.rows.get(&delivery.key) {
            if !row.is_forgotten(now) {
                return Ok(AcceptOutcome::Duplicate);
            }
            data.deliveries.remove(&delivery.key);
        }
        let number = data.numbers.next();
        let row = Delivery {
            number,
            tenant: delivery.tenant,
            sealed: delivery.sealed,
            state: DeliveryState::Waiting,
            attempts: 0,
            error: None,
            accepted_at: now,
            due_at: now.after(delivery.delay),
            keep_until: now.after(delivery.keep_for),
            lease: None,
        };
        data.deliveries.order.insert(number, delivery.key.clone());
        data.deliveries.rows.insert(delivery.key, row);
        Ok(AcceptOutcome::Accepted)
    }

    async fn lease(
        &self,
        direction: Direction,
        n: u16,
        lease: Duration,
    ) -> Result<Vec<LeasedDelivery>> {
        let (mut data, now) = self.open();
        let deliveries = &mut data.deliveries;
        let mut due: Vec<_> = deliveries
            .rows
            .iter_mut()
            .filter(|(key, row)| {
                key.direction == direction
                    && row.state == DeliveryState::Waiting
                    && row.due_at <= now
            })
            .collect();
        due.sort_by_key(|(_, row)| (row.due_at, row.number));
        due.truncate(n.into());
        let mut leased = Vec::with_capacity(due.len());
        for (key, row) in due {
            deliveries.last_lease += 1;
            row.lease = Some(deliveries.last_lease);
            row.attempts = row.attempts.saturating_add(1);
            row.due_at = now.after(lease);
            leased.push(LeasedDelivery {
                key: key.clone(),
                tenant: row.tenant.clone(),
                sealed: row.sealed.clone(),
                attempt: row.attempts,
                accepted_at: row.accepted_at,
                lease: deliveries.last_lease,
            });
        }
        Ok(leased)
    }

    async fn done(&self, delivery: &LeasedDelivery) -> Result<bool> {
        let (mut data, _) = self.open();
        let row = data.deliveries.end_lease(delivery);
        Ok(row.is_some_and(|row| {
            row.state = DeliveryState::Done;
            row.error = None;
            true
        }))
    }

    async fn retry(&self, delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool> {
        let (mut data, now) = self.open();
        let row = data.deliveries.end_lease(delivery);
        Ok(row.is_some_and(|row| {
            row.due_at = now.after(after);
            row.error = Some(error.to_owned());
            true
        }))
    }

    async fn park(&self, delivery: &LeasedDelivery, error: &str) -> Result<bool> {
        let (mut data, _) = self.open();
        let row = data.deliveries.end_lease(delivery);
        Ok(row.is_some_and(|row| {
            row.state = DeliveryState::Parked;
            row.error = Some(error.to_owned());
            true
        }))
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Slice<DeliveryRecord>> {
        let after = number_after(after, "store.deliveries")?;
        let (data, _) = self.open();
        let deliveries = &data.deliveries;
        let later = deliveries.order.range((Excluded(after), Unbounded));
        slice(
            later
                .filter_map(|(number, key)| Some((number, key, deliveries.rows.get(key)?)))
                .filter(|(_, key, row)| matches(filter, key, row))
                .map(|(number, key, row)| (number, row.record(key))),
            n,
        )
    }

    async fn replay(&self, key: &DeliveryKey) -> Result<bool> {
        let (mut data, now) = self.open();
        let row = data.deliveries.get_mut(key);
        Ok(row.is_some_and(|row| {
            let rests = row.state != DeliveryState::Waiting;
            if rests {
                row.state = DeliveryState::Waiting;
                row.due_at = now;
            }
            rests
        }))
    }
}
