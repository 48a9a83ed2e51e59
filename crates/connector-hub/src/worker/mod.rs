//! Background jobs, leased from the store, so that any number of processes share them.

mod changes;
mod deliveries;
mod metadata;
mod outbound;
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
use tracing::Instrument as _;

use self::deliveries::Handled;
pub(crate) use self::outbound::{LEASE as OUTBOUND_LEASE, LastSend};
use self::slots::Slots;
use crate::hub::Hub;
use crate::telemetry;

/// Maximum number of jobs per lease call.
const BATCH: u16 = 256;
/// Maximum number of in-flight jobs.
const IN_FLIGHT: usize = 512;
/// Lease of a job. Longer than the longest refresh.
const LEASE: Duration = Duration::from_secs(300);
/// Concurrent requests to one token endpoint.
const CONCURRENCY: usize = 8;
/// First and maximum pause after a poll that found no jobs.
const IDLE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Interval between cleanups of expired records and of memory.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Maximum time that a stopping worker waits for its in-flight jobs.
const FAREWELL: Duration = Duration::from_secs(30);
/// Retry delay for jobs that this version or this node cannot run.
const UNABLE: Duration = Duration::from_secs(600);
/// Idle time after which a token is evicted from memory.
const UNUSED: Duration = Duration::from_secs(3600);

impl Hub {
    /// Returns the worker of this process, which runs these background jobs:
    ///
    /// * Refreshes credentials before they expire, and uses refresh tokens before they expire.
    /// * Finishes interrupted connect flows.
    /// * Revokes disconnected grants.
    /// * Refreshes account metadata.
    /// * Maintains subscriptions and reads their changes.
    /// * Passes changes and deliveries to your handlers.
    /// * Sends webhooks to your customers' endpoints.
    /// * Removes expired records.
    ///
    /// You can run workers on any number of nodes. Without a worker, tokens are refreshed only when
    /// a caller requests one, and the other jobs do not run.
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

/// Runs due jobs; see [`Hub::worker`].
#[derive(Debug)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    shared: Arc<Shared>,
}

/// The result of one round of a [`Worker`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// Number of jobs that were due and leased.
    pub work: usize,
    /// Number of changes that were passed to handlers.
    pub changes: usize,
    /// Number of deliveries that every handler has handled.
    pub deliveries: usize,
    /// Number of messages that customers' endpoints accepted.
    pub outbound: usize,
    /// True if more jobs are probably due, so that the next round can start immediately.
    pub more: bool,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    /// Slots for token endpoints.
    slots: Slots,
    /// Slots for reading metadata. They are separate, so that reads do not delay refreshes.
    metadata_slots: Slots,
    /// Slots for subscriptions. They are separate, so that subscriptions do not delay refreshes.
    subscription_slots: Slots,
    /// Number of handler timeouts for each change in this process.
    hangs: Mutex<HashMap<u64, u32>>,
    /// Number of consecutive failed revocations for each connection in this process.
    attempts: Mutex<HashMap<ConnectionKey, u32>>,
    tidied: Mutex<Option<Monotonic>>,
    /// True while a task passes changes to handlers.
    telling: AtomicBool,
    /// True while a task sends messages to customers' endpoints.
    sending: AtomicBool,
    /// True if the worker stops. It leases no further messages.
    stopping: AtomicBool,
    /// Slots for these messages.
    outbound_slots: outbound::Slots,
    /// Free slots for deliveries.
    delivering: Arc<Semaphore>,
    /// Successful handler calls for deliveries with a failed call, with the number of the attempt.
    handled: Mutex<HashMap<DeliveryKey, (u32, Handled)>>,
}

/// The next step for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The job is done.
    Done,
    /// The job is due again after this time.
    In(Duration),
    /// The job is retried after its lease expires.
    Leave,
}

impl Worker {
    /// Sets the maximum number of concurrent requests to one token endpoint, at least 1. The default
    /// is 8. If accounts have their own hosts, each host is a separate endpoint. If a provider
    /// refuses the app, the hub may send up to this number of requests before it detects the
    /// refusal.
    pub fn concurrency(mut self, n: usize) -> Self {
        self.shared = Arc::new(Shared::new(self.shared.hub.clone(), n.max(1)));
        self
    }

    /// Runs one round of due jobs and waits until they end. For programs that are started
    /// periodically, and for tests.
    ///
    /// # Errors
    /// * [`ErrorKind::StoreUnavailable`] if the store cannot be read.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    ///
    /// A failed job is not an error. The worker retries it.
    pub async fn tick(&self) -> Result<Tick> {
        self.shared.hub.inner.accepting("worker.tick")?;
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.tidy().await });
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.settle().await });
        // Deliveries come before the due jobs, because they can add jobs.
        let shared = Arc::clone(&self.shared);
        let mut delivering = JoinSet::new();
        delivering.spawn(async move { shared.deliver().await });
        let delivered = delivering.join_next().await;
        let deliveries = delivered.and_then(Result::ok).unwrap_or(0);
        let work = self.take(&mut tasks, BATCH).await?;
        let shared = Arc::clone(&self.shared);
        let sent = tokio::spawn(async move { shared.send_outbound().await }).await;
        let outbound = sent.unwrap_or(0);
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
        // Changes that the jobs made are delivered in the same round.
        let shared = Arc::clone(&self.shared);
        let told = tokio::spawn(async move { shared.tell().await }).await;
        let changes = told.unwrap_or(0);
        Ok(Tick {
            work,
            changes,
            deliveries,
            outbound,
            more: work == usize::from(BATCH),
        })
    }

    /// Runs jobs until `shutdown` is ready, then waits at most 30 seconds for the in-flight jobs.
    ///
    /// An unavailable store, a panicking handler or a provider error does not stop the worker. Call
    /// [`Hub::shutdown`] afterwards.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let clock = Arc::clone(&self.shared.hub.inner.clock);
        let mut tasks = JoinSet::new();
        let mut idle = IDLE[0];
        // More jobs are leased as soon as half of one provider's share is free.
        let providers = self.shared.hub.inner.providers().max(1);
        let enough = (IN_FLIGHT / providers / 2).max(1);
        loop {
            let room = IN_FLIGHT.saturating_sub(tasks.len());
            let n = u16::try_from(room).unwrap_or(BATCH).min(BATCH);
            let taken = match self.take(&mut tasks, n).await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(
                        operation = "worker.run",
                        error = %error,
                        "the worker could not lease any jobs"
                    );
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
            self.spawn_send(&mut tasks);
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
                    () = self.shared.hub.inner.outgoing.notified() => self.spawn_send(&mut tasks),
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

    fn spawn_send(&self, tasks: &mut JoinSet<()>) {
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            shared.send_outbound().await;
        });
    }

    async fn farewell(&self, mut tasks: JoinSet<()>) {
        self.shared.stopping.store(true, Ordering::Release);
        let clock = Arc::clone(&self.shared.hub.inner.clock);
        let mut limit = pin!(clock.sleep(FAREWELL));
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    Some(ended) => report(ended),
                    None => return,
                },
                // Interrupted jobs are due again after their lease.
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
            telemetry::set(telemetry::WORKER_LAG, latest);
        } else if n > 0 {
            inner.late_by.store(0, Ordering::Relaxed);
            telemetry::set(telemetry::WORKER_LAG, Duration::ZERO);
        }
        let taken = due.len();
        for due in due {
            let shared = Arc::clone(&self.shared);
            tasks.spawn(async move { shared.work(due).await });
        }
        Ok(taken)
    }
}

/// Logs a panicked task. Its job is retried after the lease expires.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(
            operation = "worker",
            "a worker task panicked; its job is retried after the lease"
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
            sending: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            outbound_slots: outbound::Slots::default(),
            delivering: Self::room_for_deliveries(),
            handled: Mutex::default(),
            hub,
        }
    }

    async fn work(&self, due: Due) {
        let span = tracing::info_span!("worker.job", kind = %due.kind, connection = %due.key.id);
        self.work_in_span(due).instrument(span).await;
    }

    async fn work_in_span(&self, due: Due) {
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
                    "a job failed; it is retried"
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
        // If a commit has rescheduled the job, the lease is lost. This is expected.
        if let Err(error) = self.hub.inner.store.finish(&due, after).await {
            tracing::warn!(
                operation = "worker",
                error = %error,
                "the result of a job could not be stored; the job will run again"
            );
        }
    }

    /// Periodically removes expired records from the store and from memory.
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
        // Limited, so that a large backlog is removed between other jobs.
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

/// Returns `pause`, doubled the given number of times, up to `longest`.
fn doubled(pause: Duration, times: u32, longest: Duration) -> Duration {
    pause.saturating_mul(1 << times.min(16)).min(longest)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
