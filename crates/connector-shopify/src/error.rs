//! What Shopify's answers mean: one table for statuses, one for GraphQL codes.
//!
//! See [Shopify docs: Response status and error codes](https://shopify.dev/docs/api/usage/response-codes).

use std::fmt;

use connector_core::api::Response;
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

/// What a status means.
const STATUSES: [(u16, ErrorKind, &str); 13] = [
    (
        400,
        ErrorKind::Rejected,
        "Shopify could not read the request",
    ),
    (
        401,
        ErrorKind::Unauthorized,
        "Shopify refused the access token",
    ),
    (
        402,
        ErrorKind::Forbidden,
        "the shop is frozen until its owner pays; try again in a day",
    ),
    (
        403,
        ErrorKind::Forbidden,
        "the app may not do this: a scope or an approval is missing",
    ),
    (
        404,
        ErrorKind::ProviderNotFound,
        "Shopify knows no such shop or address; the shop may be closed",
    ),
    (
        406,
        ErrorKind::Rejected,
        "Shopify does not answer in this form",
    ),
    (
        409,
        ErrorKind::Conflict,
        "the resource is being changed elsewhere",
    ),
    (
        413,
        ErrorKind::Rejected,
        "the request is too long for Shopify",
    ),
    (
        422,
        ErrorKind::Rejected,
        "Shopify refused the request's content",
    ),
    (
        423,
        ErrorKind::Forbidden,
        "the shop is locked; its owner has to contact Shopify",
    ),
    (
        429,
        ErrorKind::RateLimited,
        "Shopify limits the app's requests; try again later",
    ),
    (
        430,
        ErrorKind::Forbidden,
        "Shopify refused the request as a danger to its security",
    ),
    (501, ErrorKind::Unsupported, "Shopify does not offer this"),
];

/// What a code of a GraphQL error means.
const CODES: [(&str, ErrorKind, &str); 5] = [
    (
        "THROTTLED",
        ErrorKind::RateLimited,
        "the shop's budget of points is used up; try again later",
    ),
    (
        "INTERNAL_SERVER_ERROR",
        ErrorKind::ProviderUnavailable,
        "Shopify failed; try again later",
    ),
    (
        "ACCESS_DENIED",
        ErrorKind::Forbidden,
        "the app may not do this: a scope or an approval is missing",
    ),
    (
        "SHOP_INACTIVE",
        ErrorKind::Forbidden,
        "the shop is not active; its owner has to reopen it",
    ),
    (
        "MAX_COST_EXCEEDED",
        ErrorKind::Rejected,
        "the query costs more points than any may; ask for less at once",
    ),
];

/// One entry of a GraphQL answer's `errors`.
///
/// Its text is Shopify's; show it to developers, not to customers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    let known = STATUSES.iter().find(|(code, ..)| *code == status.as_u16());
    let (kind, message) = match known {
        Some(&(_, kind, message)) => (kind, message),
        None if status.is_server_error() => (
            ErrorKind::ProviderUnavailable,
            "Shopify failed; try again later",
        ),
        None => (
            ErrorKind::UnexpectedAnswer,
            "Shopify gave an answer with a status that is not known",
        ),
    };
    Err(response.error(kind, message))
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
    let known = CODES
        .iter()
        .find(|(code, ..)| errors.iter().any(|error| error.code() == Some(code)));
    let (code, kind, message) = known.copied().unwrap_or((
        "",
        ErrorKind::Rejected,
        "Shopify refused the query; the error's source has the details",
    ));
    let error = response
        .error(kind, message)
        .with_source(GraphqlErrors(errors));
    match cost.and_then(Cost::wait) {
        Some(wait) if code == "THROTTLED" => error.with_retry(Retry::After(wait)),
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
