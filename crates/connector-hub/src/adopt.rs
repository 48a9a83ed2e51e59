//! Adoption of credentials that another program obtained, for example a pasted token, a seller's
//! refresh token or a secret URL.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

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
use crate::flow::{ADOPT, Answer, Purpose, with_cause};
use crate::hub::{Hub, Inner, not_found};
use crate::telemetry;
use crate::token::renewal;

impl Hub {
    /// Connects an account with a credential that another program obtained. Set the actor, then
    /// `.await` the builder. Before the hub stores the credential, it tests the credential against
    /// the provider, unless the test would have side effects. For example, a Zapier hook is checked
    /// without a request.
    ///
    /// After adoption, only the hub may refresh the credential. The program that obtained the
    /// credential must stop refreshing it: at providers that rotate refresh tokens, two refreshing
    /// programs end the grant.
    ///
    /// # Errors
    /// The hub stores nothing if adoption fails.
    /// * [`ErrorKind::InvalidInput`] if the credential has the wrong type for this provider, or
    ///   does not belong to the connection's account.
    /// * [`ErrorKind::Unauthorized`] if the provider refuses the credential.
    /// * [`ErrorKind::Forbidden`] if the credential lacks permissions that the connector needs.
    /// * [`ErrorKind::AppMisconfigured`] if the credential was issued to another client id.
    /// * [`ErrorKind::NotFound`] if the tenant has no such connection.
    /// * [`ErrorKind::ConnectedElsewhere`] if another tenant has the account's only grant.
    /// * Network, provider and store errors keep their own kinds: retry the call.
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

/// An adoption that has not started yet. Await it.
#[must_use = "an adoption does nothing until it is awaited"]
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
    /// Sets the actor who adopts the credential. Required.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Sets an id that links the adoption to your application's own log. Default: a random id.
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// Sets the registration. Default: the registration named `default`.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Replaces the credential of an existing connection. The connection keeps its id. A credential
    /// of another account is refused.
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
                    "the credential was issued to another client id; select the registration with \
                     that client id",
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
                "the connection belongs to another provider or registration; select that provider \
                 and registration",
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
                let provider = purpose.provider.as_str();
                let result = match &settled {
                    Ok(_) => Some("connected"),
                    Err(ConnectFailure::Refused(reason, _)) => Some(reason.name()),
                    Err(ConnectFailure::Later(_)) => None,
                };
                if let Some(result) = result {
                    telemetry::count(telemetry::CONNECTS, &[provider, result]);
                }
                match settled {
                    Ok(connected) => Ok(connected),
                    Err(ConnectFailure::Refused(reason, cause)) => {
                        let code = cause.as_ref().and_then(Error::code);
                        inner.record_refusal(&purpose, reason, code).await;
                        let error = reason.error(ADOPT, cause);
                        // An error message contains the error code only together with the
                        // provider's name.
                        Err(error.with_provider(purpose.provider.as_str().to_owned()))
                    }
                    Err(ConnectFailure::Later(error)) => Err(error),
                }
            })
            .await
        })
    }
}

impl Inner {
    /// Refreshes a credential that has no access token yet, then stores it in a connection. If the
    /// refresh fails, nothing is stored.
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
        let answer = connector.refresh(&cx, &credential).await;
        let answer = answer.map_err(|error| refused(&purpose.provider, error))?;
        let now = self.clock.now();
        let renewed = renewal::next(description, &app, &credential, None, &answer, now);
        if !renewed.rotated {
            // The application still has the pasted credential.
            let (credential, source) = (renewed.credential, Source::Application);
            return self.settle(purpose, credential, None, None, source).await;
        }
        // The pasted token is used up. Until the new token is stored, it exists only in this task.
        let state = StateKey::of(random_token(&*self.random)?.expose_secret());
        let answer = Answer {
            purpose: purpose.clone(),
            claim: None,
            credential: renewed.credential,
            siblings: Vec::new(),
        };
        self.put_in_quarantine(state, &answer).await?;
        self.settle_response(state, answer, None, None).await
    }
}

/// Returns the failure for an adopted credential that the provider did not refresh.
fn refused(provider: &ProviderId, error: ExchangeError) -> ConnectFailure {
    let (kind, message) = match error.class() {
        ExchangeClass::DeadGrant => (
            ErrorKind::Unauthorized,
            "the provider refused the refresh token; paste a current one, and check that this app \
             obtained it",
        ),
        ExchangeClass::AppFault { .. } => (
            ErrorKind::AppMisconfigured,
            "the provider refused the app; check its client id and secret",
        ),
        _ => return ConnectFailure::Later(error.into_error()),
    };
    let shown = Error::new(kind, ADOPT, message).with_provider(provider.as_str().to_owned());
    ConnectFailure::Later(with_cause(shown, error.into_error()))
}

/// Checks that every host in the credential belongs to the provider.
fn account_host(connector: &dyn Connector, credential: &Credential) -> Result<Option<String>> {
    let description = connector.description();
    let host = match credential.account_host() {
        Some(text) => connector.account_host(text)?,
        None => None,
    };
    if host.as_deref() != credential.account_host() {
        return Err(invalid(
            "the credential's account host is not in normalized form",
        ));
    }
    if host.is_none() && description.account_host.is_some() {
        return Err(invalid(
            "accounts of this provider have their own hosts; set the account host in the \
             credential",
        ));
    }
    let named = host.as_deref().unwrap_or_default();
    if !renewal::has_origin(description, named, credential.origin()) {
        return Err(invalid(
            "the credential contains an origin that does not belong to the provider",
        ));
    }
    Ok(host)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, ADOPT, message)
}
