//! The connector: hooks of Zaps as the hub knows them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::description::{CallAuthentication, EndpointTemplate};
use connector_core::provider::oauth::Identity;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Classifier, Connector, Context, Description};
use connector_core::{AppSource, Credential, CredentialKind, ProviderId, Result};
use secrecy::SecretString;

use crate::account::HookUrl;
use crate::config::{HOOKS, ZapierConfig};
use crate::{error, limits, webhook};

/// Zapier: hooks of Zaps as accounts.
#[derive(Debug, Clone)]
pub struct Zapier {
    config: ZapierConfig,
    description: Description,
    /// The description with the scheme for HTTP Basic.
    basic: Description,
}

impl Zapier {
    /// The provider's name.
    pub const ID: ProviderId = ProviderId::from_static("zapier");

    /// The connector with these settings.
    #[must_use]
    pub fn new(config: ZapierConfig) -> Self {
        let mut description = Description::new(Self::ID, "Zapier");
        description.api = vec![EndpointTemplate::new(HOOKS)];
        description.authentication = CallAuthentication::SecretUrl;
        description.limits = limits::limits(config.requests_per_second);
        description.webhook = webhook::scheme();
        // The address does not change, and reading it again costs no request.
        description.metadata_every = 86_400;
        let mut basic = description.clone();
        basic.webhook = webhook::basic_scheme();
        Self {
            config,
            description,
            basic,
        }
    }

    /// A credential to adopt: the address of a hook. Nothing is sent to the address, because every
    /// request to it starts the Zap and costs its owner a task.
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

    /// Returns the account from the address alone.
    async fn identify(&self, _: &Context<'_>, credential: &Credential) -> Result<Identity> {
        HookUrl::parse(credential.secret())?.identity()
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
