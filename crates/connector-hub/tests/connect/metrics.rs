//! The metrics: their table, and their values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use connector_core::{CorrelationId, RequestContext};
use connector_hub::{METRICS, MetricKind, describe_metrics};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::rig::{Rig, cookie, user};

/// The values of all metrics by name and labels.
#[derive(Debug, Clone, Default)]
struct Values(Arc<Mutex<BTreeMap<String, f64>>>);

struct Cell(Values, String);

impl Cell {
    fn add(&self, value: f64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
}

#[expect(clippy::cast_precision_loss, reason = "the counts of a test are small")]
impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, value: u64) {
        self.add(value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.0.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.add(1.0);
    }
}

impl Values {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key
            .labels()
            .map(|it| format!("{}={}", it.key(), it.value()));
        let labels: Vec<String> = labels.collect();
        Arc::new(Cell(
            self.clone(),
            format!("{}{{{}}}", key.name(), labels.join(",")),
        ))
    }

    fn get(&self, name: &str) -> f64 {
        self.0
            .lock()
            .unwrap()
            .get(name)
            .copied()
            .unwrap_or_default()
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

/// The tests of this program run with one thread each, so a thread's recorder sees all tasks.
#[tokio::test]
async fn connects_and_refreshes_are_counted_by_provider_and_result() {
    let values = Values::default();
    let _recorder = metrics::set_default_local_recorder(&values);
    describe_metrics();
    let rig = Rig::new();
    let key = rig.connect("t1", "account-1").await.key;
    let begun = rig.begin("t1").await;
    let state = crate::rig::parameter(&begun, "state");
    let denied = format!("error=access_denied&state={state}&iss=https%3A%2F%2Facme.example");
    let finish = rig.hub.callback(crate::rig::ACME, &denied, cookie(&begun));
    finish.unbound().await.unwrap_err();
    let context = RequestContext::new(user("ann"), CorrelationId::default());
    rig.run(rig.hub.refresh(&key, context)).await.unwrap_err();
    let mut checked = 0;
    for (name, value) in [
        (
            "connectors_connects_total{provider=acme,result=connected}",
            1.0,
        ),
        (
            "connectors_connects_total{provider=acme,result=consent_denied}",
            1.0,
        ),
        ("connectors_refresh_duration_seconds{provider=acme}", 1.0),
        (
            "connectors_ended_grants_total{provider=acme,reason=grant_revoked}",
            1.0,
        ),
        ("connectors_token_waiters{}", 0.0),
    ] {
        assert!(
            (values.get(name) - value).abs() < 1e-9,
            "{name}: {values:?}"
        );
        checked += 1;
    }
    let all = values.0.lock().unwrap();
    let names: BTreeSet<&str> = all.keys().map(|it| it.split('{').next().unwrap()).collect();
    for name in names {
        assert!(
            METRICS.iter().any(|it| it.name == name),
            "{name} is not in the table"
        );
    }
    println!("metrics checked: {checked}");
}

#[test]
fn the_page_alerts_and_dashboard_contain_exactly_the_metrics_of_the_table() {
    let page = include_str!("../../../../docs/telemetry.md");
    let alerts = include_str!("../../../../docs/telemetry/alerts.yaml");
    let dashboard = include_str!("../../../../docs/telemetry/dashboard.json");
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            _ => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let row = format!(
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name,
            if metric.unit.is_empty() {
                "–"
            } else {
                metric.unit
            },
            if labels.is_empty() {
                "–".to_owned()
            } else {
                labels.join(", ")
            },
            metric.meaning
        );
        assert!(page.contains(&row), "the page has no row\n{row}");
    }
    let rows = page
        .lines()
        .filter(|it| it.starts_with("| `connectors_"))
        .count();
    assert_eq!(rows, METRICS.len());
    let (mut used, mut names) = (0, BTreeSet::new());
    for text in [alerts, dashboard] {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("connectors_") {
                // Exporters of Prometheus add these endings to histograms.
                let name = word.trim_end_matches("_bucket").trim_end_matches("_count");
                assert!(
                    METRICS.iter().any(|it| it.name == name),
                    "{word} is unknown"
                );
                names.insert(name);
                used += 1;
            }
        }
    }
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    println!(
        "metrics: {rows}, in alerts and dashboard: {} ({used} times)",
        names.len()
    );
    assert_eq!(
        names.len(),
        METRICS.len(),
        "a metric is in no alert and no panel"
    );
}
