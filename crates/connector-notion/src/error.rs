//! Mapping of Notion's error codes to error kinds.
//!
//! See [Notion docs: Status codes](https://developers.notion.com/reference/status-codes).

use connector_core::provider::{CodeAt, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Retry};

/// Error code for an object that does not exist or is not shared with the connection.
const NOT_FOUND: &str = "object_not_found";
/// Error code for a request that the connection's capabilities do not allow.
const RESTRICTED: &str = "restricted_resource";

/// The error table. Error responses from Notion's CDN have no code, so they are classified by HTTP
/// status.
pub(crate) const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::code(
        NOT_FOUND,
        ErrorKind::ProviderNotFound,
        "the object does not exist or is not shared with the connection; ask the owner to share \
         it, and do not delete data because of this error",
    ),
    ErrorRule::code(
        RESTRICTED,
        ErrorKind::Forbidden,
        "the connection lacks the capability for this operation; add it in Notion's portal, \
         then every user must authorize again",
    ),
    ErrorRule::status(
        529,
        ErrorKind::RateLimited,
        "Notion is overloaded; wait for the time in `Retry-After`, then retry",
    ),
    ErrorRule::code(
        "conflict_error",
        ErrorKind::Conflict,
        "another write changed the object meanwhile; read the object again, then retry the write",
    ),
    ErrorRule::code(
        "row_limit_exceeded",
        ErrorKind::Conflict,
        "the data source has reached Notion's maximum number of rows; use another data source",
    )
    .with_retry(Retry::Never),
    ErrorRule::code(
        "validation_error",
        ErrorKind::Rejected,
        "Notion rejected an argument; look up the error's request id in Notion's portal",
    ),
    ErrorRule::code(
        "missing_version",
        ErrorKind::Bug,
        "the request contained no API version; please report this bug",
    ),
])
.with_codes(&[CodeAt::Pointer("/code"), CodeAt::Pointer("/error")]);

/// Returns true if `error` reports that the object does not exist, is not shared with the
/// connection, or needs a capability that the connection lacks. Notion does not distinguish the
/// first two cases, so do not delete data because of this error.
#[must_use]
pub fn is_not_shared(error: &Error) -> bool {
    error.kind() == ErrorKind::ProviderNotFound || error.code() == Some(RESTRICTED)
}
