use connector_core::Result;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use serde::Deserialize;
use serde_json::json;

use crate::models::AppInstallation;
use crate::{ShopifyClient, graphql};

/// Gets the installation of the app in the shop, with the granted scopes.
///
/// See [Shopify docs: currentAppInstallation](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/currentAppInstallation).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct GetCurrentAppInstallation(());

impl GetCurrentAppInstallation {
    pub(crate) const DOCUMENT: &str = "query GetCurrentAppInstallation {
  currentAppInstallation { id accessScopes { handle } }
}";

    /// Creates the operation.
    pub const fn new() -> Self {
        Self(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    current_app_installation: AppInstallation,
}

impl Endpoint for GetCurrentAppInstallation {
    type Client = ShopifyClient;
    type Output = AppInstallation;
    const NAME: &'static str = "GetCurrentAppInstallation";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        Draws::cost(2)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({}))
    }

    fn decode(&self, response: &mut Response) -> Result<AppInstallation> {
        graphql::data::<Data>(response).map(|(data, _)| data.current_app_installation)
    }
}
