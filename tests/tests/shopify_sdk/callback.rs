//! Tests of the signed query of a callback.

use std::collections::BTreeSet;

use connector_core::SystemRandom;
use connector_core::clock::Clock;
use connector_core::provider::Connector;
use connector_core::provider::oauth::{AuthorizationRequest, Callback, CodeVerifier};
use connector_shopify::ShopDomain;
use connector_shopify::sim::{SimulatedShop, Simulator};
use connector_testkit::leak::canary;
use connector_tests::repetitions;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::form_urlencoded;

use crate::comparison::{Comparison, Difference};
use crate::judges::{Judges, app};
use crate::{samples, text};

const SHOP: &str = "some-shop.myshopify.com";

/// Names with a meaning. Additional parameters never have these names.
const RESERVED: [&str; 8] = [
    "code",
    "error",
    "hmac",
    "host",
    "shop",
    "signature",
    "state",
    "timestamp",
];

impl Judges {
    fn now(&self) -> i64 {
        self.clock.now().as_unix_seconds()
    }

    fn sdk_accepts(&mut self, secret: &SecretString, query: &str) -> bool {
        let now = self.clock.now();
        self.sdk.accepts_query(secret, query, now).unwrap()
    }

    fn we_accept(&self, secret: &SecretString, query: &str, shop: &str) -> bool {
        let app = app(secret);
        let cx = self.context(&app);
        Callback::parse(query).is_ok_and(|callback| {
            self.shopify
                .check_callback(&cx, Some(shop), &callback)
                .is_ok()
        })
    }
}

/// A parameter's value.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Value {
    One(String),
    Many(Vec<String>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::One(value.to_owned())
    }
}

type Parameters = Vec<(String, Value)>;

/// The parts of a callback except its signature.
#[derive(Debug, Clone)]
struct Case {
    secret: String,
    code: String,
    host: String,
    state: String,
    /// Offset of the timestamp from now, in seconds.
    age: i64,
    more: Parameters,
    order: Vec<Index>,
    plus: bool,
    change: (Index, u8),
}

impl Case {
    fn secret(&self, planted: &str) -> SecretString {
        format!("{planted}{}", self.secret).into()
    }

    fn parameters(&self, now: i64) -> Parameters {
        let timestamp = (now + self.age).to_string();
        let mut parameters: Parameters = [
            ("code", self.code.as_str()),
            ("host", &self.host),
            ("shop", SHOP),
            ("state", &self.state),
            ("timestamp", &timestamp),
        ]
        .map(|(key, value)| (key.to_owned(), value.into()))
        .into();
        let mut seen: BTreeSet<&str> = RESERVED.into();
        for (key, value) in &self.more {
            if seen.insert(key) {
                parameters.push((key.clone(), value.clone()));
            }
        }
        parameters
    }

    /// Returns a query with these parameters and this signature, in a shuffled order.
    fn query(&self, parameters: &Parameters, signature: &str) -> String {
        let mut pairs: Vec<(String, &str)> = Vec::new();
        for (key, value) in parameters {
            match value {
                Value::One(value) => pairs.push((key.clone(), value)),
                Value::Many(values) => {
                    pairs.extend(values.iter().map(|value| (format!("{key}[]"), &**value)));
                }
            }
        }
        // The values of an array keep their order.
        let is_array = |key: &str| key.ends_with("[]");
        for (at, other) in self.order.iter().enumerate().take(pairs.len()) {
            let other = other.index(pairs.len());
            if !is_array(&pairs[at].0) && !is_array(&pairs[other].0) {
                pairs.swap(at, other);
            }
        }
        let at = self.change.0.index(pairs.len() + 1);
        pairs.insert(at, ("hmac".to_owned(), signature));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        if self.plus {
            query
        } else {
            query.replace('+', "%20")
        }
    }

    /// Returns the query with one changed bit. `None` if the meaning is unchanged or the result is
    /// not text.
    fn changed(&self, query: &str) -> Option<String> {
        let (at, bit) = self.change;
        let mut bytes = query.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = String::from_utf8(bytes).ok()?;
        let pairs = |query: &str| -> Vec<(String, String)> {
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect()
        };
        (pairs(&changed) != pairs(query)).then_some(changed)
    }
}

/// Generates callbacks with additional parameters. Names are from `keys`, and values are from
/// `values`.
fn cases(
    keys: impl Strategy<Value = String>,
    values: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Case> {
    (
        (
            "[!-~]{1,40}",
            "[a-f0-9]{32}",
            "[A-Za-z0-9+/]{8,40}={0,2}",
            text(),
        ),
        -90_i64..=90,
        vec((keys, values), 0..6),
        vec(any::<Index>(), 12),
        any::<bool>(),
        (any::<Index>(), 0_u8..7),
    )
        .prop_map(
            |((secret, code, host, state), age, more, order, plus, change)| Case {
                secret,
                code,
                host,
                state,
                age,
                more,
                order,
                plus,
                change,
            },
        )
}

#[test]
fn what_the_library_signs_is_accepted_and_one_changed_bit_is_refused() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let planted = canary("client-secret");
    let (mut accepted, mut refused) = (0, 0);
    let values = text().prop_map(Value::One);
    for case in samples(&cases("[a-z][a-z0-9]{0,7}", values), repetitions(1200)) {
        let secret = case.secret(&planted);
        let parameters = case.parameters(judges.now());
        let signed = judges.sdk.sign_query(&secret, &parameters).unwrap();
        let query = case.query(&parameters, &signed.hmac);
        assert!(judges.sdk_accepts(&secret, &query), "{case:?}");
        assert!(judges.we_accept(&secret, &query, SHOP), "{case:?}");
        accepted += 1;
        if let Some(changed) = case.changed(&query) {
            assert!(!judges.sdk_accepts(&secret, &changed), "{case:?} {changed}");
            assert!(
                !judges.we_accept(&secret, &changed, SHOP),
                "{case:?} {changed}"
            );
            refused += 1;
        }
    }
    println!(
        "callbacks of the library that are accepted: {accepted}, that both refuse with one bit \
         changed: {refused}"
    );
    assert!(accepted > 1000 && refused > 1000);
}

/// Intended differences in the decision on a signed callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OnPurpose {
    /// The names of the parameters have different orders by alphabet and by bytes.
    KeyOrder,
    /// The text was signed without encoding.
    Unescaped,
    /// An array with several values.
    Array,
    /// An array that was signed as a list.
    ArrayAsList,
    /// An array whose value has a quotation mark or a backslash.
    QuotedInArray,
    /// An array with the name of a significant parameter.
    DecisiveArray,
    /// A parameter that occurs twice.
    Twice,
    /// A timestamp that is not a plain number.
    TimestampSpelling,
    /// More than 8 KiB.
    Long,
}

impl Difference for OnPurpose {
    const ALL: &'static [Self] = &[
        Self::KeyOrder,
        Self::Unescaped,
        Self::Array,
        Self::ArrayAsList,
        Self::QuotedInArray,
        Self::DecisiveArray,
        Self::Twice,
        Self::TimestampSpelling,
        Self::Long,
    ];

    fn sdk_accepts(self) -> bool {
        !matches!(self, Self::Unescaped | Self::Array | Self::ArrayAsList)
    }

    fn why(self) -> &'static str {
        match self {
            Self::KeyOrder => {
                "the library sorts names as a dictionary does, Shopify by their bytes; the names \
                 that Shopify sends sort alike"
            }
            Self::Unescaped => "Shopify's servers and its library for Python sign the decoded text",
            Self::Array => "the library's callback keeps only the last value of a signed array",
            Self::ArrayAsList => "published by Shopify's library for Python, unknown to this one",
            Self::QuotedInArray => {
                "the character could move the boundary between two values of a list"
            }
            Self::DecisiveArray => "an array must not decide shop, code, state or time",
            Self::Twice => {
                "the library checks the last and uses the first; Shopify sends each once"
            }
            Self::TimestampSpelling => {
                "the library accepts every text that JavaScript parses as a number"
            }
            Self::Long => "no query of Shopify is nearly as long",
        }
    }
}

/// Returns the signature of `text` in hexadecimal.
fn sign(secret: &SecretString, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hex::encode(hmac::sign(&key, text.as_bytes()))
}

/// Returns true if the library's encoding of this text equals the text with only `%` and `&`
/// encoded.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"*-._%&".contains(&byte))
}

/// The library, the connector, and the number of equal decisions.
struct Trial {
    judges: Judges,
    comparison: Comparison<OnPurpose>,
    planted: String,
}

impl Trial {
    fn judge(&mut self, secret: &SecretString, query: &str, difference: Option<OnPurpose>) {
        let sdk = self.judges.sdk_accepts(secret, query);
        let ours = self.judges.we_accept(secret, query, SHOP);
        self.comparison.record(sdk, ours, difference, &query);
    }

    /// Returns the query that the library signs.
    fn signed(&mut self, case: &Case, secret: &SecretString, parameters: &Parameters) -> String {
        let signed = self.judges.sdk.sign_query(secret, parameters).unwrap();
        case.query(parameters, &signed.hmac)
    }

    fn any_names(&mut self) {
        let keys = prop_oneof!["[A-Za-z0-9_.~-]{1,4}", "\\PC{1,4}"];
        for case in samples(&cases(keys, text().prop_map(Value::One)), repetitions(300)) {
            let secret = case.secret(&self.planted);
            let parameters = case.parameters(self.judges.now());
            let signed = self.judges.sdk.sign_query(&secret, &parameters).unwrap();
            let query = case.query(&parameters, &signed.hmac);
            let difference = (!signed.keys.is_sorted()).then_some(OnPurpose::KeyOrder);
            self.judge(&secret, &query, difference);
        }
    }

    /// Arrays, together with names that have the same order with and without their brackets.
    fn arrays(&mut self) {
        let quoted = Just("2\", \"1".to_owned());
        let value = prop_oneof![4 => text(), 1 => quoted];
        let values = vec(value, 1..4).prop_map(Value::Many);
        for case in samples(&cases("ids", values), repetitions(200)) {
            let secret = case.secret(&self.planted);
            let parameters = case.parameters(self.judges.now());
            let query = self.signed(&case, &secret, &parameters);
            let difference = parameters.iter().find_map(|(_, value)| match value {
                Value::Many(all) if all.iter().any(|it| it.contains(['"', '\\'])) => {
                    Some(OnPurpose::QuotedInArray)
                }
                Value::Many(all) if all.len() > 1 => Some(OnPurpose::Array),
                _ => None,
            });
            self.judge(&secret, &query, difference);

            let at = self.judges.now().to_string();
            let ids = ["2", "1"].map(str::to_owned).to_vec();
            let list: Parameters = [
                ("code", "c".into()),
                ("ids", Value::Many(ids)),
                ("shop", SHOP.into()),
                ("timestamp", at.as_str().into()),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into();
            let text = format!("code=c&ids=[\"2\", \"1\"]&shop={SHOP}&timestamp={at}");
            let query = case.query(&list, &sign(&secret, &text));
            self.judge(&secret, &query, Some(OnPurpose::ArrayAsList));
        }
    }

    /// Callbacks of which each breaks one rule.
    fn broken_rules(&mut self) {
        let plain = "[a-z0-9]{1,8}".prop_map(Value::One);
        let cases = samples(&cases("[a-z]{1,8}", plain), repetitions(150));
        for (number, case) in cases.into_iter().enumerate() {
            let secret = case.secret(&self.planted);
            let parameters = case.parameters(self.judges.now());
            let query = self.signed(&case, &secret, &parameters);

            let repeated = &parameters[number % parameters.len()].0;
            let twice = format!("{repeated}=first&{query}");
            self.judge(&secret, &twice, Some(OnPurpose::Twice));
            let twice = format!("{query}&{repeated}=last");
            self.judge(&secret, &twice, None);

            let decisive = ["state", "shop", "code", "timestamp", "hmac"][number % 5];
            let mut array = parameters.clone();
            array.push((format!("{decisive}[]"), "x".into()));
            let array = self.signed(&case, &secret, &array);
            self.judge(&secret, &array, Some(OnPurpose::DecisiveArray));

            let without = if number % 2 == 0 { "signature=" } else { "h=" };
            self.judge(&secret, &query.replace("hmac=", without), None);
            let other = SecretString::from(format!("{}other", self.planted));
            self.judge(&other, &query, None);
        }
    }

    fn timestamps(&mut self) {
        let plain = "[a-z0-9]{1,8}".prop_map(Value::One);
        let cases = samples(&cases("[a-z]{1,8}", plain), repetitions(100));
        for (number, case) in cases.into_iter().enumerate() {
            let secret = case.secret(&self.planted);
            let now = self.judges.now();
            let mut parameters = case.parameters(now);
            let mut judge = |timestamp: String, difference| {
                let at = parameters.iter_mut().find(|it| it.0 == "timestamp");
                at.unwrap().1 = Value::One(timestamp);
                let query = self.signed(&case, &secret, &parameters);
                self.judge(&secret, &query, difference);
            };
            let spelling = match number % 8 {
                0 => format!("+{now}"),
                1 => format!(" {now}"),
                2 => format!("{now}.0"),
                3 => format!("{now:#x}"),
                4 => format!("{now}e0"),
                5 => format!("00{now}"),
                6 => String::new(),
                _ => format!("{now}s"),
            };
            judge(spelling, Some(OnPurpose::TimestampSpelling));
            // Every second around the limits of the time window.
            let age = i64::try_from(number % 12).unwrap() + 85;
            judge((now + age).to_string(), None);
            judge((now - age).to_string(), None);
        }
    }

    fn long_queries(&mut self) {
        for size in [1000, 7000, 9000, 100_000] {
            let case = samples(&cases("[a-z]{1,8}", Just("".into())), 1).remove(0);
            let secret = case.secret(&self.planted);
            let mut parameters = case.parameters(self.judges.now());
            parameters.push(("long".to_owned(), Value::One("x".repeat(size))));
            let query = self.signed(&case, &secret, &parameters);
            let difference = (query.len() > 8192).then_some(OnPurpose::Long);
            self.judge(&secret, &query, difference);
        }
    }

    /// Decoded text, which Shopify's library for Python signs.
    fn decoded_text(&mut self) {
        for case in samples(&cases("[a-z]", Just("".into())), repetitions(200)) {
            let secret = case.secret(&self.planted);
            let mut parameters = case.parameters(self.judges.now());
            parameters.retain(|(key, _)| RESERVED.contains(&key.as_str()));
            let mut signed = Vec::new();
            let mut is_all_plain = true;
            for (key, value) in &parameters {
                let Value::One(value) = value else { continue };
                is_all_plain &= is_plain(value);
                let escaped = value.replace('%', "%25").replace('&', "%26");
                signed.push(format!("{key}={escaped}"));
            }
            let query = case.query(&parameters, &sign(&secret, &signed.join("&")));
            let difference = (!is_all_plain).then_some(OnPurpose::Unescaped);
            self.judge(&secret, &query, difference);
        }
    }
}

#[test]
fn they_differ_only_where_it_is_meant() {
    let Some(judges) = Judges::new() else {
        return;
    };
    let mut trial = Trial {
        judges,
        comparison: Comparison::new(),
        planted: canary("client-secret"),
    };
    trial.any_names();
    trial.arrays();
    trial.broken_rules();
    trial.timestamps();
    trial.long_queries();
    trial.decoded_text();
    trial.comparison.finish("callbacks");
}

#[tokio::test]
async fn what_the_simulator_signs_the_library_signs_alike() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let shops = [
        "one.myshopify.com",
        "2.myshopify.com",
        "a-b--c.myshopify.com",
    ];
    let mut simulator = Simulator::builder(judges.clock.clone()).with_mark(canary("simulator"));
    for shop in shops {
        let shop = SimulatedShop::new(ShopDomain::parse(shop).unwrap());
        simulator = simulator.with_shop(shop);
    }
    let simulator = simulator.start().await.unwrap();
    let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
    // In the form of the hub, and in a form that an application might use.
    let states = prop_oneof!["[A-Za-z0-9_-]{43}", text()];
    let (mut alike, mut unescaped, mut refused) = (0, 0, 0);
    let cases = (
        states,
        0..shops.len(),
        any::<bool>(),
        any::<Index>(),
        0_u8..7,
    );
    for (state, shop, rotates, at, bit) in samples(&cases, repetitions(700)) {
        if rotates {
            let _ = simulator.authority().rotate_client_secret();
        }
        let shop = shops[shop];
        let app = simulator.authority().app();
        let secret = app.client_secret().unwrap();
        let begun = SecretString::from(state.clone());
        let request =
            AuthorizationRequest::new(&app, &begun, &verifier).with_account_host(Some(shop));
        let url = judges.shopify.authorization_url(&request).unwrap();
        let target = simulator.visit(&url).unwrap();
        let query = target.query().unwrap();
        assert!(judges.we_accept(secret, query, shop), "{state:?}");

        let callback = Callback::parse(query).unwrap();
        let parameters: Vec<(&str, &str)> = callback.pairs().collect();
        let signed = judges.sdk.sign_query(secret, &parameters).unwrap();
        let is_alike = Some(signed.hmac.as_str()) == callback.get("hmac");
        assert_eq!(is_alike, is_plain(&state), "{state:?}");
        assert_eq!(judges.sdk_accepts(secret, query), is_alike, "{state:?}");
        if is_alike {
            alike += 1;
        } else {
            // The connector behaves like Shopify's servers and unlike the library: see
            // `OnPurpose::Unescaped`.
            unescaped += 1;
        }

        let mut changed = query.as_bytes().to_vec();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        let Ok(changed) = String::from_utf8(changed) else {
            continue;
        };
        let is_same = Callback::parse(&changed).is_ok_and(|it| it.pairs().eq(callback.pairs()));
        if !is_same {
            assert!(!judges.sdk_accepts(secret, &changed), "{changed}");
            assert!(!judges.we_accept(secret, &changed, shop), "{changed}");
            refused += 1;
        }
    }
    println!(
        "callbacks of the simulator that the library signs alike: {alike}, with text that it \
         encodes: {unescaped}, that both refuse with one bit changed: {refused}"
    );
    assert!(alike > 300 && unescaped > 100 && refused > 500);
}
