//! Settings that cannot work are errors at start-up.

use std::sync::Arc;
use std::time::Duration;

use connector_axum::{ApiKeys, RouterConfig, router};
use connector_core::cipher::Keyring;
use connector_core::clock::SystemClock;
use connector_core::provider::GenericConnector;
use connector_core::store::MemoryStore;
use connector_core::{App, AppKey, ErrorKind, FixedApps, ProviderId};
use connector_hub::Hub;
use connector_testkit::leak::{canary, canary_key};
use secrecy::SecretString;

use crate::rig::acme;

async fn start(site: &str, redirect: &str, set: impl Fn(RouterConfig) -> RouterConfig) -> String {
    let app = App::new("client-1").with_redirect_uri(redirect.parse().unwrap());
    let acme_id = ProviderId::from_static("acme");
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(SystemClock::new())))
        .cipher(Keyring::parse(&canary_key()).unwrap())
        .apps(FixedApps::new().with(acme_id, AppKey::default(), app))
        .connector(GenericConnector::new(acme()).unwrap())
        .build()
        .unwrap();
    let key = SecretString::from(canary("signing-key").repeat(2));
    let config = set(RouterConfig::new(site.parse().unwrap(), key, "/"));
    match router(&hub, ApiKeys::new(), config).await {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            error.message().to_owned()
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let same = |it: RouterConfig| it;
    for site in [
        "https://a.example",
        "https://a.example/x",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
    ] {
        let redirect = format!("{site}/v1/callback/acme");
        assert_eq!(start(site, &redirect, same).await, "", "{site}");
    }
    assert_eq!(
        start(
            "https://a.example/x/",
            "https://a.example/x/v1/callback/acme",
            same
        )
        .await,
        ""
    );
    let mut refused = 0;
    for (site, redirect, message) in [
        (
            "http://a.example",
            "https://a.example/v1/callback/acme",
            "plain http",
        ),
        (
            "ftp://a.example",
            "https://a.example/v1/callback/acme",
            "http or https",
        ),
        (
            "https://u@a.example",
            "https://a.example/v1/callback/acme",
            "without user",
        ),
        (
            "https://a.example/?x=1",
            "https://a.example/v1/callback/acme",
            "without user",
        ),
        (
            "https://a.example/#x",
            "https://a.example/v1/callback/acme",
            "without user",
        ),
        (
            "http://localhost:80",
            "http://127.0.0.1/v1/callback/acme",
            "localhost and",
        ),
        (
            "http://127.0.0.1:1",
            "http://localhost:1/v1/callback/acme",
            "localhost and",
        ),
        (
            "https://a.example",
            "https://b.example/v1/callback/acme",
            "not the callback",
        ),
        (
            "https://a.example",
            "https://a.example/v1/callback/other",
            "not the callback",
        ),
        (
            "https://a.example",
            "https://a.example/v1/callback/acme/",
            "not the callback",
        ),
        (
            "https://a.example/x",
            "https://a.example/v1/callback/acme",
            "not the callback",
        ),
    ] {
        let error = start(site, redirect, same).await;
        assert!(error.contains(message), "{site} {redirect}: {error:?}");
        refused += 1;
    }
    let (site, redirect) = ("https://a.example", "https://a.example/v1/callback/acme");
    let bad_settings: [fn(RouterConfig) -> RouterConfig; 8] = [
        |it| it.with_connect_limit(1, Duration::ZERO),
        |it| it.with_callback_limit(1, Duration::ZERO),
        |it| it.with_live_interval(Duration::ZERO),
        |it| it.with_return("", "/x"),
        |it| it.with_return("a b", "/x"),
        |it| it.with_return("x", "//evil.example"),
        |it| it.with_allowed_return("http://other.example/*"),
        |it| it.with_allowed_return("https://{tenant}/*"),
    ];
    for set in bad_settings {
        assert_ne!(start(site, redirect, set).await, "");
        refused += 1;
    }
    println!("settings refused: {refused}");
}
