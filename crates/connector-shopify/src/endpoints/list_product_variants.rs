use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Endpoint, PagedEndpoint};
use serde::{Deserialize, Serialize};

use super::arguments::{ConnectionArguments, check_page};
use crate::ShopifyClient;
use crate::graphql::{self, Connection};
use crate::models::{ProductId, ProductVariant};

/// The sort key of variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ProductVariantSort {
    /// By id.
    Id,
    /// By full title.
    FullTitle,
    /// By position among the variants of the product.
    Position,
    /// By SKU.
    Sku,
}

/// Lists the shop's variants, page by page.
///
/// See [Shopify docs:
/// productVariants](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/productVariants).
/// Shopify returns at most the first 25,000 results.
#[derive(Debug, Clone)]
#[must_use]
pub struct ListProductVariants(ConnectionArguments<ProductVariantSort>);

impl ListProductVariants {
    pub(crate) const DOCUMENT: &str = "query ListProductVariants(
  $first: Int!, $after: String, $query: String, $sortKey: ProductVariantSortKeys, $reverse: Boolean
) {
  productVariants(first: $first, after: $after, query: $query, sortKey: $sortKey, reverse: $reverse) {
    nodes {
      id product { id } title sku barcode price compareAtPrice inventoryQuantity position
      selectedOptions { name value } updatedAt
    }
    pageInfo { hasNextPage endCursor }
  }
}";

    /// Lists all variants by id, 100 per page.
    pub const fn new() -> Self {
        Self(ConnectionArguments::new())
    }

    /// Sets the page size: 1 to 250.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.0.first = size;
        self
    }

    /// Starts from the given page cursor. All other arguments must be the same as for the earlier
    /// page.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.0.after = Some(cursor);
        self
    }

    /// Adds a condition in [Shopify's search
    /// syntax](https://shopify.dev/docs/api/usage/search-syntax), for example `sku:TEA-1`. Results
    /// must match all conditions.
    pub fn matching(mut self, condition: &str) -> Self {
        self.0.match_also(condition);
        self
    }

    /// Lists only variants of this product.
    pub fn of_product(self, product: ProductId) -> Self {
        self.matching(&format!("product_id:{}", product.number()))
    }

    /// Sets the sort key.
    pub const fn sorted_by(mut self, sort: ProductVariantSort) -> Self {
        self.0.sort_key = Some(sort);
        self
    }

    /// Reverses the order.
    pub const fn reversed(mut self) -> Self {
        self.0.reverse = true;
        self
    }
}

impl Default for ListProductVariants {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    product_variants: Connection<ProductVariant>,
}

impl Endpoint for ListProductVariants {
    type Client = ShopifyClient;
    type Output = Page<ProductVariant>;
    const NAME: &'static str = "ListProductVariants";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["read_products write_products"];

    fn validate(&self) -> Result<()> {
        check_page(Self::NAME, self.0.first)
    }

    fn draws(&self) -> Draws {
        Draws::cost(2 + 3 * self.0.first)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, &self.0)
    }

    fn decode(&self, response: &mut Response) -> Result<Page<ProductVariant>> {
        let (data, _) = graphql::data::<Data>(response)?;
        data.product_variants.into_page(response)
    }
}

impl PagedEndpoint for ListProductVariants {
    type Item = ProductVariant;
    const LIMIT: Option<usize> = Some(graphql::MAX_LISTING);

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}
