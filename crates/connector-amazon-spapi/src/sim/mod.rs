//! A Selling Partner API on this machine.

#[cfg(any(feature = "reports", feature = "feeds", feature = "data-kiosk"))]
mod documents;
#[cfg(feature = "feeds")]
mod feeds;
#[cfg(feature = "reports")]
mod reports;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::Connector;
use connector_core::{App, RedirectUri, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

use crate::config::APPLICATION_ID;
use crate::{AmazonConfig, AmazonSpApi, Marketplace, oauth};

/// The lifetimes of codes and access tokens.
const CODE_LIFETIME: Duration = Duration::from_secs(300);
const ACCESS_LIFETIME: Duration = Duration::from_secs(3600);
/// The application id of the simulated application.
pub const SIMULATED_APPLICATION: &str = "amzn1.sp.solution.00000000-0000-0000-0000-000000000000";
/// The selling partner id of the simulator's first seller, unless it is given others.
pub const SELLER: &str = "A1SIMULATEDSELLER";

/// A call of an operation, as the simulator reads it.
pub(crate) struct Call<'a> {
    pub(crate) now: Timestamp,
    pub(crate) request: &'a Request,
    /// The method.
    pub(crate) method: &'a str,
    /// The host.
    pub(crate) host: &'a str,
    /// The segments of the path, decoded.
    pub(crate) path: Vec<String>,
    /// The query, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// The selling partner id of the token; empty for a call without one, of a document.
    pub(crate) seller: &'a str,
    /// Makes ids and secrets.
    pub(crate) secrets: &'a Secrets,
}

impl<'a> Call<'a> {
    fn new(now: Timestamp, request: &'a Request, seller: &'a str, secrets: &'a Secrets) -> Self {
        let decoded = |it: &str| percent_decode_str(it).decode_utf8_lossy().into_owned();
        Self {
            now,
            request,
            method: request.method().as_str(),
            host: request.host(),
            path: request.path().split('/').skip(1).map(decoded).collect(),
            query: request.url().query_pairs().into_owned().collect(),
            seller,
            secrets,
        }
    }

    /// Method and segments, to match on.
    pub(crate) fn route(&self) -> (&str, Vec<&str>) {
        (self.method, self.path.iter().map(String::as_str).collect())
    }

    /// A parameter of the query.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The values of a list in the query.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).into_iter().flat_map(|it| it.split(',')).collect()
    }
}

/// A refusal in the envelope of every API.
pub(crate) fn refused(status: u16, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message, "details": "" });
    Response::json(status, &json!({ "errors": [error] }))
}

/// A refusal of an argument.
pub(crate) fn invalid(message: &str) -> Response {
    refused(400, "InvalidInput", message)
}

/// The data of the simulator.
#[derive(Default)]
struct World {
    #[cfg(any(feature = "reports", feature = "feeds", feature = "data-kiosk"))]
    documents: documents::State,
    #[cfg(feature = "feeds")]
    feeds: feeds::State,
    #[cfg(feature = "reports")]
    reports: reports::State,
}

impl World {
    /// The answer of the part that knows the call. A document's host needs no token.
    fn answer(&mut self, call: &Call<'_>) -> Option<Response> {
        #[cfg(any(feature = "reports", feature = "feeds", feature = "data-kiosk"))]
        if let Some(answer) = documents::answer(&mut self.documents, call) {
            return Some(answer);
        }
        #[cfg(feature = "reports")]
        if let Some(answer) = reports::answer(&mut self.reports, &mut self.documents, call) {
            return Some(answer);
        }
        #[cfg(feature = "feeds")]
        if let Some(answer) = feeds::answer(&mut self.feeds, &mut self.documents, call) {
            return Some(answer);
        }
        None
    }
}

/// The API of the simulator.
struct Api {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    secrets: Secrets,
}

impl Api {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request, seller: &str) -> Option<Response> {
        let call = Call::new(self.clock.now(), request, seller, &self.secrets);
        self.world().answer(&call)
    }
}

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        self.answer(request, &grant.account)
            .unwrap_or_else(|| refused(404, "NotFound", "The resource does not exist."))
    }

    fn unauthenticated(&self, request: &Request) -> Response {
        if oauth::SIMULATED_LINKS.iter().any(|it| is_at(it, request.url())) {
            let found = self.answer(request, "");
            return found.unwrap_or_else(|| Response::new(404, "application/xml", "<Error/>"));
        }
        let details = match request.header("x-amz-access-token") {
            "" => "Access token is missing in the request header.",
            _ => "The access token you provided is revoked, malformed or invalid.",
        };
        let message = "Access to requested resource is denied.";
        let error = json!({ "code": "Unauthorized", "message": message, "details": details });
        Response::json(403, &json!({ "errors": [error] }))
    }

    fn authorization(&self, url: &Url) -> Option<std::result::Result<Url, &'static str>> {
        authorization(url)
    }

    fn callback(&self, account: &Account, _: &str, query: &mut Vec<(String, String)>) {
        query.push(("selling_partner_id".to_owned(), account.key().to_owned()));
    }

    fn token_response(&self, _: &Grant, body: &mut Value) {
        if let Some(members) = body.as_object_mut() {
            members.remove("selling_partner_id");
        }
    }

    fn origins(&self) -> Vec<Origin> {
        let central = Marketplace::ALL
            .iter()
            .flat_map(|it| [Some(it.seller_central()), it.vendor_central()])
            .flatten();
        let all = central.chain(oauth::SIMULATED_LINKS).chain(["https://amazon.com"]);
        all.filter_map(|it| Origin::parse(it).ok()).collect()
    }
}

fn is_at(origin: &str, url: &Url) -> bool {
    origin.strip_prefix("https://") == url.host_str()
}

/// The authorization request of RFC 6749 that a consent or confirmation page stands for.
fn authorization(url: &Url) -> Option<std::result::Result<Url, &'static str>> {
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let get = |name: &str| query.get(name).map_or("", String::as_str);
    let confirm = format!("/apps/authorize/confirm/{SIMULATED_APPLICATION}");
    let is_consent = url.path() == "/apps/authorize/consent";
    if !is_consent && url.path() != confirm {
        return None;
    }
    if is_consent && get("application_id") != SIMULATED_APPLICATION {
        return Some(Err("MD1000: the application does not exist or is a draft"));
    }
    if !is_consent && get("amazon_state").is_empty() {
        return Some(Err("the amazon_state is missing"));
    }
    let mut read = Url::parse("https://sellercentral.amazon.com/apps/authorize/consent").ok()?;
    read.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "simulated-client")
        .append_pair("state", get("state"))
        .append_pair("redirect_uri", get("redirect_uri"));
    Some(Ok(read))
}

/// The settings of a [`Simulator`].
#[must_use]
pub struct SimulatorBuilder<C> {
    clock: C,
    mark: String,
    sellers: Vec<String>,
    redirect_uri: Option<RedirectUri>,
}

impl<C: Clock + Clone> SimulatorBuilder<C> {
    /// Adds a seller by its selling partner id. Without one there is [`SELLER`]. The first one is
    /// signed in.
    pub fn with_seller(mut self, id: impl Into<String>) -> Self {
        self.sellers.push(id.into());
        self
    }

    /// Sets the registered redirect URI. Default: `https://app.example/callback`.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the text that every secret contains, so that a test can search for it.
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = mark.into();
        self
    }

    /// Starts the simulator on a free port of the loopback address. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`](connector_core::ErrorKind::Network) if no port is free.
    pub async fn start(self) -> Result<Simulator> {
        let world = Arc::new(Mutex::new(World::default()));
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let amazon = AmazonSpApi::new(AmazonConfig::builder().build()?);
        let mut builder = Authority::of(amazon.description())
            .with_mark(self.mark.clone())
            .with_code_lifetime(CODE_LIFETIME)
            .with_access_lifetime(ACCESS_LIFETIME)
            .with_repeated_refresh_token()
            .with_provider(Api {
                world: Arc::clone(&world),
                clock: Arc::clone(&clock),
                secrets: Secrets::new(self.mark),
            });
        let mut sellers = self.sellers;
        if sellers.is_empty() {
            sellers.push(SELLER.to_owned());
        }
        for id in sellers {
            builder = builder.with_account(Account::new(id));
        }
        if let Some(redirect_uri) = self.redirect_uri {
            builder = builder.with_redirect_uri(redirect_uri);
        }
        let authority = builder.start(self.clock).await?;
        Ok(Simulator {
            authority,
            world,
            clock,
        })
    }
}

impl<C> fmt::Debug for SimulatorBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("sellers", &self.sellers)
            .finish_non_exhaustive()
    }
}

/// Amazon, as far as one application sees it.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// A simulator whose time is that of `clock`.
    pub fn builder<C: Clock + Clone>(clock: C) -> SimulatorBuilder<C> {
        SimulatorBuilder {
            clock,
            mark: String::new(),
            sellers: Vec::new(),
            redirect_uri: None,
        }
    }

    /// The authorization server: registration, browser, grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The HTTP server: loopback overrides, request counts, faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    /// The registration, with its application id.
    #[must_use]
    pub fn app(&self) -> App {
        let app = self.authority.app();
        app.with_extra(APPLICATION_ID, SIMULATED_APPLICATION)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
