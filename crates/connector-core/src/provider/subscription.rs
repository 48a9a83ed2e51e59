//! Subscriptions: a provider notifies the application about changes, or the application polls.
//!
//! A [`Watch`] names one resource of an account. For each watch of a connection the hub keeps one
//! subscription: it opens a notification channel at the provider, renews the channel before it
//! expires, compares it with what the provider lists, and reads the changes from a cursor
//! ([`Subscriptions::catch_up`]) after each notification and after each gap. A provider without
//! webhooks is polled instead: its subscriptions have a cursor and no channel.
//!
//! A connector implements [`Subscriptions`] and returns it from
//! [`Connector::subscriptions`](crate::provider::Connector::subscriptions).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::account::Account;
use crate::api::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{InvalidName, name};
use crate::provider::webhook::Event;
use crate::random::Random;

name! {
    /// The resource that a subscription watches, in the connector's notation: `app123/tbl456` for a
    /// table of Airtable, `changes` for a drive. The connector documents the notation.
    Watch, "watch"
}

/// The id of one notification channel: 32 lowercase hexadecimal digits, drawn by the hub for each
/// channel. It is the last segment of the channel's notification URL, so that a notification names
/// its channel before its signature is verified.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(String);

impl ChannelId {
    /// Draws an id from `random`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|error| {
            let message = "the random source failed";
            Error::new(ErrorKind::Bug, "channel_id.generate", message).with_source(error)
        })?;
        Ok(Self(hex::encode(bytes)))
    }

    /// Reads an id, as from the path of a notification URL.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is not 32 lowercase hexadecimal digits.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        let fits = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 32 && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName::Form {
            what: "channel id",
            form: "32 lowercase hexadecimal digits",
        })
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.0)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The way in which the application learns about changes of a watched resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notification {
    /// The provider sends notifications to a channel's URL.
    Channel {
        /// The lifetime that the provider grants a channel at most; `None` if channels do not
        /// expire.
        life: Option<Duration>,
        /// The way in which a channel is kept beyond its lifetime.
        renewal: ChannelRenewal,
        /// The party that chooses the channel's secret.
        secret: SecretSource,
    },
    /// The provider sends nothing: the hub calls [`Subscriptions::catch_up`] at this interval.
    Poll {
        /// The time between two calls.
        every: Duration,
    },
}

/// The way in which a channel is kept beyond its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelRenewal {
    /// [`Subscriptions::renew`] moves the expiry of the same channel (Airtable, Microsoft Graph).
    Extend,
    /// Channels cannot be extended: the hub creates the next channel first and ends the expiring one
    /// afterwards (Google Drive).
    Replace,
}

/// The party that chooses a channel's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The hub draws it and passes it to [`Subscriptions::create`].
    Hub,
    /// The provider returns it once, in the response to [`Subscriptions::create`]. A channel whose
    /// response was lost cannot be used: the hub ends it and creates another one.
    Provider,
}

/// The source of notifications and the intervals by which the subscription of one watch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionPlan {
    /// The source of notifications.
    pub notification: Notification,
    /// The interval at which the hub calls [`Subscriptions::catch_up`] even without a notification,
    /// because notifications get lost. `None` if the provider has nothing to catch up from: a
    /// notification then carries the change itself.
    pub catch_up_every: Option<Duration>,
    /// The interval at which the hub compares its channels with [`Subscriptions::list`].
    pub compare_every: Duration,
}

impl SubscriptionPlan {
    /// A plan with channels that the provider grants for `life` at most. The connector reads the
    /// changes at least every hour and compares channels every six hours; see the `with` methods.
    #[must_use]
    pub const fn channel(
        life: Option<Duration>,
        renewal: ChannelRenewal,
        secret: SecretSource,
    ) -> Self {
        Self {
            notification: Notification::Channel {
                life,
                renewal,
                secret,
            },
            catch_up_every: Some(Duration::from_secs(3600)),
            compare_every: Duration::from_secs(6 * 3600),
        }
    }

    /// A plan without channels: the hub reads the changes at this interval.
    #[must_use]
    pub const fn poll(every: Duration) -> Self {
        Self {
            notification: Notification::Poll { every },
            catch_up_every: Some(every),
            compare_every: Duration::from_secs(6 * 3600),
        }
    }

    /// Sets the interval between two reads of changes; `None` if the provider has no list of
    /// changes.
    #[must_use]
    pub const fn with_catch_up_every(mut self, every: Option<Duration>) -> Self {
        self.catch_up_every = every;
        self
    }

    /// Sets the interval between two comparisons with the provider's list of channels.
    #[must_use]
    pub const fn with_compare_every(mut self, every: Duration) -> Self {
        self.compare_every = every;
        self
    }

    /// Returns whether the subscription has a notification channel.
    #[must_use]
    pub const fn has_channel(&self) -> bool {
        matches!(self.notification, Notification::Channel { .. })
    }
}

/// The parts that each call of [`Subscriptions`] may use.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SubscriptionContext<'a> {
    /// Authorized access to the account's API: limits, token refresh and error classification
    /// included.
    pub session: &'a Session,
    /// The connected account.
    pub account: &'a Account,
}

impl<'a> SubscriptionContext<'a> {
    /// Returns a context of these parts.
    #[must_use]
    pub const fn new(session: &'a Session, account: &'a Account) -> Self {
        Self { session, account }
    }
}

impl fmt::Debug for SubscriptionContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionContext")
            .field("account", &self.account.key)
            .finish_non_exhaustive()
    }
}

/// A channel to create.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct NewChannel<'a> {
    /// The resource to watch.
    pub watch: &'a Watch,
    /// The channel's id, unique over all channels of the hub.
    pub channel: &'a ChannelId,
    /// The https URL for notifications. Its last segment is the channel's id.
    pub url: &'a Url,
    /// The secret to set at the provider, with [`SecretSource::Hub`].
    pub secret: &'a SecretString,
    /// The cursor up to which changes have been read, if there is one.
    pub cursor: Option<&'a str>,
}

impl<'a> NewChannel<'a> {
    /// Returns a channel to create.
    #[must_use]
    pub const fn new(
        watch: &'a Watch,
        channel: &'a ChannelId,
        url: &'a Url,
        secret: &'a SecretString,
        cursor: Option<&'a str>,
    ) -> Self {
        Self {
            watch,
            channel,
            url,
            secret,
            cursor,
        }
    }
}

impl fmt::Debug for NewChannel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewChannel")
            .field("watch", &self.watch)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// A channel that the provider has created.
#[derive(Clone)]
#[non_exhaustive]
pub struct CreatedChannel {
    /// The provider's id of the channel, of 1 to 255 bytes.
    pub resource: String,
    /// Time until the provider ends it; `None` if it does not expire.
    pub expires_in: Option<Duration>,
    /// The secret that the provider chose, with [`SecretSource::Provider`].
    pub secret: Option<SecretString>,
    /// The cursor to continue from; `None` keeps the present one.
    pub cursor: Option<String>,
}

impl CreatedChannel {
    /// Returns a created channel without secret and cursor of its own.
    #[must_use]
    pub fn new(resource: impl Into<String>, expires_in: Option<Duration>) -> Self {
        Self {
            resource: resource.into(),
            expires_in,
            secret: None,
            cursor: None,
        }
    }

    /// Sets the secret that the provider chose.
    #[must_use]
    pub fn with_secret(mut self, secret: SecretString) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sets the cursor to continue from.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

impl fmt::Debug for CreatedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedChannel")
            .field("resource", &self.resource)
            .field("expires_in", &self.expires_in)
            .field("has_secret", &self.secret.is_some())
            .field("cursor", &self.cursor)
            .finish()
    }
}

/// A channel that exists at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel<'a> {
    /// The resource that it watches.
    pub watch: &'a Watch,
    /// Its id.
    pub channel: &'a ChannelId,
    /// The provider's id of the channel.
    pub resource: &'a str,
}

impl<'a> Channel<'a> {
    /// Returns a channel of these parts.
    #[must_use]
    pub const fn new(watch: &'a Watch, channel: &'a ChannelId, resource: &'a str) -> Self {
        Self {
            watch,
            channel,
            resource,
        }
    }
}

/// The result of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewOutcome {
    /// The channel lives on.
    Renewed {
        /// Time until the provider ends it; `None` if it does not expire.
        expires_in: Option<Duration>,
    },
    /// The provider has no such channel any more: the hub creates another one.
    Gone,
}

/// A channel as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedChannel {
    /// The watch for which it was listed.
    pub watch: Watch,
    /// The provider's id of the channel.
    pub resource: String,
    /// Its notification URL, if the provider shows it.
    pub url: Option<String>,
    /// Time until the provider ends it; `None` if it does not expire or does not say.
    pub expires_in: Option<Duration>,
    /// False if the provider has switched its notifications off.
    pub enabled: bool,
}

impl ListedChannel {
    /// Returns an enabled channel without expiry.
    #[must_use]
    pub fn new(watch: Watch, resource: impl Into<String>) -> Self {
        Self {
            watch,
            resource: resource.into(),
            url: None,
            expires_in: None,
            enabled: true,
        }
    }

    /// Sets the notification URL.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the time until the provider ends it.
    #[must_use]
    pub const fn with_expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self
    }

    /// Sets whether the provider sends notifications.
    #[must_use]
    pub const fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }
}

/// Changes that were read from a cursor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CatchUp {
    /// The changes in their order. Each one needs an [`Event::event_id`] that is the same whenever
    /// the same change is read.
    pub events: Vec<Event>,
    /// The cursor after these changes, of at most [`CatchUp::LONGEST_CURSOR`] bytes.
    pub cursor: String,
    /// True if more changes are available at once.
    pub more: bool,
    /// True if the provider no longer had all changes since the cursor. The hub records that
    /// changes were missed, so that the application reads the resource as a whole.
    pub missed: bool,
}

impl CatchUp {
    /// The maximum length of a cursor, in bytes.
    pub const LONGEST_CURSOR: usize = 4096;

    /// Returns the last changes up to `cursor`.
    #[must_use]
    pub fn new(events: Vec<Event>, cursor: impl Into<String>) -> Self {
        Self {
            events,
            cursor: cursor.into(),
            more: false,
            missed: false,
        }
    }

    /// Sets whether more changes are available at once.
    #[must_use]
    pub const fn with_more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }

    /// Sets whether the provider no longer had all changes since the cursor.
    #[must_use]
    pub const fn with_missed(mut self, missed: bool) -> Self {
        self.missed = missed;
        self
    }
}

/// The calls that keep subscriptions at one provider.
///
/// The hub drives them from its worker: it decides when to call, stores what the calls return, and
/// repeats calls whose outcome is unknown. Implementations keep no state.
#[async_trait]
pub trait Subscriptions: fmt::Debug + Send + Sync {
    /// Checks what an application asks to watch and returns how its subscription is kept. Called
    /// without network access, before anything is stored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the watch is not in the connector's notation.
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan>;

    /// Creates a channel. The hub never repeats a call for the same channel id: after an unknown
    /// outcome it ends that channel, as far as it can be found, and creates another one.
    ///
    /// # Errors
    /// As the provider's response says. The default fails with [`ErrorKind::Unsupported`].
    async fn create(
        &self,
        cx: &SubscriptionContext<'_>,
        new: &NewChannel<'_>,
    ) -> Result<CreatedChannel> {
        let _ = (cx, new);
        Err(unsupported("subscriptions.create"))
    }

    /// Extends a channel, and switches its notifications on again if the provider switched them
    /// off. Repeating it is harmless.
    ///
    /// # Errors
    /// As the provider's response says. The default fails with [`ErrorKind::Unsupported`].
    async fn renew(
        &self,
        cx: &SubscriptionContext<'_>,
        channel: &Channel<'_>,
    ) -> Result<RenewOutcome> {
        let _ = (cx, channel);
        Err(unsupported("subscriptions.renew"))
    }

    /// Ends a channel. Repeating it is harmless: a channel that does not exist any more is a
    /// success.
    ///
    /// # Errors
    /// As the provider's response says. The default fails with [`ErrorKind::Unsupported`].
    async fn end(&self, cx: &SubscriptionContext<'_>, channel: &Channel<'_>) -> Result<()> {
        let _ = (cx, channel);
        Err(unsupported("subscriptions.end"))
    }

    /// Lists the channels of the app at the provider that concern these watches; `None`, the
    /// default, if the provider cannot list channels. The hub ignores channels of other
    /// applications: those whose URL it did not make.
    ///
    /// # Errors
    /// As the provider's response says.
    async fn list(
        &self,
        cx: &SubscriptionContext<'_>,
        watches: &[Watch],
    ) -> Result<Option<Vec<ListedChannel>>> {
        let _ = (cx, watches);
        Ok(None)
    }

    /// Reads the changes after `cursor`, at most one page. Without a cursor, it returns the position
    /// from which a new subscription starts.
    ///
    /// # Errors
    /// As the provider's response says; the hub calls it again with the same cursor. The default
    /// fails with [`ErrorKind::Unsupported`].
    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        watch: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let _ = (cx, watch, cursor);
        Err(unsupported("subscriptions.catch_up"))
    }
}

fn unsupported(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        "the connector does not implement this call; correct the plan that it describes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_id_is_32_lowercase_hexadecimal_digits_and_nothing_else() {
        let id = ChannelId::generate(&crate::SystemRandom::new()).unwrap();
        assert_eq!(ChannelId::new(id.as_str()).unwrap(), id);
        for bad in [
            "",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789ABCDEF0123456789abcdef",
            "0123456789abcdeg0123456789abcdef",
            "../3456789abcdef0123456789abcdef",
        ] {
            assert!(ChannelId::new(bad).is_err(), "{bad}");
        }
    }
}
