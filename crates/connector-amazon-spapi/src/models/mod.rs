//! Data types of requests and responses.
//!
//! Amazon's responses omit fields that its models require, contain nulls, and use values that no
//! model lists. For this reason, every field is optional or empty by default. Unknown enumeration
//! values are kept, and unknown fields are kept in `other`. Serializing a response reproduces its
//! content, except that nulls and empty lists may be omitted.

#[cfg(feature = "catalog")]
pub mod catalog;
#[cfg(feature = "data-kiosk")]
pub mod data_kiosk;
#[cfg(feature = "feeds")]
pub mod feed;
#[cfg(feature = "finances")]
pub mod finance;
#[cfg(feature = "inventory")]
pub mod inventory;
#[cfg(feature = "listings")]
pub mod listing;
#[cfg(feature = "notifications")]
pub mod notification;
#[cfg(feature = "orders")]
pub mod order;
#[cfg(feature = "orders")]
pub mod order_v0;
#[cfg(feature = "pricing")]
pub mod price;
#[cfg(feature = "pricing")]
pub mod price_v0;
#[cfg(feature = "product-types")]
pub mod product_type;
#[cfg(feature = "reports")]
pub mod report;
#[cfg(feature = "listings")]
pub mod restriction;
pub mod seller;
pub mod token;
#[cfg(feature = "uploads")]
pub mod upload;

use std::fmt;

use connector_core::api::{Page, PageCursor, Response};
use connector_core::clock::Timestamp;
use connector_core::{ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize};

/// Response fields that this version does not recognize.
pub type Other = serde_json::Map<String, serde_json::Value>;

/// A time in a request: a [`Timestamp`], or a string that is sent unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time(String);

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time.to_string())
    }
}

impl From<&str> for Time {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Time {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A decimal number, which Amazon serializes as a string or as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Decimal {
    /// A string.
    Text(String),
    /// A number.
    Number(serde_json::Number),
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Deserializes a value. A null is read as the default value.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Returns true if a field was absent, null or empty.
pub(crate) fn is_absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Defines types of JSON objects. Every field has a default, and unknown members are kept in
/// `other`. Member names are in `camelCase`; `["PascalCase"]` after the type name changes the case.
macro_rules! model {
    (@one [] $($rest:tt)*) => {
        $crate::models::model! { @one ["camelCase"] $($rest)* }
    };
    (@one [$case:literal]
        $(#[$meta:meta])*
        $name:ident { $(
            $(#[$field_meta:meta])*
            $field:ident: $type:ty
        ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = $case)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(
                    default,
                    deserialize_with = "crate::models::null_as_default",
                    skip_serializing_if = "crate::models::is_absent"
                )]
                pub $field: $type,
            )*
            /// Members that this version does not know.
            #[serde(flatten)]
            pub other: $crate::models::Other,
        }
    };
    ($(
        $(#[$meta:meta])*
        $name:ident $([$case:literal])? { $($fields:tt)* }
    )*) => { $(
        $crate::models::model! { @one [$($case)?] $(#[$meta])* $name { $($fields)* } }
    )* };
}
pub(crate) use model;

/// Defines string enumerations. An unknown string is kept in `Unknown`.
macro_rules! texts {
    ($(
        $(#[$meta:meta])*
        $name:ident { $(
            $(#[$variant_meta:meta])*
            $variant:ident = $text:literal
        ),* $(,)? }
    )*) => { $(
        connector_core::provider::open_enum! {
            $(#[$meta])*
            pub enum $name {
                $(
                    $(#[$variant_meta])*
                    #[doc = concat!("`", $text, "`.")]
                    $variant = $text,
                )*
            } else
            /// A value that this version does not know.
            Unknown
        }
    )* };
}
pub(crate) use texts;

model! {
    /// An error in a response.
    ApiError {
        /// The error code. Amazon does not publish a complete list, so handle errors by status.
        code: Option<String>,
        /// The message for developers.
        message: Option<String>,
        /// Details, often empty.
        details: Option<String>,
    }

    /// Tokens of the next and the previous page.
    Pagination {
        /// The token of the next page.
        next_token: Option<String>,
        /// The token of the previous page.
        previous_token: Option<String>,
    }
}

/// Response envelope of the older APIs, with the data in `payload` and the errors next to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
#[non_exhaustive]
pub struct Payload<T> {
    /// The data.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub payload: Option<T>,
    /// Errors.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub errors: Vec<ApiError>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Other,
}

const fn none<T>() -> Option<T> {
    None
}

impl<T> Payload<T> {
    /// Returns the data of the response.
    pub(crate) fn data(self, response: &Response) -> Result<T> {
        data(self.payload, response)
    }
}

/// Returns the data of a successful response; an error if there is none.
pub(crate) fn data<T>(data: Option<T>, response: &Response) -> Result<T> {
    data.ok_or_else(|| {
        response.error(
            ErrorKind::UnexpectedResponse,
            "the response has no data; report it if Amazon changed its format",
        )
    })
}

/// Returns the token of the next page.
pub(crate) fn next(pagination: Option<Pagination>) -> Option<String> {
    pagination.and_then(|it| it.next_token)
}

/// Creates a page whose next page starts at `token`. An empty token marks the last page.
pub(crate) fn page<T>(items: Vec<T>, token: Option<String>) -> Page<T> {
    Page::new(
        items,
        token.filter(|it| !it.is_empty()).map(PageCursor::new),
    )
}
