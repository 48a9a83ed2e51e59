//! Several tenants with one account.

use connector_core::api::{Idempotency, Request, Response};
use connector_core::provider::Endpoint;
use connector_core::store::{AuditFilter, AuditLog, Patch, SideEffects, TokenStore};
use connector_core::{Actor, ErrorKind, Event, Result, Status};
use secrecy::ExposeSecret;

use crate::rig::{ACME, Rig, SHOP, cookie, tenant, user};

#[tokio::test]
async fn tenants_with_the_same_account_live_independently() {
    let rig = Rig::new();
    let mine = rig.connect("t1", "account-1").await;
    let theirs = rig.connect("t2", "account-1").await;
    assert_ne!(mine.key, theirs.key);
    let mut secrets = Vec::new();
    for key in [&mine.key, &theirs.key] {
        let token = rig.hub.access_token(key).await.unwrap();
        secrets.push(token.secret().expose_secret().to_owned());
    }
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(rig.connect("t2", "account-1").await.key, theirs.key);
    assert_eq!(rig.stored(&mine.key).await.connection.grant, mine.grant);
}

#[tokio::test]
async fn one_grant_for_each_account_is_not_taken_from_another_tenant() {
    let rig = Rig::new();
    let early = rig.begin_shop("t2", "acme").await;
    let begun = rig.begin_shop("t1", "acme").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    let mine = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    // `begin` does not reveal that another tenant has the account: its owner must authorize first.
    let late = rig.begin_shop("t2", "acme").await;
    let mut refused = 0;
    for begun in [&early, &late] {
        // The flow is refused before its code is sent, because the exchange alone would end the grant.
        let query = rig.provider.consent(begun.url(), "shop-1");
        let error = rig
            .hub
            .callback(SHOP, &query, cookie(begun))
            .unbound()
            .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectedElsewhere);
        refused += 1;
    }
    println!("callbacks of another tenant refused: {refused}");
    assert_eq!(rig.provider.token_calls(), 1);
    assert!(rig.stored(mine.key()).await.connection.is_live());
}

#[tokio::test]
async fn a_takeover_ends_the_other_tenants_connection_and_notifies_it() {
    let rig = Rig::new();
    let begun = rig.begin_shop("t1", "acme").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    let old = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let theirs = rig
        .hub
        .authorize(&tenant("t2"), SHOP)
        .actor(user("bob"))
        .account("acme");
    let begun = theirs.takeover().begin().await.unwrap();
    assert!(
        rig.stored(old.key()).await.connection.is_live(),
        "not before the owner agrees"
    );
    let query = rig.provider.consent(begun.url(), "shop-1");
    let new = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(new.key().tenant, tenant("t2"));
    let ended = rig.stored(old.key()).await;
    assert_eq!(ended.connection.status, Status::Disconnected);
    assert!(ended.current.is_none());
    let gone = rig.hub.access_token(old.key()).await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let filter = {
        let mut filter = AuditFilter::default();
        filter.tenant = Some(tenant("t1"));
        filter
    };
    let records = rig.store.audit(&filter, None, 10).await.unwrap().items;
    let told = &records.last().unwrap().entry;
    assert_eq!(told.event, Event::Disconnected { forgotten: false });
    assert!(told.notify);
    assert_eq!(
        told.context.actor,
        Actor::Provider,
        "not who in another tenant did it"
    );
}

#[tokio::test]
async fn a_flow_is_good_for_its_own_tenant_only() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let connected = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let id = connected.key().id;
    assert_eq!(
        rig.hub.tenant(&tenant("t1")).get(id).await.unwrap().key.id,
        id
    );
    let foreign = rig.hub.tenant(&tenant("t2")).get(id).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::NotFound);
}

struct ReadShop;

impl Endpoint for ReadShop {
    type Client = ShopClient;
    type Output = ();
    const NAME: &'static str = "ReadShop";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Request::get(["me"])
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}

connector_core::provider::provider_client! {
    struct ShopClient for SHOP;
}

/// An attacker with write access to the database changes the host of a connection, to receive its
/// token or to have its calls sent to another shop.
#[tokio::test]
async fn a_changed_host_column_redirects_no_call() {
    let rig = Rig::new();
    let begun = rig.begin_shop("t1", "acme").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    let connected = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let key = connected.key();
    let before = rig.provider.hosts();
    let version = rig.stored(key).await.connection.version;
    let patch = Patch {
        host: Some("evil.shop.example".to_owned()),
        ..Patch::default()
    };
    let update = rig.store.update(key, version, patch, SideEffects::none());
    update.await.unwrap();
    let (mut calls, mut answered) = (0, 0);
    // The process that connected the account, and one that reads the changed row first.
    for hub in [rig.hub.clone(), rig.other_hub()] {
        // A call may fail, but must not go to the host in the column.
        if let Ok(client) = hub.client::<ShopClient>(key).await {
            answered += usize::from(client.send(&ReadShop).await.is_ok());
        }
        let context = connector_core::RequestContext::new(
            user("ann"),
            connector_core::CorrelationId::new("c-1").unwrap(),
        );
        drop(hub.check(key, context.clone()).await);
        drop(rig.run(hub.refresh(key, context)).await);
        calls += 3;
        assert_eq!(rig.provider.hosts(), before);
    }
    println!(
        "calls of a connection with a changed host: {calls}, of them answered: {answered}, to \
         another host: 0"
    );
    assert!(answered > 0, "no call was sent at all");
}
