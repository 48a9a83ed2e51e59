use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{ShopId, time};

/// A shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Shop {
    /// The id of the shop. The id stays the same if the shop's domains change.
    pub id: ShopId,
    /// The name of the shop.
    pub name: String,
    /// The e-mail address for messages from Shopify.
    pub email: String,
    /// The e-mail address for customers.
    pub contact_email: String,
    /// The host of the shop's API.
    pub myshopify_domain: String,
    /// The host that customers visit.
    #[serde(rename = "primaryDomain", deserialize_with = "host")]
    pub primary_host: String,
    /// The plan of the shop.
    pub plan: Plan,
    /// The currency of the shop (ISO 4217).
    pub currency_code: String,
    /// The IANA time zone of the shop.
    pub iana_timezone: String,
    /// The name of the shop's owner.
    pub shop_owner_name: String,
    /// The limits of the shop.
    pub resource_limits: ResourceLimits,
    /// Time of the last change of the shop's settings.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// The plan of a shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Plan {
    /// The display name of the plan.
    pub public_display_name: String,
    /// True for a development shop, which cannot sell.
    pub partner_development: bool,
    /// True for Shopify Plus.
    pub shopify_plus: bool,
}

/// The limits of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceLimits {
    /// Maximum number of locations.
    pub location_limit: i64,
    /// Maximum number of options per product.
    pub max_product_options: i64,
    /// Maximum number of variants per product.
    pub max_product_variants: i64,
    /// True if the shop has reached its maximum number of URL redirects.
    pub redirect_limit_reached: bool,
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Domain {
        host: String,
    }
    Domain::deserialize(deserializer).map(|domain| domain.host)
}
