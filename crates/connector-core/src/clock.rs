//! Time as a dependency: [`Clock`], the [`SystemClock`], and the [`ManualClock`] of tests.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// An instant of the wall clock in milliseconds since 1970-01-01T00:00:00Z.
///
/// Shown, and parsed by [`Timestamp::parse`], as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The start of the Unix era.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The instant `millis` milliseconds after the start of the Unix era.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after the start of the Unix era; saturates.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Reads an RFC 3339 time with its offset; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self(parsed.as_millisecond()))
    }

    /// Milliseconds since the start of the Unix era.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the start of the Unix era, rounded down.
    #[must_use]
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant moved into the future; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// This instant moved into the past; saturates.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }

    /// How much later this is than `earlier`; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Whole milliseconds, rounded up so that a wait is never cut short; saturates.
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

/// An instant of a clock that never goes back, measured from an origin of the clock's choice.
///
/// Compare only instants of the same clock. It may stand still while the machine is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The instant `since_origin` after the clock's origin.
    #[must_use]
    pub const fn new(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// How much later this is than `earlier`; zero if it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant moved into the future; saturates.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// The time since the clock's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }
}

/// Where the library takes the time from, and how it waits.
///
/// Everything that looks at the time takes a clock, so that a test can hold it in its hand.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump, in both directions.
    fn now(&self) -> Timestamp;

    /// The steady clock. It never goes back.
    fn monotonic(&self) -> Monotonic;

    /// Returns once the steady clock has moved by `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The clock of the machine. Sleeping needs a tokio runtime with its time driver.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// A clock whose steady part starts now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else injects"
    )]
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
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else injects"
    )]
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

/// A clock that moves only when it is told to, for tests, simulations and examples.
///
/// Clones share the time; [`ManualClock::with_offset`] gives a view whose wall clock is wrong by a
/// constant, as on another machine.
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
    /// A clock that stands at `start`.
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

    /// The same time seen by a machine whose wall clock is off by `millis` milliseconds.
    #[must_use]
    pub fn with_offset(&self, millis: i64) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            offset_millis: millis,
        }
    }

    /// Moves wall and steady clock forward and wakes whoever slept long enough.
    pub fn advance(&self, by: Duration) {
        let steady = {
            let mut time = self.time();
            time.wall = time.wall.after(by);
            time.steady = time.steady.saturating_add(by);
            time.steady
        };
        self.shared.ticks.send_replace(steady);
    }

    /// Sets the wall clock alone, as an operator or a time server would: the steady clock and
    /// sleepers do not notice.
    pub fn set_wall(&self, now: Timestamp) {
        self.time().wall = Timestamp(now.0.saturating_sub(self.offset_millis));
    }

    /// Returns once at least `count` calls of [`Clock::sleep`] are waiting, so that a test advances
    /// the clock only after the code under test went to sleep.
    pub async fn wait_for_sleepers(&self, count: usize) {
        let mut sleepers = self.shared.sleepers.subscribe();
        // The sender lives as long as this clock, so waiting cannot fail.
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
        // The sender lives as long as this clock, so waiting cannot fail.
        let _ = ticks.wait_for(|now| *now >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_shown_and_read_as_rfc_3339() {
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
    async fn a_sleeper_wakes_when_the_steady_clock_has_moved_enough() {
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
