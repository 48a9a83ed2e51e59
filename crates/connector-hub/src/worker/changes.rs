//! Telling handlers what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector_core::store::Change;
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::Shared;

/// Changes that are told at a time.
const BATCH: u16 = 64;
/// How long a change is this process's.
const LEASE: Duration = Duration::from_secs(60);

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
            let handling = tokio::spawn(async move { handler.handle(&record).await });
            let answer = tokio::select! {
                biased;
                answer = handling.fuse() => answer,
                () = inner.clock.sleep(LEASE) => {
                    tracing::warn!(operation = "worker.changes", "a handler takes too long");
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
        match inner.store.change_handled(&change).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(operation = "worker.changes", error = %error, "handled again");
                false
            }
        }
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
