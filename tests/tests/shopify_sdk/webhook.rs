//! Tests of webhook deliveries.

use bytes::Bytes;
use connector_core::AppKey;
use connector_core::provider::Connector;
use connector_core::provider::webhook::{AccountHint, Event, Incoming, WebhookEndpoint};
use connector_shopify::sim::{Simulator, WebhookHeaders};
use connector_testkit::leak::canary;
use connector_tests::repetitions;
use connector_tests::shopify_sdk::WebhookVerdict;
use http::Method;
use http::header::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use secrecy::SecretString;

use crate::comparison::{Comparison, Difference};
use crate::judges::{Judges, app};
use crate::{samples, text};

const SHOP: &str = "some-shop.myshopify.com";
const TOPICS: [&str; 5] = [
    "app/uninstalled",
    "customers/data_request",
    "customer.tags_added",
    "orders/create",
    "products/update",
];
const LARGE: usize = 256 * 1024;

impl Judges {
    fn sdk(&mut self, secret: &SecretString, request: &http::Request<Bytes>) -> WebhookVerdict {
        self.sdk.check_webhook(secret, request).unwrap()
    }

    async fn ours(&self, secret: &SecretString, request: &http::Request<Bytes>) -> Option<Event> {
        let app = app(secret);
        let cx = self.context(&app);
        let key = AppKey::default();
        let endpoint = WebhookEndpoint::of_app(&key);
        match self.shopify.verify_webhook(&cx, &endpoint, request).await {
            Ok(Incoming::Accept { mut events, .. }) => {
                assert_eq!(events.len(), 1);
                events.pop()
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    /// Returns the decisions of both sides. Checks that both read the same values.
    async fn both(
        &mut self,
        secret: &SecretString,
        request: &http::Request<Bytes>,
    ) -> (bool, bool) {
        let verdict = self.sdk(secret, request);
        let event = self.ours(secret, request).await;
        if let (true, Some(event)) = (verdict.accepted, &event) {
            assert_eq!(event.body, request.body());
            let topic = event.topic.to_uppercase().replace(['/', '.'], "_");
            assert_eq!(verdict.topic, Some(topic));
            assert_eq!(verdict.webhook_id, event.delivery_id);
            let host = verdict.domain.map(AccountHint::Host);
            assert_eq!(host, event.account);
        }
        (verdict.accepted, event.is_some())
    }
}

/// Generates bodies of all kinds except the empty body: JSON, other text, bytes that are not text,
/// large bodies.
fn body() -> impl Strategy<Value = Bytes> {
    let json = text().prop_map(|text| serde_json::json!({ "id": 1, "title": text }).to_string());
    let text = vec(text(), 1..8).prop_map(|texts| texts.concat());
    prop_oneof![
        200 => json.prop_map(Bytes::from),
        50 => text.prop_map(|text| Bytes::from(format!("{text}."))),
        50 => vec(any::<u8>(), 1..300).prop_map(Bytes::from),
        1 => any::<u8>().prop_map(|byte| Bytes::from(vec![byte; LARGE])),
        3 => "\\PC{8}".prop_map(|text| {
            let text = text.repeat(LARGE / text.len() + 1);
            Bytes::from(serde_json::json!({ "id": 1, "title": text }).to_string())
        }),
    ]
}

/// Shopify's deliveries are JSON objects. Any other body is refused, even with a valid signature.
fn is_object(body: &Bytes) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

fn spelling() -> impl Strategy<Value = WebhookHeaders> {
    select(vec![
        WebhookHeaders::Prefixed,
        WebhookHeaders::Plain,
        WebhookHeaders::Both,
    ])
}

/// Returns the headers of a delivery with these prefixes.
fn request(prefixes: &[&str], topic: &str, signature: &str, body: Bytes) -> http::Request<Bytes> {
    let mut request = http::Request::post("/webhooks");
    for prefix in prefixes {
        for (name, value) in [
            ("topic", topic),
            ("hmac-sha256", signature),
            ("shop-domain", SHOP),
            ("api-version", "2026-10"),
            ("webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
            ("event-id", "98880550-7158-44d4-b7cd-2c97c8a091b5"),
            ("triggered-at", "2026-11-20T11:59:59.123Z"),
        ] {
            request = request.header(format!("{prefix}{name}"), value);
        }
    }
    request.body(body).unwrap()
}

/// Returns the delivery with one changed bit in its body or its signature. The last digit of a
/// base64 signature has two unused bits, which are not changed.
fn changed(request: &http::Request<Bytes>, at: Index, bit: u8) -> http::Request<Bytes> {
    const SIGNIFICANT: usize = 42;
    let mut changed = request.clone();
    let length = request.body().len();
    let at = at.index(length + SIGNIFICANT);
    if at < length {
        let mut body = request.body().to_vec();
        body[at] ^= 1 << bit;
        *changed.body_mut() = body.into();
        return changed;
    }
    for (name, value) in changed.headers_mut() {
        if name.as_str().ends_with("hmac-sha256") {
            let mut digits = value.as_bytes().to_vec();
            let digit = &mut digits[at - length];
            *digit = if *digit == b'A' + bit {
                b'Z'
            } else {
                b'A' + bit
            };
            *value = HeaderValue::from_bytes(&digits).unwrap();
        }
    }
    changed
}

#[tokio::test]
async fn what_the_library_signs_is_accepted_and_one_changed_bit_is_refused() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let planted = canary("client-secret");
    let cases = (
        body(),
        "[!-~]{0,40}",
        select(TOPICS.to_vec()),
        spelling(),
        (any::<Index>(), 0_u8..8),
    );
    let (mut accepted, mut not_object, mut large, mut refused) = (0, 0, 0, 0);
    for (body, more, topic, spelling, (at, bit)) in samples(&cases, repetitions(700)) {
        let secret = SecretString::from(format!("{planted}{more}"));
        let signature = judges.sdk.sign_webhook(&secret, &body).unwrap();
        let prefixes: &[&str] = match spelling {
            WebhookHeaders::Prefixed => &["X-Shopify-"],
            WebhookHeaders::Plain => &["shopify-"],
            _ => &["X-Shopify-", "shopify-"],
        };
        let request = request(prefixes, topic, &signature, body);
        let (sdk, ours) = judges.both(&secret, &request).await;
        let is_text = std::str::from_utf8(request.body()).is_ok();
        assert_eq!(ours, is_object(request.body()), "{request:?}");
        // The library verifies text and signs bytes.
        assert_eq!(sdk, is_text, "{request:?}");
        accepted += usize::from(ours);
        not_object += usize::from(!ours);
        large += usize::from(ours && request.body().len() >= LARGE);
        let changed = changed(&request, at, bit);
        assert_eq!(judges.both(&secret, &changed).await, (false, false));
        refused += 1;
    }
    println!(
        "deliveries of the library that are accepted: {accepted}, of those of 256 KiB: {large}, \
         refused as no JSON object: {not_object}, that both refuse with one bit changed: {refused}"
    );
    assert!(accepted > 300 && refused >= 700 && not_object > 100 && large > 2);
}

#[tokio::test]
async fn what_the_simulator_signs_is_accepted_by_the_library() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let simulator = Simulator::builder(judges.clock.clone())
        .with_mark(canary("simulator"))
        .start()
        .await
        .unwrap();
    let shop = simulator.shops().remove(0);
    let cases = (
        body(),
        select(TOPICS.to_vec()),
        spelling(),
        any::<bool>(),
        (any::<Index>(), 0_u8..8),
    );
    let (mut accepted, mut not_object, mut refused) = (0, 0, 0);
    for (body, topic, spelling, rotates, (at, bit)) in samples(&cases, repetitions(700)) {
        if rotates {
            let _ = simulator.authority().rotate_client_secret();
        }
        let app = simulator.authority().app();
        let secret = app.client_secret().unwrap();
        let request = simulator.webhook(&shop, topic, body, spelling).unwrap();
        let (sdk, ours) = judges.both(secret, &request).await;
        assert_eq!(ours, is_object(request.body()), "{request:?}");
        let is_text = std::str::from_utf8(request.body()).is_ok();
        assert_eq!(sdk, is_text, "{request:?}");
        accepted += usize::from(sdk && ours);
        not_object += usize::from(!ours);
        let changed = changed(&request, at, bit);
        assert_eq!(judges.both(secret, &changed).await, (false, false));
        refused += 1;
    }
    println!(
        "deliveries of the simulator that both accept: {accepted}, refused as no JSON object: \
         {not_object}, that both refuse with one bit changed: {refused}"
    );
    assert!(accepted > 300 && not_object > 100 && refused >= 700);
}

/// Intended differences in the decision on a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OnPurpose {
    /// The body is text but not a JSON object.
    NotAnObject,
    /// The headers have both spellings, and neither set is complete.
    MixedSpelling,
    /// A header without effect on the decision is missing.
    FewHeaders,
    /// The host is not a shop.
    NoShop,
    /// The request is not a POST.
    OtherMethod,
    /// A header occurs twice.
    Twice,
}

impl Difference for OnPurpose {
    const ALL: &'static [Self] = &[
        Self::NotAnObject,
        Self::MixedSpelling,
        Self::FewHeaders,
        Self::NoShop,
        Self::OtherMethod,
        Self::Twice,
    ];

    fn sdk_accepts(self) -> bool {
        matches!(
            self,
            Self::NotAnObject | Self::NoShop | Self::OtherMethod | Self::Twice
        )
    }

    fn why(self) -> &'static str {
        match self {
            Self::NotAnObject => {
                "other messages are signed with the secret too, deliveries are objects"
            }
            Self::MixedSpelling => "each header is read in its own spelling",
            Self::FewHeaders => {
                "Shopify does not sign these headers, and the event is complete without them"
            }
            Self::NoShop => "the application gets this value as a shop's host",
            Self::OtherMethod => {
                "a delivery is a POST; the library leaves this check to its caller"
            }
            Self::Twice => "programs disagree about which of the two counts",
        }
    }
}

#[tokio::test]
async fn they_differ_only_where_it_is_meant() {
    let Some(mut judges) = Judges::new() else {
        return;
    };
    let mut comparison = Comparison::new();
    let planted = canary("client-secret");
    let prefix = select(vec!["x-shopify-", "shopify-"]);
    let cases = (vec(prefix, 7), body(), select(TOPICS.to_vec()));
    for (number, (prefixes, body, topic)) in
        samples(&cases, repetitions(150)).into_iter().enumerate()
    {
        let secret = SecretString::from(format!("{planted}{number}"));
        let signature = judges.sdk.sign_webhook(&secret, &body).unwrap();
        let is_object = is_object(&body);
        let one = prefixes[0];
        let other = if one == "shopify-" {
            "x-shopify-"
        } else {
            "shopify-"
        };
        let whole = request(&[one], topic, &signature, body.clone());
        let mut tried: Vec<(http::Request<Bytes>, Option<OnPurpose>)> = Vec::new();

        tried.push((
            whole.clone(),
            (!is_object).then_some(OnPurpose::NotAnObject),
        ));
        let whole = if is_object {
            whole
        } else {
            let body = Bytes::from_static(b"{}");
            let signature = judges.sdk.sign_webhook(&secret, &body).unwrap();
            request(&[one], topic, &signature, body)
        };

        let mut mixed = whole.clone();
        let named = ["topic", "shop-domain", "api-version", "webhook-id"];
        let mut is_mixed = false;
        for (name, prefix) in named.into_iter().zip(&prefixes[1..]) {
            if *prefix != one {
                let value = mixed.headers_mut().remove(format!("{one}{name}")).unwrap();
                let name: http::HeaderName = format!("{other}{name}").parse().unwrap();
                mixed.headers_mut().insert(name, value);
                is_mixed = true;
            }
        }
        tried.push((mixed, is_mixed.then_some(OnPurpose::MixedSpelling)));

        // A wrong signature in the older spelling: the newer spelling counts.
        let mut doubtful = whole.clone();
        let name: http::HeaderName = format!("{other}hmac-sha256").parse().unwrap();
        let wrong = judges.sdk.sign_webhook(&secret, b"another body").unwrap();
        doubtful
            .headers_mut()
            .insert(name, HeaderValue::from_str(&wrong).unwrap());
        tried.push((doubtful, None));

        for (name, difference) in [
            ("hmac-sha256", None),
            ("topic", None),
            ("shop-domain", None),
            ("api-version", Some(OnPurpose::FewHeaders)),
            ("webhook-id", Some(OnPurpose::FewHeaders)),
            ("event-id", None),
            ("triggered-at", None),
        ] {
            let mut less = whole.clone();
            less.headers_mut().remove(format!("{one}{name}"));
            tried.push((less, difference));
        }

        let mut elsewhere = whole.clone();
        let hosts = [
            "evil.example",
            "a.b.myshopify.com",
            "some_shop.myshopify.com",
        ];
        let name: http::HeaderName = format!("{one}shop-domain").parse().unwrap();
        let host = HeaderValue::from_static(hosts[number % hosts.len()]);
        elsewhere.headers_mut().insert(name, host);
        tried.push((elsewhere, Some(OnPurpose::NoShop)));

        let mut put = whole.clone();
        *put.method_mut() = [Method::PUT, Method::GET, Method::DELETE][number % 3].clone();
        tried.push((put, Some(OnPurpose::OtherMethod)));

        for name in ["topic", "hmac-sha256"] {
            let mut twice = whole.clone();
            let name: http::HeaderName = format!("{one}{name}").parse().unwrap();
            let value = twice.headers()[&name].clone();
            let difference = name.as_str().ends_with("topic").then_some(OnPurpose::Twice);
            twice.headers_mut().append(name, value);
            tried.push((twice, difference));
        }

        let mut empty = whole.clone();
        *empty.body_mut() = Bytes::new();
        let nothing = judges.sdk.sign_webhook(&secret, b"").unwrap();
        let name: http::HeaderName = format!("{one}hmac-sha256").parse().unwrap();
        let nothing = HeaderValue::from_str(&nothing).unwrap();
        empty.headers_mut().insert(name, nothing);
        tried.push((empty, None));

        for (request, difference) in tried {
            let (sdk, ours) = judges.both(&secret, &request).await;
            comparison.record(sdk, ours, difference, &request);
        }
    }
    comparison.finish("deliveries");
}
