//! A rate limit and its queue of waiting calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Monotonic};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::gauge::{Gauge, Go, Taken};
use crate::http::limit::queue::{Flow, Key, Queue};
use crate::http::limit::{Priority, RateModel, Report};

/// Default of [`Budget::with_max_waiters`].
const MAX_WAITERS: usize = 10_000;

/// A rate limit with a queue: a provider's limit for one account, or your application's own limit,
/// for example per tenant or per actor. Clones share the state.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    gauge: Gauge,
    /// No call is admitted before this time.
    held_until: Monotonic,
    waiting: Queue<Turn, Arc<Notify>>,
    max_waiters: usize,
    /// True after the provider has changed the bucket id for these calls.
    moved: bool,
    used_at: Monotonic,
    /// Ratio of requested to expected cost for each operation, from its last response.
    factors: HashMap<&'static str, f64>,
}

/// The position of a call among all calls of its tenant. Calls are ordered by priority, then by the
/// start of their wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    rank: u8,
    number: u64,
}

impl Turn {
    /// Creates the position of a call that starts to wait now.
    pub(crate) fn next(class: Priority) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self {
            rank: rank(class),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Creates the position of a call that has not waited. This position is behind all waiters of
    /// the same tenant and priority.
    pub(crate) const fn last(class: Priority) -> Self {
        Self {
            rank: rank(class),
            number: u64::MAX,
        }
    }
}

impl Key for Turn {
    fn rank(&self) -> u8 {
        self.rank
    }
}

const fn rank(class: Priority) -> u8 {
    match class {
        Priority::Interactive => 0,
        Priority::Background => 1,
    }
}

/// The reason why no permit was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The queue is full.
    Full(Duration),
    /// The deadline passed. The duration is the estimated time until the limit admits the call.
    Late(Duration),
    /// The provider now uses another bucket id for these calls.
    Moved,
}

impl Budget {
    /// Creates a limit of the application. [`RateModel::Cost`] behaves like a bucket here.
    /// [`RateModel::Learned`] limits nothing, because no response describes the application's own
    /// limits.
    #[must_use]
    pub fn new(model: RateModel, clock: Arc<dyn Clock>) -> Self {
        Self::with(Some(model), false, clock)
    }

    /// Sets the maximum number of calls of one tenant that wait for a permit concurrently. Further
    /// calls of this tenant fail. Default: 10,000.
    #[must_use]
    pub fn with_max_waiters(self, waiters: usize) -> Self {
        self.0.state().max_waiters = waiters;
        self
    }

    /// Creates a limit of the provider, which responses update.
    pub(crate) fn of_provider(model: Option<RateModel>, clock: Arc<dyn Clock>) -> Self {
        Self::with(model, true, clock)
    }

    fn with(model: Option<RateModel>, reported: bool, clock: Arc<dyn Clock>) -> Self {
        let now = clock.monotonic();
        let model = model.filter(|model| reported || *model != RateModel::Learned);
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                gauge: Gauge::new(model, reported, now),
                held_until: now,
                waiting: Queue::new(),
                max_waiters: MAX_WAITERS,
                moved: false,
                used_at: now,
                factors: HashMap::new(),
            }),
            clock,
        }))
    }

    /// Waits until the limit admits a call with the expected cost `cost`. The limit learns the
    /// actual cost of calls separately for each `operation`. Dropping the future removes the call
    /// from the queue.
    ///
    /// The wait has no deadline. Add your own timeout, or send calls through
    /// [`Session::with_budget`](crate::api::Session::with_budget), which limits the wait to the
    /// session's patience.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] if the queue is full. [`Retry::After`] contains the time to wait
    /// before you retry.
    pub async fn acquire(
        &self,
        class: Priority,
        operation: &'static str,
        cost: u32,
    ) -> Result<Permit> {
        if let Ok(permit) = self.try_acquire(&None, Turn::last(class), operation, cost) {
            return Ok(permit);
        }
        let until = Monotonic::new(Duration::MAX);
        loop {
            let turn = Turn::next(class);
            match self.wait(&None, turn, operation, cost, until).await {
                Ok(permit) => return Ok(permit),
                Err(Denied::Moved) => {}
                Err(Denied::Full(after) | Denied::Late(after)) => {
                    return Err(Error::new(
                        ErrorKind::RateLimited,
                        operation,
                        "too many calls are waiting for the limit; send fewer calls at once",
                    )
                    .with_retry(Retry::After(after)));
                }
            }
        }
    }

    /// Returns a permit if one is available now and no call comes before this one.
    pub(crate) fn try_acquire(
        &self,
        flow: &Flow,
        turn: Turn,
        operation: &'static str,
        cost: u32,
    ) -> Result<Permit, Go> {
        let mut state = self.0.state();
        if !state.waiting.may_pass(flow, &turn) {
            return Err(Go::WhenAnswered);
        }
        let now = self.0.clock.monotonic();
        match state.go(now, operation, cost) {
            Go::Now => Ok(self.grant(&mut state, now, flow, operation, cost)),
            go => Err(go),
        }
    }

    /// Waits until `until` for a permit, behind the calls that come before this one.
    pub(crate) async fn wait(
        &self,
        flow: &Flow,
        turn: Turn,
        operation: &'static str,
        cost: u32,
        until: Monotonic,
    ) -> Result<Permit, Denied> {
        let place = self.line_up(flow, turn, operation, cost)?;
        loop {
            let now = self.0.clock.monotonic();
            let left = until.since(now);
            let pause = {
                let mut state = self.0.state();
                if state.moved {
                    return Err(Denied::Moved);
                }
                let go = if state.waiting.is_first(&turn) {
                    state.go(now, operation, cost)
                } else {
                    Go::WhenAnswered
                };
                if go == Go::Now {
                    // Dropping `place` removes the call from the queue and wakes the next waiter.
                    return Ok(self.grant(&mut state, now, flow, operation, cost));
                }
                if left.is_zero() || state.at_least(now, operation, cost) > left {
                    return Err(Denied::Late(state.estimate(now, operation, cost)));
                }
                match go {
                    Go::In(wait) => wait.min(left),
                    _ => left,
                }
            };
            if pause == Duration::MAX {
                place.wake.notified().await;
                continue;
            }
            tokio::select! {
                biased;
                () = place.wake.notified() => {}
                () = self.0.clock.sleep(pause) => {}
            }
        }
    }

    fn grant(
        &self,
        state: &mut State,
        now: Monotonic,
        flow: &Flow,
        operation: &'static str,
        cost: u32,
    ) -> Permit {
        let units = state.units(operation, cost);
        if state.waiting.len() > 0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the conversion saturates"
            )]
            if state.waiting.serve(flow, units as u64) {
                state.wake_first();
            }
        }
        Permit {
            taken: Some(state.gauge.take(now, units)),
            budget: self.clone(),
            operation,
            cost,
        }
    }

    fn line_up<'a>(
        &'a self,
        flow: &'a Flow,
        turn: Turn,
        operation: &'static str,
        cost: u32,
    ) -> Result<Place<'a>, Denied> {
        let mut state = self.0.state();
        if state.waiting.len_of(flow) >= state.max_waiters {
            let now = self.0.clock.monotonic();
            return Err(Denied::Full(state.estimate(now, operation, cost)));
        }
        let wake = Arc::new(Notify::new());
        state.waiting.insert(flow, turn, Arc::clone(&wake));
        Ok(Place {
            budget: self,
            flow,
            turn,
            wake,
        })
    }

    /// Returns the number of units that percentages in headers refer to.
    pub(crate) fn capacity(&self) -> f64 {
        self.0.state().gauge.capacity()
    }

    /// Applies the report of a response to a call that took no units from this limit.
    pub(crate) fn observe(&self, report: &Report) {
        let now = self.0.clock.monotonic();
        let mut state = self.0.state();
        state.gauge.observe(now, report);
        state.hold(now, report);
        state.wake_first();
    }

    /// Wakes all waiters, so that they join the queue of the limit with the new bucket id.
    pub(crate) fn move_away(&self) {
        let mut state = self.0.state();
        state.moved = true;
        state.waiting.values().for_each(|wake| wake.notify_one());
    }

    /// Returns true if both handles refer to the same limit.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns true if the limit has no other handle, has not been used for `keep`, and has the
    /// state of a new limit.
    pub(crate) fn is_forgettable(&self, keep: Duration) -> bool {
        if Arc::strong_count(&self.0) > 1 {
            return false;
        }
        let now = self.0.clock.monotonic();
        let mut state = self.0.state();
        now.since(state.used_at) >= keep && now >= state.held_until && state.gauge.is_full(now)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("Budget")
            .field("gauge", &state.gauge)
            .field("waiting", &state.waiting.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_first(&self) {
        if let Some((_, wake)) = self.waiting.first() {
            wake.notify_one();
        }
    }

    fn units(&self, operation: &'static str, cost: u32) -> f64 {
        if self.gauge.counts_calls() {
            return 1.0;
        }
        let factor = self.factors.get(operation).copied().unwrap_or(1.0);
        (f64::from(cost) * factor).ceil()
    }

    fn go(&mut self, now: Monotonic, operation: &'static str, cost: u32) -> Go {
        self.used_at = now;
        let held = self.held_until.since(now);
        if !held.is_zero() {
            return Go::In(held);
        }
        let units = self.units(operation, cost);
        self.gauge.go(now, units)
    }

    fn at_least(&mut self, now: Monotonic, operation: &'static str, cost: u32) -> Duration {
        let units = self.units(operation, cost);
        let held = self.held_until.since(now);
        self.gauge.at_least(now, units).max(held)
    }

    /// Estimates the time until the last waiter is admitted, if all waiting calls cost as much as
    /// this one.
    fn estimate(&mut self, now: Monotonic, operation: &'static str, cost: u32) -> Duration {
        let waiting = u32::try_from(self.waiting.len().max(1)).unwrap_or(u32::MAX);
        let units = self.units(operation, cost) * f64::from(waiting);
        let held = self.held_until.since(now);
        self.gauge.estimate(now, units).max(held)
    }

    fn hold(&mut self, now: Monotonic, report: &Report) {
        if let Some(hold) = report.hold {
            self.held_until = self.held_until.max(now.after(hold));
        }
    }
}

/// A position in the queue. Dropping it leaves the queue.
struct Place<'a> {
    budget: &'a Budget,
    flow: &'a Flow,
    turn: Turn,
    wake: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.0.state();
        if state.waiting.remove(self.flow, &self.turn) {
            state.wake_first();
        }
    }
}

/// Permission to send one call. A dropped permit counts as a sent call with its expected cost.
#[must_use]
pub struct Permit {
    budget: Budget,
    taken: Option<Taken>,
    operation: &'static str,
    cost: u32,
}

impl Permit {
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Completes the permit of a sent call with the report from its response.
    pub fn complete(mut self, report: &Report) {
        self.settle(report);
    }

    /// Returns the permit of a call that was not sent.
    pub fn release(mut self) {
        if let Some(taken) = self.taken.take() {
            let mut state = self.budget.0.state();
            state.gauge.give_back(taken);
            state.wake_first();
        }
    }

    fn settle(&mut self, report: &Report) {
        let Some(taken) = self.taken.take() else {
            return;
        };
        let now = self.budget.0.clock.monotonic();
        let mut state = self.budget.0.state();
        state.gauge.settle(now, taken, report);
        state.hold(now, report);
        if let Some(requested) = report.requested.filter(|_| state.gauge.is_corrected()) {
            let factor = requested / f64::from(self.cost.max(1));
            if (factor - 1.0).abs() > f64::EPSILON {
                state.factors.insert(self.operation, factor);
            } else {
                state.factors.remove(self.operation);
            }
        }
        state.wake_first();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(&Report::default());
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}
