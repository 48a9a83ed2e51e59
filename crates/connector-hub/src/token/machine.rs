//! The refresh machine: a state machine without I/O by which one process gets a new credential for
//! a connection.
//!
//! One [`Machine`] is one flight. Each process runs at most one flight per connection, whatever the
//! number of waiting callers. The driver passes [`Input`]s to the machine and executes the
//! [`Action`]s that it returns. The machine handles grants, generations and fences; only the driver
//! handles secrets. The machine reads no clock. The driver measures time.
//!
//! Each step returns any number of [`Action::Answer`] and [`Action::Report`], and then at most one
//! action that requires a reply. The documentation of each action names the input with which the
//! driver replies. After [`Action::Finish`], the machine accepts no more input.
//!
//! The steps of a flight:
//! 1. **Load** the row, and do the slow preparation: open the sealed secret, resolve the host. If
//!    the row has changed in the meantime, the changed row is returned. A row that is older than
//!    the state that this process has seen comes from a restored backup. Its token is never sent.
//!    If the newer token pair is in memory, the pair is written back as a new grant.
//! 2. **Claim** the row. If the row has changed, use the changed row. If another process has the
//!    claim, wait for a new generation instead of the end of the claim. If a retry could end a
//!    valid token at this provider, do not replace an unresolved claim while the access token is
//!    valid.
//! 3. If there is a **pending pair** whose base is the claimed generation, make it the current
//!    pair. Nothing is sent.
//! 4. **Check the clocks**. If too much time has passed since the claim, on either clock, release
//!    the claim and start over.
//! 5. **Exchange** the refresh token once.
//! 6. **Commit** a new pair, and retry until the outcome is known. While the store is unavailable,
//!    callers get the new access token, unless its first use would end the grace period of the old
//!    token. A late pair is stored as pending, in addition to the current one. A pair of an ended
//!    grant is queued for revocation.
//! 7. Every other result is a **failure**. The call that records a definite failure also resolves
//!    the claim. After a failure in which the provider may have acted, the claim stays active. When
//!    the claim expires, the machine sends the token once more.
//! 8. **Give up** only if the store confirms that there is no other credential. If the row has
//!    changed, use the changed row. If there are pending pairs, try them first, newest fence first.
//!    If a claim is active, wait for it.
//!
//! A store call without a known outcome is repeated unchanged after a pause.

mod messages;

use std::time::Duration;

use connector_core::provider::oauth::RotationClass;
use connector_core::store::{
    Claim, ClaimKind, ClaimOutcome, CommitOutcome, FailOutcome, Fence, Generation, GrantNumber,
    PendingCredential, PutOutcome, Stored, Verdict,
};
use connector_core::{DegradedReason, ReauthorizationReason, Status};

pub(crate) use self::messages::is_within_grace;
pub use self::messages::{
    Action, Exchanged, Fault, Input, Mark, NewAccess, NoToken, NoTokenReason, Outcome, Reason,
    Report, Sent, Settings, Start, Timings, Unexpected, effective,
};

/// Number of consecutive failures after which a refusal without a known meaning ends the automatic
/// retries.
pub const ATTEMPTS: u32 = 10;
/// Pause between attempts after that.
pub const DAILY: Duration = Duration::from_secs(86_400);
/// Pause after the provider refused the app.
const APP_PAUSE: Duration = Duration::from_secs(60);
/// Pause after the store was unavailable.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// Maximum time that callers with an expired access token wait for another process's exchange.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum number of retries of a store call with an unknown outcome, if no credential is lost when
/// the machine gives up.
const REPEATS: u8 = 4;
/// Maximum number of new claims after the process was too slow to use a claim.
const RESTARTS: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    Loading(Next),
    Claiming,
    Checking,
    Exchanging,
    Committing(Commitment),
    Failing(Failing),
    Restoring,
    Revoking(Next),
    /// Waiting to repeat a store call whose outcome is unknown.
    Pausing(Box<State>),
    Waiting(Waiting),
    Done,
}

/// The next step after the row is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    /// Claim the row unless it has changed.
    Claim,
    /// Use the row, which another process should have changed.
    Adopt,
    /// Discard the new pair, because the store reports that its grant has ended.
    Bury,
    /// Wait until no claim is active, then record the failure.
    Patience(ReauthorizationReason),
    /// Use the result of another request if that request succeeded. Otherwise, the outcome stays
    /// unknown for this duration.
    Sibling(Duration),
    /// End the flight with the given outcome.
    Finish(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Commitment {
    Pair { access: NewAccess },
    Pending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Failing {
    Finish(Outcome),
    StartOver,
    GiveUp(ReauthorizationReason),
    Unresolved { left: Duration },
    Sibling { left: Duration },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Waiting {
    limit: Duration,
    /// Remaining lifetime of the other claim after the time limit has passed.
    rest: Duration,
    then: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ticket {
    grant: GrantNumber,
    base: Generation,
    fence: Fence,
    left: Duration,
}

/// One flight. See the module documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag records an independent event, and all combinations occur"
)]
pub struct Machine {
    settings: Settings,
    start: Start,
    state: State,
    /// The last requested store call.
    call: Option<Action>,
    number: u8,
    repeats: u8,
    restarts: u8,
    patience: Duration,
    /// The last granted claim.
    ticket: Option<Ticket>,
    /// The claim for the exchange that returned the new pair, until the machine no longer needs the
    /// pair.
    hand: Option<Ticket>,
    /// The rotation class of the credential in the row.
    class: RotationClass,
    failures: u32,
    /// True if the response to an earlier exchange may have been lost.
    lost: bool,
    /// True if the provider's grace period after that exchange has ended.
    grace_over: bool,
    /// True if the tokens belong to another account. No failure makes them usable.
    withheld: bool,
    /// True if this flight has already waited and sent the token again.
    resent: bool,
    /// True after callers got the new access token.
    answered: bool,
    /// True while the machine makes a claim in order to write a pair back.
    restoring: bool,
}

impl Machine {
    /// Starts a flight, and returns the first actions.
    #[must_use]
    pub fn start(settings: Settings, start: Start) -> (Self, Vec<Action>) {
        let machine = Self {
            settings,
            start,
            state: State::Loading(Next::Claim),
            call: Some(Action::Load),
            number: 0,
            repeats: 0,
            restarts: 0,
            patience: PATIENCE,
            ticket: None,
            hand: None,
            class: settings.class,
            failures: 0,
            lost: false,
            grace_over: false,
            withheld: false,
            resent: false,
            answered: false,
            restoring: false,
        };
        (machine, vec![Action::Load])
    }

    /// Returns true after [`Action::Finish`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns true while there is a new pair that may not be stored yet. A shutdown waits for the
    /// pair.
    #[must_use]
    pub fn holds_a_pair(&self) -> bool {
        self.hand.is_some()
    }

    /// Processes an input and returns the next actions. An empty result means that the previously
    /// requested action is still pending.
    ///
    /// # Errors
    /// [`Unexpected`] if the input does not match the requested action.
    pub fn step(&mut self, input: Input) -> Result<Vec<Action>, Unexpected> {
        let state = self.state.clone();
        match (state, input) {
            (State::Done, _) => Err(Unexpected),
            (state, Input::GrantEnded) => Ok(self.grant_ended(&state)),
            (State::Pausing(state), Input::TimerFired) => {
                self.state = *state;
                Ok(self.call.clone().into_iter().collect())
            }
            (State::Waiting(waiting), Input::TimerFired) => Ok(self.wait_is_over(waiting)),
            (State::Waiting(waiting), Input::Woken) => Ok(self.woken(waiting)),
            (
                state @ (State::Loading(_)
                | State::Claiming
                | State::Committing(_)
                | State::Failing(_)
                | State::Restoring
                | State::Revoking(_)),
                Input::StoreUnavailable,
            ) => Ok(self.unavailable(state)),
            (State::Loading(next), Input::Loaded(row)) => {
                self.repeats = 0;
                Ok(self.loaded(next, row.as_deref()))
            }
            (State::Claiming, Input::Claimed(claimed)) => {
                self.repeats = 0;
                Ok(self.claimed(claimed))
            }
            (State::Checking, Input::Clocks { steady, wall }) => Ok(self.checked(steady.max(wall))),
            (State::Exchanging, Input::Exchanged { answer, elapsed }) => {
                self.exchanged(answer, elapsed)
            }
            (State::Committing(what), Input::Committed(outcome)) => {
                self.repeats = 0;
                self.committed(what, &outcome)
            }
            (State::Failing(what), Input::Recorded(outcome)) => {
                self.repeats = 0;
                self.recorded(what, outcome)
            }
            (State::Restoring, Input::WrittenBack(outcome)) => {
                self.repeats = 0;
                Ok(self.written_back(&outcome))
            }
            (State::Revoking(next), Input::Revoked) => {
                self.repeats = 0;
                self.hand = None;
                Ok(match next {
                    Next::Finish(outcome) => self.finish(outcome),
                    next => self.load(next),
                })
            }
            _ => Err(Unexpected),
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Vec<Action> {
        self.state = State::Done;
        self.call = None;
        vec![Action::Finish(outcome)]
    }

    fn ask(&mut self, state: State, action: Action) -> Vec<Action> {
        self.state = state;
        self.call = Some(action.clone());
        vec![action]
    }

    fn load(&mut self, next: Next) -> Vec<Action> {
        self.ask(State::Loading(next), Action::Load)
    }

    fn newer(&mut self, row: &Stored) -> Vec<Action> {
        self.finish(Outcome::Newer {
            grant: row.connection.grant,
            generation: row.connection.generation,
        })
    }

    fn over(&mut self, reason: NoTokenReason) -> Vec<Action> {
        self.finish(Outcome::NoToken(NoToken::finally(reason)))
    }

    fn keep(&self, reason: NoTokenReason, at_least: Duration) -> Outcome {
        let backoff = self.settings.backoff(self.failures);
        later(reason, backoff.max(at_least))
    }

    fn behind(&self, row: &Stored) -> Option<Mark> {
        let row = &row.connection;
        self.start.mark.filter(|mark| {
            (row.grant, row.generation) < (mark.grant, mark.generation)
                || row.grant == mark.grant && row.fence < mark.fence
        })
    }

    fn moved(&self, row: &Stored) -> bool {
        let generation = row.connection.generation;
        self.start.seen.is_some_and(|seen| seen != generation)
    }

    /// Updates the known facts from the row. `unresolved` is a claim for a request that may have
    /// reached the provider.
    fn learn(&mut self, row: &Stored, unresolved: Option<&Claim>) {
        self.failures = row.connection.failures;
        self.withheld = dead(row) == Some(ReauthorizationReason::AccountMismatch);
        self.lost |= is_unresolved(row) || dead(row) == Some(ReauthorizationReason::LostInFlight);
        self.grace_over |= unresolved.is_some_and(|claim| self.outlasted(claim));
        self.class = match self.settings.class {
            RotationClass::Stable if row.connection.rotates => RotationClass::Strict,
            RotationClass::Grace(_) if self.grace_over => RotationClass::Strict,
            class => class,
        };
    }

    /// Returns true if the grace period of the token that was sent under `claim` has ended.
    fn outlasted(&self, claim: &Claim) -> bool {
        is_within_grace(self.settings.class, claim) == Some(false)
    }

    fn loaded(&mut self, next: Next, row: Option<&Stored>) -> Vec<Action> {
        if next == Next::Bury {
            return self.bury(row);
        }
        let Some(row) = row.filter(|row| is_live(row)) else {
            return self.over(NoTokenReason::Ended);
        };
        self.learn(row, row.claim.as_ref());
        if let Some(mark) = self.behind(row) {
            return self.restore(mark, row);
        }
        if self.moved(row) {
            return self.newer(row);
        }
        match next {
            Next::Claim => self.begin(row),
            // The store decides again, in one statement.
            Next::Patience(reason) => self.give_up(reason),
            Next::Sibling(left) => self.finish(later(NoTokenReason::Unresolved, left)),
            Next::Finish(outcome) => self.finish(outcome),
            // Another process did the work of this flight.
            Next::Adopt | Next::Bury => self.newer(row),
        }
    }

    fn begin(&mut self, row: &Stored) -> Vec<Action> {
        match self.start.reason {
            Reason::Rejected {
                worked,
                unproven,
                age,
            } if !worked && row.connection.confirmed < Some(row.connection.generation) => {
                if unproven >= 3 {
                    return self.finish(Outcome::Probe);
                }
                let pause = self.settings.backoff(unproven);
                if age < pause {
                    let rest = pause.saturating_sub(age);
                    return self.finish(later(NoTokenReason::Unauthorized, rest));
                }
            }
            _ => {}
        }
        if let Some(reason) = self.found_dead(row) {
            return self.over(NoTokenReason::NeedsReauthorization(reason));
        }
        if (row.claim.is_some() || is_unresolved(row))
            && self.class == RotationClass::Strict
            && self.start.reason.can_wait()
        {
            let left = row.claim.as_ref().map(|claim| claim.until.remaining());
            let outcome = self.keep(NoTokenReason::Unresolved, left.unwrap_or_default());
            return self.finish(outcome);
        }
        self.claim(row, ClaimKind::Refresh)
    }

    /// Returns the reason if the provider reported that the grant has ended. Only a requested
    /// refresh tries such a grant again.
    fn found_dead(&self, row: &Stored) -> Option<ReauthorizationReason> {
        match self.start.reason {
            Reason::Forced { .. } => None,
            _ => dead(row),
        }
    }

    fn claim(&mut self, row: &Stored, kind: ClaimKind) -> Vec<Action> {
        // A claim that was not granted left no record, so its number can be reused.
        if self.ticket.take().is_some() {
            self.number = self.number.saturating_add(1);
        }
        self.ask(
            State::Claiming,
            Action::Claim {
                number: self.number,
                grant: row.connection.grant,
                seen: row.connection.generation,
                kind,
                hold: Timings::of(self.class).hold,
            },
        )
    }

    /// Handles a store that is older than the state that this process has seen.
    fn restore(&mut self, mark: Mark, row: &Stored) -> Vec<Action> {
        let mut actions = vec![Action::Report(Report::RestoredBackup {
            seen: mark.generation,
            found: row.connection.generation,
        })];
        if mark.in_hand {
            self.restoring = true;
            actions.extend(self.claim(row, ClaimKind::Exchange));
        } else {
            actions.extend(self.over(NoTokenReason::StoreBehind));
        }
        actions
    }

    fn claimed(&mut self, claimed: ClaimOutcome) -> Vec<Action> {
        match claimed {
            ClaimOutcome::Granted {
                fence,
                until,
                stored,
                superseded,
            } => self.granted(fence, until.remaining(), &stored, superseded.as_ref()),
            ClaimOutcome::Moved(row) => {
                self.learn(&row, row.claim.as_ref());
                if !is_live(&row) && self.hand.is_none() {
                    self.over(NoTokenReason::Ended)
                } else if self.restoring || self.behind(&row).is_some() {
                    self.again()
                } else {
                    self.newer(&row)
                }
            }
            ClaimOutcome::Held { until, .. } => {
                let left = until.remaining();
                if self.start.reason.can_wait() && !self.restoring {
                    self.finish(later(NoTokenReason::Held, left))
                } else {
                    let then = match self.hand {
                        Some(_) => Next::Bury,
                        None => Next::Claim,
                    };
                    self.wait(left, then)
                }
            }
            ClaimOutcome::Ended if self.hand.is_some() => self.again(),
            ClaimOutcome::Ended => self.over(NoTokenReason::Ended),
        }
    }

    fn granted(
        &mut self,
        fence: Fence,
        left: Duration,
        row: &Stored,
        superseded: Option<&Claim>,
    ) -> Vec<Action> {
        let (grant, generation) = (row.connection.grant, row.connection.generation);
        let base = match self.call {
            Some(Action::Claim { seen, .. }) => seen,
            _ => generation,
        };
        let ticket = Ticket {
            grant,
            base,
            fence,
            left,
        };
        self.ticket = Some(ticket);
        self.learn(row, superseded);
        self.lost |= superseded.is_some();
        if self.restoring {
            return self.ask(
                State::Restoring,
                Action::WriteBack {
                    expect: generation,
                    grant: grant.next(),
                    generation: generation.next(),
                    fence,
                },
            );
        }
        if self.behind(row).is_some() {
            return self.fail(Failing::StartOver, true, self.later(None));
        }
        if let Some(reason) = self.found_dead(row) {
            return self.give_up(reason);
        }
        if superseded.is_some()
            && self.class == RotationClass::Strict
            && self.start.reason.can_wait()
        {
            let outcome = self.keep(NoTokenReason::Unresolved, left);
            return self.fail(Failing::Finish(outcome), false, self.later(None));
        }
        match row.pending.iter().find(|pair| pair.base == generation) {
            Some(pair) => self.take_pending(pair, ticket),
            None => self.ask(State::Checking, Action::CheckClocks),
        }
    }

    fn take_pending(&mut self, pair: &PendingCredential, ticket: Ticket) -> Vec<Action> {
        let mut actions = vec![Action::Report(Report::SuccessorTaken { fence: pair.fence })];
        actions.extend(self.ask(
            State::Committing(Commitment::Pending),
            Action::Commit {
                number: self.number,
                grant: ticket.grant,
                base: ticket.base,
                fence: ticket.fence,
                rotates: false,
                takes_pending: Some(pair.fence),
                retry_after: None,
            },
        ));
        actions
    }

    fn checked(&mut self, elapsed: Duration) -> Vec<Action> {
        if elapsed <= Timings::of(self.class).start {
            return self.exchange(elapsed);
        }
        self.too_slow()
    }

    /// Handles a missed deadline for the first byte of the request. No request was sent.
    fn too_slow(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::Report(Report::TooSlow)];
        let what = if self.restarts < RESTARTS {
            self.restarts += 1;
            Failing::StartOver
        } else {
            Failing::Finish(self.keep(NoTokenReason::TooSlow, Duration::ZERO))
        };
        actions.extend(self.fail(what, true, self.later(None)));
        actions
    }

    fn exchange(&mut self, elapsed: Duration) -> Vec<Action> {
        let timings = Timings::of(self.class);
        let generation = match self.ticket {
            Some(ticket) => ticket.base,
            None => return self.load(Next::Claim),
        };
        self.state = State::Exchanging;
        self.call = None;
        vec![Action::Exchange {
            generation,
            first_byte: timings.start.saturating_sub(elapsed),
            deadline: timings.deadline,
        }]
    }

    fn exchanged(
        &mut self,
        answer: Exchanged,
        elapsed: Duration,
    ) -> Result<Vec<Action>, Unexpected> {
        let ticket = self.ticket.ok_or(Unexpected)?;
        let left = ticket.left.saturating_sub(elapsed);
        Ok(match answer {
            Exchanged::Pair { rotated, access } => match access.fault() {
                Some(reason) if !rotated => self.failing(reason, Duration::ZERO),
                _ => self.keep_pair(ticket, rotated, access),
            },
            Exchanged::Failed {
                sent: Sent::No | Sent::Answered,
                fault: Fault::App,
            } => {
                let outcome = later(NoTokenReason::AppRefused, APP_PAUSE);
                self.fail(Failing::Finish(outcome), true, self.later(None))
            }
            Exchanged::Failed {
                sent: Sent::Answered,
                fault: Fault::DeadGrant { reason },
            } => self.dead_grant(reason),
            Exchanged::Failed {
                sent: Sent::Answered,
                fault: Fault::AlreadyRefreshed,
            } => self.fail(Failing::Sibling { left }, false, self.later(None)),
            Exchanged::Failed {
                sent: Sent::Answered,
                fault: Fault::Transient { after },
            } => self.failing(NoTokenReason::Transient, after.unwrap_or_default()),
            Exchanged::Failed {
                sent: Sent::Answered,
                fault: Fault::Withheld,
            } => self.failing(NoTokenReason::Withheld, Duration::ZERO),
            Exchanged::Failed {
                sent: Sent::Answered,
                fault: Fault::Malformed,
            } => self.not_understood(),
            Exchanged::Failed {
                sent: Sent::No,
                fault: Fault::TooLate,
            } => self.too_slow(),
            Exchanged::Failed { sent: Sent::No, .. } => {
                self.failing(NoTokenReason::Transient, Duration::ZERO)
            }
            Exchanged::Failed {
                fault,
                sent: Sent::Maybe | Sent::Answered,
            } => {
                self.lost = true;
                let mut actions = vec![Action::Report(if fault == Fault::Malformed {
                    Report::Malformed
                } else {
                    Report::Unresolved
                })];
                actions.extend(self.fail(
                    Failing::Unresolved { left },
                    false,
                    self.later(Some(DegradedReason::RefreshUnresolved)),
                ));
                actions
            }
        })
    }

    /// Records a definite failure, and starts the back-off.
    fn failing(&mut self, reason: NoTokenReason, at_least: Duration) -> Vec<Action> {
        let outcome = self.keep(reason, at_least);
        let verdict = self.later(Some(DegradedReason::RefreshFailing));
        self.fail(Failing::Finish(outcome), true, verdict)
    }

    /// Records a complete refusal whose meaning is unknown. After a limited number of attempts,
    /// automatic retries end, and an operator must investigate.
    fn not_understood(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::Report(Report::Malformed)];
        if self.failures.saturating_add(1) < ATTEMPTS {
            actions.extend(self.failing(NoTokenReason::RefreshRefused, Duration::ZERO));
            return actions;
        }
        let outcome = later(NoTokenReason::RefreshRefused, DAILY);
        let verdict = self.degraded(Some(DegradedReason::RefreshRefused));
        actions.extend(self.fail(Failing::Finish(outcome), true, verdict));
        actions
    }

    fn keep_pair(&mut self, ticket: Ticket, rotated: bool, access: NewAccess) -> Vec<Action> {
        let mut actions = Vec::new();
        if rotated && self.class == RotationClass::Stable {
            self.class = RotationClass::Strict;
            actions.push(Action::Report(Report::Rotates));
        }
        self.hand = Some(ticket);
        // From here on, the new pair is the newest state that this process knows.
        let mark = Mark {
            grant: ticket.grant,
            generation: ticket.base.next(),
            fence: ticket.fence,
            in_hand: true,
        };
        let known = self.start.mark.map(|mark| (mark.grant, mark.generation));
        if known.is_none_or(|known| known <= (mark.grant, mark.generation)) {
            self.start.mark = Some(mark);
        }
        actions.extend(self.ask(
            State::Committing(Commitment::Pair { access }),
            Action::Commit {
                number: self.number,
                grant: ticket.grant,
                base: ticket.base,
                fence: ticket.fence,
                rotates: rotated,
                takes_pending: None,
                retry_after: access.fault().map(|_| self.settings.backoff(self.failures)),
            },
        ));
        actions
    }

    fn dead_grant(&mut self, reason: ReauthorizationReason) -> Vec<Action> {
        let reason = if self.lost
            && self.class == RotationClass::Strict
            && reason == ReauthorizationReason::GrantRevoked
        {
            ReauthorizationReason::LostInFlight
        } else {
            reason
        };
        self.give_up(reason)
    }

    /// Returns the verdict for a failure that will be retried. A lost response stays recorded until
    /// the token has been sent once more and the provider has returned a pair or a refusal.
    fn later(&self, reason: Option<DegradedReason>) -> Verdict {
        let reason = if self.lost {
            Some(DegradedReason::RefreshUnresolved)
        } else {
            reason
        };
        self.degraded(reason)
    }

    fn degraded(&self, reason: Option<DegradedReason>) -> Verdict {
        let reason = reason.filter(|_| !self.withheld);
        Verdict::Later {
            status: reason.map(Status::Degraded),
        }
    }

    fn give_up(&mut self, reason: ReauthorizationReason) -> Vec<Action> {
        self.fail(Failing::GiveUp(reason), true, Verdict::GiveUp { reason })
    }

    fn fail(&mut self, what: Failing, resolves: bool, verdict: Verdict) -> Vec<Action> {
        let Some(ticket) = self.ticket else {
            return self.load(Next::Claim);
        };
        let retry_after = match what {
            Failing::Finish(Outcome::NoToken(NoToken {
                retry_after: Some(retry_after),
                ..
            })) => retry_after,
            Failing::Unresolved { left } | Failing::Sibling { left } => left,
            Failing::StartOver => Duration::ZERO,
            Failing::Finish(_) | Failing::GiveUp(_) => self.settings.backoff(self.failures),
        };
        self.ask(
            State::Failing(what),
            Action::Fail {
                number: self.number,
                grant: ticket.grant,
                base: ticket.base,
                fence: ticket.fence,
                resolves,
                verdict,
                retry_after,
            },
        )
    }

    fn committed(
        &mut self,
        what: Commitment,
        outcome: &CommitOutcome,
    ) -> Result<Vec<Action>, Unexpected> {
        let ticket = self.ticket.ok_or(Unexpected)?;
        if *outcome == CommitOutcome::Stored {
            self.hand = None;
        }
        Ok(match (what, outcome) {
            (Commitment::Pair { access }, CommitOutcome::Stored) => {
                let outcome = match access.fault() {
                    Some(reason) => self.keep(reason, Duration::ZERO),
                    None => Outcome::Fresh {
                        grant: ticket.grant,
                        generation: ticket.base.next(),
                    },
                };
                self.finish(outcome)
            }
            (Commitment::Pending, CommitOutcome::Stored) => self.finish(Outcome::Newer {
                grant: ticket.grant,
                generation: ticket.base.next(),
            }),
            (Commitment::Pair { .. }, CommitOutcome::Pending) => {
                let mut actions = vec![Action::Report(Report::SuccessorKept { base: ticket.base })];
                actions.extend(self.load(Next::Bury));
                actions
            }
            (Commitment::Pair { .. }, CommitOutcome::Ended) => self.load(Next::Bury),
            (Commitment::Pending, CommitOutcome::Pending | CommitOutcome::Ended) => {
                self.load(Next::Adopt)
            }
        })
    }

    /// Decides whether to store, discard or revoke a new pair that does not match the row. A new
    /// grant has a higher generation than all earlier grants. A row with a lower generation comes
    /// from a restored backup.
    fn bury(&mut self, row: Option<&Stored>) -> Vec<Action> {
        let Some(hand) = self.hand else {
            return self.load(Next::Claim);
        };
        let numbers = |row: &Stored| (row.connection.grant, row.connection.generation);
        let next = match row
            .filter(|row| is_live(row))
            .map(|row| (row, numbers(row)))
        {
            Some((row, (grant, generation))) if generation <= hand.base || grant < hand.grant => {
                let mark = Mark {
                    grant: hand.grant,
                    generation: hand.base.next(),
                    fence: hand.fence,
                    in_hand: true,
                };
                return self.restore(mark, row);
            }
            Some((row, (grant, _))) if grant == hand.grant => return self.newer(row),
            Some((_, (grant, generation))) => Next::Finish(Outcome::Newer { grant, generation }),
            None => Next::Finish(Outcome::NoToken(NoToken::finally(NoTokenReason::Ended))),
        };
        self.ask(
            State::Revoking(next),
            Action::Revoke {
                grant: hand.grant,
                fence: hand.fence,
            },
        )
    }

    /// Continues a flight that may have a pair to write back.
    fn again(&mut self) -> Vec<Action> {
        self.restoring = false;
        self.load(if self.hand.is_some() {
            Next::Bury
        } else {
            Next::Claim
        })
    }

    fn recorded(&mut self, what: Failing, outcome: FailOutcome) -> Result<Vec<Action>, Unexpected> {
        Ok(match (outcome, what) {
            (FailOutcome::Applied, Failing::Finish(outcome)) => self.finish(outcome),
            (FailOutcome::Applied, Failing::StartOver) => self.load(Next::Claim),
            (FailOutcome::Applied, Failing::GiveUp(reason)) => {
                self.over(NoTokenReason::NeedsReauthorization(reason))
            }
            (FailOutcome::Applied, Failing::Unresolved { left }) => self.unresolved(left),
            (FailOutcome::Applied, Failing::Sibling { left }) => {
                let limit = left.min(self.patience);
                let rest = left.saturating_sub(limit);
                self.wait_for(limit, rest, Next::Sibling(rest))
            }
            (FailOutcome::Moved(row), _) => {
                self.learn(&row, row.claim.as_ref());
                if !is_live(&row) {
                    self.over(NoTokenReason::Ended)
                } else if self.behind(&row).is_some() {
                    self.load(Next::Claim)
                } else {
                    self.newer(&row)
                }
            }
            (FailOutcome::PendingLeft(row), Failing::GiveUp(_)) => {
                let mut ticket = self.ticket.ok_or(Unexpected)?;
                let pair = row.pending.first().ok_or(Unexpected)?;
                ticket.base = row.connection.generation;
                self.ticket = Some(ticket);
                self.take_pending(pair, ticket)
            }
            (FailOutcome::Held { until, .. }, Failing::GiveUp(reason)) => {
                // The provider has responded. Only the result of the other claim is still unknown.
                self.wait(until.remaining(), Next::Patience(reason))
            }
            (FailOutcome::Ended, _) => self.over(NoTokenReason::Ended),
            (FailOutcome::PendingLeft(_) | FailOutcome::Held { .. }, _) => return Err(Unexpected),
        })
    }

    /// Handles an exchange whose request may have reached the provider. No request uses the token
    /// before the claim's lifetime ends.
    fn unresolved(&mut self, left: Duration) -> Vec<Action> {
        if self.start.reason.can_wait() || self.resent || left > self.patience {
            let retry_after = if self.resent {
                left.max(self.settings.backoff(self.failures))
            } else {
                left
            };
            return self.finish(later(NoTokenReason::Unresolved, retry_after));
        }
        self.resent = true;
        self.wait(left, Next::Claim)
    }

    /// Waits for the end of a claim. The wait is limited by the maximum wait of callers.
    fn wait(&mut self, left: Duration, then: Next) -> Vec<Action> {
        // A pair that must be written back is kept even if no caller waits any longer.
        let limit = if self.restoring {
            left
        } else {
            left.min(self.patience)
        };
        self.wait_for(limit, left.saturating_sub(limit), then)
    }

    fn wait_for(&mut self, limit: Duration, rest: Duration, then: Next) -> Vec<Action> {
        self.state = State::Waiting(Waiting { limit, rest, then });
        self.call = None;
        vec![Action::Wait {
            limit,
            on_generation: true,
        }]
    }

    fn wait_is_over(&mut self, waiting: Waiting) -> Vec<Action> {
        self.patience = self.patience.saturating_sub(waiting.limit);
        match waiting.then {
            Next::Sibling(rest) => self.load(Next::Sibling(rest)),
            Next::Bury => self.again(),
            // Nothing is known to have been sent: another process has the claim.
            Next::Claim if !self.lost && !waiting.rest.is_zero() => {
                self.finish(later(NoTokenReason::Held, waiting.rest))
            }
            _ if !waiting.rest.is_zero() => {
                self.finish(later(NoTokenReason::Unresolved, waiting.rest))
            }
            next => self.resume(next),
        }
    }

    fn woken(&mut self, waiting: Waiting) -> Vec<Action> {
        match waiting.then {
            Next::Bury => self.again(),
            next => self.resume(next),
        }
    }

    fn resume(&mut self, next: Next) -> Vec<Action> {
        match next {
            // The store decides again, in one statement.
            Next::Patience(reason) => self.give_up(reason),
            next => self.load(next),
        }
    }

    fn written_back(&mut self, outcome: &PutOutcome) -> Vec<Action> {
        match (outcome, self.ticket) {
            (PutOutcome::Stored, Some(ticket)) => {
                self.hand = None;
                self.finish(Outcome::Newer {
                    grant: ticket.grant.next(),
                    generation: ticket.base.next(),
                })
            }
            _ => self.again(),
        }
    }

    fn unavailable(&mut self, state: State) -> Vec<Action> {
        let pause = Duration::from_millis(250 << self.repeats.min(4));
        let mut actions = Vec::new();
        let last = match &state {
            State::Committing(Commitment::Pair { access }) => {
                if !self.answered {
                    self.answered = true;
                    let restrained = self.class.first_use_ends_grace();
                    actions.push(Action::Answer(if restrained || access.fault().is_some() {
                        store_unavailable()
                    } else {
                        Outcome::ServeUndurable
                    }));
                }
                None
            }
            // Giving up would lose the new pair.
            _ if self.hand.is_some() || self.restoring => None,
            State::Failing(Failing::Finish(outcome)) => Some(*outcome),
            State::Failing(Failing::Unresolved { left } | Failing::Sibling { left }) => {
                Some(later(NoTokenReason::Unresolved, *left))
            }
            _ => Some(store_unavailable()),
        };
        if self.restoring && !self.answered {
            self.answered = true;
            actions.push(Action::Answer(store_unavailable()));
        }
        if let Some(outcome) = last
            && self.repeats >= REPEATS
        {
            return self.finish(outcome);
        }
        self.repeats = (self.repeats + 1).min(REPEATS);
        self.state = State::Pausing(Box::new(state));
        actions.push(Action::Wait {
            limit: pause,
            on_generation: false,
        });
        actions
    }

    /// Handles the end of the grant. A sent request may still get a response, and a new pair must
    /// still be revoked. All other states end.
    fn grant_ended(&mut self, state: &State) -> Vec<Action> {
        match state {
            State::Waiting(_) | State::Checking if self.hand.is_none() => {
                self.over(NoTokenReason::Ended)
            }
            _ => Vec::new(),
        }
    }
}

fn later(reason: NoTokenReason, retry_after: Duration) -> Outcome {
    Outcome::NoToken(NoToken::later(reason, retry_after))
}

fn store_unavailable() -> Outcome {
    later(NoTokenReason::StoreUnavailable, STORE_PAUSE)
}

fn is_live(row: &Stored) -> bool {
    row.connection.is_live() && row.current.is_some()
}

/// Returns the reason why the grant ended, as reported by the provider.
fn dead(row: &Stored) -> Option<ReauthorizationReason> {
    match row.connection.status {
        Status::NeedsReauthorization(reason) => Some(reason),
        _ => None,
    }
}

/// Returns true if the outcome of an exchange was recorded as unknown.
fn is_unresolved(row: &Stored) -> bool {
    row.connection.status == Status::Degraded(DegradedReason::RefreshUnresolved)
}
