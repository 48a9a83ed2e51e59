//! Verification of calls from Zaps to the application, sent by the action "Webhooks by Zapier".
//!
//! Zapier does not sign these calls. Instead, the Zap's owner enters a secret that the application
//! issued: in the header `X-Webhook-Secret`, as a bearer token, or as HTTP Basic credentials
//! (`user:password`). The secret authenticates the caller but does not protect the content. It is
//! compared in constant time. Each connection has its own secret, and two secrets during a rotation. Pass
//! the secrets to `Receive::connection` or
//! [`WebhookEndpoint::of_connection`](connector_core::provider::webhook::WebhookEndpoint::of_connection).

use connector_core::provider::webhook::WebhookScheme;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Name of the header with the secret.
const SECRET: &str = "x-webhook-secret";

const SCHEME: &str = r#"{
    "signatures": [
        { "algorithm": "shared_token", "headers": ["x-webhook-secret"] },
        { "algorithm": "shared_token", "headers": ["authorization"], "prefix": "Bearer " }
    ],
    "secret": "subscription",
    "body": ["json", "form"],
    "topic": [{ "header": "x-event-type" }, { "pointer": "/type" }],
    "delivery_id": [{ "header": "x-event-id" }]
}"#;

const BASIC: &str = r#"{
    "signatures": [{ "algorithm": "basic", "headers": ["authorization"] }],
    "secret": "subscription",
    "body": ["json", "form"],
    "topic": [{ "header": "x-event-type" }, { "pointer": "/type" }],
    "delivery_id": [{ "header": "x-event-id" }]
}"#;

/// Returns the scheme for a secret in `X-Webhook-Secret` or in a bearer token. A test checks that the
/// constants are valid.
pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}

/// Returns the scheme for HTTP Basic.
pub(crate) fn basic_scheme() -> Option<WebhookScheme> {
    serde_json::from_str(BASIC).ok()
}

/// Returns true if the call has HTTP Basic credentials and no header `X-Webhook-Secret`.
pub(crate) fn uses_basic(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let scheme = value.and_then(|it| it.get(..6));
    !headers.contains_key(SECRET) && scheme.is_some_and(|it| it.eq_ignore_ascii_case(b"basic "))
}
