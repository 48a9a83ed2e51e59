//! Notifications of watch channels. Google does not sign notifications. The only proof of their
//! origin is the secret token of the channel. Their body is empty: a notification reports that
//! something changed, not what changed.
//!
//! See [Google Drive docs: Notifications for resource changes](https://developers.google.com/workspace/drive/api/guides/push).

use connector_core::provider::webhook::WebhookScheme;

const SCHEME: &str = r#"{
    "signatures": [{ "algorithm": "shared_token", "headers": ["x-goog-channel-token"] }],
    "secret": "subscription",
    "body": ["empty"],
    "channel": [{ "header": "x-goog-channel-id" }],
    "topic": [{ "header": "x-goog-resource-state" }],
    "delivery_id": [{ "joined": [{ "header": "x-goog-channel-id" }, { "header": "x-goog-message-number" }] }],
    "required": ["topic", "delivery_id"],
    "fields": [
        "x-goog-resource-id",
        "x-goog-resource-uri",
        "x-goog-resource-state",
        "x-goog-changed",
        "x-goog-channel-id",
        "x-goog-message-number",
        "x-goog-channel-expiration"
    ]
}"#;

pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}
