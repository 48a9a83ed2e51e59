//! Test cases: the connector identifies the account that a credential belongs to.

use connector_core::ErrorKind;
use connector_core::http::{Sent, TransportErrorKind};

use super::wire::Instead;
use super::world::World;

pub(super) async fn an_account_has_one_key(world: &World) {
    let credential = world.connect().await;
    let first = world.identified(&credential).await.account;
    let second = world.identified(&credential).await.account;
    assert_eq!(first.key, second.key, "asked twice");
    if credential.refresh_token().is_some() {
        let renewed = world.refreshed(&credential).await;
        let third = world.identified(&renewed).await.account;
        assert_eq!(first.key, third.key, "after a refresh");
    }
    let again = world.connect().await;
    let fourth = world.identified(&again).await.account;
    assert_eq!(first.key, fourth.key, "connected again");
}

pub(super) async fn a_wrong_token_is_unauthorized(world: &World) {
    let credential = world.connect().await;
    world.identified(&credential).await;
    world.wire.take();
    let wrong = world.with_secret(&credential, "no-token-of-this-provider");
    match world.identify(&wrong).await {
        Ok(_) => panic!("a wrong token is identified as an account"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}"),
    }
    assert!(world.wire.count() > 0, "the provider got no request");
}

pub(super) async fn identify_tells_failures_apart(world: &World) {
    let answer = |status, body: &str| Instead::Answer(status, Vec::new(), body.to_owned());
    let broken = |kind| Instead::Error(kind, Sent::Maybe);
    let credential = world.connect().await;
    for (what, instead, kind) in [
        ("401", answer(401, "{}"), ErrorKind::Unauthorized),
        ("403", answer(403, "{}"), ErrorKind::Forbidden),
        ("429", answer(429, "{}"), ErrorKind::RateLimited),
        ("500", answer(500, ""), ErrorKind::ProviderUnavailable),
        (
            "502 with HTML",
            answer(502, "<html>"),
            ErrorKind::ProviderUnavailable,
        ),
        (
            "200 with HTML",
            answer(200, "<html>"),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "200 with an empty body",
            answer(200, ""),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "200 without an account",
            answer(200, r#"{"unheard_of":1}"#),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "a broken connection",
            broken(TransportErrorKind::Broken),
            ErrorKind::Network,
        ),
        (
            "a deadline",
            broken(TransportErrorKind::Timeout),
            ErrorKind::Timeout,
        ),
        (
            "an endless response",
            broken(TransportErrorKind::Answer),
            ErrorKind::UnexpectedResponse,
        ),
    ] {
        if !world.reads_identity_body() && what.starts_with("200") {
            continue;
        }
        world.wire.answer(instead);
        match world.identify(&credential).await {
            Ok(_) => panic!("{what} is identified as an account"),
            Err(error) => assert_eq!(error.kind(), kind, "{what}"),
        }
    }
    world.identified(&credential).await;
}
