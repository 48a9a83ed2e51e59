//! Tests of the simulator with Shopify's own library: an app that uses the library runs against the
//! simulator, from the consent page to the products.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_shopify::ShopDomain;
use connector_shopify::sim::{Consent, Fault, Route, SimulatedShop, Simulator};
use connector_testkit::leak::canary;
use connector_tests::repetitions;
use connector_tests::shopify_sdk::{GraphqlResponse, Refusal, Session, ShopifySdk, SimulatedApp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::task::block_in_place;
use url::Url;

use crate::samples;
use crate::scopes::scopes;

const PRODUCTS: &str = "query Products($first: Int!, $after: String) {
  products(first: $first, after: $after) {
    nodes { id title handle status updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}";
const SHOP: &str = "query { shop { id name myshopifyDomain } }";

/// An app that uses the library, and a simulator. The tests run on several threads, because the
/// simulator must respond while a thread waits for the library.
struct App {
    sdk: ShopifySdk,
    simulator: Simulator,
    clock: ManualClock,
    client_id: String,
    secret: SecretString,
    shop: ShopDomain,
}

impl App {
    async fn new() -> Option<Self> {
        Self::with(|shop| shop).await
    }

    async fn with(change: impl FnOnce(SimulatedShop) -> SimulatedShop) -> Option<Self> {
        let sdk = ShopifySdk::start().unwrap()?;
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let shop = ShopDomain::parse("sdk-shop.myshopify.com").unwrap();
        let simulator = Simulator::builder(clock.clone())
            .with_mark(canary("simulator"))
            .with_shop(change(SimulatedShop::new(shop.clone())))
            .start()
            .await
            .unwrap();
        Some(Self {
            sdk,
            client_id: simulator.authority().app().client_id().to_owned(),
            secret: simulator.authority().app().client_secret().unwrap().clone(),
            simulator,
            clock,
            shop,
        })
    }

    /// Calls the library for the app.
    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut ShopifySdk, SimulatedApp<'_>) -> std::io::Result<T>,
    ) -> T {
        let app = SimulatedApp {
            client_id: &self.client_id,
            client_secret: &self.secret,
            scopes: &["read_products", "write_orders", "read_orders"],
            address: self.simulator.server().address(),
            now: self.clock.now(),
        };
        block_in_place(|| question(&mut self.sdk, app)).unwrap()
    }

    /// Loads the consent page. Returns the target of its redirect and the cookie.
    fn consent(&mut self) -> (Url, String) {
        let shop = self.shop.to_string();
        let begun = self.ask(|sdk, app| sdk.begin(app, &shop));
        let target = self.simulator.visit(&begun.location).unwrap();
        (target, begun.cookie)
    }

    fn callback(&mut self, url: &Url, cookie: &str) -> Result<Session, Refusal> {
        self.ask(|sdk, app| sdk.callback(app, url, cookie))
    }

    fn install(&mut self) -> Session {
        let (url, cookie) = self.consent();
        self.callback(&url, &cookie).unwrap()
    }

    fn refresh(&mut self, refresh_token: &SecretString) -> Result<Session, Refusal> {
        let shop = self.shop.to_string();
        self.ask(|sdk, app| sdk.refresh(app, &shop, refresh_token))
    }

    fn migrate(&mut self, access_token: &SecretString) -> Result<Session, Refusal> {
        let shop = self.shop.to_string();
        self.ask(|sdk, app| sdk.migrate(app, &shop, access_token))
    }

    fn graphql(
        &mut self,
        access_token: &SecretString,
        document: &str,
        variables: &Value,
    ) -> Result<GraphqlResponse, Refusal> {
        let shop = self.shop.to_string();
        self.ask(|sdk, app| sdk.graphql(app, &shop, access_token, document, variables))
    }

    /// Checks that the library created a session with Shopify's expiry.
    fn assert_expiring(&self, session: &Session) {
        let now = self.clock.now().as_unix_seconds();
        assert_eq!(session.shop, self.shop.as_str());
        assert!(!session.online);
        assert_eq!(session.expires, Some(now + 3600));
        assert!(session.refresh_token.is_some());
        assert_eq!(session.refresh_token_expires, Some(now + 90 * 86_400));
    }
}

fn refresh_token(session: &Session) -> &SecretString {
    session.refresh_token.as_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_installed_refreshed_and_migrated() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let (url, cookie) = app.consent();
    let first = app.callback(&url, &cookie).unwrap();
    app.assert_expiring(&first);
    let sent = url.query_pairs().find(|(name, _)| name == "state");
    assert_eq!(Some(first.state.as_str()), sent.as_ref().map(|it| &*it.1));
    // As in Shopify's list, without included scopes.
    assert_eq!(first.scope, "read_products,write_orders");

    // A code is valid once.
    let again = app.callback(&url, &cookie).unwrap_err();
    assert_eq!(
        (again.kind.as_str(), again.status),
        ("HttpResponseError", Some(400))
    );
    assert_eq!(again.body["error"], "invalid_request");
    // In the simulator, the grant of a reused code ends.
    let first = app.install();

    // The library refuses a callback of another browser and a changed callback.
    let (url, cookie) = app.consent();
    let (other, _) = app.consent();
    let mixed = app.callback(&other, &cookie).unwrap_err();
    assert_eq!(mixed.kind, "InvalidOAuthError");
    let changed = url.as_str().replace("code=", "code=x");
    let changed = app
        .callback(&changed.parse().unwrap(), &cookie)
        .unwrap_err();
    assert_eq!(changed.kind, "InvalidOAuthError");
    app.clock.advance(Duration::from_secs(91));
    let stale = app.callback(&url, &cookie).unwrap_err();
    assert_eq!(stale.kind, "InvalidHmacError");

    // A used refresh token works until its successor is used.
    let mut session = first;
    let mut refreshes = 0;
    for _ in 0..5 {
        app.clock.advance(Duration::from_hours(1));
        let expired = app.graphql(&session.access_token, SHOP, &json!({}));
        assert_eq!(expired.unwrap_err().status, Some(401));
        app.refresh(refresh_token(&session)).unwrap();
        let renewed = app.refresh(refresh_token(&session)).unwrap();
        app.assert_expiring(&renewed);
        app.graphql(&renewed.access_token, SHOP, &json!({}))
            .unwrap();
        let dead = app.refresh(refresh_token(&session)).unwrap_err();
        assert_eq!(
            (dead.status, &dead.body["error"]),
            (Some(401), &json!("invalid_request"))
        );
        session = renewed;
        refreshes += 2;
    }

    // A token without expiry is exchanged once. If the response was lost, the simulator repeats it.
    let old = app
        .simulator
        .install_without_expiry(&app.shop, &["read_products"])
        .unwrap();
    app.graphql(&old, SHOP, &json!({})).unwrap();
    let migrated = app.migrate(&old).unwrap();
    app.assert_expiring(&migrated);
    let repeated = app.migrate(&old).unwrap();
    let text = |secret: &SecretString| secret.expose_secret().to_owned();
    assert_eq!(text(&migrated.access_token), text(&repeated.access_token));
    assert_eq!(
        app.graphql(&old, SHOP, &json!({})).unwrap_err().status,
        Some(401)
    );

    let secret = std::mem::replace(&mut app.secret, SecretString::from("another"));
    let wrong = app.refresh(refresh_token(&migrated)).unwrap_err();
    assert_eq!(
        (wrong.status, &wrong.body["error"]),
        (Some(401), &json!("invalid_client"))
    );
    app.secret = secret;

    println!(
        "token requests of the library that the simulator answered: {}, refreshes: {refreshes}",
        app.simulator.count(Route::Token)
    );
    assert!(app.simulator.count(Route::Token) > 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_lists_scopes_as_the_library_shortens_them() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let mut shortened = 0;
    let lists = samples(&scopes(), repetitions(50));
    for list in &lists {
        let granted = Consent::GrantOnly(list.clone());
        app.simulator.decide(&app.shop, granted).unwrap();
        let told = app.install().scope;
        let told: BTreeSet<&str> = told.split(',').filter(|scope| !scope.is_empty()).collect();
        let short = app.ask(|sdk, _| sdk.scopes(list)).compressed;
        assert_eq!(told, short.iter().map(String::as_str).collect(), "{list:?}");
        shortened += list.len() - told.len();
    }
    println!(
        "answers with scopes: {}, scopes left out of them: {shortened}",
        lists.len()
    );
    assert!(shortened > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_read_page_by_page_with_their_cost() {
    let Some(mut app) = App::with(|shop| shop.with_products(60)).await else {
        return;
    };
    let session = app.install();
    let mut seen = BTreeSet::new();
    let mut after = Value::Null;
    let mut pages = 0;
    loop {
        let variables = json!({ "first": 7, "after": after });
        let answer = app
            .graphql(&session.access_token, PRODUCTS, &variables)
            .unwrap();
        assert_eq!(answer.headers["X-Shopify-Api-Version"], json!(["2026-10"]));
        let cost = &answer.extensions["cost"];
        assert!(cost["requestedQueryCost"].as_f64().unwrap() > 0.0);
        assert!(cost["throttleStatus"]["restoreRate"].as_f64().unwrap() > 0.0);
        let products = &answer.data["products"];
        for product in products["nodes"].as_array().unwrap() {
            assert!(product["title"].is_string(), "{product}");
            let id = product["id"].as_str().unwrap();
            assert!(id.starts_with("gid://shopify/Product/"), "{id}");
            assert!(seen.insert(id.to_owned()), "{id} comes twice");
        }
        pages += 1;
        if products["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = products["pageInfo"]["endCursor"].clone();
    }
    println!(
        "products that the library read: {}, pages: {pages}",
        seen.len()
    );
    assert_eq!((seen.len(), pages), (60, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_understands_the_simulators_refusals() {
    let Some(mut app) = App::with(|shop| shop.with_plan("Basic", 40.0, 10.0)).await else {
        return;
    };
    let mut told = 0;

    // The library does not handle a denied consent: it tries to exchange a missing code.
    app.simulator.decide(&app.shop, Consent::Deny).unwrap();
    let (url, cookie) = app.consent();
    let declined = app.callback(&url, &cookie).unwrap_err();
    assert_eq!(
        (declined.kind.as_str(), declined.status),
        ("HttpResponseError", Some(400))
    );
    told += 1;
    let session = app.install();

    // The budget is used up: status 200 without data.
    let variables = json!({ "first": 20 });
    let throttled = loop {
        match app.graphql(&session.access_token, PRODUCTS, &variables) {
            Ok(_) => assert!(
                app.simulator.count(Route::Graphql) < 20,
                "no end of the budget"
            ),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(throttled.kind, "GraphqlQueryError");
    let error = &throttled.body["errors"]["graphQLErrors"][0];
    assert_eq!(error["extensions"]["code"], "THROTTLED");
    assert_eq!(error["message"], "Throttled");
    let cost = &throttled.body["extensions"]["cost"];
    let missing = cost["requestedQueryCost"].as_f64().unwrap()
        - cost["throttleStatus"]["currentlyAvailable"]
            .as_f64()
            .unwrap();
    let wait = missing / cost["throttleStatus"]["restoreRate"].as_f64().unwrap();
    assert!(wait > 0.0);
    told += 1;
    app.clock.advance(Duration::from_secs_f64(wait.ceil()));
    app.graphql(&session.access_token, PRODUCTS, &variables)
        .unwrap();

    let nonsense = app
        .graphql(
            &session.access_token,
            "query { shop { colour } }",
            &json!({}),
        )
        .unwrap_err();
    assert_eq!(nonsense.kind, "GraphqlQueryError");
    told += 1;

    let unknown = SecretString::from("shpat_unknown");
    let unauthorized = app.graphql(&unknown, SHOP, &json!({})).unwrap_err();
    assert_eq!(
        (unauthorized.kind.as_str(), unauthorized.status),
        ("HttpResponseError", Some(401))
    );
    told += 1;

    for (status, kind) in [
        (402, "HttpResponseError"),
        (404, "HttpResponseError"),
        (429, "HttpThrottlingError"),
        (503, "HttpInternalError"),
    ] {
        app.simulator.fault(
            Route::Graphql,
            Fault::answer(status, r#"{"errors":"Refused"}"#),
        );
        let refused = app
            .graphql(&session.access_token, SHOP, &json!({}))
            .unwrap_err();
        assert_eq!(
            (refused.kind.as_str(), refused.status),
            (kind, Some(status))
        );
        told += 1;
    }

    app.simulator.accept_non_expiring_tokens(false);
    let old = app
        .simulator
        .install_without_expiry(&app.shop, &["read_products"])
        .unwrap();
    let forbidden = app.graphql(&old, SHOP, &json!({})).unwrap_err();
    assert_eq!(
        (forbidden.kind.as_str(), forbidden.status),
        ("HttpResponseError", Some(403))
    );
    told += 1;

    app.simulator.uninstall(&app.shop).unwrap();
    let gone = app
        .graphql(&session.access_token, SHOP, &json!({}))
        .unwrap_err();
    assert_eq!(gone.status, Some(401));
    told += 1;
    println!("refusals of the simulator that the library distinguishes: {told}");
}
