//! Implementation of the connector traits for hooks of Zaps.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::description::{CallAuthentication, EndpointTemplate};
use connector_core::provider::oauth::Identity;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Classifier, Connector, Context, Description};
use connector_core::{AppSource, Credential, CredentialKind, Error, ErrorKind, ProviderId, Result};
use secrecy::SecretString;

use crate::account::HookUrl;
use crate::config::{HOOKS, ZapierConfig};
use crate::{error, limits, webhook};

/// The Zapier connector. Each account is a hook of a Zap.
#[derive(Debug, Clone)]
pub struct Zapier {
    config: ZapierConfig,
    description: Description,
    /// The description with the webhook scheme for HTTP Basic.
    basic: Description,
}

impl Zapier {
    /// Provider id.
    pub const ID: ProviderId = ProviderId::from_static("zapier");

    /// Creates a connector with these settings.
    #[must_use]
    pub fn new(config: ZapierConfig) -> Self {
        let mut description = Description::new(Self::ID, "Zapier");
        description.api = vec![EndpointTemplate::new(HOOKS)];
        description.authentication = CallAuthentication::SecretUrl;
        description.limits = limits::limits(config.requests_per_second);
        description.webhook = webhook::scheme();
        // The metadata comes from the address, which never changes, so the interval is long.
        description.metadata_every = 86_400;
        let mut basic = description.clone();
        basic.webhook = webhook::basic_scheme();
        Self {
            config,
            description,
            basic,
        }
    }

    /// Creates the credential for adopting a hook by its address. Sends no request to the address,
    /// because every request starts the Zap and costs the Zap's owner a task.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) as for
    /// [`HookUrl::parse`].
    pub fn hook(url: impl Into<SecretString>, obtained_at: Timestamp) -> Result<Credential> {
        let hook = HookUrl::parse(&url.into())?;
        let origin = Origin::parse(HOOKS)?;
        let kind = CredentialKind::SecretUrl;
        Ok(Credential::new(
            kind,
            origin,
            hook.secret().clone(),
            obtained_at,
        ))
    }
}

#[async_trait]
impl Connector for Zapier {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        Some(ZapierConfig::app_source())
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.config.loopbacks().to_vec()
    }

    /// Derives the account from the address, without a request.
    async fn identify(&self, _: &Context<'_>, credential: &Credential) -> Result<Identity> {
        let hook = HookUrl::parse(credential.secret())?;
        // The digest takes tens of milliseconds.
        let identified = tokio::task::spawn_blocking(move || hook.identity());
        identified.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::ShuttingDown,
                "zapier.identify",
                "the process is shutting down; adopt the hook again",
            ))
        })
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
        let is_basic = webhook::uses_basic(request.headers());
        let description = if is_basic {
            &self.basic
        } else {
            &self.description
        };
        connector_core::provider::webhook::verify(description, cx, endpoint, request)
    }
}
