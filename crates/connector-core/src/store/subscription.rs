//! Subscriptions of connections, with their channels and cursors.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::connection::{ConnectionKey, Fence, GrantNumber, TimeLeft, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::subscription::{ChannelId, Watch};
use crate::provider_id::ProviderId;
use crate::random::Random;
use crate::store::{Maintenance, SideEffects};

/// Maximum number of subscriptions per connection.
pub(crate) const SUBSCRIPTIONS_PER_CONNECTION: usize = 100;

/// The id of a subscription: 128 random bits, formatted as 32 hexadecimal digits. The id does not
/// change when the provider's channel is replaced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId([u8; 16]);

impl SubscriptionId {
    /// Maximum number of subscriptions per connection.
    pub const PER_CONNECTION: usize = SUBSCRIPTIONS_PER_CONNECTION;

    /// Generates an id from `random`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|error| {
            let message = "the random source failed";
            Error::new(ErrorKind::Bug, "subscription_id.generate", message).with_source(error)
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

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubscriptionId({self})")
    }
}

/// The key of a subscription. It includes the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey {
    /// The connection that the subscription belongs to.
    pub connection: ConnectionKey,
    /// The id of the subscription.
    pub id: SubscriptionId,
}

impl SubscriptionKey {
    /// Returns the key of a subscription of `connection`.
    #[must_use]
    pub const fn new(connection: ConnectionKey, id: SubscriptionId) -> Self {
        Self { connection, id }
    }

    /// Returns the id that the seal of the subscription's secrets is bound to.
    #[must_use]
    pub fn row_id(&self) -> String {
        format!("{}/{}", self.connection.id, self.id)
    }
}

/// A subscription to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// The key of the subscription.
    pub key: SubscriptionKey,
    /// The number of the connection's grant, as read by the caller.
    pub grant: GrantNumber,
    /// The resource to watch.
    pub watch: Watch,
}

/// A channel that is being created at the provider and has no resource id yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The channel's id.
    pub channel: ChannelId,
    /// Time since the creation started, on the store's clock.
    pub age: Duration,
}

/// A channel that exists at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChannel {
    /// The channel's id.
    pub channel: ChannelId,
    /// The provider's id of the channel.
    pub resource: String,
    /// Time until the channel expires at the provider; `None` if it does not expire.
    pub expires: Option<TimeLeft>,
    /// The lifetime that the provider granted when the channel was created or last renewed.
    pub granted: Option<Duration>,
}

/// The failures of a subscription since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFailures {
    /// Number of failures.
    pub count: u32,
    /// Time since the last failure, on the store's clock.
    pub age: Duration,
    /// The stable name of the last error.
    pub error: String,
}

/// A subscription as read from a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The key of the subscription.
    pub key: SubscriptionKey,
    /// The connection's provider.
    pub provider: ProviderId,
    /// The connection's app registration.
    pub app: AppKey,
    /// The connection's grant when the subscription was created. Part of its seal.
    pub grant: GrantNumber,
    /// The version of the subscription. Every change except a notification increments it.
    pub version: Version,
    /// The watched resource.
    pub watch: Watch,
    /// The channel that exists at the provider.
    pub channel: Option<OpenChannel>,
    /// The channel that is being created.
    pub candidate: Option<Candidate>,
    /// The sealed secrets of both channels.
    pub secrets: Option<Sealed>,
    /// The position up to which changes have been stored in the inbox.
    pub cursor: Option<String>,
    /// Number of notifications received.
    pub notified: u64,
    /// The value of `notified` before the last complete read of changes.
    pub read: u64,
    /// Number of reads that found changes since the last notification, without a notification in
    /// between.
    pub silent_reads: u32,
    /// Time since the last complete read of changes, on the store's clock.
    pub read_age: Option<Duration>,
    /// Time since the last comparison of the channel with the provider's list, on the store's
    /// clock.
    pub compared_age: Option<Duration>,
    /// The failures since the last success; `None` if there are none.
    pub failures: Option<SubscriptionFailures>,
}

/// The result of [`SubscriptionStore::put_subscription`].
#[derive(Debug, Clone, PartialEq)]
pub enum PutSubscriptionOutcome {
    /// The subscription was stored and its side effects were applied.
    Stored,
    /// The connection already watches this resource. Nothing changed.
    Exists(Box<Subscription>),
    /// The connection has [`SubscriptionId::PER_CONNECTION`] subscriptions. Nothing changed.
    TooMany,
    /// The connection does not exist, has ended, or has another grant. Nothing changed.
    Ended,
}

/// A change of a subscription. A field with the value `None` is not changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubscriptionChange {
    /// Begins the creation of a channel. An existing candidate becomes an ending, because the
    /// provider may have created its channel.
    pub begin: Option<BeginChannel>,
    /// Makes the candidate the open channel. An existing open channel becomes an ending.
    pub open: Option<OpenedChannel>,
    /// True if the channel no longer exists at the provider. The open channel is then removed
    /// without an ending.
    pub drop_channel: bool,
    /// The new lifetime of the open channel, from now.
    pub renewed: Option<Option<Duration>>,
    /// The position up to which changes have been stored in the inbox.
    pub cursor: Option<String>,
    /// Marks changes as completely read. The value of [`Subscription::notified`] before the caller
    /// started to read.
    pub read: Option<u64>,
    /// The new value of [`Subscription::silent_reads`].
    pub silent_reads: Option<u32>,
    /// True if the channel has been compared with the provider's list.
    pub compared: bool,
    /// Outcome of the provider calls. The stable name of an error increments the number of
    /// failures. `None` is a success and resets the number.
    pub outcome: Option<Option<String>>,
}

/// A channel that the caller is about to create at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginChannel {
    /// The channel's id.
    pub channel: ChannelId,
    /// The sealed secrets of the open channel and of the new channel.
    pub secrets: Sealed,
}

/// A channel that the provider has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedChannel {
    /// The channel's id, which must be the candidate's id.
    pub channel: ChannelId,
    /// The provider's id of the channel.
    pub resource: String,
    /// Time until the channel expires at the provider; `None` if it does not expire.
    pub expires_in: Option<Duration>,
    /// The sealed secrets of this channel.
    pub secrets: Sealed,
}

/// The result of [`SubscriptionStore::change_subscription`].
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeSubscriptionOutcome {
    /// The change was written. Contains the new version.
    Changed(Version),
    /// The subscription has a different version. Contains the stored subscription. Nothing changed.
    Moved(Box<Subscription>),
    /// The subscription does not exist, because it has ended.
    Missing,
}

/// The result of [`SubscriptionStore::end_subscription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSubscriptionOutcome {
    /// The subscription ended and its side effects were applied.
    Ended,
    /// The subscription does not exist.
    Missing,
}

/// A channel that must be deleted at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The connection that the channel belonged to. It may no longer exist.
    pub connection: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
    /// The account's own host, for providers with per-account hosts.
    pub account_host: Option<String>,
    /// The resource that the channel watched.
    pub watch: Watch,
    /// The channel's id.
    pub channel: ChannelId,
    /// The provider's id of the channel; `None` if the response to its creation was lost.
    pub resource: Option<String>,
    /// Number of failed attempts to delete the channel.
    pub attempts: u32,
    /// A copy of the credential for deleting the channel. `None` while the connection is active. In
    /// this case, the connection's own credential is used.
    pub credential: Option<EndingCredential>,
}

/// A sealed copy of an ended connection's credential, stored only to delete the connection's
/// channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingCredential {
    /// The grant that the credential belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The fence of the exchange that produced the credential. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// Stores the subscriptions of connections: the channels at the providers, the cursors up to which
/// changes have been read, and the channels that must be deleted.
///
/// A subscription belongs to an active connection.
/// [`TokenStore::end`](crate::store::TokenStore::end) removes the connection's subscriptions in the
/// same commit. This store does not schedule the next provider call: work of kind
/// [`WorkKind::Subscriptions`](crate::store::WorkKind::Subscriptions) is scheduled per connection.
///
/// The methods may be called concurrently, from any number of processes.
#[async_trait]
pub trait SubscriptionStore: Maintenance {
    /// Stores a new subscription, without a channel or a cursor.
    ///
    /// * The subscription is read back as written (`a_subscription_is_read_back`).
    /// * A connection has one subscription per watch. A second one returns `Exists`. Of many
    ///   concurrent calls, one is stored (`one_subscription_per_watch`). A retry with the same key
    ///   after an unknown outcome returns `Stored` and does not apply the side effects again
    ///   (`putting_a_subscription_twice_stores_it_once`).
    /// * The result is `Ended` if the connection does not exist, has ended, or has another grant
    ///   (`a_subscription_needs_a_live_connection_and_its_grant`).
    /// * The result is `TooMany` if the connection has [`SubscriptionId::PER_CONNECTION`]
    ///   subscriptions. The limit is exact, because calls for one connection are serialized
    ///   (`too_many_subscriptions_are_refused`).
    /// * Side effects are applied only if the result is `Stored`
    ///   (`effects_of_a_subscription_ride_in_its_commit`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry with the same key.
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome>;

    /// Returns the subscriptions of a connection, in the order of their creation. At most
    /// [`SubscriptionId::PER_CONNECTION`].
    ///
    /// * A key of another tenant finds nothing, even with the same connection id
    ///   (`another_tenants_subscriptions_are_not_found`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>>;

    /// Returns the subscription whose open channel or candidate has this id. Channel ids are random
    /// and unique across tenants.
    ///
    /// * A channel is found from the time its creation begins until it is replaced, dropped or
    ///   ended (`a_subscription_is_found_by_its_channels`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>>;

    /// Counts a notification for the subscription whose open channel or candidate has this id, and
    /// makes the connection's subscription work due now, in one commit. Returns false if there is
    /// no such subscription.
    ///
    /// * The version does not change, so that a notification never conflicts with a worker's change
    ///   (`a_notification_is_counted_and_makes_work_due`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not acknowledge the
    /// notification. A retry may count the notification twice, which causes one additional read of
    /// changes.
    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool>;

    /// Changes a subscription if its version is still `at`.
    ///
    /// * Of many changes at one version, one returns `Changed`. All others return `Moved` with the
    ///   stored subscription and write nothing, so that two workers cannot both advance the cursor
    ///   (`of_many_changes_of_a_version_one_is_written`).
    /// * If the subscription has ended, the result is `Missing` and nothing is written
    ///   (`an_ended_subscription_cannot_be_changed`).
    /// * Fields that the change does not set stay unchanged (`a_change_leaves_the_rest_alone`).
    /// * A replaced channel or candidate becomes an ending in the same commit
    ///   (`a_replaced_channel_becomes_an_ending`). A dropped channel does not
    ///   (`a_dropped_channel_leaves_no_ending`).
    /// * Opening a channel that is not the candidate is rejected with [`ErrorKind::InvalidInput`],
    ///   and nothing is written (`only_the_candidate_can_be_opened`).
    /// * Notifications that arrived after the caller's read remain unread
    ///   (`a_notification_during_a_read_stays_unread`).
    /// * Failures are counted and reset (`failures_of_a_subscription_are_counted_and_reset`).
    /// * Side effects are applied only if the result is `Changed`
    ///   (`effects_of_a_subscription_ride_in_its_commit`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): read the subscription again before
    /// you decide. If the change was written, the version has changed.
    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome>;

    /// Ends a subscription, whatever its version. Its open channel and its candidate become endings
    /// in the same commit.
    ///
    /// * The subscription is no longer found, and the channels to delete at the provider are listed
    ///   (`an_ended_subscription_leaves_its_channels_as_endings`).
    /// * A second call returns `Missing` and does not apply the side effects again
    ///   (`a_subscription_ends_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome>;

    /// Returns the channels of a connection that must be deleted at the provider, oldest first, at
    /// most `n`. The connection may no longer exist.
    ///
    /// * When a connection ends, all its channels become endings in the same commit, with the
    ///   sealed copy of its credential. The copy is also added to its earlier endings
    ///   (`the_end_of_a_connection_ends_its_subscriptions`).
    /// * If there is no copy of the credential, the hub cannot delete channels at the provider.
    /// When the connection ends, its channels and its queued channel removals are then deleted
    /// (`an_end_without_a_credential_drops_the_channels`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>>;

    /// Counts a failed attempt to delete a channel and returns the new count. Returns `None` if
    /// there is no such ending (`failed_endings_are_counted`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): a retry may count the attempt
    /// twice.
    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>>;

    /// Removes an ending, with its sealed copy of the credential, after the channel was deleted or
    /// all attempts failed. Returns false if there is no such ending (`a_finished_ending_is_gone`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry; otherwise the channel is
    /// deleted again.
    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool>;
}
