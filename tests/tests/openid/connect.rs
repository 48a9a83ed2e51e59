//! Tests of the connect flow.

use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::provider::oauth::{AuthorizationRequest, Callback, CodeExchange, CodeVerifier};
use connector_core::provider::{Connector, Context, GenericConnector};
use connector_core::{
    Credential, CredentialKind, ErrorKind, Event, Status, SystemRandom, random_token,
};
use connector_testkit::leak::digest;
use connector_tests::openid::{ISSUER, OpenId, PROVIDER};

use crate::world::{Flow, Mischief, World, context, credential, owner};

#[tokio::test]
async fn an_account_is_connected_and_its_token_works() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let query = world.consent(&flow, "hub-connect").await;
    let connected = world.call_back(&flow, &query).await.unwrap();
    assert_eq!(connected.account.key.as_str(), "hub-connect");
    assert_eq!(connected.status, Status::Connected);
    assert_eq!(connected.scopes().granted, ["openid", "offline_access"]);
    assert!(connected.scopes().missing.is_empty());

    let token = world.hub.access_token(&connected.key).await.unwrap();
    assert!(world.openid.is_active(token.secret()).await.unwrap());
    let ledger = world.ledger("hub-connect").await;
    assert_eq!(
        (ledger.exchanges.accepted, ledger.exchanges.refused),
        (1, 0)
    );
    let kept = world.credential(&connected.key).await;
    assert_eq!(
        ledger.newest_refresh_token,
        kept.refresh_token().map(digest)
    );
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_by_the_provider_and_connects_nothing() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let query = world.consent(&flow, "hub-pkce").await;
    world.wire.next_is(Mischief::OtherVerifier);
    let refused = world.call_back(&flow, &query).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CallbackRefused);
    let ledger = world.ledger("hub-pkce").await;
    assert_eq!(
        (ledger.exchanges.accepted, ledger.exchanges.refused),
        (0, 1)
    );
    // The code is not sent again, with any verifier.
    world.call_back(&flow, &query).await.unwrap_err();
    assert_eq!(world.wire.token_requests(), 1);
    let listed = world
        .hub
        .tenant(&world.tenant)
        .list(None, 10)
        .await
        .unwrap();
    assert!(listed.items.is_empty());
}

#[tokio::test]
async fn a_challenge_that_is_taken_out_of_the_url_ends_the_connect() {
    let Some(world) = World::new() else { return };
    for stripped in ["code_challenge", "code_challenge_method"] {
        let mut flow = world.begin().await;
        let kept: Vec<(String, String)> = flow
            .url
            .query_pairs()
            .filter(|(name, _)| name != stripped)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        flow.url.query_pairs_mut().clear().extend_pairs(kept);
        let callback = world.openid.consent(&flow.url, "hub-downgrade").await;
        let callback = callback.unwrap();
        let refused = world.call_back(&flow, callback.query().unwrap()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::CallbackRefused);
    }
    assert_eq!(world.wire.token_requests(), 0);
}

#[tokio::test]
async fn a_denied_consent_is_reported_and_recorded() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let callback = world.openid.deny(&flow.url, "hub-denied").await.unwrap();
    let query = callback.query().unwrap();
    for _ in 0..2 {
        let denied = world.call_back(&flow, query).await.unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::CallbackRefused);
        assert!(denied.to_string().contains("denied consent"), "{denied}");
    }
    let events = world.events().await;
    let denials = events.iter().filter(|it| **it == Event::ConsentDenied);
    assert_eq!(denials.count(), 1);
    assert_eq!(world.wire.token_requests(), 0);
}

#[tokio::test]
async fn a_reconnect_keeps_the_id_and_starts_a_new_grant() {
    let Some(world) = World::new() else { return };
    let first = world.connect("hub-reconnect").await;
    let before = world.credential(&first.key).await;
    let authorize = world.hub.authorize(&world.tenant, PROVIDER);
    let flow = Flow::of(authorize.reconnect(first.key.id)).await;
    let query = world.consent(&flow, "hub-reconnect").await;
    let second = world.call_back(&flow, &query).await.unwrap();
    assert_eq!(second.key, first.key);
    let stored = world.stored(&first.key).await.connection;
    assert_eq!(stored.grant, first.grant.next());
    let after = world.credential(&first.key).await;
    assert_ne!(
        before.refresh_token().map(digest),
        after.refresh_token().map(digest)
    );
    world.hub.refresh(&first.key, context()).await.unwrap();
}

#[tokio::test]
async fn another_account_does_not_take_a_connections_place() {
    let Some(world) = World::new() else { return };
    let first = world.connect("hub-mine").await;
    let before = world.stored(&first.key).await;
    let authorize = world.hub.authorize(&world.tenant, PROVIDER);
    let flow = Flow::of(authorize.reconnect(first.key.id)).await;
    let query = world.consent(&flow, "hub-yours").await;
    let refused = world.call_back(&flow, &query).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CallbackRefused);
    let after = world.stored(&first.key).await;
    assert_eq!(after.current, before.current);
    let kept = credential(&world.keys, &after).await;
    assert!(world.openid.is_active(kept.secret()).await.unwrap());
}

#[tokio::test]
async fn a_credential_that_was_obtained_elsewhere_is_adopted() {
    let Some(world) = World::new() else { return };
    let random = SystemRandom::new();
    let app = world.openid.app().unwrap();
    let connector = GenericConnector::new(OpenId::description()).unwrap();
    let (state, verifier) = (
        random_token(&random).unwrap(),
        CodeVerifier::generate(&random).unwrap(),
    );
    let request = AuthorizationRequest::new(&app, &state, &verifier);
    let url = connector.authorization_url(&request).unwrap();
    let callback = world.openid.consent(&url, "hub-adopt").await.unwrap();
    let callback = Callback::parse(callback.query().unwrap()).unwrap();
    let code = callback.code().unwrap();
    let cx = Context::new(&app, &world.wire, &world.clock);
    let exchange = CodeExchange::new(&code, &verifier);
    let answer = connector.exchange_code(&cx, &exchange).await.unwrap();
    let found = Credential::new(
        CredentialKind::OAuth,
        Origin::parse(ISSUER).unwrap(),
        answer.access_token().clone(),
        world.clock.now(),
    )
    .with_client_id(app.client_id())
    .with_refresh_token(answer.refresh_token().unwrap().clone());

    let adopt = world.hub.adopt(&world.tenant, PROVIDER, found);
    let adopted = adopt.actor(owner()).await.unwrap();
    assert_eq!(adopted.account.key.as_str(), "hub-adopt");
    world.hub.refresh(&adopted.key, context()).await.unwrap();
    let ledger = world.ledger("hub-adopt").await;
    assert_eq!(
        (ledger.refreshes.accepted, ledger.refreshes.refused),
        (1, 0)
    );
}
