//! The in-memory delivery queue.

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
    AcceptOutcome, Cursor, DeliveryFilter, DeliveryKey, DeliveryLimits, DeliveryQueue,
    DeliveryRecord, DeliveryState, DeliveryTurn, LeaseRequest, LeasedDelivery, NewDelivery, Page,
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
    /// The number of the current lease. It ends when the delivery is due again and another caller
    /// leases it.
    lease: Option<u64>,
    turn: DeliveryTurn,
    content: Option<[u8; 32]>,
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

    /// Removes at most `n` deliveries whose retention time has passed.
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

    /// Returns the reason for the rejection if a limit does not allow the new delivery.
    fn bound(&self, new: &NewDelivery, now: Timestamp) -> Option<AcceptOutcome> {
        let is_there = |key: &DeliveryKey| {
            key.direction == new.key.direction
                && key.provider == new.key.provider
                && key.app == new.key.app
                && key.endpoint == new.key.endpoint
        };
        let count = |counts: &dyn Fn(&Delivery) -> bool| {
            let rows = self.rows.iter();
            rows.filter(|(key, row)| is_there(key) && counts(row))
                .count()
        };
        let reached =
            |count: usize, most: u32| u32::try_from(count).is_ok_and(|count| count >= most);
        let DeliveryLimits {
            waiting,
            alike,
            alike_within,
        } = new.limits;
        if alike > 0 && new.content.is_some() {
            let since = now.before(alike_within);
            let found = count(&|row| row.content == new.content && row.accepted_at > since);
            if reached(found, alike) {
                return Some(AcceptOutcome::Alike);
            }
        }
        if waiting > 0 {
            let found = count(&|row| {
                row.state == DeliveryState::Waiting && row.turn.owner == new.turn.owner
            });
            if reached(found, waiting) {
                return Some(AcceptOutcome::Full);
            }
        }
        None
    }

    /// Returns the keys of the deliveries to lease next, in order.
    fn turns(&self, request: &LeaseRequest, now: Timestamp) -> Vec<DeliveryKey> {
        let waiting = self.rows.iter().filter(|(key, row)| {
            key.direction == request.direction && row.state == DeliveryState::Waiting
        });
        let (mut in_lane, mut of_owner) = (BTreeMap::new(), BTreeMap::new());
        let mut due = Vec::new();
        for (key, row) in waiting {
            if row.due_at <= now {
                due.push((row.due_at, row.number, key, &row.turn));
            } else if row.lease.is_some() {
                *in_lane.entry(&row.turn).or_insert(0_u64) += 1;
                *of_owner.entry(row.turn.owner.as_str()).or_insert(0_u64) += 1;
            }
        }
        due.sort_unstable_by_key(|(due_at, number, ..)| (*due_at, *number));
        let mut next_in_lane = |turn| {
            let place = in_lane.entry(turn).or_insert(0);
            *place += 1;
            *place
        };
        let mut placed: Vec<_> = due
            .into_iter()
            .map(|(due_at, number, key, turn)| (next_in_lane(turn), due_at, number, key, turn))
            .filter(|(place, ..)| *place <= request.per_lane.into())
            .collect();
        placed.sort_unstable_by_key(|(place, due_at, number, ..)| (*place, *due_at, *number));
        let mut turns = Vec::with_capacity(placed.len());
        for (_, due_at, number, key, turn) in placed {
            let place = of_owner.entry(turn.owner.as_str()).or_insert(0);
            *place += 1;
            if *place <= request.per_owner.into() {
                turns.push((*place, due_at, number, key));
            }
        }
        turns.sort_unstable_by_key(|(place, due_at, number, _)| (*place, *due_at, *number));
        let turns = turns.into_iter().take(request.n.into());
        turns.map(|(.., key)| key.clone()).collect()
    }

    /// Ends the lease and returns its delivery. Returns `None` if this lease was lost.
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
        if let Some(kept_out) = data.deliveries.bound(&delivery, now) {
            return Ok(kept_out);
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
            turn: delivery.turn,
            content: delivery.content,
        };
        data.deliveries.order.insert(number, delivery.key.clone());
        data.deliveries.rows.insert(delivery.key, row);
        Ok(AcceptOutcome::Accepted)
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>> {
        let (mut data, now) = self.open();
        let deliveries = &mut data.deliveries;
        let turns = deliveries.turns(request, now);
        let mut leased = Vec::with_capacity(turns.len());
        for key in turns {
            let Some(row) = deliveries.rows.get_mut(&key) else {
                continue;
            };
            deliveries.last_lease += 1;
            row.lease = Some(deliveries.last_lease);
            row.attempts = row.attempts.saturating_add(1);
            row.due_at = now.after(request.lease);
            leased.push(LeasedDelivery {
                key,
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
    ) -> Result<Page<DeliveryRecord>> {
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

    async fn replay(&self, key: &DeliveryKey, tenant: Option<&TenantId>) -> Result<bool> {
        let (mut data, now) = self.open();
        let row = data.deliveries.get_mut(key);
        Ok(row.is_some_and(|row| {
            let is_theirs = tenant.is_none_or(|tenant| row.tenant.as_ref() == Some(tenant));
            let rests = is_theirs && row.state != DeliveryState::Waiting;
            if rests {
                row.state = DeliveryState::Waiting;
                row.due_at = now;
            }
            rests
        }))
    }
}
