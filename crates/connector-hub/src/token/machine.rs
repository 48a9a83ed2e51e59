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

use std::time::Duration;

use connector_core::oauth::RotationClass;
use connector_core::store::{ClaimKind, Stored, Verdict};
use connector_core::{
    DegradedReason, Fence, Generation, GrantNumber, ReauthorizationReason, Status,
};

/// How long callers with a dead access token are kept waiting for somebody else's exchange.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a call whose outcome is unknown is repeated when nothing would be lost with it.
const REPEATS: u8 = 4;
/// How often a claim is made anew because the process was too slow to use it.
const RESTARTS: u8 = 2;

/// The times that bound an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timings {
    /// From before the claim statement to the first byte.
    pub start: Duration,
    /// From the first byte to the end of the answer.
    pub deadline: Duration,
    /// How long a claim stands unless it is resolved.
    pub hold: Duration,
}

impl Timings {
    /// The times for a class: the hold covers start, deadline, the time in which the provider may
    /// still act on an abandoned request (30 s with grace, 35 s without), and a margin of 5 s.
    #[must_use]
    pub const fn of(class: RotationClass) -> Self {
        let hold = match class {
            RotationClass::Stable => 25,
            RotationClass::OldTokensLiveOn => 20,
            _ => 60,
        };
        Self {
            start: Duration::from_secs(5),
            deadline: Duration::from_secs(15),
            hold: Duration::from_secs(hold),
        }
    }
}

/// What the machine is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    class: RotationClass,
    jitter: u16,
    rules: Rules,
}

impl Settings {
    /// The class of the provider, and the connection's own number from 0 to 999 that spreads its
    /// back-off from 75 % to 125 %; larger numbers count as 999.
    #[must_use]
    pub const fn new(class: RotationClass, jitter: u16) -> Self {
        Self {
            class,
            jitter: if jitter > 999 { 999 } else { jitter },
            rules: Rules::ALL,
        }
    }

    /// Leaves rules out, to show what each of them is for.
    #[cfg(feature = "machine")]
    #[must_use]
    pub const fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// The pause before the next try after `failures` in a row.
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        let base = Duration::from_secs(60 << failures.min(3));
        base * (750 + u32::from(self.jitter) / 2) / 1000
    }
}

/// The machine's own rules; the store's are left out at the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each rule is there or not, on its own"
)]
pub struct Rules {
    /// The row is looked at again inside the claim.
    pub recheck: bool,
    /// The clocks are looked at before the bytes go out.
    pub clock: bool,
    /// Pending pairs are tried.
    pub pending: bool,
    /// A sibling's newer credential is adopted before giving up.
    pub reread: bool,
    /// Giving up waits for other claims.
    pub patience: bool,
    /// The own claim is resolved before others are waited for.
    pub resolve: bool,
    /// An undurable pair is not handed out where its first use ends a grace.
    pub restraint: bool,
}

impl Rules {
    /// Every rule.
    pub const ALL: Self = Self {
        recheck: true,
        clock: true,
        pending: true,
        reread: true,
        patience: true,
        resolve: true,
        restraint: true,
    };
}

/// Why a flight starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The access token is good, but not for long.
    Advisory,
    /// The access token is in its mandatory window, or has expired, or is not known.
    Mandatory,
    /// Somebody asks for it.
    Forced {
        /// True if the access token is good and not in its mandatory window.
        good: bool,
    },
    /// The provider's API refused the access token of the generation that the flight starts from.
    Rejected {
        /// True if this process has seen that generation accepted.
        worked: bool,
        /// Refreshes in a row that brought a token which never worked, before this one.
        unproven: u32,
        /// How long ago that generation was obtained.
        age: Duration,
    },
}

impl Reason {
    /// True while nobody is hurt by waiting.
    const fn can_wait(self) -> bool {
        matches!(self, Self::Advisory | Self::Forced { good: true })
    }
}

/// The highest numbers that this process has seen of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The grant.
    pub grant: GrantNumber,
    /// The generation within it.
    pub generation: Generation,
    /// The highest fence of that grant.
    pub fence: Fence,
    /// True if the driver holds the credential of that generation in memory.
    pub in_hand: bool,
}

/// How a flight starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Start {
    /// Why.
    pub reason: Reason,
    /// The generation that the callers saw, or saw fail; `None` if none was known.
    pub seen: Option<Generation>,
    /// What this process has seen at most; `None` if nothing.
    pub mark: Option<Mark>,
}

/// A pending pair without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PendingPair {
    /// The exchange that produced it.
    pub fence: Fence,
    /// The generation that was spent for it.
    pub base: Generation,
}

/// What the machine reads of a [`Stored`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// The grant.
    pub grant: GrantNumber,
    /// The generation.
    pub generation: Generation,
    /// The last fence that a claim was given.
    pub fence: Fence,
    /// False once the connection has ended.
    pub live: bool,
    /// Set once the grant was found dead.
    pub dead: Option<ReauthorizationReason>,
    /// True if the outcome of an exchange was recorded as unknown.
    pub unresolved: bool,
    /// True once another refresh token came back than was sent.
    pub rotates: bool,
    /// Failures in a row.
    pub failures: u32,
    /// The newest generation that the provider has accepted.
    pub confirmed: Option<Generation>,
    /// Late pairs, the newest fence first.
    pub pending: Vec<PendingPair>,
    /// What is left of the hold of the claim that stands, zero if it has passed; `None` if no claim
    /// stands.
    pub claim: Option<Duration>,
}

impl From<&Stored> for Row {
    fn from(stored: &Stored) -> Self {
        let connection = &stored.connection;
        Self {
            grant: connection.grant,
            generation: connection.generation,
            fence: connection.fence,
            live: connection.is_live() && stored.current.is_some(),
            dead: match connection.status {
                Status::NeedsReauthorization(reason) => Some(reason),
                _ => None,
            },
            unresolved: connection.status == Status::Degraded(DegradedReason::RefreshUnresolved),
            rotates: connection.rotates,
            failures: connection.failures,
            confirmed: connection.confirmed,
            pending: stored
                .pending
                .iter()
                .map(|pair| PendingPair {
                    fence: pair.fence,
                    base: pair.base,
                })
                .collect(),
            claim: stored.claim.as_ref().map(|claim| claim.until.remaining()),
        }
    }
}

/// What became of a claim; see [`connector_core::store::ClaimOutcome`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// It stands.
    Granted {
        /// Its fence.
        fence: Fence,
        /// What is left of its hold.
        left: Duration,
        /// The row it was decided on.
        row: Row,
        /// True if it took the place of a claim that was never resolved.
        superseded: bool,
    },
    /// The row has moved.
    Moved(Row),
    /// Another claim stands.
    Held {
        /// What is left of its hold.
        left: Duration,
    },
    /// There is nothing to claim any more.
    Ended,
}

/// How far a failed request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// The transport proves that no byte left.
    No,
    /// Bytes may have left, and no complete answer came: time-out, reset, truncated or unreadable
    /// body, 5xx, a gateway's page.
    Maybe,
    /// The provider answered completely: a parsed OAuth error, 401, 429.
    Answered,
}

/// What a failed exchange means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It will pass.
    Transient {
        /// What the provider asked to wait.
        after: Option<Duration>,
    },
    /// The grant is refused.
    DeadGrant {
        /// Why, by the provider's code; [`ReauthorizationReason::GrantRevoked`] if it does not say.
        reason: ReauthorizationReason,
    },
    /// The application's registration is refused.
    AppFault,
    /// The answer makes no sense.
    Malformed,
    /// The provider says that another request with the same token is being served.
    SiblingWon,
}

/// The answer to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchanged {
    /// A pair. The driver keeps it in hand until the machine is done with it.
    Pair {
        /// True if it holds another refresh token than the one that was sent; false if it holds the
        /// same or none.
        rotated: bool,
        /// True if the access token is the one from before.
        same_access: bool,
    },
    /// No pair.
    Failed {
        /// What it means.
        fault: Fault,
        /// How far the request got.
        sent: Sent,
    },
}

/// What became of a commit; see [`connector_core::store::CommitOutcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Committed {
    /// It is the current credential.
    Stored,
    /// The row had moved; the pair is kept beside it.
    Pending,
    /// The grant has ended; nothing was kept.
    Ended,
}

/// What became of a failure; see [`connector_core::store::FailOutcome`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recorded {
    /// It is recorded.
    Applied,
    /// The row has moved.
    Moved(Row),
    /// Pending pairs have not been tried.
    PendingLeft(Row),
    /// Another claim stands.
    Held {
        /// What is left of its hold.
        left: Duration,
    },
    /// The connection has ended.
    Ended,
}

/// What became of a pair that was written back; see [`connector_core::store::PutOutcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WrittenBack {
    /// It is the connection's grant now.
    Stored,
    /// The row has moved.
    Moved,
    /// There is no such connection.
    Missing,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The row; `None` if there is none. Answers [`Action::Load`].
    Loaded(Option<Row>),
    /// Answers [`Action::Claim`].
    Claimed(Claimed),
    /// What has passed since before the claim statement was first sent. Answers
    /// [`Action::CheckClocks`].
    Clocks {
        /// On the steady clock.
        steady: Duration,
        /// On the wall clock; zero if it went back.
        wall: Duration,
    },
    /// Answers [`Action::Exchange`].
    Exchanged {
        /// The answer.
        answer: Exchanged,
        /// What has passed since before the claim statement, on either clock.
        elapsed: Duration,
    },
    /// Answers [`Action::Commit`].
    Committed(Committed),
    /// Answers [`Action::Fail`].
    Recorded(Recorded),
    /// Answers [`Action::WriteBack`].
    WrittenBack(WrittenBack),
    /// Answers [`Action::Revoke`].
    Revoked,
    /// The store call that was asked for last has no known outcome.
    StoreUnavailable,
    /// The time of [`Action::Wait`] has passed.
    TimerFired,
    /// The generation moved during [`Action::Wait`].
    Woken,
    /// This process ended the connection or replaced its grant. May come at any time.
    GrantEnded,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the row, open its current credential, resolve the token endpoint's host.
    Load,
    /// Make a claim. Start a timer on both clocks before its first statement; a repeated claim of
    /// the same number keeps its name and its timer.
    Claim {
        /// The number of the claim in this flight: each has a random name of its own.
        number: u8,
        /// The grant that was seen.
        grant: GrantNumber,
        /// The generation that was seen.
        seen: Generation,
        /// What it is for.
        kind: ClaimKind,
        /// How long it stands.
        hold: Duration,
    },
    /// Say what has passed since the timer of the claim started. What follows must follow at once.
    CheckClocks,
    /// Send the refresh token of this generation, once, and keep the answer in hand.
    Exchange {
        /// The generation of the row that the claim was decided on.
        generation: Generation,
        /// The first byte leaves within this time, or none does.
        first_byte: Duration,
        /// The answer is complete within this time after it, or given up.
        deadline: Duration,
    },
    /// Keep the pair in hand, or let a pending one take the current one's place.
    Commit {
        /// The number of the claim.
        number: u8,
        /// Its grant.
        grant: GrantNumber,
        /// The generation that was spent.
        base: Generation,
        /// Its fence.
        fence: Fence,
        /// True if another refresh token came back than was sent.
        rotates: bool,
        /// The pending pair that takes the current one's place.
        takes_pending: Option<Fence>,
    },
    /// Record that the exchange brought no credential.
    Fail {
        /// The number of the claim.
        number: u8,
        /// Its grant.
        grant: GrantNumber,
        /// The generation that was to be spent.
        base: Generation,
        /// Its fence.
        fence: Fence,
        /// True if the claim is resolved.
        resolves: bool,
        /// What to make of it.
        verdict: Verdict,
        /// When to try again, for the schedule.
        retry_after: Duration,
    },
    /// Put the pair in hand, or the newest credential in memory, in the place of what a restored
    /// backup holds, sealed anew as a grant of its own.
    WriteBack {
        /// The generation to be found.
        expect: Generation,
        /// The number of the new grant.
        grant: GrantNumber,
        /// The generation of the new grant's credential.
        generation: Generation,
        /// The fence of the claim.
        fence: Fence,
    },
    /// Seal the pair in hand for revocation and queue it.
    Revoke {
        /// The grant it belonged to.
        grant: GrantNumber,
        /// The exchange that produced it.
        fence: Fence,
    },
    /// Wait, at most this long, and where it is asked for until the generation moves.
    Wait {
        /// How long at most.
        limit: Duration,
        /// True if a moved generation ends the wait.
        on_generation: bool,
    },
    /// Tell those who wait now; the flight goes on, later callers join it.
    Answer(Outcome),
    /// Log it and count it.
    Report(Report),
    /// Tell those who wait; the flight is over.
    Finish(Outcome),
}

/// What operators should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Report {
    /// The store is older than what this process has seen. Alert.
    RestoredBackup {
        /// The generation that was seen.
        seen: Generation,
        /// The generation that the store holds.
        found: Generation,
    },
    /// A pair arrived late and is kept beside the current one.
    SuccessorKept {
        /// The generation that was spent for it.
        base: Generation,
    },
    /// A pending pair takes the current one's place.
    SuccessorTaken {
        /// The exchange that produced it.
        fence: Fence,
    },
    /// The outcome of an exchange is unknown.
    Unresolved,
    /// The answer made no sense. Alert.
    Malformed,
    /// A provider described as not rotating brought another refresh token.
    Rotates,
    /// The process was too slow to use its claim.
    TooSlow,
}

/// How a flight ends. A driver whose access token is still good goes on serving it, whatever the
/// outcome, unless the outcome brings a newer one or says that the token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The pair in hand is durable and has this generation.
    Fresh {
        /// Its grant.
        grant: GrantNumber,
        /// Its generation.
        generation: Generation,
    },
    /// The pair in hand is not durable yet; this process may serve its access token.
    ServeUndurable,
    /// The store holds a newer credential: read it. A caller it does not satisfy starts one more
    /// flight.
    Newer {
        /// Its grant.
        grant: GrantNumber,
        /// Its generation.
        generation: Generation,
    },
    /// No newer token for now.
    KeepServing {
        /// When to try again.
        retry_after: Duration,
        /// Why.
        cause: Cause,
    },
    /// A request was sent, by this or another process, and its outcome is not known.
    Unresolved {
        /// When it can be resolved.
        retry_after: Duration,
    },
    /// The access token never worked and was obtained a moment ago.
    Unauthorized {
        /// When to try again.
        retry_after: Duration,
        /// True once enough were refused in a row: probe the identity, and if that fails too, the
        /// connection needs its owner.
        probe: bool,
    },
    /// Only the owner can help.
    NeedsReauthorization {
        /// Why.
        reason: ReauthorizationReason,
    },
    /// The application's registration is refused; the account is not to blame.
    AppFault,
    /// The connection has ended.
    Ended,
    /// The store cannot be reached.
    StoreUnavailable,
    /// The store is older than what this process has seen, and the newer pair is not in hand.
    /// Nothing was sent.
    StoreBehind,
}

/// Why there is no newer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody else is at it.
    Held,
    /// It failed and will pass.
    Transient,
    /// The provider returned the access token from before.
    SameAccessToken,
    /// An earlier request is unresolved, and sending again may kill a living token.
    Unresolved,
    /// The process was too slow to use its claim.
    TooSlow,
}

/// An input that does not answer what was asked for: a bug of the driver. The machine is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unexpected;

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
    Pair { same_access: bool },
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
                Ok(self.loaded(next, row.as_ref()))
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
                self.committed(what, outcome)
            }
            (State::Failing(what), Input::Recorded(outcome)) => {
                self.repeats = 0;
                self.recorded(what, outcome)
            }
            (State::Restoring, Input::WrittenBack(outcome)) => {
                self.repeats = 0;
                Ok(self.written_back(outcome))
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

    fn newer(&mut self, row: &Row) -> Vec<Action> {
        self.finish(Outcome::Newer {
            grant: row.grant,
            generation: row.generation,
        })
    }

    fn keep(&mut self, cause: Cause, at_least: Duration) -> Outcome {
        Outcome::KeepServing {
            retry_after: self.settings.backoff(self.failures).max(at_least),
            cause,
        }
    }

    fn behind(&self, row: &Row) -> Option<Mark> {
        self.start.mark.filter(|mark| {
            (row.grant, row.generation) < (mark.grant, mark.generation)
                || row.grant == mark.grant && row.fence < mark.fence
        })
    }

    fn moved(&self, row: &Row) -> bool {
        self.settings.rules.recheck && self.start.seen.is_some_and(|seen| seen != row.generation)
    }

    fn learn(&mut self, row: &Row) {
        self.failures = row.failures;
        self.lost |= row.unresolved;
        self.class = match self.settings.class {
            RotationClass::Stable if row.rotates => RotationClass::Strict,
            class => class,
        };
    }

    fn loaded(&mut self, next: Next, row: Option<&Row>) -> Vec<Action> {
        if next == Next::Bury {
            return self.bury(row);
        }
        let Some(row) = row.filter(|row| row.live) else {
            return self.finish(Outcome::Ended);
        };
        self.learn(row);
        if let Some(mark) = self.behind(row) {
            return self.restore(mark, row);
        }
        if self.moved(row) {
            return self.newer(row);
        }
        match next {
            Next::Claim => self.begin(row),
            Next::Patience(reason) => match row.claim {
                Some(left) => self.ask(
                    State::Waiting(Waiting {
                        limit: left,
                        rest: Duration::ZERO,
                        then: Next::Patience(reason),
                    }),
                    Action::Wait {
                        limit: left,
                        on_generation: true,
                    },
                ),
                None => self.give_up(reason),
            },
            Next::Sibling(left) => self.finish(Outcome::Unresolved { retry_after: left }),
            Next::Finish(outcome) => self.finish(outcome),
            // Somebody else took what this flight was after.
            Next::Adopt | Next::Bury => self.newer(row),
        }
    }

    fn begin(&mut self, row: &Row) -> Vec<Action> {
        match self.start.reason {
            Reason::Rejected {
                worked,
                unproven,
                age,
            } if !worked && row.confirmed < Some(row.generation) => {
                let pause = self.settings.backoff(unproven);
                if age < pause || unproven >= 3 {
                    return self.finish(Outcome::Unauthorized {
                        retry_after: pause.saturating_sub(age),
                        probe: unproven >= 3,
                    });
                }
            }
            _ => {}
        }
        if let Some(reason) = self.found_dead(row) {
            return self.finish(Outcome::NeedsReauthorization { reason });
        }
        if (row.claim.is_some() || row.unresolved)
            && self.class == RotationClass::Strict
            && self.start.reason.can_wait()
        {
            let outcome = self.keep(Cause::Unresolved, row.claim.unwrap_or_default());
            return self.finish(outcome);
        }
        self.claim(row, ClaimKind::Refresh)
    }

    /// A grant that was found dead is tried again only when somebody asks for it.
    fn found_dead(&self, row: &Row) -> Option<ReauthorizationReason> {
        match self.start.reason {
            Reason::Forced { .. } => None,
            _ => row.dead,
        }
    }

    fn claim(&mut self, row: &Row, kind: ClaimKind) -> Vec<Action> {
        // A claim that was not granted left nothing behind that its name could be mistaken for.
        if self.ticket.take().is_some() {
            self.number = self.number.saturating_add(1);
        }
        let seen = match self.start.seen {
            Some(seen) if !self.settings.rules.recheck => seen,
            _ => row.generation,
        };
        self.ask(
            State::Claiming,
            Action::Claim {
                number: self.number,
                grant: row.grant,
                seen,
                kind,
                hold: Timings::of(self.class).hold,
            },
        )
    }

    /// The store is older than what was seen.
    fn restore(&mut self, mark: Mark, row: &Row) -> Vec<Action> {
        let mut actions = vec![Action::Report(Report::RestoredBackup {
            seen: mark.generation,
            found: row.generation,
        })];
        if mark.in_hand {
            self.restoring = true;
            actions.extend(self.claim(row, ClaimKind::Exchange));
        } else {
            actions.extend(self.finish(Outcome::StoreBehind));
        }
        actions
    }

    fn claimed(&mut self, claimed: Claimed) -> Vec<Action> {
        match claimed {
            Claimed::Granted {
                fence,
                left,
                row,
                superseded,
            } => self.granted(fence, left, &row, superseded),
            Claimed::Moved(row) => {
                self.learn(&row);
                if !row.live && self.hand.is_none() {
                    self.finish(Outcome::Ended)
                } else if self.restoring || self.behind(&row).is_some() {
                    self.again()
                } else {
                    self.newer(&row)
                }
            }
            Claimed::Held { left } => {
                if self.start.reason.can_wait() && !self.restoring {
                    let outcome = Outcome::KeepServing {
                        retry_after: left,
                        cause: Cause::Held,
                    };
                    self.finish(outcome)
                } else {
                    let then = match self.hand {
                        Some(_) => Next::Bury,
                        None => Next::Claim,
                    };
                    self.wait(left, then)
                }
            }
            Claimed::Ended if self.hand.is_some() => self.again(),
            Claimed::Ended => self.finish(Outcome::Ended),
        }
    }

    fn granted(
        &mut self,
        fence: Fence,
        left: Duration,
        row: &Row,
        superseded: bool,
    ) -> Vec<Action> {
        let base = match self.call {
            Some(Action::Claim { seen, .. }) => seen,
            _ => row.generation,
        };
        let ticket = Ticket {
            grant: row.grant,
            base,
            fence,
            left,
        };
        self.ticket = Some(ticket);
        self.learn(row);
        self.lost |= superseded;
        if self.restoring {
            return self.ask(
                State::Restoring,
                Action::WriteBack {
                    expect: row.generation,
                    grant: row.grant.next(),
                    generation: row.generation.next(),
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
        if superseded && self.class == RotationClass::Strict && self.start.reason.can_wait() {
            let outcome = self.keep(Cause::Unresolved, left);
            return self.fail(Failing::Finish(outcome), false, self.later(None));
        }
        let successor = row.pending.iter().find(|pair| pair.base == row.generation);
        if let Some(pair) = successor
            && self.settings.rules.pending
        {
            return self.take_pending(*pair, ticket);
        }
        self.ask(State::Checking, Action::CheckClocks)
    }

    fn take_pending(&mut self, pair: PendingPair, ticket: Ticket) -> Vec<Action> {
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
            },
        ));
        actions
    }

    fn checked(&mut self, elapsed: Duration) -> Vec<Action> {
        if elapsed <= Timings::of(self.class).start || !self.settings.rules.clock {
            return self.exchange(elapsed);
        }
        let mut actions = vec![Action::Report(Report::TooSlow)];
        let what = if self.restarts < RESTARTS {
            self.restarts += 1;
            Failing::StartOver
        } else {
            Failing::Finish(self.keep(Cause::TooSlow, Duration::ZERO))
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
            Exchanged::Pair {
                rotated: false,
                same_access: true,
            } => {
                let outcome = self.keep(Cause::SameAccessToken, Duration::ZERO);
                self.fail(
                    Failing::Finish(outcome),
                    true,
                    self.later(Some(DegradedReason::RefreshFailing)),
                )
            }
            Exchanged::Pair {
                rotated,
                same_access,
            } => self.keep_pair(ticket, rotated, same_access),
            Exchanged::Failed {
                sent: Sent::No | Sent::Answered,
                fault: Fault::AppFault,
            } => self.fail(Failing::Finish(Outcome::AppFault), true, self.later(None)),
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
            } => {
                let outcome = self.keep(Cause::Transient, after.unwrap_or_default());
                self.fail(
                    Failing::Finish(outcome),
                    true,
                    self.later(Some(DegradedReason::RefreshFailing)),
                )
            }
            Exchanged::Failed { sent: Sent::No, .. } => {
                let outcome = self.keep(Cause::Transient, Duration::ZERO);
                self.fail(
                    Failing::Finish(outcome),
                    true,
                    self.later(Some(DegradedReason::RefreshFailing)),
                )
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

    fn keep_pair(&mut self, ticket: Ticket, rotated: bool, same_access: bool) -> Vec<Action> {
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
            State::Committing(Commitment::Pair { same_access }),
            Action::Commit {
                number: self.number,
                grant: ticket.grant,
                base: ticket.base,
                fence: ticket.fence,
                rotates: rotated,
                takes_pending: None,
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
        if self.settings.rules.resolve {
            self.give_up(reason)
        } else {
            self.load(Next::Patience(reason))
        }
    }

    /// A failure that will be tried again. That an answer was lost is remembered until the token
    /// has been sent once more and answered with a pair or a refusal.
    fn later(&self, reason: Option<DegradedReason>) -> Verdict {
        let reason = if self.lost {
            Some(DegradedReason::RefreshUnresolved)
        } else {
            reason
        };
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
            Failing::Finish(
                Outcome::KeepServing { retry_after, .. } | Outcome::Unresolved { retry_after },
            ) => retry_after,
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
        outcome: Committed,
    ) -> Result<Vec<Action>, Unexpected> {
        let ticket = self.ticket.ok_or(Unexpected)?;
        if outcome == Committed::Stored {
            self.hand = None;
        }
        Ok(match (what, outcome) {
            (Commitment::Pair { same_access: true }, Committed::Stored) => {
                let outcome = self.keep(Cause::SameAccessToken, Duration::ZERO);
                self.finish(outcome)
            }
            (Commitment::Pair { same_access: false }, Committed::Stored) => {
                self.finish(Outcome::Fresh {
                    grant: ticket.grant,
                    generation: ticket.base.next(),
                })
            }
            (Commitment::Pending, Committed::Stored) => self.finish(Outcome::Newer {
                grant: ticket.grant,
                generation: ticket.base.next(),
            }),
            (Commitment::Pair { .. }, Committed::Pending) => {
                let mut actions = vec![Action::Report(Report::SuccessorKept { base: ticket.base })];
                actions.extend(self.load(Next::Bury));
                actions
            }
            (Commitment::Pair { .. }, Committed::Ended) => self.load(Next::Bury),
            (Commitment::Pending, Committed::Pending | Committed::Ended) => self.load(Next::Adopt),
        })
    }

    /// The row does not go with the pair in hand. A new grant has a higher generation than
    /// everything before it; a row that has not belongs to a restored backup.
    fn bury(&mut self, row: Option<&Row>) -> Vec<Action> {
        let Some(hand) = self.hand else {
            return self.load(Next::Claim);
        };
        let next = match row.filter(|row| row.live) {
            Some(row) if row.generation <= hand.base || row.grant < hand.grant => {
                let mark = Mark {
                    grant: hand.grant,
                    generation: hand.base.next(),
                    fence: hand.fence,
                    in_hand: true,
                };
                return self.restore(mark, row);
            }
            Some(row) if row.grant == hand.grant => return self.newer(row),
            Some(row) => Next::Finish(Outcome::Newer {
                grant: row.grant,
                generation: row.generation,
            }),
            None => Next::Finish(Outcome::Ended),
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

    fn recorded(&mut self, what: Failing, outcome: Recorded) -> Result<Vec<Action>, Unexpected> {
        let rules = self.settings.rules;
        Ok(match (outcome, what) {
            (Recorded::Applied, Failing::Finish(outcome)) => self.finish(outcome),
            (Recorded::Applied, Failing::StartOver) => self.load(Next::Claim),
            (Recorded::Applied, Failing::GiveUp(reason)) => {
                self.finish(Outcome::NeedsReauthorization { reason })
            }
            (Recorded::Applied, Failing::Unresolved { left }) => self.unresolved(left),
            (Recorded::Applied, Failing::Sibling { left }) => {
                let limit = left.min(self.patience);
                let rest = left.saturating_sub(limit);
                self.wait_for(limit, rest, Next::Sibling(rest))
            }
            (Recorded::Moved(_), Failing::GiveUp(reason)) if !rules.reread => {
                self.finish(Outcome::NeedsReauthorization { reason })
            }
            (Recorded::PendingLeft(_), Failing::GiveUp(reason)) if !rules.pending => {
                self.finish(Outcome::NeedsReauthorization { reason })
            }
            (Recorded::Held { .. }, Failing::GiveUp(reason)) if !rules.patience => {
                self.finish(Outcome::NeedsReauthorization { reason })
            }
            (Recorded::Moved(row), _) => {
                self.learn(&row);
                if !row.live {
                    self.finish(Outcome::Ended)
                } else if self.behind(&row).is_some() {
                    self.load(Next::Claim)
                } else {
                    self.newer(&row)
                }
            }
            (Recorded::PendingLeft(row), Failing::GiveUp(_)) => {
                let mut ticket = self.ticket.ok_or(Unexpected)?;
                let pair = *row.pending.first().ok_or(Unexpected)?;
                ticket.base = row.generation;
                self.ticket = Some(ticket);
                self.take_pending(pair, ticket)
            }
            (Recorded::Held { left }, Failing::GiveUp(reason)) => {
                // The provider has spoken; what is left to learn is what the other claim brings.
                self.wait(left, Next::Patience(reason))
            }
            (Recorded::Ended, _) => self.finish(Outcome::Ended),
            (Recorded::PendingLeft(_) | Recorded::Held { .. }, _) => return Err(Unexpected),
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
            return self.finish(Outcome::Unresolved { retry_after });
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
            _ if !waiting.rest.is_zero() => self.finish(Outcome::Unresolved {
                retry_after: waiting.rest,
            }),
            next => self.resume(next),
        }
    }

    fn woken(&mut self, waiting: Waiting) -> Vec<Action> {
        match waiting.then {
            Next::Patience(_) => self.resume(waiting.then),
            Next::Bury => self.again(),
            next => self.load(next),
        }
    }

    fn resume(&mut self, next: Next) -> Vec<Action> {
        match next {
            // The store decides anew, in one statement.
            Next::Patience(reason) if self.settings.rules.resolve => self.give_up(reason),
            next => self.load(next),
        }
    }

    fn written_back(&mut self, outcome: WrittenBack) -> Vec<Action> {
        match (outcome, self.ticket) {
            (WrittenBack::Stored, Some(ticket)) => {
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
            State::Committing(Commitment::Pair { same_access }) => {
                if !self.answered {
                    self.answered = true;
                    let restrained =
                        self.settings.rules.restraint && self.class.first_use_ends_grace();
                    actions.push(Action::Answer(if restrained || *same_access {
                        Outcome::StoreUnavailable
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
                Some(Outcome::Unresolved { retry_after: *left })
            }
            _ => Some(Outcome::StoreUnavailable),
        };
        if self.restoring && !self.answered {
            self.answered = true;
            actions.push(Action::Answer(Outcome::StoreUnavailable));
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
                self.finish(Outcome::Ended)
            }
            _ => Vec::new(),
        }
    }
}
