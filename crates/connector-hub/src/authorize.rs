//! The first half of a connect flow: the authorization URL and the flow's stored state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::provider::Connector;
use connector_core::provider::description::Description;
use connector_core::provider::oauth::{AuthorizationRequest, CodeVerifier};
use connector_core::random_token;
use connector_core::store::{ConnectionRecord, NewState, PutStateOutcome, StateKey};
use connector_core::{
    Actor, App, AppKey, ConnectionId, CorrelationId, Error, ErrorKind, ProviderId, Random, Result,
    TenantId,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::flow::{AUTHORIZE, Binding, Flow, Purpose, row_of};
use crate::hub::{Hub, Inner, not_found};

/// Maximum time from the start of a flow to its callback.
const OPEN_FOR: Duration = Duration::from_secs(10 * 60);
/// Maximum number of redirect URIs in the cache of checked redirect URIs.
const CHECKED_URIS: usize = 1024;
/// Retention of a flow after its callback. Equal to the retention of a quarantined token response.
pub(crate) const KEEP_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum length of a return address, in bytes.
const MAX_RETURN: usize = 2048;

impl Hub {
    /// Starts connecting an account at `provider` for `tenant`. Set the actor, call
    /// [`Authorize::begin`], and redirect the browser to the returned URL.
    ///
    /// Starting a flow changes state. Start flows only in response to POST requests with CSRF
    /// protection, and only for users who may connect accounts for this tenant.
    pub fn authorize(&self, tenant: &TenantId, provider: ProviderId) -> Authorize {
        Authorize {
            hub: self.clone(),
            tenant: tenant.clone(),
            provider,
            actor: None,
            correlation: None,
            app: None,
            account: None,
            connection: None,
            return_to: None,
            binding: None,
            takeover: false,
            scopes: Vec::new(),
            parameters: BTreeMap::new(),
        }
    }
}

/// A connect flow that has not started yet.
#[must_use = "the flow does not start until `begin` is awaited"]
pub struct Authorize {
    hub: Hub,
    tenant: TenantId,
    provider: ProviderId,
    actor: Option<Actor>,
    correlation: Option<CorrelationId>,
    app: Option<AppKey>,
    account: Option<String>,
    connection: Option<ConnectionId>,
    return_to: Option<String>,
    binding: Option<SecretString>,
    takeover: bool,
    scopes: Vec<String>,
    parameters: BTreeMap<String, String>,
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("tenant", &self.tenant)
            .field("provider", &self.provider)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl Authorize {
    /// Sets the actor who connects the account. Required.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Sets a correlation id that links the flow to your application's log. Default: a random id.
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// Sets the registration. Default: the registration named `default`.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Sets the account to connect, as entered by its owner. Needed only for providers with
    /// per-account hosts.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Reauthorizes an existing connection. The connection keeps its id. The hub rejects the flow
    /// if the user authorizes another account.
    pub fn reconnect(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Sets the return address, to which you redirect the browser after the flow. The return
    /// address is a path of your application and may contain a query.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        self.return_to = Some(path.into());
        self
    }

    /// Sets the value of the browser's binding cookie if the request contained one. Several flows
    /// in one browser can then share a cookie. An invalid value is ignored.
    pub fn binding(mut self, cookie: impl Into<SecretString>) -> Self {
        self.binding = Some(cookie.into());
        self
    }

    /// Sets the scopes to request. Default: the app's scopes.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a parameter of the authorization request of this flow, for example `login_hint`. The
    /// provider's description lists the allowed names in `authorization.flow_parameters`. The hub
    /// seals the value together with the flow.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Allows this flow to end another tenant's connection to the account after the user has
    /// authorized the account. Relevant only for providers that allow one grant per account. Ask an
    /// authorized person for approval first.
    pub fn takeover(mut self) -> Self {
        self.takeover = true;
        self
    }

    /// Validates the arguments, stores the flow for 10 minutes, and returns the URL to redirect the
    /// browser to.
    ///
    /// # Errors
    /// If `begin` fails, the hub stores nothing.
    /// * [`ErrorKind::InvalidInput`] names the argument to correct.
    /// * [`ErrorKind::NotFound`] if the tenant has no such connection.
    /// * [`ErrorKind::Configuration`] or [`ErrorKind::Unsupported`] if the connector or the app
    ///   does not support this flow.
    /// * [`ErrorKind::RateLimited`] while the tenant has 100 open flows.
    /// * [`ErrorKind::StoreUnavailable`]: start the flow again.
    pub async fn begin(self) -> Result<Authorization> {
        let actor = required(self.actor.clone(), AUTHORIZE)?;
        let inner = &*self.hub.inner;
        let connector = inner.connector(&self.provider)?;
        let description = connector.description();
        let known = match self.connection {
            Some(id) => Some(self.known(inner, id).await?),
            None => None,
        };
        let app_key = match &known {
            Some(known) => known.app.clone(),
            None => self.app.clone().unwrap_or_default(),
        };
        let account_host = self.account_host(&**connector, known.as_ref())?;
        if let Some(path) = &self.return_to {
            check_return(path)?;
        }
        check_parameters(description, &self.parameters)?;
        let app = inner.app(&self.provider, &self.tenant, &app_key).await?;
        inner.check_redirect_uri(&self.provider, &app).await?;
        let random = &*inner.random;
        let purpose = Purpose {
            tenant: self.tenant,
            provider: self.provider,
            app: app_key,
            actor,
            correlation: correlation(self.correlation, random)?,
            connection: self.connection,
            candidate: ConnectionId::generate(random)?,
            account_host,
            requested: if self.scopes.is_empty() {
                requested(&app, description)
            } else {
                self.scopes
            },
            takeover: self.takeover,
        };

        let state = random_token(random)?;
        let binding = match self.binding.filter(is_binding) {
            Some(binding) => binding,
            None => random_token(random)?,
        };
        let flow = Flow {
            client_id: app.client_id().to_owned(),
            redirect_uri: app.redirect_uri().cloned(),
            parameters: self.parameters,
            return_to: self.return_to,
            binding: Binding::of(&binding),
            verifier: CodeVerifier::generate(random)?,
            expires_at: inner.clock.now().after(OPEN_FOR),
            purpose,
        };
        let request = AuthorizationRequest::new(&app, &state, &flow.verifier)
            .with_account_host(flow.purpose.account_host.as_deref())
            .with_scopes(&flow.purpose.requested)
            .with_parameters(&flow.parameters);
        let url = connector.authorization_url(&request)?;
        inner.remember(&state, &flow).await?;
        Ok(Authorization {
            url,
            binding,
            expires_in: OPEN_FOR,
        })
    }

    async fn known(&self, inner: &Inner, id: ConnectionId) -> Result<ConnectionRecord> {
        let key = connector_core::ConnectionKey::new(self.tenant.clone(), id);
        let stored = inner.store.load(&key).await?;
        let known = stored.ok_or_else(|| not_found(AUTHORIZE))?.connection;
        if known.provider != self.provider {
            return Err(invalid(
                "the connection belongs to another provider; select that provider",
            ));
        }
        if self.app.as_ref().is_some_and(|app| *app != known.app) {
            return Err(invalid(
                "the connection was made with another registration; leave the app unset",
            ));
        }
        Ok(known)
    }

    /// Returns the host of the account, as normalized by the connector.
    fn account_host(
        &self,
        connector: &dyn Connector,
        known: Option<&ConnectionRecord>,
    ) -> Result<Option<String>> {
        let named = match &self.account {
            Some(text) => connector.account_host(text)?,
            None => None,
        };
        // A host from the database gets the same validation as user input.
        let stored = match known.and_then(|known| known.account.host.as_ref()) {
            Some(text) => connector.account_host(text)?,
            None => None,
        };
        if named.is_some() && stored.is_some() && named != stored {
            return Err(invalid(
                "the connection is to another account; connect this account without a connection \
                 id",
            ));
        }
        let host = stored.or(named);
        if host.is_none() && connector.description().account_host.is_some() {
            return Err(invalid(
                "accounts of this provider have their own hosts; set the account",
            ));
        }
        Ok(host)
    }
}

impl Inner {
    /// Checks that no other connector's app has the same redirect URI as `app`. With a shared
    /// redirect URI, the hub could not determine which provider a callback belongs to (RFC 9700
    /// section 4.4.2). Each redirect URI is checked once.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the other provider. [`ErrorKind::StoreUnavailable`] if its
    /// registration cannot be read now.
    async fn check_redirect_uri(&self, provider: &ProviderId, app: &App) -> Result<()> {
        let Some(uri) = app.redirect_uri() else {
            return Ok(());
        };
        let own = (provider.clone(), uri.as_str().to_owned());
        if self.checked_redirects().contains(&own) {
            return Ok(());
        }
        for other in self.others_than(provider) {
            let registered = match self.shared_app(other, &AppKey::default()).await {
                Ok(registered) => registered,
                Err(error) if error.kind() == ErrorKind::StoreUnavailable => return Err(error),
                // A connector without an app registration receives no callbacks.
                Err(_) => continue,
            };
            if registered.redirect_uri() == Some(uri) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    AUTHORIZE,
                    format!(
                        "{other} has the same redirect URI; register another one for each provider"
                    ),
                )
                .with_provider(provider.as_str().to_owned()));
            }
        }
        let mut checked = self.checked_redirects();
        if checked.len() < CHECKED_URIS {
            checked.insert(own);
        }
        Ok(())
    }

    fn checked_redirects(&self) -> MutexGuard<'_, BTreeSet<(ProviderId, String)>> {
        let checked = self.checked_redirects.lock();
        checked.unwrap_or_else(PoisonError::into_inner)
    }

    async fn remember(&self, state: &SecretString, flow: &Flow) -> Result<()> {
        let key = StateKey::of(state.expose_secret());
        let row = row_of(&key);
        let context = flow.purpose.seal_context(&row, SealedKind::State);
        let sealed = self
            .seal_flow(&context, flow.to_plaintext()?.expose())
            .await?;
        let new = NewState {
            key,
            tenant: flow.purpose.tenant.clone(),
            provider: flow.purpose.provider.clone(),
            app: flow.purpose.app.clone(),
            binding: *flow.binding.as_bytes(),
            sealed,
            open_for: OPEN_FOR,
            keep_for: KEEP_FOR,
        };
        match self.store.put_state(new).await? {
            PutStateOutcome::Stored => Ok(()),
            PutStateOutcome::TooMany => Err(Error::new(
                ErrorKind::RateLimited,
                AUTHORIZE,
                "the tenant has 100 open connect flows; finish one of them, or start again after \
                 one has expired (10 minutes at most)",
            )),
        }
    }
}

/// A connect flow that has started.
pub struct Authorization {
    url: Url,
    binding: SecretString,
    expires_in: Duration,
}

impl Authorization {
    /// Returns the URL to redirect the browser to. The URL contains the flow's `state`: do not log
    /// it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the secret that binds the flow to this browser. Set this secret as a cookie whose
    /// name starts with `__Host-`, with the attributes `HttpOnly`, `Secure` and `SameSite=Lax`.
    /// Pass the cookie's value to [`Hub::callback`].
    #[must_use]
    pub fn binding(&self) -> &SecretString {
        &self.binding
    }

    /// Returns the time that is left for the callback.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("host", &self.url.host_str())
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Returns the actor. Every call that changes state requires an actor.
pub(crate) fn required(actor: Option<Actor>, operation: &'static str) -> Result<Actor> {
    actor.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            operation,
            "the call has no actor; set the user or service that makes it",
        )
    })
}

pub(crate) fn correlation(
    given: Option<CorrelationId>,
    random: &dyn Random,
) -> Result<CorrelationId> {
    match given {
        Some(given) => Ok(given),
        None => Ok(CorrelationId::new(
            ConnectionId::generate(random)?.to_string(),
        )?),
    }
}

/// Returns the scopes that an app requests.
pub(crate) fn requested(app: &App, description: &Description) -> Vec<String> {
    match app.scopes() {
        [] => description.scopes.default.clone(),
        scopes => scopes.to_vec(),
    }
}

/// Returns true if the text has the form of a binding: 43 characters of base64url.
fn is_binding(text: &SecretString) -> bool {
    let text = text.expose_secret().as_bytes();
    text.len() == 43
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Checks that the return address is a path on the application's own host. Rejects paths that a
/// browser could interpret as another host.
fn check_return(path: &str) -> Result<()> {
    let own = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
    if own && path.len() <= MAX_RETURN && !path.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(invalid(
            "the return address must be a path of the application: it starts with one slash, is \
             not followed by a slash or backslash, has no control characters, and is at most 2,048 \
             bytes long",
        ))
    }
}

/// Checks that the description lists every parameter, and that every value is short enough for a
/// URL.
fn check_parameters(
    description: &Description,
    parameters: &BTreeMap<String, String>,
) -> Result<()> {
    let listed = description.authorization.iter();
    let listed: Vec<&String> = listed.flat_map(|it| &it.flow_parameters).collect();
    match parameters.iter().find(|(name, value)| {
        !listed.contains(name) || value.len() > MAX_RETURN || value.contains(char::is_control)
    }) {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            ErrorKind::InvalidInput,
            AUTHORIZE,
            format!(
                "the flow parameter {name:?} is not in the provider's description, or its value is \
                 longer than 2,048 bytes or has control characters; use one of {listed:?}"
            ),
        )
        .with_provider(description.provider.as_str().to_owned())),
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, AUTHORIZE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_are_return_addresses() {
        for good in ["/", "/a", "/a//b?x=/y#z", "/\u{e4}"] {
            check_return(good).unwrap();
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN));
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/a\r\nb",
            " /a",
            "/a\u{0}",
            "/\u{85}",
            &long,
        ] {
            assert!(check_return(bad).is_err(), "{bad:?}");
        }
    }
}
