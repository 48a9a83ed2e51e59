//! Mapping of a hook's HTTP statuses to error kinds.
//!
//! See [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks)
//! and [Zapier docs: REST Hook triggers](https://docs.zapier.com/platform/build/hook-trigger). A catch
//! hook responds with 200 even if its Zap is off or deleted, so the status does not show the state of the
//! Zap.

use connector_core::provider::{ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Retry};
use http::StatusCode;

pub(crate) const ERRORS: ErrorTable = ErrorTable::new(&[
    // The address is no longer valid. The hub marks the connection for reauthorization, and sends no
    // further requests to the address.
    ErrorRule::status(
        410,
        ErrorKind::Unauthorized,
        "the hook is gone, because its Zap was turned off or deleted; turn on the Zap, then connect its \
         hook again",
    ),
    // The address is the only credential, so a 401 response is not about a credential.
    ErrorRule::status(
        401,
        ErrorKind::Rejected,
        "Zapier rejected the event; check the event's content, then retry later",
    ),
    ErrorRule::status(
        404,
        ErrorKind::ProviderNotFound,
        "Zapier does not find the address; if the error persists, ask the owner to copy the address \
         from the Zap's editor again",
    )
    .with_retry(Retry::Backoff),
    ErrorRule::status(
        413,
        ErrorKind::Rejected,
        "the event is too large for the hook; send less data, for example a link to the data",
    ),
    ErrorRule::statuses(
        300,
        399,
        ErrorKind::Rejected,
        "the hook responded with a redirect, and redirects are never followed; check the hook's \
         address",
    ),
]);

/// Returns true if `error` reports that the hook is gone (status 410), or that the connection needs
/// reauthorization, because an earlier response had this status. Send no further events to the hook, and
/// ask the owner to connect a hook again.
///
/// A catch hook always responds with 200, even if its Zap is off, paused or deleted.
#[must_use]
pub fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NeedsReauthorization || error.status() == Some(StatusCode::GONE)
}
