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

/// The operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    SearchListingsItems::OPERATION,
    GetListingsItem::OPERATION,
    PutListingsItem::OPERATION,
    PatchListingsItem::OPERATION,
    DeleteListingsItem::OPERATION,
    GetListingsRestrictions::OPERATION,
];

/// The draws of a write, which has another ceiling as a preview.
fn write(it: &Arguments, plan: Plan, ceiling: &'static str) -> Draws {
    let draws = under(plan, ceiling);
    match it.get("mode") {
        Some(_) => draws.with(Draw::new("app.validation-preview")),
        None => draws,
    }
}

/// Paths name one attribute: Amazon refuses nested ones.
fn check_patches(it: &Arguments) -> Result<()> {
    let patches = it.value()["patches"].as_array();
    let is_attribute = |path: Option<&str>| {
        let name = path.and_then(|it| it.strip_prefix("/attributes/"));
        name.is_some_and(|it| !it.is_empty() && !it.contains('/'))
    };
    let mut paths = patches.into_iter().flatten().map(|it| it["path"].as_str());
    if patches.is_none_or(Vec::is_empty) || !paths.all(is_attribute) {
        let message = "a patch is of `/attributes/<name>` with one name, and there is at least one";
        return Err(wrong("PatchListingsItem", message));
    }
    Ok(())
}

operation! {
    /// The seller's listings, page by page.
    ///
    /// See [Amazon docs: Listings Items API](https://developer-docs.amazon.com/sp-api/docs/listings-items-api-v2021-08-01-reference).
    SearchListingsItems -> Page<Item>, answer Items;
    "listingsItems_2021-08-01" GET "/listings/2021-08-01/items/{sellerId}", Safe, 5.0 / 5;
    new { seller_id: path String = "sellerId", marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the language of issues.
        with_issue_locale: String = "issueLocale",
        /// Sets the data to include.
        with_included_data: [IncludedData] = "includedData",
        /// Sets the identifiers, at most 20. A comma separates them.
        with_identifiers: [String] = "identifiers",
        /// Sets the type of the identifiers.
        with_identifiers_type: IdentifiersType = "identifiersType",
        /// Sets the parent whose variations are meant.
        with_variation_parent_sku: String = "variationParentSku",
        /// Sets the SKU whose package hierarchy is meant.
        with_package_hierarchy_sku: String = "packageHierarchySku",
        /// Sets the earliest time of creation.
        with_created_after: Time = "createdAfter",
        /// Sets the latest time of creation.
        with_created_before: Time = "createdBefore",
        /// Sets the earliest time of the last change.
        with_last_updated_after: Time = "lastUpdatedAfter",
        /// Sets the latest time of the last change.
        with_last_updated_before: Time = "lastUpdatedBefore",
        /// Sets the severities of issues that listings have.
        with_issue_severity: [WithIssueSeverity] = "withIssueSeverity",
        /// Sets the statuses that listings have.
        with_status: [ListingStatus] = "withStatus",
        /// Sets the statuses that listings do not have.
        without_status: [ListingStatus] = "withoutStatus",
        /// Sets the order of the listings.
        with_sort_by: SortBy = "sortBy",
        /// Sets the direction of the order.
        with_sort_order: SortOrder = "sortOrder",
        /// Sets the size of a page, 1 to 20.
        with_page_size: u32 = "pageSize",
        /// Begins at the token of a page.
        with_page_token: String = "pageToken",
    }
    decode: |answer, _response| Ok(page(answer.items, next(answer.pagination)));
    pages: Item, keep "pageToken";
}

operation! {
    /// A listing of the seller.
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
        /// Sets the language of issues.
        with_issue_locale: String = "issueLocale",
        /// Sets the data to include. Default: summaries.
        with_included_data: [IncludedData] = "includedData",
    }
    draws: |_it| under(GetListingsItem::OPERATION.plan, "app.get-listings-item");
}

operation! {
    /// Creates a listing, or replaces it as a whole.
    ///
    /// Amazon applies an accepted submission later: see [`Outcome`].
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
        /// Sets the language of issues.
        with_issue_locale: String = "issueLocale",
        /// Sets the data to include.
        with_included_data: [SubmissionData] = "includedData",
        /// Sets the mode: a preview validates the listing and changes nothing.
        with_mode: Mode = "mode",
    }
    draws: |it| write(it, PutListingsItem::OPERATION.plan, "app.put-listings-item");
    decode: |answer, _response| Ok(Outcome::of(answer));
}

operation! {
    /// Changes attributes of a listing.
    ///
    /// Amazon applies an accepted submission later, and accepts a patch of a SKU that does not exist:
    /// see [`Outcome`].
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
        /// Sets the language of issues.
        with_issue_locale: String = "issueLocale",
        /// Sets the data to include.
        with_included_data: [SubmissionData] = "includedData",
        /// Sets the mode: a preview validates the change and makes none.
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
        /// Sets the language of issues.
        with_issue_locale: String = "issueLocale",
    }
    draws: |_it| under(DeleteListingsItem::OPERATION.plan, "app.delete-listings-item");
    decode: |answer, _response| Ok(Outcome::of(answer));
}

operation! {
    /// The reasons why the seller may not list a product.
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
        /// Sets the condition.
        with_condition_type: ConditionType = "conditionType",
        /// Sets the language of reasons.
        with_reason_locale: String = "reasonLocale",
        /// Sets the product type.
        with_product_type: String = "productType",
    }
    draws: |_it| under(GetListingsRestrictions::OPERATION.plan, "app.get-listings-restrictions");
    decode: |answer, _response| Ok(answer.restrictions);
}
