//! Calls to a provider's API: operations as plain data, and the pipeline that sends them.
//!
//! A [`Session`] belongs to one connection. [`Session::send`] sends an [`Endpoint`],
//! [`Session::pages`] reads all pages of a [`PagedEndpoint`], and [`Session::raw`] sends a request
//! that has no typed operation. All three use the same pipeline: tracing span, access token,
//! rate-limit permits, a second check of the token, the transport with its egress guard,
//! classification, one refresh after a 401, retries within a budget, and decoding.
//!
//! [`Endpoint`]: crate::provider::Endpoint
//! [`PagedEndpoint`]: crate::provider::PagedEndpoint

mod call_log;
pub(crate) mod classify;
mod client;
mod download;
pub(crate) mod endpoint;
pub(crate) mod error_table;
mod link;
mod minted;
mod multipart;
mod open_enum;
mod options;
mod pages;
mod request;
mod response;
mod resumable;
mod retry;
mod session;
mod template;
mod token;
mod transfer;
mod upload;

pub use self::call_log::{CallLog, CallRecord};
pub use self::download::{Checksum, Download, DownloadOptions};
pub use self::endpoint::{Idempotency, IdempotencyKey};
pub use self::link::Link;
pub use self::minted::{MintedTokens, TokenMint};
pub use self::multipart::{Multipart, Part};
pub use self::options::CallOptions;
pub use self::pages::{Items, Page, PageCursor, Pages, Truncated};
pub use self::request::Request;
pub use self::response::Response;
pub use self::resumable::{ExpectedRanges, RangeHeader, Received, ResumableUpload, UploadProtocol};
pub(crate) use self::retry::RetryBudget;
pub use self::retry::RetryPolicy;
pub use self::session::{RawResponse, Session, SessionBuilder};
pub use self::token::{FixedToken, Token, TokenSource};
pub use self::transfer::{OnProgress, Prepared, Progress, Transfer};
pub use self::upload::{UploadBody, UploadDigest};
