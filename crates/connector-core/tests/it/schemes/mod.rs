//! The webhook schemes of all providers as data, checked against published signatures.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::description::{AccountHost, EndpointTemplate};
use connector_core::provider::webhook::{
    AccountHint, BodyForm, Event, Incoming, Secrets, SignedField, VERIFY_TOKEN, WebhookEndpoint,
    WebhookScheme, WebhookSecret, channel, decode_hex, open_signed_request, read_proved, verify,
};
use connector_core::provider::{Context, Description};
use connector_core::{App, AppKey, ErrorKind, ProviderId, Result};
use http::Request;
use ring::{hmac, signature};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::simulation::{Script, Seeded};
use crate::webhook::{NOW, hex};

const SCHEMES: &str = include_str!("schemes.json");

fn all() -> BTreeMap<String, Value> {
    serde_json::from_str(SCHEMES).unwrap()
}

fn described(scheme: WebhookScheme) -> Description {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://{account}")];
    description.account_host = Some(AccountHost::new(".myshopify.com"));
    description.webhook = Some(scheme);
    description
}

fn description(name: &str) -> Description {
    let scheme = all()
        .remove(name)
        .unwrap_or_else(|| panic!("no scheme {name}"));
    described(serde_json::from_value(scheme).unwrap())
}

/// Creates a receiver with one secret, of the kind that the scheme needs.
fn receive(
    description: &Description,
    secret: Option<&str>,
    now: Timestamp,
    request: &Request<Bytes>,
) -> Result<Incoming> {
    let mut app = App::new("client").with_extra(VERIFY_TOKEN, "the-verify-token");
    let mut own: Vec<SecretString> = Vec::new();
    let source = description.webhook.as_ref().unwrap().secret;
    if let Some(secret) = secret {
        match source {
            WebhookSecret::Client => app = app.with_client_secret(secret),
            WebhookSecret::Webhook => app = app.with_webhook_secret(secret),
            _ => own.push(secret.into()),
        }
    }
    let (transport, clock, key) = (Script::new([]), ManualClock::new(now), AppKey::default());
    let cx = Context::new(&app, &*transport, &clock);
    let endpoint = WebhookEndpoint::of_connection(&key, &own);
    verify(description, &cx, &endpoint, request)
}

fn events(incoming: Incoming) -> Vec<Event> {
    match incoming {
        Incoming::Accept { events, .. } => events,
        other => panic!("{other:?}"),
    }
}

fn reply(incoming: Incoming) -> http::Response<Bytes> {
    match incoming {
        Incoming::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn post(headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::post("https://app.example/hooks");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, message).as_ref().to_vec()
}

#[test]
fn every_scheme_is_valid_and_signs_what_it_should() {
    let schemes = all();
    for name in schemes.keys() {
        description(name).validate().unwrap_or_else(|error| {
            panic!("{name}: {}", error.report());
        });
    }
    println!("webhook schemes as data: {}", schemes.len());
    assert!(schemes.len() >= 19);
}

/// A test vector with its changes.
struct Vector<'v> {
    inputs: BTreeMap<String, Value>,
    expected: String,
    now: Option<String>,
    without: Option<String>,
    scheme: &'v str,
    provider: &'v str,
}

impl Vector<'_> {
    fn text(&self, name: &str) -> &str {
        self.inputs.get(name).and_then(Value::as_str).unwrap_or("")
    }

    fn body(&self) -> String {
        match self.inputs.get("body") {
            Some(Value::Object(repeated)) => repeated["repeat"]
                .as_str()
                .unwrap()
                .repeat(usize::try_from(repeated["times"].as_u64().unwrap()).unwrap()),
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// Returns true if a verifier accepts the vector.
    #[expect(clippy::too_many_lines, reason = "a table of the schemes")]
    fn is_accepted(&self) -> bool {
        let secrets = || Secrets::new([self.text("secret")]).unwrap();
        match self.scheme {
            "hmac-sha256-hex-message" => {
                return decode_hex(&self.expected).is_ok_and(|tag| {
                    secrets()
                        .verify(self.text("message").as_bytes(), &tag)
                        .is_ok()
                });
            }
            "meta-signed-request" => {
                return open_signed_request(&secrets(), &self.expected).is_ok();
            }
            _ => {}
        }
        let (name, header) = match (self.scheme, self.provider) {
            ("slack-v0", _) => ("slack", "x-slack-signature"),
            ("github-sha256", "notion") => ("notion", "x-notion-signature"),
            ("github-sha256", "instagram") => ("instagram", "x-hub-signature-256"),
            ("github-sha256", _) => ("github", "x-hub-signature-256"),
            ("hmac-sha256-hex", _) => ("onlyfans", "signature"),
            ("stripe-v1", _) => ("stripe", "stripe-signature"),
            ("tiktok", _) => ("tiktok", "tiktok-signature"),
            ("hubspot-v3", _) => ("hubspot", "x-hubspot-signature-v3"),
            ("hubspot-v1" | "hubspot-v2", _) => ("hubspot", "x-hubspot-signature"),
            ("standard-webhooks-v1", _) => ("standard-webhooks", "webhook-signature"),
            ("standard-webhooks-v1a", _) => ("standard-webhooks-v1a", "webhook-signature"),
            ("discord-ed25519" | "ed25519", _) => ("discord", "x-signature-ed25519"),
            ("airtable-mac", _) => ("airtable", "x-airtable-content-mac"),
            other => panic!("no test for {other:?}"),
        };
        let mut description = description(name);
        let scheme = description.webhook.as_mut().unwrap();
        // The vectors test signatures only. Some of their bodies do not have the format of a
        // delivery.
        scheme.body = vec![BodyForm::Bytes, BodyForm::Empty];
        scheme.items = None;
        scheme.required.clear();
        scheme.handshakes.clear();
        let body = if self.scheme == "ed25519" {
            let rule = &mut scheme.signatures[0];
            rule.signed.remove(0);
            rule.timestamp = None;
            let (digits, _) = self.text("message_hex").as_bytes().as_chunks::<2>();
            let bytes = digits
                .iter()
                .map(|it| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap());
            bytes.collect()
        } else {
            self.body().into_bytes()
        };
        let method = match self.text("method") {
            "" => "POST",
            method => method,
        };
        let uri = match (self.text("received_uri"), self.text("uri")) {
            ("", "") => "https://app.example/hooks",
            ("", uri) => uri,
            (received, _) => received,
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in [
            (header, self.expected.as_str()),
            (
                "x-hubspot-signature-version",
                self.scheme.trim_start_matches("hubspot-"),
            ),
            ("x-slack-request-timestamp", self.text("timestamp")),
            ("x-hubspot-request-timestamp", self.text("timestamp")),
            ("x-signature-timestamp", self.text("timestamp")),
            ("webhook-timestamp", self.text("timestamp")),
            ("webhook-id", self.text("id")),
            ("x-github-event", "push"),
        ] {
            if !value.is_empty() && self.without.as_deref() != Some(name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Bytes::from(body)).unwrap();
        let secret = [
            "public_key",
            "public_key_hex",
            "mac_secret_base64",
            "secret",
        ]
        .into_iter()
        .map(|name| self.text(name))
        .find(|text| !text.is_empty());
        let at = self
            .now
            .as_deref()
            .unwrap_or_else(|| self.text("timestamp"));
        let at: i64 = at.parse().unwrap_or(NOW);
        let at = if at > 100_000_000_000 { at } else { at * 1000 };
        let at = Timestamp::from_unix_millis(at);
        match receive(&description, secret, at, &request) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    ErrorKind::WebhookRefused,
                    "{}",
                    error.report()
                );
                false
            }
        }
    }
}

/// Vectors of other parts of the library: PKCE, and HTTP Basic authentication of the client.
const ELSEWHERE: [&str; 3] = ["pkce-s256", "pkce-s256-hex", "http-basic"];

#[test]
fn published_signature_vectors_have_the_published_results() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable contains the directory of the oracles"
    )]
    let directory = std::env::var("CONNECTORS_ORACLES");
    let Ok(directory) = directory else {
        println!("skipped: CONNECTORS_ORACLES names no directory with vectors.json");
        return;
    };
    let path = std::path::Path::new(&directory).join("vectors.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors: BTreeMap<&str, &Value> = file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| (vector["id"].as_str().unwrap(), vector))
        .collect();
    let changed = |vector: &Value, change: &Value| {
        let mut made = Vector {
            inputs: serde_json::from_value(vector["inputs"].clone()).unwrap(),
            expected: vector["expected"].as_str().unwrap().to_owned(),
            now: None,
            without: None,
            scheme: "",
            provider: "",
        };
        for (name, value) in change.as_object().into_iter().flatten() {
            let text = || value.as_str().unwrap().to_owned();
            match name.as_str() {
                "expected" => made.expected = text(),
                "now" => made.now = Some(text()),
                "without_header" => made.without = Some(text()),
                input => {
                    // The receiver's clock stays at the time when the vector was sent.
                    if input == "timestamp" {
                        made.now = made.inputs["timestamp"].as_str().map(str::to_owned);
                    }
                    made.inputs.insert(input.to_owned(), value.clone());
                }
            }
        }
        made
    };
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut skipped = Vec::new();
    for (group, wanted) in [("vectors", true), ("accept", true), ("reject", false)] {
        for case in file[group].as_array().unwrap() {
            let id = case["id"].as_str().unwrap();
            let vector = case
                .get("of")
                .map_or(case, |of| vectors[of.as_str().unwrap()]);
            let scheme = vector["scheme"].as_str().unwrap();
            if ELSEWHERE.contains(&scheme) {
                skipped.push(id);
                continue;
            }
            let mut made = changed(vector, &case["change"]);
            made.scheme = scheme;
            made.provider = vector["provider"].as_str().unwrap();
            assert_eq!(made.is_accepted(), wanted, "{group}: {id}");
            *counts.entry((group, scheme)).or_default() += 1;
        }
    }
    for ((group, scheme), count) in &counts {
        println!("{group} {scheme}: {count}");
    }
    let total = |wanted: &str| -> usize {
        let of_group = counts.iter().filter(|((group, _), _)| *group == wanted);
        of_group.map(|(_, count)| count).sum()
    };
    println!(
        "vectors {}, accepted variants {}, rejected variants {}; skipped here: {skipped:?}",
        total("vectors"),
        total("accept"),
        total("reject")
    );
    assert_eq!(total("vectors") + skipped.len(), vectors.len());
    assert!(total("vectors") >= 37 && total("accept") >= 3 && total("reject") >= 20);
}

#[test]
fn event_fields_are_read_from_the_described_places() {
    let body = r#"{"type":"event_callback","team_id":"T1","event_id":"Ev1","event_time":1800000000,"event":{"type":"made_up_tomorrow"}}"#;
    let time = NOW.to_string();
    let tag = mac(b"secret", format!("v0:{NOW}:{body}").as_bytes());
    let tag = format!("v0={}", hex(&tag));
    let slack = post(
        &[
            ("x-slack-signature", &tag),
            ("x-slack-request-timestamp", &time),
        ],
        body,
    );
    let events = events(receive(&description("slack"), Some("secret"), now(), &slack).unwrap());
    let event = &events[0];
    // An event of an unknown type is accepted and kept.
    assert_eq!(event.topic, "made_up_tomorrow");
    assert_eq!(event.delivery_id.as_deref(), Some("Ev1"));
    assert_eq!(event.triggered_at, Some(now()));
    assert!(matches!(&event.account, Some(AccountHint::Key(key)) if key.as_str() == "T1"));
    for field in [
        SignedField::Topic,
        SignedField::DeliveryId,
        SignedField::Account,
    ] {
        assert!(event.is_signed(field), "{field:?} stands in the body");
    }

    // Interactivity: a form whose field contains the JSON object.
    let body = "payload=%7B%22type%22%3A%22block_actions%22%2C%22team_id%22%3A%22T2%22%7D";
    let tag = format!(
        "v0={}",
        hex(&mac(b"secret", format!("v0:{NOW}:{body}").as_bytes()))
    );
    let request = post(
        &[
            ("x-slack-signature", &tag),
            ("x-slack-request-timestamp", &time),
        ],
        body,
    );
    let incoming = receive(&description("slack"), Some("secret"), now(), &request).unwrap();
    assert_eq!(self::events(incoming)[0].topic, "block_actions");
}

#[test]
fn a_bundle_is_split_into_events_with_their_own_bytes() {
    let body = r#"[ {"portalId":1,"subscriptionType":"a","eventId":7,"objectId":2,"occurredAt":1800000000000},
        {"portalId":18446744073709551615,"subscriptionType":"b/%","eventId":8} ]"#;
    let message = format!("POSThttps://app.example/hooks?x=%20@{body}{NOW}000");
    let tag = STANDARD.encode(mac(b"secret", message.as_bytes()));
    let time = format!("{NOW}000");
    let mut request = post(
        &[
            ("x-hubspot-signature-v3", &tag),
            ("x-hubspot-request-timestamp", &time),
        ],
        body,
    );
    *request.uri_mut() = "https://app.example/hooks?x=%20%40".parse().unwrap();
    let description = description("hubspot");
    let read = events(receive(&description, Some("secret"), now(), &request).unwrap());
    let ids: Vec<_> = read
        .iter()
        .map(|it| it.delivery_id.as_deref().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "1/a/2/7/1800000000000/",
            "18446744073709551615/b%2F%25//8//"
        ]
    );
    assert_eq!(
        read[1].body,
        r#"{"portalId":18446744073709551615,"subscriptionType":"b/%","eventId":8}"#
    );
    assert!(read[1].is_signed(SignedField::DeliveryId));
    // Behind a proxy, the request does not contain the original URL.
    *request.uri_mut() = "/internal?x=%20%40".parse().unwrap();
    let error = receive(&description, Some("secret"), now(), &request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let app = App::new("client").with_client_secret("secret");
    let (transport, clock, key) = (Script::new([]), ManualClock::new(now()), AppKey::default());
    let cx = Context::new(&app, &*transport, &clock);
    let url = "https://app.example/hooks".parse().unwrap();
    let endpoint = WebhookEndpoint::of_app(&key).with_url(&url);
    assert_eq!(
        events(verify(&description, &cx, &endpoint, &request).unwrap()).len(),
        2
    );
    let other = "https://app.example/other".parse().unwrap();
    let endpoint = WebhookEndpoint::of_app(&key).with_url(&other);
    assert!(verify(&description, &cx, &endpoint, &request).is_err());
    // If a version 3 signature is present, an older signature is ignored.
    let old = ring::digest::digest(&ring::digest::SHA256, format!("secret{body}").as_bytes());
    let old = hex(old.as_ref());
    let downgraded = post(
        &[
            ("x-hubspot-signature-v3", "x"),
            ("x-hubspot-signature", &old),
            ("x-hubspot-signature-version", "v1"),
        ],
        body,
    );
    assert!(receive(&description, Some("secret"), now(), &downgraded).is_err());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn handshakes_are_answered_and_not_stored() {
    let mut count = 0;
    // Slack: the request is signed, and the challenge is returned as text.
    let body = r#"{"type":"url_verification","challenge":"c-1"}"#;
    let tag = format!(
        "v0={}",
        hex(&mac(b"secret", format!("v0:{NOW}:{body}").as_bytes()))
    );
    let time = NOW.to_string();
    let headers = [
        ("x-slack-signature", tag.as_str()),
        ("x-slack-request-timestamp", &time),
    ];
    let slack = description("slack");
    let answer = reply(receive(&slack, Some("secret"), now(), &post(&headers, body)).unwrap());
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"c-1"[..])
    );
    let error = receive(&slack, Some("other"), now(), &post(&headers, body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    count += 2;

    // Discord: signed pings get fixed responses. An interaction is stored and also gets a response.
    let pair = signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = hex(signature::KeyPair::public_key(&pair).as_ref());
    let discord = |name: &str, body: &str| {
        let tag = hex(pair.sign(format!("{NOW}{body}").as_bytes()).as_ref());
        let request = post(
            &[
                ("x-signature-ed25519", &tag),
                ("x-signature-timestamp", &time),
            ],
            body,
        );
        receive(&description(name), Some(&public), now(), &request).unwrap()
    };
    let pong = reply(discord("discord", r#"{"type":1,"version":1}"#));
    assert_eq!(
        (pong.status().as_u16(), &pong.body()[..]),
        (200, &br#"{"type":1}"#[..])
    );
    let pong = reply(discord("discord-events", r#"{"version":1,"type":0}"#));
    assert_eq!((pong.status().as_u16(), pong.body().len()), (204, 0));
    match discord("discord", r#"{"type":2,"id":"i-1","data":{"name":"ask"}}"#) {
        Incoming::Accept {
            events,
            reply: Some(reply),
        } => {
            assert_eq!(events[0].topic, "ask");
            assert_eq!(reply.body(), r#"{"type":5}"#);
        }
        other => panic!("{other:?}"),
    }
    count += 3;

    // Meta: the verify token is compared, and the challenge is returned.
    let meta = |token: &str| {
        let uri = format!("/hooks?hub.mode=subscribe&hub.challenge=158&hub.verify_token={token}");
        let request = Request::get(uri).body(Bytes::new()).unwrap();
        receive(&description("instagram"), Some("secret"), now(), &request)
    };
    assert_eq!(reply(meta("the-verify-token").unwrap()).body(), "158");
    for wrong in ["", "other", "the-verify-toke", "the-verify-token2"] {
        assert_eq!(meta(wrong).unwrap_err().kind(), ErrorKind::WebhookRefused);
        count += 1;
    }

    // Microsoft: the decoded token of the query is returned as plain text, which browsers do not
    // render as HTML.
    let uri = "/hooks?validationToken=a%3Cscript%3E+b";
    let request = Request::post(uri).body(Bytes::new()).unwrap();
    let answer = reply(receive(&description("microsoft"), None, now(), &request).unwrap());
    assert_eq!(answer.body(), "a<script> b");
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let doubled = Request::post("/hooks?validationToken=a&validationToken=b");
    let doubled = doubled.body(Bytes::new()).unwrap();
    assert!(receive(&description("microsoft"), None, now(), &doubled).is_err());
    count += 3;

    // Notion: the secret is delivered once, while none is set. After that, such a request is a
    // normal signed request.
    let body = r#"{"verification_token":"secret_1"}"#;
    let notion = description("notion");
    let tag = format!("sha256={}", hex(&mac(b"secret_1", body.as_bytes())));
    let request = post(&[("x-notion-signature", &tag)], body);
    match receive(&notion, None, now(), &request).unwrap() {
        Incoming::Secret { secret, .. } => {
            assert_eq!(secrecy::ExposeSecret::expose_secret(&secret), "secret_1");
        }
        other => panic!("{other:?}"),
    }
    reply(receive(&notion, Some("secret_1"), now(), &request).unwrap());
    let error = receive(&notion, Some("another"), now(), &request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    let event = post(
        &[("x-notion-signature", &tag)],
        r#"{"id":"1","type":"page.created"}"#,
    );
    let error = receive(&notion, None, now(), &event).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Configuration,
        "an event needs a secret"
    );
    count += 4;

    // X-Hook-Secret: the secret is returned in the same header and is never replaced.
    let request = post(&[("x-hook-secret", "s-1")], "");
    match receive(&description("hook-secret"), None, now(), &request).unwrap() {
        Incoming::Secret { reply, .. } => assert_eq!(reply.headers()["x-hook-secret"], "s-1"),
        other => panic!("{other:?}"),
    }
    let error = receive(&description("hook-secret"), Some("old"), now(), &request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    count += 2;
    println!("handshakes: {count}");
}

#[test]
fn tokens_in_requests_are_compared_completely() {
    let google = |token: &str| {
        post(
            &[
                ("x-goog-channel-token", token),
                ("x-goog-channel-id", "c-1"),
                ("x-goog-message-number", "7"),
                ("x-goog-resource-state", "exists"),
                ("x-goog-resource-uri", "https://api.example/r"),
            ],
            "",
        )
    };
    let (mut refused, token) = (0, "a-random-token-of-the-channel");
    let drive = description("google");
    assert_eq!(
        channel(&drive, &google("x")).unwrap().as_deref(),
        Some("c-1")
    );
    let event = events(receive(&drive, Some(token), now(), &google(token)).unwrap()).remove(0);
    assert_eq!(event.delivery_id.as_deref(), Some("c-1/7"));
    assert_eq!(event.fields["x-goog-resource-uri"], "https://api.example/r");
    assert!(
        !event.is_signed(SignedField::DeliveryId),
        "a token covers nothing"
    );
    for wrong in [
        "",
        " ",
        &token[1..],
        &token[..28],
        "A-RANDOM-TOKEN-OF-THE-CHANNEL",
    ] {
        assert!(
            receive(&drive, Some(token), now(), &google(wrong)).is_err(),
            "{wrong:?}"
        );
        refused += 1;
    }
    let graph = description("microsoft");
    let items = |states: &[&str]| {
        let items: Vec<_> = states
            .iter()
            .map(|state| json!({ "clientState": state, "subscriptionId": "s", "changeType": "updated" }))
            .collect();
        post(&[], &json!({ "value": items }).to_string())
    };
    let good = receive(&graph, Some(token), now(), &items(&[token, token])).unwrap();
    match good {
        Incoming::Accept {
            events,
            reply: Some(reply),
        } => {
            assert_eq!((events.len(), reply.status().as_u16()), (2, 202));
        }
        other => panic!("{other:?}"),
    }
    for wrong in [&["x"][..], &[token, "x"], &["x", token], &[]] {
        assert!(receive(&graph, Some(token), now(), &items(wrong)).is_err());
        refused += 1;
    }
    let basic = description("zapier-basic");
    let with = |value: &str| post(&[("authorization", value)], "{}");
    let sent = |text: &str| format!("Basic {}", STANDARD.encode(text));
    assert!(receive(&basic, Some("ann:p:w"), now(), &with(&sent("ann:p:w"))).is_ok());
    for wrong in [
        sent("ann:p"),
        sent("ann"),
        sent(""),
        "Basic".to_owned(),
        "Bearer ann:p:w".to_owned(),
        "Basic ann:p:w".to_owned(),
    ] {
        assert!(receive(&basic, Some("ann:p:w"), now(), &with(&wrong)).is_err());
        refused += 1;
    }
    println!("wrong tokens rejected: {refused}");
}

#[test]
fn hmac_sha1_is_verified_where_a_provider_offers_nothing_better() {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"Jefe");
    // RFC 2202, test case 2.
    let tag = hmac::sign(&key, b"what do ya want for nothing?");
    assert_eq!(
        hex(tag.as_ref()),
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    );
    let tag = format!("sha1={}", hex(hmac::sign(&key, b"{}").as_ref()));
    let legacy = description("hmac-sha1");
    let request = |tag: &str| post(&[("x-hub-signature", tag)], "{}");
    assert!(receive(&legacy, Some("Jefe"), now(), &request(&tag)).is_ok());
    assert!(
        receive(
            &legacy,
            Some("Jefe"),
            now(),
            &request(&tag.replace("sha1=", ""))
        )
        .is_err()
    );
    assert!(receive(&legacy, Some("Jefe"), now(), &request(&tag[..43])).is_err());
}

#[test]
fn the_accounts_in_body_and_header_must_match() {
    let shopify = description("shopify");
    let deliver = |host: Option<&str>, body: &str| {
        let tag = STANDARD.encode(mac(b"secret", body.as_bytes()));
        let mut headers = vec![
            ("x-shopify-hmac-sha256", tag.as_str()),
            ("x-shopify-topic", "t"),
        ];
        headers.extend(host.map(|host| ("x-shopify-shop-domain", host)));
        let incoming = receive(&shopify, Some("secret"), now(), &post(&headers, body));
        incoming.map(|incoming| events(incoming).remove(0))
    };
    let (a, b) = ("a.myshopify.com", r#"{"shop_domain":"a.myshopify.com"}"#);
    let hinted = deliver(Some(a), "{}").unwrap();
    assert!(!hinted.is_signed(SignedField::Account));
    for event in [
        deliver(Some(a), b),
        deliver(Some("A.myshopify.com"), b),
        deliver(None, b),
    ] {
        let event = event.unwrap();
        assert_eq!(event.account, Some(AccountHint::Host(a.to_owned())));
        assert!(
            event.is_signed(SignedField::Account),
            "the signed body names it"
        );
    }
    let mut refused = 0;
    for (host, body) in [
        (Some("b.myshopify.com"), b),
        (Some(a), r#"{"shop_domain":"evil.example"}"#),
        (Some("evil.example"), b),
        (None, "{}"),
        (None, r#"{"shop_domain":{}}"#),
        (Some(a), r#"{"myshopify_domain":"b.myshopify.com"}"#),
    ] {
        assert_eq!(
            deliver(host, body).unwrap_err().kind(),
            ErrorKind::WebhookRefused
        );
        refused += 1;
    }
    println!("deliveries with no account or two accounts: {refused} rejected");
}

/// The bodies that each body form accepts and rejects.
#[test]
fn a_body_in_another_form_is_rejected_despite_a_valid_signature() {
    let mut tried = 0;
    for (forms, good, bad) in [
        (
            json!(["json_object"]),
            &["{}", "{\"a\":1} \n"][..],
            &[
                "",
                "[]",
                "1",
                "\"{}\"",
                " {}",
                "\u{feff}{}",
                "{",
                "{}{}",
                "{\"a\":1",
                "a=1&b=2",
                "eyJhbGciOiJIUzI1NiJ9.e30",
                "{a:1}",
            ][..],
        ),
        (
            json!(["json"]),
            &["{}", "[1]", " [ ]"],
            &["", "1", "null", "a=[]"],
        ),
        (
            json!(["form"]),
            &["a=1", "a=%7B&b"],
            &["", "{}", "{\"a\":\"=\"}", "a"],
        ),
        (
            json!([{ "form_json": "p" }]),
            &["p=%7B%7D", "x=1&p={}"],
            &["", "p=", "p=1", "p=[]", "q={}", "p={}&p={}"],
        ),
        (json!(["bytes"]), &["x", "\u{0}"], &[""]),
        (json!(["empty"]), &[""], &["x", " "]),
    ] {
        let scheme = json!({ "signatures": [{ "headers": ["x-s"] }], "body": forms });
        let description = described(serde_json::from_value(scheme).unwrap());
        for (bodies, wanted) in [(good, true), (bad, false)] {
            for body in bodies {
                let tag = STANDARD.encode(mac(b"secret", body.as_bytes()));
                let got = receive(
                    &description,
                    Some("secret"),
                    now(),
                    &post(&[("x-s", &tag)], body),
                );
                assert_eq!(got.is_ok(), wanted, "{forms}: {body:?}");
                tried += 1;
            }
        }
    }
    println!("bodies against forms: {tried}");
}

/// Schemes with one invalid value, and the field that the error must name.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn an_invalid_scheme_is_rejected_with_the_name_of_its_field() {
    let good = json!({ "signatures": [{ "headers": ["x-s"] }] });
    let header = json!([{ "header": "x y" }]);
    let mut cases = vec![
        ("signatures", json!({ "signatures": [] })),
        ("methods", json!({ "methods": [] })),
        ("methods", json!({ "methods": ["post"] })),
        ("methods", json!({ "methods": ["TRACE"] })),
        ("body", json!({ "body": [] })),
        (
            "body",
            json!({ "body": ["form"], "secret_signs_more": true }),
        ),
        (
            "body",
            json!({ "body": ["json_object", "json"], "secret_signs_more": true }),
        ),
        ("body.form_json", json!({ "body": [{ "form_json": "" }] })),
        ("items", json!({ "items": "value" })),
        ("items", json!({ "items": "/" })),
        ("items", json!({ "items": "/a/b" })),
        ("items", json!({ "items": "" })),
        ("items", json!({ "items": "/a", "body": ["form"] })),
        (
            "account_key",
            json!({ "account_host": [{ "header": "x" }], "account_key": [{ "header": "x" }] }),
        ),
        ("channel", json!({ "channel": [{ "header": "x" }] })),
        ("required", json!({ "required": ["topic"] })),
        ("required", json!({ "required": ["account"] })),
        ("required", json!({ "required": ["delivery_id"] })),
        ("fields", json!({ "fields": [""] })),
        ("probe_topics", json!({ "probe_topics": ["t"] })),
        (
            "probe_topics",
            json!({ "probe_topics": [""], "topic": [{ "header": "x" }] }),
        ),
        ("status", json!({ "status": 199 })),
        ("status", json!({ "status": 300 })),
        ("status", json!({ "status": 0 })),
        ("reply", json!({ "status": 204, "reply": {} })),
    ];
    for field in [
        "topic",
        "account_host",
        "account_key",
        "delivery_id",
        "event_id",
        "triggered_at",
    ] {
        cases.push((field, json!({ field: header })));
        cases.push((field, json!({ field: [{ "pointer": "a" }] })));
        cases.push((
            field,
            json!({ field: [{ "pointer": "/a" }], "body": ["bytes"] }),
        ));
        cases.push((field, json!({ field: [{ "joined": [] }] })));
        cases.push((field, json!({ field: [{ "key": [{ "pointer": "/a" }] }] })));
        cases.push((
            field,
            json!({ field: [{ "key": [{ "pointer": "/a" }, { "pointer": "b" }] }] }),
        ));
        cases.push((
            field,
            json!({ field: [{ "joined": [{ "header": "x" }, { "joined": [] }] }] }),
        ));
    }
    let of_signature =
        |field: &'static str, value: Value| (field, json!({ "signatures": [value] }));
    let timed = |extra: Value| {
        let mut rule = json!({ "headers": ["x-s"], "signed": [{ "header": "x-t" }, "body"] });
        rule["timestamp"] = extra;
        rule
    };
    cases.extend([
        of_signature("signatures[0].headers", json!({})),
        of_signature("signatures[0].headers", json!({ "headers": ["x y"] })),
        of_signature("signatures[0].pointer", json!({ "pointer": "/a" })),
        of_signature(
            "signatures[0].pointer",
            json!({ "pointer": "a", "algorithm": "shared_token" }),
        ),
        of_signature(
            "signatures[0].prefix",
            json!({ "headers": ["x"], "prefix": "\n" }),
        ),
        of_signature(
            "signatures[0].prefix",
            json!({ "headers": ["x"], "entries": "spaced" }),
        ),
        of_signature(
            "signatures[0].entries.pairs",
            json!({ "headers": ["x"], "entries": { "pairs": "a=b" } }),
        ),
        of_signature(
            "signatures[0].entries",
            json!({ "headers": ["x"], "entries": { "pairs": "a" }, "algorithm": "basic" }),
        ),
        of_signature(
            "signatures[0].key",
            json!({ "headers": ["x"], "algorithm": "ed25519" }),
        ),
        of_signature(
            "signatures[0].key",
            json!({ "headers": ["x"], "algorithm": "shared_token", "key": "hex" }),
        ),
        of_signature(
            "signatures[0].key.prefixed",
            json!({ "headers": ["x"], "key": { "prefixed": "" } }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": [] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["method"] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", "body"] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", "secret"] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body"], "algorithm": "sha256" }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", { "text": "" }] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", { "header": "" }] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", { "uri": { "decoded": "%" } }] }),
        ),
        of_signature(
            "signatures[0].signed",
            json!({ "headers": ["x"], "signed": ["body", "method"], "algorithm": "basic" }),
        ),
        of_signature(
            "signatures[0].when.header",
            json!({ "headers": ["x"], "when": { "header": "", "value": "" } }),
        ),
        of_signature(
            "signatures[0].timestamp",
            timed(json!({ "header": "x-other" })),
        ),
        of_signature(
            "signatures[0].timestamp.tolerance_seconds",
            timed(json!({ "header": "x-t", "tolerance_seconds": 0 })),
        ),
        of_signature(
            "signatures[0].timestamp.tolerance_seconds",
            timed(json!({ "header": "x-t", "tolerance_seconds": 86_401 })),
        ),
    ]);
    let handshake = |field: &'static str, value: Value| (field, json!({ "handshakes": [value] }));
    cases.extend([
        handshake(
            "handshakes[0].when",
            json!({ "echo": { "when": {}, "pointer": "/a" } }),
        ),
        handshake(
            "handshakes[0].when",
            json!({ "echo": { "when": { "a": 1 }, "pointer": "/a" } }),
        ),
        handshake(
            "handshakes[0].pointer",
            json!({ "echo": { "when": { "/a": 1 }, "pointer": "" } }),
        ),
        handshake(
            "handshakes[0].member",
            json!({ "echo": { "when": { "/a": 1 }, "pointer": "/a", "member": "" } }),
        ),
        handshake(
            "handshakes[0].status",
            json!({ "answer": { "when": { "/a": 1 }, "status": 500 } }),
        ),
        handshake(
            "handshakes[0].reply",
            json!({ "answer": { "when": { "/a": 1 }, "status": 204, "reply": 1 } }),
        ),
        handshake(
            "handshakes[0].method",
            json!({ "challenge": { "method": "get", "parameter": "c" } }),
        ),
        handshake(
            "handshakes[0].parameter",
            json!({ "challenge": { "method": "GET", "parameter": "" } }),
        ),
        handshake(
            "handshakes[0].token_parameter",
            json!({ "challenge": { "method": "GET", "parameter": "c", "token_parameter": "c" } }),
        ),
        handshake("handshakes[0]", json!({ "secret": { "pointer": "/a" } })),
    ]);
    for (field, change) in &cases {
        let mut scheme = good.clone();
        for (name, value) in change.as_object().unwrap() {
            scheme[name] = value.clone();
        }
        let scheme: WebhookScheme = serde_json::from_value(scheme).unwrap();
        let error = described(scheme).validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{change}");
        let named = format!("`webhook.{field}`");
        assert!(error.to_string().contains(&named), "{change}: {error}");
    }
    // An unknown field is rejected earlier, at any position.
    let mut unknown = 0;
    for text in [
        r#"{"signatures":[{"headers":["x"]}],"signature":["x"]}"#,
        r#"{"signatures":[{"headers":["x"],"timestamp":{"header":"a","pair":{"header":"a","key":"b"}}}]}"#,
        r#"{"signatures":[{"headers":["x"],"timestamp":{}}]}"#,
        r#"{"signatures":[{"headers":["x"],"hash":"md5"}]}"#,
        r#"{"signatures":[{"headers":["x"],"algorithm":"md5"}]}"#,
        r#"{"signatures":[{"headers":["x"]}],"topic":[{"query":"x"}]}"#,
        r#"{"signatures":[{"headers":["x"]}],"handshakes":[{"echo":{"when":{},"pointer":"/a","x":1}}]}"#,
        "{}",
    ] {
        assert!(
            serde_json::from_str::<WebhookScheme>(text).is_err(),
            "{text}"
        );
        unknown += 1;
    }
    println!(
        "schemes refused by field: {}, unknown fields: {unknown}",
        cases.len()
    );
}

/// Random headers, bodies, signatures and queries, for every scheme.
#[test]
fn random_requests_never_panic_and_are_never_accepted() {
    let random = Seeded::new(11);
    let (mut tried, mut handshakes) = (0, 0);
    let schemes: Vec<(String, Description)> = all()
        .keys()
        .map(|name| (name.clone(), description(name)))
        .collect();
    let pick = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
    let texts = [
        "",
        "{}",
        "[]",
        "{\"value\":[{}]}",
        "{\"entry\":1}",
        "t=1,v1=00",
        "v1,AA==",
        "sha256=00",
        "Basic Og==",
        "a=b",
        "payload={}",
        "1800000000",
        "\u{7f}",
        "%",
        "/",
    ];
    let bytes = || -> Vec<u8> {
        if random.below(3) == 0 {
            return texts[pick(texts.len())].as_bytes().to_vec();
        }
        (0..random.below(80))
            .map(|_| random.next().to_be_bytes()[0])
            .collect()
    };
    for number in 0..30_000_usize {
        let (name, description) = &schemes[number % schemes.len()];
        let scheme = description.webhook.as_ref().unwrap();
        let mut request = Request::new(Bytes::from(bytes()));
        *request.method_mut() = [http::Method::POST, http::Method::GET][pick(8) / 7].clone();
        if let Ok(uri) = http::Uri::try_from([b"/?", &bytes()[..]].concat()) {
            *request.uri_mut() = uri;
        }
        let names = scheme
            .signatures
            .iter()
            .flat_map(|it| it.headers.iter().map(String::as_str));
        let others = [
            "x-slack-request-timestamp",
            "x-signature-timestamp",
            "webhook-id",
            "webhook-timestamp",
            "x-hubspot-request-timestamp",
            "x-hubspot-signature-version",
            "x-shopify-topic",
            "x-shopify-shop-domain",
            "x-goog-channel-id",
            "x-goog-resource-state",
        ];
        for name in names.chain(others) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes()) {
                request
                    .headers_mut()
                    .insert(http::HeaderName::try_from(name).unwrap(), value);
            }
        }
        let secret = match scheme.signatures[0].algorithm {
            connector_core::provider::webhook::WebhookAlgorithm::Ed25519 => {
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
            }
            _ => "c2VjcmV0LXRoYXQtbm9ib2R5LWtub3dz",
        };
        let _ = channel(description, &request);
        let _ = read_proved(description, &|_| None, &AppKey::default(), &request);
        match receive(description, Some(secret), now(), &request) {
            // Microsoft's handshake is not signed.
            Ok(Incoming::Reply(_)) => {
                assert_eq!(name, "microsoft");
                handshakes += 1;
            }
            Ok(other) => panic!("{name} accepted {other:?}: {request:?}"),
            Err(_) => {}
        }
        tried += 1;
    }
    println!("random requests: {tried}, {handshakes} unsigned handshakes, 0 accepted");
}
