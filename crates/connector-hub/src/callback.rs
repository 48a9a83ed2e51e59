//! The second half of a connect flow: the callback. A browser may load the callback page several
//! times.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::{SealContext, SealedKind};
use connector_core::http::Sent;
use connector_core::provider::Context;
use connector_core::provider::description::GrantsPerAccount;
use connector_core::provider::oauth::{
    Callback, CallbackProblem, CodeExchange, ExchangeClass, ExchangeError, TokenResponse,
};
use connector_core::store::{
    BeginOutcome, ClaimId, ConnectOutcome, NewQuarantine, StateKey, Stored,
};
use connector_core::{
    Actor, App, ConnectionId, ConnectionKey, CorrelationId, Error, ErrorKind, ProviderId, Result,
    Retry, TenantId,
};
use secrecy::SecretString;
use tracing::Instrument as _;

use crate::authorize::KEEP_FOR;
use crate::connect::{ClaimEnd, Claimed, ConnectFailure, Connected, outliving};
use crate::flow::{Answer, Binding, CALLBACK, Flow, Purpose, Reason, Sibling, row_of};
use crate::hub::{Hub, Inner};
use crate::sealing::SealOwner;
use crate::token::renewal;

/// The reason of an error after which the grant is kept and a worker finishes the flow.
const GRANT_KEPT: &str = "grant_kept";
/// Maximum time that a repeated load of the callback page waits for the first load.
const SECOND_LOAD: Duration = Duration::from_secs(15);
/// Interval at which a repeated load polls the flow.
const SECOND_LOAD_POLL: Duration = Duration::from_millis(500);
/// Time after which a worker resumes a quarantined token response.
const WORKER_AFTER: Duration = Duration::from_secs(120);
/// Maximum time to keep a token response in memory while the store is unavailable.
const QUARANTINE_PATIENCE: Duration = Duration::from_secs(5 * 60);

impl Hub {
    /// Finishes a connect flow. `query` is the raw query of the callback request on the path of
    /// `provider`. `binding` is the value of the browser's cookie, see
    /// [`Authorization::binding`](crate::Authorization::binding). Name the logged-in user
    /// ([`FinishConnect::actor`], [`FinishConnect::tenant`]), or call [`FinishConnect::unbound`] if no
    /// user is logged in.
    ///
    /// Await the builder. The flow continues to its end even if the caller drops the future.
    /// Loading the page again is safe: the code is sent to the provider once, and every load
    /// returns the same outcome.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if neither actor nor tenant is named.
    /// * [`ErrorKind::CallbackRefused`] if the callback does not belong to a flow of this browser,
    ///   if the owner denied consent, or if the provider refused: connect again.
    /// * [`ErrorKind::Forbidden`] if scopes are missing that the connector requires.
    /// * [`ErrorKind::ConnectedElsewhere`], [`ErrorKind::AppMisconfigured`],
    ///   [`ErrorKind::ProviderUnavailable`] and other kinds: the flow has ended for this reason.
    ///
    /// If [`Error::retry`] is [`Retry::Backoff`], the flow has not ended: load the page again. If
    /// [`Error::reason`] is `grant_kept`, the provider granted access and a worker finishes the flow.
    pub fn callback(
        &self,
        provider: ProviderId,
        query: &str,
        binding: impl Into<SecretString>,
    ) -> FinishConnect {
        // If the connector is missing, handling the callback returns the error.
        let code_parameter = self
            .inner
            .connector(&provider)
            .map_or("code", |it| it.description().code_parameter());
        FinishConnect {
            hub: self.clone(),
            callback: Callback::parse_with(query, code_parameter),
            provider,
            binding: Binding::of(&binding.into()),
            actor: None,
            tenant: None,
            unbound: false,
        }
    }
}

/// The details of a pending or finished connect flow that may be shown to the browser that started
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowInfo {
    /// The tenant for which the flow was started.
    pub tenant: TenantId,
    /// The actor who started the flow.
    pub actor: Actor,
    /// The provider.
    pub provider: ProviderId,
    /// The id that links the flow to your application's log.
    pub correlation: CorrelationId,
    /// The connection that the flow reconnects.
    pub connection: Option<ConnectionId>,
    /// The return address that was set when the flow started.
    pub return_to: Option<String>,
}

/// Builder that finishes a connect flow. Await the builder.
#[must_use = "the builder does nothing until it is awaited"]
pub struct FinishConnect {
    hub: Hub,
    provider: ProviderId,
    callback: Result<Callback>,
    binding: Binding,
    actor: Option<Actor>,
    tenant: Option<TenantId>,
    unbound: bool,
}

impl fmt::Debug for FinishConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishConnect")
            .field("provider", &self.provider)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl FinishConnect {
    /// Sets the logged-in user. The hub rejects the callback if another actor started the flow.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Sets the tenant of the current session. The hub rejects the callback if the flow was started
    /// for another tenant.
    pub fn tenant(mut self, tenant: &TenantId) -> Self {
        self.tenant = Some(tenant.clone());
        self
    }

    /// States that the application knows neither actor nor tenant at its callback. In this case,
    /// only the browser's cookie binds the callback to the flow. An attacker who can set this
    /// cookie, for example from a subdomain, can connect the attacker's account to the victim's
    /// tenant.
    pub fn unbound(mut self) -> Self {
        self.unbound = true;
        self
    }
}

impl IntoFuture for FinishConnect {
    type Output = Result<Connected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if self.actor.is_none() && self.tenant.is_none() && !self.unbound {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    CALLBACK,
                    "the callback has neither an actor nor a tenant; set the logged-in user or \
                     the tenant, or call unbound() if the application knows neither",
                ));
            }
            let callback = self.callback?;
            let Some(state) = callback.state().map(StateKey::of) else {
                return Err(unknown());
            };
            let visit = Visit {
                provider: self.provider,
                callback,
                state,
                binding: self.binding,
                actor: self.actor,
                tenant: self.tenant,
            };
            let inner = Arc::clone(&self.hub.inner);
            let hub = Arc::clone(&inner);
            outliving(&hub, CALLBACK, async move { inner.visit(visit).await }).await
        })
    }
}

/// One load of the callback page.
struct Visit {
    provider: ProviderId,
    callback: Callback,
    state: StateKey,
    binding: Binding,
    actor: Option<Actor>,
    tenant: Option<TenantId>,
}

impl Visit {
    /// Returns the reason if this callback does not match a flow that this browser started.
    fn mismatch(&self, flow: &Flow) -> Option<Reason> {
        let purpose = &flow.purpose;
        if self.provider != purpose.provider {
            Some(Reason::OTHER_PROVIDER)
        } else if self
            .tenant
            .as_ref()
            .is_some_and(|tenant| *tenant != purpose.tenant)
        {
            Some(Reason::OTHER_TENANT)
        } else if self
            .actor
            .as_ref()
            .is_some_and(|actor| *actor != purpose.actor)
        {
            Some(Reason::OTHER_ACTOR)
        } else {
            None
        }
    }
}

impl Hub {
    /// Returns the flow that a callback belongs to, without changing it. A callback that fails has
    /// no [`Connected`], so its handler reads the return address here. Arguments as for
    /// [`Hub::callback`].
    ///
    /// Returns `None` if no flow of this browser has this state, as for an expired or a foreign
    /// flow.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`], and the errors of a store whose data this version cannot
    /// read.
    pub async fn flow(
        &self,
        provider: &ProviderId,
        query: &str,
        binding: impl Into<SecretString>,
    ) -> Result<Option<FlowInfo>> {
        let inner = &self.inner;
        let parameter = inner.connector(provider)?.description().code_parameter();
        let Ok(callback) = Callback::parse_with(query, parameter) else {
            return Ok(None);
        };
        let Some(state) = callback.state().map(StateKey::of) else {
            return Ok(None);
        };
        let flow = inner.recall(&state).await?;
        let binding = Binding::of(&binding.into());
        let flow = flow.filter(|it| binding.is(it.binding) && it.purpose.provider == *provider);
        Ok(flow.map(|it| FlowInfo {
            tenant: it.purpose.tenant,
            actor: it.purpose.actor,
            provider: it.purpose.provider,
            correlation: it.purpose.correlation,
            connection: it.purpose.connection,
            return_to: it.return_to,
        }))
    }
}

impl Inner {
    async fn visit(&self, visit: Visit) -> Result<Connected> {
        let flow = self.recall(&visit.state).await?.ok_or_else(unknown)?;
        // Check this before claiming the flow, so that a request from another browser cannot use up
        // the flow.
        if !visit.binding.is(flow.binding) {
            return Err(unknown());
        }
        match self.begin(&visit).await? {
            BeginOutcome::First => {
                let span = tracing::info_span!(
                    "hub.callback",
                    connector = flow.purpose.provider.as_str(),
                    correlation = flow.purpose.correlation.as_str(),
                );
                let finish = async {
                    let settled = self.first_visit(&visit, &flow).await;
                    self.conclude(&visit.state, &flow, settled).await
                };
                finish.instrument(span).await
            }
            outcome => match visit.mismatch(&flow) {
                Some(reason) => Err(reason.error(CALLBACK, None)),
                None => self.later_visit(&visit, &flow, outcome).await,
            },
        }
    }

    async fn begin(&self, visit: &Visit) -> Result<BeginOutcome> {
        let digest = visit.callback.code_digest();
        self.store
            .begin(&visit.state, visit.binding.as_bytes(), &digest)
            .await
    }

    /// Returns the stored flow.
    async fn recall(&self, state: &StateKey) -> Result<Option<Flow>> {
        let Some(kept) = self.store.state(state).await? else {
            return Ok(None);
        };
        let row = row_of(state);
        let context = SealContext::new(
            Some(&kept.tenant),
            &kept.provider,
            &kept.app,
            &row,
            SealedKind::State,
        );
        let plaintext = self.open_flow(&context, &kept.sealed).await?;
        Flow::from_plaintext(&plaintext).map(Some)
    }

    /// Records the outcome of the flow unless an outcome is already recorded. Returns the recorded
    /// outcome.
    async fn conclude(
        &self,
        state: &StateKey,
        flow: &Flow,
        settled: Result<Connected, ConnectFailure>,
    ) -> Result<Connected> {
        self.record_end(state, &flow.purpose, &settled).await;
        match settled {
            Ok(connected) => Ok(connected.with_return(flow.return_to.clone())),
            Err(ConnectFailure::Refused(reason, cause)) => {
                let error = reason.error(CALLBACK, cause);
                // An error message contains the error code only together with the provider's name.
                Err(error.with_provider(flow.purpose.provider.as_str().to_owned()))
            }
            Err(ConnectFailure::Later(error)) => Err(unfinished(error)),
        }
    }

    async fn first_visit(&self, visit: &Visit, flow: &Flow) -> Result<Connected, ConnectFailure> {
        let refused = |reason| Err(ConnectFailure::Refused(reason, None));
        if let Some(reason) = visit.mismatch(flow) {
            return refused(reason);
        }
        if flow.expires_at <= self.clock.now() {
            return refused(Reason::EXPIRED);
        }
        // A failure before the code is sent ends the flow. The state cannot be used again, and no
        // grant is lost.
        let before = |error: Error| ConnectFailure::Refused(Reason::INTERRUPTED, Some(error));
        let purpose = &flow.purpose;
        let connector = self.connector(&purpose.provider).map_err(before)?;
        let app = self
            .app(&purpose.provider, &purpose.tenant, &purpose.app)
            .await;
        let app = app.map_err(before)?;
        if app.client_id() != flow.client_id {
            return refused(Reason::APP_CHANGED);
        }
        // The redirect URI must equal the one in the authorization request (RFC 6749 section
        // 4.1.3).
        let app = match &flow.redirect_uri {
            Some(redirect_uri) => App::clone(&app).with_redirect_uri(redirect_uri.clone()),
            None => App::clone(&app),
        };
        let cx = Context::new(&app, &*self.transport, &*self.clock);
        let host = purpose.account_host.as_deref();
        if let Err(problem) = connector.check_callback(&cx, host, &visit.callback) {
            let cause = provider_error(&visit.callback);
            return Err(ConnectFailure::Refused(Reason::of_problem(problem), cause));
        }
        let Some(code) = visit.callback.code() else {
            return refused(Reason::of_problem(CallbackProblem::Incomplete));
        };
        let at_host = self.at_host(purpose).await.map_err(before)?;
        if connector.description().grants_per_account == GrantsPerAccount::One
            && !purpose.takeover
            && purpose.is_elsewhere(&at_host)
        {
            return refused(Reason::CONNECTED_ELSEWHERE);
        }
        let claim = match self.known(purpose, at_host).await.map_err(before)? {
            Some(known) => Some(self.claim_known(flow, &known).await?),
            None => None,
        };

        let exchange = CodeExchange::new(&code, &flow.verifier)
            .with_account_host(host)
            .with_callback(&visit.callback)
            .with_parameters(&flow.parameters);
        let mut token_response = match connector.exchange_code(&cx, &exchange).await {
            Ok(answer) => answer,
            Err(error) => {
                if let Some(claim) = &claim
                    && error.sent() != Sent::Maybe
                {
                    self.give_back(claim).await;
                }
                let reason = Reason::of_exchange(&error);
                return Err(ConnectFailure::Refused(reason, Some(error.into_error())));
            }
        };
        let (description, now) = (connector.description(), self.clock.now());
        let first = |answer: &TokenResponse, requested: &[String]| {
            renewal::first(description, &app, host, requested, answer, now)
                .map(|renewed| renewed.credential)
                .map_err(|error| ConnectFailure::Refused(Reason::UNUSABLE_ANSWER, Some(error)))
        };
        let mut siblings = Vec::new();
        for sibling in token_response.take_siblings() {
            siblings.push(Sibling {
                candidate: ConnectionId::generate(&*self.random).map_err(before)?,
                credential: first(&sibling, &[])?,
            });
        }
        let answer = Answer {
            purpose: purpose.clone(),
            claim: claim.as_ref().map(Claimed::mark),
            credential: first(&token_response, &purpose.requested)?,
            siblings,
        };
        self.put_in_quarantine(visit.state, &answer).await?;
        let known = claim.as_ref().map(|claim| claim.key().clone());
        self.settle_response(visit.state, answer, claim, known)
            .await
    }

    /// Returns the connection that the flow will update, if it is known before the exchange.
    async fn known(
        &self,
        purpose: &Purpose,
        at_host: Vec<ConnectionKey>,
    ) -> Result<Option<Stored>> {
        let mut at_host = at_host.into_iter();
        let own = || at_host.find(|key| key.tenant == purpose.tenant);
        match purpose.reconnects().or_else(own) {
            Some(key) => self.store.load(&key).await,
            None => Ok(None),
        }
    }

    /// Claims the connection before the exchange. The claim prevents other tasks from using a
    /// refresh token that the new grant will invalidate.
    async fn claim_known(&self, flow: &Flow, known: &Stored) -> Result<Claimed, ConnectFailure> {
        let before = |error: Error| ConnectFailure::Refused(Reason::INTERRUPTED, Some(error));
        let claim_id = ClaimId::generate(&*self.random).map_err(before)?;
        match self.claim_exchange(known, claim_id).await.map_err(before)? {
            ClaimEnd::Claimed(claimed) => Ok(claimed),
            // The connection was deleted during the flow, so the flow cannot reconnect it. The user
            // can start a new flow.
            ClaimEnd::Gone if flow.purpose.connection.is_some() => {
                Err(ConnectFailure::Refused(Reason::CONNECTION_GONE, None))
            }
            ClaimEnd::Busy | ClaimEnd::Gone => Err(ConnectFailure::Refused(Reason::BUSY, None)),
        }
    }

    /// Stores a sealed token response before any further processing.
    pub(crate) async fn put_in_quarantine(
        &self,
        state: StateKey,
        answer: &Answer,
    ) -> Result<(), ConnectFailure> {
        let purpose = &answer.purpose;
        // Until the response is stored, only this task has it.
        let lost = |error: Error| ConnectFailure::Refused(Reason::UNUSABLE_ANSWER, Some(error));
        let plaintext = answer.to_plaintext().map_err(lost)?;
        let row = row_of(&state);
        let context = purpose.seal_context(&row, SealedKind::Quarantine);
        let seal = || self.seal_flow(&context, plaintext.expose());
        let sealed = self.insist(QUARANTINE_PATIENCE, seal).await.map_err(lost)?;
        let new = NewQuarantine {
            state,
            tenant: purpose.tenant.clone(),
            provider: purpose.provider.clone(),
            app: purpose.app.clone(),
            sealed,
            delay: WORKER_AFTER,
            keep_for: KEEP_FOR,
        };
        let call = || self.store.quarantine(new.clone());
        match self.insist(QUARANTINE_PATIENCE, call).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost(Error::new(
                ErrorKind::Bug,
                CALLBACK,
                "the quarantine already has another token response for this flow; please report it",
            ))),
            Err(error) => Err(lost(error)),
        }
    }

    /// Handles a repeated load of the page.
    async fn later_visit(
        &self,
        visit: &Visit,
        flow: &Flow,
        mut outcome: BeginOutcome,
    ) -> Result<Connected> {
        let begun = self.clock.monotonic();
        loop {
            match outcome {
                BeginOutcome::Done(ConnectOutcome::Connected { connection }) => {
                    return self.look_up(flow, &connection).await;
                }
                BeginOutcome::Done(ConnectOutcome::Failed { reason, code }) => {
                    let error = Reason::named(&reason).error(CALLBACK, None);
                    let error = error.with_provider(flow.purpose.provider.as_str().to_owned());
                    return Err(match code {
                        Some(code) => error.with_code(&code),
                        None => error,
                    });
                }
                BeginOutcome::Conflict { first } => {
                    // Record this once per flow, so that repeated loads of the page do not fill the
                    // audit log.
                    if first {
                        self.record_refusal(&flow.purpose, Reason::CODE_CONFLICT, None)
                            .await;
                    }
                    return Err(Reason::CODE_CONFLICT.error(CALLBACK, None));
                }
                BeginOutcome::InProgress => {}
                // The flow's retention has just ended. A repeated load never gets `First`.
                BeginOutcome::First | BeginOutcome::Unknown => return Err(unknown()),
                BeginOutcome::Done(_) => {
                    return Err(Reason::UNKNOWN.error(CALLBACK, None));
                }
            }
            if self.clock.monotonic().since(begun) >= SECOND_LOAD {
                return self.take_up(visit, flow).await;
            }
            self.clock.sleep(SECOND_LOAD_POLL).await;
            outcome = self.begin(visit).await?;
        }
    }

    /// Resumes a flow that the first load did not finish. The response comes from the quarantine,
    /// or the connection already exists and only the outcome is missing. The code is not sent
    /// again.
    async fn take_up(&self, visit: &Visit, flow: &Flow) -> Result<Connected> {
        if let Some(kept) = self.store.quarantined(&visit.state).await? {
            let answer = self.open_answer(&kept).await?;
            let settled = self.resume(visit.state, answer).await;
            return self.conclude(&visit.state, flow, settled).await;
        }
        let key = flow.purpose.key(flow.purpose.candidate);
        if self.store.load(&key).await?.is_some() {
            let connection = key.clone();
            self.finish(&visit.state, ConnectOutcome::Connected { connection })
                .await;
            return self.look_up(flow, &key).await;
        }
        Err(Error::new(
            ErrorKind::Timeout,
            CALLBACK,
            "the connect flow is still being finished; load the page again, and connect again if \
             that does not help",
        ))
    }

    /// Returns the current state of the connection that the flow created or updated.
    async fn look_up(&self, flow: &Flow, key: &ConnectionKey) -> Result<Connected> {
        let stored = self.store.load(key).await?;
        let Some(stored) = stored.filter(|_| key.tenant == flow.purpose.tenant) else {
            return Err(Reason::CONNECTION_GONE.error(CALLBACK, None));
        };
        let granted = match &stored.current {
            Some(current) => {
                let owner = SealOwner::of(&stored);
                self.open_stored(&owner, current).await?.scopes().to_vec()
            }
            None => Vec::new(),
        };
        let connected = Connected::new(stored.connection, &flow.purpose.requested, granted);
        Ok(connected.with_return(flow.return_to.clone()))
    }
}

/// Returns the error for a callback that contains the provider's error instead of a code.
fn provider_error(callback: &Callback) -> Option<Error> {
    let code = callback.shown_error()?;
    let error = Error::new(
        ErrorKind::CallbackRefused,
        CALLBACK,
        "the provider's callback contains an error",
    );
    let refused =
        ExchangeError::new(ExchangeClass::Malformed, Sent::Answered, error).with_code(code);
    Some(match callback.error_description() {
        Some(text) => refused.with_description(text).into_error(),
        None => refused.into_error(),
    })
}

/// Returns the error for a flow whose grant is stored but whose account is not connected yet.
fn unfinished(error: Error) -> Error {
    if error.kind() == ErrorKind::Unauthorized {
        return Error::new(
            error.kind(),
            CALLBACK,
            "the provider granted access, but refused the access token when the app identified the \
             account; the grant is kept for a day, and a worker retries: check the app's permissions \
             at the provider and the description's identity endpoint",
        )
        .with_retry(Retry::Never)
        .with_reason(GRANT_KEPT)
        .with_source(error);
    }
    if error.retry() == Retry::Never {
        // A reload of the page would fail with the same error.
        return Error::new(
            error.kind(),
            CALLBACK,
            "the provider granted access, but its response about the account cannot be used; the \
             grant is kept for a day, and a worker retries: correct the connector's description",
        )
        .with_reason(GRANT_KEPT)
        .with_source(error);
    }
    Error::new(
        error.kind(),
        CALLBACK,
        "the provider granted access, but the account could not be connected yet; the grant is \
         kept: load the page again",
    )
    .with_retry(Retry::Backoff)
    .with_reason(GRANT_KEPT)
    .with_source(error)
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::CallbackRefused,
        CALLBACK,
        "the callback matches no connect flow of this browser: the flow was started elsewhere, has \
         expired, or never existed; connect again",
    )
}
