//! Tests of disconnecting, in the store and at the provider.

use std::time::Duration;

use connector_core::{ErrorKind, Event, Status, TenantId};
use connector_tests::openid::PROVIDER;

use crate::world::{Flow, Mischief, World, context};

#[tokio::test]
async fn a_disconnected_connection_is_unusable_at_once_and_revoked_by_the_worker() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-disconnect").await.key;
    world.hub.refresh(&key, context()).await.unwrap();
    let last = world.credential(&key).await;
    let refresh_token = last.refresh_token().unwrap();

    world.hub.disconnect(&key, context()).await.unwrap();
    assert_eq!(world.status(&key).await, Status::Disconnected);
    assert!(world.stored(&key).await.current.is_none());
    let refused = world.hub.access_token(&key).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(world.openid.is_active(refresh_token).await.unwrap());

    world.hub.worker().tick().await.unwrap();
    assert!(!world.openid.is_active(refresh_token).await.unwrap());
    assert!(!world.openid.is_active(last.secret()).await.unwrap());
    assert_eq!(world.ledger("hub-disconnect").await.revocations, 1);
    let events = world.events().await;
    assert!(events.iter().any(|it| matches!(it, Event::Revoked { .. })));
    // No job is left.
    world.clock.advance(Duration::from_hours(24));
    world.hub.worker().tick().await.unwrap();
    assert_eq!(world.ledger("hub-disconnect").await.revocations, 1);
}

#[tokio::test]
async fn a_failed_revocation_is_retried_later() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-outage").await.key;
    let last = world.credential(&key).await;
    let refresh_token = last.refresh_token().unwrap();
    world.hub.disconnect(&key, context()).await.unwrap();
    world.wire.is_down(true);
    for _ in 0..3 {
        world.hub.worker().tick().await.unwrap();
        world.clock.advance(Duration::from_hours(1));
    }
    assert!(world.openid.is_active(refresh_token).await.unwrap());
    assert_eq!(world.ledger("hub-outage").await.revocations, 0);

    world.wire.is_down(false);
    world.hub.worker().tick().await.unwrap();
    assert!(!world.openid.is_active(refresh_token).await.unwrap());
    assert_eq!(world.ledger("hub-outage").await.revocations, 1);
}

#[tokio::test]
async fn one_grant_of_an_account_is_revoked_and_another_tenants_grant_remains() {
    let Some(mut world) = World::new() else {
        return;
    };
    let key = world.connect("hub-shared").await.key;
    world.tenant = TenantId::new("another").unwrap();
    let kept = world.connect("hub-shared").await.key;
    assert_ne!(kept, key);
    world
        .hub
        .disconnect(&key, context())
        .forget()
        .await
        .unwrap();
    world.hub.worker().tick().await.unwrap();
    assert_eq!(world.ledger("hub-shared").await.revocations, 1);
    world.hub.refresh(&kept, context()).await.unwrap();
    let token = world.hub.access_token(&kept).await.unwrap();
    assert!(world.openid.is_active(token.secret()).await.unwrap());
}

#[tokio::test]
async fn the_grant_of_an_account_that_was_refused_is_revoked() {
    let Some(world) = World::new() else { return };
    let first = world.connect("hub-wanted").await;
    let authorize = world.hub.authorize(&world.tenant, PROVIDER);
    let flow = Flow::of(authorize.reconnect(first.key.id)).await;
    let query = world.consent(&flow, "hub-unwanted").await;
    world.call_back(&flow, &query).await.unwrap_err();
    world.hub.worker().tick().await.unwrap();
    assert_eq!(world.ledger("hub-unwanted").await.revocations, 1);
    assert_eq!(world.ledger("hub-wanted").await.revocations, 0);
    world.hub.refresh(&first.key, context()).await.unwrap();
}

#[tokio::test]
async fn a_disconnect_after_a_lost_response_ends_the_grant_at_the_provider() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-lost-end").await.key;
    let before = world.credential(&key).await;
    world.wire.next_is(Mischief::LoseResponse);
    world.hub.refresh(&key, context()).await.unwrap_err();
    world.hub.disconnect(&key, context()).await.unwrap();
    world.hub.worker().tick().await.unwrap();
    // The pair of the lost response belongs to the same grant as the revoked pair.
    let ledger = world.ledger("hub-lost-end").await;
    assert_eq!((ledger.refreshes.accepted, ledger.revocations), (1, 1));
    let refresh_token = before.refresh_token().unwrap();
    assert!(!world.openid.is_active(refresh_token).await.unwrap());
}
