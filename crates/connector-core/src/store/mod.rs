//! The contract between the library and a database: six object-safe traits.
//!
//! * [`TokenStore`] stores connections, their sealed credentials, claims and due work.
//! * [`StateStore`] stores connect flows between the authorization request and the callback.
//! * [`DeliveryQueue`] stores inbound deliveries until they are handled.
//! * [`AuditLog`] stores audit entries and leases changes to event handlers.
//! * [`SubscriptionStore`] stores subscriptions, their channels and their cursors.
//! * [`OutboundStore`] stores customers' endpoints and the messages that are sent to them.
//!
//! One type usually implements all six traits, and [`Store`] is the bound for such a type. All of
//! them except [`AuditLog`] require [`Maintenance`]. Stores only see sealed bytes.
//!
//! Four rules apply to every method:
//! * **Atomic commit.** A call writes either all of its changes or none. The changes are durable
//!   when the call returns `Ok`.
//! * **One clock.** Durations are resolved on the store's clock: the clock of the database server
//!   if there is one, otherwise the injected [`Clock`](crate::clock::Clock).
//! * **Unknown outcomes.** If a call returns an error, or is dropped before it returns, its changes
//!   may or may not have been written. Each method documents the effect of a retry. A retry that
//!   returns the first result writes nothing, and does not apply the side effects again.
//! * **Limits.** A list call with a limit of 0 returns up to one item, so that following its
//!   cursors terminates. A call that takes or purges items with a limit of 0 does nothing. A cursor
//!   that the list did not return is rejected with
//!   [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the store can detect it.
//!
//! Each rule in the documentation of the methods ends with the name of its test case in the
//! testkit. Run the same test suites against your own store.

mod audit;
mod delivery;
mod maintenance;
mod memory;
mod outbound;
pub mod record;
mod state;
mod subscription;
mod token;

use std::fmt;
use std::time::Duration;

pub use self::audit::{AuditFilter, AuditLog, AuditRecord, Change};
pub use self::delivery::{
    AcceptOutcome, DeliveryFilter, DeliveryKey, DeliveryLimits, DeliveryQueue, DeliveryRecord,
    DeliveryState, DeliveryTurn, Direction, LeaseRequest, LeasedDelivery, NewDelivery,
};
pub use self::maintenance::{Maintenance, RowRef, SealedRow};
pub use self::memory::MemoryStore;
pub use self::outbound::{
    AttemptRecord, ChangeEndpointOutcome, Endpoint, EndpointAudit, EndpointChange, EndpointFilter,
    EndpointHealth, EndpointId, EndpointKey, EndpointState, EndpointTransition, Enqueued,
    LeasedMessage, MessageKey, MessageLease, NewAttempt, NewEndpoint, NewMessage, OutboundFilter,
    OutboundRecord, OutboundState, OutboundStore, OutboundVerdict, PutEndpointOutcome, Settled,
    Settlement,
};
pub use self::state::{
    BeginOutcome, ConnectOutcome, NewState, PutStateOutcome, StateKey, StateStore, StoredState,
};
pub use self::subscription::{
    BeginChannel, Candidate, ChangeSubscriptionOutcome, EndSubscriptionOutcome, Ending,
    EndingCredential, NewSubscription, OpenChannel, OpenedChannel, PutSubscriptionOutcome,
    Subscription, SubscriptionChange, SubscriptionFailures, SubscriptionId, SubscriptionKey,
    SubscriptionStore,
};
pub use self::token::{
    Claim, ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Due, End,
    EndOutcome, EndRequest, Expect, Expiries, FailOutcome, Failure, Filter, NewQuarantine,
    NewRevocation, Patch, PendingCredential, PutGrant, PutOutcome, Quarantined, Revocation, Stored,
    StoredCredential, TokenStore, UpdateOutcome, Verdict,
};
pub use crate::access_token::{Deadlines, IssuedToken, Phase, TokenSlot};
pub use crate::account::AccountRef;
pub use crate::connection::{ConnectionRecord, Fence, Generation, GrantNumber, TimeLeft, Version};
use crate::event::AuditEntry;
use crate::name::name;

/// A type that implements every store trait. All stores of this workspace implement it.
pub trait Store:
    TokenStore + StateStore + DeliveryQueue + AuditLog + SubscriptionStore + OutboundStore
{
}

impl<S: TokenStore + StateStore + DeliveryQueue + AuditLog + SubscriptionStore + OutboundStore>
    Store for S
{
}

name! {
    /// The position at which a list continues. Opaque: only the store that created the cursor can
    /// read it.
    Cursor, "cursor"
}

/// A page of a list with the cursor of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items in list order.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` after the last page. A page may be empty even if more
    /// pages follow.
    pub next: Option<Cursor>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }
}

/// Kind of background work for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// Refresh its credential.
    Refresh,
    /// Use its refresh token before the provider lets the token expire.
    KeepAlive,
    /// Read its account's metadata.
    Metadata,
    /// Maintain its subscriptions: create, renew, compare and delete channels, and read changes.
    Subscriptions,
    /// Revoke the credentials that are queued for revocation.
    Revocation,
}

impl WorkKind {
    /// All kinds that this version knows.
    pub const ALL: [Self; 5] = [
        Self::Refresh,
        Self::KeepAlive,
        Self::Metadata,
        Self::Subscriptions,
        Self::Revocation,
    ];

    /// Returns the stable name of the kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::KeepAlive => "keep_alive",
            Self::Metadata => "metadata",
            Self::Subscriptions => "subscriptions",
            Self::Revocation => "revocation",
        }
    }

    /// Parses a stable name. Returns `None` if this version does not know the kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Additional writes that are part of a change's commit.
///
/// Side effects are applied if and only if the change is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SideEffects {
    /// Work to schedule for the connection, with the delay from now. If the delay is `None`, the
    /// work is removed. If the work is leased, scheduling it ends the lease.
    pub schedule: Vec<(WorkKind, Option<Duration>)>,
    /// Entries to add to the audit log.
    pub audit: Vec<AuditEntry>,
}

impl SideEffects {
    /// Creates an empty set of side effects.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Schedules work that becomes due after `delay`.
    #[must_use]
    pub fn with_work(mut self, kind: WorkKind, delay: Duration) -> Self {
        self.schedule.push((kind, Some(delay)));
        self
    }

    /// Removes scheduled work.
    #[must_use]
    pub fn without_work(mut self, kind: WorkKind) -> Self {
        self.schedule.push((kind, None));
        self
    }

    /// Adds an audit entry.
    #[must_use]
    pub fn with_audit(mut self, entry: AuditEntry) -> Self {
        self.audit.push(entry);
        self
    }
}
