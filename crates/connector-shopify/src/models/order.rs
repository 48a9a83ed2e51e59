use connector_core::clock::Timestamp;
use url::Url;

use super::{
    Address, CustomerId, DraftOrderId, LineItemId, OrderId, Part, Price, ProductVariantId,
    RefundId, id_of, maybe_id_of, maybe_time, model, shop_money, time,
};

connector_core::provider::open_enum! {
    /// The payment state of an order.
    pub enum FinancialStatus {
        /// A payment is authorized.
        Authorized = "AUTHORIZED",
        /// The authorization has expired.
        Expired = "EXPIRED",
        /// The order is paid.
        Paid = "PAID",
        /// A part is paid.
        PartiallyPaid = "PARTIALLY_PAID",
        /// A part was refunded.
        PartiallyRefunded = "PARTIALLY_REFUNDED",
        /// The payment is pending.
        Pending = "PENDING",
        /// Everything was refunded.
        Refunded = "REFUNDED",
        /// The authorization was voided.
        Voided = "VOIDED",
    } else
    /// A value that this version of the library does not know.
    Other
}

connector_core::provider::open_enum! {
    /// The fulfilment state of an order.
    pub enum OrderFulfillmentStatus {
        /// Every item is fulfilled.
        Fulfilled = "FULFILLED",
        /// Some items are being processed.
        InProgress = "IN_PROGRESS",
        /// The items are on hold.
        OnHold = "ON_HOLD",
        /// The order is open.
        Open = "OPEN",
        /// Some items are fulfilled.
        PartiallyFulfilled = "PARTIALLY_FULFILLED",
        /// The items are to be fulfilled later.
        Scheduled = "SCHEDULED",
        /// No item is fulfilled.
        Unfulfilled = "UNFULFILLED",
    } else
    /// A value that this version of the library does not know.
    Other
}

connector_core::provider::open_enum! {
    /// The state of a draft order.
    pub enum DraftOrderStatus {
        /// Converted to an order.
        Completed = "COMPLETED",
        /// The invoice was sent.
        InvoiceSent = "INVOICE_SENT",
        /// Open.
        Open = "OPEN",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    private
    /// An order. Personal data is null without [approval for protected customer
    /// data](https://shopify.dev/docs/apps/launch/protected-customer-data).
    Order {
        /// The id of the order.
        id: OrderId,
        /// The name of the order, for example `#1001`.
        name: String,
        /// The customer's e-mail address.
        email: Option<String>,
        /// The shop's note.
        note: Option<String>,
        /// The shop's tags for the order.
        tags: Vec<String>,
        /// True for a test order.
        test: bool,
        /// True if the order is closed.
        closed: bool,
        /// The payment state.
        display_financial_status: Option<FinancialStatus>,
        /// The fulfilment state.
        display_fulfillment_status: OrderFulfillmentStatus,
        /// The currency of the shop (ISO 4217).
        currency_code: String,
        /// The current total, after changes and refunds.
        #[serde(rename = "currentTotalPriceSet", deserialize_with = "shop_money")]
        total_price: Price,
        /// The refunded amount.
        #[serde(rename = "totalRefundedSet", deserialize_with = "shop_money")]
        total_refunded: Price,
        /// The customer.
        #[serde(default, rename = "customer", deserialize_with = "maybe_id_of")]
        customer_id: Option<CustomerId>,
        /// The shipping address. `None` in listings.
        #[serde(default)]
        shipping_address: Option<Address>,
        /// The items. `None` in listings; get the order for its items.
        #[serde(default)]
        line_items: Option<Part<LineItem>>,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time at which the order was placed. It can be earlier than its creation.
        #[serde(deserialize_with = "time")]
        processed_at: Timestamp,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
        /// The time of the cancellation.
        #[serde(default, deserialize_with = "maybe_time")]
        cancelled_at: Option<Timestamp>,
    }
}

model! {
    /// An item of an order.
    LineItem {
        /// The id of the item.
        id: LineItemId,
        /// The title of the product.
        title: String,
        /// The stock keeping unit.
        sku: Option<String>,
        /// Number of ordered units.
        quantity: i64,
        /// Number of units after removals.
        current_quantity: i64,
        /// Number of units that can still be fulfilled.
        unfulfilled_quantity: i64,
        /// The price of one unit before discounts.
        #[serde(rename = "originalUnitPriceSet", deserialize_with = "shop_money")]
        unit_price: Price,
        /// The variant. `None` if it was deleted.
        #[serde(default, rename = "variant", deserialize_with = "maybe_id_of")]
        variant_id: Option<ProductVariantId>,
    }
}

model! {
    /// A refund.
    Refund {
        /// The id of the refund.
        id: RefundId,
        /// The shop's note.
        note: Option<String>,
        /// The refunded amount.
        #[serde(rename = "totalRefundedSet", deserialize_with = "shop_money")]
        total_refunded: Price,
        /// The refunded items.
        refund_line_items: Part<RefundLineItem>,
        /// The creation time.
        #[serde(default, deserialize_with = "maybe_time")]
        created_at: Option<Timestamp>,
    }
}

model! {
    /// An item of a refund.
    RefundLineItem {
        /// The item of the order.
        #[serde(rename = "lineItem", deserialize_with = "id_of")]
        line_item_id: LineItemId,
        /// Number of refunded units.
        quantity: i64,
    }
}

model! {
    private
    /// An order that the shop prepares for a customer.
    DraftOrder {
        /// The id of the draft.
        id: DraftOrderId,
        /// The name of the draft, for example `#D1`.
        name: String,
        /// The state of the draft.
        status: DraftOrderStatus,
        /// The customer's e-mail address.
        email: Option<String>,
        /// The total.
        #[serde(rename = "totalPriceSet", deserialize_with = "shop_money")]
        total_price: Price,
        /// The page on which the customer pays.
        invoice_url: Option<Url>,
        /// The order that the draft became.
        #[serde(default, rename = "order", deserialize_with = "maybe_id_of")]
        order_id: Option<OrderId>,
        /// The items. `None` in listings.
        #[serde(default)]
        line_items: Option<Part<DraftOrderLineItem>>,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// An item of a draft order.
    DraftOrderLineItem {
        /// The title of the item.
        title: String,
        /// The stock keeping unit.
        sku: Option<String>,
        /// Number of units.
        quantity: i64,
        /// The variant. `None` for a custom item.
        #[serde(default, rename = "variant", deserialize_with = "maybe_id_of")]
        variant_id: Option<ProductVariantId>,
        /// The price of one unit before discounts.
        #[serde(rename = "originalUnitPriceSet", deserialize_with = "shop_money")]
        unit_price: Price,
    }
}
