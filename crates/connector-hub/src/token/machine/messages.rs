//! What goes into the machine and what comes out of it.

use std::time::Duration;

use connector_core::oauth::RotationClass;
use connector_core::store::{ClaimKind, Stored, Verdict};
use connector_core::{
    DegradedReason, Fence, Generation, GrantNumber, ReauthorizationReason, Status,
};

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
    pub(super) class: RotationClass,
    jitter: u16,
    pub(super) rules: Rules,
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
    App,
    /// The time to the first byte was over before it was sent.
    TooLate,
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
