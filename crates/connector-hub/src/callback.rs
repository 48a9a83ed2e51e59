//! The second half of a connect: the browser is back with a code, once or several times.

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
    Callback, CallbackProblem, CodeExchange, ExchangeClass, ExchangeError, TokenAnswer,
};
use connector_core::store::{
    BeginOutcome, ClaimId, ConnectOutcome, NewQuarantine, StateKey, Stored,
};
use connector_core::{
    Actor, App, ConnectionId, ConnectionKey, Error, ErrorKind, ProviderId, Result, Retry, TenantId,
};
use secrecy::SecretString;

use crate::authorize::KEEP_FOR;
use crate::connect::{ClaimEnd, Claimed, ConnectFailure, Connected, outliving};
use crate::flow::{Answer, Binding, CALLBACK, Flow, Purpose, Reason, Sibling, row_of};
use crate::hub::{Hub, Inner};
use crate::sealing::SealOwner;
use crate::token::renewal;

/// How long a second load of the page waits for the first.
const SECOND_LOAD: Duration = Duration::from_secs(15);
/// How often it looks.
const SECOND_LOAD_POLL: Duration = Duration::from_millis(500);
/// How long an answer lies in quarantine before a worker goes on with it.
const WORKER_AFTER: Duration = Duration::from_secs(120);
/// How long an answer is held in memory while the store that should keep it is down.
const QUARANTINE_PATIENCE: Duration = Duration::from_secs(5 * 60);

impl Hub {
    /// Finishes a connect: `query` is the raw query that the provider sent the browser back with on
    /// the path of `provider`, `binding` the browser's cookie from
    /// [`Authorization::binding`](crate::Authorization::binding). Name who is logged in
    /// ([`FinishConnect::actor`], [`FinishConnect::tenant`]), or say that nobody is
    /// ([`FinishConnect::unbound`]).
    ///
    /// Await it; it goes on to its end when its caller goes away. Loading the page again is
    /// harmless: the code is sent to the provider once, and every load gets the same outcome.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if neither actor nor tenant is named.
    /// [`ErrorKind::CallbackRefused`] if the callback does not belong to a flow that this browser
    /// began, if the owner did not agree, or if the provider refused: connect again.
    /// [`ErrorKind::ConnectedElsewhere`], [`ErrorKind::Forbidden`] (scopes that the connector cannot
    /// work without are missing), [`ErrorKind::AppMisconfigured`],
    /// [`ErrorKind::ProviderUnavailable`] and others say why the flow is over. While
    /// [`Error::retry`] is [`Retry::Backoff`] it is not over: load the page again.
    pub fn callback(
        &self,
        provider: ProviderId,
        query: &str,
        binding: impl Into<SecretString>,
    ) -> FinishConnect {
        // A provider without a connector is reported when the callback is handled.
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

/// A connect that is about to be finished. Await it.
#[must_use = "nothing happens before it is awaited"]
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
    /// Names who is logged in: the flow is refused if somebody else began it.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Names the tenant that the browser works for: the flow is refused if it was begun for another
    /// one.
    pub fn tenant(mut self, tenant: &TenantId) -> Self {
        self.tenant = Some(tenant.clone());
        self
    }

    /// States that the application knows neither actor nor tenant at its callback: the browser's
    /// cookie alone ties the callback to the flow. An attacker who can set that cookie, from a
    /// subdomain for example, can connect an account of their own to the victim's tenant.
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
                    "the callback names neither actor nor tenant; name who is logged in, or call \
                     unbound() where nobody is",
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

/// One load of the callback's page.
struct Visit {
    provider: ProviderId,
    callback: Callback,
    state: StateKey,
    binding: Binding,
    actor: Option<Actor>,
    tenant: Option<TenantId>,
}

impl Visit {
    /// What speaks against a flow that this browser began.
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

impl Inner {
    async fn visit(&self, visit: Visit) -> Result<Connected> {
        let flow = self.recall(&visit.state).await?.ok_or_else(unknown)?;
        // Before the flow is taken: what another browser sends consumes nothing.
        if !visit.binding.is(flow.binding) {
            return Err(unknown());
        }
        match self.begin(&visit).await? {
            BeginOutcome::First => {
                let settled = self.first_visit(&visit, &flow).await;
                self.conclude(&visit.state, &flow, settled).await
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

    /// What the begin remembered.
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

    /// Records how the flow ended, unless it did not yet, and says so.
    async fn conclude(
        &self,
        state: &StateKey,
        flow: &Flow,
        settled: Result<Connected, ConnectFailure>,
    ) -> Result<Connected> {
        self.record_end(state, &flow.purpose, &settled).await;
        match settled {
            Ok(connected) => Ok(connected.with_return(flow.return_to.clone())),
            Err(ConnectFailure::Refused(reason, cause)) => Err(reason.error(CALLBACK, cause)),
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
        // Until the code is sent, every failure ends the flow: the state is consumed, and nothing
        // is lost with it.
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
        // The redirect URI must be the one of the begin (RFC 6749 section 4.1.3).
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
        let mut token_answer = match connector.exchange_code(&cx, &exchange).await {
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
        let first = |answer: &TokenAnswer, requested: &[String]| {
            renewal::first(description, &app, host, requested, answer, now)
                .map(|renewed| renewed.credential)
                .map_err(|error| ConnectFailure::Refused(Reason::UNUSABLE_ANSWER, Some(error)))
        };
        let mut siblings = Vec::new();
        for sibling in token_answer.take_siblings() {
            siblings.push(Sibling {
                candidate: ConnectionId::generate(&*self.random).map_err(before)?,
                credential: first(&sibling, &[])?,
            });
        }
        let answer = Answer {
            purpose: purpose.clone(),
            claim: claim.as_ref().map(Claimed::mark),
            credential: first(&token_answer, &purpose.requested)?,
            siblings,
        };
        self.put_in_quarantine(visit.state, &answer).await?;
        let known = claim.as_ref().map(|claim| claim.key().clone());
        self.settle_answer(visit.state, answer, claim, known).await
    }

    /// The connection that the flow leads to, as far as that is known before the exchange.
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

    /// Claims the connection before its next grant is obtained, so that nobody spends the refresh
    /// token that the exchange is about to end.
    async fn claim_known(&self, flow: &Flow, known: &Stored) -> Result<Claimed, ConnectFailure> {
        let before = |error: Error| ConnectFailure::Refused(Reason::INTERRUPTED, Some(error));
        let claim_id = ClaimId::generate(&*self.random).map_err(before)?;
        match self.claim_exchange(known, claim_id).await.map_err(before)? {
            ClaimEnd::Claimed(claimed) => Ok(claimed),
            // Forgotten this moment. Reconnected it cannot be; connected anew it can.
            ClaimEnd::Gone if flow.purpose.connection.is_some() => {
                Err(ConnectFailure::Refused(Reason::CONNECTION_GONE, None))
            }
            ClaimEnd::Busy | ClaimEnd::Gone => Err(ConnectFailure::Refused(Reason::BUSY, None)),
        }
    }

    /// Keeps a token response, sealed, before anything else happens to it.
    pub(crate) async fn put_in_quarantine(
        &self,
        state: StateKey,
        answer: &Answer,
    ) -> Result<(), ConnectFailure> {
        let purpose = &answer.purpose;
        // From here on the response exists in this task only, until the store has it.
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
                "another answer lies in quarantine for this flow; please report it",
            ))),
            Err(error) => Err(lost(error)),
        }
    }

    /// A load of the page that is not the first.
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
                BeginOutcome::Done(ConnectOutcome::Failed { reason }) => {
                    return Err(Reason::named(&reason).error(CALLBACK, None));
                }
                BeginOutcome::Conflict { first } => {
                    // Once per flow, so that reloading the page does not fill the audit log.
                    if first {
                        self.record_refusal(&flow.purpose, Reason::CODE_CONFLICT, None)
                            .await;
                    }
                    return Err(Reason::CODE_CONFLICT.error(CALLBACK, None));
                }
                BeginOutcome::InProgress => {}
                // Its keeping time has passed this moment; a first load it cannot be.
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

    /// Goes on where the first load stopped: from quarantine, or from a connection whose flow was
    /// not recorded as finished. The code is not sent again.
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
            "the connect is still being finished; load the page again, and connect anew if that \
             does not help",
        ))
    }

    /// The connection that a flow has led to, as it is now.
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

/// The error that the provider sent in place of a code.
fn provider_error(callback: &Callback) -> Option<Error> {
    let code = callback.shown_error()?;
    let error = Error::new(
        ErrorKind::CallbackRefused,
        CALLBACK,
        "the provider's callback carries an error",
    );
    let refused =
        ExchangeError::new(ExchangeClass::Malformed, Sent::Answered, error).with_code(code);
    Some(match callback.error_description() {
        Some(text) => refused.with_description(text).into_error(),
        None => refused.into_error(),
    })
}

/// A connect whose grant is kept, and whose account could not be connected yet.
fn unfinished(error: Error) -> Error {
    if error.retry() == Retry::Never {
        // Loading the page again would fail in the same way.
        return Error::new(
            error.kind(),
            CALLBACK,
            "the provider granted access, but its response about the account cannot be used; the \
             grant is kept for a day, and a worker tries again: correct the connector's description",
        )
        .with_source(error);
    }
    Error::new(
        error.kind(),
        CALLBACK,
        "the provider granted access, but the account could not be connected yet; the grant is kept: \
         load the page again",
    )
    .with_retry(Retry::Backoff)
    .with_source(error)
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::CallbackRefused,
        CALLBACK,
        "no connect of this browser fits the callback: it was begun elsewhere, too long ago, or \
         never; connect again",
    )
}
