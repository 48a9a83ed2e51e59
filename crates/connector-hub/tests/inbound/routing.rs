//! The recipients of a delivery, and the limits of its effects.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::store::{DeliveryState, Stored, TokenStore, WorkKind};
use connector_core::{AppKey, ConnectionKey, ErrorKind, ReauthorizationReason, Status};
use connector_hub::Receipt;

use crate::rig::{MAIL, OwnApps, Recorder, Request, Rig, SECRET, SHOP, operator, secret, tenant};

fn keys(keys: &[&ConnectionKey]) -> BTreeSet<Option<ConnectionKey>> {
    keys.iter().map(|key| Some((*key).clone())).collect()
}

#[tokio::test]
async fn a_delivery_to_the_app_reaches_every_tenant_that_connected_the_account() {
    let rig = Rig::new();
    let first = rig.connect("t1", SHOP, "a").await;
    let second = rig.connect("t2", SHOP, "a").await;
    let ended = rig.connect("t3", SHOP, "a").await;
    rig.connect("t1", SHOP, "b").await;
    rig.connect("t4", MAIL, "a").await;
    rig.hub.disconnect(&ended, operator()).await.unwrap();
    rig.receive(
        &SHOP,
        Request::shop("d-1", "t", "1").about("a.shop.example"),
    )
    .await;
    assert_eq!(rig.tick().await, 1);
    assert_eq!(rig.recorder.connections(), keys(&[&first, &second]));
    assert_eq!(rig.recorder.told().len(), 2);
    assert!(rig.recorder.told().iter().all(|told| told.tenant.is_none()));

    // They do not get deliveries of another registration.
    let app = AppKey::new("second").unwrap();
    let request = Request::shop("d-2", "t", "2").about("a.shop.example");
    rig.hub
        .receive(&SHOP, request.into())
        .app(app)
        .await
        .unwrap();
    rig.tick().await;
    assert_eq!(rig.recorder.told()[2].connection, None);
}

#[tokio::test]
async fn an_account_is_found_by_its_key_as_of_when_the_delivery_is_handled() {
    let rig = Rig::new();
    rig.receive(&MAIL, Request::mail("d-1", "t", b"1").about("m"))
        .await;
    let late = rig.connect("t1", MAIL, "m").await;
    assert_eq!(rig.tick().await, 1);
    assert_eq!(rig.recorder.connections(), keys(&[&late]));
}

#[tokio::test]
async fn a_delivery_without_a_connection_reaches_handlers_as_such() {
    let rig = Rig::new();
    let redact = Request::shop("d-1", "shop/redact", "1").about("gone.shop.example");
    rig.receive(&SHOP, redact).await;
    rig.receive(&SHOP, Request::shop("d-2", "shop/redact", "2"))
        .await;
    assert_eq!(rig.tick().await, 2);
    let told = rig.recorder.told();
    assert_eq!(told.len(), 2);
    assert!(
        told.iter()
            .all(|it| it.connection.is_none() && it.topic == "shop/redact")
    );
}

#[tokio::test]
async fn what_a_connections_own_secret_signs_reaches_that_connection_only() {
    let rig = Rig::new();
    let own = rig.connect("t1", SHOP, "a").await;
    rig.connect("t2", SHOP, "a").await;
    let secrets = || vec![secret("new-own"), secret("old-own")];
    let receive = |secret, id, body: &str, account: &str| {
        let request = Request::shop_signed(secret, id, "t", body).about(account);
        let receive = rig.hub.receive(&SHOP, request.into());
        receive.connection(own.clone(), secrets())
    };
    // For any account in the delivery.
    receive("new-own", "d-1", "1", "a.shop.example")
        .await
        .unwrap();
    receive("old-own", "d-2", "2", "b.shop.example")
        .await
        .unwrap();
    assert_eq!(rig.tick().await, 2);
    let told = rig.recorder.told();
    assert_eq!(told.len(), 2);
    assert_eq!(rig.recorder.connections(), keys(&[&own]));
    assert!(told.iter().all(|it| it.tenant == Some(tenant("t1"))));
    let refused = receive(&SECRET, "d-3", "3", "a.shop.example").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WebhookRefused);

    // The endpoint has separate ids: the app's delivery with the same id is not a repetition.
    let same = Request::shop("d-1", "t", "1");
    assert!(matches!(
        rig.receive(&SHOP, same).await,
        Receipt::Accepted { .. }
    ));

    // After the connection has ended, its secret has no effect.
    receive("new-own", "d-4", "4", "a.shop.example")
        .await
        .unwrap();
    rig.hub.disconnect(&own, operator()).await.unwrap();
    rig.tick().await;
    assert!(rig.recorder.told().iter().all(|it| it.body != "4"));
    assert!(
        rig.deliveries()
            .await
            .iter()
            .all(|it| it.state == DeliveryState::Done)
    );
    let refused = receive("new-own", "d-5", "5", "a.shop.example").await;
    assert_eq!(Receipt::refusal(&refused.unwrap_err()).status(), 404);
}

#[tokio::test]
async fn what_a_tenants_own_app_signs_reaches_that_tenant_only() {
    let rig = Rig::new();
    let first = rig.connect("t1", SHOP, "a").await;
    rig.connect("t2", SHOP, "a").await;
    let recorder = Recorder::new();
    let hub = rig.another().apps(OwnApps).on_delivery(recorder.clone());
    let hub = hub.build().unwrap();
    let signed = |by: &str| {
        let request = Request::shop_signed(&format!("secret-of-{by}"), "d-1", "t", "1");
        http::Request::from(request.about("a.shop.example"))
    };
    hub.receive(&SHOP, signed("t1"))
        .tenant(tenant("t1"))
        .await
        .unwrap();
    let refused = hub.receive(&SHOP, signed("t1")).tenant(tenant("t2")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WebhookRefused);
    // No registration is valid for all tenants.
    let refused = hub.receive(&SHOP, signed("t1")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(hub.worker().tick().await.unwrap().deliveries, 1);
    assert_eq!(recorder.connections(), keys(&[&first]));
    // The other tenant's delivery with the same id is a different one.
    let other = hub.receive(&SHOP, signed("t2")).tenant(tenant("t2"));
    assert!(matches!(other.await.unwrap(), Receipt::Accepted { .. }));
}

/// Returns the stored record without the fields that every write changes.
fn content(stored: &Stored) -> Stored {
    let mut stored = stored.clone();
    stored.connection.version = connector_core::store::Version::default();
    stored.connection.updated_at = stored.connection.created_at;
    stored
}

#[tokio::test]
async fn a_hint_schedules_a_probe_and_changes_nothing_else() {
    let rig = Rig::new();
    let key = rig.connect("t1", SHOP, "a").await;
    let before = rig.stored(&key).await;
    let audit = rig.audit().await.len();
    let now = Duration::from_secs(1);
    let due = || rig.store.take_due(&WorkKind::ALL, 10, now);
    assert!(due().await.unwrap().is_empty());
    // This test does not run the probe.
    let gone = Request::shop("d-1", "app/uninstalled", "1").about("a.shop.example");
    rig.receive(&SHOP, gone.clone()).await;
    assert_eq!(content(&rig.stored(&key).await), content(&before));
    assert!(due().await.unwrap().is_empty());
    let requests = rig.provider.requests();

    let worker = rig.hub.worker();
    assert_eq!(worker.tick().await.unwrap().deliveries, 1);
    assert_eq!(
        rig.provider.requests(),
        requests + 1,
        "the provider was asked, once"
    );
    let after = rig.stored(&key).await;
    assert_eq!(after.connection.status, Status::Connected);
    let mut probed = content(&after);
    probed.connection.confirmed = before.connection.confirmed;
    assert_eq!(probed, content(&before));
    assert_eq!(rig.audit().await.len(), audit);

    // A topic that is no hint causes no probe.
    let other = Request::shop("d-2", "orders/create", "2").about("a.shop.example");
    rig.receive(&SHOP, other).await;
    assert_eq!(worker.tick().await.unwrap().work, 0);
    assert_eq!(rig.provider.requests(), requests + 1);
}

#[tokio::test]
async fn the_providers_response_to_a_probe_decides() {
    let rig = Rig::new();
    let removed = rig.connect("t1", SHOP, "a").await;
    let kept = rig.connect("t1", SHOP, "b").await;
    for key in [&removed, &kept] {
        assert!(rig.hub.check(key, operator()).await.unwrap().works());
    }
    rig.provider.remove("a");
    for (id, host) in [("d-1", "a.shop.example"), ("d-2", "b.shop.example")] {
        let hint = Request::shop(id, "app/uninstalled", id).about(host);
        rig.receive(&SHOP, hint).await;
    }
    assert_eq!(rig.tick().await, 2);
    let status = rig.stored(&removed).await.connection.status;
    let dead = Status::NeedsReauthorization(ReauthorizationReason::GrantRevoked);
    assert_eq!(status, dead);
    assert_eq!(rig.stored(&kept).await.connection.status, Status::Connected);
}
