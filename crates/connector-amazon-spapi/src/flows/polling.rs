//! Polling of jobs.

use std::time::Duration;

use connector_core::clock::{Clock, Monotonic};
use connector_core::{Error, ErrorKind, Result, Retry};

/// Intervals between status requests for a job, and the maximum wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Polling {
    first: Duration,
    longest: Duration,
    patience: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(30),
            longest: Duration::from_secs(300),
            patience: Duration::from_secs(2 * 3600),
        }
    }
}

impl Polling {
    /// Returns the defaults: intervals of 30 seconds, doubled up to 5 minutes, for at most 2 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the first interval and the maximum interval. The minimum is one second.
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        const LEAST: Duration = Duration::from_secs(1);
        self.first = first.max(LEAST);
        self.longest = longest.max(self.first);
        self
    }

    /// Sets the maximum time to wait for a job.
    pub const fn with_longest_wait(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Repeats `check` until its outcome is final. Returns the pending outcome after the maximum
    /// wait.
    ///
    /// # Errors
    /// Those of `check`. Temporary failures are retried.
    pub(super) async fn wait<T, F>(
        self,
        clock: &dyn Clock,
        check: impl Fn() -> F + Send + Sync,
        is_pending: fn(&T) -> bool,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>>,
    {
        let mut pauses = self.begin(clock);
        loop {
            match check().await {
                Ok(outcome) => {
                    if !is_pending(&outcome) || !pauses.rest().await {
                        return Ok(outcome);
                    }
                }
                Err(error) => pauses.rest_after(error).await?,
            }
        }
    }

    fn begin(self, clock: &dyn Clock) -> Pauses<'_> {
        Pauses {
            clock,
            next: self.first,
            longest: self.longest,
            ends: clock.monotonic().after(self.patience),
        }
    }
}

struct Pauses<'a> {
    clock: &'a dyn Clock,
    next: Duration,
    longest: Duration,
    ends: Monotonic,
}

impl Pauses<'_> {
    /// Sleeps for the next interval. Returns false if that would exceed the maximum wait.
    async fn rest(&mut self) -> bool {
        self.rest_for(self.next).await
    }

    async fn rest_for(&mut self, pause: Duration) -> bool {
        let left = self.ends.since(self.clock.monotonic());
        if left.is_zero() {
            return false;
        }
        self.clock.sleep(pause.min(left)).await;
        self.next = (self.next * 2).min(self.longest);
        true
    }

    /// Sleeps after a temporary failure, for at least the delay that the failure asks for.
    ///
    /// # Errors
    /// The failure, if it is permanent or if sleeping would exceed the maximum wait.
    async fn rest_after(&mut self, error: Error) -> Result<()> {
        let passes = matches!(
            error.kind(),
            ErrorKind::RateLimited
                | ErrorKind::ProviderUnavailable
                | ErrorKind::Timeout
                | ErrorKind::Network
        );
        let pause = match error.retry() {
            Retry::After(pause) => pause.max(self.next),
            _ => self.next,
        };
        if passes && self.rest_for(pause).await {
            return Ok(());
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connector_core::clock::{ManualClock, Timestamp};

    use super::*;

    #[tokio::test]
    async fn pauses_double_up_to_their_bound_and_end_with_the_patience() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let shared = Arc::new(clock.clone());
        let waiting = tokio::spawn(async move {
            let polling = Polling::new().with_longest_wait(Duration::from_secs(1000));
            let mut pauses = polling.begin(&*shared);
            let mut at = Vec::new();
            while pauses.rest().await {
                at.push(shared.now().as_unix_seconds());
            }
            at
        });
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }
        let at = waiting.await.unwrap();
        for (found, expected) in at.iter().zip([30, 90, 210, 450, 750, 1000]) {
            assert!((expected..expected + 30).contains(found), "{at:?}");
        }
        assert_eq!(at.len(), 6, "{at:?}");
    }
}
