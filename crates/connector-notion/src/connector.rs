//! Implementation of the connector traits for Notion.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::oauth::Identity;
use connector_core::provider::subscription::Subscriptions;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Classifier, Connector, Context, Description};
use connector_core::{AppSource, Credential, CredentialKind, ProviderId, Result};
use secrecy::SecretString;

use crate::config::NotionConfig;
use crate::oauth::Introspection;
use crate::{error, metadata, oauth, webhook};

/// The Notion connector. Each account is a bot of a workspace.
#[derive(Debug, Clone)]
pub struct Notion {
    pub(crate) config: NotionConfig,
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
}

impl Notion {
    /// Provider id.
    pub const ID: ProviderId = ProviderId::from_static("notion");

    /// Creates a connector with these settings.
    #[must_use]
    pub fn new(config: NotionConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            config,
        }
    }

    /// Creates the credential for adopting the token of an internal connection or a personal access
    /// token. The token is never refreshed.
    ///
    /// # Errors
    /// None in practice. The only fallible step parses a constant.
    pub fn token(token: impl Into<SecretString>, obtained_at: Timestamp) -> Result<Credential> {
        let origin = Origin::parse(oauth::API)?;
        let kind = CredentialKind::ApiKey;
        Ok(Credential::new(kind, origin, token, obtained_at))
    }

    /// Returns the state of a token that Notion issued to this registration.
    ///
    /// # Errors
    /// [`ErrorKind::AppMisconfigured`](connector_core::ErrorKind::AppMisconfigured) if Notion
    /// rejects the client id or secret. Network failures and provider outages have their usual
    /// kinds.
    pub async fn introspect(
        &self,
        cx: &Context<'_>,
        token: &SecretString,
    ) -> Result<Introspection> {
        oauth::introspect(&self.description, cx, token).await
    }
}

#[async_trait]
impl Connector for Notion {
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

    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        webhook::receive(
            &self.description,
            &self.config.handshake,
            cx,
            endpoint,
            request,
        )
    }

    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        Some(self)
    }
}
