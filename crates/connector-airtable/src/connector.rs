//! The Airtable connector.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::Classifier;
use connector_core::provider::oauth::Identity;
use connector_core::provider::subscription::Subscriptions;
use connector_core::provider::{Connector, Context, Description};
use connector_core::{AppSource, Credential, CredentialKind, ProviderId, Result};
use secrecy::SecretString;

use crate::config::AirtableConfig;
use crate::{error, metadata, oauth};

/// The connector for Airtable. Each user is an account.
#[derive(Debug, Clone)]
pub struct Airtable {
    pub(crate) config: AirtableConfig,
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
}

impl Airtable {
    /// The id of the provider.
    pub const ID: ProviderId = ProviderId::from_static("airtable");

    /// Creates a connector from its configuration.
    #[must_use]
    pub fn new(config: AirtableConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            config,
        }
    }

    /// Returns a credential to adopt, from a personal access token. The hub never refreshes it.
    ///
    /// # Errors
    /// Never fails. The function returns a `Result` only because it parses a constant.
    pub fn personal_access_token(
        token: impl Into<SecretString>,
        obtained_at: Timestamp,
    ) -> Result<Credential> {
        let origin = Origin::parse(oauth::API)?;
        let kind = CredentialKind::ApiKey;
        Ok(Credential::new(kind, origin, token, obtained_at))
    }
}

#[async_trait]
impl Connector for Airtable {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.config.loopbacks().to_vec()
    }

    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        metadata::identify(self, cx, credential).await
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(error::ERRORS)
    }

    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        Some(self)
    }
}
