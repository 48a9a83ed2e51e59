//! The session: the pipeline that all API calls use.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret;
use tracing::Instrument;

use crate::access_token::AccessToken;
use crate::api::call_log::{CallLog, Recording};
use crate::api::classify::Classifier;
use crate::api::endpoint::{Endpoint, Idempotency, IdempotencyKey, PagedEndpoint, ProviderClient};
use crate::api::link::Link;
use crate::api::minted::{MintedTokens, TokenMint};
use crate::api::options::CallOptions;
use crate::api::pages::Pages;
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::retry::RetryPolicy;
use crate::api::token::{FixedToken, Token, TokenSource};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::context::{Actor, CorrelationId, RequestContext};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::{self, AccountLimits, Answered, Budget, Draws, Limit, Permits, Priority};
use crate::http::{
    HostRule, HttpTransport, Origin, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use crate::provider::Connector;
use crate::provider::description::CallAuthentication;
use crate::provider_id::ProviderId;
use crate::random::{Random, SystemRandom};

/// Maximum number of times that a call starts again because its token expired during the wait for a
/// permit.
const ROUNDS: u32 = 8;

/// Default of [`Session::with_patience`] for interactive calls.
const INTERACTIVE_PATIENCE: Duration = Duration::from_secs(30);
/// Default of [`Session::with_patience`] for background calls.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Sends the API calls of one connection. Cheap to clone. Clones share the token, the rate limits
/// and the retry budget.
///
/// Every call has the same steps: tracing span, access token, rate-limit permits, a second check of
/// the token, the transport with its egress guard, classification and decoding, one refresh after a
/// 401, and retries. A retry starts again at the access token. A call that waits for a token holds
/// no permit.
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
    class: Priority,
    patience: Option<Duration>,
    /// The application's own rate limits.
    extra: Arc<[Budget]>,
    /// The actor and the correlation id for request records.
    context: Option<Arc<RequestContext>>,
}

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) provider: ProviderId,
    pub(super) authentication: CallAuthentication,
    /// Headers from the description.
    headers: HeaderMap,
    /// Allowed origins in addition to the credential's origin.
    pub(super) origins: Vec<Origin>,
    /// Allowed hosts of links.
    pub(super) links: Vec<HostRule>,
    pub(super) classifier: Arc<dyn Classifier>,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) transport: Arc<dyn HttpTransport>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) policy: RetryPolicy,
    pub(super) limits: AccountLimits,
    pub(super) log: Option<Arc<dyn CallLog>>,
}

/// Builder for a [`Session`].
#[must_use]
pub struct SessionBuilder {
    shared: Shared,
    described: Vec<Limit>,
    limits: Option<AccountLimits>,
}

impl SessionBuilder {
    /// Sets the clock. Default: the system clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Sets the random source for jitter and idempotency keys. Default: the random source of the
    /// operating system.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.shared.random = random;
        self
    }

    /// Sets the retry policy.
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.shared.policy = policy;
        self
    }

    /// Sets the account's rate limits, so that several sessions of one account can share them.
    /// Default: new rate limits according to the provider's description.
    pub fn limits(mut self, limits: AccountLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the log that receives a record of each request. Default: no log.
    pub fn call_log(mut self, log: Arc<dyn CallLog>) -> Self {
        self.shared.log = Some(log);
        self
    }

    /// Builds the session.
    #[must_use]
    pub fn build(mut self) -> Session {
        self.shared.limits = match self.limits {
            Some(limits) => limits,
            None => AccountLimits::alone(&self.described, Arc::clone(&self.shared.clock)),
        };
        Session {
            shared: Arc::new(self.shared),
            class: Priority::default(),
            patience: None,
            extra: Arc::new([]),
            context: None,
        }
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("provider", &self.shared.provider)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Returns a builder for a session with `connector`'s provider and the tokens of one
    /// connection.
    pub fn builder(
        connector: &dyn Connector,
        tokens: Arc<dyn TokenSource>,
        transport: Arc<dyn HttpTransport>,
    ) -> SessionBuilder {
        let description = connector.description();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // An allowed origin on the account's host is the credential's origin.
        let origins = description
            .api
            .iter()
            .filter(|template| !template.wants_account())
            .filter_map(|template| Origin::of(&template.url("").ok()?).ok())
            .collect();
        let mut headers = HeaderMap::new();
        description.add_headers(&mut headers);
        SessionBuilder {
            shared: Shared {
                provider: description.provider.clone(),
                authentication: description.authentication.clone(),
                headers,
                origins,
                links: description.links.clone(),
                classifier: connector.classifier(),
                tokens,
                transport,
                random: Arc::new(SystemRandom::new()),
                policy: RetryPolicy::default(),
                limits: AccountLimits::alone(&[], Arc::clone(&clock)),
                clock,
                log: None,
            },
            described: description.limits.clone(),
            limits: None,
        }
    }

    /// Creates a session without a hub. The session uses a fixed token, which is never refreshed,
    /// and does not share its rate limits.
    #[must_use]
    pub fn fixed(
        connector: &dyn Connector,
        token: FixedToken,
        transport: Arc<dyn HttpTransport>,
    ) -> Self {
        Self::builder(connector, Arc::new(token), transport).build()
    }

    /// Returns a session for background calls. Interactive calls have priority over background
    /// calls.
    #[must_use]
    pub fn background(&self) -> Self {
        Self {
            class: Priority::Background,
            ..self.clone()
        }
    }

    /// Returns a session with another maximum wait for rate-limit permits. A call that gets no
    /// permit in time fails with [`ErrorKind::RateLimited`], and [`Retry::After`] contains the time
    /// to wait before you retry. Default: 30 seconds for interactive calls, 15 minutes for
    /// background calls.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// Returns a session with an additional rate limit of your application, for example for a
    /// tenant, an actor or an operation. Each call consumes its cost ([`Endpoint::draws`]) from
    /// this limit.
    #[must_use]
    pub fn with_budget(&self, budget: Budget) -> Self {
        let extra = self.extra.iter().cloned().chain([budget]).collect();
        Self {
            extra,
            ..self.clone()
        }
    }

    /// Returns a session whose request records ([`CallLog`]) contain `context`. By default, the
    /// records name the service `application` as the actor.
    #[must_use]
    pub fn with_context(&self, context: RequestContext) -> Self {
        Self {
            context: Some(Arc::new(context)),
            ..self.clone()
        }
    }

    /// Returns a session that uses `tokens` and shares the rate limits of this session. Use this
    /// method for operations that require a token derived from the connection's token, for example
    /// for restricted data or for an installation. [`MintedTokens`](crate::api::MintedTokens)
    /// requests and caches such tokens. Clones of the session share the tokens.
    #[must_use]
    pub fn with_tokens(&self, tokens: Arc<dyn TokenSource>) -> Self {
        let shared = Shared {
            tokens,
            ..(*self.shared).clone()
        };
        Self {
            shared: Arc::new(shared),
            ..self.clone()
        }
    }

    /// Returns a session with tokens that `mint` requests. The tokens are cached in memory, and
    /// clones of the session share them. `mint` may contain a clone of this session and use the
    /// clone to request tokens.
    #[must_use]
    pub fn with_mint(&self, mint: impl TokenMint) -> Self {
        let tokens = MintedTokens::new(mint, Arc::clone(&self.shared.clock));
        self.with_tokens(Arc::new(tokens))
    }

    /// Returns the origin of the credential. A call is sent to this origin unless the call's
    /// request has another origin.
    ///
    /// # Errors
    /// The errors of the token source.
    pub async fn origin(&self) -> Result<Origin> {
        let token = match self.shared.tokens.token() {
            Token::Ready(token) => token,
            Token::Wait(wait) => wait.await?,
        };
        Ok(token.origin().clone())
    }

    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> &ProviderId {
        &self.shared.provider
    }

    pub(super) const fn priority(&self) -> Priority {
        self.class
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Sends an operation and decodes its response. Dropping the future cancels the call, but does
    /// not return the rate-limit units that the call consumed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the arguments are invalid; in this case, nothing is sent. The
    /// errors of the token source. Otherwise an error for the provider's response or for the
    /// missing response. [`Error::retry`] is [`Retry::Never`] if a non-idempotent operation was
    /// sent and the provider may have executed the operation.
    pub async fn send<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output> {
        self.send_with(endpoint, CallOptions::new()).await
    }

    /// Sends an operation with call options.
    ///
    /// # Errors
    /// The errors of [`Session::send`]. [`ErrorKind::InvalidInput`] if an idempotency key is set
    /// for an operation that does not accept one.
    pub async fn send_with<E: Endpoint>(
        &self,
        endpoint: &E,
        options: CallOptions,
    ) -> Result<E::Output> {
        let call = self.call(endpoint, options)?;
        let mut output = None;
        self.run(&call, &mut |response| {
            output = Some(endpoint.decode(response)?);
            Ok(())
        })
        .await?;
        output.ok_or_else(|| {
            Error::new(
                ErrorKind::Bug,
                E::NAME,
                "the response was not decoded; please report it",
            )
        })
    }

    /// Returns the pages of an operation as a `'static` stream.
    pub fn pages<E: PagedEndpoint>(&self, endpoint: E) -> Pages<E::Item> {
        Pages::new(self.clone(), endpoint)
    }

    /// Sends a request without a typed operation. Returns the final response, whatever its status.
    /// `idempotency` determines whether the request is retried if the provider may have executed
    /// it.
    ///
    /// As for typed operations, a 401 triggers one refresh, and retryable error responses (429,
    /// 5xx) are retried.
    ///
    /// # Errors
    /// The errors of the token source, and errors of requests that received no response.
    pub async fn raw(&self, request: Request, idempotency: Idempotency) -> Result<RawResponse> {
        let call = Call {
            operation: "api.raw",
            idempotency,
            scopes: &[],
            further_scopes: &[],
            draws: Draws::default(),
            timeout: None,
            priority: self.class,
            returns_refusals: true,
            request,
        };
        let classifier = &self.shared.classifier;
        let response = self
            .run(&call, &mut |response| classifier.inspect(response))
            .await?;
        Ok(response.into_answer())
    }

    /// Creates a link from a URL in a response of this provider, for example a URL for a download,
    /// an upload or an export. The link is fetched unchanged and without credentials. Redirects are
    /// rejected.
    ///
    /// # Errors
    /// [`ErrorKind::AddressRefused`] if the URL is not https, or if the description's
    /// [`links`](crate::provider::Description::links) do not list its host.
    pub fn link(&self, url: impl AsRef<str>) -> Result<Link> {
        Link::new(&self.shared.provider, &self.shared.links, url.as_ref())
    }

    /// Builds the call of `endpoint`.
    pub(super) fn call<E: Endpoint>(&self, endpoint: &E, options: CallOptions) -> Result<Call> {
        let wrong =
            |message| Err(self.named(Error::new(ErrorKind::InvalidInput, E::NAME, message)));
        if E::Client::PROVIDER != self.shared.provider {
            return wrong("the operation and the session belong to different providers");
        }
        endpoint.validate()?;
        let request = match (E::IDEMPOTENCY, options.idempotency_key) {
            (Idempotency::Keyed, Some(key)) => endpoint.keyed_request(&key)?,
            (Idempotency::Keyed, None) => {
                endpoint.keyed_request(&IdempotencyKey::random(&*self.shared.random)?)?
            }
            (_, None) => endpoint.request()?,
            (_, Some(_)) => {
                return wrong("the operation accepts no idempotency key; remove the key");
            }
        };
        Ok(Call {
            operation: E::NAME,
            idempotency: E::IDEMPOTENCY,
            scopes: E::SCOPES,
            further_scopes: endpoint.further_scopes(self.shared.clock.now()),
            draws: endpoint.draws(),
            timeout: options.timeout,
            priority: options.priority.unwrap_or(self.class),
            returns_refusals: false,
            request,
        })
    }

    async fn run(&self, call: &Call, read: Read<'_>) -> Result<Response> {
        let span = tracing::debug_span!(
            "call",
            connector = self.shared.provider.as_str(),
            operation = call.operation
        );
        self.attempts(call, read).instrument(span).await
    }

    async fn attempts(&self, call: &Call, read: Read<'_>) -> Result<Response> {
        let shared = &*self.shared;
        let mut attempt = 1;
        let mut fresh = None;
        let mut refreshed = false;
        loop {
            let (token, permits) = self.admit(call, fresh.take()).await?;
            let sending = match self.authenticated(call, &token) {
                Ok(request) => self.sending(call, request),
                Err(error) => {
                    permits.release();
                    return Err(error);
                }
            };
            let answer = sending.await;
            let failure = match self.outcome(call, &token, permits, answer, read) {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if failure.error.kind() == ErrorKind::Unauthorized && !refreshed {
                refreshed = true;
                match (
                    shared.tokens.after_rejection(&token).await,
                    failure.response,
                ) {
                    (Ok(other), _) => fresh = Some(other),
                    // No other token is available, so return the 401 response.
                    (Err(error), Some(response))
                        if call.returns_refusals && error.kind() == ErrorKind::Unauthorized =>
                    {
                        return Ok(*response);
                    }
                    (Err(error), _) => return Err(error),
                }
                continue;
            }
            drop(token);
            let Failure {
                error,
                acted,
                response,
            } = failure;
            let pause = match (self.pause(call, attempt, error, acted), response) {
                (Ok(pause), _) => pause,
                (Err(_), Some(response)) if call.returns_refusals => return Ok(*response),
                (Err(error), _) => return Err(error),
            };
            self.rest(attempt, pause).await;
            attempt += 1;
        }
    }

    /// Sends a request and records it if a call log is configured. The record contains the
    /// classified result of the response, so recording needs a separate future. That future is
    /// boxed to keep the future of an unrecorded call small.
    fn sending<'a>(&'a self, call: &'a Call, request: http::Request<Bytes>) -> Sending<'a> {
        let sending = self.shared.transport.send(Self::outbound(call, request));
        if self.shared.log.is_none() {
            return sending;
        }
        let recording = self.recording(call);
        Box::pin(async move {
            let answer = sending.await;
            let failure = match &answer {
                Ok(answer) => {
                    let mut response = self.response(call, answer.clone());
                    self.shared.classifier.classify(&mut response).err()
                }
                Err(error) => {
                    let error = TransportError::new(error.kind(), error.sent());
                    Some(self.unanswered(call.operation, error).error)
                }
            };
            match (&failure, &answer) {
                (Some(error), _) => recording.failed(error).await,
                (None, Ok(answer)) => recording.succeeded(answer.status(), answer.headers()).await,
                (None, Err(_)) => {}
            }
            answer
        })
    }

    /// Starts the record of a request, if a call log is configured.
    pub(super) fn recording(&self, call: &Call) -> Recording<'_> {
        let Some(log) = &self.shared.log else {
            return Recording::off();
        };
        let context = match &self.context {
            Some(context) => RequestContext::clone(context),
            None => RequestContext::new(
                Actor::Service("application".to_owned()),
                CorrelationId::default(),
            ),
        };
        Recording::new(log, call.operation, context)
    }

    /// Waits before the next attempt.
    pub(super) async fn rest(&self, attempt: u32, pause: Duration) {
        tracing::debug!(
            attempt,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "retrying the call"
        );
        self.shared.clock.sleep(pause).await;
    }

    /// Returns the pause before the next attempt, or the error if the call is not retried.
    pub(super) fn pause(
        &self,
        call: &Call,
        attempt: u32,
        error: Error,
        acted: bool,
    ) -> Result<Duration> {
        let policy = &self.shared.policy;
        let asked = match error.retry() {
            Retry::Backoff => None,
            Retry::After(after) => Some(after),
            _ => return Err(error),
        };
        if acted && call.idempotency == Idempotency::Never {
            return Err(error.with_retry(Retry::Never));
        }
        if asked.is_some_and(|after| after > policy.longest_wait) {
            return Err(error);
        }
        if attempt >= policy.attempts.max(1) || !self.shared.limits.retries().spend() {
            return Err(match asked {
                None if attempt > 1 => error.with_retry(Retry::Exhausted),
                _ => error,
            });
        }
        match asked {
            Some(after) => Ok(after),
            None => policy.pause(attempt, &*self.shared.random),
        }
    }

    /// Returns a token and permits for a call. The token and the permits are both valid at the time
    /// of return.
    pub(super) async fn admit(
        &self,
        call: &Call,
        mut fresh: Option<AccessToken>,
    ) -> Result<(AccessToken, Permits)> {
        let tokens = &self.shared.tokens;
        let mut deadline = None;
        for _ in 0..ROUNDS {
            let token = match fresh.take() {
                Some(token) => token,
                None => match tokens.token() {
                    Token::Ready(token) => token,
                    Token::Wait(wait) => wait.await?,
                },
            };
            let permits = self.shared.limits.try_acquire(self.limited(call));
            if let Some(permits) = permits.map_err(|it| self.named(it))? {
                return Ok((token, permits));
            }
            // Drop the token while waiting for permits, and take the newest token afterwards.
            drop(token);
            // Boxed to keep the future small for calls that do not wait.
            let deadline = *deadline.get_or_insert_with(|| self.deadline(call.priority));
            let permits = Box::pin(self.shared.limits.acquire(self.limited(call), deadline)).await;
            let permits = permits.map_err(|it| self.named(it))?;
            match tokens.token() {
                Token::Ready(token) => return Ok((token, permits)),
                // The refresh may need a permit, so return the permits before waiting.
                Token::Wait(wait) => {
                    permits.release();
                    fresh = Some(wait.await?);
                }
            }
        }
        Err(self.named(Error::new(
            ErrorKind::Timeout,
            call.operation,
            "the access token expired repeatedly while the call waited for the provider's \
             limit; send less at once",
        )))
    }

    /// Returns the deadline for a call that starts to wait for permits now.
    pub(super) fn deadline(&self, priority: Priority) -> Monotonic {
        let usual = match priority {
            Priority::Interactive => INTERACTIVE_PATIENCE,
            Priority::Background => BACKGROUND_PATIENCE,
        };
        let now = self.shared.clock.monotonic();
        now.after(self.patience.unwrap_or(usual))
    }

    /// Returns the properties of the call that determine its rate limits.
    pub(super) fn limited<'a>(&'a self, call: &'a Call) -> limit::Call<'a> {
        limit::Call {
            operation: call.operation,
            class: call.priority,
            draws: &call.draws,
            extra: &self.extra,
        }
    }

    /// Adds the provider's name to an error.
    pub(super) fn named(&self, error: Error) -> Error {
        error.with_provider(self.shared.provider.as_str().to_owned())
    }

    /// Converts the result of one attempt to a response or a failure.
    pub(super) fn outcome(
        &self,
        call: &Call,
        token: &AccessToken,
        permits: Permits,
        answer: Result<http::Response<Bytes>, TransportError>,
        read: Read<'_>,
    ) -> Result<Response, Failure> {
        let shared = &*self.shared;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                match error.sent() {
                    Sent::No => permits.release(),
                    Sent::Maybe | Sent::Answered => drop(permits),
                }
                return Err(self.unanswered(call.operation, error));
            }
        };
        let mut response = self.response(call, answer);
        let outcome = match shared.classifier.classify(&mut response) {
            Ok(()) => read(&mut response),
            Err(error) => Err(error),
        };
        let answered = Answered {
            reports: response.take_reports(),
            headers: response.headers(),
            received: response.received(),
            refused: outcome
                .as_ref()
                .err()
                .filter(|error| error.kind() == ErrorKind::RateLimited)
                .map(Error::retry),
        };
        shared.limits.settle(permits, self.limited(call), &answered);
        if response.status().is_success()
            && !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Unauthorized)
        {
            shared.tokens.accepted(token);
        }
        match outcome {
            Ok(()) => {
                shared.limits.retries().earn();
                Ok(response)
            }
            Err(error) => Err(Failure {
                acted: may_have_acted(&error, response.status()),
                error,
                response: call.returns_refusals.then(|| Box::new(response)),
            }),
        }
    }

    /// Adds the credential to the request. The target must be the credential's origin or an origin
    /// that the description lists. All other targets are rejected.
    pub(super) fn authenticated(
        &self,
        call: &Call,
        token: &AccessToken,
    ) -> Result<http::Request<Bytes>> {
        let shared = &*self.shared;
        let missing = missing_scope(call.scopes, token.scopes());
        let missing = missing.or_else(|| missing_scope(call.further_scopes, token.scopes()));
        if let Some(scope) = missing {
            let error = Error::new(
                ErrorKind::Forbidden,
                call.operation,
                format!(
                    "the connection was not granted the scope {}; connect the account again and \
                     request the scope",
                    scope.replace(' ', " or ")
                ),
            );
            return Err(self.named(error).with_retry(Retry::AfterReauthorization));
        }
        let refused = |kind, message| Err(self.named(Error::new(kind, call.operation, message)));
        let origin = call.request.origin().unwrap_or(token.origin());
        if origin != token.origin() && !shared.origins.contains(origin) {
            return refused(
                ErrorKind::AddressRefused,
                "the credential must not be sent to this origin; add it to the description's `api`",
            );
        }
        let mut request = call.request.to_http(origin)?;
        // Headers that the operation sets take precedence.
        for (name, value) in &shared.headers {
            let known = request.headers_mut().entry(name.clone());
            known.or_insert_with(|| value.clone());
        }
        if shared
            .authentication
            .attach(&mut request, token.secret().expose_secret())
            .is_none()
        {
            return refused(
                ErrorKind::UnexpectedResponse,
                "the access token contains characters that are invalid in a header; connect again",
            );
        }
        Ok(request)
    }

    /// Creates the outbound request with the call's timeout and maximum response size.
    fn outbound(call: &Call, request: http::Request<Bytes>) -> OutboundRequest {
        let mut outbound = OutboundRequest::new(request);
        if let Some(timeout) = call.timeout.or(call.request.timeout()) {
            outbound = outbound.with_timeout(timeout);
        }
        if let Some(bytes) = call.request.max_response_len() {
            outbound = outbound.with_max_response_len(bytes);
        }
        outbound
    }

    pub(super) fn unanswered(&self, operation: &'static str, error: TransportError) -> Failure {
        let acted = error.sent() != Sent::No;
        let (kind, message) = match (error.kind(), acted) {
            (TransportErrorKind::AddressRefused, _) => (
                ErrorKind::AddressRefused,
                "requests to the provider's address are not allowed",
            ),
            (TransportErrorKind::Unsupported, _) => (
                ErrorKind::Unsupported,
                "the transport does not support streams; use the transport of connector-http",
            ),
            (TransportErrorKind::Answer, _) => (
                ErrorKind::UnexpectedResponse,
                "the provider's response is too long or not HTTP; request less data at once",
            ),
            (TransportErrorKind::Timeout, true) => (
                ErrorKind::Timeout,
                "the provider did not respond in time; it may have executed the operation",
            ),
            (TransportErrorKind::Timeout, false) => (
                ErrorKind::Timeout,
                "no connection to the provider in time; try again later",
            ),
            (_, true) => (
                ErrorKind::Network,
                "the connection failed; the provider may have executed the operation",
            ),
            (_, false) => (
                ErrorKind::Network,
                "the provider could not be reached; try again later",
            ),
        };
        Failure {
            error: self
                .named(Error::new(kind, operation, message))
                .with_source(error),
            acted,
            response: None,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("provider", &self.shared.provider)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, TransportError>> + Send + 'a>>;

pub(super) type Read<'a> = &'a mut (dyn FnMut(&mut Response) -> Result<()> + Send);

/// A complete response that has not been decoded, returned by [`Session::raw`].
pub type RawResponse = http::Response<Bytes>;

pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) idempotency: Idempotency,
    pub(super) scopes: &'static [&'static str],
    pub(super) further_scopes: &'static [&'static str],
    pub(super) draws: Draws,
    /// Timeout of each attempt. If unset, the request's timeout applies.
    pub(super) timeout: Option<Duration>,
    pub(super) priority: Priority,
    /// True if the call returns the last error response as a response instead of an error.
    pub(super) returns_refusals: bool,
    pub(super) request: Request,
}

pub(super) struct Failure {
    pub(super) error: Error,
    /// True if the provider may have executed the call.
    pub(super) acted: bool,
    /// The error response, for calls that return error responses.
    pub(super) response: Option<Box<Response>>,
}

/// Returns the first entry of `needed` that is not in `granted`. Returns `None` if all are granted,
/// or if the provider did not state the granted scopes. An entry can contain alternative scopes,
/// separated by spaces.
fn missing_scope(needed: &'static [&'static str], granted: &[String]) -> Option<&'static str> {
    let is_granted = |scope: &str| granted.iter().any(|it| it == scope);
    if granted.is_empty() {
        return None;
    }
    needed
        .iter()
        .find(|entry| !entry.split(' ').any(is_granted))
        .copied()
}

/// Returns true if the provider may have executed the call. A provider rejects invalid credentials
/// and rate-limited calls before execution.
fn may_have_acted(error: &Error, status: StatusCode) -> bool {
    status != StatusCode::UNAUTHORIZED
        && status != StatusCode::TOO_MANY_REQUESTS
        && !matches!(
            error.kind(),
            ErrorKind::Unauthorized | ErrorKind::RateLimited
        )
}
