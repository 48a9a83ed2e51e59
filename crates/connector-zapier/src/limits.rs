//! Rate limits of hooks.
//!
//! See [Zapier docs: Operating constraints](https://docs.zapier.com/integrations/build/operating-constraints)
//! and [Zapier: Rate limits of Webhooks by Zapier](https://help.zapier.com/hc/en-us/articles/29972220283789-Webhooks-by-Zapier-rate-limits):
//! a hook accepts 30 requests per second. Zapier also limits the requests to all hooks of one Zapier user
//! together. The connector does not track this limit. After a 429 response, the session sends no request
//! to the hook for a minute.

use connector_core::http::limit::{Limit, Per};

/// Maximum sustained number of requests per second and hook. Zapier allows 30.
pub(crate) const REQUESTS_PER_SECOND: u32 = 20;
/// Maximum burst size per hook.
const BURST: u32 = 30;
/// Minimum pause for a hook after a 429 response, in seconds.
const PAUSE: u32 = 60;

pub(crate) fn limits(requests_per_second: u32) -> Vec<Limit> {
    let burst = BURST.min(requests_per_second.saturating_mul(2));
    let per_second = f64::from(requests_per_second);
    vec![Limit::bucket("hook", Per::Account, burst, per_second).with_penalty_seconds(PAUSE)]
}
