//! The one way that calls take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use secrecy::ExposeSecret;
use tracing::Instrument;

use crate::access_token::AccessToken;
use crate::api::classify::Classifier;
use crate::api::endpoint::{Endpoint, Idempotency, IdempotencyKey, PagedEndpoint};
use crate::api::pages::Pages;
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::retry::RetryPolicy;
use crate::api::token::{FixedToken, Token, TokenSource};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::connector::Connector;
use crate::description::CallAuthentication;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::{self, AccountLimits, Answered, Budget, Draws, Limit, Permits, Priority};
use crate::http::{
    HttpTransport, Origin, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use crate::provider::ProviderId;
use crate::random::{Random, SystemRandom};

/// How often a call starts over because its token ran out while it waited for a permit.
const ROUNDS: u32 = 8;

/// Longest wait for permits of an interactive call, unless [`Session::with_patience`] sets another.
const INTERACTIVE_PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for permits of a background call, unless [`Session::with_patience`] sets another.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Calls of one connection. Cheap to clone; clones share the token, the limits and the budget of
/// repetitions.
///
/// Every call goes the same way: span, access token, permits of the limits, a second look at the
/// token, the transport with its egress guard, classification and decoding, one refresh after a 401,
/// repetition. A repetition starts again at the token. No permit is held while a call waits for a
/// token.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    class: Priority,
    patience: Option<Duration>,
    /// The application's own limits.
    extra: Arc<[Budget]>,
}

struct Shared {
    provider: ProviderId,
    authentication: CallAuthentication,
    /// Besides the credential's own.
    origins: Vec<Origin>,
    classifier: Arc<dyn Classifier>,
    tokens: Arc<dyn TokenSource>,
    transport: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    policy: RetryPolicy,
    limits: AccountLimits,
}

/// Collects what a [`Session`] is made of.
#[must_use]
pub struct SessionBuilder {
    shared: Shared,
    described: Vec<Limit>,
    limits: Option<AccountLimits>,
}

impl SessionBuilder {
    /// Sets the clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Sets the source of jitter and of idempotency keys. Default: the operating system's.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.shared.random = random;
        self
    }

    /// Sets how often calls are repeated.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.shared.policy = policy;
        self
    }

    /// Sets the account's limits, to share them with other sessions of the same account. Default:
    /// limits of its own, as the description states them.
    pub fn limits(mut self, limits: AccountLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The session.
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
    /// A session of `connector`'s provider with the tokens of one connection.
    pub fn builder(
        connector: &dyn Connector,
        tokens: Arc<dyn TokenSource>,
        transport: Arc<dyn HttpTransport>,
    ) -> SessionBuilder {
        let description = connector.description();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // Origins that stand on an account's host are the credential's own.
        let origins = description
            .api
            .iter()
            .filter(|template| !template.wants_account())
            .filter_map(|template| Origin::of(&template.url("").ok()?).ok())
            .collect();
        SessionBuilder {
            shared: Shared {
                provider: description.provider.clone(),
                authentication: description.authentication.clone(),
                origins,
                classifier: connector.classifier(),
                tokens,
                transport,
                random: Arc::new(SystemRandom::new()),
                policy: RetryPolicy::default(),
                limits: AccountLimits::alone(&[], Arc::clone(&clock)),
                clock,
            },
            described: description.limits.clone(),
            limits: None,
        }
    }

    /// A session without a hub: with a token that nobody refreshes, and limits of its own.
    #[must_use]
    pub fn fixed(
        connector: &dyn Connector,
        token: FixedToken,
        transport: Arc<dyn HttpTransport>,
    ) -> Self {
        Self::builder(connector, Arc::new(token), transport).build()
    }

    /// The same session for calls that nobody waits for: they let the others go first.
    #[must_use]
    pub fn background(&self) -> Self {
        Self {
            class: Priority::Background,
            ..self.clone()
        }
    }

    /// The same session with another longest wait for the permits of limits. A call that gets none in
    /// time fails with [`ErrorKind::RateLimited`], and [`Retry::After`] says when to repeat it.
    /// Default: 30 seconds for interactive calls, 15 minutes for background calls.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// The same session under one more limit of the application's own: for a tenant, an actor, an
    /// operation. Each call takes its cost ([`Endpoint::draws`]) from it.
    #[must_use]
    pub fn with_budget(&self, budget: Budget) -> Self {
        let extra = self.extra.iter().cloned().chain([budget]).collect();
        Self {
            extra,
            ..self.clone()
        }
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &ProviderId {
        &self.shared.provider
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Carries out an operation. Dropping the future abandons it; what it reserved stays reserved.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if its arguments do not fit: nothing was sent then. Those of the
    /// token's source. Otherwise what the provider's answer or its absence means;
    /// [`Error::retry`] is [`Retry::Never`] if it is open whether the provider carried out an
    /// operation that must not be repeated.
    pub async fn send<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output> {
        endpoint.validate()?;
        let request = match E::IDEMPOTENCY {
            Idempotency::Keyed => {
                endpoint.keyed_request(&IdempotencyKey::random(&*self.shared.random)?)?
            }
            Idempotency::Safe | Idempotency::Never => endpoint.request()?,
        };
        let call = Call {
            operation: E::NAME,
            repeat: E::IDEMPOTENCY,
            draws: endpoint.draws(),
            request,
        };
        let mut output = None;
        self.run(&call, &mut |response| {
            output = Some(E::decode(response)?);
            Ok(())
        })
        .await?;
        output.ok_or_else(|| {
            Error::new(
                ErrorKind::Bug,
                E::NAME,
                "an answer was not decoded; please report it",
            )
        })
    }

    /// The pages of an operation. The stream owns what it needs.
    pub fn pages<E: PagedEndpoint>(&self, endpoint: E) -> Pages<E::Item> {
        Pages::new(self.clone(), endpoint)
    }

    /// Sends a request that has no type yet, through the same pipeline. `repeat` says whether it may
    /// be sent again when it is open whether the provider carried it out.
    ///
    /// # Errors
    /// As for [`Session::send`]: an answer that the provider's classifier does not take for a
    /// success is an error here too.
    pub async fn raw(
        &self,
        request: Request,
        repeat: Idempotency,
    ) -> Result<http::Response<Bytes>> {
        let call = Call {
            operation: "api.raw",
            repeat,
            draws: Draws::default(),
            request,
        };
        let classifier = &self.shared.classifier;
        let response = self
            .run(&call, &mut |response| classifier.inspect(response))
            .await?;
        Ok(response.into_answer())
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
                Ok(request) => shared.transport.send(request),
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
                fresh = Some(shared.tokens.after_rejection(&token).await?);
                continue;
            }
            drop(token);
            let pause = self.pause(call, attempt, failure)?;
            tracing::debug!(
                attempt,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "the call is repeated"
            );
            shared.clock.sleep(pause).await;
            attempt += 1;
        }
    }

    /// How long to wait before the next attempt, or the error if there is none.
    fn pause(&self, call: &Call, attempt: u32, failure: Failure) -> Result<Duration> {
        let Failure { error, acted } = failure;
        let policy = &self.shared.policy;
        let asked = match error.retry() {
            Retry::Backoff => None,
            Retry::After(after) => Some(after),
            _ => return Err(error),
        };
        if acted && call.repeat == Idempotency::Never {
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

    /// A token and the permits to send with it, both good now.
    async fn admit(
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
            // Nothing is kept from others while this waits, and the newest token is taken after it.
            drop(token);
            // Boxed, so that a call which need not wait is not as large as one that does.
            let deadline = *deadline.get_or_insert_with(|| self.deadline());
            let permits = Box::pin(self.shared.limits.acquire(self.limited(call), deadline)).await;
            let permits = permits.map_err(|it| self.named(it))?;
            match tokens.token() {
                Token::Ready(token) => return Ok((token, permits)),
                // Whoever refreshes may need a permit: it is given back before the wait.
                Token::Wait(wait) => {
                    permits.release();
                    fresh = Some(wait.await?);
                }
            }
        }
        Err(Error::new(
            ErrorKind::Timeout,
            call.operation,
            "the access token ran out again and again while the call waited for the provider's \
             limit; send less at once",
        )
        .with_provider(self.shared.provider.as_str().to_owned()))
    }

    /// The time until which a call that begins to wait now waits for permits.
    fn deadline(&self) -> Monotonic {
        let usual = match self.class {
            Priority::Interactive => INTERACTIVE_PATIENCE,
            Priority::Background => BACKGROUND_PATIENCE,
        };
        let now = self.shared.clock.monotonic();
        now.after(self.patience.unwrap_or(usual))
    }

    /// The call, as far as limits are concerned.
    fn limited<'a>(&'a self, call: &'a Call) -> limit::Call<'a> {
        limit::Call {
            operation: call.operation,
            class: self.class,
            draws: &call.draws,
            extra: &self.extra,
        }
    }

    fn named(&self, error: Error) -> Error {
        error.with_provider(self.shared.provider.as_str().to_owned())
    }

    /// What one attempt came to.
    fn outcome(
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
        let mut response = Response::new(
            shared.provider.clone(),
            call.operation,
            shared.clock.now(),
            answer,
        );
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
            }),
        }
    }

    /// The request with its credential, which goes to the credential's origin or to one that the
    /// description names, and nowhere else.
    fn authenticated(&self, call: &Call, token: &AccessToken) -> Result<OutboundRequest> {
        let shared = &*self.shared;
        let refused = |kind, message| {
            Err(Error::new(kind, call.operation, message)
                .with_provider(shared.provider.as_str().to_owned()))
        };
        let origin = call.request.origin().unwrap_or(token.origin());
        if origin != token.origin() && !shared.origins.contains(origin) {
            return refused(
                ErrorKind::AddressRefused,
                "the credential must not be sent to this origin; name it in the description's `api`",
            );
        }
        let mut request = call.request.to_http(origin)?;
        if shared
            .authentication
            .attach(&mut request, token.secret().expose_secret())
            .is_none()
        {
            return refused(
                ErrorKind::UnexpectedAnswer,
                "the access token has characters that no header may have; connect again",
            );
        }
        let mut outbound = OutboundRequest::new(request);
        if let Some(timeout) = call.request.timeout() {
            outbound = outbound.with_timeout(timeout);
        }
        if let Some(bytes) = call.request.longest_answer() {
            outbound = outbound.with_longest_answer(bytes);
        }
        Ok(outbound)
    }

    fn unanswered(&self, operation: &'static str, error: TransportError) -> Failure {
        let acted = error.sent() != Sent::No;
        let (kind, message) = match (error.kind(), acted) {
            (TransportErrorKind::AddressRefused, _) => (
                ErrorKind::AddressRefused,
                "the provider's address may not be reached from here",
            ),
            (TransportErrorKind::Answer, _) => (
                ErrorKind::UnexpectedAnswer,
                "the provider's answer is too long or not HTTP; ask for less at once",
            ),
            (TransportErrorKind::Timeout, true) => (
                ErrorKind::Timeout,
                "the provider did not answer in time; it may have carried out the operation",
            ),
            (TransportErrorKind::Timeout, false) => (
                ErrorKind::Timeout,
                "the provider was not reached in time; try again later",
            ),
            (_, true) => (
                ErrorKind::Network,
                "the connection broke; the provider may have carried out the operation",
            ),
            (_, false) => (
                ErrorKind::Network,
                "the provider could not be reached; try again later",
            ),
        };
        Failure {
            error: Error::new(kind, operation, message)
                .with_provider(self.shared.provider.as_str().to_owned())
                .with_source(error),
            acted,
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

type Read<'a> = &'a mut (dyn FnMut(&mut Response) -> Result<()> + Send);

struct Call {
    operation: &'static str,
    repeat: Idempotency,
    draws: Draws,
    request: Request,
}

struct Failure {
    error: Error,
    /// Whether the provider may have carried the call out.
    acted: bool,
}

/// A refusal by the credential or by a limit comes before anything is carried out.
fn may_have_acted(error: &Error, status: StatusCode) -> bool {
    status != StatusCode::UNAUTHORIZED
        && status != StatusCode::TOO_MANY_REQUESTS
        && !matches!(
            error.kind(),
            ErrorKind::Unauthorized | ErrorKind::RateLimited
        )
}
