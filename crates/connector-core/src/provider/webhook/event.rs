//! Parsed webhook deliveries.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use secrecy::SecretString;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::provider_id::ProviderId;

/// The endpoint that received a delivery.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct WebhookEndpoint<'a> {
    /// The app registration that the endpoint belongs to.
    pub app: &'a AppKey,
    /// The secrets of the endpoint's connection, newest first.
    ///
    /// Empty if the endpoint belongs to a whole app. The secrets of the app registration are then
    /// used.
    pub secrets: &'a [SecretString],
    /// The public URL of the endpoint, as registered with the provider.
    ///
    /// Only the scheme, the host and the path are used. The query comes from the request.
    pub url: Option<&'a http::Uri>,
}

impl<'a> WebhookEndpoint<'a> {
    /// Returns the endpoint of a whole app.
    #[must_use]
    pub const fn of_app(app: &'a AppKey) -> Self {
        Self {
            app,
            secrets: &[],
            url: None,
        }
    }

    /// Returns the endpoint of one connection, which has its own secrets.
    #[must_use]
    pub const fn of_connection(app: &'a AppKey, secrets: &'a [SecretString]) -> Self {
        Self {
            app,
            secrets,
            url: None,
        }
    }

    /// Sets the public URL of the endpoint.
    ///
    /// Required if the provider signs the URL that it calls, because a request behind a proxy does
    /// not contain the public URL.
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

/// The account that a delivery names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountHint {
    /// The account's stable key.
    Key(AccountKey),
    /// The account's host, as normalized by the account host rule.
    Host(String),
}

/// A part of a delivery that a signature may cover. The body is always covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignedField {
    /// The account.
    Account,
    /// The topic.
    Topic,
    /// The delivery id.
    DeliveryId,
    /// The time at which the delivery was sent or the event occurred.
    Time,
}

impl SignedField {
    /// All fields, each with its bit.
    const ALL: [(Self, u8); 4] = [
        (Self::Account, 1),
        (Self::Topic, 2),
        (Self::DeliveryId, 4),
        (Self::Time, 8),
    ];

    /// The set of all fields.
    pub const EVERY: u8 = 15;

    /// Returns the fields in a set, which is the sum of their [bits](SignedField::bit). Unknown
    /// bits are ignored.
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

    /// Returns the bit that represents the field in a set.
    #[must_use]
    pub fn bit(self) -> u8 {
        let found = Self::ALL.into_iter().find(|(field, _)| *field == self);
        found.map_or(0, |(_, bit)| bit)
    }
}

/// A parsed delivery whose signature has been verified.
///
/// If [`Event::is_signed`] returns false for a field, do not trust the value of the field. An
/// attacker who has seen a delivery can change unsigned fields and send the delivery again.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The provider.
    pub provider: ProviderId,
    /// The app registration whose endpoint received the delivery.
    pub app: AppKey,
    /// The topic, as named by the provider.
    pub topic: String,
    /// The account that the event is about, if the delivery contains it.
    pub account: Option<AccountHint>,
    /// The provider's id for the delivery. Retries of a delivery have the same id.
    pub delivery_id: Option<String>,
    /// The provider's id for the event. Several deliveries can have the same event id.
    pub event_id: Option<String>,
    /// The time of the event, by the provider's clock.
    pub triggered_at: Option<Timestamp>,
    /// The body, byte for byte. If the delivery contains several events, the bytes of this event
    /// within the body.
    pub body: Bytes,
    /// Values of the headers in [`WebhookScheme::fields`](super::WebhookScheme::fields), keyed by
    /// header name. Treat these values as hints.
    pub fields: BTreeMap<String, String>,
    /// The fields that the signature covers in addition to the body.
    pub signed: &'static [SignedField],
    /// True if the connection may have ended or lost permissions. The hub then checks the
    /// connection at the provider.
    pub probes: bool,
}

impl Event {
    /// Returns an event whose signature covers only the body.
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

/// The result of verifying a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A delivery.
    Accept {
        /// The events of the delivery, in order. Some providers send several events in one
        /// delivery.
        events: Vec<Event>,
        /// The response that the provider expects. `None` for an empty response with status 200.
        reply: Option<http::Response<Bytes>>,
    },
    /// A handshake without events. The application sends this response and does nothing else.
    Reply(http::Response<Bytes>),
    /// A handshake that contains the endpoint's secret. The application must store the secret.
    ///
    /// The request is not authenticated. An endpoint without a secret accepts such a request from
    /// any sender.
    Secret {
        /// The secret.
        secret: SecretString,
        /// The response.
        reply: http::Response<Bytes>,
    },
}

impl Incoming {
    /// Creates a delivery with the given events and an empty response.
    #[must_use]
    pub const fn events(events: Vec<Event>) -> Self {
        Self::Accept {
            events,
            reply: None,
        }
    }
}
