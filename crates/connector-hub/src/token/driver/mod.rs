//! The driver: executes the machine's actions with the store, the cipher, the provider and the
//! clocks.
//!
//! `flight` starts a flight and runs the machine, `row` reads the connection's row, `exchange`
//! sends requests to the token endpoint, `commit` writes to the store, `probe` identifies the
//! account.

mod commit;
mod exchange;
mod flight;
mod probe;
mod row;

use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::{Monotonic, Timestamp};
use connector_core::provider::Connector;
use connector_core::store::{ClaimId, ClaimOutcome, ClaimRequest, Generation, Stored};
use connector_core::{
    Actor, App, ConnectionKey, CorrelationId, Credential, ErrorKind, Event, RequestContext, Result,
};

pub(crate) use self::flight::{RefreshTrigger, fly};
use crate::breaker::Registration;
use crate::hub::Inner;
use crate::sealing::SealOwner;
use crate::token::cache::{Arrival, Rest};
use crate::token::flight::{Progress, Step, Waiters};
use crate::token::machine::{Action, Input, Machine, Outcome, Report};
use crate::token::outcome::{NoToken, NoTokenReason, RefreshOutcome};
use crate::token::renewal::{self, Renewed};

/// Interval at which a waiting flight polls the generation that another process is about to change.
const LOOK: Duration = Duration::from_millis(200);

/// The current claim, with the timer that started before the first attempt to claim.
struct Timer {
    number: u8,
    id: ClaimId,
    steady: Monotonic,
    wall: Timestamp,
}

struct Driver<'a> {
    inner: &'a Arc<Inner>,
    key: ConnectionKey,
    owner: SealOwner,
    connector: Arc<dyn Connector>,
    stored: Stored,
    /// The decrypted credential, and its generation.
    current: Option<(Generation, Arc<Credential>)>,
    app: Option<Arc<App>>,
    registration: Option<Registration>,
    timer: Option<Timer>,
    /// The new token pair from the last exchange, until it is stored.
    pair: Option<Renewed>,
    /// True if the new token pair belongs to a different account from the connection's.
    mismatch: bool,
    /// The audit event for the last failed exchange.
    failed: Option<Event>,
    /// The generation under which the new pair was committed.
    committed: Option<Generation>,
    context: RequestContext,
    progress: Progress,
    /// True until the machine's first load, which uses the row that the flight has already read.
    fresh: bool,
}

impl<'a> Driver<'a> {
    fn new(
        inner: &'a Arc<Inner>,
        key: ConnectionKey,
        connector: Arc<dyn Connector>,
        stored: Stored,
        progress: Progress,
    ) -> Self {
        let context = Inner::worker_context(&key);
        Self {
            inner,
            owner: SealOwner::of(&stored),
            key,
            connector,
            stored,
            current: None,
            app: None,
            registration: None,
            timer: None,
            pair: None,
            mismatch: false,
            failed: None,
            committed: None,
            context,
            progress,
            fresh: true,
        }
    }

    async fn prepare_app(&mut self) -> Result<()> {
        let connection = &self.stored.connection;
        let (provider, app_key) = (&connection.provider, &connection.app);
        let tenant = &self.key.tenant;
        let app = self.inner.app(provider, tenant, app_key).await?;
        let registration = self.inner.registration(provider, tenant, app_key, &app);
        self.registration = Some(registration.await);
        self.app = Some(app);
        Ok(())
    }

    async fn drive(
        mut self,
        mut machine: Machine,
        mut actions: Vec<Action>,
        waiters: &Waiters,
    ) -> RefreshOutcome {
        loop {
            let mut input = None;
            for action in actions {
                match action {
                    Action::Report(report) => self.report(report),
                    Action::Answer(outcome) => {
                        let outcome = self.conclude(outcome).await;
                        waiters.answer(outcome);
                    }
                    Action::Finish(outcome) => {
                        let outcome = self.conclude(outcome).await;
                        self.rest(outcome);
                        return outcome;
                    }
                    asked => input = Some(self.act(asked).await),
                }
            }
            let Some(input) = input else {
                tracing::error!(operation = "token.drive", "the machine requested no action");
                return broken();
            };
            let input = match input {
                Ok(input) => input,
                Err(error) if error.kind() == ErrorKind::StoreUnavailable => {
                    tracing::warn!(operation = "token.drive", error = %error, "store call failed");
                    Input::StoreUnavailable
                }
                // The new token pair is kept whatever the error is.
                Err(error) if machine.holds_a_pair() => {
                    tracing::error!(
                        operation = "token.drive",
                        error = %error,
                        "a new credential cannot be stored; it is kept in memory and the write is \
                         retried"
                    );
                    Input::StoreUnavailable
                }
                Err(error) if error.kind() == ErrorKind::ShuttingDown => {
                    return NoToken::finally(NoTokenReason::ShuttingDown).into();
                }
                Err(error) => {
                    tracing::error!(
                        operation = "token.drive",
                        error = %error,
                        "the refresh was stopped by an error"
                    );
                    let kind = error.kind();
                    return NoToken::finally(NoTokenReason::Failed(kind, advice(kind))).into();
                }
            };
            actions = match machine.step(input) {
                Ok(actions) => actions,
                Err(_unexpected) => {
                    tracing::error!(
                        operation = "token.drive",
                        "the machine refused an input; please report it"
                    );
                    return broken();
                }
            };
        }
    }

    async fn act(&mut self, action: Action) -> Result<Input> {
        match &action {
            Action::Exchange { .. } => self.progress.set(Step::Preparing),
            Action::Wait {
                on_generation: true,
                ..
            } if self.progress.reason() != NoTokenReason::Unresolved => {
                self.progress.set(Step::Held);
            }
            // A request whose outcome is recorded as unknown keeps this record.
            Action::Fail {
                resolves: false, ..
            }
            | Action::Wait { .. } => {}
            _ => self.progress.set(Step::Store),
        }
        match action {
            Action::Load => self.load().await,
            Action::Claim {
                number,
                grant,
                seen,
                kind,
                hold,
            } => {
                let id = self.timer(number)?;
                let request = ClaimRequest {
                    claim_id: id,
                    grant,
                    seen,
                    kind,
                    hold,
                    confirmed: self.inner.cache.confirmed(&self.key),
                };
                self.claim(request).await
            }
            Action::CheckClocks => {
                let (steady, wall) = self.elapsed();
                Ok(Input::Clocks { steady, wall })
            }
            Action::Exchange {
                first_byte,
                deadline,
                ..
            } => Ok(self.exchange(first_byte, deadline).await),
            commit @ Action::Commit { .. } => self.commit(commit).await,
            fail @ Action::Fail { .. } => self.fail(fail).await,
            Action::WriteBack {
                expect,
                grant,
                generation,
                fence,
            } => self.write_back(expect, grant, generation, fence).await,
            Action::Revoke { grant, fence } => self.revoke(grant, fence).await,
            Action::Wait {
                limit,
                on_generation,
            } => self.wait(limit, on_generation).await,
            // These actions are executed by the caller.
            Action::Answer(_) | Action::Report(_) | Action::Finish(_) => Ok(Input::TimerFired),
        }
    }

    async fn load(&mut self) -> Result<Input> {
        if !std::mem::take(&mut self.fresh) {
            match self.inner.store.load(&self.key).await? {
                Some(stored) => self.adopt(stored).await?,
                None => return Ok(Input::Loaded(None)),
            }
        }
        Ok(Input::Loaded(Some(Box::new(self.stored.clone()))))
    }

    async fn claim(&mut self, request: ClaimRequest) -> Result<Input> {
        let outcome = self.inner.store.claim(&self.key, request).await?;
        if let ClaimOutcome::Granted { stored, .. } | ClaimOutcome::Moved(stored) = &outcome {
            self.adopt((**stored).clone()).await?;
        }
        Ok(Input::Claimed(outcome))
    }

    /// Returns the id of claim `number`. The first call for a number starts the claim's timer.
    fn timer(&mut self, number: u8) -> Result<ClaimId> {
        if let Some(timer) = self.timer.as_ref().filter(|timer| timer.number == number) {
            return Ok(timer.id);
        }
        let id = ClaimId::generate(&*self.inner.random)?;
        let clock = &self.inner.clock;
        self.timer = Some(Timer {
            number,
            id,
            steady: clock.monotonic(),
            wall: clock.now(),
        });
        Ok(id)
    }

    /// Returns the time since the claim's timer started, on the steady clock and on the wall clock.
    fn elapsed(&self) -> (Duration, Duration) {
        let clock = &self.inner.clock;
        self.timer
            .as_ref()
            .map_or((Duration::MAX, Duration::MAX), |timer| {
                (
                    clock.monotonic().since(timer.steady),
                    clock.now().since(timer.wall),
                )
            })
    }

    async fn wait(&self, limit: Duration, on_generation: bool) -> Result<Input> {
        let clock = &self.inner.clock;
        if !on_generation {
            clock.sleep(limit).await;
            return Ok(Input::TimerFired);
        }
        let seen = self.generation();
        let mut left = limit;
        loop {
            let pause = left.min(LOOK);
            clock.sleep(pause).await;
            // No new token pair is held during such a wait, so a shutdown may interrupt it.
            if self.inner.flights.is_closed() {
                return Err(crate::token::shutting_down("token.wait"));
            }
            left = left.saturating_sub(pause);
            // If the store is unavailable, the next poll asks again.
            match self.inner.store.generation(&self.key).await {
                Ok(generation) if generation != Some(seen) => return Ok(Input::Woken),
                _ if left.is_zero() => return Ok(Input::TimerFired),
                _ => {}
            }
        }
    }

    /// Makes the result of a flight available to callers, and returns the outcome for the waiting
    /// callers.
    async fn conclude(&mut self, outcome: Outcome) -> RefreshOutcome {
        let unverified = self.mismatch || self.connector.description().identify_after_refresh;
        match outcome {
            Outcome::Fresh { .. } if unverified => self.reloaded().await,
            // The account can be identified only after the token pair is stored.
            Outcome::ServeUndurable if unverified => store_unavailable().into(),
            Outcome::Fresh { generation, .. } => {
                self.hand_out(generation);
                RefreshOutcome::Current
            }
            Outcome::ServeUndurable => {
                self.hand_out(self.generation().next());
                RefreshOutcome::Current
            }
            Outcome::Newer { .. } => self.reloaded().await,
            Outcome::Probe => self.probe().await,
            Outcome::NoToken(no_token) => {
                self.no_token(no_token.reason).await;
                no_token.into()
            }
        }
    }

    /// Reads the row again and makes its token available. If the connector requires it, the account
    /// is identified first.
    async fn reloaded(&mut self) -> RefreshOutcome {
        if !self.reload().await {
            return store_unavailable().into();
        }
        match self.verify_account().await {
            Some(no_token) => no_token.into(),
            None => RefreshOutcome::Current,
        }
    }

    async fn no_token(&mut self, reason: NoTokenReason) {
        match reason {
            NoTokenReason::Unauthorized => self.note_unauthorized().await,
            NoTokenReason::Ended => self.inner.cache.forget(&self.key),
            // The pair is stored although its access token is unusable: the next refresh needs its
            // refresh token.
            _ => {
                if let Some(generation) = self.committed {
                    self.hand_out(generation);
                }
            }
        }
    }

    /// Makes the new pair available to callers under the given generation.
    fn hand_out(&self, generation: Generation) {
        let Some(pair) = &self.pair else {
            return;
        };
        let connection = &self.stored.connection;
        let description = self.connector.description();
        let deadlines = pair.expiries.access.map(|access| {
            renewal::windows(description, access, self.key.id).deadlines(&*self.inner.clock, access)
        });
        let arrival = Arrival {
            issued: connector_core::store::IssuedToken::new(
                &pair.credential,
                connection.grant,
                generation,
                deadlines,
            ),
            fence: connection.fence,
            credential: Arc::new(pair.credential.clone()),
        };
        self.inner.cache.put(&self.key, arrival, &*self.inner.clock);
    }

    /// Starts the pause after a failure. No request with this credential is sent until the pause
    /// ends.
    fn rest(&self, outcome: RefreshOutcome) {
        let RefreshOutcome::NoToken(NoToken {
            reason,
            retry_after: Some(retry_after),
        }) = outcome
        else {
            return;
        };
        let pauses = matches!(
            reason,
            NoTokenReason::Transient
                | NoTokenReason::TooSlow
                | NoTokenReason::SameAccessToken
                | NoTokenReason::Unusable { .. }
                | NoTokenReason::AppRefused
                | NoTokenReason::RefreshRefused
                | NoTokenReason::Withheld
        );
        if pauses {
            let until = self.inner.clock.monotonic().after(retry_after);
            let generation = self.committed.unwrap_or_else(|| self.generation());
            let rest = Rest { until, reason };
            self.inner.cache.rest(&self.key, generation, rest);
        }
    }

    fn report(&self, report: Report) {
        let connector = self.stored.connection.provider.as_str();
        let connection = self.key.id;
        match report {
            Report::RestoredBackup { seen, found } => tracing::error!(
                connector,
                %connection,
                %seen,
                %found,
                "the store contains an older credential than this process has used; was a backup \
                 restored? The older token is not used"
            ),
            Report::Malformed => tracing::error!(
                connector,
                %connection,
                "the token endpoint's response is not a known success or error; the refresh is \
                 retried"
            ),
            Report::SuccessorKept { base } => {
                tracing::warn!(
                    connector,
                    %connection,
                    %base,
                    "a late token pair is stored as pending"
                );
            }
            Report::SuccessorTaken { fence } => {
                tracing::info!(
                    connector,
                    %connection,
                    %fence,
                    "a pending token pair replaces the current one"
                );
            }
            Report::Unresolved => {
                tracing::warn!(connector, %connection, "the outcome of a refresh is unknown");
            }
            Report::Rotates => {
                tracing::warn!(
                    connector,
                    %connection,
                    "the provider rotates refresh tokens, contrary to its description"
                );
            }
            Report::TooSlow => {
                tracing::warn!(
                    connector,
                    %connection,
                    "this process is too slow to use its claim before the claim's deadline"
                );
            }
        }
    }
}

fn store_unavailable() -> NoToken {
    NoToken::later(NoTokenReason::StoreUnavailable, Duration::from_secs(5))
}

fn broken() -> RefreshOutcome {
    NoToken::finally(NoTokenReason::Failed(ErrorKind::Bug, "please report this")).into()
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::KeyUnknown => {
            "the key that sealed the credential is not in the keyring; add it again"
        }
        ErrorKind::Unsealable => {
            "the sealed credential was changed or belongs to another row; restore the row from a \
             backup"
        }
        ErrorKind::StoreIncompatible => {
            "the credential was written by a newer version; update this node"
        }
        ErrorKind::Configuration => {
            "the hub lacks the connector or the registration of this connection; configure it"
        }
        _ => "the credential could not be opened; see the log for the cause",
    }
}

fn bug(message: &'static str) -> connector_core::Error {
    connector_core::Error::new(ErrorKind::Bug, "token.drive", message)
}

impl Inner {
    /// Returns the context for actions of the library itself.
    pub(crate) fn worker_context(key: &ConnectionKey) -> RequestContext {
        let correlation = CorrelationId::new(format!("refresh-{}", key.id))
            .unwrap_or_else(|_| CorrelationId::default());
        RequestContext::new(Actor::Worker, correlation)
    }
}
