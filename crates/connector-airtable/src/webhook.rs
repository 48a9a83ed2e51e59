//! The signature of pings. A ping contains no changes. It only means that there are payloads to
//! read.
//!
//! See [Airtable docs: Webhooks overview](https://airtable.com/developers/web/api/webhooks-overview).

use connector_core::provider::webhook::WebhookScheme;

/// HMAC-SHA256 of the body in hexadecimal. The key is the webhook's own secret, which Airtable
/// returns once, in base64, when the webhook is created.
const SCHEME: &str = r#"{
    "signatures": [{
        "headers": ["x-airtable-content-mac"],
        "key": "base64",
        "prefix": "hmac-sha256=",
        "encoding": "hex"
    }],
    "secret": "subscription",
    "channel": [{ "pointer": "/webhook/id" }],
    "triggered_at": [{ "pointer": "/timestamp" }]
}"#;

pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}
