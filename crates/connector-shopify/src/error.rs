//! The meaning of Shopify's errors: one table of statuses and GraphQL codes.
//!
//! See [Shopify docs: Response status and error codes](https://shopify.dev/docs/api/usage/response-codes).

use std::fmt;

use connector_core::api::Response;
use connector_core::provider::{ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, ReauthorizationReason, Result, Retry};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits::Cost;

/// Shopify gives this refusal no code, only a sentence: this is its start.
/// See <https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens>.
const NON_EXPIRING: &str = "Non-expiring access tokens are no longer accepted";

const NON_EXPIRING_ADVICE: &str = "the shop's token does not expire, and Shopify accepts such tokens \
     no longer (non_expiring_token): migrate it with Shopify::migrate_token, or connect the shop \
     again";

/// The meaning of statuses, and of the codes of GraphQL errors. The codes come in the order in which
/// they count if a response has several.
const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::code(
        "THROTTLED",
        ErrorKind::RateLimited,
        "the shop's budget of points is used up; try again later",
    ),
    ErrorRule::code(
        "INTERNAL_SERVER_ERROR",
        ErrorKind::ProviderUnavailable,
        "Shopify failed; try again later",
    ),
    ErrorRule::code(
        "ACCESS_DENIED",
        ErrorKind::Forbidden,
        "the app may not do this: a scope or an approval is missing",
    ),
    ErrorRule::code(
        "SHOP_INACTIVE",
        ErrorKind::Forbidden,
        "the shop is not active; its owner has to reopen it",
    ),
    ErrorRule::code(
        "MAX_COST_EXCEEDED",
        ErrorKind::Rejected,
        "the query costs more points than any may; ask for less at once",
    ),
    ErrorRule::status(
        400,
        ErrorKind::Rejected,
        "Shopify could not read the request",
    ),
    ErrorRule::status(
        401,
        ErrorKind::Unauthorized,
        "Shopify refused the access token",
    ),
    ErrorRule::status(
        402,
        ErrorKind::Forbidden,
        "the shop is frozen until its owner pays; try again in a day",
    ),
    ErrorRule::status(
        403,
        ErrorKind::Forbidden,
        "the app may not do this: a scope or an approval is missing",
    ),
    ErrorRule::status(
        404,
        ErrorKind::ProviderNotFound,
        "Shopify knows no such shop or address; the shop may be closed",
    ),
    ErrorRule::status(
        406,
        ErrorKind::Rejected,
        "Shopify does not answer in this form",
    ),
    ErrorRule::status(
        409,
        ErrorKind::Conflict,
        "the resource is being changed elsewhere",
    ),
    ErrorRule::status(
        413,
        ErrorKind::Rejected,
        "the request is too long for Shopify",
    ),
    ErrorRule::status(
        422,
        ErrorKind::Rejected,
        "Shopify refused the request's content",
    ),
    ErrorRule::status(
        423,
        ErrorKind::Forbidden,
        "the shop is locked; its owner has to contact Shopify",
    ),
    ErrorRule::status(
        429,
        ErrorKind::RateLimited,
        "Shopify limits the app's requests; try again later",
    ),
    ErrorRule::status(
        430,
        ErrorKind::Forbidden,
        "Shopify refused the request as a danger to its security",
    ),
    ErrorRule::status(501, ErrorKind::Unsupported, "Shopify does not offer this"),
    ErrorRule::statuses(
        500,
        599,
        ErrorKind::ProviderUnavailable,
        "Shopify failed; try again later",
    ),
    ErrorRule::statuses(
        100,
        499,
        ErrorKind::UnexpectedAnswer,
        "Shopify gave an answer with a status that is not known",
    ),
]);

/// One entry of a GraphQL answer's `errors`.
///
/// Its text is Shopify's; show it to developers, not to customers.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct GraphqlError {
    /// What Shopify says.
    #[serde(default)]
    pub message: String,
    /// The path to the field that failed.
    #[serde(default)]
    pub path: Vec<PathSegment>,
    #[serde(default)]
    extensions: Value,
}

impl GraphqlError {
    /// The machine-readable code, for example `ACCESS_DENIED`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.extensions.get("code").and_then(Value::as_str)
    }

    /// What else Shopify says under `name`, if it is there and has this type.
    #[must_use]
    pub fn extension<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.extensions
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }
}

/// Shows the code, and of Shopify's text its length only: it may quote what was sent.
impl fmt::Debug for GraphqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphqlError")
            .field("code", &self.code())
            .field("message_bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// A step on the way to a field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PathSegment {
    /// Into the field with this name.
    Field(String),
    /// Into the item at this position of a list, from 0.
    Index(u64),
}

/// The errors of a GraphQL answer: the source of the [`Error`] of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphqlErrors(Vec<GraphqlError>);

impl GraphqlErrors {
    /// The errors, in Shopify's order.
    #[must_use]
    pub fn errors(&self) -> &[GraphqlError] {
        &self.0
    }
}

impl fmt::Display for GraphqlErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.0.iter().map(|error| error.code().unwrap_or("no code")),
        )
    }
}

impl std::error::Error for GraphqlErrors {}

/// One entry of a mutation's `userErrors`: what about the input is wrong.
///
/// Its text is Shopify's and made for people.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct UserError {
    /// The path to the wrong part of the input; none if it is the whole.
    #[serde(default)]
    pub field: Option<Vec<String>>,
    /// What is wrong.
    pub message: String,
    /// The machine-readable code, where the mutation has codes.
    #[serde(default)]
    pub code: Option<String>,
}

/// Shows field and code, and of Shopify's text its length only: it may quote the input.
impl fmt::Debug for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserError")
            .field("code", &self.code)
            .field("field", &self.field)
            .field("message_bytes", &self.message.len())
            .finish()
    }
}

/// The user errors of a mutation: the source of its [`Error`] of kind
/// [`Rejected`](ErrorKind::Rejected).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserErrors(Vec<UserError>);

impl UserErrors {
    /// The errors, in Shopify's order.
    #[must_use]
    pub fn errors(&self) -> &[UserError] {
        &self.0
    }
}

impl fmt::Display for UserErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.0
                .iter()
                .map(|error| match (&error.code, &error.field) {
                    (Some(code), _) => code.as_str(),
                    (None, Some(field)) => field.last().map_or("input", String::as_str),
                    (None, None) => "input",
                }),
        )
    }
}

impl std::error::Error for UserErrors {}

/// Writes words that a provider chose, without what could be more than words.
fn list<'a>(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (at, word) in words.take(8).enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        let word: String = word
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' '))
            .take(64)
            .collect();
        f.write_str(&word)?;
    }
    Ok(())
}

/// Passes a success, and turns every other status into what it means.
pub(crate) fn by_status(response: &Response) -> Result<()> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status.as_u16() == 403 && says_non_expiring(response.body()) {
        let error = response.error(ErrorKind::NeedsReauthorization, NON_EXPIRING_ADVICE);
        return Err(error.with_reauthorization(ReauthorizationReason::NonExpiringToken));
    }
    ERRORS.check(response)
}

/// True if the body is the refusal of a token because it does not expire.
fn says_non_expiring(body: &[u8]) -> bool {
    // The parser's own error may quote the body, so it is dropped.
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    body.get("errors")
        .and_then(Value::as_str)
        .is_some_and(|text| text.contains(NON_EXPIRING))
}

/// What the errors of a GraphQL answer mean: the first code of the table that is among them.
pub(crate) fn by_code(
    response: &Response,
    errors: Vec<GraphqlError>,
    cost: Option<&Cost>,
) -> Error {
    let codes = errors.iter().filter_map(GraphqlError::code);
    let error = ERRORS.error_of(response, codes).unwrap_or_else(|| {
        let error = response.error(
            ErrorKind::Rejected,
            "Shopify refused the query; the error's source has the details",
        );
        match errors.iter().find_map(GraphqlError::code) {
            Some(code) => error.with_code(code),
            None => error,
        }
    });
    let is_throttled = error.code() == Some("THROTTLED");
    let error = error.with_source(GraphqlErrors(errors));
    match cost.and_then(Cost::wait) {
        Some(wait) if is_throttled => error.with_retry(Retry::After(wait)),
        _ => error,
    }
}

/// Passes a mutation without user errors.
pub(crate) fn by_user(response: &Response, errors: Vec<UserError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(response
        .error(
            ErrorKind::Rejected,
            "Shopify refused the input; the error's source says which part and why",
        )
        .with_source(UserErrors(errors)))
}
