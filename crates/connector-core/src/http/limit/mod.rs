//! Rate limiting: acquire permits, send the call, then settle the permits with the response.
//!
//! A provider's description lists its limits ([`Limit`]). Each limit has a scope ([`Per`]), a
//! counting model ([`RateModel`]) and the headers that describe its state ([`HeaderRule`]). An
//! operation names the limits that it uses ([`Draws`]). [`Limits`] contains the state of all limits
//! in a process. An application can add its own limits as [`Budget`]s.

mod account;
mod budget;
mod described;
mod draw;
mod gauge;
mod header;
mod queue;
mod report;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::account::{AccountKey, TenantId};
use crate::clock::Clock;
use crate::provider_id::ProviderId;

use self::account::{AccountState, AppState};

pub use self::account::AccountLimits;
pub(crate) use self::account::{Answered, Call, Permits};
pub use self::budget::{Budget, Permit};
pub(crate) use self::described::wrong;
pub use self::described::{Limit, Per, RateModel};
pub use self::draw::{Draw, Draws};
pub use self::header::{HeaderMatch, HeaderRule, TimeFormat, TimeHeader, UsageHeader};
pub use self::report::Report;

/// Maximum wait caused by a value in a response, unless the description states a longer window.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Priority of a call. Interactive calls are sent before background calls. Within one priority, the
/// call that has waited longest is sent first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// A user waits for the response.
    #[default]
    Interactive,
    /// No user waits for the response, for example in a sync or in maintenance.
    Background,
}

/// An account under an app registration. Providers count calls separately for each account and
/// registration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LimitKey {
    /// The provider.
    pub provider: ProviderId,
    /// The client id of the app registration.
    pub client_id: String,
    /// The tenant that owns the app registration; `None` if all tenants share the registration.
    pub tenant: Option<TenantId>,
    /// The account.
    pub account: AccountKey,
}

impl LimitKey {
    /// Creates the key of an account under a registration that all tenants share.
    #[must_use]
    pub fn new(provider: ProviderId, client_id: impl Into<String>, account: AccountKey) -> Self {
        Self {
            provider,
            client_id: client_id.into(),
            tenant: None,
            account,
        }
    }

    /// Sets the tenant that owns the registration. The limits are then separate from those of other
    /// tenants, even if the client id is the same.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    fn registration(&self) -> Registration {
        Registration {
            provider: self.provider.clone(),
            client_id: self.client_id.clone(),
            tenant: self.tenant.clone(),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Registration {
    provider: ProviderId,
    client_id: String,
    tenant: Option<TenantId>,
}

/// Number of limits of one kind above which unused limits are evicted.
const EVICTION_THRESHOLD: usize = 1024;
/// Number of limits of one kind above which recently used limits are evicted too, if they are
/// currently unused.
const MAX_COUNT: usize = 65_536;
/// Minimum time that an unused limit is kept after its last call. A limit is kept longer if its
/// state has not recovered.
const KEEP: Duration = Duration::from_secs(3600);

/// Returns how long an unused limit is kept if there are `count` limits of its kind.
const fn keep(count: usize) -> Duration {
    if count < MAX_COUNT {
        KEEP
    } else {
        Duration::ZERO
    }
}

/// Returns the number of limits at which the next eviction runs, if `count` limits were kept.
fn next_sweep(count: usize) -> usize {
    EVICTION_THRESHOLD.max(count.saturating_mul(2))
}

/// The state of all rate limits of this process. Clones share the state.
#[derive(Clone)]
pub struct Limits {
    shared: Arc<Mutex<Known>>,
    clock: Arc<dyn Clock>,
}

struct Known {
    accounts: HashMap<LimitKey, Arc<AccountState>>,
    apps: HashMap<Registration, Arc<AppState>>,
    sweep_at: usize,
}

impl Limits {
    /// Creates the state with all limits unused.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Known {
                accounts: HashMap::new(),
                apps: HashMap::new(),
                sweep_at: EVICTION_THRESHOLD,
            })),
            clock,
        }
    }

    /// Returns the limits of an account. The same key always returns the same limits. `limits` is
    /// the list from the description. The limits per app are shared by all accounts of a
    /// registration. They come from the list that was passed for the registration's first account.
    #[must_use]
    pub fn account(&self, key: &LimitKey, limits: &[Limit]) -> AccountLimits {
        let mut known = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = known.accounts.get(key) {
            return AccountLimits::new(Arc::clone(account));
        }
        if known.accounts.len() >= known.sweep_at {
            known.sweep();
        }
        let app = known
            .apps
            .entry(key.registration())
            .or_insert_with(|| Arc::new(AppState::new(limits, Arc::clone(&self.clock))));
        let account = Arc::new(AccountState::new(Arc::clone(app)));
        known.accounts.insert(key.clone(), Arc::clone(&account));
        AccountLimits::new(account)
    }
}

impl Known {
    fn sweep(&mut self) {
        let keep = keep(self.accounts.len());
        self.accounts
            .retain(|_, it| Arc::strong_count(it) > 1 || !it.is_forgettable(keep));
        self.apps
            .retain(|_, it| Arc::strong_count(it) > 1 || !it.is_forgettable(keep));
        self.sweep_at = next_sweep(self.accounts.len());
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Limits")
            .field("accounts", &known.accounts.len())
            .finish_non_exhaustive()
    }
}
