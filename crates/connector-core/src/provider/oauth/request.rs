//! Requests to the token endpoint (RFC 6749 sections 4.1.3, 4.4.2 and 6).

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, EndpointNotSet, EndpointSet, HttpRequest, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use crate::http::{Origin, OutboundRequest, Sent};
use crate::provider::Context;
use crate::provider::description::{
    BodyEncoding, ClientAuthentication, Description, Pkce, TokenMethod, basic,
};
use crate::provider::oauth::authorization::NO_PARAMETERS;
use crate::provider::oauth::identity::names_account;
use crate::provider::oauth::{
    Callback, CodeVerifier, ExchangeClass, ExchangeError, TokenResponse, read_token_response,
};

/// An authorization code and the data for its exchange.
#[derive(Debug)]
#[non_exhaustive]
pub struct CodeExchange<'a> {
    /// The authorization code.
    pub code: &'a SecretString,
    /// The code verifier of the flow.
    pub verifier: &'a CodeVerifier,
    /// The account's host, for providers with per-account hosts.
    pub account_host: Option<&'a str>,
    /// The callback that contained the code, for providers whose callbacks also identify the
    /// account or a region.
    ///
    /// The parameters come from the browser and are not authenticated.
    pub callback: Option<&'a Callback>,
    /// Additional parameters that the application set for the flow.
    pub parameters: &'a BTreeMap<String, String>,
}

impl<'a> CodeExchange<'a> {
    /// Creates the exchange of `code` in the flow with the given `verifier`.
    #[must_use]
    pub fn new(code: &'a SecretString, verifier: &'a CodeVerifier) -> Self {
        Self {
            code,
            verifier,
            account_host: None,
            callback: None,
            parameters: &NO_PARAMETERS,
        }
    }

    /// Sets the account's host. Pass only hosts that the account host rule has accepted.
    #[must_use]
    pub fn with_account_host(mut self, account_host: Option<&'a str>) -> Self {
        self.account_host = account_host;
        self
    }

    /// Sets the callback that contained the code.
    #[must_use]
    pub fn with_callback(mut self, callback: &'a Callback) -> Self {
        self.callback = Some(callback);
        self
    }

    /// Sets the additional parameters of the flow.
    #[must_use]
    pub fn with_parameters(mut self, parameters: &'a BTreeMap<String, String>) -> Self {
        self.parameters = parameters;
        self
    }
}

/// A request to a provider's token endpoint.
///
/// The description determines the fields, the client authentication and the encoding. The request
/// is sent once and never retried.
///
/// Use this type in a connector's hook for a request that the RFCs do not define:
///
/// ```no_run
/// # use connector_core::provider::{Context, Description};
/// # use connector_core::provider::oauth::{ExchangeError, TokenResponse, TokenRequest};
/// # async fn example(description: &Description, cx: &Context<'_>, token: &str)
/// #     -> Result<TokenResponse, ExchangeError> {
/// TokenRequest::to(description, cx, None)
///     .field("grant_type", "ig_exchange_token")
///     .field("access_token", token)
///     .send("acme.exchange_token")
///     .await
/// # }
/// ```
#[must_use = "the request is not sent until `send` is awaited"]
pub struct TokenRequest<'a> {
    description: &'a Description,
    cx: &'a Context<'a>,
    url: Result<Url, Error>,
    method: TokenMethod,
    encoding: BodyEncoding,
    authentication: ClientAuthentication,
    names_client: bool,
    fields: Vec<(String, Zeroizing<String>)>,
}

impl<'a> TokenRequest<'a> {
    /// Creates a request to the description's token endpoint, for the account with the given host.
    pub fn to(
        description: &'a Description,
        cx: &'a Context<'a>,
        account_host: Option<&str>,
    ) -> Self {
        let Some(endpoint) = &description.token else {
            return Self::at(description, cx, Err(no_endpoint(description)));
        };
        let url = endpoint.endpoint.url(account_host.unwrap_or_default());
        Self {
            method: endpoint.method,
            encoding: endpoint.encoding,
            authentication: endpoint.client_authentication,
            ..Self::at(description, cx, url)
        }
    }

    /// Returns a request to another URL of the provider, encoded in the same way as a token
    /// request.
    ///
    /// The URL must be a constant of the connector.
    pub fn at_url(description: &'a Description, cx: &'a Context<'a>, url: &Url) -> Self {
        Self {
            url: Ok(url.clone()),
            ..Self::to(description, cx, Some("account.invalid"))
        }
    }

    fn at(description: &'a Description, cx: &'a Context<'a>, url: Result<Url, Error>) -> Self {
        Self {
            description,
            cx,
            url,
            method: TokenMethod::default(),
            encoding: BodyEncoding::default(),
            authentication: ClientAuthentication::default(),
            names_client: true,
            fields: Vec::new(),
        }
    }

    /// Adds a field to the request.
    pub fn field(mut self, name: impl Into<String>, value: impl AsRef<str>) -> Self {
        let value = Zeroizing::new(value.as_ref().to_owned());
        self.fields.push((name.into(), value));
        self
    }

    /// Adds several fields to the request.
    pub fn fields<'f>(self, fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        fields
            .into_iter()
            .fold(self, |request, (name, value)| request.field(name, value))
    }

    /// Overrides the description's client authentication.
    pub fn with_client_authentication(mut self, authentication: ClientAuthentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// Omits the client authentication, for a grant that authenticates the client itself, such as a
    /// JWT assertion of a service account (RFC 7523 section 3.1).
    pub fn without_client(mut self) -> Self {
        self.names_client = false;
        self
    }

    /// Overrides the description's HTTP method.
    pub fn with_method(mut self, method: TokenMethod) -> Self {
        self.method = method;
        self
    }

    /// Overrides the description's encoding.
    pub fn with_encoding(mut self, encoding: BodyEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Removes the fields with the given names.
    fn without(mut self, names: &[String]) -> Self {
        self.fields.retain(|(name, _)| !names.contains(name));
        self
    }

    /// Sends the request and parses the response as a token response.
    ///
    /// # Errors
    /// [`ExchangeError`], as for [`read_token_response`].
    pub async fn send(self, operation: &'static str) -> Result<TokenResponse, ExchangeError> {
        let (description, cx) = (self.description, self.cx);
        let response = self.response(operation).await?;
        read_token_response(description, operation, cx.clock.now(), &response)
    }

    /// Sends the request and returns the complete response with any status.
    ///
    /// # Errors
    /// [`ExchangeError`] if no complete response was received.
    pub async fn response(
        self,
        operation: &'static str,
    ) -> Result<http::Response<Bytes>, ExchangeError> {
        let cx = self.cx;
        let request = self.build(operation)?;
        cx.send(OutboundRequest::token(request))
            .await
            .map_err(|error| ExchangeError::from_transport(operation, error))
    }

    fn build(mut self, operation: &'static str) -> Result<http::Request<Bytes>, ExchangeError> {
        let provider = self.description.provider.as_str().to_owned();
        let unusable = |error: Error| {
            let error = error.with_provider(provider.clone());
            ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
        };
        let broken = || {
            unusable(Error::new(
                ErrorKind::Bug,
                operation,
                "the request could not be built; please report it with the provider's name",
            ))
        };
        let authorization = self.authenticate(operation).map_err(&unusable)?;
        let mut url = self.url.map_err(&unusable)?;
        Origin::of(&url).map_err(|_| broken())?;
        let pairs = self.fields.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        let (method, body, content_type) = match (self.method, self.encoding) {
            (TokenMethod::Get, _) => {
                let own = url.query().map(str::to_owned).filter(|it| !it.is_empty());
                let fields = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                // A space is %20, which every server reads; a plus sign of a value is %2B.
                let fields = fields.replace('+', "%20");
                let query = own.map_or_else(|| fields.clone(), |own| own + "&" + &fields);
                url.set_query(Some(&query));
                (http::Method::GET, Bytes::new(), None)
            }
            (TokenMethod::Post, BodyEncoding::Form) => {
                let body = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                (http::Method::POST, Bytes::from(body), Some(form))
            }
            (TokenMethod::Post, BodyEncoding::Json) => {
                let object: Map<String, Value> = pairs
                    .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
                    .collect();
                let body = Value::Object(object).to_string();
                let json = HeaderValue::from_static("application/json");
                (http::Method::POST, Bytes::from(body), Some(json))
            }
        };
        let request = http::Request::builder().method(method).uri(url.as_str());
        let mut request = request.body(body).map_err(|_| broken())?;
        let headers = request.headers_mut();
        self.description.add_headers(headers);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Adds the client authentication (RFC 6749 section 2.3): fields, or a header value that the
    /// caller sets.
    fn authenticate(&mut self, operation: &'static str) -> Result<Option<HeaderValue>, Error> {
        if !self.names_client {
            return Ok(None);
        }
        let app = self.cx.app;
        let secret = app.client_secret().map(ExposeSecret::expose_secret);
        let client_id = self.description.client_id().to_owned();
        let mut add = |name: String, value: &str| {
            self.fields.retain(|(known, _)| *known != name);
            self.fields.push((name, Zeroizing::new(value.to_owned())));
        };
        let header = match (self.authentication, secret) {
            (ClientAuthentication::Basic, Some(secret)) => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = Zeroizing::new(encode(app.client_id()) + ":" + &encode(secret));
                basic(&pair)
            }
            (ClientAuthentication::SecretAsUser, Some(secret)) => basic(secret),
            (ClientAuthentication::SecretAsUser, None) => {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    operation,
                    "the app has no client secret; the provider requires one",
                ));
            }
            (ClientAuthentication::Body, Some(secret)) => {
                add(client_id, app.client_id());
                add("client_secret".to_owned(), secret);
                return Ok(None);
            }
            (ClientAuthentication::None, _) | (_, None) => {
                add(client_id, app.client_id());
                return Ok(None);
            }
        };
        header.map(Some).map_err(|_| {
            Error::new(
                ErrorKind::Configuration,
                operation,
                "the client secret contains characters that are not allowed in a header; correct \
                 it",
            )
        })
    }
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("TokenRequest")
            .field("provider", &self.description.provider)
            .field("fields", &names)
            .finish_non_exhaustive()
    }
}

fn no_endpoint(description: &Description) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "oauth.token_request",
        "the provider has no token endpoint, so its credentials cannot be refreshed",
    )
    .with_provider(description.provider.as_str().to_owned())
}

type TokenClient =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Exchanges an authorization code (RFC 6749 section 4.1.3).
///
/// The request contains the code verifier unless the provider rejects PKCE. The request is sent
/// once and never retried.
///
/// # Errors
/// [`ExchangeError`], as for [`read_token_response`].
pub async fn exchange_code(
    description: &Description,
    cx: &Context<'_>,
    exchange: &CodeExchange<'_>,
) -> Result<TokenResponse, ExchangeError> {
    const OPERATION: &str = "oauth.exchange_code";
    let request = TokenRequest::to(description, cx, exchange.account_host);
    let client = client(cx, &request)?;
    let code = AuthorizationCode::new(exchange.code.expose_secret().to_owned());
    let mut built = client.exchange_code(code);
    let pkce = description.authorization.as_ref().map(|it| it.pkce);
    if pkce.is_some_and(|pkce| pkce != Pkce::Refused) {
        built = built.set_pkce_verifier(exchange.verifier.pkce_verifier());
    }
    let rfc = fields_of(OPERATION, |take| built.request(&take))?;
    let (mut request, mut nonce) = (request.with_rfc(&rfc), None);
    if let Some(endpoint) = &description.token {
        request = request.without(&endpoint.omitted_parameters);
        for (name, value) in &endpoint.exchange_parameters {
            request = request.field(name, value);
        }
    }
    if description
        .authorization
        .as_ref()
        .is_some_and(|it| it.nonce)
    {
        nonce = Some(exchange.verifier.nonce());
    }
    let answer = request.send(OPERATION).await?;
    names_account(description, cx, OPERATION, answer, nonce.as_deref())
}

/// Sends a refresh request (RFC 6749 section 6) with the credential's refresh token.
///
/// The request is sent once and never retried.
///
/// # Errors
/// [`ExchangeError`], as for [`read_token_response`]. Without a refresh token, the class is
/// [`DeadGrant`](ExchangeClass::DeadGrant) and nothing is sent.
pub async fn refresh(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<TokenResponse, ExchangeError> {
    const OPERATION: &str = "oauth.refresh";
    let Some(refresh_token) = credential.refresh_token() else {
        let error = Error::new(
            ErrorKind::NeedsReauthorization,
            OPERATION,
            "the credential has no refresh token; the account's owner must connect the account \
             again",
        );
        return Err(ExchangeError::new(
            ExchangeClass::DeadGrant,
            Sent::No,
            error,
        ));
    };
    // The host comes from the sealed credential, never from data stored outside the seal.
    let request = TokenRequest::to(description, cx, credential.account_host());
    let client = client(cx, &request)?;
    let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let rfc = fields_of(OPERATION, |take| {
        client.exchange_refresh_token(&refresh_token).request(&take)
    })?;
    let mut request = request.with_rfc(&rfc);
    if let Some(endpoint) = &description.token {
        for (name, value) in &endpoint.refresh_parameters {
            request = request.field(name, value);
        }
    }
    let answer = request.send(OPERATION).await?;
    names_account(description, cx, OPERATION, answer, None)
}

/// Requests a token for the app itself (RFC 6749 section 4.4).
///
/// # Errors
/// [`ExchangeError`], as for [`read_token_response`].
pub async fn client_credentials(
    description: &Description,
    cx: &Context<'_>,
    account_host: Option<&str>,
    scopes: &[String],
) -> Result<TokenResponse, ExchangeError> {
    const OPERATION: &str = "oauth.client_credentials";
    let request = TokenRequest::to(description, cx, account_host);
    let client = client(cx, &request)?;
    let mut built = client.exchange_client_credentials();
    if !scopes.is_empty() {
        let joined = scopes.join(&description.scopes.separator.to_string());
        built = built.add_scope(Scope::new(joined));
    }
    let rfc = fields_of(OPERATION, |take| built.request(&take))?;
    request.with_rfc(&rfc).send(OPERATION).await
}

impl TokenRequest<'_> {
    /// Adds the fields of a request built by the `oauth2` crate.
    fn with_rfc(self, request: &HttpRequest) -> Self {
        form_urlencoded::parse(request.body()).fold(self, |to, (name, value)| {
            let value = Zeroizing::new(value.into_owned());
            // The description determines the client id and client secret fields.
            match &*name {
                "client_id" | "client_secret" => to,
                name => to.field(name, value.as_str()),
            }
        })
    }
}

/// Returns a client of the `oauth2` crate. The client only builds requests and never sends them.
fn client(cx: &Context<'_>, request: &TokenRequest<'_>) -> Result<TokenClient, ExchangeError> {
    let unusable = |error: Error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error);
    let url = match &request.url {
        Ok(url) => url.clone(),
        Err(error) => return Err(unusable(error.without_source())),
    };
    let mut client = BasicClient::new(ClientId::new(cx.app.client_id().to_owned()))
        .set_token_uri(TokenUrl::from_url(url))
        .set_auth_type(AuthType::RequestBody);
    if let Some(redirect_uri) = cx.app.redirect_uri() {
        let exact = RedirectUrl::new(redirect_uri.as_str().to_owned());
        let exact = exact.map_err(|_| {
            unusable(Error::new(
                ErrorKind::Configuration,
                "oauth.token_request",
                "the app's redirect URI is not a valid URL; set the registered one",
            ))
        })?;
        client = client.set_redirect_uri(exact);
    }
    Ok(client)
}

/// The error that stops the `oauth2` crate after it has built a request. This module sends the
/// request and parses the response itself.
#[derive(Debug)]
pub(crate) struct Taken;

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was captured")
    }
}

impl std::error::Error for Taken {}

type Take<'a> = Box<dyn Fn(HttpRequest) -> Result<oauth2::HttpResponse, Taken> + 'a>;

fn fields_of(
    operation: &'static str,
    run: impl FnOnce(
        Take<'_>,
    ) -> Result<BasicTokenResponse, RequestTokenError<Taken, BasicErrorResponse>>,
) -> Result<HttpRequest, ExchangeError> {
    let slot = RefCell::new(None);
    let outcome = run(Box::new(|request| {
        *slot.borrow_mut() = Some(request);
        Err(Taken)
    }));
    // The outcome is always an error, because nothing was sent. Only the captured request is
    // needed.
    drop(outcome);
    slot.into_inner().ok_or_else(|| {
        let error = Error::new(
            ErrorKind::Bug,
            operation,
            "the request could not be built; please report it with the provider's name",
        );
        ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
    })
}
