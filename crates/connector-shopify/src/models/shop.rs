use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{ShopId, model, time};

model! {
    /// A shop.
    Shop {
        /// The id of the shop. The id stays the same if the shop's domains change.
        id: ShopId,
        /// The name of the shop.
        name: String,
        /// The e-mail address for messages from Shopify.
        email: String,
        /// The e-mail address for customers.
        contact_email: String,
        /// The host of the shop's API.
        myshopify_domain: String,
        /// The host that customers visit.
        #[serde(rename = "primaryDomain", deserialize_with = "host")]
        primary_host: String,
        /// The plan of the shop.
        plan: Plan,
        /// The currency of the shop (ISO 4217).
        currency_code: String,
        /// The IANA time zone of the shop.
        iana_timezone: String,
        /// The name of the shop's owner.
        shop_owner_name: String,
        /// The limits of the shop.
        resource_limits: ResourceLimits,
        /// Time of the last change of the shop's settings.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// The plan of a shop.
    Plan {
        /// The display name of the plan.
        public_display_name: String,
        /// True for a development shop, which cannot sell.
        partner_development: bool,
        /// True for Shopify Plus.
        shopify_plus: bool,
    }
}

model! {
    /// The limits of a shop.
    #[derive(Copy)]
    ResourceLimits {
        /// Maximum number of locations.
        location_limit: i64,
        /// Maximum number of options per product.
        max_product_options: i64,
        /// Maximum number of variants per product.
        max_product_variants: i64,
        /// True if the shop has reached its maximum number of URL redirects.
        redirect_limit_reached: bool,
    }
}

connector_core::provider::open_enum! {
    /// The precision of a count.
    pub enum CountPrecision {
        /// There are at least as many.
        AtLeast = "AT_LEAST",
        /// There are exactly as many.
        Exact = "EXACT",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    /// The number of resources that match a query.
    Count {
        /// The number. Counting stops at the limit of the query.
        count: i64,
        /// The precision of the number.
        precision: CountPrecision,
    }
}

model! {
    /// A version of the Admin API.
    ApiVersion {
        /// The version, for example `2026-10`, or `unstable`.
        handle: String,
        /// The version with its state, for example `2026-10 (Latest)`.
        display_name: String,
        /// True if Shopify supports the version.
        supported: bool,
    }
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Domain {
        host: String,
    }
    Domain::deserialize(deserializer).map(|domain| domain.host)
}
