//! Injectable time, with the [`Clock`] trait, [`SystemClock`], and [`ManualClock`] for tests.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A point in time on the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
///
/// `Display` formats it as RFC 3339 in UTC, and [`Timestamp::parse`] reads RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch, 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Creates a timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates a timestamp from seconds since the Unix epoch. Saturates on overflow.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Parses an RFC 3339 time with its UTC offset. Returns `None` if the text is not valid RFC
    /// 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self(parsed.as_millisecond()))
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the timestamp `by` later than this one. Saturates on overflow.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// Returns the timestamp `by` earlier than this one. Saturates on overflow.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }

    /// Returns the time from `earlier` to this timestamp, or zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Converts a duration to whole milliseconds. Rounds up, so that a wait is never too short.
/// Saturates.
pub(crate) fn whole_millis(by: Duration) -> i64 {
    let rounded = by.as_nanos().div_ceil(1_000_000);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

/// A point in time on a monotonic clock, as the duration since the clock's origin.
///
/// Compare only instants of the same clock. A monotonic clock may stop while the machine is
/// suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// Creates the instant `since_origin` after the clock's origin.
    #[must_use]
    pub const fn new(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// Returns the time from `earlier` to this instant, or zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the instant `by` later than this one. Saturates on overflow.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// Returns the time since the clock's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }
}

/// A source of time that can also sleep.
///
/// All code that depends on time takes a `Clock`, so that a test can control the time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall-clock time. The wall clock may jump forwards and backwards.
    fn now(&self) -> Timestamp;

    /// Returns the monotonic time, which never goes backwards.
    fn monotonic(&self) -> Monotonic;

    /// Waits until the monotonic clock has advanced by `duration`.
    async fn sleep(&self, duration: Duration);
}

#[async_trait]
impl Clock for Arc<dyn Clock> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Monotonic {
        (**self).monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        (**self).sleep(duration).await;
    }
}

/// The clock of the machine. [`Clock::sleep`] needs a tokio runtime with its time driver enabled.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// Creates a clock whose monotonic origin is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "other code injects this clock")]
    pub fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "other code injects this clock")]
    fn now(&self) -> Timestamp {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Timestamp(-whole_millis(before.duration())),
        }
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that you advance manually, for tests, simulations and examples.
///
/// Clones share the same time. [`ManualClock::with_offset`] returns a clock whose wall-clock time
/// differs by a constant offset, as on another machine.
///
/// ```
/// use std::time::Duration;
/// use connector_core::clock::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().as_unix_seconds(), 1_700_000_060);
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
    offset_millis: i64,
}

struct Shared {
    time: Mutex<ManualTime>,
    ticks: watch::Sender<Duration>,
    sleepers: watch::Sender<usize>,
}

struct ManualTime {
    wall: Timestamp,
    steady: Duration,
}

impl ManualClock {
    /// Creates a clock whose wall-clock time is `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            shared: Arc::new(Shared {
                time: Mutex::new(ManualTime {
                    wall: start,
                    steady: Duration::ZERO,
                }),
                ticks: watch::Sender::new(Duration::ZERO),
                sleepers: watch::Sender::new(0),
            }),
            offset_millis: 0,
        }
    }

    /// Returns a clock that shares this clock's time but shows a wall-clock time `millis` later.
    #[must_use]
    pub fn with_offset(&self, millis: i64) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            offset_millis: millis,
        }
    }

    /// Advances the wall clock and the monotonic clock, and wakes all sleepers whose deadline has
    /// passed.
    pub fn advance(&self, by: Duration) {
        let steady = {
            let mut time = self.time();
            time.wall = time.wall.after(by);
            time.steady = time.steady.saturating_add(by);
            time.steady
        };
        self.shared.ticks.send_replace(steady);
    }

    /// Sets only the wall clock, as an operator or a time server would. The monotonic clock and the
    /// sleepers are not affected.
    pub fn set_wall(&self, now: Timestamp) {
        self.time().wall = Timestamp(now.0.saturating_sub(self.offset_millis));
    }

    /// Waits until at least `count` calls of [`Clock::sleep`] are pending. A test can then advance
    /// the clock and know that the code under test is already sleeping.
    pub async fn wait_for_sleepers(&self, count: usize) {
        let mut sleepers = self.shared.sleepers.subscribe();
        // The sender lives as long as this clock, so `wait_for` cannot fail.
        let _ = sleepers.wait_for(|now| *now >= count).await;
    }

    fn time(&self) -> MutexGuard<'_, ManualTime> {
        self.shared
            .time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

struct Sleeper<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeper<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|sleepers| *sleepers += 1);
        Self(count)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|sleepers| *sleepers -= 1);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.time().wall.0.saturating_add(self.offset_millis))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.time().steady)
    }

    async fn sleep(&self, duration: Duration) {
        let mut ticks = self.shared.ticks.subscribe();
        let until = self.monotonic().after(duration).since_origin();
        if self.monotonic().since_origin() >= until {
            return;
        }
        let _counted = Sleeper::new(&self.shared.sleepers);
        // The sender lives as long as this clock, so `wait_for` cannot fail.
        let _ = ticks.wait_for(|now| *now >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_formatted_and_parsed_as_rfc_3339() {
        let at = Timestamp::from_unix_millis(1_700_000_000_123);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20.123+01:00"), Some(at));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::from_unix_millis(-1).as_unix_seconds(), -1);
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let end = Timestamp::from_unix_millis(i64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(
            Timestamp::from_unix_millis(i64::MIN).since(end),
            Duration::ZERO
        );
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), end);
        assert!(end.to_string().ends_with("since 1970"));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_monotonic_clock_has_advanced_enough() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        let sleeper = tokio::spawn(async move { other.sleep(Duration::from_secs(10)).await });
        clock.wait_for_sleepers(1).await;
        clock.advance(Duration::from_secs(9));
        clock.set_wall(Timestamp::from_unix_seconds(1_000_000));
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }

    #[test]
    fn an_offset_shifts_the_wall_clock_only() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(100));
        let wrong = clock.with_offset(3_600_000);
        assert_eq!(wrong.now().as_unix_seconds(), 3_700);
        assert_eq!(wrong.monotonic(), clock.monotonic());
        wrong.set_wall(Timestamp::from_unix_seconds(3_800));
        assert_eq!(clock.now().as_unix_seconds(), 200);
    }
}
