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

/// What products are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ProductSort {
    /// When they were created.
    CreatedAt,
    /// Their ids.
    Id,
    /// Their titles.
    Title,
    /// When they last changed.
    UpdatedAt,
    /// Who made them.
    Vendor,
}

/// The shop's products, page by page.
///
/// See [Shopify docs: products](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/products).
/// Shopify pages through the first 25,000 only.
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

    /// All products, 100 to a page, by their ids.
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
    /// for example `status:active`. All conditions must hold.
    pub fn matching(mut self, condition: &str) -> Self {
        self.0.match_also(condition);
        self
    }

    /// Leaves out what has not changed since `time`.
    pub fn updated_since(self, time: Timestamp) -> Self {
        self.matching(&format!("updated_at:>='{time}'"))
    }

    /// Sets what they are sorted by.
    pub const fn sorted_by(mut self, sort: ProductSort) -> Self {
        self.0.sort_key = Some(sort);
        self
    }

    /// Turns the order around.
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
    const LIMIT: Option<usize> = Some(graphql::LONGEST_LISTING);

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}
