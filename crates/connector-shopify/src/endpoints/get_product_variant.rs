use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use connector_core::{ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::models::{ProductVariant, ProductVariantId};
use crate::{ShopifyClient, graphql};

/// Gets one variant of a product.
///
/// See [Shopify docs: productVariant](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/productVariant).
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct GetProductVariant {
    id: ProductVariantId,
}

impl GetProductVariant {
    pub(crate) const DOCUMENT: &str = "query GetProductVariant($id: ID!) {
  productVariant(id: $id) {
    id product { id } title sku barcode price compareAtPrice inventoryQuantity position
    selectedOptions { name value } updatedAt
  }
}";

    /// Creates the operation for the variant with the given id.
    pub const fn new(id: ProductVariantId) -> Self {
        Self { id }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    product_variant: Option<ProductVariant>,
}

impl Endpoint for GetProductVariant {
    type Client = ShopifyClient;
    type Output = ProductVariant;
    const NAME: &'static str = "GetProductVariant";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["read_products write_products"];

    fn draws(&self) -> Draws {
        Draws::cost(3)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({ "id": self.id }))
    }

    fn decode(&self, response: &mut Response) -> Result<ProductVariant> {
        let (data, _) = graphql::data::<Data>(response)?;
        data.product_variant.ok_or_else(|| {
            response.error(
                ErrorKind::ProviderNotFound,
                "the shop has no such variant; it may have been deleted",
            )
        })
    }
}
