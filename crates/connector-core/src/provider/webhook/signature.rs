//! Functions for checking signatures.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// Length of an HMAC-SHA256, in bytes.
const LENGTH: usize = 32;
/// Length of an HMAC-SHA256 in base64, including padding.
const BASE64_LENGTH: usize = 44;

/// Returns the error for a rejected delivery.
///
/// `message` states the rule that the delivery violates, and is written for the person who sets up
/// the webhook. The message must not quote the delivery.
#[must_use]
pub fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::WebhookRefused, "webhook.verify", message)
}

/// The HMAC-SHA256 secrets of an endpoint: the current secret and, during a rotation, the old one.
pub struct Secrets(SmallVec<[hmac::Key; 2]>);

impl Secrets {
    /// Creates HMAC keys from the bytes of the secrets.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there are no secrets or if one is empty. With an empty
    /// secret, anyone could sign a delivery.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut keys = SmallVec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            check_secret(secret)?;
            keys.push(key(secret));
        }
        if keys.is_empty() {
            return Err(no_secret());
        }
        Ok(Self(keys))
    }

    /// Checks the signature of `message` in constant time.
    ///
    /// # Errors
    /// [`ErrorKind::WebhookRefused`] if no secret verifies the signature.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        self.verify_parts(&[message], signature)
    }

    /// Checks the signature of the concatenation of `parts` in constant time, without copying them.
    ///
    /// # Errors
    /// See [`Secrets::verify`].
    pub fn verify_parts(&self, parts: &[&[u8]], signature: &[u8]) -> Result<()> {
        accept(self.0.iter().any(|key| fits(key, parts, signature)))
    }
}

/// Checks that there is at least one secret and that no secret is empty.
pub(crate) fn check_secrets(secrets: &[SecretString]) -> Result<()> {
    if secrets.is_empty() {
        return Err(no_secret());
    }
    secrets
        .iter()
        .try_for_each(|secret| check_secret(secret.expose_secret().as_bytes()))
}

fn check_secret(secret: &[u8]) -> Result<()> {
    if secret.is_empty() {
        return Err(unusable(
            "a webhook secret is empty; set the provider's secret",
        ));
    }
    Ok(())
}

pub(super) fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

fn fits(key: &hmac::Key, parts: &[&[u8]], signature: &[u8]) -> bool {
    is_same(mac(key, parts).as_ref(), signature)
}

/// Returns the HMAC of the concatenation of `parts`.
pub(super) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

pub(super) fn accept(fits: bool) -> Result<()> {
    if fits {
        Ok(())
    } else {
        Err(refused(
            "the signature does not match the body; check the webhook secret, and that no proxy \
             changes the body",
        ))
    }
}

/// Compares two tags in constant time, eight bytes at a time.
///
/// A comparison byte by byte would take as long as all other parts of the check except the hash.
pub(super) fn is_same(tag: &[u8], signature: &[u8]) -> bool {
    let words = |bytes: &[u8]| match bytes.as_chunks() {
        ([a, b, c, d], []) => Some([a, b, c, d].map(|word| u64::from_ne_bytes(*word))),
        _ => None,
    };
    match (words(tag), words(signature)) {
        (Some(tag), Some(signature)) => tag[..].ct_eq(&signature[..]).into(),
        _ => false,
    }
}

/// Verifies a `signed_request` from Meta and returns its payload, a JSON object.
///
/// The text consists of the signature in base64url, a dot, and the payload in base64url. The
/// signature covers the encoded payload.
///
/// A signed request is not a webhook. If a scheme's secret also signs such requests, the scheme
/// must set [`secret_signs_more`](super::WebhookScheme::secret_signs_more).
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] if the text is malformed, is not signed with one of the secrets,
/// or uses an algorithm other than HMAC-SHA256.
pub fn open_signed_request(secrets: &Secrets, text: &str) -> Result<Vec<u8>> {
    let wrong = || refused("the signed request is malformed");
    let (signature, payload) = text.split_once('.').ok_or_else(wrong)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong())?;
    secrets.verify(payload.as_bytes(), &signature)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| wrong())?;
    let value: serde_json::Value = serde_json::from_slice(&payload).map_err(|_| wrong())?;
    let algorithm = value.get("algorithm").and_then(serde_json::Value::as_str);
    if algorithm.is_some_and(|it| it.eq_ignore_ascii_case("HMAC-SHA256")) && value.is_object() {
        Ok(payload)
    } else {
        Err(refused("the signed request uses an unsupported algorithm"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn no_secret() -> Error {
    unusable("there is no webhook secret; set the provider's secret")
}

pub(super) fn unusable(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "webhook.secrets", message)
}

/// Returns the only value of a header without surrounding whitespace, or `None` if the header is
/// absent.
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] if the value is not text, or if the header occurs twice. Programs
/// use different values of a header that occurs twice.
pub fn single_header<'r>(headers: &'r HeaderMap, name: &str) -> Result<Option<&'r str>> {
    // A look-up by name first converts the string into a `HeaderName`. That takes longer than a
    // scan of the few headers of a delivery.
    let mut found = None;
    for (held, value) in headers {
        if is_name(held.as_str(), name) && found.replace(value).is_some() {
            return Err(refused("a header of the delivery occurs twice"));
        }
    }
    found
        .map(|value| match value.to_str() {
            Ok(text) => Ok(text.trim_ascii()),
            Err(_) => Err(refused("a header of the delivery is not text")),
        })
        .transpose()
}

/// Returns true if the lowercase text `held` equals `name`, ignoring case.
fn is_name(held: &str, name: &str) -> bool {
    // Schemes usually contain lowercase names, so the first comparison is usually enough.
    held.len() == name.len() && (held == name || held.eq_ignore_ascii_case(name))
}

/// Decodes a signature in base64 with the standard alphabet and padding.
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] if the text has another format or does not decode to 32 bytes.
pub fn decode_base64(text: &str) -> Result<[u8; LENGTH]> {
    let mut signature = [0; LENGTH];
    if text.len() != BASE64_LENGTH {
        return Err(malformed());
    }
    match STANDARD.decode_slice(text, &mut signature) {
        Ok(LENGTH) => Ok(signature),
        _ => Err(malformed()),
    }
}

/// Decodes a signature in uppercase or lowercase hexadecimal.
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] if the text has another format or does not decode to 32 bytes.
pub fn decode_hex(text: &str) -> Result<[u8; LENGTH]> {
    let mut signature = [0; LENGTH];
    hex::decode_to_slice(text, &mut signature).map_err(|_| malformed())?;
    Ok(signature)
}

pub(super) fn malformed() -> Error {
    refused("the signature is malformed; check the webhook scheme of the endpoint")
}

/// Checks that a delivery was sent at most `tolerance` before or after `now`.
///
/// # Errors
/// [`ErrorKind::WebhookRefused`] for any other time.
pub fn check_window(now: Timestamp, sent: Timestamp, tolerance: Duration) -> Result<()> {
    let off = now.as_unix_millis().abs_diff(sent.as_unix_millis());
    if Duration::from_millis(off) <= tolerance {
        Ok(())
    } else {
        Err(refused(
            "the delivery's timestamp is too old or in the future; check this machine's clock",
        ))
    }
}

/// Returns the value of the first header in `names` that is present.
pub(crate) fn first_header<'r>(
    headers: &'r HeaderMap,
    names: &[String],
) -> Result<Option<&'r str>> {
    for name in names {
        if let Some(value) = single_header(headers, name)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Returns true if the text can be an id or a topic: 1 to 255 bytes without control characters.
pub(super) fn is_word(value: &str) -> bool {
    (1..=255).contains(&value.len()) && !value.chars().any(char::is_control)
}
