//! The Shopify connector.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin, Sent};
use connector_core::provider::oauth as rfc;
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, ExchangeClass, ExchangeError,
    Identity, TokenResponse,
};
use connector_core::provider::subscription::Subscriptions;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Classifier, Connector, Context, Description, Endpoint, Renewal};
use connector_core::{
    Account, AccountKey, App, AppSource, Credential, CredentialKind, Error, ErrorKind, ProviderId,
    Result,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::account::ShopDomain;
use crate::client::ShopifyClassifier;
use crate::config::ShopifyConfig;
use crate::embedded::{self, Entry, SessionToken};
use crate::endpoints::AppUninstall;
use crate::oauth::extra;
use crate::oauth::signature::{self, QueryProblem};
use crate::{metadata, oauth, webhook};

/// A verified request that Shopify's app proxy forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppProxyRequest {
    /// The shop whose storefront the customer visited.
    pub shop: ShopDomain,
    /// The path of the storefront that the proxy replaces, for example `/apps/reviews`.
    pub path_prefix: Option<String>,
    /// The number of the logged-in customer.
    pub customer: Option<u64>,
}

/// The connector for Shopify. Each shop is an account.
///
/// Add the connector to the hub, whose default transport also reaches a configured simulator. If
/// you use your own transport with a simulator, configure the overrides from
/// [`loopbacks`](ShopifyConfig::loopbacks).
#[derive(Debug, Clone)]
pub struct Shopify {
    config: ShopifyConfig,
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
}

impl Shopify {
    /// The id of the provider.
    pub const ID: ProviderId = ProviderId::from_static("shopify");

    /// Creates a connector from its configuration.
    #[must_use]
    pub fn new(config: ShopifyConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            config,
        }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &ShopifyConfig {
        &self.config
    }

    /// Verifies the signed query of a request to the App URL, which a shop's owner opens from
    /// Shopify. Returns the shop. The query parameters alone are not enough to connect the shop.
    /// After the check, let the owner log in to your application, and start the connect flow.
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if the query is not signed with a secret of `app`, is older
    /// than the callback window, or contains no shop.
    pub fn verify_app_url(&self, app: &App, now: Timestamp, query: &str) -> Result<ShopDomain> {
        let refused = |message: &'static str| {
            Error::new(
                ErrorKind::CallbackRefused,
                "shopify.verify_app_url",
                message,
            )
            .with_provider(Self::ID.as_str().to_owned())
        };
        let callback = Callback::parse(query)?;
        self.check_query(app.client_secrets(), now, &callback)
            .map_err(|problem| match problem {
                QueryProblem::Stale => refused("the link is too old; open the app again"),
                _ => refused("the query is not signed by Shopify; open the app from the shop"),
            })?;
        callback
            .get("shop")
            .and_then(|shop| self.config.host_rule.accept_host(shop).ok())
            .ok_or_else(|| refused("the query contains no shop; open the app from the shop"))
    }

    /// Verifies the query of a request that Shopify's app proxy forwarded from a storefront.
    ///
    /// See [Shopify docs: Authenticate app proxies](https://shopify.dev/docs/apps/build/online-store/app-proxies/authenticate-app-proxies).
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if the query is not signed with a secret of `app`, is older
    /// than the callback window, contains no shop, or contains parameters that read like one of
    /// those that Shopify adds.
    pub fn verify_app_proxy(
        &self,
        app: &App,
        now: Timestamp,
        query: &str,
    ) -> Result<AppProxyRequest> {
        let refused = |message: &'static str| {
            let operation = "shopify.verify_app_proxy";
            Error::new(ErrorKind::CallbackRefused, operation, message)
                .with_provider(Self::ID.as_str().to_owned())
        };
        let query = Callback::parse(query)?;
        let pairs: Vec<(&str, &str)> = query.pairs().collect();
        signature::check_proxy(
            &pairs,
            app.client_secrets(),
            now,
            self.config.callback_window,
        )
        .map_err(|problem| match problem {
            QueryProblem::Stale => refused("the request is too old"),
            _ => refused("the request does not come from Shopify's app proxy"),
        })?;
        let shop = query.get("shop");
        let shop = shop.and_then(|it| self.config.host_rule.accept_host(it).ok());
        Ok(AppProxyRequest {
            shop: shop.ok_or_else(|| refused("the request contains no shop"))?,
            path_prefix: query.get("path_prefix").map(str::to_owned),
            customer: query
                .get("logged_in_customer_id")
                .and_then(|it| it.parse().ok()),
        })
    }

    /// Verifies a session token of an embedded app, with 10 seconds of tolerance between the clocks.
    /// The shop comes from the signed claim `dest`.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] if the token is not signed with a secret of `app`, belongs to
    /// another app, has expired, or names no shop.
    pub fn verify_session_token(
        &self,
        app: &App,
        now: Timestamp,
        token: &str,
    ) -> Result<SessionToken> {
        let session = embedded::verify(self.config.host_rule, app, now, token)?;
        if let Some(tokens) = &self.config.session_tokens {
            tokens.remember(&session, now);
        }
        Ok(session)
    }

    /// Authenticates a request to an embedded app by its session token, from the `Authorization`
    /// header or the query parameter `id_token`. Without a valid token, returns the response that
    /// makes App Bridge obtain one.
    ///
    /// `base` is the app's own https URL; only its origin is used.
    pub fn enter(
        &self,
        app: &App,
        now: Timestamp,
        headers: &http::HeaderMap,
        target: &http::Uri,
        base: &Url,
    ) -> Entry {
        let verify = |token: &str| self.verify_session_token(app, now, token);
        embedded::enter(verify, app, (headers, target), base)
    }

    /// Returns the host in the query parameter `host` of a page of the app, for example
    /// `admin.shopify.com/store/cool-shop`. Use it only to redirect the browser back into Shopify's
    /// admin (`https://{host}/apps/{client id}`), never for API calls.
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if the parameter names no host of Shopify.
    pub fn embedded_host(&self, host: &str) -> Result<String> {
        embedded::host(self.config.host_rule, host).ok_or_else(|| {
            let message = "the parameter `host` names no host of Shopify; open the app again";
            Error::new(ErrorKind::CallbackRefused, "shopify.embedded_host", message)
                .with_provider(Self::ID.as_str().to_owned())
        })
    }

    /// Returns a credential to adopt: a session token that the hub exchanges for an offline access
    /// token of the shop.
    ///
    /// Adopt the credential when a merchant opens the embedded app in a shop that has no connection,
    /// or whose connection needs a new authorization.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the session token cannot be exchanged.
    pub fn offline_credential(session: &SessionToken, now: Timestamp) -> Result<Credential> {
        Self::session_credential(session, now)
    }

    /// Returns a credential to adopt: a session token that the hub exchanges for an online access
    /// token. The token has the permissions of the session's user, and expires after about 24
    /// hours. Each user is a connection of its own.
    ///
    /// An online token cannot be refreshed. Adopt another one with the user's next session token.
    ///
    /// # Errors
    /// As for [`Shopify::offline_credential`].
    pub fn online_credential(session: &SessionToken, now: Timestamp) -> Result<Credential> {
        Ok(Self::session_credential(session, now)?.with_extra(extra::GRANT, oauth::ONLINE))
    }

    fn session_credential(session: &SessionToken, now: Timestamp) -> Result<Credential> {
        if !session.is_exchangeable() {
            let message = "tokens of checkout and customer-account extensions cannot be exchanged";
            return Err(
                Error::new(ErrorKind::InvalidInput, "shopify.credential", message)
                    .with_provider(Self::ID.as_str().to_owned()),
            );
        }
        let token = session.secret().clone();
        let credential = Self::unissued(session.shop(), now)?;
        Ok(credential.with_extra(extra::SESSION_TOKEN, token))
    }

    /// Returns a credential to adopt, for a shop of your own organization (client credentials
    /// grant). The hub requests an access token, and another one whenever the token expires.
    ///
    /// See [Shopify docs: Client credentials grant](https://shopify.dev/docs/apps/build/authentication-authorization/client-credentials-grant).
    ///
    /// # Errors
    /// None, if the domain comes from [`ShopDomain::parse`].
    pub fn client_credentials(shop: &ShopDomain, now: Timestamp) -> Result<Credential> {
        let credential = Self::unissued(shop, now)?;
        Ok(credential.with_extra(extra::GRANT, oauth::CLIENT_CREDENTIALS))
    }

    /// Returns a credential to adopt, from the access token that the admin of `shop` shows for a
    /// custom app. The token does not expire. The hub neither refreshes nor migrates it.
    ///
    /// # Errors
    /// None, if the domain comes from [`ShopDomain::parse`].
    pub fn custom_app_credential(
        shop: &ShopDomain,
        access_token: impl Into<SecretString>,
        obtained_at: Timestamp,
    ) -> Result<Credential> {
        let origin = Origin::parse(&format!("https://{shop}"))?;
        let kind = CredentialKind::ApiKey;
        let credential = Credential::new(kind, origin, access_token, obtained_at);
        Ok(credential.with_account_host(shop.as_str()))
    }

    fn unissued(shop: &ShopDomain, now: Timestamp) -> Result<Credential> {
        let origin = Origin::parse(&format!("https://{shop}"))?;
        let credential = Credential::unissued(CredentialKind::OAuth, origin, now);
        Ok(credential.with_account_host(shop.as_str()))
    }

    /// Returns a credential to adopt, from an existing non-expiring offline access token of `shop`.
    /// The hub never refreshes it.
    ///
    /// # Errors
    /// None, if the domain comes from [`ShopDomain::parse`].
    pub fn non_expiring_credential(
        shop: &ShopDomain,
        access_token: impl Into<SecretString>,
        obtained_at: Timestamp,
    ) -> Result<Credential> {
        let origin = Origin::parse(&format!("https://{shop}"))?;
        Ok(
            Credential::new(CredentialKind::OAuth, origin, access_token, obtained_at)
                .with_account_host(shop.as_str()),
        )
    }

    /// Returns a credential to adopt, from an existing offline access token of `shop` and its
    /// refresh token. The program that obtained the credential must stop refreshing it.
    ///
    /// `expires_at` is the expiry of the access token. If you do not know the expiry, pass the
    /// current time. The hub then refreshes the token immediately.
    ///
    /// # Errors
    /// None, if the domain comes from [`ShopDomain::parse`].
    pub fn expiring_credential(
        shop: &ShopDomain,
        access_token: impl Into<SecretString>,
        refresh_token: impl Into<SecretString>,
        obtained_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Credential> {
        let credential = Self::non_expiring_credential(shop, access_token, obtained_at)?;
        Ok(credential
            .with_refresh_token(refresh_token)
            .with_expiry(expires_at)
            .with_refresh_expiry(obtained_at.after(oauth::REFRESH_LIFETIME)))
    }

    fn check_query(
        &self,
        secrets: &[SecretString],
        now: Timestamp,
        callback: &Callback,
    ) -> Result<(), QueryProblem> {
        let pairs: Vec<(&str, &str)> = callback.pairs().collect();
        signature::check(&pairs, secrets, now, self.config.callback_window)
    }

    /// Returns the shop of a credential, after checking its host. The connector sends no requests
    /// to an invalid host.
    fn shop_of(&self, credential: &Credential) -> Result<ShopDomain> {
        let host = credential.account_host().unwrap_or_default();
        let shop = self.config.host_rule.accept_host(host)?;
        if credential.origin().host() == shop.as_str() {
            return Ok(shop);
        }
        let message = "the credential's host differs from its shop; connect the shop again";
        Err(
            Error::new(ErrorKind::AddressRefused, "shopify.call", message)
                .with_provider(Self::ID.as_str().to_owned()),
        )
    }

    fn newest_session(&self, cx: &Context<'_>, credential: &Credential) -> Option<SessionToken> {
        let shop = self.shop_of(credential).ok()?;
        let tokens = self.config.session_tokens.as_ref()?;
        tokens.newest(&shop, cx.clock.now())
    }

    /// Sends an operation with a credential, without a session.
    async fn call<E: Endpoint>(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
        operation: &E,
    ) -> Result<E::Output, ExchangeError> {
        self.shop_of(credential)
            .map_err(|error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error))?;
        cx.call(self, credential, operation).await
    }
}

#[async_trait]
impl Connector for Shopify {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.config.loopbacks().to_vec()
    }

    fn account_host(&self, text: &str) -> Result<Option<String>> {
        let shop = self.config.host_rule.accept(text)?;
        Ok(Some(shop.as_str().to_owned()))
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url> {
        oauth::authorization_url(&self.description, request)
    }

    fn check_callback(
        &self,
        cx: &Context<'_>,
        account_host: Option<&str>,
        callback: &Callback,
    ) -> Result<(), CallbackProblem> {
        // Shopify does not document whether it signs callbacks with an error. Accepting an unsigned
        // one is safe, because it leads to no exchange.
        if callback.get("hmac").is_none() && callback.error().is_some() {
            return rfc::check_callback(&self.description, callback);
        }
        self.check_query(cx.app.client_secrets(), cx.clock.now(), callback)
            .map_err(|problem| match problem {
                QueryProblem::Stale => CallbackProblem::Stale,
                QueryProblem::Malformed | QueryProblem::Signature => {
                    CallbackProblem::SignatureMismatch
                }
            })?;
        let named = callback
            .get("shop")
            .and_then(|shop| self.config.host_rule.accept_host(shop).ok());
        if named.is_none() || named.as_ref().map(ShopDomain::as_str) != account_host {
            return Err(CallbackProblem::OtherAccount);
        }
        rfc::check_callback(&self.description, callback)
    }

    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let answer = rfc::exchange_code(&self.description, cx, exchange).await;
        answer.map(oauth::expanded).map(oauth::with_user)
    }

    fn renewal(&self, credential: &Credential) -> Renewal {
        match oauth::kept(credential, extra::GRANT) {
            Some(oauth::CLIENT_CREDENTIALS) => Renewal::Mint,
            _ if credential.refresh_token().is_some() => Renewal::RefreshToken,
            _ => Renewal::Never,
        }
    }

    /// Refreshes an offline token, requests another token with client credentials, or exchanges the
    /// session token of a new credential.
    ///
    /// If Shopify refuses the refresh token for good, the newest session token of the shop is
    /// exchanged instead, if the configuration has session tokens.
    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let description = &self.description;
        if oauth::kept(credential, extra::GRANT) == Some(oauth::CLIENT_CREDENTIALS) {
            let host = credential.account_host();
            let answer = rfc::client_credentials(description, cx, host, &[]).await;
            return answer.map(oauth::expanded);
        }
        if let Some(session_token) = oauth::kept(credential, extra::SESSION_TOKEN) {
            return oauth::exchange_session(description, cx, credential, session_token).await;
        }
        let refused = match rfc::refresh(description, cx, credential).await {
            Ok(answer) => return Ok(oauth::expanded(answer)),
            Err(error) => error,
        };
        let is_dead = refused.class() == ExchangeClass::DeadGrant;
        match self.newest_session(cx, credential).filter(|_| is_dead) {
            Some(session) => {
                let token = session.secret().expose_secret();
                oauth::exchange_session(description, cx, credential, token)
                    .await
                    .map_err(|_| refused)
            }
            None => Err(refused),
        }
    }

    /// Returns true for an offline token of an OAuth app that does not expire. The static token of a
    /// custom app is no such token.
    fn needs_migration(&self, credential: &Credential) -> bool {
        credential.kind() == CredentialKind::OAuth
            && credential.is_issued()
            && credential.refresh_token().is_none()
            && credential.expires_at().is_none()
    }

    /// Exchanges a non-expiring offline token for an expiring one. Shopify invalidates the old token
    /// immediately. If the request is repeated with the same token, Shopify returns the same pair
    /// for 7 days, until the pair is refreshed.
    ///
    /// See [Shopify docs: Migrate to expiring offline access tokens](https://shopify.dev/docs/apps/build/authentication-authorization/migrate-to-expiring-offline-access-tokens).
    async fn migrate(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::migrate(&self.description, cx, credential).await
    }

    /// Returns false for online tokens: deliveries for a shop belong to the shop's own connection.
    fn receives_deliveries(&self, credential: &Credential) -> bool {
        oauth::kept(credential, extra::USER).is_none()
    }

    /// Uninstalls the app if configured. Shopify cannot revoke tokens. The end of a user's connection
    /// changes nothing in the shop.
    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        if oauth::kept(credential, extra::USER).is_some() {
            return Ok(());
        }
        if self.description.revocation.is_none() {
            return rfc::revoke(&self.description, cx, credential).await;
        }
        match self.call(cx, credential, &AppUninstall::new()).await {
            // The access token may only have expired. The connection has ended, so no other task
            // refreshes the token.
            Err(error)
                if error.class() == ExchangeClass::DeadGrant
                    && credential.refresh_token().is_some() =>
            {
                let answer = rfc::refresh(&self.description, cx, credential).await?;
                let renewed = Credential::new(
                    credential.kind(),
                    credential.origin().clone(),
                    answer.access_token().clone(),
                    cx.clock.now(),
                )
                .with_account_host(credential.account_host().unwrap_or_default());
                self.call(cx, &renewed, &AppUninstall::new()).await
            }
            outcome => outcome,
        }
    }

    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        let found = self.call(cx, credential, &metadata::Identify).await;
        let metadata::Identified { shop, facts } = found.map_err(ExchangeError::into_error)?;
        let domain = self.config.host_rule.accept_host(&shop.myshopify_domain);
        let domain = domain.map_err(|_| {
            let message = "Shopify returned an invalid domain for the shop";
            Error::new(ErrorKind::UnexpectedResponse, "shopify.identify", message)
                .with_provider(Self::ID.as_str().to_owned())
        })?;
        let label = |text: &str| text.chars().take(255).collect::<String>();
        let account = match oauth::kept(credential, extra::USER) {
            Some(user) => {
                let key = AccountKey::new(format!("{}/User/{user}", shop.id))?;
                let name = oauth::kept(credential, extra::USER_NAME).unwrap_or("user");
                Account::identified(key).with_label(label(&format!("{name} ({})", shop.name)))
            }
            None => Account::identified(AccountKey::new(shop.id.to_string())?)
                .with_label(label(&shop.name)),
        };
        let account = account.with_host(domain.as_str());
        Ok(Identity::new(account).with_metadata(facts))
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(ShopifyClassifier)
    }

    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        Some(self)
    }

    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        let rule = self.config.host_rule;
        webhook::verify(&self.description, rule, cx, endpoint, request)
    }
}
