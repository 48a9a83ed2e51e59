//! The meaning of Shopify's errors, as one table of statuses and GraphQL codes.
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

/// The start of the message for this refusal. Shopify has no code for it. See
/// <https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens>.
const NON_EXPIRING: &str = "Non-expiring access tokens are no longer accepted";

const NON_EXPIRING_ADVICE: &str = "Shopify no longer accepts this shop's token, because it does \
                                   not expire (non_expiring_token): migrate it with \
                                   Hub::migrate, or connect the shop again";

/// Meanings of status codes and of GraphQL error codes. If a response has several codes, the first
/// match in this table is used.
const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::code(
        "THROTTLED",
        ErrorKind::RateLimited,
        "the shop's points are used up; try again later",
    ),
    ErrorRule::code(
        "INTERNAL_SERVER_ERROR",
        ErrorKind::ProviderUnavailable,
        "Shopify had an internal error; try again later",
    ),
    ErrorRule::code(
        "ACCESS_DENIED",
        ErrorKind::Forbidden,
        "the app lacks a scope or an approval for this operation",
    ),
    ErrorRule::code(
        "SHOP_INACTIVE",
        ErrorKind::Forbidden,
        "the shop is not active; its owner must reopen it",
    ),
    ErrorRule::code(
        "MAX_COST_EXCEEDED",
        ErrorKind::Rejected,
        "the query costs more points than the maximum; request less data at once",
    ),
    ErrorRule::status(
        400,
        ErrorKind::Rejected,
        "Shopify could not parse the request",
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
        "the app lacks a scope or an approval for this operation",
    ),
    ErrorRule::status(
        404,
        ErrorKind::ProviderNotFound,
        "Shopify did not find the shop or the URL; the shop may be closed",
    ),
    ErrorRule::status(
        406,
        ErrorKind::Rejected,
        "Shopify does not support the requested response format",
    ),
    ErrorRule::status(
        409,
        ErrorKind::Conflict,
        "another request is changing the resource",
    ),
    ErrorRule::status(
        413,
        ErrorKind::Rejected,
        "the request is too large for Shopify",
    ),
    ErrorRule::status(
        422,
        ErrorKind::Rejected,
        "Shopify refused the content of the request",
    ),
    ErrorRule::status(
        423,
        ErrorKind::Forbidden,
        "the shop is locked; its owner must contact Shopify",
    ),
    ErrorRule::status(
        429,
        ErrorKind::RateLimited,
        "Shopify limits the app's requests; try again later",
    ),
    ErrorRule::status(
        430,
        ErrorKind::Forbidden,
        "Shopify refused the request as a security risk",
    ),
    ErrorRule::status(
        501,
        ErrorKind::Unsupported,
        "Shopify does not support this operation",
    ),
    ErrorRule::statuses(
        500,
        599,
        ErrorKind::ProviderUnavailable,
        "Shopify had an internal error; try again later",
    ),
    ErrorRule::statuses(
        100,
        499,
        ErrorKind::UnexpectedResponse,
        "Shopify responded with an unknown status",
    ),
]);

/// One entry of `errors` in a GraphQL response.
///
/// Shopify writes the message for developers. Do not show it to customers.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct GraphqlError {
    /// Shopify's message.
    #[serde(default)]
    pub message: String,
    /// The path to the failed field.
    #[serde(default)]
    pub path: Vec<PathSegment>,
    #[serde(default)]
    extensions: Value,
}

impl GraphqlError {
    /// Returns the machine-readable code, for example `ACCESS_DENIED`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.extensions.get("code").and_then(Value::as_str)
    }

    /// Returns the extension `name`, if it exists and has the type `T`.
    #[must_use]
    pub fn extension<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.extensions
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }
}

/// Shows the code, but only the length of Shopify's message, because the message may quote the
/// request.
impl fmt::Debug for GraphqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphqlError")
            .field("code", &self.code())
            .field("message_bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// A segment of the path to a field in a response.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PathSegment {
    /// A field with this name.
    Field(String),
    /// A list item with this index, starting at 0.
    Index(u64),
}

/// The errors of a GraphQL response. Used as the source of an operation's [`Error`].
#[derive(Debug, Clone, PartialEq)]
pub struct GraphqlErrors(Vec<GraphqlError>);

impl GraphqlErrors {
    /// Returns the errors in Shopify's order.
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

/// One entry of a mutation's `userErrors`, which describes an error in the input.
///
/// Shopify writes the message for end users.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct UserError {
    /// The path to the invalid part of the input. `None` if the whole input is invalid.
    #[serde(default)]
    pub field: Option<Vec<String>>,
    /// Shopify's message.
    pub message: String,
    /// The machine-readable code, if the mutation has codes.
    #[serde(default)]
    pub code: Option<String>,
}

/// Shows the field and the code, but only the length of Shopify's message, because the message may
/// quote the input.
impl fmt::Debug for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserError")
            .field("code", &self.code)
            .field("field", &self.field)
            .field("message_bytes", &self.message.len())
            .finish()
    }
}

/// The user errors of a mutation. Used as the source of its [`Error`] of kind
/// [`Rejected`](ErrorKind::Rejected).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserErrors(Vec<UserError>);

impl UserErrors {
    /// Returns the errors in Shopify's order.
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

/// Writes text from a provider without characters that are unsafe in a log.
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

/// Returns `Ok` for a success status, and the mapped error for every other status.
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

/// Returns true if the body refuses a token because the token does not expire.
fn says_non_expiring(body: &[u8]) -> bool {
    // The parser's error is dropped, because it may quote the body.
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    body.get("errors")
        .and_then(Value::as_str)
        .is_some_and(|text| text.contains(NON_EXPIRING))
}

/// Returns the error for a GraphQL response with errors. The first matching code in the table
/// determines the error.
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

/// Returns an error if the mutation has user errors.
pub(crate) fn by_user(response: &Response, errors: Vec<UserError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let code = errors.iter().find_map(|it| it.code.clone());
    let error = match code.as_deref() {
        // The same key is in use by another request, or was used with other input.
        Some("IDEMPOTENCY_CONCURRENT_REQUEST") => response
            .error(
                ErrorKind::Conflict,
                "Shopify still processes a request with the same idempotency key; try again later",
            )
            .with_retry(Retry::Backoff),
        Some("OPERATION_IN_PROGRESS" | "LIMIT_REACHED") => response
            .error(
                ErrorKind::Conflict,
                "the shop already runs as many bulk operations as it may; try again when one has \
                 ended",
            )
            .with_retry(Retry::Backoff),
        _ => response.error(
            ErrorKind::Rejected,
            "Shopify refused the input; the error's source contains the fields and the reasons",
        ),
    };
    let error = match code {
        Some(code) => error.with_code(&code),
        None => error,
    };
    Err(error.with_source(UserErrors(errors)))
}
