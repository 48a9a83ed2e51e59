//! In-memory endpoints and outbound messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;

use super::{Data, MemoryStore, number_after, slice};
use crate::account::TenantId;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::connection::Version;
use crate::error::Result;
use crate::event::AuditEntry;
use crate::outbound::{EventType, MessageId};
use crate::store::record::ATTEMPTS_KEPT;
use crate::store::{
    AttemptRecord, ChangeEndpointOutcome, Cursor, Endpoint, EndpointChange, EndpointFilter,
    EndpointKey, EndpointState, EndpointTransition, Enqueued, LeasedMessage, MessageKey,
    MessageLease, NewEndpoint, NewMessage, OutboundFilter, OutboundRecord, OutboundState,
    OutboundStore, OutboundVerdict, Page, PutEndpointOutcome, Settled, Settlement,
};

#[derive(Default)]
pub(super) struct Outbound {
    pub(super) endpoints: BTreeMap<EndpointKey, Row>,
    order: BTreeMap<u64, EndpointKey>,
    pub(super) messages: BTreeMap<MessageKey, Stored>,
    deliveries: BTreeMap<u64, Delivery>,
    by_key: HashMap<(EndpointKey, MessageId), u64>,
    last_lease: u64,
}

pub(super) struct Row {
    pub(super) number: u64,
    pub(super) kept: Endpoint,
    /// Waiting deliveries, by the time when they are due.
    waiting: BTreeSet<(Timestamp, u64)>,
    /// Deliveries with a lease that may have expired.
    leased: BTreeSet<u64>,
    /// The pending deliveries of each resource, if the endpoint has order per resource.
    lanes: BTreeMap<String, BTreeSet<u64>>,
    /// The number of the last lease.
    turn: u64,
}

pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) sealed: Sealed,
    event_type: EventType,
    resource: Option<String>,
    at: Timestamp,
    accepted_at: Timestamp,
    keep_until: Timestamp,
    deliveries: Vec<u64>,
}

struct Delivery {
    endpoint: EndpointKey,
    message: MessageKey,
    state: OutboundState,
    attempts: u32,
    tries: u32,
    error: Option<String>,
    due_at: Timestamp,
    lease: Option<u64>,
    /// The resource, if the endpoint had order per resource when the message was enqueued.
    lane: Option<String>,
    log: Vec<AttemptRecord>,
}

impl Outbound {
    /// Changes the state of a delivery and its place in the indexes. A delivery that rests makes
    /// the next one of its resource due.
    fn place(&mut self, number: u64, state: OutboundState, due_at: Timestamp) {
        let Some(delivery) = self.deliveries.get_mut(&number) else {
            return;
        };
        let Some(row) = self.endpoints.get_mut(&delivery.endpoint) else {
            return;
        };
        row.waiting.remove(&(delivery.due_at, number));
        if delivery.lease.is_none() {
            row.leased.remove(&number);
        }
        delivery.state = state;
        delivery.due_at = due_at;
        if state == OutboundState::Waiting {
            row.waiting.insert((due_at, number));
        }
        let Some(lane) = delivery.lane.clone() else {
            return;
        };
        if state.is_pending() {
            row.lanes.entry(lane).or_default().insert(number);
            return;
        }
        let Some(pending) = row.lanes.get_mut(&lane) else {
            return;
        };
        pending.remove(&number);
        let next = pending.first().copied();
        if pending.is_empty() {
            row.lanes.remove(&lane);
        }
        if let Some(next) = next.and_then(|it| Some((it, self.deliveries.get(&it)?)))
            && next.1.state == OutboundState::Held
        {
            self.place(next.0, OutboundState::Waiting, due_at);
        }
    }

    /// Skips all pending deliveries of an endpoint. A current attempt may still deliver its message.
    fn skip(&mut self, key: &EndpointKey, now: Timestamp) {
        let Some(row) = self.endpoints.get_mut(key) else {
            return;
        };
        let held = row.lanes.values().flatten();
        let pending: BTreeSet<u64> = row
            .waiting
            .iter()
            .map(|it| &it.1)
            .chain(held)
            .copied()
            .collect();
        row.lanes.clear();
        for number in pending {
            self.place(number, OutboundState::Skipped, now);
        }
    }

    fn remove_message(&mut self, key: &MessageKey) {
        let Some(message) = self.messages.remove(key) else {
            return;
        };
        for number in message.deliveries {
            if let Some(it) = self.deliveries.remove(&number) {
                self.by_key.remove(&(it.endpoint, it.message.id));
            }
        }
    }

    /// Removes at most `n` messages whose retention time has passed.
    pub(super) fn purge(&mut self, now: Timestamp, n: usize) -> usize {
        let is_pending = |number: &u64| {
            let delivery = self.deliveries.get(number);
            delivery.is_some_and(|it| it.state.is_pending())
        };
        let expired = self.messages.iter().filter(|(_, message)| {
            message.keep_until <= now && !message.deliveries.iter().any(is_pending)
        });
        let gone: Vec<_> = expired.take(n).map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.remove_message(key);
        }
        gone.len()
    }

    fn of<'a>(
        &'a self,
        tenant: &'a TenantId,
        provider: &'a crate::ProviderId,
    ) -> impl Iterator<Item = &'a Row> {
        let all = self.endpoints.values();
        all.filter(move |row| row.kept.key.tenant == *tenant && row.kept.provider == *provider)
    }

    /// Returns the numbers of the deliveries to lease next.
    fn turns(&self, request: &MessageLease, now: Timestamp) -> Vec<u64> {
        if let Some((endpoint, id)) = &request.only {
            let number = self.by_key.get(&(endpoint.clone(), id.clone())).copied();
            let due = |number: &u64| {
                let delivery = self.deliveries.get(number);
                delivery.is_some_and(|it| it.state == OutboundState::Waiting && it.due_at <= now)
            };
            return number.filter(due).into_iter().collect();
        }
        let mut of_tenant: HashMap<&TenantId, usize> = HashMap::new();
        let mut open = Vec::new();
        for row in self.endpoints.values() {
            let busy = row.leased.iter().filter(|number| {
                let delivery = self.deliveries.get(number);
                delivery.is_some_and(|it| it.due_at > now)
            });
            let busy = busy.count();
            *of_tenant.entry(&row.kept.key.tenant).or_default() += busy;
            let most = match row.kept.health.failures {
                0 => usize::from(request.per_endpoint),
                _ => 1,
            };
            let room = most.saturating_sub(busy);
            let is_due = row.waiting.first().is_some_and(|(at, _)| *at <= now)
                && row.kept.health.not_before.is_none_or(|at| at <= now);
            if is_due && room > 0 {
                open.push((row.turn, row.number, room, row));
            }
        }
        open.sort_unstable_by_key(|(turn, number, ..)| (*turn, *number));
        let mut placed: Vec<_> = open
            .into_iter()
            .map(|(turn, number, room, row)| {
                let place = of_tenant.entry(&row.kept.key.tenant).or_default();
                *place += 1;
                (*place, turn, number, room, row)
            })
            .filter(|(place, ..)| *place <= usize::from(request.per_tenant))
            .collect();
        placed.sort_unstable_by_key(|(place, turn, number, ..)| (*place, *turn, *number));
        placed.truncate(request.n.into());
        let share = usize::from(request.n) / placed.len().max(1);
        // Each endpoint in `placed` counts for one message in `of_tenant` already.
        let mut turns = Vec::new();
        for (.., room, row) in &placed {
            let used = of_tenant.entry(&row.kept.key.tenant).or_default();
            let left = usize::from(request.per_tenant).saturating_sub(*used);
            let take = (*room).min(share.max(1)).min(left + 1);
            let due = row
                .waiting
                .iter()
                .take_while(|(at, _)| *at <= now)
                .take(take);
            let before = turns.len();
            turns.extend(due.map(|(_, number)| *number));
            *used += (turns.len() - before).saturating_sub(1);
        }
        turns.truncate(request.n.into());
        turns
    }

    fn lease(
        &mut self,
        number: u64,
        request: &MessageLease,
        now: Timestamp,
    ) -> Option<LeasedMessage> {
        self.last_lease += 1;
        let lease = self.last_lease;
        let delivery = self.deliveries.get_mut(&number)?;
        let message = self.messages.get(&delivery.message)?;
        let row = self.endpoints.get_mut(&delivery.endpoint)?;
        row.waiting.remove(&(delivery.due_at, number));
        delivery.due_at = now.after(request.lease);
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.lease = Some(lease);
        row.waiting.insert((delivery.due_at, number));
        row.leased.insert(number);
        row.turn = lease;
        Some(LeasedMessage {
            endpoint: row.kept.clone(),
            id: delivery.message.id.clone(),
            event_type: message.event_type.clone(),
            sealed: message.sealed.clone(),
            attempt: delivery.attempts,
            tries: delivery.tries,
            lease,
        })
    }

    /// Stores a result and returns the audit entry to write.
    fn settle(
        &mut self,
        result: &Settlement,
        now: Timestamp,
    ) -> Option<(Settled, Option<AuditEntry>)> {
        let number = *self
            .by_key
            .get(&(result.endpoint.clone(), result.id.clone()))?;
        let delivery = self.deliveries.get_mut(&number)?;
        if delivery.lease != Some(result.lease) {
            return None;
        }
        let row = self.endpoints.get_mut(&result.endpoint)?;
        let settled = row.kept.settle(delivery.state, result, now);
        delivery.lease = None;
        delivery.error.clone_from(&result.log.error);
        delivery.log.push(AttemptRecord {
            attempt: result.attempt,
            at: now,
            log: result.log.clone(),
        });
        if delivery.log.len() > ATTEMPTS_KEPT as usize {
            delivery.log.remove(0);
        }
        let due_at = match result.verdict {
            OutboundVerdict::Retry(after) => {
                delivery.tries = delivery.tries.saturating_add(1);
                now.after(after)
            }
            OutboundVerdict::Postponed(after) => now.after(after),
            _ => now,
        };
        self.place(number, settled.state, due_at);
        let audit = result.audit.as_deref();
        let entry = match settled.transition {
            None => None,
            Some(EndpointTransition::Failing) => audit.map(|it| it.failing.clone()),
            Some(transition) => {
                self.skip(&result.endpoint, now);
                audit.map(|it| match transition {
                    EndpointTransition::Gone => it.gone.clone(),
                    _ => it.failed.clone(),
                })
            }
        };
        Some((settled, entry))
    }

    fn matches(&self, filter: &OutboundFilter, delivery: &Delivery) -> bool {
        let accepted_at = self
            .messages
            .get(&delivery.message)
            .map(|it| it.accepted_at);
        let message = &delivery.message;
        filter
            .tenant
            .as_ref()
            .is_none_or(|it| *it == message.tenant)
            && filter
                .provider
                .as_ref()
                .is_none_or(|it| *it == message.provider)
            && filter.endpoint.is_none_or(|it| it == delivery.endpoint.id)
            && filter.message.as_ref().is_none_or(|it| *it == message.id)
            && filter.state.is_none_or(|it| it == delivery.state)
            && (!filter.undelivered
                || !(delivery.state.is_pending() || delivery.state == OutboundState::Delivered))
            && filter.since.is_none_or(|it| accepted_at >= Some(it))
            && filter.until.is_none_or(|it| accepted_at < Some(it))
    }
}

impl Data {
    fn record_all(&mut self, audit: Vec<AuditEntry>, now: Timestamp) {
        for entry in audit {
            self.audit.record(entry, now);
        }
    }
}

#[async_trait]
impl OutboundStore for MemoryStore {
    async fn put_endpoint(
        &self,
        new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome> {
        let (mut data, now) = self.open();
        let outbound = &data.outbound;
        if outbound.endpoints.contains_key(&new.key) {
            return Ok(PutEndpointOutcome::Stored);
        }
        let own = || outbound.of(&new.key.tenant, &new.provider);
        let namesake = own().find(|row| new.alias.is_some() && row.kept.alias == new.alias);
        if let Some(row) = namesake {
            return Ok(PutEndpointOutcome::Exists(Box::new(row.kept.clone())));
        }
        let live = own()
            .filter(|row| row.kept.state != EndpointState::Gone)
            .count();
        if u32::try_from(live).is_ok_and(|live| live >= new.limit) {
            return Ok(PutEndpointOutcome::TooMany);
        }
        let number = data.numbers.next();
        let key = new.key.clone();
        let row = Row {
            number,
            kept: Endpoint::new(new, now),
            waiting: BTreeSet::new(),
            leased: BTreeSet::new(),
            lanes: BTreeMap::new(),
            turn: 0,
        };
        data.outbound.order.insert(number, key.clone());
        data.outbound.endpoints.insert(key, row);
        data.record_all(audit, now);
        Ok(PutEndpointOutcome::Stored)
    }

    async fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>> {
        let (data, _) = self.open();
        let row = data.outbound.endpoints.get(key);
        Ok(row.map(|row| row.kept.clone()))
    }

    async fn endpoints(
        &self,
        filter: &EndpointFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<Endpoint>> {
        let after = number_after(after, "store.endpoints")?;
        let (data, _) = self.open();
        let outbound = &data.outbound;
        let later = outbound.order.range((Excluded(after), Unbounded));
        let matches = |it: &Endpoint| {
            filter
                .tenant
                .as_ref()
                .is_none_or(|tenant| *tenant == it.key.tenant)
                && filter
                    .provider
                    .as_ref()
                    .is_none_or(|provider| *provider == it.provider)
                && filter.state.is_none_or(|state| state == it.state)
        };
        slice(
            later
                .filter_map(|(number, key)| Some((number, &outbound.endpoints.get(key)?.kept)))
                .filter(|(_, kept)| matches(kept))
                .map(|(number, kept)| (number, kept.clone())),
            n,
        )
    }

    async fn change_endpoint(
        &self,
        key: &EndpointKey,
        at: Version,
        change: EndpointChange,
        audit: Vec<AuditEntry>,
    ) -> Result<ChangeEndpointOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.outbound.endpoints.get_mut(key) else {
            return Ok(ChangeEndpointOutcome::Missing);
        };
        if row.kept.version != at {
            return Ok(ChangeEndpointOutcome::Moved(Box::new(row.kept.clone())));
        }
        let skips = row.kept.change(change);
        let changed = row.kept.clone();
        if skips {
            data.outbound.skip(key, now);
        }
        data.record_all(audit, now);
        Ok(ChangeEndpointOutcome::Changed(Box::new(changed)))
    }

    async fn remove_endpoint(&self, key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool> {
        let (mut data, now) = self.open();
        let outbound = &mut data.outbound;
        let Some(row) = outbound.endpoints.remove(key) else {
            return Ok(false);
        };
        outbound.order.remove(&row.number);
        outbound.by_key.retain(|(endpoint, _), _| endpoint != key);
        let (deliveries, messages) = (&mut outbound.deliveries, &mut outbound.messages);
        deliveries.retain(|number, it| {
            let is_other = it.endpoint != *key;
            if !is_other && let Some(message) = messages.get_mut(&it.message) {
                message.deliveries.retain(|it| it != number);
            }
            is_other
        });
        data.record_all(audit, now);
        Ok(true)
    }

    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        let outbound = &mut data.outbound;
        if outbound.messages.contains_key(&message.key) {
            return Ok(Enqueued {
                is_duplicate: true,
                ..Enqueued::default()
            });
        }
        let mut enqueued = Enqueued::default();
        let mut deliveries = Vec::new();
        let first = EndpointKey::new(
            message.key.tenant.clone(),
            crate::store::EndpointId::from_bytes([0; 16]),
        );
        let own = outbound.endpoints.range_mut(first..);
        for (key, row) in own.take_while(|(key, _)| key.tenant == message.key.tenant) {
            let lane = message.resource.clone().filter(|_| row.kept.is_ordered);
            let is_preceded = lane.as_ref().is_some_and(|it| row.lanes.contains_key(it));
            let Some(state) = row.kept.receives(&message, is_preceded) else {
                continue;
            };
            let number = data.numbers.next();
            if state.is_pending() {
                enqueued.pending += 1;
                if let Some(lane) = lane.clone() {
                    row.lanes.entry(lane).or_default().insert(number);
                }
            } else {
                enqueued.skipped += 1;
            }
            if state == OutboundState::Waiting {
                row.waiting.insert((now, number));
            }
            let delivery = Delivery {
                endpoint: key.clone(),
                message: message.key.clone(),
                state,
                attempts: 0,
                tries: 0,
                error: None,
                due_at: now,
                lease: None,
                lane,
                log: Vec::new(),
            };
            deliveries.push(number);
            outbound
                .by_key
                .insert((key.clone(), message.key.id.clone()), number);
            outbound.deliveries.insert(number, delivery);
        }
        let stored = Stored {
            number: data.numbers.next(),
            sealed: message.sealed,
            event_type: message.event_type,
            resource: message.resource,
            at: message.at,
            accepted_at: now,
            keep_until: now.after(message.keep_for),
            deliveries,
        };
        outbound.messages.insert(message.key, stored);
        Ok(enqueued)
    }

    async fn lease_messages(&self, request: &MessageLease) -> Result<Vec<LeasedMessage>> {
        let (mut data, now) = self.open();
        let outbound = &mut data.outbound;
        if request.n == 0 {
            return Ok(Vec::new());
        }
        let turns = outbound.turns(request, now);
        let leased = turns
            .into_iter()
            .filter_map(|it| outbound.lease(it, request, now));
        Ok(leased.collect())
    }

    async fn settle_messages(&self, settlements: &[Settlement]) -> Result<Vec<Option<Settled>>> {
        let (mut data, now) = self.open();
        let mut all = Vec::with_capacity(settlements.len());
        for result in settlements {
            let settled = data.outbound.settle(result, now);
            all.push(settled.map(|(settled, entry)| {
                data.record_all(entry.into_iter().collect(), now);
                settled
            }));
        }
        Ok(all)
    }

    async fn outbound(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>> {
        let after = number_after(after, "store.outbound")?;
        let (data, _) = self.open();
        let outbound = &data.outbound;
        let later = outbound.deliveries.range((Excluded(after), Unbounded));
        slice(
            later
                .filter(|(_, it)| outbound.matches(filter, it))
                .filter_map(|(number, it)| {
                    let message = outbound.messages.get(&it.message)?;
                    let record = OutboundRecord {
                        endpoint: it.endpoint.clone(),
                        message: it.message.id.clone(),
                        event_type: message.event_type.clone(),
                        resource: message.resource.clone(),
                        at: message.at,
                        state: it.state,
                        attempts: it.attempts,
                        error: it.error.clone(),
                        accepted_at: message.accepted_at,
                        due_at: it.due_at,
                    };
                    Some((number, record))
                }),
            n,
        )
    }

    async fn attempts(&self, endpoint: &EndpointKey, id: &MessageId) -> Result<Vec<AttemptRecord>> {
        let (data, _) = self.open();
        let outbound = &data.outbound;
        let number = outbound.by_key.get(&(endpoint.clone(), id.clone()));
        let delivery = number.and_then(|it| outbound.deliveries.get(it));
        Ok(delivery.map(|it| it.log.clone()).unwrap_or_default())
    }

    async fn replay_messages(&self, filter: &OutboundFilter, n: u16) -> Result<u32> {
        let (mut data, now) = self.open();
        let outbound = &mut data.outbound;
        let is_enabled = |key: &EndpointKey| {
            let row = outbound.endpoints.get(key);
            row.is_some_and(|row| row.kept.state == EndpointState::Enabled)
        };
        let found = outbound.deliveries.iter().filter(|(_, it)| {
            !it.state.is_pending() && outbound.matches(filter, it) && is_enabled(&it.endpoint)
        });
        let found: Vec<u64> = found.map(|(number, _)| *number).take(n.into()).collect();
        for number in &found {
            let Some(delivery) = outbound.deliveries.get_mut(number) else {
                continue;
            };
            delivery.tries = 0;
            delivery.lease = None;
            let row = outbound.endpoints.get(&delivery.endpoint);
            let is_preceded = delivery
                .lane
                .as_ref()
                .is_some_and(|lane| row.is_some_and(|row| row.lanes.contains_key(lane)));
            let state = if is_preceded {
                OutboundState::Held
            } else {
                OutboundState::Waiting
            };
            outbound.place(*number, state, now);
        }
        Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
    }
}
