use connector_core::Result;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use serde::Deserialize;
use serde_json::json;

use crate::ShopifyClient;
use crate::error::{self, UserError};
use crate::graphql;

/// Removes the app from the shop. Shopify immediately ends the app's tokens, webhook subscriptions,
/// script tags and billing. Only the shop's owner can install the app again.
///
/// See [Shopify docs: appUninstall](https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/appUninstall).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct AppUninstall(());

impl AppUninstall {
    pub(crate) const DOCUMENT: &str = "mutation AppUninstall {
  appUninstall {
    app { id }
    userErrors { field message code }
  }
}";

    /// Creates the operation.
    pub const fn new() -> Self {
        Self(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    app_uninstall: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    user_errors: Vec<UserError>,
}

impl Endpoint for AppUninstall {
    type Client = ShopifyClient;
    type Output = ();
    const NAME: &'static str = "AppUninstall";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn draws(&self) -> Draws {
        Draws::cost(13)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({}))
    }

    fn decode(&self, response: &mut Response) -> Result<()> {
        let (data, _) = graphql::data::<Data>(response)?;
        // If the app is already removed, the goal is reached.
        let errors = data.app_uninstall.user_errors.into_iter();
        let left = errors.filter(|it| it.code.as_deref() != Some("APP_NOT_INSTALLED"));
        error::by_user(response, left.collect())
    }
}
