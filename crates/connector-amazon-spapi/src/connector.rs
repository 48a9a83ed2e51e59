//! The connector.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::oauth::{
    AuthorizationRequest, CodeExchange, ExchangeError, Identity, TokenResponse,
};
use connector_core::provider::{Classifier, Connector, Context, Description};
use connector_core::{
    Account, AccountKey, AppSource, Credential, CredentialKind, ProviderId, Result,
};
use secrecy::SecretString;
use url::Url;

use crate::config::AmazonConfig;
use crate::{Marketplace, appstore, error, metadata, oauth};

/// The connector for Amazon's Selling Partner API. An account is one seller in one region.
#[derive(Debug, Clone)]
pub struct AmazonSpApi {
    pub(crate) config: AmazonConfig,
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
}

impl AmazonSpApi {
    /// The provider's id.
    pub const ID: ProviderId = ProviderId::from_static("amazon-spapi");

    /// Creates the connector with these settings.
    #[must_use]
    pub fn new(config: AmazonConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            config,
        }
    }

    /// Creates a credential to adopt, from the refresh token of a self-authorized application. The
    /// seller copies the token from Amazon's console. `marketplace` is any marketplace of the
    /// seller in the region.
    ///
    /// `Hub::adopt` refreshes and tests the credential before storing it. For a sandbox
    /// application, set
    /// [`AmazonConfigBuilder::with_sandbox`](crate::AmazonConfigBuilder::with_sandbox).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) if the selling partner
    /// id is malformed.
    pub fn self_authorized(
        &self,
        selling_partner_id: &str,
        marketplace: Marketplace,
        refresh_token: impl Into<SecretString>,
        now: Timestamp,
    ) -> Result<Credential> {
        let region = marketplace.region();
        let account = oauth::account(region, selling_partner_id)?;
        let origin = Origin::parse(region.host(self.config.is_sandbox))?;
        Ok(Credential::unissued(CredentialKind::OAuth, origin, now)
            .with_refresh_token(refresh_token)
            .with_identity(Identity::new(account)))
    }

    /// Returns the account key of a seller in a region, for example `EU:A2EXAMPLE`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) if the selling partner
    /// id is malformed.
    pub fn account_key(region: crate::Region, selling_partner_id: &str) -> Result<AccountKey> {
        oauth::account(region, selling_partner_id).map(|it: Account| it.key)
    }

    /// Parses the query of a request to the application's OAuth login URI, for the application id
    /// of these settings.
    ///
    /// # Errors
    /// As for [`AppstoreLogin::parse`](crate::AppstoreLogin::parse);
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if the settings have
    /// no application id.
    pub fn appstore_login(&self, query: &str) -> Result<crate::AppstoreLogin> {
        crate::AppstoreLogin::parse(self.config.application_id()?, query)
    }
}

#[async_trait]
impl Connector for AmazonSpApi {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.config.loopbacks().to_vec()
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url> {
        oauth::authorization_url(&self.config, request)
    }

    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::exchange_code(self, cx, exchange).await
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::refresh(self, cx, credential).await
    }

    async fn app_token(
        &self,
        cx: &Context<'_>,
        scopes: &[String],
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::app_token(self, cx, scopes).await
    }

    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        metadata::identify(self, cx, credential).await
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(error::AmazonErrors)
    }
}

/// Names of the flow parameters.
pub(crate) mod parameter {
    pub(crate) use super::appstore::{CALLBACK_URI, SELLER, STATE};

    pub(crate) const MARKETPLACE: &str = "marketplace";
    pub(crate) const ACCOUNT_TYPE: &str = "account_type";
}
