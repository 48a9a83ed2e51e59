//! Data types of Shopify's responses. Unknown fields are ignored, and unknown enumeration values
//! are kept as text.

mod app;
mod bulk;
mod customer;
mod fulfillment;
mod id;
mod inventory;
mod metafield;
mod order;
mod product;
mod shop;
mod webhook;

use std::fmt;

use connector_core::api::PageCursor;
use connector_core::clock::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

pub use self::app::{
    AppInstallation, AppSubscription, AppSubscriptionStatus, InstalledApp, NewAppSubscription,
};
pub use self::bulk::{
    BulkErrorCode, BulkOperation, BulkStatus, BulkType, StagedParameter, StagedTarget,
};
pub use self::customer::{Address, Customer, CustomerState};
pub use self::fulfillment::{
    Fulfillment, FulfillmentOrder, FulfillmentOrderLineItem, FulfillmentOrderStatus,
    FulfillmentStatus, TrackingInfo,
};
pub use self::id::*;
pub use self::inventory::{
    InventoryAdjustment, InventoryChange, InventoryItem, InventoryLevel, InventoryQuantity,
    Location,
};
pub use self::metafield::{Metafield, Metaobject, MetaobjectField};
pub use self::order::{
    DraftOrder, DraftOrderLineItem, DraftOrderStatus, FinancialStatus, LineItem, Order,
    OrderFulfillmentStatus, Refund, RefundLineItem,
};
pub use self::product::{
    Collection, Media, MediaType, Product, ProductOperation, ProductOption, ProductReference,
    ProductStatus, ProductVariant, SelectedOption, UploadedFile,
};
pub use self::shop::{ApiVersion, Count, CountPrecision, Plan, ResourceLimits, Shop};
pub use self::webhook::{WebhookFormat, WebhookSubscription};
use crate::graphql::Connection;

/// Defines data types of responses: public fields, in Shopify's spelling on the wire. `Debug` of a
/// `private` type shows no field, because the fields are personal data.
macro_rules! model {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    };
    (
        private
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use model;

/// An amount of money as decimal text. The amount is never converted to a floating-point number.
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

impl From<&str> for Money {
    fn from(amount: &str) -> Self {
        Self(amount.to_owned())
    }
}

impl From<String> for Money {
    fn from(amount: String) -> Self {
        Self(amount)
    }
}

/// An amount of money with its currency. Amounts of orders are in the shop's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Price {
    /// The amount.
    pub amount: Money,
    /// The currency (ISO 4217).
    pub currency_code: String,
}

impl Price {
    /// Creates an amount in a currency (ISO 4217).
    pub fn new(amount: impl Into<Money>, currency_code: impl Into<String>) -> Self {
        Self {
            amount: amount.into(),
            currency_code: currency_code.into(),
        }
    }
}

/// The items of a resource that Shopify returned together with it. Further items need a call of
/// their own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Connection<T>", bound = "T: Deserialize<'de>")]
#[non_exhaustive]
pub struct Part<T> {
    /// The first items.
    pub items: Vec<T>,
    /// The cursor after these items; `None` if they are complete.
    pub next: Option<PageCursor>,
}

impl<T> From<Connection<T>> for Part<T> {
    fn from(connection: Connection<T>) -> Self {
        Self {
            next: connection.next(),
            items: connection.nodes,
        }
    }
}

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

/// Deserializes a time in Shopify's format (ISO 8601 with an offset).
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    deserializer.deserialize_str(Time)
}

/// Deserializes a time or null.
fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    struct Maybe;

    impl<'de> Visitor<'de> for Maybe {
        type Value = Option<Timestamp>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an RFC 3339 time or null")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            inner.deserialize_str(Time).map(Some)
        }
    }

    deserializer.deserialize_option(Maybe)
}

/// Deserializes an unsigned 64-bit number, which GraphQL sends as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an unsigned number")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            text.parse()
                .map_err(|_| E::custom("not an unsigned number"))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
    }

    deserializer.deserialize_any(Number)
}

/// Deserializes the id of a reference, which has only an id.
fn id_of<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    struct Reference<T> {
        id: T,
    }
    Reference::deserialize(deserializer).map(|reference| reference.id)
}

/// Deserializes the id of a reference that may be null.
fn maybe_id_of<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    struct Reference<T> {
        id: T,
    }
    let reference = Option::<Reference<T>>::deserialize(deserializer)?;
    Ok(reference.map(|it| it.id))
}

/// Deserializes an amount in the shop's currency.
fn shop_money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bag {
        shop_money: Price,
    }
    Bag::deserialize(deserializer).map(|bag| bag.shop_money)
}
