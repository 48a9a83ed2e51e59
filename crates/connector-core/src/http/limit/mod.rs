//! Calls within a provider's limits: acquire permits, send, settle them with the response.
//!
//! A provider's description names its limits ([`Limit`]): what each counts together ([`Per`]), how
//! ([`RateModel`]), and which headers describe it ([`HeaderRule`]). An operation says which of them
//! it draws from ([`Draws`]). [`Limits`] holds their state for a process, and an application adds
//! limits of its own as [`Budget`]s.

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

/// The longest wait that a figure from a response causes, unless the description itself states a
/// longer window.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The class of a call. Interactive calls go before background ones; within each class, the call that
/// began to wait first goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does: synchronisation, maintenance.
    Background,
}

/// An account under a registration, for which a provider counts calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LimitKey {
    /// The provider.
    pub provider: ProviderId,
    /// The client id of the registration.
    pub client_id: String,
    /// The tenant whose registration it is; `None` if all tenants share it.
    pub tenant: Option<TenantId>,
    /// The account.
    pub account: AccountKey,
}

impl LimitKey {
    /// An account under a registration that all tenants share.
    #[must_use]
    pub fn new(provider: ProviderId, client_id: impl Into<String>, account: AccountKey) -> Self {
        Self {
            provider,
            client_id: client_id.into(),
            tenant: None,
            account,
        }
    }

    /// Says that the registration is the tenant's own. Its limits are then separate from those of
    /// other tenants, even under the same client id.
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

/// Above this number of limits of one kind, unused ones are evicted.
const MANY: usize = 1024;
/// Above this number of limits of one kind, unused ones are evicted however recently they were used.
const MOST: usize = 65_536;
/// Time after the last call during which a limit is kept in any case. It is kept for longer while it
/// has not recovered.
const KEEP: Duration = Duration::from_secs(3600);

/// Time after the last call during which a limit is kept, if there are `count` of its kind.
const fn keep(count: usize) -> Duration {
    if count < MOST { KEEP } else { Duration::ZERO }
}

/// The number of limits of one kind at which unused ones are evicted again, if `count` were kept.
fn next_sweep(count: usize) -> usize {
    MANY.max(count.saturating_mul(2))
}

/// The state of the limits of all accounts that this process calls. Clones share it.
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
    /// Limits nothing of which is used.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Known {
                accounts: HashMap::new(),
                apps: HashMap::new(),
                sweep_at: MANY,
            })),
            clock,
        }
    }

    /// The limits of an account, the same ones for the same key. `limits` is the description's; it
    /// counts for the first account of a registration, and all its accounts share limits per app.
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
