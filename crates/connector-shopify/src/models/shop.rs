use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{ShopId, time};

/// A shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Shop {
    /// Its id. It stays when the domains change.
    pub id: ShopId,
    /// Its name.
    pub name: String,
    /// The address that Shopify writes to.
    pub email: String,
    /// The address that customers see.
    pub contact_email: String,
    /// The host of its API.
    pub myshopify_domain: String,
    /// The host that customers visit.
    #[serde(rename = "primaryDomain", deserialize_with = "host")]
    pub primary_host: String,
    /// Its plan.
    pub plan: Plan,
    /// Its currency (ISO 4217).
    pub currency_code: String,
    /// Its time zone, as IANA names it.
    pub iana_timezone: String,
    /// Its owner's name.
    pub shop_owner_name: String,
    /// What it may have at most.
    pub resource_limits: ResourceLimits,
    /// When its settings last changed.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// What a shop pays for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Plan {
    /// Its name as Shopify shows it.
    pub public_display_name: String,
    /// True for a developer's shop that sells nothing.
    pub partner_development: bool,
    /// True for Shopify Plus.
    pub shopify_plus: bool,
}

/// What a shop may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceLimits {
    /// Locations.
    pub location_limit: i64,
    /// Options of a product.
    pub max_product_options: i64,
    /// Variants of a product.
    pub max_product_variants: i64,
    /// True if it has as many URL redirects as it may have.
    pub redirect_limit_reached: bool,
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Domain {
        host: String,
    }
    Domain::deserialize(deserializer).map(|domain| domain.host)
}
