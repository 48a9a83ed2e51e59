//! The Google Drive connector: the implementation of the `Connector` trait.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::http::LoopbackOverride;
use connector_core::provider::oauth::{
    self as messages, CodeExchange, ExchangeClass, ExchangeError, Identity, TokenResponse,
};
use connector_core::provider::subscription::Subscriptions;
use connector_core::provider::{Classifier, Connector, Context, Description, Renewal};
use connector_core::{AppSource, Credential, ProviderId, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::config::GoogleDriveConfig;
use crate::service_account::ServiceAccount;
use crate::{error, metadata, oauth};

/// Google Drive connector. An account is a Google account or a service account.
#[derive(Debug, Clone)]
pub struct GoogleDrive {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl GoogleDrive {
    /// The provider id.
    pub const ID: ProviderId = ProviderId::from_static("google-drive");

    /// Creates the connector with these settings.
    #[must_use]
    pub fn new(config: GoogleDriveConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            loopbacks: config.into_loopbacks(),
        }
    }

    /// Creates a credential for a service account, to pass to [`Hub::adopt`]. `key` is the JSON key
    /// file from Google. `user` is the e-mail address of a user to impersonate, which requires
    /// domain-wide delegation. The hub stores the key sealed and uses it to request access tokens.
    ///
    /// Without `user`, a service account has no storage. It can access shared drives, and files
    /// that are shared with it.
    ///
    /// [`Hub::adopt`]: https://docs.rs/connector-hub/latest/connector_hub/struct.Hub.html#method.adopt
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) if `key` is not a
    /// service account key file, or `user` is not an e-mail address. The error quotes neither
    /// value.
    pub fn service_account<S: Into<String>>(
        key: &SecretString,
        user: Option<&str>,
        scopes: impl IntoIterator<Item = S>,
        now: Timestamp,
    ) -> Result<Credential> {
        ServiceAccount::read(key, user)?;
        ServiceAccount::credential(key, user, scopes, now)
    }
}

#[async_trait]
impl Connector for GoogleDrive {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.loopbacks.clone()
    }

    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let answer = messages::exchange_code(&self.description, cx, exchange).await?;
        let now = cx.clock.now().as_unix_seconds().to_string();
        Ok(answer.keep(oauth::GRANTED_AT, now))
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        if let Some(account) = ServiceAccount::of(credential)? {
            return account.mint(&self.description, cx, credential).await;
        }
        let refreshed = messages::refresh(&self.description, cx, credential).await;
        refreshed.map_err(|error| {
            let granted = credential.extra(oauth::GRANTED_AT);
            let granted = granted.and_then(|it| it.expose_secret().parse().ok());
            let hint = granted.and_then(|seconds| {
                oauth::hint(Timestamp::from_unix_seconds(seconds), cx.clock.now())
            });
            match hint {
                Some(hint) if error.class() == ExchangeClass::DeadGrant => {
                    error.with_description(hint)
                }
                _ => error,
            }
        })
    }

    fn renewal(&self, credential: &Credential) -> Renewal {
        match credential.refresh_token() {
            _ if ServiceAccount::is_in(credential) => Renewal::Mint,
            Some(_) => Renewal::RefreshToken,
            None => Renewal::Never,
        }
    }

    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        // The access token of a service account expires within an hour. The hub cannot revoke the key
        // file, because only its owner can delete the key at Google.
        if ServiceAccount::is_in(credential) {
            return Ok(());
        }
        messages::revoke(&self.description, cx, credential).await
    }

    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        metadata::identify(self, cx, credential).await
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(error::Errors)
    }

    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        Some(self)
    }
}
