//! The meaning of Airtable's errors.
//!
//! See [Airtable docs: Errors](https://airtable.com/developers/web/api/errors) and
//! [Rate limits](https://airtable.com/developers/web/api/rate-limits).

use std::time::Duration;

use connector_core::provider::{CodeAt, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Retry};

use crate::limits::PENALTY;

/// The code for an expired page offset.
const OFFSET_EXPIRED: &str = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE";
/// The code for a resource that does not exist or that the user cannot access.
const NO_ACCESS: &str = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND";
/// The rule for an exceeded rate limit. No request to the base succeeds until the penalty ends.
const THROTTLED: ErrorRule = ErrorRule::status(
    429,
    ErrorKind::RateLimited,
    "the base or the user exceeds its requests per second; wait 30 seconds",
)
.with_retry(Retry::After(Duration::from_secs(PENALTY as u64)));

/// The error table. Airtable writes the code in one of three places: `{"error":{"type":…}}`,
/// `{"error":"…"}` and `{"errors":[{"error":…}]}`.
pub(crate) const ERRORS: ErrorTable = ErrorTable::new(&[
    THROTTLED,
    ErrorRule::code(
        "PUBLIC_API_BILLING_LIMIT_EXCEEDED",
        ErrorKind::Forbidden,
        "the workspace has used up its monthly API calls; upgrade its plan or wait for the next \
         month",
    )
    .with_retry(Retry::Never),
    ErrorRule::code(
        OFFSET_EXPIRED,
        ErrorKind::Conflict,
        "the page offset has expired; restart the listing from its first page",
    )
    .with_retry(Retry::Never),
    ErrorRule::code(
        NO_ACCESS,
        ErrorKind::Forbidden,
        "the resource does not exist, or the connection's user or scopes cannot access it; check \
         the id, the granted bases and the scopes",
    ),
])
.with_codes(&[
    CodeAt::Pointer("/error/type"),
    CodeAt::Pointer("/error"),
    CodeAt::Pointer("/errors/0/error"),
]);

/// Returns true if `error` reports an expired page offset. Restart the listing from its first page.
#[must_use]
pub fn is_expired_offset(error: &Error) -> bool {
    error.code() == Some(OFFSET_EXPIRED)
}

/// Returns true if `error` reports that the resource does not exist or is not accessible. Airtable
/// responds with 403 in both cases.
pub(crate) fn is_absent(error: &Error) -> bool {
    error.kind() == ErrorKind::ProviderNotFound || error.code() == Some(NO_ACCESS)
}
