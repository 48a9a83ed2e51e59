//! Deliveries: signature, accounts, and the handshake that brings the key.
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

/// HMAC-SHA256 of the body in hexadecimal. The key is the verification token, which the handshake
/// brings. No time is signed: the id of the event tells repetitions apart.
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

/// The permission of an operator to accept one handshake of a webhook subscription.
///
/// A handshake brings the key of all later deliveries and is not known to be genuine, so it is
/// accepted only while an operator has armed the switch, and only once. Clones share the state. The
/// state is kept in this process: with several processes behind one endpoint, arm it in each of them,
/// and repeat the handshake with "Resend token" in Notion's portal if another process got it.
#[derive(Clone, Default)]
pub struct HandshakeSwitch(Arc<Mutex<Option<Timestamp>>>);

impl HandshakeSwitch {
    /// A switch that is not armed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts the next handshake from `now` on, for this long.
    pub fn arm(&self, now: Timestamp, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.after(time));
    }

    /// Accepts no handshake any more.
    pub fn disarm(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// True if a handshake would be accepted.
    #[must_use]
    pub fn is_armed(&self, now: Timestamp) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }

    /// True for the one handshake that is accepted.
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

/// Verifies a delivery, and addresses its event to each account that it names.
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
                    // The event is handled once for each account.
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
        // A new subscription while the key of an old one is still set.
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

/// The handshake, if an operator waits for it and its signature, where it has one, fits.
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
            "a handshake of a webhook subscription arrived and nobody waits for it; arm the switch \
             and let Notion send the token again if it is yours",
        ));
    }
    if let (Incoming::Secret { secret, .. }, true) =
        (&handshake, request.headers().contains_key(SIGNATURE))
    {
        // The token signs the request that brings it.
        let app = App::new(cx.app.client_id()).with_webhook_secret(secret.clone());
        let own = Context::new(&app, cx.transport, cx.clock);
        let endpoint = WebhookEndpoint::of_app(endpoint.app);
        verify(description, &own, &endpoint, request)?;
    }
    switch.take(now);
    Ok(handshake)
}

/// The bots among those that have access: the accounts that the event is about.
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
