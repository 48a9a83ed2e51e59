#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod account;
mod adopt;
mod app_client;
mod audit;
mod authorize;
mod breaker;
mod callback;
mod check;
mod client;
mod connect;
mod details;
mod disconnect;
mod events;
mod explain;
mod flow;
mod health;
mod hub;
mod inbound;
mod keys;
mod migrate;
mod outbound;
mod sealing;
mod subscribe;
mod telemetry;
mod token;
mod worker;

pub use crate::adopt::Adopt;
pub use crate::app_client::AppClient;
pub use crate::audit::CallAudit;
pub use crate::authorize::{Authorization, Authorize};
pub use crate::callback::{FinishConnect, FlowInfo};
pub use crate::check::CheckOutcome;
pub use crate::connect::{Connected, ScopeReport};
pub use crate::details::ConnectionDetails;
pub use crate::disconnect::Disconnect;
pub use crate::events::ChangeHandler;
pub use crate::explain::{Cause, Explanation, FailedRequest, Responsible};
pub use crate::health::{AppHealth, Health};
pub use crate::hub::{Hub, HubBuilder, Tenant};
pub use crate::inbound::{
    Delivered, DeliveryHandler, EventHandler, Ingest, Message, Receipt, Receive,
    SubscriptionSecret, SubscriptionSecrets, Verified,
};
pub use crate::keys::KeyRotation;
pub use crate::migrate::{Migrate, MigrateAll, Migration, MigrationReport};
pub use crate::outbound::{
    AddedEndpoint, EndpointInfo, EndpointUpdate, NewTarget, Outbound, OutboundPolicy, RestHooks,
    TestOutcome,
};
pub use crate::subscribe::{ChannelOwner, SubscriptionInfo};
#[cfg(feature = "metrics")]
pub use crate::telemetry::describe_metrics;
pub use crate::telemetry::{METRICS, Metric, MetricKind};
#[cfg(feature = "machine")]
#[doc(hidden)]
pub use crate::token::machine;
pub use crate::worker::{Tick, Worker};
pub use connector_core::api::Token;
