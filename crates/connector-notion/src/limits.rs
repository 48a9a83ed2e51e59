//! Notion's rate limits.
//!
//! See [Notion docs: Request limits](https://developers.notion.com/reference/request-limits).
//! Notion limits the requests of each connection per 60 seconds, depending on the workspace's plan.
//! A second limit applies to all connections of a workspace together. Responses contain no rate
//! limit headers. After a 429 response, the session waits for the time in `Retry-After` and then
//! reduces its request rate.

use connector_core::http::limit::{Limit, Per};

/// Maximum number of requests per connection and minute: three per second, the limit that Notion
/// documented until 2026. Notion does not publish the limits of each plan.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 180;

pub(crate) fn limits(requests_per_minute: u32) -> Vec<Limit> {
    vec![Limit::window(
        "connection",
        Per::Account,
        requests_per_minute,
        60,
    )]
}
