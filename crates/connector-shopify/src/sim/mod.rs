//! A Shopify simulator for tests. It provides shops with consent pages, token endpoints, GraphQL
//! and webhooks, follows Shopify's rules, and injects scripted faults.
//!
//! The simulator serves plain HTTP on the loopback address. The transport reaches the simulator
//! through a loopback override. See
//! [`ShopifyConfig::for_simulator`](crate::ShopifyConfig::for_simulator). Hosts, signatures,
//! headers and bodies are the same as at the real Shopify. The caller supplies the clock.
//!
//! For undocumented behaviour, the simulator assumes the worst case: a refresh ends the previous
//! access token, and a repeated refresh issues another pair.

mod data;
mod graphql;
mod oauth;
mod query;
mod server;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::{Error, ErrorKind, RedirectUri, Result};
use http::Method;
use secrecy::SecretString;
use url::Url;

use self::data::ShopState;
pub use self::webhook::{WebhookHeaders, sign_webhook};
use crate::account::ShopDomain;
pub use connector_sim::{Consent, Fault};
use connector_sim::{Secrets, Server, Service};

/// A shop to simulate.
#[derive(Debug, Clone)]
#[must_use]
pub struct SimulatedShop {
    domain: ShopDomain,
    products: usize,
    plan: &'static str,
    cost_limit: f64,
    restored_per_second: f64,
}

impl SimulatedShop {
    /// Creates a shop on the basic plan, with 60 products of two variants each, and a bucket of
    /// 2,000 points that refills by 100 points per second.
    pub fn new(domain: ShopDomain) -> Self {
        Self {
            domain,
            products: 60,
            plan: "Basic",
            cost_limit: 2000.0,
            restored_per_second: 100.0,
        }
    }

    /// Sets the number of products.
    pub fn with_products(mut self, products: usize) -> Self {
        self.products = products;
        self
    }

    /// Sets the plan, which consists of its display name, the size of its bucket in points, and the
    /// restore rate in points per second.
    pub fn with_plan(
        mut self,
        name: &'static str,
        cost_limit: f64,
        restored_per_second: f64,
    ) -> Self {
        self.plan = name;
        self.cost_limit = cost_limit;
        self.restored_per_second = restored_per_second;
        self
    }
}

/// A builder of a [`Simulator`].
#[derive(Clone)]
#[must_use]
pub struct SimulatorBuilder {
    shops: Vec<SimulatedShop>,
    redirect_uri: Option<RedirectUri>,
    secret_prefix: String,
    clock: Arc<dyn Clock>,
}

impl SimulatorBuilder {
    /// Adds a shop. Default: `demo-shop.myshopify.com`.
    pub fn with_shop(mut self, shop: SimulatedShop) -> Self {
        self.shops.push(shop);
        self
    }

    /// Sets the app's only allowed redirect URI. Default: `https://app.example/callback`.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets a text that every secret of this simulator contains after its own prefix, so that a
    /// leak search can find secrets.
    pub fn with_secret_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.secret_prefix = prefix.into();
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime. The
    /// simulator ends on drop.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is available.
    pub async fn start(self) -> Result<Simulator> {
        let redirect_uri = match self.redirect_uri {
            Some(redirect_uri) => redirect_uri,
            None => "https://app.example/callback"
                .parse::<RedirectUri>()
                .map_err(|error| {
                    Error::new(
                        ErrorKind::Bug,
                        "simulator.start",
                        "a constant URL is invalid",
                    )
                    .with_source(error)
                })?,
        };
        let mut shops = self.shops;
        if shops.is_empty() {
            shops.push(SimulatedShop::new(ShopDomain::parse(
                "demo-shop.myshopify.com",
            )?));
        }
        let now = self.clock.now();
        let shops = (1..)
            .zip(shops)
            .map(|(number, shop)| (shop.domain.clone(), ShopState::new(number, &shop, now)))
            .collect();
        let secrets = Secrets::new(self.secret_prefix);
        let world = World {
            client_secrets: vec![secrets.issue("shpss_")],
            secrets,
            shops,
            visits: 0,
            accepts_non_expiring: true,
            deliveries: 0,
        };
        let shared = Arc::new(Shared {
            clock: Arc::clone(&self.clock),
            redirect_uri,
            client_id: "simulated-client-id".to_owned(),
            world: Mutex::new(world),
        });
        let service: Arc<dyn Service> = Arc::<Shared>::clone(&shared);
        let server = Server::start(service, self.clock).await?;
        Ok(Simulator { shared, server })
    }
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("shops", &self.shops)
            .finish_non_exhaustive()
    }
}

/// A route of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Route {
    /// The consent page.
    Authorize,
    /// The token endpoint.
    Token,
    /// The GraphQL endpoint.
    Graphql,
}

impl Route {
    /// Returns the path pattern of the route, as for [`Server::fault`], and its method.
    const fn paths(self) -> (&'static str, Method) {
        match self {
            Self::Authorize => ("/admin/oauth/authorize", Method::GET),
            Self::Token => ("/admin/oauth/access_token", Method::POST),
            Self::Graphql => ("/admin/api/*", Method::POST),
        }
    }
}

/// A simulated Shopify with one app and its shops.
pub struct Simulator {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    clock: Arc<dyn Clock>,
    client_id: String,
    redirect_uri: RedirectUri,
    world: Mutex<World>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the simulator.
struct World {
    secrets: Secrets,
    /// The client secrets, current one first.
    client_secrets: Vec<String>,
    shops: BTreeMap<ShopDomain, ShopState>,
    /// Number of consent pages that [`Simulator::visit`] opened.
    visits: usize,
    accepts_non_expiring: bool,
    deliveries: u64,
}

impl Simulator {
    /// Returns a builder for a simulator that uses `clock` as its time source.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder {
            shops: Vec::new(),
            redirect_uri: None,
            secret_prefix: String::new(),
            clock: Arc::new(clock),
        }
    }

    /// Returns the simulator's address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the HTTP server, with its loopback overrides, request counts and faults.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the app's client ID.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.shared.client_id
    }

    /// Returns the app's current client secret.
    #[must_use]
    pub fn client_secret(&self) -> SecretString {
        let world = self.shared.world();
        SecretString::from(world.client_secrets.first().cloned().unwrap_or_default())
    }

    /// Issues a new client secret. The token endpoint still accepts the previous secret. From now
    /// on, the simulator signs with the new secret.
    pub fn rotate_client_secret(&self) {
        let mut world = self.shared.world();
        let secret = world.secrets.issue("shpss_");
        world.client_secrets.insert(0, secret);
        world.client_secrets.truncate(2);
    }

    /// Returns the app's allowed redirect URI.
    #[must_use]
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.shared.redirect_uri
    }

    /// Returns the shops.
    #[must_use]
    pub fn shops(&self) -> Vec<ShopDomain> {
        self.shared.world().shops.keys().cloned().collect()
    }

    /// Opens a consent page like the browser of a shop's owner. [`Simulator::decide`] sets the
    /// owner's decision. Returns the URL of the redirect, which is the redirect URI with a signed
    /// query.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if Shopify shows an error page, because the client, the redirect URI
    /// or the shop is unknown.
    pub fn visit(&self, url: &Url) -> Result<Url> {
        let mut world = self.shared.world();
        world.visits += 1;
        oauth::authorize(&self.shared, &mut world, url)
            .map_err(|message| Error::new(ErrorKind::Rejected, "simulator.visit", message))
    }

    /// Returns the address at which a browser on this machine can open a consent page, for manual
    /// tests.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `url` does not belong to a shop.
    pub fn browser_url(&self, url: &Url) -> Result<Url> {
        self.server.browser_url(url)
    }

    /// Returns the App URL `app_url` with a signed query. Shopify redirects to this URL when the
    /// shop's owner installs the app from the app store or opens it from the shop's admin.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn open_app(&self, shop: &ShopDomain, app_url: &Url) -> Result<Url> {
        let world = self.shared.world();
        if !world.shops.contains_key(shop) {
            return Err(no_such_shop());
        }
        let now = self.shared.clock.now();
        Ok(oauth::open_app(&world, now, shop, app_url))
    }

    /// Sets the decision of the owner of `shop` for the next consent page. Decisions are queued.
    /// Without a decision, the owner grants all requested scopes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn decide(&self, shop: &ShopDomain, consent: Consent) -> Result<()> {
        self.shop(shop, |state, _| state.consents.push_back(consent))
    }

    /// Injects `fault` into the next request to `route`. If there are earlier faults for the same
    /// route, they apply first.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.server.fault(route.paths().0, fault);
    }

    /// Returns the number of requests to `route`, including requests with a fault.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        let (path, method) = route.paths();
        let visits = match route {
            Route::Authorize => self.shared.world().visits,
            _ => 0,
        };
        self.server.count(&method, path) + visits
    }

    /// Sets whether non-expiring tokens are accepted. Default: accepted.
    pub fn accept_non_expiring_tokens(&self, accept: bool) {
        self.shared.world().accepts_non_expiring = accept;
    }

    /// Installs the app with `scopes` in `shop` with the old flow, and returns a non-expiring
    /// token.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn install_without_expiry(
        &self,
        shop: &ShopDomain,
        scopes: &[&str],
    ) -> Result<SecretString> {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self.shop(shop, |state, world| {
            let token = world.secrets.issue("shpat_");
            state.install(scopes);
            state.issue_non_expiring(token.clone());
            SecretString::from(token)
        })
    }

    /// Removes the app from `shop`. The app's tokens and subscriptions in the shop end immediately.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn uninstall(&self, shop: &ShopDomain) -> Result<()> {
        self.shop(shop, |state, _| state.uninstall())
    }

    /// Returns true while the app is installed in `shop`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn is_installed(&self, shop: &ShopDomain) -> Result<bool> {
        self.shop(shop, |state, _| state.installation.is_some())
    }

    /// Returns a webhook delivery as Shopify sends it: `body` is signed with the current client
    /// secret, and `headers` selects the header names.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the shop does not exist.
    /// * [`ErrorKind::InvalidInput`] if `topic` is not a valid header value.
    pub fn webhook(
        &self,
        shop: &ShopDomain,
        topic: &str,
        body: impl Into<Bytes>,
        headers: WebhookHeaders,
    ) -> Result<http::Request<Bytes>> {
        let mut world = self.shared.world();
        if !world.shops.contains_key(shop) {
            return Err(no_such_shop());
        }
        webhook::delivery(
            &mut world,
            self.shared.clock.now(),
            shop,
            topic,
            body.into(),
            headers,
        )
    }

    fn shop<T>(
        &self,
        shop: &ShopDomain,
        change: impl FnOnce(&mut ShopState, &mut World) -> T,
    ) -> Result<T> {
        let mut world = self.shared.world();
        let mut state = world.shops.remove(shop).ok_or_else(no_such_shop)?;
        let changed = change(&mut state, &mut world);
        world.shops.insert(shop.clone(), state);
        Ok(changed)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("server", &self.server)
            .field("shops", &self.shops())
            .finish_non_exhaustive()
    }
}

fn no_such_shop() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "simulator",
        "the simulator has no such shop; add it to the builder",
    )
}

/// Returns true if the token endpoint accepts this client secret.
fn is_client_secret(world: &World, secret: &str) -> bool {
    world.client_secrets.iter().any(|known| known == secret)
}
