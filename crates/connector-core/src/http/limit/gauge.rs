//! State of one rate limit. Callers pass the time and manage the queue.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::http::limit::{MAX_WAIT, RateModel, Report};

/// The earliest time at which a call can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// Immediately.
    Now,
    /// The call can be sent after this time, unless the state changes first.
    In(Duration),
    /// The call can be sent after the response to another call has arrived.
    WhenAnswered,
}

/// The units taken by one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) units: f64,
    /// Total of settled units when the call was sent.
    settled_before: f64,
    at: Monotonic,
}

/// The calls counted by a limit.
#[derive(Debug, Default)]
struct Calls {
    in_flight: u32,
    /// Units taken by the calls in flight.
    reserved: f64,
    /// Total of units settled for all calls.
    settled: f64,
}

impl Calls {
    /// Counts a call that takes `units`. Returns the total of settled units before the call.
    fn take(&mut self, units: f64) -> f64 {
        self.in_flight += 1;
        self.reserved += units;
        self.settled
    }

    fn end(&mut self, taken: Taken) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.reserved = if self.in_flight == 0 {
            0.0
        } else {
            self.reserved - taken.units
        };
    }

    /// Returns the units settled while the call was in flight.
    fn settled_since(&self, taken: Taken) -> f64 {
        self.settled - taken.settled_before
    }
}

/// The state of one limit.
#[derive(Debug)]
pub(crate) enum Gauge {
    Open,
    Bucket(Bucket),
    Window(Window),
    Concurrent(Concurrent),
    Learned(Learned),
}

/// Slows down a limit whose configured rate is too high, because other processes use the same limit
/// or the provider lowered it. Each 429 response reduces the rate by a fifth, and the rate recovers
/// within minutes.
#[derive(Debug)]
struct Pace {
    factor: f64,
    at: Monotonic,
    cut_at: Monotonic,
}

impl Pace {
    const CUT: f64 = 0.8;
    const SLOWEST: f64 = 0.02;
    /// Recovers a fifth of the rate in five minutes.
    const RECOVERY_PER_SECOND: f64 = 0.2 / 300.0;

    const fn full(now: Monotonic) -> Self {
        Self {
            factor: 1.0,
            at: now,
            cut_at: now,
        }
    }

    fn factor(&mut self, now: Monotonic) -> f64 {
        if self.factor < 1.0 {
            let regained = now.since(self.at).as_secs_f64() * Self::RECOVERY_PER_SECOND;
            self.factor = (self.factor + regained).min(1.0);
        }
        self.at = now;
        self.factor
    }

    /// Reduces the rate after a 429 response to a call sent at `taken_at`. Ignores calls that were
    /// already in flight at the last reduction.
    fn refused(&mut self, now: Monotonic, taken_at: Monotonic) {
        let factor = self.factor(now);
        if taken_at >= self.cut_at {
            self.factor = (factor * Self::CUT).max(Self::SLOWEST);
            self.cut_at = now;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    at: Monotonic,
    /// If responses report the bucket's state: false until the first response arrives. Otherwise
    /// always true.
    learned: bool,
    /// True if responses report the level, so that the provider already counts the units in flight.
    reported: bool,
    calls: Calls,
    pace: Pace,
    /// Time of the last call or response.
    used_at: Monotonic,
    longest_wait: Duration,
}

#[derive(Debug)]
pub(crate) struct Window {
    units: f64,
    length: Duration,
    /// Completed calls that still count, oldest first. Each entry contains the time until which the
    /// call counts, and its units.
    answered: VecDeque<(Monotonic, f64)>,
    counted: f64,
    told: Told,
    pace: Pace,
    longest_wait: Duration,
}

#[derive(Debug)]
pub(crate) struct Concurrent {
    most: u32,
    calls: u32,
}

#[derive(Debug)]
pub(crate) struct Learned {
    told: Told,
    /// False until the first response arrives.
    answered: bool,
}

/// State of a window, as reported by responses.
#[derive(Debug, Default)]
struct Told {
    /// True once a response has reported the remaining units.
    known: bool,
    limit: Option<f64>,
    level: f64,
    /// The lowest number of remaining units reported within this window.
    lowest: f64,
    /// Units of calls that completed after the last report without a report of their own.
    unstated: f64,
    until: Option<Monotonic>,
    calls: Calls,
}

impl Told {
    fn renew(&mut self, now: Monotonic) {
        if self.known && self.until.is_some_and(|until| now >= until) {
            self.until = None;
            match self.limit {
                // Calls in flight may count in the new window.
                Some(limit) => self.level = limit - self.calls.reserved,
                None => self.known = false,
            }
        }
    }

    fn go(&mut self, now: Monotonic, units: f64) -> Go {
        self.renew(now);
        let units = self.limit.map_or(units, |limit| units.min(limit));
        if !self.known || self.level >= units {
            return Go::Now;
        }
        match self.until {
            Some(until) => Go::In(until.since(now)),
            None if self.calls.in_flight > 0 => Go::WhenAnswered,
            // No pending response can report more, so send this call to learn the state.
            None => Go::Now,
        }
    }

    /// Returns the minimum time until a call that takes `units` can be sent.
    fn at_least(&mut self, now: Monotonic, units: f64) -> Duration {
        match self.go(now, units) {
            Go::In(wait) if self.calls.reserved <= 0.0 => wait,
            _ => Duration::ZERO,
        }
    }

    fn take(&mut self, units: f64) -> f64 {
        self.level -= units;
        self.calls.take(units)
    }

    fn give_back(&mut self, taken: Taken) {
        self.calls.end(taken);
        self.level += taken.units;
    }

    /// Counts a call as completed. Returns the units settled while the call was in flight.
    fn settle(&mut self, taken: Taken, report: &Report) -> f64 {
        self.calls.end(taken);
        if report.available.is_none() {
            self.unstated += taken.units;
        }
        let meanwhile = self.calls.settled_since(taken);
        self.calls.settled += taken.units;
        meanwhile
    }

    /// Applies the report of a response. The report may not include the units in `meanwhile` yet.
    ///
    /// Within one window, the number of remaining units only decreases. Therefore the lowest
    /// reported number includes every call whose response reported a number. The lowest reported
    /// number can omit only calls in flight.
    fn observe(&mut self, now: Monotonic, report: &Report, meanwhile: f64, longest: Duration) {
        self.limit = report.capacity.or(self.limit);
        let available = match (report.available, report.reset) {
            (Some(available), _) => available,
            // A 429 response that reports only the end of the window.
            (None, Some(_)) if report.refused => 0.0,
            _ => return,
        };
        let reset = report.reset.map(|reset| reset.min(longest));
        let left = self.until.map(|until| until.since(now));
        let is_same =
            self.known && matches!((left, reset), (Some(left), Some(reset)) if left >= reset / 2);
        if is_same {
            self.lowest = self.lowest.min(available);
        } else {
            self.lowest = available - meanwhile;
            self.unstated = 0.0;
        }
        self.known = true;
        self.level = self.lowest - self.unstated - self.calls.reserved;
        self.until = reset.map(|reset| now.after(reset));
    }
}

impl Gauge {
    /// Creates an unused limit. `reported` is true if responses report the state of a
    /// [`RateModel::Cost`] limit.
    pub(crate) fn new(model: Option<RateModel>, reported: bool, now: Monotonic) -> Self {
        let bucket = |capacity: f64, per_second: f64, reported: bool| {
            let refill = Duration::try_from_secs_f64(capacity / per_second);
            Self::Bucket(Bucket {
                capacity,
                per_second,
                level: capacity,
                at: now,
                learned: !reported,
                reported,
                calls: Calls::default(),
                pace: Pace::full(now),
                used_at: now,
                longest_wait: refill.unwrap_or(MAX_WAIT).max(MAX_WAIT),
            })
        };
        match model.filter(RateModel::is_valid) {
            None => Self::Open,
            Some(RateModel::Cost {
                capacity,
                per_second,
            }) => bucket(f64::from(capacity), f64::from(per_second), reported),
            Some(RateModel::Bucket {
                capacity,
                per_second,
            }) => bucket(f64::from(capacity), per_second, false),
            Some(RateModel::Window { requests, seconds }) => {
                let length = Duration::from_secs(u64::from(seconds));
                Self::Window(Window {
                    units: f64::from(requests),
                    length,
                    answered: VecDeque::new(),
                    counted: 0.0,
                    told: Told::default(),
                    pace: Pace::full(now),
                    longest_wait: length.max(MAX_WAIT),
                })
            }
            Some(RateModel::Concurrent { most }) => Self::Concurrent(Concurrent { most, calls: 0 }),
            Some(RateModel::Learned) => Self::Learned(Learned {
                told: Told::default(),
                answered: false,
            }),
        }
    }

    /// Returns the number of units that percentages refer to.
    pub(crate) fn capacity(&self) -> f64 {
        match self {
            Self::Bucket(bucket) => bucket.capacity,
            Self::Window(window) => window.units,
            _ => 0.0,
        }
    }

    /// Returns the earliest time for a call that takes `units`. A call that exceeds the capacity is
    /// sent when the limit is unused, and the provider accepts or rejects it.
    pub(crate) fn go(&mut self, now: Monotonic, units: f64) -> Go {
        match self {
            Self::Open => Go::Now,
            Self::Bucket(bucket) => bucket.go(now, units),
            Self::Window(window) => window.go(now, units),
            Self::Concurrent(it) if it.calls < it.most => Go::Now,
            Self::Concurrent(_) => Go::WhenAnswered,
            Self::Learned(it) if !it.answered && it.told.calls.in_flight > 0 => Go::WhenAnswered,
            Self::Learned(it) => it.told.go(now, units),
        }
    }

    /// Returns the minimum time until a call that takes `units` can be sent. The bound is correct
    /// for any final cost of the calls in flight.
    pub(crate) fn at_least(&mut self, now: Monotonic, units: f64) -> Duration {
        match self {
            Self::Bucket(bucket) => bucket.at_least(now, units),
            Self::Window(Window { told, .. }) | Self::Learned(Learned { told, .. }) => {
                told.at_least(now, units)
            }
            _ => Duration::ZERO,
        }
    }

    /// Estimates the time until `units` more units are available.
    pub(crate) fn estimate(&mut self, now: Monotonic, units: f64) -> Duration {
        let wait = match self {
            Self::Open | Self::Concurrent(_) => Duration::from_secs(1),
            Self::Bucket(bucket) => {
                bucket.refill(now);
                let missing = (units - bucket.level).max(0.0);
                let rate = bucket.per_second * bucket.pace.factor;
                Duration::try_from_secs_f64(missing / rate).unwrap_or(MAX_WAIT)
            }
            Self::Window(window) => {
                let windows = (units / window.units).ceil().clamp(1.0, 1e6);
                let first = match window.go(now, 1.0) {
                    Go::In(wait) => wait,
                    _ => Duration::from_secs(1),
                };
                let further = window.length.as_secs_f64() * (windows - 1.0);
                let further = Duration::try_from_secs_f64(further).unwrap_or(MAX_WAIT);
                first.saturating_add(further)
            }
            Self::Learned(it) => match it.told.go(now, units) {
                Go::In(wait) => wait,
                _ => Duration::from_secs(1),
            },
        };
        wait.clamp(Duration::from_millis(1), MAX_WAIT)
    }

    pub(crate) fn take(&mut self, now: Monotonic, units: f64) -> Taken {
        let mut taken = Taken {
            units,
            settled_before: 0.0,
            at: now,
        };
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => {
                bucket.level -= units;
                bucket.used_at = now;
                taken.settled_before = bucket.calls.take(units);
            }
            Self::Window(Window { told, .. }) | Self::Learned(Learned { told, .. }) => {
                taken.settled_before = told.take(units);
            }
            Self::Concurrent(it) => it.calls += 1,
        }
        taken
    }

    /// Returns the units of a call that was not sent.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => {
                bucket.calls.end(taken);
                bucket.level += taken.units;
            }
            Self::Window(Window { told, .. }) | Self::Learned(Learned { told, .. }) => {
                told.give_back(taken);
            }
            Self::Concurrent(it) => it.calls = it.calls.saturating_sub(1),
        }
    }

    /// Settles a sent call with the report from its response.
    pub(crate) fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => bucket.settle(now, taken, report),
            Self::Window(window) => window.settle(now, taken, report),
            Self::Concurrent(it) => it.calls = it.calls.saturating_sub(1),
            Self::Learned(it) => {
                it.answered = true;
                let meanwhile = it.told.settle(taken, report);
                it.told.observe(now, report, meanwhile, MAX_WAIT);
            }
        }
    }

    /// Applies the report of a response to a call that took no units from this limit.
    pub(crate) fn observe(&mut self, now: Monotonic, report: &Report) {
        match self {
            Self::Open | Self::Concurrent(_) => {}
            Self::Bucket(bucket) => {
                bucket.refill(now);
                bucket.learn(report, 0.0);
            }
            Self::Window(window) => window.learn(now, report, 0.0),
            Self::Learned(it) => {
                it.answered = true;
                it.told.observe(now, report, 0.0, MAX_WAIT);
            }
        }
    }

    /// Returns true if the state equals that of a new limit.
    pub(crate) fn is_full(&mut self, now: Monotonic) -> bool {
        match self {
            Self::Open => true,
            Self::Bucket(bucket) => {
                bucket.refill(now);
                bucket.calls.in_flight == 0 && bucket.level >= bucket.capacity
            }
            Self::Window(window) => {
                window.forget(now);
                window.told.renew(now);
                window.told.calls.reserved <= 0.0
                    && window.answered.is_empty()
                    && window.told.until.is_none()
            }
            Self::Concurrent(it) => it.calls == 0,
            Self::Learned(it) => {
                it.told.renew(now);
                it.told.calls.in_flight == 0 && it.told.until.is_none()
            }
        }
    }

    /// Returns true if responses report the actual cost of calls.
    pub(crate) fn is_corrected(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// Returns true if the limit counts calls instead of units.
    pub(crate) fn counts_calls(&self) -> bool {
        matches!(self, Self::Concurrent(_))
    }
}

impl Bucket {
    fn refill(&mut self, now: Monotonic) {
        let rate = self.per_second * self.pace.factor(now);
        let restored = now.since(self.at).as_secs_f64() * rate;
        // A bucket that is full at the provider does not refill until the calls in flight arrive
        // there.
        let most = if self.reported {
            self.capacity
        } else {
            self.capacity - self.calls.reserved
        };
        self.level = (self.level + restored).min(most.max(self.level));
        self.at = now;
    }

    fn go(&mut self, now: Monotonic, units: f64) -> Go {
        self.refill(now);
        if !self.learned && self.calls.in_flight > 0 {
            return Go::WhenAnswered;
        }
        let missing = units.min(self.capacity) - self.level;
        if missing <= 0.0 {
            return Go::Now;
        }
        // After the longest wait, one call is sent to check the reported state.
        let left = self.used_at.after(self.longest_wait).since(now);
        if left.is_zero() && self.calls.in_flight == 0 {
            return Go::Now;
        }
        let room = self.capacity - self.calls.reserved;
        if !self.reported && self.calls.in_flight > 0 && units.min(self.capacity) > room {
            return Go::WhenAnswered;
        }
        // Clocks count milliseconds. A wait that rounds down to zero would be retried in a busy
        // loop.
        let wait = self.wait(missing).min(left.max(Duration::from_secs(1)));
        Go::In(wait.max(Duration::from_millis(1)))
    }

    fn wait(&self, missing: f64) -> Duration {
        let wait = Duration::try_from_secs_f64(missing / (self.per_second * self.pace.factor));
        wait.unwrap_or(Duration::MAX)
    }

    fn at_least(&mut self, now: Monotonic, units: f64) -> Duration {
        self.refill(now);
        let missing = units.min(self.capacity) - self.level - self.calls.reserved;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        let left = self.used_at.after(self.longest_wait).since(now);
        self.wait(missing).min(left)
    }

    fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        self.refill(now);
        self.calls.end(taken);
        self.used_at = now;
        // The response may not include calls that were in flight at the same time: calls that still
        // are, and calls completed since this call was sent. Counting some of them twice delays
        // calls slightly. Omitting one would overdraw the bucket.
        self.learn(report, self.calls.settled_since(taken));
        if report.available.is_none() {
            if let Some(actual) = report.actual {
                self.level += taken.units - actual;
            }
            if report.refused {
                self.level = self.level.min(0.0);
                self.pace.refused(now, taken.at);
            }
        }
        self.level = self
            .level
            .clamp(-self.capacity.max(taken.units), self.capacity);
        self.calls.settled += report.actual.unwrap_or(taken.units);
    }

    fn learn(&mut self, report: &Report, meanwhile: f64) {
        self.capacity = report.capacity.unwrap_or(self.capacity);
        self.per_second = report.per_second.unwrap_or(self.per_second);
        if let Some(available) = report.available {
            self.learned = true;
            self.reported = true;
            self.level = available - meanwhile - self.calls.reserved;
        }
        self.level = self.level.min(self.capacity);
    }
}

impl Window {
    /// Maximum number of calls that are stored individually.
    const EXACT: usize = 1024;

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
        let told = self.told.go(now, units);
        let allowed = (self.units * self.pace.factor(now)).max(1.0);
        let mut missing = self.told.calls.reserved + self.counted + units.min(allowed) - allowed;
        if missing <= 0.0 {
            return told;
        }
        for (until, units) in &self.answered {
            missing -= units;
            if missing <= 0.0 {
                let own = until.since(now);
                return match told {
                    Go::In(wait) => Go::In(wait.max(own)),
                    _ => Go::In(own),
                };
            }
        }
        Go::WhenAnswered
    }

    fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        self.count(now, taken.units);
        let meanwhile = self.told.settle(taken, report);
        self.learn(now, report, meanwhile);
        if report.refused && report.available.is_none() {
            self.pace.refused(now, taken.at);
        }
    }

    /// Counts units until one window from now.
    fn count(&mut self, now: Monotonic, units: f64) {
        let until = now.after(self.length);
        self.counted += units;
        let until = if self.answered.len() < Self::EXACT {
            until
        } else {
            // Beyond this number, the end times are rounded up to a grid, which bounds the number
            // of entries.
            let grain = (self.length.as_nanos() / Self::EXACT as u128).max(1);
            let ends = until.since_origin().as_nanos().div_ceil(grain) * grain;
            u64::try_from(ends).map_or(until, |ends| Monotonic::new(Duration::from_nanos(ends)))
        };
        match self.answered.back_mut() {
            Some((last, sum)) if *last >= until => *sum += units,
            _ => self.answered.push_back((until, units)),
        }
    }

    fn learn(&mut self, now: Monotonic, report: &Report, meanwhile: f64) {
        if let Some(units) = report.capacity {
            self.units = units;
        }
        if let Some(length) = report.window {
            self.length = length.min(self.longest_wait);
        }
        if report.reset.is_some() {
            self.told.observe(now, report, meanwhile, self.longest_wait);
        } else if let Some(available) = report.available {
            // In a rolling window, calls of other processes, which this limit has not counted,
            // count from now on.
            self.forget(now);
            let others = (self.units - available) - self.counted - self.told.calls.reserved;
            if others > 0.0 {
                self.count(now, others);
            }
        }
    }
}
