//! Signatures, against published vectors and the official library.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock, ManualClock, SystemClock, Timestamp};
use connector_core::http::{HttpTransport, OutboundRequest, TransportError};
use connector_core::outbound::{MessageId, SignatureAlgorithm, SigningSecret, sign};
use connector_core::provider::webhook::{WebhookEndpoint, verify};
use connector_core::provider::{Context, Description};
use connector_core::{App, AppKey, Random, SystemRandom};
use http::Request;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use standardwebhooks::Webhook;

const NOW: i64 = 1_614_265_330;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &str = r#"{"test": 2432232314}"#;

/// A transport that is never used.
#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl HttpTransport for Nowhere {
    async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        panic!("nothing is sent")
    }
}

/// The receiving side of this library, with Standard Webhooks as data.
fn accepts(algorithm: SignatureAlgorithm, key: &SecretString, request: &Request<Bytes>) -> bool {
    let (name, key_form, prefix) = match algorithm {
        SignatureAlgorithm::HmacSha256 => ("hmac_sha256", "whsec_", "v1,"),
        _ => ("ed25519", "whpk_", "v1a,"),
    };
    let description = serde_json::json!({
        "provider": "sender", "name": "Sender", "api": ["https://api.sender.example"],
        "token": { "endpoint": "https://api.sender.example/token" },
        "identity": { "endpoint": "https://api.sender.example/me", "account": "/id" },
        "webhook": {
            "signatures": [{
                "algorithm": name, "key": { "prefixed": key_form },
                "headers": ["webhook-signature"], "entries": "spaced", "prefix": prefix,
                "signed": [
                    { "header": "webhook-id" }, { "text": "." },
                    { "header": "webhook-timestamp" }, { "text": "." }, "body"
                ],
                "timestamp": { "header": "webhook-timestamp" }
            }],
            "secret": "webhook", "body": ["bytes", "empty"],
            "delivery_id": [{ "header": "webhook-id" }]
        }
    });
    let description: Description = serde_json::from_value(description).unwrap();
    let (app, app_key) = (App::new("client"), AppKey::default());
    let clock = ManualClock::new(Timestamp::from_unix_seconds(NOW));
    let cx = Context::new(&app, &Nowhere, &clock);
    let secrets = [key.clone()];
    let endpoint = WebhookEndpoint::of_connection(&app_key, &secrets);
    verify(&description, &cx, &endpoint, request).is_ok()
}

fn request(id: &[u8], time: &[u8], signature: &[u8], body: &[u8]) -> Option<Request<Bytes>> {
    Request::post("https://receiver.example/")
        .header("webhook-id", id)
        .header("webhook-timestamp", time)
        .header("webhook-signature", signature)
        .body(Bytes::copy_from_slice(body))
        .ok()
}

fn signed(secrets: &[SigningSecret], id: &str, body: &[u8]) -> Request<Bytes> {
    signed_at(Timestamp::from_unix_seconds(NOW), secrets, id, body)
}

fn signed_at(at: Timestamp, secrets: &[SigningSecret], id: &str, body: &[u8]) -> Request<Bytes> {
    let signature = sign(secrets, &MessageId::new(id).unwrap(), at, body).unwrap();
    let time = at.as_unix_seconds().to_string();
    request(id.as_bytes(), time.as_bytes(), signature.as_bytes(), body).unwrap()
}

fn parse(text: &str) -> SigningSecret {
    SigningSecret::parse(&SecretString::from(text)).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the variable names a directory with test data"
)]
fn oracles() -> Option<std::path::PathBuf> {
    std::env::var_os("CONNECTORS_ORACLES").map(Into::into)
}

#[test]
fn published_vectors_are_reproduced() {
    let symmetric = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    let mut vectors = vec![
        (symmetric.to_owned(), ID.to_owned(), NOW, BODY.to_owned(),
         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
        (private.to_owned(), ID.to_owned(), NOW, BODY.to_owned(),
         "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==".to_owned()),
    ];
    if let Some(directory) = oracles() {
        let text = std::fs::read_to_string(directory.join("vectors.json")).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            if !vector["scheme"]
                .as_str()
                .unwrap_or_default()
                .starts_with("standard-webhooks")
            {
                continue;
            }
            let inputs = &vector["inputs"];
            let text = |name: &str| inputs[name].as_str().unwrap_or_default().to_owned();
            let body = if let Some(body) = inputs["body"].as_str() {
                body.to_owned()
            } else {
                let times = inputs["body"]["times"].as_u64().unwrap();
                let repeat = inputs["body"]["repeat"].as_str().unwrap();
                repeat.repeat(times.try_into().unwrap())
            };
            let time = text("timestamp").parse().unwrap();
            let expected = vector["expected"].as_str().unwrap().to_owned();
            vectors.push((text("secret"), text("id"), time, body, expected));
        }
    }
    let mut count = 0;
    for (secret, id, time, body, expected) in &vectors {
        let at = Timestamp::from_unix_seconds(*time);
        let id = MessageId::new(id).unwrap();
        let signature = sign(&[parse(secret)], &id, at, body.as_bytes()).unwrap();
        assert_eq!(&signature, expected);
        count += 1;
    }
    let public = parse(private).verification_key();
    assert_eq!(
        public.expose_secret(),
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    );
    println!("published signatures reproduced: {count}");
    assert!(count >= 2);
}

#[test]
fn secrets_of_another_form_are_refused() {
    let mut refused = 0;
    for text in [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        // The public key belongs to another seed.
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    ] {
        let error = SigningSecret::parse(&SecretString::from(text)).unwrap_err();
        assert!(text.len() < 10 || !format!("{error:?}").contains(text));
        refused += 1;
    }
    println!("signing secrets refused: {refused}");
    assert_eq!(refused, 8);
}

/// Returns a random text of at most `most` bytes.
fn random_text(most: usize) -> String {
    let mut bytes = vec![0; most];
    SystemRandom::new().fill(&mut bytes).unwrap();
    let length = usize::from(bytes[0]) * most / 256;
    bytes[..length]
        .iter()
        .map(|it| char::from(b' ' + it % 95))
        .collect()
}

#[test]
fn the_official_library_and_this_one_verify_each_other() {
    const COUNT: usize = 3_000;
    let (random, mut ours, mut theirs) = (SystemRandom::new(), 0, 0);
    for _ in 0..COUNT {
        let secret = SigningSecret::generate(SignatureAlgorithm::HmacSha256, &random).unwrap();
        let other = SigningSecret::generate(SignatureAlgorithm::HmacSha256, &random).unwrap();
        let text = secret.to_text();
        let official = Webhook::new(text.expose_secret()).unwrap();
        let id = MessageId::generate(&random).unwrap();
        let body = random_text(400);
        // Two live secrets, in either order.
        // The official library compares the time with the wall clock.
        let now = SystemClock::new().now();
        let sent = signed_at(now, &[other, secret], id.as_str(), body.as_bytes());
        official.verify(body.as_bytes(), sent.headers()).unwrap();
        ours += 1;
        let signature = official.sign(id.as_str(), NOW, body.as_bytes()).unwrap();
        let time = NOW.to_string();
        let received = request(
            id.as_str().as_bytes(),
            time.as_bytes(),
            signature.as_bytes(),
            body.as_bytes(),
        );
        let algorithm = SignatureAlgorithm::HmacSha256;
        theirs += usize::from(accepts(algorithm, &text, &received.unwrap()));
    }
    println!("verified by the official library: {ours}, verified by ours: {theirs}, of {COUNT}");
    assert_eq!((ours, theirs), (COUNT, COUNT));
}

#[test]
fn every_changed_bit_is_refused() {
    let random = SystemRandom::new();
    let mut refused = 0;
    for algorithm in [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::Ed25519] {
        let secret = SigningSecret::generate(algorithm, &random).unwrap();
        let key = secret.verification_key();
        let body = random_text(60);
        let sent = signed(std::slice::from_ref(&secret), "msg_1", body.as_bytes());
        assert!(accepts(algorithm, &key, &sent));
        let header = |name: &str| sent.headers()[name].as_bytes().to_vec();
        let whole = [
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
            body.into_bytes(),
        ];
        for part in 0..whole.len() {
            for bit in 0..whole[part].len() * 8 {
                let mut changed = whole.clone();
                changed[part][bit / 8] ^= 1 << (bit % 8);
                let [id, time, signature, body] = &changed;
                // Some bytes cannot be sent in a header.
                if let Some(request) = request(id, time, signature, body) {
                    assert!(!accepts(algorithm, &key, &request), "{part} {bit}");
                }
                refused += 1;
            }
        }
        for other in [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::Ed25519] {
            let other = SigningSecret::generate(other, &random).unwrap();
            let key = other.verification_key();
            assert!(!accepts(other.algorithm(), &key, &sent));
        }
    }
    println!("changed bits refused: {refused}");
    assert!(refused > 1_000);
}

#[test]
fn text_forms_of_secrets_round_trip() {
    for algorithm in [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::Ed25519] {
        let secret = SigningSecret::generate(algorithm, &SystemRandom::new()).unwrap();
        let text = secret.to_text();
        let again = parse(text.expose_secret());
        let sent = |it: &SigningSecret| signed(std::slice::from_ref(it), "m", b"x");
        assert_eq!(sent(&secret).headers(), sent(&again).headers());
        let bare = text.expose_secret().split_once('_').unwrap().1;
        assert!(STANDARD.decode(bare).unwrap().len() >= 32);
        assert!(!format!("{secret:?}").contains(bare));
    }
}
