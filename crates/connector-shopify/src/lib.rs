#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

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
mod subscriptions;
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
    AppScopesUpdate, AppSubscriptionsUpdate, BulkOperationsFinish, BulkPayload, ChargePayload,
    CollectionPayload, CollectionsCreate, CollectionsDelete, CollectionsUpdate, ComplianceCustomer,
    CustomerDataRequest, CustomerPayload, CustomerRedaction, CustomersCreate, CustomersDelete,
    CustomersUpdate, DataRequest, DraftOrderPayload, DraftOrdersCreate, DraftOrdersDelete,
    DraftOrdersUpdate, FulfillmentPayload, FulfillmentsCreate, FulfillmentsUpdate,
    InventoryItemPayload, InventoryItemsCreate, InventoryItemsDelete, InventoryItemsUpdate,
    InventoryLevelPayload, InventoryLevelsConnect, InventoryLevelsDisconnect,
    InventoryLevelsUpdate, LineItemPayload, LocationPayload, LocationsCreate, LocationsDelete,
    LocationsUpdate, OrderPayload, OrdersCancelled, OrdersCreate, OrdersDelete, OrdersFulfilled,
    OrdersPaid, OrdersPartiallyFulfilled, OrdersUpdated, ProductPayload, ProductsCreate,
    ProductsDelete, ProductsUpdate, RefundPayload, RefundsCreate, ScopesPayload, ShopRedaction,
    ShopifyEvent, VariantPayload, WEBHOOK_TOPICS,
};
