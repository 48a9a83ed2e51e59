//! Connects a simulated shop and prints each step: authorize, callback, token exchange, API call,
//! refresh, webhook, signature, disconnect.
//!
//! The example runs offline and ends by itself: `cargo run --bin quickstart`

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_examples::{Outcome, ensure, say, step};
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

const CALLERS: usize = 100;
const PAGE_SIZE: u32 = 25;

/// The application's webhook handler. This example counts the deliveries.
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

/// The service and the simulated shop.
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

    step("Setup: key, store, simulated shop");
    let story = Story::begin(directory.path()).await?;
    step("Authorize");
    let key = story.connect().await?;
    step("Sealed credential in the database");
    story.show_sealed_row(&key, directory.path()).await?;
    step("API call: list products, page by page");
    let products = story.show_products(&key).await?;
    step("Refresh");
    story.expire(&key, &products).await?;
    step("Webhook and signature");
    let product = products.first().ok_or("the shop has no product")?;
    story.receive_webhooks(product).await?;
    step("Disconnect");
    story.disconnect(&key, directory.path()).await?;

    story.hub.shutdown(Duration::from_secs(10)).await?;
    story.store.close().await;
    println!("\nDone. The temporary directory is removed.");
    Ok(())
}

impl Story {
    async fn begin(directory: &Path) -> Outcome<Self> {
        let keyring = Keyring::parse(&Keyring::generate()?)?;
        say(&format!(
            "Created a key with the id {}. A service reads its keys from CONNECTORS_KEYS.",
            keyring.sealing_key()
        ));
        // A manual clock, which starts at the current time.
        let clock = ManualClock::new(SystemClock::new().now());
        let store = SqliteOptions::new(directory.join("connectors.db"))
            .with_clock(Arc::new(clock.clone()))
            .open()
            .await?;
        say(&format!(
            "Opened a SQLite store in {}.",
            directory.display()
        ));
        let shopify = Simulator::builder(clock.clone()).start().await?;
        let shops = shopify.shops();
        let shop = shops.first().ok_or("the simulator has no shop")?.clone();
        say(&format!(
            "Started a simulated Shopify on {} with the shop {shop}.",
            shopify.server().address()
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
        say(
            "The hub sends requests for this shop to the simulator. It calls other hosts over https.",
        );
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
            "The service redirects the browser to https://{}{}.",
            url.host_str().unwrap_or_default(),
            url.path()
        ));
        let back = self.shopify.visit(url)?;
        let parameters: Vec<String> = back.query_pairs().map(|(name, _)| name.into()).collect();
        step("Callback");
        say(&format!(
            "The shop owner consents. Shopify redirects the browser to https://{}{}.",
            back.host_str().unwrap_or_default(),
            back.path()
        ));
        say(&format!(
            "The query has the parameters {}.",
            parameters.join(", ")
        ));
        let query = back.query().unwrap_or_default();
        let binding = authorization.binding().clone();
        let finish = self.hub.callback(Shopify::ID, query, binding);
        let connected = finish.actor(self.owner.clone()).tenant(&tenant).await?;
        let connection = connected.connection();
        step("Token exchange");
        say("The hub verified the callback's signature and exchanged the code for tokens.");
        say(&format!(
            "The account of the tokens is {}.",
            connection.account.key
        ));
        let key = connection.key().clone();
        say(&format!(
            "The status of connection {} is {}.",
            key.id, connection.status
        ));
        Ok(key)
    }

    async fn show_sealed_row(&self, key: &ConnectionKey, directory: &Path) -> Outcome {
        let rows = sealed_credentials(directory).await?;
        let row = rows.first().ok_or("the credential is not in the store")?;
        say(&format!("The sealed credential has {} bytes:", row.len()));
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
            "The database has {searched} bytes. They contain the access token {found} times."
        ));
        ensure(found == 0, "the database contains the access token")
    }

    async fn show_products(&self, key: &ConnectionKey) -> Outcome<Vec<Product>> {
        let before = self.shopify.count(Route::Graphql);
        let products = self.products(key).await?;
        say(&format!(
            "Received {} products in {} requests.",
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
            "After an hour, {served} callers request a token at once. Token requests: {requests}."
        ));
        ensure(
            requests == 1 && tokens.len() == 1,
            "the callers did not share one token request",
        )?;
        ensure(
            !tokens.contains(expired.expose_secret()),
            "a caller received the expired token",
        )?;
        say("All callers received the same new token.");
        let again = self.products(key).await?;
        ensure(again == products, "the second call returned other products")?;
        say(&format!(
            "API call with the new token: {} products.",
            again.len()
        ));
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
        say(&format!("Delivery with a valid signature: {accepted}."));
        let refused = self.receive(forged).await;
        say(&format!(
            "Delivery with one changed bit in the body: {refused}."
        ));
        let repeated = self.receive(delivery).await;
        say(&format!(
            "The first delivery again, because Shopify may repeat deliveries: {repeated}."
        ));
        ensure(
            accepted.is_success() && refused.is_client_error() && repeated.is_success(),
            "a delivery got the wrong status",
        )?;
        self.hub.worker().tick().await?;
        let handled = self.updates.0.load(Ordering::Relaxed);
        say(&format!(
            "The worker runs. Deliveries passed to the application's handler: {handled}."
        ));
        ensure(handled == 1, "the delivery was not handled exactly once")
    }

    async fn disconnect(&self, key: &ConnectionKey, directory: &Path) -> Outcome {
        let context = RequestContext::new(self.owner.clone(), CorrelationId::default());
        self.hub.disconnect(key, context).await?;
        match self.hub.access_token(key).await {
            Ok(_) => return Err("the hub still returns tokens".into()),
            Err(error) => say(&format!("The hub refuses further token requests: {error}")),
        }
        let left = sealed_credentials(directory).await?.len();
        say(&format!("Sealed credentials left in the store: {left}."));
        ensure(left == 0, "the store still contains a credential")?;
        say("Shopify has no token revocation. An option uninstalls the app on disconnect.");
        Ok(())
    }

    /// Returns all products of the connection's shop.
    async fn products(&self, key: &ConnectionKey) -> Outcome<Vec<Product>> {
        let client = self.hub.client::<ShopifyClient>(key).await?;
        let pages = client.pages(ListProducts::new().with_page_size(PAGE_SIZE));
        Ok(pages.items().try_collect().await?)
    }

    /// Handles a delivery as a webhook route of the service does.
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

/// Returns the body with one changed bit in the middle.
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
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
