//! The queue of inbound and outbound deliveries.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::provider_id::ProviderId;
use crate::store::{Cursor, Maintenance, Page};

/// The direction of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From a provider to this service.
    Inbound,
    /// From this service to a subscriber.
    Outbound,
    /// From a provider to the hub. After such a delivery, the hub probes the affected connections.
    /// The delivery has its own row, so that the probe does not depend on the application's
    /// handlers.
    Probe,
}

impl Direction {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Probe => "probe",
        }
    }

    /// Parses a stable name. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound, Self::Probe]
            .into_iter()
            .find(|way| way.as_str() == text)
    }
}

/// The identity of a delivery, used to detect duplicates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The direction.
    pub direction: Direction,
    /// The provider that sent the delivery, or that the delivery is about.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The endpoint that received the delivery, or that the delivery is sent to.
    pub endpoint: String,
    /// The sender's id of the delivery, combined with a digest of the body if the id is not signed.
    pub id: String,
}

impl DeliveryKey {
    /// Returns the digest of all fields in hexadecimal. The delivery's seal is bound to this id.
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
        // Same format as the key of a flow: 64 hexadecimal digits.
        crate::store::StateKey::from_bytes(bytes).to_string()
    }
}

/// A delivery to add to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The identity of the delivery.
    pub key: DeliveryKey,
    /// The tenant; `None` for deliveries of an app as a whole.
    pub tenant: Option<TenantId>,
    /// The sealed content.
    pub sealed: Sealed,
    /// Delay before the delivery can be leased.
    pub delay: Duration,
    /// Retention time from now. Duplicates are detected during this time.
    pub keep_for: Duration,
    /// The owner and lane that determine when the delivery is leased.
    pub turn: DeliveryTurn,
    /// A digest of the body, if the number of deliveries with the same body is limited.
    pub content: Option<[u8; 32]>,
    /// Limits on the number of stored deliveries.
    pub limits: DeliveryLimits,
}

/// The owner and lane of a delivery. Owners take turns, independently of the lengths of their
/// queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTurn {
    /// The owner: a tenant, or an account if there is no tenant.
    pub owner: String,
    /// The owner's lane: a connection or an account.
    pub lane: String,
}

/// Limits on the number of stored deliveries. Zero means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryLimits {
    /// Maximum number of waiting deliveries of one owner at one endpoint.
    pub waiting: u32,
    /// Maximum number of deliveries with the same [content](NewDelivery::content) that are accepted
    /// at one endpoint within `alike_within`.
    pub alike: u32,
    /// The period in which deliveries with the same content are counted for `alike`.
    pub alike_within: Duration,
}

/// The result of [`DeliveryQueue::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// The delivery is new and was stored.
    Accepted,
    /// The delivery was accepted before. Nothing changed.
    Duplicate,
    /// The delivery was not stored, because too many deliveries with the same content were accepted
    /// recently.
    Alike,
    /// The delivery was not stored, because too many deliveries of its owner are waiting at the
    /// endpoint.
    Full,
}

/// A request to lease deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// The direction of the deliveries.
    pub direction: Direction,
    /// Maximum number of deliveries to lease.
    pub n: u16,
    /// Duration of the lease.
    pub lease: Duration,
    /// Maximum number of concurrently leased deliveries per owner, in all processes together.
    pub per_owner: u16,
    /// Maximum number of concurrently leased deliveries per lane, in all processes together.
    pub per_lane: u16,
}

impl LeaseRequest {
    /// Creates a request without limits per owner or lane.
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

    /// Sets the maximum number of leased deliveries per owner and per lane.
    #[must_use]
    pub const fn with_caps(mut self, per_owner: u16, per_lane: u16) -> Self {
        self.per_owner = per_owner;
        self.per_lane = per_lane;
        self
    }
}

/// The state of a delivery in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// Waiting to be leased, or currently leased.
    Waiting,
    /// Handled.
    Done,
    /// Given up. An operator must replay it.
    Parked,
}

impl DeliveryState {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }

    /// Parses a stable name. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Done, Self::Parked]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A delivery that is leased to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedDelivery {
    /// The identity of the delivery.
    pub key: DeliveryKey,
    /// The tenant that the delivery belongs to.
    pub tenant: Option<TenantId>,
    /// The sealed content.
    pub sealed: Sealed,
    /// Number of times that the delivery was leased, including this lease.
    pub attempt: u32,
    /// The time when the delivery was accepted, on the store's clock.
    pub accepted_at: Timestamp,
    /// The number of this lease. Later leases have higher numbers.
    pub lease: u64,
}

/// The metadata of a delivery, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The identity of the delivery.
    pub key: DeliveryKey,
    /// The tenant that the delivery belongs to.
    pub tenant: Option<TenantId>,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// Number of times that the delivery was leased.
    pub attempts: u32,
    /// The error of the last attempt, if it failed.
    pub error: Option<String>,
    /// The time when the delivery was accepted, on the store's clock.
    pub accepted_at: Timestamp,
    /// The time when the delivery can next be leased, on the store's clock, while it is waiting.
    pub due_at: Timestamp,
}

/// Filter for deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryFilter {
    /// Matches only deliveries in this direction.
    pub direction: Option<Direction>,
    /// Matches only deliveries of this provider.
    pub provider: Option<ProviderId>,
    /// Matches only deliveries of this tenant.
    pub tenant: Option<TenantId>,
    /// Matches only deliveries in this state.
    pub state: Option<DeliveryState>,
}

/// Stores deliveries until they are handled. Each accepted delivery is leased at least once, and
/// again until a worker marks it as done or parks it.
///
/// The methods may be called concurrently, from any number of processes.
#[async_trait]
pub trait DeliveryQueue: Maintenance {
    /// Adds a delivery to the queue.
    ///
    /// * While a delivery is retained, a second delivery with the same key is a `Duplicate`,
    ///   whatever the state of the first delivery (`accept_twice_is_a_duplicate`). Of many
    ///   concurrent calls with the same key, only one is accepted
    ///   (`of_many_equal_deliveries_one_is_accepted`).
    /// * The delivery can be leased once its delay has passed, and not earlier
    ///   (`a_delivery_is_handed_out_after_its_delay`).
    /// * Limits also apply to concurrent calls, and a rejected delivery changes nothing. Deliveries
    ///   of other owners and other endpoints do not count
    ///   (`waiting_deliveries_of_an_owner_are_bounded`, `deliveries_of_one_content_are_bounded`). A
    ///   duplicate returns `Duplicate` even if a limit is reached.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not acknowledge the delivery.
    /// Retrying the call is safe.
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome>;

    /// Leases deliveries that are due. Each delivery is leased to one caller until the lease has
    /// passed.
    ///
    /// * Within a lane, the delivery that has been due longest comes first
    ///   (`the_longest_due_delivery_comes_first`).
    /// * Owners take turns: the owner with the fewest leased deliveries comes first. The lanes of
    ///   an owner take turns in the same way (`owners_and_their_lanes_take_turns`).
    /// * The maximum numbers of leased deliveries per owner and per lane apply to all processes
    ///   together. Expired leases and returned deliveries do not count
    ///   (`no_owner_leases_more_than_its_cap`).
    /// * A row that cannot be read does not block other rows: it is parked as `unreadable`.
    /// * A delivery is not leased to a second caller during a lease
    ///   (`a_leased_delivery_is_not_handed_out_again`).
    /// * If a lease expires without a result, the delivery is leased again with the next attempt
    ///   number (`an_expired_delivery_lease_is_handed_out_again`).
    /// * Deliveries of other directions are not leased (`directions_do_not_mix`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry. Deliveries leased by a call
    /// with unknown outcome become available again when the lease has passed.
    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>>;

    /// Marks a delivery as handled. Returns false if the lease was lost.
    ///
    /// * The delivery is not leased again (`a_done_delivery_stays_done`).
    /// * A call with a lost lease changes nothing (`a_lost_delivery_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry; otherwise the delivery is
    /// handled again.
    async fn done(&self, delivery: &LeasedDelivery) -> Result<bool>;

    /// Returns a delivery to the queue with a delay of `after`, and records `error`. Returns false
    /// if the lease was lost.
    ///
    /// * The delivery is leased again after the delay, and not earlier
    ///   (`a_retried_delivery_waits`).
    ///
    /// # Errors
    /// Same as [`DeliveryQueue::done`].
    async fn retry(&self, delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool>;

    /// Parks a delivery until an operator replays it. Returns false if the lease was lost.
    ///
    /// * A parked delivery is not leased (`a_parked_delivery_waits_for_replay`).
    ///
    /// # Errors
    /// Same as [`DeliveryQueue::done`].
    async fn park(&self, delivery: &LeasedDelivery, error: &str) -> Result<bool>;

    /// Returns at most `n` deliveries in a stable order.
    ///
    /// * If you follow the cursors, every matching delivery is returned exactly once
    ///   (`listing_deliveries_meets_each_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>>;

    /// Makes a parked or done delivery due now. Returns false if `tenant` owns no such delivery.
    /// Without a tenant, for operators, the delivery may belong to any tenant or to none.
    ///
    /// * The delivery is leased again, and its number of attempts continues to increase
    ///   (`a_replayed_delivery_is_handed_out`).
    /// * A delivery of another tenant, or of no tenant, is not changed
    ///   (`a_tenant_replays_only_its_own_deliveries`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn replay(&self, key: &DeliveryKey, tenant: Option<&TenantId>) -> Result<bool>;
}
