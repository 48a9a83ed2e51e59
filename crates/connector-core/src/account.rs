//! Tenants and the provider accounts that they connect.

use crate::app::AppKey;
use crate::name::name;
use crate::provider_id::ProviderId;

name! {
    /// A customer of your service, for example an organisation, a project or a user. Every stored
    /// record belongs to exactly one tenant.
    ///
    /// ```
    /// use connector_core::TenantId;
    /// let tenant = TenantId::new("acme")?;
    /// assert_eq!(tenant.as_str(), "acme");
    /// assert!(TenantId::new("").is_err());
    /// # Ok::<(), connector_core::InvalidName>(())
    /// ```
    TenantId, "tenant id"
}

name! {
    /// The stable key of an account at its provider, for example a shop's gid, a bot's id or an
    /// OpenID `sub`. The key comes from an authenticated response of the provider, never from a
    /// name that people can change.
    AccountKey, "account key"
}

/// A provider account that a connection gives access to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// The account's stable key at the provider.
    pub key: AccountKey,
    /// The account's own host, for providers with per-account hosts. Webhook deliveries that
    /// contain only a host are routed by this field. Before a flow starts, the host also shows
    /// whether the account is already connected.
    pub host: Option<String>,
    /// True if the key was read from a callback and no authenticated response has confirmed it.
    /// Such a key is used only for display and for uniqueness within its tenant. Webhook deliveries
    /// are never routed by it.
    pub asserted: bool,
    /// The account's display name, if the provider returns one.
    pub label: Option<String>,
}

impl Account {
    /// Creates an account whose key comes from an authenticated response of the provider.
    #[must_use]
    pub fn identified(key: AccountKey) -> Self {
        Self {
            key,
            host: None,
            asserted: false,
            label: None,
        }
    }

    /// Creates an account whose key comes only from a callback.
    #[must_use]
    pub fn asserted(key: AccountKey) -> Self {
        Self {
            key,
            host: None,
            asserted: true,
            label: None,
        }
    }

    /// Sets the account's own host.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the account's display name.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// An account within one tenant. Each account has at most one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountRef {
    /// The tenant.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The registration at the provider.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
}
