//! Request limits per tenant.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use connector_core::TenantId;
use connector_core::clock::Monotonic;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::seconds;

/// Maximum number of tenants whose requests are counted at the same time.
const MAX_TENANTS: usize = 10_000;

/// A number of requests per time window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) requests: u32,
    pub(crate) window: Duration,
}

/// The limit that a route counts toward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LimitClass {
    Connect,
    Callback,
}

impl LimitClass {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Callback => "callback",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Monotonic,
    lasts: Duration,
    used: u32,
}

/// Counts requests in windows that begin with a tenant's first request.
#[derive(Debug, Default)]
pub(crate) struct RequestLimits {
    windows: Mutex<HashMap<(LimitClass, TenantId), Window>>,
}

/// The state of a limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    class: LimitClass,
    quota: Quota,
    pub(crate) allowed: bool,
    remaining: u32,
    pub(crate) reset: Duration,
}

impl RequestLimits {
    /// Counts a request, and returns whether it is within the limit.
    pub(crate) fn count(
        &self,
        class: LimitClass,
        quota: Quota,
        tenant: &TenantId,
        now: Monotonic,
    ) -> Usage {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (class, tenant.clone());
        if windows.len() >= MAX_TENANTS && !windows.contains_key(&key) {
            windows.retain(|_, it| now.since(it.began) < it.lasts);
            if windows.len() >= MAX_TENANTS {
                let oldest = windows.iter().min_by_key(|(_, it)| it.began);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    windows.remove(&oldest);
                }
            }
        }
        let new = Window {
            began: now,
            lasts: quota.window,
            used: 0,
        };
        let window = windows.entry(key).or_insert(new);
        if now.since(window.began) >= quota.window {
            *window = new;
        }
        let allowed = window.used < quota.requests;
        window.used += u32::from(allowed);
        Usage {
            class,
            quota,
            allowed,
            remaining: quota.requests - window.used,
            reset: quota.window.saturating_sub(now.since(window.began)),
        }
    }
}

impl Usage {
    /// Adds `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), and the
    /// older `X-RateLimit-*`.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let (name, limit) = (self.class.name(), self.quota.requests);
        let (remaining, reset) = (self.remaining, seconds(self.reset));
        let window = seconds(self.quota.window);
        for (name, value) in [
            (
                "ratelimit-policy",
                format!("\"{name}\";q={limit};w={window}"),
            ),
            ("ratelimit", format!("\"{name}\";r={remaining};t={reset}")),
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_its_quota_and_memory_is_bounded() {
        let limits = RequestLimits::default();
        let quota = Quota {
            requests: 2,
            window: Duration::from_secs(60),
        };
        let now = Monotonic::new(Duration::from_secs(100));
        let count = |tenant: &str, now| {
            let tenant = TenantId::new(tenant).unwrap();
            limits.count(LimitClass::Connect, quota, &tenant, now)
        };
        assert!(count("a", now).allowed && count("a", now).allowed);
        let refused = count("a", now.after(Duration::from_secs(20)));
        assert!(!refused.allowed);
        assert_eq!(refused.reset, Duration::from_secs(40));
        assert!(count("b", now).allowed);
        assert!(count("a", now.after(Duration::from_secs(60))).allowed);
        for tenant in 0..MAX_TENANTS + 100 {
            count(&format!("t{tenant}"), now);
        }
        assert_eq!(limits.windows.lock().unwrap().len(), MAX_TENANTS);
    }
    #[test]
    fn a_full_table_keeps_the_windows_of_another_class_that_have_not_ended() {
        let limits = RequestLimits::default();
        let quota = |requests, seconds| Quota {
            requests,
            window: Duration::from_secs(seconds),
        };
        let now = Monotonic::new(Duration::from_secs(100));
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let connects = |now| {
            let hourly = quota(1, 3600);
            limits.count(LimitClass::Connect, hourly, &tenant("a"), now)
        };
        assert!(connects(now).allowed);
        for other in 0..MAX_TENANTS - 1 {
            let tenant = tenant(&format!("t{other}"));
            limits.count(LimitClass::Callback, quota(1, 60), &tenant, now);
        }
        // The callbacks' windows have ended, the one of the connect flow has not.
        let later = now.after(Duration::from_secs(61));
        limits.count(LimitClass::Callback, quota(1, 60), &tenant("b"), later);
        assert!(!connects(later).allowed);
    }
}
