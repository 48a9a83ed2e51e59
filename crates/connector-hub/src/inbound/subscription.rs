//! Secrets of individual subscriptions.

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
    /// The secrets that may verify the subscription's deliveries, newest first.
    pub secrets: Vec<SecretString>,
}

impl SubscriptionSecret {
    /// Returns the secrets of a subscription of this connection, newest first.
    #[must_use]
    pub const fn new(connection: ConnectionKey, secrets: Vec<SecretString>) -> Self {
        Self {
            connection,
            secrets,
        }
    }
}

/// Looks up the secrets of subscriptions. Needed only for providers where each subscription has its
/// own secret and all deliveries arrive at one URL.
#[async_trait]
pub trait SubscriptionSecrets: fmt::Debug + Send + Sync + 'static {
    /// Returns the subscription with the provider's id `channel`; `None` if there is none. The id
    /// comes from an unverified delivery, so implementations must not write anything.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable) if the lookup failed. The
    /// provider then sends the delivery again.
    async fn secret(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        channel: &str,
    ) -> Result<Option<SubscriptionSecret>>;
}
