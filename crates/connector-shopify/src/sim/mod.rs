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

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::{Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use self::data::ShopState;
pub use self::webhook::WebhookHeaders;
use crate::account::ShopDomain;

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
    redirect_uri: Option<Url>,
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
    pub fn with_redirect_uri(mut self, redirect_uri: Url) -> Self {
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
        let unavailable = |error: std::io::Error| {
            Error::new(
                ErrorKind::Network,
                "simulator.start",
                "no port of the loopback address is free",
            )
            .with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        let redirect_uri = match self.redirect_uri {
            Some(redirect_uri) => redirect_uri,
            None => Url::parse("https://app.example/callback").map_err(|error| {
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
        let mut world = World {
            secret_prefix: self.secret_prefix,
            secrets_made: 0,
            client_secrets: Vec::new(),
            shops,
            faults: BTreeMap::new(),
            counts: BTreeMap::new(),
            accepts_non_expiring: true,
            requests: 0,
            deliveries: 0,
        };
        let secret = world.secret("shpss_");
        world.client_secrets.push(secret);
        let shared = Arc::new(Shared {
            clock: self.clock,
            redirect_uri,
            client_id: "simulated-client-id".to_owned(),
            world: Mutex::new(world),
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Simulator {
            shared,
            address,
            server,
        })
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

/// What goes wrong with one request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// It takes this long before anything is done, on the simulator's clock. Then all is well.
    Slow(Duration),
    /// The connection breaks, and nothing was done.
    DropBefore,
    /// It is done, and the connection breaks before the answer.
    DropAfter,
    /// It is done, and the connection breaks in the middle of the answer.
    Truncate,
    /// Nothing is done; this is the answer.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// The body, JSON or not.
        body: String,
    },
    /// It is done; these members of the answer, which is a JSON object, are set to this JSON text on
    /// its way, or taken out.
    Edit(Vec<(&'static str, Option<&'static str>)>),
}

impl Fault {
    /// Nothing is done; the answer has this status and this body.
    #[must_use]
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// What a shop's owner decides on the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consent {
    /// To install the app with all that it asks for.
    Grant,
    /// To install it with these scopes only.
    GrantOnly(Vec<String>),
    /// Not to install it.
    Deny,
}

/// Shopify, as far as an app of one developer sees it.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    client_id: String,
    redirect_uri: Url,
    world: Mutex<World>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that changes.
struct World {
    secret_prefix: String,
    secrets_made: u64,
    /// The current one first.
    client_secrets: Vec<String>,
    shops: BTreeMap<ShopDomain, ShopState>,
    faults: BTreeMap<Route, VecDeque<Fault>>,
    counts: BTreeMap<Route, usize>,
    accepts_non_expiring: bool,
    requests: u64,
    deliveries: u64,
}

impl World {
    /// A new secret. Nobody has to guess it: it only has to be unlike all others.
    fn secret(&mut self, kind: &str) -> String {
        self.secrets_made += 1;
        let made = digest(&SHA256, &self.secrets_made.to_be_bytes());
        let mut number = [0; 16];
        number.copy_from_slice(&made.as_ref()[..16]);
        format!(
            "{kind}{}{:032x}",
            self.secret_prefix,
            u128::from_be_bytes(number)
        )
    }
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
        self.address
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
        let secret = world.secret("shpss_");
        world.client_secrets.insert(0, secret);
        world.client_secrets.truncate(2);
    }

    /// The redirect URI on the app's list.
    #[must_use]
    pub fn redirect_uri(&self) -> &Url {
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
        *world.counts.entry(Route::Authorize).or_default() += 1;
        oauth::authorize(&self.shared, &mut world, url)
            .map_err(|message| Error::new(ErrorKind::Rejected, "simulator.visit", message))
    }

    /// The address under which a browser on this machine reaches a consent page, for people who
    /// look at it themselves.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `url` is not an address of a shop.
    pub fn browser_url(&self, url: &Url) -> Result<Url> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidInput,
                "simulator.browser_url",
                "the URL is not the address of a shop",
            )
        };
        let shop = ShopDomain::parse(url.host_str().unwrap_or_default())?;
        let mut local = Url::parse(&format!("http://{}", self.address)).map_err(|_| wrong())?;
        local.set_path(&format!("/shops/{shop}{}", url.path()));
        local.set_query(url.query());
        Ok(local)
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

    /// Makes the next request to `route` that is not yet spoken for go wrong.
    pub fn fault(&self, route: Route, fault: Fault) {
        let mut world = self.shared.world();
        world.faults.entry(route).or_default().push_back(fault);
    }

    /// How many requests reached `route`, those that went wrong included.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        let world = self.shared.world();
        world.counts.get(&route).copied().unwrap_or_default()
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
            let token = world.secret("shpat_");
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

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("address", &self.address)
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
