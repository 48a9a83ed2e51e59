//! Requests to the token endpoint (RFC 6749 sections 4.1.3, 4.4.2 and 6).

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::connector::Context;
use crate::credential::Credential;
use crate::description::{BodyEncoding, ClientAuthentication, Description};
use crate::error::{Error, ErrorKind};
use crate::http::{OutboundRequest, Sent};
use crate::oauth::{CodeVerifier, ExchangeClass, ExchangeError, TokenAnswer, read_token_answer};

/// An authorization code with what its exchange needs.
#[derive(Debug)]
#[non_exhaustive]
pub struct CodeExchange<'a> {
    /// The authorization code.
    pub code: &'a SecretString,
    /// The code verifier of the flow.
    pub verifier: &'a CodeVerifier,
    /// The account's host, for providers whose accounts have their own.
    pub account_host: Option<&'a str>,
}

impl<'a> CodeExchange<'a> {
    /// The exchange of `code` in the flow of `verifier`.
    #[must_use]
    pub fn new(code: &'a SecretString, verifier: &'a CodeVerifier) -> Self {
        Self {
            code,
            verifier,
            account_host: None,
        }
    }

    /// Sets the account's host. Pass only one that the account rule accepted.
    #[must_use]
    pub fn with_account_host(mut self, account_host: Option<&'a str>) -> Self {
        self.account_host = account_host;
        self
    }
}

type TokenClient =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Exchanges an authorization code (RFC 6749 section 4.1.3), with its verifier unless the provider
/// refuses PKCE. Sent once, never repeated.
///
/// # Errors
/// [`ExchangeError`]: see [`read_token_answer`].
pub async fn exchange_code(
    description: &Description,
    cx: &Context<'_>,
    exchange: &CodeExchange<'_>,
) -> Result<TokenAnswer, ExchangeError> {
    const OPERATION: &str = "oauth.exchange_code";
    let client = client(description, cx, exchange.account_host, OPERATION)?;
    let code = AuthorizationCode::new(exchange.code.expose_secret().to_owned());
    let mut request = client.exchange_code(code);
    if sends_verifier(description) {
        request = request.set_pkce_verifier(exchange.verifier.pkce_verifier());
    }
    for (name, value) in description
        .token
        .iter()
        .flat_map(|endpoint| &endpoint.exchange_parameters)
    {
        request = request.add_extra_param(name.as_str(), value.as_str());
    }
    let built = build(OPERATION, |take| request.request(&take))?;
    send(description, cx, OPERATION, built).await
}

/// Spends a refresh token (RFC 6749 section 6). Sent once, never repeated.
///
/// # Errors
/// [`ExchangeError`]: see [`read_token_answer`];
/// [`DeadGrant`](ExchangeClass::DeadGrant) with nothing sent if there is no refresh token.
pub async fn refresh(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<TokenAnswer, ExchangeError> {
    const OPERATION: &str = "oauth.refresh";
    let Some(refresh_token) = credential.refresh_token() else {
        let error = Error::new(
            ErrorKind::NeedsReauthorization,
            OPERATION,
            "the credential came without a refresh token; the account's owner must connect it again",
        );
        return Err(ExchangeError::new(
            ExchangeClass::DeadGrant,
            Sent::No,
            error,
        ));
    };
    // The host is the one that is sealed with the credential, never one that stands beside it.
    let client = client(description, cx, credential.account_host(), OPERATION)?;
    let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let built = build(OPERATION, |take| {
        client.exchange_refresh_token(&refresh_token).request(&take)
    })?;
    send(description, cx, OPERATION, built).await
}

/// Asks for a token for the app itself (RFC 6749 section 4.4).
///
/// # Errors
/// [`ExchangeError`]: see [`read_token_answer`].
pub async fn client_credentials(
    description: &Description,
    cx: &Context<'_>,
    account_host: Option<&str>,
    scopes: &[String],
) -> Result<TokenAnswer, ExchangeError> {
    const OPERATION: &str = "oauth.client_credentials";
    let client = client(description, cx, account_host, OPERATION)?;
    let mut request = client.exchange_client_credentials();
    if !scopes.is_empty() {
        let joined = scopes.join(&description.scopes.separator.to_string());
        request = request.add_scope(Scope::new(joined));
    }
    let built = build(OPERATION, |take| request.request(&take))?;
    send(description, cx, OPERATION, built).await
}

fn sends_verifier(description: &Description) -> bool {
    use crate::description::Pkce;
    description
        .authorization
        .as_ref()
        .is_some_and(|endpoint| endpoint.pkce == Pkce::S256)
}

fn client(
    description: &Description,
    cx: &Context<'_>,
    account_host: Option<&str>,
    operation: &'static str,
) -> Result<TokenClient, ExchangeError> {
    let unusable = |error: Error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error);
    let Some(endpoint) = &description.token else {
        return Err(unusable(Error::new(
            ErrorKind::Unsupported,
            operation,
            "the provider has no token endpoint; its credentials are not refreshed",
        )));
    };
    let url = endpoint
        .endpoint
        .url(account_host.unwrap_or_default())
        .map_err(unusable)?;
    let mut client = BasicClient::new(ClientId::new(cx.app.client_id().to_owned()))
        .set_token_uri(TokenUrl::from_url(url))
        .set_auth_type(auth_type(endpoint.client_authentication));
    if let Some(secret) = cx.app.client_secret() {
        client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
    }
    if let Some(redirect_uri) = cx.app.redirect_uri() {
        client = client.set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
    }
    Ok(client)
}

pub(crate) const fn auth_type(authentication: ClientAuthentication) -> AuthType {
    match authentication {
        ClientAuthentication::Basic => AuthType::BasicAuth,
        ClientAuthentication::Body => AuthType::RequestBody,
    }
}

/// What stops the `oauth2` crate after it has built a request: sending and reading are ours.
#[derive(Debug)]
pub(crate) struct Taken;

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was taken")
    }
}

impl std::error::Error for Taken {}

type Take<'a> = Box<dyn Fn(HttpRequest) -> Result<oauth2::HttpResponse, Taken> + 'a>;

fn build(
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
    // Whatever the outcome says, what counts is the request: nothing was sent.
    drop(outcome);
    taken(operation, slot.into_inner())
}

pub(crate) fn taken(
    operation: &'static str,
    request: Option<HttpRequest>,
) -> Result<HttpRequest, ExchangeError> {
    request.ok_or_else(|| {
        let error = Error::new(
            ErrorKind::Bug,
            operation,
            "the request could not be built; please report it with the provider's name",
        );
        ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
    })
}

/// Writes the request as the provider reads it, with the bounds of a token request.
pub(crate) fn outbound(encoding: BodyEncoding, request: HttpRequest) -> OutboundRequest {
    let (mut parts, body) = request.into_parts();
    if let Some(value) = parts.headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let body = match encoding {
        BodyEncoding::Form => Bytes::from(body),
        BodyEncoding::Json => {
            parts
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let object: Map<String, Value> = form_urlencoded::parse(&body)
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect();
            Bytes::from(Value::Object(object).to_string())
        }
    };
    OutboundRequest::token(http::Request::from_parts(parts, body))
}

async fn send(
    description: &Description,
    cx: &Context<'_>,
    operation: &'static str,
    request: HttpRequest,
) -> Result<TokenAnswer, ExchangeError> {
    let encoding = description
        .token
        .as_ref()
        .map_or(BodyEncoding::Form, |it| it.encoding);
    let response = cx
        .send(outbound(encoding, request))
        .await
        .map_err(|error| ExchangeError::from_transport(operation, error))?;
    read_token_answer(description, operation, cx.clock.now(), &response)
}
