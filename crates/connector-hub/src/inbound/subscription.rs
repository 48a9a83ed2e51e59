//! The secrets of subscriptions.

use std::fmt;

use async_trait::async_trait;
use connector_core::{AppKey, ConnectionKey, ProviderId, Result};
use secrecy::SecretString;

/// The connection and the secrets of one subscription (channel, hook) at a provider.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionSecret {
    /// The connection that the subscription belongs to.
    pub connection: ConnectionKey,
    /// The secrets that its deliveries may be verified with, the newest first.
    pub secrets: Vec<SecretString>,
}

impl SubscriptionSecret {
    /// The secrets of a subscription of this connection, the newest first.
    #[must_use]
    pub const fn new(connection: ConnectionKey, secrets: Vec<SecretString>) -> Self {
        Self {
            connection,
            secrets,
        }
    }
}

/// Finds the secrets of subscriptions, for providers where each subscription has its own and all
/// deliveries come to one URL.
#[async_trait]
pub trait SubscriptionSecrets: fmt::Debug + Send + Sync + 'static {
    /// The subscription that the provider calls `channel`; `None` if there is none. The id is what a
    /// delivery claims before it is verified, so nothing may be written because of it.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): the provider sends the
    /// delivery again.
    async fn secret(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        channel: &str,
    ) -> Result<Option<SubscriptionSecret>>;
}
