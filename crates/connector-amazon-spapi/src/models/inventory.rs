//! FBA Inventory v1.

use super::{ApiError, Pagination, model, texts};

model! {
    /// The response of `getInventorySummaries`.
    InventorySummariesResponse {
        /// The data.
        payload: Option<InventorySummaries>,
        /// Tokens of the next and the previous page.
        pagination: Option<Pagination>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// A page of stock.
    InventorySummaries {
        /// The aggregation level of the quantities.
        granularity: Option<Granularity>,
        /// The summaries.
        inventory_summaries: Vec<InventorySummary>,
    }

    /// The aggregation level of quantities.
    Granularity {
        /// The granularity type.
        granularity_type: Option<String>,
        /// The id of the aggregation level, for example a marketplace id.
        granularity_id: Option<String>,
    }

    /// The stock of one SKU.
    InventorySummary {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The FNSKU: Amazon's SKU of the item in its fulfillment network.
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
        /// Total number of units.
        total_quantity: Option<i64>,
        /// Stores of the seller that share the inventory.
        stores: Vec<String>,
    }

    /// The quantities of a SKU by state.
    InventoryDetails {
        /// Units that can be picked, packed and shipped.
        fulfillable_quantity: Option<i64>,
        /// Units in inbound shipments that the seller has announced to Amazon.
        inbound_working_quantity: Option<i64>,
        /// Units in inbound shipments that have a tracking number.
        inbound_shipped_quantity: Option<i64>,
        /// Units not yet received from inbound shipments that Amazon has started to receive.
        inbound_receiving_quantity: Option<i64>,
        /// Reserved units.
        reserved_quantity: Option<ReservedQuantity>,
        /// Misplaced or damaged units that Amazon is looking for.
        researching_quantity: Option<ResearchingQuantity>,
        /// Units that cannot be sold.
        unfulfillable_quantity: Option<UnfulfillableQuantity>,
    }

    /// Reserved units.
    ReservedQuantity {
        /// Total reserved units.
        total_reserved_quantity: Option<i64>,
        /// Units reserved for customer orders.
        pending_customer_order_quantity: Option<i64>,
        /// Units being transferred between fulfillment centers.
        pending_transshipment_quantity: Option<i64>,
        /// Units set aside at a fulfillment center for additional processing.
        fc_processing_quantity: Option<i64>,
    }

    /// Misplaced or damaged units that Amazon is looking for.
    ResearchingQuantity {
        /// Total units being researched.
        total_researching_quantity: Option<i64>,
        /// Units by duration of the research.
        researching_quantity_breakdown: Vec<ResearchingQuantityEntry>,
    }

    /// Number of units that Amazon has researched for one period.
    ResearchingQuantityEntry {
        /// The name.
        name: Option<ResearchingPeriod>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// Units that cannot be sold.
    UnfulfillableQuantity {
        /// Total unfulfillable units.
        total_unfulfillable_quantity: Option<i64>,
        /// Units damaged by customers.
        customer_damaged_quantity: Option<i64>,
        /// Units damaged in Amazon's warehouse.
        warehouse_damaged_quantity: Option<i64>,
        /// Units damaged by the distributor.
        distributor_damaged_quantity: Option<i64>,
        /// Units damaged by the carrier.
        carrier_damaged_quantity: Option<i64>,
        /// Units that are defective.
        defective_quantity: Option<i64>,
        /// Units that have expired.
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

    /// The type of aggregation level.
    GranularityType {
        Marketplace = "Marketplace",
    }
}
