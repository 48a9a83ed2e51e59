//! Reads for the routes of an application: details, flows, lookups, history and issued tokens.

use std::time::Duration;

use connector_core::store::{Filter, TokenStore};
use connector_core::{
    Actor, AppKey, CorrelationId, ErrorKind, Event, ProviderId, RequestContext, Status,
};
use secrecy::ExposeSecret;

use crate::rig::{ACME, Rig, SHOP, cookie, tenant, user};

#[tokio::test]
async fn details_contain_scopes_and_expiry_times() {
    let rig = Rig::new();
    let key = rig.connect("t1", "account-1").await.key;
    let details = rig.hub.details(&key).await.unwrap();
    let (_, credential) = rig.hub_credential(&key).await;
    assert_eq!(details.connection.status, Status::Connected);
    assert_eq!(details.granted.as_deref(), Some(credential.scopes()));
    assert!(
        details
            .missing
            .iter()
            .all(|it| !credential.scopes().contains(it))
    );
    let access = details.access_expires_in.unwrap();
    assert!(details.next_refresh_in.unwrap() < access);
    rig.clock.advance(Duration::from_secs(60));
    let later = rig.hub.details(&key).await.unwrap();
    assert_eq!(
        later.access_expires_in,
        access.checked_sub(Duration::from_secs(60))
    );
    let foreign = rig.hub.tenant(&tenant("t2")).key(key.id);
    assert_eq!(
        rig.hub.details(&foreign).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn only_its_own_browser_sees_a_flow_and_seeing_does_not_change_it() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    for (provider, query, binding) in [
        (ACME, query.as_str(), "another browser".to_owned()),
        (SHOP, &query, cookie(&begun)),
        (ACME, "code=1&state=2", cookie(&begun)),
        (ACME, "", cookie(&begun)),
    ] {
        assert_eq!(
            rig.hub.flow(&provider, query, binding).await.unwrap(),
            None,
            "{query}"
        );
    }
    for _ in 0..2 {
        let seen = rig
            .hub
            .flow(&ACME, &query, cookie(&begun))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(seen.tenant, tenant("t1"));
        assert_eq!(seen.actor, user("ann"));
        assert_eq!(seen.return_to.as_deref(), Some("/done?x=1"));
    }
    let finish = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    assert_eq!(finish.await.unwrap().return_to(), Some("/done?x=1"));
    // A finished flow still has its return address, for a second load of the page.
    assert!(
        rig.hub
            .flow(&ACME, &query, cookie(&begun))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_refused_callback_has_a_stable_reason() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let finish = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .tenant(&tenant("t2"));
    assert_eq!(finish.await.unwrap_err().reason(), Some("other_tenant"));
}

#[tokio::test]
async fn lookups_and_history_stay_within_the_tenant() {
    let rig = Rig::new();
    let mine = rig.connect("t1", "account-1").await;
    let theirs = rig.connect("t2", "account-2").await;
    let (own, other) = (tenant("t1"), tenant("t2"));
    let filter = Filter::tenant(other).with_provider(ACME);
    let page = rig
        .hub
        .tenant(&own)
        .list_matching(&filter, None, 10)
        .await
        .unwrap();
    assert_eq!(
        page.items.iter().map(|it| it.key.id).collect::<Vec<_>>(),
        [mine.key.id]
    );
    let find = |account: &connector_core::AccountKey| {
        let account = account.clone();
        let hub = rig.hub.clone();
        let own = own.clone();
        async move {
            hub.tenant(&own)
                .find(ACME, AppKey::default(), account)
                .await
        }
    };
    assert_eq!(find(&mine.account.key).await.unwrap().key, mine.key);
    let foreign = find(&theirs.account.key).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::NotFound);
    let history = rig
        .hub
        .tenant(&own)
        .history(mine.key.id, None, 10)
        .await
        .unwrap();
    assert!(matches!(
        history.items[0].entry.event,
        Event::Connected { .. }
    ));
    let none = rig
        .hub
        .tenant(&own)
        .history(theirs.key.id, None, 10)
        .await
        .unwrap();
    assert!(none.items.is_empty());
}

#[tokio::test]
async fn an_issued_token_is_recorded_first() {
    let rig = Rig::new();
    let key = rig.connect("t1", "account-1").await.key;
    let context = || {
        let correlation = CorrelationId::new("request-1").unwrap();
        RequestContext::new(Actor::Service("php".into()), correlation)
    };
    let token = rig.hub.issue_token(&key, context()).await.unwrap();
    let (_, credential) = rig.hub_credential(&key).await;
    assert_eq!(
        token.secret().expose_secret(),
        credential.secret().expose_secret()
    );
    assert_eq!(rig.events().await.last(), Some(&Event::TokenIssued));
    let foreign = rig.hub.tenant(&tenant("t2")).key(key.id);
    let refused = rig.hub.issue_token(&foreign, context()).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_hub_names_its_connectors_and_is_ready_until_its_shutdown() {
    let rig = Rig::new();
    let names: Vec<&str> = rig
        .hub
        .connectors()
        .map(|it| it.provider.as_str())
        .collect();
    assert_eq!(names, ["acme", "shop", "team"]);
    let uri = rig.hub.redirect_uri(&ACME).await.unwrap().unwrap();
    assert_eq!(uri.as_str(), "https://app.example/callback");
    let unknown = ProviderId::from_static("unknown");
    assert_eq!(rig.hub.redirect_uri(&unknown).await.unwrap(), None);
    rig.hub.ready().await.unwrap();
    assert!(rig.store.list(&Filter::everyone(), None, 1).await.is_ok());
    rig.hub.shutdown(Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        rig.hub.ready().await.unwrap_err().kind(),
        ErrorKind::ShuttingDown
    );
}

#[tokio::test]
async fn an_explanation_names_the_failed_request_and_the_cause() {
    let rig = Rig::new();
    let key = rig.connect("t1", "account-1").await.key;
    let well = rig.hub.explain(&key).await.unwrap();
    assert!(
        well.causes.is_empty() && well.events.is_empty(),
        "{:?}",
        well.causes
    );
    // The provider knows no refresh token, so each refresh is refused.
    let context = RequestContext::new(user("ann"), CorrelationId::default());
    rig.run(rig.hub.refresh(&key, context)).await.unwrap_err();
    let explained = rig.hub.explain(&key).await.unwrap();
    assert_eq!(explained.last_refresh_at, well.last_refresh_at);
    assert_eq!(explained.connection.status.reason(), Some("grant_revoked"));
    let failed = explained.failed_request.unwrap();
    assert_eq!(failed.code.as_deref(), Some("invalid_grant"));
    assert_eq!(failed.status, Some(400));
    assert_eq!(explained.causes[0].name, "owner_revoked");
    assert_eq!(explained.causes[0].responsible.as_str(), "owner");
    assert!(matches!(
        explained.events.last().unwrap().entry.event,
        Event::StatusChanged { .. }
    ));
    let foreign = rig.hub.tenant(&tenant("t2")).key(key.id);
    assert_eq!(
        rig.hub.explain(&foreign).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
