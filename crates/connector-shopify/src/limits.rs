//! What a call costs and how much of the shop's budget is left, as `extensions.cost` tells it.
//!
//! Every pair of app and shop has a bucket of points that refills with time. Its size and rate
//! follow from the shop's plan and may change, so they are learnt from answers, never assumed.
//! See [Shopify docs: API limits](https://shopify.dev/docs/api/usage/limits).

use std::time::Duration;

use serde::Deserialize;

/// The longest wait that is worth asking for. A bucket refills in far less.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What one call cost.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cost {
    /// The points that had to be available before the call, if Shopify said so.
    #[serde(default)]
    pub requested_query_cost: Option<f64>,
    /// The points that the call took in the end; none if it was not executed.
    #[serde(default)]
    pub actual_query_cost: Option<f64>,
    /// The bucket after the call, if Shopify said so.
    #[serde(default)]
    pub throttle_status: Option<ThrottleStatus>,
}

/// The bucket of one app at one shop.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ThrottleStatus {
    /// The points that it holds when it is full.
    pub maximum_available: f64,
    /// The points that it holds now.
    pub currently_available: f64,
    /// The points that flow in each second.
    pub restore_rate: f64,
}

impl Cost {
    /// How long to wait before the same call can be executed; `None` if the answer does not tell.
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
            return Some(LONGEST_WAIT);
        }
        let seconds = (missing / status.restore_rate).min(LONGEST_WAIT.as_secs_f64());
        Some(Duration::from_secs_f64(seconds))
    }
}
