#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// There is no `subscriptions.rs`, because the application creates and lists webhook subscriptions with
// operations in `endpoints/`.
mod account;
mod bulk;
mod client;
mod config;
mod connector;
mod embedded;
pub mod endpoints;
mod error;
mod graphql;
mod limits;
mod metadata;
pub mod models;
mod oauth;
#[cfg(feature = "sim")]
pub mod sim;
mod webhook;

pub use self::account::ShopDomain;
pub use self::bulk::{Bulk, BulkOptions, BulkResult, BulkRows, Group};
pub use self::client::{Graphql, GraphqlQuery, GraphqlResponse, ShopifyClient};
pub use self::config::{ShopifyConfig, ShopifyConfigBuilder, VARIABLES, Variable};
pub use self::connector::{AppProxyRequest, Shopify};
pub use self::embedded::{Entry, SessionToken, SessionTokens};
pub use self::error::{GraphqlError, GraphqlErrors, PathSegment, UserError, UserErrors};
pub use self::limits::{Cost, ThrottleStatus};
pub use self::oauth::expand_scopes;
pub use self::webhook::{
    ComplianceCustomer, CustomerDataRequest, CustomerRedaction, DataRequest, OrdersCancelled,
    OrdersCreate, OrdersFulfilled, OrdersPaid, OrdersUpdated, ProductsCreate, ProductsDelete,
    ProductsUpdate, ShopRedaction, ShopifyEvent, WebhookResource,
};
