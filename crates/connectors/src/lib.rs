#![cfg_attr(all(feature = "shopify", feature = "sqlite"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "shopify", feature = "sqlite")),
    doc = "The connectors workspace as one crate. Its documentation is built with all features."
)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub use connector_core::provider::subscription::Watch;
pub use connector_core::store::{
    AttemptRecord, AuditRecord, Cursor, DeliveryFilter, DeliveryKey, DeliveryRecord, DeliveryState,
    Direction, EndpointHealth, EndpointId, EndpointState, Enqueued, MemoryStore, NewMessage,
    OutboundFilter, OutboundRecord, OutboundState, Page, SubscriptionId,
};
pub use connector_core::{
    AccessToken, Account, AccountKey, Actor, App, AppKey, AppSource, AuditClass, AuditEntry, Check,
    Connection, ConnectionId, ConnectionKey, CorrelationId, Credential, CredentialKind,
    DegradedReason, Error, ErrorKind, Event, FixedApps, InvalidName, Metadata, ProviderId, Random,
    ReauthorizationReason, RedirectUri, RequestContext, Result, Retry, Status, SystemRandom,
    TenantId, api, cipher, clock, outbound, provider, random_token, store, webhook,
};
#[cfg(feature = "metrics")]
pub use connector_hub::describe_metrics;
pub use connector_hub::{
    AddedEndpoint, Adopt, AppClient, AppHealth, Authorization, Authorize, CallAudit, Cause,
    ChangeHandler, ChannelOwner, CheckOutcome, Connected, ConnectionDetails, Delivered,
    DeliveryHandler, Disconnect, EndpointInfo, EndpointUpdate, EventHandler, Explanation,
    FailedRequest, FinishConnect, FlowInfo, Health, Hub, HubBuilder, Ingest, KeyRotation, Message,
    Migrate, MigrateAll, Migration, MigrationReport, NewTarget, Outbound, OutboundPolicy, Receipt,
    Receive, Responsible, RestHooks, ScopeReport, SubscriptionInfo, SubscriptionSecret,
    SubscriptionSecrets, Tenant, TestOutcome, Tick, Verified, Worker,
};
/// HTTP: the transport, origins, and providers' rate limits.
pub mod http {
    pub use connector_core::http::{
        BodyError, BodyFailure, BodyStream, HostRule, HttpTransport, LastCheck, LoopbackOverride,
        Origin, OutboundRequest, RequestBody, RequestClass, Sent, StreamRequest, TransportError,
        TransportErrorKind, limit, retry_after,
    };
    pub use connector_http::{HttpClient, HttpClientBuilder, Resolver, SystemResolver};
}
#[cfg(feature = "airtable")]
pub use connector_airtable as airtable;
#[cfg(feature = "amazon-spapi")]
pub use connector_amazon_spapi as amazon_spapi;
#[cfg(feature = "axum")]
pub use connector_axum as axum;
#[cfg(feature = "gdrive")]
pub use connector_gdrive as gdrive;
#[cfg(feature = "notion")]
pub use connector_notion as notion;
#[cfg(feature = "shopify")]
pub use connector_shopify as shopify;
#[cfg(feature = "postgres")]
pub use connector_store_postgres as postgres;
#[cfg(feature = "sqlite")]
pub use connector_store_sqlite as sqlite;
#[cfg(feature = "zapier")]
pub use connector_zapier as zapier;
