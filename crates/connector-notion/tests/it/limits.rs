//! Tests of Notion's rate limits.

use std::time::Duration;

use connector_core::clock::Clock as _;
use connector_core::{ErrorKind, Retry};
use connector_notion::endpoints::{CreateComment, GetMe, Search};
use connector_notion::models::RichText;
use connector_notion::sim::Fault;
use futures_util::future::join_all;
use http::Method;

use crate::rig::Rig;

#[tokio::test]
async fn four_hundred_calls_stay_within_the_limit_of_a_minute() {
    let rig = Rig::new().await;
    let client = rig.client().await.background();
    let began = rig.clock.now();
    let mut outcomes = Vec::new();
    for _ in 0..8 {
        let calls = (0..50).map(|_| {
            let client = client.clone();
            async move { client.send(&Search::new()).await }
        });
        outcomes.extend(rig.drive(join_all(calls)).await);
    }
    let refused: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(
        refused.is_empty(),
        "{} calls were refused: {:?}",
        refused.len(),
        refused[0]
    );
    let took = rig.clock.now().since(began);
    assert!(
        (Duration::from_secs(120)..Duration::from_secs(300)).contains(&took),
        "{took:?}"
    );
    println!("calls without a refusal: {} in {took:?}", outcomes.len());
}

#[tokio::test]
async fn rate_limited_reads_and_writes_wait_and_retry() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let text = [RichText::text("Hello")];
    let comment = CreateComment::on_page(&page, &text);
    let overloaded = |seconds: u64| Fault::Answer {
        status: 529,
        headers: vec![("retry-after", seconds.to_string())],
        body: r#"{"object":"error","status":529,"code":"service_overload","message":"m"}"#
            .to_owned(),
    };
    for fault in [Fault::rate_limited(20), overloaded(20)] {
        rig.sim.server().fault("/v1/comments", fault);
        let began = rig.clock.now();
        rig.drive(client.send(&comment)).await.unwrap();
        let took = rig.clock.now().since(began);
        assert!(took >= Duration::from_secs(20), "{took:?}");
    }
    assert_eq!(rig.sim.server().count(&Method::POST, "/v1/comments"), 4);
    // If the workspace's limit requires a wait of more than one minute, the caller gets the error.
    rig.sim
        .server()
        .fault("/v1/comments", Fault::rate_limited(600));
    let error = rig.drive(client.send(&comment)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (
            ErrorKind::RateLimited,
            Retry::After(Duration::from_secs(600))
        )
    );
}

#[tokio::test]
async fn only_reads_are_retried_when_the_provider_may_have_acted() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    for status in [500, 502, 503, 504] {
        rig.sim
            .server()
            .fault("/v1/search", Fault::answer(status, "<html>"));
        rig.drive(client.send(&Search::new())).await.unwrap();
        rig.sim
            .server()
            .fault("/v1/comments", Fault::answer(status, "<html>"));
        let text = [RichText::text("Hello")];
        let comment = CreateComment::on_page(&page, &text);
        let error = rig.drive(client.send(&comment)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::ProviderUnavailable, Retry::Never)
        );
    }
    assert_eq!(rig.sim.server().count(&Method::POST, "/v1/search"), 8);
    assert_eq!(rig.sim.server().count(&Method::POST, "/v1/comments"), 4);
    println!("statuses after which only reads are repeated: 4");
}

#[tokio::test]
async fn error_responses_map_to_error_kinds() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let table = [
        (400, "validation_error", ErrorKind::Rejected),
        (400, "missing_version", ErrorKind::Bug),
        (403, "restricted_resource", ErrorKind::Forbidden),
        (404, "object_not_found", ErrorKind::ProviderNotFound),
        (409, "conflict_error", ErrorKind::Conflict),
        (409, "row_limit_exceeded", ErrorKind::Conflict),
    ];
    for (status, code, kind) in table {
        let body = format!(
            r#"{{"object":"error","status":{status},"code":"{code}","message":"m","request_id":"r-1"}}"#
        );
        rig.sim
            .server()
            .fault("/v1/search", Fault::answer(status, body));
        let error = rig.drive(client.send(&Search::new())).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{error}");
        assert_eq!(error.provider(), Some("notion"));
        let is_not_shared = connector_notion::is_not_shared(&error);
        assert_eq!(is_not_shared, matches!(status, 403 | 404), "{code}");
    }
    println!("refusals told apart: {}", table.len());
    rig.drive(client.send(&GetMe::new())).await.unwrap();
}
