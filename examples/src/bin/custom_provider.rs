//! Connects a provider that has a description in JSON and no code: authorize, callback, token
//! exchange, API call, refresh, disconnect.
//!
//! The example runs offline against a simulator and ends by itself: `cargo run --bin
//! custom_provider`

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use connector_sim::{Account, Authority, Consent, Grant, Request, Response};
use connectors::MemoryStore;
use connectors::api::{Idempotency, Request as Call};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::provider::{Description, GenericConnector};
use connectors::{Actor, AppKey, CorrelationId, FixedApps, Hub, RequestContext, TenantId};
use serde_json::{Value, json};

/// The description of the provider. A plain OAuth 2.0 provider needs no more fields.
const ACME: &str = r#"{
    "provider": "acme",
    "name": "Acme",
    "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/oauth/authorize" },
    "token": { "endpoint": "https://acme.example/oauth/token" },
    "revocation": { "endpoint": "https://acme.example/oauth/revoke", "reach": "grant" },
    "identity": { "endpoint": "https://api.acme.example/v1/me", "account": "/id", "label": "/name" },
    "scopes": { "default": ["orders.read"] },
    "rotation": "strict"
}"#;

/// The API of the simulated provider: one endpoint, which requires the scope `orders.read`.
fn api(request: &Request, grant: &Grant) -> Response {
    match request.path() {
        "/v1/orders" if grant.scopes.iter().any(|scope| scope == "orders.read") => Response::json(
            200,
            &json!({ "orders": [{ "id": 1, "total": "12.90" }, { "id": 2, "total": "7.50" }] }),
        ),
        "/v1/orders" => Response::json(403, &json!({ "error": "insufficient_scope" })),
        _ => Response::json(404, &json!({ "error": "not_found" })),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let description: Description = serde_json::from_str(ACME)?;
    let clock = ManualClock::new(SystemClock::new().now());
    // A real provider needs no simulator. Register your app at the provider instead.
    let acme = Authority::of(&description)
        .with_account(Account::new("account-7").with_label("Example Ltd."))
        .with_provider(api)
        .start(clock.clone())
        .await?;
    println!("simulator: Acme at {}", acme.server().address());

    let provider = description.provider.clone();
    let apps = FixedApps::new().with(provider.clone(), AppKey::default(), acme.app());
    let connector = GenericConnector::new(description)?
        .with_apps(Arc::new(apps))
        .with_loopback_overrides(acme.server().overrides());
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(connector)
        .build()?;

    let tenant = TenantId::new("tenant-1")?;
    let user = Actor::User("user-1".into());
    let authorization = hub
        .authorize(&tenant, provider.clone())
        .actor(user.clone())
        .begin()
        .await?;
    let url = authorization.url();
    let shown = |name: &str| url.query_pairs().any(|(known, _)| known == name);
    println!("authorize: {}{}", host(url), url.path());
    println!(
        "authorize: code challenge sent: {}",
        shown("code_challenge")
    );

    let callback = acme.visit(url, &Consent::Grant)?;
    println!("callback: {}{}", host(&callback), callback.path());
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(provider, query, authorization.binding().clone())
        .actor(user.clone())
        .tenant(&tenant)
        .await?;
    let connection = connected.connection();
    let key = connection.key().clone();
    let exchanges = acme.server().count(&http::Method::POST, "/oauth/token");
    println!(
        "token exchange: {exchanges} request, scopes {:?}",
        acme_scopes(&acme)
    );
    println!(
        "identity: account {} ({})",
        connection.account.key, connection.status
    );

    let session = hub.session(&key).await?;
    let orders = || async {
        let call = Call::get(["v1", "orders"])?;
        let answer = session.raw(call, Idempotency::Safe).await?;
        let body: Value = serde_json::from_slice(answer.body())?;
        let count = body["orders"].as_array().map_or(0, Vec::len);
        Ok::<usize, Box<dyn Error + Send + Sync>>(count)
    };
    println!("API call: {} orders", orders().await?);

    clock.advance(Duration::from_secs(3601));
    println!("API call after an hour: {} orders", orders().await?);
    let requests = acme.server().count(&http::Method::POST, "/oauth/token");
    println!("refresh: {} request", requests - exchanges);

    let context = RequestContext::new(user, CorrelationId::default());
    hub.disconnect(&key, context).await?;
    // The worker revokes the grant at the provider, and retries if the provider is unavailable.
    while hub.worker().tick().await?.more {}
    println!(
        "disconnect: grants left at the provider: {}",
        acme.grants().len()
    );
    if let Err(error) = hub.access_token(&key).await {
        println!("disconnect: the hub refuses further token requests: {error}");
    }
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

fn host(url: &url::Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn acme_scopes(acme: &Authority) -> Vec<String> {
    acme.grants().into_iter().flat_map(|it| it.scopes).collect()
}
