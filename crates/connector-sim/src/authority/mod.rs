//! Authorization server that is configured with a description.

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
    CallAuthentication, ClientAuthentication, EndpointTemplate, UnstatedLifetime,
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

/// The provider-specific part of a simulator: API, deviations and data.
///
/// A closure `Fn(&Request, &Grant) -> Response` implements this trait for a provider with an API
/// and no deviations. The hooks are called from many tasks concurrently and must not block.
pub trait Provider: Send + Sync + 'static {
    /// Returns the response to an API request with a live access token of `grant`.
    fn call(&self, request: &Request, grant: &Grant) -> Response;

    /// Returns the response to an API request without a live access token. Default: 401 with the
    /// error `invalid_token` (RFC 6750 section 3.1).
    fn unauthenticated(&self, request: &Request) -> Response {
        let _ = request;
        Response::json(401, &json!({ "error": "invalid_token" }))
            .with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    /// Converts an authorization request in a provider-specific format, for any URL, into an RFC
    /// 6749 request to the described endpoint. Returns an error message if the provider shows an
    /// error page. Returns `None` if `url` is not such a request, or already has the format of RFC
    /// 6749.
    fn authorization(&self, url: &Url) -> Option<std::result::Result<Url, &'static str>> {
        let _ = url;
        None
    }

    /// Changes the query of a callback, for example adds a signature with `client_secret`.
    fn callback(&self, account: &Account, client_secret: &str, query: &mut Vec<(String, String)>) {
        let _ = (account, client_secret, query);
    }

    /// Changes the body of a token response.
    fn token_response(&self, grant: &Grant, body: &mut Value) {
        let _ = (grant, body);
    }

    /// Changes the response to a refused token request.
    fn refusal(&self, request: &Request, response: Response) -> Response {
        let _ = request;
        response
    }

    /// Changes the body of a response from the identity endpoint.
    fn identity(&self, grant: &Grant, body: &mut Value) {
        let _ = (grant, body);
    }

    /// Verifies an assertion that a service account presents instead of a grant (RFC 7523). Returns
    /// the account and the scopes of the assertion. Default: returns `None`, which means that the
    /// grant type is not supported.
    ///
    /// # Errors
    /// The description that the server returns with the error `invalid_grant`.
    fn assertion(&self, assertion: &str) -> Option<Result<(Account, Vec<String>), &'static str>> {
        let _ = assertion;
        None
    }

    /// Returns the grant for a token request of an authenticated client with a grant type that the
    /// authorization server does not know, for example a token exchange (RFC 8693). Default: returns
    /// `None`, which means that the grant type is not supported.
    ///
    /// # Errors
    /// The description that the server returns with the error `invalid_grant`.
    fn grant(&self, request: &Request, app: &App) -> Option<Result<NewGrant, &'static str>> {
        let _ = (request, app);
        None
    }

    /// Returns origins that the provider serves in addition to those in the description.
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

/// An API without endpoints.
fn no_api(_: &Request, _: &Grant) -> Response {
    Response::json(404, &json!({ "error": "not_found" }))
}

/// An account of a simulated provider.
#[derive(Debug, Clone)]
#[must_use]
pub struct Account {
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) host: Option<String>,
    pub(crate) document: Value,
}

impl Account {
    /// Creates an account with this key. The parts of a composite key are joined with colons.
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        Self {
            label: format!("Account {key}"),
            key,
            host: None,
            document: json!({}),
        }
    }

    /// Sets the display name.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the account's own host. Needed only for providers with per-account hosts.
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the JSON object that identifies the account: the response of the identity endpoint,
    /// members of the token response, or claims of the ID token. The key and the label are added at
    /// the description's pointers, unless the object already has values there.
    pub fn with_document(mut self, document: Value) -> Self {
        self.document = document;
        self
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the account's own host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// A grant from an account's owner to a client, as the provider's API receives it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Grant {
    /// The number of the grant, unique in the simulator.
    pub number: u64,
    /// The key of the account.
    pub account: String,
    /// The account's own host, if accounts have hosts.
    pub host: Option<String>,
    /// The client.
    pub client_id: String,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// False if the access token of the grant does not expire although the provider's usual access
    /// tokens do. See [`AuthorityBuilder::with_migration`].
    pub expires: bool,
    /// Lifetime of the grant's access tokens, if it differs from the provider's usual lifetime.
    pub lifetime: Option<Duration>,
}

/// A grant to begin under a provider's own rules. See [`Provider::grant`].
#[derive(Debug, Clone)]
#[must_use]
pub struct NewGrant {
    pub(crate) account: Account,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: bool,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) is_refreshable: bool,
}

impl NewGrant {
    /// Creates a grant of `account` with an access token that expires after the provider's usual
    /// lifetime, and without a refresh token.
    pub const fn new(account: Account, scopes: Vec<String>) -> Self {
        Self {
            account,
            scopes,
            expires: true,
            lifetime: None,
            is_refreshable: false,
        }
    }

    /// Sets the lifetime of the access token.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Issues a refresh token.
    pub const fn with_refresh_token(mut self) -> Self {
        self.is_refreshable = true;
        self
    }

    /// Issues an access token that does not expire.
    pub const fn without_expiry(mut self) -> Self {
        self.expires = false;
        self
    }
}

/// One registration at the authorization server.
#[derive(Clone)]
struct Client {
    id: String,
    /// The secrets, current one first. Empty for a public client.
    secrets: Vec<String>,
}

/// Settings of the authorization server that no description contains.
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
struct Rules {
    code_lifetime: Duration,
    /// Lifetime of access tokens; `None` if they do not expire.
    access_lifetime: Option<Duration>,
    /// True if token responses contain the access token's lifetime.
    states_lifetime: bool,
    /// Lifetime of refresh tokens, if token responses contain it.
    refresh_lifetime: Option<Duration>,
    issues_refresh_tokens: bool,
    repeats_refresh_token: bool,
    refresh_ends_access: bool,
    /// True if a browser gets a consent page instead of an immediate redirect.
    asks: bool,
    token_fields: Value,
    redirect_uri: RedirectUri,
    scopes: Vec<String>,
    introspection: Option<EndpointTemplate>,
    accepts_any_encoding: bool,
    /// The token type (RFC 8693 section 3) in a migration, and the time for which a migration can
    /// be repeated.
    migration: Option<(&'static str, Duration)>,
}

/// A simulator of one provider, with an authorization server and an API, built from the provider's
/// [`Description`].
///
/// Clones share the simulator, which ends when the last clone is dropped.
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
    /// The key of the account whose owner is signed in to the browser.
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
    /// Returns a builder for a simulator of the provider in `description`.
    ///
    /// # Errors
    /// As for [`Description::validate`].
    pub fn of(description: &Description) -> AuthorityBuilder {
        AuthorityBuilder::new(description.clone())
    }

    /// Returns the HTTP server, with its loopback overrides, request counts and faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.world.clock
    }

    /// Returns the registration of the first client, with its current secret.
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

    /// Issues a new secret for the first client. The previous secret stays valid until
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

    /// Invalidates all secrets of the first client except the newest.
    pub fn end_old_client_secrets(&self) {
        self.world.state().clients[0].secrets.truncate(1);
    }

    /// Adds an account.
    pub fn add_account(&self, account: Account) {
        let mut state = self.world.state();
        state.accounts.retain(|known| known.key != account.key);
        state.accounts.push(account);
    }

    /// Returns the accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.world.state().accounts.clone()
    }

    /// Signs in the owner of the account with this key. Later authorization requests are for this
    /// account, unless their host belongs to another account.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the account does not exist.
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

    /// Sets the decision for the next consent page that a browser opens. Decisions are queued.
    /// Without a decision, the owner grants all scopes.
    pub fn decide(&self, consent: Consent) {
        self.world.state().decisions.push_back(consent);
    }

    /// Opens an authorization URL like the browser of the signed-in owner, who makes the decision
    /// `consent`. Returns the callback URL of the redirect.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if the provider shows an error page, because the client, the
    /// redirect URI or the account is unknown.
    pub fn visit(&self, url: &Url, consent: &Consent) -> Result<Url> {
        consent::visit(&self.world, url, consent)
            .map_err(|message| Error::new(ErrorKind::Rejected, "sim.authority.visit", message))
    }

    /// Issues a token pair for an account without a flow, as a provider's console does when it
    /// creates a token for manual use. Returns the access token and the refresh token, if any.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the account does not exist.
    pub fn issue(
        &self,
        account: &str,
        scopes: &[&str],
    ) -> Result<(SecretString, Option<SecretString>)> {
        self.begin(account, scopes, true)
    }

    /// Issues an access token that does not expire, as before the provider introduced expiry. See
    /// [`AuthorityBuilder::with_migration`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the account does not exist.
    pub fn issue_without_expiry(&self, account: &str, scopes: &[&str]) -> Result<SecretString> {
        Ok(self.begin(account, scopes, false)?.0)
    }

    fn begin(
        &self,
        account: &str,
        scopes: &[&str],
        expires: bool,
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
        let grants = &mut state.grants;
        let number = grants.begin(world, &account, client_id, scopes, expires);
        let pair = grants.issue(world, number, None, true);
        Ok((
            SecretString::from(pair.access),
            pair.refresh.map(SecretString::from),
        ))
    }

    /// Ends every grant, as if the owners had removed the app.
    pub fn end_grants(&self) {
        self.world.state().grants.end_where(|_| true);
    }

    /// Ends the grants of the account with this key.
    pub fn end_grants_of(&self, account: &str) {
        self.world.state().grants.end_account(account);
    }

    /// Returns the live grants.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.world.state().grants.live()
    }

    /// Ends all access tokens. Refresh tokens stay valid.
    pub fn end_access_tokens(&self) {
        self.world.state().grants.end_access_tokens();
    }

    /// Returns the number of code exchanges with an already used code.
    #[must_use]
    pub fn reused_codes(&self) -> usize {
        self.world.state().grants.reused_codes
    }

    /// Returns the number of refreshes with an already used refresh token that was no longer valid.
    #[must_use]
    pub fn reused_refresh_tokens(&self) -> usize {
        self.world.state().grants.reused_refresh_tokens
    }

    /// Returns the public key of ID tokens as a JSON Web Key Set (RFC 7517).
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
            UnstatedLifetime::Assume(seconds) => (Some(Duration::from_secs(seconds)), true),
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
            introspection: None,
            accepts_any_encoding: false,
            migration: None,
        };
        Self {
            description,
            rules,
            accounts: Vec::new(),
            mark: String::new(),
            provider: Box::new(no_api),
        }
    }

    /// Sets a text that every secret of the simulator contains, so that a test can search for
    /// secrets.
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = mark.into();
        self
    }

    /// Adds an account. Default: one account with the key `1`, or `1:1` if the description's
    /// account key has two parts.
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

    /// Sets the lifetime of access tokens, and adds it to token responses. Default: the
    /// description's lifetime.
    pub fn with_access_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.access_lifetime = Some(lifetime);
        self.rules.states_lifetime = true;
        self.rules.issues_refresh_tokens = true;
        self
    }

    /// Sets the lifetime of refresh tokens, and adds it to token responses. Default: the
    /// description's lifetime, which is not added to token responses.
    pub fn with_refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.refresh_lifetime = Some(lifetime);
        self
    }

    /// Omits the access token's lifetime from token responses.
    pub fn without_stated_lifetime(mut self) -> Self {
        self.rules.states_lifetime = false;
        self
    }

    /// Issues access tokens without refresh tokens.
    pub fn without_refresh_tokens(mut self) -> Self {
        self.rules.issues_refresh_tokens = false;
        self
    }

    /// Repeats an unrotated refresh token in every token response.
    pub fn with_repeated_refresh_token(mut self) -> Self {
        self.rules.repeats_refresh_token = true;
        self
    }

    /// Invalidates the previous access token at each refresh.
    pub fn with_access_ended_by_refresh(mut self) -> Self {
        self.rules.refresh_ends_access = true;
        self
    }

    /// Adds members to every token response.
    pub fn with_token_fields(mut self, fields: Value) -> Self {
        self.rules.token_fields = fields;
        self
    }

    /// Adds an introspection endpoint (RFC 7662), which uses the client authentication and the
    /// encoding of the token endpoint.
    pub fn with_introspection(mut self, endpoint: EndpointTemplate) -> Self {
        self.rules.introspection = Some(endpoint);
        self
    }

    /// Accepts token requests in JSON and as a form. Without this setting, only the description's
    /// encoding is accepted.
    pub fn with_any_encoding(mut self) -> Self {
        self.rules.accepts_any_encoding = true;
        self
    }

    /// Issues an access token that does not expire if an exchange lacks the description's exchange
    /// parameters. A token exchange (RFC 8693) of `token_type` with these parameters migrates such
    /// a token to a pair that expires. The migration can be repeated for `repeats`, until the pair
    /// is refreshed.
    pub fn with_migration(mut self, token_type: &'static str, repeats: Duration) -> Self {
        self.rules.migration = Some((token_type, repeats));
        self
    }

    /// Shows a consent page to browsers. Without this setting, a browser is redirected at once,
    /// with the decision from [`Authority::decide`].
    pub fn with_consent_page(mut self) -> Self {
        self.rules.asks = true;
        self
    }

    /// Sets the provider's API and deviations.
    pub fn with_provider(mut self, provider: impl Provider) -> Self {
        self.provider = Box::new(provider);
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime.
    ///
    /// # Errors
    /// * [`ErrorKind::Configuration`] if the description is invalid.
    /// * [`ErrorKind::Network`] if no port is free.
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

    fn client_named(&self, id: &str) -> Option<Client> {
        let state = self.state();
        state.clients.iter().find(|it| it.id == id).cloned()
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

    /// Returns true if `request` matches the endpoint of `template`.
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

    /// Returns the grant of the live access token in `request`, at the position that the
    /// description defines.
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
        // A token of one account is invalid at the host of another account.
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
        let response = self.provider.call(request, &grant);
        if response.ends_grants {
            self.state().grants.end_account(&grant.account);
        }
        response
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
            let response = token::respond(self, request);
            if response.status() >= 400 {
                return self.provider.refusal(request, response);
            }
            return response;
        }
        if self.is_at(
            description.revocation.as_ref().map(|it| &it.endpoint),
            request,
        ) {
            return token::revoke(self, request);
        }
        if self.is_at(self.rules.introspection.as_ref(), request) {
            return token::introspect(self, request);
        }
        self.api(request)
    }
}
