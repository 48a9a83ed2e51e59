use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use connector_core::{ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::models::{Product, ProductId};
use crate::{ShopifyClient, graphql};

/// Gets one product.
///
/// See [Shopify docs: product](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/product).
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct GetProduct {
    id: ProductId,
}

impl GetProduct {
    pub(crate) const DOCUMENT: &str = "query GetProduct($id: ID!) {
  product(id: $id) {
    id title handle status vendor productType tags totalInventory createdAt updatedAt
  }
}";

    /// Creates the operation for the product with the given id.
    pub const fn new(id: ProductId) -> Self {
        Self { id }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    product: Option<Product>,
}

impl Endpoint for GetProduct {
    type Client = ShopifyClient;
    type Output = Product;
    const NAME: &'static str = "GetProduct";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["read_products write_products"];

    fn draws(&self) -> Draws {
        Draws::cost(1)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({ "id": self.id }))
    }

    fn decode(&self, response: &mut Response) -> Result<Product> {
        let (data, _) = graphql::data::<Data>(response)?;
        data.product.ok_or_else(|| {
            response.error(
                ErrorKind::ProviderNotFound,
                "the shop has no such product; it may have been deleted",
            )
        })
    }
}
