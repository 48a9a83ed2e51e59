//! A clock under the control of a test. It advances only while a task waits for it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{Clock, ManualClock, Monotonic, Timestamp};
use connector_testkit::proxy::Injected;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

/// Longer sleeps are deadlines of work in flight. They do not advance the clock.
const MAX_NAP: Duration = Duration::from_secs(10);

/// The hub's clock. It counts short sleeps, which are pauses without other activity.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) clock: ManualClock,
    naps: Arc<Mutex<Naps>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Naps {
    begun: u64,
    /// The end of each sleep, and its number.
    asleep: BTreeSet<(Monotonic, u64)>,
}

impl Pace {
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            naps: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs `work`. The clock advances while `work` pauses, and while a fault stalls the network,
    /// up to `patience` per fault.
    pub(crate) async fn drive<T>(
        &self,
        injected: &[&Injected],
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let mut left = vec![patience; injected.len()];
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = self.nap() => {}
                at = stalled(injected, &left) => {
                    let step = left[at].min(Duration::from_secs(1));
                    self.clock.advance(step);
                    left[at] -= step;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Waits for a short sleep, and wakes the task that is due first.
    async fn nap(&self) {
        let mut changed = self.changed.subscribe();
        let first = loop {
            let first = self.naps().asleep.first().copied();
            match first {
                Some(first) => break first,
                None => changed.changed().await.unwrap(),
            }
        };
        let until = first.0.since_origin();
        let now = self.clock.monotonic().since_origin();
        self.clock.advance(until.saturating_sub(now));
        while self.naps().asleep.contains(&first) {
            changed.changed().await.unwrap();
        }
    }

    fn naps(&self) -> std::sync::MutexGuard<'_, Naps> {
        self.naps.lock().unwrap()
    }
}

/// Waits until a fault with remaining patience stalls, and returns its index.
async fn stalled(injected: &[&Injected], left: &[Duration]) -> usize {
    let stalls = (0..injected.len()).filter(|at| !left[*at].is_zero());
    let mut stalls: FuturesUnordered<_> = stalls
        .map(|at| async move {
            injected[at].when(|it| it.is_stalled).await;
            at
        })
        .collect();
    match stalls.next().await {
        Some(at) => at,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Clock for Pace {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        if duration > MAX_NAP || duration.is_zero() {
            return self.clock.sleep(duration).await;
        }
        let _nap = Nap::new(self, self.monotonic().after(duration));
        self.clock.sleep(duration).await;
    }
}

struct Nap<'a> {
    pace: &'a Pace,
    this: (Monotonic, u64),
}

impl<'a> Nap<'a> {
    fn new(pace: &'a Pace, until: Monotonic) -> Self {
        let mut naps = pace.naps();
        naps.begun += 1;
        let this = (until, naps.begun);
        naps.asleep.insert(this);
        drop(naps);
        pace.changed.send_replace(());
        Self { pace, this }
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        self.pace.naps().asleep.remove(&self.this);
        self.pace.changed.send_replace(());
    }
}
