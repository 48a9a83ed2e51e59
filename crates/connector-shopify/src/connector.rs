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
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Classifier, Connector, Context, Description, Endpoint};
use connector_core::{
    Account, AccountKey, App, AppSource, Credential, CredentialKind, Error, ErrorKind, ProviderId,
    Result,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::account::ShopDomain;
use crate::client::ShopifyClassifier;
use crate::config::ShopifyConfig;
use crate::endpoints::AppUninstall;
use crate::oauth::signature::{self, QueryProblem};
use crate::{metadata, oauth, webhook};

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
        answer.map(oauth::expanded)
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        rfc::refresh(&self.description, cx, credential)
            .await
            .map(oauth::expanded)
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

    /// Uninstalls the app if configured. Shopify cannot revoke tokens.
    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
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
        let label: String = shop.name.chars().take(255).collect();
        let account = Account::identified(AccountKey::new(shop.id.to_string())?)
            .with_host(domain.as_str())
            .with_label(label);
        Ok(Identity::new(account).with_metadata(facts))
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(ShopifyClassifier)
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
