//! The rate limits of hooks.
//!
//! See [Zapier docs: Operating constraints](https://docs.zapier.com/integrations/build/operating-constraints)
//! and [Zapier: Rate limits of Webhooks by Zapier](https://help.zapier.com/hc/en-us/articles/29972220283789-Webhooks-by-Zapier-rate-limits):
//! a hook takes 30 requests in a second. Zapier also counts the requests to all hooks of one of its
//! users, which is not known beforehand. After a refusal, a hook rests for a minute.

use connector_core::http::limit::{Limit, Per};

/// The requests to one hook in a second over a longer time. Zapier allows 30.
pub(crate) const REQUESTS_PER_SECOND: u32 = 20;
/// The requests to one hook at once.
const BURST: u32 = 30;
/// The rest of a hook after a refusal, in seconds.
const REST: u32 = 60;

pub(crate) fn limits(requests_per_second: u32) -> Vec<Limit> {
    let burst = BURST.min(requests_per_second.saturating_mul(2));
    let per_second = f64::from(requests_per_second);
    vec![Limit::bucket("hook", Per::Account, burst, per_second).with_penalty_seconds(REST)]
}
