//! Status, refresh, check, disconnect, history, adoption and tokens.

use std::time::Duration;

use ::http::StatusCode;
use ::http::header::IF_NONE_MATCH;
use axum::body::Body;
use connector_sim::Fault;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::rig::{ALL, Rig, request};

#[tokio::test]
async fn a_connection_shows_scopes_and_times() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let answer = rig.get(&format!("/v1/connections/{id}"), &rig.ann).await;
    let detail = answer.json();
    assert_eq!(detail["connection"]["status"], "connected");
    assert_eq!(detail["connection"]["account"]["label"], "First");
    assert_eq!(detail["granted_scopes"], json!(["read", "write"]));
    assert_eq!(detail["missing_scopes"], json!([]));
    assert_eq!(detail["access_expires_at"], "2026-11-20T13:00:00.000Z");
    assert!(detail["next_refresh_at"].as_str().unwrap() < "2026-11-20T13:00:00.000Z");
    let by_account = rig
        .get("/v1/connections?provider=acme&account=1", &rig.ann)
        .await
        .json();
    assert_eq!(by_account["connections"][0]["id"], id.to_string());
    let one = "/v1/connections?provider=acme&account=1";
    for (status, found) in [("connected", 1), ("degraded", 0)] {
        let list = rig.get(&format!("{one}&status={status}"), &rig.ann).await;
        let list = list.json();
        assert_eq!(list["connections"].as_array().unwrap().len(), found);
    }
    let unknown = rig.get(&format!("{one}&status=unknown"), &rig.ann).await;
    assert_eq!(unknown.code(), "invalid_input");
    let empty = rig.get("/v1/connections?status=degraded", &rig.ann).await;
    assert_eq!(empty.json()["connections"], json!([]));
}

#[tokio::test]
async fn an_entity_tag_changes_only_with_the_connection() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let mut checked = 0;
    for path in [
        format!("/v1/connections/{id}"),
        "/v1/connections".to_owned(),
    ] {
        let first = rig.get(&path, &rig.ann).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.len() > 20);
        let again = |tag: String| {
            let mut request = request("GET", &path, &rig.ann, Body::empty());
            request
                .headers_mut()
                .insert(IF_NONE_MATCH, tag.parse().unwrap());
            rig.send(request)
        };
        rig.clock.advance(Duration::from_millis(333));
        let same = again(tag.clone()).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED);
        assert!(same.text.is_empty());
        assert_eq!(again(format!("W/\"x\", {tag}")).await.status, 304);
        let strong = tag.trim_start_matches("W/").to_owned();
        assert_eq!(again(strong).await.status, 304);
        let refreshed = rig
            .post(
                &format!("/v1/connections/{id}/refresh"),
                &rig.ann,
                &json!({}),
            )
            .await;
        assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.text);
        assert_eq!(again(tag).await.status, StatusCode::OK);
        checked += 1;
    }
    println!("entity tags checked: {checked}");
}

#[tokio::test]
async fn a_refresh_and_a_check_report_the_provider() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let (refresh, check) = (
        format!("/v1/connections/{id}/refresh"),
        format!("/v1/connections/{id}/check"),
    );
    let worked = rig.post(&check, &rig.ann, &json!({})).await.json();
    assert_eq!(worked["works"], true);
    assert_eq!(worked["result"], "works");
    let refreshed = rig.post(&refresh, &rig.ann, &json!({})).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    rig.sim.end_grants();
    let dead = rig.post(&refresh, &rig.ann, &json!({})).await;
    assert_eq!(dead.status, StatusCode::CONFLICT);
    assert_eq!(dead.code(), "needs_reauthorization");
    let detail = rig
        .get(&format!("/v1/connections/{id}"), &rig.ann)
        .await
        .json();
    assert_eq!(detail["connection"]["status"], "needs_reauthorization");
    assert_eq!(detail["connection"]["reason"], "grant_revoked");
    let failed = rig.post(&check, &rig.ann, &json!({})).await.json();
    assert_eq!(failed["works"], false);
    assert_eq!(failed["result"], "unauthorized");
}

#[tokio::test]
async fn a_disconnect_needs_the_current_confirmation() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let path = format!("/v1/connections/{id}/disconnect");
    for confirmation in ["", "x"] {
        let body = json!({ "confirmation": confirmation });
        let refused = rig.post(&path, &rig.ann, &body).await;
        assert_eq!(refused.code(), "confirmation_stale");
    }
    let list = rig.get(&path, &rig.ann).await.json();
    let kinds: Vec<&str> = list["stops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["credential", "grant", "record"]);
    let body = json!({ "confirmation": list["confirmation"] });
    let done = rig.post(&path, &rig.ann, &body).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let detail = rig
        .get(&format!("/v1/connections/{id}"), &rig.ann)
        .await
        .json();
    assert_eq!(detail["connection"]["status"], "disconnected");
    // The state that was confirmed is over.
    assert_eq!(
        rig.post(&path, &rig.ann, &body).await.code(),
        "confirmation_stale"
    );
    let list = rig.get(&path, &rig.ann).await.json();
    let body = json!({ "mode": "forget", "confirmation": list["confirmation"] });
    let done = rig.post(&path, &rig.ann, &body).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let gone = rig.get(&format!("/v1/connections/{id}"), &rig.ann).await;
    assert_eq!(gone.code(), "not_found");
    let history = rig
        .get(&format!("/v1/connections/{id}/history"), &rig.ann)
        .await
        .json();
    let events: Vec<&str> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["event"]["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["connected", "disconnected", "disconnected"]);
    assert_eq!(
        history["entries"][0]["actor"],
        json!({ "kind": "user", "id": "ann" })
    );
}

#[tokio::test]
async fn the_request_id_is_the_correlation_id() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let mut refresh = request(
        "POST",
        &format!("/v1/connections/{id}/refresh"),
        &rig.ann,
        Body::empty(),
    );
    refresh
        .headers_mut()
        .insert("x-request-id", "my-id-1".parse().unwrap());
    let answer = rig.send(refresh).await;
    assert_eq!(answer.header("x-request-id"), "my-id-1");
    let history = rig
        .get(&format!("/v1/connections/{id}/history?limit=1"), &rig.ann)
        .await;
    let next = history.json()["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/connections/{id}/history?after={next}");
    let history = rig.get(&path, &rig.ann).await.json();
    assert_eq!(history["entries"][0]["event"]["event"], "refreshed");
    assert_eq!(history["entries"][0]["correlation"], "my-id-1");
}

#[tokio::test]
async fn a_credential_is_adopted_after_a_test() {
    let rig = Rig::new().await;
    let (access, refresh) = rig.sim.issue("2", &["read", "write"]).unwrap();
    let refresh = refresh.unwrap();
    let path = "/v1/connectors/acme/adopt";
    let body = json!({
        "kind": "oauth",
        "secret": access.expose_secret(),
        "refresh_token": refresh.expose_secret(),
        "scopes": ["read", "write"],
        "expires_in_seconds": 3600
    });
    let adopted = rig.post(path, &rig.ann, &body).await;
    assert_eq!(adopted.status, StatusCode::CREATED, "{}", adopted.text);
    assert_eq!(adopted.json()["connection"]["account"]["key"], "2");
    let mut refused = 0;
    for (body, code) in [
        (json!({ "kind": "oauth" }), "invalid_input"),
        (
            json!({ "kind": "oauth", "secret": "wrong" }),
            "unauthorized",
        ),
        (
            json!({ "kind": "oauth", "refresh_token": "wrong" }),
            "unauthorized",
        ),
        (
            json!({ "kind": "secret_url", "secret": "no url" }),
            "invalid_input",
        ),
        (
            json!({ "kind": "secret_url", "secret": "https://evil.example/x" }),
            "invalid_input",
        ),
        (
            json!({ "kind": "oauth", "secret": "x", "origin": "https://evil.example" }),
            "invalid_input",
        ),
        (
            json!({ "kind": "oauth", "secret": "x", "client_id": "other" }),
            "app_misconfigured",
        ),
        (
            json!({ "kind": "oauth", "secret": "x", "reconnect": "1" }),
            "not_found",
        ),
    ] {
        let answer = connector_testkit::drive(
            &rig.clock,
            Duration::from_secs(1),
            rig.post(path, &rig.ann, &body),
        );
        assert_eq!(answer.await.code(), code, "{body}");
        refused += 1;
    }
    println!("credentials refused: {refused}");
}

#[tokio::test]
async fn only_the_token_route_returns_a_token_and_never_the_refresh_token() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let key = Rig::key("t1", id);
    let token = rig.hub.access_token(&key).await.unwrap();
    let secret = token.secret().expose_secret();
    let issued = rig
        .send(request(
            "POST",
            &format!("/v1/connections/{id}/token"),
            &rig.ann,
            Body::empty(),
        ))
        .await;
    assert_eq!(issued.json()["access_token"], *secret);
    assert_eq!(issued.json()["origin"], "https://api.acme.example");
    assert_eq!(issued.header("cache-control"), "no-store");
    let history = rig
        .get(&format!("/v1/connections/{id}/history"), &rig.ann)
        .await;
    assert!(history.text.contains("token_issued"));
    let mut searched = 0;
    for path in ["", "/history", "/disconnect"] {
        let answer = rig
            .get(&format!("/v1/connections/{id}{path}"), &rig.ann)
            .await;
        // Every secret of the simulator contains its mark, as do the API keys.
        assert!(
            !answer.text.contains(secret) && !answer.text.contains("acme-"),
            "{path}"
        );
        searched += 1;
    }
    assert!(!issued.text.contains("refresh"));
    println!("responses searched for the token: {searched}");
}

#[tokio::test]
async fn health_of_registrations_needs_an_administrator() {
    let rig = Rig::new().await;
    rig.connect(&rig.ann, "1").await;
    let health = rig.get("/v1/admin/health", &rig.ann).await.json();
    assert_eq!(health["apps"][0]["provider"], "acme");
    assert_eq!(health["apps"][0]["connections"]["connected"], 1);
    assert_eq!(rig.get("/v1/ready", "").await.json()["status"], "ok");
    rig.hub.shutdown(Duration::from_secs(1)).await.unwrap();
    assert_eq!(rig.get("/v1/ready", "").await.code(), "shutting_down");
    assert_eq!(rig.get("/v1/health", "").await.json()["status"], "ok");
}

#[tokio::test]
async fn a_provider_that_is_down_is_reported_as_down() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let bob = rig.keys.add("t2", "bob", ALL);
    for _ in 0..5 {
        rig.sim.server().fault("/token", Fault::answer(503, ""));
    }
    let path = format!("/v1/connections/{id}/refresh");
    let answer = connector_testkit::drive(
        &rig.clock,
        Duration::from_secs(1),
        rig.post(&path, &rig.ann, &json!({})),
    )
    .await;
    assert_eq!(answer.code(), "refresh_unresolved");
    let detail = rig
        .get(&format!("/v1/connections/{id}"), &rig.ann)
        .await
        .json();
    assert_eq!(detail["connection"]["status"], "degraded");
    assert!(!answer.header("retry-after").is_empty());
    let foreign = rig.post(&path, &bob, &json!({})).await;
    assert_eq!(foreign.code(), "not_found");
}

#[tokio::test]
async fn an_explanation_says_what_happened_and_what_to_do() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let path = format!("/v1/connections/{id}/explanation");
    assert_eq!(rig.get(&path, &rig.ann).await.json()["causes"], json!([]));
    let refused = Fault::Answer {
        status: 400,
        headers: vec![("x-request-id", "r-17".to_owned())],
        body: r#"{"error":"invalid_grant"}"#.to_owned(),
    };
    rig.sim.server().fault("/token", refused);
    let refresh = format!("/v1/connections/{id}/refresh");
    let answer = rig.post(&refresh, &rig.ann, &json!({})).await;
    assert_eq!(answer.code(), "needs_reauthorization");
    let explained = rig.get(&path, &rig.ann).await.json();
    assert_eq!(explained["failed_request"]["request_id"], "r-17");
    assert_eq!(explained["failed_request"]["code"], "invalid_grant");
    assert_eq!(explained["last_refresh_at"], "2026-11-20T12:00:00.000Z");
    assert_eq!(explained["causes"][0]["name"], "owner_revoked");
    assert_eq!(explained["causes"][0]["responsible"], "owner");
    assert_eq!(explained["entries"][1]["event"]["event"], "status_changed");
}
