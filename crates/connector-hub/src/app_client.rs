//! Typed clients for API calls that a provider authorizes for the app itself.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use connector_core::api::{MintedTokens, Session, TokenMint};
use connector_core::http::Origin;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError};
use connector_core::provider::{Context, ProviderClient};
use connector_core::{
    AccountKey, AppKey, Credential, Error, ErrorKind, ProviderId, Result, TenantId,
};

use crate::audit::Target;
use crate::flow::with_cause;
use crate::hub::{Hub, Inner};
use crate::token::renewal;

const OPERATION: &str = "hub.app_client";
/// Above this number of app tokens, tokens that no client uses are evicted.
const EVICTION_THRESHOLD: usize = 1024;

impl Hub {
    /// Returns a builder for a typed client that needs no connected account. Await the builder to
    /// get the client. The hub requests an access token for the app itself (RFC 6749 section 4.4),
    /// caches the token in memory, and replaces it shortly before it expires. All clients with the
    /// same registration, scopes and origin share one token.
    ///
    /// `tenant` selects the registration if each tenant has its own registration.
    ///
    /// # Errors
    /// * [`ErrorKind::Configuration`] if the hub has no connector or no registration for the
    ///   client's provider.
    /// * [`ErrorKind::InvalidInput`] if the origin does not belong to the provider.
    /// * [`ErrorKind::StoreUnavailable`] if the registration cannot be read now. Retry the call.
    ///
    /// The first API call requests the token. If the provider refuses the token request, that call
    /// fails with [`ErrorKind::AppMisconfigured`].
    pub fn app_client<C: ProviderClient>(&self, tenant: &TenantId) -> AppClient<C> {
        AppClient {
            hub: self.clone(),
            tenant: tenant.clone(),
            app: AppKey::default(),
            scopes: Vec::new(),
            origin: None,
            client: PhantomData,
        }
    }
}

/// Builder for a client for operations of the app itself. Await the builder to get the client.
#[must_use = "the builder does nothing until it is awaited"]
pub struct AppClient<C> {
    hub: Hub,
    tenant: TenantId,
    app: AppKey,
    scopes: Vec<String>,
    origin: Option<Origin>,
    client: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for AppClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppClient")
            .field("tenant", &self.tenant)
            .field("app", &self.app)
            .field("scopes", &self.scopes)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl<C> AppClient<C> {
    /// Sets the registration. Default: the registration named `default`.
    pub fn app(mut self, app: AppKey) -> Self {
        self.app = app;
        self
    }

    /// Sets the scopes to request. Default: none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self.scopes.sort_unstable();
        self.scopes.dedup();
        self
    }

    /// Sets the origin to call. Needed only for providers with several origins, such as one per
    /// region. Default: the first origin in the description.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }
}

impl<C: ProviderClient + 'static> IntoFuture for AppClient<C> {
    type Output = Result<C>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.session().await.map(C::new) })
    }
}

impl<C: ProviderClient> AppClient<C> {
    async fn session(self) -> Result<Session> {
        let inner = &self.hub.inner;
        let connector = inner.connector(&C::PROVIDER)?;
        let description = connector.description();
        let named = |it: &Origin| renewal::has_origin(description, "", it);
        if self.origin.as_ref().is_some_and(|it| !named(it)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the origin does not belong to the provider; choose one from the provider's \
                 description",
            )
            .with_provider(C::PROVIDER.as_str().to_owned()));
        }
        let own = inner.app(&C::PROVIDER, &self.tenant, &self.app).await?;
        // No account has this key, so calls of the app itself have separate rate limits.
        let account = AccountKey::new(format!("app {}", self.app))?;
        let limit = inner
            .limit_key(&C::PROVIDER, &self.tenant, &self.app, &own, account)
            .await?;
        let key = TokenKey {
            provider: C::PROVIDER,
            client_id: own.client_id().to_owned(),
            tenant: limit.tenant.clone(),
            scopes: self.scopes.clone(),
            origin: self.origin.clone(),
        };
        let tokens = inner.app_tokens.get(key, || {
            let mint = ClientCredentials {
                // The hub owns the tokens, so this reference is weak.
                hub: Arc::downgrade(inner),
                provider: C::PROVIDER,
                tenant: self.tenant.clone(),
                app: self.app.clone(),
                scopes: self.scopes.clone(),
                origin: self.origin.clone(),
            };
            MintedTokens::new(mint, Arc::clone(&inner.clock))
        });
        let log = inner.call_log(Target {
            tenant: &self.tenant,
            provider: &C::PROVIDER,
            app: &self.app,
            connection: None,
        });
        Ok(inner.session_of(&**connector, tokens, &self.tenant, &limit, log))
    }
}

/// The tokens of the app itself, keyed by the parameters of the token request.
#[derive(Debug, Default)]
pub(crate) struct AppTokens(Mutex<HashMap<TokenKey, Arc<MintedTokens>>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    provider: ProviderId,
    client_id: String,
    tenant: Option<TenantId>,
    scopes: Vec<String>,
    origin: Option<Origin>,
}

impl AppTokens {
    fn get(&self, key: TokenKey, make: impl FnOnce() -> MintedTokens) -> Arc<MintedTokens> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= EVICTION_THRESHOLD && !known.contains_key(&key) {
            known.retain(|_, tokens| Arc::strong_count(tokens) > 1);
        }
        Arc::clone(known.entry(key).or_insert_with(|| Arc::new(make())))
    }
}

/// Requests tokens for the app itself. Each request uses the current registration.
struct ClientCredentials {
    hub: Weak<Inner>,
    provider: ProviderId,
    tenant: TenantId,
    app: AppKey,
    scopes: Vec<String>,
    origin: Option<Origin>,
}

#[async_trait]
impl TokenMint for ClientCredentials {
    async fn mint(&self) -> Result<Credential> {
        let inner = self.hub.upgrade().ok_or_else(|| {
            let message = "the hub was dropped; create a client with the new hub";
            Error::new(ErrorKind::ShuttingDown, OPERATION, message)
        })?;
        let connector = inner.connector(&self.provider)?;
        let app = inner.app(&self.provider, &self.tenant, &self.app).await?;
        let cx = Context::new(&app, &*inner.transport, &*inner.clock);
        let mut answer = connector
            .app_token(&cx, &self.scopes)
            .await
            .map_err(refused)?;
        if let Some(origin) = &self.origin {
            answer = answer.with_origin(origin.clone());
        }
        let (description, now) = (connector.description(), inner.clock.now());
        let renewed = renewal::first(description, &app, None, &self.scopes, &answer, now)?;
        Ok(renewed.credential)
    }
}

/// Returns the error for a rejected token request of the app itself. Only the operator of the app
/// can correct the cause.
fn refused(error: ExchangeError) -> Error {
    let refuses = matches!(
        error.class(),
        ExchangeClass::AppFault { .. } | ExchangeClass::DeadGrant
    );
    let error = error.into_error();
    if !refuses || error.kind() == ErrorKind::AppMisconfigured {
        return error;
    }
    let shown = Error::new(
        ErrorKind::AppMisconfigured,
        OPERATION,
        "the provider refused to issue a token to the app itself; check its client secret and its \
         allowed scopes",
    );
    with_cause(shown, error)
}
