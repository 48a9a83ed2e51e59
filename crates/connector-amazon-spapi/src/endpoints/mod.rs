//! Typed operations, with one file per API family.
//!
//! Each call counts toward the usage plan of its operation, separately for each seller. The name of
//! an operation is Amazon's `operationId` with an initial capital.

#[cfg(feature = "catalog")]
mod catalog;
#[cfg(feature = "data-kiosk")]
mod data_kiosk;
#[cfg(feature = "feeds")]
mod feeds;
#[cfg(feature = "finances")]
mod finances;
#[cfg(feature = "inventory")]
mod inventory;
#[cfg(feature = "listings")]
mod listings;
#[cfg(feature = "notifications")]
mod notifications;
#[cfg(feature = "orders")]
mod orders;
#[cfg(feature = "pricing")]
mod pricing;
#[cfg(feature = "product-types")]
mod product_types;
#[cfg(feature = "reports")]
mod reports;
mod sellers;
mod tokens;
#[cfg(feature = "uploads")]
mod uploads;

use std::fmt::Display;

use connector_core::api::{Idempotency, PageCursor, Request, Response};
use connector_core::http::limit::{Draw, Draws};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[cfg(feature = "catalog")]
pub use self::catalog::*;
#[cfg(feature = "data-kiosk")]
pub use self::data_kiosk::*;
#[cfg(feature = "feeds")]
pub use self::feeds::*;
#[cfg(feature = "finances")]
pub use self::finances::*;
#[cfg(feature = "inventory")]
pub use self::inventory::*;
#[cfg(feature = "listings")]
pub use self::listings::*;
#[cfg(feature = "notifications")]
pub use self::notifications::*;
#[cfg(feature = "orders")]
pub use self::orders::*;
#[cfg(feature = "pricing")]
pub use self::pricing::*;
#[cfg(feature = "product-types")]
pub use self::product_types::*;
#[cfg(feature = "reports")]
pub use self::reports::*;
pub use self::sellers::*;
pub use self::tokens::*;
#[cfg(feature = "uploads")]
pub use self::uploads::*;

/// Description of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// The name: Amazon's `operationId` with an initial capital.
    pub name: &'static str,
    /// File name of the official model that defines the operation, without `.json`.
    pub model: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path. Names in braces are replaced by arguments.
    pub path: &'static str,
    /// The default usage plan.
    pub plan: Plan,
    /// The token scope for grantless operations; `None` for operations of a seller.
    pub scope: Option<&'static str>,
}

/// A usage plan: the token bucket of one operation, per seller.
///
/// See [Amazon docs: Usage plans and rate limits](https://developer-docs.amazon.com/sp-api/docs/usage-plans-and-rate-limits).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Name of the limit.
    pub name: &'static str,
    /// Refill rate, in requests per second.
    pub per_second: f64,
    /// Maximum number of requests in a burst.
    pub burst: u32,
}

/// An operation with its description and response type.
pub trait SpApiOperation: Endpoint {
    /// The whole body of a successful response; `()` if there is no body.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// The description of the operation.
    const OPERATION: Operation;

    /// Decodes the body of a successful response.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the body is not JSON or does not match the type.
    fn read(response: &Response) -> Result<Self::Answer>;
}

/// All operations, by API family.
pub const OPERATIONS: &[&[Operation]] = &[
    sellers::OPERATIONS,
    tokens::OPERATIONS,
    #[cfg(feature = "catalog")]
    catalog::OPERATIONS,
    #[cfg(feature = "data-kiosk")]
    data_kiosk::OPERATIONS,
    #[cfg(feature = "feeds")]
    feeds::OPERATIONS,
    #[cfg(feature = "finances")]
    finances::OPERATIONS,
    #[cfg(feature = "inventory")]
    inventory::OPERATIONS,
    #[cfg(feature = "listings")]
    listings::OPERATIONS,
    #[cfg(feature = "notifications")]
    notifications::OPERATIONS,
    #[cfg(feature = "orders")]
    orders::OPERATIONS,
    #[cfg(feature = "pricing")]
    pricing::OPERATIONS,
    #[cfg(feature = "product-types")]
    product_types::OPERATIONS,
    #[cfg(feature = "reports")]
    reports::OPERATIONS,
    #[cfg(feature = "uploads")]
    uploads::OPERATIONS,
];

/// Wraps an operation so that it returns the whole response body, instead of a page or a part of
/// it.
///
/// ```
/// use connector_amazon_spapi::endpoints::{GetMarketplaceParticipations, Whole};
/// let operation = Whole(GetMarketplaceParticipations::new());
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Whole<E>(pub E);

impl<E: SpApiOperation> Endpoint for Whole<E> {
    type Client = E::Client;
    type Output = E::Answer;
    const NAME: &'static str = E::NAME;
    const IDEMPOTENCY: Idempotency = E::IDEMPOTENCY;
    const SCOPES: &'static [&'static str] = E::SCOPES;

    fn validate(&self) -> Result<()> {
        self.0.validate()
    }

    fn draws(&self) -> Draws {
        self.0.draws()
    }

    fn request(&self) -> Result<Request> {
        self.0.request()
    }

    fn decode(&self, response: &mut Response) -> Result<E::Answer> {
        E::read(response)
    }
}

/// The arguments of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arguments {
    path: Vec<(&'static str, String)>,
    query: Vec<(&'static str, String)>,
    body: Value,
    /// True if the body does not convert to JSON.
    is_unconvertible: bool,
}

/// A query value: one value, or a list joined with commas.
pub(crate) trait Argument {
    fn text(self) -> String;
}

pub(crate) struct One<T>(pub(crate) T);
pub(crate) struct Many<I>(pub(crate) I);

impl<T: Display> Argument for One<T> {
    fn text(self) -> String {
        self.0.to_string()
    }
}

impl<I: IntoIterator<Item: Display>> Argument for Many<I> {
    fn text(self) -> String {
        let texts: Vec<String> = self.0.into_iter().map(|it| it.to_string()).collect();
        texts.join(",")
    }
}

impl Arguments {
    pub(crate) fn path(mut self, name: &'static str, value: impl Argument) -> Self {
        self.path.push((name, value.text()));
        self
    }

    /// Sets a query parameter, replacing an earlier value.
    pub(crate) fn query(mut self, name: &'static str, value: impl Argument) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.text()));
        self
    }

    /// Sets the body. The types in [`models`](crate::models) always convert to JSON; with a value
    /// that does not, the request is not sent.
    pub(crate) fn body(mut self, _: &'static str, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_value(body) {
            Ok(body) => self.body = body,
            Err(_) => self.is_unconvertible = true,
        }
        self
    }

    /// Removes all parameters except the page token: Amazon rejects other parameters next to it.
    pub(crate) fn only(mut self, name: &'static str, cursor: &PageCursor) -> Self {
        self.query.clear();
        self.query(name, One(cursor.as_str()))
    }

    /// Returns the path or query argument with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.path.iter().chain(&self.query);
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body.
    pub(crate) const fn value(&self) -> &Value {
        &self.body
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Result<Request> {
        let arguments: Vec<(&str, &str)> = self
            .path
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        if self.is_unconvertible {
            let message = "the body cannot be converted to JSON; use strings as keys";
            return Err(wrong("amazon.request", message));
        }
        let takes_body = method != Method::GET && method != Method::DELETE;
        let mut request = Request::template(method, path, &arguments)?;
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        if takes_body && !self.body.is_null() {
            request = request.json(&self.body)?;
        }
        Ok(request)
    }
}

/// Creates the error for an invalid argument.
pub(crate) fn wrong(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
}

/// Returns the limit of an operation's usage plan.
pub(crate) fn draws(plan: Plan) -> Draws {
    Draws::none().with(Draw::new(plan.name))
}

/// Defines an operation: the struct with `new` for its required arguments and a `with_` method for
/// each optional argument, and the implementations of `Endpoint`, `SpApiOperation` and, for paged
/// operations, `PagedEndpoint`.
///
/// `$rate / $burst` is the usage plan, as a float and an integer: the smaller of the values in the
/// model and in the official SDK. Each argument is in the path, the query or the body. A type in
/// brackets is a list.
macro_rules! operation {
    (
        $(#[$meta:meta])*
        $name:ident -> $output:ty $(, answer $answer:ty)?;
        $model:literal $method:ident $path:literal, $idempotency:ident, $rate:literal / $burst:literal;
        $(grantless $scope:literal;)?
        new { $($arg:ident: $place:ident $kind:tt = $wire:literal),* $(,)? }
        $(set { $(
            $(#[$set_meta:meta])*
            $setter:ident: $set_kind:tt = $set_wire:literal
        ),* $(,)? })?
        $(check: |$checked:ident| $check:expr;)?
        $(draws: |$drawn:ident| $draws:expr;)?
        $(decode: |$decoded:ident, $response:ident| $decode:expr;)?
        $(pages: $item:ty, $keep:ident $cursor:literal;)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name($crate::endpoints::Arguments);

        impl $name {
            /// Creates the operation with its required arguments.
            #[allow(clippy::new_without_default, reason = "an operation is not a value with a default")]
            pub fn new($($arg: $crate::endpoints::operation!(@type $place $kind)),*) -> Self {
                Self($crate::endpoints::Arguments::default()
                    $(.$place($wire, $crate::endpoints::operation!(@value $place $kind $arg)))*)
            }

            $($(
                $(#[$set_meta])*
                pub fn $setter(self, value: $crate::endpoints::operation!(@type query $set_kind)) -> Self {
                    Self(self.0.query($set_wire, $crate::endpoints::operation!(@value query $set_kind value)))
                }
            )*)?
        }

        impl ::connector_core::provider::Endpoint for $name {
            type Client = $crate::endpoints::operation!(@client $($scope)?);
            type Output = $output;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: ::connector_core::api::Idempotency =
                ::connector_core::api::Idempotency::$idempotency;
            const SCOPES: &'static [&'static str] = &[$($scope)?];

            $(fn validate(&self) -> ::connector_core::Result<()> {
                let $checked = &self.0;
                $check
            })?

            fn draws(&self) -> ::connector_core::http::limit::Draws {
                $crate::endpoints::operation!(@draws self, $($drawn, $draws)?)
            }

            fn request(&self) -> ::connector_core::Result<::connector_core::api::Request> {
                self.0.request(::http::Method::$method, $path)
            }

            fn decode(
                &self,
                response: &mut ::connector_core::api::Response,
            ) -> ::connector_core::Result<$output> {
                let answer = <Self as $crate::endpoints::SpApiOperation>::read(response)?;
                $crate::endpoints::operation!(@decode answer, response $(, $decoded, $response, $decode)?)
            }
        }

        impl $crate::endpoints::SpApiOperation for $name {
            type Answer = $crate::endpoints::operation!(@answer $output $(, $answer)?);
            const OPERATION: $crate::endpoints::Operation = $crate::endpoints::Operation {
                name: stringify!($name),
                model: $model,
                method: stringify!($method),
                path: $path,
                plan: $crate::endpoints::Plan {
                    name: concat!($rate, "-", $burst),
                    per_second: $rate,
                    burst: $burst,
                },
                scope: $crate::endpoints::operation!(@scope $($scope)?),
            };

            fn read(response: &::connector_core::api::Response) -> ::connector_core::Result<Self::Answer> {
                $crate::endpoints::body(response)
            }
        }

        $(impl ::connector_core::provider::PagedEndpoint for $name {
            type Item = $item;

            fn at(&self, cursor: &::connector_core::api::PageCursor) -> Self {
                let arguments = self.0.clone();
                Self($crate::endpoints::operation!(@at $keep arguments, $cursor, cursor))
            }
        })?
    };

    (@type path [$type:ty]) => { impl Into<$type> };
    (@type query [$type:ty]) => { impl IntoIterator<Item = impl Into<$type>> };
    (@type body [$type:ty]) => { &[$type] };
    (@type path $type:ident) => { impl Into<$type> };
    (@type query $type:ident) => { impl Into<$type> };
    (@type body $type:ident) => { &$type };
    (@value query [$type:ty] $value:ident) => {
        $crate::endpoints::Many($value.into_iter().map(Into::<$type>::into))
    };
    (@value path $type:ident $value:ident) => { $crate::endpoints::One(Into::<$type>::into($value)) };
    (@value query $type:ident $value:ident) => { $crate::endpoints::One(Into::<$type>::into($value)) };
    (@value body $type:ident $value:ident) => { $value };
    (@client) => { $crate::AmazonClient };
    (@client $scope:literal) => { $crate::GrantlessClient };
    (@scope) => { None };
    (@scope $scope:literal) => { Some($scope) };
    (@draws $self:ident,) => {
        $crate::endpoints::draws(<Self as $crate::endpoints::SpApiOperation>::OPERATION.plan)
    };
    (@draws $self:ident, $drawn:ident, $draws:expr) => {{
        let $drawn = &$self.0;
        $draws
    }};
    (@decode $answer:ident, $from:ident) => { Ok($answer) };
    (@decode $answer:ident, $from:ident, $decoded:ident, $response:ident, $decode:expr) => {{
        let ($decoded, $response) = ($answer, &*$from);
        $decode
    }};
    (@answer $output:ty) => { $output };
    (@answer $output:ty, $answer:ty) => { $answer };
    (@at keep $arguments:ident, $cursor:literal, $at:ident) => {
        $arguments.query($cursor, $crate::endpoints::One($at.as_str()))
    };
    (@at only $arguments:ident, $cursor:literal, $at:ident) => { $arguments.only($cursor, $at) };
}
pub(crate) use operation;

/// Decodes the body of a response as JSON. An empty body is decoded as `null`, which is valid for
/// `()`.
pub(crate) fn body<T: DeserializeOwned>(response: &Response) -> Result<T> {
    if response.body().is_empty()
        && let Ok(nothing) = serde_json::from_value(Value::Null)
    {
        return Ok(nothing);
    }
    response.json()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_body_that_is_not_json_is_refused_instead_of_sent_empty() {
        let body = BTreeMap::from([((1, 2), "keys are not strings")]);
        let arguments = Arguments::default().body("body", &body);
        let refused = arguments.request(Method::POST, "/feeds/2021-06-30/feeds");
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
