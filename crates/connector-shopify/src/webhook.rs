//! Webhook deliveries: their signature, and the topics that every app must handle.
//!
//! See [Shopify docs: Verify webhook deliveries](https://shopify.dev/docs/apps/build/webhooks/verify-deliveries)
//! and [Privacy law compliance](https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance).

use bytes::Bytes;
use connector_core::provider::webhook;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint, WebhookScheme};
use connector_core::provider::{Context, Description};
use connector_core::webhook::Event;
use connector_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::account::HostRule;
use crate::models::ShopId;

/// The signature scheme: HMAC-SHA256 of the body with the client secret, in base64. The signature
/// covers only the body. The same secret also signs the queries of callbacks, app proxies and
/// session tokens.
///
/// Every header has an old and a new spelling. The body of a compliance delivery also contains the
/// shop.
const SCHEME: &str = r#"{
    "signatures": [{ "headers": ["shopify-hmac-sha256", "x-shopify-hmac-sha256"] }],
    "secret": "client",
    "secret_signs_more": true,
    "body": ["json_object"],
    "topic": [{ "header": "shopify-topic" }, { "header": "x-shopify-topic" }],
    "account_host": [
        { "header": "shopify-shop-domain" }, { "header": "x-shopify-shop-domain" },
        { "pointer": "/shop_domain" }, { "pointer": "/myshopify_domain" }
    ],
    "delivery_id": [{ "header": "shopify-webhook-id" }, { "header": "x-shopify-webhook-id" }],
    "event_id": [{ "header": "shopify-event-id" }, { "header": "x-shopify-event-id" }],
    "triggered_at": [
        { "header": "shopify-triggered-at" }, { "header": "x-shopify-triggered-at" }
    ],
    "required": ["topic", "account"],
    "probe_topics": ["app/uninstalled", "app/scopes_update"]
}"#;

/// Returns the signature scheme. Used by a test.
pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}

/// Verifies a delivery with the description's scheme and the configured rule for shop hosts.
pub(crate) fn verify(
    description: &Description,
    rule: HostRule,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &http::Request<Bytes>,
) -> Result<Incoming> {
    let accept = |host: &str| {
        let shop = rule.accept_host(&host.to_ascii_lowercase()).ok()?;
        Some(shop.as_str().to_owned())
    };
    webhook::verify_with(description, &accept, cx, endpoint, request)
}

/// The meaning of a delivery with a topic that every app must handle.
///
/// The topic and the shop are in unsigned headers, so treat each event as a hint. Before you end or
/// delete anything, query the shop, as the hub does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShopifyEvent {
    /// `app/uninstalled`. The app was probably removed, and its tokens have ended. The event may
    /// arrive after the shop has installed the app again.
    AppUninstalled,
    /// `app/scopes_update`. The granted scopes have changed.
    ScopesUpdated,
    /// `shop/update`. The shop's settings have changed.
    ShopUpdated,
    /// `customers/data_request`. You must send the data about a customer to the shop's owner within
    /// 30 days.
    CustomerDataRequested(CustomerDataRequest),
    /// `customers/redact`. You must delete the data about a customer within 30 days.
    CustomerRedacted(CustomerRedaction),
    /// `shop/redact`. You must delete the data about the shop. Shopify sends this delivery 48 hours
    /// after the app was removed.
    ShopRedacted(ShopRedaction),
    /// Any other topic.
    Other,
}

impl ShopifyEvent {
    /// Parses a verified event.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the body of a compliance topic lacks a required field.
    pub fn of(event: &Event) -> Result<Self> {
        Ok(match event.topic.as_str() {
            "app/uninstalled" => Self::AppUninstalled,
            "app/scopes_update" => Self::ScopesUpdated,
            "shop/update" => Self::ShopUpdated,
            "customers/data_request" => Self::CustomerDataRequested(body(event)?),
            "customers/redact" => Self::CustomerRedacted(body(event)?),
            "shop/redact" => Self::ShopRedacted(body(event)?),
            _ => Self::Other,
        })
    }
}

fn body<T: for<'de> Deserialize<'de>>(event: &Event) -> Result<T> {
    // The parser's error is dropped, because it may quote the body.
    serde_json::from_slice(&event.body).map_err(|_| {
        Error::new(
            ErrorKind::UnexpectedResponse,
            "shopify.webhook",
            "the body of a compliance delivery differs from Shopify's documentation",
        )
        .with_provider("shopify")
    })
}

/// A customer in a compliance delivery.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ComplianceCustomer {
    /// The number in the customer's id.
    pub id: u64,
    /// The customer's e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The customer's telephone number.
    #[serde(default)]
    pub phone: Option<String>,
}

impl std::fmt::Debug for ComplianceCustomer {
    /// Shows only the customer's number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComplianceCustomer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The body of `customers/data_request`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CustomerDataRequest {
    /// The shop. This value is signed.
    pub shop_id: ShopId,
    /// The shop's host.
    pub shop_domain: String,
    /// The customer.
    pub customer: ComplianceCustomer,
    /// The numbers in the ids of the requested orders.
    #[serde(default)]
    pub orders_requested: Vec<u64>,
    /// The request.
    pub data_request: DataRequest,
}

/// A request for a customer's data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DataRequest {
    /// The number in the request's id.
    pub id: u64,
}

/// The body of `customers/redact`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CustomerRedaction {
    /// The shop. This value is signed.
    pub shop_id: ShopId,
    /// The shop's host.
    pub shop_domain: String,
    /// The customer.
    pub customer: ComplianceCustomer,
    /// The numbers in the ids of the orders to delete.
    #[serde(default)]
    pub orders_to_redact: Vec<u64>,
}

/// The body of `shop/redact`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ShopRedaction {
    /// The shop. This value is signed.
    pub shop_id: ShopId,
    /// The shop's host.
    pub shop_domain: String,
}
