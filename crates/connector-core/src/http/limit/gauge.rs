//! The state of one limit, without a clock and without waiting.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::http::limit::{LONGEST_WAIT, RateModel, Report};

/// The earliest moment for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// Now.
    Now,
    /// After this time, unless something changes before.
    In(Duration),
    /// When another call has been answered.
    WhenAnswered,
}

/// The units that a call has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) units: f64,
    /// The sum of settled units at the time of the call.
    settled_before: f64,
    at: Monotonic,
}

/// The calls under a limit.
#[derive(Debug, Default)]
struct Calls {
    in_flight: u32,
    /// The units that the calls in flight have taken.
    reserved: f64,
    /// The units for which all calls together were settled.
    settled: f64,
}

impl Calls {
    /// Counts a call that takes `units`; returns the sum of settled units before it.
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

    /// The units that were settled while the call was in flight.
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

/// Slows a limit down whose figures turned out too high, because other processes use it too or the
/// provider lowered it: each refusal takes a fifth of the pace, and the pace recovers within minutes.
#[derive(Debug)]
struct Pace {
    factor: f64,
    at: Monotonic,
    cut_at: Monotonic,
}

impl Pace {
    const CUT: f64 = 0.8;
    const SLOWEST: f64 = 0.02;
    /// A fifth in five minutes.
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

    /// A call that went at `taken_at` was refused. Calls that were in flight during the last cut
    /// say nothing new.
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
    /// False while responses report the bucket's state and none has arrived yet.
    learned: bool,
    /// True if responses report the level, so that units in flight are known to the provider.
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
    /// Answered calls that still count, the oldest first: the time until which they count, and their
    /// units.
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
    /// False until the first response.
    answered: bool,
}

/// The state of a window as responses stated it.
#[derive(Debug, Default)]
struct Told {
    /// True once a response stated what is left.
    known: bool,
    limit: Option<f64>,
    level: f64,
    /// The lowest figure that responses of this window stated.
    lowest: f64,
    /// Units of answered calls whose responses stated no figure since.
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
            // Nothing will tell more than this call.
            None => Go::Now,
        }
    }

    /// A lower bound of the time until a call that takes `units` can go.
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

    /// Counts a call as answered; returns the units that were settled while it was in flight.
    fn settle(&mut self, taken: Taken, report: &Report) -> f64 {
        self.calls.end(taken);
        if report.available.is_none() {
            self.unstated += taken.units;
        }
        let meanwhile = self.calls.settled_since(taken);
        self.calls.settled += taken.units;
        meanwhile
    }

    /// Takes over what a response states. `meanwhile` may be missing in its figures.
    ///
    /// Within one window, what is left only falls. So the lowest figure includes every call whose
    /// response stated a figure, and only calls in flight may be missing in it.
    fn observe(&mut self, now: Monotonic, report: &Report, meanwhile: f64, longest: Duration) {
        self.limit = report.capacity.or(self.limit);
        let available = match (report.available, report.reset) {
            (Some(available), _) => available,
            // A refusal that states when the window ends.
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
    /// A limit nothing of which is used. `reported` if responses report the state of a
    /// [`RateModel::Cost`].
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
                longest_wait: refill.unwrap_or(LONGEST_WAIT).max(LONGEST_WAIT),
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
                    longest_wait: length.max(LONGEST_WAIT),
                })
            }
            Some(RateModel::Concurrent { most }) => Self::Concurrent(Concurrent { most, calls: 0 }),
            Some(RateModel::Learned) => Self::Learned(Learned {
                told: Told::default(),
                answered: false,
            }),
        }
    }

    /// The units that percentages refer to.
    pub(crate) fn capacity(&self) -> f64 {
        match self {
            Self::Bucket(bucket) => bucket.capacity,
            Self::Window(window) => window.units,
            _ => 0.0,
        }
    }

    /// The earliest moment for a call that takes `units`. A call that takes more than there can ever
    /// be goes when the limit is unused, and the provider decides.
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

    /// A lower bound of the time until a call that takes `units` can go, whatever the calls in
    /// flight turn out to take.
    pub(crate) fn at_least(&mut self, now: Monotonic, units: f64) -> Duration {
        match self {
            Self::Bucket(bucket) => bucket.at_least(now, units),
            Self::Window(Window { told, .. }) | Self::Learned(Learned { told, .. }) => {
                told.at_least(now, units)
            }
            _ => Duration::ZERO,
        }
    }

    /// An estimate of the time until `units` more can be taken.
    pub(crate) fn estimate(&mut self, now: Monotonic, units: f64) -> Duration {
        let wait = match self {
            Self::Open | Self::Concurrent(_) => Duration::from_secs(1),
            Self::Bucket(bucket) => {
                bucket.refill(now);
                let missing = (units - bucket.level).max(0.0);
                let rate = bucket.per_second * bucket.pace.factor;
                Duration::try_from_secs_f64(missing / rate).unwrap_or(LONGEST_WAIT)
            }
            Self::Window(window) => {
                let windows = (units / window.units).ceil().clamp(1.0, 1e6);
                let first = match window.go(now, 1.0) {
                    Go::In(wait) => wait,
                    _ => Duration::from_secs(1),
                };
                let further = window.length.as_secs_f64() * (windows - 1.0);
                let further = Duration::try_from_secs_f64(further).unwrap_or(LONGEST_WAIT);
                first.saturating_add(further)
            }
            Self::Learned(it) => match it.told.go(now, units) {
                Go::In(wait) => wait,
                _ => Duration::from_secs(1),
            },
        };
        wait.clamp(Duration::from_millis(1), LONGEST_WAIT)
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

    /// Nothing was sent.
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

    /// The call was sent, and its response stated this.
    pub(crate) fn settle(&mut self, now: Monotonic, taken: Taken, report: &Report) {
        match self {
            Self::Open => {}
            Self::Bucket(bucket) => bucket.settle(now, taken, report),
            Self::Window(window) => window.settle(now, taken, report),
            Self::Concurrent(it) => it.calls = it.calls.saturating_sub(1),
            Self::Learned(it) => {
                it.answered = true;
                let meanwhile = it.told.settle(taken, report);
                it.told.observe(now, report, meanwhile, LONGEST_WAIT);
            }
        }
    }

    /// A response to a call that took nothing here stated this.
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
                it.told.observe(now, report, 0.0, LONGEST_WAIT);
            }
        }
    }

    /// Returns true if nothing would be lost by starting anew.
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

    /// Returns true if responses correct the expected cost of calls.
    pub(crate) fn is_corrected(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// Returns true if a call takes one place of it, whatever the call costs.
    pub(crate) fn counts_calls(&self) -> bool {
        matches!(self, Self::Concurrent(_))
    }
}

impl Bucket {
    fn refill(&mut self, now: Monotonic) {
        let rate = self.per_second * self.pace.factor(now);
        let restored = now.since(self.at).as_secs_f64() * rate;
        // A bucket that is full at the provider gains nothing until the calls in flight arrive.
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
        // After the longest wait, one call finds out whether the figures are true.
        let left = self.used_at.after(self.longest_wait).since(now);
        if left.is_zero() && self.calls.in_flight == 0 {
            return Go::Now;
        }
        let room = self.capacity - self.calls.reserved;
        if !self.reported && self.calls.in_flight > 0 && units.min(self.capacity) > room {
            return Go::WhenAnswered;
        }
        // Clocks count milliseconds; a wait that is rounded to nothing would be asked for again and
        // again.
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
        // The response may not include calls that were in flight at the same time: those that still
        // are, and those that were answered since this one went. Counting some of them twice holds
        // calls back a little; not counting one would overdraw the bucket.
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
    /// Number of calls that are kept one by one.
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

    /// Counts units from now on for one window.
    fn count(&mut self, now: Monotonic, units: f64) {
        let until = now.after(self.length);
        self.counted += units;
        let until = if self.answered.len() < Self::EXACT {
            until
        } else {
            // Many entries end on a grid, rounded up, so that their number is bounded.
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
            // A window that rolls: calls of others, which this limit has not counted, count from now
            // on.
            self.forget(now);
            let others = (self.units - available) - self.counted - self.told.calls.reserved;
            if others > 0.0 {
                self.count(now, others);
            }
        }
    }
}
