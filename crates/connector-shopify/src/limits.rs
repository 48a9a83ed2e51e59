//! The cost of a call and the shop's remaining budget, from `extensions.cost`.
//!
//! Each pair of app and shop has a bucket of points that refills over time. The size and the rate
//! depend on the shop's plan and may change, so the limiter reads them from responses. See [Shopify
//! docs: API limits](https://shopify.dev/docs/api/usage/limits).

use std::time::Duration;

use serde::Deserialize;

/// Maximum wait. A bucket refills in much less time.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// The cost of one call.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cost {
    /// The points that had to be available before the call, if the response contains them.
    #[serde(default)]
    pub requested_query_cost: Option<f64>,
    /// The points that the call consumed; `None` if it was not executed.
    #[serde(default)]
    pub actual_query_cost: Option<f64>,
    /// The bucket after the call, if the response contains it.
    #[serde(default)]
    pub throttle_status: Option<ThrottleStatus>,
}

/// Points bucket of one app in one shop.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ThrottleStatus {
    /// Size of the bucket, in points.
    pub maximum_available: f64,
    /// Currently available points.
    pub currently_available: f64,
    /// Restore rate, in points per second.
    pub restore_rate: f64,
}

impl Cost {
    /// Returns the time until the same call can be executed; `None` if the response does not
    /// contain the bucket.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let status = self.throttle_status?;
        let missing = self.requested_query_cost? - status.currently_available;
        if !missing.is_finite() || !status.restore_rate.is_finite() {
            return None;
        }
        if missing <= 0.0 {
            return Some(Duration::ZERO);
        }
        if status.restore_rate <= 0.0 {
            return Some(MAX_WAIT);
        }
        let seconds = (missing / status.restore_rate).min(MAX_WAIT.as_secs_f64());
        Some(Duration::from_secs_f64(seconds))
    }
}
