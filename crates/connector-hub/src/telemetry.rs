//! Metrics through the `metrics` facade (feature `metrics`). Without the feature, nothing is
//! recorded. The page docs/telemetry.md lists the metrics and the spans.

use std::time::Duration;

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// A number that only increases.
    Counter,
    /// A number that increases and decreases.
    Gauge,
    /// A distribution of values.
    Histogram,
}

/// A metric of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The unit, empty for plain counts.
    pub unit: &'static str,
    /// The names of the labels. The values of a label are bounded: providers of the hub, and stable
    /// names.
    pub labels: &'static [&'static str],
    /// The meaning.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $unit:literal, [$($label:literal),*], $meaning:literal;)*) => {
        $(pub(crate) const $constant: &Metric = &Metric {
            name: $name,
            kind: MetricKind::$kind,
            unit: $unit,
            labels: &[$($label),*],
            meaning: $meaning,
        };)*

        /// All metrics of the hub, recorded with the feature `metrics`.
        pub const METRICS: &[&Metric] = &[$($constant,)*];
    };
}

metrics! {
    REFRESHES = "connectors_refreshes_total", Counter, "", ["provider", "result"],
        "Requests to token endpoints for a refresh. `result` is `refreshed`, or the name of the error kind.";
    REFRESH_SECONDS = "connectors_refresh_duration_seconds", Histogram, "seconds", ["provider"],
        "Duration of these requests.";
    ENDED_GRANTS = "connectors_ended_grants_total", Counter, "", ["provider", "reason"],
        "Connections that need a new authorization after a refused refresh.";
    WAITERS = "connectors_token_waiters", Gauge, "", [],
        "Callers that wait for a token in this process.";
    CONNECTS = "connectors_connects_total", Counter, "", ["provider", "result"],
        "Ended connect flows and adoptions. `result` is `connected`, or the name of the reason.";
    API_REQUESTS = "connectors_api_requests_total", Counter, "", ["provider", "result"],
        "Requests to providers' APIs. `result` is `ok`, `abandoned`, or the name of the error kind.";
    WORKER_LAG = "connectors_worker_lag_seconds", Gauge, "seconds", [],
        "Age of the queue: time from the due time of the last leased job to its lease.";
    RECEIVED = "connectors_deliveries_received_total", Counter, "", ["provider", "result"],
        "Webhook deliveries that arrived. `result` is `accepted`, `duplicate`, `handshake`, or the name of the error kind.";
    HANDLED = "connectors_deliveries_handled_total", Counter, "", ["provider", "result"],
        "Attempts to handle a delivery. `result` is `handled`, `retried` or `parked`.";
    SENT = "connectors_outbound_attempts_total", Counter, "", ["provider", "result"],
        "Attempts to send a message to a customer's endpoint. `result` is `delivered` or `failed`.";
}

/// Adds one to a counter.
#[cfg(feature = "metrics")]
pub(crate) fn count(metric: &'static Metric, labels: &[&str]) {
    metrics::counter!(metric.name, named(metric, labels)).increment(1);
}

/// Records a duration in a histogram.
#[cfg(feature = "metrics")]
pub(crate) fn took(metric: &'static Metric, labels: &[&str], duration: Duration) {
    metrics::histogram!(metric.name, named(metric, labels)).record(duration.as_secs_f64());
}

/// Sets a gauge of seconds.
#[cfg(feature = "metrics")]
pub(crate) fn set(metric: &'static Metric, duration: Duration) {
    metrics::gauge!(metric.name).set(duration.as_secs_f64());
}

#[cfg(feature = "metrics")]
fn named(metric: &'static Metric, values: &[&str]) -> Vec<metrics::Label> {
    let labels = metric.labels.iter().zip(values);
    labels
        .map(|(name, value)| metrics::Label::new(*name, (*value).to_owned()))
        .collect()
}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn count(_: &'static Metric, _: &[&str]) {}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn took(_: &'static Metric, _: &[&str], _: Duration) {}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn set(_: &'static Metric, _: Duration) {}

/// A caller that waits for a token. It is counted until the value is dropped.
pub(crate) struct Waiting(());

impl Waiting {
    pub(crate) fn begin() -> Self {
        #[cfg(feature = "metrics")]
        metrics::gauge!(WAITERS.name).increment(1);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        metrics::gauge!(WAITERS.name).decrement(1);
    }
}

/// Registers the units and meanings of the metrics. Call it after you have installed the recorder.
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    for metric in METRICS {
        let unit = match metric.unit {
            "seconds" => metrics::Unit::Seconds,
            _ => metrics::Unit::Count,
        };
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, unit, metric.meaning),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, unit, metric.meaning),
            MetricKind::Histogram => {
                metrics::describe_histogram!(metric.name, unit, metric.meaning);
            }
        }
    }
}
