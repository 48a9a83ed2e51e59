//! Deliveries on their way in and out.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::provider_id::ProviderId;
use crate::store::{Cursor, Maintenance, Page};

/// Which way a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From a provider to us.
    Inbound,
    /// From us to a subscriber.
    Outbound,
    /// From a provider to the hub itself: an inbound delivery after which connections are probed. It
    /// has a row of its own, so that the probe does not depend on the application's handlers.
    Probe,
}

impl Direction {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Probe => "probe",
        }
    }

    /// Reads a stable name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound, Self::Probe]
            .into_iter()
            .find(|way| way.as_str() == text)
    }
}

/// What makes a delivery the same delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// Which way it goes.
    pub direction: Direction,
    /// The provider it comes from or is about.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The endpoint it came to or goes to.
    pub endpoint: String,
    /// The sender's id of it, with a digest of the body where the id is not signed.
    pub id: String,
}

impl DeliveryKey {
    /// The id that a delivery's seal is bound to: a digest of all fields, in hexadecimal.
    #[must_use]
    pub fn row_id(&self) -> String {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for field in [
            self.direction.as_str(),
            self.provider.as_str(),
            self.app.as_str(),
            &self.endpoint,
            &self.id,
        ] {
            context.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(field.as_bytes());
        }
        let digest = context.finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        // Shown like the key of a flow: 64 hexadecimal digits.
        crate::store::StateKey::from_bytes(bytes).to_string()
    }
}

/// A delivery to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// What makes it the same delivery.
    pub key: DeliveryKey,
    /// The tenant it belongs to; `None` for those of an app as a whole.
    pub tenant: Option<TenantId>,
    /// Its content, sealed.
    pub sealed: Sealed,
    /// How long it waits before it is handed out.
    pub delay: Duration,
    /// How long it is remembered, from now: repetitions are recognised that long.
    pub keep_for: Duration,
    /// The party in whose turn it is handed out.
    pub turn: DeliveryTurn,
    /// A digest of its body, where deliveries of one body are limited.
    pub content: Option<[u8; 32]>,
    /// The bounds on what is kept beside it.
    pub limits: DeliveryLimits,
}

/// The party in whose turn a delivery is handed out. Parties take turns, whatever each has waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTurn {
    /// The owner: a tenant, or an account where it has none.
    pub owner: String,
    /// The lane of the owner: a connection or an account.
    pub lane: String,
}

/// The bounds on the deliveries that are kept. A bound of zero is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryLimits {
    /// The most deliveries of the same owner that wait at the same endpoint.
    pub waiting: u32,
    /// The most deliveries of the same [content](NewDelivery::content) that are accepted at the same
    /// endpoint within `alike_within`.
    pub alike: u32,
    /// The time within which `alike` counts.
    pub alike_within: Duration,
}

/// The result of [`DeliveryQueue::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// It is new and kept.
    Accepted,
    /// It was accepted before; nothing changed.
    Duplicate,
    /// It is not kept: too many of its content were accepted lately.
    Alike,
    /// It is not kept: too many of its owner wait at the endpoint.
    Full,
}

/// A request for deliveries to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// The direction of the deliveries.
    pub direction: Direction,
    /// The most to hand out.
    pub n: u16,
    /// The time for which they are the caller's.
    pub lease: Duration,
    /// The most of one owner that are leased at once, by whatever process.
    pub per_owner: u16,
    /// The most of one lane of an owner that are leased at once, by whatever process.
    pub per_lane: u16,
}

impl LeaseRequest {
    /// A request without bounds for owners and lanes.
    #[must_use]
    pub const fn new(direction: Direction, n: u16, lease: Duration) -> Self {
        Self {
            direction,
            n,
            lease,
            per_owner: u16::MAX,
            per_lane: u16::MAX,
        }
    }

    /// Sets how many deliveries of one owner, and of one of its lanes, are leased at once.
    #[must_use]
    pub const fn with_caps(mut self, per_owner: u16, per_lane: u16) -> Self {
        self.per_owner = per_owner;
        self.per_lane = per_lane;
        self
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// It waits to be handed out, or is being handled.
    Waiting,
    /// It was handled.
    Done,
    /// It was given up and waits for a person.
    Parked,
}

impl DeliveryState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }

    /// Reads a stable name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Done, Self::Parked]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A delivery that is handed to one worker for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedDelivery {
    /// What makes it the same delivery.
    pub key: DeliveryKey,
    /// The tenant it belongs to.
    pub tenant: Option<TenantId>,
    /// Its content, sealed.
    pub sealed: Sealed,
    /// How often it was handed out, this time included.
    pub attempt: u32,
    /// When it was accepted, on the store's clock.
    pub accepted_at: Timestamp,
    /// The number of this lease. A later lease has a higher one.
    pub lease: u64,
}

/// What is known about a delivery, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// What makes it the same delivery.
    pub key: DeliveryKey,
    /// The tenant it belongs to.
    pub tenant: Option<TenantId>,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was handed out.
    pub attempts: u32,
    /// What the last attempt reported, if it failed.
    pub error: Option<String>,
    /// When it was accepted, on the store's clock.
    pub accepted_at: Timestamp,
    /// When it is handed out next, on the store's clock, while it waits.
    pub due_at: Timestamp,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryFilter {
    /// Only those that go this way.
    pub direction: Option<Direction>,
    /// Only those of this provider.
    pub provider: Option<ProviderId>,
    /// Only those of this tenant.
    pub tenant: Option<TenantId>,
    /// Only those that are this far.
    pub state: Option<DeliveryState>,
}

/// Keeps deliveries until they are handled: each accepted one is handed out at least once, and again
/// until a worker says that it is done or gives it up.
///
/// Any number of calls may run at once, from any number of processes.
#[async_trait]
pub trait DeliveryQueue: Maintenance {
    /// Keeps a delivery.
    ///
    /// * The same key again is a `Duplicate`, whatever became of the first, for as long as that is
    ///   remembered (`accept_twice_is_a_duplicate`); of many at once, one is accepted
    ///   (`of_many_equal_deliveries_one_is_accepted`).
    /// * It is handed out once its delay has passed, not before
    ///   (`a_delivery_is_handed_out_after_its_delay`).
    /// * Bounds hold also for many at once, and what they keep out leaves no trace; another owner's
    ///   and another endpoint's deliveries do not count (`waiting_deliveries_of_an_owner_are_bounded`,
    ///   `deliveries_of_one_content_are_bounded`). A repetition is a `Duplicate` also when a bound is
    ///   reached.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not acknowledge the delivery;
    /// repeating the call is harmless.
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome>;

    /// Hands out deliveries that are due, each to one caller until the lease has passed.
    ///
    /// * Within a lane, the longest due comes first (`the_longest_due_delivery_comes_first`).
    /// * Owners take turns: whoever has the fewest leased comes first, and the lanes of an owner take
    ///   turns in the same way (`owners_and_their_lanes_take_turns`).
    /// * No owner and no lane has more leased than its cap, in all processes together. A lease that has
    ///   passed, and a delivery that was put back, count no more (`no_owner_leases_more_than_its_cap`).
    /// * A row that cannot be read does not keep others back: it is parked as `unreadable`.
    /// * A delivery is not handed to a second caller during a lease
    ///   (`a_leased_delivery_is_not_handed_out_again`).
    /// * When the lease passes without a word, it is handed out again with the next attempt number
    ///   (`an_expired_delivery_lease_is_handed_out_again`).
    /// * The other direction's deliveries stay where they are (`directions_do_not_mix`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; what an unknown outcome
    /// leased comes back when the lease has passed.
    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>>;

    /// Says that a delivery was handled; false if the lease was lost.
    ///
    /// * It is not handed out again (`a_done_delivery_stays_done`).
    /// * A lost lease changes nothing (`a_lost_delivery_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; otherwise the delivery
    /// is handled again.
    async fn done(&self, delivery: &LeasedDelivery) -> Result<bool>;

    /// Puts a delivery back until `after` has passed, with what went wrong; false if the lease was
    /// lost.
    ///
    /// * It is handed out then, not before (`a_retried_delivery_waits`).
    ///
    /// # Errors
    /// As for [`DeliveryQueue::done`].
    async fn retry(&self, delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool>;

    /// Gives a delivery up until somebody replays it; false if the lease was lost.
    ///
    /// * It is not handed out (`a_parked_delivery_waits_for_replay`).
    ///
    /// # Errors
    /// As for [`DeliveryQueue::done`].
    async fn park(&self, delivery: &LeasedDelivery, error: &str) -> Result<bool>;

    /// Lists deliveries in a stable order, at most `n`.
    ///
    /// * Following the cursors meets every delivery that matches exactly once
    ///   (`listing_deliveries_meets_each_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>>;

    /// Makes a parked or done delivery due now; false if there is none that `tenant` owns. Without a
    /// tenant, for operators, it may be anybody's.
    ///
    /// * It is handed out again, counting on (`a_replayed_delivery_is_handed_out`).
    /// * Another tenant's delivery, and one of no tenant, stays as it is
    ///   (`a_tenant_replays_only_its_own_deliveries`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn replay(&self, key: &DeliveryKey, tenant: Option<&TenantId>) -> Result<bool>;
}
