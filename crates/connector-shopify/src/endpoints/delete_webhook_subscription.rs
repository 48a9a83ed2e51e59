use connector_core::Result;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use serde::Deserialize;
use serde_json::json;

use crate::ShopifyClient;
use crate::error::{self, UserError};
use crate::graphql;
use crate::models::WebhookSubscriptionId;

/// Deletes a webhook subscription. Shopify refuses the deletion of an unknown subscription.
///
/// See [Shopify docs: webhookSubscriptionDelete](https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/webhookSubscriptionDelete).
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct DeleteWebhookSubscription {
    id: WebhookSubscriptionId,
}

impl DeleteWebhookSubscription {
    pub(crate) const DOCUMENT: &str = "mutation DeleteWebhookSubscription($id: ID!) {
  webhookSubscriptionDelete(id: $id) {
    deletedWebhookSubscriptionId
    userErrors { field message }
  }
}";

    /// Creates the operation for the subscription with the given id.
    pub const fn new(id: WebhookSubscriptionId) -> Self {
        Self { id }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    webhook_subscription_delete: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    user_errors: Vec<UserError>,
}

impl Endpoint for DeleteWebhookSubscription {
    type Client = ShopifyClient;
    type Output = ();
    const NAME: &'static str = "DeleteWebhookSubscription";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn draws(&self) -> Draws {
        Draws::cost(12)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, json!({ "id": self.id }))
    }

    fn decode(&self, response: &mut Response) -> Result<()> {
        let (data, _) = graphql::data::<Data>(response)?;
        error::by_user(response, data.webhook_subscription_delete.user_errors)
    }
}
