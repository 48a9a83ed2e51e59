//! Listings Items v2021-08-01 and Listings Restrictions v2021-08-01.

use connector_core::Result;
use connector_core::api::Page;
use connector_core::http::limit::{Draw, Draws};

use super::{Arguments, Plan, SpApiOperation as _, operation, wrong};
use crate::limits::under;
use crate::models::listing::{
    IdentifiersType, IncludedData, Item, Items, ListingStatus, Mode, Outcome, PatchListing,
    PutListing, SortBy, SortOrder, Submission, SubmissionData, WithIssueSeverity,
};
use crate::models::restriction::{ConditionType, Restriction, Restrictions};
use crate::models::{Time, next, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    SearchListingsItems::OPERATION,
    GetListingsItem::OPERATION,
    PutListingsItem::OPERATION,
    PatchListingsItem::OPERATION,
    DeleteListingsItem::OPERATION,
    GetListingsRestrictions::OPERATION,
];

/// Returns the limits that apply to a write. Previews have a separate application limit.
fn write(it: &Arguments, plan: Plan, ceiling: &'static str) -> Draws {
    let draws = under(plan, ceiling);
    match it.get("mode") {
        Some(_) => draws.with(Draw::new("app.validation-preview")),
        None => draws,
    }
}

/// Checks that each path names one attribute: Amazon rejects nested paths.
fn check_patches(it: &Arguments) -> Result<()> {
    let patches = it.value()["patches"].as_array();
    let is_attribute = |path: Option<&str>| {
        let name = path.and_then(|it| it.strip_prefix("/attributes/"));
        name.is_some_and(|it| !it.is_empty() && !it.contains('/'))
    };
    let mut paths = patches.into_iter().flatten().map(|it| it["path"].as_str());
    if patches.is_none_or(Vec::is_empty) || !paths.all(is_attribute) {
        let message = "set at least one patch, each with a path of the form `/attributes/<name>`";
        return Err(wrong("PatchListingsItem", message));
    }
    Ok(())
}

operation! {
    /// Searches the seller's listings, page by page.
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    SearchListingsItems -> Page<Item>, answer Items;
    "listingsItems_2021-08-01" GET "/listings/2021-08-01/items/{sellerId}", Safe, 5.0 / 5;
    new { seller_id: path String = "sellerId", marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the locale of the issue messages.
        with_issue_locale: String = "issueLocale",
        /// Sets the optional data to include in the response.
        with_included_data: [IncludedData] = "includedData",
        /// Includes only listings with these identifiers, at most 20. The request separates them
        /// with commas.
        with_identifiers: [String] = "identifiers",
        /// Sets the type of the identifiers.
        with_identifiers_type: IdentifiersType = "identifiersType",
        /// Includes only variations of this parent SKU. Cannot be combined with identifiers.
        with_variation_parent_sku: String = "variationParentSku",
        /// Includes only listings that contain this SKU or are contained in it (package hierarchy).
        with_package_hierarchy_sku: String = "packageHierarchySku",
        /// Includes only entries created at or after this time.
        with_created_after: Time = "createdAfter",
        /// Includes only entries created at or before this time.
        with_created_before: Time = "createdBefore",
        /// Includes only entries changed at or after this time.
        with_last_updated_after: Time = "lastUpdatedAfter",
        /// Includes only entries changed at or before this time.
        with_last_updated_before: Time = "lastUpdatedBefore",
        /// Includes only listings that have issues of these severities.
        with_issue_severity: [WithIssueSeverity] = "withIssueSeverity",
        /// Includes only listings that have these statuses.
        with_status: [ListingStatus] = "withStatus",
        /// Excludes listings that have these statuses.
        without_status: [ListingStatus] = "withoutStatus",
        /// Sets the sort key.
        with_sort_by: SortBy = "sortBy",
        /// Sets the sort direction.
        with_sort_order: SortOrder = "sortOrder",
        /// Sets the page size, 1 to 20.
        with_page_size: u32 = "pageSize",
        /// Sets the page token to start at.
        with_page_token: String = "pageToken",
    }
    decode: |answer, _response| Ok(page(answer.items, next(answer.pagination)));
    pages: Item, keep "pageToken";
}

operation! {
    /// Returns a listing of the seller.
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    GetListingsItem -> Item;
    "listingsItems_2021-08-01" GET "/listings/2021-08-01/items/{sellerId}/{sku}", Safe, 5.0 / 5;
    new {
        seller_id: path String = "sellerId",
        sku: path String = "sku",
        marketplace_ids: query [String] = "marketplaceIds",
    }
    set {
        /// Sets the locale of the issue messages.
        with_issue_locale: String = "issueLocale",
        /// Sets the optional data to include in the response. Default: summaries.
        with_included_data: [IncludedData] = "includedData",
    }
    draws: |_it| under(GetListingsItem::OPERATION.plan, "app.get-listings-item");
}

operation! {
    /// Creates or fully replaces a listing.
    ///
    /// Amazon applies an accepted submission later: see [`Outcome`].
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    PutListingsItem -> Outcome, answer Submission;
    "listingsItems_2021-08-01" PUT "/listings/2021-08-01/items/{sellerId}/{sku}", Safe, 5.0 / 5;
    new {
        seller_id: path String = "sellerId",
        sku: path String = "sku",
        marketplace_ids: query [String] = "marketplaceIds",
        listing: body PutListing = "body",
    }
    set {
        /// Sets the locale of the issue messages.
        with_issue_locale: String = "issueLocale",
        /// Sets the optional data to include in the response.
        with_included_data: [SubmissionData] = "includedData",
        /// Sets the mode. A preview validates the listing and changes nothing.
        with_mode: Mode = "mode",
    }
    draws: |it| write(it, PutListingsItem::OPERATION.plan, "app.put-listings-item");
    decode: |answer, _response| Ok(Outcome::of(answer));
}

operation! {
    /// Changes attributes of a listing.
    ///
    /// Amazon applies an accepted submission later, and also accepts patches of SKUs that do not
    /// exist: see [`Outcome`].
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    PatchListingsItem -> Outcome, answer Submission;
    "listingsItems_2021-08-01" PATCH "/listings/2021-08-01/items/{sellerId}/{sku}", Never, 5.0 / 5;
    new {
        seller_id: path String = "sellerId",
        sku: path String = "sku",
        marketplace_ids: query [String] = "marketplaceIds",
        patch: body PatchListing = "body",
    }
    set {
        /// Sets the locale of the issue messages.
        with_issue_locale: String = "issueLocale",
        /// Sets the optional data to include in the response.
        with_included_data: [SubmissionData] = "includedData",
        /// Sets the mode. A preview validates the patches and changes nothing.
        with_mode: Mode = "mode",
    }
    check: |it| check_patches(it);
    draws: |it| write(it, PatchListingsItem::OPERATION.plan, "app.patch-listings-item");
    decode: |answer, _response| Ok(Outcome::of(answer));
}

operation! {
    /// Deletes a listing.
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    DeleteListingsItem -> Outcome, answer Submission;
    "listingsItems_2021-08-01" DELETE "/listings/2021-08-01/items/{sellerId}/{sku}", Safe, 5.0 / 5;
    new {
        seller_id: path String = "sellerId",
        sku: path String = "sku",
        marketplace_ids: query [String] = "marketplaceIds",
    }
    set {
        /// Sets the locale of the issue messages.
        with_issue_locale: String = "issueLocale",
    }
    draws: |_it| under(DeleteListingsItem::OPERATION.plan, "app.delete-listings-item");
    decode: |answer, _response| Ok(Outcome::of(answer));
}

operation! {
    /// Returns the reasons why the seller may not list a product.
    ///
    /// See [Amazon docs: Listings Restrictions API](https://developer-docs.amazon.com/sp-api/docs/listings-restrictions-api-v2021-08-01-reference).
    GetListingsRestrictions -> Vec<Restriction>, answer Restrictions;
    "listingsRestrictions_2021-08-01" GET "/listings/2021-08-01/restrictions", Safe, 5.0 / 10;
    new {
        asin: query String = "asin",
        seller_id: query String = "sellerId",
        marketplace_ids: query [String] = "marketplaceIds",
    }
    set {
        /// Sets the condition of the item.
        with_condition_type: ConditionType = "conditionType",
        /// Sets the locale of the reason messages.
        with_reason_locale: String = "reasonLocale",
        /// Sets the product type.
        with_product_type: String = "productType",
    }
    draws: |_it| under(GetListingsRestrictions::OPERATION.plan, "app.get-listings-restrictions");
    decode: |answer, _response| Ok(answer.restrictions);
}
