use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::clock::Timestamp;
use connector_core::http::limit::Draws;
use connector_core::provider::{Endpoint, PagedEndpoint};
use serde::{Deserialize, Serialize};

use super::arguments::{ConnectionArguments, check_page};
use crate::ShopifyClient;
use crate::graphql::{self, Connection};
use crate::models::Product;

/// The sort key of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ProductSort {
    /// By time of creation.
    CreatedAt,
    /// By id.
    Id,
    /// By title.
    Title,
    /// By time of the last change.
    UpdatedAt,
    /// By manufacturer.
    Vendor,
}

/// Lists the shop's products, page by page.
///
/// See [Shopify docs:
/// products](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/products). Shopify returns
/// at most the first 25,000 results.
#[derive(Debug, Clone)]
#[must_use]
pub struct ListProducts(ConnectionArguments<ProductSort>);

impl ListProducts {
    pub(crate) const DOCUMENT: &str = "query ListProducts(
  $first: Int!, $after: String, $query: String, $sortKey: ProductSortKeys, $reverse: Boolean
) {
  products(first: $first, after: $after, query: $query, sortKey: $sortKey, reverse: $reverse) {
    nodes {
      id title handle status vendor productType tags totalInventory createdAt updatedAt
    }
    pageInfo { hasNextPage endCursor }
  }
}";

    /// Lists all products by id, 100 per page.
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
    /// syntax](https://shopify.dev/docs/api/usage/search-syntax), for example `status:active`.
    /// Results must match all conditions.
    pub fn matching(mut self, condition: &str) -> Self {
        self.0.match_also(condition);
        self
    }

    /// Lists only products that have changed since `time`.
    pub fn updated_since(self, time: Timestamp) -> Self {
        self.matching(&format!("updated_at:>='{time}'"))
    }

    /// Sets the sort key.
    pub const fn sorted_by(mut self, sort: ProductSort) -> Self {
        self.0.sort_key = Some(sort);
        self
    }

    /// Reverses the order.
    pub const fn reversed(mut self) -> Self {
        self.0.reverse = true;
        self
    }
}

impl Default for ListProducts {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    products: Connection<Product>,
}

impl Endpoint for ListProducts {
    type Client = ShopifyClient;
    type Output = Page<Product>;
    const NAME: &'static str = "ListProducts";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["read_products write_products"];

    fn validate(&self) -> Result<()> {
        check_page(Self::NAME, self.0.first)
    }

    fn draws(&self) -> Draws {
        Draws::cost(2 + self.0.first)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, &self.0)
    }

    fn decode(&self, response: &mut Response) -> Result<Page<Product>> {
        let (data, _) = graphql::data::<Data>(response)?;
        data.products.into_page(response)
    }
}

impl PagedEndpoint for ListProducts {
    type Item = Product;
    const LIMIT: Option<usize> = Some(graphql::MAX_LISTING);

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}
