//! Orders v2026-01-01, and the parts of v0 that have no successor.

use connector_core::Result;
use connector_core::api::Page;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::models::order::{
    FulfilledBy, FulfillmentStatus, IncludedData, Order, OrderAnswer, Orders,
};
use crate::models::order_v0::{
    ConfirmShipmentBody, OrderRegulatedInfo, RegulatedInfoAnswer, UpdateShipmentStatusBody,
    UpdateVerificationStatusBody,
};
use crate::models::{Time, data, next, page};

/// The operations of this family.
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
        let message = "a search needs one of `createdAfter` and `lastUpdatedAfter`, and not both";
        return Err(wrong(NAME, message));
    }
    let other = if created {
        "lastUpdatedBefore"
    } else {
        "createdBefore"
    };
    if it.get(other).is_some() {
        let message =
            "the end of the window is of another time than its beginning; set the other one";
        return Err(wrong(NAME, message));
    }
    Ok(())
}

operation! {
    /// Orders that were created or changed in a window of time, page by page, with their items.
    ///
    /// One search in 180 seconds is the default plan, so follow `ORDER_CHANGE` notifications with
    /// [`GetOrder`], and search to reconcile: let windows overlap, and tell orders apart by their ids. An
    /// end of the window must lie at least two minutes in the past.
    /// See [Amazon docs: Orders API v2026-01-01](https://developer-docs.amazon.com/sp-api/changelog/new-introducing-the-orders-api-v2026-01-01).
    SearchOrders -> Page<Order>, answer Orders;
    "orders_2026-01-01" GET "/orders/2026-01-01/orders", Safe, 0.0056 / 20;
    new {}
    set {
        /// Sets the beginning of a window of creation.
        with_created_after: Time = "createdAfter",
        /// Sets the end of a window of creation.
        with_created_before: Time = "createdBefore",
        /// Sets the beginning of a window of last changes.
        with_last_updated_after: Time = "lastUpdatedAfter",
        /// Sets the end of a window of last changes.
        with_last_updated_before: Time = "lastUpdatedBefore",
        /// Sets the marketplaces, at most 50.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Sets the statuses.
        with_fulfillment_statuses: [FulfillmentStatus] = "fulfillmentStatuses",
        /// Sets the parties that fulfill orders.
        with_fulfilled_by: [FulfilledBy] = "fulfilledBy",
        /// Sets the data to include beside the order itself.
        with_included_data: [IncludedData] = "includedData",
        /// Sets the size of a page, 1 to 100.
        with_max_results_per_page: u32 = "maxResultsPerPage",
        /// Begins at the token of a page, which lives for 24 hours.
        with_pagination_token: String = "paginationToken",
    }
    check: |it| check(it);
    decode: |answer, _response| Ok(page(answer.orders, next(answer.pagination)));
    pages: Order, keep "paginationToken";
}

operation! {
    /// An order with its items.
    ///
    /// See [Amazon docs: Orders API v2026-01-01](https://developer-docs.amazon.com/sp-api/changelog/new-introducing-the-orders-api-v2026-01-01).
    GetOrder -> Order, answer OrderAnswer;
    "orders_2026-01-01" GET "/orders/2026-01-01/orders/{orderId}", Safe, 0.5 / 30;
    new { order_id: path String = "orderId" }
    set {
        /// Sets the data to include beside the order itself.
        with_included_data: [IncludedData] = "includedData",
    }
    decode: |answer, response| data(answer.order, response);
}

operation! {
    /// Confirms that the seller has shipped a package. Orders v0, without a successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    ConfirmShipment -> ();
    "ordersV0" POST "/orders/v0/orders/{orderId}/shipmentConfirmation", Never, 2.0 / 10;
    new { order_id: path String = "orderId", shipment: body ConfirmShipmentBody = "payload" }
}

operation! {
    /// Sets the status of an order that is picked up. Orders v0, without a successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    UpdateShipmentStatus -> ();
    "ordersV0" POST "/orders/v0/orders/{orderId}/shipment", Safe, 5.0 / 15;
    new { order_id: path String = "orderId", status: body UpdateShipmentStatusBody = "payload" }
}

operation! {
    /// The regulated information of an order. Orders v0, without a successor; personal data need a
    /// restricted data token.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    GetOrderRegulatedInfo -> OrderRegulatedInfo, answer RegulatedInfoAnswer;
    "ordersV0" GET "/orders/v0/orders/{orderId}/regulatedInfo", Safe, 0.5 / 30;
    new { order_id: path String = "orderId" }
    decode: |answer, response| data(answer.payload, response);
}

operation! {
    /// Accepts or refuses a regulated order. Orders v0, without a successor.
    ///
    /// See [Amazon docs: Orders API migration](https://developer-docs.amazon.com/sp-api/docs/orders-api-migration-guide).
    UpdateVerificationStatus -> ();
    "ordersV0" PATCH "/orders/v0/orders/{orderId}/regulatedInfo", Safe, 0.5 / 30;
    new { order_id: path String = "orderId", update: body UpdateVerificationStatusBody = "payload" }
}
