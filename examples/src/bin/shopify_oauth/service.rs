//! The hub, the store and the settings of the service.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connectors::cipher::Keyring;
use connectors::clock::SystemClock;
use connectors::http::HttpClient;
use connectors::random_token;
use connectors::shopify::endpoints::{CreateWebhookSubscription, ListWebhookSubscriptions};
use connectors::shopify::sim::Simulator;
use connectors::shopify::{Shopify, ShopifyClient, ShopifyConfig};
use connectors::sqlite::SqliteStore;
use connectors::{
    App, AppKey, ConnectionKey, Delivered, DeliveryHandler, Hub, SystemRandom, TenantId,
};
use futures_util::TryStreamExt;
use secrecy::SecretString;
use url::Url;

use crate::Outcome;
use crate::config::{CALLBACK, Real};
use crate::session::{Cookies, Sessions};

/// Path to which Shopify posts deliveries.
pub(crate) const WEBHOOKS: &str = "/shopify/webhooks";
/// Path of the App URL, to which Shopify redirects people who open the app in their shop.
pub(crate) const APP_URL: &str = "/shopify/app";
/// Subscribed topics, in the spelling of GraphQL.
const TOPICS: [&str; 2] = ["APP_UNINSTALLED", "PRODUCTS_UPDATE"];

/// The state of the routes.
pub(crate) struct Service {
    pub(crate) hub: Hub,
    pub(crate) store: SqliteStore,
    pub(crate) shopify: Shopify,
    /// The registration, to verify texts that Shopify signs outside of an authorization.
    pub(crate) app: Arc<App>,
    pub(crate) clock: SystemClock,
    pub(crate) sessions: Sessions,
    pub(crate) cookies: Cookies,
    pub(crate) simulator: Option<Simulator>,
    pub(crate) handled: Handled,
    /// The public origin of this program.
    origin: Url,
    /// The address on which the program listens.
    pub(crate) address: SocketAddr,
}

/// The application's webhook handler. This example counts the deliveries.
#[derive(Clone, Default)]
pub(crate) struct Handled(Arc<AtomicUsize>);

impl Handled {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> connectors::Result<()> {
        if delivery.connection().is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Service {
    /// Creates the service with a simulated Shopify and a temporary key.
    pub(crate) async fn simulated(
        origin: Url,
        address: SocketAddr,
        directory: &Path,
    ) -> Outcome<Self> {
        let simulator = Simulator::builder(SystemClock::new())
            .with_redirect_uri(origin.join(CALLBACK)?.as_str().parse()?)
            .start()
            .await?;
        let config = ShopifyConfig::for_simulator(&simulator)?;
        let keyring = Keyring::parse(&Keyring::generate()?)?;
        let database = directory.join("connectors.db");
        let sessions = Sessions::new(None);
        let mut service = Self::new(config, keyring, &database, origin, address, sessions).await?;
        service.simulator = Some(simulator);
        Ok(service)
    }

    /// Creates the service with the real Shopify. The second value is the password of the login,
    /// which is needed because anyone can reach the program through its tunnel.
    pub(crate) async fn real(real: Real, address: SocketAddr) -> Outcome<(Self, SecretString)> {
        let password = random_token(&SystemRandom::new())?;
        let sessions = Sessions::new(Some(password.clone()));
        let database = Path::new("shopify_oauth.db");
        let service = Self::new(
            real.shopify,
            real.keyring,
            database,
            real.origin,
            address,
            sessions,
        )
        .await?;
        Ok((service, password))
    }

    async fn new(
        config: ShopifyConfig,
        keyring: Keyring,
        database: &Path,
        origin: Url,
        address: SocketAddr,
        sessions: Sessions,
    ) -> Outcome<Self> {
        let mut transport = HttpClient::builder();
        // Empty without a simulator.
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        let apps = config.app_source().ok_or("no app is configured")?;
        let shopify = Shopify::new(config);
        let store = SqliteStore::open(database).await?;
        let handled = Handled::default();
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(keyring)
            .transport(transport.build()?)
            .connector(shopify.clone())
            .on_delivery(handled.clone())
            .build()?;
        Ok(Self {
            hub,
            store,
            app: apps
                .app(&Shopify::ID, &TenantId::new("any")?, &AppKey::default())
                .await?,
            shopify,
            clock: SystemClock::new(),
            sessions,
            cookies: Cookies::new(origin.scheme() == "https"),
            simulator: None,
            handled,
            origin,
            address,
        })
    }

    /// Returns the public URL of a page of this program.
    pub(crate) fn own(&self, path: &str) -> Outcome<Url> {
        Ok(self.origin.join(path)?)
    }

    /// Returns the origin of the service's own pages.
    pub(crate) fn origin(&self) -> url::Origin {
        self.origin.origin()
    }

    /// Returns the URL at which a browser finds the page `url`. A simulated shop is on this
    /// machine.
    pub(crate) fn as_browsers_see(&self, url: &Url) -> connectors::Result<Url> {
        match &self.simulator {
            Some(simulator) => simulator.server().browser_url(url),
            None => Ok(url.clone()),
        }
    }

    /// Creates the missing webhook subscriptions and returns their number.
    pub(crate) async fn subscribe(&self, key: &ConnectionKey) -> Outcome<usize> {
        let uri = self.own(WEBHOOKS)?;
        if uri.scheme() != "https" {
            // Shopify delivers to https only.
            return Ok(0);
        }
        let client = self.hub.client::<ShopifyClient>(key).await?;
        let list = ListWebhookSubscriptions::new().of_topics(TOPICS);
        let present: Vec<_> = client.pages(list).items().try_collect().await?;
        let mut made = 0;
        for topic in TOPICS {
            let is_present = |it: &connectors::shopify::models::WebhookSubscription| {
                it.topic == topic && it.uri == uri.as_str()
            };
            if !present.iter().any(is_present) {
                let create = CreateWebhookSubscription::new(topic, uri.as_str());
                client.send(&create).await?;
                made += 1;
            }
        }
        Ok(made)
    }
}
