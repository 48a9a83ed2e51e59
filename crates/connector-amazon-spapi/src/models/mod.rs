//! The data of requests and answers.
//!
//! Amazon's answers miss fields that its models call required, hold nulls, and have values that no
//! model lists. So every field is optional or empty by default, a value that an enumeration does not
//! know is kept, and fields that this version does not know are kept in `other`. What was read is
//! written again as it was; only nulls and empty lists may be left out.

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

/// Members of an answer that this version does not know.
pub type Other = serde_json::Map<String, serde_json::Value>;

/// A time of a request: a [`Timestamp`], or a text that is sent as it is.
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

/// A decimal number, which Amazon writes as a text or as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Decimal {
    /// Written as a text.
    Text(String),
    /// Written as a number.
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

/// The value, or the default in the place of null.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// True if a field was absent, null or empty.
pub(crate) fn is_absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Defines types of JSON objects. Every field has a default; unknown members are kept in `other`.
/// `PascalCase` in brackets behind a name changes the case of its members from `camelCase`.
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
            /// Further members.
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

/// Defines enumerations of texts. A text that is none of them is kept in `Unknown`.
macro_rules! texts {
    ($(
        $(#[$meta:meta])*
        $name:ident { $(
            $(#[$variant_meta:meta])*
            $variant:ident = $text:literal
        ),* $(,)? }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("`", $text, "`.")]
                $variant,
            )*
            /// A value that this version does not know.
            Unknown(String),
        }

        impl $name {
            /// The text as Amazon writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )* };
}
pub(crate) use texts;

model! {
    /// An error inside an answer.
    ApiError {
        /// The code. Any text: decide by the status.
        code: Option<String>,
        /// The message for developers.
        message: Option<String>,
        /// Details, often empty.
        details: Option<String>,
    }

    /// The place of the next page.
    Pagination {
        /// The token of the next page.
        next_token: Option<String>,
        /// The token of the previous page.
        previous_token: Option<String>,
    }
}

/// The envelope of the older APIs: the data in `payload`, errors beside it.
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
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

const fn none<T>() -> Option<T> {
    None
}

impl<T> Payload<T> {
    /// The data.
    pub(crate) fn data(self, response: &Response) -> Result<T> {
        data(self.payload, response)
    }
}

/// The data of a success, which must have some.
pub(crate) fn data<T>(data: Option<T>, response: &Response) -> Result<T> {
    data.ok_or_else(|| {
        response.error(
            ErrorKind::UnexpectedAnswer,
            "the answer has no data; report it if Amazon changed its format",
        )
    })
}

/// The token of the next page.
pub(crate) fn next(pagination: Option<Pagination>) -> Option<String> {
    pagination.and_then(|it| it.next_token)
}

/// A page whose next one begins at `token`; an empty token ends the listing.
pub(crate) fn page<T>(items: Vec<T>, token: Option<String>) -> Page<T> {
    Page::new(
        items,
        token.filter(|it| !it.is_empty()).map(PageCursor::new),
    )
}
