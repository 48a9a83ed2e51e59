//! Credentials that were obtained elsewhere: a pasted token, a seller's refresh token, a URL.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use connector_core::http::Origin;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError};
use connector_core::provider::{Connector, Context};
use connector_core::random_token;
use connector_core::store::StateKey;
use connector_core::{
    Actor, AppKey, ConnectionId, CorrelationId, Credential, CredentialKind, Error, ErrorKind,
    ProviderId, Result, TenantId,
};
use secrecy::ExposeSecret;

use crate::authorize::{correlation, requested, required};
use crate::connect::{ConnectFailure, Connected, Source, outliving};
use crate::flow::{ADOPT, Answer, Purpose};
use crate::hub::{Hub, Inner, not_found};
use crate::token::renewal;

impl Hub {
    /// Connects an account by a credential that was obtained elsewhere: name the actor, then await
    /// it. The credential is tested at the provider before it is kept.
    ///
    /// From then on the hub alone refreshes it: whoever obtained it must stop, because two
    /// refreshers of one grant end it at providers that rotate.
    ///
    /// # Errors
    /// Nothing is kept with any of them: [`ErrorKind::InvalidInput`] if the credential is not one
    /// for this provider, or leads to another account than the connection's;
    /// [`ErrorKind::Unauthorized`] if the provider refuses it; [`ErrorKind::Forbidden`] if it may do
    /// less than the connector needs; [`ErrorKind::AppMisconfigured`] if another client id obtained
    /// it; [`ErrorKind::NotFound`] if there is no such connection;
    /// [`ErrorKind::ConnectedElsewhere`] if another tenant holds the account's only grant; network,
    /// provider and store trouble as their kinds say: call it again.
    pub fn adopt(&self, tenant: &TenantId, provider: ProviderId, credential: Credential) -> Adopt {
        Adopt {
            hub: self.clone(),
            tenant: tenant.clone(),
            provider,
            credential,
            actor: None,
            correlation: None,
            app: None,
            connection: None,
        }
    }
}

/// A credential that is about to be adopted. Await it.
#[must_use = "nothing happens before it is awaited"]
pub struct Adopt {
    hub: Hub,
    tenant: TenantId,
    provider: ProviderId,
    credential: Credential,
    actor: Option<Actor>,
    correlation: Option<CorrelationId>,
    app: Option<AppKey>,
    connection: Option<ConnectionId>,
}

impl fmt::Debug for Adopt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopt")
            .field("tenant", &self.tenant)
            .field("provider", &self.provider)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl Adopt {
    /// Names who adopts it. Required.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Ties the adoption to the application's own log; without it an id is drawn.
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// Uses this registration instead of the `default` one.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Gives the credential to a known connection. It keeps its id; another account is refused.
    pub fn reconnect(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    async fn purpose(&self, inner: &Inner) -> Result<(Purpose, Credential)> {
        let actor = required(self.actor.clone(), ADOPT)?;
        let connector = inner.connector(&self.provider)?;
        let app_key = match (self.connection, &self.app) {
            (Some(id), named) => self.app_of(inner, id, named.as_ref()).await?,
            (None, named) => named.clone().unwrap_or_default(),
        };
        let account_host = account_host(&**connector, &self.credential)?;
        let app = inner.app(&self.provider, &self.tenant, &app_key).await?;
        let mut credential = self.credential.clone();
        match credential.client_id() {
            Some(client_id) if client_id != app.client_id() => {
                return Err(Error::new(
                    ErrorKind::AppMisconfigured,
                    ADOPT,
                    "another client id obtained the credential; name the registration that did",
                ));
            }
            None if credential.kind() == CredentialKind::OAuth => {
                credential = credential.with_client_id(app.client_id());
            }
            _ => {}
        }
        let purpose = Purpose {
            tenant: self.tenant.clone(),
            provider: self.provider.clone(),
            app: app_key,
            actor,
            correlation: correlation(self.correlation.clone(), &*inner.random)?,
            connection: self.connection,
            candidate: ConnectionId::generate(&*inner.random)?,
            account_host,
            requested: requested(&app, connector.description()),
            takeover: false,
        };
        Ok((purpose, credential))
    }

    async fn app_of(
        &self,
        inner: &Inner,
        id: ConnectionId,
        named: Option<&AppKey>,
    ) -> Result<AppKey> {
        let key = connector_core::ConnectionKey::new(self.tenant.clone(), id);
        let stored = inner.store.load(&key).await?;
        let known = stored.ok_or_else(|| not_found(ADOPT))?.connection;
        if known.provider != self.provider || named.is_some_and(|app| *app != known.app) {
            return Err(invalid(
                "the connection belongs to another provider or registration; name that one",
            ));
        }
        Ok(known.app)
    }
}

impl IntoFuture for Adopt {
    type Output = Result<Connected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let inner = Arc::clone(&self.hub.inner);
            let hub = Arc::clone(&inner);
            outliving(&hub, ADOPT, async move {
                let (purpose, credential) = self.purpose(&inner).await?;
                let settled = if credential.is_issued() {
                    let source = Source::Application;
                    inner.settle(&purpose, credential, None, None, source).await
                } else {
                    inner.renew_and_settle(&purpose, credential).await
                };
                match settled {
                    Ok(connected) => Ok(connected),
                    Err(ConnectFailure::Refused(reason, cause)) => {
                        let code = cause.as_ref().and_then(Error::code);
                        inner.record_refusal(&purpose, reason, code).await;
                        Err(reason.error(ADOPT, cause))
                    }
                    Err(ConnectFailure::Later(error)) => Err(error),
                }
            })
            .await
        })
    }
}

impl Inner {
    /// Renews a credential that has no access token yet, then makes it a connection's. If the renewal
    /// fails, nothing is stored.
    async fn renew_and_settle(
        &self,
        purpose: &Purpose,
        credential: Credential,
    ) -> Result<Connected, ConnectFailure> {
        let connector = self.connector(&purpose.provider)?;
        let description = connector.description();
        let app = self
            .app(&purpose.provider, &purpose.tenant, &purpose.app)
            .await?;
        let cx = Context::new(&app, &*self.transport, &*self.clock);
        let answer = connector.refresh(&cx, &credential).await.map_err(refused)?;
        let now = self.clock.now();
        let renewed = renewal::next(description, &app, &credential, None, &answer, now);
        if !renewed.rotated {
            // The application still has what it pasted.
            let (credential, source) = (renewed.credential, Source::Application);
            return self.settle(purpose, credential, None, None, source).await;
        }
        // The pasted token is spent: its successor exists here only, until it is kept.
        let state = StateKey::of(random_token(&*self.random)?.expose_secret());
        let answer = Answer {
            purpose: purpose.clone(),
            claim: None,
            credential: renewed.credential,
            siblings: Vec::new(),
        };
        self.put_in_quarantine(state, &answer).await?;
        self.settle_answer(state, answer, None, None).await
    }
}

/// A pasted credential that the provider did not renew.
fn refused(error: ExchangeError) -> ConnectFailure {
    let (kind, message) = match error.class() {
        ExchangeClass::DeadGrant => (
            ErrorKind::Unauthorized,
            "the provider refuses the refresh token; paste a current one, and check that this app \
             obtained it",
        ),
        ExchangeClass::AppFault { .. } => (
            ErrorKind::AppMisconfigured,
            "the provider refused the app; check its client id and secret",
        ),
        _ => return ConnectFailure::Later(error.into_error()),
    };
    let error = error.into_error();
    let mut shown = Error::new(kind, ADOPT, message);
    if let Some(code) = error.code() {
        shown = shown.with_code(code);
    }
    ConnectFailure::Later(shown.with_source(error))
}

/// Checks that the credential goes nowhere but to the provider.
fn account_host(connector: &dyn Connector, credential: &Credential) -> Result<Option<String>> {
    let description = connector.description();
    let host = match credential.account_host() {
        Some(text) => connector.account_host(text)?,
        None => None,
    };
    if host.as_deref() != credential.account_host() {
        return Err(invalid(
            "the credential's account host is not in its accepted form",
        ));
    }
    if host.is_none() && description.account_host.is_some() {
        return Err(invalid(
            "accounts of this provider have their own hosts; name the account's",
        ));
    }
    let known = |origin: &Origin| {
        let named = host.as_deref().unwrap_or_default();
        let origins = description.api.iter().filter_map(|api| api.url(named).ok());
        origins
            .filter_map(|url| Origin::of(&url).ok())
            .any(|known| known == *origin)
    };
    if !known(credential.origin()) {
        return Err(invalid(
            "the credential names an origin that is none of this provider's",
        ));
    }
    Ok(host)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, ADOPT, message)
}
