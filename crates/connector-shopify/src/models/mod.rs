//! Data types of Shopify's responses. Unknown fields are ignored, and unknown enumeration values
//! are kept as text.

mod app;
mod id;
mod product;
mod shop;
mod webhook;

use std::fmt;

use connector_core::clock::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

pub use self::app::AppInstallation;
pub use self::id::{
    AppInstallationId, InvalidId, ProductId, ProductVariantId, ShopId, WebhookSubscriptionId,
};
pub use self::product::{Product, ProductStatus, ProductVariant, SelectedOption};
pub use self::shop::{Plan, ResourceLimits, Shop};
pub use self::webhook::{WebhookFormat, WebhookSubscription};

/// An amount of money as decimal text, in the shop's currency. The amount is never converted to a
/// floating-point number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(String);

impl Money {
    /// Returns the amount, for example `19.90`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Deserializes a time in Shopify's format (ISO 8601 with an offset).
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    struct Time;

    impl Visitor<'_> for Time {
        type Value = Timestamp;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an RFC 3339 time")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
            Timestamp::parse(text).ok_or_else(|| E::custom("not an RFC 3339 time"))
        }
    }

    deserializer.deserialize_str(Time)
}
