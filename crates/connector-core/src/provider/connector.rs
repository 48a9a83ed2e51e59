//! The trait that every provider's code implements, and what its hooks are given.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::ExposeSecret;
use url::Url;

use crate::api::Response;
use crate::app::{App, AppSource};
use crate::clock::Clock;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{HttpTransport, LoopbackOverride, OutboundRequest, Sent, TransportError};
use crate::provider::description::Description;
use crate::provider::oauth::{
    self, AuthorizationRequest, Callback, CallbackProblem, CodeExchange, ExchangeClass,
    ExchangeError, Identity, TokenAnswer,
};
use crate::provider::subscription::Subscriptions;
use crate::provider::webhook::{self, Incoming, WebhookEndpoint};
use crate::provider::{ByStatus, Classifier, Endpoint};

/// What a hook may use: the registration of the moment, the network, and the time.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The registration. Its secrets may differ from one call to the next.
    pub app: &'a App,
    /// The one door to the network.
    pub transport: &'a dyn HttpTransport,
    /// The time.
    pub clock: &'a dyn Clock,
}

impl<'a> Context<'a> {
    /// A context of these parts.
    #[must_use]
    pub fn new(app: &'a App, transport: &'a dyn HttpTransport, clock: &'a dyn Clock) -> Self {
        Self {
            app,
            transport,
            clock,
        }
    }

    /// Sends a request, once.
    ///
    /// # Errors
    /// [`TransportError`] when there is no complete answer.
    pub async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.transport.send(request).await
    }

    /// Carries out an operation of the provider's API with `credential`, once: for hooks, which have
    /// no session. The response is classified as that of a session's call.
    ///
    /// The request goes to the credential's own origin, with the bounds of a token request.
    ///
    /// # Errors
    /// [`ExchangeError`]. An access token that the provider refuses is
    /// [`DeadGrant`](ExchangeClass::DeadGrant) with the error kind
    /// [`Unauthorized`](ErrorKind::Unauthorized);
    /// [`ExchangeError::into_error`] is the error of the operation.
    pub async fn call<E: Endpoint>(
        &self,
        connector: &dyn Connector,
        credential: &Credential,
        endpoint: &E,
    ) -> Result<E::Output, ExchangeError> {
        let description = connector.description();
        let provider = &description.provider;
        let unsent = |error: Error| {
            let error = error.with_provider(provider.as_str().to_owned());
            ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
        };
        endpoint.validate().map_err(unsent)?;
        let request = endpoint.request().map_err(unsent)?;
        if request.origin().is_some_and(|it| it != credential.origin()) {
            return Err(unsent(Error::new(
                ErrorKind::AddressRefused,
                E::NAME,
                "a hook's request goes to the credential's own origin only",
            )));
        }
        let mut request = request.to_http(credential.origin()).map_err(unsent)?;
        description.add_headers(request.headers_mut());
        let secret = credential.secret().expose_secret();
        let attached = description.authentication.attach(&mut request, secret);
        if attached.is_none() {
            return Err(unsent(Error::new(
                ErrorKind::UnexpectedAnswer,
                E::NAME,
                "the access token has characters that no request may have; connect again",
            )));
        }
        let answer = self
            .send(OutboundRequest::token(request))
            .await
            .map_err(|error| ExchangeError::from_transport(E::NAME, error))?;
        let now = self.clock.now();
        let mut response = Response::new(provider.clone(), E::NAME, now, answer);
        let classified = connector.classifier().classify(&mut response);
        classified
            .and_then(|()| endpoint.decode(&mut response))
            .map_err(|error| {
                let (class, sent) = match error.kind() {
                    ErrorKind::Unauthorized | ErrorKind::NeedsReauthorization => {
                        (ExchangeClass::DeadGrant, Sent::Answered)
                    }
                    ErrorKind::RateLimited => {
                        let after = response.retry_after();
                        (ExchangeClass::Transient { after }, Sent::Answered)
                    }
                    ErrorKind::ProviderUnavailable => {
                        (ExchangeClass::Transient { after: None }, Sent::Maybe)
                    }
                    _ => (ExchangeClass::Malformed, Sent::Maybe),
                };
                ExchangeError::new(class, sent, error)
            })
    }
}

/// The way in which a credential is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Renewal {
    /// Not at all: once the access token has expired, the owner has to connect the account again.
    Never,
    /// With its refresh token, which the provider may rotate (RFC 6749 section 6).
    RefreshToken,
    /// By requesting a new access token with something that the renewal does not consume: a signed
    /// assertion (RFC 7523), client credentials (RFC 6749 section 4.4), an installation, or the
    /// access token itself. Repeating the request is harmless.
    Mint,
}

/// The code for one provider: its description as data, and hooks for what data cannot say.
///
/// Every hook has a default that follows the RFCs or the description and is a function of
/// [`crate::provider::oauth`] or [`crate::provider::webhook`], so that an override can call it. Hooks are called from many tasks at once and keep no state.
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// What is true of the provider.
    fn description(&self) -> &Description;

    /// The registrations that the connector was configured with; `None` if the application supplies
    /// an [`AppSource`] of its own.
    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        None
    }

    /// The loopback overrides of the simulators that the connector was configured with. The hub's
    /// default transport uses them.
    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        Vec::new()
    }

    /// The account host that a person or a program asked for, in its one accepted form; `None` where
    /// accounts have no hosts of their own. Nothing is ever sent to a host that did not pass here.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text names no such host.
    fn account_host(&self, text: &str) -> Result<Option<String>> {
        self.description()
            .account_host
            .as_ref()
            .map(|rule| rule.accept(text))
            .transpose()
    }

    /// The URL to send the browser to.
    ///
    /// # Errors
    /// As for [`oauth::authorization_url`].
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url> {
        oauth::authorization_url(self.description(), request)
    }

    /// Checks a callback that belongs to a flow for `account_host`, before its code is exchanged.
    ///
    /// # Errors
    /// The problem, if there is one.
    fn check_callback(
        &self,
        cx: &Context<'_>,
        account_host: Option<&str>,
        callback: &Callback,
    ) -> Result<(), CallbackProblem> {
        let _ = (cx, account_host);
        oauth::check_callback(self.description(), callback)
    }

    /// Exchanges an authorization code, once.
    ///
    /// # Errors
    /// [`ExchangeError`] says whether the provider may have acted.
    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenAnswer, ExchangeError> {
        oauth::exchange_code(self.description(), cx, exchange).await
    }

    /// Renews a credential, once: spends its refresh token, or mints a new access token where
    /// [`Connector::renewal`] says so.
    ///
    /// # Errors
    /// [`ExchangeError`] says whether the provider may have acted.
    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenAnswer, ExchangeError> {
        oauth::refresh(self.description(), cx, credential).await
    }

    /// Requests a token for the app itself, with which no account is connected. `scopes` are those
    /// that the application asks for.
    ///
    /// Without an override, by the client credentials grant (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// [`ExchangeError`] says whether the provider may have acted.
    async fn app_token(
        &self,
        cx: &Context<'_>,
        scopes: &[String],
    ) -> Result<TokenAnswer, ExchangeError> {
        oauth::client_credentials(self.description(), cx, None, scopes).await
    }

    /// Returns how [`Connector::refresh`] renews a credential.
    ///
    /// Without an override, a credential with a refresh token is renewed with it, and any other
    /// credential is not renewed.
    fn renewal(&self, credential: &Credential) -> Renewal {
        match credential.refresh_token() {
            Some(_) => Renewal::RefreshToken,
            None => Renewal::Never,
        }
    }

    /// Revokes a credential at the provider. Repeating it is harmless.
    ///
    /// # Errors
    /// [`ExchangeError`]; [`ExchangeClass::DeadGrant`](oauth::ExchangeClass::DeadGrant) means that
    /// there is nothing left to revoke.
    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        oauth::revoke(self.description(), cx, credential).await
    }

    /// Reads which account a credential leads to, from an authenticated answer of the provider.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the provider refuses the credential;
    /// else as its answer says.
    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        oauth::identify(self.description(), cx, credential).await
    }

    /// What the answers of the provider's API mean.
    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(ByStatus::new())
    }

    /// Verifies a delivery that came to `endpoint`, on its raw bytes, and reads it.
    ///
    /// What the signature does not cover is returned as such: see [`webhook::Event::signed`].
    ///
    /// # Errors
    /// As for [`webhook::verify`].
    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        webhook::verify(self.description(), cx, endpoint, request)
    }

    /// The calls that keep subscriptions at the provider; `None`, the default, if the provider has
    /// neither subscriptions nor changes to poll.
    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        None
    }
}

/// A provider that needs no code of its own: everything about it is in its description.
#[derive(Debug, Clone)]
pub struct GenericConnector {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl GenericConnector {
    /// A connector for the provider that `description` describes.
    ///
    /// # Errors
    /// As for [`Description::validate`].
    pub fn new(description: Description) -> Result<Self> {
        description.validate()?;
        Ok(Self {
            description,
            apps: None,
            loopbacks: Vec::new(),
        })
    }

    /// Sets the registrations to use.
    #[must_use]
    pub fn with_apps(mut self, apps: Arc<dyn AppSource>) -> Self {
        self.apps = Some(apps);
        self
    }

    /// Adds the loopback overrides of a simulator on this machine.
    #[must_use]
    pub fn with_loopback_overrides(
        mut self,
        overrides: impl IntoIterator<Item = LoopbackOverride>,
    ) -> Self {
        self.loopbacks.extend(overrides);
        self
    }
}

impl Connector for GenericConnector {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.loopbacks.clone()
    }
}
