//! The hub and its builder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_core::api::RetryPolicy;
use connector_core::cipher::CredentialCipher;
use connector_core::clock::{Clock, SystemClock};
use connector_core::http::HttpTransport;
use connector_core::http::limit::Limits;
use connector_core::provider::{Connector, Description};
use connector_core::store::{
    AccountRef, AuditFilter, AuditRecord, Cursor, DeliveryFilter, DeliveryRecord, Filter, Page,
    Store,
};
use connector_core::webhook::TypedEvent;
use connector_core::{
    AccountKey, App, AppKey, AppSource, Connection, ConnectionId, ConnectionKey, Error, ErrorKind,
    ProviderId, Random, RedirectUri, Result, SystemRandom, TenantId,
};
use tokio::sync::Notify;
use url::Url;

use crate::app_client::AppTokens;
use crate::audit::CallAudit;
use crate::breaker::Breakers;
use crate::events::ChangeHandler;
use crate::inbound::{DeliveryHandler, EventHandler, Registration, SubscriptionSecrets};
use crate::outbound::OutboundPolicy;
use crate::token::{Cache, Enlisted, Flights};

/// Default retention of audit entries.
const AUDIT_RETENTION: Duration = Duration::from_secs(400 * 86_400);

/// Connects accounts, refreshes their credentials, returns access tokens, and disconnects accounts.
///
/// A hub is cheap to clone, and clones share all state. Any number of hubs in any number of
/// processes may use the same store.
#[derive(Clone)]
pub struct Hub {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cipher: Arc<dyn CredentialCipher>,
    pub(crate) transport: Arc<dyn HttpTransport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) cache: Cache,
    pub(crate) flights: Arc<Flights>,
    pub(crate) breakers: Breakers,
    pub(crate) handlers: Vec<Arc<dyn ChangeHandler>>,
    pub(crate) delivery_handlers: Vec<Registration>,
    pub(crate) subscription_secrets: Option<Arc<dyn SubscriptionSecrets>>,
    /// Wakes the worker of this process when a delivery is accepted.
    pub(crate) arrivals: Notify,
    /// Wakes the worker of this process when a message for customers' endpoints is enqueued.
    pub(crate) outgoing: Notify,
    /// The transport for messages to customers' endpoints.
    pub(crate) outbound_transport: Arc<dyn HttpTransport>,
    pub(crate) outbound_policy: OutboundPolicy,
    /// Worker lag in milliseconds: the time from the due time of the last leased job to its lease.
    pub(crate) late_by: AtomicU64,
    pub(crate) limits: Limits,
    pub(crate) call_audit: CallAudit,
    /// Providers whose apps' redirect URIs differ from the redirect URIs of other providers' apps.
    pub(crate) checked_redirects: Mutex<BTreeSet<(ProviderId, String)>>,
    /// The tokens of the app itself.
    pub(crate) app_tokens: AppTokens,
    pub(crate) retry_policy: RetryPolicy,
    /// The base of all notification URLs.
    pub(crate) webhook_base: Option<Url>,
    /// Retention of audit entries.
    pub(crate) audit_retention: Duration,
    apps: Option<Arc<dyn AppSource>>,
    connectors: BTreeMap<ProviderId, Arc<dyn Connector>>,
}

impl Hub {
    /// Returns a builder for a hub. A store, a cipher, and a connector for each provider are
    /// required. Without the feature `http`, a transport is also required.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Shuts down this hub and its clones. The hub refuses new work with
    /// [`ErrorKind::ShuttingDown`], and waits at most `limit` for in-flight work that must not be
    /// lost. The most important such work is storing a new credential.
    ///
    /// Call this method last, after the workers and the HTTP server of the process have ended.
    /// Tokens in memory are still returned until they expire.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if work is still in flight: call `shutdown` again if the process can
    /// wait. Another process finishes interrupted work. Interrupted work is lost if the provider
    /// accepts no retry.
    pub async fn shutdown(&self, limit: Duration) -> Result<()> {
        let inner = &self.inner;
        inner.flights.close();
        tokio::select! {
            biased;
            () = inner.flights.landed() => Ok(()),
            () = inner.clock.sleep(limit) => {
                let left = inner.flights.under_way();
                tracing::error!(
                    operation = "hub.shutdown",
                    left,
                    "shutdown timed out; the remaining work is interrupted"
                );
                Err(Error::new(
                    ErrorKind::Timeout,
                    "hub.shutdown",
                    format!("{left} tasks are still in flight; use a longer limit if you can"),
                ))
            }
        }
    }

    /// Returns the descriptions of the connectors, ordered by provider id.
    pub fn connectors(&self) -> impl Iterator<Item = &Description> {
        self.inner.connectors.values().map(|it| it.description())
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.clock)
    }

    /// Returns the source of randomness.
    #[must_use]
    pub fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.inner.random)
    }

    /// Returns the redirect URI of the registration `default` that all tenants share. `None` if
    /// there is no such registration or it has no redirect URI.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the registration cannot be read now.
    pub async fn redirect_uri(&self, provider: &ProviderId) -> Result<Option<RedirectUri>> {
        match self.inner.shared_app(provider, &AppKey::default()).await {
            Ok(app) => Ok(app.redirect_uri().cloned()),
            Err(error) if error.kind() == ErrorKind::StoreUnavailable => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Checks that this process can serve requests: it accepts work, and the store answers.
    ///
    /// # Errors
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    /// * [`ErrorKind::StoreUnavailable`] or [`ErrorKind::StoreIncompatible`] if the store cannot
    ///   be used.
    pub async fn ready(&self) -> Result<()> {
        self.inner.accepting("hub.ready")?;
        let everyone = Filter::everyone();
        self.inner.store.list(&everyone, None, 1).await.map(drop)
    }

    /// Returns a handle for the connections of one tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &TenantId) -> Tenant<'_> {
        Tenant {
            hub: self,
            tenant: tenant.clone(),
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connectors: Vec<&str> = self
            .inner
            .connectors
            .keys()
            .map(ProviderId::as_str)
            .collect();
        f.debug_struct("Hub")
            .field("connectors", &connectors)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Returns the connector of a provider.
    pub(crate) fn connector(&self, provider: &ProviderId) -> Result<&Arc<dyn Connector>> {
        self.connectors.get(provider).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "hub.connector",
                "the hub has no connector for this provider; add it to the builder",
            )
            .with_provider(provider.as_str().to_owned())
        })
    }

    /// Returns `provider` and the other providers of this hub whose grants end with the same
    /// revocation.
    pub(crate) fn family<'a>(
        &'a self,
        provider: &'a ProviderId,
        family: Option<&'a str>,
    ) -> impl Iterator<Item = &'a ProviderId> {
        let belongs = move |connector: &Arc<dyn Connector>| {
            let revocation = connector.description().revocation.as_ref();
            family.is_some() && revocation.and_then(|it| it.family.as_deref()) == family
        };
        let others = self.connectors.iter();
        let others = others.filter(move |(id, it)| *id != provider && belongs(it));
        std::iter::once(provider).chain(others.map(|(id, _)| id))
    }

    /// The providers with connectors, except `provider`.
    pub(crate) fn others_than<'a>(
        &'a self,
        provider: &'a ProviderId,
    ) -> impl Iterator<Item = &'a ProviderId> {
        self.connectors.keys().filter(move |it| *it != provider)
    }

    /// Returns the number of providers with a connector in this hub.
    pub(crate) fn providers(&self) -> usize {
        self.connectors.len()
    }

    /// Returns an error if a shutdown has started.
    pub(crate) fn accepting(&self, operation: &'static str) -> Result<()> {
        if self.flights.is_closed() {
            return Err(crate::token::shutting_down(operation));
        }
        Ok(())
    }

    /// Registers work that must end before a shutdown. The work ends when the returned value is
    /// dropped.
    pub(crate) fn enlist(&self, operation: &'static str) -> Result<Enlisted> {
        let enlisted = self.flights.enlist();
        enlisted.ok_or_else(|| crate::token::shutting_down(operation))
    }

    /// Returns the current registration from the connector's own source if there is one, otherwise
    /// from the hub's source.
    pub(crate) async fn app(
        &self,
        provider: &ProviderId,
        tenant: &TenantId,
        app: &AppKey,
    ) -> Result<Arc<App>> {
        self.app_source(provider)?.app(provider, tenant, app).await
    }

    /// Returns the current registration that all tenants share.
    pub(crate) async fn shared_app(&self, provider: &ProviderId, app: &AppKey) -> Result<Arc<App>> {
        self.app_source(provider)?.shared(provider, app).await
    }

    /// Returns true if all tenants share the registration `own`, that is, if the app source returns
    /// the same client id for all tenants. Fails only if the store is unavailable.
    pub(crate) async fn is_shared_app(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        own: &App,
    ) -> Result<bool> {
        match self.shared_app(provider, app).await {
            Ok(shared) => Ok(shared.client_id() == own.client_id()),
            Err(error) if error.kind() == ErrorKind::StoreUnavailable => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn app_source(&self, provider: &ProviderId) -> Result<Arc<dyn AppSource>> {
        let own = self.connector(provider)?.app_source();
        own.or_else(|| self.apps.clone()).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "hub.app",
                "neither the connector nor the hub has an app source; set one that provides the \
                 client id",
            )
            .with_provider(provider.as_str().to_owned())
        })
    }
}

/// The connections of one tenant. Lookups through this type cannot reach a connection of another
/// tenant.
#[derive(Debug)]
pub struct Tenant<'a> {
    hub: &'a Hub,
    tenant: TenantId,
}

impl Tenant<'_> {
    /// Returns the key of the connection `id` of this tenant. Does not check that the connection
    /// exists.
    #[must_use]
    pub fn key(&self, id: ConnectionId) -> ConnectionKey {
        ConnectionKey::new(self.tenant.clone(), id)
    }

    /// Returns the connection `id` of this tenant.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if this tenant has no such connection, even if another tenant has
    ///   one.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn get(&self, id: ConnectionId) -> Result<Connection> {
        let stored = self.hub.inner.store.load(&self.key(id)).await?;
        stored
            .map(|stored| stored.connection.into())
            .ok_or_else(|| not_found("hub.get"))
    }

    /// Lists at most `n` connections of this tenant, starting after the cursor `after`.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn list(&self, after: Option<&Cursor>, n: u16) -> Result<Page<Connection>> {
        let filter = Filter::tenant(self.tenant.clone());
        let Page { items, next } = self.hub.inner.store.list(&filter, after, n).await?;
        Ok(Page {
            items: items.into_iter().map(Connection::from).collect(),
            next,
        })
    }

    /// Lists at most `n` connections of this tenant that match `filter`. The tenant in the filter is
    /// ignored.
    ///
    /// # Errors
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    /// * [`ErrorKind::InvalidInput`] if the cursor is from another list.
    pub async fn list_matching(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<Connection>> {
        let mut filter = filter.clone();
        filter.tenant = Some(self.tenant.clone());
        let Page { items, next } = self.hub.inner.store.list(&filter, after, n).await?;
        Ok(Page {
            items: items.into_iter().map(Connection::from).collect(),
            next,
        })
    }

    /// Returns this tenant's connection to an account. `app` is the name of the registration.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if this tenant has no connection to the account, even if another
    ///   tenant has one.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn find(
        &self,
        provider: ProviderId,
        app: AppKey,
        account: AccountKey,
    ) -> Result<Connection> {
        let account = AccountRef {
            tenant: self.tenant.clone(),
            provider,
            app,
            account,
        };
        match self.hub.inner.store.find(&account).await? {
            Some(key) if key.tenant == self.tenant => self.get(key.id).await,
            _ => Err(not_found("hub.find")),
        }
    }

    /// Lists at most `n` audit entries of this tenant's connection `id`, oldest first. The entries
    /// of a forgotten connection remain.
    ///
    /// # Errors
    /// As for [`Tenant::list_matching`].
    pub async fn history(
        &self,
        id: ConnectionId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>> {
        let mut filter = AuditFilter::default();
        filter.tenant = Some(self.tenant.clone());
        filter.connection = Some(id);
        self.hub.inner.store.audit(&filter, after, n).await
    }

    /// Lists at most `n` stored deliveries of this tenant, as [`Hub::deliveries`] does. The tenant
    /// in the filter is ignored. Deliveries to endpoints of the whole app belong to no tenant.
    ///
    /// # Errors
    /// As for [`Hub::deliveries`].
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>> {
        let mut filter = filter.clone();
        filter.tenant = Some(self.tenant.clone());
        self.hub.deliveries(&filter, after, n).await
    }
}

/// Warns about a grace period that is too short for a safe retry.
fn report_short_grace(description: &Description) {
    if crate::token::effective_class(description.rotation) != description.rotation {
        tracing::warn!(
            operation = "hub.build",
            connector = description.provider.as_str(),
            "the provider's grace period for used refresh tokens is too short for a safe retry; \
             the provider is treated as strict"
        );
    }
}

pub(crate) fn not_found(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        operation,
        "this tenant has no such connection; list its connections for their ids",
    )
}

/// Refuses a webhook base that is not a plain https URL.
fn checked_base(url: Url) -> Result<Url> {
    let plain = url.scheme() == "https"
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        return Ok(url);
    }
    Err(Error::new(
        ErrorKind::Configuration,
        "hub.build",
        "the webhook base must be an https URL without user, query and fragment",
    ))
}

/// A builder of a [`Hub`].
#[derive(Debug, Default)]
#[must_use]
pub struct HubBuilder {
    store: Option<StoreHandle>,
    cipher: Option<Arc<dyn CredentialCipher>>,
    transport: Option<Arc<dyn HttpTransport>>,
    outbound_transport: Option<Arc<dyn HttpTransport>>,
    outbound_policy: OutboundPolicy,
    clock: Option<Arc<dyn Clock>>,
    random: Option<Arc<dyn Random>>,
    apps: Option<Arc<dyn AppSource>>,
    connectors: Vec<Arc<dyn Connector>>,
    handlers: Handlers<Arc<dyn ChangeHandler>>,
    delivery_handlers: Handlers<Registration>,
    retry_policy: RetryPolicy,
    webhook_base: Option<Url>,
    audit_retention: Option<Duration>,
    call_audit: CallAudit,
    subscription_secrets: Option<Arc<dyn SubscriptionSecrets>>,
}

struct Handlers<T>(Vec<T>);

impl<T> Default for Handlers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> fmt::Debug for Handlers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} handlers", self.0.len())
    }
}

struct StoreHandle(Arc<dyn Store>);

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreHandle")
    }
}

impl HubBuilder {
    /// Sets the store for connections, flows, deliveries and the audit log.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(StoreHandle(Arc::new(store)));
        self
    }

    /// Sets the cipher that seals secrets.
    pub fn cipher(mut self, cipher: impl CredentialCipher) -> Self {
        self.cipher = Some(Arc::new(cipher));
        self
    }

    /// Sets the transport. Default with the feature `http`: an [`HttpTransport`] of the crate
    /// `connector-http`, with the loopback overrides of the connectors.
    pub fn transport(mut self, transport: impl HttpTransport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the transport for [webhooks to customers](Hub::outbound). Default: the hub's transport.
    ///
    /// The receivers' addresses come from your customers. If some receivers are in your own network,
    /// pass an `HttpClient` of the crate `connector-http` with `with_private_network`, so that the
    /// network is allowed for webhooks only.
    pub fn outbound_transport(mut self, transport: impl HttpTransport) -> Self {
        self.outbound_transport = Some(Arc::new(transport));
        self
    }

    /// Sets the schedule and the limits of [webhooks to customers](Hub::outbound). Default:
    /// [`OutboundPolicy::default`].
    pub fn with_outbound_policy(mut self, policy: OutboundPolicy) -> Self {
        self.outbound_policy = policy;
        self
    }

    /// Sets the clock. Default: the system clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets the source of randomness. Default: the operating system.
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Some(Arc::new(random));
        self
    }

    /// Sets the app source for connectors that have no app source of their own.
    pub fn apps(mut self, apps: impl AppSource) -> Self {
        self.apps = Some(Arc::new(apps));
        self
    }

    /// Sets the number of retries of API calls and the pauses between them. Default:
    /// [`RetryPolicy::default`].
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// Adds a connector. A connector for a provider replaces an earlier one for the same provider.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connectors.push(Arc::new(connector));
        self
    }

    /// Registers a change handler, which the worker calls; see [`ChangeHandler`]. Configure the
    /// same handlers in every process that runs a worker, because each change is delivered in only
    /// one process.
    pub fn on_change(mut self, handler: impl ChangeHandler) -> Self {
        self.handlers.0.push(Arc::new(handler));
        self
    }

    /// Adds a handler of all deliveries, called by the worker; see [`DeliveryHandler`]. Configure
    /// the same handlers in every process that runs a worker, because each delivery is handled in
    /// only one process. A worker without handlers leaves deliveries in the queue for other
    /// workers, but still probes the connections that the deliveries belong to.
    pub fn on_delivery(mut self, handler: impl DeliveryHandler) -> Self {
        self.delivery_handlers.0.push(Registration::every(handler));
        self
    }

    /// Adds a handler of the events of one type, called by the worker; see [`EventHandler`]. An
    /// event can have several handlers.
    ///
    /// If an event cannot be decoded, the hub parks its delivery with the error `undecodable`,
    /// after it has called the other handlers of the delivery. Correct the type, and replay the
    /// delivery with [`Hub::replay`]. If no handler takes a delivery, it counts as handled.
    pub fn on_event<E: TypedEvent>(mut self, handler: impl EventHandler<E>) -> Self {
        self.delivery_handlers.0.push(Registration::typed(handler));
        self
    }

    /// Adds a handler of the deliveries that no handler of typed events takes: deliveries of
    /// topics that are unknown or have no handler.
    pub fn on_other_delivery(mut self, handler: impl DeliveryHandler) -> Self {
        self.delivery_handlers.0.push(Registration::other(handler));
        self
    }

    /// Sets the https URL at which providers reach this service with notifications of
    /// subscriptions. The notification URL of a channel consists of this URL, the provider's id and
    /// the channel's id, as in `https://hooks.example/notifications/airtable/0123…`. Use the same
    /// URL in every process, and a different URL for each database. The hub deletes channels under
    /// this URL if its database does not contain them.
    pub fn with_webhook_base(mut self, url: Url) -> Self {
        self.webhook_base = Some(url);
        self
    }

    /// Sets the retention of audit entries. Default: 400 days. The worker removes older entries,
    /// except for changes that no handler has handled yet.
    pub fn with_audit_retention(mut self, retention: Duration) -> Self {
        self.audit_retention = Some(retention);
        self
    }

    /// Sets the kinds of provider API requests to record in the audit log. Default:
    /// [`CallAudit::Off`].
    ///
    /// An entry contains the operation, the actor ([`Session::with_context`]), the status, the
    /// error kind and the provider's request id, but never a body or a URL. If the store refuses
    /// the entry, the hub logs an error, and the call still succeeds.
    ///
    /// [`Session::with_context`]: connector_core::api::Session::with_context
    pub fn with_call_audit(mut self, audit: CallAudit) -> Self {
        self.call_audit = audit;
        self
    }

    /// Sets the source of subscription secrets. Needed only for providers where each subscription
    /// has its own secret and all deliveries arrive at one URL.
    pub fn subscription_secrets(mut self, secrets: impl SubscriptionSecrets) -> Self {
        self.subscription_secrets = Some(Arc::new(secrets));
        self
    }

    /// Validates the configuration and builds the hub.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if a part is missing or a description is invalid. The message
    /// names it.
    pub fn build(self) -> Result<Hub> {
        let mut connectors = BTreeMap::new();
        for connector in self.connectors {
            connector.description().validate()?;
            report_short_grace(connector.description());
            connectors.insert(connector.description().provider.clone(), connector);
        }
        let webhook_base = self.webhook_base.map(checked_base).transpose()?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport(&clock, &connectors)?,
        };
        let outbound_transport = self
            .outbound_transport
            .unwrap_or_else(|| Arc::clone(&transport));
        let limits = Limits::new(Arc::clone(&clock));
        Ok(Hub {
            inner: Arc::new(Inner {
                store: self.store.ok_or_else(|| missing("store"))?.0,
                cipher: self.cipher.ok_or_else(|| missing("cipher"))?,
                transport,
                clock,
                random: self.random.unwrap_or_else(|| Arc::new(SystemRandom::new())),
                cache: Cache::new(),
                flights: Arc::new(Flights::new()),
                breakers: Breakers::new(),
                handlers: self.handlers.0,
                delivery_handlers: self.delivery_handlers.0,
                subscription_secrets: self.subscription_secrets,
                arrivals: Notify::new(),
                outgoing: Notify::new(),
                outbound_transport,
                outbound_policy: self.outbound_policy,
                late_by: AtomicU64::new(0),
                limits,
                call_audit: self.call_audit,
                checked_redirects: Mutex::default(),
                app_tokens: AppTokens::default(),
                retry_policy: self.retry_policy,
                webhook_base,
                audit_retention: self.audit_retention.unwrap_or(AUDIT_RETENTION),
                apps: self.apps,
                connectors,
            }),
        })
    }
}

fn missing(part: &'static str) -> Error {
    Error::new(
        ErrorKind::Configuration,
        "hub.build",
        format!("the hub has no {part}; set one with HubBuilder::{part}"),
    )
}

/// Returns a transport of `connector-http` that can reach the connectors' simulators.
#[cfg(feature = "http")]
fn default_transport(
    clock: &Arc<dyn Clock>,
    connectors: &BTreeMap<ProviderId, Arc<dyn Connector>>,
) -> Result<Arc<dyn HttpTransport>> {
    let overrides = connectors.values().flat_map(|it| it.loopback_overrides());
    let builder = connector_http::HttpClient::builder().with_clock(Arc::clone(clock));
    let builder = overrides.fold(builder, connector_http::HttpClientBuilder::with_loopback);
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "http"))]
fn default_transport(
    _: &Arc<dyn Clock>,
    _: &BTreeMap<ProviderId, Arc<dyn Connector>>,
) -> Result<Arc<dyn HttpTransport>> {
    Err(missing("transport"))
}
