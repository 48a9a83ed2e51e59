//! Authorization workflows, refresh, adoption, and rotation of client secrets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_amazon_spapi::sim::{Fault, SELLER, SIMULATED_APPLICATION};
use connector_amazon_spapi::{AmazonSpApi, AppstoreLogin, Marketplace, Region};
use connector_core::clock::Clock as _;
use connector_core::http::Origin;
use connector_core::provider::{Connector as _, Context};
use connector_core::store::{AuditFilter, AuditLog as _, TokenStore as _};
use connector_core::{Actor, App, Credential, CredentialKind, ErrorKind, Event, Status};
use connector_hub::Authorization;
use http::Method;
use secrecy::SecretString;
use url::Url;

use crate::rig::{Apps, Rig, context, tenant};

const TOKEN: &str = "/auth/o2/token";

/// A change of a callback's query.
type Change<'a> = &'a dyn Fn(&str) -> String;

impl Rig {
    fn token_calls(&self) -> usize {
        self.sim.server().count(&Method::POST, TOKEN)
    }

    async fn begin_with(&self, parameters: &[(&str, &str)]) -> Authorization {
        let authorize = self.hub.authorize(&tenant(), AmazonSpApi::ID);
        let authorize = parameters
            .iter()
            .fold(authorize.actor(Actor::Worker), |it, (name, value)| {
                it.parameter(*name, *value)
            });
        authorize.begin().await.unwrap()
    }

    fn login(&self, seller: &str) -> AppstoreLogin {
        let page = format!("https://amazon.com/apps/authorize/confirm/{SIMULATED_APPLICATION}");
        let mut query = Url::parse("https://app.example/login").unwrap();
        query
            .query_pairs_mut()
            .append_pair("amazon_callback_uri", &page)
            .append_pair("amazon_state", "amazon+state/1=")
            .append_pair("selling_partner_id", seller);
        self.amazon.appstore_login(query.query().unwrap()).unwrap()
    }

    async fn begin_from_store(&self, seller: &str) -> Authorization {
        let login = self.login(seller);
        let parameters: Vec<_> = login.parameters().chain([("marketplace", "US")]).collect();
        self.begin_with(&parameters).await
    }
}

fn pair(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_flow_leads_to_the_central_of_its_marketplace_and_region() {
    let rig = Rig::with_sellers(&[
        (SELLER, Region::Na),
        (SELLER, Region::Eu),
        (SELLER, Region::Fe),
    ])
    .await;
    // Every flow tests its token.
    rig.sim.set_plan("GetMarketplaceParticipations", 1.0, 100);
    let mut connections = std::collections::BTreeSet::new();
    for marketplace in Marketplace::ALL {
        let begun = rig.begin_with(&[("marketplace", marketplace.code())]).await;
        let url = begun.url();
        assert_eq!(
            url.origin().ascii_serialization(),
            marketplace.seller_central()
        );
        assert_eq!(url.path(), "/apps/authorize/consent");
        assert_eq!(pair(url, "application_id").unwrap(), SIMULATED_APPLICATION);
        let names: Vec<String> = url
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        assert_eq!(names, ["application_id", "state", "redirect_uri"]);
        let key = rig.finish(&begun, &rig.consent(&begun)).await.unwrap();
        let connection = rig.hub.tenant(&tenant()).get(key.id).await.unwrap();
        let account = &connection.account;
        assert_eq!(
            account.key.as_str(),
            format!("{}:{SELLER}", marketplace.region())
        );
        assert!(account.asserted, "only the callback contains the seller id");
        connections.insert(key);
    }
    // One authorization covers all marketplaces of a region, so there are three connections.
    println!(
        "marketplaces: {}, connections: {}",
        Marketplace::ALL.len(),
        connections.len()
    );
    assert_eq!(connections.len(), 3);
    let vendor = rig
        .begin_with(&[("marketplace", "DE"), ("account_type", "vendor")])
        .await;
    assert_eq!(vendor.url().host_str(), Some("vendorcentral.amazon.de"));
    for wrong in [
        ("marketplace", "XX"),
        ("account_type", "buyer"),
        ("amazon_state", "s"),
    ] {
        let authorize = rig
            .hub
            .authorize(&tenant(), AmazonSpApi::ID)
            .actor(Actor::Worker);
        let error = authorize
            .parameter(wrong.0, wrong.1)
            .begin()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_draft_asks_for_version_beta() {
    let rig = Rig::configured(&[], |it| it.with_draft(true), None).await;
    let begun = rig.begin_with(&[]).await;
    assert_eq!(pair(begun.url(), "version").as_deref(), Some("beta"));
}

#[tokio::test]
async fn both_workflows_lead_to_the_same_connection() {
    let rig = Rig::new().await;
    let own = rig.begin_with(&[]).await;
    let own = rig.finish(&own, &rig.consent(&own)).await.unwrap();
    let begun = rig.begin_from_store(SELLER).await;
    let url = begun.url();
    assert_eq!(url.host_str(), Some("amazon.com"));
    assert_eq!(
        pair(url, "amazon_state").as_deref(),
        Some("amazon+state/1=")
    );
    assert!(pair(url, "state").is_some() && pair(url, "redirect_uri").is_some());
    let again = rig.finish(&begun, &rig.consent(&begun)).await.unwrap();
    assert_eq!(own, again, "connecting again updates the connection");
    let client = rig
        .hub
        .client::<connector_amazon_spapi::AmazonClient>(&again);
    let test = connector_amazon_spapi::endpoints::GetMarketplaceParticipations::new();
    assert!(!client.await.unwrap().send(&test).await.unwrap().is_empty());
}

/// Requirement R14 for Amazon.
#[tokio::test]
async fn every_wrong_callback_is_refused_without_a_token_call() {
    let rig = Rig::with_sellers(&[(SELLER, Region::Na), ("A1OTHERSELLER", Region::Na)]).await;
    let begun = rig.begin_from_store(SELLER).await;
    let query = rig.consent(&begun);
    let code = query
        .split('&')
        .find(|it| it.starts_with("spapi_oauth_code="))
        .unwrap();
    let seller = format!("selling_partner_id={SELLER}");
    let table = [
        ("spapi_oauth_code doubled", format!("{query}&{code}")),
        (
            "spapi_oauth_code doubled, another one",
            format!("{query}&spapi_oauth_code=other"),
        ),
        ("state doubled", format!("{query}&state=other")),
        ("another state", query.replace("state=", "state=x")),
        ("no state", query.replace("state=", "stat=")),
    ];
    for (what, query) in &table {
        let error = rig.finish(&begun, query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackRefused, "{what}: {error}");
        assert_eq!(rig.token_calls(), 0, "{what}");
    }
    // These callbacks are rejected after the state was found, which ends the flow.
    let changes: [(&str, Change<'_>); 5] = [
        ("no code", &|query| {
            query.replace("spapi_oauth_code=", "code=")
        }),
        ("a swapped seller id", &|query| {
            query.replace(SELLER, "A1OTHERSELLER")
        }),
        ("two seller ids", &|query| {
            format!("{query}&selling_partner_id=A1OTHERSELLER")
        }),
        ("no seller id", &|query| query.replace(&seller, "x=1")),
        ("a malformed seller id", &|query| {
            query.replace(SELLER, "a%20b")
        }),
    ];
    for (what, change) in &changes {
        let begun = rig.begin_from_store(SELLER).await;
        let query = change(&rig.consent(&begun));
        let error = rig.finish(&begun, &query).await.unwrap_err();
        assert!(!error.report().contains(SELLER), "{what}: {error}");
        assert_eq!(rig.token_calls(), 0, "{what}");
    }
    // A different code with a used state.
    let begun = rig.begin_from_store(SELLER).await;
    let (first, second) = (rig.consent(&begun), rig.consent(&begun));
    rig.finish(&begun, &first).await.unwrap();
    let calls = rig.token_calls();
    let error = rig.finish(&begun, &second).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::CallbackRefused,
        "another code: {error}"
    );
    assert_eq!(rig.token_calls(), calls, "another code on the same state");
    // A foreign `amazon_callback_uri`, passed to the hub without `AppstoreLogin`.
    let authorize = rig
        .hub
        .authorize(&tenant(), AmazonSpApi::ID)
        .actor(Actor::Worker);
    let foreign = authorize
        .parameter(
            "amazon_callback_uri",
            "https://evil.example/apps/authorize/confirm/x",
        )
        .parameter("amazon_state", "s")
        .parameter("selling_partner_id", SELLER);
    let error = foreign.begin().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackRefused, "{error}");
    assert_eq!(rig.token_calls(), calls);
    println!(
        "callbacks refused without a token call: {}",
        table.len() + changes.len() + 2
    );
}

#[tokio::test]
async fn a_code_lives_for_five_minutes() {
    let rig = Rig::new().await;
    let begun = rig.begin_with(&[]).await;
    let query = rig.consent(&begun);
    rig.clock.advance(Duration::from_secs(299));
    rig.finish(&begun, &query).await.unwrap();
    let begun = rig.begin_with(&[]).await;
    let query = rig.consent(&begun);
    rig.clock.advance(Duration::from_secs(301));
    assert!(rig.finish(&begun, &query).await.is_err());
}

#[tokio::test]
async fn a_refresh_repeats_the_token_and_does_not_move_the_years_end() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let year = Duration::from_secs(365 * 86_400);
    let left = |rig: &Rig| {
        let (store, key) = (rig.store.clone(), key.clone());
        async move {
            let stored = store.load(&key).await.unwrap().unwrap();
            stored.current.unwrap().refresh_left.unwrap().remaining()
        }
    };
    assert_eq!(left(&rig).await, year);
    let begun = rig.clock.now();
    let mut refreshes = 0;
    for _ in 0..20 {
        rig.clock.advance(Duration::from_secs(3700));
        let client = rig
            .hub
            .client::<connector_amazon_spapi::AmazonClient>(&key)
            .await
            .unwrap();
        let account = connector_amazon_spapi::endpoints::GetAccount::new();
        client.send(&account).await.unwrap();
        refreshes += 1;
        let passed = rig.clock.now().since(begun);
        assert_eq!(
            left(&rig).await,
            year.saturating_sub(passed),
            "the expiry changed"
        );
    }
    println!("refreshes that did not move the end: {refreshes}");
}

#[tokio::test]
async fn an_authorization_that_ends_in_30_days_is_announced_ahead() {
    let rig = Rig::new().await;
    rig.connect().await;
    let (worker, begun) = (rig.hub.worker(), rig.clock.now());
    let mut told = Vec::new();
    for _ in 0..360 {
        rig.clock.advance(Duration::from_secs(86_400));
        worker.tick().await.unwrap();
        let log = rig
            .store
            .audit(&AuditFilter::default(), None, 10_000)
            .await
            .unwrap();
        told = log
            .items
            .into_iter()
            .filter_map(|it| match it.entry.event {
                Event::RefreshExpiring { at } => Some(at),
                _ => None,
            })
            .collect();
        if !told.is_empty() {
            break;
        }
    }
    let days = |from, to: connector_core::clock::Timestamp| to.since(from).as_secs() / 86_400;
    let (at, left) = (told[0], days(rig.clock.now(), told[0]));
    println!("announced with {left} days left");
    assert_eq!((told.len(), days(begun, at)), (1, 365));
    assert!((29..=30).contains(&left));
}

#[tokio::test]
async fn a_pasted_refresh_token_is_tested_before_it_is_kept() {
    let rig = Rig::with_sellers(&[(SELLER, Region::Eu)]).await;
    let (_, refresh) = rig.sim.authority().issue(SELLER, &[]).unwrap();
    let refresh = refresh.unwrap();
    let amazon = &rig.amazon;
    let credential = |market, token: SecretString| {
        amazon
            .self_authorized(SELLER, market, token, rig.clock.now())
            .unwrap()
    };
    let adopt = |credential| {
        rig.hub
            .adopt(&tenant(), AmazonSpApi::ID, credential)
            .actor(Actor::Worker)
    };
    // The seller belongs to another region: Amazon rejects the call, and nothing is stored.
    let error = adopt(credential(Marketplace::Us, refresh.clone()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    let error = adopt(credential(Marketplace::De, "Atzr|wrong".to_owned().into()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Unauthorized | ErrorKind::NeedsReauthorization
        ),
        "{error}"
    );
    let kept = rig.hub.tenant(&tenant()).list(None, 10).await.unwrap();
    assert!(kept.items.is_empty());
    let connected = adopt(credential(Marketplace::De, refresh)).await.unwrap();
    let account = connected.connection().account.key.clone();
    assert_eq!(account.as_str(), format!("EU:{SELLER}"));
    // The same seller through the website workflow: the same connection.
    let begun = rig.begin_with(&[("marketplace", "FR")]).await;
    let key = rig.finish(&begun, &rig.consent(&begun)).await.unwrap();
    assert_eq!(&key, connected.connection().key());
    assert!(
        amazon
            .self_authorized("a b", Marketplace::De, "x".to_owned(), rig.clock.now())
            .is_err()
    );
}

#[tokio::test]
async fn a_client_secret_rotates_while_the_service_runs() {
    let apps = Apps(Arc::new(Mutex::new(App::new("unset"))));
    let rig = Rig::configured(&[], |it| it, Some(apps.clone())).await;
    let key = rig.connect().await;
    let refresh = || async {
        rig.clock.advance(Duration::from_secs(3700));
        let client = rig
            .hub
            .client::<connector_amazon_spapi::AmazonClient>(&key)
            .await?;
        client
            .send(&connector_amazon_spapi::endpoints::GetAccount::new())
            .await
    };
    let old = rig.sim.app();
    // Amazon has a new secret, and the application still uses the old one, which is valid.
    let new = rig.sim.authority().rotate_client_secret();
    refresh().await.unwrap();
    // The application has both secrets, and the old one expires: the second is used.
    *apps.0.lock().unwrap() = old.clone().with_client_secret(new.clone());
    rig.sim.authority().end_old_client_secrets();
    refresh().await.unwrap();
    // Only the new secret.
    *apps.0.lock().unwrap() = rig.sim.app();
    refresh().await.unwrap();
    println!("refreshes through a rotation: 3");
}

#[tokio::test]
async fn an_expired_client_secret_is_the_apps_fault_and_ends_no_connection() {
    let rig = Rig::with_sellers(&[
        (SELLER, Region::Na),
        ("A1B", Region::Na),
        ("A1C", Region::Na),
    ])
    .await;
    let mut keys = Vec::new();
    for seller in [SELLER, "A1B", "A1C"] {
        rig.sim.authority().sign_in(seller).unwrap();
        keys.push(rig.connect().await);
    }
    let _ = rig.sim.authority().rotate_client_secret();
    rig.sim.authority().end_old_client_secrets();
    rig.clock.advance(Duration::from_secs(3700));
    for key in &keys {
        let client = rig
            .hub
            .client::<connector_amazon_spapi::AmazonClient>(key)
            .await;
        let account = connector_amazon_spapi::endpoints::GetAccount::new();
        let error = match client {
            Ok(client) => client.send(&account).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::AppMisconfigured, "{error}");
    }
    // The log contains the client id and the place of rotation exactly once.
    let app = App::new("simulated-client").with_client_secret("an-expired-one");
    let transport = rig.sim.server().transport();
    let cx = Context::new(&app, &*transport, &rig.clock);
    let origin = Origin::parse(Region::Na.endpoint()).unwrap();
    let expired = Credential::unissued(CredentialKind::OAuth, origin, rig.clock.now());
    let expired = expired.with_refresh_token("a-token");
    let error = rig
        .amazon
        .refresh(&cx, &expired)
        .await
        .unwrap_err()
        .into_error();
    let text = error.report();
    assert!(
        text.contains("Solution Provider Portal") && text.contains("simulated-client"),
        "{text}"
    );
    for key in &keys {
        let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
        assert!(
            matches!(connection.status, Status::Connected | Status::Degraded(_)),
            "{:?}",
            connection.status
        );
    }
    // The circuit breaker is open: no further token requests.
    let calls = rig.token_calls();
    for key in &keys {
        let _ = rig.hub.check(key, context()).await;
    }
    println!(
        "sellers left as they were: {}, token calls while the breaker is open: {}",
        keys.len(),
        rig.token_calls() - calls
    );
    assert_eq!(rig.token_calls(), calls);
}

#[tokio::test]
async fn a_revoked_authorization_ends_the_connection_on_refresh() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    rig.sim.authority().end_grants();
    rig.clock.advance(Duration::from_secs(3700));
    let error = match rig
        .hub
        .client::<connector_amazon_spapi::AmazonClient>(&key)
        .await
    {
        Ok(client) => client
            .send(&connector_amazon_spapi::endpoints::GetAccount::new())
            .await
            .unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::NeedsReauthorization, "{error}");
}

#[tokio::test]
async fn a_refused_access_token_is_refreshed_once_and_a_missing_role_is_not() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let account = connector_amazon_spapi::endpoints::GetAccount::new();
    client.send(&account).await.unwrap();
    let before = rig.token_calls();
    rig.sim.authority().end_access_tokens();
    client.send(&account).await.unwrap();
    assert_eq!(rig.token_calls(), before + 1, "one forced refresh");
    let denied = r#"{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied.","details":""}]}"#;
    rig.sim
        .server()
        .fault("/sellers/v1/account", Fault::answer(403, denied));
    let error = client.send(&account).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    let expired = r#"{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied.","details":"The LWA secret token you provided has expired."}]}"#;
    rig.sim
        .server()
        .fault("/sellers/v1/account", Fault::answer(403, expired));
    let error = client.send(&account).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AppMisconfigured, "{error}");
    assert!(
        error.message().contains("Solution Provider Portal"),
        "{error}"
    );
    assert_eq!(
        rig.token_calls(),
        before + 1,
        "neither error triggers a refresh"
    );
}
