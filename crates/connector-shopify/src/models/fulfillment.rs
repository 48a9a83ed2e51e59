use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    FulfillmentId, FulfillmentOrderId, FulfillmentOrderLineItemId, InventoryItemId, LocationId,
    OrderId, Part, model, time,
};

connector_core::provider::open_enum! {
    /// The state of a fulfilment order.
    pub enum FulfillmentOrderStatus {
        /// Cancelled.
        Cancelled = "CANCELLED",
        /// Closed.
        Closed = "CLOSED",
        /// A part could not be fulfilled.
        Incomplete = "INCOMPLETE",
        /// Being processed.
        InProgress = "IN_PROGRESS",
        /// On hold.
        OnHold = "ON_HOLD",
        /// Ready to be fulfilled.
        Open = "OPEN",
        /// To be fulfilled later.
        Scheduled = "SCHEDULED",
    } else
    /// A value that this version of the library does not know.
    Other
}

connector_core::provider::open_enum! {
    /// The state of a fulfilment.
    pub enum FulfillmentStatus {
        /// Cancelled.
        Cancelled = "CANCELLED",
        /// Failed because of an error.
        Error = "ERROR",
        /// Refused.
        Failure = "FAILURE",
        /// Complete.
        Success = "SUCCESS",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    /// The items of an order that one location fulfils.
    FulfillmentOrder {
        /// The id of the fulfilment order.
        id: FulfillmentOrderId,
        /// The order.
        order_id: OrderId,
        /// The name of the order, for example `#1001`.
        order_name: String,
        /// The state of the fulfilment order.
        status: FulfillmentOrderStatus,
        /// The state of the request to a fulfilment service.
        request_status: String,
        /// The location that fulfils the items. `None` if it was deleted.
        #[serde(rename = "assignedLocation", deserialize_with = "assigned")]
        location_id: Option<LocationId>,
        /// The items.
        line_items: Part<FulfillmentOrderLineItem>,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// An item of a fulfilment order.
    FulfillmentOrderLineItem {
        /// The id of the item.
        id: FulfillmentOrderLineItemId,
        /// Number of ordered units.
        total_quantity: i64,
        /// Number of units that are not fulfilled yet.
        remaining_quantity: i64,
        /// The stock keeping unit.
        sku: Option<String>,
        /// The title of the product.
        product_title: String,
        /// The inventory item.
        inventory_item_id: Option<InventoryItemId>,
    }
}

model! {
    /// A shipment.
    Fulfillment {
        /// The id of the fulfilment.
        id: FulfillmentId,
        /// The name of the fulfilment, for example `#1001.1`.
        name: String,
        /// The state of the fulfilment.
        status: FulfillmentStatus,
        /// Number of units in the shipment.
        total_quantity: i64,
        /// The shipment's tracking numbers.
        tracking_info: Vec<TrackingInfo>,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

/// The tracking number of a shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrackingInfo {
    /// The carrier, in Shopify's spelling if Shopify knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The tracking number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The carrier's page for the shipment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl TrackingInfo {
    /// Creates the tracking number of a carrier.
    pub fn new(company: impl Into<String>, number: impl Into<String>) -> Self {
        Self {
            company: Some(company.into()),
            number: Some(number.into()),
            url: None,
        }
    }

    /// Sets the carrier's page for the shipment. Default: Shopify's own, for carriers that it knows.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

fn assigned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LocationId>, D::Error> {
    #[derive(Deserialize)]
    struct Assigned {
        location: Option<Reference>,
    }
    #[derive(Deserialize)]
    struct Reference {
        id: LocationId,
    }
    let assigned = Assigned::deserialize(deserializer)?;
    Ok(assigned.location.map(|it| it.id))
}
