//! Live streams.

use std::time::Duration;

use axum::body::Body;
use connector_testkit::drive;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::rig::{Rig, request};

const STEP: Duration = Duration::from_millis(100);

struct Stream<'a> {
    rig: &'a Rig,
    body: Body,
}

impl<'a> Stream<'a> {
    async fn open(rig: &'a Rig) -> Self {
        let request = request("GET", "/v1/connections/live", &rig.ann, Body::empty());
        let response = rig.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = response.into_body();
        Self { rig, body }
    }

    /// Returns the next events, except comments.
    async fn next(&mut self) -> Option<String> {
        loop {
            let frame = drive(&self.rig.clock, STEP, self.body.frame()).await?;
            let text = frame.unwrap().into_data().unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            if text != ":\n\n" {
                return Some(text);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_shows_a_dead_grant_within_a_second() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let mut stream = Stream::open(&rig).await;
    let first = stream.next().await.unwrap();
    assert!(first.starts_with("event: connection\ndata: {"), "{first}");
    assert!(first.contains("\"status\":\"connected\""));
    assert!(first.ends_with("event: ready\ndata: {}\n\n"));
    rig.sim.end_grants();
    let path = format!("/v1/connections/{id}/refresh");
    assert_eq!(rig.post(&path, &rig.ann, &json!({})).await.status, 409);
    let refused = rig.hub.clock().now();
    let change = stream.next().await.unwrap();
    assert!(change.contains("needs_reauthorization"), "{change}");
    let delay = rig.hub.clock().now().since(refused);
    println!("a dead grant is shown after {} ms", delay.as_millis());
    assert!(delay <= Duration::from_secs(1));
    let second = rig.connect(&rig.ann, "2").await;
    assert!(stream.next().await.unwrap().contains(&second.to_string()));
    let path = format!("/v1/connections/{second}/disconnect");
    let list = rig.get(&path, &rig.ann).await.json();
    let body = json!({ "mode": "forget", "confirmation": list["confirmation"] });
    rig.post(&path, &rig.ann, &body).await;
    let removed = stream.next().await.unwrap();
    assert_eq!(
        removed,
        format!("event: removed\ndata: {{\"id\":\"{second}\"}}\n\n")
    );
}

#[tokio::test]
async fn a_stream_says_that_the_tenant_has_more_connections_than_it_contains() {
    let rig = Rig::with(|it| it.with_live_connections(1)).await;
    rig.connect(&rig.ann, "1").await;
    let mut stream = Stream::open(&rig).await;
    let first = stream.next().await.unwrap();
    assert!(!first.contains("truncated"), "{first}");
    let second = rig.connect(&rig.ann, "2").await;
    let change = stream.next().await.unwrap();
    let event = "event: truncated\ndata: {\"limit\":1,\"truncated\":true}\n\n";
    assert!(change.ends_with(event), "{change}");
    let mut late = Stream::open(&rig).await;
    let first = late.next().await.unwrap();
    assert_eq!(first.matches("event: connection").count(), 1);
    let end = format!("{event}event: ready\ndata: {{}}\n\n");
    assert!(first.ends_with(&end), "{first}");
    let path = format!("/v1/connections/{second}/disconnect");
    let list = rig.get(&path, &rig.ann).await.json();
    let body = json!({ "mode": "forget", "confirmation": list["confirmation"] });
    rig.post(&path, &rig.ann, &body).await;
    let change = stream.next().await.unwrap();
    assert!(change.contains("\"truncated\":false"), "{change}");
    println!("events `truncated`: 3");
}

#[tokio::test]
async fn streams_end_when_the_service_shuts_down() {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let rig = Rig::with(|it| {
        it.with_shutdown(async move {
            let _ = ended.await;
        })
    })
    .await;
    let mut open = [Stream::open(&rig).await, Stream::open(&rig).await];
    for stream in &mut open {
        stream.next().await.unwrap();
    }
    let before = rig.hub.clock().now();
    end.send(()).unwrap();
    let mut ended = 0;
    for stream in &mut open {
        assert_eq!(stream.next().await, None, "the stream outlives the service");
        ended += 1;
    }
    assert!(rig.hub.clock().now().since(before) < Duration::from_secs(1));
    // A stream that opens later shows the list, and ends.
    let mut late = Stream::open(&rig).await;
    assert!(late.next().await.unwrap().contains("event: ready"));
    assert_eq!(late.next().await, None);
    println!("streams ended by the shutdown: {}", ended + 1);
}

#[tokio::test]
async fn streams_are_limited_and_end() {
    let rig = Rig::new().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Stream::open(&rig).await);
    }
    let refused = rig.get("/v1/connections/live", &rig.ann).await;
    assert_eq!(refused.code(), "too_many_streams");
    open.truncate(1);
    let mut stream = open.remove(0);
    stream.next().await;
    rig.clock.advance(Duration::from_secs(900));
    assert_eq!(stream.next().await, None, "the stream has no end");
    let again = Stream::open(&rig).await;
    drop(again);
    println!("streams opened: 33");
}
