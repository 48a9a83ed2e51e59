//! One attempt to deliver a message.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use connector_core::cipher::{Plaintext, SealContext, Sealed, SealedKind, open_long, seal_long};
use connector_core::http::{LastCheck, OutboundRequest, TransportError};
use connector_core::outbound::{MessageId, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign};
use connector_core::store::{
    EndpointAudit, LeasedMessage, MessageKey, NewAttempt, OutboundVerdict, Settlement,
};
use connector_core::{
    Actor, AppKey, CorrelationId, Error, ErrorKind, Event, RequestContext, Result,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use secrecy::ExposeSecret;

use super::TEST_EVENT;
use super::policy::{Judgement, Tries, judge};
use super::target::Target;
use crate::audit;
use crate::hub::Inner;
use crate::telemetry;

/// Maximum length of a response, in bytes. A longer response counts as a failure.
const MAX_RESPONSE: usize = 1_048_576;
/// Maximum length of an excerpt in the delivery log, in bytes.
const EXCERPT: usize = 1_024;
/// Length of the part of a response that is searched for secrets, in bytes. Longer than an excerpt,
/// so that the search finds a secret at its end.
const SEARCHED: usize = 16_384;
/// Minimum number of equal bytes for text to count as a part of the payload.
const WINDOW: usize = 12;
/// Length from which a run of letters and digits may be a secret.
const TOKEN: usize = 24;

fn place<'a>(key: &'a MessageKey, app: &'a AppKey, row: &'a str) -> SealContext<'a> {
    SealContext::new(
        Some(&key.tenant),
        &key.provider,
        app,
        row,
        SealedKind::Delivery,
    )
}

impl Inner {
    pub(super) async fn seal_payload(&self, key: &MessageKey, payload: &[u8]) -> Result<Sealed> {
        let (row, app) = (key.row_id(), AppKey::default());
        seal_long(&*self.cipher, &place(key, &app, &row), payload).await
    }

    async fn open_payload(&self, leased: &LeasedMessage) -> Result<Plaintext> {
        let key = MessageKey {
            tenant: leased.endpoint.key.tenant.clone(),
            provider: leased.endpoint.provider.clone(),
            id: leased.id.clone(),
        };
        let (row, app) = (key.row_id(), AppKey::default());
        open_long(&*self.cipher, &place(&key, &app, &row), &leased.sealed).await
    }

    /// Sends a message to its endpoint once and returns the result to store.
    ///
    /// The request is not sent if `may_send` returns false; then the message is sent later.
    pub(crate) async fn attempt(&self, leased: &LeasedMessage, may_send: LastCheck) -> Settlement {
        let started = self.clock.monotonic();
        let (judgement, status, excerpt) = match self.try_once(leased, may_send).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(
                    operation = super::OPERATION,
                    endpoint = %leased.endpoint.key.id,
                    message = %leased.id,
                    error = %error,
                    "a message could not be sent because of a failure on this side"
                );
                let judgement = match error.kind() {
                    ErrorKind::Unsealable | ErrorKind::StoreIncompatible => {
                        Judgement::parked(error.kind().as_str())
                    }
                    // The key may be added later.
                    kind => Judgement::postponed(kind.as_str()),
                };
                (judgement, None, None)
            }
        };
        let took = self.clock.monotonic().since(started);
        let is_delivered = judgement.verdict == OutboundVerdict::Delivered;
        let result = if is_delivered { "delivered" } else { "failed" };
        let provider = leased.endpoint.provider.as_str();
        telemetry::count(telemetry::SENT, &[provider, result]);
        if let Some(why) = judgement.error {
            tracing::debug!(
                operation = super::OPERATION,
                endpoint = %leased.endpoint.key.id,
                message = %leased.id,
                attempt = leased.attempt,
                status,
                why,
                "a message was not delivered"
            );
        }
        self.settlement(leased, &judgement, status, excerpt, took)
    }

    async fn try_once(
        &self,
        leased: &LeasedMessage,
        may_send: LastCheck,
    ) -> Result<(Judgement, Option<u16>, Option<String>)> {
        let endpoint = &leased.endpoint;
        let sealed = &endpoint.sealed;
        let target = self
            .open_target(&endpoint.key, &endpoint.provider, sealed)
            .await?;
        let payload = self.open_payload(leased).await?;
        let request = self.request(&target, &leased.id, payload.expose())?;
        let outcome = self.send_to_endpoint(request, may_send).await;
        let schedule = &self.outbound_policy.schedule[..];
        let tries = Tries {
            count: leased.tries,
            schedule: if leased.event_type.as_str() == TEST_EVENT {
                &[]
            } else {
                schedule
            },
            random: &*self.random,
        };
        let judgement = judge(&outcome, tries, self.clock.now());
        let response = outcome.as_ref().ok();
        let excerpt = response
            .filter(|_| judgement.verdict != OutboundVerdict::Delivered)
            .map(|it| excerpt(it.body(), &target, payload.expose()))
            .filter(|it| !it.is_empty());
        Ok((judgement, response.map(|it| it.status().as_u16()), excerpt))
    }

    async fn send_to_endpoint(
        &self,
        request: Request<Bytes>,
        may_send: LastCheck,
    ) -> Result<Response<Bytes>, TransportError> {
        let request = OutboundRequest::new(request)
            .with_timeout(self.outbound_policy.timeout)
            .with_max_response_len(MAX_RESPONSE)
            .with_last_check(may_send);
        self.outbound_transport.send(request).await
    }

    fn request(&self, target: &Target, id: &MessageId, body: &[u8]) -> Result<Request<Bytes>> {
        let now = self.clock.now();
        let signature = sign(&target.live(now), id, now, body)?;
        let unusable = || {
            let message = "the request for an endpoint could not be built";
            Error::new(ErrorKind::Unsealable, super::OPERATION, message)
        };
        let mut request = Request::new(Bytes::copy_from_slice(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.url.expose_secret().parse().map_err(|_| unusable())?;
        let headers = request.headers_mut();
        for (name, value) in &target.headers {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        // Inserted last, so that no other header can replace them.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            (WEBHOOK_ID, id.as_str()),
            (WEBHOOK_TIMESTAMP, &now.as_unix_seconds().to_string()),
            (WEBHOOK_SIGNATURE, &signature),
        ] {
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| unusable())?);
        }
        Ok(request)
    }

    fn settlement(
        &self,
        leased: &LeasedMessage,
        judgement: &Judgement,
        status: Option<u16>,
        excerpt: Option<String>,
        took: Duration,
    ) -> Settlement {
        let policy = &self.outbound_policy;
        let endpoint = &leased.endpoint;
        let audit = judgement.error.map(|_| {
            let (id, label) = (endpoint.key.id.to_string(), endpoint.label.clone());
            // A message id is a valid correlation id.
            let correlation = CorrelationId::new(leased.id.as_str()).unwrap_or_default();
            let context = RequestContext::new(Actor::Worker, correlation);
            let disabled = |reason: &str| Event::EndpointDisabled {
                endpoint: id.clone(),
                label: label.clone(),
                reason: reason.to_owned(),
            };
            let entry = |event| {
                let app = AppKey::default();
                let target =
                    audit::Target::endpoint(&endpoint.key.tenant, &endpoint.provider, &app);
                audit::entry(target, &context, event)
            };
            Box::new(EndpointAudit {
                failing: entry(Event::EndpointFailing {
                    endpoint: id.clone(),
                    label: label.clone(),
                }),
                failed: entry(disabled("failed")),
                gone: entry(disabled("gone")),
            })
        });
        Settlement {
            endpoint: endpoint.key.clone(),
            provider: endpoint.provider.clone(),
            id: leased.id.clone(),
            lease: leased.lease,
            attempt: leased.attempt,
            log: NewAttempt {
                took,
                status,
                error: judgement.error.map(str::to_owned),
                excerpt,
            },
            version: endpoint.version,
            verdict: judgement.verdict,
            pause: judgement.pause,
            warn_at: policy.warn_at,
            disable_after: policy.disable_after,
            audit,
        }
    }
}

/// Returns the beginning of a response as text, without secrets and without parts of the payload.
///
/// A receiver may repeat the request in its response. The delivery log must not contain more than
/// the sealed columns protect.
fn excerpt(body: &[u8], target: &Target, payload: &[u8]) -> String {
    // Text inside of JSON strings is escaped, for example `\/` and `\"`.
    let unescaped = |text: &[u8]| text.iter().copied().filter(|it| *it != b'\\').collect();
    let (body, payload): (Vec<u8>, Vec<u8>) = (
        unescaped(&body[..body.len().min(SEARCHED)]),
        unescaped(payload),
    );
    let start = &body[..];
    let mut hidden = vec![false; start.len()];
    // Parts of the payload.
    let windows: HashSet<&[u8]> = start.windows(WINDOW).collect();
    let echoed: HashSet<&[u8]> = payload
        .windows(WINDOW)
        .filter(|it| windows.contains(it))
        .collect();
    for (at, window) in start.windows(WINDOW).enumerate() {
        if echoed.contains(window) {
            hidden[at..at + WINDOW].fill(true);
        }
    }
    // Secrets of the endpoint. The path of the URL may be secret, too.
    let url = target.url.expose_secret();
    let path = url.splitn(4, '/').nth(3).filter(|it| it.len() >= 4);
    let headers = target
        .headers
        .iter()
        .map(|(_, value)| value.expose_secret());
    for secret in headers.chain(path).filter(|it| !it.is_empty()) {
        let secret = secret.as_bytes();
        for at in 0..start.len().saturating_sub(secret.len() - 1) {
            if start.get(at..at + secret.len()) == Some(secret) {
                hidden[at..at + secret.len()].fill(true);
            }
        }
    }
    // Anything that looks like a token, an address or a secret.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-.@".contains(&byte);
    let mut at = 0;
    while at < start.len() {
        let run = start[at..]
            .iter()
            .take_while(|byte| is_part(**byte))
            .count();
        let word = start.get(at..at + run).unwrap_or_default();
        if run >= TOKEN || word.contains(&b'@') {
            hidden[at..at + run].fill(true);
        }
        at += run.max(1);
    }
    let mut shown = Vec::with_capacity(start.len());
    let mut was_hidden = false;
    // A secret that begins before the end of the excerpt is hidden as a whole.
    for (byte, is_hidden) in start.iter().zip(hidden).take(EXCERPT) {
        match (is_hidden, was_hidden) {
            (true, false) => shown.extend_from_slice(b"[redacted]"),
            (false, _) => shown.push(*byte),
            (true, true) => {}
        }
        was_hidden = is_hidden;
    }
    let text = String::from_utf8_lossy(&shown);
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = text.collect();
    text.trim().to_owned()
}
