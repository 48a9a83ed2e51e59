//! The documented ways to mount the routers in an application.

use ::http::{Request, StatusCode};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use connector_axum::{router, token_router};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::rig::{Rig, config, signing_key};

async fn load(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_routers_are_merged_and_nested_in_an_application_with_pages_of_its_own() {
    let rig = Rig::new().await;
    let key = signing_key();
    let routes = || async {
        let config = config(key.clone());
        router(&rig.hub, rig.keys.clone(), config).await.unwrap()
    };
    let tokens = || async {
        let config = config(key.clone());
        token_router(&rig.hub, rig.keys.clone(), config)
            .await
            .unwrap()
    };
    let pages = || {
        Router::new()
            .route("/about", get(|| async { "about" }))
            .fallback(|| async { "the page" })
    };
    let mounts = [
        ("", pages().merge(routes().await).merge(tokens().await)),
        ("", routes().await.merge(pages()).merge(tokens().await)),
        ("", tokens().await.merge(pages()).merge(routes().await)),
        (
            "/integrations",
            pages().nest("/integrations", routes().await.merge(tokens().await)),
        ),
        (
            "/integrations",
            pages()
                .nest("/integrations", routes().await)
                .nest("/integrations", tokens().await),
        ),
        (
            "/integrations",
            Router::new()
                .nest("/integrations", tokens().await.merge(routes().await))
                .merge(pages()),
        ),
    ];
    let mut checked = 0;
    for (mount, app) in &mounts {
        let id = "0192f0c1-0000-7000-8000-000000000001";
        for (path, status, text) in [
            ("/about".to_owned(), 200, "about"),
            ("/settings".to_owned(), 200, "the page"),
            (format!("{mount}/v1/health"), 200, "\"ok\""),
            (format!("{mount}/v1/connections"), 401, "unauthenticated"),
            (format!("{mount}/v1/nothing"), 404, "route_not_found"),
            (
                format!("{mount}/v1/connections/{id}/nothing"),
                404,
                "route_not_found",
            ),
            (
                format!("{mount}/v1/connections/{id}/token"),
                405,
                "method_not_allowed",
            ),
        ] {
            let (seen, body) = load(app, &path).await;
            assert_eq!(seen.as_u16(), status, "{path}: {body}");
            assert!(body.contains(text), "{path}: {body}");
            checked += 1;
        }
    }
    println!("mounts: {}, requests: {checked}", mounts.len());
    assert!(checked > 0);
}
