//! What is left of a limit, without time or waiting of its own.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::http::limit::{RateModel, Report};

/// When a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// Now.
    Now,
    /// After so long, unless something changes before.
    In(Duration),
    /// When another call has been answered.
    WhenAnswered,
}

/// What a call has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) units: f64,
    /// What calls had been settled for when this one went.
    settled_before: f64,
}

/// What is left of a limit.
#[derive(Debug)]
pub(crate) enum Gauge {
    Open,
    Bucket(Bucket),
    Window(Window),
}

#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    at: Monotonic,
    /// False as long as answers tell the bucket's state and none has come yet.
    learnt: bool,
    calls: u32,
    reserved: f64,
    /// What all calls together were settled for.
    settled: f64,
}

#[derive(Debug)]
pub(crate) struct Window {
    units: f64,
    length: Duration,
    reserved: f64,
    /// Answered calls that still count, the oldest first: when they cease to, and what they took.
    answered: VecDeque<(Monotonic, f64)>,
    counted: f64,
}

impl Gauge {
    /// A full one. `told` if answers tell the state of a [`RateModel::Cost`].
    pub(crate) fn new(model: Option<RateModel>, told: bool, now: Monotonic) -> Self {
        let bucket = |capacity, per_second, learnt| {
            Self::Bucket(Bucket {
                capacity,
                per_second,
                level: capacity,
                at: now,
                learnt,
                calls: 0,
                reserved: 0.0,
                settled: 0.0,
            })
        };
        match model.filter(RateModel::is_valid) {
            None => Self::Open,
            Some(RateModel::Cost {
                capacity,
                per_second,
            }) => bucket(f64::from(capacity), f64::from(per_second), !told),
            Some(RateModel::Bucket {
                capacity,
                per_second,
            }) => bucket(f64::from(capacity), per_second, true),
            Some(RateModel::Window { requests, seconds }) => Self::Window(Window {
                units: f64::from(requests),
                length: Duration::from_secs(u64::from(seconds)),
                reserved: 0.0,
                answered: VecDeque::new(),
                counted: 0.0,
            }),
        }
    }

    /// When a call that takes `units` may go. One that takes more than there can ever be goes when
    /// all is there, and the provider decides.
    pub(crate) fn go(&mut self, now: Monotonic, units: f64) -> Go {
        match self {
            Self::Open => Go::Now,
            Self::Bucket(bucket) => bucket.go(now, units),
            Self::Window(window) => window.go(now, units),
        }
    }

    pub(crate) fn take(&mut self, units: f64) -> Taken {
        let mut taken = Taken {
            units,
            settled_before: 0.0,
        };
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => {
                bucket.level -= units;
                bucket.reserved += units;
                bucket.calls += 1;
                taken.settled_before = bucket.settled;
            }
            Self::Window(window) => window.reserved += units,
        }
        taken
    }

    /// Nothing was sent.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => {
                bucket.end(taken);
                bucket.level += taken.units;
            }
            Self::Window(window) => window.reserved -= taken.units,
        }
    }

    /// The call was sent, and this is what its answer said.
    pub(crate) fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => bucket.settle(now, taken, report),
            Self::Window(window) => {
                window.reserved -= taken.units;
                window.counted += taken.units;
                window
                    .answered
                    .push_back((now.after(window.length), taken.units));
            }
        }
    }

    /// Whether nothing would be lost by starting anew.
    pub(crate) fn is_full(&mut self, now: Monotonic) -> bool {
        match self {
            Self::Open => true,
            Self::Bucket(bucket) => {
                bucket.refill(now);
                bucket.calls == 0 && bucket.level >= bucket.capacity
            }
            Self::Window(window) => {
                window.forget(now);
                window.reserved <= 0.0 && window.answered.is_empty()
            }
        }
    }

    /// Whether answers correct what calls are expected to take.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }
}

impl Bucket {
    fn refill(&mut self, now: Monotonic) {
        let restored = now.since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + restored).min(self.capacity);
        self.at = now;
    }

    fn go(&mut self, now: Monotonic, units: f64) -> Go {
        self.refill(now);
        if !self.learnt && self.calls > 0 {
            return Go::WhenAnswered;
        }
        let missing = units.min(self.capacity) - self.level;
        if missing <= 0.0 {
            return Go::Now;
        }
        let wait = Duration::try_from_secs_f64(missing / self.per_second);
        // Clocks count milliseconds; a wait that is rounded to nothing would be asked for again and
        // again.
        Go::In(wait.unwrap_or(Duration::MAX).max(Duration::from_millis(1)))
    }

    fn end(&mut self, taken: Taken) {
        self.calls = self.calls.saturating_sub(1);
        self.reserved = if self.calls == 0 {
            0.0
        } else {
            self.reserved - taken.units
        };
    }

    fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        self.refill(now);
        self.end(taken);
        if let Some(capacity) = report.capacity {
            self.capacity = capacity;
        }
        if let Some(per_second) = report.per_second {
            self.per_second = per_second;
        }
        if let Some(available) = report.available {
            self.learnt = true;
            // The provider may not have counted calls that were under way at the same time: those
            // still are, and those that were answered since this one went. Counting some of them
            // twice holds calls back a little; not counting one would overdraw the bucket.
            let meanwhile = self.settled - taken.settled_before;
            self.level = available - meanwhile - self.reserved;
        } else if let Some(actual) = report.actual {
            self.level += taken.units - actual;
        }
        self.level = self.level.min(self.capacity);
        self.settled += report.actual.unwrap_or(taken.units);
    }
}

impl Window {
    fn forget(&mut self, now: Monotonic) {
        while let Some((until, units)) = self.answered.front() {
            if *until > now {
                return;
            }
            self.counted -= units;
            self.answered.pop_front();
        }
        self.counted = 0.0;
    }

    fn go(&mut self, now: Monotonic, units: f64) -> Go {
        self.forget(now);
        let mut missing = self.reserved + self.counted + units.min(self.units) - self.units;
        if missing <= 0.0 {
            return Go::Now;
        }
        for (until, units) in &self.answered {
            missing -= units;
            if missing <= 0.0 {
                return Go::In(until.since(now));
            }
        }
        Go::WhenAnswered
    }
}
