//! Deliveries as connectors read them.

use std::fmt;

use bytes::Bytes;
use secrecy::SecretString;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::provider::ProviderId;

/// Where a delivery came in.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct WebhookEndpoint<'a> {
    /// The registration that the endpoint belongs to.
    pub app: &'a AppKey,
    /// The secrets of the one connection that the endpoint belongs to, the newest first. Empty for an
    /// endpoint of the whole app, whose secrets are the registration's.
    pub secrets: &'a [SecretString],
}

impl<'a> WebhookEndpoint<'a> {
    /// The endpoint of a whole app.
    #[must_use]
    pub const fn of_app(app: &'a AppKey) -> Self {
        Self { app, secrets: &[] }
    }

    /// The endpoint of one connection, with secrets of its own.
    #[must_use]
    pub const fn of_connection(app: &'a AppKey, secrets: &'a [SecretString]) -> Self {
        Self { app, secrets }
    }
}

impl fmt::Debug for WebhookEndpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEndpoint")
            .field("app", &self.app)
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// What a delivery says about the account it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountHint {
    /// Its stable key.
    Key(AccountKey),
    /// Its host, in the form that the account rule accepts.
    Host(String),
}

/// A part of a delivery that a signature may cover. The body always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignedField {
    /// Which account it is about.
    Account,
    /// What happened.
    Topic,
    /// The id of the delivery.
    DeliveryId,
    /// When it was sent or triggered.
    Time,
}

/// A delivery whose signature fits, as its connector read it.
///
/// What [`Event::is_signed`] denies is a hint: anybody who once saw a delivery may have changed it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The provider.
    pub provider: ProviderId,
    /// The registration whose endpoint it came to.
    pub app: AppKey,
    /// What happened, in the provider's words.
    pub topic: String,
    /// The account it is about, if it says.
    pub account: Option<AccountHint>,
    /// The provider's id of the delivery, the same each time it is repeated.
    pub delivery_id: Option<String>,
    /// The provider's id of what happened; several deliveries may be about one event.
    pub event_id: Option<String>,
    /// When it happened, by the provider's clock.
    pub triggered_at: Option<Timestamp>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// What the signature covers besides the body.
    pub signed: &'static [SignedField],
    /// True if it says that the connection may have ended or lost rights: the provider is asked,
    /// and its answer decides.
    pub probes: bool,
}

impl Event {
    /// An event whose signature covers `body` alone.
    #[must_use]
    pub fn new(provider: ProviderId, app: AppKey, topic: impl Into<String>, body: Bytes) -> Self {
        Self {
            provider,
            app,
            topic: topic.into(),
            account: None,
            delivery_id: None,
            event_id: None,
            triggered_at: None,
            body,
            signed: &[],
            probes: false,
        }
    }

    /// Whether the signature covers `field`.
    #[must_use]
    pub fn is_signed(&self, field: SignedField) -> bool {
        self.signed.contains(&field)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("provider", &self.provider)
            .field("app", &self.app)
            .field("topic", &self.topic)
            .field("account", &self.account)
            .field("delivery_id", &self.delivery_id)
            .field("event_id", &self.event_id)
            .field("triggered_at", &self.triggered_at)
            .field("body_bytes", &self.body.len())
            .field("signed", &self.signed)
            .field("probes", &self.probes)
            .finish()
    }
}

/// What a verified delivery is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// Events, in their order. Providers that bundle send several.
    Events(Vec<Event>),
    /// A handshake: this answer and nothing else.
    Reply(http::Response<Bytes>),
}
