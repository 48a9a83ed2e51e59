//! Carries out what the machine decides: the store, the cipher, the provider, the clocks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::clock::{Clock, Monotonic, Timestamp};
use connector_core::description::RefreshPolicy;
use connector_core::oauth::ExchangeClass;
use connector_core::store::{
    ClaimId, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Effects, Expect, Expiries,
    FailOutcome, Failure, Patch, PutGrant, PutOutcome, Revocation, Stored, UpdateOutcome, Verdict,
    WorkKind,
};
use connector_core::{
    Actor, App, AuditClass, AuditEntry, ConnectionKey, Connector, Context, CorrelationId,
    Credential, DegradedReason, ErrorKind, Event, Fence, Generation, GrantNumber, IssuedToken,
    ReauthorizationReason, RequestContext, Result, Status,
};

use crate::breaker::Admission;
use crate::hub::Inner;
use crate::token::cache::{Arrival, Rest};
use crate::token::flight::Board;
use crate::token::machine::{
    Action, Cause, Claimed, Committed, Exchanged, Fault, Input, Machine, Outcome, Reason, Recorded,
    Report, Row, Sent, Settings, Start, WrittenBack,
};
use crate::token::punctual::Punctual;
use crate::token::renewal::{self, Renewed};
use crate::token::windows::{Windows, spread};
use crate::vault::Home;

/// How long between two looks at a generation that others are expected to move.
const LOOK: Duration = Duration::from_millis(200);

/// A timer that is late by this much belongs to a process that did not run.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// How long such a process still looks for an answer that has come: longer than its transport does.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// How long readers of a good token start no flight after one that brought nothing, at least.
const SHORT_REST: Duration = Duration::from_secs(5);
/// How long a token that the identity endpoint accepts and others refuse is left alone.
const PROBE_EVERY: Duration = Duration::from_secs(480);
/// So many failures in a row are worth an alert.
const ALERT: u32 = 3;

/// What a flight is for.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// A caller, or the worker, needs a good token.
    Fetch,
    /// The token is good, but not for long, or was not compared with the store for a while.
    Renew,
    /// The refresh token has to be used, however good the access token is.
    KeepAlive,
    /// Somebody asks for a refresh.
    Force(RequestContext),
    /// The provider's API refused this generation.
    Rejected(Generation),
}

/// How a flight ended, as every caller gets to know it.
#[derive(Debug, Clone)]
pub(crate) enum Landing {
    /// The token in the cache is the newest there is.
    Current,
    /// There is no newer token now; one that has not expired is still served.
    Kept {
        /// When to try again.
        retry_after: Duration,
        /// What to tell callers whose token has expired.
        why: Why,
    },
    /// There is no token, and there will be none without somebody's help.
    Over(Why),
}

/// What callers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Held,
    Transient,
    SameAccessToken,
    Unresolved,
    Unauthorized,
    AppFault,
    NeedsReauthorization(ReauthorizationReason),
    Ended,
    StoreUnavailable,
    StoreBehind,
    /// This process is shutting down.
    ShuttingDown,
    /// An error that is nobody's token's fault: a missing connector, a record that does not open.
    Failed(ErrorKind, &'static str),
}

/// Runs one flight to its end.
pub(crate) async fn fly(
    inner: Arc<Inner>,
    key: ConnectionKey,
    errand: Errand,
    board: Board,
) -> Landing {
    let flight = Flight {
        inner: &inner,
        key: &key,
        board: &board,
    };
    let landing = flight.run(errand).await;
    if let Landing::Kept { retry_after, .. } = landing {
        let pause = retry_after.min(SHORT_REST);
        inner.cache.let_rest(&key, pause, &*inner.clock);
    }
    inner.cache.woken(&key);
    landing
}

struct Flight<'a> {
    inner: &'a Arc<Inner>,
    key: &'a ConnectionKey,
    board: &'a Board,
}

impl Flight<'_> {
    async fn run(&self, errand: Errand) -> Landing {
        let stored = match self.inner.store.load(self.key).await {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                self.inner.cache.forget(self.key);
                return Landing::Over(Why::Ended);
            }
            Err(error) => return Self::unreadable(&error),
        };
        if !stored.connection.is_live() {
            self.inner.cache.forget(self.key);
            return Landing::Over(Why::Ended);
        }
        let known = self.inner.cache.generation(self.key);
        match self.begin(stored, errand, known).await {
            Ok(landing) => landing,
            Err(error) => Self::failed(&error),
        }
    }

    async fn begin(
        &self,
        stored: Stored,
        errand: Errand,
        known: Option<Generation>,
    ) -> Result<Landing> {
        let connector = Arc::clone(self.inner.connector(&stored.connection.provider)?);
        let mut driver = Driver::new(self.inner, self.key.clone(), connector, stored);
        driver.open_current().await?;
        let behind = driver.is_behind();
        if !behind {
            driver.publish();
        }
        let (reason, seen) = match &errand {
            // A row that holds a good token is the answer; nothing needs to be exchanged.
            Errand::Fetch if !behind && driver.is_good() => return Ok(Landing::Current),
            Errand::Renew if !behind && driver.is_fresh() => return Ok(Landing::Current),
            // Patience is free only as long as the token is good.
            Errand::Renew | Errand::KeepAlive if driver.is_good() => (Reason::Advisory, None),
            Errand::Fetch | Errand::Renew | Errand::KeepAlive => (Reason::Mandatory, None),
            Errand::Force(context) => {
                driver.context = context.clone();
                (
                    Reason::Forced {
                        good: driver.is_good(),
                    },
                    None,
                )
            }
            Errand::Rejected(generation) => {
                let cache = &self.inner.cache;
                cache.refused(self.key, *generation);
                let proof = cache.proof(self.key, *generation, &*self.inner.clock);
                let (worked, unproven) = (proof.worked, proof.unproven);
                // A process that has just started has not had the token for long; the token may be
                // old all the same.
                let age = proof.age.max(driver.age());
                (
                    Reason::Rejected {
                        worked,
                        unproven,
                        age,
                    },
                    Some(*generation),
                )
            }
        };
        let seen = seen
            .or_else(|| known.filter(|_| behind))
            .or(Some(driver.generation()));
        if !behind && let Some(landing) = self.resting(&driver, &errand) {
            return Ok(landing);
        }
        if !driver.is_refreshable() && !behind {
            return Ok(driver.unrefreshable(&errand).await);
        }
        driver.app().await?;
        if driver.is_foreign() {
            return Ok(Landing::Kept {
                retry_after: Duration::from_secs(60),
                why: Why::AppFault,
            });
        }
        if let Admission::Refused { retry_after } = self.inner.breakers.admit(
            &driver.stored.connection.provider,
            &driver.stored.connection.app,
            &*self.inner.clock,
        ) {
            return Ok(Landing::Kept {
                retry_after,
                why: Why::AppFault,
            });
        }
        let mark = self.inner.cache.mark(self.key);
        let settings = Settings::new(driver.connector.description().rotation, spread(self.key.id));
        let (machine, actions) = Machine::start(settings, Start { reason, seen, mark });
        Ok(driver.drive(machine, actions, self.board).await)
    }

    /// A refresh of this generation failed a moment ago, or is known to be useless.
    fn resting(&self, driver: &Driver<'_>, errand: &Errand) -> Option<Landing> {
        let generation = driver.generation();
        let rejected = match errand {
            Errand::Force(_) => return None,
            // A newer token is there.
            Errand::Rejected(refused) if *refused != generation => return None,
            Errand::Rejected(_) => true,
            _ => false,
        };
        let cache = &self.inner.cache;
        let (retry_after, why) = cache.resting(self.key, generation, &*self.inner.clock)?;
        (rejected || why != Why::Unauthorized).then_some(Landing::Kept { retry_after, why })
    }

    /// The store does not answer: what has not expired is served.
    fn unreadable(error: &connector_core::Error) -> Landing {
        tracing::warn!(
            operation = "token.flight",
            error = %error,
            "the store does not answer; tokens in memory are served until they expire"
        );
        Landing::Kept {
            retry_after: Duration::from_secs(5),
            why: Why::StoreUnavailable,
        }
    }

    fn failed(error: &connector_core::Error) -> Landing {
        tracing::error!(operation = "token.flight", error = %error, "no token can be had");
        if error.kind() == ErrorKind::StoreUnavailable {
            return Self::unreadable(error);
        }
        Landing::Over(Why::Failed(error.kind(), advice(error.kind())))
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::KeyUnknown => {
            "the key that sealed the credential is not in the key ring; add it again"
        }
        ErrorKind::Unsealable => {
            "the sealed credential was changed or belongs elsewhere; restore the row from a backup"
        }
        ErrorKind::StoreIncompatible => {
            "the credential was written by a newer version; update this node"
        }
        ErrorKind::Configuration => {
            "the hub lacks the connector or the registration of this connection; configure it"
        }
        _ => "the credential cannot be prepared; the log says why",
    }
}

/// The claim of the moment, with the timer that started before its first statement.
struct Timer {
    number: u8,
    id: ClaimId,
    steady: Monotonic,
    wall: Timestamp,
}

struct Driver<'a> {
    inner: &'a Arc<Inner>,
    key: ConnectionKey,
    home: Home,
    connector: Arc<dyn Connector>,
    stored: Stored,
    /// The opened credential of the generation beside it.
    current: Option<(Generation, Arc<Credential>)>,
    app: Option<Arc<App>>,
    timer: Option<Timer>,
    /// The answer in hand.
    pair: Option<Renewed>,
    context: RequestContext,
    /// The row as it was loaded for the flight; given to the machine's first look.
    fresh: bool,
}

impl<'a> Driver<'a> {
    fn new(
        inner: &'a Arc<Inner>,
        key: ConnectionKey,
        connector: Arc<dyn Connector>,
        stored: Stored,
    ) -> Self {
        let context = Inner::worker_context(&key);
        Self {
            inner,
            home: Home::of(&stored),
            key,
            connector,
            stored,
            current: None,
            app: None,
            timer: None,
            pair: None,
            context,
            fresh: true,
        }
    }

    fn generation(&self) -> Generation {
        self.stored.connection.generation
    }

    /// Opens the row's credential, unless it is open already.
    async fn open_current(&mut self) -> Result<()> {
        let Some(stored) = &self.stored.current else {
            self.current = None;
            return Ok(());
        };
        if self
            .current
            .as_ref()
            .is_some_and(|(generation, _)| *generation == stored.generation)
        {
            return Ok(());
        }
        let credential = self.inner.open_stored(&self.home, stored).await?;
        self.current = Some((stored.generation, Arc::new(credential)));
        Ok(())
    }

    async fn app(&mut self) -> Result<()> {
        let connection = &self.stored.connection;
        let app = self
            .inner
            .app(&connection.provider, &self.key.tenant, &connection.app)
            .await?;
        self.app = Some(app);
        Ok(())
    }

    /// True if the credential was obtained by another client id than the configured one: nothing
    /// may be sent with it.
    fn is_foreign(&self) -> bool {
        match (&self.current, &self.app) {
            (Some((_, credential)), Some(app)) => credential
                .client_id()
                .is_some_and(|id| id != app.client_id()),
            _ => false,
        }
    }

    fn is_behind(&self) -> bool {
        let connection = &self.stored.connection;
        self.inner.cache.mark(&self.key).is_some_and(|mark| {
            (connection.grant, connection.generation) < (mark.grant, mark.generation)
        })
    }

    fn is_refreshable(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|(_, credential)| credential.refresh_token().is_some())
    }

    fn issued(&self) -> Option<IssuedToken> {
        let stored = self.stored.current.as_ref()?;
        let (_, credential) = self.current.as_ref()?;
        let deadlines = stored.access_left.map(|left| {
            let left = left.remaining();
            let life = renewal::lifetime(credential).unwrap_or(left);
            Windows::of(life, self.key.id).deadlines(&*self.inner.clock, left)
        });
        Some(IssuedToken::new(
            credential,
            stored.grant,
            stored.generation,
            deadlines,
        ))
    }

    fn phase(&self) -> Option<connector_core::Phase> {
        let clock = &self.inner.clock;
        Some(self.issued()?.phase(clock.monotonic(), clock.now()))
    }

    /// True if the provider's API is known to refuse the row's token. A grant that cannot be
    /// refreshed any more is no reason to withhold a token that has not expired.
    fn is_refused(&self) -> bool {
        matches!(
            self.stored.connection.status,
            Status::NeedsReauthorization(
                ReauthorizationReason::Rejected | ReauthorizationReason::NonExpiringToken
            )
        )
    }

    /// True if the row's token may be handed out.
    fn is_good(&self) -> bool {
        !self.is_refused()
            && self
                .phase()
                .is_some_and(|phase| phase < connector_core::Phase::Mandatory)
    }

    /// True if the row's token is not even due.
    fn is_fresh(&self) -> bool {
        !self.is_refused() && self.phase() == Some(connector_core::Phase::Good)
    }

    /// How long ago the row's token was obtained, as far as this node's clock agrees with that of
    /// the node that obtained it.
    fn age(&self) -> Duration {
        let obtained = self.current.as_ref().map(|(_, it)| it.obtained_at());
        obtained.map_or(Duration::ZERO, |at| self.inner.clock.now().since(at))
    }

    /// Hands the row's token out from now on.
    fn publish(&self) {
        if self.is_refused() {
            self.inner.cache.forget(&self.key);
            return;
        }
        let (Some(issued), Some((_, credential)), Some(stored)) =
            (self.issued(), &self.current, &self.stored.current)
        else {
            return;
        };
        let credential = Arc::clone(credential);
        let arrival = Arrival {
            issued,
            fence: stored.fence,
            credential,
        };
        self.inner.cache.put(&self.key, arrival, &*self.inner.clock);
    }

    /// What a credential without a refresh token leads to.
    async fn unrefreshable(&self, errand: &Errand) -> Landing {
        if let Status::NeedsReauthorization(reason) = self.stored.connection.status {
            return Landing::Over(Why::NeedsReauthorization(reason));
        }
        let expired = self.phase() == Some(connector_core::Phase::Expired);
        match errand {
            Errand::Rejected(_) => return self.probe().await,
            Errand::Force(_) => {
                let message = "the credential came without a refresh token; connect it again";
                return Landing::Over(Why::Failed(ErrorKind::Unsupported, message));
            }
            _ => {}
        }
        if !expired {
            return Landing::Current;
        }
        let reason = ReauthorizationReason::NotRefreshable;
        self.set_status(Status::NeedsReauthorization(reason)).await;
        Landing::Over(Why::NeedsReauthorization(reason))
    }

    async fn drive(
        mut self,
        mut machine: Machine,
        mut actions: Vec<Action>,
        board: &Board,
    ) -> Landing {
        loop {
            let mut input = None;
            for action in actions {
                match action {
                    Action::Report(report) => self.report(report),
                    Action::Answer(outcome) => {
                        let landing = self.land(outcome).await;
                        board.announce(landing);
                    }
                    Action::Finish(outcome) => {
                        let landing = self.land(outcome).await;
                        self.rest(&landing);
                        return landing;
                    }
                    asked => input = Some(self.act(asked).await),
                }
            }
            let Some(input) = input else {
                tracing::error!(operation = "token.drive", "the machine asked for nothing");
                return Landing::Over(Why::Failed(ErrorKind::Bug, "please report this"));
            };
            let input = match input {
                Ok(input) => input,
                Err(error) if error.kind() == ErrorKind::StoreUnavailable => {
                    tracing::warn!(operation = "token.drive", error = %error, "store call failed");
                    Input::StoreUnavailable
                }
                // Whatever keeps the pair in hand from being kept, it is not dropped.
                Err(error) if machine.holds_a_pair() => {
                    tracing::error!(
                        operation = "token.drive",
                        error = %error,
                        "a new credential cannot be stored; it is held in memory and tried again"
                    );
                    Input::StoreUnavailable
                }
                Err(error) if error.kind() == ErrorKind::ShuttingDown => {
                    return Landing::Over(Why::ShuttingDown);
                }
                Err(error) => {
                    tracing::error!(operation = "token.drive", error = %error, "flight ends early");
                    return Landing::Over(Why::Failed(error.kind(), advice(error.kind())));
                }
            };
            actions = match machine.step(input) {
                Ok(actions) => actions,
                Err(_unexpected) => {
                    tracing::error!(operation = "token.drive", "the machine refused an input");
                    return Landing::Over(Why::Failed(ErrorKind::Bug, "please report this"));
                }
            };
        }
    }

    /// After a failure nothing is sent for this credential before its pause is over.
    fn rest(&self, landing: &Landing) {
        let Landing::Kept { retry_after, why } = *landing else {
            return;
        };
        if matches!(why, Why::Transient | Why::SameAccessToken | Why::AppFault) {
            let until = self.inner.clock.monotonic().after(retry_after);
            let rest = Rest { until, why };
            self.inner.cache.rest(&self.key, self.generation(), rest);
        }
    }

    async fn act(&mut self, action: Action) -> Result<Input> {
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
            } => self.exchange(first_byte, deadline).await,
            Action::Commit {
                number,
                grant,
                base,
                fence,
                rotates,
                takes_pending,
            } => {
                let claim_id = self.timer(number)?;
                let (credential, expiries) = match takes_pending {
                    Some(pending) => self.pending(pending)?,
                    None => {
                        self.sealed_pair(SealedKind::Credential, grant, fence)
                            .await?
                    }
                };
                let commit = Commit {
                    claim_id,
                    grant,
                    base,
                    fence,
                    credential,
                    expiries,
                    status: self.status_after_refresh(),
                    rotates,
                    takes_pending,
                };
                self.commit(commit).await
            }
            Action::Fail {
                number,
                grant,
                base,
                fence,
                resolves,
                verdict,
                retry_after,
            } => {
                let claim_id = self.timer(number)?;
                let failure = Failure {
                    claim_id,
                    grant,
                    base,
                    fence,
                    resolves,
                    verdict,
                };
                self.fail(failure, retry_after).await
            }
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
            // Carried out by the caller.
            Action::Answer(_) | Action::Report(_) | Action::Finish(_) => Ok(Input::TimerFired),
        }
    }

    async fn load(&mut self) -> Result<Input> {
        if std::mem::take(&mut self.fresh) {
            return Ok(Input::Loaded(Some(Row::from(&self.stored))));
        }
        match self.inner.store.load(&self.key).await? {
            Some(stored) => {
                self.adopt(stored).await?;
                Ok(Input::Loaded(Some(Row::from(&self.stored))))
            }
            None => Ok(Input::Loaded(None)),
        }
    }

    async fn adopt(&mut self, stored: Stored) -> Result<()> {
        self.stored = stored;
        self.open_current().await?;
        if !self.is_behind() {
            self.publish();
        }
        Ok(())
    }

    /// The name of claim `number`; its timer starts with its first use.
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

    async fn claim(&mut self, request: ClaimRequest) -> Result<Input> {
        let outcome = self.inner.store.claim(&self.key, request).await?;
        Ok(Input::Claimed(match outcome {
            ClaimOutcome::Granted {
                fence,
                until,
                stored,
                superseded,
            } => {
                let row = Row::from(&*stored);
                self.adopt(*stored).await?;
                let superseded = superseded.is_some();
                Claimed::Granted {
                    fence,
                    left: until.remaining(),
                    row,
                    superseded,
                }
            }
            ClaimOutcome::Moved(stored) => {
                let row = Row::from(&*stored);
                self.adopt(*stored).await?;
                Claimed::Moved(row)
            }
            ClaimOutcome::Held { until, .. } => Claimed::Held {
                left: until.remaining(),
            },
            ClaimOutcome::Ended => Claimed::Ended,
        }))
    }

    async fn exchange(&mut self, first_byte: Duration, deadline: Duration) -> Result<Input> {
        let (Some((_, before)), Some(app)) = (self.current.clone(), self.app.clone()) else {
            return Ok(self.exchanged(Exchanged::Failed {
                fault: Fault::Malformed,
                sent: Sent::No,
            }));
        };
        let clock = Arc::clone(&self.inner.clock);
        let transport = Arc::clone(&self.inner.transport);
        let transport = Punctual::new(transport, Arc::clone(&clock), first_byte);
        let cx = Context::new(&app, &transport, &*clock);
        let limit = first_byte + deadline;
        let mut refresh = pin!(self.connector.refresh(&cx, &before));
        let started = clock.monotonic();
        let mut answer = within(&mut refresh, &*clock, limit).await;
        // A process that was frozen finds its time over, and the answer unread.
        if answer.is_none() && clock.monotonic().since(started) >= limit.saturating_add(OVERSLEPT) {
            answer = within(&mut refresh, &*clock, LAST_LOOK).await;
        }
        let Some(answer) = answer else {
            tracing::warn!(
                operation = "token.exchange",
                "the provider did not answer in time"
            );
            return Ok(self.exchanged(Exchanged::Failed {
                fault: Fault::Transient { after: None },
                sent: Sent::Maybe,
            }));
        };
        let connection = &self.stored.connection;
        let exchanged = match answer {
            Ok(answer) => {
                self.inner
                    .breakers
                    .succeeded(&connection.provider, &connection.app);
                let left = self.stored.current.as_ref().and_then(|it| it.refresh_left);
                let renewed = renewal::next(
                    self.connector.description(),
                    &app,
                    &before,
                    left.map(connector_core::TimeLeft::remaining),
                    &answer,
                    clock.now(),
                );
                let (rotated, same_access) = (renewed.rotated, renewed.same_access);
                self.pair = Some(renewed);
                Exchanged::Pair {
                    rotated,
                    same_access,
                }
            }
            Err(error) if transport.is_late() && error.sent() == connector_core::http::Sent::No => {
                Exchanged::Failed {
                    fault: Fault::TooLate,
                    sent: Sent::No,
                }
            }
            Err(error) => {
                tracing::warn!(
                    operation = "token.exchange",
                    connector = connection.provider.as_str(),
                    code = error.code(),
                    error = %error,
                    "the token endpoint gave no token"
                );
                let fault = match self.fault(&error) {
                    // RFC 6749 section 5.2: a parsed error is an answer, whatever its code means.
                    Fault::Malformed if error.sent() == connector_core::http::Sent::Answered => {
                        Fault::Transient { after: None }
                    }
                    fault => fault,
                };
                let sent = match error.sent() {
                    connector_core::http::Sent::No => Sent::No,
                    connector_core::http::Sent::Maybe => Sent::Maybe,
                    connector_core::http::Sent::Answered => Sent::Answered,
                };
                Exchanged::Failed { fault, sent }
            }
        };
        Ok(self.exchanged(exchanged))
    }

    fn exchanged(&self, answer: Exchanged) -> Input {
        let (steady, wall) = self.elapsed();
        Input::Exchanged {
            answer,
            elapsed: steady.max(wall),
        }
    }

    /// What a failure means, after the breaker and the death brake had their say.
    fn fault(&self, error: &connector_core::oauth::ExchangeError) -> Fault {
        let connection = &self.stored.connection;
        let (provider, app) = (&connection.provider, &connection.app);
        let breakers = &self.inner.breakers;
        let clock = &*self.inner.clock;
        match error.class() {
            ExchangeClass::Transient { after } => Fault::Transient { after },
            ExchangeClass::SiblingWon => Fault::SiblingWon,
            ExchangeClass::AppFault { certain } => {
                if breakers.refused(provider, app, &self.key, certain, clock) {
                    Fault::DeadGrant {
                        reason: ReauthorizationReason::AppNotInstalled,
                    }
                } else {
                    Fault::App
                }
            }
            ExchangeClass::DeadGrant => {
                if breakers.dead(provider, app, &self.key, clock) {
                    Fault::DeadGrant {
                        reason: self.why_dead(),
                    }
                } else {
                    // The brake is on: nobody is marked until a person confirms.
                    Fault::App
                }
            }
            _ => Fault::Malformed,
        }
    }

    /// The provider refused the grant; what is known about it says why.
    fn why_dead(&self) -> ReauthorizationReason {
        let ran_out = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        if ran_out.is_some_and(connector_core::TimeLeft::has_passed) {
            ReauthorizationReason::RefreshTokenExpired
        } else {
            ReauthorizationReason::GrantRevoked
        }
    }

    async fn sealed_pair(
        &self,
        kind: SealedKind,
        grant: GrantNumber,
        fence: Fence,
    ) -> Result<(connector_core::cipher::Sealed, Expiries)> {
        let Some(pair) = &self.pair else {
            return Err(bug("no pair is in hand"));
        };
        let sealed = self
            .inner
            .seal(&self.home, kind, grant, fence, &pair.credential)
            .await?;
        Ok((sealed, pair.expiries))
    }

    fn pending(&self, fence: Fence) -> Result<(connector_core::cipher::Sealed, Expiries)> {
        let pair = self.stored.pending.iter().find(|pair| pair.fence == fence);
        let pair = pair.ok_or_else(|| bug("no such pair is pending"))?;
        let expiries = Expiries {
            access: pair.access_left.map(connector_core::TimeLeft::remaining),
            refresh: pair.refresh_left.map(connector_core::TimeLeft::remaining),
        };
        Ok((pair.sealed.clone(), expiries))
    }

    async fn commit(&mut self, commit: Commit) -> Result<Input> {
        let generation = commit.base.next();
        let left = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        let mut effects = self.work(
            commit.expiries,
            left.map(connector_core::TimeLeft::remaining),
        );
        effects = effects.with_audit(self.entry(Event::Refreshed { generation }, false));
        if let Some(entry) = self.status_entry(&commit.status) {
            effects = effects.with_audit(entry);
        }
        let outcome = self.inner.store.commit(&self.key, commit, effects).await?;
        Ok(Input::Committed(match outcome {
            CommitOutcome::Stored => Committed::Stored,
            CommitOutcome::Pending => Committed::Pending,
            CommitOutcome::Ended => Committed::Ended,
        }))
    }

    /// The work that the credential of a refresh makes due.
    fn work(&self, expiries: Expiries, refresh_left: Option<Duration>) -> Effects {
        let description = self.connector.description();
        renewal::work(description, self.key.id, true, expiries, refresh_left)
    }

    /// A refresh tells nothing about what else the owner did not grant.
    fn status_after_refresh(&self) -> Status {
        match &self.stored.connection.status {
            Status::Degraded(DegradedReason::ScopesReduced) => {
                Status::Degraded(DegradedReason::ScopesReduced)
            }
            _ => Status::Connected,
        }
    }

    async fn fail(&mut self, failure: Failure, retry_after: Duration) -> Result<Input> {
        let status = match &failure.verdict {
            Verdict::Later { status } => status.clone(),
            Verdict::GiveUp { reason } => Some(Status::NeedsReauthorization(*reason)),
        };
        let gives_up = matches!(failure.verdict, Verdict::GiveUp { .. });
        if !gives_up && self.stored.connection.failures + 1 == ALERT {
            tracing::error!(
                connector = self.stored.connection.provider.as_str(),
                connection = %self.key.id,
                failures = ALERT,
                "a connection could not be refreshed several times in a row; it is tried again"
            );
        }
        let on_demand = self.connector.description().refresh == RefreshPolicy::OnDemand;
        let mut effects = if gives_up {
            Effects::none()
                .without_work(WorkKind::Refresh)
                .without_work(WorkKind::KeepAlive)
        } else if on_demand && failure.resolves {
            Effects::none()
        } else {
            Effects::none().with_work(WorkKind::Refresh, retry_after)
        };
        if let Some(entry) = status.and_then(|status| self.status_entry(&status)) {
            effects = effects.with_audit(entry);
        }
        let outcome = self.inner.store.fail(&self.key, failure, effects).await?;
        Ok(Input::Recorded(match outcome {
            FailOutcome::Applied => Recorded::Applied,
            FailOutcome::Moved(stored) => {
                let row = Row::from(&*stored);
                self.adopt(*stored).await?;
                Recorded::Moved(row)
            }
            FailOutcome::PendingLeft(stored) => {
                let row = Row::from(&*stored);
                self.adopt(*stored).await?;
                Recorded::PendingLeft(row)
            }
            FailOutcome::Held { until, .. } => Recorded::Held {
                left: until.remaining(),
            },
            FailOutcome::Ended => Recorded::Ended,
        }))
    }

    async fn write_back(
        &mut self,
        expect: Generation,
        grant: GrantNumber,
        generation: Generation,
        fence: Fence,
    ) -> Result<Input> {
        let (credential, expiries) = match (&self.pair, self.inner.cache.held(&self.key)) {
            (Some(pair), _) => (Arc::new(pair.credential.clone()), pair.expiries),
            (None, Some(held)) => {
                let now = self.inner.clock.now();
                let left = |end: Option<Timestamp>| end.map(|end| end.since(now));
                let expiries = Expiries {
                    access: left(held.expires_at()),
                    refresh: left(held.refresh_expires_at()),
                };
                (held, expiries)
            }
            (None, None) => return Err(bug("nothing is in hand to write back")),
        };
        let kind = SealedKind::Credential;
        let sealed = self
            .inner
            .seal(&self.home, kind, grant, fence, &credential)
            .await?;
        let connection = &self.stored.connection;
        let put = PutGrant {
            key: self.key.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            account: connection.account.clone(),
            expect: Expect::At(expect),
            grant,
            generation,
            fence,
            credential: sealed,
            expiries,
            status: Status::Connected,
            metadata: connection.metadata.clone(),
            takes: None,
        };
        let entry = self.entry(Event::Refreshed { generation }, false);
        let effects = self.work(expiries, None).with_audit(entry);
        let outcome = self.inner.store.put_grant(put, effects).await?;
        Ok(Input::WrittenBack(match outcome {
            PutOutcome::Stored => WrittenBack::Stored,
            PutOutcome::Moved(_) => WrittenBack::Moved,
            PutOutcome::Missing => WrittenBack::Missing,
        }))
    }

    async fn revoke(&mut self, grant: GrantNumber, fence: Fence) -> Result<Input> {
        let (sealed, _) = self
            .sealed_pair(SealedKind::Revocation, grant, fence)
            .await?;
        let connection = &self.stored.connection;
        let revocation = Revocation {
            key: self.key.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            account: connection.account.key.clone(),
            grant,
            fence,
            sealed,
        };
        let effects = Effects::none().with_work(WorkKind::Revocation, Duration::ZERO);
        self.inner
            .store
            .queue_revocation(revocation, effects)
            .await?;
        Ok(Input::Revoked)
    }

    async fn wait(&mut self, limit: Duration, on_generation: bool) -> Result<Input> {
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
            // Nothing is in hand during such a wait.
            if self.inner.flights.is_closed() {
                return Err(connector_core::Error::new(
                    ErrorKind::ShuttingDown,
                    "token.wait",
                    "the process is shutting down",
                ));
            }
            left = left.saturating_sub(pause);
            // A store that does not answer now is asked again with the next look.
            match self.inner.store.generation(&self.key).await {
                Ok(generation) if generation != Some(seen) => return Ok(Input::Woken),
                _ if left.is_zero() => return Ok(Input::TimerFired),
                _ => {}
            }
        }
    }

    /// What an outcome means to the callers.
    async fn land(&mut self, outcome: Outcome) -> Landing {
        match outcome {
            Outcome::Fresh { .. } | Outcome::ServeUndurable => {
                self.take_pair(outcome);
                Landing::Current
            }
            Outcome::Newer { .. } => {
                if self.fresh_row().await {
                    Landing::Current
                } else {
                    Self::store_gone()
                }
            }
            Outcome::KeepServing { retry_after, cause } => Landing::Kept {
                retry_after,
                why: match cause {
                    Cause::Held => Why::Held,
                    Cause::Transient | Cause::TooSlow => Why::Transient,
                    Cause::SameAccessToken => Why::SameAccessToken,
                    Cause::Unresolved => Why::Unresolved,
                },
            },
            Outcome::Unresolved { retry_after } => Landing::Kept {
                retry_after,
                why: Why::Unresolved,
            },
            Outcome::Unauthorized { probe: true, .. } => self.probe().await,
            Outcome::Unauthorized {
                retry_after,
                probe: false,
            } => {
                self.set_status(Status::Degraded(DegradedReason::Unauthorized))
                    .await;
                Landing::Kept {
                    retry_after,
                    why: Why::Unauthorized,
                }
            }
            Outcome::NeedsReauthorization { reason } => {
                Landing::Over(Why::NeedsReauthorization(reason))
            }
            Outcome::AppFault => Landing::Kept {
                retry_after: Duration::from_secs(60),
                why: Why::AppFault,
            },
            Outcome::Ended => {
                self.inner.cache.forget(&self.key);
                Landing::Over(Why::Ended)
            }
            Outcome::StoreUnavailable => Self::store_gone(),
            Outcome::StoreBehind => Landing::Over(Why::StoreBehind),
        }
    }

    fn store_gone() -> Landing {
        Landing::Kept {
            retry_after: Duration::from_secs(5),
            why: Why::StoreUnavailable,
        }
    }

    /// Hands out the pair in hand, or the pending one that took the current one's place.
    fn take_pair(&mut self, outcome: Outcome) {
        let Some(pair) = &self.pair else {
            return;
        };
        let connection = &self.stored.connection;
        let (grant, generation) = match outcome {
            Outcome::Fresh { grant, generation } => (grant, generation),
            _ => (connection.grant, connection.generation.next()),
        };
        let deadlines = pair
            .expiries
            .access
            .map(|access| Windows::of(access, self.key.id).deadlines(&*self.inner.clock, access));
        let arrival = Arrival {
            issued: IssuedToken::new(&pair.credential, grant, generation, deadlines),
            fence: connection.fence,
            credential: Arc::new(pair.credential.clone()),
        };
        self.inner.cache.put(&self.key, arrival, &*self.inner.clock);
    }

    /// Reads the row once more and hands its token out; false if the store does not answer.
    async fn fresh_row(&mut self) -> bool {
        match self.inner.store.load(&self.key).await {
            Ok(Some(stored)) => self.adopt(stored).await.is_ok(),
            _ => false,
        }
    }

    /// Asks the provider who the credential belongs to, after fresh tokens were refused in a row.
    async fn probe(&self) -> Landing {
        let retry_after = PROBE_EVERY;
        let rest = Rest {
            until: self.inner.clock.monotonic().after(retry_after),
            why: Why::Unauthorized,
        };
        self.inner.cache.rest(&self.key, self.generation(), rest);
        let kept = Landing::Kept {
            retry_after,
            why: Why::Unauthorized,
        };
        let Some((_, credential)) = &self.current else {
            return kept;
        };
        let connection = &self.stored.connection;
        let app = self
            .inner
            .app(&connection.provider, &self.key.tenant, &connection.app)
            .await;
        let Ok(app) = app else {
            return kept;
        };
        let cx = Context::new(&app, &*self.inner.transport, &*self.inner.clock);
        match self.connector.identify(&cx, credential).await {
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                let reason = ReauthorizationReason::Rejected;
                self.inner.cache.forget(&self.key);
                self.set_status(Status::NeedsReauthorization(reason)).await;
                Landing::Over(Why::NeedsReauthorization(reason))
            }
            _ => kept,
        }
    }

    /// Sets the state beside any exchange. A row that moved meanwhile is left alone: whoever moved
    /// it knows better.
    async fn set_status(&self, status: Status) {
        let Some(entry) = self.status_entry(&status) else {
            return;
        };
        let effects = Effects::none().with_audit(entry);
        let patch = Patch {
            status: Some(status),
            ..Patch::default()
        };
        let version = self.stored.connection.version;
        match self
            .inner
            .store
            .update(&self.key, version, patch, effects)
            .await
        {
            Ok(UpdateOutcome::Updated(_) | UpdateOutcome::Moved(_) | UpdateOutcome::Missing) => {}
            Err(error) => {
                tracing::warn!(operation = "token.status", error = %error, "state not recorded");
            }
        }
    }

    fn status_entry(&self, to: &Status) -> Option<AuditEntry> {
        let from = &self.stored.connection.status;
        (from != to).then(|| {
            self.entry(
                Event::StatusChanged {
                    from: from.clone(),
                    to: to.clone(),
                },
                true,
            )
        })
    }

    fn entry(&self, event: Event, notify: bool) -> AuditEntry {
        let connection = &self.stored.connection;
        AuditEntry {
            class: match event {
                Event::Refreshed { .. } | Event::SuccessorKept { .. } => AuditClass::Credential,
                _ => AuditClass::Connection,
            },
            tenant: self.key.tenant.clone(),
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            connection: Some(self.key.id),
            context: self.context.clone(),
            event,
            notify,
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
                "the store holds an older credential than this process has seen: was a backup \
                 restored? The older token is not used"
            ),
            Report::Malformed => tracing::error!(
                connector,
                %connection,
                "the token endpoint's answer makes no sense; it is tried again later"
            ),
            Report::SuccessorKept { base } => {
                tracing::warn!(connector, %connection, %base, "a late pair is kept");
            }
            Report::SuccessorTaken { fence } => {
                tracing::info!(connector, %connection, %fence, "a late pair is used");
            }
            Report::Unresolved => {
                tracing::warn!(connector, %connection, "the outcome of a refresh is not known");
            }
            Report::Rotates => {
                tracing::warn!(connector, %connection, "the provider rotates refresh tokens");
            }
            Report::TooSlow => {
                tracing::warn!(connector, %connection, "this process is too slow for its claim");
            }
        }
    }
}

/// What `future` brings, if it does within `limit`.
async fn within<F: Future + Unpin>(
    future: F,
    clock: &dyn Clock,
    limit: Duration,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock.sleep(limit) => None,
    }
}

fn bug(message: &'static str) -> connector_core::Error {
    connector_core::Error::new(ErrorKind::Bug, "token.drive", message)
}

impl Inner {
    /// The context of what the library does by itself.
    pub(crate) fn worker_context(key: &ConnectionKey) -> RequestContext {
        let correlation = CorrelationId::new(format!("refresh-{}", key.id))
            .unwrap_or_else(|_| CorrelationId::default());
        RequestContext::new(Actor::Worker, correlation)
    }
}
