//! A correct store with one fault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::{KeyId, Sealed};
use connector_core::outbound::MessageId;
use connector_core::provider::subscription::ChannelId;
use connector_core::store::{
    AcceptOutcome, AccountRef, AttemptRecord, AuditFilter, AuditLog, AuditRecord, BeginOutcome,
    Change, ChangeEndpointOutcome, ChangeSubscriptionOutcome, Claim, ClaimOutcome, ClaimRequest,
    Commit, CommitOutcome, ConnectOutcome, ConnectionRecord, Cursor, DeliveryFilter, DeliveryKey,
    DeliveryQueue, DeliveryRecord, Due, EndOutcome, EndRequest, EndSubscriptionOutcome, Ending,
    Endpoint, EndpointChange, EndpointFilter, EndpointKey, Enqueued, FailOutcome, Failure, Fence,
    Filter, Generation, LeaseRequest, LeasedDelivery, LeasedMessage, Maintenance, MessageLease,
    NewDelivery, NewEndpoint, NewMessage, NewQuarantine, NewState, NewSubscription, OutboundFilter,
    OutboundRecord, OutboundState, OutboundStore, OutboundVerdict, Page, Patch, PutEndpointOutcome,
    PutGrant, PutOutcome, PutStateOutcome, PutSubscriptionOutcome, Quarantined, Revocation, RowRef,
    SealedRow, Settled, Settlement, SideEffects, StateKey, StateStore, Store, Stored, StoredState,
    Subscription, SubscriptionChange, SubscriptionKey, SubscriptionStore, TokenStore,
    UpdateOutcome, Verdict, Version, WorkKind,
};
use connector_core::{AccountKey, AppKey, AuditEntry, ConnectionKey, ProviderId, Result, Status};

/// The fault of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A commit does not resolve its claim.
    ClaimKeptByCommit,
    /// A commit clears any active claim.
    YoungerClaimCleared,
    /// A commit loses its side effects.
    EffectsLost,
    /// A commit writes its side effects after its credential, in a second step.
    CommitInTwoSteps,
    /// A refused change still applies its side effects.
    EffectsOfRefused,
    /// A key returns another tenant's record with the same id.
    WrongTenant,
    /// A list contains the connections of all tenants.
    ListOfEverybody,
    /// The audit log contains the entries of all tenants.
    AuditOfEverybody,
    /// A late pair is reported as pending, but not stored.
    PendingForgotten,
    /// A late pair replaces the current one.
    LateCommitStored,
    /// Giving up ends a grant although a pair is pending.
    PendingIgnored,
    /// A claim never expires.
    ClaimNeverExpires,
    /// A superseded claim is not reported.
    SupersededUnreported,
    /// A claim is granted although the generation has changed.
    StaleClaimGranted,
    /// A claim gets the fence of the previous one.
    FenceReused,
    /// An update overwrites a version that it has not seen.
    UpdateUnchecked,
    /// Reads return a value that the handle cached.
    StaleRead,
    /// A failure is counted each time it is reported.
    FailuresCountTwice,
    /// The generation does not change when a connection ends.
    GenerationKeptAtEnd,
    /// The credentials to revoke are lost at the end of a connection.
    RevocationLost,
    /// Work is returned without a lease.
    WorkHandedOutTwice,
    /// A flow begins with each callback.
    StateBegunTwice,
    /// A callback from another browser uses the flow up.
    WrongBindingConsumes,
    /// A repeated delivery is accepted.
    DuplicateAccepted,
    /// A lost lease of a delivery is accepted.
    LostLeaseHonoured,
    WaitingUnbounded,
    ContentUnbounded,
    OwnersForgotten,
    LanesForgotten,
    CapsIgnored,
    ReplayForEverybody,
    /// One kind of sealed record is not listed.
    QuarantineUnlisted,
    /// A record is resealed regardless of its content.
    ResealUnchecked,
    /// A purge removes records that are still needed.
    PurgeRemovesLive,
    /// Pruning removes entries of any age.
    PruneRemovesYoung,
    /// Pruning removes changes that no handler has handled.
    PruneRemovesUnhandled,
    /// The audit log returns entries after the requested time.
    UntilIgnored,
    /// The start of an audit listing is ignored.
    SinceIgnored,
    /// Every conflict of a flow is reported as the first one.
    ConflictAlwaysFirst,
    /// A second subscription for one watch is reported as stored.
    WatchTwice,
    /// A subscription is stored although the grant has changed.
    SubscriptionOfOldGrant,
    /// A key returns another tenant's subscriptions with the same connection id.
    SubscriptionsOfOtherTenant,
    /// A change of a subscription overwrites a version that its caller has not seen.
    CursorUnchecked,
    /// A replaced channel is lost.
    ReplacedChannelLost,
    /// Notifications that arrive during a read count as read.
    NotificationSwallowed,
    /// A notification does not schedule work.
    NotificationWithoutWork,
    /// A connection's subscriptions are still listed after its end.
    SubscriptionsOutliveConnection,
    /// The channels of an ended connection are lost.
    ChannelsLostAtEnd,
    /// A finished ending is not removed.
    EndingKept,
    /// The secrets of channels are not listed.
    ChannelSecretsUnlisted,
    /// A key returns another tenant's endpoint with the same id.
    EndpointOfOtherTenant,
    /// A change of an endpoint overwrites a version that its caller has not seen.
    EndpointUnchecked,
    /// A message that was enqueued before is reported as new.
    MessageEnqueuedTwice,
    /// Messages are leased without the maximum numbers.
    EndpointCapsIgnored,
    /// The order per resource is forgotten.
    OrderIgnored,
    /// A 410 from an old address ends the endpoint.
    LateGoneHonoured,
    /// The pause that an endpoint asked for is forgotten.
    PauseIgnored,
    /// A result with a lost lease is reported as stored.
    LostMessageLeaseHonoured,
    /// Every failed delivery writes the audit entry of the disabled endpoint.
    DisabledTwice,
    /// A replay includes the messages of other tenants.
    MessagesReplayedForEverybody,
    /// The secrets of endpoints are not listed.
    EndpointSecretsUnlisted,
}

/// A store with or without a fault.
#[derive(Debug)]
pub(crate) struct Wrong<S> {
    right: S,
    fault: Option<Fault>,
    bindings: Arc<Mutex<HashMap<StateKey, [u8; 32]>>>,
    read: Mutex<HashMap<ConnectionKey, Stored>>,
    ended: Mutex<HashMap<ConnectionKey, Vec<Subscription>>>,
}

impl<S: Store> Wrong<S> {
    pub(crate) fn new(
        right: S,
        fault: Option<Fault>,
        bindings: Arc<Mutex<HashMap<StateKey, [u8; 32]>>>,
    ) -> Self {
        Self {
            right,
            fault,
            bindings,
            read: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns the row as this store shows it.
    fn shown(&self, mut stored: Stored) -> Stored {
        let seen = &mut stored.connection;
        if self.is(Fault::GenerationKeptAtEnd) && !seen.is_live() {
            seen.generation = Generation::new(seen.generation.get() - 1);
        }
        stored
    }

    /// Applies the side effects of a refused change.
    async fn refused(&self, effects: &SideEffects) -> Result<()> {
        if self.is(Fault::EffectsOfRefused) {
            for entry in &effects.audit {
                self.right.append(entry.clone()).await?;
            }
        }
        Ok(())
    }

    async fn resolve(&self, key: &ConnectionKey, claim: &Claim) -> Result<()> {
        let failure = Failure {
            claim_id: claim.claim_id,
            grant: claim.grant,
            base: claim.generation,
            fence: claim.fence,
            resolves: true,
            verdict: Verdict::Later { status: None },
        };
        self.right.fail(key, failure, SideEffects::none()).await?;
        Ok(())
    }
}

#[async_trait]
impl<S: Store> Maintenance for Wrong<S> {
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>> {
        let mut slice = self.right.sealed_rows(not_under, after, n).await?;
        if self.is(Fault::QuarantineUnlisted) {
            slice
                .items
                .retain(|row| !matches!(row.row, RowRef::Quarantine(_)));
        }
        if self.is(Fault::ChannelSecretsUnlisted) {
            slice
                .items
                .retain(|row| !matches!(row.row, RowRef::Subscription(_)));
        }
        if self.is(Fault::EndpointSecretsUnlisted) {
            slice
                .items
                .retain(|row| !matches!(row.row, RowRef::Endpoint(_)));
        }
        Ok(slice)
    }

    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool> {
        if self.is(Fault::ResealUnchecked) {
            let no_key = KeyId::from_bytes([0; 8]);
            let rows = self.right.sealed_rows(&no_key, None, u16::MAX).await?;
            let held = rows.items.into_iter().find(|held| held.row == *row);
            return match held {
                Some(held) => self.right.reseal(row, &held.sealed, new).await,
                None => Ok(false),
            };
        }
        self.right.reseal(row, seen, new).await
    }

    async fn purge(&self, n: u32) -> Result<u32> {
        let mut removed = self.right.purge(n).await?;
        if self.is(Fault::PurgeRemovesLive) {
            let no_key = KeyId::from_bytes([0; 8]);
            let rows = self.right.sealed_rows(&no_key, None, u16::MAX).await?;
            for row in rows.items {
                if let RowRef::Quarantine(state) = row.row {
                    removed += u32::from(self.right.release(&state).await?);
                }
            }
        }
        Ok(removed)
    }
}

#[async_trait]
impl<S: Store> TokenStore for Wrong<S> {
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>> {
        if self.is(Fault::StaleRead) {
            let known = self.read.lock().unwrap().remove(key);
            if known.is_some() {
                return Ok(known);
            }
        }
        let mut found = self.right.load(key).await?;
        if self.is(Fault::WrongTenant) && found.is_none() {
            let all = self.right.list(&Filter::everyone(), None, u16::MAX).await?;
            let same_id = all.items.into_iter().find(|it| it.key.id == key.id);
            if let Some(connection) = same_id {
                found = self.right.load(&connection.key).await?;
            }
        }
        let shown = found.map(|stored| self.shown(stored));
        if let Some(stored) = &shown {
            let mut read = self.read.lock().unwrap();
            read.insert(key.clone(), stored.clone());
        }
        Ok(shown)
    }

    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>> {
        let stored = self.load(key).await?;
        Ok(stored.map(|stored| stored.connection.generation))
    }

    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>> {
        self.right.find(account).await
    }

    async fn find_by_account(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountKey,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        let right = &self.right;
        right
            .find_by_account(provider, app, account, after, n)
            .await
    }

    async fn find_by_host(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        host: &str,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        self.right.find_by_host(provider, app, host, after, n).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionRecord>> {
        let mut filter = filter.clone();
        if self.is(Fault::ListOfEverybody) {
            filter.tenant = None;
        }
        self.right.list(&filter, after, n).await
    }

    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome> {
        let outcome = self.right.put_grant(grant, effects.clone()).await?;
        if outcome != PutOutcome::Stored {
            self.refused(&effects).await?;
        }
        Ok(match outcome {
            PutOutcome::Moved(stored) => PutOutcome::Moved(Box::new(self.shown(*stored))),
            other => other,
        })
    }

    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome> {
        let mut at = at;
        if self.is(Fault::UpdateUnchecked)
            && let Some(stored) = self.right.load(key).await?
        {
            at = stored.connection.version;
        }
        self.right.update(key, at, patch, effects).await
    }

    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome> {
        let mut request = request;
        if self.is(Fault::RevocationLost) {
            request.revoke.clear();
        }
        if self.is(Fault::ChannelsLostAtEnd) {
            request.unsubscribe = None;
        }
        let before = self.right.subscriptions(key).await?;
        let outcome = self.right.end(key, request, effects).await?;
        if outcome == EndOutcome::Ended {
            self.ended.lock().unwrap().insert(key.clone(), before);
        }
        Ok(outcome)
    }

    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome> {
        let mut request = request;
        if self.is(Fault::ClaimNeverExpires) {
            request.hold = Duration::from_secs(100 * 86_400);
        }
        if self.is(Fault::StaleClaimGranted)
            && let Some(stored) = self.right.load(key).await?
        {
            request.grant = stored.connection.grant;
            request.seen = stored.connection.generation;
        }
        if self.is(Fault::GenerationKeptAtEnd)
            && let Some(stored) = self.right.load(key).await?
            && !stored.connection.is_live()
        {
            request.seen = request.seen.next();
        }
        let mut outcome = self.right.claim(key, request).await?;
        if let ClaimOutcome::Granted {
            fence, superseded, ..
        } = &mut outcome
        {
            if self.is(Fault::SupersededUnreported) {
                *superseded = None;
            }
            if self.is(Fault::FenceReused) {
                *fence = Fence::new(fence.get() - 1);
            }
        }
        Ok(outcome)
    }

    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome> {
        let mut commit = commit;
        let claim_id = commit.claim_id;
        let before = self.right.load(key).await?;
        if let Some(stored) = &before {
            let seen = &stored.connection;
            let late = commit.grant == seen.grant && commit.base != seen.generation;
            if late && self.is(Fault::PendingForgotten) {
                return Ok(CommitOutcome::Pending);
            }
            if late && self.is(Fault::LateCommitStored) {
                commit.base = seen.generation;
            }
        }
        let right = &self.right;
        if self.is(Fault::EffectsLost) {
            return right.commit(key, commit, SideEffects::none()).await;
        }
        if self.is(Fault::CommitInTwoSteps) {
            let outcome = right.commit(key, commit, SideEffects::none()).await?;
            tokio::task::yield_now().await;
            let after = right.load(key).await?;
            let moved = after.as_ref().map(|it| it.connection.generation)
                != before.map(|it| it.connection.generation);
            if let Some(stored) = after.filter(|_| moved) {
                let at = stored.connection.version;
                right.update(key, at, Patch::default(), effects).await?;
            }
            return Ok(outcome);
        }
        let outcome = right.commit(key, commit, effects.clone()).await?;
        if outcome != CommitOutcome::Stored {
            self.refused(&effects).await?;
            return Ok(outcome);
        }
        if let Some(stored) = right.load(key).await? {
            if self.is(Fault::ClaimKeptByCommit) {
                let again = ClaimRequest {
                    claim_id,
                    grant: stored.connection.grant,
                    seen: stored.connection.generation,
                    kind: connector_core::store::ClaimKind::Refresh,
                    hold: Duration::from_secs(60),
                    confirmed: None,
                };
                right.claim(key, again).await?;
            }
            if self.is(Fault::YoungerClaimCleared)
                && let Some(claim) = &stored.claim
            {
                self.resolve(key, claim).await?;
            }
        }
        Ok(outcome)
    }

    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome> {
        let mut failure = failure;
        if self.is(Fault::FailuresCountTwice) {
            // Each report gets a different claim id.
            let load = self.right.load(key).await?;
            let version = load.map_or(0, |stored| stored.connection.version.get());
            let mut bytes = [0xff; 16];
            bytes[..8].copy_from_slice(&version.to_be_bytes());
            failure.claim_id = connector_core::store::ClaimId::from_bytes(bytes);
        }
        let outcome = self
            .right
            .fail(key, failure.clone(), effects.clone())
            .await?;
        if self.is(Fault::PendingIgnored)
            && let (FailOutcome::PendingLeft(stored), Verdict::GiveUp { reason }) =
                (&outcome, failure.verdict)
        {
            let patch = Patch {
                status: Some(Status::NeedsReauthorization(reason)),
                ..Patch::default()
            };
            let at = stored.connection.version;
            self.right.update(key, at, patch, effects).await?;
            return Ok(FailOutcome::Applied);
        }
        if outcome != FailOutcome::Applied {
            self.refused(&effects).await?;
        }
        Ok(outcome)
    }

    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>> {
        let lease = if self.is(Fault::WorkHandedOutTwice) {
            Duration::ZERO
        } else {
            lease
        };
        self.right.take_due(kinds, n, lease).await
    }

    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool> {
        self.right.finish(due, next).await
    }

    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool> {
        self.right.quarantine(quarantine).await
    }

    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>> {
        self.right.quarantined(state).await
    }

    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>> {
        self.right.take_quarantined(n, lease).await
    }

    async fn release(&self, state: &StateKey) -> Result<bool> {
        self.right.release(state).await
    }

    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()> {
        self.right.queue_revocation(revocation, effects).await
    }

    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>> {
        self.right.revocations(key).await
    }

    async fn revoked(&self, key: &ConnectionKey, fence: Fence) -> Result<bool> {
        self.right.revoked(key, fence).await
    }
}

#[async_trait]
impl<S: Store> StateStore for Wrong<S> {
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome> {
        let (key, binding) = (state.key, state.binding);
        self.bindings.lock().unwrap().insert(key, binding);
        self.right.put_state(state).await
    }

    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>> {
        self.right.state(key).await
    }

    async fn begin(
        &self,
        key: &StateKey,
        binding: &[u8; 32],
        code: &[u8; 32],
    ) -> Result<BeginOutcome> {
        let outcome = self.right.begin(key, binding, code).await?;
        if self.is(Fault::WrongBindingConsumes) && outcome == BeginOutcome::Unknown {
            let bound = self.bindings.lock().unwrap().get(key).copied();
            if let Some(bound) = bound {
                self.right.begin(key, &bound, code).await?;
            }
        }
        Ok(match outcome {
            BeginOutcome::InProgress if self.is(Fault::StateBegunTwice) => BeginOutcome::First,
            BeginOutcome::Conflict { .. } if self.is(Fault::ConflictAlwaysFirst) => {
                BeginOutcome::Conflict { first: true }
            }
            other => other,
        })
    }

    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool> {
        self.right.finish_state(key, outcome).await
    }
}

#[async_trait]
impl<S: Store> DeliveryQueue for Wrong<S> {
    async fn accept(&self, mut delivery: NewDelivery) -> Result<AcceptOutcome> {
        if self.is(Fault::WaitingUnbounded) {
            delivery.limits.waiting = 0;
        }
        if self.is(Fault::ContentUnbounded) {
            delivery.content = None;
        }
        if self.is(Fault::OwnersForgotten) {
            delivery.turn.owner.clear();
        }
        if self.is(Fault::LanesForgotten) {
            delivery.turn.lane.clear();
        }
        let outcome = self.right.accept(delivery).await?;
        Ok(if self.is(Fault::DuplicateAccepted) {
            AcceptOutcome::Accepted
        } else {
            outcome
        })
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>> {
        let request = if self.is(Fault::CapsIgnored) {
            request.with_caps(u16::MAX, u16::MAX)
        } else {
            *request
        };
        self.right.lease(&request).await
    }

    async fn done(&self, delivery: &LeasedDelivery) -> Result<bool> {
        let done = self.right.done(delivery).await?;
        Ok(done || self.is(Fault::LostLeaseHonoured))
    }

    async fn retry(&self, delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool> {
        self.right.retry(delivery, after, error).await
    }

    async fn park(&self, delivery: &LeasedDelivery, error: &str) -> Result<bool> {
        self.right.park(delivery, error).await
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>> {
        self.right.deliveries(filter, after, n).await
    }

    async fn replay(
        &self,
        key: &DeliveryKey,
        tenant: Option<&connector_core::TenantId>,
    ) -> Result<bool> {
        let tenant = tenant.filter(|_| !self.is(Fault::ReplayForEverybody));
        self.right.replay(key, tenant).await
    }
}

#[async_trait]
impl<S: Store> AuditLog for Wrong<S> {
    async fn append(&self, entry: AuditEntry) -> Result<()> {
        self.right.append(entry).await
    }

    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>> {
        let mut filter = filter.clone();
        if self.is(Fault::AuditOfEverybody) {
            filter.tenant = None;
        }
        if self.is(Fault::UntilIgnored) {
            filter.until = None;
        }
        if self.is(Fault::SinceIgnored) {
            filter.since = None;
        }
        self.right.audit(&filter, after, n).await
    }

    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>> {
        self.right.take_changes(n, lease).await
    }

    async fn change_handled(&self, change: &Change) -> Result<bool> {
        self.right.change_handled(change).await
    }

    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32> {
        if self.is(Fault::PruneRemovesUnhandled) {
            for change in self.right.take_changes(u16::MAX, Duration::ZERO).await? {
                self.right.change_handled(&change).await?;
            }
        }
        let older_than = if self.is(Fault::PruneRemovesYoung) {
            Duration::ZERO
        } else {
            older_than
        };
        self.right.prune(older_than, n).await
    }
}

#[async_trait]
impl<S: Store> SubscriptionStore for Wrong<S> {
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome> {
        let mut new = new;
        if self.is(Fault::SubscriptionOfOldGrant)
            && let Some(stored) = self.right.load(&new.key.connection).await?
        {
            new.grant = stored.connection.grant;
        }
        let outcome = self.right.put_subscription(new, effects).await?;
        Ok(match outcome {
            PutSubscriptionOutcome::Exists(_) if self.is(Fault::WatchTwice) => {
                PutSubscriptionOutcome::Stored
            }
            other => other,
        })
    }

    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>> {
        if self.is(Fault::SubscriptionsOutliveConnection)
            && let Some(ended) = self.ended.lock().unwrap().get(connection)
        {
            return Ok(ended.clone());
        }
        if self.is(Fault::SubscriptionsOfOtherTenant) {
            let all = self.right.list(&Filter::everyone(), None, u16::MAX).await?;
            let same_id = all.items.into_iter().find(|it| it.key.id == connection.id);
            if let Some(other) = same_id {
                return self.right.subscriptions(&other.key).await;
            }
        }
        self.right.subscriptions(connection).await
    }

    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>> {
        self.right.subscription_by_channel(channel).await
    }

    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool> {
        let known = self.right.notify_subscription(channel).await?;
        if self.is(Fault::NotificationWithoutWork) {
            let kinds = [WorkKind::Subscriptions];
            for due in self
                .right
                .take_due(&kinds, u16::MAX, Duration::ZERO)
                .await?
            {
                self.right.finish(&due, None).await?;
            }
        }
        Ok(known)
    }

    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome> {
        let (mut at, mut change) = (at, change);
        let all = self.right.subscriptions(&key.connection).await?;
        if let Some(known) = all.into_iter().find(|it| it.key == *key) {
            if self.is(Fault::CursorUnchecked) {
                at = known.version;
            }
            if self.is(Fault::NotificationSwallowed) && change.read.is_some() {
                change.read = Some(known.notified);
            }
        }
        let connection = &key.connection;
        let before = self.right.endings(connection, u16::MAX).await?;
        let right = &self.right;
        let outcome = right.change_subscription(key, at, change, effects).await?;
        if self.is(Fault::ReplacedChannelLost) {
            for ending in self.right.endings(connection, u16::MAX).await? {
                if !before.contains(&ending) {
                    self.right.ending_done(connection, &ending.channel).await?;
                }
            }
        }
        Ok(outcome)
    }

    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome> {
        self.right.end_subscription(key, effects).await
    }

    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>> {
        self.right.endings(connection, n).await
    }

    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>> {
        self.right.ending_failed(connection, channel).await
    }

    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool> {
        if self.is(Fault::EndingKept) {
            let all = self.right.endings(connection, u16::MAX).await?;
            return Ok(all.iter().any(|it| it.channel == *channel));
        }
        self.right.ending_done(connection, channel).await
    }
}

#[async_trait]
impl<S: Store> OutboundStore for Wrong<S> {
    async fn put_endpoint(
        &self,
        mut new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome> {
        if self.is(Fault::OrderIgnored) {
            new.is_ordered = false;
        }
        self.right.put_endpoint(new, audit).await
    }

    async fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>> {
        let found = self.right.endpoint(key).await?;
        if self.is(Fault::EndpointOfOtherTenant) && found.is_none() {
            let filter = EndpointFilter::default();
            let all = self.right.endpoints(&filter, None, u16::MAX).await?;
            return Ok(all.items.into_iter().find(|it| it.key.id == key.id));
        }
        Ok(found)
    }

    async fn endpoints(
        &self,
        filter: &EndpointFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<Endpoint>> {
        self.right.endpoints(filter, after, n).await
    }

    async fn change_endpoint(
        &self,
        key: &EndpointKey,
        mut at: Version,
        change: EndpointChange,
        audit: Vec<AuditEntry>,
    ) -> Result<ChangeEndpointOutcome> {
        if self.is(Fault::EndpointUnchecked)
            && let Some(kept) = self.right.endpoint(key).await?
        {
            at = kept.version;
        }
        self.right.change_endpoint(key, at, change, audit).await
    }

    async fn remove_endpoint(&self, key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool> {
        self.right.remove_endpoint(key, audit).await
    }

    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued> {
        let outcome = self.right.enqueue(message).await?;
        if self.is(Fault::MessageEnqueuedTwice) && outcome.is_duplicate {
            return Ok(Enqueued {
                is_duplicate: false,
                pending: 1,
                skipped: 0,
            });
        }
        Ok(outcome)
    }

    async fn lease_messages(&self, request: &MessageLease) -> Result<Vec<LeasedMessage>> {
        let request = if self.is(Fault::EndpointCapsIgnored) {
            request.clone().with_caps(u16::MAX, u16::MAX)
        } else {
            request.clone()
        };
        self.right.lease_messages(&request).await
    }

    async fn settle_messages(&self, settlements: &[Settlement]) -> Result<Vec<Option<Settled>>> {
        let mut settlements = settlements.to_vec();
        if self.is(Fault::PauseIgnored) {
            for result in &mut settlements {
                result.pause = None;
            }
        }
        if self.is(Fault::LateGoneHonoured) {
            for result in &mut settlements {
                if let Some(endpoint) = self.right.endpoint(&result.endpoint).await? {
                    result.version = endpoint.version;
                }
            }
        }
        if self.is(Fault::DisabledTwice) {
            for result in &settlements {
                if let (OutboundVerdict::Failed, Some(audit)) = (result.verdict, &result.audit) {
                    self.right.append(audit.failed.clone()).await?;
                }
            }
        }
        let mut settled = self.right.settle_messages(&settlements).await?;
        if self.is(Fault::LostMessageLeaseHonoured) {
            for it in &mut settled {
                it.get_or_insert(Settled {
                    state: OutboundState::Delivered,
                    transition: None,
                });
            }
        }
        Ok(settled)
    }

    async fn outbound(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>> {
        self.right.outbound(filter, after, n).await
    }

    async fn attempts(&self, endpoint: &EndpointKey, id: &MessageId) -> Result<Vec<AttemptRecord>> {
        self.right.attempts(endpoint, id).await
    }

    async fn replay_messages(&self, filter: &OutboundFilter, n: u16) -> Result<u32> {
        let mut filter = filter.clone();
        if self.is(Fault::MessagesReplayedForEverybody) {
            filter.tenant = None;
        }
        self.right.replay_messages(&filter, n).await
    }
}
