//! Endpoints of customers, and the messages that are sent to them.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::connection::Version;
use crate::error::{Error, ErrorKind, Result};
use crate::event::AuditEntry;
use crate::name::InvalidName;
use crate::outbound::{EventType, MessageId};
use crate::provider_id::ProviderId;
use crate::random::Random;
use crate::store::{Cursor, Maintenance, Page};

/// The id of an endpoint: 128 random bits, as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId([u8; 16]);

impl EndpointId {
    /// Generates an id from `random`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|error| {
            let message = "the random source failed";
            Error::new(ErrorKind::Bug, "endpoint_id.generate", message).with_source(error)
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

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointId({self})")
    }
}

impl std::str::FromStr for EndpointId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(text, &mut bytes);
        decoded
            .map(|()| Self(bytes))
            .map_err(|_| InvalidName::Form {
                what: "endpoint id",
                form: "32 hexadecimal digits",
            })
    }
}

/// The key of an endpoint. It includes the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// The tenant that the endpoint belongs to.
    pub tenant: TenantId,
    /// The id of the endpoint.
    pub id: EndpointId,
}

impl EndpointKey {
    /// Returns the key of an endpoint of `tenant`.
    #[must_use]
    pub const fn new(tenant: TenantId, id: EndpointId) -> Self {
        Self { tenant, id }
    }

    /// Returns the id that the seal of the endpoint's URL and secrets is bound to.
    #[must_use]
    pub fn row_id(&self) -> String {
        format!("endpoint/{}", self.id)
    }
}

/// The key of a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The tenant that the message belongs to.
    pub tenant: TenantId,
    /// The provider of the endpoints that receive the message.
    pub provider: ProviderId,
    /// The id of the message.
    pub id: MessageId,
}

impl MessageKey {
    /// Returns the id that the seal of the payload is bound to.
    #[must_use]
    pub fn row_id(&self) -> String {
        format!("message/{}", self.id)
    }
}

/// Defines an enum with stable names.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Returns the stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// Parses a stable name. Returns `None` for any other text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

named! {
    /// The state of an endpoint.
    EndpointState {
        /// Messages are sent to the endpoint.
        Enabled = "enabled",
        /// The owner or an operator disabled the endpoint.
        Disabled = "disabled",
        /// The hub disabled the endpoint after days of failures.
        Failed = "failed",
        /// The endpoint responded with 410, so that it receives nothing any more.
        Gone = "gone",
    }
}

named! {
    /// The state of a delivery, that is, of one message for one endpoint.
    OutboundState {
        /// Waiting for the next attempt, or currently leased.
        Waiting = "waiting",
        /// Waiting for an earlier delivery of the same resource.
        Held = "held",
        /// The endpoint accepted the message.
        Delivered = "delivered",
        /// The endpoint refused the message, or all attempts failed.
        Failed = "failed",
        /// Not sent, because the endpoint is disabled.
        Skipped = "skipped",
        /// Not sent, because of a failure on this side, for example an unreadable row. An operator
        /// must act.
        Parked = "parked",
    }
}

impl OutboundState {
    /// Returns true if the delivery is waiting for an attempt or for an earlier delivery.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Waiting | Self::Held)
    }
}

/// An endpoint to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// The key of the endpoint.
    pub key: EndpointKey,
    /// The provider that the endpoint belongs to. Only messages for this provider are sent to it.
    pub provider: ProviderId,
    /// A label that identifies the endpoint for its owner without secrets, for example the host.
    pub label: String,
    /// A name that is unique among the tenant's endpoints of the provider, if the endpoint has one.
    pub alias: Option<String>,
    /// The event types that the endpoint receives. Empty for all types.
    pub event_types: Vec<EventType>,
    /// True if the messages of one resource are sent in order.
    pub is_ordered: bool,
    /// The sealed URL, secrets and headers.
    pub sealed: Sealed,
    /// Maximum number of the tenant's endpoints of the provider, except gone endpoints.
    pub limit: u32,
}

/// The result of [`OutboundStore::put_endpoint`].
#[derive(Debug, Clone, PartialEq)]
pub enum PutEndpointOutcome {
    /// The endpoint was stored, or it was stored by an earlier call with the same key.
    Stored,
    /// Another endpoint has the alias. Nothing changed.
    Exists(Box<Endpoint>),
    /// The tenant has the maximum number of endpoints. Nothing changed.
    TooMany,
}

/// The recent results of an endpoint. Failures on this side are not included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Number of failed attempts since the last success.
    pub failures: u32,
    /// The time of the first of these failures.
    pub failing_since: Option<Timestamp>,
    /// The time of the last success.
    pub succeeded_at: Option<Timestamp>,
    /// The time of the last failure.
    pub failed_at: Option<Timestamp>,
    /// The HTTP status of the last failure, if there was a response.
    pub status: Option<u16>,
    /// The stable name of the last failure.
    pub error: Option<String>,
    /// No message is sent before this time, because the endpoint asked for a pause.
    pub not_before: Option<Timestamp>,
    /// Number of delivered messages.
    pub delivered: u64,
    /// Number of failed attempts.
    pub failed: u64,
}

/// A stored endpoint. All times are on the store's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The key of the endpoint.
    pub key: EndpointKey,
    /// The provider that the endpoint belongs to.
    pub provider: ProviderId,
    /// A label that identifies the endpoint for its owner without secrets.
    pub label: String,
    /// A name that is unique among the tenant's endpoints of the provider.
    pub alias: Option<String>,
    /// The event types that the endpoint receives. Empty for all types.
    pub event_types: Vec<EventType>,
    /// True if the messages of one resource are sent in order.
    pub is_ordered: bool,
    /// The state.
    pub state: EndpointState,
    /// The recent results.
    pub health: EndpointHealth,
    /// The version, which every change except of `health` increments.
    pub version: Version,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The sealed URL, secrets and headers.
    pub sealed: Sealed,
}

/// A change of an endpoint. A field with the value `None` is not changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// The new label.
    pub label: Option<String>,
    /// The new event types.
    pub event_types: Option<Vec<EventType>>,
    /// True if the messages of one resource are sent in order.
    pub is_ordered: Option<bool>,
    /// The new sealed URL, secrets and headers.
    pub sealed: Option<Sealed>,
    /// The new state. `Enabled` also resets the failures and the pause.
    pub state: Option<EndpointState>,
}

/// The result of [`OutboundStore::change_endpoint`].
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeEndpointOutcome {
    /// The endpoint was changed.
    Changed(Box<Endpoint>),
    /// The endpoint has another version. Nothing changed.
    Moved(Box<Endpoint>),
    /// There is no such endpoint.
    Missing,
}

/// Filter for endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointFilter {
    /// Matches only endpoints of this tenant.
    pub tenant: Option<TenantId>,
    /// Matches only endpoints of this provider.
    pub provider: Option<ProviderId>,
    /// Matches only endpoints in this state.
    pub state: Option<EndpointState>,
}

/// A message to add to the queue. Its payload is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The key of the message.
    pub key: MessageKey,
    /// The type of the event.
    pub event_type: EventType,
    /// The changed resource.
    pub resource: Option<String>,
    /// The time of the event.
    pub at: Timestamp,
    /// The sealed payload.
    pub sealed: Sealed,
    /// Retention time from now. Duplicates are detected during this time.
    pub keep_for: Duration,
    /// The only endpoint that receives the message, whatever its event types.
    pub only: Option<EndpointId>,
}

/// The result of [`OutboundStore::enqueue`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// True if the message was enqueued before. Nothing changed.
    pub is_duplicate: bool,
    /// Number of endpoints to which the message will be sent.
    pub pending: u32,
    /// Number of disabled endpoints for which the message is kept as
    /// [`Skipped`](OutboundState::Skipped).
    pub skipped: u32,
}

/// A request to lease messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageLease {
    /// Maximum number of messages to lease.
    pub n: u16,
    /// Duration of the lease.
    pub lease: Duration,
    /// Maximum number of concurrently leased messages per tenant, in all processes together.
    pub per_tenant: u16,
    /// Maximum number of concurrently leased messages per endpoint, in all processes together. At
    /// most one message is leased for an endpoint whose last attempt failed.
    pub per_endpoint: u16,
    /// Leases only this message for this endpoint, if it is due. The maximum numbers do not apply.
    pub only: Option<(EndpointKey, MessageId)>,
}

impl MessageLease {
    /// Creates a request without limits per tenant or endpoint.
    #[must_use]
    pub const fn new(n: u16, lease: Duration) -> Self {
        Self {
            n,
            lease,
            per_tenant: u16::MAX,
            per_endpoint: u16::MAX,
            only: None,
        }
    }

    /// Sets the maximum number of leased messages per tenant and per endpoint.
    #[must_use]
    pub const fn with_caps(mut self, per_tenant: u16, per_endpoint: u16) -> Self {
        self.per_tenant = per_tenant;
        self.per_endpoint = per_endpoint;
        self
    }

    /// Leases only the message `id` for `endpoint`.
    #[must_use]
    pub fn for_one(mut self, endpoint: EndpointKey, id: MessageId) -> Self {
        self.only = Some((endpoint, id));
        self
    }
}

/// A message that is leased to one worker, for one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedMessage {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The id of the message.
    pub id: MessageId,
    /// The type of the event.
    pub event_type: EventType,
    /// The sealed payload.
    pub sealed: Sealed,
    /// Number of times that the delivery was leased, including this lease.
    pub attempt: u32,
    /// Number of failed attempts since the message was enqueued or replayed.
    pub tries: u32,
    /// The number of this lease. Later leases have higher numbers.
    pub lease: u64,
}

/// The decision after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundVerdict {
    /// The endpoint accepted the message.
    Delivered,
    /// The attempt failed. The message is sent again after the given time.
    Retry(Duration),
    /// The attempt failed, and it was the last one.
    Failed,
    /// The endpoint responded with 410.
    Gone,
    /// The attempt failed on this side. The message is sent again after the given time, and the
    /// attempt does not count as a failure of the endpoint.
    Postponed(Duration),
    /// The message cannot be sent because of a failure on this side.
    Parked,
}

/// An entry of the delivery log to store. It contains no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAttempt {
    /// Time from the start of the request to the result.
    pub took: Duration,
    /// The HTTP status; `None` if there was no response.
    pub status: Option<u16>,
    /// The stable name of the failure; `None` after a success.
    pub error: Option<String>,
    /// The beginning of the response, without secrets.
    pub excerpt: Option<String>,
}

/// The audit entries of the possible changes of an endpoint's state. At most one of them is written.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointAudit {
    /// Written when the number of failures reaches [`Settlement::warn_at`].
    pub failing: AuditEntry,
    /// Written when the endpoint is disabled after days of failures.
    pub failed: AuditEntry,
    /// Written when the endpoint is gone.
    pub gone: AuditEntry,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// The provider of the endpoint.
    pub provider: ProviderId,
    /// The id of the message.
    pub id: MessageId,
    /// The number of the lease.
    pub lease: u64,
    /// The number of the attempt.
    pub attempt: u32,
    /// The entry of the delivery log.
    pub log: NewAttempt,
    /// The version of the endpoint at the time of the lease.
    pub version: Version,
    /// The decision.
    pub verdict: OutboundVerdict,
    /// The pause that the endpoint asked for. It delays all messages for the endpoint.
    pub pause: Option<Duration>,
    /// Number of failures at which the endpoint's owner is warned.
    pub warn_at: u32,
    /// Time of continuous failures after which the endpoint is disabled.
    pub disable_after: Duration,
    /// The audit entries, if the attempt failed.
    pub audit: Option<Box<EndpointAudit>>,
}

/// A change of an endpoint's state after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointTransition {
    /// The number of failures reached [`Settlement::warn_at`].
    Failing,
    /// The endpoint was disabled.
    Failed,
    /// The endpoint is gone.
    Gone,
}

/// The effect of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The new state of the delivery.
    pub state: OutboundState,
    /// The change of the endpoint's state.
    pub transition: Option<EndpointTransition>,
}

/// Filter for deliveries to endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundFilter {
    /// Matches only deliveries of this tenant.
    pub tenant: Option<TenantId>,
    /// Matches only deliveries to endpoints of this provider.
    pub provider: Option<ProviderId>,
    /// Matches only deliveries to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Matches only deliveries of this message.
    pub message: Option<MessageId>,
    /// Matches only deliveries in this state.
    pub state: Option<OutboundState>,
    /// If true, matches only deliveries that ended without success: failed, skipped and parked ones.
    pub undelivered: bool,
    /// Matches only messages that were enqueued at or after this time, on the store's clock.
    pub since: Option<Timestamp>,
    /// Matches only messages that were enqueued before this time, on the store's clock.
    pub until: Option<Timestamp>,
}

/// The data of a delivery without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRecord {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// The id of the message.
    pub message: MessageId,
    /// The type of the event.
    pub event_type: EventType,
    /// The changed resource.
    pub resource: Option<String>,
    /// The time of the event.
    pub at: Timestamp,
    /// The state.
    pub state: OutboundState,
    /// Number of attempts.
    pub attempts: u32,
    /// The stable name of the last failure.
    pub error: Option<String>,
    /// The time when the message was enqueued.
    pub accepted_at: Timestamp,
    /// The time of the next attempt, or the end of the lease.
    pub due_at: Timestamp,
}

/// An entry of the delivery log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The number of the attempt.
    pub attempt: u32,
    /// The time of the result, on the store's clock.
    pub at: Timestamp,
    /// The result.
    pub log: NewAttempt,
}

/// Stores endpoints, and messages until they are delivered. A message that was enqueued is leased at
/// least once for each of its endpoints, and again until it is settled.
///
/// The methods may be called concurrently, from any number of processes.
#[async_trait]
pub trait OutboundStore: Maintenance {
    /// Stores an enabled endpoint and the audit entries.
    ///
    /// * The endpoint is read back as stored, and another tenant does not find it
    ///   (`an_endpoint_is_read_back`).
    /// * A repeated call with the same key changes nothing. An alias and the maximum number of
    ///   endpoints are checked in the same commit (`aliases_and_numbers_of_endpoints_are_limited`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retrying the call is safe.
    async fn put_endpoint(
        &self,
        new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome>;

    /// Returns an endpoint; `None` if the tenant has no such endpoint.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>>;

    /// Returns at most `n` endpoints in a stable order.
    ///
    /// * If you follow the cursors, every matching endpoint is returned exactly once
    ///   (`listing_endpoints_meets_each_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn endpoints(
        &self,
        filter: &EndpointFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<Endpoint>>;

    /// Changes an endpoint that has the version `at`, and writes the audit entries.
    ///
    /// * Of several changes at one version, one is written
    ///   (`of_many_changes_of_an_endpoint_one_is_written`).
    /// * When an endpoint is disabled, its pending deliveries are skipped in the same commit
    ///   (`deliveries_of_a_disabled_endpoint_are_kept_as_skipped`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): read the endpoint before a retry.
    async fn change_endpoint(
        &self,
        key: &EndpointKey,
        at: Version,
        change: EndpointChange,
        audit: Vec<AuditEntry>,
    ) -> Result<ChangeEndpointOutcome>;

    /// Removes an endpoint with its deliveries and its delivery log, and writes the audit entries.
    /// Returns false if the tenant has no such endpoint; then no audit entry is written.
    ///
    /// * Nothing of the endpoint remains (`a_removed_endpoint_is_gone`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn remove_endpoint(&self, key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool>;

    /// Adds a message for every endpoint of its tenant and provider that receives its event type.
    ///
    /// * Endpoints of other tenants and providers, and endpoints that did not choose the event type,
    ///   receive nothing. Disabled endpoints keep the message as skipped. Gone endpoints receive
    ///   nothing (`a_message_goes_to_the_matching_endpoints`).
    /// * While a message is retained, a second message with the same key is a duplicate
    ///   (`a_message_is_enqueued_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retrying the call is safe.
    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued>;

    /// Leases messages that are due. Each message is leased to one caller per endpoint until the
    /// lease has passed.
    ///
    /// * A leased message is not leased to a second caller during the lease, and is leased again
    ///   with the next attempt number after the lease (`a_message_is_leased_to_one_worker`).
    /// * Endpoints take turns, whatever the number of their messages, and so do tenants
    ///   (`endpoints_and_tenants_take_turns`).
    /// * The maximum numbers of leased messages apply to all processes together. An endpoint whose
    ///   last attempt failed gets one message at a time (`leased_messages_are_limited`).
    /// * At an endpoint with order per resource, a message is leased only after all earlier messages
    ///   of its resource have been delivered or given up. Other resources are not delayed
    ///   (`messages_of_one_resource_keep_their_order`).
    /// * A row that cannot be read does not block other rows. An unreadable message is parked, and the
    ///   next one of its resource is leased.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry. Messages leased by a call
    /// with unknown outcome become available again when the lease has passed.
    async fn lease_messages(&self, request: &MessageLease) -> Result<Vec<LeasedMessage>>;

    /// Stores the results of attempts: the state of the delivery, the delivery log, the health and
    /// state of the endpoint, and the audit entry of a change of its state. The results for one
    /// endpoint are stored in one commit. Returns `None` for a lost lease.
    ///
    /// * A lost lease changes nothing (`a_lost_message_lease_changes_nothing`).
    /// * A retried message waits, and a delivered message is never leased again
    ///   (`a_settled_message_waits_or_rests`).
    /// * A pause delays all messages for the endpoint, except one that is leased by its id. A success
    ///   does not end it (`a_pause_delays_all_messages`).
    /// * An endpoint is disabled once, with one audit entry, and its pending deliveries are skipped
    ///   (`an_endpoint_is_disabled_once`). A success resets the failures
    ///   (`a_success_resets_the_failures`).
    /// * A 410 from an address that the endpoint no longer has does not end the endpoint, and the
    ///   message is sent again (`a_late_410_does_not_end_an_endpoint`).
    /// * A row that cannot be read counts as a lost lease and does not block the other results.
    /// * The last attempts of a delivery are listed, oldest first (`attempts_are_listed`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry; otherwise the messages are
    /// sent again. Results that the failed call stored count as lost leases in the retry.
    async fn settle_messages(&self, settlements: &[Settlement]) -> Result<Vec<Option<Settled>>>;

    /// Returns at most `n` deliveries in the order in which they were enqueued.
    ///
    /// * If you follow the cursors, every matching delivery is returned exactly once
    ///   (`listing_messages_meets_each_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn outbound(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>>;

    /// Returns the delivery log of one delivery, oldest first: the last 20 attempts.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn attempts(&self, endpoint: &EndpointKey, id: &MessageId) -> Result<Vec<AttemptRecord>>;

    /// Makes at most `n` matching deliveries due now, oldest first, and returns their number. Only
    /// deliveries that are not pending and whose endpoint is enabled are replayed.
    ///
    /// * Skipped, failed, parked and delivered messages are leased again. Pending ones, and those of
    ///   disabled endpoints, are not changed (`replayed_messages_are_leased_again`).
    /// * Messages of one resource keep their order (`replayed_messages_keep_their_order`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn replay_messages(&self, filter: &OutboundFilter, n: u16) -> Result<u32>;
}
