//! Webhook subscriptions of a shop. Subscriptions from the app's configuration file are not
//! included.

use connector_core::{Error, ErrorKind, Result};

use super::{area, input, operation};
use crate::graphql::Variables;
use crate::models::{Count, WebhookFormat, WebhookSubscription, WebhookSubscriptionId};

operation! {
    /// Subscribes the app to a topic in this shop, in GraphQL spelling: `PRODUCTS_UPDATE`. Requires
    /// the scope that reads the topic's data.
    ///
    /// Shopify does not accept the privacy topics (`customers/redact` and so on) in this operation.
    /// Subscribe to them in the app's configuration file.
    ///
    /// See [Shopify docs: webhookSubscriptionCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/webhookSubscriptionCreate).
    write CreateWebhookSubscription -> WebhookSubscription =
        "($topic: WebhookSubscriptionTopic!, $webhookSubscription: WebhookSubscriptionInput!)"
        "webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhookSubscription) \
         { value: webhookSubscription { ...WebhookSubscription } userErrors { field message } }"
        [WebhookSubscription];
    cost 13;
    pub new(topic: String = "topic", subscription: WebhookInput = "webhookSubscription");
    check |it| check("CreateWebhookSubscription", it);
}

operation! {
    /// Changes a subscription. Fields that are not set keep their values.
    ///
    /// See [Shopify docs: webhookSubscriptionUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/webhookSubscriptionUpdate).
    assign UpdateWebhookSubscription -> WebhookSubscription =
        "($id: ID!, $webhookSubscription: WebhookSubscriptionInput!)"
        "webhookSubscriptionUpdate(id: $id, webhookSubscription: $webhookSubscription) \
         { value: webhookSubscription { ...WebhookSubscription } userErrors { field message } }"
        [WebhookSubscription];
    cost 13;
    pub new(id: WebhookSubscriptionId = "id", subscription: WebhookInput = "webhookSubscription");
    check |it| check("UpdateWebhookSubscription", it);
}

operation! {
    /// Deletes a webhook subscription. Shopify refuses the deletion of an unknown subscription.
    ///
    /// See [Shopify docs: webhookSubscriptionDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/webhookSubscriptionDelete).
    act DeleteWebhookSubscription -> () = "($id: ID!)"
        "webhookSubscriptionDelete(id: $id) { value: deletedWebhookSubscriptionId \
         userErrors { field message } }" [];
    cost 12;
    pub new(id: WebhookSubscriptionId = "id");
}

operation! {
    /// Lists the app's webhook subscriptions in this shop, page by page.
    ///
    /// See [Shopify docs: webhookSubscriptions](https://shopify.dev/docs/api/admin-graphql/latest/queries/webhookSubscriptions).
    list ListWebhookSubscriptions -> WebhookSubscription =
        "($first: Int!, $after: String, $topics: [WebhookSubscriptionTopic!])"
        "webhookSubscriptions(first: $first, after: $after, topics: $topics) \
         { nodes { ...WebhookSubscription } pageInfo { hasNextPage endCursor } }"
        [WebhookSubscription];
    cost 2 + 1 each;
    pub new() {
        /// Lists only subscriptions to these topics, in GraphQL spelling: `PRODUCTS_UPDATE`.
        of_topics: [String] = "topics",
    };
}

operation! {
    /// Counts the app's webhook subscriptions in this shop.
    ///
    /// See [Shopify docs: webhookSubscriptionsCount](https://shopify.dev/docs/api/admin-graphql/latest/queries/webhookSubscriptionsCount).
    get CountWebhookSubscriptions -> Count = "" "webhookSubscriptionsCount { count precision }" [];
    cost 1;
    pub new();
}

input! {
    /// The destination and the content of deliveries. The destination is an https URL,
    /// `pubsub://project:topic` or the ARN of an `EventBridge` source.
    WebhookInput(uri: String = "uri") {
        with_format: WebhookFormat = "format",
        /// A filter in Shopify's search syntax. Only matching events are delivered.
        with_filter: String = "filter",
        /// The fields to include in deliveries. Default: all fields.
        with_fields: [String] = "includeFields",
        /// A name that is sent with each delivery: at most 50 letters, digits, hyphens and
        /// underscores.
        with_name: String = "name",
    }
}

impl<T: Into<String>> From<T> for WebhookInput {
    /// Creates the input with this destination.
    fn from(uri: T) -> Self {
        Self::new(uri)
    }
}

fn check(operation: &'static str, variables: &Variables) -> Result<()> {
    let wrong = |message| Err(Error::new(ErrorKind::InvalidInput, operation, message));
    let is_topic = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if let Some(topic) = variables.get("topic").as_str()
        && (topic.is_empty() || !topic.bytes().all(is_topic))
    {
        return wrong("a topic must have the GraphQL spelling, for example PRODUCTS_UPDATE");
    }
    let is_name = |name: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=50).contains(&name.len()) && name.bytes().all(fits)
    };
    let name = variables.get("webhookSubscription")["name"].as_str();
    if name.is_some_and(|it| !is_name(it)) {
        return wrong("a name may have at most 50 letters, digits, hyphens and underscores");
    }
    Ok(())
}

area![
    CreateWebhookSubscription,
    UpdateWebhookSubscription,
    DeleteWebhookSubscription,
    ListWebhookSubscriptions,
    CountWebhookSubscriptions,
];
