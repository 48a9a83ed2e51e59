//! Signature schemes as data.

use bytes::Bytes;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::connector::Context;
use crate::description::Description;
use crate::error::{Error, ErrorKind, Result};
use crate::webhook::signature::{check_secrets, first_header, verify_once, word};
use crate::webhook::{
    AccountHint, Event, Incoming, SignedField, WebhookEndpoint, check_window, decode_base64,
    decode_hex, refused,
};

/// How a provider signs deliveries, where it is HMAC-SHA256 over the body, with or without a
/// timestamp before it.
///
/// Header names are in any case. Where several stand for one thing, the first that is there counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookScheme {
    /// The headers that may hold the signature.
    pub signature: Vec<String>,
    /// How it is written.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// What stands before it, as in `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The timestamp that is signed with the body.
    #[serde(default)]
    pub timestamp: Option<WebhookTimestamp>,
    /// Which secret signs.
    #[serde(default)]
    pub secret: WebhookSecret,
    /// The headers that may hold the topic.
    #[serde(default)]
    pub topic: Vec<String>,
    /// The headers that may hold the account's host.
    #[serde(default)]
    pub account_host: Vec<String>,
    /// The headers that may hold the id of the delivery.
    #[serde(default)]
    pub delivery_id: Vec<String>,
    /// The headers that may hold the id of the event.
    #[serde(default)]
    pub event_id: Vec<String>,
    /// The headers that may hold the time of the event, in RFC 3339.
    #[serde(default)]
    pub triggered_at: Vec<String>,
    /// The topics that say that a connection may have ended or lost rights; see
    /// [`Event::probes`].
    #[serde(default)]
    pub probe_topics: Vec<String>,
}

impl WebhookScheme {
    /// A signature of the body alone, in base64, in one of these headers.
    #[must_use]
    pub fn new<S: Into<String>>(signature: impl IntoIterator<Item = S>) -> Self {
        Self {
            signature: signature.into_iter().map(Into::into).collect(),
            encoding: SignatureEncoding::default(),
            prefix: String::new(),
            timestamp: None,
            secret: WebhookSecret::default(),
            topic: Vec::new(),
            account_host: Vec::new(),
            delivery_id: Vec::new(),
            event_id: Vec::new(),
            triggered_at: Vec::new(),
            probe_topics: Vec::new(),
        }
    }
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// Base64 with the standard alphabet and its padding.
    #[default]
    Base64,
    /// Hexadecimal.
    Hex,
}

/// Which secret signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookSecret {
    /// The registration's client secret.
    #[default]
    Client,
    /// A secret of its own.
    Webhook,
}

/// A timestamp in Unix seconds that is signed before the body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookTimestamp {
    /// The header that holds it.
    pub header: String,
    /// What stands between it and the body.
    #[serde(default = "dot")]
    pub separator: String,
    /// How many seconds it may be off, in both directions.
    #[serde(default = "five_minutes")]
    pub tolerance_seconds: u64,
}

impl WebhookTimestamp {
    /// A timestamp in this header, followed by a dot, that may be off by five minutes.
    #[must_use]
    pub fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            separator: dot(),
            tolerance_seconds: five_minutes(),
        }
    }
}

fn dot() -> String {
    ".".to_owned()
}

const fn five_minutes() -> u64 {
    300
}

/// Verifies a delivery by the description's scheme and reads its headers. The signature is checked on
/// the raw body before anything is parsed.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the description has no scheme; [`ErrorKind::Configuration`] if there
/// is no secret; [`ErrorKind::WebhookRefused`] if anything does not fit: another method than POST, an
/// empty body, a header that is there twice, the signature, the timestamp.
pub fn verify(
    description: &Description,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &http::Request<Bytes>,
) -> Result<Incoming> {
    let Some(scheme) = &description.webhook else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "webhook.verify",
            "the provider's description has no webhook scheme; add one, or override the hook",
        )
        .with_provider(description.provider.as_str().to_owned()));
    };
    if request.method() != Method::POST || request.body().is_empty() {
        return Err(refused("a delivery is a POST request with a body"));
    }
    let secrets = if endpoint.secrets.is_empty() {
        match scheme.secret {
            WebhookSecret::Client => cx.app.client_secrets(),
            WebhookSecret::Webhook => cx.app.webhook_secrets(),
        }
    } else {
        endpoint.secrets
    };
    let headers = request.headers();
    let signed = check(scheme, secrets, cx.clock, request)?;
    let text = |names: &[String]| Ok::<_, Error>(first_header(headers, names)?.and_then(word));
    let owned = |names: &[String]| Ok::<_, Error>(text(names)?.map(str::to_owned));
    let topic = owned(&scheme.topic)?.unwrap_or_default();
    let account = match (text(&scheme.account_host)?, &description.account_host) {
        (Some(host), Some(rule)) => {
            let host = rule
                .accept(host)
                .map_err(|_| refused("the delivery names no account host of this provider"))?;
            Some(AccountHint::Host(host))
        }
        _ => None,
    };
    let delivery_id = owned(&scheme.delivery_id)?;
    let event_id = owned(&scheme.event_id)?;
    let triggered_at = text(&scheme.triggered_at)?.and_then(Timestamp::parse);
    let probes = scheme.probe_topics.contains(&topic);
    Ok(Incoming::Events(vec![Event {
        provider: description.provider.clone(),
        app: endpoint.app.clone(),
        topic,
        account,
        delivery_id,
        event_id,
        triggered_at,
        body: request.body().clone(),
        signed,
        probes,
    }]))
}

/// Checks signature and timestamp; returns what the signature covers besides the body.
fn check(
    scheme: &WebhookScheme,
    secrets: &[SecretString],
    clock: &dyn Clock,
    request: &http::Request<Bytes>,
) -> Result<&'static [SignedField]> {
    let headers = request.headers();
    check_secrets(secrets)?;
    let signature = first_header(headers, &scheme.signature)?
        .ok_or_else(|| refused("the delivery has no signature"))?;
    let signature = without_prefix(signature, &scheme.prefix)
        .ok_or_else(|| refused("the signature does not begin as it should"))?;
    let signature = match scheme.encoding {
        SignatureEncoding::Base64 => decode_base64(signature)?,
        SignatureEncoding::Hex => decode_hex(signature)?,
    };
    let Some(timestamp) = &scheme.timestamp else {
        verify_once(secrets, &[request.body()], &signature)?;
        return Ok(&[]);
    };
    let sent = crate::webhook::single_header(headers, &timestamp.header)?
        .ok_or_else(|| refused("the delivery has no timestamp"))?;
    verify_once(
        secrets,
        &[
            sent.as_bytes(),
            timestamp.separator.as_bytes(),
            request.body(),
        ],
        &signature,
    )?;
    let sent = sent
        .parse()
        .map(Timestamp::from_unix_seconds)
        .map_err(|_| refused("the delivery's timestamp is not in Unix seconds"))?;
    let tolerance = Duration::from_secs(timestamp.tolerance_seconds);
    check_window(clock.now(), sent, tolerance)?;
    Ok(&[SignedField::Time])
}

/// What follows `prefix`; `None` if the text does not begin with it.
fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    // An empty `String` has no memory behind it, and the C library compares with masked loads where the
    // processor has AVX-512. One of no bytes at an address that is not mapped takes about 60 ns.
    if prefix.is_empty() {
        return Some(text);
    }
    text.strip_prefix(prefix)
}
