//! Who calls, and what the caller may do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use connector_core::{Actor, TenantId};
use http::header::AUTHORIZATION;
use http::request::Parts;
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

/// Identifies the caller of a request. Your application implements this trait with its own login,
/// sessions or API keys.
///
/// The router calls [`Access::identify`] for every route except health, problem descriptions, the
/// `OpenAPI` document and webhooks. There is no permissive default.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Returns the tenant, the actor and the permissions of the caller. The request has no body.
    ///
    /// Take the tenant from your session or key, never from a header or parameter that the caller
    /// chooses. A session cookie must be `SameSite=Lax`, not `Strict`: the callback is a navigation that
    /// begins at the provider's site.
    ///
    /// # Errors
    /// [`Denied`] if the caller is unknown, or cannot be identified now.
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied>;

    /// Returns true if pages of `origin` may call the routes of `group` from a browser (CORS).
    /// Default: false, so that only pages of the service itself may.
    ///
    /// `tenant` is `None` for a preflight request, which has no credentials. Return true for a
    /// preflight request if any tenant uses this origin. The router asks again with the tenant when
    /// the request itself arrives.
    ///
    /// A page on another site (another registrable domain) cannot complete a flow that it starts with
    /// JSON: browsers ignore the `SameSite=Lax` cookie in the response. Such a page requests a link,
    /// and navigates to it.
    fn allows_origin(&self, origin: &str, group: RouteGroup, tenant: Option<&TenantId>) -> bool {
        let _ = (origin, group, tenant);
        false
    }
}

#[async_trait]
impl<T: Access + ?Sized> Access for Arc<T> {
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied> {
        (**self).identify(request).await
    }

    fn allows_origin(&self, origin: &str, group: RouteGroup, tenant: Option<&TenantId>) -> bool {
        (**self).allows_origin(origin, group, tenant)
    }
}

/// An identified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: TenantId,
    actor: Actor,
    permissions: Permissions,
}

impl Caller {
    /// Creates a caller. `actor` is the user or the service that the audit log names.
    #[must_use]
    pub const fn new(tenant: TenantId, actor: Actor, permissions: Permissions) -> Self {
        Self {
            tenant,
            actor,
            permissions,
        }
    }

    /// Returns the tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns the actor.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the permissions.
    #[must_use]
    pub const fn permissions(&self) -> Permissions {
        self.permissions
    }
}

/// The reason why a caller was not identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// The request has no valid credentials. The response has status 401.
    Unauthenticated,
    /// The caller cannot be identified now, for example because a database is unavailable. The
    /// response has status 503.
    Unavailable,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A permission of a caller.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// All permissions.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

permissions! {
    /// Lists connectors and connections, and reads status, history and live updates.
    Read = "read",
    /// Connects and reconnects accounts.
    Connect = "connect",
    /// Disconnects accounts.
    Disconnect = "disconnect",
    /// Refreshes and checks connections now.
    Refresh = "refresh",
    /// Adopts credentials that another program obtained.
    Import = "import",
    /// Reads the health of all registrations, across tenants. Only for your own staff.
    Admin = "admin",
    /// Receives access tokens. Needed only for [`token_router`](crate::token_router).
    Token = "token",
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u16);

impl Permissions {
    /// Creates an empty set.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Creates a set of `permissions`.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < permissions.len() {
            bits |= 1 << permissions[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Returns true if the set contains `permission`.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u16) != 0
    }

    /// Returns the set without `permission`.
    #[must_use]
    pub const fn without(self, permission: Permission) -> Self {
        Self(self.0 & !(1 << permission as u16))
    }

    /// Returns the permissions in the set.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |it| self.contains(*it))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions
            .into_iter()
            .fold(Self::none(), |set, it| Self(set.0 | 1 << it as u16))
    }
}

/// A group of routes with a common policy for browser pages of other origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RouteGroup {
    /// Connectors, connect flows and adoption.
    Connect,
    /// Connections: status, history, refresh, check, disconnect and live updates.
    Connections,
    /// Health, readiness, problem descriptions and the `OpenAPI` document.
    Operations,
    /// Webhooks, which browsers never send.
    Webhooks,
    /// Access tokens for other programs.
    Tokens,
}

/// An [`Access`] with API keys in the header `Authorization: Bearer …`.
///
/// The keys are stored as SHA-256 digests. A digest without salt is sufficient only for random keys,
/// so generate each key with at least 256 random bits, for example with
/// [`random_token`](connector_core::random_token). Never use passwords.
///
/// API keys alone cannot finish a connect flow: the provider redirects the browser to the callback, and
/// this request has cookies but no `Authorization` header. Identify browsers by a session cookie with
/// `SameSite=Lax`, or let a backend create links and configure
/// [`RouterConfig::with_anonymous_browsers`](crate::RouterConfig::with_anonymous_browsers).
///
/// ```
/// use connector_axum::{ApiKeys, Caller, Permission, Permissions};
/// use connector_core::{Actor, SystemRandom, TenantId, random_token};
///
/// let key = random_token(&SystemRandom::new())?; // give this key to the tenant, once
/// let caller = Caller::new(
///     TenantId::new("acme")?,
///     Actor::Service("acme-backend".into()),
///     Permissions::of(&[Permission::Read, Permission::Connect]),
/// );
/// let keys = ApiKeys::new().with_key(ApiKeys::digest(&key), caller);
/// # let _ = keys;
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    keys: BTreeMap<[u8; 32], Caller>,
}

impl ApiKeys {
    /// Creates an empty list, which admits nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the digest to store for a key.
    #[must_use]
    pub fn digest(key: &SecretString) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, key.expose_secret().as_bytes()).as_ref());
        bytes
    }

    /// Adds the key with this digest.
    #[must_use]
    pub fn with_key(mut self, digest: [u8; 32], caller: Caller) -> Self {
        self.keys.insert(digest, caller);
        self
    }
}

#[async_trait]
impl Access for ApiKeys {
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied> {
        let mut values = request.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Denied::Unauthenticated);
        };
        let text = value.to_str().map_err(|_| Denied::Unauthenticated)?;
        let (scheme, key) = text.split_once(' ').ok_or(Denied::Unauthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Unauthenticated);
        }
        // The lookup compares digests, so its duration reveals nothing about a key.
        let digest = Self::digest(&SecretString::from(key.trim()));
        self.keys
            .get(&digest)
            .cloned()
            .ok_or(Denied::Unauthenticated)
    }
}
