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

/// Time limits of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timings {
    /// Maximum time from just before the claim to the first byte of the request.
    pub start: Duration,
    /// Maximum time from the first byte of the request to the end of the response.
    pub deadline: Duration,
    /// Lifetime of a claim that is never resolved.
    pub hold: Duration,
}

/// Maximum number of seconds from the time just before the claim to the first byte of the request.
const START: u64 = 5;
/// Maximum number of seconds from the first byte of the request to the end of the response.
const DEADLINE: u64 = 15;
/// Number of seconds for which a provider with a grace period may still process an abandoned
/// request.
const LATE: u64 = 30;
/// Minimum number of seconds between the end of a claim and the first byte of the next request.
const MARGIN: u64 = 5;
/// Maximum lifetime of a claim, in seconds.
const MAX_HOLD: u64 = 60;
/// Minimum safe lifetime of a claim, in seconds, at a provider with a grace period for used tokens.
const SHORTEST_HOLD: u64 = START + DEADLINE + LATE + MARGIN;

impl Timings {
    /// Returns the time limits for a rotation class. The hold time is the sum of the time to start,
    /// the deadline, the time in which the provider may still process an abandoned request (30 s
    /// with a grace period, 35 s without), and a margin of 5 s. If there is a grace period, the
    /// hold time also ends early enough for a retry while the used token is still accepted.
    #[must_use]
    pub fn of(class: RotationClass) -> Self {
        let hold = match class {
            RotationClass::Stable => 25,
            RotationClass::OldTokensLiveOn => 20,
            RotationClass::Grace(grace) => {
                let last = u64::from(grace.seconds()).saturating_sub(START);
                last.clamp(SHORTEST_HOLD, MAX_HOLD)
            }
            _ => MAX_HOLD,
        };
        Self {
            start: Duration::from_secs(START),
            deadline: Duration::from_secs(DEADLINE),
            hold: Duration::from_secs(hold),
        }
    }
}

/// Returns the rotation class that the machine applies. A grace period that is too short for a safe
/// retry is ignored.
#[must_use]
pub fn effective(class: RotationClass) -> RotationClass {
    match class {
        RotationClass::Grace(grace) if u64::from(grace.seconds()) < SHORTEST_HOLD + START => {
            RotationClass::Strict
        }
        class => class,
    }
}

/// Returns true if the grace period of a token that was sent under `claim` has not ended yet.
/// `None` if the class has no grace period, the claim is not for a refresh, or the claim's lifetime
/// has not ended.
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

/// Constant settings of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    pub(super) class: RotationClass,
    jitter: u16,
}

impl Settings {
    /// Creates settings from the provider's rotation class and a number from 0 to 999 for the
    /// connection, which spreads its back-off from 75 % to 125 %. Larger numbers count as 999.
    #[must_use]
    pub fn new(class: RotationClass, jitter: u16) -> Self {
        Self {
            class: effective(class),
            jitter: jitter.min(999),
        }
    }

    /// Returns the pause before the next attempt after `failures` consecutive failures.
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        let base = Duration::from_secs(60 << failures.min(3));
        base * (750 + u32::from(self.jitter) / 2) / 1000
    }
}

/// The reason why a flight starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The access token is valid and in its advisory refresh window.
    Advisory,
    /// The access token is in its mandatory refresh window, has expired, or is unknown.
    Mandatory,
    /// The application requested a refresh.
    Forced {
        /// True if the access token is valid and not in its mandatory refresh window.
        good: bool,
    },
    /// The provider's API refused the access token of the flight's starting generation.
    Rejected {
        /// True if the API accepted that generation before, as seen by this process.
        worked: bool,
        /// Number of consecutive earlier refreshes that returned a token which the API never
        /// accepted.
        unproven: u32,
        /// Age of that generation's token.
        age: Duration,
    },
}

impl Reason {
    /// Returns true if callers still have a valid token, so that waiting is harmless.
    pub(super) const fn can_wait(self) -> bool {
        matches!(self, Self::Advisory | Self::Forced { good: true })
    }
}

/// The newest state of a connection that this process has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The grant number.
    pub grant: GrantNumber,
    /// The generation within the grant.
    pub generation: Generation,
    /// The highest fence of the grant.
    pub fence: Fence,
    /// True if the driver has that generation's credential in memory.
    pub in_hand: bool,
}

/// The starting conditions of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Start {
    /// The reason for the flight.
    pub reason: Reason,
    /// Generation of the token that the callers used or that the provider rejected. `None` if the
    /// callers had no token.
    pub seen: Option<Generation>,
    /// The newest state that this process has seen; `None` if there is none.
    pub mark: Option<Mark>,
}

/// The classification of a failed exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A temporary failure.
    Transient {
        /// The retry delay that the provider requested.
        after: Option<Duration>,
    },
    /// The provider refused the grant.
    DeadGrant {
        /// The reason that the provider's error code indicates;
        /// [`ReauthorizationReason::GrantRevoked`] if the code indicates no reason.
        reason: ReauthorizationReason,
    },
    /// The provider refused the app's registration.
    App,
    /// The provider refused the grant as part of a wave of such refusals. The grant must not be
    /// marked as ended.
    Withheld,
    /// The deadline for the first byte passed before the request was sent.
    TooLate,
    /// The response is not a known success or error. A complete response of this kind refuses the
    /// request.
    Malformed,
    /// The provider reports that it is processing another request with the same token.
    AlreadyRefreshed,
}

/// The access token of a new token pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewAccess {
    /// The token can be used.
    Usable,
    /// The token equals the previous one.
    Same,
    /// The token expires before a call can use it.
    Unusable {
        /// Remaining lifetime in seconds.
        seconds: u32,
    },
}

impl NewAccess {
    /// Returns the reason why the pair is not usable; `None` if the pair is usable.
    pub(super) const fn fault(self) -> Option<NoTokenReason> {
        match self {
            Self::Usable => None,
            Self::Same => Some(NoTokenReason::SameAccessToken),
            Self::Unusable { seconds } => Some(NoTokenReason::Unusable { seconds }),
        }
    }
}

/// The result of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchanged {
    /// A new token pair. The driver keeps the pair in memory until the machine no longer needs it.
    Pair {
        /// True if the response contains a refresh token that differs from the one in the request.
        rotated: bool,
        /// The access token of the pair.
        access: NewAccess,
    },
    /// No token pair.
    Failed {
        /// The classification of the failure.
        fault: Fault,
        /// The progress of the request when it failed.
        sent: Sent,
    },
}

/// An input of the machine, which is the result of an action or an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The row; `None` if there is none. Reply to [`Action::Load`].
    Loaded(Option<Box<Stored>>),
    /// Reply to [`Action::Claim`].
    Claimed(ClaimOutcome),
    /// Time since just before the first attempt to claim. Reply to [`Action::CheckClocks`].
    Clocks {
        /// Time by the steady clock.
        steady: Duration,
        /// Time by the wall clock; zero if the clock went backwards.
        wall: Duration,
    },
    /// Reply to [`Action::Exchange`].
    Exchanged {
        /// The result of the exchange.
        answer: Exchanged,
        /// Time since just before the claim, by the faster of the two clocks.
        elapsed: Duration,
    },
    /// Reply to [`Action::Commit`].
    Committed(CommitOutcome),
    /// Reply to [`Action::Fail`].
    Recorded(FailOutcome),
    /// Reply to [`Action::WriteBack`].
    WrittenBack(PutOutcome),
    /// Reply to [`Action::Revoke`].
    Revoked,
    /// The last store call has no known outcome.
    StoreUnavailable,
    /// The time limit of [`Action::Wait`] has passed.
    TimerFired,
    /// The generation changed during [`Action::Wait`].
    Woken,
    /// This process ended the connection or replaced its grant. This input may arrive at any time.
    GrantEnded,
}

/// An action for the driver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the row, open its current credential, and resolve the host of the token endpoint.
    Load,
    /// Make a claim. Start a timer on both clocks before the first attempt. A repeated claim with
    /// the same number has the same claim id and the same timer.
    Claim {
        /// The number of the claim in this flight. Each number has its own random claim id.
        number: u8,
        /// The grant in the row.
        grant: GrantNumber,
        /// The generation in the row.
        seen: Generation,
        /// The purpose of the claim.
        kind: ClaimKind,
        /// Lifetime of the claim.
        hold: Duration,
    },
    /// Report the time since the claim's timer started. Execute the next action immediately.
    CheckClocks,
    /// Send the refresh token of this generation once, and keep the response in memory.
    Exchange {
        /// The generation in the row at the time of the claim.
        generation: Generation,
        /// Time limit for sending the first byte. After it, nothing is sent.
        first_byte: Duration,
        /// Time limit from the first byte to the complete response. After this time, the driver
        /// abandons the request.
        deadline: Duration,
    },
    /// Store the new pair, or make a pending pair the current one.
    Commit {
        /// The number of the claim.
        number: u8,
        /// The grant of the claim.
        grant: GrantNumber,
        /// The generation whose refresh token was used.
        base: Generation,
        /// The fence of the claim.
        fence: Fence,
        /// True if the refresh token in the response differs from the one that was sent.
        rotates: bool,
        /// The pending pair that replaces the current pair.
        takes_pending: Option<Fence>,
        /// Time until the next refresh if the pair's access token cannot be used; otherwise `None`.
        retry_after: Option<Duration>,
    },
    /// Record that the exchange returned no credential.
    Fail {
        /// The number of the claim.
        number: u8,
        /// The grant of the claim.
        grant: GrantNumber,
        /// The generation whose refresh token was to be used.
        base: Generation,
        /// The fence of the claim.
        fence: Fence,
        /// True if the call also resolves the claim.
        resolves: bool,
        /// The failure to record.
        verdict: Verdict,
        /// Time until the next attempt, for the schedule.
        retry_after: Duration,
    },
    /// Replace the credential from a restored backup with the new pair, or with the newest
    /// credential in memory. Seal it again as a separate grant.
    WriteBack {
        /// The generation that the row must have.
        expect: Generation,
        /// The number of the new grant.
        grant: GrantNumber,
        /// The generation of the new grant's credential.
        generation: Generation,
        /// The fence of the claim.
        fence: Fence,
    },
    /// Seal the new pair for revocation, and queue the revocation.
    Revoke {
        /// The grant that the pair belonged to.
        grant: GrantNumber,
        /// The fence of the exchange that returned the pair.
        fence: Fence,
    },
    /// Wait until the time limit and, if requested, until the generation changes.
    Wait {
        /// Time limit.
        limit: Duration,
        /// True if a changed generation ends the wait.
        on_generation: bool,
    },
    /// Send the outcome to the callers that currently wait. The flight continues, and later callers
    /// join it.
    Answer(Outcome),
    /// Log the report and count it.
    Report(Report),
    /// Send the outcome to all waiters, and end the flight.
    Finish(Outcome),
}

/// An event for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Report {
    /// The store is older than the state that this process has seen. Alert.
    RestoredBackup {
        /// The generation that this process has seen.
        seen: Generation,
        /// The generation in the store.
        found: Generation,
    },
    /// A pair arrived late and is stored as pending, in addition to the current pair.
    SuccessorKept {
        /// The generation whose refresh token was used.
        base: Generation,
    },
    /// A pending pair replaces the current one.
    SuccessorTaken {
        /// The fence of the exchange that returned the pair.
        fence: Fence,
    },
    /// The outcome of an exchange is unknown.
    Unresolved,
    /// The response is not a known success or error. Alert.
    Malformed,
    /// The provider returned a new refresh token, although its description states that refresh
    /// tokens do not rotate.
    Rotates,
    /// The process was too slow to use its claim.
    TooSlow,
}

/// The outcome of a flight. If the access token is still valid, the driver keeps returning it to
/// callers, unless the outcome has a newer token or reports that the token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The new pair is stored under this generation.
    Fresh {
        /// The grant of the pair.
        grant: GrantNumber,
        /// The generation of the pair.
        generation: Generation,
    },
    /// The new pair is not stored yet. This process may return its access token to callers.
    ServeUndurable,
    /// The store has a newer credential, which the driver must read. A caller that needs a newer
    /// credential still starts another flight.
    Newer {
        /// The grant of the credential.
        grant: GrantNumber,
        /// The generation of the credential.
        generation: Generation,
    },
    /// The API refused several consecutive fresh access tokens. Identify the account. If that also
    /// fails, the account's owner must authorize again.
    Probe,
    /// There is no newer token.
    NoToken(NoToken),
}

/// The error for an input that does not match the requested action. This is a bug in the driver.
/// The machine is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unexpected;
