//! Deliveries on their way in and out.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::provider::ProviderId;
use crate::store::{Cursor, Slice, Upkeep};

/// Which way a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From a provider to us.
    Inbound,
    /// From us to a subscriber.
    Outbound,
}

impl Direction {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Reads a stable name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound]
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
}

/// Whether a delivery is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// It is, and it is kept.
    Accepted,
    /// It was accepted before; nothing changed.
    Duplicate,
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
pub trait DeliveryQueue: Upkeep {
    /// Keeps a delivery.
    ///
    /// * The same key again is a `Duplicate`, whatever became of the first, for as long as that is
    ///   remembered (`accept_twice_is_a_duplicate`); of many at once, one is accepted
    ///   (`of_many_equal_deliveries_one_is_accepted`).
    /// * It is handed out once its delay has passed, not before
    ///   (`a_delivery_is_handed_out_after_its_delay`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not acknowledge the delivery;
    /// repeating the call is harmless.
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome>;

    /// Hands out at most `n` deliveries that are due, the longest due first, each to one caller
    /// until `lease` has passed.
    ///
    /// * What has been due longest comes first (`the_longest_due_delivery_comes_first`).
    /// * A delivery is not handed to a second caller during a lease
    ///   (`a_leased_delivery_is_not_handed_out_again`).
    /// * When the lease passes without a word, it is handed out again with the next attempt number
    ///   (`an_expired_delivery_lease_is_handed_out_again`).
    /// * The other direction's deliveries stay where they are (`directions_do_not_mix`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; what an unknown outcome
    /// leased comes back when the lease has passed.
    async fn lease(
        &self,
        direction: Direction,
        n: u16,
        lease: Duration,
    ) -> Result<Vec<LeasedDelivery>>;

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
    ) -> Result<Slice<DeliveryRecord>>;

    /// Makes a parked or done delivery due now; false if there is none.
    ///
    /// * It is handed out again, counting on (`a_replayed_delivery_is_handed_out`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn replay(&self, key: &DeliveryKey) -> Result<bool>;
}
