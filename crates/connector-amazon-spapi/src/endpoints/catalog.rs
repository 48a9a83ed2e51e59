//! Catalog Items v2022-04-01.

use connector_core::Result;
use connector_core::api::Page;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::limits::under;
use crate::models::catalog::{IdentifiersType, IncludedData, Item, Items};
use crate::models::{next, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] =
    &[SearchCatalogItems::OPERATION, GetCatalogItem::OPERATION];

fn check(it: &Arguments) -> Result<()> {
    const NAME: &str = "SearchCatalogItems";
    if it.get("identifiers").is_some() == it.get("keywords").is_some() {
        return Err(wrong(
            NAME,
            "a search needs either identifiers or keywords; set one of them",
        ));
    }
    if it.get("identifiers").is_some() && it.get("identifiersType").is_none() {
        return Err(wrong(
            NAME,
            "a search by identifiers needs the identifier type; set it",
        ));
    }
    if it.get("identifiersType") == Some("SKU") && it.get("sellerId").is_none() {
        return Err(wrong(NAME, "a search by SKU needs the seller id; set it"));
    }
    Ok(())
}

operation! {
    /// Searches the catalog by identifiers or keywords, page by page.
    ///
    /// The request separates identifiers with commas, so search for a SKU that contains a comma
    /// separately.
    ///
    /// See [Amazon docs: Catalog Items API](https://developer-docs.amazon.com/sp-api/docs/catalog-items-api-v2022-04-01-reference).
    SearchCatalogItems -> Page<Item>, answer Items;
    "catalogItems_2022-04-01" GET "/catalog/2022-04-01/items", Safe, 2.0 / 2;
    new { marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the identifiers, at most 20.
        with_identifiers: [String] = "identifiers",
        /// Sets the type of the identifiers.
        with_identifiers_type: IdentifiersType = "identifiersType",
        /// Sets the keywords, at most 20.
        with_keywords: [String] = "keywords",
        /// Restricts a keyword search to these brands.
        with_brand_names: [String] = "brandNames",
        /// Restricts a keyword search to these classifications.
        with_classification_ids: [String] = "classificationIds",
        /// Sets the locale of the keywords.
        with_keywords_locale: String = "keywordsLocale",
        /// Sets the selling partner id. Required for a search by SKU.
        with_seller_id: String = "sellerId",
        /// Sets the optional data to include in the response.
        with_included_data: [IncludedData] = "includedData",
        /// Sets the locale of the response.
        with_locale: String = "locale",
        /// Sets the page size, 1 to 20.
        with_page_size: u32 = "pageSize",
        /// Sets the page token to start at.
        with_page_token: String = "pageToken",
    }
    check: |it| check(it);
    draws: |_it| under(SearchCatalogItems::OPERATION.plan, "app.search-catalog-items");
    decode: |answer, _response| Ok(page(answer.items, next(answer.pagination)));
    pages: Item, keep "pageToken";
}

operation! {
    /// Returns a catalog item.
    ///
    /// See [Amazon docs: Catalog Items API](https://developer-docs.amazon.com/sp-api/docs/catalog-items-api-v2022-04-01-reference).
    GetCatalogItem -> Item;
    "catalogItems_2022-04-01" GET "/catalog/2022-04-01/items/{asin}", Safe, 2.0 / 2;
    new { asin: path String = "asin", marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the optional data to include in the response.
        with_included_data: [IncludedData] = "includedData",
        /// Sets the locale of the response.
        with_locale: String = "locale",
    }
    draws: |_it| under(GetCatalogItem::OPERATION.plan, "app.get-catalog-item");
}
