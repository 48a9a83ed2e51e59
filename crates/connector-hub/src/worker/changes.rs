//! Notifying handlers of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector_core::store::Change;
use futures_util::future::join_all;

use super::{Shared, lock};

/// Changes that are told at a time.
const BATCH: u16 = 64;
/// How long a change is this process's.
const LEASE: Duration = Duration::from_secs(60);
/// The deadline of one call of a handler: within the lease, so that nobody else has the change.
const LONGEST: Duration = Duration::from_secs(45);
/// Calls of a handler that hang over one change before it is parked.
const ATTEMPTS: u32 = 5;
/// Changes whose hangs are remembered at most.
const REMEMBERED: usize = 10_000;

impl Shared {
    /// Tells the handlers what they do not know yet, and how many changes they handled.
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
            // A task of its own: a handler that panics takes nobody with it.
            let mut handling = tokio::spawn(async move { handler.handle(&record).await });
            let answer = tokio::select! {
                biased;
                answer = &mut handling => answer,
                () = inner.clock.sleep(LONGEST) => {
                    // It must not run beside the next attempt.
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
                        "a change could not be handled; it is handed out again"
                    );
                    return false;
                }
                Err(_) => {
                    tracing::error!(
                        operation = "worker.changes",
                        change = change.record.number,
                        "a handler died; the change is handed out again"
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
    /// Notes that a handler hung over a change. True after a bounded number of attempts: the change
    /// is then handed out no more, and stays in the audit log.
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
                "a change handler hung and was aborted; the change is handed out again"
            );
            return false;
        }
        tracing::error!(
            operation = "worker.changes",
            change = number,
            attempts = *attempts,
            "a change handler hung in every attempt; the change is parked: read it from the audit \
             log"
        );
        true
    }
}

/// One task tells at a time, so that a handler meets changes in their order as long as all goes
/// well.
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
