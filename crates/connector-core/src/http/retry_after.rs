//! Parser for the wait time that a provider requests before the next request.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::json;

/// Maximum wait. Longer waits are clamped to this value, so that a hostile or wrong value cannot
/// block an account for longer.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);
/// Numbers above this many seconds (the year 2001) are Unix times, not waits.
const UNIX_SECONDS: f64 = 1e9;
/// Numbers above this value are Unix times in milliseconds.
const UNIX_MILLIS: f64 = 1e12;
/// Maximum length of a body that is searched for `retry_after`.
const MAX_BODY: usize = 64 * 1024;

/// Headers with a wait in milliseconds, used by Microsoft and others.
const MILLIS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];
/// Headers with the end of the window, in seconds, as a Unix time or as a date. `reset-after` is
/// used by Discord, in seconds.
const RESETS: [&str; 5] = [
    "x-ratelimit-reset-after",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "ratelimit-reset",
    "x-ratelimit-reset-requests",
];
const REMAINING: [&str; 3] = [
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "ratelimit-remaining",
];
/// JSON pointers to a wait in seconds: Discord, Telegram, and error objects.
const BODY_SECONDS: [&str; 3] = [
    "/retry_after",
    "/error/retry_after",
    "/parameters/retry_after",
];
const BODY_MILLIS: [&str; 2] = ["/retry_after_ms", "/error/retry_after_ms"];

/// Returns the wait that the response requests before the next request, if it contains one. At most
/// 24 hours. Fractions of a second are rounded up.
///
/// Returns the longest wait from the following sources:
/// * `Retry-After` (RFC 9110 section 10.2.3): whole or decimal seconds, a duration with units
///   (`6m0s`, `20ms`), or a date in the format of RFC 3339 or in one of the three formats of
///   RFC 9110 section 5.6.7. A date in the past is a wait of zero.
/// * `Retry-After-Ms` and `x-ms-retry-after-ms`, in milliseconds.
/// * `retry_after` (seconds) or `retry_after_ms` in a JSON body of at most 64 KiB.
///
/// Otherwise, if the status is 429 or a `…-remaining` header is zero, returns the wait from
/// `X-RateLimit-Reset` or one of its variants. The value can be a number of seconds, a Unix time in
/// seconds or milliseconds, or a date.
///
/// A negative, infinite or unparsable value is treated as absent.
#[must_use]
pub fn retry_after(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Option<Duration> {
    let stated = headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait(text(value)?, now));
    let millis = MILLIS
        .iter()
        .filter_map(|name| number(text(headers.get(*name)?)?).and_then(from_millis));
    let longest = stated.chain(millis).chain(in_body(body)).max();
    let wait = longest.or_else(|| {
        (status == StatusCode::TOO_MANY_REQUESTS || is_used_up(headers))
            .then(|| resets(headers, now))
            .flatten()
    })?;
    Some(wait.min(MAX_DURATION))
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

fn is_used_up(headers: &HeaderMap) -> bool {
    REMAINING
        .iter()
        .filter_map(|name| number(text(headers.get(*name)?)?))
        .any(|left| left == 0.0)
}

fn resets(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    RESETS
        .iter()
        .filter_map(|name| wait(text(headers.get(*name)?)?, now))
        .max()
}

/// Parses seconds, a Unix time, a date, or a duration with units. Returns the longest of several
/// values that a proxy has joined with commas (RFC 9110 section 5.3).
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    match number(text) {
        Some(number) if number >= UNIX_MILLIS => Some(until(from_millis(number)?, now)),
        Some(number) if number >= UNIX_SECONDS => Some(until(from_seconds(number)?, now)),
        Some(number) => from_seconds(number),
        None => date(text)
            .map(|date| date.since(now))
            .or_else(|| from_units(text))
            .or_else(|| {
                let parts = text.split(',').map(str::trim);
                let waits =
                    parts.map(|part| number(part).map_or_else(|| from_units(part), from_seconds));
                waits.collect::<Option<Vec<_>>>()?.into_iter().max()
            }),
    }
}

/// Parses a duration with units, a format of some APIs: `20ms`, `1s`, `6m0s`, `1h2m`.
fn from_units(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (count, after) = rest.split_at(end);
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number(count)? * unit;
        rest = after;
    }
    (!text.is_empty()).then(|| from_seconds(seconds)).flatten()
}

fn until(since_1970: Duration, now: Timestamp) -> Duration {
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix_seconds(seconds).since(now)
}

/// Parses an HTTP date (RFC 9110 section 5.6.7) or an RFC 3339 date.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    http_date(text).or_else(|| Timestamp::parse(text))
}

/// Parses an HTTP date (RFC 9110 section 5.6.7).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since_1970.as_secs()).ok()?;
    Some(Timestamp::from_unix_seconds(seconds))
}

/// Parses digits with at most one decimal point. Signs and exponents are rejected.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}

fn from_seconds(seconds: f64) -> Option<Duration> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    // A value too large for `Duration` also exceeds the maximum wait.
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

fn from_millis(millis: f64) -> Option<Duration> {
    from_seconds(millis / 1000.0)
}

fn in_body(body: &[u8]) -> Option<Duration> {
    let body = json::without_bom(body);
    // Most bodies do not mention a wait, so they are not parsed.
    if body.len() > MAX_BODY || !body.starts_with(b"{") || !mentions(body, b"retry_after") {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let read = |pointers: &[&str], read: fn(f64) -> Option<Duration>| {
        pointers
            .iter()
            .filter_map(|pointer| match body.pointer(pointer)? {
                Value::Number(number) => read(number.as_f64()?),
                Value::String(text) => read(number(text.trim())?),
                _ => None,
            })
            .max()
    };
    read(&BODY_SECONDS, from_seconds).max(read(&BODY_MILLIS, from_millis))
}

fn mentions(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the counts are what a test shows")]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-20T12:00:00Z").unwrap()
    }

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let wait = retry_after(status, &map, body.as_bytes(), now())?;
        assert_eq!(wait.subsec_nanos(), 0, "whole seconds");
        Some(wait.as_secs())
    }

    #[test]
    fn every_format_of_a_wait_is_parsed_and_bounded() {
        let day = Some(24 * 3600);
        let table = [
            // Retry-After as a number
            (503, "retry-after", "7", Some(7)),
            (503, "retry-after", "0", Some(0)),
            (503, "retry-after", "120.5", Some(121)),
            (503, "retry-after", "0.001", Some(1)),
            (503, "retry-after", "  9\t", Some(9)),
            (503, "retry-after", "99999999", day),
            (503, "retry-after", "99999999999999999999999999999999", day),
            (503, "retry-after", "-5", None),
            (503, "retry-after", "+5", None),
            (503, "retry-after", "inf", None),
            (503, "retry-after", "NaN", None),
            (503, "retry-after", "1e3", None),
            (503, "retry-after", "1.2.3", None),
            (503, "retry-after", "", None),
            (503, "retry-after", "later", None),
            // Retry-After with units, and several values in one line
            (503, "retry-after", "30s", Some(30)),
            (503, "retry-after", "20ms", Some(1)),
            (503, "retry-after", "2m1.5s", Some(122)),
            (503, "retry-after", "1h2m", Some(3720)),
            (503, "retry-after", "99999999999d", day),
            (503, "retry-after", "7, 120.5", Some(121)),
            (503, "retry-after", "7,7", Some(7)),
            (503, "retry-after", "s", None),
            (503, "retry-after", "5 s", None),
            (503, "retry-after", "-5s", None),
            (503, "retry-after", "5s3", None),
            (503, "retry-after", "5y", None),
            (503, "retry-after", "7, later", None),
            (503, "retry-after", ",", None),
            // Retry-After as a date
            (
                503,
                "retry-after",
                "Fri, 20 Nov 2026 12:00:30 GMT",
                Some(30),
            ),
            (
                503,
                "retry-after",
                "Friday, 20-Nov-26 12:00:31 GMT",
                Some(31),
            ),
            (503, "retry-after", "Fri Nov 20 12:00:32 2026", Some(32)),
            (
                503,
                "retry-after",
                " Fri, 20 Nov 2026 12:00:33 GMT ",
                Some(33),
            ),
            (503, "retry-after", "2026-11-20T12:00:34Z", Some(34)),
            (503, "retry-after", "Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            (503, "retry-after", "Fri, 20 Nov 2099 12:00:00 GMT", day),
            (503, "retry-after", "1795176040", Some(40)),
            // milliseconds
            (503, "retry-after-ms", "1500", Some(2)),
            (503, "x-ms-retry-after-ms", "61000", Some(61)),
            (503, "retry-after-ms", "-1", None),
            // the window's end applies only if a limit rejected the call
            (429, "x-ratelimit-reset", "30", Some(30)),
            (429, "x-ratelimit-reset", "1795176050", Some(50)),
            (429, "x-ratelimit-reset", "1795176051000", Some(51)),
            (
                429,
                "x-ratelimit-reset",
                "Fri, 20 Nov 2026 12:00:52 GMT",
                Some(52),
            ),
            (429, "x-ratelimit-reset", "2026-11-20T12:00:53Z", Some(53)),
            (429, "x-ratelimit-reset", "1795175999", Some(0)),
            (429, "x-ratelimit-reset-after", "0.35", Some(1)),
            (429, "x-rate-limit-reset", "54", Some(54)),
            (429, "ratelimit-reset", "55", Some(55)),
            (429, "x-ratelimit-reset-requests", "6m0s", Some(360)),
            (503, "x-ratelimit-reset", "30", None),
            (403, "x-ratelimit-reset", "30", None),
        ];
        for (status, name, value, wait) in table {
            assert_eq!(
                read(status, &[(name, value)], ""),
                wait,
                "{name}: {value:?}"
            );
        }
        println!("forms of a wait in headers: {}", table.len());
        assert!(table.len() > 45);
    }

    /// Headers, a body, and the wait in seconds.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<u64>);

    #[test]
    fn the_longest_of_several_waits_applies() {
        let table: [Case<'_>; 12] = [
            (&[], r#"{"retry_after":64.57}"#, Some(65)),
            (&[], r#"{"retry_after":"12"}"#, Some(12)),
            (&[], r#"{"error":{"retry_after":3}}"#, Some(3)),
            (&[], r#"{"parameters":{"retry_after":4}}"#, Some(4)),
            (&[], r#"{"retry_after_ms":4500}"#, Some(5)),
            (&[], r#"{"retry_after":-4}"#, None),
            (&[], r#"{"retry_after":1e300}"#, Some(24 * 3600)),
            (&[], "\u{feff}{\"retry_after\":6}", Some(6)),
            (&[], r#"{"retry_after":{"retry_after":6}}"#, None),
            (&[("retry-after", "2")], r#"{"retry_after":8}"#, Some(8)),
            (&[("retry-after", "9"), ("retry-after", "3")], "", Some(9)),
            (
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "77")],
                "",
                Some(77),
            ),
        ];
        for (headers, body, wait) in table {
            assert_eq!(read(403, headers, body), wait, "{headers:?} {body}");
        }
        assert_eq!(
            read(
                429,
                &[("retry-after", "2"), ("x-ratelimit-reset", "99")],
                ""
            ),
            Some(2),
            "the end of the window counts only without a stated wait"
        );
        println!("statements of a wait: {}", table.len() + 1);
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_panics_or_exceeds_a_day(
            value in "[ -~]{0,40}", name in 0..7_usize, body: Vec<u8>, status in 100..600_u16,
        ) {
            let names = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-after",
                "x-ratelimit-remaining", "ratelimit-reset", "x-rate-limit-reset"];
            let mut headers = HeaderMap::new();
            headers.insert(names[name], HeaderValue::from_str(&value).unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let wait = retry_after(status, &headers, &body, now());
            prop_assert!(wait.is_none_or(|wait| wait <= MAX_DURATION));
        }

        #[test]
        fn any_json_body_is_read_without_a_panic(number: f64, text in "\\PC{0,12}") {
            for body in [
                format!(r#"{{"retry_after":{number:e}}}"#),
                serde_json::json!({ "retry_after": text }).to_string(),
            ] {
                let wait = retry_after(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes(), now());
                prop_assert!(wait.is_none_or(|wait| wait <= MAX_DURATION));
            }
        }
    }
}
