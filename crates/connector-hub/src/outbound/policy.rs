//! The schedule of attempts, and the decision after an attempt.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use connector_core::Random;
use connector_core::clock::Timestamp;
use connector_core::http::{TransportError, TransportErrorKind, retry_after};
use connector_core::store::OutboundVerdict;
use http::{Response, StatusCode};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Pauses between attempts, as recommended by Standard Webhooks.
const SCHEDULE: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(300),
    Duration::from_secs(1_800),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(10 * 3_600),
];
/// Number of retries after a status that a retry rarely changes, for example 404.
const REJECTED_RETRIES: usize = 2;
/// Minimum pause of an endpoint that is overloaded.
const OVERLOADED: Duration = MINUTE;
/// Minimum of the maximum wait that an endpoint can request with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);
/// Pause after a failure on this side.
const OWN_FAILURE: Duration = MINUTE;

/// Settings for sending webhooks to customers.
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct OutboundPolicy {
    pub(crate) schedule: Vec<Duration>,
    pub(crate) disable_after: Duration,
    pub(crate) warn_at: u32,
    pub(crate) keep_for: Duration,
    pub(crate) max_endpoints: u32,
    pub(crate) timeout: Duration,
    pub(crate) per_tenant: u16,
    pub(crate) per_endpoint: u16,
    pub(crate) rate: Option<NonZeroU16>,
}

impl Default for OutboundPolicy {
    fn default() -> Self {
        Self {
            schedule: SCHEDULE.to_vec(),
            disable_after: 5 * DAY,
            warn_at: 4,
            keep_for: 30 * DAY,
            max_endpoints: 100,
            timeout: Duration::from_secs(30),
            per_tenant: 128,
            per_endpoint: 4,
            rate: None,
        }
    }
}

impl OutboundPolicy {
    /// Sets the pauses between attempts. Each pause varies by a fifth in both directions. Default:
    /// 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, which makes eight attempts.
    /// A pause is at most 30 days.
    pub fn with_schedule(mut self, pauses: impl Into<Vec<Duration>>) -> Self {
        self.schedule = pauses.into();
        for pause in &mut self.schedule {
            *pause = (*pause).min(30 * DAY);
        }
        self
    }

    /// Sets the time of continuous failures after which a failed attempt disables an endpoint.
    /// Default: 5 days.
    pub const fn with_disable_after(mut self, time: Duration) -> Self {
        self.disable_after = time;
        self
    }

    /// Sets the number of failed attempts in a row after which a change handler receives
    /// [`Event::EndpointFailing`](connector_core::Event::EndpointFailing). Default: 4.
    pub const fn with_warning_after(mut self, failures: u32) -> Self {
        self.warn_at = failures;
        self
    }

    /// Sets the retention period of messages that are no longer pending. Until then, they can be
    /// replayed, and duplicates are detected. Default: 30 days.
    pub const fn with_retention(mut self, retention: Duration) -> Self {
        self.keep_for = retention;
        self
    }

    /// Sets the maximum number of endpoints of one tenant and provider. Default: 100.
    pub const fn with_max_endpoints(mut self, endpoints: u32) -> Self {
        self.max_endpoints = endpoints;
        self
    }

    /// Sets the maximum time for an attempt, at most 60 seconds. Default: 30 seconds.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(MINUTE);
        self
    }

    /// Sets the maximum number of concurrent attempts per tenant and per endpoint, in all processes
    /// together, at least 1. Default: 128 and 4. An endpoint whose last attempt failed gets one
    /// attempt at a time.
    pub fn with_concurrency(mut self, per_tenant: u16, per_endpoint: u16) -> Self {
        self.per_tenant = per_tenant.max(1);
        self.per_endpoint = per_endpoint.max(1);
        self
    }

    /// Sets the maximum number of requests per second and endpoint, in all processes together.
    /// Default: no limit. Use 20 for hooks of Zapier, which limits each hook.
    ///
    /// To keep the limit without a shared counter, an attempt counts as under way until its share of
    /// the second has passed.
    pub const fn with_rate_per_endpoint(mut self, per_second: NonZeroU16) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Returns the minimum time for which an attempt counts as under way.
    pub(crate) fn minimum(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(self.per_endpoint.into()) / u32::from(rate.get())
        })
    }
}

/// The decision after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: OutboundVerdict,
    pub(super) pause: Option<Duration>,
    /// The stable name of the failure.
    pub(super) error: Option<&'static str>,
}

impl Judgement {
    const fn of(verdict: OutboundVerdict, error: &'static str) -> Self {
        Self {
            verdict,
            pause: None,
            error: Some(error),
        }
    }

    /// The message cannot be sent, because of a failure on this side.
    pub(super) const fn parked(error: &'static str) -> Self {
        Self::of(OutboundVerdict::Parked, error)
    }

    /// The attempt failed on this side.
    pub(super) const fn postponed(error: &'static str) -> Self {
        Self::of(OutboundVerdict::Postponed(OWN_FAILURE), error)
    }
}

/// The attempts so far.
#[derive(Clone, Copy)]
pub(super) struct Tries<'a> {
    /// Number of earlier failed attempts.
    pub(super) count: u32,
    /// The pauses between attempts; empty for a message that is sent once.
    pub(super) schedule: &'a [Duration],
    pub(super) random: &'a dyn Random,
}

impl Tries<'_> {
    /// Returns the pause before the next attempt, if at most `retries` retries are allowed.
    fn pause(self, retries: usize) -> Option<Duration> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        if count >= retries {
            return None;
        }
        let pause = *self.schedule.get(count)?;
        let mut byte = [127];
        // Without randomness, the pause is not varied.
        let _ = self.random.fill(&mut byte);
        Some(pause * 4 / 5 + pause * 2 / 5 * u32::from(byte[0]) / 255)
    }

    fn again(self, error: &'static str, retries: usize) -> Judgement {
        let verdict = match self.pause(retries) {
            Some(pause) => OutboundVerdict::Retry(pause),
            None => OutboundVerdict::Failed,
        };
        Judgement::of(verdict, error)
    }
}

pub(super) fn judge(
    outcome: &Result<Response<Bytes>, TransportError>,
    tries: Tries<'_>,
    now: Timestamp,
) -> Judgement {
    let all = usize::MAX;
    let response = match outcome {
        Ok(response) => response,
        Err(error) => {
            return match error.kind() {
                TransportErrorKind::AddressRefused => {
                    Judgement::of(OutboundVerdict::Failed, "address_refused")
                }
                TransportErrorKind::Connect => tries.again("connect", all),
                TransportErrorKind::Timeout => tries.again("timeout", all),
                TransportErrorKind::Broken => tries.again("connection", all),
                TransportErrorKind::Answer => tries.again("response", all),
                TransportErrorKind::Busy => Judgement::postponed("busy"),
                _ => Judgement::postponed("transport"),
            };
        }
    };
    let status = response.status();
    match status.as_u16() {
        200..=299 => Judgement {
            verdict: OutboundVerdict::Delivered,
            pause: None,
            error: None,
        },
        300..=399 => Judgement::of(OutboundVerdict::Failed, "redirect"),
        410 => Judgement::of(OutboundVerdict::Gone, "gone"),
        413 => Judgement::of(OutboundVerdict::Failed, "too_large"),
        408 | 409 | 425 | 429 | 500.. => {
            let mut judgement = tries.again("status", all);
            let stated = retry_after(status, response.headers(), response.body(), now);
            let is_overloaded = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            if let OutboundVerdict::Retry(base) = judgement.verdict {
                let most = (base * 2).max(MAX_RETRY_AFTER);
                let least = if is_overloaded {
                    OVERLOADED
                } else {
                    Duration::ZERO
                };
                let wait = stated.map_or(base, |it| it.clamp(base, most)).max(least);
                judgement.verdict = OutboundVerdict::Retry(wait);
            }
            if is_overloaded || stated.is_some() {
                let pause = stated.unwrap_or_default().min(HOUR).max(OVERLOADED);
                judgement.pause = Some(pause);
            }
            judgement
        }
        _ => tries.again("status", REJECTED_RETRIES),
    }
}
