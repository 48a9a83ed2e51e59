//! A disconnected connection is unusable at once, and is eventually revoked at the provider.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the test prints the counts"
)]

mod provider;

use connector_core::cipher::KeyId;
use connector_core::provider::description::RevocationReach;
use connector_core::provider::oauth::RotationClass;
use connector_core::store::{AuditFilter, AuditLog, Maintenance, TokenStore, WorkKind};
use connector_core::{ErrorKind, Event, Status};
use std::time::Duration;

use self::provider::{HOUR, MINUTE, World, context, description, settle};

async fn events(world: &World, wanted: impl Fn(&Event) -> bool) -> usize {
    let filter = AuditFilter::default();
    let log = world.store.audit(&filter, None, 20_000).await.unwrap();
    log.items
        .iter()
        .filter(|it| wanted(&it.entry.event))
        .count()
}

#[tokio::test]
async fn a_thousand_disconnects_while_the_provider_is_down() {
    const CONNECTIONS: usize = 1000;
    let world = World::new(RotationClass::Strict);
    let mut keys = Vec::new();
    for account in 0..CONNECTIONS {
        let key = world.connect(&format!("a{account}")).await;
        drop(world.drive(world.hub.access_token(&key)).await.unwrap());
        keys.push(key);
    }
    world.provider.set_down(true);
    let mut usable = 0;
    for (at, key) in keys.iter().enumerate() {
        let disconnect = world.hub.disconnect(key, context());
        let disconnect = if at % 2 == 0 {
            disconnect.forget()
        } else {
            disconnect
        };
        world.drive(disconnect.into_future()).await.unwrap();
        let error = world
            .drive(world.hub.access_token(key))
            .await
            .map(drop)
            .unwrap_err();
        usable += usize::from(error.kind() != ErrorKind::NotFound);
        let stored = world.store.load(key).await.unwrap();
        assert_eq!(stored.is_none(), at % 2 == 0);
        if let Some(stored) = stored {
            assert!(stored.current.is_none() && stored.previous.is_none());
            assert_eq!(stored.connection.status, Status::Disconnected);
        }
    }
    world.minutes(120).await;
    assert_eq!(world.provider.revocations(), 0);
    world.provider.set_down(false);
    let mut waited = 0;
    while world.provider.revocations() < CONNECTIONS as u64 && waited < 48 * 6 {
        world.clock.advance(MINUTE * 9);
        world.minutes(1).await;
        waited += 1;
    }
    world.minutes(10).await;
    let revoked = events(&world, |it| matches!(it, Event::Revoked { .. })).await;
    let mut queued = 0;
    for key in &keys {
        queued += world.store.revocations(key).await.unwrap().len();
    }
    let calls = world.provider.token_calls();
    println!(
        "{CONNECTIONS} disconnects while the provider is down: {usable} usable afterwards, {revoked} \
         revoked later, {queued} forgotten, {calls} token calls"
    );
    assert_eq!((usable, revoked, queued, calls), (0, CONNECTIONS, 0, 0));
    assert_eq!(world.provider.revocations(), CONNECTIONS as u64);
    let rows = world
        .store
        .sealed_rows(&KeyId::from_bytes([0; 8]), None, 1)
        .await;
    assert!(rows.unwrap().items.is_empty());
    let due = world
        .store
        .take_due(&WorkKind::ALL, 1, Duration::ZERO)
        .await;
    assert!(due.unwrap().is_empty());
}

#[tokio::test]
async fn a_revocation_that_reaches_the_account_waits_for_its_last_connection() {
    let reach = description(RotationClass::Strict, RevocationReach::Account);
    let world = World::with(reach, |builder| builder);
    let first = world.connect_for("t1", "alpha", HOUR).await;
    let second = world.connect_for("t2", "alpha", HOUR).await;
    world.hub.disconnect(&first, context()).await.unwrap();
    world.minutes(2).await;
    assert_eq!(world.provider.revocations(), 0);
    let skipped =
        |it: &Event| matches!(it, Event::RevocationSkipped { reason } if reason == "shared");
    assert_eq!(events(&world, skipped).await, 1);
    world.hub.disconnect(&second, context()).await.unwrap();
    world.minutes(2).await;
    assert_eq!(world.provider.revocations(), 1);
    assert_eq!(
        events(&world, |it| matches!(it, Event::Revoked { .. })).await,
        1
    );
}

/// The event contains the reach of the revocation.
#[tokio::test]
async fn the_event_of_a_revocation_says_what_was_revoked() {
    let reaches = [
        (RevocationReach::Token, 2),
        (RevocationReach::Grant, 1),
        (RevocationReach::Account, 1),
    ];
    let mut revoked = 0;
    for (reach, requests) in reaches {
        for class in [RotationClass::Stable, RotationClass::Strict] {
            let world = World::with(description(class, reach), |builder| builder);
            let key = world.connect("alpha").await;
            world.hub.disconnect(&key, context()).await.unwrap();
            world.minutes(2).await;
            assert_eq!(world.provider.revocations(), requests, "{reach:?}");
            let said = events(&world, |it| *it == Event::Revoked { reach }).await;
            let all = events(&world, |it| matches!(it, Event::Revoked { .. })).await;
            assert_eq!((said, all), (1, 1), "{reach:?}");
            revoked += 1;
        }
    }
    println!("revocations that said what they ended: {revoked}");
}

#[tokio::test]
async fn a_response_that_comes_after_the_end_is_revoked_and_not_used() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    world.provider.close_gate();
    let (hub, of) = (world.hub.clone(), key.clone());
    let caller = tokio::spawn(async move { hub.access_token(&of).await.map(drop) });
    settle(64).await;
    world.hub.disconnect(&key, context()).await.unwrap();
    world.provider.open_gate();
    let error = world.drive(caller).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    world.minutes(2).await;
    // The current pair and the late pair.
    assert_eq!(world.provider.revocations(), 2);
    assert!(world.store.revocations(&key).await.unwrap().is_empty());
    let error = world
        .drive(world.hub.access_token(&key))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn nothing_is_sent_without_a_request() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world
        .hub
        .disconnect(&key, context())
        .without_revocation()
        .await
        .unwrap();
    world.hub.disconnect(&key, context()).await.unwrap();
    world.minutes(5).await;
    assert_eq!(world.provider.revocations(), 0);
    world
        .hub
        .disconnect(&key, context())
        .forget()
        .await
        .unwrap();
    let error = world.hub.disconnect(&key, context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
