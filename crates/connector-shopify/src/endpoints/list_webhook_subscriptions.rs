use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Endpoint, PagedEndpoint};
use serde::{Deserialize, Serialize};

use super::arguments::{PAGE, check_page};
use crate::ShopifyClient;
use crate::graphql::{self, Connection};
use crate::models::WebhookSubscription;

/// Lists the app's webhook subscriptions in this shop, page by page. Subscriptions from the app's
/// configuration file are not included.
///
/// See [Shopify docs: webhookSubscriptions](https://shopify.dev/docs/api/admin-graphql/2026-10/queries/webhookSubscriptions).
#[derive(Debug, Clone, Serialize)]
#[must_use]
pub struct ListWebhookSubscriptions {
    first: u32,
    after: Option<PageCursor>,
    topics: Option<Vec<String>>,
}

impl ListWebhookSubscriptions {
    pub(crate) const DOCUMENT: &str = "query ListWebhookSubscriptions(
  $first: Int!, $after: String, $topics: [WebhookSubscriptionTopic!]
) {
  webhookSubscriptions(first: $first, after: $after, topics: $topics) {
    nodes { id topic uri format filter includeFields name }
    pageInfo { hasNextPage endCursor }
  }
}";

    /// Lists all subscriptions, 100 per page.
    pub const fn new() -> Self {
        Self {
            first: PAGE,
            after: None,
            topics: None,
        }
    }

    /// Sets the page size: 1 to 250.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.first = size;
        self
    }

    /// Lists only subscriptions to these topics, in GraphQL spelling: `PRODUCTS_UPDATE`.
    pub fn of_topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }
}

impl Default for ListWebhookSubscriptions {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    webhook_subscriptions: Connection<WebhookSubscription>,
}

impl Endpoint for ListWebhookSubscriptions {
    type Client = ShopifyClient;
    type Output = Page<WebhookSubscription>;
    const NAME: &'static str = "ListWebhookSubscriptions";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn validate(&self) -> Result<()> {
        check_page(Self::NAME, self.first)
    }

    fn draws(&self) -> Draws {
        Draws::cost(2 + self.first)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(Self::DOCUMENT, self)
    }

    fn decode(&self, response: &mut Response) -> Result<Page<WebhookSubscription>> {
        let (data, _) = graphql::data::<Data>(response)?;
        data.webhook_subscriptions.into_page(response)
    }
}

impl PagedEndpoint for ListWebhookSubscriptions {
    type Item = WebhookSubscription;
    const LIMIT: Option<usize> = Some(graphql::MAX_LISTING);

    fn at(&self, cursor: &PageCursor) -> Self {
        Self {
            after: Some(cursor.clone()),
            ..self.clone()
        }
    }
}
