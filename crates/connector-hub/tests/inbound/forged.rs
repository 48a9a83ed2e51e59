//! Deliveries that are not genuine are refused before anything is stored.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::webhook::SignedField;
use connector_hub::Receipt;

use crate::rig::{ACME, MAIL, OLD_SECRET, Request, Rig, SECRET, SHOP, START, secret, sign};

const BODY: &[u8] = br#"{"id":7,"total":"19.90"}"#;

/// Checks that the delivery is refused with 401 and that nothing is stored.
async fn refused(rig: &Rig, provider: &connector_core::ProviderId, request: Request, why: &str) {
    let outcome = rig.hub.receive(provider, request.into()).await;
    let Err(error) = outcome else {
        panic!("accepted: {why}");
    };
    assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{why}");
    assert_eq!(Receipt::refusal(&error).status(), 401);
}

#[tokio::test]
async fn every_changed_bit_of_body_and_signature_is_refused() {
    let rig = Rig::new();
    let genuine = Request::shop("d-1", "orders/create", BODY);
    let mail = Request::mail("d-1", "orders/create", BODY);
    let acme = Request::acme("d-1", "orders/create", START, BODY);
    let mut tried = 0;
    for (provider, genuine) in [(SHOP, &genuine), (MAIL, &mail), (ACME, &acme)] {
        for bit in 0..BODY.len() * 8 {
            let mut forged = genuine.clone();
            forged.body[bit / 8] ^= 1 << (bit % 8);
            refused(&rig, &provider, forged, "a bit of the body").await;
            tried += 1;
        }
        // Every bit of every character of the signature. Hexadecimal digits are case-insensitive,
        // so a changed case is the same signature.
        for bit in 0..genuine.headers[0].1.len() * 8 {
            let mut forged = genuine.clone();
            let text = &genuine.headers[0].1;
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let is_same = changed.eq_ignore_ascii_case(text) && provider == ACME && bit / 8 >= 3;
            if is_same || http::HeaderValue::from_str(&changed).is_err() {
                continue;
            }
            forged.headers[0].1 = changed;
            refused(&rig, &provider, forged, "a bit of the signature's text").await;
            tried += 1;
        }
    }
    for bit in 0..256 {
        let mut signature = sign(&SECRET, BODY);
        signature[bit / 8] ^= 1 << (bit % 8);
        let mut forged = genuine.clone();
        forged.headers[0].1 = STANDARD.encode(signature);
        refused(&rig, &SHOP, forged, "a bit of the signature").await;
        tried += 1;
    }
    assert!(rig.deliveries().await.is_empty());
    assert!(tried > 1500);
    println!("changed bits: {tried} forged, 0 accepted");
    for (provider, genuine) in [(SHOP, genuine), (MAIL, mail), (ACME, acme)] {
        let receipt = rig.receive(&provider, genuine).await;
        assert_eq!(receipt.response().status(), 200);
    }
    assert_eq!(rig.deliveries().await.len(), 3);
}

#[tokio::test]
async fn what_does_not_have_the_form_is_refused() {
    let rig = Rig::new();
    let genuine = || Request::shop("d-1", "orders/create", BODY);
    let mut forged = vec![
        (
            "another secret",
            Request::shop_signed("guessed", "d-1", "t", BODY),
        ),
        (
            "an empty secret",
            Request::shop_signed(" ", "d-1", "t", BODY),
        ),
        (
            "no headers",
            Request {
                headers: Vec::new(),
                body: BODY.to_vec(),
            },
        ),
        (
            "an empty body",
            Request {
                body: Vec::new(),
                ..genuine()
            },
        ),
        (
            "a longer body",
            Request {
                body: [BODY, b" "].concat(),
                ..genuine()
            },
        ),
        (
            "a shorter body",
            Request {
                body: BODY[1..].to_vec(),
                ..genuine()
            },
        ),
        ("a signature of something else", {
            let mut it = genuine();
            it.headers[0].1 = STANDARD.encode(sign(&SECRET, b"something else"));
            it
        }),
        ("the plain secret", {
            let mut it = genuine();
            it.headers[0].1 = SECRET.clone();
            it
        }),
    ];
    for (name, value) in genuine().headers {
        forged.push(("a doubled header", genuine().with(name, &value)));
        forged.push((
            "a doubled header with another value",
            genuine().with(name, "other"),
        ));
        let mut without = genuine();
        without.headers.retain(|(its, _)| *its != name);
        forged.push(("a missing header", without));
    }
    for cut in 0..44 {
        let mut it = genuine();
        it.headers[0].1.truncate(cut);
        forged.push(("a cut signature", it));
    }
    let tried = forged.len();
    for (why, request) in forged {
        refused(&rig, &SHOP, request, why).await;
    }
    // A signature of one scheme is not valid for another.
    refused(&rig, &MAIL, genuine(), "another provider's").await;
    let mail = || Request::mail("d-1", "orders/create", BODY);
    for at in 0..3 {
        let mut changed = mail();
        changed.headers[at].1.insert(0, 'x');
        refused(&rig, &MAIL, changed, "a changed id or topic").await;
    }
    assert!(rig.deliveries().await.is_empty());
    println!("malformed: {} forged, 0 accepted", tried + 4);
}

#[tokio::test]
async fn random_changes_are_refused() {
    let rig = Rig::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let mut tried = 0;
    for _ in 0..20_000 {
        let genuine = Request::acme("d-1", "t", START, BODY);
        let mut forged = genuine.clone();
        match draw(4) {
            0 => {
                let at = draw(forged.body.len());
                forged.body[at] = u8::try_from(draw(256)).unwrap();
            }
            1 => {
                let at = draw(forged.body.len());
                forged.body.insert(at, u8::try_from(draw(256)).unwrap());
            }
            2 => {
                let at = 3 + draw(64);
                let digit = char::from(b"0123456789abcdef"[draw(16)]).to_string();
                forged.headers[0].1.replace_range(at..=at, &digit);
            }
            _ => {
                forged.headers[1].1 = (START - 300 + i64::try_from(draw(601)).unwrap()).to_string();
            }
        }
        let is_same = forged.body == genuine.body && forged.headers == genuine.headers;
        if is_same {
            continue;
        }
        refused(&rig, &ACME, forged, "a random change").await;
        tried += 1;
    }
    assert!(rig.deliveries().await.is_empty());
    assert!(tried > 19_000);
    println!("random changes: {tried} forged, 0 accepted");
}

#[tokio::test]
async fn the_old_and_the_new_secret_are_accepted_while_both_are_configured() {
    let rig = Rig::new();
    for (id, secret) in [("d-1", &*SECRET), ("d-2", &*OLD_SECRET)] {
        let request = Request::shop_signed(secret, id, "t", BODY);
        let receipt = rig.receive(&SHOP, request).await;
        let Receipt::Accepted { events, .. } = receipt else {
            panic!("{receipt:?}");
        };
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].delivery_id.as_deref(), Some(id));
        assert!(!events[0].is_signed(SignedField::Topic));
    }
    let request = Request::shop_signed("the-secret-before-that", "d-3", "t", BODY);
    refused(&rig, &SHOP, request, "a secret that was retired").await;
    assert_eq!(rig.tick().await, 2);
}

#[tokio::test]
async fn the_window_is_kept_to_the_second() {
    let rig = Rig::new();
    for (number, off) in [-300, -299, 0, 299, 300].into_iter().enumerate() {
        let request = Request::acme(&format!("d-{number}"), "t", START + off, BODY);
        assert_eq!(rig.receive(&ACME, request).await.response().status(), 200);
    }
    for off in [-301, 301, -86_400, i64::MIN + START, i64::MAX - START] {
        let at = START.saturating_add(off);
        refused(
            &rig,
            &ACME,
            Request::acme("late", "t", at, BODY),
            "out of the window",
        )
        .await;
    }
    let request = Request::acme("d-9", "t", START + 300, BODY);
    rig.clock.advance(Duration::from_secs(601));
    refused(&rig, &ACME, request, "replayed later").await;
}

#[tokio::test]
async fn bodies_are_bytes_and_bounded() {
    let rig = Rig::new();
    let bytes = b"\xff\xfe\x00 not text \xc3\x28".to_vec();
    rig.receive(&SHOP, Request::shop("d-1", "t", bytes.clone()))
        .await;
    let largest = vec![b'x'; 1_048_576];
    let receipt = rig
        .receive(&SHOP, Request::shop("d-2", "t", largest.clone()))
        .await;
    assert_eq!(receipt.response().status(), 200);
    let larger = Request::shop("d-3", "t", [&largest[..], b"x"].concat());
    let error = rig
        .hub
        .receive(&SHOP, larger.clone().into())
        .await
        .unwrap_err();
    assert_eq!(Receipt::refusal(&error).status(), 413);
    let widened = rig
        .hub
        .receive(&SHOP, larger.into())
        .largest_body(1_048_577);
    assert!(matches!(widened.await.unwrap(), Receipt::Accepted { .. }));
    assert_eq!(rig.tick().await, 3);
    let mut told: Vec<Bytes> = rig.recorder.told().into_iter().map(|it| it.body).collect();
    told.sort_by_key(Bytes::len);
    assert_eq!(told[0], bytes);
    assert!(told[1] == largest);
    assert_eq!(told[2].len(), 1_048_577);
}

#[tokio::test]
async fn a_handshake_is_answered_as_the_connector_says_and_nothing_is_kept() {
    let rig = Rig::new();
    let receipt = rig
        .receive(&SHOP, Request::shop("d-1", "handshake", "challenge"))
        .await;
    let response = receipt.response();
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (202, &b"challenge"[..])
    );
    assert!(rig.deliveries().await.is_empty());
}

#[tokio::test]
async fn endpoints_that_are_not_set_up_are_refused() {
    let rig = Rig::new();
    let request = || Request::shop("d-1", "t", BODY);
    let unknown = connector_core::ProviderId::from_static("unknown");
    let error = rig
        .hub
        .receive(&unknown, request().into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let app = connector_core::AppKey::new("unknown").unwrap();
    let receive = rig.hub.receive(&SHOP, request().into()).app(app);
    assert_eq!(receive.await.unwrap_err().kind(), ErrorKind::Configuration);
    for name in ["", "a/b", "a b", "ä", &"x".repeat(129)] {
        let receive = rig.hub.receive(&SHOP, request().into()).endpoint(name);
        assert_eq!(receive.await.unwrap_err().kind(), ErrorKind::Configuration);
    }
    let key = rig.connect("t1", SHOP, "a").await;
    let none = rig.hub.receive(&SHOP, request().into());
    let error = none.connection(key.clone(), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    // The app's secret is not accepted at a connection's endpoint.
    let own = vec![secret("own-secret")];
    let receive = rig.hub.receive(&SHOP, request().into());
    let error = receive
        .connection(key.clone(), own.clone())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    let elsewhere = rig.hub.receive(&MAIL, request().into());
    let error = elsewhere.connection(key, own).await.unwrap_err();
    assert_eq!(Receipt::refusal(&error).status(), 404);
    assert!(rig.deliveries().await.is_empty());
}
