//! Webhook deliveries: their signature, and the topics that every app must handle.
//!
//! See [Shopify docs: Verify webhook deliveries](https://shopify.dev/docs/apps/build/webhooks/verify-deliveries)
//! and [Privacy law compliance](https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance).

use bytes::Bytes;
use connector_core::provider::webhook;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint, WebhookScheme};
use connector_core::provider::{Context, Description};
use connector_core::webhook::{Event, TypedEvent};
use connector_core::{Error, ErrorKind, ProviderId, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Shopify;
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

impl TypedEvent for ShopifyEvent {
    const PROVIDER: ProviderId = Shopify::ID;
    const TOPICS: &'static [&'static str] = &[
        "app/uninstalled",
        "app/scopes_update",
        "shop/update",
        "customers/data_request",
        "customers/redact",
        "shop/redact",
    ];

    fn decode(event: &Event) -> Result<Self> {
        Self::of(event)
    }
}

/// Implements [`TypedEvent`] for the body of one topic.
macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $topic:literal;)*) => { $(
        $(#[$doc])*
        ///
        /// The topic is not signed. See [`ShopifyEvent`].
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(transparent)]
        pub struct $name(
            /// The body of the delivery.
            pub $inner,
        );

        typed!($name = $topic);
    )* };
    ($($name:ident = $topic:literal),* $(,)?) => { $(
        impl TypedEvent for $name {
            const PROVIDER: ProviderId = Shopify::ID;
            const TOPICS: &'static [&'static str] = &[$topic];

            fn decode(event: &Event) -> Result<Self> {
                body(event)
            }
        }
    )* };
}

typed! {
    CustomerDataRequest = "customers/data_request",
    CustomerRedaction = "customers/redact",
    ShopRedaction = "shop/redact",
}

typed! {
    /// `orders/create`: an order was placed.
    OrdersCreate(WebhookResource) = "orders/create";
    /// `orders/updated`: an order has changed.
    OrdersUpdated(WebhookResource) = "orders/updated";
    /// `orders/paid`: an order was paid.
    OrdersPaid(WebhookResource) = "orders/paid";
    /// `orders/fulfilled`: an order was fulfilled.
    OrdersFulfilled(WebhookResource) = "orders/fulfilled";
    /// `orders/cancelled`: an order was cancelled.
    OrdersCancelled(WebhookResource) = "orders/cancelled";
    /// `products/create`: a product was created.
    ProductsCreate(WebhookResource) = "products/create";
    /// `products/update`: a product has changed.
    ProductsUpdate(WebhookResource) = "products/update";
    /// `products/delete`: a product was deleted. The body contains only the id.
    ProductsDelete(WebhookResource) = "products/delete";
}

/// A resource in the body of a delivery, in the form of Shopify's REST API. The body can be older
/// than the resource, because deliveries can arrive late and in any order. Compare
/// [`updated_at`](WebhookResource::updated_at), or read the resource with its id.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct WebhookResource {
    /// The number in the resource's id.
    pub id: u64,
    /// The id for the GraphQL API, for example `gid://shopify/Order/1`.
    #[serde(default)]
    pub admin_graphql_api_id: Option<String>,
    /// The time of the last change (RFC 3339).
    #[serde(default)]
    pub updated_at: Option<String>,
    /// The other fields.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl std::fmt::Debug for WebhookResource {
    /// Shows only the id, because the other fields can contain personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookResource")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn body<T: for<'de> Deserialize<'de>>(event: &Event) -> Result<T> {
    // The parser's error is dropped, because it may quote the body.
    serde_json::from_slice(&event.body).map_err(|_| {
        Error::new(
            ErrorKind::UnexpectedResponse,
            "shopify.webhook",
            "the body of the delivery differs from Shopify's documentation",
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
