//! The meaning of Airtable's errors.
//!
//! See [Airtable docs: Errors](https://airtable.com/developers/web/api/errors) and
//! [Rate limits](https://airtable.com/developers/web/api/rate-limits).

use std::time::Duration;

use connector_core::provider::{CodeAt, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Retry};

use crate::limits::PENALTY;

/// The code of a page offset that has expired.
const OFFSET_EXPIRED: &str = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE";
/// The code of a resource that does not exist or that the user has no access to.
const NO_ACCESS: &str = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND";
/// The refusal by a limit: no request to the base succeeds before the penalty is over.
const THROTTLED: ErrorRule = ErrorRule::status(
    429,
    ErrorKind::RateLimited,
    "the base or the user is over its requests per second; wait 30 seconds",
)
.with_retry(Retry::After(Duration::from_secs(PENALTY as u64)));

/// The table. Airtable writes a code in three places: `{"error":{"type":…}}`, `{"error":"…"}` and
/// `{"errors":[{"error":…}]}`.
pub(crate) const ERRORS: ErrorTable = ErrorTable::new(&[
    THROTTLED,
    ErrorRule::code(
        "PUBLIC_API_BILLING_LIMIT_EXCEEDED",
        ErrorKind::Forbidden,
        "the workspace has used up its monthly API calls; upgrade its plan or wait for the next month",
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
        "the resource does not exist, or the connection's user or scopes do not reach it; check the \
         id, the granted bases and the scopes",
    ),
])
.with_codes(&[
    CodeAt::Pointer("/error/type"),
    CodeAt::Pointer("/error"),
    CodeAt::Pointer("/errors/0/error"),
]);

/// Returns true if `error` says that a page offset has expired: the listing has to be restarted from
/// its first page.
#[must_use]
pub fn is_expired_offset(error: &Error) -> bool {
    error.code() == Some(OFFSET_EXPIRED)
}

/// Returns true if `error` says that the resource is not there, or not for this connection: Airtable
/// answers 403 in both cases.
pub(crate) fn is_absent(error: &Error) -> bool {
    error.kind() == ErrorKind::ProviderNotFound || error.code() == Some(NO_ACCESS)
}
