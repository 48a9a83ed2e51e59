//! Inputs and outputs of the machine.

use std::time::Duration;

use connector_core::ReauthorizationReason;
pub use connector_core::http::Sent;
use connector_core::provider::oauth::RotationClass;
use connector_core::store::{
    Claim, ClaimKind, ClaimOutcome, CommitOutcome, FailOutcome, Fence, Generation, GrantNumber,
    PutOutcome, Stored, Verdict,
};

pub use crate::token::outcome::{NoToken, NoTokenReason};

/// The times that bound an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timings {
    /// From before the claim statement to the first byte.
    pub start: Duration,
    /// From the first byte to the end of the answer.
    pub deadline: Duration,
    /// Lifetime of a claim that nobody resolves.
    pub hold: Duration,
}

/// Seconds from before the claim statement to the first byte.
const START: u64 = 5;
/// Seconds from the first byte to the end of the answer.
const DEADLINE: u64 = 15;
/// Seconds during which a provider with grace may still act on an abandoned request.
const LATE: u64 = 30;
/// Seconds between the end of a claim and the first byte of the request that follows it.
const MARGIN: u64 = 5;
/// Longest claim in seconds.
const LONGEST_HOLD: u64 = 60;
/// Shortest safe claim, in seconds, at a provider whose used tokens work for a while.
const SHORTEST_HOLD: u64 = START + DEADLINE + LATE + MARGIN;

impl Timings {
    /// The times for a class. The hold covers start, deadline, the time during which the provider may
    /// still act on an abandoned request (30 s with grace, 35 s without), and a margin of 5 s. With
    /// grace, it also ends so early that the resend leaves while the token still works.
    #[must_use]
    pub fn of(class: RotationClass) -> Self {
        let hold = match class {
            RotationClass::Stable => 25,
            RotationClass::OldTokensLiveOn => 20,
            RotationClass::Grace(grace) => {
                let last = u64::from(grace.seconds()).saturating_sub(START);
                last.clamp(SHORTEST_HOLD, LONGEST_HOLD)
            }
            _ => LONGEST_HOLD,
        };
        Self {
            start: Duration::from_secs(START),
            deadline: Duration::from_secs(DEADLINE),
            hold: Duration::from_secs(hold),
        }
    }
}

/// The class that the machine applies: a grace that ends before a lost request can be sent again
/// safely is no grace.
#[must_use]
pub fn effective(class: RotationClass) -> RotationClass {
    match class {
        RotationClass::Grace(grace) if u64::from(grace.seconds()) < SHORTEST_HOLD + START => {
            RotationClass::Strict
        }
        class => class,
    }
}

/// True if the grace of a token that was sent under `claim` is not over yet. `None` if the class has
/// no grace, the claim is not one for a refresh, or its hold has not passed.
pub(crate) fn is_within_grace(class: RotationClass, claim: &Claim) -> Option<bool> {
    let RotationClass::Grace(grace) = class else {
        return None;
    };
    if claim.kind != ClaimKind::Refresh || !claim.until.has_passed() {
        return None;
    }
    let age = Timings::of(class).hold + claim.until.overdue();
    Some(age <= Duration::from_secs(grace.seconds().into()))
}

/// What the machine is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    pub(super) class: RotationClass,
    jitter: u16,
}

impl Settings {
    /// The class of the provider, and the connection's own number from 0 to 999 that spreads its
    /// back-off from 75 % to 125 %; larger numbers count as 999.
    #[must_use]
    pub fn new(class: RotationClass, jitter: u16) -> Self {
        Self {
            class: effective(class),
            jitter: jitter.min(999),
        }
    }

    /// The pause before the next try after `failures` in a row.
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        let base = Duration::from_secs(60 << failures.min(3));
        base * (750 + u32::from(self.jitter) / 2) / 1000
    }
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
    pub(super) const fn can_wait(self) -> bool {
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
    App,
    /// The grant is refused in a wave of such refusals; it must not be marked as dead.
    Withheld,
    /// The time to the first byte was over before it was sent.
    TooLate,
    /// The response has no known meaning. One that is complete refuses the request.
    Malformed,
    /// The provider says that another request with the same token is being served.
    SiblingWon,
}

/// The access token of a new pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewAccess {
    /// It can be used.
    Usable,
    /// It is the previous one.
    Same,
    /// It expires before a call can use it.
    Unusable {
        /// Its remaining lifetime in seconds.
        seconds: u32,
    },
}

impl NewAccess {
    /// The reason why the pair is no refresh; `None` if it is one.
    pub(super) const fn fault(self) -> Option<NoTokenReason> {
        match self {
            Self::Usable => None,
            Self::Same => Some(NoTokenReason::SameAccessToken),
            Self::Unusable { seconds } => Some(NoTokenReason::Unusable { seconds }),
        }
    }
}

/// The answer to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchanged {
    /// A pair. The driver keeps it in hand until the machine is done with it.
    Pair {
        /// True if it holds another refresh token than the one that was sent; false if it holds the
        /// same or none.
        rotated: bool,
        /// Its access token.
        access: NewAccess,
    },
    /// No pair.
    Failed {
        /// What it means.
        fault: Fault,
        /// How far the request got.
        sent: Sent,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The row; `None` if there is none. Answers [`Action::Load`].
    Loaded(Option<Box<Stored>>),
    /// Answers [`Action::Claim`].
    Claimed(ClaimOutcome),
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
    Committed(CommitOutcome),
    /// Answers [`Action::Fail`].
    Recorded(FailOutcome),
    /// Answers [`Action::WriteBack`].
    WrittenBack(PutOutcome),
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
        /// When to refresh again, for a pair whose access token cannot be used; `None` for any
        /// other.
        retry_after: Option<Duration>,
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
    /// Several fresh access tokens in a row were refused: identify the account, and if that fails
    /// too, the connection needs its owner.
    Probe,
    /// There is no newer token.
    NoToken(NoToken),
}

/// An input that does not answer what was asked for: a bug of the driver. The machine is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unexpected;
