//! Airtable's rate limits: 5 requests per second to one base, and 50 per second of one user.
//!
//! See [Airtable docs: Rate limits](https://airtable.com/developers/web/api/rate-limits). Both are
//! windows here: a refusal costs 30 seconds, so that no burst may exceed either reading of them.

use connector_core::http::limit::{Draw, Draws, Limit, Per, RateModel};

use crate::models::BaseId;

/// The pause after a refusal, in seconds. Airtable states it in no header.
pub(crate) const PENALTY: u32 = 30;
const BASE: &str = "base";

/// The limits. Airtable counts the 50 requests of personal access tokens only; an OAuth grant that
/// reaches ten bases at once stays within them too.
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

/// The draws of a call to `base`.
pub(crate) fn draws(base: &BaseId) -> Draws {
    Draws::default().with(Draw::new(BASE).with_key(base.as_str().to_owned()))
}
