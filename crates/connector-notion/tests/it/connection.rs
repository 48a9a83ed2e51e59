//! Tests of the lifecycle of a connection: authorization, refresh after a 401, revocation, adopted
//! tokens.

use std::future::IntoFuture as _;
use std::time::Duration;

use connector_core::clock::Clock as _;
use connector_core::provider::Context;
use connector_core::{Actor, ErrorKind, Status, TenantId};
use connector_notion::endpoints::{GetMe, Search};
use connector_notion::sim::{Fault, Simulator};
use connector_notion::{Notion, NotionClient, NotionConfig};
use connector_testkit::leak::canary;
use futures_util::future::join_all;
use http::Method;
use secrecy::SecretString;

use crate::rig::{Rig, context};

const TOKEN: &str = "/v1/oauth/token";
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_connection_is_a_bot_with_metadata() {
    let rig = Rig::new().await;
    let url = rig.begin().await.url().clone();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let names: Vec<&str> = query.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "client_id",
            "owner",
            "redirect_uri",
            "response_type",
            "state"
        ]
    );
    assert_eq!(query["owner"], "user");
    let key = rig.connect().await;
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.account.key.as_str(), Simulator::bot(1));
    assert_eq!(
        connection.account.label.as_deref(),
        Some("Example workspace")
    );
    let text = |name: &str| connection.metadata.get::<String>(name).unwrap();
    assert_eq!(text("owner_name"), "Person 1");
    assert_eq!(text("owner_email"), "person1@example.com");
    assert!(text("workspace_id").starts_with("0000000a-"));
    assert_eq!(connection.metadata.get::<usize>("members"), Some(3));
    // Without the capability to read users, the metadata has no member count, and the connection
    // still works.
    rig.sim.set_user_capability(false);
    let key = rig.connect().await;
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.status, Status::Connected);
}

#[tokio::test]
async fn a_token_is_refreshed_only_after_a_401() {
    let rig = Rig::with(1, 10_000).await;
    let key = rig.connect().await;
    let client = rig.hub.client::<NotionClient>(&key).await.unwrap();
    let exchanges = || rig.sim.server().count(&Method::POST, TOKEN);
    assert_eq!(exchanges(), 1);
    // The access token expires after one hour. The expiry is unknown to the hub, so no worker
    // refreshes the token.
    for _ in 0..3 {
        rig.clock.advance(DAY / 100);
        rig.work().await;
    }
    assert_eq!(exchanges(), 1);
    rig.clock.advance(DAY);
    // Notion rejects fifty concurrent calls with 401, and one of the callers refreshes.
    let calls = (0..50).map(|_| {
        let client = client.clone();
        async move { client.send(&GetMe::new()).await }
    });
    let outcomes = rig.drive(join_all(calls)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(
        (exchanges(), rig.sim.authority().reused_refresh_tokens()),
        (2, 0)
    );
    println!("callers with one refresh: {}", outcomes.len());
}

#[tokio::test]
async fn a_refresh_token_that_was_refused_is_never_sent_again() {
    let mut rig = Rig::new().await;
    let key = rig.connect().await;
    rig.sim.authority().end_grants();
    rig.clock.advance(DAY / 24);
    let client = rig.hub.client::<NotionClient>(&key).await.unwrap();
    let error = rig.drive(client.send(&GetMe::new())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
    let exchanges = |rig: &Rig| rig.sim.server().count(&Method::POST, TOKEN);
    assert_eq!(exchanges(&rig), 2);
    for _ in 0..2 {
        for _ in 0..3 {
            let client = rig.hub.client::<NotionClient>(&key).await;
            let error = match client {
                Ok(client) => rig.drive(client.send(&GetMe::new())).await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
            rig.clock.advance(DAY);
            rig.work().await;
        }
        // Simulate another process with the same store.
        rig.restart(None);
    }
    assert_eq!(exchanges(&rig), 2, "the refused token was sent again");
    // After the owner authorizes again, the same connection works.
    assert_eq!(rig.connect().await, key);
    let client = rig.hub.client::<NotionClient>(&key).await.unwrap();
    rig.drive(client.send(&GetMe::new())).await.unwrap();
    println!("attempts without a refused token being sent again: 6");
}

#[tokio::test]
async fn a_rejected_registration_ends_no_connection() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    rig.clock.advance(DAY);
    let body = r#"{"object":"error","status":401,"code":"unauthorized","message":"m"}"#;
    rig.sim.server().fault(TOKEN, Fault::answer(401, body));
    let client = rig.hub.client::<NotionClient>(&key).await.unwrap();
    assert!(rig.drive(client.send(&GetMe::new())).await.is_err());
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert!(
        !matches!(connection.status, Status::NeedsReauthorization(_)),
        "{:?}",
        connection.status
    );
    rig.clock.advance(DAY);
    rig.drive(client.send(&GetMe::new())).await.unwrap();
}

#[tokio::test]
async fn a_disconnect_revokes_the_grant() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let (access, _) = rig.sim.authority().issue(&Simulator::bot(1), &[]).unwrap();
    let notion = Notion::new(NotionConfig::for_simulator(&rig.sim).unwrap());
    let (app, transport) = (rig.sim.authority().app(), rig.sim.server().transport());
    let cx = Context::new(&app, &*transport, &rig.clock);
    assert!(notion.introspect(&cx, &access).await.unwrap().active);
    let unknown = SecretString::from("ntn_unknown");
    assert!(!notion.introspect(&cx, &unknown).await.unwrap().active);
    let wrong = connector_core::App::new("another").with_client_secret("wrong");
    let cx = Context::new(&wrong, &*transport, &rig.clock);
    let error = notion.introspect(&cx, &access).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AppMisconfigured);
    rig.hub.disconnect(&key, context()).await.unwrap();
    rig.work().await;
    assert_eq!(rig.sim.server().count(&Method::POST, "/v1/oauth/revoke"), 1);
    assert!(rig.hub.access_token(&key).await.is_err());
}

#[tokio::test]
async fn the_token_of_an_internal_connection_is_adopted() {
    let rig = Rig::new().await;
    let (token, _) = rig.sim.authority().issue(&Simulator::bot(1), &[]).unwrap();
    let credential = Notion::token(token, rig.clock.now()).unwrap();
    let tenant = TenantId::new("t1").unwrap();
    let adopt = rig
        .hub
        .adopt(&tenant, Notion::ID, credential)
        .actor(Actor::Worker);
    let connected = adopt.await.unwrap();
    let connection = connected.connection();
    assert_eq!(connection.account.key.as_str(), Simulator::bot(1));
    assert_eq!(
        connection.account.label.as_deref(),
        Some("Example workspace")
    );
    let client = rig
        .hub
        .client::<NotionClient>(connection.key())
        .await
        .unwrap();
    rig.drive(client.send(&Search::new())).await.unwrap();
    let wrong = Notion::token(canary("wrong"), rig.clock.now()).unwrap();
    let adopt = rig
        .hub
        .adopt(&tenant, Notion::ID, wrong)
        .actor(Actor::Worker);
    assert_eq!(
        rig.drive(adopt.into_future()).await.unwrap_err().kind(),
        ErrorKind::Unauthorized
    );
}

#[tokio::test]
async fn people_of_one_workspace_are_separate_accounts() {
    let rig = Rig::with(2, 180).await;
    let first = rig.connect().await;
    rig.sim.authority().sign_in(&Simulator::bot(2)).unwrap();
    let second = rig.connect().await;
    assert_ne!(first, second);
    let [first, second] = [
        rig.hub.tenant(&first.tenant).get(first.id).await.unwrap(),
        rig.hub.tenant(&second.tenant).get(second.id).await.unwrap(),
    ];
    assert_ne!(first.account.key, second.account.key);
    let workspace = |it: &connector_core::Connection| it.metadata.get::<String>("workspace_id");
    assert_eq!(workspace(&first), workspace(&second));
}
