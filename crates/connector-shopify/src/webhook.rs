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
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $topic:literal;)*) => {
        /// The topics of all types of this crate, in the spelling of deliveries.
        pub const WEBHOOK_TOPICS: &[&str] = &[
            "app/uninstalled", "shop/update", "customers/data_request", "customers/redact",
            "shop/redact", $($topic),*
        ];

        $(
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

/// Defines bodies of deliveries, in the form of Shopify's REST API. Every named field may be missing,
/// because a subscription can select fields; all other fields are kept. `Debug` shows only the id,
/// because the other fields can be personal data.
macro_rules! payload {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        ///
        /// A body can be older than the resource, because deliveries can arrive late and in any
        /// order. Compare the time of the last change, or read the resource with its id.
        #[derive(Clone, PartialEq, Deserialize)]
        #[non_exhaustive]
        pub struct $name {
            /// The number in the resource's id.
            #[serde(default)]
            pub id: Option<u64>,
            /// The id for the GraphQL API, for example `gid://shopify/Order/1`.
            #[serde(default)]
            pub admin_graphql_api_id: Option<String>,
            /// The time of the last change (RFC 3339).
            #[serde(default)]
            pub updated_at: Option<String>,
            $($(#[$field_doc])* #[serde(default)] pub $field: Option<$type>,)*
            /// The other fields.
            #[serde(flatten)]
            pub fields: Map<String, Value>,
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("id", &self.id)
                    .finish_non_exhaustive()
            }
        }
    )* };
}

payload! {
    /// An order in a delivery.
    OrderPayload {
        /// The name of the order, for example `#1001`.
        name: String,
        /// The customer's e-mail address.
        email: String,
        /// The creation time (RFC 3339).
        created_at: String,
        /// The time of the cancellation (RFC 3339).
        cancelled_at: String,
        /// The currency (ISO 4217).
        currency: String,
        /// The total as decimal text.
        total_price: String,
        /// The payment state, for example `paid`.
        financial_status: String,
        /// The fulfilment state, for example `fulfilled`.
        fulfillment_status: String,
        /// True for a test order.
        test: bool,
        /// The items.
        line_items: Vec<LineItemPayload>,
    }
    /// An item of an order in a delivery.
    LineItemPayload {
        /// The title of the product.
        title: String,
        /// The stock keeping unit.
        sku: String,
        /// Number of units.
        quantity: i64,
        /// The price of one unit as decimal text.
        price: String,
        /// The number in the variant's id.
        variant_id: u64,
        /// The number in the product's id.
        product_id: u64,
    }
    /// A product in a delivery.
    ProductPayload {
        /// The title of the product.
        title: String,
        /// The product's name in URLs.
        handle: String,
        /// The visibility: `active`, `archived` or `draft`.
        status: String,
        /// The manufacturer.
        vendor: String,
        /// The variants.
        variants: Vec<VariantPayload>,
    }
    /// A variant of a product in a delivery.
    VariantPayload {
        /// The stock keeping unit.
        sku: String,
        /// The price as decimal text.
        price: String,
        /// The number in the inventory item's id.
        inventory_item_id: u64,
    }
    /// A customer in a delivery.
    CustomerPayload {
        /// The e-mail address.
        email: String,
        /// The first name.
        first_name: String,
        /// The last name.
        last_name: String,
    }
    /// A draft order in a delivery.
    DraftOrderPayload {
        /// The name of the draft, for example `#D1`.
        name: String,
        /// The state: `open`, `invoice_sent` or `completed`.
        status: String,
        /// The number in the id of the order that the draft became.
        order_id: u64,
    }
    /// A collection in a delivery.
    CollectionPayload {
        /// The title of the collection.
        title: String,
        /// The collection's name in URLs.
        handle: String,
    }
    /// The stock of an item at a location in a delivery. The field `id` is absent.
    InventoryLevelPayload {
        /// The number in the inventory item's id.
        inventory_item_id: u64,
        /// The number in the location's id.
        location_id: u64,
        /// Number of available units.
        available: i64,
    }
    /// An inventory item in a delivery.
    InventoryItemPayload {
        /// The stock keeping unit.
        sku: String,
        /// True if Shopify tracks the stock.
        tracked: bool,
    }
    /// A fulfilment in a delivery.
    FulfillmentPayload {
        /// The number in the order's id.
        order_id: u64,
        /// The state, for example `success`.
        status: String,
        /// The tracking number.
        tracking_number: String,
    }
    /// A refund in a delivery.
    RefundPayload {
        /// The number in the order's id.
        order_id: u64,
        /// The shop's note.
        note: String,
    }
    /// A location in a delivery.
    LocationPayload {
        /// The name of the location.
        name: String,
        /// False for a deactivated location.
        active: bool,
    }
    /// The scopes of the app before and after a change.
    ScopesPayload {
        /// The scopes before the change.
        previous: Vec<String>,
        /// The scopes after the change.
        current: Vec<String>,
    }
    /// The end of a bulk operation. The field `id` is absent; `admin_graphql_api_id` is the id of the
    /// operation. Get the operation for its result.
    BulkPayload {
        /// The state, for example `completed`.
        status: String,
        /// The reason of a failure.
        error_code: String,
        /// `query` or `mutation`.
        r#type: String,
        /// The time of the end (RFC 3339).
        completed_at: String,
    }
    /// A recurring charge of the app. The field `app_subscription` contains it.
    ChargePayload {
        /// The charge.
        app_subscription: Map<String, Value>,
    }
}

typed! {
    /// `orders/create`: an order was placed.
    OrdersCreate(OrderPayload) = "orders/create";
    /// `orders/updated`: an order has changed.
    OrdersUpdated(OrderPayload) = "orders/updated";
    /// `orders/paid`: an order was paid.
    OrdersPaid(OrderPayload) = "orders/paid";
    /// `orders/fulfilled`: an order was fulfilled.
    OrdersFulfilled(OrderPayload) = "orders/fulfilled";
    /// `orders/partially_fulfilled`: a part of an order was fulfilled.
    OrdersPartiallyFulfilled(OrderPayload) = "orders/partially_fulfilled";
    /// `orders/cancelled`: an order was cancelled.
    OrdersCancelled(OrderPayload) = "orders/cancelled";
    /// `orders/delete`: an order was deleted. The body contains only the id.
    OrdersDelete(OrderPayload) = "orders/delete";
    /// `products/create`: a product was created.
    ProductsCreate(ProductPayload) = "products/create";
    /// `products/update`: a product has changed.
    ProductsUpdate(ProductPayload) = "products/update";
    /// `products/delete`: a product was deleted. The body contains only the id.
    ProductsDelete(ProductPayload) = "products/delete";
    /// `customers/create`: a customer was created.
    CustomersCreate(CustomerPayload) = "customers/create";
    /// `customers/update`: a customer has changed.
    CustomersUpdate(CustomerPayload) = "customers/update";
    /// `customers/delete`: a customer was deleted. The body contains only the id.
    CustomersDelete(CustomerPayload) = "customers/delete";
    /// `draft_orders/create`: a draft order was created.
    DraftOrdersCreate(DraftOrderPayload) = "draft_orders/create";
    /// `draft_orders/update`: a draft order has changed.
    DraftOrdersUpdate(DraftOrderPayload) = "draft_orders/update";
    /// `draft_orders/delete`: a draft order was deleted. The body contains only the id.
    DraftOrdersDelete(DraftOrderPayload) = "draft_orders/delete";
    /// `collections/create`: a collection was created.
    CollectionsCreate(CollectionPayload) = "collections/create";
    /// `collections/update`: a collection has changed.
    CollectionsUpdate(CollectionPayload) = "collections/update";
    /// `collections/delete`: a collection was deleted. The body contains only the id.
    CollectionsDelete(CollectionPayload) = "collections/delete";
    /// `inventory_levels/connect`: an item is stocked at a location.
    InventoryLevelsConnect(InventoryLevelPayload) = "inventory_levels/connect";
    /// `inventory_levels/update`: the stock of an item has changed.
    InventoryLevelsUpdate(InventoryLevelPayload) = "inventory_levels/update";
    /// `inventory_levels/disconnect`: an item is no longer stocked at a location.
    InventoryLevelsDisconnect(InventoryLevelPayload) = "inventory_levels/disconnect";
    /// `inventory_items/create`: an inventory item was created.
    InventoryItemsCreate(InventoryItemPayload) = "inventory_items/create";
    /// `inventory_items/update`: an inventory item has changed.
    InventoryItemsUpdate(InventoryItemPayload) = "inventory_items/update";
    /// `inventory_items/delete`: an inventory item was deleted. The body contains only the id.
    InventoryItemsDelete(InventoryItemPayload) = "inventory_items/delete";
    /// `fulfillments/create`: items were shipped.
    FulfillmentsCreate(FulfillmentPayload) = "fulfillments/create";
    /// `fulfillments/update`: a shipment has changed.
    FulfillmentsUpdate(FulfillmentPayload) = "fulfillments/update";
    /// `refunds/create`: items were refunded.
    RefundsCreate(RefundPayload) = "refunds/create";
    /// `locations/create`: a location was created.
    LocationsCreate(LocationPayload) = "locations/create";
    /// `locations/update`: a location has changed.
    LocationsUpdate(LocationPayload) = "locations/update";
    /// `locations/delete`: a location was deleted. The body contains only the id.
    LocationsDelete(LocationPayload) = "locations/delete";
    /// `app/scopes_update`: the granted scopes have changed.
    AppScopesUpdate(ScopesPayload) = "app/scopes_update";
    /// `app_subscriptions/update`: a recurring charge of the app has changed.
    AppSubscriptionsUpdate(ChargePayload) = "app_subscriptions/update";
    /// `bulk_operations/finish`: a bulk operation has ended.
    BulkOperationsFinish(BulkPayload) = "bulk_operations/finish";
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
