//! Revocation of credentials.

use connector_core::ErrorKind;
use connector_core::http::Sent;
use connector_core::provider::oauth::ExchangeClass;

use super::world::{World, expect};

pub(super) async fn revoking_twice_is_harmless(world: &World) {
    let credential = world.connect().await;
    let revoke = async || world.connector().revoke(&world.cx(), &credential).await;
    expect(revoke().await, "the revocation");
    if world.has_test_endpoint() {
        match world.identify(&credential).await {
            Ok(_) => panic!("a revoked credential is still identified as its account"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}"),
        }
    }
    if credential.refresh_token().is_some() {
        assert!(
            world.refresh(&credential).await.is_err(),
            "a revoked credential is refreshed"
        );
    }
    // Both results mean that there is nothing left to revoke.
    if let Err(error) = revoke().await {
        assert_eq!(error.class(), ExchangeClass::DeadGrant, "{error:?}");
    }
}

pub(super) async fn revoking_is_unsupported_where_it_is_not_described(world: &World) {
    let credential = world.connect().await;
    world.wire.take();
    match world.connector().revoke(&world.cx(), &credential).await {
        Ok(()) => panic!("a credential is revoked although the description has no revocation"),
        Err(error) => {
            assert_eq!(error.error().kind(), ErrorKind::Unsupported, "{error:?}");
            assert_eq!(error.sent(), Sent::No, "{error:?}");
        }
    }
    assert_eq!(world.wire.count(), 0, "a request was sent");
    world.identified(&credential).await;
}
