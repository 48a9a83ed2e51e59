//! Shops and versions of the API.

use super::{area, operation};
use crate::models::{ApiVersion, Shop};

operation! {
    /// Gets the shop.
    ///
    /// See [Shopify docs: shop](https://shopify.dev/docs/api/admin-graphql/latest/queries/shop).
    read GetShop -> Shop = "" "shop { ...Shop }" [Shop];
    cost 4;
    pub new();
}

operation! {
    /// Lists the versions of the Admin API and shows which of them Shopify supports.
    ///
    /// See [Shopify docs: publicApiVersions](https://shopify.dev/docs/api/admin-graphql/latest/queries/publicApiVersions).
    read ListApiVersions -> Vec<ApiVersion> = "" "publicApiVersions { handle displayName supported }" [];
    cost 1;
    pub new();
}

area![GetShop, ListApiVersions];
