//! The signature in the query of a callback and of the first visit to the App URL.
//!
//! See [Shopify docs: Verify a request](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant).

use std::time::Duration;

use connector_core::clock::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// The reason why a signed query is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryProblem {
    /// A required parameter is missing or occurs twice.
    Malformed,
    /// The signature does not match any known secret.
    Signature,
    /// The timestamp is too old or in the future.
    Stale,
}

/// Security-relevant parameters, which may occur only once.
const SINGLE: [&str; 5] = ["hmac", "shop", "timestamp", "state", "code"];

/// Checks the signature and the age of a query. The pairs must be decoded and in their original
/// order.
pub(crate) fn check(
    pairs: &[(&str, &str)],
    secrets: &[SecretString],
    now: Timestamp,
    window: Duration,
) -> Result<(), QueryProblem> {
    let count = |name: &str| pairs.iter().filter(|(key, _)| *key == name).count();
    // In an array or a nested parameter, a quotation mark could shift the border between two
    // values.
    let is_hostile = |(key, value): &(&str, &str)| {
        key.split_once('[').is_some_and(|(name, rest)| {
            SINGLE.contains(&name) || value.contains(['"', '\\']) || rest.contains(['"', '\\'])
        })
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
    // Shopify's own libraries sign characters other than letters and digits in different forms.
    // Accepting all forms is safe: in none of them can one security-relevant parameter pass for
    // another.
    let mut forms = vec![canonical(&signed), percent_encoded(&signed)];
    if signed.iter().any(|(key, _)| path(key).is_some()) {
        forms.extend(["=>", " => "].map(|arrow| nested(&signed, arrow)));
    }
    let fits = secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        forms
            .iter()
            .any(|form| hmac::verify(&key, form.as_bytes(), &given).is_ok())
    });
    if !fits {
        return Err(QueryProblem::Signature);
    }
    let at = time(get("timestamp")).ok_or(QueryProblem::Malformed)?;
    if now.since(at) > window || at.since(now) > window {
        return Err(QueryProblem::Stale);
    }
    Ok(())
}

/// Sorts and joins the pairs. Escapes only the characters that would make the result ambiguous. An
/// array becomes one pair.
pub(crate) fn canonical(pairs: &[(&str, &str)]) -> String {
    let mut parts = canonical_parts(pairs);
    parts.sort_unstable();
    parts.join("&")
}

fn canonical_parts(pairs: &[(&str, &str)]) -> Vec<String> {
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
    parts
}

/// Returns the segments of a nested key such as `filter[status]`. An empty segment means the next
/// array index. `None` for a plain key and for an array of strings.
fn path(key: &str) -> Option<Vec<&str>> {
    let (name, rest) = key.split_once('[')?;
    let inner = rest.strip_suffix(']')?;
    if name.is_empty() || inner.is_empty() {
        return None;
    }
    let mut steps = vec![name];
    steps.extend(inner.split("]["));
    steps
        .iter()
        .all(|it| !it.contains(['[', ']']))
        .then_some(steps)
}

/// A nested parameter. The members keep their order.
enum Node<'a> {
    Text(&'a str),
    List(Vec<Node<'a>>),
    Table(Vec<(&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    fn new(steps: &[&'a str], value: &'a str) -> Self {
        match steps {
            [] => Self::Text(value),
            ["", rest @ ..] => Self::List(vec![Self::new(rest, value)]),
            [step, rest @ ..] => Self::Table(vec![(*step, Self::new(rest, value))]),
        }
    }

    /// Adds a value. As in Rack, a value that does not fit the existing structure replaces the
    /// structure.
    fn add(&mut self, steps: &[&'a str], value: &'a str) {
        match (self, steps) {
            (Self::List(items), ["", rest @ ..]) => items.push(Self::new(rest, value)),
            (Self::Table(members), [step, rest @ ..]) if !step.is_empty() => {
                match members.iter_mut().find(|(known, _)| known == step) {
                    Some((_, member)) => member.add(rest, value),
                    None => members.push((*step, Self::new(rest, value))),
                }
            }
            (node, steps) => *node = Self::new(steps, value),
        }
    }

    fn write(&self, arrow: &str) -> String {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Self::Text(text) => format!("\"{text}\""),
            Self::List(items) => {
                let items = items.iter().map(|item| item.write(arrow)).collect();
                format!("[{}]", joined(items))
            }
            Self::Table(members) => {
                let member =
                    |(key, node): &(&str, Self)| format!("\"{key}\"{arrow}{}", node.write(arrow));
                format!("{{{}}}", joined(members.iter().map(member).collect()))
            }
        }
    }
}

/// Like [`canonical`], but each nested parameter becomes one pair. The value of the pair is the
/// parameter's hash in Ruby's print format: `filter={"status"=>"live"}`. Newer versions of Ruby
/// print spaces around the arrow.
fn nested(pairs: &[(&str, &str)], arrow: &str) -> String {
    let mut plain = Vec::with_capacity(pairs.len());
    let mut tables: Vec<(&str, Node<'_>)> = Vec::new();
    for &(key, value) in pairs {
        let Some(steps) = path(key) else {
            plain.push((key, value));
            continue;
        };
        let (name, rest) = (steps[0], &steps[1..]);
        match tables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, node)) => node.add(rest, value),
            None => tables.push((name, Node::new(rest, value))),
        }
    }
    let mut parts: Vec<String> = canonical_parts(&plain);
    parts.extend(
        tables
            .iter()
            .map(|(name, node)| pair(name, &node.write(arrow))),
    );
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

/// Sorts the pairs by key and encodes them as a form query, with a space as `%20`. Shopify's Node
/// library signs this form.
pub(crate) fn percent_encoded(pairs: &[(&str, &str)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort_by_key(|(key, _)| *key);
    // A plus sign is already encoded as `%2B`, so every remaining `+` is a space.
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(sorted)
        .finish()
        .replace('+', "%20")
}

/// Decodes 32 bytes from 64 lower-case hexadecimal digits.
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

/// Names whose text may occur only once in the signed text of an app proxy.
const PROXY_NAMES: [&str; 4] = [
    "logged_in_customer_id=",
    "path_prefix=",
    "shop=",
    "timestamp=",
];

/// Checks the signature and the age of a query that Shopify's app proxy forwards.
///
/// The signed text has no separators, so that a customer could choose parameters whose text reads
/// like another shop or another customer. Therefore the text of each name that Shopify adds may
/// occur only once in the signed text.
pub(crate) fn check_proxy(
    pairs: &[(&str, &str)],
    secrets: &[SecretString],
    now: Timestamp,
    window: Duration,
) -> Result<(), QueryProblem> {
    let mut single = ["hmac", "shop", "signature", "timestamp"].into_iter();
    let count = |name: &str| pairs.iter().filter(|(key, _)| *key == name).count();
    if single.any(|name| count(name) > 1) {
        return Err(QueryProblem::Malformed);
    }
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|it| it.1);
    let given = get("signature").and_then(from_hex);
    let given = given.ok_or(QueryProblem::Signature)?;
    let text = proxy_text(pairs);
    if PROXY_NAMES.iter().any(|it| text.matches(it).count() > 1) {
        return Err(QueryProblem::Malformed);
    }
    let customer = get("logged_in_customer_id").unwrap_or_default();
    if !customer.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QueryProblem::Malformed);
    }
    let fits = secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        hmac::verify(&key, text.as_bytes(), &given).is_ok()
    });
    if !fits {
        return Err(QueryProblem::Signature);
    }
    let at = time(get("timestamp")).ok_or(QueryProblem::Malformed)?;
    if now.since(at) > window || at.since(now) > window {
        return Err(QueryProblem::Stale);
    }
    Ok(())
}

/// Returns the text that the app proxy signs: sorted pairs without separators. Repeated values of a
/// name are joined with commas.
pub(crate) fn proxy_text(pairs: &[(&str, &str)]) -> String {
    let mut names: Vec<(&str, String)> = Vec::new();
    for (name, value) in pairs.iter().filter(|(name, _)| *name != "signature") {
        match names.iter_mut().find(|(known, _)| known == name) {
            Some((_, joined)) => {
                joined.push(',');
                joined.push_str(value);
            }
            None => names.push((name, (*value).to_owned())),
        }
    }
    names.sort();
    let mut text = String::new();
    for (name, value) in names {
        text.push_str(name);
        text.push('=');
        text.push_str(&value);
    }
    text
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_unix_seconds)
}
