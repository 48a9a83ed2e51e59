//! Orders, refunds and draft orders.

use std::time::Duration;

use connector_core::clock::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{IdInput, Identifier, area, input, operation};
use crate::graphql::Variables;
use crate::models::{
    Count, CustomerId, DraftOrder, DraftOrderId, LineItemId, LocationId, Money, Order, OrderId,
    ProductVariantId, Refund,
};

connector_core::provider::open_enum! {
    /// The sort key of orders.
    pub enum OrderSort {
        /// By time of creation.
        CreatedAt = "CREATED_AT",
        /// By id.
        Id = "ID",
        /// By the time at which the order was placed.
        ProcessedAt = "PROCESSED_AT",
        /// By time of the last change.
        UpdatedAt = "UPDATED_AT",
    } else
    /// Another sort key.
    Other
}

connector_core::provider::open_enum! {
    /// The sort key of draft orders.
    pub enum DraftOrderSort {
        /// By id.
        Id = "ID",
        /// By number.
        Number = "NUMBER",
        /// By state.
        Status = "STATUS",
        /// By time of the last change.
        UpdatedAt = "UPDATED_AT",
    } else
    /// Another sort key.
    Other
}

connector_core::provider::open_enum! {
    /// The reason of a cancellation.
    pub enum CancelReason {
        /// The customer changed or cancelled the order.
        Customer = "CUSTOMER",
        /// The payment was declined.
        Declined = "DECLINED",
        /// The order was fraudulent.
        Fraud = "FRAUD",
        /// The items were not available.
        Inventory = "INVENTORY",
        /// A member of the staff made an error.
        Staff = "STAFF",
        /// Another reason.
        Unspecified = "OTHER",
    } else
    /// A value that this version of the library does not know.
    Other
}

/// The age from which orders need the scope `read_all_orders`. See [Shopify docs: Access
/// scopes](https://shopify.dev/docs/api/usage/access-scopes).
const RECENT: Duration = Duration::from_secs(60 * 86_400);

/// Returns the scope for orders that are older than 60 days. Without it, Shopify leaves these orders
/// out and reports no error.
fn all_orders(variables: &Variables, now: Timestamp) -> &'static [&'static str] {
    if variables.is_older(RECENT, now) {
        &["read_all_orders"]
    } else {
        &[]
    }
}

operation! {
    /// Lists orders, page by page, without their items. Shopify returns at most the first 25,000
    /// results.
    ///
    /// Without the scope `read_all_orders`, Shopify leaves out orders that are older than 60 days,
    /// and reports no error. Therefore the operation states the time that it reaches back to, and a
    /// request for older orders without that scope fails with
    /// [`ErrorKind::Forbidden`](connector_core::ErrorKind::Forbidden) before anything is sent.
    ///
    /// See [Shopify docs: orders](https://shopify.dev/docs/api/admin-graphql/latest/queries/orders).
    list ListOrders -> Order =
        "($first: Int!, $after: String, $query: String, $sortKey: OrderSortKeys, $reverse: Boolean)"
        "orders(first: $first, after: $after, query: $query, sortKey: $sortKey, reverse: $reverse) \
         { nodes { ...Order } pageInfo { hasNextPage endCursor } }" [Order];
    scopes ["read_orders write_orders"];
    cost 2 + 6 each;
    pub(super) new();
    search OrderSort;
    aged all_orders;
}

impl ListOrders {
    /// Lists the orders that the app may read: without the scope `read_all_orders`, those of the
    /// last 60 days.
    pub fn readable() -> Self {
        Self::new()
    }

    /// Lists the orders that were created since `time`.
    pub fn created_since(time: Timestamp) -> Self {
        Self(Self::new().0.reaching(time)).matching(&format!("created_at:>='{time}'"))
    }

    /// Lists all orders of the shop. Requires the scope `read_all_orders`.
    pub fn all() -> Self {
        Self(Self::new().0.reaching(Timestamp::UNIX_EPOCH))
    }
}

operation! {
    /// Counts orders. See [`ListOrders`] for the orders that Shopify leaves out.
    ///
    /// See [Shopify docs: ordersCount](https://shopify.dev/docs/api/admin-graphql/latest/queries/ordersCount).
    get CountOrders -> Count = "($query: String, $limit: Int)"
        "ordersCount(query: $query, limit: $limit) { count precision }" [];
    scopes ["read_orders write_orders"];
    cost 1;
    pub(super) new() {
        /// The number at which Shopify stops counting. Default: 10,000.
        with_limit: u32 = "limit",
    };
    aged all_orders;
}

impl CountOrders {
    /// Counts the orders that the app may read: without the scope `read_all_orders`, those of the
    /// last 60 days.
    pub fn readable() -> Self {
        Self::new()
    }

    /// Counts the orders that were created since `time`.
    pub fn created_since(time: Timestamp) -> Self {
        let condition = format!("created_at:>='{time}'");
        Self(Self::new().0.reaching(time).and(&condition))
    }

    /// Counts all orders of the shop. Requires the scope `read_all_orders`.
    pub fn all() -> Self {
        Self(Self::new().0.reaching(Timestamp::UNIX_EPOCH))
    }

    /// Adds a condition in [Shopify's search
    /// syntax](https://shopify.dev/docs/api/usage/search-syntax).
    pub fn matching(self, condition: &str) -> Self {
        Self(self.0.and(condition))
    }
}

operation! {
    /// Gets one order with its first 50 items. Without the scope `read_all_orders`, an order that is
    /// older than 60 days is not found.
    ///
    /// See [Shopify docs: order](https://shopify.dev/docs/api/admin-graphql/latest/queries/order).
    get GetOrder -> Order = "($id: ID!)"
        "order(id: $id) { ...Order shippingAddress { ...Address } lineItems(first: 50) { \
         nodes { ...LineItem } pageInfo { hasNextPage endCursor } } }" [Order Address LineItem];
    scopes ["read_orders write_orders"];
    cost 209;
    pub new(id: OrderId = "id");
}

operation! {
    /// Gets one order by a metafield that identifies it.
    ///
    /// See [Shopify docs: orderByIdentifier](https://shopify.dev/docs/api/admin-graphql/latest/queries/orderByIdentifier).
    get GetOrderByIdentifier -> Order = "($identifier: OrderIdentifierInput!)"
        "orderByIdentifier(identifier: $identifier) { ...Order }" [Order];
    scopes ["read_orders write_orders"];
    cost 6;
    pub new(identifier: Identifier = "identifier");
}

operation! {
    /// Changes an order. Fields that are not set keep their values.
    ///
    /// See [Shopify docs: orderUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/orderUpdate).
    assign UpdateOrder -> Order = "($input: OrderInput!)"
        "orderUpdate(input: $input) { value: order { ...Order } userErrors { field message } }"
        [Order];
    scopes ["write_orders"];
    cost 18;
    pub new(order: OrderUpdate = "input");
}

operation! {
    /// Closes an order.
    ///
    /// See [Shopify docs: orderClose](https://shopify.dev/docs/api/admin-graphql/latest/mutations/orderClose).
    assign CloseOrder -> Order = "($input: OrderCloseInput!)"
        "orderClose(input: $input) { value: order { ...Order } userErrors { field message } }"
        [Order];
    scopes ["write_orders"];
    cost 18;
    pub new(order: IdInput = "input");
}

operation! {
    /// Opens a closed order again.
    ///
    /// See [Shopify docs: orderOpen](https://shopify.dev/docs/api/admin-graphql/latest/mutations/orderOpen).
    assign OpenOrder -> Order = "($input: OrderOpenInput!)"
        "orderOpen(input: $input) { value: order { ...Order } userErrors { field message } }"
        [Order];
    scopes ["write_orders"];
    cost 18;
    pub new(order: IdInput = "input");
}

operation! {
    /// Cancels an order. Shopify cancels the order after the call. A cancellation cannot be undone.
    /// `restock` returns the items to the stock.
    ///
    /// See [Shopify docs: orderCancel](https://shopify.dev/docs/api/admin-graphql/latest/mutations/orderCancel).
    act CancelOrder -> () =
        "($orderId: ID!, $restock: Boolean!, $reason: OrderCancelReason!, $notifyCustomer: Boolean, \
         $refundMethod: OrderCancelRefundMethodInput, $staffNote: String)"
        "orderCancel(orderId: $orderId, restock: $restock, reason: $reason, \
         notifyCustomer: $notifyCustomer, refundMethod: $refundMethod, staffNote: $staffNote) \
         { value: job { id } userErrors: orderCancelUserErrors { field message code } }" [];
    scopes ["write_orders"];
    cost 13;
    pub new(order: OrderId = "orderId", reason: CancelReason = "reason", restock: bool = "restock") {
        /// Sends the customer a message.
        with_notification: bool = "notifyCustomer",
        with_staff_note: String = "staffNote",
    };
}

impl CancelOrder {
    /// Refunds the payments by the methods with which the customer paid.
    pub fn with_refund(self) -> Self {
        let method = json!({ "originalPaymentMethodsRefund": true });
        Self(self.0.set("refundMethod", method))
    }
}

operation! {
    /// Refunds items of an order. Each call has an idempotency key, so that retries refund once.
    ///
    /// See [Shopify docs: refundCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/refundCreate).
    keyed CreateRefund -> Refund = "($input: RefundInput!, $idempotencyKey: String!)"
        "refundCreate(input: $input) @idempotent(key: $idempotencyKey) \
         { value: refund { ...Refund } userErrors { field message } }" [Refund];
    scopes ["write_orders"];
    cost 117;
    pub new(refund: RefundInput = "input");
}

operation! {
    /// Lists draft orders, page by page, without their items.
    ///
    /// See [Shopify docs: draftOrders](https://shopify.dev/docs/api/admin-graphql/latest/queries/draftOrders).
    list ListDraftOrders -> DraftOrder =
        "($first: Int!, $after: String, $query: String, $sortKey: DraftOrderSortKeys, \
         $reverse: Boolean)"
        "draftOrders(first: $first, after: $after, query: $query, sortKey: $sortKey, \
         reverse: $reverse) { nodes { ...DraftOrder } pageInfo { hasNextPage endCursor } }"
        [DraftOrder];
    scopes ["read_draft_orders write_draft_orders"];
    cost 2 + 4 each;
    pub new();
    search DraftOrderSort;
}

operation! {
    /// Gets one draft order with its first 50 items.
    ///
    /// See [Shopify docs: draftOrder](https://shopify.dev/docs/api/admin-graphql/latest/queries/draftOrder).
    get GetDraftOrder -> DraftOrder = "($id: ID!)"
        "draftOrder(id: $id) { ...DraftOrder ...DraftOrderItems }" [DraftOrder DraftOrderItems];
    scopes ["read_draft_orders write_draft_orders"];
    cost 206;
    pub new(id: DraftOrderId = "id");
}

operation! {
    /// Creates a draft order.
    ///
    /// See [Shopify docs: draftOrderCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/draftOrderCreate).
    write CreateDraftOrder -> DraftOrder = "($input: DraftOrderInput!)"
        "draftOrderCreate(input: $input) { value: draftOrder { ...DraftOrder ...DraftOrderItems } \
         userErrors { field message } }" [DraftOrder DraftOrderItems];
    scopes ["write_draft_orders"];
    cost 218;
    pub new(draft: DraftOrderInput = "input");
}

operation! {
    /// Changes a draft order. Fields that are not set keep their values.
    ///
    /// See [Shopify docs: draftOrderUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/draftOrderUpdate).
    assign UpdateDraftOrder -> DraftOrder = "($id: ID!, $input: DraftOrderInput!)"
        "draftOrderUpdate(id: $id, input: $input) { value: draftOrder { ...DraftOrder \
         ...DraftOrderItems } userErrors { field message } }" [DraftOrder DraftOrderItems];
    scopes ["write_draft_orders"];
    cost 218;
    pub new(id: DraftOrderId = "id", draft: DraftOrderInput = "input");
}

operation! {
    /// Converts a draft order to an order.
    ///
    /// See [Shopify docs: draftOrderComplete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/draftOrderComplete).
    write CompleteDraftOrder -> DraftOrder = "($id: ID!)"
        "draftOrderComplete(id: $id) { value: draftOrder { ...DraftOrder } \
         userErrors { field message } }" [DraftOrder];
    scopes ["write_draft_orders"];
    cost 16;
    pub new(id: DraftOrderId = "id");
}

operation! {
    /// Deletes a draft order.
    ///
    /// See [Shopify docs: draftOrderDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/draftOrderDelete).
    act DeleteDraftOrder -> () = "($input: DraftOrderDeleteInput!)"
        "draftOrderDelete(input: $input) { value: deletedId userErrors { field message } }" [];
    scopes ["write_draft_orders"];
    cost 12;
    pub new(draft: IdInput = "input");
}

input! {
    /// A change of an order.
    OrderUpdate(id: OrderId = "id") {
        with_email: String = "email",
        with_note: String = "note",
        /// Replaces all tags. [`AddTags`](super::AddTags) adds tags.
        with_tags: [String] = "tags",
        with_po_number: String = "poNumber",
        with_shipping_address: AddressInput = "shippingAddress",
    }
}

input! {
    /// A postal address.
    AddressInput() {
        with_first_name: String = "firstName",
        with_last_name: String = "lastName",
        with_company: String = "company",
        with_address1: String = "address1",
        with_address2: String = "address2",
        with_zip: String = "zip",
        with_city: String = "city",
        with_province_code: String = "provinceCode",
        /// ISO 3166-1 alpha-2.
        with_country_code: String = "countryCode",
        with_phone: String = "phone",
    }
}

input! {
    /// A refund of items.
    RefundInput(order: OrderId = "orderId") {
        with_items: [RefundItem] = "refundLineItems",
        with_note: String = "note",
        /// Sends the customer a message.
        with_notification: bool = "notify",
    }
}

connector_core::provider::open_enum! {
    /// The fate of refunded items.
    pub enum RestockType {
        /// The items were not shipped and return to the stock.
        Cancel = "CANCEL",
        /// The items do not return to the stock.
        NoRestock = "NO_RESTOCK",
        /// The items were shipped and return to the stock.
        Return = "RETURN",
    } else
    /// A value that this version of the library does not know.
    Other
}

input! {
    /// An item to refund.
    RefundItem(item: LineItemId = "lineItemId", quantity: u32 = "quantity") {
        with_restock: RestockType = "restockType",
        /// The location to whose stock the items return.
        with_location: LocationId = "locationId",
    }
}

input! {
    /// A draft order to create or to change.
    DraftOrderInput() {
        with_items: [DraftItem] = "lineItems",
        with_customer: CustomerId = "customerId",
        with_email: String = "email",
        with_note: String = "note",
        with_tags: [String] = "tags",
        with_shipping_address: AddressInput = "shippingAddress",
    }
}

/// An item of a draft order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DraftItem(Variables);

impl DraftItem {
    /// Units of a variant.
    #[must_use]
    pub fn variant(variant: ProductVariantId, quantity: u32) -> Self {
        let item = Variables::default().set("variantId", variant);
        Self(item.set("quantity", quantity))
    }

    /// Units of an item that is no product, with the price of one unit.
    #[must_use]
    pub fn custom(title: &str, price: impl Into<Money>, quantity: u32) -> Self {
        let item = Variables::default().set("title", title);
        let item = item.set("originalUnitPrice", price.into());
        Self(item.set("quantity", quantity))
    }
}

area![
    ListOrders,
    CountOrders,
    GetOrder,
    GetOrderByIdentifier,
    UpdateOrder,
    CloseOrder,
    OpenOrder,
    CancelOrder,
    CreateRefund,
    ListDraftOrders,
    GetDraftOrder,
    CreateDraftOrder,
    UpdateDraftOrder,
    CompleteDraftOrder,
    DeleteDraftOrder,
];
