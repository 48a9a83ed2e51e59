use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::ShopifyClient;
use crate::error::{self, UserError};
use crate::graphql;
use crate::models::{WebhookFormat, WebhookSubscription};

/// Subscribes the app to a topic in this shop. Requires the scope that reads the topic's data.
///
/// See [Shopify docs:
/// webhookSubscriptionCreate](https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/webhookSubscriptionCreate).
/// Shopify does not accept the privacy topics (`customers/redact` and so on) in this operation.
/// Subscribe to them in the app's configuration file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct CreateWebhookSubscription {
    topic: String,
    webhook_subscription: Input,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    uri: String,
    format: WebhookFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include_fields: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl CreateWebhookSubscription {
    pub(crate) const DOCUMENT: &str = "mutation CreateWebhookSubscription(
  $topic: WebhookSubscriptionTopic!, $webhookSubscription: WebhookSubscriptionInput!
) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhookSubscription) {
    webhookSubscription { id topic uri format filter includeFields name }
    userErrors { field message }
  }
}";

    /// Creates a subscription to `topic` in GraphQL spelling (`PRODUCTS_UPDATE`), with deliveries
    /// to `uri`: an https URL, `pubsub://project:topic` or the ARN of an `EventBridge` source.
    pub fn new(topic: impl Into<String>, uri: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            webhook_subscription: Input {
                uri: uri.into(),
                format: WebhookFormat::Json,
                filter: None,
                include_fields: Vec::new(),
                name: None,
            },
        }
    }

    /// Sets a filter in Shopify's search syntax. Only matching events are delivered.
    pub fn with_filter(mut self, filter: impl Into<String>) -> Self {
        self.webhook_subscription.filter = Some(filter.into());
        self
    }

    /// Sets the fields to include in deliveries. Default: all fields.
    pub fn with_fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.webhook_subscription.include_fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a name that is sent with each delivery: at most 50 letters, digits, hyphens and
    /// underscores.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.webhook_subscription.name = Some(name.into());
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    webhook_subscription_create: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    webhook_subscription: Option<WebhookSubscription>,
    user_errors: Vec<UserError>,
}

impl Endpoint for CreateWebhookSubscription {
    type Client = ShopifyClient;
    type Output = WebhookSubscription;
    const NAME: &'static str = "CreateWebhookSubscription";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn validate(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::InvalidInput, Self::NAME, message));
        let is_topic = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if self.topic.is_empty() || !self.topic.bytes().all(is_topic) {
            return wrong("a topic must have the GraphQL spelling, for example PRODUCTS_UPDATE");
        }
        let is_name = |name: &String| {
            (1..=50).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if self
            .webhook_subscription
            .name
            .as_ref()
            .is_some_and(|it| !is_name(it))
        {
            return wrong("a name may have at most 50 letters, digits, hyphens and underscores");
        }
        Ok(())
    }

    fn draws(&self) -> Draws {
        Draws::cost(13)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, self)
    }

    fn decode(&self, response: &mut Response) -> Result<WebhookSubscription> {
        let (data, _) = graphql::data::<Data>(response)?;
        let payload = data.webhook_subscription_create;
        error::by_user(response, payload.user_errors)?;
        payload.webhook_subscription.ok_or_else(|| {
            response.error(
                ErrorKind::UnexpectedResponse,
                "Shopify created no subscription and returned no error; report it",
            )
        })
    }
}
