//! Subscriptions of connections, their channels and cursors.

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

/// The maximum number of subscriptions of one connection.
pub(crate) const SUBSCRIPTIONS_PER_CONNECTION: usize = 100;

/// The id of a subscription: 128 random bits, shown as 32 hexadecimal digits. It stays the same
/// when the provider's channel is replaced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId([u8; 16]);

impl SubscriptionId {
    /// The maximum number of subscriptions of one connection.
    pub const PER_CONNECTION: usize = SUBSCRIPTIONS_PER_CONNECTION;

    /// Draws an id from `random`.
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

    /// The id with these bits.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bits.
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

/// The key of a subscription. It contains the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey {
    /// The connection that it belongs to.
    pub connection: ConnectionKey,
    /// Its id.
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

/// A subscription to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// Its key.
    pub key: SubscriptionKey,
    /// The connection's grant that the caller has read.
    pub grant: GrantNumber,
    /// The resource that it watches.
    pub watch: Watch,
}

/// A channel that is being created at the provider, and has no resource id yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The channel's id.
    pub channel: ChannelId,
    /// Time since the creation began, on the store's clock.
    pub age: Duration,
}

/// A channel that exists at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChannel {
    /// The channel's id.
    pub channel: ChannelId,
    /// The provider's id of the channel.
    pub resource: String,
    /// Time until the provider ends it; `None` if it does not expire.
    pub expires: Option<TimeLeft>,
    /// The lifetime that the provider granted when the channel was created or last renewed.
    pub granted: Option<Duration>,
}

/// The failures of a subscription since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFailures {
    /// The number of failures.
    pub count: u32,
    /// Time since the last one, on the store's clock.
    pub age: Duration,
    /// The stable name of the last error.
    pub error: String,
}

/// A subscription as a store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its key.
    pub key: SubscriptionKey,
    /// The connection's provider.
    pub provider: ProviderId,
    /// The connection's registration.
    pub app: AppKey,
    /// The grant under which it was put. Part of its seal.
    pub grant: GrantNumber,
    /// Its version. Each change that is not a notification moves it.
    pub version: Version,
    /// The resource that it watches.
    pub watch: Watch,
    /// The channel that exists at the provider.
    pub channel: Option<OpenChannel>,
    /// The channel that is being created.
    pub candidate: Option<Candidate>,
    /// The sealed secrets of both channels.
    pub secrets: Option<Sealed>,
    /// The position up to which changes are in the inbox.
    pub cursor: Option<String>,
    /// The number of notifications that have arrived.
    pub notified: u64,
    /// The value of `notified` when changes were last read completely.
    pub read: u64,
    /// Time since changes were last read completely, on the store's clock.
    pub read_age: Option<Duration>,
    /// Time since the channel was last compared with the provider's list, on the store's clock.
    pub compared_age: Option<Duration>,
    /// The failures since the last success.
    pub failures: Option<SubscriptionFailures>,
}

/// The result of [`SubscriptionStore::put_subscription`].
#[derive(Debug, Clone, PartialEq)]
pub enum PutSubscriptionOutcome {
    /// It is kept, and its effects are applied.
    Stored,
    /// The connection watches this resource already; nothing changed.
    Exists(Box<Subscription>),
    /// The connection has [`SubscriptionId::PER_CONNECTION`] subscriptions; nothing changed.
    TooMany,
    /// The connection is not there, has ended, or has another grant; nothing changed.
    Ended,
}

/// A change of a subscription. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubscriptionChange {
    /// Begins the creation of a channel. A candidate that was there before becomes an ending,
    /// because the provider may have created it.
    pub begin: Option<BeginChannel>,
    /// Makes the candidate the open channel. An open channel that was there before becomes an
    /// ending.
    pub open: Option<OpenedChannel>,
    /// True if the provider has no such channel any more: the open channel is dropped without an
    /// ending.
    pub drop_channel: bool,
    /// The new expiry of the open channel, from now.
    pub renewed: Option<Option<Duration>>,
    /// The position up to which changes are in the inbox.
    pub cursor: Option<String>,
    /// Marks changes as read completely. The value of [`Subscription::notified`] that the caller
    /// saw before it began to read.
    pub read: Option<u64>,
    /// True if the channel was compared with the provider's list.
    pub compared: bool,
    /// The outcome of the calls: the stable name of an error, which counts as one more failure, or
    /// `None` for a success, which resets them.
    pub outcome: Option<Option<String>>,
}

/// A channel whose creation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginChannel {
    /// The channel's id.
    pub channel: ChannelId,
    /// The sealed secrets of the open channel and of this one.
    pub secrets: Sealed,
}

/// A channel that the provider has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedChannel {
    /// The channel's id: that of the candidate.
    pub channel: ChannelId,
    /// The provider's id of the channel.
    pub resource: String,
    /// Time until the provider ends it; `None` if it does not expire.
    pub expires_in: Option<Duration>,
    /// The sealed secrets of this channel.
    pub secrets: Sealed,
}

/// The result of [`SubscriptionStore::change_subscription`].
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeSubscriptionOutcome {
    /// The change is written; this is the new version.
    Changed(Version),
    /// The version is another one; this is what the store has, and nothing changed.
    Moved(Box<Subscription>),
    /// There is no such subscription: it ended.
    Missing,
}

/// The result of [`SubscriptionStore::end_subscription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSubscriptionOutcome {
    /// It ended, and its effects are applied.
    Ended,
    /// There is no such subscription.
    Missing,
}

/// A channel that must be ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The connection that the channel belonged to. It may be gone.
    pub connection: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
    /// The account's own host, where accounts have hosts.
    pub account_host: Option<String>,
    /// The resource that it watched.
    pub watch: Watch,
    /// The channel's id.
    pub channel: ChannelId,
    /// The provider's id of the channel; `None` if the response to its creation was lost.
    pub resource: Option<String>,
    /// The number of failed attempts to end it.
    pub attempts: u32,
    /// A copy of the credential to end it with; `None` while the connection lives and its own
    /// credential is used.
    pub credential: Option<EndingCredential>,
}

/// A sealed copy of an ended connection's credential, kept only to end its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingCredential {
    /// The grant it belonged to. Part of its seal.
    pub grant: GrantNumber,
    /// The exchange that produced it. Part of its seal.
    pub fence: Fence,
    /// The sealed credential.
    pub sealed: Sealed,
}

/// Keeps the subscriptions of connections: the channels at their providers, the cursors up to which
/// changes have been read, and the channels that must be ended.
///
/// A subscription belongs to a live connection. [`TokenStore::end`](crate::store::TokenStore::end)
/// removes the connection's subscriptions in its own commit. The time for the next call is not kept
/// here: work of the kind [`WorkKind::Subscriptions`](crate::store::WorkKind::Subscriptions) is due
/// per connection.
///
/// Any number of calls may run at once, from any number of processes.
#[async_trait]
pub trait SubscriptionStore: Maintenance {
    /// Keeps a new subscription, without channel and cursor.
    ///
    /// * What was written is read back (`a_subscription_is_read_back`).
    /// * A connection has one subscription per watch: another one is `Exists`, and of many at once
    ///   one is stored (`one_subscription_per_watch`). Repeating the call with the same key after an
    ///   unknown outcome is `Stored` and applies nothing again
    ///   (`putting_a_subscription_twice_stores_it_once`).
    /// * A connection that is not there, has ended, or has another grant is `Ended`
    ///   (`a_subscription_needs_a_live_connection_and_its_grant`).
    /// * A connection with [`SubscriptionId::PER_CONNECTION`] subscriptions gets `TooMany`, exactly:
    ///   calls for one connection take effect one after the other
    ///   (`too_many_subscriptions_are_refused`).
    /// * Side effects are applied with `Stored` and only then
    ///   (`effects_of_a_subscription_ride_in_its_commit`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it with the same key.
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome>;

    /// The subscriptions of a connection, in the order in which they were put, at most
    /// [`SubscriptionId::PER_CONNECTION`].
    ///
    /// * Another tenant's key finds nothing, even with the same connection id
    ///   (`another_tenants_subscriptions_are_not_found`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>>;

    /// The subscription whose open channel or candidate has this id. Channel ids are random and
    /// unique over all tenants.
    ///
    /// * A channel is found from the moment its creation begins until it is replaced, dropped or
    ///   ended (`a_subscription_is_found_by_its_channels`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>>;

    /// Counts a notification for the subscription whose open channel or candidate has this id, and
    /// makes the connection's subscription work due now, in one commit. Returns false if there is no
    /// such subscription.
    ///
    /// * The version stays the same, so that a notification never makes a worker's change fail
    ///   (`a_notification_is_counted_and_makes_work_due`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): do not acknowledge the
    /// notification. A repeated call may count it twice, which costs one more read of changes.
    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool>;

    /// Changes a subscription if its version is still `at`.
    ///
    /// * Of many changes at one version, one is `Changed`; the others are `Moved`, return what the
    ///   store has, and write nothing, so that two workers cannot both move the cursor
    ///   (`of_many_changes_of_a_version_one_is_written`).
    /// * A subscription that ended is `Missing`, and nothing is written
    ///   (`an_ended_subscription_cannot_be_changed`).
    /// * What the change does not name stays (`a_change_leaves_the_rest_alone`).
    /// * A replaced channel or candidate becomes an ending in the same commit
    ///   (`a_replaced_channel_becomes_an_ending`), a dropped one does not
    ///   (`a_dropped_channel_leaves_no_ending`).
    /// * Opening a channel that is not the candidate is refused with
    ///   [`ErrorKind::InvalidInput`], and nothing is written
    ///   (`only_the_candidate_can_be_opened`).
    /// * Notifications that arrived after the caller's read stay unread
    ///   (`a_notification_during_a_read_stays_unread`).
    /// * Failures are counted and reset (`failures_of_a_subscription_are_counted_and_reset`).
    /// * Side effects are applied with `Changed` and only then
    ///   (`effects_of_a_subscription_ride_in_its_commit`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): read the subscription again and
    /// decide anew: a change that was carried out has moved the version.
    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome>;

    /// Ends a subscription whatever its version. Its open channel and its candidate become endings
    /// in the same commit.
    ///
    /// * It is not found any more, and what must be ended at the provider is listed
    ///   (`an_ended_subscription_leaves_its_channels_as_endings`).
    /// * Ending it twice is `Missing` and applies nothing again (`a_subscription_ends_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome>;

    /// The channels of a connection that must be ended at the provider, the oldest first, at most
    /// `n`. The connection may be gone.
    ///
    /// * The end of a connection turns all its channels into endings in the same commit, with the
    ///   sealed copy of its credential, and adds the copy to the endings that it had
    ///   (`the_end_of_a_connection_ends_its_subscriptions`).
    /// * Without a copy of the credential nothing can be ended at the provider: the end of the
    ///   connection then drops the channels and the endings
    ///   (`an_end_without_a_credential_drops_the_channels`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>>;

    /// Counts a failed attempt to end a channel and returns the new count; `None` if there is no
    /// such ending (`failed_endings_are_counted`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): a repeated call may count twice.
    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>>;

    /// Removes an ending that is done or was given up; false if there is none. The sealed copy of
    /// the credential is gone with it (`a_finished_ending_is_gone`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; otherwise the channel is
    /// ended again.
    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool>;
}
