//! FBA Inventory v1.

use super::{ApiError, Pagination, model, texts};

model! {
    /// The answer of `getInventorySummaries`.
    InventorySummariesAnswer {
        /// The data.
        payload: Option<InventorySummaries>,
        /// The place of the next page.
        pagination: Option<Pagination>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// A page of stock.
    InventorySummaries {
        /// The extent of the quantities.
        granularity: Option<Granularity>,
        /// The summaries.
        inventory_summaries: Vec<InventorySummary>,
    }

    /// The extent of quantities.
    Granularity {
        /// The granularity type.
        granularity_type: Option<String>,
        /// The granularity id.
        granularity_id: Option<String>,
    }

    /// The stock of one SKU.
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

    /// The quantities of a SKU by state.
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

    /// The units that are reserved.
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

    /// The units that Amazon looks for.
    ResearchingQuantity {
        /// The total researching quantity.
        total_researching_quantity: Option<i64>,
        /// The researching quantity breakdown.
        researching_quantity_breakdown: Vec<ResearchingQuantityEntry>,
    }

    /// The units that Amazon has looked for over a period.
    ResearchingQuantityEntry {
        /// The name.
        name: Option<ResearchingPeriod>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// The units that cannot be sold.
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
    /// A researching period.
    ResearchingPeriod {
        ResearchingQuantityInShortTerm = "researchingQuantityInShortTerm",
        ResearchingQuantityInMidTerm = "researchingQuantityInMidTerm",
        ResearchingQuantityInLongTerm = "researchingQuantityInLongTerm",
    }

    /// The kind of extent.
    GranularityType {
        Marketplace = "Marketplace",
    }
}
