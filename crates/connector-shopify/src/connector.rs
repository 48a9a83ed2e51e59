//! The connector: Shopify as the hub knows it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin, Sent};
use connector_core::provider::oauth as rfc;
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, ExchangeClass, ExchangeError,
    Identity, TokenAnswer,
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

/// Shopify: shops as accounts.
///
/// Give it to the hub, whose default transport reaches a configured simulator. A transport of your
/// own needs the configuration's [`loopbacks`](ShopifyConfig::loopbacks) for that.
#[derive(Debug, Clone)]
pub struct Shopify {
    config: ShopifyConfig,
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
}

impl Shopify {
    /// The provider's name.
    pub const ID: ProviderId = ProviderId::from_static("shopify");

    /// The connector with these settings.
    #[must_use]
    pub fn new(config: ShopifyConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            config,
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ShopifyConfig {
        &self.config
    }

    /// Checks the signed query with which a shop's owner opens the app's URL from within Shopify,
    /// and tells which shop it is. Then let them log in at the application, and begin to authorize:
    /// the query alone connects nothing.
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if the query is not signed with a secret of `app`, is older
    /// than the callback window, or names no shop.
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
            .ok_or_else(|| refused("the query names no shop; open the app from the shop"))
    }

    /// A credential to adopt: an offline access token of `shop` that does not expire, as an app
    /// obtained it before, or as a shop's owner pasted it. It is never refreshed.
    ///
    /// # Errors
    /// None for a domain that [`ShopDomain::parse`] made.
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

    /// A credential to adopt: an offline access token of `shop` with its refresh token. Whoever
    /// obtained it must no longer refresh it.
    ///
    /// `expires_at` is when the access token expires; if that is not known, the present: it is
    /// refreshed at once then.
    ///
    /// # Errors
    /// None for a domain that [`ShopDomain::parse`] made.
    pub fn expiring_credential(
        shop: &ShopDomain,
        access_token: impl Into<SecretString>,
        refresh_token: impl Into<SecretString>,
        obtained_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Credential> {
        let (_, refresh) = oauth::lifetimes();
        let credential = Self::non_expiring_credential(shop, access_token, obtained_at)?;
        Ok(credential
            .with_refresh_token(refresh_token)
            .with_expiry(expires_at)
            .with_refresh_expiry(obtained_at.after(refresh)))
    }

    /// Exchanges an offline token that does not expire for one that does. Adopt the credential that
    /// comes back, under the same connection.
    ///
    /// There is no way back, and the old token stops working at once. If the answer is lost, call
    /// it again with the same credential: for 7 days Shopify answers the same pair.
    ///
    /// See [Shopify docs: Migrate to expiring offline access tokens](https://shopify.dev/docs/apps/build/authentication-authorization/migrate-to-expiring-offline-access-tokens).
    ///
    /// # Errors
    /// [`ExchangeError`]; [`DeadGrant`](ExchangeClass::DeadGrant) means that the old token is dead
    /// and the shop has to be connected again.
    pub async fn migrate_token(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<Credential, ExchangeError> {
        let host = credential.account_host();
        let token = credential.secret().expose_secret();
        let answer = oauth::migrate(&self.description, cx, host, token).await?;
        let now = cx.clock.now();
        let (access, refresh) = oauth::lifetimes();
        let mut migrated = Credential::new(
            credential.kind(),
            credential.origin().clone(),
            answer.access_token().clone(),
            now,
        )
        .with_client_id(cx.app.client_id())
        .with_scopes(answer.scopes().unwrap_or(credential.scopes()).to_vec())
        .with_expiry(now.after(answer.expires_in().unwrap_or(access)));
        if let Some(host) = host {
            migrated = migrated.with_account_host(host);
        }
        if let Some(refresh_token) = answer.refresh_token() {
            migrated = migrated
                .with_refresh_token(refresh_token.clone())
                .with_refresh_expiry(now.after(answer.refresh_expires_in().unwrap_or(refresh)));
        }
        Ok(migrated)
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

    /// The shop of a credential, whose host the host rule accepts. Nothing is sent to another host.
    fn shop_of(&self, credential: &Credential) -> Result<ShopDomain> {
        let host = credential.account_host().unwrap_or_default();
        let shop = self.config.host_rule.accept_host(host)?;
        if credential.origin().host() == shop.as_str() {
            return Ok(shop);
        }
        let message = "the credential is of another host than its shop; connect the shop again";
        Err(
            Error::new(ErrorKind::AddressRefused, "shopify.call", message)
                .with_provider(Self::ID.as_str().to_owned()),
        )
    }

    /// Carries out an operation with a credential, outside of any session.
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
        // Shopify does not say whether it signs a callback that carries an error. Such a one leads
        // to no exchange, whoever sent it.
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
    ) -> Result<TokenAnswer, ExchangeError> {
        let answer = rfc::exchange_code(&self.description, cx, exchange).await;
        answer.map(oauth::expanded)
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenAnswer, ExchangeError> {
        rfc::refresh(&self.description, cx, credential)
            .await
            .map(oauth::expanded)
    }

    /// Uninstalls the app, if it is configured to; Shopify revokes no tokens.
    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        if self.description.revocation.is_none() {
            return rfc::revoke(&self.description, cx, credential).await;
        }
        match self.call(cx, credential, &AppUninstall::new()).await {
            // The access token may merely have run out: its connection is gone, so nobody else
            // refreshes it.
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
            let message = "Shopify names a domain for the shop that no shop has";
            Error::new(ErrorKind::UnexpectedAnswer, "shopify.identify", message)
                .with_provider(Self::ID.as_str().to_owned())
        })?;
        let label: String = shop.name.chars().take(255).collect();
        let account = Account::identified(AccountKey::new(shop.id.to_string())?)
            .with_host(domain.as_str())
            .with_label(label);
        Ok(Identity::new(account).with_metadata(facts))
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        ShopifyClassifier::shared()
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
