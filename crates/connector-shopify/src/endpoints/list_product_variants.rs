use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Endpoint, PagedEndpoint};
use serde::{Deserialize, Serialize};

use super::arguments::{ConnectionArguments, check_page};
use crate::ShopifyClient;
use crate::graphql::{self, Connection};
use crate::models::{ProductId, ProductVariant};

/// What variants are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ProductVariantSort {
    /// Their ids.
    Id,
    /// Their full titles.
    FullTitle,
    /// Their places among the variants of their products.
    Position,
    /// Their numbers in the shop.
    Sku,
}

/// The shop's variants, page by page.
///
/// See [Shopify docs: productVariants](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/productVariants).
/// Shopify pages through the first 25,000 only.
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

    /// All variants, 100 to a page, by their ids.
    pub const fn new() -> Self {
        Self(ConnectionArguments::new())
    }

    /// Sets how many there are to a page: 1 to 250.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.0.first = size;
        self
    }

    /// Begins at a cursor that an earlier page gave. The other arguments must be as they were then.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.0.after = Some(cursor);
        self
    }

    /// Adds a condition in [Shopify's search syntax](https://shopify.dev/docs/api/usage/search-syntax),
    /// for example `sku:TEA-1`. All conditions must hold.
    pub fn matching(mut self, condition: &str) -> Self {
        self.0.match_also(condition);
        self
    }

    /// Leaves out the variants of other products.
    pub fn of_product(self, product: ProductId) -> Self {
        self.matching(&format!("product_id:{}", product.number()))
    }

    /// Sets what they are sorted by.
    pub const fn sorted_by(mut self, sort: ProductVariantSort) -> Self {
        self.0.sort_key = Some(sort);
        self
    }

    /// Turns the order around.
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
    const LIMIT: Option<usize> = Some(graphql::LONGEST_LISTING);

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}
