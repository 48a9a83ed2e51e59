//! Orders v2026-01-01, and the operations of v0 without a successor.

use connector_core::Result;
use connector_core::api::Page;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::models::order::{
    FulfilledBy, FulfillmentStatus, IncludedData, Order, OrderResponse, Orders,
};
use crate::models::order_v0::{
    ConfirmShipmentBody, OrderRegulatedInfo, RegulatedInfoResponse, UpdateShipmentStatusBody,
    UpdateVerificationStatusBody,
};
use crate::models::{Time, data, next, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    SearchOrders::OPERATION,
    GetOrder::OPERATION,
    ConfirmShipment::OPERATION,
    UpdateShipmentStatus::OPERATION,
    GetOrderRegulatedInfo::OPERATION,
    UpdateVerificationStatus::OPERATION,
];

fn check(it: &Arguments) -> Result<()> {
    const NAME: &str = "SearchOrders";
    let created = it.get("createdAfter").is_some();
    if created == it.get("lastUpdatedAfter").is_some() {
        let message =
            "a search needs exactly one of `createdAfter` and `lastUpdatedAfter`; set one";
        return Err(wrong(NAME, message));
    }
    let other = if created {
        "lastUpdatedBefore"
    } else {
        "createdBefore"
    };
    if it.get(other).is_some() {
        let message =
            "the start and the end of the window are different kinds of times; correct one";
        return Err(wrong(NAME, message));
    }
    Ok(())
}

operation! {
    /// Searches for orders that were created or changed in a time window, page by page, with their
    /// items.
    ///
    /// The default plan allows one search per 180 seconds. To receive changes quickly, subscribe to
    /// `ORDER_CHANGE` notifications and use [`GetOrder`]. Use searches to find missed changes: let
    /// their windows overlap, and remove duplicates by order id. The end of a window must be at
    /// least two minutes ago.
    ///
    /// See [Amazon docs: Orders API v2026-01-01](https://developer-docs.amazon.com/sp-api/changelog/new-introducing-the-orders-api-v2026-01-01).
    SearchOrders -> Page<Order>, answer Orders;
    "orders_2026-01-01" GET "/orders/2026-01-01/orders", Safe, 0.0056 / 20;
    new {}
    set {
        /// Includes only orders created at or after this time.
        with_created_after: Time = "createdAfter",
        /// Includes only orders created at or before this time.
        with_created_before: Time = "createdBefore",
        /// Includes only orders changed at or after this time.
        with_last_updated_after: Time = "lastUpdatedAfter",
        /// Includes only orders changed at or before this time.
        with_last_updated_before: Time = "lastUpdatedBefore",
        /// Includes only orders from these marketplaces, at most 50.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Includes only entries with these statuses.
        with_fulfillment_statuses: [FulfillmentStatus] = "fulfillmentStatuses",
        /// Includes only orders fulfilled by these parties.
        with_fulfilled_by: [FulfilledBy] = "fulfilledBy",
        /// Sets the optional data to include with the order.
        with_included_data: [IncludedData] = "includedData",
        /// Sets the page size, 1 to 100.
        with_max_results_per_page: u32 = "maxResultsPerPage",
        /// Sets the page token to start at. A page token expires after 24 hours.
        with_pagination_token: String = "paginationToken",
    }
    check: |it| check(it);
    decode: |answer, _response| Ok(page(answer.orders, next(answer.pagination)));
    pages: Order, keep "paginationToken";
}

operation! {
    /// Returns an order with its items.
    ///
    /// See [Amazon docs: Orders API v2026-01-01](https://developer-docs.amazon.com/sp-api/changelog/new-introducing-the-orders-api-v2026-01-01).
    GetOrder -> Order, answer OrderResponse;
    "orders_2026-01-01" GET "/orders/2026-01-01/orders/{orderId}", Safe, 0.5 / 30;
    new { order_id: path String = "orderId" }
    set {
        /// Sets the optional data to include with the order.
        with_included_data: [IncludedData] = "includedData",
    }
    decode: |answer, response| data(answer.order, response);
}

operation! {
    /// Confirms that the seller has shipped a package. This is an Orders v0 operation, which has no
    /// successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    ConfirmShipment -> ();
    "ordersV0" POST "/orders/v0/orders/{orderId}/shipmentConfirmation", Never, 2.0 / 10;
    new { order_id: path String = "orderId", shipment: body ConfirmShipmentBody = "payload" }
}

operation! {
    /// Sets the status of a pick-up order. This is an Orders v0 operation, which has no successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    UpdateShipmentStatus -> ();
    "ordersV0" POST "/orders/v0/orders/{orderId}/shipment", Safe, 5.0 / 15;
    new { order_id: path String = "orderId", status: body UpdateShipmentStatusBody = "payload" }
}

operation! {
    /// Returns the regulated information of an order. Personal data requires a restricted data
    /// token. This is an Orders v0 operation, which has no successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    GetOrderRegulatedInfo -> OrderRegulatedInfo, answer RegulatedInfoResponse;
    "ordersV0" GET "/orders/v0/orders/{orderId}/regulatedInfo", Safe, 0.5 / 30;
    new { order_id: path String = "orderId" }
    decode: |answer, response| data(answer.payload, response);
}

operation! {
    /// Approves or rejects a regulated order. This is an Orders v0 operation, which has no
    /// successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    UpdateVerificationStatus -> ();
    "ordersV0" PATCH "/orders/v0/orders/{orderId}/regulatedInfo", Safe, 0.5 / 30;
    new { order_id: path String = "orderId", update: body UpdateVerificationStatusBody = "payload" }
}
