//! The retry policy and the retry budget.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::random::Random;

/// Maximum number of attempts for a call, and the pauses between them.
///
/// In addition, a retry budget limits the retries of all calls to one account. See
/// [`Session`](crate::api::Session).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct RetryPolicy {
    /// Maximum number of attempts, including the first. Default: 4.
    pub attempts: u32,
    /// Pause after the first attempt. The pause doubles with each further attempt. Half of each
    /// pause is jitter. Default: 250 ms.
    pub first_pause: Duration,
    /// Maximum pause between attempts. Default: 20 s.
    pub longest_pause: Duration,
    /// Maximum pause that a provider may request. If the provider requests a longer pause, the
    /// error is returned immediately and contains the requested pause as retry advice. Default: 60
    /// s.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(20),
            longest_wait: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Returns a policy without retries.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// Sets the maximum number of attempts. 0 has the same effect as 1.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause after the first attempt, which doubles with each attempt, and its maximum.
    /// Each pause is a random time between half of this value and this value.
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// Sets the maximum pause that a provider may request.
    pub fn with_longest_wait(mut self, longest_wait: Duration) -> Self {
        self.longest_wait = longest_wait;
        self
    }

    /// Returns the pause after the given attempt (the first attempt is 1): a random time between
    /// half of the back-off and all of it.
    pub(crate) fn pause(&self, attempt: u32, random: &dyn Random) -> Result<Duration> {
        let doubled = self
            .first_pause
            .saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let full = doubled.min(self.longest_pause);
        let mut bytes = [0; 4];
        random.fill(&mut bytes)?;
        let share = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX);
        Ok(full / 2 + (full / 2).mul_f64(share))
    }
}

/// Initial and maximum number of available retries.
const RESERVE: u32 = 30;
/// Number of successful calls that add one retry.
const SUCCESSES: u32 = 10;

/// A shared limit on the retries of many calls, so that retries do not multiply the load on a
/// failing provider.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// The balance, in units of 1/[`SUCCESSES`] of a retry.
    balance: AtomicU32,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self {
            balance: AtomicU32::new(RESERVE * SUCCESSES),
        }
    }

    pub(crate) fn earn(&self) {
        // The budget is full most of the time. In that case nothing is written.
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance < RESERVE * SUCCESSES).then(|| balance + 1)
            });
    }

    /// Takes one retry from the budget. Returns false if none is available.
    pub(crate) fn spend(&self) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(SUCCESSES)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn pauses_grow_within_their_jitter_and_their_bound() {
        let policy = RetryPolicy::default();
        for (attempt, full) in [
            (1, 250),
            (2, 500),
            (3, 1000),
            (7, 16_000),
            (8, 20_000),
            (99, 20_000),
        ] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let pause = policy.pause(attempt, &SystemRandom::new()).unwrap();
                assert!((full / 2..=full).contains(&pause), "{attempt} {pause:?}");
            }
        }
    }

    #[test]
    fn the_retry_budget_is_used_up_by_retries_and_refilled_by_successes() {
        let budget = RetryBudget::new();
        budget.earn();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 30);
        for _ in 0..25 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 2);
    }
}
