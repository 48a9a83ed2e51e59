use connector_core::Result;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use serde::Deserialize;
use serde_json::json;

use crate::models::Shop;
use crate::{ShopifyClient, graphql};

/// Gets the shop.
///
/// See [Shopify docs: shop](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/shop).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct GetShop(());

impl GetShop {
    pub(crate) const DOCUMENT: &str = "query GetShop {
  shop {
    id name email contactEmail myshopifyDomain primaryDomain { host }
    plan { publicDisplayName partnerDevelopment shopifyPlus }
    currencyCode ianaTimezone shopOwnerName updatedAt
    resourceLimits { locationLimit maxProductOptions maxProductVariants redirectLimitReached }
  }
}";

    /// Creates the operation.
    pub const fn new() -> Self {
        Self(())
    }
}

#[derive(Deserialize)]
struct Data {
    shop: Shop,
}

impl Endpoint for GetShop {
    type Client = ShopifyClient;
    type Output = Shop;
    const NAME: &'static str = "GetShop";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        Draws::cost(4)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({}))
    }

    fn decode(&self, response: &mut Response) -> Result<Shop> {
        graphql::data::<Data>(response).map(|(data, _)| data.shop)
    }
}
