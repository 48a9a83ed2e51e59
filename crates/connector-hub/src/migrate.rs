//! Migration of credentials to their provider's current form, for example of access tokens that do
//! not expire to tokens that do.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use connector_core::http::Sent;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError, TokenResponse};
use connector_core::provider::{Connector, Context};
use connector_core::store::{Cursor, Filter, Patch, SideEffects, StateKey, Stored};
use connector_core::{
    AppKey, Connection, ConnectionId, ConnectionKey, Credential, Error, ErrorKind, ProviderId,
    ReauthorizationReason, RequestContext, Result, Retry, Status, TenantId, random_token,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;

use crate::audit;
use crate::connect::{ConnectFailure, outliving};
use crate::flow::{Answer, Purpose, with_cause};
use crate::hub::{Hub, Inner, not_found};
use crate::sealing::SealOwner;
use crate::token::renewal;

const OPERATION: &str = "hub.migrate";
/// Pauses between attempts of one call. A provider that supports migration returns the same tokens
/// for a repeated request.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Number of connections that are read at once.
const PAGE: u16 = 100;

/// The result of a migration.
#[derive(Debug)]
#[non_exhaustive]
pub enum Migration {
    /// The credential already has the current form. Nothing was sent.
    NotNeeded,
    /// The credential has an outdated form. Returned by a dry run, which sends nothing.
    Needed,
    /// The credential was migrated and stored.
    Migrated(Box<Connection>),
}

/// The progress of a migration of many connections.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Number of connections that were checked.
    pub checked: u64,
    /// Connections whose credential has an outdated form. After a dry run, these are the
    /// connections to migrate. Otherwise, `migrated` and `failed` contain them too.
    pub needed: Vec<ConnectionKey>,
    /// Connections that were migrated and stored.
    pub migrated: Vec<ConnectionKey>,
    /// Connections that were not migrated, each with its error. Run the migration again, unless the
    /// error has the kind [`ErrorKind::NeedsReauthorization`].
    pub failed: Vec<(ConnectionKey, Error)>,
    /// The position at which the next run continues. `None` if every connection was checked.
    pub next: Option<Cursor>,
}

impl Hub {
    /// Migrates the credential of one connection to its provider's current form, for example a
    /// Shopify token that does not expire to one that does. Await the builder. The connection keeps
    /// its id, its subscriptions and its history.
    ///
    /// Only this call and [`Hub::migrate_all`] migrate a credential. An adoption, a refresh or a
    /// background job never does. The migration cannot be undone.
    ///
    /// The call is repeated if its response is lost. If it still fails, the connection keeps the old
    /// credential, and you call the method again: the provider returns the same tokens for a limited
    /// time, which the provider's page states (Shopify: 7 days).
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist or has ended.
    /// * [`ErrorKind::NeedsReauthorization`] if the provider no longer accepts the old credential.
    ///   The status of the connection changes accordingly.
    /// * [`ErrorKind::AppMisconfigured`] if the provider refuses the app.
    /// * Network, provider and store errors keep their own kinds: call the method again.
    pub fn migrate<'a>(&'a self, key: &'a ConnectionKey, context: RequestContext) -> Migrate<'a> {
        Migrate {
            hub: self,
            key,
            context,
            is_dry: false,
        }
    }

    /// Migrates the credentials of all connections of a provider, as [`Hub::migrate`] does, one
    /// after the other. Await the builder. One failure does not stop the run.
    ///
    /// A run may be stopped and started again at any time: connections that were migrated are only
    /// checked.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the connections cannot be listed, and
    /// [`ErrorKind::Configuration`] if the hub has no connector for the provider. Failures of single
    /// connections are in the report.
    pub fn migrate_all(&self, provider: ProviderId, context: RequestContext) -> MigrateAll<'_> {
        MigrateAll {
            hub: self,
            filter: Filter::everyone().with_provider(provider.clone()),
            provider,
            context,
            is_dry: false,
            after: None,
            limit: None,
        }
    }
}

/// A migration of one connection. Await it.
#[must_use = "the builder does nothing until it is awaited"]
pub struct Migrate<'a> {
    hub: &'a Hub,
    key: &'a ConnectionKey,
    context: RequestContext,
    is_dry: bool,
}

impl Migrate<'_> {
    /// Only reports whether the credential has an outdated form. Nothing is sent or stored.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }
}

impl fmt::Debug for Migrate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrate")
            .field("key", &self.key)
            .field("is_dry", &self.is_dry)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Migrate<'a> {
    type Output = Result<Migration>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (inner, key) = (Arc::clone(&self.hub.inner), self.key.clone());
        let work = Arc::clone(&inner);
        let (context, is_dry) = (self.context, self.is_dry);
        async move {
            outliving(&inner, OPERATION, async move {
                match work.migrate(&key, &context, is_dry).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        work.migrate(&key, &context, is_dry).await
                    }
                    outcome => outcome,
                }
            })
            .await
        }
        .boxed()
    }
}

/// A migration of all connections of a provider. Await it.
#[must_use = "the builder does nothing until it is awaited"]
pub struct MigrateAll<'a> {
    hub: &'a Hub,
    provider: ProviderId,
    context: RequestContext,
    filter: Filter,
    is_dry: bool,
    after: Option<Cursor>,
    limit: Option<u64>,
}

impl MigrateAll<'_> {
    /// Only reports the connections whose credential has an outdated form. Nothing is sent or
    /// stored.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// Migrates only connections of this tenant.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.filter.tenant = Some(tenant);
        self
    }

    /// Migrates only connections of this registration.
    pub fn app(mut self, app: AppKey) -> Self {
        self.filter = self.filter.with_app(app);
        self
    }

    /// Continues a run after the position in its [`MigrationReport::next`].
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Sets the number of connections after which the run ends. The run ends at the end of a page
    /// of at most 100 connections. Default: no limit.
    pub fn with_limit(mut self, connections: u64) -> Self {
        self.limit = Some(connections);
        self
    }

    async fn run(mut self) -> Result<MigrationReport> {
        let inner = &self.hub.inner;
        inner.connector(&self.provider)?;
        let mut report = MigrationReport::default();
        loop {
            inner.accepting("hub.migrate_all")?;
            let left = self.limit.map_or(u64::from(PAGE), |limit| {
                limit.saturating_sub(report.checked).min(u64::from(PAGE))
            });
            if left == 0 {
                report.next = self.after;
                return Ok(report);
            }
            let n = u16::try_from(left).unwrap_or(PAGE);
            let page = inner
                .store
                .list(&self.filter, self.after.as_ref(), n)
                .await?;
            for record in page.items {
                report.checked += 1;
                if record.is_live() {
                    self.one(record.key, &mut report).await;
                }
            }
            self.after = page.next;
            if self.after.is_none() {
                return Ok(report);
            }
        }
    }

    async fn one(&self, key: ConnectionKey, report: &mut MigrationReport) {
        let migration = Migrate {
            hub: self.hub,
            key: &key,
            context: self.context.clone(),
            is_dry: self.is_dry,
        };
        match migration.await {
            Ok(Migration::NotNeeded) => {}
            Ok(Migration::Needed) => report.needed.push(key),
            Ok(Migration::Migrated(_)) => {
                report.needed.push(key.clone());
                report.migrated.push(key);
            }
            // The connection has ended since the page was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                report.needed.push(key.clone());
                report.failed.push((key, error));
            }
        }
    }
}

impl fmt::Debug for MigrateAll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateAll")
            .field("filter", &self.filter)
            .field("is_dry", &self.is_dry)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for MigrateAll<'a> {
    type Output = Result<MigrationReport>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl Inner {
    async fn migrate(
        &self,
        key: &ConnectionKey,
        context: &RequestContext,
        is_dry: bool,
    ) -> Result<Migration> {
        let stored = self.store.load(key).await?;
        let stored = stored.filter(|it| it.connection.is_live());
        let stored = stored.ok_or_else(|| not_found(OPERATION))?;
        let connection = &stored.connection;
        let connector = Arc::clone(self.connector(&connection.provider)?);
        let Some(current) = &stored.current else {
            return Err(not_found(OPERATION));
        };
        // The token is read from the store and not from the cache, so that connections that need a
        // new authorization can be migrated too.
        let credential = self.open_stored(&SealOwner::of(&stored), current).await?;
        if !connector.needs_migration(&credential) {
            return Ok(Migration::NotNeeded);
        }
        if is_dry {
            return Ok(Migration::Needed);
        }
        let app = self
            .app(&connection.provider, &key.tenant, &connection.app)
            .await?;
        if let Some(client_id) = credential.client_id().filter(|it| *it != app.client_id()) {
            tracing::debug!(operation = OPERATION, client_id, "issued to another client");
            return Err(Error::new(
                ErrorKind::AppMisconfigured,
                OPERATION,
                "the credential was issued to another client id; restore the registration with that \
                 client id",
            ));
        }
        let cx = Context::new(&app, &*self.transport, &*self.clock);
        let answer = match self.exchange(&*connector, &cx, &credential).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.not_migrated(&stored, context, error).await?),
        };
        let purpose = Purpose {
            tenant: key.tenant.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            actor: context.actor.clone(),
            correlation: context.correlation.clone(),
            connection: Some(key.id),
            candidate: ConnectionId::generate(&*self.random)?,
            account_host: credential.account_host().map(str::to_owned),
            requested: credential.scopes().to_vec(),
            takeover: false,
        };
        let (description, now) = (connector.description(), self.clock.now());
        let renewed = renewal::next(description, &app, &credential, None, &answer, now);
        let state = StateKey::of(random_token(&*self.random)?.expose_secret());
        let answer = Answer {
            purpose,
            claim: None,
            credential: renewed.credential,
            siblings: Vec::new(),
        };
        let settled = match self.put_in_quarantine(state, &answer).await {
            Ok(()) => self.settle_response(state, answer, None, None).await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(connected) => {
                let connection = connected.into_connection();
                Ok(Migration::Migrated(Box::new(connection)))
            }
            Err(ConnectFailure::Refused(reason, cause)) => Err(reason.error(OPERATION, cause)),
            Err(ConnectFailure::Later(error)) => Err(error),
        }
    }

    /// Sends the request, and repeats it while its outcome is unknown.
    async fn exchange(
        &self,
        connector: &dyn Connector,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match connector.migrate(cx, credential).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match (error.class(), pauses.next()) {
                (ExchangeClass::Transient { after }, Some(pause)) => {
                    after.map_or(pause, |after| after.max(pause))
                }
                (ExchangeClass::Malformed, Some(pause))
                    if error.sent() != Sent::No && error.code().is_none() =>
                {
                    pause
                }
                _ => return Err(error),
            };
            // A longer wait is left to the caller.
            if pause > PAUSES[1] {
                return Err(error);
            }
            self.clock.sleep(pause).await;
        }
    }

    /// Returns the error for a failed exchange. If the old credential is dead, the connection needs
    /// a new authorization.
    async fn not_migrated(
        &self,
        before: &Stored,
        context: &RequestContext,
        error: ExchangeError,
    ) -> Result<Error> {
        let (key, seen) = (&before.connection.key, before.connection.generation);
        let (kind, message) = match error.class() {
            ExchangeClass::DeadGrant | ExchangeClass::AlreadyRefreshed => (
                ErrorKind::NeedsReauthorization,
                "the provider no longer accepts the old credential; its owner must connect the \
                 account again",
            ),
            ExchangeClass::AppFault { .. } => (
                ErrorKind::AppMisconfigured,
                "the provider refused the app; check its client id and secret",
            ),
            _ => return Ok(error.into_error()),
        };
        let mut shown = Error::new(kind, OPERATION, message).with_retry(Retry::Never);
        if kind == ErrorKind::NeedsReauthorization {
            let moved = |now: &Stored| now.connection.generation != seen;
            // Another process has migrated the connection in the meantime.
            if self.store.load(key).await?.as_ref().is_some_and(moved) {
                return Ok(Error::new(
                    ErrorKind::Conflict,
                    OPERATION,
                    "another process migrated the connection; call the method again to check",
                )
                .with_retry(Retry::Backoff));
            }
            let reason = ReauthorizationReason::GrantRevoked;
            shown = shown.with_reauthorization(reason);
            let ended = |stored: &Stored| {
                if moved(stored) {
                    return (Patch::default(), SideEffects::none());
                }
                let to = Status::NeedsReauthorization(reason);
                let entry = audit::status_changed(&stored.connection, &to, context);
                let effects = entry
                    .into_iter()
                    .fold(SideEffects::none(), SideEffects::with_audit);
                let patch = Patch {
                    status: Some(to),
                    ..Patch::default()
                };
                (patch, effects)
            };
            if let Err(failure) = self.patch(key, ended).await {
                tracing::warn!(operation = OPERATION, error = %failure, "the status was not stored");
            }
        }
        Ok(with_cause(shown, error.into_error()))
    }
}
