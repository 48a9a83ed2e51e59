//! Connect flows through the router: every end of a flow, repeated loads, tabs, tickets, forms.

use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use ::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::body::Body;
use connector_axum::{Permission, Permissions};
use connector_sim::{Consent, Fault};
use connector_testkit::drive;
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::rig::{ALL, Rig, SITE, request};

#[tokio::test]
async fn a_flow_ends_at_its_return_address() {
    let rig = Rig::new().await;
    let mut ended = 0;
    for (return_to, expected) in [
        (
            None,
            "https://app.example/settings?connect=connected&provider=acme&connection=",
        ),
        (
            Some("team"),
            "https://t1.team.example/apps?connect=connected&provider=acme&connection=",
        ),
        (
            Some("/pages/a?x=1"),
            "https://app.example/pages/a?x=1&connect=connected&provider=acme&connection=",
        ),
    ] {
        let (url, cookie) = rig
            .begin(&rig.ann, &json!({ "return_to": return_to }))
            .await;
        let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
        let answer = rig.load(&callback, &rig.ann, &cookie).await;
        assert!(
            answer.location().as_str().starts_with(expected),
            "{}",
            answer.location()
        );
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        ended += 1;
    }
    println!("flows ended at their address: {ended}");
}

#[tokio::test]
async fn the_binding_cookie_has_the_attributes_that_browsers_require() {
    let rig = Rig::new().await;
    let answer = rig
        .post("/v1/connectors/acme/connect", &rig.ann, &json!({}))
        .await;
    let line = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(line.starts_with("__Host-connect="), "{line}");
    for attribute in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(line.contains(attribute), "{line}");
    }
    assert!(!line.contains("Domain"));
    assert!(answer.headers[SET_COOKIE].is_sensitive());
    assert!(answer.json()["steps"].as_array().unwrap().len() > 1);
}

#[tokio::test]
async fn a_page_loaded_again_and_a_prefetch_change_nothing() {
    let rig = Rig::new().await;
    let (url, cookie) = rig.begin(&rig.ann, &json!({})).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    let path = callback.as_str().strip_prefix(SITE).unwrap();
    let mut refused = 0;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let mut request = request("GET", path, &rig.ann, Body::empty());
        request
            .headers_mut()
            .insert(COOKIE, cookie.parse().unwrap());
        let name = HeaderName::from_static(name);
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        assert_eq!(rig.send(request).await.code(), "prefetch_refused");
        refused += 1;
    }
    let mut head = request("HEAD", path, &rig.ann, Body::empty());
    head.headers_mut().insert(COOKIE, cookie.parse().unwrap());
    assert_eq!(rig.send(head).await.status, StatusCode::FORBIDDEN);
    let exchanges = || rig.sim.server().count(&Method::POST, "*");
    assert_eq!(exchanges(), 0, "a prefetch sent a request");
    let first = rig.load(&callback, &rig.ann, &cookie).await;
    let sent = exchanges();
    for _ in 0..3 {
        let again = rig.load(&callback, &rig.ann, &cookie).await;
        assert_eq!(again.location(), first.location());
    }
    assert_eq!(exchanges(), sent);
    println!("prefetches refused: {refused}");
}

#[tokio::test]
async fn several_tabs_of_one_browser_finish() {
    let rig = Rig::new().await;
    let mut cookie = String::new();
    let mut tabs = Vec::new();
    for account in ["1", "2", "1"] {
        let mut begin = request(
            "POST",
            "/v1/connectors/acme/connect",
            &rig.ann,
            Body::from("{}"),
        );
        let headers = begin.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !cookie.is_empty() {
            headers.insert(COOKIE, format!("other=1; {cookie}").parse().unwrap());
        }
        let answer = rig.send(begin).await;
        assert!(cookie.is_empty() || cookie == answer.cookie());
        cookie = answer.cookie();
        let url = answer.json()["authorization_url"]
            .as_str()
            .unwrap()
            .to_owned();
        tabs.push((account, Url::parse(&url).unwrap()));
    }
    let mut finished = 0;
    for (account, url) in tabs.iter().rev() {
        rig.sim.sign_in(account).unwrap();
        let callback = rig.sim.visit(url, &Consent::Grant).unwrap();
        let answer = rig.load(&callback, &rig.ann, &cookie).await;
        assert_eq!(answer.result()["connect"], "connected");
        finished += 1;
    }
    println!("tabs finished: {finished}");
}

#[tokio::test]
async fn every_end_of_a_flow_has_its_reason() {
    let rig = Rig::new().await;
    let bob = rig.keys.add("t2", "bob", ALL);
    let bea = rig.keys.add("t1", "bea", ALL);
    let team = json!({ "return_to": "team" });
    let mut ends = 0;
    // Denied consent.
    let (url, cookie) = rig.begin(&rig.ann, &team).await;
    let denied = rig.sim.visit(&url, &Consent::Deny).unwrap();
    let answer = rig.load(&denied, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["reason"], "consent_denied");
    assert_eq!(answer.location().host_str(), Some("t1.team.example"));
    assert_eq!(answer.result()["request_id"], answer.header("x-request-id"));
    ends += 1;
    // Another browser, another tenant, another user, no cookie, a doubled cookie.
    let doubled = |cookie: &str| format!("{cookie}; {cookie}");
    for (key, cookie_of, reason) in [
        (&rig.ann, "another", "unknown_flow"),
        (&rig.ann, "none", "unknown_flow"),
        (&rig.ann, "doubled", "unknown_flow"),
        (&bob, "own", "other_tenant"),
        (&bea, "own", "other_actor"),
    ] {
        let (url, own) = rig.begin(&rig.ann, &team).await;
        let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
        let cookie = match cookie_of {
            "own" => own.clone(),
            "doubled" => doubled(&own),
            "none" => String::new(),
            _ => rig.begin(&rig.ann, &team).await.1,
        };
        let answer = rig.load(&callback, key, &cookie).await;
        let result = answer.result();
        assert_eq!(result["connect"], "failed");
        assert_eq!(result["reason"], reason);
        // The flow's return address belongs to its own user.
        assert_eq!(answer.location().host_str(), Some("app.example"));
        assert!(!result.contains_key("connection"));
        if cookie_of != "own" {
            let answer = rig.load(&callback, &rig.ann, &own).await;
            assert_eq!(
                answer.result()["connect"],
                "connected",
                "the flow was used up"
            );
        }
        ends += 1;
    }
    // Missing scopes, a refused code, an expired flow.
    let (url, cookie) = rig.begin(&rig.ann, &team).await;
    let some = Consent::GrantOnly(vec!["write".to_owned()]);
    let callback = rig.sim.visit(&url, &some).unwrap();
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["reason"], "scopes_missing");
    let (url, cookie) = rig.begin(&rig.ann, &team).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    rig.sim
        .server()
        .fault("/token", Fault::answer(400, r#"{"error":"invalid_grant"}"#));
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["reason"], "code_refused");
    let (url, cookie) = rig.begin(&rig.ann, &team).await;
    rig.sim.server().fault("/token", Fault::answer(503, ""));
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["connect"], "failed");
    ends += 3;
    println!("ends of flows: {ends}");
}

#[tokio::test]
async fn a_callback_before_the_exchange_can_be_loaded_again() {
    let rig = Rig::new().await;
    let mut continued = 0;
    for operation in ["state.state", "state.begin"] {
        let (url, cookie) = rig.begin(&rig.ann, &json!({})).await;
        let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
        let sent = rig.sim.server().count(&Method::POST, "*");
        *rig.failing.lock().unwrap() = operation;
        // A browser keeps the address too.
        for accept in ["", "text/html"] {
            let mut load = navigation(&callback, &rig.ann, &cookie);
            load.headers_mut().insert(ACCEPT, accept.parse().unwrap());
            let answer = rig.send(load).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.code(), "store_unavailable", "{operation}");
            assert!(!answer.header("retry-after").is_empty());
            assert!(!answer.header("ratelimit").is_empty());
        }
        *rig.failing.lock().unwrap() = "";
        assert_eq!(rig.sim.server().count(&Method::POST, "*"), sent);
        let answer = rig.load(&callback, &rig.ann, &cookie).await;
        assert_eq!(answer.result()["connect"], "connected");
        continued += 1;
    }
    println!("callbacks continued after a failure of the store: {continued}");
}

#[tokio::test]
async fn a_flow_is_pending_only_if_the_grant_is_kept() {
    let rig = Rig::new().await;
    let (url, cookie) = rig.begin(&rig.ann, &json!({})).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    // The provider accepted the code, and then refuses the access token for a moment.
    for _ in 0..3 {
        rig.sim.server().fault("/me", Fault::answer(401, ""));
    }
    let step = Duration::from_secs(1);
    let load = rig.load(&callback, &rig.ann, &cookie);
    let answer = drive(&rig.clock, step, load).await;
    assert_eq!(answer.result()["connect"], "pending");
    assert_eq!(answer.result()["reason"], "grant_kept");
    assert_eq!(rig.sim.server().pending_faults(), 0);
    let list = rig.get("/v1/connections", &rig.ann).await.json();
    assert_eq!(list["connections"], json!([]));
    // A worker finishes the flow without the browser.
    for _ in 0..5 {
        rig.clock.advance(Duration::from_secs(120));
        drive(&rig.clock, step, rig.hub.worker().tick())
            .await
            .unwrap();
    }
    let list = rig.get("/v1/connections", &rig.ann).await.json();
    assert_eq!(list["connections"][0]["status"], "connected");
    println!("pending flows finished by a worker: 1");
}

fn navigation(url: &Url, key: &str, cookie: &str) -> ::http::Request<Body> {
    let path = url.as_str().strip_prefix(SITE).unwrap();
    let mut request = request("GET", path, key, Body::empty());
    request
        .headers_mut()
        .insert(COOKIE, cookie.parse().unwrap());
    request
}

/// Creates the request of a page, a link or a form.
type Page<'a> = &'a dyn Fn() -> ::http::Request<Body>;

#[tokio::test]
async fn a_person_whose_page_is_refused_ends_at_the_default_address() {
    let rig = Rig::new().await;
    let reader = rig.keys.add("t1", "eve", ALL.without(Permission::Connect));
    let (url, cookie) = rig.begin(&rig.ann, &json!({})).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    let ticket = Url::parse(&format!("{SITE}/v1/connect/x.y")).unwrap();
    let form = |path: &str| {
        let mut form = request("POST", path, &rig.ann, Body::from("csrf=x"));
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        form.headers_mut().insert(CONTENT_TYPE, media_type);
        form
    };
    let id = "0192f0c1-0000-7000-8000-000000000001";
    let disconnect = format!("/v1/connections/{id}/disconnect");
    let pages: [(Page<'_>, &str, &str); 5] = [
        (
            &|| navigation(&callback, "", &cookie),
            "connect",
            "unauthenticated",
        ),
        (
            &|| navigation(&callback, &reader, &cookie),
            "connect",
            "permission_missing",
        ),
        (
            &|| navigation(&ticket, &rig.ann, &cookie),
            "connect",
            "ticket_invalid",
        ),
        (
            &|| form("/v1/connectors/acme/connect"),
            "connect",
            "csrf_refused",
        ),
        (&|| form(&disconnect), "disconnect", "csrf_refused"),
    ];
    let (mut redirected, mut kept) = (0, 0);
    for (page, name, reason) in pages {
        let with = |header: &'static str, value: &'static str| {
            let mut page = page();
            page.headers_mut()
                .insert(header, HeaderValue::from_static(value));
            page
        };
        for page in [
            with("sec-fetch-mode", "navigate"),
            with("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ] {
            let answer = rig.send(page).await;
            assert_eq!(answer.location().path(), "/settings");
            let result = answer.result();
            assert_eq!((&*result[name], &*result["reason"]), ("failed", reason));
            assert_eq!(result["request_id"], answer.header("x-request-id"));
            redirected += 1;
        }
        let mut programs = vec![page(), with("accept", "application/json")];
        let mut fetch = with("accept", "text/html");
        fetch
            .headers_mut()
            .insert("sec-fetch-mode", HeaderValue::from_static("cors"));
        programs.push(fetch);
        for request in programs {
            assert_eq!(rig.send(request).await.code(), reason);
            kept += 1;
        }
    }
    let mut prefetch = navigation(&callback, &rig.ann, &cookie);
    for (name, value) in [("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")] {
        prefetch
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    assert_eq!(rig.send(prefetch).await.code(), "prefetch_refused");
    println!("redirected: {redirected}, kept as JSON: {kept}");
}

#[tokio::test]
async fn an_account_or_a_link_that_is_too_long_is_refused() {
    let rig = Rig::new().await;
    let path = "/v1/connectors/acme/ticket";
    let mut refused = 0;
    for body in [
        json!({ "account": "a".repeat(256) }),
        // Each character takes several bytes in the link.
        json!({ "return_to": format!("/pages/{}", "/".repeat(1000)) }),
    ] {
        let answer = rig.post(path, &rig.ann, &body).await;
        assert_eq!(answer.code(), "invalid_input", "{body}");
        refused += 1;
    }
    let body =
        json!({ "account": "a".repeat(255), "return_to": format!("/pages/{}", "/".repeat(400)) });
    let answer = rig.post(path, &rig.ann, &body).await;
    let link = Url::parse(answer.json()["url"].as_str().unwrap()).unwrap();
    // The link works; the provider has no accounts with names of their own.
    assert_ne!(rig.load(&link, &rig.ann, "").await.status, 403);
    println!("links refused: {refused}");
}

#[tokio::test]
async fn a_caller_who_may_only_disconnect_gets_a_token_for_the_form() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let only = Permissions::of(&[Permission::Disconnect]);
    let dan = rig.keys.add("t1", "dan", only);
    let token = rig.get("/v1/csrf", &dan).await.json()["token"].clone();
    let path = format!("/v1/connections/{id}/disconnect");
    let list = rig.get(&path, &dan).await.json();
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("csrf", token.as_str().unwrap())
        .append_pair("confirmation", list["confirmation"].as_str().unwrap())
        .finish();
    let mut form = request("POST", &path, &dan, Body::from(body));
    let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    form.headers_mut().insert(CONTENT_TYPE, media_type);
    assert_eq!(rig.send(form).await.location().path(), "/settings");
    let detail = rig.get(&format!("/v1/connections/{id}"), &rig.ann).await;
    assert_eq!(detail.json()["connection"]["status"], "disconnected");
    println!("forms accepted: 1");
}

#[tokio::test]
async fn a_reconnect_with_another_account_is_refused() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let body = json!({ "reconnect": id.to_string() });
    rig.sim.sign_in("2").unwrap();
    let (url, cookie) = rig.begin(&rig.ann, &body).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["reason"], "other_account");
    rig.sim.sign_in("1").unwrap();
    let (url, cookie) = rig.begin(&rig.ann, &body).await;
    let callback = rig.sim.visit(&url, &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["connection"], id.to_string());
    let bob = rig.keys.add("t2", "bob", ALL);
    let foreign = rig.post("/v1/connectors/acme/connect", &bob, &body).await;
    assert_eq!(foreign.code(), "not_found");
}

#[tokio::test]
async fn a_ticket_starts_a_flow_for_its_user_only() {
    let rig = Rig::new().await;
    let body = json!({ "return_to": "team" });
    let answer = rig
        .post("/v1/connectors/acme/ticket", &rig.ann, &body)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let link = Url::parse(answer.json()["url"].as_str().unwrap()).unwrap();
    let opened = rig.load(&link, &rig.ann, "").await;
    let cookie = opened.cookie();
    let callback = rig.sim.visit(&opened.location(), &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &rig.ann, &cookie).await;
    assert_eq!(answer.result()["connect"], "connected");
    assert_eq!(answer.location().host_str(), Some("t1.team.example"));

    let bea = rig.keys.add("t1", "bea", ALL);
    assert_eq!(rig.load(&link, &bea, "").await.code(), "ticket_invalid");
    let forged = Url::parse(&link.as_str().replace("/v1/connect/e", "/v1/connect/f")).unwrap();
    assert_eq!(
        rig.load(&forged, &rig.ann, "").await.code(),
        "ticket_invalid"
    );
    rig.clock.advance(std::time::Duration::from_secs(901));
    assert_eq!(rig.load(&link, &rig.ann, "").await.code(), "ticket_invalid");
}

#[tokio::test]
async fn anonymous_browsers_are_bound_by_ticket_and_cookie() {
    let rig = Rig::with(connector_axum::RouterConfig::with_anonymous_browsers).await;
    let answer = rig
        .post("/v1/connectors/acme/ticket", &rig.ann, &json!({}))
        .await;
    let link = Url::parse(answer.json()["url"].as_str().unwrap()).unwrap();
    let opened = rig.load(&link, "", "").await;
    assert!(!opened.header("ratelimit").is_empty());
    let callback = rig.sim.visit(&opened.location(), &Consent::Grant).unwrap();
    let foreign = rig.load(&callback, "", "").await;
    assert_eq!(foreign.result()["reason"], "unknown_flow");
    let answer = rig.load(&callback, "", &opened.cookie()).await;
    assert_eq!(answer.result()["connect"], "connected");
    assert!(!answer.header("ratelimit").is_empty());
}

#[tokio::test]
async fn a_form_needs_its_token_and_an_allowed_origin() {
    let rig = Rig::new().await;
    let bob = rig.keys.add("t2", "bob", ALL);
    let token = |answer: crate::rig::Answer| answer.json()["token"].as_str().unwrap().to_owned();
    let own = token(rig.get("/v1/csrf", &rig.ann).await);
    let other = token(rig.get("/v1/csrf", &bob).await);
    let form = |csrf: &str, origin: Option<&str>, site: Option<&str>| {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", csrf)
            .append_pair("return_to", "team")
            .finish();
        let mut form = request(
            "POST",
            "/v1/connectors/acme/connect",
            &rig.ann,
            Body::from(body),
        );
        let headers = form.headers_mut();
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, media_type);
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        form
    };
    let mut refused = 0;
    for (csrf, origin, site, code) in [
        ("", None, None, "csrf_refused"),
        ("x.y", None, None, "csrf_refused"),
        (&other, None, None, "csrf_refused"),
        (&own, Some("https://evil.example"), None, "origin_refused"),
        (&own, Some("null"), None, "origin_refused"),
        (
            &own,
            Some("https://sub.app.example"),
            None,
            "origin_refused",
        ),
        (&own, Some("http://app.example"), None, "origin_refused"),
        (&own, None, Some("cross-site"), "origin_refused"),
        (&own, None, Some("same-site"), "origin_refused"),
    ] {
        let answer = rig.send(form(csrf, origin, site)).await;
        assert_eq!(answer.code(), code, "{origin:?} {site:?}");
        refused += 1;
    }
    for (origin, site) in [
        (None, None),
        (Some("https://app.example"), Some("same-origin")),
        (None, Some("same-origin")),
    ] {
        let answer = rig.send(form(&own, origin, site)).await;
        assert_eq!(answer.location().host_str(), Some("acme.example"));
    }
    println!("forged forms refused: {refused}");
}
