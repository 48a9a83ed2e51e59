//! Product Type Definitions v2020-09-01.

use super::{SpApiOperation as _, operation};
use crate::limits::under;
use crate::models::product_type::{
    Locale, ParentageLevel, ProductTypeDefinition, ProductTypes, Requirements, RequirementsEnforced,
};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    SearchDefinitionsProductTypes::OPERATION,
    GetDefinitionsProductType::OPERATION,
];

operation! {
    /// Searches product types by keywords or by item name.
    ///
    /// See [Amazon docs: Product Type Definitions API](https://developer-docs.amazon.com/sp-api/docs/product-type-definitions-api-v2020-09-01-reference).
    SearchDefinitionsProductTypes -> ProductTypes;
    "definitionsProductTypes_2020-09-01" GET "/definitions/2020-09-01/productTypes", Safe, 5.0 / 5;
    new { marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the keywords. Cannot be combined with the item name.
        with_keywords: [String] = "keywords",
        /// Sets the item name. Cannot be combined with keywords.
        with_item_name: String = "itemName",
        /// Sets the locale of the response.
        with_locale: String = "locale",
        /// Sets the locale of the keywords.
        with_search_locale: String = "searchLocale",
    }
    draws: |_it| under(
        SearchDefinitionsProductTypes::OPERATION.plan,
        "app.search-definitions-product-types",
    );
}

operation! {
    /// Returns the definition of a product type, with links to the JSON schema of its attributes.
    ///
    /// See [Amazon docs: Product Type Definitions API](https://developer-docs.amazon.com/sp-api/docs/product-type-definitions-api-v2020-09-01-reference).
    GetDefinitionsProductType -> ProductTypeDefinition;
    "definitionsProductTypes_2020-09-01" GET "/definitions/2020-09-01/productTypes/{productType}", Safe, 5.0 / 5;
    new { product_type: path String = "productType", marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the selling partner id, to include requirements specific to the seller.
        with_seller_id: String = "sellerId",
        /// Sets the version: `LATEST`, `RELEASE_CANDIDATE`, or a version name.
        with_product_type_version: String = "productTypeVersion",
        /// Sets the requirements set.
        with_requirements: Requirements = "requirements",
        /// Sets whether the schema enforces required attributes.
        with_requirements_enforced: RequirementsEnforced = "requirementsEnforced",
        /// Sets the locale of the response.
        with_locale: Locale = "locale",
        /// Sets the level in the variation family: parent, child or none.
        with_parentage_level: ParentageLevel = "parentageLevel",
    }
    draws: |_it| under(
        GetDefinitionsProductType::OPERATION.plan,
        "app.get-definitions-product-type",
    );
}
