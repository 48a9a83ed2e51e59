//! Taking a delivery in.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::store::{AcceptOutcome, DeliveryKey, Direction, NewDelivery};
use connector_core::webhook::{AccountHint, Event, Incoming, SignedField, WebhookEndpoint};
use connector_core::{
    App, AppKey, ConnectionKey, Context, Error, ErrorKind, ProviderId, Result, TenantId,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ring::digest;
use secrecy::SecretString;

use super::{Receipt, Verified};
use crate::hub::Hub;

const OPERATION: &str = "hub.receive";
/// The largest body that is looked at, in bytes.
const LARGEST_BODY: usize = 1_048_576;
/// How long a delivery is remembered: longer than any provider repeats one.
const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// The longest name of an endpoint and the longest id that is kept as it is, in bytes.
const LONGEST_NAME: usize = 128;

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
            owner: Owner::Everybody,
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
/// [`ErrorKind::StoreUnavailable`] if it cannot be kept and [`ErrorKind::ShuttingDown`] after
/// [`Hub::shutdown`]: the provider has to repeat it. Nothing is lost as long as it does.
#[must_use = "nothing is taken in before this is awaited"]
pub struct Receive<'a> {
    hub: &'a Hub,
    provider: ProviderId,
    request: http::Request<Bytes>,
    app: Option<AppKey>,
    endpoint: Option<String>,
    owner: Owner,
    largest_body: usize,
}

/// Whose endpoint it is.
enum Owner {
    Everybody,
    Tenant(TenantId),
    Connection(ConnectionKey, Vec<SecretString>),
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

    /// Sets the largest body that is accepted, in bytes; without it, 1 MiB.
    pub const fn largest_body(mut self, bytes: usize) -> Self {
        self.largest_body = bytes;
        self
    }

    async fn run(self) -> Result<Receipt> {
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
        let endpoint = self.endpoint_name()?;
        let (app_key, app) = self.registration().await?;
        let incoming = {
            let webhook = match &self.owner {
                Owner::Connection(_, secrets) => WebhookEndpoint::of_connection(&app_key, secrets),
                _ => WebhookEndpoint::of_app(&app_key),
            };
            let cx = Context::new(&app, &*inner.transport, &*inner.clock);
            connector
                .verify_webhook(&cx, &webhook, &self.request)
                .await?
        };
        let events = match incoming {
            Incoming::Events(events) => events,
            Incoming::Reply(response) => return Ok(Receipt::Reply(response)),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    OPERATION,
                    "the connector read a delivery of a kind that this hub does not know",
                ));
            }
        };
        self.keep(&app_key, &endpoint, events).await
    }

    /// Accepts the events one by one. Whoever repeats a delivery that was cut off in the middle
    /// brings the rest.
    async fn keep(&self, app: &AppKey, endpoint: &str, events: Vec<Event>) -> Result<Receipt> {
        let inner = &self.hub.inner;
        let (tenant, connection) = match &self.owner {
            Owner::Everybody => (None, None),
            Owner::Tenant(tenant) => (Some(tenant), None),
            Owner::Connection(key, _) => (Some(&key.tenant), Some(key)),
        };
        let (sent, mut accepted, mut ids) = (events.len(), Vec::new(), BTreeSet::new());
        for event in events {
            if event.provider != self.provider || event.app != *app {
                return Err(Error::new(
                    ErrorKind::Bug,
                    OPERATION,
                    "the connector read an event of another provider or registration",
                ));
            }
            let mut id = id_of(&event);
            for number in 2_u32.. {
                if ids.insert(id.clone()) {
                    break;
                }
                id = format!("{}/{number}", id_of(&event));
            }
            let key = DeliveryKey {
                direction: Direction::Inbound,
                provider: self.provider.clone(),
                app: app.clone(),
                endpoint: endpoint.to_owned(),
                id,
            };
            let sealed = inner
                .seal_delivery(&key, tenant, &event, connection)
                .await?;
            let delivery = NewDelivery {
                key,
                tenant: tenant.cloned(),
                sealed,
                delay: Duration::ZERO,
                keep_for: KEPT_FOR,
            };
            match inner.store.accept(delivery).await? {
                AcceptOutcome::Accepted => accepted.push(Verified::new(event)),
                AcceptOutcome::Duplicate => {}
            }
        }
        if accepted.is_empty() && sent > 0 {
            return Ok(Receipt::Duplicate);
        }
        inner.arrivals.notify_one();
        Ok(Receipt::Accepted(accepted))
    }

    /// The name under which repetitions are recognised. What tenants and connections sign for
    /// themselves must not be taken for a repetition of what others are sent.
    fn endpoint_name(&self) -> Result<String> {
        let name = self.endpoint.as_deref().unwrap_or("default");
        let fits = |c: u8| c.is_ascii_graphic() && c != b'/';
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(Error::new(
                ErrorKind::Configuration,
                OPERATION,
                "an endpoint's name is 1 to 128 visible ASCII characters without a slash",
            ));
        }
        Ok(match &self.owner {
            Owner::Everybody => name.to_owned(),
            Owner::Tenant(tenant) => {
                format!("tenant/{}/{name}", hex(&[tenant.as_str().as_bytes()]))
            }
            Owner::Connection(key, _) => format!("connection/{}/{name}", key.id),
        })
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
                let stored = inner.store.load(key).await?;
                let connection = stored.map(|it| it.connection).filter(|it| {
                    it.is_live()
                        && it.provider == self.provider
                        && self.app.as_ref().is_none_or(|app| *app == it.app)
                });
                let Some(connection) = connection else {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        OPERATION,
                        "there is no live connection for this endpoint",
                    ));
                };
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

/// What makes an event the same one when it is sent again.
///
/// An id that is not signed stands beside a digest of the body: else whoever can change it could
/// spend the id of a delivery that is still to come.
fn id_of(event: &Event) -> String {
    let Some(id) = &event.delivery_id else {
        let account = match &event.account {
            Some(AccountHint::Key(key)) => key.as_str(),
            Some(AccountHint::Host(host)) => host,
            _ => "",
        };
        let at = event.triggered_at.map_or(0, Timestamp::as_unix_millis);
        let event_id = event.event_id.as_deref().unwrap_or_default();
        return hex(&[
            event.topic.as_bytes(),
            account.as_bytes(),
            event_id.as_bytes(),
            &at.to_be_bytes(),
            &event.body,
        ]);
    };
    let id = if id.len() > LONGEST_NAME || id.chars().any(char::is_control) {
        hex(&[id.as_bytes()])
    } else {
        id.clone()
    };
    if event.is_signed(SignedField::DeliveryId) {
        id
    } else {
        format!("{id} {}", hex(&[&event.body]))
    }
}

/// The SHA-256 of the parts, each after its length, in hexadecimal.
fn hex(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
