//! The statements of a response about a limit.

use std::time::Duration;

use crate::http::limit::LONGEST_WAIT;

/// The statements of a response about one limit. A figure that a response does not state stays
/// unset. Figures that are negative or no number are dropped, and figures beyond the supported range
/// are clamped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct Report {
    pub(crate) limit: Option<&'static str>,
    pub(crate) requested: Option<f64>,
    pub(crate) actual: Option<f64>,
    pub(crate) available: Option<f64>,
    pub(crate) capacity: Option<f64>,
    pub(crate) per_second: Option<f64>,
    pub(crate) reset: Option<Duration>,
    pub(crate) window: Option<Duration>,
    pub(crate) hold: Option<Duration>,
    pub(crate) refused: bool,
}

/// The largest figure that is taken over, in the limit's unit.
const MOST: f64 = 1e9;
/// The lowest restore rate that is taken over: one unit an hour.
const SLOWEST: f64 = 1.0 / 3600.0;

impl Report {
    /// A report without statements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the limit that the report describes. Without a name, the report describes the most
    /// specific limit that the call drew from.
    pub fn with_limit(mut self, name: &'static str) -> Self {
        self.limit = Some(name);
        self
    }

    /// Sets the units that had to be available for the call to be carried out.
    pub fn with_requested(mut self, points: f64) -> Self {
        self.requested = sane(points);
        self
    }

    /// Sets the units that the call took in the end.
    pub fn with_actual(mut self, points: f64) -> Self {
        self.actual = sane(points);
        self
    }

    /// Sets the units that were left after the call.
    pub fn with_available(mut self, points: f64) -> Self {
        self.available = sane(points);
        self
    }

    /// Sets the capacity of the bucket, or the number of requests in a window.
    pub fn with_capacity(mut self, points: f64) -> Self {
        self.capacity = sane(points).filter(|it| *it > 0.0).map(|it| it.max(1.0));
        self
    }

    /// Sets the units that are restored each second.
    pub fn with_rate(mut self, points_per_second: f64) -> Self {
        self.per_second = sane(points_per_second)
            .filter(|it| *it > 0.0)
            .map(|it| it.max(SLOWEST));
        self
    }

    /// Sets the time until the window starts anew.
    pub fn with_reset(mut self, reset: Duration) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Sets the length of the window.
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = Some(window).filter(|it| !it.is_zero());
        self
    }

    /// Sets a time during which nothing is sent under the limit; at most an hour counts.
    pub fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold.min(LONGEST_WAIT));
        self
    }

    /// Fills in the statements of `earlier` that this report does not make.
    pub(crate) fn or(self, earlier: Self) -> Self {
        Self {
            limit: self.limit.or(earlier.limit),
            requested: self.requested.or(earlier.requested),
            actual: self.actual.or(earlier.actual),
            available: self.available.or(earlier.available),
            capacity: self.capacity.or(earlier.capacity),
            per_second: self.per_second.or(earlier.per_second),
            reset: self.reset.or(earlier.reset),
            window: self.window.or(earlier.window),
            hold: self.hold.or(earlier.hold),
            refused: self.refused || earlier.refused,
        }
    }
}

fn sane(points: f64) -> Option<f64> {
    (points.is_finite() && points >= 0.0).then_some(points.min(MOST))
}
