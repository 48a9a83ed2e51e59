//! Notion's rate limits.
//!
//! See [Notion docs: Request limits](https://developers.notion.com/reference/request-limits). Notion
//! counts the requests of a connection in windows of 60 seconds, by the workspace's plan, and those of
//! all connections of a workspace together. It publishes no headers: after a refusal `Retry-After`
//! says how long to wait, and the session goes on more slowly.

use connector_core::http::limit::{Limit, Per};

/// The requests of a connection in a minute, while the figures by plan are not published: three per
/// second, as Notion documented until 2026.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 180;

pub(crate) fn limits(requests_per_minute: u32) -> Vec<Limit> {
    vec![Limit::window(
        "connection",
        Per::Account,
        requests_per_minute,
        60,
    )]
}
