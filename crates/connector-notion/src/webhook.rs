//! Webhook requests: signature verification, affected accounts, and the handshake that delivers the
//! signing key.
//!
//! See [Notion docs: Webhooks](https://developers.notion.com/reference/webhooks).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{
    AccountHint, Incoming, WebhookEndpoint, WebhookScheme, refused, verify,
};
use connector_core::provider::{Context, Description};
use connector_core::{AccountKey, App, Result};
use http::Request;

use crate::models::WebhookEvent;

/// Signature scheme: the hexadecimal HMAC-SHA256 of the body, with the verification token from the
/// handshake as the key. The signature covers no timestamp, so the event id identifies duplicates.
const SCHEME: &str = r#"{
    "signatures": [{ "headers": ["x-notion-signature"], "prefix": "sha256=", "encoding": "hex" }],
    "secret": "webhook",
    "topic": [{ "pointer": "/type" }],
    "delivery_id": [{ "pointer": "/id" }],
    "event_id": [{ "pointer": "/id" }],
    "triggered_at": [{ "pointer": "/timestamp" }],
    "handshakes": [{ "secret": { "pointer": "/verification_token" } }]
}"#;
const SIGNATURE: &str = "x-notion-signature";

pub(crate) fn scheme() -> Option<WebhookScheme> {
    serde_json::from_str(SCHEME).ok()
}

/// A switch with which an operator allows one webhook handshake.
///
/// A handshake delivers the key that signs all later webhook requests, and Notion does not
/// authenticate the handshake itself. The connector therefore accepts a handshake only while an
/// operator has armed the switch, and accepts only one. Clones share the state. The state is local
/// to this process. If several processes serve one webhook endpoint, arm the switch in each
/// process. After an unsuccessful handshake, click "Resend token" in Notion's portal.
#[derive(Clone, Default)]
pub struct HandshakeSwitch(Arc<Mutex<Option<Timestamp>>>);

impl HandshakeSwitch {
    /// Creates a switch that is not armed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms the switch: it allows one handshake for this duration, starting at `now`.
    pub fn arm(&self, now: Timestamp, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.after(time));
    }

    /// Disarms the switch.
    pub fn disarm(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns true if the connector accepts a handshake at this time.
    #[must_use]
    pub fn is_armed(&self, now: Timestamp) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }

    /// Disarms the switch and returns true if it was armed. Returns false for later handshakes.
    fn take(&self, now: Timestamp) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        until.is_some_and(|until| now < until)
    }
}

impl fmt::Debug for HandshakeSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeSwitch")
    }
}

/// Verifies a webhook request and creates one event for each account with access to the object.
pub(crate) fn receive(
    description: &Description,
    switch: &HandshakeSwitch,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &Request<Bytes>,
) -> Result<Incoming> {
    let now = cx.clock.now();
    match verify(description, cx, endpoint, request) {
        Ok(Incoming::Accept { events, reply }) => {
            let events = events.into_iter().flat_map(|event| {
                let bots = bots(&event.body);
                if bots.is_empty() {
                    return vec![event];
                }
                let mut events = Vec::with_capacity(bots.len());
                for bot in bots {
                    let mut event = event.clone();
                    // The hub deduplicates by delivery id, so each account needs its own.
                    event.delivery_id =
                        event.delivery_id.map(|id| format!("{id}:{}", bot.as_str()));
                    event.account = Some(AccountHint::Key(bot));
                    events.push(event);
                }
                events
            });
            let events = events.collect();
            Ok(Incoming::Accept { events, reply })
        }
        Ok(handshake @ Incoming::Secret { .. }) => {
            admitted(description, switch, cx, endpoint, request, handshake, now)
        }
        // A new subscription sends a handshake while the key of the old subscription is still
        // configured.
        Err(error) if switch.is_armed(now) => {
            let app = App::new(cx.app.client_id());
            let bare = Context::new(&app, cx.transport, cx.clock);
            let endpoint = WebhookEndpoint::of_app(endpoint.app);
            match verify(description, &bare, &endpoint, request) {
                Ok(handshake @ Incoming::Secret { .. }) => {
                    admitted(description, switch, cx, &endpoint, request, handshake, now)
                }
                _ => Err(error),
            }
        }
        other => other,
    }
}

/// Accepts the handshake if the switch is armed and the signature is valid. A handshake without a
/// signature is accepted too.
fn admitted(
    description: &Description,
    switch: &HandshakeSwitch,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &Request<Bytes>,
    handshake: Incoming,
    now: Timestamp,
) -> Result<Incoming> {
    if !switch.is_armed(now) {
        return Err(refused(
            "a webhook handshake arrived while the switch was not armed; if you created the \
             subscription, arm the switch and click \"Resend token\" in Notion's portal",
        ));
    }
    if let (Incoming::Secret { secret, .. }, true) =
        (&handshake, request.headers().contains_key(SIGNATURE))
    {
        // A signed handshake is signed with the token in its own body.
        let app = App::new(cx.app.client_id()).with_webhook_secret(secret.clone());
        let own = Context::new(&app, cx.transport, cx.clock);
        let endpoint = WebhookEndpoint::of_app(endpoint.app);
        verify(description, &own, &endpoint, request)?;
    }
    switch.take(now);
    Ok(handshake)
}

/// Returns the bots with access to the object. Each bot is an account of this connector.
fn bots(body: &[u8]) -> Vec<AccountKey> {
    let Ok(event) = serde_json::from_slice::<WebhookEvent>(body) else {
        return Vec::new();
    };
    let bots = event
        .accessible_by
        .into_iter()
        .filter(|it| it.kind == "bot");
    let mut keys: Vec<AccountKey> = bots.filter_map(|it| AccountKey::new(it.id).ok()).collect();
    keys.sort();
    keys.dedup();
    keys
}
