//! A service with the routes of `connectors::axum`, mounted below `/integrations`.
//!
//! `cargo run --bin axum_service` runs offline against a simulated Airtable: a user connects an
//! account, reads its status, and disconnects it. The program ends by itself.
//!
//! If `SITE_URL`, `AIRTABLE_CLIENT_ID` and `AIRTABLE_REDIRECT_URI` are set, it serves the real
//! Airtable at 127.0.0.1:8080 until a signal arrives. The redirect URI is
//! `{SITE_URL}/v1/callback/airtable`. The program prints the API key of its only user.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use connector_airtable::sim::{Consent, Simulator};
use connectors::airtable::{Airtable, AirtableConfig};
use connectors::axum::{ApiKeys, Caller, Permission, Permissions, RouterConfig, router};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, SystemClock};
use connectors::{Actor, Hub, MemoryStore, SystemRandom, TenantId, random_token};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const MOUNT: &str = "/integrations";

#[tokio::main]
async fn main() -> Outcome {
    match variable("SITE_URL") {
        Some(site) => serve(site.parse()?).await,
        None => story().await,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the service and the API key of its user. Your application uses its own login instead of
/// API keys, and a store that keeps its content.
async fn service(
    site: Url,
    airtable: Airtable,
    clock: impl Clock,
) -> Outcome<(Router, Hub, SecretString)> {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::clone(&clock)))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .connector(airtable)
        .build()?;
    let key = random_token(&SystemRandom::new())?;
    let ada = Caller::new(
        TenantId::new("adas-bakery")?,
        Actor::User("ada".into()),
        Permissions::of(&[
            Permission::Read,
            Permission::Connect,
            Permission::Refresh,
            Permission::Disconnect,
        ]),
    );
    let access = ApiKeys::new().with_key(ApiKeys::digest(&key), ada);
    let signing_key = random_token(&SystemRandom::new())?;
    let config = RouterConfig::new(site, signing_key, "/");
    let routes = router(&hub, access, config).await?;
    Ok((Router::new().nest(MOUNT, routes), hub, key))
}

async fn serve(site: Url) -> Outcome {
    let airtable = Airtable::new(AirtableConfig::from_env()?);
    let (router, hub, key) = service(site, airtable, SystemClock::new()).await?;
    println!("API key: {}", key.expose_secret());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("serving at http://{}{MOUNT}", listener.local_addr()?);
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(ended)
        .await?;
    hub.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}

/// The user and her browser.
struct Ada {
    router: Router,
    site: Url,
    key: SecretString,
    cookie: String,
}

impl Ada {
    async fn send(&mut self, method: &str, path: &str, body: &Value) -> Outcome<Response<String>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{MOUNT}{path}"))
            .header(
                AUTHORIZATION,
                format!("Bearer {}", self.key.expose_secret()),
            )
            .header(CONTENT_TYPE, "application/json")
            .header(COOKIE, &self.cookie)
            .body(Body::from(body.to_string()))?;
        let (parts, body) = self.router.clone().oneshot(request).await?.into_parts();
        if let Some(line) = parts.headers.get(SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            pair.clone_into(&mut self.cookie);
        }
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(
            parts,
            String::from_utf8(body.to_vec())?,
        ))
    }

    async fn json(&mut self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        Ok(serde_json::from_str(
            self.send(method, path, body).await?.body(),
        )?)
    }

    /// Loads a page of the service, and returns the address to which it redirects.
    async fn load(&mut self, url: &Url) -> Outcome<Url> {
        let path = url.as_str().strip_prefix(self.site.as_str());
        let path = path
            .ok_or("the page is not a page of the service")?
            .to_owned();
        let page = self.send("GET", &path, &Value::Null).await?;
        let location = page
            .headers()
            .get(LOCATION)
            .ok_or("the page is no redirect")?;
        Ok(Url::parse(location.to_str()?)?)
    }
}

async fn story() -> Outcome {
    let site = Url::parse("https://app.example/integrations")?;
    let redirect_uri = format!("{site}/v1/callback/airtable").parse()?;
    let simulator = Simulator::builder(SystemClock::new())
        .with_redirect_uri(redirect_uri)
        .start()
        .await?;
    let airtable = Airtable::new(AirtableConfig::for_simulator(&simulator)?);
    let (router, hub, key) = service(site.clone(), airtable, SystemClock::new()).await?;
    let mut ada = Ada {
        router,
        site,
        key,
        cookie: String::new(),
    };
    let connectors = ada.json("GET", "/v1/connectors", &Value::Null).await?;
    println!("connectors: {}", connectors["connectors"][0]["name"]);

    let started = ada
        .json("POST", "/v1/connectors/airtable/connect", &json!({}))
        .await?;
    for step in started["steps"].as_array().into_iter().flatten() {
        println!("step: {step}");
    }
    let consent = started["authorization_url"].as_str().unwrap_or_default();
    let callback = simulator
        .authority()
        .visit(&Url::parse(consent)?, &Consent::Grant)?;
    let target = ada.load(&callback).await?;
    let result: Vec<_> = target.query_pairs().into_owned().collect();
    println!(
        "callback: {}{} {}={}",
        target.authority(),
        target.path(),
        result[0].0,
        result[0].1
    );
    let id = &result.last().ok_or("the result has no connection")?.1;

    let path = format!("/v1/connections/{id}");
    let detail = ada.json("GET", &path, &Value::Null).await?;
    println!("status: {}", detail["connection"]["status"]);
    println!("scopes: {}", detail["granted_scopes"]);
    let check = ada
        .json("POST", &format!("{path}/check"), &json!({}))
        .await?;
    println!("check: {}", check["result"]);

    let path = format!("{path}/disconnect");
    let list = ada.json("GET", &path, &Value::Null).await?;
    for stop in list["stops"].as_array().into_iter().flatten() {
        println!("stops: {}", stop["text"]);
    }
    let refused = ada
        .json("POST", &path, &json!({ "confirmation": "" }))
        .await?;
    println!("without confirmation: {}", refused["code"]);
    let confirmed = json!({ "confirmation": list["confirmation"] });
    let ended = ada.send("POST", &path, &confirmed).await?;
    if ended.status() != StatusCode::NO_CONTENT {
        return Err(format!("the disconnect failed: {}", ended.body()).into());
    }
    println!("disconnected");
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}
