//! Who connects what: tenants and the accounts they connect.

use crate::app::AppKey;
use crate::name::name;
use crate::provider_id::ProviderId;

name! {
    /// The customer of the service that embeds this library: an organisation, a project, a user.
    /// Everything that is stored belongs to exactly one tenant.
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
    /// The stable key of an account at its provider: a shop's gid, a bot's id, an OpenID `sub`.
    /// It comes from an authenticated answer of the provider, never from a name that people change.
    AccountKey, "account key"
}

/// The account that a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// The provider's stable key.
    pub key: AccountKey,
    /// The account's own host, where accounts have one. Deliveries that name only a host are routed
    /// by it, and a second authorization for the same host is recognised before it begins.
    pub host: Option<String>,
    /// True when the key stood only in a callback and no authenticated answer confirmed it. Such a
    /// key is for display and for uniqueness inside its own tenant; deliveries are never routed by
    /// it.
    pub asserted: bool,
    /// The name that people know the account by, if the provider tells one.
    pub label: Option<String>,
}

impl Account {
    /// An account whose key an authenticated answer of the provider gave.
    #[must_use]
    pub fn identified(key: AccountKey) -> Self {
        Self {
            key,
            host: None,
            asserted: false,
            label: None,
        }
    }

    /// An account whose key stood only in a callback.
    #[must_use]
    pub fn asserted(key: AccountKey) -> Self {
        Self {
            key,
            host: None,
            asserted: true,
            label: None,
        }
    }

    /// Adds the account's own host.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds the name that people know the account by.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// An account as one tenant sees it. At most one connection stands for each.
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
