//! Tests of app proxies, session tokens and the `host` parameter.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::clock::Clock;
use connector_shopify::ShopDomain;
use connector_shopify::sim::{SimulatedShop, Simulator};
use connector_testkit::leak::canary;
use connector_tests::repetitions;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::comparison::{Comparison, Difference};
use crate::judges::{Judges, app};
use crate::{samples, text};

const SHOP: &str = "some-shop.myshopify.com";

/// Names that the app proxy adds itself.
const OWN: [&str; 4] = ["logged_in_customer_id", "path_prefix", "shop", "timestamp"];

/// Intended differences in the decision on a query of an app proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Proxy {
    /// A parameter whose text reads like one that the proxy adds.
    Ambiguous,
    /// A customer whose number is not a number.
    Customer,
    /// The shop is not a shop.
    NoShop,
    /// A customer's parameter with the name `hmac`.
    Hmac,
}

impl Difference for Proxy {
    const ALL: &'static [Self] = &[Self::Ambiguous, Self::Customer, Self::NoShop, Self::Hmac];

    fn sdk_accepts(self) -> bool {
        true
    }

    fn why(self) -> &'static str {
        match self {
            Self::Ambiguous => {
                "the signed text has no separators, so that a customer could choose the shop"
            }
            Self::Customer => "a customer's id is a number; other text could be another parameter",
            Self::NoShop => "the application gets this value as a shop's host",
            Self::Hmac => "the library leaves the parameter out of the signed text",
        }
    }
}

type Pairs = Vec<(String, String)>;

fn query(pairs: &Pairs, signature: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .append_pair("signature", signature)
        .finish()
}

fn own(judges: &Judges, shop: &str, customer: &str) -> Pairs {
    let at = judges.clock.now().as_unix_seconds().to_string();
    let values = [customer, "/apps/example", shop, &at];
    OWN.into_iter()
        .zip(values)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn app_proxies_are_decided_alike() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let planted = canary("client-secret");
    let mut comparison = Comparison::new();
    let parameters = vec(("[a-z][a-z0-9]{0,7}", text()), 0..6);
    let cases = (parameters, 0_u64..10, any::<Index>(), 0_u8..7);
    let mut accepted = 0;
    for (number, (more, customer, at, bit)) in
        samples(&cases, repetitions(1200)).into_iter().enumerate()
    {
        let secret = SecretString::from(format!("{planted}{number}"));
        let now = judges.clock.now();
        let customer = match customer {
            0 => String::new(),
            number => number.to_string(),
        };
        let mut pairs = own(&judges, SHOP, &customer);
        let is_free = |name: &str| !OWN.contains(&name) && !matches!(name, "hmac" | "signature");
        pairs.extend(more.into_iter().filter(|(name, _)| is_free(name)));
        // Some repeat a parameter.
        if number % 3 == 0 {
            pairs.push(("again".to_owned(), "1".to_owned()));
            pairs.push(("again".to_owned(), "2".to_owned()));
        }
        let mut judge = |judges: &mut Judges, query: &str, difference| {
            let sdk = judges.sdk.accepts_proxy(&secret, query, now).unwrap();
            let ours = judges.shopify.verify_app_proxy(&app(&secret), now, query);
            comparison.record(sdk, ours.is_ok(), difference, &query);
            sdk && ours.is_ok()
        };
        let sign = |judges: &mut Judges, pairs: &Pairs| {
            let signature = judges.sdk.sign_proxy(&secret, pairs).unwrap();
            query(pairs, &signature)
        };
        let signed = sign(&mut judges, &pairs);
        let mut text = String::new();
        for (name, value) in &pairs {
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        let is_doubtful = OWN
            .iter()
            .any(|it| text.matches(&format!("{it}=")).count() > 1);
        let difference = is_doubtful.then_some(Proxy::Ambiguous);
        accepted += usize::from(judge(&mut judges, &signed, difference));

        let mut changed = signed.clone().into_bytes();
        let position = at.index(changed.len());
        changed[position] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(changed) {
            let read = |query: &str| -> Pairs {
                form_urlencoded::parse(query.as_bytes())
                    .into_owned()
                    .collect()
            };
            // A change that moves a value to the same place of the signed text changes nothing.
            let joined = |query: &str| {
                let mut pairs = read(query);
                pairs.sort();
                pairs
            };
            if joined(&changed) != joined(&signed) && number % 4 == 0 {
                judge(&mut judges, &changed, Some(Proxy::Ambiguous));
            }
        }
        for (number, name) in OWN.into_iter().enumerate().skip(2) {
            let twice = format!("{signed}&{name}={number}");
            judge(&mut judges, &twice, None);
        }
        if number % 10 == 0 {
            let mut forged = pairs.clone();
            forged.push(("a".to_owned(), "1shop=evil.myshopify.comt=".to_owned()));
            let forged = sign(&mut judges, &forged);
            judge(&mut judges, &forged, Some(Proxy::Ambiguous));
            let customer = own(&judges, SHOP, "7x");
            let customer = sign(&mut judges, &customer);
            judge(&mut judges, &customer, Some(Proxy::Customer));
            let elsewhere = own(&judges, "evil.example", "");
            let elsewhere = sign(&mut judges, &elsewhere);
            judge(&mut judges, &elsewhere, Some(Proxy::NoShop));
            let mut hmac = own(&judges, SHOP, "");
            hmac.push(("hmac".to_owned(), "x".to_owned()));
            let hmac = sign(&mut judges, &hmac);
            judge(&mut judges, &hmac, Some(Proxy::Hmac));
        }
    }
    comparison.finish("app proxy requests");
    println!("app proxy requests of the library that are accepted: {accepted}");
    assert!(accepted > 1000);
}

#[tokio::test]
async fn what_the_simulator_signs_is_accepted_by_the_library() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let shop = ShopDomain::parse(SHOP).unwrap();
    let simulator = Simulator::builder(judges.clock.clone())
        .with_mark(canary("shopify"))
        .with_shop(SimulatedShop::new(shop.clone()))
        .start()
        .await
        .unwrap();
    let secret = simulator.authority().app().client_secret().unwrap().clone();
    let now = judges.clock.now();
    let mut accepted = 0;
    for (number, more) in samples(
        &vec(("[a-z]{1,8}", "[a-z0-9 ]{0,8}"), 0..4),
        repetitions(600),
    )
    .into_iter()
    .enumerate()
    {
        let more: Vec<(&str, &str)> = more
            .iter()
            .filter(|it| !OWN.contains(&it.0.as_str()) && it.0 != "hmac")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let query = simulator
            .proxied(&shop, Some(number as u64), &more)
            .unwrap();
        assert!(
            judges.sdk.accepts_proxy(&secret, &query, now).unwrap(),
            "{query}"
        );
        let token = simulator.session_token(&shop, number as u64).unwrap();
        let claims = judges
            .sdk
            .check_session(&secret, token.expose_secret(), now);
        // The library compares the audience with its own client id.
        assert!(claims.unwrap().is_none());
        accepted += 1;
    }
    println!("app proxy requests of the simulator that the library accepts: {accepted}");
}

/// Intended differences in the decision on a session token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Session {
    /// The claim `dest` names no shop, or another shop than the issuer.
    Shop,
    /// The token has no expiry.
    NoExpiry,
    /// The token was issued in the future.
    Future,
    /// The last character of the signature has bits that belong to no byte.
    Spelling,
}

impl Difference for Session {
    const ALL: &'static [Self] = &[Self::Shop, Self::NoExpiry, Self::Future, Self::Spelling];

    fn sdk_accepts(self) -> bool {
        true
    }

    fn why(self) -> &'static str {
        match self {
            Self::Shop => "the library leaves the shop to its caller",
            Self::NoExpiry => "every session token of Shopify has an expiry",
            Self::Future => "the library does not check `iat`",
            Self::Spelling => "RFC 4648 allows a decoder to refuse the second spelling",
        }
    }
}

#[test]
fn session_tokens_are_decided_alike() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let planted = canary("client-secret");
    let mut comparison = Comparison::new();
    let now = judges.clock.now();
    let at = now.as_unix_seconds();
    // Around both edges of the leeway.
    let times = (-15_i64..75, -75_i64..15, any::<Index>(), 0_u8..7);
    for (number, (exp, nbf, position, bit)) in
        samples(&times, repetitions(1200)).into_iter().enumerate()
    {
        let secret = SecretString::from(format!("{planted}{number}"));
        let claims = |change: Option<(&str, Value)>| {
            let mut claims = json!({
                "iss": format!("https://{SHOP}/admin"), "dest": format!("https://{SHOP}"),
                "aud": "client-id", "sub": number.to_string(), "exp": at + exp, "nbf": at + nbf,
                "iat": at, "jti": "j", "sid": "s",
            });
            if let Some((name, value)) = change {
                claims[name] = value;
            }
            claims
        };
        let mut judge = |judges: &mut Judges, token: &str, difference| {
            let sdk = judges.sdk.check_session(&secret, token, now).unwrap();
            let ours = judges
                .shopify
                .verify_session_token(&app(&secret), now, token);
            comparison.record(sdk.is_some(), ours.is_ok(), difference, &token);
        };
        let token = judges.sdk.sign_session(&secret, &claims(None)).unwrap();
        judge(&mut judges, &token, None);
        let mut changed = token.clone().into_bytes();
        let position = position.index(changed.len());
        let is_last = position + 1 == changed.len();
        changed[position] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(changed) {
            judge(&mut judges, &changed, is_last.then_some(Session::Spelling));
        }
        if number % 10 != 0 {
            continue;
        }
        let good = [("exp", json!(at + 60)), ("nbf", json!(at))];
        let odd = [
            ("aud", json!("other"), None),
            ("dest", json!("https://evil.example"), Some(Session::Shop)),
            (
                "dest",
                json!("https://other.myshopify.com"),
                Some(Session::Shop),
            ),
            (
                "iss",
                json!("https://other.myshopify.com/admin"),
                Some(Session::Shop),
            ),
            ("exp", Value::Null, Some(Session::NoExpiry)),
            ("iat", json!(at + 11), Some(Session::Future)),
        ];
        for (name, value, difference) in odd {
            let mut claims = claims(Some(good[0].clone()));
            claims["nbf"] = good[1].1.clone();
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
            let token = judges.sdk.sign_session(&secret, &claims).unwrap();
            judge(&mut judges, &token, difference);
        }
    }
    comparison.finish("session tokens");
}

/// Intended differences in the decision on a `host` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// A host of Shopify that is neither its admin nor a shop.
    OtherHost,
    /// A port, a user, a query, `..`, or another part that a host and a path do not have.
    Odd,
}

impl Difference for Host {
    const ALL: &'static [Self] = &[Self::OtherHost, Self::Odd];

    fn sdk_accepts(self) -> bool {
        true
    }

    fn why(self) -> &'static str {
        match self {
            Self::OtherHost => "only the admin and shops embed apps",
            Self::Odd => "the text is used to build a URL",
        }
    }
}

#[test]
fn host_parameters_are_decided_alike() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let mut comparison = Comparison::new();
    let starts = prop_oneof!["[a-z][a-z0-9-]{0,6}[a-z0-9]", "[a-z.]{0,8}", "", "admin"];
    let ends = prop_oneof![
        4 => Just(".myshopify.com"), 4 => Just(".shopify.com"), 1 => Just(".shop.dev"),
        1 => Just(".myshopify.com.evil.example"), 1 => Just("myshopify.com"), 1 => Just(".spin.dev"),
    ];
    let tails = prop_oneof![
        4 => "(/admin|/store/[a-z]{1,8})?", 1 => "[/@:?#a-z0-9.]{0,8}",
    ];
    let hosts: Vec<String> = samples(&(starts, ends, tails), repetitions(3000))
        .into_iter()
        .map(|(start, end, tail)| format!("{start}{end}{tail}"))
        .collect();
    let encoded: Vec<String> = hosts
        .iter()
        .enumerate()
        .map(|(number, it)| match number % 20 {
            // Not base64.
            0 => format!("{}!", BASE64_STANDARD.encode(it)),
            _ => BASE64_STANDARD.encode(it),
        })
        .collect();
    let decisions = judges.sdk.sanitize_hosts(&encoded).unwrap();
    for ((host, encoded), sdk) in hosts.iter().zip(&encoded).zip(decisions) {
        let ours = judges.shopify.embedded_host(encoded).is_ok();
        let name = host.split('/').next().unwrap();
        let is_plain = host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_/".contains(&b))
            && !host.split('/').any(|it| matches!(it, "." | ".."));
        let difference = match ShopDomain::parse(name) {
            _ if !is_plain => Host::Odd,
            Ok(shop) if shop.as_str() == name => Host::Odd,
            _ => Host::OtherHost,
        };
        comparison.record(sdk, ours, Some(difference), host);
    }
    comparison.finish("host parameters");
}
