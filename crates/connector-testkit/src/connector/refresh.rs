//! Refreshes and the rotation of refresh tokens.

use std::time::Duration;

use connector_core::http::Sent;
use connector_core::provider::oauth::{ExchangeClass, Grace, RotationClass, TokenResponse};
use connector_core::{Credential, ErrorKind};

use super::world::{World, expect, same};

pub(super) async fn a_refreshed_token_works(world: &World) {
    let first = world.connect().await;
    let second = world.refreshed(&first).await;
    assert!(
        !same(first.secret(), second.secret()),
        "a refresh returns the same access token"
    );
    world.identified(&second).await;
    let third = world.refreshed(&second).await;
    world.identified(&third).await;
}

pub(super) async fn a_refresh_token_is_kept_or_replaced_as_described(world: &World) {
    let credential = world.connect().await;
    let Some(before) = credential.refresh_token() else {
        panic!("the first token response has no refresh token");
    };
    let answer = world.connector().refresh(&world.cx(), &credential).await;
    let answer = expect(answer, "the refresh");
    let brought = answer.refresh_token();
    let rotation = world.description().rotation;
    match rotation {
        RotationClass::Stable => assert!(
            brought.is_none_or(|brought| same(brought, before)),
            "the description says `stable`, but the refresh token changed"
        ),
        _ => assert!(
            brought.is_some_and(|brought| !same(brought, before)),
            "the description says {rotation:?}, but the refresh token is unchanged"
        ),
    }
}

pub(super) async fn a_spent_refresh_token_fares_as_described(world: &World) {
    let clock = world.fixture.clock();
    let rotation = world.description().rotation;
    let first = world.connect().await;
    let second = world.refreshed(&first).await;
    match rotation {
        RotationClass::Stable | RotationClass::OldTokensLiveOn => {
            world.identified(&second).await;
            for _ in 0..2 {
                let again = world.refreshed(&first).await;
                world.identified(&again).await;
            }
        }
        RotationClass::Grace(Grace::Time { seconds }) => {
            let seconds = Duration::from_secs(seconds.into());
            clock.advance(seconds.saturating_sub(Duration::from_secs(1)));
            world.refreshed(&first).await;
            let other = world.connect().await;
            world.refreshed(&other).await;
            clock.advance(seconds);
            dead(world, &other).await;
        }
        RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds }) => {
            // The previous response was lost, so its tokens were never used.
            let third = world.refreshed(&first).await;
            world.identified(&third).await;
            dead(world, &first).await;
            let fourth = world.refreshed(&third).await;
            clock.advance(Duration::from_secs(max_seconds.into()));
            dead(world, &third).await;
            world.refreshed(&fourth).await;
        }
        RotationClass::Strict => {
            world.identified(&second).await;
            dead(world, &first).await;
        }
        other => panic!("the suite does not support the rotation class {other:?}"),
    }
}

async fn dead(world: &World, credential: &Credential) {
    match world.refresh(credential).await {
        Ok(_) => panic!(
            "the description says {:?}, but a used refresh token returns a token",
            world.description().rotation
        ),
        Err(error) => assert_eq!(
            (error.class(), error.sent()),
            (ExchangeClass::DeadGrant, Sent::Answered),
            "{error:?}"
        ),
    }
}

pub(super) async fn without_a_refresh_token_nothing_is_sent(world: &World) {
    let credential = world.connect().await;
    let access = TokenResponse::new(credential.secret().clone());
    let bare = world.credential(&access, None);
    world.wire.take();
    match world.refresh(&bare).await {
        Ok(_) => panic!("a credential without a refresh token is refreshed"),
        Err(error) => {
            assert_eq!(error.sent(), Sent::No, "{error:?}");
            assert_eq!(error.class(), ExchangeClass::DeadGrant, "{error:?}");
        }
    }
    assert_eq!(world.wire.count(), 0, "a request was sent");
}

pub(super) async fn an_ended_grant_is_dead(world: &World) {
    let credential = world.connect().await;
    world.fixture.end_grants();
    if world.has_test_endpoint() {
        match world.identify(&credential).await {
            Ok(_) => panic!("an ended grant is still identified as its account"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}"),
        }
    }
    match world.refresh(&credential).await {
        Ok(_) => panic!("an ended grant is refreshed"),
        Err(error) => assert_eq!(
            (error.class(), error.sent()),
            (ExchangeClass::DeadGrant, Sent::Answered),
            "{error:?}"
        ),
    }
    let again = world.connect().await;
    world.identified(&again).await;
}
