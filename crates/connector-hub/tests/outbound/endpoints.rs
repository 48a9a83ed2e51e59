//! Endpoints: registration, settings, secrets, headers.

use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::outbound::SignatureAlgorithm;
use connector_core::store::EndpointState;
use connector_core::{ErrorKind, Event, TenantId};
use connector_hub::{EndpointUpdate, NewTarget, OutboundPolicy};
use secrecy::{ExposeSecret, SecretString};

use crate::rig::{World, context, hub, kind, message};

#[tokio::test]
async fn a_message_goes_to_the_endpoints_that_chose_its_type() {
    let world = World::new();
    let outbound = world.outbound();
    let all = NewTarget::new("https://all.example/hooks");
    let all = outbound.add(all, context()).await.unwrap();
    let paid = NewTarget::new("https://paid.example/").with_event_types([kind("order.paid")]);
    let paid = outbound.add(paid, context()).await.unwrap();
    let other = TenantId::new("t2").unwrap();
    let theirs = NewTarget::new("https://other.example/");
    let theirs = world
        .hub
        .outbound(&other)
        .add(theirs, context())
        .await
        .unwrap();

    let sent = outbound.publish(message("m1")).await.unwrap();
    assert_eq!(
        (sent.pending, sent.skipped, sent.is_duplicate),
        (1, 0, false)
    );
    assert!(outbound.publish(message("m1")).await.unwrap().is_duplicate);
    assert_eq!(world.tick().await, 1);
    let got = world.receivers.got("all.example");
    assert_eq!(got.len(), 1);
    assert!(got[0].is_signed_with(&all.verification_key()));
    let request = &got[0].request;
    assert_eq!(request.uri(), "https://all.example/hooks");
    assert_eq!(request.method(), "POST");
    assert_eq!(got[0].header("content-type"), "application/json");
    assert_eq!(got[0].id(), "m1");
    assert_eq!(world.receivers.count(), 1);

    // Another tenant cannot reach the endpoint.
    let foreign = world.hub.outbound(&other);
    assert_eq!(
        foreign.get(all.id()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(!foreign.remove(all.id(), context()).await.unwrap());
    let list = foreign.list(None, 10).await.unwrap();
    assert_eq!(list.items.len(), 1);
    assert_eq!(list.items[0].id, theirs.id());

    let update = EndpointUpdate::new()
        .with_url("https://moved.example/x")
        .with_event_types([])
        .with_headers(vec![("x-api-key".to_owned(), "k".into())]);
    let info = outbound.update(paid.id(), update, context()).await.unwrap();
    assert_eq!(info.label, "moved.example");
    outbound.publish(message("m2")).await.unwrap();
    assert_eq!(world.tick().await, 2);
    let moved = world.receivers.got("moved.example");
    assert_eq!(moved[0].header("x-api-key"), "k");

    assert!(outbound.remove(paid.id(), context()).await.unwrap());
    outbound.publish(message("m3")).await.unwrap();
    assert_eq!(world.tick().await, 1);
    println!("messages received: {}", world.receivers.count());
    assert_eq!(world.receivers.count(), 4);
    let events = world.events().await;
    let added = events
        .iter()
        .filter(|it| matches!(it, Event::EndpointAdded { .. }));
    assert_eq!(added.count(), 3);
    assert!(matches!(
        events.last(),
        Some(Event::EndpointRemoved { reason, .. }) if reason == "removed"
    ));
}

#[tokio::test]
async fn headers_of_a_customer_cannot_replace_ours() {
    let world = World::new();
    let outbound = world.outbound();
    let names = [
        "webhook-id",
        "Webhook-Signature",
        "webhook-timestamp",
        "webhook-anything",
        "svix-id",
        "Host",
        "content-length",
        "Content-Type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "User-Agent",
        "x-forwarded-for",
        "proxy-authorization",
        "te",
        "bad name",
        "",
    ];
    let mut refused = 0;
    for name in names {
        let target = NewTarget::new("https://a.example/").with_header(name, "x");
        let error = outbound.add(target, context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        refused += 1;
    }
    for value in ["line\nbreak", "nul\0"] {
        let target = NewTarget::new("https://a.example/").with_header("x-a", value);
        assert!(outbound.add(target, context()).await.is_err());
        refused += 1;
    }
    let twice = NewTarget::new("https://a.example/")
        .with_header("x-a", "1")
        .with_header("X-A", "2");
    assert!(outbound.add(twice, context()).await.is_err());
    println!("headers refused: {refused}");
    assert_eq!(refused, names.len() + 2);
    let target = NewTarget::new("https://a.example/")
        .with_header("Authorization", "Bearer abc")
        .with_header("x-tenant", "t");
    outbound.add(target, context()).await.unwrap();
    outbound.publish(message("m1")).await.unwrap();
    world.tick().await;
    let got = &world.receivers.got("a.example")[0];
    assert_eq!(got.header("authorization"), "Bearer abc");
    assert!(
        !format!("{:?}", got.request.headers()).contains("abc"),
        "sensitive"
    );
}

#[tokio::test]
async fn two_secrets_sign_during_a_rotation() {
    let world = World::new();
    let outbound = world.outbound();
    let hour = Duration::from_secs(3_600);
    for algorithm in [SignatureAlgorithm::HmacSha256, SignatureAlgorithm::Ed25519] {
        let host = format!("{}.example", world.receivers.count());
        let target = NewTarget::new(format!("https://{host}/")).with_algorithm(algorithm);
        let added = outbound.add(target, context()).await.unwrap();
        let old = added.verification_key();
        let new = outbound
            .rotate_secret(added.id(), hour, context())
            .await
            .unwrap();
        assert_ne!(old.expose_secret(), new.expose_secret());
        let count = world.receivers.count();
        outbound
            .publish(message(&format!("a{count}")))
            .await
            .unwrap();
        world.tick().await;
        let during = world.receivers.got(&host).last().unwrap().clone();
        let signatures = during.header("webhook-signature").split(' ').count();
        assert_eq!(signatures, 2, "one per live secret");
        world.clock.advance(hour);
        outbound
            .publish(message(&format!("b{count}")))
            .await
            .unwrap();
        world.tick().await;
        let after = world.receivers.got(&host).last().unwrap().clone();
        assert_eq!(after.header("webhook-signature").split(' ').count(), 1);
        if algorithm == SignatureAlgorithm::HmacSha256 {
            assert!(during.is_signed_with(&old) && during.is_signed_with(&new));
            assert!(!after.is_signed_with(&old) && after.is_signed_with(&new));
        }
        outbound.remove(added.id(), context()).await.unwrap();
    }
    let target = NewTarget::new("https://many.example/");
    let added = outbound.add(target, context()).await.unwrap();
    let mut rotations = 0;
    while outbound
        .rotate_secret(added.id(), hour, context())
        .await
        .is_ok()
    {
        rotations += 1;
    }
    println!("rotations with live secrets: {rotations}");
    assert_eq!(rotations, 4);
}

#[tokio::test]
async fn the_number_of_endpoints_is_limited_and_the_state_is_shown() {
    let policy = OutboundPolicy::default().with_max_endpoints(2);
    let world = World::with(|builder| builder.with_outbound_policy(policy));
    let outbound = world.outbound();
    let add = async || {
        outbound
            .add(NewTarget::new("https://a.example/"), context())
            .await
    };
    let first = add().await.unwrap();
    add().await.unwrap();
    assert_eq!(add().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let disabled = outbound.disable(first.id(), context()).await.unwrap();
    assert_eq!(disabled.state, EndpointState::Disabled);
    let sent = outbound.publish(message("m1")).await.unwrap();
    assert_eq!((sent.pending, sent.skipped), (1, 1));
    assert_eq!(
        outbound.test(first.id()).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let enabled = outbound.enable(first.id(), context()).await.unwrap();
    assert_eq!(enabled.state, EndpointState::Enabled);
    assert_eq!(
        world.tick().await,
        1,
        "a skipped message is not sent by itself"
    );
    let (since, until) = (enabled.created_at, world.clock_end());
    let replayed = outbound
        .replay_between(first.id(), since, until, context())
        .await;
    assert_eq!(replayed.unwrap(), 1);
    assert_eq!(world.tick().await, 1);
}

impl World {
    fn clock_end(&self) -> connector_core::clock::Timestamp {
        use connector_core::clock::Clock as _;
        self.clock.now().after(Duration::from_secs(1))
    }
}

#[tokio::test]
async fn key_rotation_covers_endpoints_and_messages() {
    let world = World::new();
    let outbound = world.outbound();
    outbound
        .add(NewTarget::new("https://a.example/"), context())
        .await
        .unwrap();
    outbound.publish(message("m1")).await.unwrap();
    let new = Keyring::generate().unwrap();
    let both = format!("{},{}", new.expose_secret(), world.keys.expose_secret());
    let receivers = world.receivers.clone();
    let with_keys = |keys: &SecretString| {
        let hub = hub(
            world.store.clone(),
            world.clock.clone(),
            receivers.clone(),
            keys,
        );
        hub.build().unwrap()
    };
    let rotation = with_keys(&both.into()).rotate_keys(|_| ()).await.unwrap();
    println!(
        "records of outbound webhooks that moved to the new key: {}",
        rotation.resealed
    );
    assert_eq!((rotation.resealed, rotation.complete), (2, true));
    // Without the new key, nothing can be sent, and the message waits.
    assert_eq!(world.tick().await, 0);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(with_keys(&new).worker().tick().await.unwrap().outbound, 1);
}
