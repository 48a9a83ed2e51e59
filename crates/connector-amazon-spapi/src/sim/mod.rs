//! Simulator of the Selling Partner API on the local machine: both authorization workflows, the
//! token endpoint, usage plans, restricted data tokens, and example data for every typed operation.
//! Tests can inject faults.
//!
//! The simulator is a provider of [`connector_sim::Authority`] and uses the clock that you pass.
//! With [`SimulatorBuilder::with_models`], it responds to every operation of Amazon's official
//! models with their static sandbox examples.

mod api;
#[cfg(feature = "data-kiosk")]
mod data_kiosk;
#[cfg(feature = "_documents")]
mod documents;
#[cfg(feature = "feeds")]
mod feeds;
#[cfg(any(feature = "data-kiosk", feature = "feeds", feature = "reports"))]
mod jobs;
#[cfg(any(feature = "feeds", feature = "reports"))]
mod listing;
#[cfg(feature = "notifications")]
mod notifications;
#[cfg(feature = "reports")]
mod reports;
mod sandbox;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::Connector;
use connector_core::provider::description::EndpointTemplate;
use connector_core::{App, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

#[cfg(feature = "_documents")]
pub use self::documents::SimulatedDocument;
#[cfg(feature = "notifications")]
pub use self::notifications::bus_request;
#[cfg(feature = "reports")]
pub use self::reports::SimulatedReport;
use self::sandbox::Models;
use crate::config::APPLICATION_ID;
use crate::endpoints::{OPERATIONS, Operation};
use crate::{AmazonConfig, AmazonSpApi, Marketplace, Region, oauth};

/// Lifetimes of codes and access tokens.
const CODE_LIFETIME: Duration = Duration::from_secs(300);
const ACCESS_LIFETIME: Duration = Duration::from_secs(3600);
/// The application id of the simulated application.
pub const SIMULATED_APPLICATION: &str = "amzn1.sp.solution.00000000-0000-0000-0000-000000000000";
/// Selling partner id of the simulator's default seller.
pub const SELLER: &str = "A1SIMULATEDSELLER";

/// A request to an API operation, parsed.
pub(crate) struct Call<'a> {
    pub(crate) now: Timestamp,
    pub(crate) request: &'a Request,
    /// The method.
    pub(crate) method: &'a str,
    /// The host.
    pub(crate) host: &'a str,
    /// The path segments, decoded.
    pub(crate) path: Vec<String>,
    /// The query, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// The selling partner id of the token; empty for a document request, which has no token.
    pub(crate) seller: &'a str,
    /// True if the token is a restricted data token for this request.
    pub(crate) is_restricted: bool,
    /// Generator of ids and secrets.
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
            is_restricted: false,
            secrets,
        }
    }

    /// Returns the method and segments, for pattern matching.
    pub(crate) fn route(&self) -> (&str, Vec<&str>) {
        (self.method, self.path.iter().map(String::as_str).collect())
    }

    /// Returns a query parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Returns the values of a list in the query.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .into_iter()
            .flat_map(|it| it.split(','))
            .collect()
    }
}

/// Returns an error in the response format of all APIs.
pub(crate) fn refused(status: u16, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message, "details": "" });
    Response::json(status, &json!({ "errors": [error] }))
}

/// Returns an error for an invalid argument.
pub(crate) fn invalid(message: &str) -> Response {
    refused(400, "InvalidInput", message)
}

/// Returns an error for a resource that does not exist.
fn missing() -> Response {
    refused(404, "NotFound", "The resource does not exist.")
}

/// Returns a 403 without details, as for data of another region or seller.
fn denied() -> Response {
    refused(
        403,
        "Unauthorized",
        "Access to requested resource is denied.",
    )
}

/// State of the simulator.
#[derive(Default)]
struct World {
    api: api::State,
    models: Option<Models>,
    has_limits: bool,
    /// Token buckets by seller and operation: remaining tokens and time of the last update.
    buckets: BTreeMap<(String, &'static str), (f64, Timestamp)>,
    /// Rates and bursts that override the default plans.
    plans: BTreeMap<String, (f64, u32)>,
    restricted: BTreeMap<String, Restricted>,
    #[cfg(feature = "_documents")]
    documents: documents::State,
    #[cfg(feature = "data-kiosk")]
    data_kiosk: data_kiosk::State,
    #[cfg(feature = "feeds")]
    feeds: feeds::State,
    #[cfg(feature = "notifications")]
    notifications: notifications::State,
    #[cfg(feature = "reports")]
    reports: reports::State,
}

/// A restricted data token.
struct Restricted {
    seller: String,
    /// Method and path. The path may contain placeholders in braces.
    resources: Vec<(String, String)>,
    expires: Timestamp,
}

impl World {
    /// Takes a token from the bucket of an operation and returns the rate. Returns an error if the
    /// bucket is empty.
    fn draw(
        &mut self,
        now: Timestamp,
        seller: &str,
        operation: &Operation,
    ) -> Result<f64, Response> {
        let plan = operation.plan;
        let changed = self.plans.get(operation.name).copied();
        let (rate, burst) = changed.unwrap_or((plan.per_second, plan.burst));
        if !self.has_limits {
            return Ok(rate);
        }
        let key = (seller.to_owned(), operation.name);
        let (points, at) = self.buckets.entry(key).or_insert((f64::from(burst), now));
        *points = (*points + now.since(*at).as_secs_f64() * rate).min(f64::from(burst));
        *at = now;
        if *points < 1.0 {
            let message = "You exceeded your quota for the requested resource.";
            return Err(refused(429, "QuotaExceeded", message));
        }
        *points -= 1.0;
        Ok(rate)
    }

    /// Returns the response of the API that handles the call. Document hosts need no token.
    fn answer(&mut self, call: &Call<'_>) -> Option<Response> {
        #[cfg(feature = "_documents")]
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
        #[cfg(feature = "data-kiosk")]
        if let Some(answer) = data_kiosk::answer(&mut self.data_kiosk, &mut self.documents, call) {
            return Some(answer);
        }
        #[cfg(feature = "notifications")]
        if let Some(answer) = notifications::answer(&mut self.notifications, call) {
            return Some(answer);
        }
        api::answer(&mut self.api, call)
    }

    fn issue_restricted(&mut self, call: &Call<'_>) -> Response {
        const LIFETIME: u64 = 3600;
        let body = call.request.json();
        let resources = body["restrictedResources"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resources: Vec<(String, String)> = resources
            .map(|it| (text(&it["method"]), text(&it["path"])))
            .collect();
        let is_document = |path: &str| path.starts_with("/reports/2021-06-30/documents/");
        if !(1..=50).contains(&resources.len())
            || resources
                .iter()
                .any(|(_, path)| is_document(path) && path.contains('{'))
        {
            return invalid("The restricted resources are invalid.");
        }
        let token = call.secrets.issue("Atz.sprdt|");
        let restricted = Restricted {
            seller: call.seller.to_owned(),
            resources,
            expires: call.now.after(Duration::from_secs(LIFETIME)),
        };
        self.restricted.insert(token.clone(), restricted);
        Response::json(
            200,
            &json!({ "restrictedDataToken": token, "expiresIn": LIFETIME }),
        )
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

    /// Responds to a request with the token of `caller`.
    fn answer(&self, request: &Request, caller: &Caller<'_>) -> Response {
        if let Some(refusal) = malformed(request) {
            return refusal;
        }
        let now = self.clock.now();
        let mut call = Call::new(now, request, caller.seller, &self.secrets);
        call.is_restricted = caller.is_restricted;
        let mut world = self.world();
        let request_id = self.secrets.issue("request-");
        let answered = |answer: Response| answer.with_header("x-amzn-requestid", &request_id);
        if let Some(models) = &world.models {
            return answered(models.answer(request));
        }
        let Some(operation) = operation(request) else {
            let found = world.answer(&call);
            return answered(found.unwrap_or_else(missing));
        };
        let is_allowed = match operation.scope {
            Some(scope) => caller.seller.is_empty() && caller.scopes.iter().any(|it| it == scope),
            None => world.api.sells_at(caller.seller, request.host()),
        };
        if !is_allowed {
            return answered(denied());
        }
        let rate = match world.draw(now, caller.seller, operation) {
            Ok(rate) => rate,
            Err(refusal) => return answered(refusal),
        };
        let answer = if operation.name == "CreateRestrictedDataToken" {
            world.issue_restricted(&call)
        } else {
            world.answer(&call).unwrap_or_else(missing)
        };
        let states_rate = matches!(answer.status(), 200..=299 | 400 | 404);
        answered(if states_rate {
            answer.with_header("x-amzn-ratelimit-limit", &rate.to_string())
        } else {
            answer
        })
    }
}

/// The owner of the access token.
struct Caller<'a> {
    /// Empty if the token belongs to the application itself.
    seller: &'a str,
    scopes: &'a [String],
    is_restricted: bool,
}

/// Returns the operation of a request.
fn operation(request: &Request) -> Option<&'static Operation> {
    let mut all = OPERATIONS.iter().flat_map(|it| it.iter());
    all.find(|it| {
        it.method == request.method().as_str()
            && sandbox::arguments(it.path, request.path()).is_some()
    })
}

/// Returns an error for a request that no operation accepts: a GET with a body, or a User-Agent in
/// the wrong format.
fn malformed(request: &Request) -> Option<Response> {
    if request.method() == Method::GET && !request.body().is_empty() {
        return Some(Response::page(400, "<html><body>Bad Request</body></html>"));
    }
    let agent = request.header("user-agent");
    let details = agent.split_once('/').and_then(|(name, rest)| {
        let (version, details) = rest.split_once(" (")?;
        (!name.is_empty() && !version.is_empty()).then_some(details)
    });
    let is_named = details.is_some_and(|it| it.contains("Language=") && it.ends_with(')'));
    (!is_named || agent.len() > 500).then(|| invalid("The User-Agent header is invalid."))
}

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        self.answer(
            request,
            &Caller {
                seller: &grant.account,
                scopes: &grant.scopes,
                is_restricted: false,
            },
        )
    }

    fn unauthenticated(&self, request: &Request) -> Response {
        let now = self.clock.now();
        if oauth::SIMULATED_LINKS
            .iter()
            .any(|it| is_at(it, request.url()))
        {
            let call = Call::new(now, request, "", &self.secrets);
            let found = self.world().answer(&call);
            return found.unwrap_or_else(|| Response::new(404, "application/xml", "<Error/>"));
        }
        let token = request.header("x-amz-access-token");
        let seller = self.world().restricted.get(token).and_then(|it| {
            let fits = |(method, path): &(String, String)| {
                method == request.method().as_str()
                    && sandbox::arguments(path, request.path()).is_some()
            };
            let is_live = it.expires > now && it.resources.iter().any(fits);
            is_live.then(|| it.seller.clone())
        });
        if let Some(seller) = seller {
            return self.answer(
                request,
                &Caller {
                    seller: &seller,
                    scopes: &[],
                    is_restricted: true,
                },
            );
        }
        let details = match token {
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
        let all = central
            .chain(oauth::SIMULATED_LINKS)
            .chain(["https://amazon.com"]);
        all.filter_map(|it| Origin::parse(it).ok()).collect()
    }
}

fn is_at(origin: &str, url: &Url) -> bool {
    origin.strip_prefix("https://") == url.host_str()
}

/// Converts the URL of a consent or confirmation page to the equivalent RFC 6749 authorization
/// request.
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

connector_sim::simulator_builder! {
    /// Builder of [`Simulator`].
    pub struct SimulatorBuilder {
        sellers: Vec<(String, Region)> = Vec::new(),
        models: Option<PathBuf> = None,
        has_limits: bool = true,
    }
}

impl SimulatorBuilder {
    /// Adds a seller by its selling partner id, in a region. The first seller is signed in. You can
    /// add a seller to several regions. Default: [`SELLER`] in North America.
    pub fn with_seller(mut self, id: impl Into<String>, region: Region) -> Self {
        self.sellers.push((id.into(), region));
        self
    }

    /// Responds only with the static sandbox examples of the official models in `directory`. Usage
    /// plans do not limit these responses.
    pub fn with_models(mut self, directory: impl Into<PathBuf>) -> Self {
        self.models = Some(directory.into());
        self
    }

    /// Disables all usage plans.
    pub fn without_limits(mut self) -> Self {
        self.has_limits = false;
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) if the models cannot
    /// be read; [`ErrorKind::Network`](connector_core::ErrorKind::Network) if no port is available.
    pub async fn start(mut self) -> Result<Simulator> {
        let clock = Arc::clone(&self.clock);
        let mut sellers = std::mem::take(&mut self.sellers);
        if sellers.is_empty() {
            sellers.push((SELLER.to_owned(), Region::Na));
        }
        let mut state = World {
            models: self.models.as_deref().map(Models::read).transpose()?,
            has_limits: self.has_limits,
            ..World::default()
        };
        for (id, region) in &sellers {
            state.api.add(id, *region, clock.now());
        }
        let world = Arc::new(Mutex::new(state));
        let amazon = AmazonSpApi::new(AmazonConfig::builder().build()?);
        let mut description = amazon.description().clone();
        // Any well-formed User-Agent is accepted, in both environments.
        description.headers.clear();
        // The connection test is an ordinary operation.
        if let Some(identity) = &mut description.identity {
            identity.probe = None;
        }
        let sandbox = Region::ALL.map(|it| EndpointTemplate::new(it.sandbox()));
        description.api.extend(sandbox);
        let mut builder = self
            .authority(&description)
            .with_code_lifetime(CODE_LIFETIME)
            .with_access_lifetime(ACCESS_LIFETIME)
            .with_repeated_refresh_token()
            .with_provider(Api {
                world: Arc::clone(&world),
                clock: Arc::clone(&clock),
                secrets: Secrets::new(self.mark),
            });
        sellers.dedup_by(|a, b| a.0 == b.0);
        for (id, _) in sellers {
            builder = builder.with_account(Account::new(id));
        }
        let authority = builder.start(self.clock).await?;
        Ok(Simulator {
            authority,
            world,
            clock,
        })
    }
}

/// A running simulator.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// Returns a builder for a simulator that uses `clock`.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder::new(clock)
    }

    /// Returns the authorization server: registration, browser, grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the HTTP server: loopback overrides, request counts, faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    /// Returns the registration, with its application id.
    #[must_use]
    pub fn app(&self) -> App {
        let app = self.authority.app();
        app.with_extra(APPLICATION_ID, SIMULATED_APPLICATION)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the usage plan of an operation: the rate in requests per second, and the burst.
    /// Responses state the new rate.
    pub fn set_plan(&self, operation: &str, per_second: f64, burst: u32) {
        let mut world = self.world();
        world
            .plans
            .insert(operation.to_owned(), (per_second, burst));
        world.buckets.retain(|(_, known), _| *known != operation);
    }

    /// Adds an order of a seller, in the format of Orders v2026-01-01.
    pub fn add_order(&self, seller: &str, order: Value) {
        self.world().api.seller(seller).orders.push(order);
    }

    /// Adds a stock summary of a seller, in the format of FBA Inventory.
    pub fn add_inventory(&self, seller: &str, summary: Value) {
        self.world().api.seller(seller).inventory.push(summary);
    }

    /// Adds a transaction of a seller, in the format of Finances v2024-06-19.
    pub fn add_transaction(&self, seller: &str, transaction: Value) {
        self.world()
            .api
            .seller(seller)
            .transactions
            .push(transaction);
    }

    /// Returns the SKUs of a seller's listings, after applying all submissions that are due.
    #[must_use]
    pub fn skus(&self, seller: &str) -> Vec<String> {
        let mut world = self.world();
        let seller = world.api.seller(seller);
        seller.apply(self.clock.now());
        seller.listings.keys().cloned().collect()
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
