//! Product Type Definitions v2020-09-01.

use super::{SpApiOperation as _, operation};
use crate::limits::under;
use crate::models::product_type::{
    Locale, ParentageLevel, ProductTypeDefinition, ProductTypes, Requirements, RequirementsEnforced,
};

/// The operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    SearchDefinitionsProductTypes::OPERATION,
    GetDefinitionsProductType::OPERATION,
];

operation! {
    /// Product types by keywords or by the name of an item.
    ///
    /// See [Amazon docs: Product Type Definitions API](https://developer-docs.amazon.com/sp-api/docs/product-type-definitions-api-v2020-09-01-reference).
    SearchDefinitionsProductTypes -> ProductTypes;
    "definitionsProductTypes_2020-09-01" GET "/definitions/2020-09-01/productTypes", Safe, 5.0 / 5;
    new { marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the keywords. They exclude the name of an item.
        with_keywords: [String] = "keywords",
        /// Sets the name of an item. It excludes keywords.
        with_item_name: String = "itemName",
        /// Sets the language of the answer.
        with_locale: String = "locale",
        /// Sets the language of the keywords.
        with_search_locale: String = "searchLocale",
    }
    draws: |_it| under(
        SearchDefinitionsProductTypes::OPERATION.plan,
        "app.search-definitions-product-types",
    );
}

operation! {
    /// The definition of a product type: links to the JSON schema of its attributes.
    ///
    /// See [Amazon docs: Product Type Definitions API](https://developer-docs.amazon.com/sp-api/docs/product-type-definitions-api-v2020-09-01-reference).
    GetDefinitionsProductType -> ProductTypeDefinition;
    "definitionsProductTypes_2020-09-01" GET "/definitions/2020-09-01/productTypes/{productType}", Safe, 5.0 / 5;
    new { product_type: path String = "productType", marketplace_ids: query [String] = "marketplaceIds" }
    set {
        /// Sets the selling partner id, for its own requirements.
        with_seller_id: String = "sellerId",
        /// Sets the version: `LATEST`, `RELEASE_CANDIDATE`, or one by its name.
        with_product_type_version: String = "productTypeVersion",
        /// Sets the requirements.
        with_requirements: Requirements = "requirements",
        /// Sets whether required attributes are enforced.
        with_requirements_enforced: RequirementsEnforced = "requirementsEnforced",
        /// Sets the language of the answer.
        with_locale: Locale = "locale",
        /// Sets the place in a variation.
        with_parentage_level: ParentageLevel = "parentageLevel",
    }
    draws: |_it| under(
        GetDefinitionsProductType::OPERATION.plan,
        "app.get-definitions-product-type",
    );
}
