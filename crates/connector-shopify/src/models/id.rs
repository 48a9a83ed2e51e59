//! Ids: `gid://shopify/<type>/<number>` in GraphQL, plain numbers in webhooks.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

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

id! {
    /// The id of a shop. The id stays the same if the shop's domains change.
    ShopId, "Shop"
}
id! {
    /// The id of a product.
    ProductId, "Product"
}
id! {
    /// The id of a variant of a product.
    ProductVariantId, "ProductVariant"
}
id! {
    /// The id of a webhook subscription.
    WebhookSubscriptionId, "WebhookSubscription"
}
id! {
    /// The id of an app installation in a shop.
    AppInstallationId, "AppInstallation"
}
