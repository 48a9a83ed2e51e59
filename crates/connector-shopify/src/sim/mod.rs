//! A Shopify on this machine: shops with their consent pages, token endpoints, GraphQL and
//! webhooks, under Shopify's rules, with faults on request.
//!
//! It speaks plain HTTP on the loopback address, and the transport reaches it through a loopback
//! override: see [`ShopifyConfig::for_simulator`](crate::ShopifyConfig::for_simulator). Everything
//! else stays as it is with the real Shopify: hosts, signatures, headers, bodies. Time comes from
//! the clock that it is given.
//!
//! What Shopify does not document is decided for the worse: an access token dies with the refresh
//! that replaces it, and a repeated refresh mints another pair.

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
pub use self::webhook::WebhookHeaders;
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
    /// A shop on the basic plan, with 60 products of two variants each, and a budget of 2,000
    /// points that refills by 100 a second.
    pub fn new(domain: ShopDomain) -> Self {
        Self {
            domain,
            products: 60,
            plan: "Basic",
            cost_limit: 2000.0,
            restored_per_second: 100.0,
        }
    }

    /// Sets how many products it has.
    pub fn with_products(mut self, products: usize) -> Self {
        self.products = products;
        self
    }

    /// Sets its plan: the name that it shows, its budget in points, and how many points flow back
    /// in a second.
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

/// What a simulator is made of.
#[derive(Clone)]
#[must_use]
pub struct SimulatorBuilder {
    shops: Vec<SimulatedShop>,
    redirect_uri: Option<RedirectUri>,
    secret_prefix: String,
    clock: Arc<dyn Clock>,
}

impl SimulatorBuilder {
    /// Adds a shop. Without one there is `demo-shop.myshopify.com`.
    pub fn with_shop(mut self, shop: SimulatedShop) -> Self {
        self.shops.push(shop);
        self
    }

    /// Sets the one redirect URI on the app's list. Default: `https://app.example/callback`.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets what every secret of this simulator begins with after its own prefix, so that a search
    /// for leaks knows what to look for.
    pub fn with_secret_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.secret_prefix = prefix.into();
        self
    }

    /// Starts it on a port of the loopback address that is free. Needs a tokio runtime; it ends when
    /// it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port can be had.
    pub async fn start(self) -> Result<Simulator> {
        let redirect_uri = match self.redirect_uri {
            Some(redirect_uri) => redirect_uri,
            None => "https://app.example/callback"
                .parse::<RedirectUri>()
                .map_err(|error| {
                    Error::new(ErrorKind::Bug, "simulator.start", "a fixed URL is wrong")
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

/// Which of Shopify's addresses a request goes to.
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
    /// The paths of the route, as [`Server::fault`] takes them, and its method.
    const fn paths(self) -> (&'static str, Method) {
        match self {
            Self::Authorize => ("/admin/oauth/authorize", Method::GET),
            Self::Token => ("/admin/oauth/access_token", Method::POST),
            Self::Graphql => ("/admin/api/*", Method::POST),
        }
    }
}

/// Shopify, as far as an app of one developer sees it.
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
    /// The current one first.
    client_secrets: Vec<String>,
    shops: BTreeMap<ShopDomain, ShopState>,
    /// Visits of the consent page by [`Simulator::visit`].
    visits: usize,
    accepts_non_expiring: bool,
    deliveries: u64,
}

impl Simulator {
    /// A simulator whose time is that of `clock`.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder {
            shops: Vec::new(),
            redirect_uri: None,
            secret_prefix: String::new(),
            clock: Arc::new(clock),
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The HTTP server: loopback overrides, request counts, faults.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The client ID of the app.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.shared.client_id
    }

    /// The client secret of the app that is the current one.
    #[must_use]
    pub fn client_secret(&self) -> SecretString {
        let world = self.shared.world();
        SecretString::from(world.client_secrets.first().cloned().unwrap_or_default())
    }

    /// Makes a new client secret the current one. The one before still opens the token endpoint;
    /// everything is signed with the new one from now on.
    pub fn rotate_client_secret(&self) {
        let mut world = self.shared.world();
        let secret = world.secrets.issue("shpss_");
        world.client_secrets.insert(0, secret);
        world.client_secrets.truncate(2);
    }

    /// The redirect URI on the app's list.
    #[must_use]
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.shared.redirect_uri
    }

    /// The shops.
    #[must_use]
    pub fn shops(&self) -> Vec<ShopDomain> {
        self.shared.world().shops.keys().cloned().collect()
    }

    /// Goes where the browser of a shop's owner goes, who decides as [`Simulator::decide`] says, and
    /// tells where Shopify sends the browser then: to the redirect URI, with a signed query.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] where Shopify shows an error page of its own: another client,
    /// another redirect URI, no such shop.
    pub fn visit(&self, url: &Url) -> Result<Url> {
        let mut world = self.shared.world();
        world.visits += 1;
        oauth::authorize(&self.shared, &mut world, url)
            .map_err(|message| Error::new(ErrorKind::Rejected, "simulator.visit", message))
    }

    /// The address under which a browser on this machine reaches a consent page, for people who
    /// look at it themselves.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `url` is not an address of a shop.
    pub fn browser_url(&self, url: &Url) -> Result<Url> {
        self.server.browser_url(url)
    }

    /// Tells where Shopify sends the browser of a shop's owner who installs the app from the app
    /// store, or opens it from the shop's admin: to `app_url`, the App URL, with a signed query.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop.
    pub fn open_app(&self, shop: &ShopDomain, app_url: &Url) -> Result<Url> {
        let world = self.shared.world();
        if !world.shops.contains_key(shop) {
            return Err(no_such_shop());
        }
        let now = self.shared.clock.now();
        Ok(oauth::open_app(&world, now, shop, app_url))
    }

    /// Decides what the owner of `shop` does on the next consent page, after those that were decided
    /// before. Undecided, they grant what is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop.
    pub fn decide(&self, shop: &ShopDomain, consent: Consent) -> Result<()> {
        self.shop(shop, |state, _| state.consents.push_back(consent))
    }

    /// Injects `fault` into the next request to `route` that has none yet.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.server.fault(route.paths().0, fault);
    }

    /// The number of requests to `route`, those with a fault included.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        let (path, method) = route.paths();
        let visits = match route {
            Route::Authorize => self.shared.world().visits,
            _ => 0,
        };
        self.server.count(&method, path) + visits
    }

    /// Decides whether tokens that do not expire are still accepted. At first they are.
    pub fn accept_non_expiring_tokens(&self, accept: bool) {
        self.shared.world().accepts_non_expiring = accept;
    }

    /// Installs the app with `scopes` in `shop` as years ago, and gives out the token that does not
    /// expire.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop.
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

    /// Removes the app from `shop`: its tokens die at once, and so do its subscriptions.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop.
    pub fn uninstall(&self, shop: &ShopDomain) -> Result<()> {
        self.shop(shop, |state, _| state.uninstall())
    }

    /// True while the app is installed in `shop`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop.
    pub fn is_installed(&self, shop: &ShopDomain) -> Result<bool> {
        self.shop(shop, |state, _| state.installation.is_some())
    }

    /// A delivery of a webhook as Shopify would post it: `body` signed with the current client
    /// secret, under the headers that `headers` chooses.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such shop; [`ErrorKind::InvalidInput`] if `topic`
    /// cannot stand in a header.
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

/// True if the secret is one that the app may show at the token endpoint.
fn is_client_secret(world: &World, secret: &str) -> bool {
    world.client_secrets.iter().any(|known| known == secret)
}
