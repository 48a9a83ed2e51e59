//! Background jobs, leased from the store, so that any number of processes share them.

mod changes;
mod deliveries;
mod metadata;
mod quarantine;
mod renew;
mod revoke;
mod slots;
mod subscriptions;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::Monotonic;
use connector_core::store::{DeliveryKey, Due, WorkKind};
use connector_core::{ConnectionKey, ErrorKind, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::deliveries::Handled;
use self::slots::Slots;
use crate::hub::Hub;

/// Pieces of work that are taken at a time.
const BATCH: u16 = 256;
/// Pieces of work under way at most.
const IN_FLIGHT: usize = 512;
/// How long a piece of work is this process's: longer than the longest refresh.
const LEASE: Duration = Duration::from_secs(300);
/// Concurrent requests to one token endpoint.
const CONCURRENCY: usize = 8;
/// The pause after a look that found nothing, at first and at most.
const IDLE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How often expired records are removed and memory is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long a worker that is told to end waits for what it has begun.
const FAREWELL: Duration = Duration::from_secs(30);
/// How long work waits that this version or this node cannot do.
const UNABLE: Duration = Duration::from_secs(600);
/// Tokens that nobody used for this long leave the memory.
const UNUSED: Duration = Duration::from_secs(3600);

impl Hub {
    /// The worker of this process: it refreshes credentials before they expire, keeps refresh tokens
    /// from lapsing, finishes connects that were cut off, revokes what was disconnected, reads
    /// metadata, keeps subscriptions and reads their changes, tells handlers about changes and
    /// deliveries, and removes what has expired.
    ///
    /// Start it on as many nodes as you like. Without one, tokens are refreshed when somebody asks
    /// for them, and nothing else of this happens.
    ///
    /// ```no_run
    /// # async fn example(hub: connector_hub::Hub, shutdown: tokio::sync::oneshot::Receiver<()>) {
    /// hub.worker()
    ///     .run(async {
    ///         let _ = shutdown.await;
    ///     })
    ///     .await;
    /// # }
    /// ```
    pub fn worker(&self) -> Worker {
        Worker {
            shared: Arc::new(Shared::new(self.clone(), CONCURRENCY)),
        }
    }
}

/// Does the work that is due; see [`Hub::worker`].
#[derive(Debug)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    shared: Arc<Shared>,
}

/// What one round of a [`Worker`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// Pieces of work that were due and were taken.
    pub work: usize,
    /// Changes that handlers were told about.
    pub changes: usize,
    /// Deliveries that every handler has handled.
    pub deliveries: usize,
    /// True if more is likely to be due: another round may follow at once.
    pub more: bool,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    /// For token endpoints.
    slots: Slots,
    /// For reading metadata, which must not delay a refresh.
    metadata_slots: Slots,
    /// For keeping subscriptions, which must not delay a refresh.
    subscription_slots: Slots,
    /// The number of times that handlers hung over a change, in this process.
    hangs: Mutex<HashMap<u64, u32>>,
    /// How often the revocations of a connection failed in a row, in this process.
    attempts: Mutex<HashMap<ConnectionKey, u32>>,
    tidied: Mutex<Option<Monotonic>>,
    /// True while a task tells handlers about changes.
    telling: AtomicBool,
    /// How many more deliveries may be under way.
    delivering: Arc<Semaphore>,
    /// Which handlers have handled their part of a delivery that others failed to handle, as of
    /// which attempt.
    handled: Mutex<HashMap<DeliveryKey, (u32, Handled)>>,
}

/// What becomes of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is done.
    Done,
    /// It is due again after this time.
    In(Duration),
    /// It comes back when its lease has passed.
    Leave,
}

impl Worker {
    /// Sets the number of concurrent requests to one token endpoint; the default is 8, the minimum 1.
    /// Where accounts have hosts of their own, each host has its own endpoint. When a provider
    /// refuses the app, the hub may have tried that many accounts before it knows.
    pub fn concurrency(mut self, n: usize) -> Self {
        self.shared = Arc::new(Shared::new(self.shared.hub.clone(), n.max(1)));
        self
    }

    /// Does one round of what is due and returns when it is done, for programs that are started from
    /// time to time, and for tests.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the store cannot be asked; [`ErrorKind::ShuttingDown`]
    /// after [`Hub::shutdown`]. Work that fails is no error: it is due again.
    pub async fn tick(&self) -> Result<Tick> {
        self.shared.hub.inner.accepting("worker.tick")?;
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.tidy().await });
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.settle().await });
        // Before the work that is due: a delivery may make some.
        let shared = Arc::clone(&self.shared);
        let mut delivering = JoinSet::new();
        delivering.spawn(async move { shared.deliver().await });
        let delivered = delivering.join_next().await;
        let deliveries = delivered.and_then(Result::ok).unwrap_or(0);
        let work = self.take(&mut tasks, BATCH).await?;
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
        // What the work changed is told in the same round.
        let shared = Arc::clone(&self.shared);
        let told = tokio::spawn(async move { shared.tell().await }).await;
        let changes = told.unwrap_or(0);
        Ok(Tick {
            work,
            changes,
            deliveries,
            more: work == usize::from(BATCH),
        })
    }

    /// Works until `shutdown` is ready, then ends what it has begun, for at most 30 seconds.
    ///
    /// Neither a store that does not answer, nor a handler that panics, nor anything that a provider
    /// does ends it before. Call [`Hub::shutdown`] after it.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let clock = Arc::clone(&self.shared.hub.inner.clock);
        let mut tasks = JoinSet::new();
        let mut idle = IDLE[0];
        // More work is taken as soon as there is room for the share of half a provider.
        let providers = self.shared.hub.inner.providers().max(1);
        let enough = (IN_FLIGHT / providers / 2).max(1);
        loop {
            let room = IN_FLIGHT.saturating_sub(tasks.len());
            let n = u16::try_from(room).unwrap_or(BATCH).min(BATCH);
            let taken = match self.take(&mut tasks, n).await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(operation = "worker.run", error = %error, "no work was taken");
                    0
                }
            };
            let shared = Arc::clone(&self.shared);
            tasks.spawn(async move { shared.tidy().await });
            let shared = Arc::clone(&self.shared);
            tasks.spawn(async move { shared.settle().await });
            let shared = Arc::clone(&self.shared);
            tasks.spawn(async move {
                shared.tell().await;
            });
            self.spawn_deliver(&mut tasks);
            let hungry = n > 0 && taken == usize::from(n);
            idle = if taken > 0 {
                IDLE[0]
            } else {
                (idle * 2).min(IDLE[1])
            };
            let mut pause = pin!(clock.sleep(idle));
            while !(hungry && IN_FLIGHT.saturating_sub(tasks.len()) >= enough) {
                tokio::select! {
                    biased;
                    () = &mut shutdown => return self.farewell(tasks).await,
                    Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                    () = self.shared.hub.inner.arrivals.notified() => self.spawn_deliver(&mut tasks),
                    () = &mut pause => break,
                }
            }
        }
    }

    fn spawn_deliver(&self, tasks: &mut JoinSet<()>) {
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            shared.deliver().await;
        });
    }

    async fn farewell(&self, mut tasks: JoinSet<()>) {
        let clock = Arc::clone(&self.shared.hub.inner.clock);
        let mut limit = pin!(clock.sleep(FAREWELL));
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    Some(ended) => report(ended),
                    None => return,
                },
                // What is cut off is due again when its lease has passed.
                () = &mut limit => return,
            }
        }
    }

    async fn take(&self, tasks: &mut JoinSet<()>, n: u16) -> Result<usize> {
        let inner = &self.shared.hub.inner;
        let due = inner.store.take_due(&WorkKind::ALL, n, LEASE).await?;
        if let Some(latest) = due.iter().map(|due| due.late_by).max() {
            let millis = u64::try_from(latest.as_millis()).unwrap_or(u64::MAX);
            inner.late_by.store(millis, Ordering::Relaxed);
        } else if n > 0 {
            inner.late_by.store(0, Ordering::Relaxed);
        }
        let taken = due.len();
        for due in due {
            let shared = Arc::clone(&self.shared);
            tasks.spawn(async move { shared.work(due).await });
        }
        Ok(taken)
    }
}

/// A task that panics ends alone; its work comes back when its lease has passed.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(
            operation = "worker",
            "a task died; its work is taken up again after its lease"
        );
    }
}

impl Shared {
    fn new(hub: Hub, width: usize) -> Self {
        let providers = hub.inner.providers();
        let slots = || Slots::new(width, IN_FLIGHT / 2, providers);
        Self {
            slots: slots(),
            metadata_slots: slots(),
            subscription_slots: slots(),
            hangs: Mutex::default(),
            attempts: Mutex::default(),
            tidied: Mutex::new(None),
            telling: AtomicBool::new(false),
            delivering: Self::room_for_deliveries(),
            handled: Mutex::default(),
            hub,
        }
    }

    async fn work(&self, due: Due) {
        let next = match due.kind {
            WorkKind::Refresh | WorkKind::KeepAlive => self.renew(&due).await,
            WorkKind::Metadata => self.read_metadata(&due.key).await,
            WorkKind::Revocation => self.revoke(&due.key).await,
            WorkKind::Subscriptions => self.keep_subscriptions(&due.key).await,
            _ => Ok(Next::In(UNABLE)),
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(
                    operation = "worker",
                    kind = %due.kind,
                    connection = %due.key.id,
                    error = %error,
                    "work could not be done; it is due again"
                );
                match error.kind() {
                    ErrorKind::StoreUnavailable | ErrorKind::ShuttingDown => Next::Leave,
                    _ => Next::In(UNABLE),
                }
            }
        };
        let after = match next {
            Next::Done => None,
            Next::In(delay) => Some(delay),
            Next::Leave => return,
        };
        // A lost lease is what a commit leaves behind that scheduled the work anew.
        if let Err(error) = self.hub.inner.store.finish(&due, after).await {
            tracing::warn!(operation = "worker", error = %error, "work will be done again");
        }
    }

    /// Removes what has expired, in the store and in memory, from time to time.
    async fn tidy(&self) {
        const PAGE: u32 = 1000;
        let inner = &self.hub.inner;
        let now = inner.clock.monotonic();
        {
            let mut tidied = lock(&self.tidied);
            if tidied.is_some_and(|at| now.since(at) < TIDY_EVERY) {
                return;
            }
            *tidied = Some(now);
        }
        inner.cache.evict(&*inner.clock, UNUSED);
        // Bounded, so that a large heap is worked off between other work.
        for _ in 0..10 {
            match inner.store.purge(PAGE).await {
                Ok(PAGE) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(operation = "worker.tidy", error = %error, "nothing removed");
                    return;
                }
            }
        }
        for _ in 0..10 {
            match inner.store.prune(inner.audit_retention, PAGE).await {
                Ok(PAGE) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(operation = "worker.tidy", error = %error, "nothing pruned");
                    return;
                }
            }
        }
    }
}

/// `pause` doubled this many times, at most `longest`.
fn doubled(pause: Duration, times: u32, longest: Duration) -> Duration {
    pause.saturating_mul(1 << times.min(16)).min(longest)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
