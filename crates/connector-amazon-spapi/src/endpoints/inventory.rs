//! FBA Inventory v1.

use connector_core::api::Page;

use super::{SpApiOperation as _, operation};
use crate::models::inventory::{GranularityType, InventorySummariesAnswer, InventorySummary};
use crate::models::{Time, next, page};

/// The operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[GetInventorySummaries::OPERATION];

operation! {
    /// Stock in Amazon's fulfillment network, page by page. Fetch the pages without a pause: a page's
    /// token lives for 30 seconds.
    ///
    /// See [Amazon docs: FBA Inventory API](https://developer-docs.amazon.com/sp-api/docs/fbainventory-api-v1-reference).
    GetInventorySummaries -> Page<InventorySummary>, answer InventorySummariesAnswer;
    "fbaInventory" GET "/fba/inventory/v1/summaries", Safe, 2.0 / 2;
    new {
        granularity_type: query GranularityType = "granularityType",
        granularity_id: query String = "granularityId",
        marketplace_ids: query [String] = "marketplaceIds",
    }
    set {
        /// Sets whether quantities by state are included.
        with_details: bool = "details",
        /// Sets the earliest time of the last change.
        with_start_date_time: Time = "startDateTime",
        /// Sets the SKUs, at most 50.
        with_seller_skus: [String] = "sellerSkus",
        /// Sets one SKU, which may contain a comma.
        with_seller_sku: String = "sellerSku",
        /// Begins at the token of a page.
        with_next_token: String = "nextToken",
    }
    decode: |answer, _response| {
        let items = answer.payload.unwrap_or_default().inventory_summaries;
        Ok(page(items, next(answer.pagination)))
    };
    pages: InventorySummary, keep "nextToken";
}
