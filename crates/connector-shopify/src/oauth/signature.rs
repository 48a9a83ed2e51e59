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

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static str, &'static str)];

    /// Test vectors that Shopify publishes in the tests of its libraries, or that were generated
    /// with its Node library.
    const VECTORS: [(&str, Pairs, &str); 9] = [
        (
            "hush",
            &[
                ("code", "0907a61c0c8d55e99db179b68161bc00"),
                ("shop", "some-shop.myshopify.com"),
                ("state", "0.6784241404160823"),
                ("timestamp", "1337178173"),
            ],
            "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf",
        ),
        (
            "hush",
            &[
                ("code", "0907a61c0c8d55e99db179b68161bc00"),
                ("shop", "some-shop.myshopify.com"),
                ("timestamp", "1337178173"),
            ],
            "4712bf92ffc2917d15a2f5a273e39f0116667419aa4b6ac0b3baaf26fa3c4d20",
        ),
        (
            "hush",
            &[
                ("timestamp", "1337178173"),
                ("shop", "some-shop.myshopify.com"),
                ("code", "a94a110d86d2452eb3e2af4cfb8a3828"),
            ],
            "2cb1a277650a659f1b11e92a4a64275b128e037f2c3390e3c8fd2d8721dac9e2",
        ),
        (
            "hush",
            &[
                ("ids[]", "2"),
                ("ids[]", "1"),
                ("shop", "some-shop.myshopify.com"),
            ],
            "b93b9f82996f6f8bf9f1b7bbddec284c8fabacdc4e12dc80550b4705f3003b1e",
        ),
        (
            "secret",
            &[
                ("shop", "sqd-dev.myshopify.com"),
                ("timestamp", "1639749203"),
            ],
            "c0ffe062d215a3fa772aa0985dbae97db17a4c1996dc3f94ee1ae2bb097614e8",
        ),
        (
            "secret",
            &[("a", "1&b=2"), ("c=3&d", "4")],
            "8de3c7e965d22fa21e059868e4004f5b6fbdcef293d1622ff9408edd6325bc6b",
        ),
        (
            "hush",
            &[("a", "x*y z~"), ("b", "1")],
            "f637624ced4e8fa69557f5ce0fa83977a114c6c4d1c47bb87e38caca05a82833",
        ),
        (
            "my super secret key",
            &[
                ("custom", "hello world"),
                ("shop", "myshop.myshopify.com"),
                ("timestamp", "1700000000"),
            ],
            "0a3f0b1091a26eab3ab75d96d4cdbba10a3f06e015b95cc989656ddf6c1ce1d9",
        ),
        (
            "API_SECRET_KEY",
            &[
                ("code", "somecode"),
                ("host", "host"),
                ("shop", "some-shop.myshopify.com"),
                ("state", "1234"),
                ("timestamp", "123456"),
            ],
            "d7591e2c6e30a97f3eacf1f824ef316842a1b0f3dde947b5043d5331e42086fd",
        ),
    ];

    /// Checks the pairs with the given signature, at the time in their timestamp.
    fn decide(secret: &str, pairs: Pairs, hmac: &'static str) -> Result<(), QueryProblem> {
        let at = pairs.iter().find(|(key, _)| *key == "timestamp");
        let now = Timestamp::from_unix_seconds(at.map_or(0, |(_, at)| at.parse().unwrap()));
        let signed: Vec<(&str, &str)> = pairs.iter().copied().chain([("hmac", hmac)]).collect();
        check(&signed, &[secret.into()], now, Duration::from_secs(90))
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the test prints the counts")]
    fn published_signatures_fit_and_others_do_not() {
        for (secret, pairs, hmac) in VECTORS {
            // Queries without a timestamp have a valid signature, and are refused because of the
            // missing timestamp.
            let has_time = pairs.iter().any(|(key, _)| *key == "timestamp");
            let wanted = if has_time {
                Ok(())
            } else {
                Err(QueryProblem::Malformed)
            };
            assert_eq!(decide(secret, pairs, hmac), wanted, "{pairs:?}");
            assert_eq!(
                decide("another", pairs, hmac),
                Err(QueryProblem::Signature),
                "{pairs:?}"
            );
        }
        println!("published callback signatures: {}", VECTORS.len());
    }

    #[test]
    fn pairs_that_differ_are_never_signed_alike() {
        let apart: [[Pairs; 2]; 4] = [
            [&[("a", "1&b=2")], &[("a", "1"), ("b", "2")]],
            [&[("a", "1%26b=2")], &[("a", "1&b=2")]],
            [&[("a=b", "c")], &[("a", "b=c")]],
            [&[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "3")]],
        ];
        for [one, other] in apart {
            assert_ne!(canonical(one), canonical(other));
            assert_ne!(percent_encoded(one), percent_encoded(other));
        }
    }

    /// A shop parameter and a timestamp, added to each test query.
    const SHOP: (&str, &str) = ("shop", "some-shop.myshopify.com");
    const TIME: (&str, &str) = ("timestamp", "1337178173");

    /// Valid queries, and queries that are refused although their signature is valid. The second
    /// list contains the signed pairs and the pairs of the query.
    const SOUND: [(&str, Pairs); 2] = [
        (
            r#"ids=["2", "1"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
            &[("ids[]", "2"), ("ids[]", "1"), SHOP, TIME],
        ),
        (
            "shop=some-shop.myshopify.com&timestamp=1337178173",
            &[SHOP, TIME],
        ),
    ];
    const REFUSED: [(&str, Pairs); 8] = [
        // A quotation mark shifts the border between two values of an array.
        (
            r#"ids=["2", "1"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
            &[("ids[]", "2\", \"1"), SHOP, TIME],
        ),
        // A backslash could hide a quotation mark.
        (
            r#"ids=["2\"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
            &[("ids[]", "2\\"), SHOP, TIME],
        ),
        // A security-relevant parameter occurs twice, or also as an array.
        (
            r#"shop=["other"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
            &[("shop[]", "other"), SHOP, TIME],
        ),
        (
            "shop=other&shop=some-shop.myshopify.com&timestamp=1337178173",
            &[("shop", "other"), SHOP, TIME],
        ),
        // A timestamp that is missing or does not consist of digits only.
        (
            "shop=some-shop.myshopify.com&timestamp=+1337178173",
            &[SHOP, ("timestamp", "+1337178173")],
        ),
        (
            "shop=some-shop.myshopify.com&timestamp=now",
            &[SHOP, ("timestamp", "now")],
        ),
        (
            "shop=some-shop.myshopify.com&timestamp=",
            &[SHOP, ("timestamp", "")],
        ),
        ("shop=some-shop.myshopify.com", &[SHOP]),
    ];

    #[test]
    #[expect(clippy::print_stdout, reason = "the test prints the counts")]
    fn nested_parameters_are_accepted_as_each_library_signs_them() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"hush");
        let now = Timestamp::from_unix_seconds(1_337_178_173);
        let decide = |signed: &str, pairs: &[(&str, &str)]| {
            let tag = hmac::sign(&key, signed.as_bytes());
            let tag: String = tag
                .as_ref()
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            let query: Vec<_> = pairs.iter().copied().chain([("hmac", &*tag)]).collect();
            check(&query, &["hush".into()], now, Duration::from_secs(90))
        };
        let end = "&shop=some-shop.myshopify.com&timestamp=1337178173";
        let one: Pairs = &[("filter[status]", "live"), SHOP, TIME];
        let deep: Pairs = &[
            ("f[a][b]", "1"),
            ("f[a][c][]", "2"),
            ("f[a][c][]", "3"),
            ("f[d]", "x&y"),
            SHOP,
            TIME,
        ];
        let mut accepted = 0;
        for (signed, pairs) in [
            ("filter[status]=live", one),
            ("filter%5Bstatus%5D=live", one),
            (r#"filter={"status"=>"live"}"#, one),
            (r#"filter={"status" => "live"}"#, one),
            (
                r#"f={"a"=>{"b"=>"1", "c"=>["2", "3"]}, "d"=>"x%26y"}"#,
                deep,
            ),
        ] {
            assert_eq!(decide(&format!("{signed}{end}"), pairs), Ok(()), "{signed}");
            accepted += 1;
        }
        let mut refused = 0;
        for (signed, pairs) in [
            (
                r#"filter={"status"=>"live"}"#,
                &[("filter[status]", "dead"), SHOP, TIME][..],
            ),
            (
                r#"filter={"a"=>"1", "b"=>"2"}"#,
                &[("filter[a]", "1\", \"b\"=>\"2"), SHOP, TIME][..],
            ),
            (
                r#"filter={"a"=>"1", "b"=>"2"}"#,
                &[("filter[a\"=>\"1\", \"b]", "2"), SHOP, TIME][..],
            ),
            (r#"shop={"x"=>"y"}"#, &[("shop[x]", "y"), SHOP, TIME][..]),
            (r#"state={"x"=>"y"}"#, &[("state[x]", "y"), SHOP, TIME][..]),
        ] {
            assert!(
                decide(&format!("{signed}{end}"), pairs).is_err(),
                "{signed}"
            );
            refused += 1;
        }
        println!("nested parameters: {accepted} forms accepted, {refused} changed ones refused");
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the test prints the counts")]
    fn a_fitting_signature_does_not_excuse_an_ambiguous_or_undated_query() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"hush");
        let now = Timestamp::from_unix_seconds(1_337_178_173);
        let decide = |text: &str, pairs: Pairs| {
            assert_eq!(canonical(pairs), text, "the signature does not match");
            let tag = hmac::sign(&key, text.as_bytes());
            let tag: String = tag
                .as_ref()
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            let query: Vec<_> = pairs.iter().copied().chain([("hmac", &*tag)]).collect();
            check(&query, &["hush".into()], now, Duration::from_secs(90))
        };
        for (text, pairs) in SOUND {
            assert_eq!(decide(text, pairs), Ok(()), "{pairs:?}");
        }
        for (text, pairs) in REFUSED {
            let refused = Err(QueryProblem::Malformed);
            assert_eq!(decide(text, pairs), refused, "{pairs:?}");
        }
        println!(
            "signed queries: {} valid, {} ambiguous or undated ones refused",
            SOUND.len(),
            REFUSED.len()
        );
    }
}
