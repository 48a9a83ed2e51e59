//! Airtable's rate limits: 5 requests per second to one base, and 50 per second of one user.
//!
//! See [Airtable docs: Rate limits](https://airtable.com/developers/web/api/rate-limits). The
//! limiter enforces both limits as sliding windows. Bursts must be avoided, because Airtable blocks
//! calls for 30 seconds after the limit is exceeded.

use connector_core::http::limit::{Draw, Draws, Limit, Per, RateModel};

use crate::models::BaseId;

/// Delay after the limit is exceeded, in seconds. No response header contains it.
pub(crate) const PENALTY: u32 = 30;
const BASE: &str = "base";

/// Returns the limits. Airtable documents the limit of 50 requests only for personal access tokens.
/// The limiter also applies it to OAuth grants.
pub(crate) fn limits() -> Vec<Limit> {
    let window = |requests| RateModel::Window {
        requests,
        seconds: 1,
    };
    vec![
        Limit::new(BASE, Per::Resource, window(5)).with_penalty_seconds(PENALTY),
        Limit::new("user", Per::Account, window(50)).with_penalty_seconds(PENALTY),
    ]
}

/// Returns the limits that a call to `base` counts toward.
pub(crate) fn draws(base: &BaseId) -> Draws {
    Draws::default().with(Draw::new(BASE).with_key(base.as_str().to_owned()))
}
