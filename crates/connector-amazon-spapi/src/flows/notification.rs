//! Subscriptions, and routing of notifications to connections.

use std::collections::HashMap;
use std::fmt;

use connector_core::{ConnectionKey, Error, ErrorKind, Result};
use http::HeaderMap;
use http::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::AmazonClient;
use crate::endpoints::{CreateSubscription, GetSubscription};
use crate::models::notification::{
    Notification, NotificationType, Subscription, SubscriptionSpecification,
};

const OPERATION: &str = "amazon_spapi.notification";

/// Subscribes a seller to a type of notification, or returns the existing subscription.
///
/// Store the subscription's id with the connection, and pass both to
/// [`NotificationRoutes::insert`].
///
/// # Errors
/// As for [`Session::send`](connector_core::api::Session::send); [`ErrorKind::Conflict`] if the
/// seller has a subscription with another destination. Delete that subscription first.
pub async fn subscribe(
    client: &AmazonClient,
    notification_type: &NotificationType,
    specification: &SubscriptionSpecification,
) -> Result<Subscription> {
    let create = CreateSubscription::new(notification_type.clone(), specification);
    let conflict = match client.send(&create).await {
        Err(error) if error.kind() == ErrorKind::Conflict => error,
        other => return other,
    };
    let known = GetSubscription::new(notification_type.clone())
        .with_payload_version(specification.payload_version.as_str());
    let known = client.send(&known).await?;
    if known.destination_id.as_deref() == Some(specification.destination_id.as_str()) {
        Ok(known)
    } else {
        Err(conflict)
    }
}

/// The connection to which a notification belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotificationRoute {
    /// The connection that created the notification's subscription.
    Connection(ConnectionKey),
    /// The application itself: the notification has no subscription. An example is a notification
    /// about the client secret.
    Application,
    /// No connection: the subscription is unknown, or the notification belongs to another
    /// application. Discard the notification, whatever its payload contains.
    Unknown,
}

/// Connections by subscription id.
///
/// A notification is routed by the id of its subscription, because an authenticated call of the
/// connection returned that id. The seller id in a payload is not trusted.
///
/// ```
/// # use connector_core::{ConnectionKey, Result};
/// use connector_amazon_spapi::flows::{NotificationRoute, NotificationRoutes};
/// use connector_amazon_spapi::models::notification::Notification;
///
/// fn connection_of(routes: &NotificationRoutes, body: &[u8]) -> Result<Option<ConnectionKey>> {
///     let notification = Notification::parse(body)?;
///     // Then `hub.ingest(..).connection(key)`, with `notification.id()` as the delivery id.
///     Ok(match routes.route(&notification) {
///         NotificationRoute::Connection(key) => Some(key),
///         _ => None,
///     })
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct NotificationRoutes {
    connections: HashMap<String, ConnectionKey>,
    applications: Vec<String>,
}

impl NotificationRoutes {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts only notifications for this application. By default, the application id is not
    /// checked.
    #[must_use]
    pub fn with_application_id(mut self, id: impl Into<String>) -> Self {
        self.applications.push(id.into());
        self
    }

    /// Adds a subscription of this connection.
    pub fn insert(&mut self, subscription_id: impl Into<String>, connection: ConnectionKey) {
        self.connections.insert(subscription_id.into(), connection);
    }

    /// Removes a subscription.
    pub fn remove(&mut self, subscription_id: &str) {
        self.connections.remove(subscription_id);
    }

    /// Returns the connection to which a notification belongs.
    #[must_use]
    pub fn route(&self, notification: &Notification) -> NotificationRoute {
        let metadata = &notification.notification_metadata;
        let application = metadata.application_id.as_deref().unwrap_or_default();
        if !self.applications.is_empty() && !self.applications.iter().any(|it| it == application) {
            return NotificationRoute::Unknown;
        }
        let is_of_application = matches!(
            notification.notification_type,
            NotificationType::ApplicationOAuthClientSecretExpiry
                | NotificationType::ApplicationOAuthClientNewSecret
        );
        if is_of_application {
            return NotificationRoute::Application;
        }
        let found = metadata.subscription_id.as_deref();
        let found = found.and_then(|id| self.connections.get(id));
        found.map_or(NotificationRoute::Unknown, |key| {
            NotificationRoute::Connection(key.clone())
        })
    }
}

/// The secret that an API destination of Amazon `EventBridge` sends in a header. Configure the
/// header in the destination's connection (authorization type *API key*).
///
/// See [Amazon `EventBridge`: connections for API destinations](https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html).
#[derive(Clone)]
pub struct BusSecret {
    header: HeaderName,
    secrets: Vec<SecretString>,
}

impl BusSecret {
    /// Expects the secret in this header.
    #[must_use]
    pub fn new(header: HeaderName, secret: SecretString) -> Self {
        Self {
            header,
            secrets: vec![secret],
        }
    }

    /// Adds another accepted secret, for a rotation.
    #[must_use]
    pub fn with_secret(mut self, secret: SecretString) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Checks the headers of a request in constant time.
    ///
    /// # Errors
    /// [`ErrorKind::WebhookRefused`] if the header is missing, occurs twice, or has a different
    /// value.
    pub fn check(&self, headers: &HeaderMap) -> Result<()> {
        let mut values = headers.get_all(&self.header).iter();
        let value = match (values.next(), values.next()) {
            (Some(value), None) => value.as_bytes(),
            _ => &[],
        };
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret().as_bytes();
            !secret.is_empty() && bool::from(secret.ct_eq(value))
        };
        // Compares all secrets, so that the duration does not depend on which one matches.
        if self.secrets.iter().filter(|it| fits(it)).count() > 0 {
            return Ok(());
        }
        let message = "the request does not contain the secret of the event bus; check the \
                       connection of the API destination";
        let error = Error::new(ErrorKind::WebhookRefused, OPERATION, message);
        Err(crate::error::ours(error))
    }
}

impl fmt::Debug for BusSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusSecret")
            .field("header", &self.header)
            .field("secrets", &self.secrets.len())
            .finish()
    }
}
