//! Response headers that report the state of a limit: their description as data, and their parser.

use std::time::Duration;

use http::HeaderMap;
use http::header::DATE;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::http::limit::described::{Per, RateModel, is_header};
use crate::http::limit::{MAX_WAIT, Report};
use crate::http::retry_after::{date, http_date};

/// The response headers that describe one limit. Absent fields are not read. A header that cannot
/// be parsed is treated as absent.
///
/// Values are clamped, so that a header delays a call by at most one hour, or by the described
/// window if the window is longer.
///
/// ```
/// use connector_core::http::limit::HeaderRule;
///
/// // GitHub: x-ratelimit-limit, -remaining, -reset (Unix seconds), for the "core" resource.
/// let rule: HeaderRule = serde_json::from_str(r#"{
///     "limit": "x-ratelimit-limit",
///     "remaining": "x-ratelimit-remaining",
///     "reset": { "header": "x-ratelimit-reset", "format": "unix_seconds" },
///     "when": { "header": "x-ratelimit-resource", "values": ["core"] }
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct HeaderRule {
    /// Header with the number of requests allowed per second. Only for buckets.
    pub rate: Option<String>,
    /// Header with the capacity of the bucket or the number of requests in a window.
    pub limit: Option<String>,
    /// Header with the number of remaining requests.
    pub remaining: Option<String>,
    /// Header with the used and the allowed number of requests, for example `32/40`.
    pub used_of_limit: Option<String>,
    /// Header with the time at which the window resets. Only for windows.
    pub reset: Option<TimeHeader>,
    /// Header with the length of the window. Only for windows.
    pub window: Option<TimeHeader>,
    /// Header with the percentage of the limit that is already used. Only for buckets.
    pub usage: Option<UsageHeader>,
    /// Header with a bucket id that several operations share. The limit is then counted by this id
    /// and by the key that the operation sets. Only for limits per operation or per resource.
    pub bucket: Option<String>,
    /// Condition under which the other headers describe this limit.
    pub when: Option<HeaderMatch>,
    /// Condition under which a 429 response was caused by this limit.
    pub refused: Option<HeaderMatch>,
}

/// A header that contains a time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeHeader {
    /// Header name.
    pub header: String,
    /// Format of the header's value.
    pub format: TimeFormat,
}

impl TimeHeader {
    /// Creates a time header with the given name and format.
    #[must_use]
    pub fn new(header: impl Into<String>, format: TimeFormat) -> Self {
        Self {
            header: header.into(),
            format,
        }
    }
}

/// Format of a time in a header. Numbers may have decimal places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeFormat {
    /// Seconds from now, or the length of a period in seconds.
    Seconds,
    /// Milliseconds from now, or the length of a period in milliseconds.
    Milliseconds,
    /// Seconds since 1970-01-01T00:00:00Z.
    UnixSeconds,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    UnixMilliseconds,
    /// Seconds from now if below 1,000,000,000, otherwise seconds since 1970-01-01T00:00:00Z.
    SecondsOrUnixSeconds,
    /// An HTTP date (RFC 9110 section 5.6.7) or an RFC 3339 date.
    Date,
}

/// A header whose JSON value contains the used percentage of each limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UsageHeader {
    /// Header name.
    pub header: String,
    /// JSON pointers (RFC 6901) to the percentages of the limit that are already used. A segment
    /// `*` matches every member or element. The largest percentage applies.
    pub percent: Vec<String>,
    /// JSON pointer, in the same syntax as `percent`, to the number of minutes until calls are
    /// accepted again.
    #[serde(default)]
    pub regain_minutes: Option<String>,
}

impl UsageHeader {
    /// Creates a usage header with the given name, and JSON pointers to the percentages that are
    /// already used.
    #[must_use]
    pub fn new<S: Into<String>>(
        header: impl Into<String>,
        percent: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            header: header.into(),
            percent: percent.into_iter().map(Into::into).collect(),
            regain_minutes: None,
        }
    }
}

/// A condition that holds if a header has one of the given values. The comparison ignores case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderMatch {
    /// Header name.
    pub header: String,
    /// Accepted values.
    pub values: Vec<String>,
}

impl HeaderMatch {
    /// Creates a condition that holds if the header has one of `values`.
    #[must_use]
    pub fn new<S: Into<String>>(
        header: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            header: header.into(),
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    fn holds(&self, headers: &HeaderMap) -> bool {
        text(headers, &self.header).is_some_and(|found| {
            self.values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(found))
        })
    }
}

/// Maximum length of a header value that is parsed.
const MAX_TEXT: usize = 4096;
/// Maximum length of a bucket id.
const MAX_ID: usize = 128;

impl HeaderRule {
    /// Returns true if the rule reads no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the first field that is invalid for a limit of this scope and model, with the
    /// reason.
    pub(super) fn wrong(&self, per: Per, model: RateModel) -> Option<(String, &'static str)> {
        const NAME: &str = "is not the name of a header";
        let time = |it: &Option<TimeHeader>| it.as_ref().map(|it| it.header.clone());
        let names = [
            ("rate", self.rate.clone()),
            ("limit", self.limit.clone()),
            ("remaining", self.remaining.clone()),
            ("used_of_limit", self.used_of_limit.clone()),
            ("bucket", self.bucket.clone()),
            ("reset.header", time(&self.reset)),
            ("window.header", time(&self.window)),
            (
                "usage.header",
                self.usage.as_ref().map(|it| it.header.clone()),
            ),
            (
                "when.header",
                self.when.as_ref().map(|it| it.header.clone()),
            ),
            (
                "refused.header",
                self.refused.as_ref().map(|it| it.header.clone()),
            ),
        ];
        for (field, name) in names {
            if name.is_some_and(|name| !is_header(&name)) {
                return Some((field.to_owned(), NAME));
            }
        }
        self.wrong_pointer()
            .or_else(|| self.wrong_values())
            .or_else(|| self.wrong_for(per, model))
    }

    fn wrong_pointer(&self) -> Option<(String, &'static str)> {
        const POINTER: &str = "must be a JSON pointer (RFC 6901)";
        let usage = self.usage.as_ref()?;
        if usage.percent.is_empty() {
            return Some(("usage.percent".to_owned(), "names no percentage"));
        }
        let wrong = |pointer: &String| !pointer.starts_with('/');
        if let Some(number) = usage.percent.iter().position(wrong) {
            return Some((format!("usage.percent[{number}]"), POINTER));
        }
        let regain = usage.regain_minutes.as_ref().filter(|it| wrong(it));
        regain.map(|_| ("usage.regain_minutes".to_owned(), POINTER))
    }

    fn wrong_values(&self) -> Option<(String, &'static str)> {
        [("when", &self.when), ("refused", &self.refused)]
            .into_iter()
            .find_map(|(field, condition)| {
                let condition = condition.as_ref()?;
                let empty = condition.values.iter().any(String::is_empty);
                (condition.values.is_empty() || empty)
                    .then(|| (format!("{field}.values"), "lists no values"))
            })
    }

    fn wrong_for(&self, per: Per, model: RateModel) -> Option<(String, &'static str)> {
        let is_bucket = matches!(model, RateModel::Bucket { .. } | RateModel::Cost { .. });
        let is_window = matches!(model, RateModel::Window { .. } | RateModel::Learned);
        let is_concurrent = matches!(model, RateModel::Concurrent { .. });
        let is_length =
            |it: &TimeHeader| matches!(it.format, TimeFormat::Seconds | TimeFormat::Milliseconds);
        let problems = [
            (
                self.rate.is_some() && !is_bucket,
                "rate",
                "is only for the bucket model",
            ),
            (
                self.usage.is_some() && !is_bucket,
                "usage",
                "is only for the bucket model",
            ),
            (
                self.reset.is_some() && !is_window,
                "reset",
                "is only for the window model",
            ),
            (
                self.window.is_some() && !is_window,
                "window",
                "is only for the window model",
            ),
            (
                self.window.as_ref().is_some_and(|it| !is_length(it)),
                "window.format",
                "must be `seconds` or `milliseconds`",
            ),
            (
                self.limit.is_some() && is_concurrent,
                "limit",
                "is only for bucket and window models",
            ),
            (
                self.remaining.is_some() && is_concurrent,
                "remaining",
                "is only for bucket and window models",
            ),
            (
                self.used_of_limit.is_some() && is_concurrent,
                "used_of_limit",
                "is only for bucket and window models",
            ),
            (
                self.used_of_limit.is_some() && self.remaining.is_some(),
                "used_of_limit",
                "has the same meaning as `remaining`; set only one of them",
            ),
            (
                self.bucket.is_some() && matches!(per, Per::App | Per::Account),
                "bucket",
                "is only for limits per operation or per resource",
            ),
        ];
        problems
            .into_iter()
            .find_map(|(bad, field, reason)| bad.then(|| (field.to_owned(), reason)))
    }

    /// Parses the state that `headers`, received at `received`, report about this limit.
    /// Percentages refer to `capacity`.
    pub(crate) fn read(&self, headers: &HeaderMap, received: Timestamp, capacity: f64) -> Report {
        let mut report = Report::new();
        if self.when.as_ref().is_some_and(|when| !when.holds(headers)) {
            return report;
        }
        if let Some(rate) = number(headers, self.rate.as_deref()) {
            report = report.with_rate(rate);
        }
        if let Some(limit) = number(headers, self.limit.as_deref()) {
            report = report.with_capacity(limit);
        }
        if let Some(remaining) = number(headers, self.remaining.as_deref()) {
            report = report.with_available(remaining.max(0.0));
        }
        if let Some((used, limit)) = self.used_of_limit.as_deref().and_then(|name| {
            let (used, limit) = text(headers, name)?.split_once('/')?;
            Some((finite(used)?, finite(limit)?))
        }) {
            report = report
                .with_capacity(limit)
                .with_available((limit - used).max(0.0));
        }
        if let Some(reset) = self
            .reset
            .as_ref()
            .and_then(|it| it.read(headers, received))
        {
            report = report.with_reset(reset);
        }
        if let Some(window) = self
            .window
            .as_ref()
            .and_then(|it| it.read(headers, received))
        {
            report = report.with_window(window);
        }
        match &self.usage {
            Some(usage) => usage.read(headers, capacity, report),
            None => report,
        }
    }

    /// Returns the provider's bucket id for the call, if the rule names a header for it.
    pub(crate) fn bucket<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let id = text(headers, self.bucket.as_deref()?)?;
        let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some(id)
    }

    /// Returns true if the headers state that this limit rejected the call.
    pub(crate) fn refused(&self, headers: &HeaderMap) -> bool {
        self.refused.as_ref().is_some_and(|it| it.holds(headers))
    }
}

impl TimeHeader {
    fn read(&self, headers: &HeaderMap, received: Timestamp) -> Option<Duration> {
        let text = text(headers, &self.header)?;
        let from_unix = |millis: f64| {
            // Uses the provider's clock if the response has a date, which compensates for clock
            // differences.
            let now = text_date(headers).unwrap_or(received);
            let millis = millis.clamp(0.0, 1e16) - as_f64(now.as_unix_millis());
            from_millis(millis.max(0.0))
        };
        match self.format {
            TimeFormat::Seconds => Some(from_millis(finite(text)? * 1000.0)),
            TimeFormat::Milliseconds => Some(from_millis(finite(text)?)),
            TimeFormat::UnixSeconds => Some(rounded_up(from_unix(finite(text)? * 1000.0), text)),
            TimeFormat::UnixMilliseconds => Some(from_unix(finite(text)?)),
            TimeFormat::SecondsOrUnixSeconds => {
                let value = finite(text)?;
                Some(if value < 1e9 {
                    from_millis(value * 1000.0)
                } else {
                    rounded_up(from_unix(value * 1000.0), text)
                })
            }
            TimeFormat::Date => {
                let at = date(text)?;
                Some(rounded_up(from_unix(as_f64(at.as_unix_millis())), text))
            }
        }
    }
}

/// Rounds a wait up. A time in whole seconds may have been rounded down by up to one second, so
/// this adds 2 % of the wait, at most one second.
fn rounded_up(wait: Duration, text: &str) -> Duration {
    if text.contains('.') {
        return wait;
    }
    wait.saturating_add((wait / 50).min(Duration::from_secs(1)))
}

impl UsageHeader {
    fn read(&self, headers: &HeaderMap, capacity: f64, mut report: Report) -> Report {
        let value = text(headers, &self.header).and_then(|it| serde_json::from_str(it).ok());
        let Some(value) = value else {
            return report;
        };
        let largest = |pointers: &mut dyn Iterator<Item = &String>| {
            let mut found: Option<f64> = None;
            for pointer in pointers {
                visit(&value, pointer, &mut |number| {
                    found = Some(found.map_or(number, |most| most.max(number)));
                });
            }
            found
        };
        if let Some(percent) = largest(&mut self.percent.iter()) {
            let left = 1.0 - percent.clamp(0.0, 100.0) / 100.0;
            report = report.with_available(capacity * left);
        }
        let minutes = largest(&mut self.regain_minutes.iter());
        if let Some(minutes) = minutes.filter(|it| *it > 0.0) {
            report = report.with_hold(from_millis(minutes * 60_000.0));
        }
        report
    }
}

/// Calls `found` with every finite number at `pointer`.
fn visit(value: &Value, pointer: &str, found: &mut dyn FnMut(f64)) {
    let Some(rest) = pointer.strip_prefix('/') else {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => finite(text),
            _ => None,
        };
        if let Some(number) = number.filter(|it| it.is_finite()) {
            found(number);
        }
        return;
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (segment, rest) = rest.split_at(end);
    match value {
        Value::Object(members) if segment == "*" => {
            for member in members.values() {
                visit(member, rest, found);
            }
        }
        Value::Array(elements) if segment == "*" => {
            for element in elements {
                visit(element, rest, found);
            }
        }
        Value::Object(members) => {
            let name = segment.replace("~1", "/").replace("~0", "~");
            if let Some(member) = members.get(&name) {
                visit(member, rest, found);
            }
        }
        Value::Array(elements) => {
            if let Some(element) = segment.parse().ok().and_then(|at: usize| elements.get(at)) {
                visit(element, rest, found);
            }
        }
        _ => {}
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (1..=MAX_TEXT).contains(&text.len()).then_some(text)
}

fn number(headers: &HeaderMap, name: Option<&str>) -> Option<f64> {
    finite(text(headers, name?)?)
}

/// Parses a finite number. For a list, parses the first element without its RFC 8941 parameters
/// (`100, 100;w=60`).
fn finite(text: &str) -> Option<f64> {
    let first = text.split([',', ';']).next()?.trim();
    first.parse().ok().filter(|it: &f64| it.is_finite())
}

fn text_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?.trim())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "current timestamps in milliseconds fit into 53 bits"
)]
fn as_f64(millis: i64) -> f64 {
    millis as f64
}

/// Converts milliseconds to a wait between zero and one day.
fn from_millis(millis: f64) -> Duration {
    let longest = MAX_WAIT.as_secs_f64() * 24.0;
    Duration::from_secs_f64((millis / 1000.0).clamp(0.0, longest))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "date"];

    /// Returns a rule that reads every header, with times in `format`.
    fn rule(format: TimeFormat) -> HeaderRule {
        let name = |it: &str| Some(it.to_owned());
        HeaderRule {
            rate: name("a"),
            limit: name("b"),
            remaining: name("c"),
            used_of_limit: name("d"),
            reset: Some(TimeHeader::new("e", format)),
            window: Some(TimeHeader::new("a", TimeFormat::Milliseconds)),
            usage: Some(UsageHeader {
                regain_minutes: name("/*/*"),
                ..UsageHeader::new("b", ["/*", "/x/0", "/"])
            }),
            bucket: name("c"),
            when: None,
            refused: Some(HeaderMatch::new("d", ["x"])),
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![
            any::<f64>().prop_map(|it| it.to_string()),
            any::<i64>().prop_map(|it| it.to_string()),
            (any::<f64>(), any::<f64>()).prop_map(|(used, limit)| format!("{used}/{limit}")),
            "[-+0-9.eE/;,= ]{0,24}",
        ];
        let json = any::<f64>().prop_map(|it| format!(r#"{{"x":[{it},{{"y":"{it}"}}],"":{it}}}"#));
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            number.prop_map(String::into_bytes),
            json.prop_map(String::into_bytes),
            "(Sun|Fri), [0-9]{2} Nov [0-9]{4} [0-9:]{8} GMT".prop_map(String::into_bytes),
            "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn any_header_bytes_are_parsed_within_range_without_a_panic(
            values in prop::collection::vec(bytes(), NAMES.len()),
            format in prop::sample::select(vec![
                TimeFormat::Seconds,
                TimeFormat::Milliseconds,
                TimeFormat::UnixSeconds,
                TimeFormat::UnixMilliseconds,
                TimeFormat::SecondsOrUnixSeconds,
                TimeFormat::Date,
            ]),
            received in any::<i64>(),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in NAMES.iter().zip(&values) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
            let rule = rule(format);
            let report = rule.read(&headers, Timestamp::from_unix_millis(received), 100.0);
            for figure in [report.available, report.requested, report.actual].into_iter().flatten() {
                prop_assert!((0.0..=1e9).contains(&figure));
            }
            prop_assert!(report.capacity.is_none_or(|it| (1.0..=1e9).contains(&it)));
            prop_assert!(report.per_second.is_none_or(|it| (1.0 / 3600.0..=1e9).contains(&it)));
            prop_assert!(report.hold.is_none_or(|it| it <= MAX_WAIT));
            let day = MAX_WAIT * 24;
            prop_assert!(report.reset.is_none_or(|it| it <= day + Duration::from_secs(1)));
            prop_assert!(report.window.is_none_or(|it| !it.is_zero() && it <= day));
            prop_assert!(rule.bucket(&headers).is_none_or(|it| (1..=MAX_ID).contains(&it.len())));
            let _ = rule.refused(&headers);
        }
    }
}
