//! What a provider says about its limits.

use std::time::Duration;

/// What an answer says about the provider's limits. What it does not say stays unset; figures that
/// are negative or no number are dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct Report {
    pub(crate) requested: Option<f64>,
    pub(crate) actual: Option<f64>,
    pub(crate) available: Option<f64>,
    pub(crate) capacity: Option<f64>,
    pub(crate) per_second: Option<f64>,
    pub(crate) hold: Option<Duration>,
}

impl Report {
    /// A report that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What had to be there for the call to be carried out.
    pub fn with_requested(mut self, points: f64) -> Self {
        self.requested = sane(points);
        self
    }

    /// What the call took in the end.
    pub fn with_actual(mut self, points: f64) -> Self {
        self.actual = sane(points);
        self
    }

    /// What was left after it.
    pub fn with_available(mut self, points: f64) -> Self {
        self.available = sane(points);
        self
    }

    /// How much the bucket holds at most.
    pub fn with_capacity(mut self, points: f64) -> Self {
        self.capacity = sane(points).filter(|it| *it > 0.0);
        self
    }

    /// How much comes back each second.
    pub fn with_rate(mut self, points_per_second: f64) -> Self {
        self.per_second = sane(points_per_second).filter(|it| *it > 0.0);
        self
    }

    /// How long nobody shall send anything.
    pub fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold);
        self
    }
}

fn sane(points: f64) -> Option<f64> {
    (points.is_finite() && points >= 0.0).then_some(points)
}
