//! Rate limits in a provider's description.

use std::collections::HashSet;

use http::HeaderName;
use serde::Deserialize;

use crate::http::limit::header::HeaderRule;

/// A rate limit of a provider, with its name, scope and counting model, and the response headers
/// that report its state.
///
/// ```
/// use connector_core::http::limit::{Limit, Per, RateModel};
///
/// let limits: Vec<Limit> = serde_json::from_str(r#"[
///     {
///         "name": "base",
///         "per": "resource",
///         "model": { "bucket": { "capacity": 5, "per_second": 5 } },
///         "penalty_seconds": 30
///     }
/// ]"#)?;
/// let same = Limit::bucket("base", Per::Resource, 5, 5.0).with_penalty_seconds(30);
/// assert_eq!(limits, [same]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limit {
    /// The name of the limit, unique within the description: 1 to 64 lower-case letters, digits,
    /// `-`, `_` and `.`.
    pub name: String,
    /// Scope of the limit, which is the set of calls that the provider counts together.
    pub per: Per,
    /// The counting model.
    pub model: RateModel,
    /// The response headers that report the state of the limit.
    #[serde(default)]
    pub learn: HeaderRule,
    /// Fixed pause after a 429 response, in seconds, for providers whose responses state no wait.
    #[serde(default)]
    pub penalty_seconds: Option<u32>,
}

impl Limit {
    /// Creates a limit without response headers that report its state.
    #[must_use]
    pub fn new(name: impl Into<String>, per: Per, model: RateModel) -> Self {
        Self {
            name: name.into(),
            per,
            model,
            learn: HeaderRule::default(),
            penalty_seconds: None,
        }
    }

    /// Creates a bucket of `capacity` requests that refills by `per_second` requests each second.
    #[must_use]
    pub fn bucket(name: impl Into<String>, per: Per, capacity: u32, per_second: f64) -> Self {
        let model = RateModel::Bucket {
            capacity,
            per_second,
        };
        Self::new(name, per, model)
    }

    /// Creates a limit of `requests` requests in any period of `seconds` seconds.
    #[must_use]
    pub fn window(name: impl Into<String>, per: Per, requests: u32, seconds: u32) -> Self {
        Self::new(name, per, RateModel::Window { requests, seconds })
    }

    /// Creates a bucket of points per account, named `cost`, whose state every response reports.
    #[must_use]
    pub fn cost(capacity: u32, per_second: u32) -> Self {
        let model = RateModel::Cost {
            capacity,
            per_second,
        };
        Self::new("cost", Per::Account, model)
    }

    /// Creates a limit of `most` requests in flight.
    #[must_use]
    pub fn concurrent(name: impl Into<String>, per: Per, most: u32) -> Self {
        Self::new(name, per, RateModel::Concurrent { most })
    }

    /// Sets the response headers that report the state of the limit.
    #[must_use]
    pub fn with_learn(mut self, learn: HeaderRule) -> Self {
        self.learn = learn;
        self
    }

    /// Sets a fixed pause after a 429 response, in seconds.
    #[must_use]
    pub fn with_penalty_seconds(mut self, seconds: u32) -> Self {
        self.penalty_seconds = Some(seconds);
        self
    }

    /// Returns the first invalid field with the reason.
    fn wrong(&self) -> Option<(String, &'static str)> {
        let named = (1..=64).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
        if !named {
            return Some((
                "name".to_owned(),
                "must be 1 to 64 lower-case letters, digits, `-`, `_` and `.`",
            ));
        }
        if let Some((field, reason)) = self.model.wrong() {
            return Some((format!("model.{field}"), reason));
        }
        if let Some((field, reason)) = self.learn.wrong(self.per, self.model) {
            return Some((format!("learn.{field}"), reason));
        }
        match self.penalty_seconds {
            Some(seconds) if !(1..=3600).contains(&seconds) => Some((
                "penalty_seconds".to_owned(),
                "must be 1 to 3600; leave it out for no pause",
            )),
            _ => None,
        }
    }
}

/// Returns the path of the first invalid field of `limits` within the description, and the reason.
pub(crate) fn wrong(limits: &[Limit]) -> Option<(String, &'static str)> {
    const MAX_COUNT: usize = 64;
    if limits.len() > MAX_COUNT {
        return Some(("limits".to_owned(), "lists more than 64 limits"));
    }
    let mut names = HashSet::new();
    limits.iter().enumerate().find_map(|(number, limit)| {
        let (field, reason) = limit.wrong().or_else(|| {
            let again = !names.insert(limit.name.as_str());
            again.then(|| ("name".to_owned(), "is the name of an earlier limit"))
        })?;
        Some((format!("limits[{number}].{field}"), reason))
    })
}

/// Scope of a limit, which is the set of calls that a provider counts together.
///
/// Every limit counts each app registration (client id) separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Per {
    /// All calls of the app registration, for all accounts.
    App,
    /// All calls to one account.
    Account,
    /// The calls of one operation to one account. The key is the operation's name, unless the
    /// operation sets another key.
    Operation,
    /// The calls to one resource of an account, for example a channel or a base. The operation sets
    /// the key.
    Resource,
}

/// The counting model of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RateModel {
    /// A bucket of points whose state every response reports. Capacity, level and rate are learned
    /// from [`Report`](crate::http::limit::Report)s. Until the first report, calls are sent one at
    /// a time.
    Cost {
        /// Capacity in points until a response reports another value.
        capacity: u32,
        /// Points restored each second until a response reports another rate.
        per_second: u32,
    },
    /// A token bucket that refills at a constant rate.
    Bucket {
        /// Capacity in requests or units.
        capacity: u32,
        /// Requests or units restored each second.
        per_second: f64,
    },
    /// A maximum number of requests in any period of this length. A request counts toward the limit
    /// from the time it is sent until one period after its response has arrived. The limit
    /// therefore holds even if the provider's clock differs from ours.
    Window {
        /// Requests or units in one period.
        requests: u32,
        /// Length of the period in seconds.
        seconds: u32,
    },
    /// A maximum number of requests in flight. A request counts toward the limit until its response
    /// has been read.
    Concurrent {
        /// Maximum number of requests in flight.
        most: u32,
    },
    /// A window whose size and length are known only from responses. Until the first response,
    /// calls are sent one at a time. If responses report nothing, the limit delays no calls.
    Learned,
}

impl RateModel {
    /// Returns true if every number is positive, finite and within the supported range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.wrong().is_none()
    }

    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        const MAX_SECONDS: u32 = 31 * 86_400;
        const COUNT: &str = "must be 1 or more";
        let (bad, field, reason) = match *self {
            Self::Cost { capacity: 0, .. } | Self::Bucket { capacity: 0, .. } => {
                (true, "capacity", COUNT)
            }
            Self::Cost { per_second, .. } => (per_second == 0, "per_second", COUNT),
            Self::Bucket { per_second, .. } => (
                !(per_second.is_finite() && (1e-6..=1e9).contains(&per_second)),
                "per_second",
                "must be between 0.000001 and 1000000000",
            ),
            Self::Window { requests: 0, .. } => (true, "requests", COUNT),
            Self::Window { seconds, .. } => (
                !(1..=MAX_SECONDS).contains(&seconds),
                "seconds",
                "must be between 1 and 2678400 (31 days)",
            ),
            Self::Concurrent { most } => (most == 0, "most", COUNT),
            Self::Learned => (false, "", ""),
        };
        bad.then_some((field, reason))
    }
}

/// Returns true if `name` is a valid header name.
pub(super) fn is_header(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}
