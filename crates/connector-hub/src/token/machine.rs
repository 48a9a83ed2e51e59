//! The refresh machine: what one process does to get a connection a fresh credential, without I/O.
//!
//! One [`Machine`] is one flight: however many callers wait, one of them runs at a time for a
//! connection in a process. Its driver feeds [`Input`]s and carries out the [`Action`]s that come
//! back. The machine knows grants, generations and fences; the secrets stay with the driver. It
//! never looks at a clock: whoever drives it measures.
//!
//! Each step brings any number of [`Action::Answer`] and [`Action::Report`], then at most one
//! action that asks for something. The driver answers that one with the input named in its
//! documentation. After [`Action::Finish`] the machine is spent.
//!
//! The flow:
//! 1. **Load** the row and prepare what is slow: open the sealed secret, resolve the host. A row
//!    that has moved on is the answer. A row older than what this process has seen is a restored
//!    backup: its token is never redeemed; the newer pair, if it is in hand, is written back as a
//!    new grant.
//! 2. **Claim**. Moved: adopt. Held: wait for the generation, not for the lock. Where a resend may
//!    kill a living token, an unresolved claim is left alone as long as the access token is good.
//! 3. A pending pair whose base is the claimed generation takes its place; nothing is sent.
//! 4. **Check the clocks**. If too much has passed since before the claim, on either clock, give
//!    the claim back and start over.
//! 5. **Exchange** once.
//! 6. A pair is **committed** until the outcome is known. While the store is down, callers get the
//!    new access token, unless its first use would end the grace of the old one. A late pair stays
//!    beside the row as pending; a pair of an ended grant is queued for revocation.
//! 7. Everything else is a **failure**. A definite one resolves the claim in the same call that
//!    records it. One that may have been acted on leaves the claim standing; after its hold the
//!    token is sent once more.
//! 8. **Giving up** happens only in the store's own words: a moved row is adopted, a pending pair
//!    is tried first (newest fence first), a standing claim is waited for.
//!
//! A store call without a known outcome is repeated, word for word, after a pause.

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

/// Failures in a row after which a refusal without a known meaning ends the automatic attempts.
pub const ATTEMPTS: u32 = 10;
/// The pause between attempts from then on.
pub const DAILY: Duration = Duration::from_secs(86_400);
/// The pause after the provider refused the app.
const APP_PAUSE: Duration = Duration::from_secs(60);
/// The pause after the store did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// How long callers with a dead access token are kept waiting for somebody else's exchange.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a call whose outcome is unknown is repeated when nothing would be lost with it.
const REPEATS: u8 = 4;
/// How often a claim is made anew because the process was too slow to use it.
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
    /// A store call whose outcome is unknown is about to be repeated.
    Pausing(Box<State>),
    Waiting(Waiting),
    Done,
}

/// What to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    /// Claim it unless it has moved.
    Claim,
    /// It should have moved.
    Adopt,
    /// The pair in hand belongs to a grant that is said to have ended.
    Bury,
    /// Wait until no claim stands, then record the failure.
    Patience(ReauthorizationReason),
    /// Another request won; otherwise the outcome stays unknown for this long.
    Sibling(Duration),
    /// That is all.
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
    /// What is left of the hold that is waited for, once the limit has passed.
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

/// One flight. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each remembers one thing that happened, in any combination"
)]
pub struct Machine {
    settings: Settings,
    start: Start,
    state: State,
    /// The store call that was asked for last.
    call: Option<Action>,
    number: u8,
    repeats: u8,
    restarts: u8,
    patience: Duration,
    /// The claim that was granted last.
    ticket: Option<Ticket>,
    /// The claim under which the pair in hand was obtained, until the pair is dealt with.
    hand: Option<Ticket>,
    /// What is known of the row.
    class: RotationClass,
    failures: u32,
    /// True if an exchange may have happened unheard.
    lost: bool,
    /// True if that exchange happened so long ago that the provider's grace is over.
    grace_over: bool,
    /// True while the tokens are another account's: no failure makes them usable.
    withheld: bool,
    /// True once the token was sent again after a wait of this flight.
    resent: bool,
    /// True once callers were told about the pair in hand.
    answered: bool,
    /// True while a claim is made to write a pair back.
    restoring: bool,
}

impl Machine {
    /// A flight, and what to do first.
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

    /// True after [`Action::Finish`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True while a pair is in hand that the store is not known to hold: a shutdown waits for it.
    #[must_use]
    pub fn holds_a_pair(&self) -> bool {
        self.hand.is_some()
    }

    /// Takes what happened and says what to do next. An empty answer means: go on with what was
    /// asked for before.
    ///
    /// # Errors
    /// [`Unexpected`] if the input does not answer what was asked for.
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

    /// `unresolved` is the claim that may have been used unheard.
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

    /// True if a request under `claim` has ended the grace of its token.
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
            // The store decides anew, in one statement.
            Next::Patience(reason) => self.give_up(reason),
            Next::Sibling(left) => self.finish(later(NoTokenReason::Unresolved, left)),
            Next::Finish(outcome) => self.finish(outcome),
            // Somebody else took what this flight was after.
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

    /// A grant that was found dead is tried again only when somebody asks for it.
    fn found_dead(&self, row: &Stored) -> Option<ReauthorizationReason> {
        match self.start.reason {
            Reason::Forced { .. } => None,
            _ => dead(row),
        }
    }

    fn claim(&mut self, row: &Stored, kind: ClaimKind) -> Vec<Action> {
        // A claim that was not granted left nothing behind that its name could be mistaken for.
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

    /// The store is older than what was seen.
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

    /// The time to the first byte is over, and nothing was sent.
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
                fault: Fault::SiblingWon,
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

    /// A failure that leaves nothing open, and backs off.
    fn failing(&mut self, reason: NoTokenReason, at_least: Duration) -> Vec<Action> {
        let outcome = self.keep(reason, at_least);
        let verdict = self.later(Some(DegradedReason::RefreshFailing));
        self.fail(Failing::Finish(outcome), true, verdict)
    }

    /// A complete response that refuses and has no known meaning. After a bounded number of
    /// attempts a person has to look.
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
        // From now on the pair in hand is the newest that this process knows.
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

    /// A failure that will be tried again. That an answer was lost is remembered until the token
    /// has been sent once more and answered with a pair or a refusal.
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

    /// The row does not go with the pair in hand. A new grant has a higher generation than
    /// everything before it; a row that has not belongs to a restored backup.
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

    /// Where a flight goes that may have a pair to write back.
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
                // The provider has spoken; what is left to learn is what the other claim brings.
                self.wait(until.remaining(), Next::Patience(reason))
            }
            (FailOutcome::Ended, _) => self.over(NoTokenReason::Ended),
            (FailOutcome::PendingLeft(_) | FailOutcome::Held { .. }, _) => return Err(Unexpected),
        })
    }

    /// The own request may have been acted on. Nobody touches the token before the hold ends.
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

    /// Waits for somebody's hold to end, as long as callers can be kept waiting.
    fn wait(&mut self, left: Duration, then: Next) -> Vec<Action> {
        // A pair that is to be written back is not given up because callers are.
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
            // Nothing is known to be sent: somebody else holds the claim.
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
            // The store decides anew, in one statement.
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
            // The pair in hand would be lost.
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

    /// What was sent may still be answered, and what is in hand must still be dealt with; the rest
    /// is over.
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

/// The reason for which the grant was found dead.
fn dead(row: &Stored) -> Option<ReauthorizationReason> {
    match row.connection.status {
        Status::NeedsReauthorization(reason) => Some(reason),
        _ => None,
    }
}

/// True if the outcome of an exchange was recorded as unknown.
fn is_unresolved(row: &Stored) -> bool {
    row.connection.status == Status::Degraded(DegradedReason::RefreshUnresolved)
}
