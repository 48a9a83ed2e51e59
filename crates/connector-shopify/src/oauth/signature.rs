//! The signature over the query of a callback or of the first visit to the app's URL.
//!
//! See [Shopify docs: Verify a request](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant).

use std::fmt::Write as _;
use std::time::Duration;

use connector_core::clock::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Why a signed query is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryProblem {
    /// A parameter that decides something stands there twice, or is missing.
    Malformed,
    /// No known secret signed it.
    Signature,
    /// It was signed too long ago, or lies in the future.
    Stale,
}

/// Parameters that decide something, and so must not stand there twice.
const SINGLE: [&str; 5] = ["hmac", "shop", "timestamp", "state", "code"];
/// Characters that the percent-encoded form leaves as they are (RFC 3986 section 2.3).
const UNRESERVED: &[u8] = b"-._~";

/// Checks the signature of a query, whose pairs are decoded and in their order, and its age.
pub(crate) fn check(
    pairs: &[(&str, &str)],
    secrets: &[SecretString],
    now: Timestamp,
    window: Duration,
) -> Result<(), QueryProblem> {
    let count = |name: &str| pairs.iter().filter(|(key, _)| *key == name).count();
    // Inside an array a quotation mark could move the border between two values.
    let is_hostile = |(key, value): &(&str, &str)| {
        key.strip_suffix("[]")
            .is_some_and(|name| SINGLE.contains(&name) || value.contains(['"', '\\']))
    };
    if SINGLE.iter().any(|name| count(name) > 1) || pairs.iter().any(is_hostile) {
        return Err(QueryProblem::Malformed);
    }
    let get = |name: &str| {
        pairs
            .iter()
            .find_map(|(key, value)| (*key == name).then_some(*value))
    };
    let given = get("hmac")
        .and_then(from_hex)
        .ok_or(QueryProblem::Signature)?;
    let signed: Vec<(&str, &str)> = pairs
        .iter()
        .copied()
        .filter(|(key, _)| !matches!(*key, "hmac" | "signature"))
        .collect();
    // Shopify's own libraries differ in what they sign outside of letters and digits. Both forms
    // lead back to one list of pairs, so that accepting either opens nothing.
    let forms = [canonical(&signed), percent_encoded(&signed)];
    let fits = secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        forms
            .iter()
            .any(|form| hmac::verify(&key, form.as_bytes(), &given).is_ok())
    });
    if !fits {
        return Err(QueryProblem::Signature);
    }
    let at = get("timestamp")
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_unix_seconds)
        .ok_or(QueryProblem::Malformed)?;
    if now.since(at) > window || at.since(now) > window {
        return Err(QueryProblem::Stale);
    }
    Ok(())
}

/// The pairs sorted and joined, with as little escaped as keeps them apart; an array is one pair.
pub(crate) fn canonical(pairs: &[(&str, &str)]) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(pairs.len());
    let mut arrays: Vec<(&str, Vec<&str>)> = Vec::new();
    for &(key, value) in pairs {
        match key.strip_suffix("[]") {
            Some(name) => match arrays.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => arrays.push((name, vec![value])),
            },
            None => parts.push(pair(key, value)),
        }
    }
    for (name, values) in arrays {
        let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        parts.push(pair(name, &format!("[{}]", quoted.join(", "))));
    }
    parts.sort_unstable();
    parts.join("&")
}

fn pair(key: &str, value: &str) -> String {
    let value = value.replace('%', "%25").replace('&', "%26");
    let key = key
        .replace('%', "%25")
        .replace('&', "%26")
        .replace('=', "%3D");
    format!("{key}={value}")
}

/// The pairs sorted by key and joined, each fully percent-encoded.
pub(crate) fn percent_encoded(pairs: &[(&str, &str)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort_by_key(|(key, _)| *key);
    let parts: Vec<String> = sorted
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    parts.join("&")
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// 32 bytes from 64 lower-case hexadecimal digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
