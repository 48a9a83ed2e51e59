//! How often and after what pause a call is sent again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::random::Random;

/// How often a call is sent at most, and how long it pauses in between.
///
/// A budget bounds the repetitions of all calls to one account together: see
/// [`Session`](crate::api::Session).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct RetryPolicy {
    /// How often a call is sent at most, the first time included. Default: 4.
    pub attempts: u32,
    /// The pause after the first attempt; it doubles with each further one. Half of it is jitter.
    /// Default: 250 ms.
    pub first_pause: Duration,
    /// The longest pause that doubling reaches. Default: 20 s.
    pub longest_pause: Duration,
    /// The longest pause that a provider may ask for. If it asks for more, the error is returned at
    /// once, with that pause as advice. Default: 60 s.
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
    /// A policy that sends everything once.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// Sets how often a call is sent at most. 0 counts as 1.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause after the first attempt, which doubles with each one, and its bound. Both are
    /// randomized down to a half.
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// Sets the longest pause that a provider may ask for.
    pub fn with_longest_wait(mut self, longest_wait: Duration) -> Self {
        self.longest_wait = longest_wait;
        self
    }

    /// The pause after the attempt with this number, counted from 1: between half of the back-off
    /// and all of it.
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

/// How many repetitions are in hand at first, and at most.
const RESERVE: u32 = 30;
/// How many successes earn one.
const SUCCESSES: u32 = 10;

/// Bounds the repetitions of many calls together, so that a provider that fails is not asked several
/// times as much as one that works.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// In parts of a repetition.
    balance: AtomicU32,
}

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self {
            balance: AtomicU32::new(RESERVE * SUCCESSES),
        }
    }

    pub(crate) fn earn(&self) {
        // Full most of the time; then nothing is written.
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance < RESERVE * SUCCESSES).then(|| balance + 1)
            });
    }

    /// Takes one repetition; false if there is none.
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
    fn repetitions_end_with_the_reserve_and_come_back_with_success() {
        let budget = RetryBudget::new();
        budget.earn();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 30);
        for _ in 0..25 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 2);
    }
}
