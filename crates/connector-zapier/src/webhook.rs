//! Calls from Zaps to the application: the action "Webhooks by Zapier".
//!
//! Zapier signs nothing. The owner of a Zap enters a secret of the application's, in the header
//! `X-Webhook-Secret`, as a bearer token or as HTTP Basic (`user:password`). The secret shows who
//! calls and protects no content; it is compared in constant time. Every connection has secrets of its
//! own, two while one replaces the other:
//! [`WebhookEndpoint::of_connection`](connector_core::provider::webhook::WebhookEndpoint::of_connection)
//! and `Receive::connection` take them.

use connector_core::provider::webhook::WebhookScheme;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The header of a secret.
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

/// The scheme for a secret in a header. The constants are valid, as a test shows.
pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}

/// The scheme for HTTP Basic.
pub(crate) fn basic_scheme() -> Option<WebhookScheme> {
    serde_json::from_str(BASIC).ok()
}

/// Returns true if the call carries HTTP Basic and no header of its own for the secret.
pub(crate) fn uses_basic(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let scheme = value.and_then(|it| it.get(..6));
    !headers.contains_key(SECRET) && scheme.is_some_and(|it| it.eq_ignore_ascii_case(b"basic "))
}
