use serde::Deserialize;

use super::{WebhookSubscriptionId, open_enum};

open_enum! {
    /// The form of a delivery's body.
    WebhookFormat {
        /// JSON.
        Json = "JSON",
        /// XML.
        Xml = "XML",
    }
}

/// A subscription of this app to a topic in this shop. Those of the app's configuration file are
/// not among them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookSubscription {
    /// Its id.
    pub id: WebhookSubscriptionId,
    /// Its topic as GraphQL spells it, for example `PRODUCTS_UPDATE`.
    pub topic: String,
    /// Where deliveries go: an https URL, a Pub/Sub topic or an `EventBridge` ARN.
    pub uri: String,
    /// The form of the deliveries.
    pub format: WebhookFormat,
    /// What events must fulfil to be delivered.
    pub filter: Option<String>,
    /// The only fields in the body; empty for all.
    pub include_fields: Vec<String>,
    /// Its name, which deliveries carry.
    pub name: Option<String>,
}
