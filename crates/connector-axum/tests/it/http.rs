//! Problem details, limits, origins, the envelope.

use std::time::Duration;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, ORIGIN,
};
use ::http::{HeaderValue, StatusCode};
use axum::body::Body;
use serde_json::json;

use crate::rig::{ALL, Rig, SITE, request};

#[tokio::test]
async fn a_problem_has_code_action_and_a_description() {
    let rig = Rig::new().await;
    let answer = rig.get("/v1/connections/1", &rig.ann).await;
    let problem = answer.json();
    assert_eq!(answer.code(), "not_found");
    assert_eq!(problem["type"], format!("{SITE}/v1/problems/not_found"));
    let described = rig.get("/v1/problems/not_found", "").await.json();
    assert_eq!(described["title"], problem["title"]);
    let wrong = rig
        .send(request("DELETE", "/v1/health", "", Body::empty()))
        .await;
    assert_eq!(wrong.code(), "method_not_allowed");
    assert!(wrong.headers[ALLOW].to_str().unwrap().contains("GET"));
    assert_eq!(
        rig.get("/v1/connections", "")
            .await
            .header("www-authenticate"),
        "Bearer"
    );
    rig.keys.fail();
    let down = rig.get("/v1/connections", &rig.ann).await;
    assert_eq!(down.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(down.code(), "access_unavailable");
}

#[tokio::test]
async fn each_tenant_has_its_own_limits() {
    let minute = Duration::from_secs(60);
    let rig = Rig::with(|it| {
        it.with_connect_limit(2, minute)
            .with_callback_limit(1, minute)
    })
    .await;
    let bob = rig.keys.add("t2", "bob", ALL);
    let begin = |key: String| {
        let rig = &rig;
        async move {
            rig.post("/v1/connectors/acme/connect", &key, &json!({}))
                .await
        }
    };
    let first = begin(rig.ann.clone()).await;
    assert_eq!(first.header("ratelimit-policy"), "\"connect\";q=2;w=60");
    assert_eq!(first.header("ratelimit"), "\"connect\";r=1;t=60");
    assert_eq!(first.header("x-ratelimit-remaining"), "1");
    begin(rig.ann.clone()).await;
    rig.clock.advance(Duration::from_secs(20));
    let refused = begin(rig.ann.clone()).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.code(), "rate_limited");
    assert_eq!(refused.header("retry-after"), "40");
    assert_eq!(refused.header("x-ratelimit-reset"), "40");
    assert_eq!(begin(bob.clone()).await.status, StatusCode::CREATED);
    // A refusal after the count shows the count, too.
    let wrong = rig
        .post(
            "/v1/connectors/acme/connect",
            &bob,
            &json!({ "account": 1 }),
        )
        .await;
    assert_eq!(wrong.code(), "invalid_input");
    assert_eq!(wrong.header("ratelimit"), "\"connect\";r=0;t=60");
    let callback = "/v1/callback/acme?code=1&state=2";
    assert_eq!(
        rig.get(callback, &rig.ann).await.status,
        StatusCode::SEE_OTHER
    );
    // A request over the limit does not reach the store.
    *rig.failing.lock().unwrap() = "state.state";
    assert_eq!(rig.get(callback, &rig.ann).await.code(), "rate_limited");
    rig.clock.advance(Duration::from_secs(40));
    assert_eq!(begin(rig.ann.clone()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn pages_of_other_origins_need_the_applications_consent() {
    let rig = Rig::new().await;
    let bob = rig.keys.add("t2", "bob", ALL);
    rig.keys.allow("https://ui.example", Some("t1"));
    let preflight = |origin: &'static str, path: &'static str| {
        let mut request = request("OPTIONS", path, "", Body::empty());
        let headers = request.headers_mut();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(
            ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("GET"),
        );
        rig.send(request)
    };
    let allowed = preflight("https://ui.example", "/v1/connections").await;
    assert_eq!(allowed.status, StatusCode::NO_CONTENT);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://ui.example"
    );
    assert_eq!(allowed.header("vary"), "origin");
    let mut refused = 0;
    for (origin, path) in [
        ("https://evil.example", "/v1/connections"),
        ("null", "/v1/connections"),
        ("https://ui.example", "/v1/webhooks/acme"),
    ] {
        let answer = preflight(origin, path).await;
        assert_eq!(answer.code(), "origin_refused");
        assert!(answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
        refused += 1;
    }
    let read = |key: String, origin: &'static str| {
        let mut request = request("GET", "/v1/connections", &key, Body::empty());
        request
            .headers_mut()
            .insert(ORIGIN, HeaderValue::from_static(origin));
        rig.send(request)
    };
    let own = read(rig.ann.clone(), "https://ui.example").await;
    assert_eq!(
        own.header("access-control-allow-origin"),
        "https://ui.example"
    );
    assert!(own.header("access-control-expose-headers").contains("etag"));
    for (key, origin) in [
        (rig.ann.clone(), "https://evil.example"),
        (bob.clone(), "https://ui.example"),
    ] {
        let answer = read(key, origin).await;
        assert!(answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
        refused += 1;
    }
    let write = |key: String| {
        let mut begin = request(
            "POST",
            "/v1/connectors/acme/connect",
            &key,
            Body::from("{}"),
        );
        let headers = begin.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ORIGIN, HeaderValue::from_static("https://ui.example"));
        rig.send(begin)
    };
    assert_eq!(write(rig.ann.clone()).await.status, StatusCode::CREATED);
    assert_eq!(write(bob).await.code(), "origin_refused");
    println!("requests of other origins refused: {refused}");
}

#[tokio::test]
async fn an_envelope_wraps_every_json_response() {
    let rig = Rig::with(connector_axum::RouterConfig::with_envelope).await;
    let list = rig.get("/v1/connections", &rig.ann).await;
    let envelope = list.json();
    assert_eq!(envelope["success"], true);
    assert_eq!(envelope["data"]["connections"], json!([]));
    assert_eq!(envelope["timestamp"], "2026-11-20T12:00:00.000Z");
    assert_eq!(envelope["requestId"], list.header("x-request-id"));
    let refused = rig.get("/v1/connections", "").await;
    assert_eq!(refused.header("content-type"), "application/json");
    let document = rig.get("/v1/openapi.json", "").await.json();
    let problems = &document["paths"]["/v1/connections"]["get"]["responses"]["401"]["content"];
    assert!(problems["application/json"].is_object());
    let refused = refused.json();
    assert_eq!(refused["success"], false);
    assert_eq!(refused["error"]["code"], "unauthenticated");
    let tag = list.header("etag").to_owned();
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(
        rig.get("/v1/connections", &rig.ann).await.header("etag"),
        tag
    );
}
