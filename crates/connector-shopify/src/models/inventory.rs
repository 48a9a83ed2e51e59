use connector_core::clock::Timestamp;

use super::{
    InventoryAdjustmentGroupId, InventoryItemId, InventoryLevelId, LocationId, Part, id_of,
    maybe_id_of, model, time,
};

model! {
    /// A location at which a shop keeps or fulfils items.
    Location {
        /// The id of the location.
        id: LocationId,
        /// The name of the location.
        name: String,
        /// False for a deactivated location.
        is_active: bool,
        /// True for a location of a fulfilment service.
        is_fulfillment_service: bool,
        /// True if the location ships items.
        ships_inventory: bool,
        /// True if the location fulfils orders of the online store.
        fulfills_online_orders: bool,
    }
}

model! {
    /// The item in stock behind a product variant.
    InventoryItem {
        /// The id of the item.
        id: InventoryItemId,
        /// The stock keeping unit.
        sku: Option<String>,
        /// True if Shopify tracks the stock of the item.
        tracked: bool,
        /// True if the item must be shipped.
        requires_shipping: bool,
        /// The stock at each location. `None` in listings.
        #[serde(default)]
        inventory_levels: Option<Part<InventoryLevel>>,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// The stock of an item at a location.
    InventoryLevel {
        /// The id of the level.
        id: InventoryLevelId,
        /// The location.
        #[serde(rename = "location", deserialize_with = "id_of")]
        location_id: LocationId,
        /// False if the item is not stocked at the location.
        is_active: bool,
        /// The quantities by name: `available`, `on_hand`, `committed`, `incoming`, `reserved`.
        quantities: Vec<InventoryQuantity>,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

impl InventoryLevel {
    /// Returns the quantity with this name.
    #[must_use]
    pub fn quantity(&self, name: &str) -> Option<i64> {
        let mut quantities = self.quantities.iter();
        let found = quantities.find(|it| it.name == name);
        found.map(|it| it.quantity)
    }
}

model! {
    /// One quantity of a level.
    InventoryQuantity {
        /// The name of the quantity.
        name: String,
        /// Number of units. May be negative.
        quantity: i64,
    }
}

model! {
    /// A set of changes that one request made.
    InventoryAdjustment {
        /// The id of the set.
        id: InventoryAdjustmentGroupId,
        /// The reason of the changes.
        reason: String,
        /// The document that caused the changes.
        reference_document_uri: Option<String>,
        /// The changes.
        changes: Vec<InventoryChange>,
        /// The time of the changes.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
    }
}

model! {
    /// A change of a quantity.
    InventoryChange {
        /// The name of the quantity.
        name: String,
        /// The difference, in units.
        delta: i64,
        /// The quantity after the change, if Shopify states it.
        quantity_after_change: Option<i64>,
        /// The item.
        #[serde(rename = "item", deserialize_with = "maybe_id_of")]
        inventory_item_id: Option<InventoryItemId>,
        /// The location.
        #[serde(rename = "location", deserialize_with = "maybe_id_of")]
        location_id: Option<LocationId>,
    }
}
