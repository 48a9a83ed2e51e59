//! An app inside Shopify's admin: session token, bounce page, token exchange, API call.
//!
//! `cargo run --bin shopify_embedded` runs offline against a simulated Shopify and ends by itself.
//! A web service does the same in its request handler: it passes the headers and the target of each
//! request to `Shopify::enter`. See docs/providers/shopify.md.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::sync::Arc;

use connector_examples::Outcome;
use connector_shopify::sim::Simulator;
use connectors::cipher::Keyring;
use connectors::clock::{Clock, SystemClock};
use connectors::shopify::endpoints::GetShop;
use connectors::shopify::{Entry, SessionTokens, Shopify, ShopifyClient, ShopifyConfig};
use connectors::{Actor, App, Hub, MemoryStore, TenantId};
use http::{HeaderMap, HeaderValue, Uri, header};
use secrecy::ExposeSecret;
use url::Url;

/// The app's request handler.
struct Embedded {
    hub: Hub,
    shopify: Shopify,
    app: App,
    tenant: TenantId,
}

impl Embedded {
    /// Handles a request to the app. Returns what the browser gets.
    async fn handle(&self, headers: &HeaderMap, target: &Uri) -> Outcome<String> {
        let now = SystemClock::new().now();
        let base = Url::parse("https://app.example/")?;
        let session = match self.shopify.enter(&self.app, now, headers, target, &base) {
            Entry::Session(session) => session,
            Entry::Respond(response) => {
                let location = response.headers().get(header::LOCATION);
                let location = location.and_then(|it| it.to_str().ok()).unwrap_or_default();
                return Ok(format!("{} {location}", response.status()));
            }
            other => return Err(format!("unknown entry: {other:?}").into()),
        };
        // A service does this only if the shop has no connection, or one that needs it. The session
        // token proves the shop, so no further consent is needed.
        let credential = Shopify::offline_credential(&session, now)?;
        let adopt = self.hub.adopt(&self.tenant, Shopify::ID, credential);
        let user = session.user().map_or_else(String::new, |it| it.to_string());
        let connected = adopt.actor(Actor::User(user)).await?;
        let client: ShopifyClient = self.hub.client(connected.connection().key()).await?;
        let shop = client.send(&GetShop::new()).await?;
        Ok(format!(
            "200 OK: {} sells in {}",
            shop.name, shop.currency_code
        ))
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let clock = SystemClock::new();
    let sim = Simulator::builder(clock.clone()).start().await?;
    let shop = sim.shops().into_iter().next().ok_or("no shop")?;
    // The app is installed with these scopes from its configuration file.
    sim.install(&shop, ["read_products"])?;

    let config = ShopifyConfig::builder_for_simulator(&sim)
        // A refused refresh falls back to the newest session token.
        .with_session_tokens(SessionTokens::new())
        .build()?;
    let shopify = Shopify::new(config);
    let embedded = Embedded {
        hub: Hub::builder()
            .store(MemoryStore::new(Arc::new(clock)))
            .cipher(Keyring::parse(&Keyring::generate()?)?)
            .connector(shopify.clone())
            .build()?,
        shopify,
        app: sim.authority().app(),
        tenant: TenantId::new("acme")?,
    };

    // 1. The admin loads the app's document. A document load has no Authorization header.
    let target: Uri = format!("/app?shop={shop}&page=1").parse()?;
    let redirect = embedded.handle(&HeaderMap::new(), &target).await?;
    println!("document without a token: {redirect}");

    // 2. App Bridge on the bounce page obtains a session token and loads the document again.
    let token = sim.session_token(&shop, 902_541_635)?;
    let target: Uri = format!("/app?shop={shop}&id_token={}", token.expose_secret()).parse()?;
    let page = embedded.handle(&HeaderMap::new(), &target).await?;
    println!("document with a token: {page}");

    // 3. Scripts of the page send a token in the header of each request.
    let mut headers = HeaderMap::new();
    for (name, token) in [
        ("an invalid token", "x"),
        ("a valid token", token.expose_secret()),
    ] {
        let value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        headers.insert(header::AUTHORIZATION, value);
        let answer = embedded
            .handle(&headers, &Uri::from_static("/api/shop"))
            .await?;
        println!("request with {name}: {answer}");
    }
    Ok(())
}
