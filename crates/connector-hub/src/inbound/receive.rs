//! Receiving deliveries.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use bytes::Bytes;
use connector_core::provider::webhook::{
    Incoming, WebhookEndpoint, WebhookSecret, channel, refused,
};
use connector_core::provider::{Connector, Context};
use connector_core::{App, AppKey, ConnectionKey, Error, ErrorKind, ProviderId, Result, TenantId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::Receipt;
use super::inbox::{Inbox, Owner};
use crate::hub::Hub;
use crate::subscribe::ChannelOwner;
use crate::telemetry;

const OPERATION: &str = "hub.receive";
/// Default maximum size of a body, in bytes.
const LARGEST_BODY: usize = 1_048_576;

impl Hub {
    /// Receives a delivery that arrived at one of your endpoints. `.await` the builder, and send
    /// the response from [`Receipt::response`], or from [`Receipt::refusal`] after an error. The
    /// request must contain the raw body as received.
    ///
    /// The connector verifies the signature before anything is parsed or stored. The delivery is
    /// stored before it is acknowledged. The worker then passes it to the handlers.
    ///
    /// By default, the endpoint belongs to an app that all tenants share, and deliveries go to the
    /// connections of every tenant. Use [`Receive::tenant`] or [`Receive::connection`] for an
    /// endpoint of a single tenant or connection.
    ///
    /// ```no_run
    /// # use connector_core::ProviderId;
    /// # use connector_hub::{Hub, Receipt};
    /// # async fn example(hub: Hub, request: http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> {
    /// match hub.receive(&ProviderId::from_static("acme"), request).await {
    ///     Ok(receipt) => receipt.response(),
    ///     Err(error) => Receipt::refusal(&error),
    /// }
    /// # }
    /// ```
    pub fn receive(&self, provider: &ProviderId, request: http::Request<Bytes>) -> Receive<'_> {
        Receive {
            hub: self,
            provider: provider.clone(),
            request,
            app: None,
            endpoint: None,
            channel: None,
            owner: Owner::Everybody,
            url: None,
            largest_body: LARGEST_BODY,
        }
    }
}

/// A builder that receives a delivery. Await it.
///
/// # Errors
/// * [`ErrorKind::WebhookRefused`] if the delivery is not genuine.
/// * [`ErrorKind::InvalidInput`] if the body is too large.
/// * [`ErrorKind::NotFound`] if the endpoint's connection does not exist or has ended.
/// * [`ErrorKind::Unsupported`] if the provider sends no webhooks.
/// * [`ErrorKind::Configuration`] if the registration, its secret or the connector is missing, or
///   the endpoint's name is malformed.
/// * [`ErrorKind::RateLimited`] if too many deliveries of one tenant are queued at the endpoint.
/// * [`ErrorKind::StoreUnavailable`] if the delivery cannot be stored.
/// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
///
/// After one of the last three errors, the provider must send the delivery again. If the provider
/// sends it again, no delivery is lost.
#[must_use = "the builder does nothing until it is awaited"]
pub struct Receive<'a> {
    hub: &'a Hub,
    provider: ProviderId,
    request: http::Request<Bytes>,
    app: Option<AppKey>,
    endpoint: Option<String>,
    channel: Option<String>,
    owner: Owner,
    url: Option<http::Uri>,
    largest_body: usize,
}

impl fmt::Debug for Receive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receive")
            .field("provider", &self.provider)
            .field("app", &self.app)
            .field("endpoint", &self.endpoint)
            .field("body_bytes", &self.request.body().len())
            .finish_non_exhaustive()
    }
}

impl Receive<'_> {
    /// Sets the registration. Default: the registration named `default`.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Sets the name of the endpoint: 1 to 128 visible ASCII characters without a slash. Needed if
    /// an app has several endpoints whose deliveries may have equal ids.
    pub fn endpoint(mut self, name: impl Into<String>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// Sets the tenant that the endpoint belongs to. The delivery is verified with the tenant's own
    /// registration, and goes only to the tenant's connections.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.owner = Owner::Tenant(tenant);
        self
    }

    /// Sets the connection that the endpoint belongs to, and the endpoint's own secrets, newest
    /// first. The delivery goes only to this connection. The registration is the connection's.
    pub fn connection(mut self, key: ConnectionKey, secrets: Vec<SecretString>) -> Self {
        self.owner = Owner::Connection(key, secrets);
        self
    }

    /// Sets the channel of the delivery. The channel id is the last segment of the notification URL
    /// that the hub registered at the provider (see
    /// [`HubBuilder::with_webhook_base`](crate::HubBuilder::with_webhook_base)). The delivery is
    /// verified with the channel's own secret. If a notification does not contain the changes, the
    /// worker reads the changes immediately.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Sets the public URL of the endpoint, as configured at the provider. Needed if the provider
    /// signs the URL. The query comes from the request.
    pub fn public_url(mut self, url: http::Uri) -> Self {
        self.url = Some(url);
        self
    }

    /// Sets the maximum size of a body, in bytes. Default: 1 MiB.
    pub const fn largest_body(mut self, bytes: usize) -> Self {
        self.largest_body = bytes;
        self
    }

    async fn counted(self) -> Result<Receipt> {
        let provider = self.provider.clone();
        let inner = Arc::clone(&self.hub.inner);
        let received = self.run().await;
        let result = match &received {
            Ok(Receipt::Accepted { .. }) => "accepted",
            Ok(Receipt::Duplicate { .. }) => "duplicate",
            Ok(Receipt::Reply(_) | Receipt::Secret { .. }) => "handshake",
            Err(error) => error.kind().as_str(),
        };
        // The id of a provider without a connector comes from the sender, who could send any number.
        if inner.connector(&provider).is_ok() {
            telemetry::count(telemetry::RECEIVED, &[provider.as_str(), result]);
        }
        received
    }

    async fn run(mut self) -> Result<Receipt> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        if self.request.body().len() > self.largest_body {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the delivery's body is too large; raise the limit with `largest_body` if such \
                 bodies are expected",
            ));
        }
        let connector = Arc::clone(inner.connector(&self.provider)?);
        let notified = match self.channel.take() {
            Some(channel) => Some(self.hub.channel_owner(&self.provider, &channel).await?),
            None => None,
        };
        match &notified {
            Some(owner) => {
                let secrets = owner.secrets().to_vec();
                self.owner = Owner::Connection(owner.connection().clone(), secrets);
                self.app = Some(owner.app().clone());
            }
            None => self.find_subscription(&*connector).await?,
        }
        let (app_key, app) = self.registration().await?;
        let endpoint = self.endpoint.as_deref();
        let inbox = Inbox::new(
            inner,
            OPERATION,
            &self.provider,
            &app_key,
            endpoint,
            &self.owner,
        )?;
        let incoming = {
            let is_signed_by_app = notified
                .as_ref()
                .is_some_and(ChannelOwner::is_signed_by_app);
            let mut webhook = match &self.owner {
                Owner::Connection(_, secrets) if !is_signed_by_app => {
                    WebhookEndpoint::of_connection(&app_key, secrets)
                }
                _ => WebhookEndpoint::of_app(&app_key),
            };
            if let Some(url) = &self.url {
                webhook = webhook.with_url(url);
            }
            let cx = Context::new(&app, &*inner.transport, &*inner.clock);
            connector
                .verify_webhook(&cx, &webhook, &self.request)
                .await?
        };
        let (events, reply) = match incoming {
            Incoming::Accept { events, reply } => (events, reply),
            Incoming::Reply(response) => return Ok(Receipt::Reply(response)),
            Incoming::Secret { secret, reply } => return Ok(Receipt::Secret { secret, reply }),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    OPERATION,
                    "the connector returned a kind of delivery that this hub does not know",
                ));
            }
        };
        if let Some(owner) = notified.filter(ChannelOwner::reads_changes) {
            // The notification only announces changes. The worker reads the changes, and they
            // become the events.
            return Ok(if self.hub.notified(&owner).await? {
                Receipt::Accepted {
                    events: Vec::new(),
                    reply,
                }
            } else {
                Receipt::Duplicate { reply }
            });
        }
        inbox.keep(events, reply).await
    }

    /// Sets the endpoint to the subscription that the delivery claims to belong to. Used if each
    /// subscription has its own secret and all deliveries arrive at one URL.
    async fn find_subscription(&mut self, connector: &dyn Connector) -> Result<()> {
        let description = connector.description();
        let takes_them = description
            .webhook
            .as_ref()
            .is_some_and(|scheme| scheme.secret == WebhookSecret::Subscription);
        let (true, Owner::Everybody, Some(source)) = (
            takes_them,
            &self.owner,
            &self.hub.inner.subscription_secrets,
        ) else {
            return Ok(());
        };
        // A handshake has no channel. A malformed delivery is refused later, during verification.
        let Ok(Some(channel)) = channel(description, &self.request) else {
            return Ok(());
        };
        let app = self.app.clone().unwrap_or_default();
        let found = source.secret(&self.provider, &app, &channel).await?;
        let found = found.filter(|found| !found.secrets.is_empty());
        let found =
            found.ok_or_else(|| refused("the delivery does not belong to a known subscription"))?;
        self.owner = Owner::Connection(found.connection, found.secrets);
        Ok(())
    }

    async fn registration(&self) -> Result<(AppKey, Arc<App>)> {
        let inner = &self.hub.inner;
        match &self.owner {
            Owner::Everybody => {
                let key = self.app.clone().unwrap_or_default();
                let app = inner.shared_app(&self.provider, &key).await?;
                Ok((key, app))
            }
            Owner::Tenant(tenant) => {
                let key = self.app.clone().unwrap_or_default();
                let app = inner.app(&self.provider, tenant, &key).await?;
                Ok((key, app))
            }
            Owner::Connection(key, secrets) => {
                // With an empty list, connectors would use the secrets of the app.
                if secrets.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        OPERATION,
                        "the connection's endpoint has no secret; pass the secret that is \
                         configured at the provider",
                    ));
                }
                let connection = inner
                    .connection_of_endpoint(OPERATION, &self.provider, self.app.as_ref(), key)
                    .await?;
                let app = inner
                    .app(&self.provider, &key.tenant, &connection.app)
                    .await?;
                Ok((connection.app, app))
            }
        }
    }
}

impl<'a> IntoFuture for Receive<'a> {
    type Output = Result<Receipt>;
    type IntoFuture = BoxFuture<'a, Result<Receipt>>;

    fn into_future(self) -> Self::IntoFuture {
        self.counted().boxed()
    }
}
