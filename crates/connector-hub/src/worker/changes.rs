//! Notifying handlers of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector_core::store::Change;
use futures_util::future::join_all;

use super::{Shared, lock};

/// Maximum number of changes per lease call.
const BATCH: u16 = 64;
/// Lease of a change.
const LEASE: Duration = Duration::from_secs(60);
/// Maximum duration of a handler call. Shorter than the lease, so that no other process can lease
/// the change during the call.
const MAX_DURATION: Duration = Duration::from_secs(45);
/// Number of handler timeouts for one change after which the change is parked.
const ATTEMPTS: u32 = 5;
/// Maximum number of changes with timeouts in memory.
const REMEMBERED: usize = 10_000;

impl Shared {
    /// Passes new changes to the handlers, and returns the number of handled changes.
    pub(super) async fn tell(&self) -> usize {
        let inner = &self.hub.inner;
        if inner.handlers.is_empty() {
            return 0;
        }
        let Some(_alone) = Alone::new(&self.telling) else {
            return 0;
        };
        let mut told = 0;
        loop {
            let changes = match inner.store.take_changes(BATCH, LEASE).await {
                Ok(changes) => changes,
                Err(error) => {
                    tracing::warn!(operation = "worker.changes", error = %error, "none taken");
                    return told;
                }
            };
            let last = changes.len() < usize::from(BATCH);
            let handled = join_all(changes.into_iter().map(|change| self.tell_one(change))).await;
            told += handled.into_iter().filter(|handled| *handled).count();
            if last {
                return told;
            }
        }
    }

    async fn tell_one(&self, change: Change) -> bool {
        let inner = &self.hub.inner;
        for handler in &inner.handlers {
            let handler = Arc::clone(handler);
            let record = change.record.clone();
            // Each call runs in its own task, so that a panic in a handler stops only this call.
            let mut handling = tokio::spawn(async move { handler.handle(&record).await });
            let answer = tokio::select! {
                biased;
                answer = &mut handling => answer,
                () = inner.clock.sleep(MAX_DURATION) => {
                    // The call must not run beside the next attempt.
                    handling.abort();
                    if self.hung(&change) {
                        break;
                    }
                    return false;
                }
            };
            match answer {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        operation = "worker.changes",
                        change = change.record.number,
                        error = %error,
                        "a handler failed for a change; the change is delivered again"
                    );
                    return false;
                }
                Err(_) => {
                    tracing::error!(
                        operation = "worker.changes",
                        change = change.record.number,
                        "a handler panicked; the change is delivered again"
                    );
                    return false;
                }
            }
        }
        lock(&self.hangs).remove(&change.record.number);
        match inner.store.change_handled(&change).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(operation = "worker.changes", error = %error, "handled again");
                false
            }
        }
    }
}

impl Shared {
    /// Records that a handler timed out for a change. Returns true when the limit is reached. The
    /// change is then no longer delivered, but stays in the audit log.
    fn hung(&self, change: &Change) -> bool {
        let number = change.record.number;
        let mut hangs = lock(&self.hangs);
        if hangs.len() >= REMEMBERED {
            hangs.clear();
        }
        let attempts = hangs.entry(number).or_default();
        *attempts += 1;
        if *attempts < ATTEMPTS {
            tracing::warn!(
                operation = "worker.changes",
                change = number,
                attempts = *attempts,
                "a change handler timed out and was aborted; the change is delivered again"
            );
            return false;
        }
        tracing::error!(
            operation = "worker.changes",
            change = number,
            attempts = *attempts,
            "a change handler timed out in every attempt; the change is parked: read it from the \
             audit log"
        );
        true
    }
}

/// A guard for the task that delivers changes. Only one task at a time has the guard, so that
/// handlers get changes in order unless a call fails.
struct Alone<'a>(&'a AtomicBool);

impl<'a> Alone<'a> {
    fn new(flag: &'a AtomicBool) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then_some(Self(flag))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
