//! Metadata of a shop, read hourly.

use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use connector_core::{Metadata, Result};
use serde::Deserialize;
use serde_json::json;

use crate::endpoints::{ExpectedCost, Operation, fragment};
use crate::limits::Cost;
use crate::models::{AppInstallation, Shop};
use crate::oauth::expand_scopes;
use crate::{ShopifyClient, graphql};

/// The query that identifies a shop and reads its metadata.
pub(crate) const OPERATION: Operation = Operation {
    name: "Identify",
    document: concat!(
        "query Identify { shop { ...Shop } currentAppInstallation { id accessScopes { handle } } }",
        fragment!(Shop)
    ),
    scopes: &[],
    idempotency: Idempotency::Safe,
    cost: ExpectedCost { fixed: 6, each: 0 },
    decode: |response| Identify.decode(response).map(drop),
};

/// Identifies the shop of an access token and reads its metadata.
#[derive(Debug)]
pub(crate) struct Identify;

/// The shop of an access token, and its metadata.
pub(crate) struct Identified {
    pub(crate) shop: Shop,
    pub(crate) facts: Metadata,
}

impl Endpoint for Identify {
    type Client = ShopifyClient;
    type Output = Identified;
    const NAME: &'static str = "Identify";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        Draws::cost(OPERATION.cost.fixed)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(OPERATION.document, json!({}))
    }

    fn decode(&self, response: &mut Response) -> Result<Identified> {
        let (answer, cost) = graphql::data::<Answer>(response)?;
        let facts = facts(&answer, cost.as_ref(), graphql::api_version(response))?;
        let shop = answer.shop;
        Ok(Identified { shop, facts })
    }
}

/// The data in the response to [`OPERATION`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) shop: Shop,
    pub(crate) current_app_installation: AppInstallation,
}

/// Returns the metadata to store, by name.
pub(crate) fn facts(
    answer: &Answer,
    cost: Option<&Cost>,
    api_version: Option<&str>,
) -> Result<Metadata> {
    let Answer {
        shop,
        current_app_installation,
    } = answer;
    let mut facts = Metadata::new();
    facts.insert("name", &shop.name)?;
    facts.insert("email", &shop.email)?;
    facts.insert("contact_email", &shop.contact_email)?;
    facts.insert("domain", &shop.myshopify_domain)?;
    facts.insert("primary_host", &shop.primary_host)?;
    facts.insert("plan", &shop.plan.public_display_name)?;
    facts.insert("partner_development", &shop.plan.partner_development)?;
    facts.insert("shopify_plus", &shop.plan.shopify_plus)?;
    facts.insert("currency", &shop.currency_code)?;
    facts.insert("time_zone", &shop.iana_timezone)?;
    facts.insert("owner", &shop.shop_owner_name)?;
    facts.insert("updated_at", &shop.updated_at.to_string())?;
    let limits = shop.resource_limits;
    facts.insert("location_limit", &limits.location_limit)?;
    facts.insert("product_options_limit", &limits.max_product_options)?;
    facts.insert("product_variants_limit", &limits.max_product_variants)?;
    facts.insert("redirect_limit_reached", &limits.redirect_limit_reached)?;
    let scopes = expand_scopes(&current_app_installation.access_scopes);
    facts.insert("scopes", &scopes)?;
    if let Some(status) = cost.and_then(|cost| cost.throttle_status) {
        facts.insert("cost_limit", &status.maximum_available)?;
        facts.insert("cost_restored_per_second", &status.restore_rate)?;
    }
    if let Some(version) = api_version {
        facts.insert("api_version", version)?;
    }
    Ok(facts)
}
