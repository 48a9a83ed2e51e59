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

/// Remaining lifetimes of the tokens of a credential, from now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiries {
    /// Lifetime of the access token; `None` if it does not expire.
    pub access: Option<Duration>,
    /// Lifetime of the refresh token; `None` if it does not expire or there is none.
    pub refresh: Option<Duration>,
}

/// A sealed credential as read from a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// The sealed bytes.
    pub sealed: Sealed,
    /// The grant that the credential belongs to.
    pub grant: GrantNumber,
    /// The generation of the credential.
    pub generation: Generation,
    /// The fence of the exchange that produced the credential. Part of its seal.
    pub fence: Fence,
    /// Time until the access token expires; `None` if it does not expire.
    pub access_left: Option<TimeLeft>,
    /// Time until the refresh token expires; `None` if it does not expire.
    pub refresh_left: Option<TimeLeft>,
}

/// A sealed credential whose exchange finished after the connection's generation had changed. It is
/// stored until the grant ends or the credential becomes the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCredential {
    /// The sealed bytes.
    pub sealed: Sealed,
    /// The grant that the credential belongs to.
    pub grant: GrantNumber,
    /// The generation whose refresh token was used to obtain the credential.
    pub base: Generation,
    /// The fence of the exchange that produced the credential. Part of its seal.
    pub fence: Fence,
    /// Time until the access token expires; `None` if it does not expire.
    pub access_left: Option<TimeLeft>,
    /// Time until the refresh token expires; `None` if it does not expire.
    pub refresh_left: Option<TimeLeft>,
}

/// The random id of a claim. The store uses it to recognize a repeated call after an unknown
/// outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId([u8; 16]);

impl ClaimId {
    /// Generates a new id from `random`.
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

    /// Creates an id from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The purpose of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimKind {
    /// Use the refresh token.
    Refresh,
    /// Exchange an authorization code for this connection, or use a quarantined response.
    Exchange,
}

impl ClaimKind {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Exchange => "exchange",
        }
    }

    /// Parses a stable name. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Refresh, Self::Exchange]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A claim that has not been resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The id of the claim.
    pub claim_id: ClaimId,
    /// The grant under which the claim was made.
    pub grant: GrantNumber,
    /// The generation whose refresh token the claim may use.
    pub generation: Generation,
    /// The fence of the claim.
    pub fence: Fence,
    /// The purpose of the claim.
    pub kind: ClaimKind,
    /// Remaining hold time of the claim.
    pub until: TimeLeft,
}

/// A connection with its credentials and its claim, read in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The connection's record.
    pub connection: ConnectionRecord,
    /// The current credential; `None` if the connection has ended.
    pub current: Option<StoredCredential>,
    /// The previous credential, which is stored until the provider has accepted the current one.
    pub previous: Option<StoredCredential>,
    /// Pending token pairs, the newest fence first.
    pub pending: Vec<PendingCredential>,
    /// The current claim, even if its hold time has passed.
    pub claim: Option<Claim>,
}

/// Precondition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No connection of this account exists.
    Absent,
    /// The connection exists and has this generation.
    At(Generation),
}

/// A grant to store. It is the first grant of a connection or a new grant of an existing
/// connection.
#[derive(Debug, Clone, PartialEq)]
pub struct PutGrant {
    /// The key of a new or an existing connection.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The account.
    pub account: Account,
    /// The precondition.
    pub expect: Expect,
    /// The number of the new grant: 1, or the current number plus one.
    pub grant: GrantNumber,
    /// The generation of the credential: 1, or the current generation plus one.
    pub generation: Generation,
    /// The fence of the exchange that produced the credential: 1, or the fence of the claim for the
    /// exchange.
    pub fence: Fence,
    /// The sealed credential.
    pub credential: Sealed,
    /// Remaining lifetimes of its tokens.
    pub expiries: Expiries,
    /// The status of the connection.
    pub status: Status,
    /// The account's metadata. Replaces the existing metadata.
    pub metadata: Metadata,
    /// The quarantined response that the grant comes from. It is removed in the same commit.
    pub takes: Option<StateKey>,
}

/// The result of [`TokenStore::put_grant`].
#[derive(Debug, Clone, PartialEq)]
pub enum PutOutcome {
    /// The grant was stored.
    Stored,
    /// The precondition failed. Contains the stored connection.
    Moved(Box<Stored>),
    /// A generation was expected, but the connection does not exist.
    Missing,
}

/// Changes to a connection's record. A field with the value `None` is not changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// The new status.
    pub status: Option<Status>,
    /// The account's display name.
    pub label: Option<String>,
    /// The account's own host.
    pub host: Option<String>,
    /// The account's metadata. Replaces the existing metadata.
    pub metadata: Option<Metadata>,
    /// The result of an on-demand test, recorded with the store's current time: `None` on success,
    /// otherwise the error.
    pub check: Option<Option<String>>,
    /// A generation that the provider accepted in an API call.
    pub confirmed: Option<Generation>,
}

/// The result of [`TokenStore::update`].
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateOutcome {
    /// The record was changed. Contains the new version.
    Updated(Version),
    /// The record has a different version. Contains the stored connection.
    Moved(Box<Stored>),
    /// The connection does not exist.
    Missing,
}

/// Handling of the record when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The record and its history are kept, with the status disconnected. Connecting the same
    /// account again reuses the connection.
    Deactivate,
    /// Remove the record. The audit log is kept.
    Forget,
}

/// A credential to queue for revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevocation {
    /// The grant that the credential belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The fence of the exchange that produced the credential. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// A request to end a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRequest {
    /// Handling of the record: kept or removed.
    pub how: End,
    /// The expected generation; `None` to end the connection at any generation.
    pub at: Option<Generation>,
    /// Credentials to queue for revocation in the same commit.
    pub revoke: Vec<NewRevocation>,
    /// A sealed copy of the credential. It is stored only if the connection has channels that must
    /// be deleted at the provider. See
    /// [`SubscriptionStore::endings`](crate::store::SubscriptionStore::endings).
    pub unsubscribe: Option<EndingCredential>,
}

/// The result of [`TokenStore::end`].
#[derive(Debug, Clone, PartialEq)]
pub enum EndOutcome {
    /// The connection ended.
    Ended,
    /// The connection has a different generation. Contains the stored connection. Nothing changed.
    Moved(Box<Stored>),
    /// The connection had already ended. Its revocations are queued nevertheless.
    AlreadyEnded,
    /// The connection does not exist. Nothing is queued.
    Missing,
}

/// A request to use a connection's refresh token, or to replace its grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The random id of the claim. Retries of the call must use the same id.
    pub claim_id: ClaimId,
    /// The grant that the caller read.
    pub grant: GrantNumber,
    /// The generation that the caller read, or whose token was rejected.
    pub seen: Generation,
    /// The purpose of the claim.
    pub kind: ClaimKind,
    /// Maximum duration of the claim if it is not resolved earlier.
    pub hold: Duration,
    /// The newest generation that the provider has accepted, if the caller knows it.
    pub confirmed: Option<Generation>,
}

/// The result of [`TokenStore::claim`].
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimOutcome {
    /// The claim was granted. `stored` is the row including the new claim.
    Granted {
        /// The claim's fence.
        fence: Fence,
        /// Remaining hold time of the claim.
        until: TimeLeft,
        /// The row that the decision is based on.
        stored: Box<Stored>,
        /// The previous claim, if it was never resolved. The provider may have received the request
        /// of that claim.
        superseded: Option<Claim>,
    },
    /// The grant or the generation has changed. Contains the stored connection.
    Moved(Box<Stored>),
    /// Another claim is active.
    Held {
        /// The fence of the active claim.
        fence: Fence,
        /// Remaining hold time of the active claim.
        until: TimeLeft,
    },
    /// The connection has ended or does not exist.
    Ended,
}

/// The result of an exchange to store.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The id of the claim for the exchange.
    pub claim_id: ClaimId,
    /// The grant of that claim.
    pub grant: GrantNumber,
    /// The generation whose refresh token was used.
    pub base: Generation,
    /// The fence of that claim.
    pub fence: Fence,
    /// The sealed credential to store. With `takes_pending`, the credential of the pending pair.
    pub credential: Sealed,
    /// Remaining lifetimes of its tokens.
    pub expiries: Expiries,
    /// The new status of the connection.
    pub status: Status,
    /// True if the response contained a new refresh token.
    pub rotates: bool,
    /// The fence of the pending pair that becomes the current credential, instead of the result of
    /// an exchange.
    pub takes_pending: Option<Fence>,
}

/// The result of [`TokenStore::commit`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CommitOutcome {
    /// The credential is now the current one.
    Stored,
    /// The generation had changed within the grant. The pair was stored as pending.
    Pending,
    /// The grant has ended, and nothing was stored. Revoke the pair.
    Ended,
}

/// Action after an exchange that returned no credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The exchange is retried later. Sets the status, if given.
    Later {
        /// The new status of the connection.
        status: Option<Status>,
    },
    /// The grant can no longer be used.
    GiveUp {
        /// The reason why the grant can no longer be used.
        reason: ReauthorizationReason,
    },
}

/// An exchange that returned no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The id of the claim for the exchange.
    pub claim_id: ClaimId,
    /// The grant of that claim.
    pub grant: GrantNumber,
    /// The generation whose refresh token was to be used.
    pub base: Generation,
    /// The fence of that claim.
    pub fence: Fence,
    /// True if the provider certainly did not act, or if its response is complete. The claim is
    /// then resolved. False if the provider may have acted and the response was lost. The claim
    /// then stays active until its hold time has passed.
    pub resolves: bool,
    /// Action for the connection.
    pub verdict: Verdict,
}

/// The result of [`TokenStore::fail`].
#[derive(Debug, Clone, PartialEq)]
pub enum FailOutcome {
    /// The failure was recorded.
    Applied,
    /// The generation or the grant has changed. Contains the stored connection.
    Moved(Box<Stored>),
    /// The store did not give up the grant, because pending pairs have not been tried. Contains the
    /// stored connection.
    PendingLeft(Box<Stored>),
    /// The store did not give up the grant, because another claim is active and may still produce a
    /// credential.
    Held {
        /// The fence of the active claim.
        fence: Fence,
        /// Remaining hold time of the active claim.
        until: TimeLeft,
    },
    /// The connection has ended or does not exist.
    Ended,
}

/// Due work that is leased to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The connection that the work belongs to. The connection may no longer exist, because its
    /// revocations are kept after its end.
    pub key: ConnectionKey,
    /// The kind of work.
    pub kind: WorkKind,
    /// The number of this lease. Later leases have higher numbers.
    pub lease: u64,
    /// Time since the work became due.
    pub late_by: Duration,
}

/// Filter for connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Matches only connections of this tenant.
    pub tenant: Option<TenantId>,
    /// Matches only connections of this provider.
    pub provider: Option<ProviderId>,
    /// Matches only connections of this app registration.
    pub app: Option<AppKey>,
    /// Matches only connections with the given status, as returned by [`Status::as_str`].
    pub status: Option<&'static str>,
}

impl Filter {
    /// Matches the connections of one tenant.
    #[must_use]
    pub fn tenant(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::default()
        }
    }

    /// Matches the connections of all tenants. Intended for operators.
    #[must_use]
    pub fn everyone() -> Self {
        Self::default()
    }

    /// Matches only connections of `provider`.
    #[must_use]
    pub fn with_provider(mut self, provider: ProviderId) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Matches only connections of the app registration `app`.
    #[must_use]
    pub fn with_app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Matches only connections with the given status, as returned by [`Status::as_str`].
    #[must_use]
    pub fn with_status(mut self, status: &'static str) -> Self {
        self.status = Some(status);
        self
    }
}

/// A token response to quarantine, because its account is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQuarantine {
    /// The flow that the response belongs to.
    pub state: StateKey,
    /// The tenant of the flow.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The sealed response.
    pub sealed: Sealed,
    /// Delay before a worker may lease the response.
    pub delay: Duration,
    /// Retention time.
    pub keep_for: Duration,
}

/// A token response in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The flow that the response belongs to.
    pub state: StateKey,
    /// The tenant of the flow.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The sealed response.
    pub sealed: Sealed,
    /// Remaining retention time.
    pub until: TimeLeft,
}

/// A credential that is queued for revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The connection that the credential belonged to. It may no longer exist.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
    /// The grant that the credential belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The fence of the exchange that produced the credential. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// Stores connections, their sealed credentials, claims and due work.
///
/// The engine computes the numbers of grants and generations, and decides when to use fences. The
/// store compares the expected values, writes atomically, and returns the row that it used:
/// [`TokenStore::claim`] returns the row that its decision is based on.
///
/// The methods may be called concurrently, from any number of processes. Calls for one connection
/// are serialized (`operations_on_one_connection_are_linear`).
#[async_trait]
pub trait TokenStore: Maintenance {
    /// Loads a connection with its credentials and its claim in one snapshot.
    ///
    /// * All fields are read back as written (`a_grant_is_read_back`).
    /// * A key of another tenant finds nothing (`another_tenant_finds_nothing`).
    /// * Remaining times are computed on the store's clock (`time_left_follows_the_stores_clock`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry. [`ErrorKind::StoreIncompatible`] if a newer version
    /// wrote the row.
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>>;

    /// Returns the generation of a connection. Callers that wait for a new generation poll this
    /// method, because it is cheaper than [`TokenStore::load`] (`generation_is_what_load_says`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>>;

    /// Returns the connection of an account, even if the connection has ended
    /// (`an_account_is_found_by_its_reference`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>>;

    /// Returns at most `n` connections to an account, in a stable order.
    ///
    /// * Includes the connections of all tenants, but not connections that have ended or whose
    ///   account key is only asserted (`routing_finds_live_identified_connections_of_all_tenants`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn find_by_account(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountKey,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>>;

    /// Returns at most `n` connections of all tenants whose account has this host, in a stable
    /// order.
    ///
    /// * Follows the rules of [`TokenStore::find_by_account`], with the host instead of the key
    ///   (`routing_finds_connections_by_account_host`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn find_by_host(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        host: &str,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>>;

    /// Returns at most `n` connections that match the filter, in a stable order.
    ///
    /// * If you follow the cursors, every matching connection that is not removed during the
    ///   listing is returned exactly once (`listing_meets_each_connection_once`).
    /// * Connections that do not match the filter are left out, especially connections of other
    ///   tenants (`listing_leaves_out_other_tenants`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionRecord>>;

    /// Stores the first grant of a connection, or a new grant of an existing connection.
    ///
    /// * With [`Expect::Absent`], the result is `Moved` and nothing is written if a connection of
    ///   the same tenant, provider, app and account exists (`one_connection_per_account`). Of many
    ///   concurrent calls, one is stored (`of_many_first_grants_one_is_stored`).
    /// * With [`Expect::At`], the result is `Moved` and nothing is written if the generation
    ///   differs (`a_grant_over_a_moved_generation_is_refused`). If there is no such connection,
    ///   the result is `Missing` (`a_grant_for_a_missing_connection_is_refused`).
    /// * A new grant removes the claim, the previous credential and the pending pairs of older
    ///   grants (`a_new_grant_ends_older_claims_and_pairs`). The connection keeps its id, and its
    ///   `rotates` flag is reset.
    /// * Numbers that are not the successors of the stored numbers are rejected with
    ///   [`ErrorKind::InvalidInput`] (`a_grant_whose_numbers_do_not_follow_is_refused`), and so is
    ///   a provider, app or account that differs from the existing connection's
    ///   (`a_grant_for_another_account_is_refused`).
    /// * The quarantined response that the grant comes from is removed in the same commit
    ///   (`a_grant_takes_its_quarantined_response`).
    /// * Side effects are applied only if the result is `Stored` (`effects_ride_in_the_commit`,
    ///   `refused_changes_have_no_effects`).
    /// * A retry after an unknown outcome returns `Stored` as long as the grant's first credential
    ///   is still current (`putting_a_grant_twice_stores_it_once`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry with the same numbers and bytes.
    /// [`ErrorKind::InvalidInput`] as described above.
    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome>;

    /// Changes a connection's record, but never its credential or generation.
    ///
    /// * If the version differs, the result is `Moved` and nothing is written
    ///   (`an_update_of_a_moved_version_is_refused`). If there is no such connection, the result is
    ///   `Missing` (`an_update_of_a_missing_connection_is_missing`).
    /// * Fields that the patch does not set are kept. The generation does not change, so that an
    ///   update never conflicts with a commit (`an_update_leaves_the_rest_alone`).
    /// * `status_since` changes only when the status changes
    ///   (`status_since_moves_with_the_status`).
    /// * The confirmed generation only increases. Confirming the current generation removes the
    ///   previous credential (`confirming_the_current_generation_drops_the_previous`).
    /// * The status of a connection that has ended cannot be changed; the result is `Moved`
    ///   (`an_ended_connection_keeps_its_status`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: load the connection again before you decide.
    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome>;

    /// Ends a connection in one commit: removes its secrets, its claim and its due work, increments
    /// its generation and grant, and queues its credentials for revocation.
    ///
    /// * No sealed data of the connection is kept except the revocations and the endings of its
    ///   channels. No work is kept except work in `effects`
    ///   (`an_end_removes_secrets_claims_and_work`).
    /// * If an expected generation is given and differs, the result is `Moved` and nothing is
    ///   written (`an_end_at_a_moved_generation_is_refused`).
    /// * With [`End::Deactivate`], the record is kept. With [`End::Forget`], the record is removed,
    ///   and its account can be connected under a new id (`a_forgotten_connection_is_gone`).
    /// * A repeated or late call still queues each of its revocations once, and applies its side
    ///   effects if it queued one (`revocations_are_queued_once`). If the connection never existed,
    ///   the result is `Missing`.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry.
    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome>;

    /// Acquires a claim for the use of a connection's refresh token, or for the replacement of its
    /// grant.
    ///
    /// * If the grant or the generation differs, the result is `Moved`, also for forced refreshes,
    ///   and nothing is written (`a_claim_of_a_moved_generation_returns_the_row`).
    /// * While another claim is active, the result is `Held` (`a_standing_claim_is_held`). Of many
    ///   concurrent calls, one is granted (`of_many_claims_one_is_granted`).
    /// * When the hold time of the other claim has passed on the store's clock, the new claim is
    ///   granted, and the other claim is reported as superseded
    ///   (`a_claim_past_its_hold_is_superseded`).
    /// * Each granted claim has a higher fence than all earlier claims, also after a new grant,
    ///   after the end of the connection, and in other processes (`fences_only_grow`).
    /// * A repeated call with the same claim id, while the claim is active, returns its fence and
    ///   the claim that it superseded (`a_repeated_claim_returns_the_first_result`).
    /// * `Granted` contains the row including the claim (`granted_carries_the_claimed_row`).
    /// * Confirming the current generation removes the previous credential
    ///   (`confirming_the_current_generation_drops_the_previous`).
    /// * If the connection has ended or never existed, the result is `Ended`
    ///   (`a_claim_on_an_ended_connection_ends`). Exception: a deactivated connection can be
    ///   claimed for [`ClaimKind::Exchange`], because it is about to be connected again
    ///   (`a_deactivated_connection_can_be_claimed_for_exchange`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry with the same claim id, or send nothing to the
    /// provider.
    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome>;

    /// Stores the result of an exchange.
    ///
    /// * If the grant and the generation are unchanged, the credential becomes the current one with
    ///   the next generation. The credential that was current becomes the previous one. The number
    ///   of consecutive failures is reset, and the status is set (`a_commit_moves_the_generation`).
    /// * The claim is cleared if and only if it has the fence of the commit
    ///   (`a_commit_clears_its_own_claim`, `a_commit_leaves_a_younger_claim`).
    /// * If the generation has changed within the grant, the pair is stored as pending, and
    ///   [`TokenStore::load`] returns the pair. Apart from the commit's own claim, nothing else
    ///   changes, and no side effects are applied (`a_late_commit_is_kept_as_pending`).
    /// * If the grant or the connection has ended, the result is `Ended` and nothing is stored
    ///   (`a_commit_of_an_ended_grant_is_refused`).
    /// * With `takes_pending`, that pending pair becomes the current credential and keeps the fence
    ///   that it was sealed with (`a_pending_pair_becomes_current`). If the pair no longer exists,
    ///   the row is not changed and the result is `Pending`.
    /// * The store keeps `rotates` until the grant ends (`an_observed_rotation_is_remembered`).
    /// * The commit is atomic, including its side effects (`effects_ride_in_the_commit`), also if
    ///   the call is dropped before it returns (`a_dropped_commit_is_whole`).
    /// * A repeated call returns the first outcome, also after up to 7 further commits
    ///   (`a_repeated_commit_returns_the_first_result`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: keep the pair in memory and retry with the same claim id
    /// until the outcome is known.
    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome>;

    /// Records that an exchange returned no credential.
    ///
    /// * With `resolves`, the claim is cleared if it has the fence of the failure, whatever the
    ///   result (`a_definite_failure_resolves_its_claim`). Without `resolves`, the claim stays
    ///   active (`an_unresolved_failure_keeps_its_claim`).
    /// * If the grant or the generation has changed, the result is `Moved` and the status does not
    ///   change (`a_failure_of_a_moved_generation_changes_nothing`).
    /// * With [`Verdict::GiveUp`], the result is `PendingLeft` while there are pending pairs
    ///   (`giving_up_is_refused_while_a_pair_is_pending`), and `Held` while another claim is active
    ///   (`giving_up_is_refused_while_another_claim_stands`).
    /// * `Applied` counts one failure per claim, even if the call is repeated
    ///   (`a_failure_counts_once_per_claim`).
    /// * The credential is kept for every verdict: an error never deletes it
    ///   (`giving_up_keeps_the_credential`).
    /// * Side effects are applied only if the result is `Applied`
    ///   (`refused_changes_have_no_effects`).
    /// * If the connection has ended or never existed, the result is `Ended`
    ///   (`a_failure_on_an_ended_connection_ends`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry. Until then, the claim stays active until its hold
    /// time has passed.
    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome>;

    /// Leases at most `n` due work items of the given kinds, the longest due first. Each item is
    /// leased to one caller until `lease` has passed.
    ///
    /// * Work is leased once it is due, and not earlier (`work_is_handed_out_when_due`). The work
    ///   that has been due longest comes first (`the_longest_due_work_comes_first`).
    /// * Work is not leased to a second caller during a lease
    ///   (`leased_work_is_not_handed_out_again`). Of many concurrent callers, only one leases the
    ///   work (`of_many_workers_one_gets_the_work`). Work is leased again after its lease expires
    ///   (`expired_leases_are_handed_out_again`).
    /// * Work of other kinds is not leased (`other_kinds_stay`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry. Work leased by a call with unknown outcome becomes
    /// available again when the lease has passed.
    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>>;

    /// Ends a lease. The work becomes due again after `next`. If `next` is `None`, the work is
    /// removed. If the lease was lost, returns false and changes nothing.
    ///
    /// * Finished work is removed or due later (`finished_work_is_gone_or_due_later`).
    /// * A lease is lost if the work was leased again, or if another change scheduled the same work
    ///   in the meantime. In the second case, the new schedule applies
    ///   (`a_change_that_schedules_ends_the_lease`, `a_lost_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry; otherwise the work is done again.
    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool>;

    /// Quarantines a token response whose account is not known yet. The response cannot be used for
    /// API calls.
    ///
    /// * A flow has at most one quarantined response. A second call with the same bytes changes
    ///   nothing and returns true. A second call with different bytes returns false
    ///   (`a_flow_has_one_quarantined_response`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry. If the process ends before the call succeeds, the
    /// response is lost.
    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool>;

    /// Returns the quarantined response of a flow, until its retention time has passed
    /// (`a_quarantined_response_is_read_back`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>>;

    /// Leases at most `n` quarantined responses, so that a worker can continue their flows. Each
    /// response is leased to one caller until `lease` has passed
    /// (`quarantined_responses_are_handed_out_after_their_delay`).
    ///
    /// # Errors
    /// Same as [`TokenStore::take_due`].
    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>>;

    /// Removes a quarantined response that is not needed. Returns false if there is none
    /// (`a_released_response_is_gone`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry.
    async fn release(&self, state: &StateKey) -> Result<bool>;

    /// Queues a credential for revocation without ending a connection. Used for the result of an
    /// exchange whose connection ended in the meantime.
    ///
    /// * The connection does not need to exist, and a repeated call queues the credential only once
    ///   (`a_revocation_needs_no_connection`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry.
    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()>;

    /// Returns the queued revocations of a connection in a stable order, even if the connection no
    /// longer exists (`revocations_outlive_their_connection`).
    ///
    /// # Errors
    /// Same as [`TokenStore::load`].
    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>>;

    /// Removes a completed revocation. Returns false if there is none
    /// (`a_finished_revocation_is_gone`).
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry; otherwise the credential is revoked again.
    async fn revoked(&self, key: &ConnectionKey, fence: Fence) -> Result<bool>;

    /// Returns a stream of changed connections as a hint for caches, or `None` if the store does
    /// not support this. Do not depend on the hints: they may be lost, duplicated or late.
    fn changes(&self) -> Option<BoxStream<'static, ConnectionKey>> {
        None
    }
}
