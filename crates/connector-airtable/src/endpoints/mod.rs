//! The typed operations of the Web API, one file for each kind of resource.

mod attachments;
mod bases;
mod batch;
mod comments;
mod records;
mod user;
mod webhooks;

use connector_core::api::{PageCursor, Request};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use http::Method;

pub use self::attachments::UploadAttachment;
pub use self::bases::{
    CreateBase, CreateField, CreateTable, GetBaseSchema, ListBases, UpdateField, UpdateTable,
};
pub use self::batch::{BatchEndpoint, BatchFailure, Batches};
pub use self::comments::{CreateComment, DeleteComment, ListComments, UpdateComment};
pub use self::records::{
    CellFormat, CreateRecords, DeleteRecord, DeleteRecords, GetRecord, ListRecords, SortDirection,
    UpdateRecord, UpdateRecords,
};
pub use self::user::WhoAmI;
pub use self::webhooks::{
    CreateWebhook, DeleteWebhook, EnableWebhookNotifications, ListWebhookPayloads, ListWebhooks,
    RefreshWebhook,
};

/// Maximum number of records that one call writes.
pub(crate) const BATCH: usize = 10;
/// Maximum page size.
const PAGE: u32 = 100;

/// Implements [`Endpoint`] for an operation of one base.
macro_rules! operation {
    (
        $name:ident -> $output:ty, $idempotency:ident, $scopes:expr;
        $(check: |$checked:ident| $check:expr;)?
        request: |$this:ident| $request:expr;
        decode: |$response:ident| $decode:expr;
    ) => {
        impl ::connector_core::provider::Endpoint for $name {
            type Client = $crate::AirtableClient;
            type Output = $output;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: ::connector_core::api::Idempotency =
                ::connector_core::api::Idempotency::$idempotency;
            const SCOPES: &'static [&'static str] = &$scopes;

            $(
                fn validate(&self) -> ::connector_core::Result<()> {
                    let $checked = self;
                    $check
                }
            )?

            fn draws(&self) -> ::connector_core::http::limit::Draws {
                $crate::limits::draws(&self.base)
            }

            fn request(&self) -> ::connector_core::Result<::connector_core::api::Request> {
                let $this = self;
                $request
            }

            fn decode(
                &self,
                $response: &mut ::connector_core::api::Response,
            ) -> ::connector_core::Result<$output> {
                $decode
            }
        }
    };
}
pub(crate) use operation;

/// Returns a request to a path of version 0.
fn to(method: Method, path: &[&str]) -> Result<Request> {
    Request::new(method, ["v0"].iter().chain(path))
}

/// Returns a request for the page at an offset, or for the first page.
fn at_offset(request: Request, offset: Option<&PageCursor>) -> Request {
    match offset {
        Some(offset) => request.query("offset", offset.as_str()),
        None => request,
    }
}

/// Returns the error for an invalid argument.
fn wrong(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
}

fn check_page(operation: &'static str, size: u32) -> Result<()> {
    if (1..=PAGE).contains(&size) {
        return Ok(());
    }
    Err(wrong(operation, "the page size must be 1 to 100"))
}

fn check_batch(operation: &'static str, count: usize) -> Result<()> {
    if (1..=BATCH).contains(&count) {
        return Ok(());
    }
    let message = "one call writes 1 to 10 records; use `AirtableClient::send_in_batches` for more";
    Err(wrong(operation, message))
}

/// The static properties of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The name of the operation in errors, logs and metrics.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path. Names in braces are arguments.
    pub path: &'static str,
    /// The scopes that the operation requires.
    pub scopes: &'static [&'static str],
}

const fn listed<E: Endpoint>(method: &'static str, path: &'static str) -> Operation {
    Operation {
        name: E::NAME,
        method,
        path,
        scopes: E::SCOPES,
    }
}

/// Every operation. Two operations may share a method and path.
pub const OPERATIONS: &[Operation] = &[
    listed::<WhoAmI>("GET", "/v0/meta/whoami"),
    listed::<ListBases>("GET", "/v0/meta/bases"),
    listed::<CreateBase>("POST", "/v0/meta/bases"),
    listed::<GetBaseSchema>("GET", "/v0/meta/bases/{base}/tables"),
    listed::<CreateTable>("POST", "/v0/meta/bases/{base}/tables"),
    listed::<UpdateTable>("PATCH", "/v0/meta/bases/{base}/tables/{table}"),
    listed::<CreateField>("POST", "/v0/meta/bases/{base}/tables/{table}/fields"),
    listed::<UpdateField>(
        "PATCH",
        "/v0/meta/bases/{base}/tables/{table}/fields/{field}",
    ),
    listed::<ListRecords>("GET", "/v0/{base}/{table}"),
    listed::<ListRecords>("POST", "/v0/{base}/{table}/listRecords"),
    listed::<GetRecord>("GET", "/v0/{base}/{table}/{record}"),
    listed::<CreateRecords>("POST", "/v0/{base}/{table}"),
    listed::<UpdateRecords>("PATCH", "/v0/{base}/{table}"),
    listed::<UpdateRecords>("PUT", "/v0/{base}/{table}"),
    listed::<UpdateRecord>("PATCH", "/v0/{base}/{table}/{record}"),
    listed::<UpdateRecord>("PUT", "/v0/{base}/{table}/{record}"),
    listed::<DeleteRecords>("DELETE", "/v0/{base}/{table}"),
    listed::<DeleteRecord>("DELETE", "/v0/{base}/{table}/{record}"),
    listed::<ListComments>("GET", "/v0/{base}/{table}/{record}/comments"),
    listed::<CreateComment>("POST", "/v0/{base}/{table}/{record}/comments"),
    listed::<UpdateComment>("PATCH", "/v0/{base}/{table}/{record}/comments/{comment}"),
    listed::<DeleteComment>("DELETE", "/v0/{base}/{table}/{record}/comments/{comment}"),
    listed::<UploadAttachment>("POST", "/v0/{base}/{record}/{field}/uploadAttachment"),
    listed::<CreateWebhook>("POST", "/v0/bases/{base}/webhooks"),
    listed::<ListWebhooks>("GET", "/v0/bases/{base}/webhooks"),
    listed::<RefreshWebhook>("POST", "/v0/bases/{base}/webhooks/{webhook}/refresh"),
    listed::<EnableWebhookNotifications>(
        "POST",
        "/v0/bases/{base}/webhooks/{webhook}/enableNotifications",
    ),
    listed::<ListWebhookPayloads>("GET", "/v0/bases/{base}/webhooks/{webhook}/payloads"),
    listed::<DeleteWebhook>("DELETE", "/v0/bases/{base}/webhooks/{webhook}"),
];
