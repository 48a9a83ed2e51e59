//! The state of a limit as reported by a response.

use std::time::Duration;

use crate::http::limit::MAX_WAIT;

/// The state of one limit as reported by a response. Values that the response does not contain stay
/// unset. Negative values and NaN are ignored, and values outside the supported range are clamped.
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

/// Maximum value in the limit's unit. Larger values are clamped.
const MAX_FIGURE: f64 = 1e9;
/// Minimum restore rate: one unit per hour. Lower rates are clamped.
const SLOWEST: f64 = 1.0 / 3600.0;

impl Report {
    /// Creates an empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the limit that the report describes. Without a name, the report describes
    /// the most specific limit that the call used.
    pub fn with_limit(mut self, name: &'static str) -> Self {
        self.limit = Some(name);
        self
    }

    /// Sets the units that had to be available before the provider executed the call.
    pub fn with_requested(mut self, points: f64) -> Self {
        self.requested = sane(points);
        self
    }

    /// Sets the units that the call actually consumed.
    pub fn with_actual(mut self, points: f64) -> Self {
        self.actual = sane(points);
        self
    }

    /// Sets the units available after the call.
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

    /// Sets the time until the window resets.
    pub fn with_reset(mut self, reset: Duration) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Sets the length of the window.
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = Some(window).filter(|it| !it.is_zero());
        self
    }

    /// Sets a pause during which no call is sent under the limit. At most one hour.
    pub fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold.min(MAX_WAIT));
        self
    }

    /// Fills in values that only `earlier` contains.
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
    (points.is_finite() && points >= 0.0).then_some(points.min(MAX_FIGURE))
}
