//! Several tenants with one account.

use connector_core::store::{AuditFilter, AuditLog};
use connector_core::{Actor, ErrorKind, Event, Status};
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
