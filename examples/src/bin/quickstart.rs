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
use connectors::cipher::{CredentialCipher, Keyring};
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::shopify::endpoints::ListProducts;
use connectors::shopify::models::Product;
use connectors::shopify::sim::{Route, Simulator, WebhookHeaders};
use connectors::shopify::{ShopDomain, Shopify, ShopifyClient, ShopifyConfig};
use connectors::sqlite::{SqliteOptions, SqliteStore};
use connectors::{
    Actor, ConnectionKey, CorrelationId, Delivered, DeliveryHandler, Hub, Receipt, RequestContext,
    TenantId,
};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

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

/// What the service runs on, and the world around it.
struct Story {
    hub: Hub,
    store: SqliteStore,
    clock: ManualClock,
    shopify: Simulator,
    shop: ShopDomain,
    updates: ProductUpdates,
    owner: Actor,
}

#[tokio::main]
async fn main() -> Outcome {
    let directory = tempfile::tempdir()?;

    step("A key, a store, a shop");
    let story = Story::begin(directory.path()).await?;
    step("A customer connects the shop");
    let key = story.connect().await?;
    step("What lies in the database");
    story.show_sealed_row(&key, directory.path()).await?;
    step("Products, page by page");
    let products = story.show_products(&key).await?;
    step("An hour passes, and the access token expires");
    story.expire(&key, &products).await?;
    step("The shop tells that a product has changed");
    let product = products.first().ok_or("the shop has no product")?;
    story.receive_webhooks(product).await?;
    step("The customer disconnects the shop");
    story.disconnect(&key, directory.path()).await?;

    story.hub.shutdown(Duration::from_secs(10)).await?;
    story.store.close().await;
    println!("\nDone. The directory is removed.");
    Ok(())
}

impl Story {
    async fn begin(directory: &Path) -> Outcome<Self> {
        let keyring = Keyring::parse(&Keyring::generate()?)?;
        say(&format!(
            "A new key. Its id is {}; a service reads it from CONNECTORS_KEYS.",
            keyring.sealing_key()
        ));
        // The present, and from then on it moves when it is told to.
        let clock = ManualClock::new(SystemClock::new().now());
        let store = SqliteOptions::new(directory.join("connectors.db"))
            .with_clock(Arc::new(clock.clone()))
            .open()
            .await?;
        say(&format!("A SQLite store in {}.", directory.display()));
        let shopify = Simulator::builder(clock.clone()).start().await?;
        let shops = shopify.shops();
        let shop = shops.first().ok_or("the simulator has no shop")?.clone();
        say(&format!(
            "A simulated Shopify on {} with the shop {shop}.",
            shopify.address()
        ));

        let config = ShopifyConfig::for_simulator(&shopify)?;
        let updates = ProductUpdates::default();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(keyring)
            .clock(clock.clone())
            .connector(Shopify::new(config))
            .on_delivery(updates.clone())
            .build()?;
        say("The hub reaches that shop on this machine, and other hosts over https only.");
        Ok(Self {
            hub,
            store,
            clock,
            shopify,
            shop,
            updates,
            owner: Actor::User("user-1".into()),
        })
    }

    async fn connect(&self) -> Outcome<ConnectionKey> {
        let tenant = TenantId::new("tenant-1")?;
        let authorization = self
            .hub
            .authorize(&tenant, Shopify::ID)
            .actor(self.owner.clone())
            .account(self.shop.as_str())
            .begin()
            .await?;
        let url = authorization.url();
        say(&format!(
            "The service sends the browser to https://{}{}.",
            url.host_str().unwrap_or_default(),
            url.path()
        ));
        let back = self.shopify.visit(url)?;
        let parameters: Vec<String> = back.query_pairs().map(|(name, _)| name.into()).collect();
        say(&format!(
            "The shop's owner agrees. Shopify sends the browser back to https://{}{}",
            back.host_str().unwrap_or_default(),
            back.path()
        ));
        say(&format!("with {}.", parameters.join(", ")));
        let query = back.query().unwrap_or_default();
        let binding = authorization.binding().clone();
        let finish = self.hub.callback(Shopify::ID, query, binding);
        let connected = finish.actor(self.owner.clone()).tenant(&tenant).await?;
        let connection = connected.connection();
        say("The signature holds, the code is exchanged, and the shop is asked who it is:");
        say(&format!("{}.", connection.account.key));
        let key = connection.key().clone();
        say(&format!("Connection {} is {}.", key.id, connection.status));
        Ok(key)
    }

    async fn show_sealed_row(&self, key: &ConnectionKey, directory: &Path) -> Outcome {
        let rows = sealed_credentials(directory).await?;
        let row = rows.first().ok_or("the credential is not in the store")?;
        say(&format!("The credential is {} sealed bytes:", row.len()));
        for line in row.chunks(24).take(4) {
            say(&format!("  {}", hex(line)));
        }
        say("  ...");
        let token = self.hub.access_token(key).await?.into_secret();
        let text = token.expose_secret().as_bytes();
        let (mut searched, mut found) = (0, 0);
        for file in std::fs::read_dir(directory)? {
            let bytes = std::fs::read(file?.path())?;
            searched += bytes.len();
            found += bytes.windows(text.len()).filter(|it| *it == text).count();
        }
        say(&format!(
            "In all {searched} bytes of the database, the access token is found {found} times."
        ));
        ensure(found == 0, "the token can be read in the database")
    }

    async fn show_products(&self, key: &ConnectionKey) -> Outcome<Vec<Product>> {
        let before = self.shopify.count(Route::Graphql);
        let products = self.products(key).await?;
        say(&format!(
            "{} products came in {} requests.",
            products.len(),
            self.shopify.count(Route::Graphql) - before
        ));
        for product in products.iter().take(3) {
            say(&format!("  {} ({})", product.title, product.vendor));
        }
        Ok(products)
    }

    async fn expire(&self, key: &ConnectionKey, products: &[Product]) -> Outcome {
        let expired = self.hub.access_token(key).await?.into_secret();
        self.clock.advance(Duration::from_secs(3601));
        let before = self.shopify.count(Route::Token);
        let callers = (0..CALLERS).map(|_| {
            let (hub, key) = (self.hub.clone(), key.clone());
            tokio::spawn(async move { hub.access_token(&key).await })
        });
        let (mut tokens, mut served) = (HashSet::new(), 0);
        for answer in try_join_all(callers).await? {
            let token = answer?.into_secret();
            tokens.insert(token.expose_secret().to_owned());
            served += 1;
        }
        let requests = self.shopify.count(Route::Token) - before;
        say(&format!(
            "{served} callers ask for a token at once. Requests for a new one: {requests}."
        ));
        ensure(
            requests == 1 && tokens.len() == 1,
            "the callers did not share one refresh",
        )?;
        ensure(
            !tokens.contains(expired.expose_secret()),
            "a caller was given the expired token",
        )?;
        say("All of them have the same new token.");
        let again = self.products(key).await?;
        ensure(again == products, "the products are not the same")?;
        say(&format!("It works: {} products.", again.len()));
        Ok(())
    }

    async fn receive_webhooks(&self, product: &Product) -> Outcome {
        let body = json!({ "admin_graphql_api_id": product.id, "title": "A new title" });
        let headers = WebhookHeaders::default();
        let delivery =
            self.shopify
                .webhook(&self.shop, "products/update", body.to_string(), headers)?;
        let mut forged = delivery.clone();
        *forged.body_mut() = changed(delivery.body());

        let accepted = self.receive(delivery.clone()).await;
        say(&format!("The signed delivery is answered {accepted}."));
        let refused = self.receive(forged).await;
        say(&format!(
            "Its twin, with one bit of the body changed, is answered {refused}."
        ));
        let repeated = self.receive(delivery).await;
        say(&format!(
            "The first one again, as Shopify repeats deliveries: {repeated}."
        ));
        ensure(
            accepted.is_success() && refused.is_client_error() && repeated.is_success(),
            "a delivery was answered wrongly",
        )?;
        self.hub.worker().tick().await?;
        let handled = self.updates.0.load(Ordering::Relaxed);
        say(&format!(
            "The worker runs. Deliveries that the application's handler was given: {handled}."
        ));
        ensure(handled == 1, "the delivery was not handled once")
    }

    async fn disconnect(&self, key: &ConnectionKey, directory: &Path) -> Outcome {
        let context = RequestContext::new(self.owner.clone(), CorrelationId::default());
        self.hub.disconnect(key, context).await?;
        match self.hub.access_token(key).await {
            Ok(_) => return Err("the connection still gives tokens".into()),
            Err(error) => say(&format!("Asked for a token, the hub says: {error}")),
        }
        let left = sealed_credentials(directory).await?.len();
        say(&format!("Sealed credentials left in the store: {left}."));
        ensure(left == 0, "a credential is left in the store")?;
        say("Shopify has no revocation of tokens. Uninstalling the app is a setting of its own.");
        Ok(())
    }

    /// All products of the connection's shop.
    async fn products(&self, key: &ConnectionKey) -> Outcome<Vec<Product>> {
        let client = self.hub.client::<ShopifyClient>(key).await?;
        let pages = client.pages(ListProducts::new().with_page_size(PAGE_SIZE));
        Ok(pages.items().try_collect().await?)
    }

    /// What an endpoint of the service does with a delivery.
    async fn receive(&self, request: http::Request<Bytes>) -> http::StatusCode {
        let response = match self.hub.receive(&Shopify::ID, request).await {
            Ok(receipt) => receipt.response(),
            Err(error) => Receipt::refusal(&error),
        };
        response.status()
    }
}

/// Reads the sealed credentials from the database file, without the library.
async fn sealed_credentials(directory: &Path) -> Outcome<Vec<Vec<u8>>> {
    let options = SqliteConnectOptions::new()
        .filename(directory.join("connectors.db"))
        .read_only(true);
    let mut database = options.connect().await?;
    let rows = sqlx::query_scalar("SELECT sealed FROM credentials")
        .fetch_all(&mut database)
        .await?;
    database.close().await?;
    Ok(rows)
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
