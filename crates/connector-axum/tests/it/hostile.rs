//! Hostile input: sizes, slowness, broken text, repetition, injection, exhaustion.

use std::convert::Infallible;
use std::time::Duration;

use ::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderValue, StatusCode};
use axum::body::Body;
use connector_testkit::drive;
use futures_util::stream;
use serde_json::json;

use crate::rig::{Rig, request};

const CONNECT: &str = "/v1/connectors/acme/connect";

fn body(rig: &Rig, media_type: &'static str, body: Body) -> ::http::Request<Body> {
    let mut request = request("POST", CONNECT, &rig.ann, body);
    let media_type = HeaderValue::from_static(media_type);
    request.headers_mut().insert(CONTENT_TYPE, media_type);
    request
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let rig = Rig::new().await;
    let mut refused = 0;
    let long = format!("{{\"account\":\"{}\"}}", "a".repeat(17 * 1024));
    let long_account = format!("{{\"account\":\"{}\"}}", "a".repeat(256));
    for (media_type, text, code) in [
        ("application/json", &b""[..], "invalid_input"),
        ("application/json", b"{", "invalid_input"),
        ("application/json", b"[]", "invalid_input"),
        ("application/json", b"null", "invalid_input"),
        ("application/json", b"{\"unknown\":1}", "invalid_input"),
        (
            "application/json",
            b"{\"account\":\"a\",\"account\":\"b\"}",
            "invalid_input",
        ),
        (
            "application/json",
            b"{\"account\":\"\xff\"}",
            "invalid_input",
        ),
        ("application/json", long_account.as_bytes(), "invalid_input"),
        (
            "application/json",
            b"{\"return_to\":\"https://evil.example\"}",
            "invalid_input",
        ),
        (
            "application/json",
            b"{\"return_to\":\"/pages/a\\r\\nset-cookie: a=b\"}",
            "invalid_input",
        ),
        ("application/json", b"{\"reconnect\":\"1\"}", "not_found"),
        ("application/json", b"{\"app\":\"\"}", "invalid_input"),
        ("application/json", long.as_bytes(), "body_too_large"),
        ("application/jsonp", b"{}", "unsupported_media_type"),
        ("text/plain", b"{}", "unsupported_media_type"),
        ("multipart/form-data", b"{}", "unsupported_media_type"),
        (
            "application/x-www-form-urlencoded",
            b"csrf=x&csrf=y",
            "csrf_refused",
        ),
        (
            "application/x-www-form-urlencoded",
            b"csrf=%ff",
            "csrf_refused",
        ),
    ] {
        let answer = rig
            .send(body(&rig, media_type, Body::from(text.to_vec())))
            .await;
        assert_eq!(answer.code(), code, "{:?}", String::from_utf8_lossy(text));
        assert!(answer.headers.get("set-cookie").is_none());
        refused += 1;
    }
    let mut deep = "[".repeat(8000);
    deep.push_str(&"]".repeat(8000));
    let answer = rig
        .send(body(&rig, "application/json", Body::from(deep)))
        .await;
    assert_eq!(answer.code(), "invalid_input");
    for path in [
        "/v1/connections?limit=0",
        "/v1/connections?limit=1&limit=2",
        "/v1/connections?limit=-1",
        "/v1/connections?limit=99999999999999999999",
        "/v1/connections?status=unknown",
        "/v1/connections?account=1",
        "/v1/connections?provider=",
        "/v1/connections?provider=%00",
        "/v1/connections?provider=%ff",
        "/v1/connections?after=%0a",
        "/v1/connections?after=nonsense",
        "/v1/connections/%ff",
        "/v1/connections?status=%C0%AF",
    ] {
        let answer = rig.get(path, &rig.ann).await;
        assert_eq!(answer.code(), "invalid_input", "{path}");
        refused += 1;
    }
    for path in [
        "/v1/connections/1",
        "/v1/connections/..",
        "/v1/connections/%2e%2e",
        "/v1/connections/0192f0c1-0000-7000-8000-00000000000g",
        "/v1/problems/unknown",
        "/v1/nothing",
        "/v1/webhooks/unknown",
        "/v1/callback/unknown?code=1&state=2",
    ] {
        let answer = rig.get(path, &rig.ann).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        answer.code();
        refused += 1;
    }
    println!("malformed requests refused: {refused}");
}

#[tokio::test]
async fn hostile_callbacks_end_at_the_default_address() {
    let rig = Rig::new().await;
    let mut ended = 0;
    let long = format!("?state={}", "a".repeat(9000));
    for query in [
        "",
        "?",
        "?state=",
        "?code=1&state=2",
        "?code=1&code=2&state=3",
        "?state=1&state=2",
        "?state=%ff",
        "?error=access_denied&state=x",
        "?error=%0d%0aset-cookie:%20a=b&state=x",
        "?return_to=https://evil.example&state=x",
        &long,
    ] {
        let answer = rig
            .get(&format!("/v1/callback/acme{query}"), &rig.ann)
            .await;
        let location = answer.location();
        assert_eq!(location.host_str(), Some("app.example"), "{query}");
        assert_eq!(location.path(), "/settings");
        assert_eq!(answer.result()["connect"], "failed");
        assert!(answer.headers.get("set-cookie").is_none());
        ended += 1;
    }
    println!("hostile callbacks: {ended}");
    assert_eq!(rig.sim.server().counts().len(), 0, "a request was sent");
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_or_arrives_too_slowly_is_refused() {
    let rig = Rig::new().await;
    let mut announced = body(&rig, "application/json", Body::from("{}"));
    announced
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("99999999"));
    assert_eq!(rig.send(announced).await.code(), "body_too_large");
    let endless = stream::repeat_with(|| Ok::<_, Infallible>("a".repeat(1024)));
    let endless = body(&rig, "application/json", Body::from_stream(endless));
    assert_eq!(rig.send(endless).await.code(), "body_too_large");
    let never = stream::pending::<Result<String, Infallible>>();
    let slow = body(&rig, "application/json", Body::from_stream(never));
    let answer = drive(&rig.clock, Duration::from_secs(1), rig.send(slow)).await;
    assert_eq!(answer.code(), "body_too_slow");
    let mut delivery = request("POST", "/v1/webhooks/acme", "", Body::empty());
    *delivery.body_mut() = Body::from(vec![b'a'; 1024 * 1024 + 1]);
    assert_eq!(rig.send(delivery).await.code(), "body_too_large");
}

#[tokio::test]
async fn abandoned_flows_are_bounded_and_cleaned_up() {
    let rig =
        Rig::with(|config| config.with_connect_limit(u32::MAX, Duration::from_secs(60))).await;
    #[expect(clippy::disallowed_methods, reason = "selects the long mode")]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let (mut begun, mut refused) = (0, 0);
    for _ in 0..if is_full { 100_000 } else { 1000 } {
        let answer = rig.post(CONNECT, &rig.ann, &json!({})).await;
        if answer.status == StatusCode::CREATED {
            begun += 1;
        } else {
            assert_eq!(answer.code(), "rate_limited");
            assert!(!answer.header("retry-after").is_empty());
            refused += 1;
        }
    }
    assert_eq!(begun, 100, "the tenant's open flows are not bounded");
    println!("abandoned flows: {begun} begun, {refused} refused");
    rig.clock.advance(Duration::from_secs(601));
    assert_eq!(rig.post(CONNECT, &rig.ann, &json!({})).await.status, 201);
}

#[tokio::test]
async fn a_request_id_is_taken_only_if_it_is_plain() {
    let rig = Rig::new().await;
    let mut replaced = 0;
    let long = "a".repeat(65);
    for (given, is_taken) in [
        ("abc-1_2.3", true),
        ("", false),
        ("a b", false),
        ("<script>", false),
        ("a\"b", false),
        (&long, false),
    ] {
        let mut request = request("GET", "/v1/health", "", Body::empty());
        request
            .headers_mut()
            .insert("x-request-id", given.parse().unwrap());
        let answer = rig.send(request).await;
        assert_eq!(answer.header("x-request-id") == given, is_taken, "{given}");
        assert!(!answer.header("x-request-id").is_empty());
        replaced += usize::from(!is_taken);
    }
    println!("request ids replaced: {replaced}");
}
