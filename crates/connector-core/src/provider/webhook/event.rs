//! Deliveries as connectors read them.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use secrecy::SecretString;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::provider_id::ProviderId;

/// The endpoint that a delivery came to.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct WebhookEndpoint<'a> {
    /// The registration that the endpoint belongs to.
    pub app: &'a AppKey,
    /// The secrets of the one connection that the endpoint belongs to, the newest first. Empty for an
    /// endpoint of the whole app, whose secrets are the registration's.
    pub secrets: &'a [SecretString],
    /// The public URL of the endpoint, as the provider was told it. Only its scheme, host and path
    /// are used; the query is the request's.
    pub url: Option<&'a http::Uri>,
}

impl<'a> WebhookEndpoint<'a> {
    /// The endpoint of a whole app.
    #[must_use]
    pub const fn of_app(app: &'a AppKey) -> Self {
        Self {
            app,
            secrets: &[],
            url: None,
        }
    }

    /// The endpoint of one connection, with secrets of its own.
    #[must_use]
    pub const fn of_connection(app: &'a AppKey, secrets: &'a [SecretString]) -> Self {
        Self {
            app,
            secrets,
            url: None,
        }
    }

    /// Sets the public URL of the endpoint. It is needed where the provider signs the URL that it
    /// called: behind a proxy, the request does not tell it.
    #[must_use]
    pub const fn with_url(mut self, url: &'a http::Uri) -> Self {
        self.url = Some(url);
        self
    }
}

impl fmt::Debug for WebhookEndpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEndpoint")
            .field("app", &self.app)
            .field("secrets", &self.secrets.len())
            .field("url", &self.url)
            .finish()
    }
}

/// The account that a delivery says it is about.
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
    /// The account that it is about.
    Account,
    /// The topic.
    Topic,
    /// The id of the delivery.
    DeliveryId,
    /// The time when it was sent or triggered.
    Time,
}

impl SignedField {
    /// Every field, and its bit in a set.
    const ALL: [(Self, u8); 4] = [
        (Self::Account, 1),
        (Self::Topic, 2),
        (Self::DeliveryId, 4),
        (Self::Time, 8),
    ];

    /// The set of all fields.
    pub const EVERY: u8 = 15;

    /// The fields of a set, which is a sum of [bits](SignedField::bit). Bits of no field are ignored.
    #[must_use]
    pub const fn set(bits: u8) -> &'static [Self] {
        use SignedField::{Account as A, DeliveryId as D, Time as S, Topic as T};
        match bits & Self::EVERY {
            1 => &[A],
            2 => &[T],
            3 => &[A, T],
            4 => &[D],
            5 => &[A, D],
            6 => &[T, D],
            7 => &[A, T, D],
            8 => &[S],
            9 => &[A, S],
            10 => &[T, S],
            11 => &[A, T, S],
            12 => &[D, S],
            13 => &[A, D, S],
            14 => &[T, D, S],
            15 => &[A, T, D, S],
            _ => &[],
        }
    }

    /// The bit of the field in a set.
    #[must_use]
    pub fn bit(self) -> u8 {
        let found = Self::ALL.into_iter().find(|(field, _)| *field == self);
        found.map_or(0, |(_, bit)| bit)
    }
}

/// A delivery whose signature fits, as its connector read it.
///
/// A fact for which [`Event::is_signed`] is false is a hint: anybody who once saw a delivery may have
/// changed it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The provider.
    pub provider: ProviderId,
    /// The registration whose endpoint it came to.
    pub app: AppKey,
    /// The topic, in the provider's words.
    pub topic: String,
    /// The account it is about, if it says.
    pub account: Option<AccountHint>,
    /// The provider's id of the delivery, the same each time it is repeated.
    pub delivery_id: Option<String>,
    /// The provider's id of what happened; several deliveries may be about one event.
    pub event_id: Option<String>,
    /// The time when it happened, by the provider's clock.
    pub triggered_at: Option<Timestamp>,
    /// The body, byte for byte. In a bundle, the bytes of this event within the body.
    pub body: Bytes,
    /// Facts that stand in headers only, by the names in
    /// [`WebhookScheme::fields`](super::WebhookScheme::fields). They are hints.
    pub fields: BTreeMap<String, String>,
    /// The fields that the signature covers besides the body.
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
            fields: BTreeMap::new(),
            signed: &[],
            probes: false,
        }
    }

    /// Returns true if the signature covers `field`.
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
            .field("fields", &self.fields.keys())
            .field("signed", &self.signed)
            .field("probes", &self.probes)
            .finish()
    }
}

/// The content of a verified request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A delivery.
    Accept {
        /// Its events, in their order. Providers that bundle send several.
        events: Vec<Event>,
        /// The answer that the provider waits for; without it, an empty one with status 200.
        reply: Option<http::Response<Bytes>>,
    },
    /// A handshake: this answer and nothing else.
    Reply(http::Response<Bytes>),
    /// A handshake that brings the endpoint's secret, which the application has to keep. It is not
    /// known to be genuine: an endpoint without a secret takes it from anybody.
    Secret {
        /// The secret.
        secret: SecretString,
        /// The answer.
        reply: http::Response<Bytes>,
    },
}

impl Incoming {
    /// A delivery of these events whose answer is empty.
    #[must_use]
    pub const fn events(events: Vec<Event>) -> Self {
        Self::Accept {
            events,
            reply: None,
        }
    }
}
