//! In-memory connections, claims and due work.

pub(super) mod row;

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use async_trait::async_trait;

use self::row::{Given, Row};
use super::{Data, MemoryStore, number_after, slice};
use crate::account::{AccountKey, AccountRef, TenantId};
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::connection::{
    Check, ConnectionKey, ConnectionRecord, Fence, Generation, GrantNumber, Status, TimeLeft,
    Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::provider_id::ProviderId;
use crate::store::{
    ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Cursor, Due, End, EndOutcome,
    EndRequest, Expect, FailOutcome, Failure, Filter, NewQuarantine, Page, Patch, PutGrant,
    PutOutcome, Quarantined, Revocation, SideEffects, StateKey, Stored, TokenStore, UpdateOutcome,
    Verdict, WorkKind,
};

type Route = (ProviderId, AppKey, AccountKey);

#[derive(Default)]
pub(super) struct Tokens {
    pub(super) rows: BTreeMap<ConnectionKey, Row>,
    order: BTreeMap<u64, ConnectionKey>,
    accounts: BTreeMap<Route, BTreeMap<TenantId, ConnectionKey>>,
    work: BTreeMap<(ConnectionKey, WorkKind), Work>,
    last_lease: u64,
    pub(super) quarantine: BTreeMap<StateKey, Quarantine>,
    pub(super) revocations: BTreeMap<(ConnectionKey, Fence), QueuedRevocation>,
}

struct Work {
    due_at: Timestamp,
    lease: Option<Lease>,
}

struct Lease {
    number: u64,
    until: Timestamp,
}

pub(super) struct Quarantine {
    pub(super) number: u64,
    pub(super) tenant: TenantId,
    pub(super) provider: ProviderId,
    pub(super) app: AppKey,
    pub(super) sealed: Sealed,
    /// The originally stored sealed bytes, to recognize a repeated call after a key rotation.
    put: Given,
    due_at: Timestamp,
    keep_until: Timestamp,
}

impl Quarantine {
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.keep_until <= now
    }

    fn answer(&self, state: StateKey, now: Timestamp) -> Quarantined {
        Quarantined {
            state,
            tenant: self.tenant.clone(),
            provider: self.provider.clone(),
            app: self.app.clone(),
            sealed: self.sealed.clone(),
            until: TimeLeft::between(now, self.keep_until),
        }
    }
}

pub(super) struct QueuedRevocation {
    pub(super) number: u64,
    pub(super) revocation: Revocation,
}

impl Tokens {
    fn key_of(&self, account: &AccountRef) -> Option<&ConnectionKey> {
        let route = (
            account.provider.clone(),
            account.app.clone(),
            account.account.clone(),
        );
        self.accounts.get(&route)?.get(&account.tenant)
    }

    fn insert(&mut self, row: Row) {
        let connection = &row.connection;
        let key = &connection.key;
        self.order.insert(row.number, key.clone());
        self.accounts
            .entry(route(connection))
            .or_default()
            .insert(key.tenant.clone(), key.clone());
        self.rows.insert(key.clone(), row);
    }

    fn remove(&mut self, key: &ConnectionKey) {
        let Some(row) = self.rows.remove(key) else {
            return;
        };
        self.order.remove(&row.number);
        let route = route(&row.connection);
        if let Some(tenants) = self.accounts.get_mut(&route) {
            tenants.remove(&key.tenant);
            if tenants.is_empty() {
                self.accounts.remove(&route);
            }
        }
    }
}

fn route(connection: &ConnectionRecord) -> Route {
    (
        connection.provider.clone(),
        connection.app.clone(),
        connection.account.key.clone(),
    )
}

impl Data {
    pub(super) fn apply(&mut self, key: &ConnectionKey, effects: SideEffects, now: Timestamp) {
        for (kind, delay) in effects.schedule {
            let place = (key.clone(), kind);
            match delay {
                Some(delay) => {
                    let work = Work {
                        due_at: now.after(delay),
                        lease: None,
                    };
                    self.tokens.work.insert(place, work);
                }
                None => {
                    self.tokens.work.remove(&place);
                }
            }
        }
        for entry in effects.audit {
            self.audit.record(entry, now);
        }
    }

    /// Queues a revocation. Returns false if a revocation of this connection and fence is already
    /// queued.
    fn queue(&mut self, revocation: Revocation) -> bool {
        let place = (revocation.key.clone(), revocation.fence);
        if self.tokens.revocations.contains_key(&place) {
            return false;
        }
        let number = self.numbers.next();
        let queued = QueuedRevocation { number, revocation };
        self.tokens.revocations.insert(place, queued);
        true
    }

    fn first_grant(&mut self, grant: PutGrant, now: Timestamp) -> Result<Option<PutOutcome>> {
        if grant.grant != GrantNumber::new(1)
            || grant.generation != Generation::new(1)
            || grant.fence != Fence::new(1)
        {
            return Err(refused(
                "grant, generation and fence of a new connection must be 1",
            ));
        }
        let account = AccountRef {
            tenant: grant.key.tenant.clone(),
            provider: grant.provider.clone(),
            app: grant.app.clone(),
            account: grant.account.key.clone(),
        };
        if let Some(row) = self
            .tokens
            .key_of(&account)
            .and_then(|key| self.tokens.rows.get(key))
        {
            if row.connection.key == grant.key && row.first_is_current(&grant) {
                return Ok(Some(PutOutcome::Stored));
            }
            return Ok(Some(PutOutcome::Moved(Box::new(row.stored(now)))));
        }
        if self.tokens.rows.contains_key(&grant.key) {
            return Err(refused(
                "the connection belongs to another account; use another connection id",
            ));
        }
        let number = self.numbers.next();
        self.tokens.insert(Row::new(number, grant, now));
        Ok(None)
    }

    fn next_grant(
        &mut self,
        grant: PutGrant,
        seen: Generation,
        now: Timestamp,
    ) -> Result<Option<PutOutcome>> {
        let Some(row) = self.tokens.rows.get_mut(&grant.key) else {
            return Ok(Some(PutOutcome::Missing));
        };
        let known = &row.connection;
        if (&known.provider, &known.app, &known.account.key)
            != (&grant.provider, &grant.app, &grant.account.key)
        {
            return Err(refused(
                "the connection belongs to another account; store the grant under its own \
                 connection",
            ));
        }
        if known.generation != seen {
            if row.first_is_current(&grant) {
                return Ok(Some(PutOutcome::Stored));
            }
            return Ok(Some(PutOutcome::Moved(Box::new(row.stored(now)))));
        }
        if grant.generation != seen.next()
            || grant.grant != known.grant.next()
            || grant.fence == Fence::default()
            || grant.fence > known.fence
            || row.current.as_ref().is_some_and(|c| c.fence == grant.fence)
        {
            return Err(refused(
                "grant and generation must be the next numbers, and the fence must be of an unused \
                 claim on this connection",
            ));
        }
        row.replace_grant(grant, now);
        Ok(None)
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "store.put_grant", message)
}

fn matches(filter: &Filter, connection: &ConnectionRecord) -> bool {
    filter
        .tenant
        .as_ref()
        .is_none_or(|t| *t == connection.key.tenant)
        && filter
            .provider
            .as_ref()
            .is_none_or(|p| *p == connection.provider)
        && filter.app.as_ref().is_none_or(|a| *a == connection.app)
        && filter
            .status
            .is_none_or(|status| status == connection.status.as_str())
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>> {
        let (data, now) = self.open();
        Ok(data.tokens.rows.get(key).map(|row| row.stored(now)))
    }

    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>> {
        let (data, _) = self.open();
        let row = data.tokens.rows.get(key);
        Ok(row.map(|row| row.connection.generation))
    }

    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>> {
        let (data, _) = self.open();
        Ok(data.tokens.key_of(account).cloned())
    }

    async fn find_by_account(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountKey,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        let after = number_after(after, "store.find_by_account")?;
        let (data, _) = self.open();
        let route = (provider.clone(), app.clone(), account.clone());
        let mut found: Vec<_> = data
            .tokens
            .accounts
            .get(&route)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|key| data.tokens.rows.get(key))
            .filter(|row| {
                row.number > after && row.connection.is_live() && !row.connection.account.asserted
            })
            .collect();
        found.sort_by_key(|row| row.number);
        slice(
            found
                .into_iter()
                .map(|row| (row.number, row.connection.key.clone())),
            n,
        )
    }

    async fn find_by_host(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        host: &str,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        let after = number_after(after, "store.find_by_host")?;
        let (data, _) = self.open();
        let later = data.tokens.order.range((Excluded(after), Unbounded));
        slice(
            later
                .filter_map(|(number, key)| Some((number, &data.tokens.rows.get(key)?.connection)))
                .filter(|(_, it)| (&it.provider, &it.app) == (provider, app))
                .filter(|(_, it)| it.is_live() && !it.account.asserted)
                .filter(|(_, it)| it.account.host.as_deref() == Some(host))
                .map(|(number, it)| (number, it.key.clone())),
            n,
        )
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionRecord>> {
        let after = number_after(after, "store.list")?;
        let (data, _) = self.open();
        let later = data.tokens.order.range((Excluded(after), Unbounded));
        slice(
            later
                .filter_map(|(number, key)| Some((number, data.tokens.rows.get(key)?)))
                .filter(|(_, row)| matches(filter, &row.connection))
                .map(|(number, row)| (number, row.connection.clone())),
            n,
        )
    }

    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome> {
        let (mut data, now) = self.open();
        let key = grant.key.clone();
        let takes = grant.takes;
        let decided = match grant.expect {
            Expect::Absent => data.first_grant(grant, now)?,
            Expect::At(seen) => data.next_grant(grant, seen, now)?,
        };
        if let Some(outcome) = decided {
            return Ok(outcome);
        }
        if let Some(state) = takes {
            data.tokens.quarantine.remove(&state);
        }
        data.apply(&key, effects, now);
        Ok(PutOutcome::Stored)
    }

    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.tokens.rows.get_mut(key) else {
            return Ok(UpdateOutcome::Missing);
        };
        let revives = !row.connection.is_live()
            && patch
                .status
                .as_ref()
                .is_some_and(|status| *status != row.connection.status);
        if row.connection.version != at || revives {
            return Ok(UpdateOutcome::Moved(Box::new(row.stored(now))));
        }
        if let Some(status) = patch.status {
            row.set_status(status, now);
        }
        if let Some(label) = patch.label {
            row.connection.account.label = Some(label);
        }
        if let Some(host) = patch.host {
            row.connection.account.host = Some(host);
        }
        if let Some(metadata) = patch.metadata {
            row.connection.metadata = metadata;
        }
        if let Some(error) = patch.check {
            row.connection.check = Some(Check { at: now, error });
        }
        row.confirm(patch.confirmed);
        row.written(now);
        let version = row.connection.version;
        data.apply(key, effects, now);
        Ok(UpdateOutcome::Updated(version))
    }

    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        let Some(row) = data.tokens.rows.get_mut(key) else {
            return Ok(EndOutcome::Missing);
        };
        let had_ended = !row.connection.is_live();
        // Forgetting also removes the record of a deactivated connection, so it counts as a change.
        let changes = !had_ended || request.how == End::Forget;
        if changes
            && request
                .at
                .is_some_and(|seen| seen != row.connection.generation)
        {
            return Ok(EndOutcome::Moved(Box::new(row.stored(now))));
        }
        let provider = row.connection.provider.clone();
        let app = row.connection.app.clone();
        let account = row.connection.account.key.clone();
        if changes {
            match request.how {
                End::Deactivate => row.deactivate(now),
                End::Forget => data.tokens.remove(key),
            }
            data.tokens.work.retain(|(of, _), _| of != key);
            data.end_subscriptions(key, request.unsubscribe.as_ref());
        }
        let mut queued = false;
        for new in request.revoke {
            queued |= data.queue(Revocation {
                key: key.clone(),
                provider: provider.clone(),
                app: app.clone(),
                account: account.clone(),
                grant: new.grant,
                fence: new.fence,
                sealed: new.sealed,
            });
        }
        // A repeated call that queues a revocation also schedules the work in its side effects.
        if changes || queued {
            data.apply(key, effects, now);
        }
        Ok(if changes {
            EndOutcome::Ended
        } else {
            EndOutcome::AlreadyEnded
        })
    }

    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.tokens.rows.get_mut(key) else {
            return Ok(ClaimOutcome::Ended);
        };
        if !row.connection.is_live() && request.kind == ClaimKind::Refresh {
            return Ok(ClaimOutcome::Ended);
        }
        if (request.grant, request.seen) != (row.connection.grant, row.connection.generation) {
            return Ok(ClaimOutcome::Moved(Box::new(row.stored(now))));
        }
        Ok(row.claim(&request, now))
    }

    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.tokens.rows.get_mut(key) else {
            return Ok(CommitOutcome::Ended);
        };
        if let Some(first) = row.outcome_of(commit.claim_id) {
            return Ok(first);
        }
        let outcome = row.commit(commit, now);
        if outcome == CommitOutcome::Stored {
            data.apply(key, effects, now);
        }
        Ok(outcome)
    }

    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.tokens.rows.get_mut(key) else {
            return Ok(FailOutcome::Ended);
        };
        if failure.resolves {
            row.resolve(failure.fence);
        }
        if !row.connection.is_live() {
            return Ok(FailOutcome::Ended);
        }
        if (failure.grant, failure.base) != (row.connection.grant, row.connection.generation) {
            return Ok(FailOutcome::Moved(Box::new(row.stored(now))));
        }
        let status = match failure.verdict {
            Verdict::Later { status } => status,
            Verdict::GiveUp { reason } => {
                if !row.pending.is_empty() {
                    return Ok(FailOutcome::PendingLeft(Box::new(row.stored(now))));
                }
                if let Some(other) = row.standing_beside(failure.fence, now) {
                    return Ok(FailOutcome::Held {
                        fence: other.fence,
                        until: other.until,
                    });
                }
                Some(Status::NeedsReauthorization(reason))
            }
        };
        row.count_failure(failure.claim_id);
        if let Some(status) = status {
            row.set_status(status, now);
        }
        row.written(now);
        data.apply(key, effects, now);
        Ok(FailOutcome::Applied)
    }

    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>> {
        let (mut data, now) = self.open();
        let tokens = &mut data.tokens;
        let mut due: Vec<_> = tokens
            .work
            .iter_mut()
            .filter(|((_, kind), work)| {
                kinds.contains(kind)
                    && work.due_at <= now
                    && work.lease.as_ref().is_none_or(|lease| lease.until <= now)
            })
            .collect();
        due.sort_by_key(|(_, work)| work.due_at);
        due.truncate(n.into());
        let mut taken = Vec::with_capacity(due.len());
        for ((key, kind), work) in due {
            tokens.last_lease += 1;
            work.lease = Some(Lease {
                number: tokens.last_lease,
                until: now.after(lease),
            });
            taken.push(Due {
                key: key.clone(),
                kind: *kind,
                lease: tokens.last_lease,
                late_by: now.since(work.due_at),
            });
        }
        Ok(taken)
    }

    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool> {
        let (mut data, now) = self.open();
        let place = (due.key.clone(), due.kind);
        let work = data.tokens.work.get_mut(&place).filter(|work| {
            work.lease
                .as_ref()
                .is_some_and(|lease| lease.number == due.lease)
        });
        let Some(work) = work else {
            return Ok(false);
        };
        match next {
            Some(delay) => {
                work.due_at = now.after(delay);
                work.lease = None;
            }
            None => {
                data.tokens.work.remove(&place);
            }
        }
        Ok(true)
    }

    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        let put = Given::of(&quarantine.sealed);
        if let Some(known) = data.tokens.quarantine.get(&quarantine.state)
            && !known.has_expired(now)
        {
            return Ok(known.put == put);
        }
        let row = Quarantine {
            number: data.numbers.next(),
            tenant: quarantine.tenant,
            provider: quarantine.provider,
            app: quarantine.app,
            sealed: quarantine.sealed,
            put,
            due_at: now.after(quarantine.delay),
            keep_until: now.after(quarantine.keep_for),
        };
        data.tokens.quarantine.insert(quarantine.state, row);
        Ok(true)
    }

    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>> {
        let (data, now) = self.open();
        let row = data.tokens.quarantine.get(state);
        Ok(row
            .filter(|row| !row.has_expired(now))
            .map(|row| row.answer(*state, now)))
    }

    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>> {
        let (mut data, now) = self.open();
        let mut due: Vec<_> = data
            .tokens
            .quarantine
            .iter_mut()
            .filter(|(_, row)| row.due_at <= now && !row.has_expired(now))
            .collect();
        due.sort_by_key(|(_, row)| row.due_at);
        due.truncate(n.into());
        Ok(due
            .into_iter()
            .map(|(state, row)| {
                row.due_at = now.after(lease);
                row.answer(*state, now)
            })
            .collect())
    }

    async fn release(&self, state: &StateKey) -> Result<bool> {
        let (mut data, now) = self.open();
        let released = data.tokens.quarantine.remove(state);
        Ok(released.is_some_and(|row| !row.has_expired(now)))
    }

    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()> {
        let (mut data, now) = self.open();
        let key = revocation.key.clone();
        if data.queue(revocation) {
            data.apply(&key, effects, now);
        }
        Ok(())
    }

    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>> {
        let (data, _) = self.open();
        let from = (key.clone(), Fence::default());
        Ok(data
            .tokens
            .revocations
            .range(from..)
            .take_while(|((of, _), _)| of == key)
            .map(|(_, queued)| queued.revocation.clone())
            .collect())
    }

    async fn revoked(&self, key: &ConnectionKey, fence: Fence) -> Result<bool> {
        let (mut data, _) = self.open();
        let removed = data.tokens.revocations.remove(&(key.clone(), fence));
        Ok(removed.is_some())
    }
}
