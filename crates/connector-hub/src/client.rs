//! Typed clients of connections.

use std::fmt;
use std::sync::Arc;

use connector_core::api::{CallLog, Session, Token, TokenSource};
use connector_core::http::limit::{AccountLimits, LimitKey};
use connector_core::provider::{Connector, ProviderClient};
use connector_core::store::ConnectionRecord;
use connector_core::{
    AccessToken, AccountKey, App, AppKey, ConnectionKey, Error, ErrorKind, ProviderId, Result,
    TenantId,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::hub::{Hub, Inner, not_found};

impl Hub {
    /// Returns a session for a connection's API. The session sends the connection's access token
    /// and refreshes it as needed. The session shares its rate limits with all calls of this hub to
    /// the same account.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    /// * [`ErrorKind::Configuration`] if the hub has no connector for the provider.
    pub async fn session(&self, key: &ConnectionKey) -> Result<Session> {
        let stored = self.inner.store.load(key).await?;
        let stored = stored.ok_or_else(|| not_found("hub.session"))?;
        let connection = stored.connection;
        let connector = self.inner.connector(&connection.provider)?;
        let limit = self.inner.limit_key_of(&connection).await?;
        let tokens = ConnectionTokens {
            hub: self.clone(),
            key: key.clone(),
        };
        let log = self.inner.call_log(&connection);
        Ok(self
            .inner
            .session_of(&**connector, Arc::new(tokens), &key.tenant, &limit, log))
    }

    /// Returns the typed client of a connection.
    ///
    /// # Errors
    /// As for [`Hub::session`]. [`ErrorKind::InvalidInput`] if the connection and the client are
    /// for different providers.
    pub async fn client<C: ProviderClient>(&self, key: &ConnectionKey) -> Result<C> {
        let session = self.session(key).await?;
        if *session.provider() == C::PROVIDER {
            return Ok(C::new(session));
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            "hub.client",
            "the client and the connection are for different providers; use the client of the \
             connection's provider",
        )
        .with_provider(session.provider().as_str().to_owned()))
    }
}

impl Inner {
    /// Builds a session of `tenant` for `connector`'s provider with the given source of tokens. Calls
    /// count toward `limit` and are recorded in `log`.
    pub(crate) fn session_of(
        &self,
        connector: &dyn Connector,
        tokens: Arc<dyn TokenSource>,
        tenant: &TenantId,
        limit: &LimitKey,
        log: Option<Arc<dyn CallLog>>,
    ) -> Session {
        let limits = &connector.description().limits;
        let builder = Session::builder(connector, tokens, Arc::clone(&self.transport))
            .clock(Arc::clone(&self.clock))
            .random(Arc::clone(&self.random))
            .with_retry_policy(self.retry_policy.clone())
            .limits(
                self.limits
                    .account(limit, limits)
                    .with_tenant(tenant.clone()),
            );
        match log {
            Some(log) => builder.call_log(log).build(),
            None => builder.build(),
        }
    }

    /// Returns the rate-limit key of a connection, which consists of its account and its
    /// registration.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the registration cannot be read now.
    async fn limit_key_of(&self, connection: &ConnectionRecord) -> Result<LimitKey> {
        let (provider, app) = (&connection.provider, &connection.app);
        let (account, tenant) = (connection.account.key.clone(), &connection.key.tenant);
        let own = match self.app(provider, tenant, app).await {
            Ok(own) => own,
            Err(error) if error.kind() == ErrorKind::StoreUnavailable => return Err(error),
            // An adopted token has no registration. The prefix contains a space, so the name cannot
            // equal a client id.
            Err(_) => {
                let name = format!("app {app}");
                let key = LimitKey::new(provider.clone(), name, account);
                return Ok(key.with_tenant(tenant.clone()));
            }
        };
        self.limit_key(provider, tenant, app, &own, account).await
    }

    /// Returns the rate limits of an account for the registration `own`, for the connector's hooks.
    ///
    /// # Errors
    /// As for [`Inner::limit_key`].
    pub(crate) async fn limits_of(
        &self,
        connector: &dyn Connector,
        tenant: &TenantId,
        app: &AppKey,
        own: &App,
        account: &AccountKey,
    ) -> Result<AccountLimits> {
        let description = connector.description();
        let account = account.clone();
        let key = self.limit_key(&description.provider, tenant, app, own, account);
        let limits = self.limits.account(&key.await?, &description.limits);
        Ok(limits.with_tenant(tenant.clone()))
    }

    /// Returns the rate-limit key of an account for the registration `own`, which the app source
    /// returned for `tenant`. The key contains the tenant unless all tenants share the
    /// registration.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the shared registration cannot be read now.
    pub(crate) async fn limit_key(
        &self,
        provider: &ProviderId,
        tenant: &TenantId,
        app: &AppKey,
        own: &App,
        account: AccountKey,
    ) -> Result<LimitKey> {
        let key = LimitKey::new(provider.clone(), own.client_id(), account);
        Ok(if self.is_shared_app(provider, app, own).await? {
            key
        } else {
            key.with_tenant(tenant.clone())
        })
    }
}

/// The tokens of one connection.
struct ConnectionTokens {
    hub: Hub,
    key: ConnectionKey,
}

impl fmt::Debug for ConnectionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionTokens").field(&self.key).finish()
    }
}

impl TokenSource for ConnectionTokens {
    fn token(&self) -> Token<'_> {
        self.hub.token(&self.key)
    }

    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken>> {
        self.hub
            .after_rejection(&self.key, sent.generation())
            .boxed()
    }

    fn accepted(&self, sent: &AccessToken) {
        self.hub.accepted(&self.key, sent.generation());
    }
}
