//! Rate limits from Amazon's usage plans.
//!
//! See [Amazon docs: Usage plans and rate limits](https://developer-docs.amazon.com/sp-api/docs/usage-plans-and-rate-limits).
//! Each operation has a token bucket per seller. Responses with a success status, 400 or 404 state
//! the current rate; 429 responses do not.

use std::collections::BTreeMap;

use connector_core::http::limit::{Draw, Draws, HeaderRule, Limit, Per};

use crate::endpoints::{OPERATIONS, Plan};

/// Name of the header with the operation's current rate.
const RATE: &str = "x-amzn-ratelimit-limit";
/// Usage plan of every operation in the sandbox: requests per second and burst.
const SANDBOX: (f64, u32) = (5.0, 15);

/// Limits across all sellers of the application: name and requests per second.
///
/// See Amazon docs:
/// [Catalog Items](https://developer-docs.amazon.com/sp-api/docs/catalog-items-api-rate-limits),
/// [Product Type Definitions](https://developer-docs.amazon.com/sp-api/docs/product-type-definitions-api-rate-limits),
/// [Listings Restrictions](https://developer-docs.amazon.com/sp-api/docs/listings-restrictions-api-rate-limits),
/// [Listings Items](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-rate-limits).
const CEILINGS: &[(&str, u32)] = &[
    ("app.get-catalog-item", 250),
    ("app.search-catalog-items", 500),
    ("app.get-definitions-product-type", 100),
    ("app.search-definitions-product-types", 100),
    ("app.get-listings-restrictions", 100),
    ("app.get-listings-item", 100),
    ("app.put-listings-item", 100),
    ("app.delete-listings-item", 100),
    ("app.patch-listings-item", 500),
    ("app.validation-preview", 20),
];

/// Name of the limit per report type. Other applications of the seller share it, and only 429
/// responses reveal it.
pub(crate) const REPORT_TYPE: &str = "report-type";
/// Name of the limit per feed type: `JSON_LISTINGS_FEED` allows five submissions in five minutes.
pub(crate) const FEED_TYPE: &str = "feed-type";

/// Returns the limits for the sandbox or for production.
pub(crate) fn limits(sandbox: bool) -> Vec<Limit> {
    let mut learn = HeaderRule::default();
    learn.rate = Some(RATE.to_owned());
    let plans: BTreeMap<&str, Plan> = OPERATIONS
        .iter()
        .flat_map(|family| family.iter())
        .map(|operation| (operation.plan.name, operation.plan))
        .collect();
    let plans = plans.into_values().map(|plan| {
        let (per_second, burst) = if sandbox {
            SANDBOX
        } else {
            (plan.per_second, plan.burst)
        };
        Limit::bucket(plan.name, Per::Operation, burst, per_second).with_learn(learn.clone())
    });
    let ceilings = CEILINGS
        .iter()
        .map(|(name, rate)| Limit::bucket(*name, Per::App, *rate, f64::from(*rate)));
    // A 429 reduces the rate of the report type as it would reduce the rate of the operation.
    let (per_second, burst) = if sandbox { SANDBOX } else { (0.0167, 15) };
    let types = [
        Limit::bucket(REPORT_TYPE, Per::Resource, burst, per_second),
        Limit::window(FEED_TYPE, Per::Resource, 5, 300),
    ];
    plans.chain(ceilings).chain(types).collect()
}

/// Returns the limits that apply to an operation: its usage plan and a limit of the application.
pub(crate) fn under(plan: Plan, ceiling: &'static str) -> Draws {
    crate::endpoints::draws(plan).with(Draw::new(ceiling))
}
