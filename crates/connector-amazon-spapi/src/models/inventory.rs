//! FBA Inventory v1.

use super::{ApiError, Pagination, model, texts};

model! {
    /// An inventory summaries answer.
    InventorySummariesAnswer {
        /// The data.
        payload: Option<InventorySummaries>,
        /// The place of the next page.
        pagination: Option<Pagination>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// Inventory summaries.
    InventorySummaries {
        /// The extent of the quantities.
        granularity: Option<Granularity>,
        /// The summaries.
        inventory_summaries: Vec<InventorySummary>,
    }

    /// A granularity.
    Granularity {
        /// The granularity type.
        granularity_type: Option<String>,
        /// The granularity id.
        granularity_id: Option<String>,
    }

    /// An inventory summary.
    InventorySummary {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// Amazon's SKU of the item in its fulfillment network.
        fn_sku: Option<String>,
        /// The seller's SKU.
        seller_sku: Option<String>,
        /// The condition.
        condition: Option<String>,
        /// The quantities by state.
        inventory_details: Option<InventoryDetails>,
        /// The time of the last change (ISO 8601).
        last_updated_time: Option<String>,
        /// The name of the product.
        product_name: Option<String>,
        /// The number of all units.
        total_quantity: Option<i64>,
        /// The stores of the seller that share the inventory.
        stores: Vec<String>,
    }

    /// Inventory details.
    InventoryDetails {
        /// The fulfillable quantity.
        fulfillable_quantity: Option<i64>,
        /// The inbound working quantity.
        inbound_working_quantity: Option<i64>,
        /// The inbound shipped quantity.
        inbound_shipped_quantity: Option<i64>,
        /// The inbound receiving quantity.
        inbound_receiving_quantity: Option<i64>,
        /// The reserved quantity.
        reserved_quantity: Option<ReservedQuantity>,
        /// The researching quantity.
        researching_quantity: Option<ResearchingQuantity>,
        /// The unfulfillable quantity.
        unfulfillable_quantity: Option<UnfulfillableQuantity>,
    }

    /// A reserved quantity.
    ReservedQuantity {
        /// The total reserved quantity.
        total_reserved_quantity: Option<i64>,
        /// The pending customer order quantity.
        pending_customer_order_quantity: Option<i64>,
        /// The pending transshipment quantity.
        pending_transshipment_quantity: Option<i64>,
        /// The fc processing quantity.
        fc_processing_quantity: Option<i64>,
    }

    /// A researching quantity.
    ResearchingQuantity {
        /// The total researching quantity.
        total_researching_quantity: Option<i64>,
        /// The researching quantity breakdown.
        researching_quantity_breakdown: Vec<ResearchingQuantityEntry>,
    }

    /// A researching quantity entry.
    ResearchingQuantityEntry {
        /// The name.
        name: Option<ResearchingPeriod>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// An unfulfillable quantity.
    UnfulfillableQuantity {
        /// The total unfulfillable quantity.
        total_unfulfillable_quantity: Option<i64>,
        /// The customer damaged quantity.
        customer_damaged_quantity: Option<i64>,
        /// The warehouse damaged quantity.
        warehouse_damaged_quantity: Option<i64>,
        /// The distributor damaged quantity.
        distributor_damaged_quantity: Option<i64>,
        /// The carrier damaged quantity.
        carrier_damaged_quantity: Option<i64>,
        /// The defective quantity.
        defective_quantity: Option<i64>,
        /// The expired quantity.
        expired_quantity: Option<i64>,
    }
}

texts! {
    /// Values of researching period.
    ResearchingPeriod {
        ResearchingQuantityInShortTerm = "researchingQuantityInShortTerm",
        ResearchingQuantityInMidTerm = "researchingQuantityInMidTerm",
        ResearchingQuantityInLongTerm = "researchingQuantityInLongTerm",
    }

    /// Values of granularity type.
    GranularityType {
        Marketplace = "Marketplace",
    }
}
