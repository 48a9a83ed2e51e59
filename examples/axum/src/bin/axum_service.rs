//! A service with the routes of `connectors::axum`, mounted below `/integrations`.
//!
//! `cargo run --bin axum_service` runs offline against a simulated Airtable: a user connects an
//! account, reads its status, and disconnects it. The program ends by itself.
//!
//! If `SITE_URL`, `AIRTABLE_CLIENT_ID` and `AIRTABLE_REDIRECT_URI` are set, it serves the real
//! Airtable at 127.0.0.1:8080 until a signal arrives. `SITE_URL` is
//! `http://127.0.0.1:8080/integrations`, or the https address of a proxy before it; the redirect URI
//! is `{SITE_URL}/v1/callback/airtable`. The program prints a link that logs its only user in.
//!
//! The provider redirects the browser to the callback, with cookies and without an `Authorization`
//! header. So the user is identified by a session cookie, not by an API key.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::collections::BTreeMap;
use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::response::{Html, IntoResponse as _, Redirect};
use axum::routing::get;
use connector_airtable::sim::{Consent, Simulator};
use connectors::airtable::{Airtable, AirtableConfig};
use connectors::axum::{
    Access, ApiKeys, Caller, Denied, Permission, Permissions, RouterConfig, router,
};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, SystemClock};
use connectors::{Actor, Hub, MemoryStore, SystemRandom, TenantId, random_token};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;
use url::Url;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const MOUNT: &str = "/integrations";
/// Maximum time for requests that are open when the service shuts down.
const DRAIN: Duration = Duration::from_secs(10);

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

/// Ada's session. Your application uses its own login instead.
#[derive(Clone)]
struct Login {
    session: [u8; 32],
    ada: Caller,
}

#[async_trait]
impl Access for Login {
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied> {
        let lines = request.headers.get_all(COOKIE).iter();
        let cookies = lines.filter_map(|line| line.to_str().ok());
        let is_ada = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix("session="))
            .any(|it| ApiKeys::digest(&it.into()) == self.session);
        is_ada
            .then(|| self.ada.clone())
            .ok_or(Denied::Unauthenticated)
    }
}

/// The parameters of the link that logs Ada in.
#[derive(serde::Deserialize)]
struct LoginLink {
    session: String,
}

impl Login {
    fn new(session: &SecretString) -> Outcome<Self> {
        let permissions = Permissions::of(&[
            Permission::Read,
            Permission::Connect,
            Permission::Refresh,
            Permission::Disconnect,
        ]);
        let tenant = TenantId::new("adas-bakery")?;
        Ok(Self {
            session: ApiKeys::digest(session),
            ada: Caller::new(tenant, Actor::User("ada".into()), permissions),
        })
    }

    /// Returns the pages of the service.
    fn pages(&self, is_https: bool) -> Router {
        let session = self.session;
        let secure = if is_https { "; Secure" } else { "" };
        let log_in = move |Query(link): Query<LoginLink>| async move {
            if ApiKeys::digest(&link.session.as_str().into()) != session {
                return StatusCode::FORBIDDEN.into_response();
            }
            // Not Strict: the callback is a navigation from the provider's site.
            let cookie = format!(
                "session={}; Path=/; HttpOnly; SameSite=Lax{secure}",
                link.session
            );
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        };
        Router::new()
            .route("/login", get(log_in))
            .route("/", get(async || Html(PAGE)))
    }
}

/// The page that starts a flow, and shows its result.
const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8"><title>Adas Bakery</title>
<button id="connect">Connect Airtable</button>
<p id="result"></p><pre id="connections"></pre>
<script>
const show = (id, text) => document.getElementById(id).textContent = text;
const call = async (path, options) => (await fetch("/integrations/v1" + path, options)).json();
document.getElementById("connect").onclick = async () => {
  const begun = await call("/connectors/airtable/connect", {
    method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
  if (begun.authorization_url) location = begun.authorization_url;
  else show("result", begun.detail);
};
show("result", new URLSearchParams(location.search).toString());
call("/connections").then(list => show("connections", JSON.stringify(list, null, 1)));
</script>
"#;

/// Returns the service. It shuts down when `ended` completes. Your application uses a store that keeps
/// its content.
async fn service(
    site: Url,
    airtable: Airtable,
    login: Login,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Outcome<(Router, Hub)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::clone(&clock)))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .connector(airtable)
        .build()?;
    let pages = login.pages(site.scheme() == "https");
    let signing_key = random_token(&SystemRandom::new())?;
    // Open live streams end when the service shuts down.
    let config = RouterConfig::new(site, signing_key, "/").with_shutdown(ended);
    let routes = router(&hub, login, config).await?;
    Ok((pages.nest(MOUNT, routes), hub))
}

async fn serve(site: Url) -> Outcome {
    let airtable = Airtable::new(AirtableConfig::from_env()?);
    let (signal, ended) = watch::channel(false);
    let wait = || {
        let mut ended = ended.clone();
        async move {
            let _ = ended.wait_for(|ended| *ended).await;
        }
    };
    let session = random_token(&SystemRandom::new())?;
    let login = Login::new(&session)?;
    let origin = site.origin().ascii_serialization();
    let (router, hub) = service(site, airtable, login, wait()).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("log in: {origin}/login?session={}", session.expose_secret());
    let server = axum::serve(listener, router).with_graceful_shutdown(wait());
    let drained = async {
        let _ = tokio::signal::ctrl_c().await;
        let _ = signal.send(true);
        // A client that never reads its response must not keep the process alive.
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        outcome = server => outcome?,
        () = drained => println!("some connections are still open"),
    }
    hub.shutdown(DRAIN).await?;
    Ok(())
}

/// The user and her browser.
struct Ada {
    router: Router,
    site: Url,
    /// The cookies by name.
    cookies: BTreeMap<String, String>,
}

impl Ada {
    async fn send(&mut self, method: &str, path: &str, body: &Value) -> Outcome<Response<String>> {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .header(COOKIE, cookies.join("; "))
            .body(Body::from(body.to_string()))?;
        let (parts, body) = self.router.clone().oneshot(request).await?.into_parts();
        if let Some(line) = parts.headers.get(SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').ok_or("the cookie has no value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(
            parts,
            String::from_utf8(body.to_vec())?,
        ))
    }

    async fn json(&mut self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        let path = format!("{MOUNT}{path}");
        Ok(serde_json::from_str(
            self.send(method, &path, body).await?.body(),
        )?)
    }

    /// Loads a page of the service, and returns the address to which it redirects.
    async fn load(&mut self, url: &Url) -> Outcome<Url> {
        let path = url.as_str().strip_prefix(self.site.as_str());
        let path = path
            .ok_or("the page is not a page of the service")?
            .to_owned();
        let path = format!("{MOUNT}{path}");
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
    let session = random_token(&SystemRandom::new())?;
    let login = Login::new(&session)?;
    let (router, hub) = service(site.clone(), airtable, login, pending()).await?;
    let mut ada = Ada {
        router,
        site,
        cookies: BTreeMap::new(),
    };
    let link = format!("/login?session={}", session.expose_secret());
    ada.send("GET", &link, &Value::Null).await?;
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
    let path = format!("{MOUNT}{path}");
    let ended = ada.send("POST", &path, &confirmed).await?;
    if ended.status() != StatusCode::NO_CONTENT {
        return Err(format!("the disconnect failed: {}", ended.body()).into());
    }
    println!("disconnected");
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}
