//! Schemathesis against the running routes of connector-axum: no response with status 5xx, no
//! undocumented status, content type, header or member.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use connector_axum::{
    ApiKeys, Caller, Permission, Permissions, RouterConfig, router, token_router,
};
use connector_core::cipher::Keyring;
use connector_core::clock::SystemClock;
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::MemoryStore;
use connector_core::{Actor, AppKey, FixedApps, TenantId};
use connector_http::{HttpClient, HttpClientBuilder};
use connector_hub::Hub;
use connector_sim::{Authority, Consent};
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use connector_tests::repetitions;
use connector_tests::schemathesis::Schemathesis;
use secrecy::SecretString;
use tokio::task::spawn_blocking;

fn acme() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "acme",
            "name": "Acme",
            "api": ["https://api.acme.example"],
            "authorization": { "endpoint": "https://acme.example/authorize" },
            "token": { "endpoint": "https://acme.example/token" },
            "revocation": { "endpoint": "https://acme.example/revoke" },
            "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
            "scopes": { "default": ["read"], "required": ["read"] },
            "rotation": "strict"
        }"#,
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_that_we_did_not_write_finds_nothing() {
    let Some(fuzzer) = Schemathesis::find().unwrap() else {
        return;
    };
    trace::init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = format!("http://{}/integrations", listener.local_addr().unwrap());
    let description = acme();
    let sim = Authority::of(&description)
        .with_mark(canary("acme"))
        .with_redirect_uri(format!("{site}/v1/callback/acme").parse().unwrap())
        .start(SystemClock::new())
        .await
        .unwrap();
    let overrides = sim.server().overrides().into_iter();
    let client = overrides.fold(HttpClient::builder(), HttpClientBuilder::with_loopback);
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(SystemClock::new())))
        .cipher(Keyring::parse(&canary_key()).unwrap())
        .transport(client.build().unwrap())
        .apps(FixedApps::new().with(description.provider.clone(), AppKey::default(), sim.app()))
        .connector(GenericConnector::new(description.clone()).unwrap())
        .build()
        .unwrap();
    let (tenant, ann) = (TenantId::new("t1").unwrap(), Actor::User("ann".into()));
    let authorize = hub.authorize(&tenant, description.provider.clone());
    let begun = authorize.actor(ann.clone()).begin().await.unwrap();
    let callback = sim.visit(begun.url(), &Consent::Grant).unwrap();
    let query = callback.query().unwrap();
    let finish = hub.callback(description.provider, query, begun.binding().clone());
    let id = finish.actor(ann.clone()).await.unwrap().key().id;

    let key = SecretString::from(canary("api-key"));
    let caller = Caller::new(tenant, ann, Permissions::of(Permission::ALL));
    let access = ApiKeys::new().with_key(ApiKeys::digest(&key), caller);
    let minute = Duration::from_mins(1);
    let signing_key = SecretString::from(canary("signing-key").repeat(2));
    let config = RouterConfig::new(site.parse().unwrap(), signing_key, "/")
        .with_connect_limit(u32::MAX, minute)
        .with_callback_limit(u32::MAX, minute);
    let routes = router(&hub, access.clone(), config.clone()).await.unwrap();
    let tokens = token_router(&hub, access, config).await.unwrap();
    let service = Router::new().nest("/integrations", routes.merge(tokens));
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    // The second run uses an id that exists, so that the routes of a connection get further.
    let directory = tempfile::tempdir().unwrap();
    let known = directory.path().join("schemathesis.toml");
    std::fs::write(&known, format!("[parameters]\n\"path.id\" = \"{id}\"\n")).unwrap();
    let empty = directory.path().join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let fuzzer = Arc::new(fuzzer);
    for settings in [empty, known] {
        let arguments = [
            "--phases=examples,coverage,fuzzing".to_owned(),
            // A stream has no end.
            "--exclude-operation-id=streamConnections".to_owned(),
            // A cursor of another list is refused, which no schema can express.
            "--exclude-checks=positive_data_acceptance".to_owned(),
            "--generation-deterministic".to_owned(),
            "--suppress-health-check=all".to_owned(),
            format!("--max-examples={}", repetitions(20)),
            "--request-timeout=10".to_owned(),
        ];
        let (fuzzer, key) = (Arc::clone(&fuzzer), key.clone());
        let url = format!("{site}/v1/openapi.json");
        let run = move || {
            let settings = ["--config-file".to_owned(), settings.display().to_string()];
            fuzzer.run_with(&settings, &url, &key, arguments)
        };
        let output = spawn_blocking(run).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        let cases = text
            .lines()
            .find(|it| it.contains(" generated, "))
            .unwrap_or_default();
        let mut words = cases.split([' ', ',']);
        let count = words
            .find_map(|it| it.parse::<u32>().ok())
            .unwrap_or_default();
        println!("schemathesis: {}", cases.trim());
        assert!(count > 100, "{text}");
    }
    server.abort();
}
