//! Taking a delivery in.

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

const OPERATION: &str = "hub.receive";
/// The largest body that is looked at, in bytes.
const LARGEST_BODY: usize = 1_048_576;

impl Hub {
    /// Takes in a delivery that came to one of your endpoints: await it, and send what
    /// [`Receipt::response`] or [`Receipt::refusal`] says. The request's body is the raw one, as it
    /// arrived.
    ///
    /// Nothing is parsed or kept before the connector has verified the signature, and nothing is
    /// acknowledged before it is kept. The worker hands it to the handlers afterwards.
    ///
    /// Without more, the endpoint is that of an app that all tenants share: deliveries go to the
    /// connections of every tenant. [`Receive::tenant`] and [`Receive::connection`] are for endpoints
    /// that belong to one.
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

/// A delivery that is about to be taken in; await it.
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] if it is not genuine; [`ErrorKind::InvalidInput`] if its body is too
/// large; [`ErrorKind::NotFound`] if the endpoint's connection is not there or has ended;
/// [`ErrorKind::Unsupported`] if the provider sends no webhooks; [`ErrorKind::Configuration`] if the
/// registration, its secret or the connector is missing, or the endpoint's name is malformed;
/// [`ErrorKind::RateLimited`] if too many deliveries of one tenant wait at the endpoint;
/// [`ErrorKind::StoreUnavailable`] if it cannot be kept and [`ErrorKind::ShuttingDown`] after
/// [`Hub::shutdown`]: the provider has to repeat it. Nothing is lost as long as it does.
#[must_use = "nothing is taken in before this is awaited"]
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
    /// Uses this registration instead of the `default` one.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Names the endpoint, where an app has several whose deliveries may bear the same ids: 1 to 128
    /// visible ASCII characters without a slash.
    pub fn endpoint(mut self, name: impl Into<String>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// Says that the endpoint belongs to one tenant: the delivery is verified with that tenant's own
    /// registration and goes to that tenant's connections only.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.owner = Owner::Tenant(tenant);
        self
    }

    /// Says that the endpoint belongs to one connection and has secrets of its own, the newest first:
    /// the delivery goes to that connection only. The registration is the connection's.
    pub fn connection(mut self, key: ConnectionKey, secrets: Vec<SecretString>) -> Self {
        self.owner = Owner::Connection(key, secrets);
        self
    }

    /// Names the channel that the delivery came to: the last segment of the path of the notification
    /// URL that the hub gave to the provider (see [`HubBuilder::with_webhook_base`](crate::HubBuilder::with_webhook_base)).
    /// The delivery is verified with the channel's own secret. Where a notification carries no
    /// changes, the worker reads them at once.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Sets the public URL of the endpoint, as the provider was told it. It is needed where the provider
    /// signs the URL that it called; the query is taken from the request.
    pub fn public_url(mut self, url: http::Uri) -> Self {
        self.url = Some(url);
        self
    }

    /// Sets the largest body that is accepted, in bytes; without it, 1 MiB.
    pub const fn largest_body(mut self, bytes: usize) -> Self {
        self.largest_body = bytes;
        self
    }

    async fn run(mut self) -> Result<Receipt> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        if self.request.body().len() > self.largest_body {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the delivery's body is larger than is accepted; raise the limit if it may be",
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
            let mut webhook = match &self.owner {
                Owner::Connection(_, secrets) => WebhookEndpoint::of_connection(&app_key, secrets),
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
                    "the connector read a delivery of a kind that this hub does not know",
                ));
            }
        };
        if let Some(owner) = notified.filter(ChannelOwner::reads_changes) {
            // The notification says no more than that there are changes; those become the events.
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

    /// Makes the endpoint that of the subscription which the delivery claims to belong to, where
    /// subscriptions have secrets of their own and come to one URL.
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
        // A handshake names none; whatever has no form is refused when it is verified.
        let Ok(Some(channel)) = channel(description, &self.request) else {
            return Ok(());
        };
        let app = self.app.clone().unwrap_or_default();
        let found = source.secret(&self.provider, &app, &channel).await?;
        let found = found.filter(|found| !found.secrets.is_empty());
        let found = found.ok_or_else(|| refused("the delivery names no subscription of ours"))?;
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
                // Without secrets, connectors take those of the app.
                if secrets.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        OPERATION,
                        "the connection's endpoint has no secret; give it the one that was set at \
                         the provider",
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
        self.run().boxed()
    }
}
