use serde::Deserialize;

use super::WebhookSubscriptionId;

connector_core::provider::open_enum! {
    /// The format of a delivery's body.
    pub enum WebhookFormat {
        /// JSON.
        Json = "JSON",
        /// XML.
        Xml = "XML",
    } else
    /// A value that this version of the library does not know.
    Other
}

/// A subscription of this app to a topic in this shop. Subscriptions from the app's configuration
/// file are not included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookSubscription {
    /// The id of the subscription.
    pub id: WebhookSubscriptionId,
    /// The topic in GraphQL spelling, for example `PRODUCTS_UPDATE`.
    pub topic: String,
    /// The destination of deliveries: an https URL, a Pub/Sub topic or an `EventBridge` ARN.
    pub uri: String,
    /// The format of the deliveries.
    pub format: WebhookFormat,
    /// The filter that events must match to be delivered.
    pub filter: Option<String>,
    /// The fields to include in the body. Empty for all fields.
    pub include_fields: Vec<String>,
    /// The name of the subscription, which is also sent with each delivery.
    pub name: Option<String>,
}
