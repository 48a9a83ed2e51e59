//! Webhook deliveries with Shopify's signature.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use ring::hmac;

use crate::account::ShopDomain;

/// Spelling of the header names in a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookHeaders {
    /// `X-Shopify-Topic` and so on.
    #[default]
    Prefixed,
    /// `Shopify-Topic` and so on.
    Plain,
    /// Both spellings, with the same values.
    Both,
}

/// Returns a delivery with the given number, signed with this client secret. The number is part of
/// the delivery id and of the event id.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if the topic is not a valid header value.
pub fn sign_webhook(
    client_secret: &str,
    shop: &ShopDomain,
    (topic, number): (&str, u64),
    now: Timestamp,
    body: Bytes,
    headers: WebhookHeaders,
) -> Result<http::Request<Bytes>> {
    let wrong = || {
        Error::new(
            ErrorKind::InvalidInput,
            "simulator.webhook",
            "the topic is not a valid header value",
        )
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, &body));
    let values = [
        ("topic", topic.to_owned()),
        ("hmac-sha256", signature),
        ("shop-domain", shop.to_string()),
        ("api-version", crate::graphql::API_VERSION.to_owned()),
        ("webhook-id", format!("delivery-{number}")),
        ("event-id", format!("event-{number}")),
        ("triggered-at", now.to_string()),
    ];
    let prefixes: &[&str] = match headers {
        WebhookHeaders::Prefixed => &["x-shopify-"],
        WebhookHeaders::Plain => &["shopify-"],
        WebhookHeaders::Both => &["x-shopify-", "shopify-"],
    };
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    let map = request.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for prefix in prefixes {
        for (name, value) in &values {
            let name = HeaderName::try_from(format!("{prefix}{name}")).map_err(|_| wrong())?;
            map.insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
    }
    Ok(request)
}
