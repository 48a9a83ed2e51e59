//! The connector: Google Drive as the hub knows it.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::http::LoopbackOverride;
use connector_core::provider::oauth::{
    self as messages, CodeExchange, ExchangeClass, ExchangeError, Identity, TokenAnswer,
};
use connector_core::provider::subscription::Subscriptions;
use connector_core::provider::{Classifier, Connector, Context, Description, Renewal};
use connector_core::{AppSource, Credential, ProviderId, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::config::GoogleDriveConfig;
use crate::service_account::ServiceAccount;
use crate::{error, metadata, oauth};

/// Google Drive: Google accounts and service accounts as accounts.
#[derive(Debug, Clone)]
pub struct GoogleDrive {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl GoogleDrive {
    /// The provider's name.
    pub const ID: ProviderId = ProviderId::from_static("google-drive");

    /// The connector with these settings.
    #[must_use]
    pub fn new(config: GoogleDriveConfig) -> Self {
        Self {
            description: oauth::description(&config),
            apps: config.app_source(),
            loopbacks: config.into_loopbacks(),
        }
    }

    /// A credential of a service account, for [`Hub::adopt`]. `key` is the JSON key file that Google
    /// made; `user` is the e-mail address of the user to impersonate, which needs domain-wide
    /// delegation. The key is stored sealed, and access tokens are requested with it.
    ///
    /// A service account without a user has no storage of its own: it reaches shared drives and files
    /// that are shared with it.
    ///
    /// [`Hub::adopt`]: https://docs.rs/connector-hub/latest/connector_hub/struct.Hub.html#method.adopt
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) if `key` is not such a file,
    /// or `user` is not an address. The error quotes nothing of it.
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
    ) -> Result<TokenAnswer, ExchangeError> {
        let answer = messages::exchange_code(&self.description, cx, exchange).await?;
        let now = cx.clock.now().as_unix_seconds().to_string();
        Ok(answer.keep(oauth::GRANTED_AT, now))
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenAnswer, ExchangeError> {
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
        // A service account's token ends within the hour; the grant is its key, which is not ours.
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
