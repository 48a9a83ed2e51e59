//! The contract between the library and a database: five object-safe traits.
//!
//! * [`TokenStore`] keeps connections, their sealed credentials, claims and due work.
//! * [`StateStore`] keeps what a connect flow remembers between its two halves.
//! * [`DeliveryQueue`] keeps deliveries, inbound and outbound, until they are handled.
//! * [`AuditLog`] keeps what happened, and hands changes to handlers.
//! * [`SubscriptionStore`] keeps subscriptions, their channels and cursors.
//!
//! One type usually implements all of them; [`Store`] names such a type. [`Maintenance`] is what they
//! share. Stores see sealed bytes only.
//!
//! Four rules hold for every method:
//! * **One commit.** What a call writes is written completely or not at all, and is durable when
//!   the call returns `Ok`.
//! * **One clock.** Durations are resolved on the store's clock: that of the database server where
//!   there is one, else the injected [`Clock`](crate::clock::Clock).
//! * **Unknown outcomes.** When a call returns an error, or is dropped before it returns, it may or
//!   may not have been carried out. Each method says what repeating it does. A repetition that
//!   returns the first result changes nothing, and its effects are not applied again.
//! * **Bounds.** A list that is asked for at most 0 items takes that for 1, so that following its
//!   cursors comes to an end. Taking or purging at most 0 does nothing. A cursor that the list did
//!   not return is refused with [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where
//!   that can be seen.
//!
//! The rules in the methods' documentation end with the name of the testkit's case that shows
//! them. A store of your own passes the same suites.

mod audit;
mod delivery;
mod maintenance;
mod memory;
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

/// A type that implements every store trait, as the stores of this workspace do.
pub trait Store: TokenStore + StateStore + DeliveryQueue + AuditLog + SubscriptionStore {}

impl<S: TokenStore + StateStore + DeliveryQueue + AuditLog + SubscriptionStore> Store for S {}

name! {
    /// Where a list goes on. Opaque: only the store that made it can read it.
    Cursor, "cursor"
}

/// A page of a list and the cursor to the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The cursor to the next page; `None` at the end. A page may be empty and have a successor.
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

/// What kind of work is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// Refresh its credential.
    Refresh,
    /// Use its refresh token before the provider lets it lapse.
    KeepAlive,
    /// Read its account's metadata.
    Metadata,
    /// Keep its subscriptions: create, renew, compare and end channels, and read changes.
    Subscriptions,
    /// Revoke what is queued for revocation.
    Revocation,
}

impl WorkKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 5] = [
        Self::Refresh,
        Self::KeepAlive,
        Self::Metadata,
        Self::Subscriptions,
        Self::Revocation,
    ];

    /// The stable name of the kind.
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

    /// Reads a stable name; `None` if this version does not know it.
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

/// What rides in the commit of the change it belongs to.
///
/// Side effects are applied if and only if the change is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SideEffects {
    /// When work of a kind becomes due for the connection, from now; `None` removes it. Setting
    /// work that somebody has leased ends that lease.
    pub schedule: Vec<(WorkKind, Option<Duration>)>,
    /// Entries for the audit log.
    pub audit: Vec<AuditEntry>,
}

impl SideEffects {
    /// No effect beside the change itself.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes work due after `delay`.
    #[must_use]
    pub fn with_work(mut self, kind: WorkKind, delay: Duration) -> Self {
        self.schedule.push((kind, Some(delay)));
        self
    }

    /// Removes work.
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
