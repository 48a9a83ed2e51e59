//! FBA Inventory v1.

use connector_core::api::Page;

use super::{SpApiOperation as _, operation};
use crate::models::inventory::{GranularityType, InventorySummariesResponse, InventorySummary};
use crate::models::{Time, next, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[GetInventorySummaries::OPERATION];

operation! {
    /// Lists stock in Amazon's fulfillment network, page by page. Request the next page without
    /// delay, because page tokens expire after 30 seconds.
    ///
    /// See [Amazon docs: FBA Inventory API](https://developer-docs.amazon.com/sp-api/docs/fbainventory-api-v1-reference).
    GetInventorySummaries -> Page<InventorySummary>, answer InventorySummariesResponse;
    "fbaInventory" GET "/fba/inventory/v1/summaries", Safe, 2.0 / 2;
    new {
        granularity_type: query GranularityType = "granularityType",
        granularity_id: query String = "granularityId",
        marketplace_ids: query [String] = "marketplaceIds",
    }
    set {
        /// Sets whether to include quantities by state.
        with_details: bool = "details",
        /// Includes only stock that changed at or after this time.
        with_start_date_time: Time = "startDateTime",
        /// Includes only these SKUs, at most 50.
        with_seller_skus: [String] = "sellerSkus",
        /// Includes only this SKU, which may contain a comma.
        with_seller_sku: String = "sellerSku",
        /// Sets the page token to start at.
        with_next_token: String = "nextToken",
    }
    decode: |answer, _response| {
        let items = answer.payload.unwrap_or_default().inventory_summaries;
        Ok(page(items, next(answer.pagination)))
    };
    pages: InventorySummary, keep "nextToken";
}
