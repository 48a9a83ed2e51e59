//! Fulfilment orders and fulfilments.

use super::{area, input, operation};
use crate::models::{
    Fulfillment, FulfillmentId, FulfillmentOrder, FulfillmentOrderId, FulfillmentOrderLineItemId,
    OrderId, TrackingInfo,
};

operation! {
    /// Lists the fulfilment orders that the app may read, page by page, each with its first 10
    /// items. Closed ones are left out.
    ///
    /// See [Shopify docs: fulfillmentOrders](https://shopify.dev/docs/api/admin-graphql/latest/queries/fulfillmentOrders).
    list ListFulfillmentOrders -> FulfillmentOrder =
        "($first: Int!, $after: String, $query: String, $reverse: Boolean, $includeClosed: Boolean)"
        "fulfillmentOrders(first: $first, after: $after, query: $query, reverse: $reverse, \
         includeClosed: $includeClosed) \
         { nodes { ...FulfillmentOrder } pageInfo { hasNextPage endCursor } }" [FulfillmentOrder];
    scopes ["read_merchant_managed_fulfillment_orders write_merchant_managed_fulfillment_orders \
             read_assigned_fulfillment_orders write_assigned_fulfillment_orders \
             read_third_party_fulfillment_orders write_third_party_fulfillment_orders"];
    cost 2 + 15 each;
    pub new() {
        /// Also lists closed fulfilment orders.
        with_closed: bool = "includeClosed",
    };
    search Plain;
}

impl ListFulfillmentOrders {
    /// Lists only fulfilment orders of this order.
    pub fn of_order(self, order: OrderId) -> Self {
        self.matching(&format!("order_id:{}", order.number()))
    }
}

operation! {
    /// Gets one fulfilment order with its first 10 items.
    ///
    /// See [Shopify docs: fulfillmentOrder](https://shopify.dev/docs/api/admin-graphql/latest/queries/fulfillmentOrder).
    get GetFulfillmentOrder -> FulfillmentOrder = "($id: ID!)"
        "fulfillmentOrder(id: $id) { ...FulfillmentOrder }" [FulfillmentOrder];
    cost 15;
    pub new(id: FulfillmentOrderId = "id");
}

operation! {
    /// Creates a shipment of items of one or several fulfilment orders of the same order and
    /// location.
    ///
    /// See [Shopify docs: fulfillmentCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/fulfillmentCreate).
    write CreateFulfillment -> Fulfillment = "($fulfillment: FulfillmentInput!)"
        "fulfillmentCreate(fulfillment: $fulfillment) { value: fulfillment { ...Fulfillment } \
         userErrors { field message } }" [Fulfillment];
    scopes ["write_merchant_managed_fulfillment_orders write_assigned_fulfillment_orders \
             write_third_party_fulfillment_orders"];
    cost 14;
    pub new(fulfillment: FulfillmentInput = "fulfillment");
}

operation! {
    /// Replaces the tracking number of a shipment.
    ///
    /// See [Shopify docs: fulfillmentTrackingInfoUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/fulfillmentTrackingInfoUpdate).
    assign UpdateTracking -> Fulfillment =
        "($fulfillmentId: ID!, $trackingInfoInput: FulfillmentTrackingInput!, \
         $notifyCustomer: Boolean)"
        "fulfillmentTrackingInfoUpdate(fulfillmentId: $fulfillmentId, \
         trackingInfoInput: $trackingInfoInput, notifyCustomer: $notifyCustomer) \
         { value: fulfillment { ...Fulfillment } userErrors { field message } }" [Fulfillment];
    scopes ["write_merchant_managed_fulfillment_orders write_assigned_fulfillment_orders \
             write_third_party_fulfillment_orders"];
    cost 14;
    pub new(fulfillment: FulfillmentId = "fulfillmentId", tracking: TrackingInfo = "trackingInfoInput") {
        /// Sends the customer a message.
        with_notification: bool = "notifyCustomer",
    };
}

operation! {
    /// Cancels a shipment.
    ///
    /// See [Shopify docs: fulfillmentCancel](https://shopify.dev/docs/api/admin-graphql/latest/mutations/fulfillmentCancel).
    write CancelFulfillment -> Fulfillment = "($id: ID!)"
        "fulfillmentCancel(id: $id) { value: fulfillment { ...Fulfillment } \
         userErrors { field message } }" [Fulfillment];
    scopes ["write_merchant_managed_fulfillment_orders write_assigned_fulfillment_orders \
             write_third_party_fulfillment_orders"];
    cost 14;
    pub new(id: FulfillmentId = "id");
}

input! {
    /// A shipment to create.
    FulfillmentInput(orders: [FulfilledOrder] = "lineItemsByFulfillmentOrder") {
        with_tracking: TrackingInfo = "trackingInfo",
        /// Sends the customer a message.
        with_notification: bool = "notifyCustomer",
    }
}

input! {
    /// The shipped items of a fulfilment order. By default, all of them.
    FulfilledOrder(id: FulfillmentOrderId = "fulfillmentOrderId") {
        with_items: [FulfilledItem] = "fulfillmentOrderLineItems",
    }
}

input! {
    /// A shipped item.
    FulfilledItem(id: FulfillmentOrderLineItemId = "id", quantity: u32 = "quantity") {
    }
}

area![
    ListFulfillmentOrders,
    GetFulfillmentOrder,
    CreateFulfillment,
    UpdateTracking,
    CancelFulfillment,
];
