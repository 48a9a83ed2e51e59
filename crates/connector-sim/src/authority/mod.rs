//! An authorization server that follows a description.

mod consent;
mod form;
mod grants;
mod identity;
mod token;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::Description;
use connector_core::provider::description::{
    CallAuthentication, ClientAuthentication, EndpointTemplate, Unstated,
};
use connector_core::{App, Error, ErrorKind, RedirectUri, Result};
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use self::grants::Grants;
use self::identity::Signer;
use crate::fault::Consent;
use crate::message::{Request, Response};
use crate::secrets::Secrets;
use crate::server::{Server, Service};

/// The provider's part of a simulator: its API, its deviations and its data.
///
/// A closure `Fn(&Request, &Grant) -> Response` is a provider with an API and no deviation. Hooks are
/// called from many tasks at once and must not block.
pub trait Provider: Send + Sync + 'static {
    /// Answers an API request whose credential is a live access token of `grant`.
    fn call(&self, request: &Request, grant: &Grant) -> Response;

    /// Answers an API request without a live access token. Default: 401 with the error
    /// `invalid_token` (RFC 6750 section 3.1).
    fn unauthenticated(&self, request: &Request) -> Response {
        let _ = request;
        Response::json(401, &json!({ "error": "invalid_token" }))
            .with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    /// Reads an authorization request of the provider's own form, at whatever URL, and returns it as
    /// RFC 6749 has it, at the described endpoint; an error page's message where the provider shows
    /// one. `None` if it is none, or already has that form.
    fn authorization(&self, url: &Url) -> Option<std::result::Result<Url, &'static str>> {
        let _ = url;
        None
    }

    /// Changes the query of the callback that a browser is sent to, for example by a signature with
    /// `client_secret`.
    fn callback(&self, account: &Account, client_secret: &str, query: &mut Vec<(String, String)>) {
        let _ = (account, client_secret, query);
    }

    /// Changes the body of a token response.
    fn token_response(&self, grant: &Grant, body: &mut Value) {
        let _ = (grant, body);
    }

    /// Changes the body of a response of the identity endpoint.
    fn identity(&self, grant: &Grant, body: &mut Value) {
        let _ = (grant, body);
    }

    /// Origins that the provider serves beside those of the description.
    fn origins(&self) -> Vec<Origin> {
        Vec::new()
    }
}

impl<F> Provider for F
where
    F: Fn(&Request, &Grant) -> Response + Send + Sync + 'static,
{
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        self(request, grant)
    }
}

/// An API that has no endpoint.
fn no_api(_: &Request, _: &Grant) -> Response {
    Response::json(404, &json!({ "error": "not_found" }))
}

/// An account at a simulated provider.
#[derive(Debug, Clone)]
#[must_use]
pub struct Account {
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) host: Option<String>,
    pub(crate) document: Value,
}

impl Account {
    /// An account with this key. The parts of a composite key are joined with colons.
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        Self {
            label: format!("Account {key}"),
            key,
            host: None,
            document: json!({}),
        }
    }

    /// Sets its name for people.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets its own host, where accounts have hosts.
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the JSON object in which the provider names the account: the response of the identity
    /// endpoint, members of the token response, or claims of the ID token. Key and label are added at
    /// the description's pointers unless the object has values there.
    pub fn with_document(mut self, document: Value) -> Self {
        self.document = document;
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The account's own host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// A grant of an account's owner to a client, as a provider's API sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Grant {
    /// Its number, unique at the simulator.
    pub number: u64,
    /// The key of the account.
    pub account: String,
    /// The account's own host, where accounts have hosts.
    pub host: Option<String>,
    /// The client.
    pub client_id: String,
    /// The granted scopes.
    pub scopes: Vec<String>,
}

/// One registration at the authorization server.
#[derive(Clone)]
struct Client {
    id: String,
    /// The current secret first. Empty for a public client.
    secrets: Vec<String>,
}

/// Facts about an authorization server that no description has.
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
struct Rules {
    code_lifetime: Duration,
    /// `None` if access tokens do not expire.
    access_lifetime: Option<Duration>,
    /// True if token responses state the access token's lifetime.
    states_lifetime: bool,
    /// With a lifetime that token responses state.
    refresh_lifetime: Option<Duration>,
    issues_refresh_tokens: bool,
    repeats_refresh_token: bool,
    refresh_ends_access: bool,
    /// True if a browser gets a consent page instead of an immediate redirect.
    asks: bool,
    token_fields: Value,
    redirect_uri: RedirectUri,
    scopes: Vec<String>,
}

/// An authorization server and API of one provider, built from its [`Description`].
///
/// Clones are handles to the same simulator, which ends with the last one.
#[derive(Clone)]
pub struct Authority {
    world: Arc<World>,
    server: Arc<Server>,
}

pub(crate) struct World {
    description: Description,
    clock: Arc<dyn Clock>,
    secrets: Secrets,
    rules: Rules,
    provider: Box<dyn Provider>,
    signer: Signer,
    state: Mutex<State>,
}

struct State {
    clients: Vec<Client>,
    accounts: Vec<Account>,
    /// The key of the account whose owner uses the browser.
    signed_in: Option<String>,
    decisions: VecDeque<Consent>,
    grants: Grants,
}

/// The settings of an [`Authority`].
#[must_use]
pub struct AuthorityBuilder {
    description: Description,
    rules: Rules,
    accounts: Vec<Account>,
    mark: String,
    provider: Box<dyn Provider>,
}

impl Authority {
    /// Simulates the provider of `description`.
    ///
    /// # Errors
    /// As for [`Description::validate`].
    pub fn of(description: &Description) -> AuthorityBuilder {
        AuthorityBuilder::new(description.clone())
    }

    /// The HTTP server: loopback overrides, request counts, faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.world.clock
    }

    /// The registration of the first client, with its current secret.
    #[must_use]
    pub fn app(&self) -> App {
        let state = self.world.state();
        self.world.app(&state.clients[0])
    }

    /// Registers another client.
    #[must_use]
    pub fn register(&self, client_id: impl Into<String>) -> App {
        let client = self.world.client(client_id.into());
        let app = self.world.app(&client);
        self.world.state().clients.push(client);
        app
    }

    /// Issues a new secret for the first client. The secret before it stays valid until
    /// [`Authority::end_old_client_secrets`].
    #[must_use = "configure the registration with the new secret"]
    pub fn rotate_client_secret(&self) -> SecretString {
        let secret = self.world.secrets.issue("secret-");
        let mut state = self.world.state();
        let secrets = &mut state.clients[0].secrets;
        secrets.insert(0, secret.clone());
        secrets.truncate(2);
        SecretString::from(secret)
    }

    /// Ends all secrets of the first client but the newest.
    pub fn end_old_client_secrets(&self) {
        self.world.state().clients[0].secrets.truncate(1);
    }

    /// Adds an account.
    pub fn add_account(&self, account: Account) {
        let mut state = self.world.state();
        state.accounts.retain(|known| known.key != account.key);
        state.accounts.push(account);
    }

    /// The accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.world.state().accounts.clone()
    }

    /// Signs the owner of the account with this key in: further authorization requests are about
    /// this account, unless their host names another one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such account.
    pub fn sign_in(&self, account: &str) -> Result<()> {
        let mut state = self.world.state();
        if !state.accounts.iter().any(|known| known.key == account) {
            return Err(Error::new(
                ErrorKind::NotFound,
                "sim.authority.sign_in",
                "the simulator has no such account; add it",
            ));
        }
        state.signed_in = Some(account.to_owned());
        Ok(())
    }

    /// Decides on the next consent page that a browser opens, after earlier decisions. Without a
    /// decision, the owner grants all scopes.
    pub fn decide(&self, consent: Consent) {
        self.world.state().decisions.push_back(consent);
    }

    /// Opens an authorization URL as the browser of the signed-in owner, who decides `consent`, and
    /// returns the callback URL that the browser is sent to.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] where the provider shows an error page of its own instead: an unknown
    /// client, redirect URI or account.
    pub fn visit(&self, url: &Url, consent: &Consent) -> Result<Url> {
        consent::visit(&self.world, url, consent)
            .map_err(|message| Error::new(ErrorKind::Rejected, "sim.authority.visit", message))
    }

    /// Issues a token pair for an account, as the provider's own console does for a token that is
    /// pasted into another system. Returns the access token and the refresh token, if any.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such account.
    pub fn issue(
        &self,
        account: &str,
        scopes: &[&str],
    ) -> Result<(SecretString, Option<SecretString>)> {
        let world = &self.world;
        let mut state = world.state();
        let found = state.accounts.iter().find(|known| known.key == account);
        let account = found.cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "sim.authority.issue",
                "the simulator has no such account; add it",
            )
        })?;
        let client_id = state.clients[0].id.clone();
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let number = state.grants.begin(world, &account, client_id, scopes);
        let pair = state.grants.issue(world, number, None, true);
        Ok((
            SecretString::from(pair.access),
            pair.refresh.map(SecretString::from),
        ))
    }

    /// Ends every grant, as the owners of the accounts would by removing the app.
    pub fn end_grants(&self) {
        self.world.state().grants.end_where(|_| true);
    }

    /// Ends the grants of the account with this key.
    pub fn end_grants_of(&self, account: &str) {
        let mut state = self.world.state();
        state.grants.end_where(|grant| grant.account == account);
    }

    /// The live grants.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.world.state().grants.live()
    }

    /// Ends all access tokens; refresh tokens stay valid.
    pub fn end_access_tokens(&self) {
        self.world.state().grants.end_access_tokens();
    }

    /// The number of code exchanges that presented a code again.
    #[must_use]
    pub fn reused_codes(&self) -> usize {
        self.world.state().grants.reused_codes
    }

    /// The number of refreshes that presented a refresh token whose time had ended because it was
    /// used before.
    #[must_use]
    pub fn reused_refresh_tokens(&self) -> usize {
        self.world.state().grants.reused_refresh_tokens
    }

    /// The public key of ID tokens as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn key_set(&self) -> Value {
        self.world.signer.key_set()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("provider", &self.world.description.provider)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl AuthorityBuilder {
    fn new(description: Description) -> Self {
        let lifetimes = &description.lifetimes;
        let (access_lifetime, states_lifetime) = match lifetimes.unstated {
            _ if lifetimes.access_may_never_expire => (None, false),
            Unstated::Assume(seconds) => (Some(Duration::from_secs(seconds)), true),
            _ => (Some(Duration::from_secs(3600)), false),
        };
        let rules = Rules {
            code_lifetime: Duration::from_secs(60),
            access_lifetime,
            states_lifetime,
            refresh_lifetime: None,
            issues_refresh_tokens: !lifetimes.access_may_never_expire,
            repeats_refresh_token: false,
            refresh_ends_access: false,
            asks: false,
            token_fields: json!({}),
            redirect_uri: default_redirect_uri(),
            scopes: Vec::new(),
        };
        Self {
            description,
            rules,
            accounts: Vec::new(),
            mark: String::new(),
            provider: Box::new(no_api),
        }
    }

    /// Sets the text that every secret of the simulator contains, so that a test can search for it.
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = mark.into();
        self
    }

    /// Adds an account. Without one there is the account `1`; its key is `1:1` where the
    /// description's account key has two parts.
    pub fn with_account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Sets the client's registered redirect URI. Default: `https://app.example/callback`.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.rules.redirect_uri = redirect_uri;
        self
    }

    /// Sets the scopes that [`Authority::app`] requests.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.rules.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the lifetime of authorization codes. Default: 60 seconds.
    pub fn with_code_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.code_lifetime = lifetime;
        self
    }

    /// Sets the lifetime of access tokens, which token responses then state. Default: the
    /// description's.
    pub fn with_access_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.access_lifetime = Some(lifetime);
        self.rules.states_lifetime = true;
        self.rules.issues_refresh_tokens = true;
        self
    }

    /// Sets the lifetime of refresh tokens, which token responses then state. Default: the
    /// description's, unstated.
    pub fn with_refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.refresh_lifetime = Some(lifetime);
        self
    }

    /// Leaves the access token's lifetime out of token responses.
    pub fn without_stated_lifetime(mut self) -> Self {
        self.rules.states_lifetime = false;
        self
    }

    /// Issues access tokens only.
    pub fn without_refresh_tokens(mut self) -> Self {
        self.rules.issues_refresh_tokens = false;
        self
    }

    /// Repeats a refresh token that does not rotate in every token response.
    pub fn with_repeated_refresh_token(mut self) -> Self {
        self.rules.repeats_refresh_token = true;
        self
    }

    /// Ends a grant's access tokens with the refresh that replaces them.
    pub fn with_access_ended_by_refresh(mut self) -> Self {
        self.rules.refresh_ends_access = true;
        self
    }

    /// Adds members to every token response.
    pub fn with_token_fields(mut self, fields: Value) -> Self {
        self.rules.token_fields = fields;
        self
    }

    /// Shows browsers a consent page. Without it, a browser is redirected at once: the owner decides
    /// as [`Authority::decide`] says.
    pub fn with_consent_page(mut self) -> Self {
        self.rules.asks = true;
        self
    }

    /// Sets the provider's API and deviations.
    pub fn with_provider(mut self, provider: impl Provider) -> Self {
        self.provider = Box::new(provider);
        self
    }

    /// Starts the simulator on a free port of the loopback address. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the description is wrong; [`ErrorKind::Network`] if no port is
    /// free.
    pub async fn start(self, clock: impl Clock) -> Result<Authority> {
        self.description.validate()?;
        let mut accounts = self.accounts;
        if accounts.is_empty() {
            let rule = self.description.identity.as_ref();
            let parts = rule.map_or(1, |it| it.account.len());
            let key = vec!["1"; parts].join(":");
            accounts.push(Account::new(key).with_label("Example"));
        }
        if let Some(rule) = &self.description.account_host {
            for (number, account) in accounts.iter_mut().enumerate() {
                let made = || format!("account-{}{}", number + 1, rule.suffix);
                account.host.get_or_insert_with(made);
            }
        }
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let world = World {
            secrets: Secrets::new(self.mark),
            rules: self.rules,
            provider: self.provider,
            signer: Signer::generate()?,
            state: Mutex::new(State {
                clients: Vec::new(),
                accounts,
                signed_in: None,
                decisions: VecDeque::new(),
                grants: Grants::default(),
            }),
            description: self.description,
            clock: Arc::clone(&clock),
        };
        let client = world.client("simulated-client".to_owned());
        world.state().clients.push(client);
        let world = Arc::new(world);
        let service: Arc<dyn Service> = Arc::<World>::clone(&world);
        let server = Arc::new(Server::start(service, clock).await?);
        Ok(Authority { world, server })
    }
}

impl fmt::Debug for AuthorityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityBuilder")
            .field("provider", &self.description.provider)
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::expect_used, reason = "a fixed URL")]
fn default_redirect_uri() -> RedirectUri {
    "https://app.example/callback"
        .parse()
        .expect("the URL is well-formed")
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn client_authentication(&self) -> ClientAuthentication {
        let endpoint = self.description.token.as_ref();
        endpoint.map_or_else(ClientAuthentication::default, |it| it.client_authentication)
    }

    fn client(&self, id: String) -> Client {
        let is_public = self.client_authentication() == ClientAuthentication::None;
        let secrets = (!is_public).then(|| self.secrets.issue("secret-"));
        Client {
            id,
            secrets: secrets.into_iter().collect(),
        }
    }

    fn app(&self, client: &Client) -> App {
        let app = App::new(client.id.clone())
            .with_redirect_uri(self.rules.redirect_uri.clone())
            .with_scopes(self.rules.scopes.clone());
        match client.secrets.first() {
            Some(secret) => app.with_client_secret(secret.clone()),
            None => app,
        }
    }

    /// True if `request` goes to the endpoint of `template`.
    fn is_at(&self, template: Option<&EndpointTemplate>, request: &Request) -> bool {
        let Some(template) = template else {
            return false;
        };
        if template.wants_account() && self.account_at(request.host()).is_none() {
            return false;
        }
        template.url(request.host()).is_ok_and(|url| {
            (url.host_str(), url.path()) == (request.url().host_str(), request.path())
                && url.port() == request.url().port()
        })
    }

    fn account_at(&self, host: &str) -> Option<Account> {
        let state = self.state();
        let mut accounts = state.accounts.iter();
        accounts
            .find(|it| it.host.as_deref() == Some(host))
            .cloned()
    }

    /// The grant whose live access token `request` carries where the description says.
    fn authenticate(&self, request: &Request) -> Option<Grant> {
        let now = self.now();
        let mut state = self.state();
        if let CallAuthentication::SecretUrl = self.description.authentication {
            let mut url = request.url().clone();
            url.set_query(None);
            return state.grants.used(url.as_str(), now);
        }
        let token = form::presented(&self.description.authentication, request)?;
        let grant = state.grants.used(&token, now)?;
        // A token of one account's host is unknown at the host of another one.
        let is_foreign = |account: &Account| {
            account.host.as_deref() == Some(request.host()) && account.host != grant.host
        };
        (!state.accounts.iter().any(is_foreign)).then_some(grant)
    }

    fn api(&self, request: &Request) -> Response {
        let Some(grant) = self.authenticate(request) else {
            return self.provider.unauthenticated(request);
        };
        let rule = self.description.identity.as_ref();
        if *request.method() == Method::GET
            && self.is_at(rule.and_then(|it| it.test_endpoint()), request)
        {
            let mut body = identity::document(self, &grant.account);
            self.provider.identity(&grant, &mut body);
            return Response::json(200, &body);
        }
        self.provider.call(request, &grant)
    }
}

impl Service for World {
    fn origins(&self) -> Vec<Origin> {
        let description = &self.description;
        let hosts: Vec<String> = {
            let state = self.state();
            let hosts = state.accounts.iter().filter_map(|it| it.host.clone());
            hosts.collect()
        };
        let endpoints = [
            description.authorization.as_ref().map(|it| &it.endpoint),
            description.token.as_ref().map(|it| &it.endpoint),
            description.revocation.as_ref().map(|it| &it.endpoint),
            description
                .identity
                .as_ref()
                .and_then(|it| it.test_endpoint()),
        ];
        let templates = endpoints.into_iter().flatten().chain(&description.api);
        let mut origins = self.provider.origins();
        for template in templates {
            let urls: Vec<Url> = if template.wants_account() {
                let urls = hosts.iter().filter_map(|host| template.url(host).ok());
                urls.collect()
            } else {
                template.url("").ok().into_iter().collect()
            };
            origins.extend(urls.iter().filter_map(|url| Origin::of(url).ok()));
        }
        origins.sort_by_key(ToString::to_string);
        origins.dedup();
        origins
    }

    fn respond(&self, request: &Request) -> Response {
        let description = &self.description;
        match self.provider.authorization(request.url()) {
            Some(Ok(url)) => {
                let (method, headers) = (request.method().clone(), request.headers().clone());
                let request = Request::new(method, url, headers, request.body().clone());
                return consent::respond(self, &request);
            }
            Some(Err(message)) => return consent::error_page(message),
            None => {}
        }
        let authorization = description.authorization.as_ref().map(|it| &it.endpoint);
        if self.is_at(authorization, request) {
            return consent::respond(self, request);
        }
        if self.is_at(description.token.as_ref().map(|it| &it.endpoint), request) {
            return token::respond(self, request);
        }
        if self.is_at(
            description.revocation.as_ref().map(|it| &it.endpoint),
            request,
        ) {
            return token::revoke(self, request);
        }
        self.api(request)
    }
}
