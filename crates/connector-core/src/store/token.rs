//! Connections, their sealed credentials, claims and due work.

use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::account::{Account, AccountKey, AccountRef, TenantId};
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::connection::{
    ConnectionKey, ConnectionRecord, Fence, Generation, GrantNumber, ReauthorizationReason, Status,
    TimeLeft, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::Metadata;
use crate::provider_id::ProviderId;
use crate::random::Random;
use crate::store::{Cursor, EndingCredential, Maintenance, Page, SideEffects, StateKey, WorkKind};

/// How long the tokens of a credential are still good, from now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiries {
    /// The access token's; `None` if it does not expire.
    pub access: Option<Duration>,
    /// The refresh token's; `None` if it does not expire or there is none.
    pub refresh: Option<Duration>,
}

/// A sealed credential as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// The sealed bytes.
    pub sealed: Sealed,
    /// The grant it belongs to.
    pub grant: GrantNumber,
    /// Its generation.
    pub generation: Generation,
    /// The exchange that produced it. Part of its seal.
    pub fence: Fence,
    /// How far the end of its access token is away; `None` if it does not expire.
    pub access_left: Option<TimeLeft>,
    /// How far the end of its refresh token is away; `None` if it does not expire.
    pub refresh_left: Option<TimeLeft>,
}

/// A sealed credential that arrived after its connection had moved on. It is kept until the grant
/// ends or it takes the current one's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCredential {
    /// The sealed bytes.
    pub sealed: Sealed,
    /// The grant it belongs to.
    pub grant: GrantNumber,
    /// The generation that was spent for it.
    pub base: Generation,
    /// The exchange that produced it. Part of its seal.
    pub fence: Fence,
    /// How far the end of its access token is away; `None` if it does not expire.
    pub access_left: Option<TimeLeft>,
    /// How far the end of its refresh token is away; `None` if it does not expire.
    pub refresh_left: Option<TimeLeft>,
}

/// The random name of one claim, so that repeating a call after an unknown outcome is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId([u8; 16]);

impl ClaimId {
    /// A new name from `random`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|error| {
            Error::new(
                ErrorKind::Bug,
                "claim_id.generate",
                "the random source failed",
            )
            .with_source(error)
        })?;
        Ok(Self(bytes))
    }

    /// The name with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The name's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// Spending the refresh token.
    Refresh,
    /// Exchanging a code, or a quarantined answer, for this connection.
    Exchange,
}

impl ClaimKind {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Exchange => "exchange",
        }
    }

    /// Reads a stable name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Refresh, Self::Exchange]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A claim that nobody has resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub claim_id: ClaimId,
    /// The grant it was made under.
    pub grant: GrantNumber,
    /// The generation that it spends.
    pub generation: Generation,
    /// Its fence.
    pub fence: Fence,
    /// What it is for.
    pub kind: ClaimKind,
    /// How far the end of its hold is away.
    pub until: TimeLeft,
}

/// Everything about a connection, read in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The record.
    pub connection: ConnectionRecord,
    /// The credential; `None` once the connection has ended.
    pub current: Option<StoredCredential>,
    /// The credential before it, kept until the current one has worked once.
    pub previous: Option<StoredCredential>,
    /// Pairs that arrived late, the newest fence first.
    pub pending: Vec<PendingCredential>,
    /// The claim that stands, resolved or not by time.
    pub claim: Option<Claim>,
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No connection of this account.
    Absent,
    /// The connection at this generation.
    At(Generation),
}

/// A grant to keep: the first of a connection, or a new one for a known connection.
#[derive(Debug, Clone, PartialEq)]
pub struct PutGrant {
    /// The connection's key: new, or that of the known connection.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The account.
    pub account: Account,
    /// What is expected to be there.
    pub expect: Expect,
    /// The number of the new grant: 1, or one more than the known one.
    pub grant: GrantNumber,
    /// The generation of the credential: 1, or one more than the known one.
    pub generation: Generation,
    /// The exchange that produced it: 1, or the fence of the claim that was taken for it.
    pub fence: Fence,
    /// The sealed credential.
    pub credential: Sealed,
    /// How long its tokens are good.
    pub expiries: Expiries,
    /// How the connection is doing.
    pub status: Status,
    /// What is known about the account; replaces what was known.
    pub metadata: Metadata,
    /// The quarantined answer that it comes from, removed in the same commit.
    pub takes: Option<StateKey>,
}

/// What became of a grant.
#[derive(Debug, Clone, PartialEq)]
pub enum PutOutcome {
    /// It is the connection's grant now.
    Stored,
    /// The expectation did not hold; this is what is there.
    Moved(Box<Stored>),
    /// The connection was expected at a generation and does not exist.
    Missing,
}

/// What to change in a connection's record. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// How it is doing.
    pub status: Option<Status>,
    /// The account's name for people.
    pub label: Option<String>,
    /// The account's own host.
    pub host: Option<String>,
    /// What is known about the account; replaces what was known.
    pub metadata: Option<Metadata>,
    /// The result of a test on demand, at the store's present time: nothing, or what went wrong.
    pub check: Option<Option<String>>,
    /// A generation that the provider has accepted in a call.
    pub confirmed: Option<Generation>,
}

/// What became of a patch.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateOutcome {
    /// It is in the record, which has this version now.
    Updated(Version),
    /// The record had another version; this is what is there.
    Moved(Box<Stored>),
    /// There is no such connection.
    Missing,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its record and history stay, as disconnected; the same account gets the same connection.
    Deactivate,
    /// Its record is removed. The audit log stays.
    Forget,
}

/// A credential to queue for revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevocation {
    /// The grant it belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The exchange that produced it. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// How and under which expectation a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRequest {
    /// What becomes of the record.
    pub how: End,
    /// The generation that was seen; `None` ends it whatever it holds.
    pub at: Option<Generation>,
    /// What to queue for revocation, in the same commit.
    pub revoke: Vec<NewRevocation>,
    /// A sealed copy of the credential, kept only if the connection has channels that must be ended
    /// at the provider; see [`SubscriptionStore::endings`](crate::store::SubscriptionStore::endings).
    pub unsubscribe: Option<EndingCredential>,
}

/// What became of an end.
#[derive(Debug, Clone, PartialEq)]
pub enum EndOutcome {
    /// The connection ended.
    Ended,
    /// The generation was another one; this is what is there, and nothing changed.
    Moved(Box<Stored>),
    /// It had ended before. What was to be revoked is queued all the same.
    AlreadyEnded,
    /// There is no such connection. Nothing is queued.
    Missing,
}

/// A wish to spend a connection's refresh token, or to put another grant in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The random name of the claim; keep it when the call is repeated.
    pub claim_id: ClaimId,
    /// The grant that was seen.
    pub grant: GrantNumber,
    /// The generation that was seen, or seen to fail.
    pub seen: Generation,
    /// What the claim is for.
    pub kind: ClaimKind,
    /// How long the claim stands unless it is resolved.
    pub hold: Duration,
    /// The newest generation that the provider is known to have accepted.
    pub confirmed: Option<Generation>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimOutcome {
    /// It stands. `stored` is the row it was decided on, with the claim in it.
    Granted {
        /// The claim's fence.
        fence: Fence,
        /// How far the end of its hold is away.
        until: TimeLeft,
        /// The row that the claim was decided on.
        stored: Box<Stored>,
        /// The claim that stood before and was never resolved: its exchange may have happened.
        superseded: Option<Claim>,
    },
    /// The grant or the generation is another one; this is what is there.
    Moved(Box<Stored>),
    /// Another claim stands.
    Held {
        /// Its fence.
        fence: Fence,
        /// How far the end of its hold is away.
        until: TimeLeft,
    },
    /// The connection has ended or does not exist.
    Ended,
}

/// The result of an exchange, to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The claim under which the exchange was made.
    pub claim_id: ClaimId,
    /// The grant of that claim.
    pub grant: GrantNumber,
    /// The generation that was spent.
    pub base: Generation,
    /// The fence of that claim.
    pub fence: Fence,
    /// The sealed credential. With `takes_pending` it is that pending pair's.
    pub credential: Sealed,
    /// How long its tokens are good.
    pub expiries: Expiries,
    /// How the connection is doing now.
    pub status: Status,
    /// True if the answer brought another refresh token than the one that was sent.
    pub rotates: bool,
    /// The pending pair that becomes the current one instead of an exchange's result.
    pub takes_pending: Option<Fence>,
}

/// What became of a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CommitOutcome {
    /// It is the current credential.
    Stored,
    /// The generation had moved within the grant; the pair is kept as pending.
    Pending,
    /// The grant has ended; nothing was kept. Revoke the pair.
    Ended,
}

/// What to make of an exchange that brought no credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It will be tried again. A state, if given, is set.
    Later {
        /// How the connection is doing now.
        status: Option<Status>,
    },
    /// The grant is dead.
    GiveUp {
        /// Why.
        reason: ReauthorizationReason,
    },
}

/// The end of an exchange that brought no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The claim under which the exchange was made.
    pub claim_id: ClaimId,
    /// The grant of that claim.
    pub grant: GrantNumber,
    /// The generation that was to be spent.
    pub base: Generation,
    /// The fence of that claim.
    pub fence: Fence,
    /// True if the provider has certainly not acted, or has answered completely: the claim is
    /// resolved. False if it may have acted unheard: the claim stands until its hold ends.
    pub resolves: bool,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What became of a failure.
#[derive(Debug, Clone, PartialEq)]
pub enum FailOutcome {
    /// It is recorded.
    Applied,
    /// The generation or the grant is another one; this is what is there.
    Moved(Box<Stored>),
    /// Giving up is refused: pending pairs have not been tried. This is what is there.
    PendingLeft(Box<Stored>),
    /// Giving up is refused: another claim stands and may still bring a credential.
    Held {
        /// Its fence.
        fence: Fence,
        /// How far the end of its hold is away.
        until: TimeLeft,
    },
    /// The connection has ended or does not exist.
    Ended,
}

/// A piece of work that is handed to one worker for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The connection it is for. It may be gone: revocations outlive it.
    pub key: ConnectionKey,
    /// What is due.
    pub kind: WorkKind,
    /// The number of this lease. A later lease has a higher one.
    pub lease: u64,
    /// How long it has been due.
    pub late_by: Duration,
}

/// Which connections to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only those of this tenant.
    pub tenant: Option<TenantId>,
    /// Only those at this provider.
    pub provider: Option<ProviderId>,
    /// Only those of this registration.
    pub app: Option<AppKey>,
    /// Only those in this state, by [`Status::as_str`].
    pub status: Option<&'static str>,
}

impl Filter {
    /// The connections of one tenant.
    #[must_use]
    pub fn tenant(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::default()
        }
    }

    /// The connections of every tenant, for operators.
    #[must_use]
    pub fn everyone() -> Self {
        Self::default()
    }

    /// Only those at `provider`.
    #[must_use]
    pub fn with_provider(mut self, provider: ProviderId) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Only those of the registration `app`.
    #[must_use]
    pub fn with_app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Only those in this state, by [`Status::as_str`].
    #[must_use]
    pub fn with_status(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }
}

/// A token answer whose account is not known yet, to be kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQuarantine {
    /// The flow that it belongs to.
    pub state: StateKey,
    /// The tenant of the flow.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The sealed answer.
    pub sealed: Sealed,
    /// How long it waits before a worker may take it.
    pub delay: Duration,
    /// How long it is kept.
    pub keep_for: Duration,
}

/// A token answer in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The flow that it belongs to.
    pub state: StateKey,
    /// The tenant of the flow.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The sealed answer.
    pub sealed: Sealed,
    /// How far the end of its keeping is away.
    pub until: TimeLeft,
}

/// A credential in the queue for revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The connection that it belonged to. It may be gone.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
    /// The grant it belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The exchange that produced it. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// Keeps connections, their sealed credentials, claims and due work.
///
/// The engine computes grants, generations and fences' use; the store compares, and writes
/// atomically. It acts on no read of its own making: [`TokenStore::claim`] returns the row that it
/// decided on.
///
/// Any number of calls may run at once, from any number of processes; calls on one connection take
/// effect one after the other (`operations_on_one_connection_are_linear`).
#[async_trait]
pub trait TokenStore: Maintenance {
    /// Everything about a connection in one snapshot.
    ///
    /// * What was written is read back, field by field (`a_grant_is_read_back`).
    /// * Another tenant's key finds nothing (`another_tenant_finds_nothing`).
    /// * The time that is left follows the store's clock (`time_left_follows_the_stores_clock`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; [`ErrorKind::StoreIncompatible`] if the row was
    /// written by a newer version.
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>>;

    /// The generation of a connection, for those who wait for it to move; cheaper than
    /// [`TokenStore::load`] (`generation_is_what_load_says`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>>;

    /// The connection of an account, ended or not (`an_account_is_found_by_its_reference`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>>;

    /// The connections of every tenant that lead to an account, at most `n`, in a stable order.
    ///
    /// * Those of all tenants are found, ended ones and ones whose account key is only asserted are
    ///   not (`routing_finds_live_identified_connections_of_all_tenants`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn find_by_account(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountKey,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>>;

    /// The connections of every tenant whose account has this host, at most `n`, in a stable order.
    ///
    /// * As for [`TokenStore::find_by_account`], by the host instead of the key
    ///   (`routing_finds_connections_by_account_host`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn find_by_host(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        host: &str,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>>;

    /// Connections that match, at most `n`, in a stable order.
    ///
    /// * Following the cursors meets every connection that matches and stays exactly once
    ///   (`listing_meets_each_connection_once`).
    /// * A filter leaves out what does not match, above all other tenants' connections
    ///   (`listing_leaves_out_other_tenants`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionRecord>>;

    /// Keeps a grant: the first of a connection, or a new one for a known connection.
    ///
    /// * With [`Expect::Absent`], a connection of the same tenant, provider, app and account is
    ///   `Moved`, and nothing is written (`one_connection_per_account`); of many at once, one is
    ///   stored (`of_many_first_grants_one_is_stored`).
    /// * With [`Expect::At`], another generation is `Moved`, and nothing is written
    ///   (`a_grant_over_a_moved_generation_is_refused`); no such connection is `Missing`
    ///   (`a_grant_for_a_missing_connection_is_refused`).
    /// * A new grant ends what older grants left: claim, previous and pending pairs
    ///   (`a_new_grant_ends_older_claims_and_pairs`). The connection keeps its id, and its
    ///   `rotates` mark starts over.
    /// * Numbers that do not follow the known ones are refused with [`ErrorKind::InvalidInput`]
    ///   (`a_grant_whose_numbers_do_not_follow_is_refused`), and so is another provider, app or
    ///   account than the known connection's (`a_grant_for_another_account_is_refused`).
    /// * The quarantined answer that it takes is gone in the same commit
    ///   (`a_grant_takes_its_quarantined_answer`).
    /// * Side effects are applied with `Stored` and only then
    ///   (`effects_ride_in_the_commit`, `refused_changes_have_no_effects`).
    /// * Repeating it after an unknown outcome is `Stored` while that grant's first credential is
    ///   still current (`putting_a_grant_twice_stores_it_once`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it with the same numbers and bytes;
    /// [`ErrorKind::InvalidInput`] as above.
    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome>;

    /// Changes a connection's record; never its credential or generation.
    ///
    /// * Another version is `Moved`, and nothing is written
    ///   (`an_update_of_a_moved_version_is_refused`); no such connection is `Missing`
    ///   (`an_update_of_a_missing_connection_is_missing`).
    /// * What the patch does not name stays, and so does the generation, so that it can never
    ///   collide with a commit (`an_update_leaves_the_rest_alone`).
    /// * `status_since` moves when the state changes and only then
    ///   (`status_since_moves_with_the_status`).
    /// * A confirmed generation only grows, and confirming the current one drops the previous
    ///   credential (`confirming_the_current_generation_drops_the_previous`).
    /// * The state of a connection that has ended cannot be changed: `Moved`
    ///   (`an_ended_connection_keeps_its_status`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: load it again and decide anew.
    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome>;

    /// Ends a connection in one commit: its secrets, claim and due work are gone, its generation
    /// and grant move on, and what is to be revoked is queued.
    ///
    /// * Nothing sealed of it is left but the revocations and the endings of its channels, and no
    ///   work but that of the effects (`an_end_removes_secrets_claims_and_work`).
    /// * With a generation, another one is `Moved`, and nothing is written
    ///   (`an_end_at_a_moved_generation_is_refused`).
    /// * Deactivated, the record stays; forgotten, it is gone, and its account can be connected
    ///   under a new id (`a_forgotten_connection_is_gone`).
    /// * A repeated or late call still queues its revocations once each, and applies its effects if
    ///   it queued one (`revocations_are_queued_once`); for a connection that never was it is
    ///   `Missing`.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it.
    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome>;

    /// Claims the right to spend a connection's refresh token, or to replace its grant.
    ///
    /// * Another grant or generation is `Moved`, also for forced calls, and nothing is written
    ///   (`a_claim_of_a_moved_generation_returns_the_row`).
    /// * While another claim stands it is `Held` (`a_standing_claim_is_held`); of many at once, one
    ///   is granted (`of_many_claims_one_is_granted`).
    /// * Once the other's hold has passed on the store's clock it is granted, and the other is
    ///   reported as superseded (`a_claim_past_its_hold_is_superseded`).
    /// * Every grant of a claim has a higher fence than all before, also across grants, ends and
    ///   other processes (`fences_only_grow`).
    /// * Repeating it with its name while it stands returns its fence and what it superseded
    ///   (`a_repeated_claim_returns_the_first_result`).
    /// * `Granted` carries the row as it is after the claim (`granted_carries_the_claimed_row`).
    /// * A confirmed current generation drops the previous credential
    ///   (`confirming_the_current_generation_drops_the_previous`).
    /// * A connection that ended, or never was, is `Ended` (`a_claim_on_an_ended_connection_ends`);
    ///   for [`ClaimKind::Exchange`] one that was deactivated can be claimed, because it is about to
    ///   be connected again (`a_deactivated_connection_can_be_claimed_for_exchange`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it with the same name, or send nothing.
    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome>;

    /// Keeps the result of an exchange.
    ///
    /// * If grant and generation are those that were spent, it becomes the current credential with
    ///   the next generation, the one before becomes the previous, the failures in a row are
    ///   forgotten, and the state is set (`a_commit_moves_the_generation`).
    /// * The claim is cleared if and only if its fence is the commit's
    ///   (`a_commit_clears_its_own_claim`, `a_commit_leaves_a_younger_claim`).
    /// * If the generation has moved within the grant, the pair is kept as pending, readable by
    ///   [`TokenStore::load`], and nothing else changes but the own claim; no effects
    ///   (`a_late_commit_is_kept_as_pending`).
    /// * If the grant or the connection has ended, it is `Ended` and nothing is kept
    ///   (`a_commit_of_an_ended_grant_is_refused`).
    /// * With `takes_pending` that pair leaves the pending ones and keeps the fence it was sealed
    ///   under (`a_pending_pair_becomes_current`); if it is not there any more, the row is left
    ///   alone and the outcome is `Pending`.
    /// * `rotates` is remembered for the rest of the grant
    ///   (`an_observed_rotation_is_remembered`).
    /// * All of it, effects included, or nothing (`effects_ride_in_the_commit`), also when the call
    ///   is dropped before it returns (`a_dropped_commit_is_whole`).
    /// * Repeating it returns the first outcome, also after up to 7 further commits
    ///   (`a_repeated_commit_returns_the_first_result`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: keep the pair in memory and repeat it with the same name
    /// until it is known.
    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome>;

    /// Records that an exchange brought no credential.
    ///
    /// * With `resolves` the claim is cleared if its fence is the failure's, whatever the outcome
    ///   (`a_definite_failure_resolves_its_claim`); without, it stands
    ///   (`an_unresolved_failure_keeps_its_claim`).
    /// * If grant or generation moved, it is `Moved` and the state stays
    ///   (`a_failure_of_a_moved_generation_changes_nothing`).
    /// * Giving up is `PendingLeft` while there are pending pairs
    ///   (`giving_up_is_refused_while_a_pair_is_pending`), and `Held` while another claim stands
    ///   (`giving_up_is_refused_while_another_claim_stands`).
    /// * `Applied` counts one failure per claim, however often it is called
    ///   (`a_failure_counts_once_per_claim`).
    /// * The credential stays whatever the verdict: nothing is deleted by an error
    ///   (`giving_up_keeps_the_credential`).
    /// * Side effects are applied with `Applied` and only then (`refused_changes_have_no_effects`).
    /// * A connection that ended, or never was, is `Ended`
    ///   (`a_failure_on_an_ended_connection_ends`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; until then the claim stands for its hold.
    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome>;

    /// Hands out at most `n` pieces of due work of these kinds, the longest due first, each to one
    /// caller until `lease` has passed.
    ///
    /// * Work is handed out once it is due, not before (`work_is_handed_out_when_due`), and what
    ///   has been due longest first (`the_longest_due_work_comes_first`).
    /// * It is not handed to a second caller during a lease
    ///   (`leased_work_is_not_handed_out_again`), of many at once one gets it
    ///   (`of_many_workers_one_gets_the_work`), and again when the lease has passed
    ///   (`expired_leases_are_handed_out_again`).
    /// * Kinds that were not asked for stay where they are (`other_kinds_stay`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; what an unknown outcome leased comes back when
    /// the lease has passed.
    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>>;

    /// Ends a lease: the work becomes due again after `next`, or is gone; false if the lease was
    /// lost, and then nothing changes.
    ///
    /// * (`finished_work_is_gone_or_due_later`)
    /// * A lease is lost when it was handed out again, or when a change scheduled that work
    ///   meanwhile, whose time then holds (`a_change_that_schedules_ends_the_lease`,
    ///   `a_lost_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; otherwise the work is done again.
    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool>;

    /// Keeps a token answer whose account is not known yet. It cannot be used for calls.
    ///
    /// * A flow has at most one; a second one with the same bytes changes nothing and is true, with
    ///   others it is refused with false (`a_flow_has_one_quarantined_answer`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; the answer is lost if the process ends before.
    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool>;

    /// The quarantined answer of a flow, until its keeping time has passed
    /// (`a_quarantined_answer_is_read_back`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>>;

    /// Hands out at most `n` quarantined answers that a worker may go on with, each to one caller
    /// until `lease` has passed (`quarantined_answers_are_handed_out_after_their_delay`).
    ///
    /// # Errors
    /// As for [`TokenStore::take_due`].
    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>>;

    /// Drops a quarantined answer that leads nowhere; false if there is none
    /// (`a_released_answer_is_gone`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it.
    async fn release(&self, state: &StateKey) -> Result<bool>;

    /// Queues a credential for revocation on its own: the answer to an exchange whose connection
    /// ended meanwhile.
    ///
    /// * It needs no connection, and repeating it queues it once
    ///   (`a_revocation_needs_no_connection`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it.
    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()>;

    /// What is queued for revocation for a connection, also for one that is gone, in a stable
    /// order (`revocations_outlive_their_connection`).
    ///
    /// # Errors
    /// As for [`TokenStore::load`].
    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>>;

    /// Drops a revocation that is done; false if there is none
    /// (`a_finished_revocation_is_gone`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; otherwise it is revoked again.
    async fn revoked(&self, key: &ConnectionKey, fence: Fence) -> Result<bool>;

    /// Connections that changed, as a hint for caches; `None` if the store cannot tell. Nothing may
    /// depend on it: hints may be lost, doubled or late.
    fn changes(&self) -> Option<BoxStream<'static, ConnectionKey>> {
        None
    }
}
