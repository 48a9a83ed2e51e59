//! Calls of a provider's API: operations as plain data, and the one pipeline that sends them.
//!
//! A [`Session`] belongs to one connection. [`Session::send`] takes an [`Endpoint`],
//! [`Session::pages`] follows a [`PagedEndpoint`] from page to page, and [`Session::raw`] sends what
//! has no type yet. All three go the same way: span, access token, permit of the limiter, a second
//! look at the token, the transport with its egress guard, classification, one refresh after 401,
//! repetition within a budget, decoding.

mod classify;
mod endpoint;
mod pages;
mod request;
mod response;
mod retry;
mod session;
mod token;

pub use self::classify::{ByStatus, Classifier};
pub use self::endpoint::{Endpoint, Idempotency, IdempotencyKey, PagedEndpoint, ProviderClient};
pub use self::pages::{Items, Page, PageCursor, Pages};
pub use self::request::Request;
pub use self::response::Response;
pub(crate) use self::retry::RetryBudget;
pub use self::retry::RetryPolicy;
pub use self::session::{Session, SessionBuilder};
pub use self::token::{FixedToken, Token, TokenSource};
