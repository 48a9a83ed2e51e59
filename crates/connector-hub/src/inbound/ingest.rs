//! Ingestion of messages whose source the application has verified.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{AccountHint, Event, SignedField, read_proved};
use connector_core::{AppKey, ConnectionKey, Error, ErrorKind, ProviderId, Result, TenantId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};

use super::Receipt;
use super::inbox::{Inbox, Owner};
use crate::hub::Hub;

const OPERATION: &str = "hub.ingest";

/// A message from a queue or an event bus that only the provider can write to: Amazon SQS,
/// `EventBridge`, Google Pub/Sub.
///
/// If the provider's description has a webhook scheme, the scheme reads the fields that are not set
/// here from the body and the attributes.
#[derive(Clone)]
#[must_use]
pub struct Message {
    body: Bytes,
    attributes: Vec<(String, String)>,
    topic: Option<String>,
    account: Option<AccountHint>,
    delivery_id: Option<String>,
    triggered_at: Option<Timestamp>,
    probes: Option<bool>,
}

impl Message {
    /// Creates a message with the given body, unchanged.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            attributes: Vec::new(),
            topic: None,
            account: None,
            delivery_id: None,
            triggered_at: None,
            probes: None,
        }
    }

    /// Adds an attribute of the message. The webhook scheme reads attributes as headers.
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Sets the topic.
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Sets the account that the message is about.
    pub fn with_account(mut self, account: AccountHint) -> Self {
        self.account = Some(account);
        self
    }

    /// Sets the id that identifies repeated messages, which is the provider's id or the id from the
    /// queue.
    pub fn with_delivery_id(mut self, id: impl Into<String>) -> Self {
        self.delivery_id = Some(id.into());
        self
    }

    /// Sets the time of the event by the provider's clock.
    pub const fn with_triggered_at(mut self, at: Timestamp) -> Self {
        self.triggered_at = Some(at);
        self
    }

    /// Marks the message as a hint that the connection may have ended or lost permissions. The hub
    /// then probes the connection.
    pub const fn with_probe(mut self) -> Self {
        self.probes = Some(true);
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("body_bytes", &self.body.len())
            .field("attributes", &self.attributes.len())
            .field("topic", &self.topic)
            .field("account", &self.account)
            .field("delivery_id", &self.delivery_id)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Ingests a message that the application received through a channel other than HTTP. Verify
    /// the source of the message first. Await the builder. The message is processed like a verified
    /// delivery. The same handlers receive the message, and repeated messages are detected.
    ///
    /// Delete the message from its queue only after this call returns `Ok`.
    ///
    /// ```no_run
    /// # use connector_core::ProviderId;
    /// # use connector_hub::{Hub, Message};
    /// # async fn example(hub: Hub, body: Vec<u8>, id: String) -> connector_core::Result<()> {
    /// let message = Message::new(body)
    ///     .with_topic("ORDER_CHANGE")
    ///     .with_delivery_id(id);
    /// hub.ingest(&ProviderId::from_static("acme"), message).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ingest(&self, provider: &ProviderId, message: Message) -> Ingest<'_> {
        Ingest {
            hub: self,
            provider: provider.clone(),
            message,
            app: None,
            endpoint: None,
            owner: Owner::Everybody,
        }
    }
}

/// A builder that ingests a message. Await it.
///
/// # Errors
/// * [`ErrorKind::InvalidInput`] if an attribute cannot be read.
/// * [`ErrorKind::WebhookRefused`] if the body does not match the webhook scheme of the
///   description.
/// * [`ErrorKind::NotFound`] if the connection does not exist or has ended.
/// * [`ErrorKind::Configuration`] if the connector is missing or the endpoint's name is malformed.
/// * [`ErrorKind::RateLimited`] if too many messages are queued, [`ErrorKind::StoreUnavailable`],
///   or [`ErrorKind::ShuttingDown`]: leave the message in its queue.
#[must_use = "the builder does nothing until it is awaited"]
pub struct Ingest<'a> {
    hub: &'a Hub,
    provider: ProviderId,
    message: Message,
    app: Option<AppKey>,
    endpoint: Option<String>,
    owner: Owner,
}

impl fmt::Debug for Ingest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest")
            .field("provider", &self.provider)
            .field("app", &self.app)
            .field("endpoint", &self.endpoint)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl Ingest<'_> {
    /// Sets the registration. Default: the registration named `default`.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Sets the name of the source: 1 to 128 visible ASCII characters without a slash. Needed if an
    /// app has several sources whose messages may have equal ids.
    pub fn endpoint(mut self, name: impl Into<String>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// Restricts the message to one tenant's connections.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.owner = Owner::Tenant(tenant);
        self
    }

    /// Restricts the message to one connection.
    pub fn connection(mut self, key: ConnectionKey) -> Self {
        self.owner = Owner::Connection(key, Vec::new());
        self
    }

    async fn run(self) -> Result<Receipt> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        let app = match (&self.app, &self.owner) {
            (None, Owner::Connection(key, _)) => {
                let connection = inner
                    .connection_of_endpoint(OPERATION, &self.provider, None, key)
                    .await?;
                connection.app
            }
            (app, _) => app.clone().unwrap_or_default(),
        };
        let events = self.events(&app)?;
        let endpoint = self.endpoint.as_deref();
        let inbox = Inbox::new(
            inner,
            OPERATION,
            &self.provider,
            &app,
            endpoint,
            &self.owner,
        )?;
        inbox.keep(events, None).await
    }

    fn events(&self, app: &AppKey) -> Result<Vec<Event>> {
        let connector = Arc::clone(self.hub.inner.connector(&self.provider)?);
        let description = connector.description();
        let message = &self.message;
        let mut events = if description.webhook.is_some() {
            let mut request = http::Request::new(message.body.clone());
            for (name, value) in &message.attributes {
                let unreadable = || {
                    Error::new(
                        ErrorKind::InvalidInput,
                        OPERATION,
                        "an attribute of the message has a name or value that is invalid in a \
                         header",
                    )
                };
                let name = HeaderName::try_from(name.as_str()).map_err(|_| unreadable())?;
                let value = HeaderValue::from_str(value).map_err(|_| unreadable())?;
                request.headers_mut().append(name, value);
            }
            let accept = |host: &str| connector.account_host(host).ok().flatten();
            read_proved(description, &accept, app, &request)?
        } else {
            vec![Event::new(
                self.provider.clone(),
                app.clone(),
                "",
                message.body.clone(),
            )]
        };
        for event in &mut events {
            if let Some(topic) = &message.topic {
                event.topic.clone_from(topic);
            }
            if let Some(account) = &message.account {
                event.account = Some(account.clone());
            }
            if let Some(id) = &message.delivery_id {
                event.delivery_id = Some(id.clone());
            }
            if let Some(at) = message.triggered_at {
                event.triggered_at = Some(at);
            }
            if let Some(probes) = message.probes {
                event.probes = probes;
            }
            // The application has verified the source, so every field counts as signed.
            event.signed = SignedField::set(SignedField::EVERY);
        }
        Ok(events)
    }
}

impl<'a> IntoFuture for Ingest<'a> {
    type Output = Result<Receipt>;
    type IntoFuture = BoxFuture<'a, Result<Receipt>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
