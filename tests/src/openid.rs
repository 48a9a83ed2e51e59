//! npm `oidc-provider`, a certified OpenID provider. It rotates refresh tokens, and the second use
//! of a refresh token ends its grant.
//!
//! The server is `counterparts/openid/server.js`. Its origin is `https://openid.example`.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::http::Origin;
use connector_core::provider::Description;
use connector_core::provider::description::{
    AuthorizationEndpoint, EndpointTemplate, IdentityRule, RevocationEndpoint, RevocationReach,
    TokenEndpoint,
};
use connector_core::provider::oauth::RotationClass;
use connector_core::{App, ProviderId};
use connector_http::HttpClient;
use connector_testkit::leak::canary;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::Loopback;
use crate::counterpart::{Counterpart, Program};

static COUNTERPART: Counterpart =
    Counterpart::new("the OpenID provider", "CONNECTORS_OPENID", "server.js");

/// The provider's id in its description.
pub const PROVIDER: ProviderId = ProviderId::from_static("openid");

/// The issuer, and the only origin of the provider.
pub const ISSUER: &str = "https://openid.example";

/// Lifetime of the provider's access tokens in seconds. Longer than any test runs.
pub const ACCESS_TOKEN_SECONDS: u64 = 1800;

const CLIENT_ID: &str = "connectors";
const REDIRECT_URI: &str = "https://app.example/callback";

/// A running provider. The provider ends with this process.
#[derive(Debug)]
pub struct OpenId {
    loopback: Loopback,
    client_secret: SecretString,
    // Kept, because the server ends when this value is dropped.
    _server: Program,
}

/// Requests that the provider received for one account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ledger {
    /// Authorization codes that were sent to its token endpoint.
    pub exchanges: Count,
    /// Refresh tokens that were sent to its token endpoint.
    pub refreshes: Count,
    /// Tokens that were sent to its revocation endpoint.
    pub revocations: u64,
    /// SHA-256 of the newest refresh token that the provider issued, in hexadecimal.
    pub newest_refresh_token: Option<String>,
}

/// Number of accepted and refused requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Count {
    /// Number of accepted requests.
    pub accepted: u64,
    /// Number of refused requests.
    pub refused: u64,
}

impl Count {
    /// Returns the number of all requests.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.accepted + self.refused
    }
}

/// The decision of the simulated person on the consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Consent,
    Cancel,
}

impl OpenId {
    /// Returns the provider that all tests of this program share. The first caller starts it. If
    /// the provider is not installed, prints a message and returns `None`; the test then ends.
    ///
    /// # Errors
    /// If the program cannot be started, or if it is not installed and `CI` is `true`.
    pub fn shared() -> io::Result<Option<&'static Self>> {
        static SHARED: OnceLock<Result<OpenId, String>> = OnceLock::new();
        let Some(directory) = COUNTERPART.directory()? else {
            return Ok(None);
        };
        let shared = SHARED
            .get_or_init(|| Self::start(&directory).map_err(|error| error.to_string()))
            .as_ref();
        shared
            .map(Some)
            .map_err(|error| io::Error::other(error.as_str()))
    }

    fn start(directory: &Path) -> io::Result<Self> {
        let client_secret = canary("client-secret");
        let mut server = COUNTERPART.start(directory)?;
        let ready: Ready = server.ask(&json!({
            "issuer": ISSUER,
            "client_id": CLIENT_ID,
            "client_secret": client_secret,
            "redirect_uri": REDIRECT_URI,
            "access_token_seconds": ACCESS_TOKEN_SECONDS,
            "secret_prefix": canary("openid"),
        }))?;
        let origin = Origin::parse(ISSUER).map_err(io::Error::other)?;
        Ok(Self {
            loopback: Loopback::new(origin, ready.port),
            client_secret: client_secret.into(),
            _server: server,
        })
    }

    /// Returns a client for this provider that does not use the library, as for a browser.
    #[must_use]
    pub const fn loopback(&self) -> &Loopback {
        &self.loopback
    }

    /// Returns the library's transport with a loopback override for this provider.
    ///
    /// # Errors
    /// If the machine has no root certificates.
    pub fn transport(&self) -> io::Result<HttpClient> {
        let builder = HttpClient::builder().with_loopback(self.loopback.opening()?);
        builder.build().map_err(io::Error::other)
    }

    /// Returns the description of the provider.
    #[must_use]
    pub fn description() -> Description {
        let at = |path: &str| EndpointTemplate::new(format!("{ISSUER}{path}"));
        let mut authorization = AuthorizationEndpoint::new(at("/auth"));
        authorization.issuer = Some(ISSUER.to_owned());
        authorization.issuer_required = true;
        // Without this value, the provider issues no refresh token (OpenID Connect Core section
        // 11).
        authorization
            .parameters
            .insert("prompt".to_owned(), "consent".to_owned());
        let mut revocation = RevocationEndpoint::new(at("/token/revocation"));
        revocation.reach = RevocationReach::Grant;
        let mut description = Description::new(PROVIDER, "OpenID provider");
        description.api = vec![at("")];
        description.authorization = Some(authorization);
        description.token = Some(TokenEndpoint::new(at("/token")));
        description.revocation = Some(revocation);
        description.identity = Some(IdentityRule::endpoint(at("/me"), "/sub"));
        description.scopes.default = vec!["openid".to_owned(), "offline_access".to_owned()];
        description.rotation = RotationClass::Strict;
        description
    }

    /// Returns the registration at this provider.
    ///
    /// # Errors
    /// None that a test can cause.
    pub fn app(&self) -> io::Result<App> {
        let redirect_uri = REDIRECT_URI.parse().map_err(io::Error::other)?;
        Ok(App::new(CLIENT_ID)
            .with_client_secret(self.client_secret.clone())
            .with_redirect_uri(redirect_uri))
    }

    /// Follows `url` like a browser in which `account` logs in and consents. Returns the URL of the
    /// callback.
    ///
    /// # Errors
    /// If the provider responds with anything other than its forms and redirects.
    pub async fn consent(&self, url: &Url, account: &str) -> io::Result<Url> {
        Browser::new(&self.loopback)
            .walk(url, account, Decision::Consent)
            .await
    }

    /// Follows `url` like a browser in which `account` logs in and cancels the consent. Returns the
    /// URL of the callback.
    ///
    /// # Errors
    /// If the provider responds with anything other than its forms and redirects.
    pub async fn deny(&self, url: &Url, account: &str) -> io::Result<Url> {
        Browser::new(&self.loopback)
            .walk(url, account, Decision::Cancel)
            .await
    }

    /// Returns the requests that the provider received for `account`. The account with the empty
    /// name contains requests with codes and tokens that the provider never issued.
    ///
    /// # Errors
    /// If the provider cannot be reached.
    pub async fn ledger(&self, account: &str) -> io::Result<Ledger> {
        let encoded: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let request = http::Request::get(format!("{ISSUER}/ledger/{encoded}"))
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        let answer = self.loopback.exchange(request).await?;
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// Returns whether the provider accepts a token (RFC 7662).
    ///
    /// # Errors
    /// If the response does not contain the answer.
    pub async fn is_active(&self, token: &SecretString) -> io::Result<bool> {
        let (status, answer) = self
            .post("/token/introspection", &[("token", token.expose_secret())])
            .await?;
        match answer.get("active").and_then(Value::as_bool) {
            Some(active) if status == StatusCode::OK => Ok(active),
            _ => Err(io::Error::other("the provider does not say")),
        }
    }

    /// Uses a refresh token without the library, like an attacker who has stolen the token and the
    /// client secret. Returns true if the provider accepted the token.
    ///
    /// # Errors
    /// If the provider cannot be reached.
    pub async fn steal(&self, refresh_token: &SecretString) -> io::Result<bool> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
        ];
        let (status, _) = self.post("/token", &form).await?;
        Ok(status == StatusCode::OK)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> io::Result<(StatusCode, Value)> {
        let pair = format!("{CLIENT_ID}:{}", self.client_secret.expose_secret());
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = http::Request::post(format!("{ISSUER}{path}"))
            .header(
                AUTHORIZATION,
                format!("Basic {}", BASE64_STANDARD.encode(pair)),
            )
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .map_err(io::Error::other)?;
        let answer = self.loopback.exchange(request).await?;
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        Ok((answer.status(), body))
    }
}

#[derive(Deserialize)]
struct Ready {
    port: u16,
}

/// A browser for one site, with its cookies.
struct Browser<'a> {
    loopback: &'a Loopback,
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl<'a> Browser<'a> {
    fn new(loopback: &'a Loopback) -> Self {
        Self {
            loopback,
            cookies: Vec::new(),
        }
    }

    /// Follows links until a URL leads to another site, and returns this URL.
    async fn walk(&mut self, start: &Url, account: &str, decision: Decision) -> io::Result<Url> {
        const MAX_PAGES: usize = 20;
        let mut at = start.clone();
        let mut form: Option<String> = None;
        for _ in 0..MAX_PAGES {
            if at.origin().ascii_serialization() != ISSUER {
                return Ok(at);
            }
            let answer = self.open(&at, form.take()).await?;
            if answer.status().is_redirection() {
                let location = answer.headers().get(LOCATION);
                let location = location.and_then(|it| it.to_str().ok());
                let location = location.ok_or_else(|| io::Error::other("no location"))?;
                at = at.join(location).map_err(io::Error::other)?;
                continue;
            }
            if answer.status() != StatusCode::OK {
                let page = String::from_utf8_lossy(answer.body()).into_owned();
                return Err(io::Error::other(page));
            }
            let page = String::from_utf8_lossy(answer.body());
            let (action, body) = fill_in(&page, account, decision)
                .ok_or_else(|| io::Error::other("a page without the expected form"))?;
            at = at.join(&action).map_err(io::Error::other)?;
            form = Some(body);
        }
        Err(io::Error::other("the pages have no end"))
    }

    async fn open(&mut self, url: &Url, form: Option<String>) -> io::Result<http::Response<Bytes>> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| url.path().starts_with(&cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let mut request = http::Request::builder().uri(url.as_str());
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if form.is_some() {
            request = request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request
            .body(Bytes::from(form.unwrap_or_default()))
            .map_err(io::Error::other)?;
        let answer = self.loopback.exchange(request).await?;
        for header in answer.headers().get_all(SET_COOKIE) {
            if let Some(cookie) = header.to_str().ok().and_then(Cookie::read) {
                self.cookies
                    .retain(|kept| (&kept.name, &kept.path) != (&cookie.name, &cookie.path));
                if !cookie.value.is_empty() {
                    self.cookies.push(cookie);
                }
            }
        }
        Ok(answer)
    }
}

impl Cookie {
    /// Parses `name=value; path=/…`. The provider deletes a cookie by setting an empty value.
    fn read(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let path = parts.find_map(|part| part.strip_prefix("path="));
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: path.unwrap_or("/").to_owned(),
        })
    }
}

/// Returns the target and the content of the form on a page of `counterparts/openid/server.js`.
fn fill_in(page: &str, account: &str, decision: Decision) -> Option<(String, String)> {
    let action = |ending: &str| {
        page.split("action=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .find(|action| action.ends_with(ending))
            .map(str::to_owned)
    };
    if let Some(login) = action("/login") {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("login", account)
            .finish();
        return Some((login, body));
    }
    let consent = action("/consent")?;
    match decision {
        Decision::Consent => Some((consent, String::new())),
        Decision::Cancel => Some((action("/abort")?, String::new())),
    }
}
