//! The first half of a connect: where the browser is sent, and what is remembered until it is back.

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

/// How long a flow waits for its callback.
const OPEN_FOR: Duration = Duration::from_secs(10 * 60);
/// Maximum number of redirect URIs that are remembered as checked.
const CHECKED_URIS: usize = 1024;
/// How long a flow is kept from its callback on: as long as what it may have in quarantine.
pub(crate) const KEEP_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest return address, in bytes.
const LONGEST_RETURN: usize = 2048;

impl Hub {
    /// Begins to connect an account at `provider` for `tenant`: name the actor, then call
    /// [`Authorize::begin`] and send the browser to its URL.
    ///
    /// Beginning changes state: offer it by POST with protection against forged requests, and only
    /// to users who may connect accounts for this tenant.
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

/// A connect that is about to begin.
#[must_use = "nothing happens before begin is awaited"]
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
    /// Names who connects. Required.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Ties the connect to the application's own log; without it an id is drawn.
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// Uses this registration instead of the `default` one.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = Some(app);
        self
    }

    /// Names the account, for providers whose accounts have hosts of their own: what a person typed
    /// is enough.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Authorizes a known connection anew. It keeps its id; another account is refused.
    pub fn reconnect(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Where the application sends the browser in the end: a path of its own, with its query.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        self.return_to = Some(path.into());
        self
    }

    /// The browser's binding cookie, if it sent one, so that several connects in one browser share
    /// it. A value that is not one is not used.
    pub fn binding(mut self, cookie: impl Into<SecretString>) -> Self {
        self.binding = Some(cookie.into());
        self
    }

    /// Requests these scopes instead of the app's.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a parameter of this flow by the name that the provider's description lists in
    /// `authorization.flow_parameters`, for example `login_hint`. It is sealed with the flow.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Where a provider allows one grant for each account: ends another tenant's connection to the
    /// account once this one is authorized. Ask somebody who may decide that.
    pub fn takeover(mut self) -> Self {
        self.takeover = true;
        self
    }

    /// Checks everything, remembers the flow for 10 minutes, and says where to send the browser.
    ///
    /// # Errors
    /// Nothing is stored with any of them: [`ErrorKind::InvalidInput`] names the argument to
    /// correct; [`ErrorKind::NotFound`] if the tenant has no such connection;
    /// [`ErrorKind::Configuration`] or [`ErrorKind::Unsupported`] if the connector or the app cannot
    /// do it; [`ErrorKind::RateLimited`] while the tenant has 100 connects open;
    /// [`ErrorKind::StoreUnavailable`]: begin again.
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
                "the connection belongs to another provider; name that one",
            ));
        }
        if self.app.as_ref().is_some_and(|app| *app != known.app) {
            return Err(invalid(
                "the connection was made with another registration; leave the app out",
            ));
        }
        Ok(known)
    }

    /// The host that the flow is for, as the connector's rule accepts it.
    fn account_host(
        &self,
        connector: &dyn Connector,
        known: Option<&ConnectionRecord>,
    ) -> Result<Option<String>> {
        let named = match &self.account {
            Some(text) => connector.account_host(text)?,
            None => None,
        };
        // What a database says is no more trusted than what a person types.
        let stored = match known.and_then(|known| known.account.host.as_ref()) {
            Some(text) => connector.account_host(text)?,
            None => None,
        };
        if named.is_some() && stored.is_some() && named != stored {
            return Err(invalid(
                "the connection leads to another account; connect this one on its own",
            ));
        }
        let host = stored.or(named);
        if host.is_none() && connector.description().account_host.is_some() {
            return Err(invalid(
                "accounts of this provider have their own hosts; name the account",
            ));
        }
        Ok(host)
    }
}

impl Inner {
    /// Checks that no other connector's app has the redirect URI of `app`: a callback could not be told
    /// apart from a callback of the other provider (RFC 9700 section 4.4.2). Each redirect URI is
    /// checked once.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the other provider.
    async fn check_redirect_uri(&self, provider: &ProviderId, app: &App) -> Result<()> {
        let Some(uri) = app.redirect_uri() else {
            return Ok(());
        };
        let own = (provider.clone(), uri.as_str().to_owned());
        if self.checked_redirects().contains(&own) {
            return Ok(());
        }
        for other in self.others_than(provider) {
            // A connector without a registration receives no callbacks.
            let Ok(registered) = self.shared_app(other, &AppKey::default()).await else {
                continue;
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
                "the tenant has 100 connects open; finish one of them, or begin again when one has \
                 run out, which takes 10 minutes at most",
            )),
        }
    }
}

/// A connect that has begun.
pub struct Authorization {
    url: Url,
    binding: SecretString,
    expires_in: Duration,
}

impl Authorization {
    /// Where to send the browser. It carries the flow's `state`: do not log it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What ties the flow to this browser: set it as a cookie whose name starts with `__Host-`,
    /// `HttpOnly`, `Secure`, `SameSite=Lax`, and hand it to [`Hub::callback`].
    #[must_use]
    pub fn binding(&self) -> &SecretString {
        &self.binding
    }

    /// How long the flow waits for its callback.
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

/// Every call that changes something says who asks for it.
pub(crate) fn required(actor: Option<Actor>, operation: &'static str) -> Result<Actor> {
    actor.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            operation,
            "the call names no actor; say who asks",
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

/// The scopes that an app asks for.
pub(crate) fn requested(app: &App, description: &Description) -> Vec<String> {
    match app.scopes() {
        [] => description.scopes.default.clone(),
        scopes => scopes.to_vec(),
    }
}

/// 43 characters of base64url: nothing else was ever handed out as a binding.
fn is_binding(text: &SecretString) -> bool {
    let text = text.expose_secret().as_bytes();
    text.len() == 43
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A path on the application's own host, and nothing that a browser takes for another host.
fn check_return(path: &str) -> Result<()> {
    let own = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
    if own && path.len() <= LONGEST_RETURN && !path.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(invalid(
            "the return address must be a path of the application: one slash, not followed by a \
             slash or backslash, without control characters, at most 2,048 bytes",
        ))
    }
}

/// Only parameters that the description lists, and none that is longer than a browser carries.
fn check_parameters(
    description: &Description,
    parameters: &BTreeMap<String, String>,
) -> Result<()> {
    let listed = description.authorization.iter();
    let listed: Vec<&String> = listed.flat_map(|it| &it.flow_parameters).collect();
    match parameters.iter().find(|(name, value)| {
        !listed.contains(name) || value.len() > LONGEST_RETURN || value.contains(char::is_control)
    }) {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            ErrorKind::InvalidInput,
            AUTHORIZE,
            format!(
                "the flow parameter {name:?} is none of this provider's, or its value is longer than \
                 2,048 bytes or has control characters; use one of {listed:?}"
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
        let long = format!("/{}", "a".repeat(LONGEST_RETURN));
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
