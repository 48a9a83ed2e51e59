//! Ids: `gid://shopify/<type>/<number>` in GraphQL, plain numbers in webhooks.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The error for a string that is not an id of the expected type. The error does not contain the
/// text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId {
    kind: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind;
        write!(f, "the id must have the form gid://shopify/{kind}/<number>")
    }
}

impl std::error::Error for InvalidId {}

fn number(kind: &'static str, text: &str) -> Result<u64, InvalidId> {
    text.strip_prefix("gid://shopify/")
        .and_then(|rest| rest.strip_prefix(kind))
        .and_then(|rest| rest.strip_prefix('/'))
        // Some ids have parameters after the number.
        .map(|rest| rest.split_once('?').map_or(rest, |(digits, _)| digits))
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or(InvalidId { kind })
}

struct IdVisitor(&'static str);

impl Visitor<'_> for IdVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id of the form gid://shopify/{}/<number>", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        number(self.0, text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// Serialized as a global id. Deserialized from a global id or a number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Creates the id with the given number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Returns the number, which webhooks use as the id. It may exceed 2^53.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("gid://shopify/", $kind, "/{}"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                number($kind, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(IdVisitor($kind)).map(Self)
            }
        }
    };
}

/// Defines the ids of several types. The doc comment of each id names its type.
macro_rules! ids {
    ($($name:ident $kind:literal $what:literal),* $(,)?) => { $(
        id! {
            #[doc = concat!("The id of ", $what, ".")]
            $name, $kind
        }
    )* };
}

ids! {
    ShopId "Shop" "a shop. The id stays the same if the shop's domains change",
    AppId "App" "an app",
    AppInstallationId "AppInstallation" "an app installation in a shop",
    AppSubscriptionId "AppSubscription" "a recurring charge of the app",
    BulkOperationId "BulkOperation" "a bulk operation",
    CollectionId "Collection" "a collection of products",
    CustomerId "Customer" "a customer",
    DraftOrderId "DraftOrder" "a draft order",
    FulfillmentId "Fulfillment" "a fulfilment",
    FulfillmentOrderId "FulfillmentOrder" "a fulfilment order",
    FulfillmentOrderLineItemId "FulfillmentOrderLineItem" "a line of a fulfilment order",
    InventoryAdjustmentGroupId "InventoryAdjustmentGroup" "a set of inventory changes",
    InventoryItemId "InventoryItem" "an inventory item",
    InventoryLevelId "InventoryLevel" "the stock of an inventory item at a location",
    LineItemId "LineItem" "a line of an order",
    LocationId "Location" "a location",
    MetafieldId "Metafield" "a metafield",
    MetaobjectId "Metaobject" "a metaobject",
    OrderId "Order" "an order",
    ProductId "Product" "a product",
    ProductVariantId "ProductVariant" "a variant of a product",
    ProductSetOperationId "ProductSetOperation" "an asynchronous product update",
    RefundId "Refund" "a refund",
    WebhookSubscriptionId "WebhookSubscription" "a webhook subscription",
}

/// The id of a resource of any type, for example of the owner of a metafield.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GlobalId(String);

impl GlobalId {
    /// Returns the id as text: `gid://shopify/<type>/<number>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the type, for example `Product`; `None` if the text has another form.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("gid://shopify/")?;
        rest.split_once('/').map(|(kind, _)| kind)
    }
}

impl<T: fmt::Display> From<T> for GlobalId {
    /// Creates the id from a typed id or from its text.
    fn from(id: T) -> Self {
        Self(id.to_string())
    }
}
