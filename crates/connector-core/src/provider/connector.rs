//! The trait that each provider's code implements, and the context that its hooks receive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::ExposeSecret;
use url::Url;

use crate::api::Response;
use crate::app::{App, AppSource};
use crate::clock::Clock;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::{self, AccountLimits, Answered, Priority};
use crate::http::{HttpTransport, LoopbackOverride, OutboundRequest, Sent, TransportError};
use crate::provider::description::Description;
use crate::provider::oauth::{
    self, AuthorizationRequest, Callback, CallbackProblem, CodeExchange, ExchangeClass,
    ExchangeError, Identity, TokenResponse,
};
use crate::provider::subscription::Subscriptions;
use crate::provider::webhook::{self, Incoming, WebhookEndpoint};
use crate::provider::{ByStatus, Classifier, Endpoint};

/// Inputs of a hook: the current app registration, the network and the clock.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The app registration. Its secrets can change between calls.
    pub app: &'a App,
    /// The transport for all network requests.
    pub transport: &'a dyn HttpTransport,
    /// The clock.
    pub clock: &'a dyn Clock,
    limits: Option<&'a AccountLimits>,
}

/// Maximum time for which [`Context::call`] waits for rate-limit permits. Hooks run within the
/// deadlines of other operations.
const PATIENCE: Duration = Duration::from_secs(5);

impl<'a> Context<'a> {
    /// Creates a context from its parts.
    #[must_use]
    pub fn new(app: &'a App, transport: &'a dyn HttpTransport, clock: &'a dyn Clock) -> Self {
        Self {
            app,
            transport,
            clock,
            limits: None,
        }
    }

    /// Sets the rate limits of the account, which [`Context::call`] then draws from.
    #[must_use]
    pub const fn with_limits(mut self, limits: &'a AccountLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sends a request once, without retries.
    ///
    /// # Errors
    /// [`TransportError`] if no complete response was received.
    pub async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.transport.send(request).await
    }

    /// Calls an operation of the provider's API with `credential`, once and without retries.
    ///
    /// Use this method in hooks, which have no session. The response is classified in the same way
    /// as in a session. If the context has the rate limits of the account, the call draws from them
    /// like a call of a session, but waits for at most 5 seconds.
    ///
    /// The request is sent to the credential's own origin, with the limits of a token request.
    ///
    /// # Errors
    /// [`ExchangeError`]. If a rate limit admits no call in time, the class is
    /// [`Transient`](ExchangeClass::Transient), the error kind is
    /// [`RateLimited`](ErrorKind::RateLimited), and nothing was sent. If the provider rejects the
    /// access token, the class is
    /// [`DeadGrant`](ExchangeClass::DeadGrant) and the error kind is
    /// [`Unauthorized`](ErrorKind::Unauthorized). [`ExchangeError::into_error`] returns the error
    /// of the operation.
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
                "a hook may send requests only to the credential's own origin",
            )));
        }
        let mut request = request.to_http(credential.origin()).map_err(unsent)?;
        description.add_headers(request.headers_mut());
        let secret = credential.secret().expose_secret();
        let attached = description.authentication.attach(&mut request, secret);
        if attached.is_none() {
            return Err(unsent(Error::new(
                ErrorKind::UnexpectedResponse,
                E::NAME,
                "the access token contains characters that are not allowed in a request; connect \
                 the account again",
            )));
        }
        let draws = endpoint.draws();
        let limited = limit::Call {
            operation: E::NAME,
            class: Priority::Interactive,
            draws: &draws,
            extra: &[],
        };
        let admitted = match self.limits {
            Some(limits) => {
                let deadline = self.clock.monotonic().after(PATIENCE);
                let permits = Box::pin(limits.acquire(limited, deadline)).await;
                Some((
                    limits,
                    permits.map_err(|error| match error.retry() {
                        Retry::After(after) => {
                            let class = ExchangeClass::Transient { after: Some(after) };
                            let error = error.with_provider(provider.as_str().to_owned());
                            ExchangeError::new(class, Sent::No, error)
                        }
                        _ => unsent(error),
                    })?,
                ))
            }
            None => None,
        };
        let answer = match self.send(OutboundRequest::token(request)).await {
            Ok(answer) => answer,
            Err(error) => {
                if let (Some((_, permits)), Sent::No) = (admitted, error.sent()) {
                    permits.release();
                }
                return Err(ExchangeError::from_transport(E::NAME, error));
            }
        };
        let now = self.clock.now();
        let mut response = Response::new(provider.clone(), E::NAME, now, answer);
        let classified = connector.classifier().classify(&mut response);
        let decoded = classified.and_then(|()| endpoint.decode(&mut response));
        if let Some((limits, permits)) = admitted {
            let refused = decoded.as_ref().err();
            let answered = Answered {
                reports: response.take_reports(),
                headers: response.headers(),
                received: response.received(),
                refused: refused
                    .filter(|error| error.kind() == ErrorKind::RateLimited)
                    .map(Error::retry),
            };
            limits.settle(permits, limited, &answered);
        }
        decoded.map_err(|error| {
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

/// The method by which a credential is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Renewal {
    /// The credential cannot be renewed. When the access token expires, the owner must connect the
    /// account again.
    Never,
    /// The provider exchanges the refresh token for a new access token, and may rotate the refresh
    /// token (RFC 6749 section 6).
    RefreshToken,
    /// A new access token is requested with reusable data: a signed assertion (RFC 7523), client
    /// credentials (RFC 6749 section 4.4), an installation, or the access token itself. Repeating
    /// the request is harmless.
    Mint,
}

/// Implementation of one provider: a description as data, and hooks for everything that the
/// description cannot express.
///
/// Every hook has a default that follows the RFCs or the description. Each default calls a function
/// of [`crate::provider::oauth`] or [`crate::provider::webhook`], and an override can call the same
/// function. Hooks run concurrently in many tasks and must not keep state.
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// Returns the provider's description.
    fn description(&self) -> &Description;

    /// Returns the app registrations that the connector was configured with, or `None` if the
    /// application supplies its own [`AppSource`].
    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        None
    }

    /// Returns the loopback overrides of the simulators that the connector was configured with. The
    /// hub's default transport uses these overrides.
    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        Vec::new()
    }

    /// Returns the normalized account host for the text that a user or program entered, or `None`
    /// if the provider has no per-account hosts.
    ///
    /// Requests are sent only to hosts that this method has accepted.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text is not a valid account host.
    fn account_host(&self, text: &str) -> Result<Option<String>> {
        self.description()
            .account_host
            .as_ref()
            .map(|rule| rule.accept(text))
            .transpose()
    }

    /// Returns the URL to which the browser is sent for authorization.
    ///
    /// # Errors
    /// See [`oauth::authorization_url`].
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url> {
        oauth::authorization_url(self.description(), request)
    }

    /// Checks the callback of a flow for `account_host` before its code is exchanged.
    ///
    /// # Errors
    /// [`CallbackProblem`] if the callback fails a check.
    fn check_callback(
        &self,
        cx: &Context<'_>,
        account_host: Option<&str>,
        callback: &Callback,
    ) -> Result<(), CallbackProblem> {
        let _ = (cx, account_host);
        oauth::check_callback(self.description(), callback)
    }

    /// Exchanges an authorization code, once and without retries.
    ///
    /// # Errors
    /// [`ExchangeError`], which states whether the provider may have acted on the request.
    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::exchange_code(self.description(), cx, exchange).await
    }

    /// Renews a credential, once and without retries.
    ///
    /// The call consumes the refresh token. If [`Connector::renewal`] returns [`Renewal::Mint`],
    /// the call requests a new access token instead.
    ///
    /// # Errors
    /// [`ExchangeError`], which states whether the provider may have acted on the request.
    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::refresh(self.description(), cx, credential).await
    }

    /// Requests a token for the app itself, without a connected account. `scopes` are the scopes
    /// that the application asks for.
    ///
    /// The default uses the client credentials grant (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// [`ExchangeError`], which states whether the provider may have acted on the request.
    async fn app_token(
        &self,
        cx: &Context<'_>,
        scopes: &[String],
    ) -> Result<TokenResponse, ExchangeError> {
        oauth::client_credentials(self.description(), cx, None, scopes).await
    }

    /// Returns the method by which [`Connector::refresh`] renews a credential.
    ///
    /// The default is [`Renewal::RefreshToken`] for a credential with a refresh token, and
    /// [`Renewal::Never`] for any other credential.
    fn renewal(&self, credential: &Credential) -> Renewal {
        match credential.refresh_token() {
            Some(_) => Renewal::RefreshToken,
            None => Renewal::Never,
        }
    }

    /// Returns true if a credential has an outdated form that [`Connector::migrate`] replaces, for
    /// example an access token that does not expire. The default is false.
    fn needs_migration(&self, credential: &Credential) -> bool {
        let _ = credential;
        false
    }

    /// Exchanges a credential of an outdated form for one of the provider's current form, once and
    /// without retries. The hub calls this method only when the application asks for a migration.
    ///
    /// A repeated request with the same credential must return the same tokens, at least until they
    /// are refreshed.
    ///
    /// # Errors
    /// [`ExchangeError`]. The class [`ExchangeClass::DeadGrant`](oauth::ExchangeClass::DeadGrant)
    /// means that the provider no longer accepts the credential. The default returns the error kind
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    async fn migrate(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let _ = (cx, credential);
        let message = "the provider's credentials have only one form";
        let error = Error::new(ErrorKind::Unsupported, "connector.migrate", message);
        Err(ExchangeError::new(
            ExchangeClass::Malformed,
            Sent::No,
            error,
        ))
    }

    /// Revokes a credential at the provider. Calling the method again is harmless.
    ///
    /// # Errors
    /// [`ExchangeError`]. The class [`ExchangeClass::DeadGrant`](oauth::ExchangeClass::DeadGrant)
    /// means that the grant has already ended, so there is nothing to revoke.
    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        oauth::revoke(self.description(), cx, credential).await
    }

    /// Returns the account that a credential belongs to, read from an authenticated response of the
    /// provider.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the provider rejects the credential.
    /// Other kinds depend on the response.
    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        oauth::identify(self.description(), cx, credential).await
    }

    /// Returns the classifier for responses of the provider's API.
    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(ByStatus::new())
    }

    /// Verifies the raw bytes of a delivery to `endpoint` and returns the parsed delivery.
    ///
    /// [`webhook::Event::signed`] states which parts of an event the signature covers.
    ///
    /// # Errors
    /// See [`webhook::verify`].
    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        webhook::verify(self.description(), cx, endpoint, request)
    }

    /// Returns true if the deliveries for a credential's account belong to the connection of the
    /// credential. Return false for a credential of a single user, if the account has a connection
    /// of its own that receives the deliveries. The default is true.
    fn receives_deliveries(&self, credential: &Credential) -> bool {
        let _ = credential;
        true
    }

    /// Returns the calls that maintain subscriptions at the provider.
    ///
    /// The default is `None`, for providers that have neither subscriptions nor changes to poll.
    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        None
    }
}

/// A connector for a provider that is fully defined by its description.
#[derive(Debug, Clone)]
pub struct GenericConnector {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl GenericConnector {
    /// Returns a connector for the provider that `description` describes.
    ///
    /// # Errors
    /// See [`Description::validate`].
    pub fn new(description: Description) -> Result<Self> {
        description.validate()?;
        Ok(Self {
            description,
            apps: None,
            loopbacks: Vec::new(),
        })
    }

    /// Sets the app registrations.
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
