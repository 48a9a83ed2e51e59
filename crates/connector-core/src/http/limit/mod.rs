//! Staying inside a provider's limits: take a permit, send, complete it with what the provider said.

mod budget;
mod gauge;
mod report;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::clock::Clock;
use crate::provider::ProviderId;

pub use self::budget::{Budget, Permit};
pub use self::report::Report;

/// How a provider limits calls.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RateModel {
    /// A bucket of points whose state every answer tells: capacity, level and rate are learnt from
    /// [`Report`]s. Until the first one, calls go one at a time.
    Cost {
        /// How many points it holds, until an answer says otherwise.
        capacity: u32,
        /// How many points come back each second, until an answer says otherwise.
        per_second: u32,
    },
    /// A bucket that refills steadily.
    Bucket {
        /// How many requests it holds.
        capacity: u32,
        /// How many come back each second.
        per_second: f64,
    },
    /// So many requests in any stretch of time of this length. A request counts from its sending
    /// until that long after its answer, so that no reading of the provider's clock is exceeded.
    Window {
        /// How many requests.
        requests: u32,
        /// The stretch of time, in seconds.
        seconds: u32,
    },
}

impl RateModel {
    /// Whether its numbers make sense: nothing is zero, negative or infinite.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match *self {
            Self::Cost {
                capacity,
                per_second,
            } => capacity > 0 && per_second > 0,
            Self::Bucket {
                capacity,
                per_second,
            } => capacity > 0 && per_second.is_finite() && per_second > 0.0,
            Self::Window { requests, seconds } => requests > 0 && seconds > 0,
        }
    }
}

/// Who waits for permits: interactive calls go before background ones, and within each class it is
/// first come, first served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does: synchronisation, upkeep.
    Background,
}

/// What a provider counts together: the calls of one registration to one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey {
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The account.
    pub account: AccountKey,
}

/// Beyond so many accounts, those that nobody uses are looked for.
const MANY: usize = 1024;
/// What was learnt about an account is kept that long after its last call, and longer while its
/// budget has not recovered.
const KEEP: Duration = Duration::from_secs(3600);

/// The budgets of all accounts that this process calls. Clones share them.
#[derive(Clone)]
pub struct Limits {
    shared: Arc<Mutex<Known>>,
    clock: Arc<dyn Clock>,
}

struct Known {
    budgets: HashMap<LimitKey, Budget>,
    sweep_at: usize,
}

impl Limits {
    /// No budgets yet; they are made when they are asked for.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Known {
                budgets: HashMap::new(),
                sweep_at: MANY,
            })),
            clock,
        }
    }

    /// The budget of an account: the same one each time, with what is left in it. `model` counts
    /// when it is made; without one, nothing is limited but what the provider asks for with
    /// [`Report::with_hold`].
    #[must_use]
    pub fn budget(&self, key: &LimitKey, model: Option<RateModel>) -> Budget {
        let mut known = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = known.budgets.get(key) {
            return budget.clone();
        }
        if known.budgets.len() >= known.sweep_at {
            known
                .budgets
                .retain(|_, budget| !budget.is_forgettable(KEEP));
            known.sweep_at = MANY.max(known.budgets.len().saturating_mul(2));
        }
        let budget = Budget::of_account(model, Arc::clone(&self.clock));
        known.budgets.insert(key.clone(), budget.clone());
        budget
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Limits")
            .field("budgets", &known.budgets.len())
            .finish_non_exhaustive()
    }
}
