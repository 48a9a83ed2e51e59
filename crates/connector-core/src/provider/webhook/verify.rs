//! Checks the signature of a delivery with the provider's scheme.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use ring::{digest, hmac, signature as asymmetric};
use secrecy::{ExposeSecret, SecretString};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::body::Body;
use super::scheme::{
    KeyForm, SignatureEncoding, SignatureEntries, SignedPart, SignedUri, TimestampSource,
    TimestampUnit, WebhookAlgorithm, WebhookScheme, WebhookSecret, WebhookSignature,
};
use super::signature::{
    accept, check_secrets, first_header, is_same, key, mac, malformed, refused, single_header,
    unusable,
};
use super::{WebhookEndpoint, check_window};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::provider::Context;

/// Maximum number of signatures in one header that are checked.
const MAX_ENTRIES: usize = 16;
/// Maximum length of a signature, in bytes (Ed25519).
const MAX_LEN: usize = 64;

/// The bytes of a signature.
type Tag = SmallVec<[u8; MAX_LEN]>;
type Request = http::Request<Bytes>;

/// Returns the secrets for deliveries to `endpoint`.
pub(super) fn secrets<'a>(
    scheme: &WebhookScheme,
    cx: &Context<'a>,
    endpoint: &WebhookEndpoint<'a>,
) -> &'a [SecretString] {
    if !endpoint.secrets.is_empty() {
        return endpoint.secrets;
    }
    match scheme.secret {
        WebhookSecret::Client => cx.app.client_secrets(),
        WebhookSecret::Webhook => cx.app.webhook_secrets(),
        WebhookSecret::Subscription => &[],
    }
}

/// Checks the signature of a delivery, then its timestamp. Returns the signature rule that was
/// used.
pub(super) fn check<'s>(
    scheme: &'s WebhookScheme,
    secrets: &[SecretString],
    now: Timestamp,
    endpoint: &WebhookEndpoint<'_>,
    request: &'s Request,
) -> Result<&'s WebhookSignature> {
    check_secrets(secrets)?;
    let (rule, signature) = rule_of(scheme, request)?;
    match rule.algorithm {
        WebhookAlgorithm::SharedToken => match &rule.pointer {
            Some(pointer) => check_body_tokens(scheme, secrets, pointer, request)?,
            None => check_token(secrets, after(signature, &rule.prefix)?)?,
        },
        WebhookAlgorithm::Basic => check_basic(secrets, signature)?,
        _ => check_signed(rule, secrets, signature, endpoint, request)?,
    }
    check_time(rule, now, request)?;
    Ok(rule)
}

/// Returns the first rule whose condition holds and whose header is present, with the header's
/// value.
fn rule_of<'r>(
    scheme: &'r WebhookScheme,
    request: &'r Request,
) -> Result<(&'r WebhookSignature, &'r str)> {
    let headers = request.headers();
    for rule in &scheme.signatures {
        if let Some(when) = &rule.when
            && single_header(headers, &when.header)? != Some(when.value.as_str())
        {
            continue;
        }
        if rule.pointer.is_some() {
            return Ok((rule, ""));
        }
        if let Some(value) = first_header(headers, &rule.headers)? {
            return Ok((rule, value));
        }
    }
    Err(refused("the delivery has no signature"))
}

/// Checks a signature over the signed text.
fn check_signed(
    rule: &WebhookSignature,
    secrets: &[SecretString],
    signature: &str,
    endpoint: &WebhookEndpoint<'_>,
    request: &Request,
) -> Result<()> {
    let tags = entries(rule, signature)?;
    let uri = match rule
        .signed
        .iter()
        .find(|part| matches!(part, SignedPart::Uri(_)))
    {
        Some(SignedPart::Uri(form)) => Some(signed_uri(form, endpoint, request)?),
        _ => None,
    };
    let mut parts: SmallVec<[&[u8]; 8]> = SmallVec::new();
    let mut secret_at = None;
    for part in &rule.signed {
        parts.push(match part {
            SignedPart::Body => request.body(),
            SignedPart::Text(text) => text.as_bytes(),
            SignedPart::Header(name) => single_header(request.headers(), name)?
                .ok_or_else(|| refused("a signed header is missing"))?
                .as_bytes(),
            SignedPart::Pair(pair) => pair_in(request, &pair.header, &pair.key)?.as_bytes(),
            SignedPart::Method => request.method().as_str().as_bytes(),
            SignedPart::Uri(_) => uri.as_deref().unwrap_or_default().as_bytes(),
            SignedPart::Secret => {
                secret_at = Some(parts.len());
                &[]
            }
        });
    }
    for secret in secrets {
        let secret = key_bytes(&rule.key, secret)?;
        if fits(rule.algorithm, &secret, &parts, secret_at, &tags)? {
            return Ok(());
        }
    }
    accept(false)
}

fn fits(
    algorithm: WebhookAlgorithm,
    secret: &[u8],
    parts: &[&[u8]],
    secret_at: Option<usize>,
    tags: &[Tag],
) -> Result<bool> {
    Ok(match algorithm {
        WebhookAlgorithm::HmacSha256 => {
            let tag = mac(&key(secret), parts);
            tags.iter().any(|given| is_same(tag.as_ref(), given))
        }
        WebhookAlgorithm::HmacSha1 => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
            let tag = mac(&key, parts);
            tags.iter().any(|given| is_equal(tag.as_ref(), given))
        }
        WebhookAlgorithm::Sha256 => {
            let mut context = digest::Context::new(&digest::SHA256);
            for (at, part) in parts.iter().enumerate() {
                context.update(if Some(at) == secret_at { secret } else { part });
            }
            let tag = context.finish();
            tags.iter().any(|given| is_same(tag.as_ref(), given))
        }
        WebhookAlgorithm::Ed25519 => {
            if secret.len() != 32 {
                return Err(unusable(
                    "the webhook public key is not 32 bytes; copy the provider's key again",
                ));
            }
            let message = parts.concat();
            let key = asymmetric::UnparsedPublicKey::new(&asymmetric::ED25519, secret);
            tags.iter().any(|given| key.verify(&message, given).is_ok())
        }
        WebhookAlgorithm::SharedToken | WebhookAlgorithm::Basic => false,
    })
}

/// Returns the signatures in a header's value.
fn entries(rule: &WebhookSignature, value: &str) -> Result<SmallVec<[Tag; 1]>> {
    let mut tags = SmallVec::new();
    let length = match rule.algorithm {
        WebhookAlgorithm::HmacSha1 => 20,
        WebhookAlgorithm::Ed25519 => 64,
        _ => 32,
    };
    let decode = |text: &str| decode(rule.encoding, text, length);
    match &rule.entries {
        SignatureEntries::One => {
            let tag = decode(after(value, &rule.prefix)?).ok_or_else(malformed)?;
            tags.push(tag);
            return Ok(tags);
        }
        SignatureEntries::Pairs(key) => {
            let texts = pairs(value).filter_map(|(held, text)| (held == key).then_some(text));
            let texts = texts.filter_map(|text| text.strip_prefix(rule.prefix.as_str()));
            tags.extend(texts.take(MAX_ENTRIES).filter_map(decode));
        }
        SignatureEntries::Spaced => {
            let texts = value
                .split(' ')
                .filter_map(|text| text.strip_prefix(rule.prefix.as_str()));
            tags.extend(texts.take(MAX_ENTRIES).filter_map(decode));
        }
    }
    if tags.is_empty() {
        return Err(malformed());
    }
    Ok(tags)
}

/// Decodes a signature of `length` bytes. Returns `None` if the text has another format or length.
fn decode(encoding: SignatureEncoding, text: &str, length: usize) -> Option<Tag> {
    let mut tag: Tag = smallvec::smallvec![0; length];
    let written = match encoding {
        SignatureEncoding::Base64 => {
            if text.len() != length.div_ceil(3) * 4 {
                return None;
            }
            STANDARD.decode_slice(text, &mut tag).ok()?
        }
        SignatureEncoding::Hex => {
            hex::decode_to_slice(text, &mut tag).ok()?;
            length
        }
    };
    (written == length).then_some(tag)
}

/// Returns the text after `prefix`.
fn after<'t>(text: &'t str, prefix: &str) -> Result<&'t str> {
    // This check avoids a slow comparison. An empty `String` has a dangling pointer, and on
    // processors with AVX-512 the C library compares with masked loads. A masked load of zero bytes
    // from an unmapped address takes about 60 ns.
    if prefix.is_empty() {
        return Ok(text);
    }
    text.strip_prefix(prefix)
        .ok_or_else(|| refused("the signature does not have the expected prefix"))
}

/// Returns the pairs of a header with comma-separated `key=value` pairs.
fn pairs(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value
        .split(',')
        .filter_map(|pair| pair.trim_ascii().split_once('='))
}

/// Returns the value of `key` in a header of pairs. The key must occur exactly once.
fn pair_in<'r>(request: &'r Request, header: &str, key: &str) -> Result<&'r str> {
    let value = single_header(request.headers(), header)?
        .ok_or_else(|| refused("a signed header is missing"))?;
    let mut found = pairs(value).filter_map(|(held, text)| (held == key).then_some(text));
    match (found.next(), found.next()) {
        (Some(text), None) => Ok(text),
        (None, _) => Err(refused("a signed value is missing from its header")),
        _ => Err(refused("a signed value occurs twice in its header")),
    }
}

/// Returns the URL that the provider called.
fn signed_uri(
    form: &SignedUri,
    endpoint: &WebhookEndpoint<'_>,
    request: &Request,
) -> Result<String> {
    let own = request.uri();
    let base = match endpoint.url {
        Some(url) => url,
        None if own.scheme().is_some() && own.authority().is_some() => own,
        None => {
            return Err(unusable(
                "the provider signs the endpoint's URL, but the public URL is not known; set it",
            ));
        }
    };
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else {
        return Err(unusable(
            "the endpoint's public URL has no scheme or host; set the URL that the provider calls",
        ));
    };
    let mut text = format!("{scheme}://{authority}{}", base.path());
    if let Some(query) = own.query() {
        text.push('?');
        text.push_str(query);
    }
    Ok(unescape(&text, &form.decoded))
}

/// Decodes the percent-escapes of the characters in `decoded`, in one pass.
fn unescape(text: &str, decoded: &str) -> String {
    if decoded.is_empty() || !text.contains('%') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('%') {
        out.push_str(before);
        let character = match escaped.as_bytes() {
            [high, low, ..] => {
                let mut byte = [0];
                let is_byte = hex::decode_to_slice([*high, *low], &mut byte).is_ok();
                let character = char::from(byte[0]);
                (is_byte && character.is_ascii() && decoded.contains(character))
                    .then_some(character)
            }
            _ => None,
        };
        if let Some(character) = character {
            out.push(character);
            rest = escaped.get(2..).unwrap_or_default();
        } else {
            out.push('%');
            rest = escaped;
        }
    }
    out.push_str(rest);
    out
}

/// Returns the key bytes in a secret.
fn key_bytes<'s>(form: &KeyForm, secret: &'s SecretString) -> Result<Key<'s>> {
    let text = secret.expose_secret();
    let base64 = |text: &str| {
        let text = text.trim_end_matches('=');
        STANDARD_NO_PAD.decode(text).ok()
    };
    let decoded = match form {
        KeyForm::Text => return Ok(Key::Text(text.as_bytes())),
        KeyForm::Base64 => base64(text),
        KeyForm::Prefixed(prefix) => base64(text.strip_prefix(prefix.as_str()).unwrap_or(text)),
        KeyForm::Hex => hex::decode(text).ok(),
    };
    match decoded {
        Some(bytes) if !bytes.is_empty() => Ok(Key::Decoded(Zeroizing::new(bytes))),
        _ => Err(unusable(
            "a webhook secret does not have the provider's format; copy it again",
        )),
    }
}

/// The key bytes in a secret. Decoded bytes are zeroed on drop.
enum Key<'s> {
    Text(&'s [u8]),
    Decoded(Zeroizing<Vec<u8>>),
}

impl std::ops::Deref for Key<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Decoded(bytes) => bytes,
        }
    }
}

/// Checks a shared token.
fn check_token(secrets: &[SecretString], given: &str) -> Result<()> {
    if is_one_of(secrets, given) {
        Ok(())
    } else {
        Err(refused(
            "the token does not match; check the webhook secret",
        ))
    }
}

/// Returns true if `given` is one of the secrets.
///
/// The function compares digests, so that its run time does not reveal the length of a secret.
pub(super) fn is_one_of(secrets: &[SecretString], given: &str) -> bool {
    let given = digest::digest(&digest::SHA256, given.as_bytes());
    let mut found = false;
    for secret in secrets {
        let secret = digest::digest(&digest::SHA256, secret.expose_secret().as_bytes());
        found |= is_same(secret.as_ref(), given.as_ref());
    }
    found
}

/// Checks the tokens in the items of a body.
///
/// The tokens are inside the body, so the body is parsed before it is authenticated.
fn check_body_tokens(
    scheme: &WebhookScheme,
    secrets: &[SecretString],
    pointer: &str,
    request: &Request,
) -> Result<()> {
    let body = Body::read(scheme, request.body())?;
    let mut any = false;
    for item in body.items() {
        let token = item.text(pointer);
        check_token(
            secrets,
            token
                .as_deref()
                .ok_or_else(|| refused("the delivery has no token"))?,
        )?;
        any = true;
    }
    if any {
        Ok(())
    } else {
        Err(refused("the delivery has no token"))
    }
}

fn check_basic(secrets: &[SecretString], value: &str) -> Result<()> {
    let wrong = || refused("the delivery has no HTTP Basic credentials");
    let (scheme, credentials) = value.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let credentials = STANDARD
        .decode(credentials.trim_ascii())
        .map(Zeroizing::new)
        .map_err(|_| wrong())?;
    check_token(
        secrets,
        std::str::from_utf8(&credentials).map_err(|_| wrong())?,
    )
}

/// Checks the signed timestamp.
fn check_time(rule: &WebhookSignature, now: Timestamp, request: &Request) -> Result<()> {
    let Some(timestamp) = &rule.timestamp else {
        return Ok(());
    };
    let text = match &timestamp.source {
        TimestampSource::Header(name) => single_header(request.headers(), name)?
            .ok_or_else(|| refused("the delivery has no timestamp"))?,
        TimestampSource::Pair(pair) => pair_in(request, &pair.header, &pair.key)?,
    };
    let sent = whole_number(text)
        .ok_or_else(|| refused("the delivery's timestamp is not a whole number"))?;
    let sent = match timestamp.unit {
        TimestampUnit::Seconds => Timestamp::from_unix_seconds(sent),
        TimestampUnit::Millis => Timestamp::from_unix_millis(sent),
    };
    check_window(now, sent, Duration::from_secs(timestamp.tolerance_seconds))
}

/// Parses a number that consists only of digits.
///
/// Some providers sign the timestamp and the text after it without a separator. If signs or spaces
/// were accepted, an attacker could move characters from one to the other.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

fn is_equal(tag: &[u8], given: &[u8]) -> bool {
    tag.ct_eq(given).into()
}
