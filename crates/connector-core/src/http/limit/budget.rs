//! One limit and those who wait for it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::api::RetryBudget;
use crate::clock::{Clock, Monotonic};
use crate::http::limit::gauge::{Gauge, Go, Taken};
use crate::http::limit::{Priority, RateModel, Report};

/// A limit: of a provider for one account, or of the application for a tenant, an actor or whatever
/// it counts. Clones share what is left.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    retries: RetryBudget,
}

struct State {
    gauge: Gauge,
    /// Nobody goes before this.
    held_until: Monotonic,
    waiting: [VecDeque<Waiter>; 2],
    next_ticket: u64,
    used_at: Monotonic,
    /// How many times its expected cost an operation asked for when it was last answered.
    factors: HashMap<&'static str, f64>,
}

struct Waiter {
    ticket: u64,
    wake: Arc<Notify>,
}

impl Budget {
    /// A limit of the application. [`RateModel::Cost`] counts as a bucket here: no answer tells its
    /// state.
    #[must_use]
    pub fn new(model: RateModel, clock: Arc<dyn Clock>) -> Self {
        Self::with(Some(model), false, clock)
    }

    /// The limit of an account, whose answers tell about it.
    pub(crate) fn of_account(model: Option<RateModel>, clock: Arc<dyn Clock>) -> Self {
        Self::with(model, true, clock)
    }

    fn with(model: Option<RateModel>, told: bool, clock: Arc<dyn Clock>) -> Self {
        let now = clock.monotonic();
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                gauge: Gauge::new(model, told, now),
                held_until: now,
                waiting: [VecDeque::new(), VecDeque::new()],
                next_ticket: 0,
                used_at: now,
                factors: HashMap::new(),
            }),
            clock,
            retries: RetryBudget::new(),
        }))
    }

    /// Waits until a call that is expected to take `cost` may go. `operation` names the calls whose
    /// true costs are alike.
    ///
    /// Dropping the future gives the place up.
    pub async fn acquire(&self, class: Priority, operation: &'static str, cost: u32) -> Permit {
        if let Some(permit) = self.try_acquire(class, operation, cost) {
            return permit;
        }
        let place = self.line_up(class);
        loop {
            let go = {
                let mut state = self.0.state();
                if state.is_first(place.ticket) {
                    match state.go(self.0.clock.monotonic(), operation, cost) {
                        Go::Now => {
                            // The place is given up when it is dropped, which lets the next one look.
                            return self.grant(&mut state, operation, cost);
                        }
                        go => go,
                    }
                } else {
                    Go::WhenAnswered
                }
            };
            match go {
                Go::In(wait) => tokio::select! {
                    biased;
                    () = place.wake.notified() => {}
                    () = self.0.clock.sleep(wait) => {}
                },
                _ => place.wake.notified().await,
            }
        }
    }

    /// A permit if one can be had without waiting and without passing anybody of the same or a
    /// higher class.
    pub(crate) fn try_acquire(
        &self,
        class: Priority,
        operation: &'static str,
        cost: u32,
    ) -> Option<Permit> {
        let mut state = self.0.state();
        if !state.waiting[..=rank(class)].iter().all(VecDeque::is_empty) {
            return None;
        }
        match state.go(self.0.clock.monotonic(), operation, cost) {
            Go::Now => Some(self.grant(&mut state, operation, cost)),
            _ => None,
        }
    }

    fn grant(&self, state: &mut State, operation: &'static str, cost: u32) -> Permit {
        let units = state.units(operation, cost);
        Permit {
            budget: self.clone(),
            taken: Some(state.gauge.take(units)),
            operation,
            cost,
        }
    }

    fn line_up(&self, class: Priority) -> Place<'_> {
        let mut state = self.0.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let wake = Arc::new(Notify::new());
        state.waiting[rank(class)].push_back(Waiter {
            ticket,
            wake: Arc::clone(&wake),
        });
        Place {
            budget: self,
            class,
            ticket,
            wake,
        }
    }

    pub(crate) fn retries(&self) -> &RetryBudget {
        &self.0.retries
    }

    /// Whether nobody has it in hand and nothing would be lost by starting anew.
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
            .field(
                "waiting",
                &(state.waiting[0].len() + state.waiting[1].len()),
            )
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn first(&self) -> Option<&Waiter> {
        self.waiting.iter().find_map(VecDeque::front)
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.first().is_some_and(|waiter| waiter.ticket == ticket)
    }

    fn wake_first(&self) {
        if let Some(waiter) = self.first() {
            waiter.wake.notify_one();
        }
    }

    fn units(&self, operation: &'static str, cost: u32) -> f64 {
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
}

const fn rank(class: Priority) -> usize {
    match class {
        Priority::Interactive => 0,
        Priority::Background => 1,
    }
}

/// A place in the line, given up when it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    class: Priority,
    ticket: u64,
    wake: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.0.state();
        state.waiting[rank(self.class)].retain(|waiter| waiter.ticket != self.ticket);
        state.wake_first();
    }
}

/// The right to send one call. Dropped without a word, it counts as sent and as expensive as
/// expected.
#[must_use]
pub struct Permit {
    budget: Budget,
    taken: Option<Taken>,
    operation: &'static str,
    cost: u32,
}

impl Permit {
    /// The call was sent, and this is what its answer said.
    pub fn complete(mut self, report: &Report) {
        self.settle(report);
    }

    /// Nothing was sent: what was reserved is given back.
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
        if let Some(hold) = report.hold {
            state.held_until = state.held_until.max(now.after(hold));
        }
        if let Some(requested) = report.requested.filter(|_| state.gauge.is_told()) {
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
