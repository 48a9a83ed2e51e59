//! The meaning of the statuses of hooks.
//!
//! See [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks)
//! and [Zapier docs: REST Hook triggers](https://docs.zapier.com/platform/build/hook-trigger). A catch
//! hook answers 200 even if its Zap is off or deleted: no error tells that, and no success rules it
//! out.

use connector_core::provider::{ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Retry};
use http::StatusCode;

pub(crate) const ERRORS: ErrorTable = ErrorTable::new(&[
    // The credential is over: the hub asks the owner for another one, and nothing more is sent.
    ErrorRule::status(
        410,
        ErrorKind::Unauthorized,
        "the hook is gone: its Zap was turned off or deleted; connect the hook again once the Zap is \
         on",
    ),
    // Zapier checks no credential besides the address.
    ErrorRule::status(
        401,
        ErrorKind::Rejected,
        "Zapier refused the event; check its content, then send it again later",
    ),
    ErrorRule::status(
        404,
        ErrorKind::ProviderNotFound,
        "Zapier does not know the address at the moment; if it stays so, ask the owner for the \
         address that the editor of the Zap shows",
    )
    .with_retry(Retry::Backoff),
    ErrorRule::status(
        413,
        ErrorKind::Rejected,
        "the event is too large for the hook; send less data, for example a link to it",
    ),
    ErrorRule::statuses(
        300,
        399,
        ErrorKind::Rejected,
        "the hook answered with a redirect, which is never followed; check its address",
    ),
]);

/// Returns true if `error` says that the hook is gone (status 410), or that the connection was already
/// marked because of that. Send nothing more to it, and ask the owner to connect a hook again.
///
/// A catch hook never says so: it answers 200 whatever the state of its Zap.
#[must_use]
pub fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NeedsReauthorization || error.status() == Some(StatusCode::GONE)
}
