//! A Shopify simulator for tests. It provides shops with consent pages, token endpoints, GraphQL
//! and webhooks, follows Shopify's rules, and injects scripted faults.
//!
//! The simulator serves plain HTTP on the loopback address. The transport reaches the simulator
//! through a loopback override. See
//! [`ShopifyConfig::for_simulator`](crate::ShopifyConfig::for_simulator). Hosts, signatures,
//! headers and bodies are the same as at the real Shopify. The caller supplies the clock.
//!
//! The simulator is a provider of [`connector_sim::Authority`]. For undocumented behaviour, it assumes
//! the worst case: a refresh ends the previous access token, a repeated refresh issues another pair,
//! and a reused code ends the grant.

mod bulk;
mod data;
mod graphql;
mod mutations;
mod oauth;
mod query;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::provider::Connector;
use connector_core::{Error, ErrorKind, Result};
use connector_sim::{Account, Authority, Server};
pub use connector_sim::{Consent, Fault};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::data::ShopState;
pub use self::webhook::{WebhookHeaders, sign_webhook};
use crate::account::ShopDomain;
use crate::{Shopify, ShopifyConfig};

/// Lifetimes of access tokens and refresh tokens, and the time for which a migration can be
/// repeated.
const LIFETIMES: [Duration; 3] = [
    Duration::from_secs(3600),
    Duration::from_secs(90 * 86_400),
    Duration::from_secs(7 * 86_400),
];
const OFFLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// A shop to simulate.
#[derive(Debug, Clone)]
#[must_use]
pub struct SimulatedShop {
    domain: ShopDomain,
    products: usize,
    customers: usize,
    orders: usize,
    plan: &'static str,
    cost_limit: f64,
    restored_per_second: f64,
}

impl SimulatedShop {
    /// Creates a shop on the basic plan, with 60 products of two variants each, 2 locations, 10
    /// customers and 30 orders, and a bucket of 2,000 points that refills by 100 points per second.
    /// The first order is from today, and each further one is three days older.
    pub fn new(domain: ShopDomain) -> Self {
        Self {
            domain,
            products: 60,
            customers: 10,
            orders: 30,
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

    /// Sets the number of orders.
    pub fn with_orders(mut self, orders: usize) -> Self {
        self.orders = orders;
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

connector_sim::simulator_builder! {
    /// A builder of a [`Simulator`].
    pub struct SimulatorBuilder {
        shops: Vec<SimulatedShop> = Vec::new(),
    }
}

impl SimulatorBuilder {
    /// Adds a shop. Default: `demo-shop.myshopify.com`.
    pub fn with_shop(mut self, shop: SimulatedShop) -> Self {
        self.shops.push(shop);
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime. The
    /// simulator ends on drop.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is available.
    pub async fn start(mut self) -> Result<Simulator> {
        if self.shops.is_empty() {
            let demo = ShopDomain::parse("demo-shop.myshopify.com")?;
            self.shops.push(SimulatedShop::new(demo));
        }
        let shopify = Shopify::new(ShopifyConfig::builder().build()?);
        let [access, refresh, repeats] = LIFETIMES;
        let mut builder = self
            .authority(shopify.description())
            .with_access_lifetime(access)
            .with_refresh_lifetime(refresh)
            .with_access_ended_by_refresh()
            .with_migration(OFFLINE_TOKEN, repeats)
            .with_any_encoding();
        let now = self.clock.now();
        let mut world = World {
            shops: BTreeMap::new(),
            accepts_non_expiring: true,
            deliveries: 0,
        };
        for (number, shop) in (1..).zip(self.shops) {
            let host = shop.domain.as_str();
            builder = builder.with_account(Account::new(host).with_host(host));
            let state = ShopState::new(number, &shop, now);
            world.shops.insert(shop.domain, state);
        }
        let api = Api {
            clock: Arc::clone(&self.clock),
            world: Arc::new(Mutex::new(world)),
        };
        let authority = builder.with_provider(api.clone()).start(self.clock).await?;
        Ok(Simulator { authority, api })
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
    /// The results of bulk operations.
    BulkResult,
}

impl Route {
    /// Returns the path pattern of the route, as for [`Server::fault`], and its method.
    const fn paths(self) -> (&'static str, Method) {
        match self {
            Self::Authorize => ("/admin/oauth/authorize", Method::GET),
            Self::Token => ("/admin/oauth/access_token", Method::POST),
            Self::Graphql => ("/admin/api/*", Method::POST),
            Self::BulkResult => ("/shopify/*", Method::GET),
        }
    }
}

/// A simulated Shopify with one app and its shops.
pub struct Simulator {
    authority: Authority,
    api: Api,
}

/// The Admin API and the authorization rules of the simulator.
#[derive(Clone)]
struct Api {
    clock: Arc<dyn Clock>,
    world: Arc<Mutex<World>>,
}

impl Api {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the simulator.
struct World {
    shops: BTreeMap<ShopDomain, ShopState>,
    accepts_non_expiring: bool,
    deliveries: u64,
}

impl Simulator {
    /// Returns a builder for a simulator that uses `clock` as its time source.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder::new(clock)
    }

    /// Returns the authorization server, with the app's registration. Each shop is an account with
    /// the shop's host as its key.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the HTTP server, with its loopback overrides, request counts and faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    /// Returns the shops.
    #[must_use]
    pub fn shops(&self) -> Vec<ShopDomain> {
        self.api.world().shops.keys().cloned().collect()
    }

    /// Opens a consent page like the browser of a shop's owner. [`Simulator::decide`] sets the
    /// owner's decision. Returns the URL of the redirect, which is the redirect URI with a signed
    /// query.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if Shopify shows an error page, because the client, the redirect URI
    /// or the shop is unknown.
    pub fn visit(&self, url: &Url) -> Result<Url> {
        let shop = ShopDomain::parse(url.host_str().unwrap_or_default()).ok();
        let queued = shop.and_then(|it| self.api.world().shops.get_mut(&it)?.consents.pop_front());
        self.authority.visit(url, &queued.unwrap_or(Consent::Grant))
    }

    /// Returns the App URL `app_url` with a signed query. Shopify redirects to this URL when the
    /// shop's owner installs the app from the app store or opens it from the shop's admin.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn open_app(&self, shop: &ShopDomain, app_url: &Url) -> Result<Url> {
        self.shop(shop, |_| ())?;
        let mut query = Vec::new();
        let (secret, now) = (self.client_secret(), self.api.clock.now());
        oauth::sign(&mut query, shop.as_str(), secret.expose_secret(), now);
        let mut target = app_url.clone();
        target.query_pairs_mut().extend_pairs(query);
        Ok(target)
    }

    /// Returns a session token of the staff user with this number, as App Bridge obtains it in the
    /// shop's admin. The token is valid for one minute.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn session_token(&self, shop: &ShopDomain, user: u64) -> Result<SecretString> {
        self.shop(shop, |_| ())?;
        let now = self.api.clock.now().as_unix_seconds();
        let app = self.authority.app();
        Ok(self.sign_session(&json!({
            "iss": format!("https://{shop}/admin"), "dest": format!("https://{shop}"),
            "aud": app.client_id(), "sub": user.to_string(),
            "exp": now + 60, "nbf": now, "iat": now, "jti": format!("jti-{now}-{user}"),
            "sid": format!("session-{user}"),
        })))
    }

    /// Returns a session token with these claims, signed with the current client secret.
    #[must_use]
    pub fn sign_session(&self, claims: &Value) -> SecretString {
        oauth::sign_jwt(self.client_secret().expose_secret(), claims)
    }

    /// Returns the query of a request that the app proxy forwards from the storefront of `shop`, for
    /// the customer with this number, with the parameters that the customer's browser sent.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn proxied(
        &self,
        shop: &ShopDomain,
        customer: Option<u64>,
        parameters: &[(&str, &str)],
    ) -> Result<String> {
        self.shop(shop, |_| ())?;
        let (secret, now) = (self.client_secret(), self.api.clock.now());
        let secret = secret.expose_secret();
        Ok(oauth::proxied(secret, shop, (customer, parameters), now))
    }

    /// Installs the app in `shop` with these scopes, as Shopify does for an embedded app. Session
    /// tokens and client credentials are then exchanged for tokens with these scopes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn install<S: Into<String>>(
        &self,
        shop: &ShopDomain,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.shop(shop, |state| state.scopes = Some(scopes))
    }

    fn client_secret(&self) -> SecretString {
        let app = self.authority.app();
        app.client_secret().cloned().unwrap_or_default()
    }

    /// Sets the decision of the owner of `shop` for the next consent page. Decisions are queued.
    /// Without a decision, the owner grants all requested scopes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn decide(&self, shop: &ShopDomain, consent: Consent) -> Result<()> {
        self.shop(shop, |state| state.consents.push_back(consent))
    }

    /// Injects `fault` into the next request to `route`. If there are earlier faults for the same
    /// route, they apply first.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.server().fault(route.paths().0, fault);
    }

    /// Returns the number of requests to `route`, including requests with a fault.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        let (path, method) = route.paths();
        self.server().count(&method, path)
    }

    /// Sets whether non-expiring tokens are accepted. Default: accepted.
    pub fn accept_non_expiring_tokens(&self, accept: bool) {
        self.api.world().accepts_non_expiring = accept;
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
        self.authority.issue_without_expiry(shop.as_str(), scopes)
    }

    /// Removes the app from `shop`. The app's tokens and subscriptions in the shop end immediately.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn uninstall(&self, shop: &ShopDomain) -> Result<()> {
        self.authority.end_grants_of(shop.as_str());
        self.shop(shop, |state| {
            state.table_mut("WebhookSubscription").clear();
        })
    }

    /// Lets the next bulk operation of `shop` fail with this error code, for example
    /// `INTERNAL_SERVER_ERROR`, after it has written `lines` lines. Without lines, no part of the
    /// result is available.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn fail_bulk(&self, shop: &ShopDomain, code: &str, lines: Option<usize>) -> Result<()> {
        let failure = (code.to_owned(), lines);
        self.shop(shop, |state| state.bulk_failures.push_back(failure))
    }

    /// Returns the webhook subscriptions of `shop`, as topic and destination.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn subscriptions(&self, shop: &ShopDomain) -> Result<Vec<(String, String)>> {
        self.shop(shop, |state| {
            let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            let all = state.table("WebhookSubscription").iter();
            all.map(|it| (text(&it["topic"]), text(&it["uri"])))
                .collect()
        })
    }

    /// Deletes all webhook subscriptions of `shop`, as Shopify does after eight failed deliveries.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn drop_subscriptions(&self, shop: &ShopDomain) -> Result<()> {
        self.shop(shop, |state| state.table_mut("WebhookSubscription").clear())
    }

    /// Marks up to `count` objects of a type (`Order`, `Product`, `Customer`) of `shop` as changed
    /// now, and returns their ids.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn touch(
        &self,
        shop: &ShopDomain,
        kind: &'static str,
        count: usize,
    ) -> Result<Vec<String>> {
        let now = self.api.clock.now().to_string();
        self.shop(shop, |state| {
            let objects = state.table_mut(kind).iter_mut().take(count);
            objects
                .map(|it| {
                    it["updatedAt"] = now.as_str().into();
                    it["id"].as_str().unwrap_or_default().to_owned()
                })
                .collect()
        })
    }

    /// Gives `shop` another `myshopify.com` domain. Its id and its data stay. The old host keeps
    /// answering, as Shopify's does for domains that a shop once had.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn rename_in_place(&self, shop: &ShopDomain, to: &ShopDomain) -> Result<()> {
        self.shop(shop, |state| {
            state.shop["myshopifyDomain"] = to.as_str().into();
        })
    }

    /// Returns true while the app is installed in `shop`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the shop does not exist.
    pub fn is_installed(&self, shop: &ShopDomain) -> Result<bool> {
        self.shop(shop, |_| ())?;
        let grants = self.authority.grants();
        Ok(grants
            .iter()
            .any(|it| it.host.as_deref() == Some(shop.as_str())))
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
        self.shop(shop, |_| ())?;
        let number = {
            let mut world = self.api.world();
            world.deliveries += 1;
            world.deliveries
        };
        let (secret, now) = (self.client_secret(), self.api.clock.now());
        let secret = secret.expose_secret();
        sign_webhook(secret, shop, (topic, number), now, body.into(), headers)
    }

    fn shop<T>(&self, shop: &ShopDomain, act: impl FnOnce(&mut ShopState) -> T) -> Result<T> {
        let mut world = self.api.world();
        let state = world.shops.get_mut(shop).ok_or_else(|| {
            let message = "the simulator has no such shop; add it to the builder";
            Error::new(ErrorKind::NotFound, "simulator", message)
        })?;
        Ok(act(state))
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("server", self.server())
            .field("shops", &self.shops())
            .finish_non_exhaustive()
    }
}
