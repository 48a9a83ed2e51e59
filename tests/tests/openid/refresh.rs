//! Tests of rotation, reuse and lost responses, at the provider and in the hub.

use connector_core::{DegradedReason, ErrorKind, ReauthorizationReason, Status};
use connector_testkit::leak::digest;

use crate::world::{Mischief, World, context, past_expiry};

#[tokio::test]
async fn three_forced_refreshes_rotate_three_times_and_both_sides_agree() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-rotation").await.key;
    let mut seen = vec![world.credential(&key).await];
    for round in 1..=3 {
        world.hub.refresh(&key, context()).await.unwrap();
        let kept = world.credential(&key).await;
        let ledger = world.ledger("hub-rotation").await;
        assert_eq!(
            (ledger.refreshes.accepted, ledger.refreshes.refused),
            (round, 0)
        );
        assert_eq!(
            ledger.newest_refresh_token,
            kept.refresh_token().map(digest),
            "what is kept is the newest"
        );
        assert_eq!(
            world.stored(&key).await.connection.generation.get(),
            round + 1
        );
        let token = world.hub.access_token(&key).await.unwrap();
        assert_eq!(digest(token.secret()), digest(kept.secret()));
        assert!(world.openid.is_active(token.secret()).await.unwrap());
        seen.push(kept);
    }
    for (at, one) in seen.iter().enumerate() {
        for other in &seen[at + 1..] {
            assert_ne!(
                one.refresh_token().map(digest),
                other.refresh_token().map(digest)
            );
        }
    }
    println!("{} refresh tokens, all different", seen.len());
}

#[tokio::test]
async fn an_expired_token_is_refreshed_when_it_is_asked_for() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-expiry").await.key;
    for round in 1..=3 {
        world.clock.advance(past_expiry());
        let token = world.hub.access_token(&key).await.unwrap();
        assert!(world.openid.is_active(token.secret()).await.unwrap());
        assert_eq!(world.ledger("hub-expiry").await.refreshes.accepted, round);
    }
}

#[tokio::test]
async fn a_replay_by_a_thief_ends_the_connection_and_says_so() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-thief").await.key;
    let stolen = world.credential(&key).await;
    world.hub.refresh(&key, context()).await.unwrap();
    // The attacker uses the token second: the provider receives a token twice and ends the grant.
    let refresh_token = stolen.refresh_token().unwrap();
    assert!(!world.openid.steal(refresh_token).await.unwrap());
    let kept = world.credential(&key).await;
    assert!(!world.openid.is_active(kept.secret()).await.unwrap());

    let refused = world.hub.refresh(&key, context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NeedsReauthorization);
    let reason = ReauthorizationReason::GrantRevoked;
    assert_eq!(
        world.status(&key).await,
        Status::NeedsReauthorization(reason)
    );
    let asked = world.ledger("hub-thief").await.refreshes.all();
    for _ in 0..3 {
        world.clock.advance(past_expiry());
        let refused = world.hub.access_token(&key).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NeedsReauthorization);
    }
    let asked_since = world.ledger("hub-thief").await.refreshes.all() - asked;
    assert_eq!(asked_since, 0, "a dead grant is not asked for again");
}

#[tokio::test]
async fn a_thief_who_comes_first_loses_too() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-thief-first").await.key;
    let stolen = world.credential(&key).await;
    assert!(
        world
            .openid
            .steal(stolen.refresh_token().unwrap())
            .await
            .unwrap()
    );
    let refused = world.hub.refresh(&key, context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NeedsReauthorization);
    let ledger = world.ledger("hub-thief-first").await;
    assert_eq!(
        (ledger.refreshes.accepted, ledger.refreshes.refused),
        (1, 1)
    );
    assert!(!world.openid.is_active(stolen.secret()).await.unwrap());
}

#[tokio::test]
async fn a_connection_that_ended_works_again_once_it_is_reconnected() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-revived").await.key;
    let stolen = world.credential(&key).await;
    assert!(
        world
            .openid
            .steal(stolen.refresh_token().unwrap())
            .await
            .unwrap()
    );
    world.hub.refresh(&key, context()).await.unwrap_err();
    assert_eq!(world.connect("hub-revived").await.key, key);
    assert_eq!(world.status(&key).await, Status::Connected);
    world.hub.refresh(&key, context()).await.unwrap();
    let token = world.hub.access_token(&key).await.unwrap();
    assert!(world.openid.is_active(token.secret()).await.unwrap());
}

#[tokio::test]
async fn a_lost_response_at_a_strict_provider_is_reported_as_lost_in_flight() {
    let Some(world) = World::new() else { return };
    let key = world.connect("hub-lost").await.key;
    let served = world.hub.access_token(&key).await.unwrap();
    world.wire.next_is(Mischief::LoseResponse);
    let unresolved = world.hub.refresh(&key, context()).await.unwrap_err();
    assert_eq!(unresolved.kind(), ErrorKind::RefreshUnresolved);
    let degraded = Status::Degraded(DegradedReason::RefreshUnresolved);
    assert_eq!(world.status(&key).await, degraded);
    // The previous token is valid, so the hub returns it and sends no request for some time.
    let again = world.hub.access_token(&key).await.unwrap();
    assert_eq!(digest(again.secret()), digest(served.secret()));
    assert_eq!(world.ledger("hub-lost").await.refreshes.all(), 1);

    world.clock.advance(past_expiry());
    let refused = world.hub.access_token(&key).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NeedsReauthorization);
    let reason = ReauthorizationReason::LostInFlight;
    assert_eq!(
        world.status(&key).await,
        Status::NeedsReauthorization(reason)
    );
    let ledger = world.ledger("hub-lost").await;
    assert_eq!(
        (ledger.refreshes.accepted, ledger.refreshes.refused),
        (1, 1)
    );
}
