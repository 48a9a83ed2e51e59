//! The typed operations of the Admin API, with one file per area.
//!
//! Every document is validated against Shopify's official schema in the tests. Operations on lists
//! return one page; [`ShopifyClient::pages`](crate::ShopifyClient::pages) reads all pages.

mod app;
mod bulk;
mod customers;
mod fragments;
mod fulfillment;
mod inventory;
mod metafields;
mod orders;
mod products;
mod shop;
mod webhooks;

use connector_core::api::{Idempotency, Page, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub use self::app::*;
pub use self::bulk::*;
pub use self::customers::*;
pub(crate) use self::fragments::fragment;
pub use self::fulfillment::*;
pub use self::inventory::*;
pub use self::metafields::*;
pub use self::orders::*;
pub use self::products::*;
pub use self::shop::*;
pub use self::webhooks::*;
use crate::ShopifyClient;
use crate::error::{self, UserError};
use crate::graphql::{self, Connection};

/// The static properties of an operation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Operation {
    /// The name of the operation in errors, logs and metrics.
    pub name: &'static str,
    /// The GraphQL document of the operation.
    pub document: &'static str,
    /// The scopes that the operation requires.
    pub scopes: &'static [&'static str],
    /// The retry rule of the operation.
    pub idempotency: Idempotency,
    /// The expected cost in points.
    pub cost: ExpectedCost,
    /// Decodes a response and drops its data. For tests of the types against Shopify's schema.
    pub decode: fn(&mut Response) -> Result<()>,
}

/// The expected cost of an operation, in points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpectedCost {
    /// The cost of the operation without its items.
    pub fixed: u32,
    /// The cost of one item of a page.
    pub each: u32,
}

impl ExpectedCost {
    /// Returns the cost of a page of this size.
    #[must_use]
    pub const fn of_page(self, size: u32) -> u32 {
        self.fixed.saturating_add(self.each.saturating_mul(size))
    }
}

/// An operation with its document.
pub trait ShopifyOperation: Endpoint<Client = ShopifyClient> {
    /// The static properties of the operation.
    const OPERATION: Operation;
}

/// Every document that this crate sends, by area.
pub const OPERATIONS: &[&[Operation]] = &[
    app::OPERATIONS,
    bulk::OPERATIONS,
    customers::OPERATIONS,
    fulfillment::OPERATIONS,
    inventory::OPERATIONS,
    metafields::OPERATIONS,
    orders::OPERATIONS,
    products::OPERATIONS,
    shop::OPERATIONS,
    webhooks::OPERATIONS,
    &[crate::metadata::OPERATION],
];

/// Maximum cost of one query, in points. See [Shopify docs: API
/// limits](https://shopify.dev/docs/api/usage/limits).
pub(crate) const MAX_COST: u32 = 1000;

/// Defines an operation: the struct with `new` for its required arguments and a `with_` method for
/// each optional argument, and its traits.
///
/// The document is the operation's name, its variables, and one root field with the alias `result`.
/// A payload of a mutation has the alias `value` for its resource. The kind is one of:
/// * `read`: a query whose field is never null; `get`: a query for one resource
/// * `list`: a page of a connection
/// * `write`: a mutation that returns a resource; `act`: a mutation that returns nothing
/// * `assign`, `put`: like `write` and `act`, for mutations that set a state, so that repeating them
///   is harmless
/// * `keyed`: like `write`, with an idempotency key
/// * `whole`: like `write`, for a payload whose fields are all of the result
macro_rules! operation {
    (
        $(#[$meta:meta])*
        $kind:ident $name:ident -> $output:ty = $variables:literal $field:literal [$($fragment:ident)*];
        $(scopes [$($scope:literal),+];)?
        cost $fixed:literal $(+ $each:literal each)?;
        $vis:vis new($($arg:ident: $type:tt = $wire:literal),* $(,)?) $({ $(
            $(#[$set_meta:meta])*
            $setter:ident: $set_type:tt = $set_wire:literal,
        )* })?;
        $(search $sort:ident;)?
        $(aged $aged:ident;)?
        $(tolerates $tolerated:literal;)?
        $(check |$checked:ident| $check:expr;)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name($crate::graphql::Variables);

        #[allow(clippy::new_without_default, reason = "an operation is not a value with a default")]
        impl $name {
            /// Creates the operation with its required arguments.
            $vis fn new($($arg: $crate::endpoints::operation!(@type $type)),*) -> Self {
                Self($crate::endpoints::operation!(@start $kind)
                    $(.set($wire, $crate::endpoints::operation!(@value $type $arg)))*)
            }

            $($(
                #[doc = concat!("Sets the argument `", $set_wire, "`.")]
                $(#[$set_meta])*
                pub fn $setter(self, value: $crate::endpoints::operation!(@type $set_type)) -> Self {
                    Self(self.0.set($set_wire, $crate::endpoints::operation!(@value $set_type value)))
                }
            )*)?
        }

        $crate::endpoints::operation!(@pages $kind $name $output);
        $($crate::endpoints::operation!(@search $name $sort);)?

        impl ::connector_core::provider::Endpoint for $name {
            type Client = $crate::ShopifyClient;
            type Output = $crate::endpoints::operation!(@output $kind $output);
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: ::connector_core::api::Idempotency =
                $crate::endpoints::operation!(@idempotency $kind);
            const SCOPES: &'static [&'static str] = &[$($($scope),+)?];

            fn validate(&self) -> ::connector_core::Result<()> {
                $crate::endpoints::operation!(@validate $kind self);
                $({
                    let $checked = &self.0;
                    $check?;
                })?
                Ok(())
            }

            $(fn further_scopes(
                &self,
                now: ::connector_core::clock::Timestamp,
            ) -> &'static [&'static str] {
                $aged(&self.0, now)
            })?

            fn draws(&self) -> ::connector_core::http::limit::Draws {
                let cost = <Self as $crate::endpoints::ShopifyOperation>::OPERATION.cost;
                ::connector_core::http::limit::Draws::cost(cost.of_page(self.0.first()))
            }

            fn request(&self) -> ::connector_core::Result<::connector_core::api::Request> {
                let document = <Self as $crate::endpoints::ShopifyOperation>::OPERATION.document;
                $crate::graphql::request(document, &self.0)
            }

            $crate::endpoints::operation!(@keyed $kind);

            fn decode(
                &self,
                response: &mut ::connector_core::api::Response,
            ) -> ::connector_core::Result<Self::Output> {
                $crate::endpoints::operation!(@decode $kind response, $($tolerated)?)
            }
        }

        impl $crate::endpoints::ShopifyOperation for $name {
            const OPERATION: $crate::endpoints::Operation = $crate::endpoints::Operation {
                name: stringify!($name),
                document: concat!(
                    $crate::endpoints::operation!(@word $kind), stringify!($name), $variables,
                    " { result: ", $field, " }",
                    $($crate::endpoints::fragment!($fragment)),*
                ),
                scopes: &[$($($scope),+)?],
                idempotency: $crate::endpoints::operation!(@idempotency $kind),
                cost: $crate::endpoints::ExpectedCost { fixed: $fixed, each: 0 $(+ $each)? },
                decode: |response| {
                    let decoded: ::connector_core::Result<
                        $crate::endpoints::operation!(@output $kind $output)
                    > = $crate::endpoints::operation!(@decode $kind response, $($tolerated)?);
                    decoded.map(drop)
                },
            };
        }
    };

    (@type [$type:ident]) => { impl IntoIterator<Item = impl Into<$type>> };
    (@type $type:ident) => { impl Into<$type> };
    (@value [$type:ident] $value:ident) => {
        $value.into_iter().map(Into::<$type>::into).collect::<Vec<_>>()
    };
    (@value $type:ident $value:ident) => { Into::<$type>::into($value) };

    (@start list) => { $crate::graphql::Variables::default().set("first", $crate::endpoints::PAGE) };
    (@start $kind:ident) => { $crate::graphql::Variables::default() };

    (@word read) => { "query " };
    (@word get) => { "query " };
    (@word list) => { "query " };
    (@word $kind:ident) => { "mutation " };

    (@idempotency write) => { ::connector_core::api::Idempotency::Never };
    (@idempotency whole) => { ::connector_core::api::Idempotency::Never };
    (@idempotency act) => { ::connector_core::api::Idempotency::Never };
    (@idempotency keyed) => { ::connector_core::api::Idempotency::Keyed };
    (@idempotency $kind:ident) => { ::connector_core::api::Idempotency::Safe };

    (@output list $output:ty) => { ::connector_core::api::Page<$output> };
    (@output $kind:ident $output:ty) => { $output };

    (@keyed keyed) => {
        fn keyed_request(
            &self,
            key: &::connector_core::api::IdempotencyKey,
        ) -> ::connector_core::Result<::connector_core::api::Request> {
            let document = <Self as $crate::endpoints::ShopifyOperation>::OPERATION.document;
            let variables = self.0.clone().set("idempotencyKey", key.to_uuid());
            $crate::graphql::request(document, variables)
        }
    };
    (@keyed $kind:ident) => {};

    (@validate list $self:ident) => {
        $crate::endpoints::check_page(
            <Self as ::connector_core::provider::Endpoint>::NAME,
            $self.0.first(),
            <Self as $crate::endpoints::ShopifyOperation>::OPERATION.cost,
        )?
    };
    (@validate $kind:ident $self:ident) => {};

    (@decode read $response:ident,) => { $crate::endpoints::read($response) };
    (@decode get $response:ident,) => { $crate::endpoints::get($response) };
    (@decode whole $response:ident,) => { $crate::endpoints::whole($response) };
    (@decode list $response:ident,) => { $crate::endpoints::page($response) };
    (@decode act $response:ident, $($tolerated:literal)?) => {
        $crate::endpoints::act($response, &[$($tolerated)?])
    };
    (@decode put $response:ident, $($tolerated:literal)?) => {
        $crate::endpoints::act($response, &[$($tolerated)?])
    };
    (@decode $kind:ident $response:ident,) => { $crate::endpoints::written($response) };

    (@pages list $name:ident $output:ty) => {
        impl $name {
            /// Sets the page size: 1 to 250, and at most 1,000 points. Default: 100.
            pub fn with_page_size(self, size: u32) -> Self {
                Self(self.0.set("first", size))
            }

            /// Starts from the given page cursor. All other arguments must be the same as for the
            /// earlier page.
            pub fn after(self, cursor: ::connector_core::api::PageCursor) -> Self {
                Self(self.0.set("after", cursor))
            }
        }

        impl ::connector_core::provider::PagedEndpoint for $name {
            type Item = $output;
            const LIMIT: Option<usize> = Some($crate::graphql::MAX_LISTING);

            fn at(&self, cursor: &::connector_core::api::PageCursor) -> Self {
                self.clone().after(cursor.clone())
            }
        }
    };
    (@pages $kind:ident $name:ident $output:ty) => {};

    (@search $name:ident Plain) => {
        impl $name {
            /// Adds a condition in [Shopify's search
            /// syntax](https://shopify.dev/docs/api/usage/search-syntax). Results must match all
            /// conditions.
            pub fn matching(self, condition: &str) -> Self {
                Self(self.0.and(condition))
            }

            /// Lists only resources that have changed since `time`.
            pub fn updated_since(self, time: ::connector_core::clock::Timestamp) -> Self {
                self.matching(&format!("updated_at:>='{time}'"))
            }

            /// Reverses the order.
            pub fn reversed(self) -> Self {
                Self(self.0.set("reverse", true))
            }
        }
    };
    (@search $name:ident $sort:ident) => {
        $crate::endpoints::operation!(@search $name Plain);

        impl $name {
            /// Sets the sort key.
            pub fn sorted_by(self, sort: $sort) -> Self {
                Self(self.0.set("sortKey", sort))
            }
        }
    };
}
pub(crate) use operation;

/// Defines an input object: the struct with `new` for its required fields and a `with_` method for
/// each optional field. Only fields that were set are sent.
macro_rules! input {
    (
        $(#[$meta:meta])*
        $name:ident($($arg:ident: $type:tt = $wire:literal),* $(,)?) { $(
            $(#[$set_meta:meta])*
            $setter:ident: $set_type:tt = $set_wire:literal,
        )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(transparent)]
        #[must_use]
        pub struct $name($crate::graphql::Variables);

        #[allow(clippy::new_without_default, reason = "an input is not a value with a default")]
        impl $name {
            /// Creates the input with its required fields.
            pub fn new($($arg: $crate::endpoints::operation!(@type $type)),*) -> Self {
                Self($crate::graphql::Variables::default()
                    $(.set($wire, $crate::endpoints::operation!(@value $type $arg)))*)
            }

            $(
                #[doc = concat!("Sets the field `", $set_wire, "`.")]
                $(#[$set_meta])*
                pub fn $setter(self, value: $crate::endpoints::operation!(@type $set_type)) -> Self {
                    Self(self.0.set($set_wire, $crate::endpoints::operation!(@value $set_type value)))
                }
            )*

            /// Sets a field that has no method of its own, in Shopify's spelling.
            pub fn with_field(self, name: &str, value: impl serde::Serialize) -> Self {
                Self(self.0.set(name, value))
            }
        }
    };
}
pub(crate) use input;

/// Lists the operations of an area.
macro_rules! area {
    ($($name:ident),* $(,)?) => {
        pub(super) const OPERATIONS: &[$crate::endpoints::Operation] =
            &[$(<$name as $crate::endpoints::ShopifyOperation>::OPERATION),*];
    };
}
pub(crate) use area;

/// The default page size.
pub(crate) const PAGE: u32 = 100;

/// Checks a page size.
fn check_page(operation: &'static str, size: u32, cost: ExpectedCost) -> Result<()> {
    let wrong = |message| Err(Error::new(ErrorKind::InvalidInput, operation, message));
    if !(1..=graphql::MAX_ITEMS).contains(&(size as usize)) {
        return wrong("the page size must be 1 to 250");
    }
    if cost.of_page(size) > MAX_COST {
        return wrong(
            "a page of this size costs more than the 1,000 points that one query may cost",
        );
    }
    Ok(())
}

#[derive(Deserialize)]
struct Data<T> {
    result: T,
}

fn read<T: DeserializeOwned>(response: &mut Response) -> Result<T> {
    graphql::data::<Data<T>>(response).map(|(data, _)| data.result)
}

fn get<T: DeserializeOwned>(response: &mut Response) -> Result<T> {
    read::<Option<T>>(response)?.ok_or_else(|| {
        response.error(
            ErrorKind::ProviderNotFound,
            "the shop has no such resource, or the app may not read it; it may have been deleted",
        )
    })
}

fn page<T: DeserializeOwned>(response: &mut Response) -> Result<Page<T>> {
    read::<Connection<T>>(response)?.into_page(response)
}

/// The payload of a mutation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<T> {
    value: Option<T>,
    user_errors: Vec<UserError>,
}

fn written<T: DeserializeOwned>(response: &mut Response) -> Result<T> {
    let Payload { value, user_errors } = payload(response)?;
    error::by_user(response, user_errors)?;
    value.ok_or_else(|| nothing(response))
}

/// Decodes a mutation whose whole payload is the result. The fields are null if there are user
/// errors.
fn whole<T: DeserializeOwned>(response: &mut Response) -> Result<T> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Errors {
        user_errors: Vec<UserError>,
    }
    let Errors { user_errors } =
        read::<Option<Errors>>(response)?.ok_or_else(|| nothing(response))?;
    error::by_user(response, user_errors)?;
    read::<T>(response)
}

/// Decodes a mutation without a result. User errors with the given codes mean that the goal was
/// already reached.
fn act(response: &mut Response, tolerated: &[&str]) -> Result<()> {
    let Payload::<IgnoredAny> { user_errors, .. } = payload(response)?;
    let is_tolerated =
        |it: &UserError| it.code.as_deref().is_some_and(|it| tolerated.contains(&it));
    let left = user_errors.into_iter().filter(|it| !is_tolerated(it));
    error::by_user(response, left.collect())
}

fn payload<T: DeserializeOwned>(response: &mut Response) -> Result<Payload<T>> {
    read::<Option<Payload<T>>>(response)?.ok_or_else(|| nothing(response))
}

fn nothing(response: &Response) -> Error {
    response.error(
        ErrorKind::UnexpectedResponse,
        "Shopify returned neither a result nor an error for the mutation; report it",
    )
}
