//! The task of one flight: reads the row, decides whether the machine must run, and runs it.

use std::sync::Arc;
use std::time::Duration;

use connector_core::store::{Generation, Stored};
use connector_core::{ConnectionKey, DegradedReason, ErrorKind, RequestContext, Result, Status};
use tracing::Instrument as _;

use super::{Driver, advice};
use crate::breaker::Admission;
use crate::hub::Inner;
use crate::token::flight::{Step, Waiters};
use crate::token::machine::{DAILY, Machine, Reason, Settings, Start};
use crate::token::outcome::{NoToken, NoTokenReason, RefreshOutcome};
use crate::token::windows::spread;

/// Minimum pause after a flight without a token, before readers of a valid token start another
/// flight.
const SHORT_REST: Duration = Duration::from_secs(5);
/// Pause for a connection whose credential was issued to another client id.
const FOREIGN_PAUSE: Duration = Duration::from_secs(60);

/// The cause of a flight.
#[derive(Debug, Clone)]
pub(crate) enum RefreshTrigger {
    /// A caller needs a token.
    Fetch,
    /// A caller read a valid token that expires soon, or that has not been compared with the store
    /// recently.
    Renew,
    /// The refresh is due according to the schedule.
    Scheduled,
    /// The refresh token must be used before it expires, regardless of the access token.
    KeepAlive,
    /// The application requested a refresh.
    Force(RequestContext),
    /// The provider's API rejected the access token of this generation.
    Rejected(Generation),
}

/// Runs one flight until it ends.
pub(crate) async fn fly(
    inner: Arc<Inner>,
    key: ConnectionKey,
    trigger: RefreshTrigger,
    waiters: Waiters,
) -> RefreshOutcome {
    let flight = Flight {
        inner: &inner,
        key: &key,
        waiters: &waiters,
    };
    let span = tracing::info_span!("hub.refresh", connection = %key.id);
    let outcome = flight.run(trigger).instrument(span).await;
    if let RefreshOutcome::NoToken(NoToken {
        retry_after: Some(retry_after),
        ..
    }) = outcome
    {
        let pause = retry_after.min(SHORT_REST);
        inner.cache.let_rest(&key, pause, &*inner.clock);
    }
    inner.cache.woken(&key);
    outcome
}

struct Flight<'a> {
    inner: &'a Arc<Inner>,
    key: &'a ConnectionKey,
    waiters: &'a Waiters,
}

impl Flight<'_> {
    async fn run(&self, trigger: RefreshTrigger) -> RefreshOutcome {
        let stored = match self.inner.store.load(self.key).await {
            Ok(stored) => stored.filter(|stored| stored.connection.is_live()),
            Err(error) => return Self::failed(&error).into(),
        };
        let Some(stored) = stored else {
            self.inner.cache.forget(self.key);
            return NoToken::finally(NoTokenReason::Ended).into();
        };
        self.waiters.progress().set(Step::Preparing);
        let known = self.inner.cache.generation(self.key);
        match self.begin(stored, trigger, known).await {
            Ok(outcome) => outcome,
            Err(error) => Self::failed(&error).into(),
        }
    }

    async fn begin(
        &self,
        stored: Stored,
        trigger: RefreshTrigger,
        known: Option<Generation>,
    ) -> Result<RefreshOutcome> {
        let connector = Arc::clone(self.inner.connector(&stored.connection.provider)?);
        let progress = self.waiters.progress().clone();
        let mut driver = Driver::new(self.inner, self.key.clone(), connector, stored, progress);
        driver.open_current().await?;
        let behind = driver.is_behind();
        if !behind {
            driver.publish();
            if let Some(no_token) = driver.verify_account().await {
                return Ok(no_token.into());
            }
        }
        let resend = !behind && driver.owes_resend();
        let good = driver.is_good();
        let (reason, seen) = match &trigger {
            // The row has a valid token, so this caller needs no exchange.
            RefreshTrigger::Fetch if !behind && good => {
                if !resend {
                    return Ok(RefreshOutcome::Current);
                }
                self.waiters.answer(RefreshOutcome::Current);
                (Reason::Advisory, None)
            }
            RefreshTrigger::Renew | RefreshTrigger::Scheduled
                if !behind && !resend && driver.is_fresh() =>
            {
                return Ok(RefreshOutcome::Current);
            }
            // The flight may wait only while the token is valid.
            RefreshTrigger::Renew | RefreshTrigger::Scheduled | RefreshTrigger::KeepAlive
                if good =>
            {
                (Reason::Advisory, None)
            }
            RefreshTrigger::Fetch
            | RefreshTrigger::Renew
            | RefreshTrigger::Scheduled
            | RefreshTrigger::KeepAlive => (Reason::Mandatory, None),
            RefreshTrigger::Force(context) => {
                driver.context = context.clone();
                (Reason::Forced { good }, None)
            }
            RefreshTrigger::Rejected(generation) => {
                (self.rejection(&driver, *generation), Some(*generation))
            }
        };
        let seen = seen
            .or_else(|| known.filter(|_| behind))
            .or(Some(driver.generation()));
        if !behind && let Some(no_token) = self.resting(&driver, &trigger) {
            return Ok(no_token.into());
        }
        if !driver.is_refreshable() && !behind {
            return Ok(driver.unrefreshable(&trigger).await);
        }
        driver.prepare_app().await?;
        if driver.is_foreign() {
            return Ok(NoToken::later(NoTokenReason::AppRefused, FOREIGN_PAUSE).into());
        }
        if let Some(refused) = self.not_admitted(&driver) {
            return Ok(refused.into());
        }
        let mark = self.inner.cache.mark(self.key);
        let settings = Settings::new(driver.class(), spread(self.key.id));
        let (machine, actions) = Machine::start(settings, Start { reason, seen, mark });
        Ok(driver.drive(machine, actions, self.waiters).await)
    }

    fn rejection(&self, driver: &Driver<'_>, generation: Generation) -> Reason {
        let cache = &self.inner.cache;
        cache.refused(self.key, generation);
        let proof = cache.proof(self.key, generation, &*self.inner.clock);
        Reason::Rejected {
            worked: proof.worked,
            unproven: proof.unproven,
            // The cache only knows how long this process has had the token. The token itself may be
            // older.
            age: proof.age.max(driver.age()),
        }
    }

    /// Returns the remaining pause after a failed refresh of this generation. If the provider
    /// refused every attempt, the pause is one day.
    fn resting(&self, driver: &Driver<'_>, trigger: &RefreshTrigger) -> Option<NoToken> {
        let generation = driver.generation();
        let rejected = match trigger {
            RefreshTrigger::Force(_) => return None,
            // A newer token exists.
            RefreshTrigger::Rejected(refused) if *refused != generation => return None,
            RefreshTrigger::Rejected(_) => true,
            _ => false,
        };
        let connection = &driver.stored.connection;
        let refused = Status::Degraded(DegradedReason::RefreshRefused);
        if connection.status == refused && !matches!(trigger, RefreshTrigger::Scheduled) {
            let age = self.inner.clock.now().since(connection.updated_at);
            let left = DAILY.saturating_sub(age);
            if !left.is_zero() {
                return Some(NoToken::later(NoTokenReason::RefreshRefused, left));
            }
        }
        let cache = &self.inner.cache;
        let rest = cache.resting(self.key, generation, &*self.inner.clock)?;
        (rejected || rest.reason != NoTokenReason::Unauthorized).then_some(rest)
    }

    fn not_admitted(&self, driver: &Driver<'_>) -> Option<NoToken> {
        let registration = driver.registration.as_ref()?;
        let breakers = &self.inner.breakers;
        match breakers.admit(registration, self.key, &*self.inner.clock) {
            Admission::Admitted => None,
            Admission::Refused { retry_after } => {
                Some(NoToken::later(NoTokenReason::AppRefused, retry_after))
            }
            Admission::Withheld { retry_after } => {
                Some(NoToken::later(NoTokenReason::Withheld, retry_after))
            }
        }
    }

    /// Returns the result of a failed flight. While the store is unavailable, unexpired tokens are
    /// still returned to callers.
    fn failed(error: &connector_core::Error) -> NoToken {
        if error.kind() == ErrorKind::StoreUnavailable {
            tracing::warn!(
                operation = "token.flight",
                error = %error,
                "the store is unavailable; cached tokens are returned until they expire"
            );
            return super::store_unavailable();
        }
        tracing::error!(operation = "token.flight", error = %error, "no token is available");
        let kind = error.kind();
        NoToken::finally(NoTokenReason::Failed(kind, advice(kind)))
    }
}
