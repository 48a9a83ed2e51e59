//! The whole story with a simulated shop: connect, call, refresh, receive, disconnect.
//!
//! Runs offline to its end, and says what it does as it goes: `cargo run --bin quickstart`

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectors::cipher::{CredentialCipher, KeyId, Keyring, SealedKind};
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::http::HttpClient;
use connectors::shopify::endpoints::ListProducts;
use connectors::shopify::models::Product;
use connectors::shopify::sim::{Route, Simulator, WebhookHeaders};
use connectors::shopify::{Shopify, ShopifyClient, ShopifyConfig};
use connectors::sqlite::{SqliteOptions, SqliteStore};
use connectors::store::Upkeep;
use connectors::{
    Actor, ConnectionKey, CorrelationId, Delivered, DeliveryHandler, Hub, Receipt, RequestContext,
    TenantId,
};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use secrecy::ExposeSecret;
use serde_json::json;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const CALLERS: usize = 100;
const PAGE_SIZE: u32 = 25;

/// What the application does when the shop tells it something: here it counts.
#[derive(Clone, Default)]
struct ProductUpdates(Arc<AtomicUsize>);

#[async_trait]
impl DeliveryHandler for ProductUpdates {
    async fn handle(&self, delivery: &Delivered) -> connectors::Result<()> {
        if delivery.event().topic == "products/update" && delivery.connection().is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::main]
async fn main() -> Outcome {
    let directory = tempfile::tempdir()?;

    step("A key, a store, a shop");
    let keyring = Keyring::parse(&Keyring::generate()?)?;
    say(&format!(
        "A new key. Its id is {}; a service reads it from CONNECTORS_KEYS.",
        keyring.sealing_key()
    ));
    // The present, and from then on it moves when it is told to.
    let clock = ManualClock::new(SystemClock::new().now());
    let store = SqliteOptions::new(directory.path().join("connectors.db"))
        .with_clock(Arc::new(clock.clone()))
        .open()
        .await?;
    say(&format!(
        "A SQLite store in {}.",
        directory.path().display()
    ));
    let shopify = Simulator::builder(clock.clone()).start().await?;
    let shop = shopify
        .shops()
        .into_iter()
        .next()
        .ok_or("the simulator has no shop")?;
    say(&format!(
        "A simulated Shopify on {} with the shop {shop}.",
        shopify.address()
    ));

    let config = ShopifyConfig::for_simulator(&shopify)?;
    let mut transport = HttpClient::builder();
    for opening in config.openings() {
        transport = transport.with_opening(opening.clone());
    }
    let updates = ProductUpdates::default();
    let hub = Hub::builder()
        .store(store.clone())
        .cipher(keyring)
        .transport(transport.build()?)
        .clock(clock.clone())
        .connector(Shopify::new(config))
        .on_delivery(updates.clone())
        .build()?;
    say("The transport reaches that shop on this machine, and other hosts over https only.");

    step("A customer connects the shop");
    let tenant = TenantId::new("tenant-1")?;
    let owner = Actor::User("user-1".into());
    let authorization = hub
        .authorize(&tenant, Shopify::ID)
        .actor(owner.clone())
        .account(shop.as_str())
        .begin()
        .await?;
    let url = authorization.url();
    say(&format!(
        "The service sends the browser to https://{}{}.",
        url.host_str().unwrap_or_default(),
        url.path()
    ));
    let back = shopify.visit(url)?;
    say(&format!(
        "The shop's owner agrees. Shopify sends the browser back to {}{}",
        back.host_str().unwrap_or_default(),
        back.path()
    ));
    let parameters: Vec<String> = back.query_pairs().map(|(name, _)| name.into()).collect();
    say(&format!("with {}.", parameters.join(", ")));
    let connected = hub
        .callback(
            Shopify::ID,
            back.query().unwrap_or_default(),
            authorization.binding().clone(),
        )
        .await?;
    let connection = connected.connection();
    let key = connection.key().clone();
    say(&format!(
        "The signature holds, the code is exchanged, the shop is asked who it is: {}.",
        connection.account.key
    ));
    say(&format!("Connection {} is {}.", key.id, connection.status));

    step("What lies in the database");
    show_sealed_row(&hub, &store, &key, directory.path()).await?;

    step("Products, page by page");
    let before = shopify.count(Route::Graphql);
    let products = read_products(&hub, &key).await?;
    say(&format!(
        "{} products came in {} requests.",
        products.len(),
        shopify.count(Route::Graphql) - before
    ));
    for product in products.iter().take(3) {
        say(&format!("  {} ({})", product.title, product.vendor));
    }

    step("An hour passes, and the access token expires");
    let expired_token = hub.access_token(&key).await?.into_secret();
    clock.advance(Duration::from_secs(3601));
    let before = shopify.count(Route::Token);
    let callers = (0..CALLERS).map(|_| {
        let (hub, key) = (hub.clone(), key.clone());
        tokio::spawn(async move { hub.access_token(&key).await })
    });
    let mut tokens = HashSet::new();
    let mut served = 0;
    for answer in try_join_all(callers).await? {
        let token = answer?.into_secret();
        served += 1;
        tokens.insert(token.expose_secret().to_owned());
    }
    let requests = shopify.count(Route::Token) - before;
    say(&format!(
        "{served} callers ask for a token at once. Requests for a new one: {requests}."
    ));
    ensure(
        requests == 1 && tokens.len() == 1,
        "the callers did not share one refresh",
    )?;
    ensure(
        !tokens.contains(expired_token.expose_secret()),
        "a caller was given the expired token",
    )?;
    say("All of them have the same new token.");
    let again = read_products(&hub, &key).await?;
    ensure(again == products, "the products are not the same")?;
    say(&format!("It works: {} products.", again.len()));

    step("The shop tells that a product has changed");
    let product = products.first().ok_or("the shop has no product")?;
    let body = json!({ "admin_graphql_api_id": product.id, "title": "A new title" });
    let delivery = shopify.webhook(
        &shop,
        "products/update",
        body.to_string(),
        WebhookHeaders::default(),
    )?;
    let mut forged = delivery.clone();
    *forged.body_mut() = changed(delivery.body());
    say(&format!(
        "The signed delivery is answered {}.",
        receive(&hub, delivery.clone()).await
    ));
    let refused = receive(&hub, forged).await;
    ensure(
        refused.is_client_error(),
        "the forged delivery was accepted",
    )?;
    say(&format!(
        "Its twin, with one bit of the body changed, is answered {refused}."
    ));
    say(&format!(
        "The first one again, as Shopify repeats deliveries: {}.",
        receive(&hub, delivery).await
    ));
    hub.worker().tick().await?;
    let handled = updates.0.load(Ordering::Relaxed);
    say(&format!(
        "The worker runs. Deliveries that the application's handler was given: {handled}."
    ));
    ensure(handled == 1, "the delivery was not handled once")?;

    step("The customer disconnects the shop");
    let context = RequestContext::new(owner, CorrelationId::default());
    hub.disconnect(&key, context).await?;
    match hub.access_token(&key).await {
        Ok(_) => return Err("the connection still gives tokens".into()),
        Err(error) => say(&format!("Asked for a token, the hub says: {error}")),
    }
    say(&format!(
        "Sealed credentials left in the store: {}.",
        credentials(&store, &key).await?.len()
    ));
    say("Shopify has no revocation of tokens. Uninstalling the app is a setting of its own.");

    hub.shutdown(Duration::from_secs(10)).await?;
    store.close().await;
    println!("\nDone. The directory is removed.");
    Ok(())
}

/// All products of the connection's shop.
async fn read_products(hub: &Hub, key: &ConnectionKey) -> Outcome<Vec<Product>> {
    let client = hub.client::<ShopifyClient>(key).await?;
    let pages = client.pages(ListProducts::new().with_page_size(PAGE_SIZE));
    Ok(pages.items().try_collect().await?)
}

/// What an endpoint of the service does with a delivery.
async fn receive(hub: &Hub, request: http::Request<Bytes>) -> http::StatusCode {
    let response = match hub.receive(&Shopify::ID, request).await {
        Ok(receipt) => receipt.response(),
        Err(error) => Receipt::refusal(&error),
    };
    response.status()
}

/// The body with one bit in the middle changed.
fn changed(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// The sealed credentials of a connection as they lie in the store.
async fn credentials(store: &SqliteStore, key: &ConnectionKey) -> Outcome<Vec<Bytes>> {
    // Rows under any key but this one, which nobody has: that is all of them.
    let nobodys = KeyId::from_bytes([0; 8]);
    let rows = store.sealed_rows(&nobodys, None, 100).await?.items;
    let id = key.id.to_string();
    Ok(rows
        .into_iter()
        .filter(|row| row.kind == SealedKind::Credential && row.row_id == id)
        .map(|row| row.sealed.bytes().clone())
        .collect())
}

async fn show_sealed_row(
    hub: &Hub,
    store: &SqliteStore,
    key: &ConnectionKey,
    directory: &Path,
) -> Outcome {
    let rows = credentials(store, key).await?;
    let row = rows.first().ok_or("the credential is not in the store")?;
    say(&format!("The credential is {} sealed bytes:", row.len()));
    for line in row.chunks(24).take(4) {
        say(&format!("  {}", hex(line)));
    }
    say("  ...");
    let token = hub.access_token(key).await?.into_secret();
    let (mut searched, mut found) = (0, 0);
    for file in std::fs::read_dir(directory)? {
        let bytes = std::fs::read(file?.path())?;
        searched += bytes.len();
        let text = token.expose_secret().as_bytes();
        found += bytes.windows(text.len()).filter(|it| *it == text).count();
    }
    say(&format!(
        "In all {searched} bytes of the database, the access token is found {found} times."
    ));
    ensure(found == 0, "the token can be read in the database")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn step(title: &str) {
    println!("\n{title}");
}

fn say(line: &str) {
    println!("  {line}");
}

fn ensure(holds: bool, otherwise: &'static str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
