//! The reactions of the refresh machine to single events. The explorer tests the interleavings.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests and their helpers fail by panicking, and print their counts"
)]

use std::time::Duration;

use bytes::Bytes;
use connector_core::cipher::{KeyId, Sealed};
use connector_core::clock::Timestamp;
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::store::{
    Claim, ClaimId, ClaimKind, ClaimOutcome, CommitOutcome, ConnectionRecord, FailOutcome, Fence,
    Generation, GrantNumber, PendingCredential, PutOutcome, Stored, StoredCredential, TimeLeft,
    Verdict, Version,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, DegradedReason, Metadata, ProviderId,
    ReauthorizationReason, Status, TenantId,
};
use connector_hub::machine::{
    ATTEMPTS, Action, DAILY, Exchanged, Fault, Input, Machine, Mark, NewAccess, NoToken,
    NoTokenReason, Outcome, Reason, Report, Sent, Settings, Start, Timings, Unexpected, effective,
};

const SHOP: RotationClass = RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds: 3600 });
const TIMED: RotationClass = RotationClass::Grace(Grace::Time { seconds: 60 });

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn sealed() -> Sealed {
    Sealed::new(KeyId::from_bytes([0; 8]), Bytes::new())
}

fn row(generation: u64) -> Stored {
    let tenant = TenantId::new("t").expect("a name");
    let at = Timestamp::UNIX_EPOCH;
    let (grant, generation, fence) = (
        GrantNumber::new(1),
        Generation::new(generation),
        Fence::new(3),
    );
    Stored {
        connection: ConnectionRecord {
            key: ConnectionKey::new(tenant, ConnectionId::from_bytes([0; 16])),
            provider: ProviderId::from_static("acme"),
            app: AppKey::default(),
            account: Account::identified(AccountKey::new("a").expect("a name")),
            status: Status::Connected,
            status_since: at,
            failures: 0,
            check: None,
            rotates: false,
            metadata: Metadata::new(),
            grant,
            generation,
            confirmed: None,
            fence,
            version: Version::new(1),
            created_at: at,
            updated_at: at,
            refreshed_at: at,
        },
        current: Some(StoredCredential {
            sealed: sealed(),
            grant,
            generation,
            fence,
            access_left: None,
            refresh_left: None,
        }),
        previous: None,
        pending: Vec::new(),
        claim: None,
    }
}

fn with(generation: u64, change: impl FnOnce(&mut ConnectionRecord)) -> Stored {
    let mut stored = row(generation);
    change(&mut stored.connection);
    stored
}

fn dead(reason: ReauthorizationReason) -> Stored {
    with(5, |it| it.status = Status::NeedsReauthorization(reason))
}

fn with_pending(pairs: &[(u64, u64)]) -> Stored {
    let pending = pairs.iter().map(|(fence, base)| PendingCredential {
        sealed: sealed(),
        grant: GrantNumber::new(1),
        base: Generation::new(*base),
        fence: Fence::new(*fence),
        access_left: None,
        refresh_left: None,
    });
    Stored {
        pending: pending.collect(),
        ..row(5)
    }
}

fn until(left: Duration) -> TimeLeft {
    let now = Timestamp::UNIX_EPOCH;
    TimeLeft::between(now, now.after(left))
}

/// Returns a claim that expired this long ago.
fn overdue(ago: Duration) -> Claim {
    let end = Timestamp::UNIX_EPOCH;
    Claim {
        claim_id: ClaimId::from_bytes([1; 16]),
        grant: GrantNumber::new(1),
        generation: Generation::new(5),
        fence: Fence::new(3),
        kind: ClaimKind::Refresh,
        until: TimeLeft::between(end.after(ago), end),
    }
}

fn granted(row: Stored, superseded: bool) -> Input {
    granted_over(row, superseded.then(|| overdue(Duration::ZERO)))
}

fn granted_over(row: Stored, superseded: Option<Claim>) -> Input {
    Input::Claimed(ClaimOutcome::Granted {
        fence: Fence::new(4),
        until: until(secs(60)),
        stored: Box::new(row),
        superseded,
    })
}

fn loaded(row: Stored) -> Input {
    Input::Loaded(Some(Box::new(row)))
}

fn moved(row: Stored) -> Input {
    Input::Recorded(FailOutcome::Moved(Box::new(row)))
}

fn still_held(left: u64) -> Input {
    Input::Recorded(FailOutcome::Held {
        fence: Fence::new(9),
        until: until(secs(left)),
    })
}

fn held(left: u64) -> Input {
    Input::Claimed(ClaimOutcome::Held {
        fence: Fence::new(9),
        until: until(secs(left)),
    })
}

fn later(reason: NoTokenReason, seconds: u64) -> Outcome {
    Outcome::NoToken(NoToken::later(reason, secs(seconds)))
}

fn over(reason: NoTokenReason) -> Outcome {
    Outcome::NoToken(NoToken::finally(reason))
}

fn is_later(outcome: Outcome, reason: NoTokenReason) -> bool {
    matches!(outcome, Outcome::NoToken(NoToken { reason: it, retry_after: Some(_) }) if it == reason)
}

fn failed(fault: Fault, sent: Sent) -> Input {
    Input::Exchanged {
        answer: Exchanged::Failed { fault, sent },
        elapsed: secs(1),
    }
}

fn pair(rotated: bool, same_access: bool) -> Input {
    let access = if same_access {
        NewAccess::Same
    } else {
        NewAccess::Usable
    };
    brought(rotated, access)
}

fn brought(rotated: bool, access: NewAccess) -> Input {
    Input::Exchanged {
        answer: Exchanged::Pair { rotated, access },
        elapsed: secs(1),
    }
}

const IN_TIME: Input = Input::Clocks {
    steady: Duration::ZERO,
    wall: Duration::ZERO,
};

const REFUSED: Fault = Fault::DeadGrant {
    reason: ReauthorizationReason::GrantRevoked,
};

const BUSY: Fault = Fault::Transient { after: None };

/// A flight for generation 5, advanced by inputs, with its last requested action.
struct Flight {
    machine: Machine,
    last: Vec<Action>,
}

impl Flight {
    fn new(class: RotationClass, reason: Reason) -> Self {
        let start = Start {
            reason,
            seen: Some(Generation::new(5)),
            mark: Some(Mark {
                grant: GrantNumber::new(1),
                generation: Generation::new(5),
                fence: Fence::new(3),
                in_hand: true,
            }),
        };
        Self::with(class, start)
    }

    fn with(class: RotationClass, start: Start) -> Self {
        connector_testkit::trace::init();
        let (machine, last) = Machine::start(Settings::new(class, 500), start);
        assert_eq!(last, [Action::Load]);
        Self { machine, last }
    }

    fn then(mut self, input: Input) -> Self {
        self.last = self
            .machine
            .step(input)
            .expect("an answer to what was asked");
        self
    }

    /// Advances the flight up to the exchange.
    fn sent(class: RotationClass, reason: Reason) -> Self {
        Self::new(class, reason)
            .then(loaded(row(5)))
            .then(granted(row(5), false))
            .then(IN_TIME)
    }

    fn outcome(&self) -> Outcome {
        match self.last.last() {
            Some(Action::Finish(outcome)) => *outcome,
            other => panic!("not the end: {other:?}"),
        }
    }

    fn asked(&self) -> &Action {
        self.last.last().expect("an action")
    }

    fn failure(&self) -> (bool, Verdict) {
        match self.asked() {
            Action::Fail {
                resolves, verdict, ..
            } => (*resolves, verdict.clone()),
            other => panic!("not a failure: {other:?}"),
        }
    }
}

#[test]
fn a_refresh_is_load_claim_check_exchange_commit() {
    let flight = Flight::new(RotationClass::Strict, Reason::Mandatory);
    let flight = flight.then(loaded(row(5)));
    assert_eq!(
        *flight.asked(),
        Action::Claim {
            number: 0,
            grant: GrantNumber::new(1),
            seen: Generation::new(5),
            kind: ClaimKind::Refresh,
            hold: secs(60),
        }
    );
    let flight = flight.then(granted(row(5), false));
    assert_eq!(*flight.asked(), Action::CheckClocks);
    let flight = flight.then(Input::Clocks {
        steady: secs(1),
        wall: secs(2),
    });
    assert_eq!(
        *flight.asked(),
        Action::Exchange {
            generation: Generation::new(5),
            first_byte: secs(3),
            deadline: secs(15),
        }
    );
    let flight = flight.then(pair(true, false));
    assert!(flight.machine.holds_a_pair() && !flight.machine.is_done());
    assert_eq!(
        *flight.asked(),
        Action::Commit {
            number: 0,
            grant: GrantNumber::new(1),
            base: Generation::new(5),
            fence: Fence::new(4),
            rotates: true,
            takes_pending: None,
            retry_after: None,
        }
    );
    let flight = flight.then(Input::Committed(CommitOutcome::Stored));
    assert!(!flight.machine.holds_a_pair() && flight.machine.is_done());
    assert_eq!(
        flight.outcome(),
        Outcome::Fresh {
            grant: GrantNumber::new(1),
            generation: Generation::new(6),
        }
    );
}

#[test]
fn a_machine_that_is_done_takes_nothing_more() {
    let done = || {
        let flight = Flight::new(RotationClass::Strict, Reason::Mandatory);
        flight.then(Input::Loaded(None))
    };
    assert!(done().machine.is_done());
    for input in [Input::GrantEnded, Input::Woken, Input::TimerFired] {
        assert!(done().machine.step(input).is_err());
    }
}

#[test]
fn a_hold_covers_start_deadline_late_service_and_a_margin() {
    for (class, late) in [
        (RotationClass::Stable, 0),
        (SHOP, 30),
        (TIMED, 30),
        (RotationClass::Strict, 35),
    ] {
        let timings = Timings::of(class);
        let least = timings.start + timings.deadline + secs(late) + secs(5);
        assert!(timings.hold >= least, "{class:?}");
    }
    assert_eq!(Timings::of(RotationClass::OldTokensLiveOn).hold, secs(20));
}

#[test]
fn back_off_doubles_to_eight_minutes_and_is_spread() {
    let middle = Settings::new(RotationClass::Strict, 500);
    let steps: Vec<u64> = (0..6).map(|n| middle.backoff(n).as_secs()).collect();
    assert_eq!(steps, [60, 120, 240, 480, 480, 480]);
    assert_eq!(Settings::new(RotationClass::Strict, 0).backoff(0), secs(45));
    let most = Settings::new(RotationClass::Strict, u16::MAX).backoff(3);
    assert!(most > secs(590) && most <= secs(600));
}

#[test]
fn a_changed_row_is_used_for_every_reason() {
    let newer = Outcome::Newer {
        grant: GrantNumber::new(1),
        generation: Generation::new(6),
    };
    for reason in [
        Reason::Advisory,
        Reason::Mandatory,
        Reason::Forced { good: true },
        Reason::Rejected {
            worked: true,
            unproven: 0,
            age: secs(0),
        },
    ] {
        let flight = Flight::new(RotationClass::Strict, reason);
        assert_eq!(flight.then(loaded(row(6))).outcome(), newer, "{reason:?}");
        let flight = Flight::new(RotationClass::Strict, reason)
            .then(loaded(row(5)))
            .then(Input::Claimed(ClaimOutcome::Moved(Box::new(row(6)))));
        assert_eq!(flight.outcome(), newer, "{reason:?}");
    }
}

#[test]
fn either_clock_stops_a_late_send_and_the_claim_is_made_anew() {
    let clocks = |steady, wall| Input::Clocks { steady, wall };
    // The check of the machine, by either clock, and the check of the transport before the first
    // byte.
    for late in [
        vec![clocks(secs(6), secs(0))],
        vec![clocks(secs(0), secs(3600))],
        vec![clocks(secs(1), secs(1)), failed(Fault::TooLate, Sent::No)],
    ] {
        let mut flight = Flight::new(SHOP, Reason::Mandatory).then(loaded(row(5)));
        for number in 0..3 {
            assert!(
                matches!(flight.asked(), Action::Claim { number: n, .. } if *n == number),
                "each granted claim has a name of its own"
            );
            flight = flight.then(granted(row(5), false));
            for input in late.clone() {
                flight = flight.then(input);
            }
            assert!(flight.last.contains(&Action::Report(Report::TooSlow)));
            assert_eq!(flight.failure(), (true, Verdict::Later { status: None }));
            flight = flight.then(Input::Recorded(FailOutcome::Applied));
            if number < 2 {
                flight = flight.then(loaded(row(5)));
            }
        }
        assert!(is_later(flight.outcome(), NoTokenReason::TooSlow));
    }
}

#[test]
fn what_may_have_been_acted_on_leaves_the_claim_standing() {
    let transient = Fault::Transient { after: None };
    for (fault, sent) in [
        (transient, Sent::Maybe),
        (REFUSED, Sent::Maybe),
        (Fault::App, Sent::Maybe),
        (Fault::Malformed, Sent::Maybe),
    ] {
        let flight =
            Flight::sent(RotationClass::Strict, Reason::Mandatory).then(failed(fault, sent));
        let unresolved = Status::Degraded(DegradedReason::RefreshUnresolved);
        assert_eq!(
            flight.failure(),
            (
                false,
                Verdict::Later {
                    status: Some(unresolved)
                }
            ),
            "{fault:?}"
        );
        let flight = flight.then(Input::Recorded(FailOutcome::Applied));
        assert_eq!(flight.outcome(), later(NoTokenReason::Unresolved, 59));
    }
}

#[test]
fn what_was_answered_or_never_left_resolves_the_claim() {
    let wait = Fault::Transient {
        after: Some(secs(300)),
    };
    for (fault, sent, pause) in [
        (wait, Sent::Answered, secs(300)),
        (Fault::Transient { after: None }, Sent::Answered, secs(60)),
        (Fault::Transient { after: None }, Sent::No, secs(60)),
        (Fault::Malformed, Sent::No, secs(60)),
    ] {
        let flight =
            Flight::sent(RotationClass::Strict, Reason::Mandatory).then(failed(fault, sent));
        assert!(flight.failure().0, "{fault:?} {sent:?}");
        let flight = flight.then(Input::Recorded(FailOutcome::Applied));
        assert_eq!(
            flight.outcome(),
            Outcome::NoToken(NoToken::later(NoTokenReason::Transient, pause))
        );
    }
}

#[test]
fn a_fault_of_the_app_changes_no_account() {
    for sent in [Sent::No, Sent::Answered] {
        let flight = Flight::sent(SHOP, Reason::Mandatory).then(failed(Fault::App, sent));
        assert_eq!(flight.failure(), (true, Verdict::Later { status: None }));
        let flight = flight.then(Input::Recorded(FailOutcome::Applied));
        assert_eq!(flight.outcome(), later(NoTokenReason::AppRefused, 60));
    }
}

#[test]
fn a_sibling_that_won_is_waited_for_and_adopted() {
    let flight = Flight::sent(RotationClass::Strict, Reason::Mandatory)
        .then(failed(Fault::AlreadyRefreshed, Sent::Answered));
    assert!(!flight.failure().0, "somebody is still at that token");
    let flight = flight.then(Input::Recorded(FailOutcome::Applied));
    assert_eq!(
        *flight.asked(),
        Action::Wait {
            limit: secs(20),
            on_generation: true,
        }
    );
    let adopted = Flight {
        machine: flight.machine.clone(),
        last: Vec::new(),
    }
    .then(Input::Woken)
    .then(loaded(row(6)));
    assert!(matches!(adopted.outcome(), Outcome::Newer { .. }));
    let waited = flight.then(Input::TimerFired).then(loaded(row(5)));
    assert_eq!(waited.outcome(), later(NoTokenReason::Unresolved, 39));
}

#[test]
fn a_refusal_after_a_lost_response_is_reported_as_lost_at_a_strict_provider() {
    for (class, superseded, unresolved, reason) in [
        (
            RotationClass::Strict,
            true,
            false,
            ReauthorizationReason::LostInFlight,
        ),
        (
            RotationClass::Strict,
            false,
            true,
            ReauthorizationReason::LostInFlight,
        ),
        (
            RotationClass::Strict,
            false,
            false,
            ReauthorizationReason::GrantRevoked,
        ),
        (SHOP, true, false, ReauthorizationReason::GrantRevoked),
    ] {
        let found = with(5, |it| {
            if unresolved {
                it.status = Status::Degraded(DegradedReason::RefreshUnresolved);
            }
        });
        let flight = Flight::new(class, Reason::Mandatory)
            .then(loaded(found.clone()))
            .then(granted(found, superseded))
            .then(IN_TIME)
            .then(failed(REFUSED, Sent::Answered));
        assert_eq!(flight.failure(), (true, Verdict::GiveUp { reason }));
        let flight = flight.then(Input::Recorded(FailOutcome::Applied));
        assert_eq!(
            flight.outcome(),
            over(NoTokenReason::NeedsReauthorization(reason))
        );
    }
}

#[test]
fn a_grant_that_was_lost_in_flight_stays_lost_after_a_forced_refresh() {
    let reason = ReauthorizationReason::LostInFlight;
    let lost = dead(reason);
    let flight = Flight::new(RotationClass::Strict, Reason::Forced { good: false })
        .then(loaded(lost.clone()))
        .then(granted(lost, false))
        .then(IN_TIME)
        .then(failed(REFUSED, Sent::Answered));
    assert_eq!(flight.failure(), (true, Verdict::GiveUp { reason }));
}

#[test]
fn a_lost_response_is_remembered_through_other_failures() {
    let flight = Flight::new(RotationClass::Strict, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(granted(row(5), true))
        .then(IN_TIME)
        .then(failed(Fault::Transient { after: None }, Sent::Answered));
    let unresolved = Status::Degraded(DegradedReason::RefreshUnresolved);
    assert_eq!(
        flight.failure().1,
        Verdict::Later {
            status: Some(unresolved)
        }
    );
}

#[test]
fn giving_up_adopts_tries_pending_pairs_and_waits_first() {
    let refused = || {
        Flight::sent(RotationClass::Strict, Reason::Mandatory).then(failed(REFUSED, Sent::Answered))
    };
    let adopted = refused().then(moved(row(6)));
    assert!(matches!(adopted.outcome(), Outcome::Newer { .. }));

    let left = Box::new(with_pending(&[(3, 4), (2, 4)]));
    let tried = refused().then(Input::Recorded(FailOutcome::PendingLeft(left)));
    assert!(
        matches!(
            tried.asked(),
            Action::Commit { takes_pending: Some(fence), base, .. }
                if fence.get() == 3 && base.get() == 5
        ),
        "the newest fence first"
    );
    let tried = tried.then(Input::Committed(CommitOutcome::Stored));
    assert!(matches!(tried.outcome(), Outcome::Newer { generation, .. } if generation.get() == 6));

    let waits = refused().then(still_held(12));
    assert_eq!(
        *waits.asked(),
        Action::Wait {
            limit: secs(12),
            on_generation: true,
        }
    );
    let again = waits.then(Input::TimerFired);
    assert!(matches!(again.failure(), (true, Verdict::GiveUp { .. })));
    let late = again.then(still_held(30)).then(Input::TimerFired);
    assert_eq!(late.outcome(), later(NoTokenReason::Unresolved, 22));
}

#[test]
fn only_a_pending_pair_of_the_current_generation_replaces_an_exchange() {
    for (base, promoted) in [(5, true), (4, false)] {
        let found = with_pending(&[(2, base)]);
        let flight = Flight::new(SHOP, Reason::Mandatory)
            .then(loaded(row(5)))
            .then(granted(found, false));
        let commits = matches!(flight.asked(), Action::Commit { .. });
        assert_eq!(commits, promoted, "base {base}");
    }
}

#[test]
fn the_same_access_token_again_was_no_refresh() {
    let flight = Flight::sent(RotationClass::Stable, Reason::Mandatory).then(pair(false, true));
    assert!(flight.failure().0);
    let flight = flight.then(Input::Recorded(FailOutcome::Applied));
    let no_refresh = later(NoTokenReason::SameAccessToken, 60);
    assert_eq!(flight.outcome(), no_refresh);
    // A new refresh token is stored in spite of that.
    let flight = Flight::sent(RotationClass::Strict, Reason::Mandatory)
        .then(pair(true, true))
        .then(Input::Committed(CommitOutcome::Stored));
    assert_eq!(flight.outcome(), no_refresh);
}

#[test]
fn a_stable_provider_that_rotates_is_strict_from_then_on() {
    let flight = Flight::sent(RotationClass::Stable, Reason::Mandatory).then(pair(true, false));
    assert!(flight.last.contains(&Action::Report(Report::Rotates)));
    assert!(matches!(
        flight.asked(),
        Action::Commit { rotates: true, .. }
    ));
    let known = with(5, |it| it.rotates = true);
    let flight = Flight::new(RotationClass::Stable, Reason::Mandatory).then(loaded(known));
    assert!(matches!(flight.asked(), Action::Claim { hold, .. } if *hold == secs(60)));
}

#[test]
fn an_unresolved_claim_at_a_strict_provider_is_left_alone_while_the_token_is_good() {
    let standing = Stored {
        claim: Some(overdue(Duration::ZERO)),
        ..row(5)
    };
    for (class, reason, leaves) in [
        (RotationClass::Strict, Reason::Advisory, true),
        (RotationClass::Strict, Reason::Forced { good: true }, true),
        (RotationClass::Strict, Reason::Forced { good: false }, false),
        (RotationClass::Strict, Reason::Mandatory, false),
        (SHOP, Reason::Advisory, false),
        (RotationClass::Stable, Reason::Advisory, false),
    ] {
        let flight = Flight::new(class, reason).then(loaded(standing.clone()));
        let left = matches!(
            flight.asked(),
            Action::Finish(outcome) if is_later(*outcome, NoTokenReason::Unresolved)
        );
        assert_eq!(left, leaves, "{class:?} {reason:?}");
    }
    // A claim that appeared after the read also stays active.
    let flight = Flight::new(RotationClass::Strict, Reason::Advisory)
        .then(loaded(row(5)))
        .then(granted(row(5), true));
    assert!(!flight.failure().0);
}

#[test]
fn callers_with_a_good_token_do_not_wait_and_others_wait_twenty_seconds() {
    let held = held(50);
    let flight = Flight::new(SHOP, Reason::Advisory)
        .then(loaded(row(5)))
        .then(held.clone());
    assert_eq!(flight.outcome(), later(NoTokenReason::Held, 50));
    let flight = Flight::new(SHOP, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(held);
    assert_eq!(
        *flight.asked(),
        Action::Wait {
            limit: secs(20),
            on_generation: true,
        }
    );
    let flight = flight.then(Input::TimerFired);
    assert_eq!(flight.outcome(), later(NoTokenReason::Held, 30));
}

#[test]
fn an_undurable_pair_is_served_unless_its_use_would_end_a_grace() {
    for (class, answer) in [
        (RotationClass::Stable, Outcome::ServeUndurable),
        (RotationClass::OldTokensLiveOn, Outcome::ServeUndurable),
        (TIMED, Outcome::ServeUndurable),
        (RotationClass::Strict, Outcome::ServeUndurable),
        (SHOP, later(NoTokenReason::StoreUnavailable, 5)),
    ] {
        let mut flight = Flight::sent(class, Reason::Mandatory).then(pair(true, false));
        let commit = flight.asked().clone();
        flight = flight.then(Input::StoreUnavailable);
        assert_eq!(flight.last[0], Action::Answer(answer), "{class:?}");
        for round in 0..50 {
            assert!(
                matches!(flight.asked(), Action::Wait { limit, .. } if *limit <= secs(4)),
                "it is written within five seconds of the store's return"
            );
            flight = flight.then(Input::TimerFired);
            assert_eq!(*flight.asked(), commit, "round {round}: word for word");
            flight = flight.then(Input::StoreUnavailable);
            assert_eq!(flight.last.len(), 1, "callers are told once");
        }
        let flight = flight
            .then(Input::TimerFired)
            .then(Input::Committed(CommitOutcome::Stored));
        assert!(matches!(flight.outcome(), Outcome::Fresh { .. }));
    }
}

#[test]
fn a_claim_of_unknown_outcome_is_repeated_by_its_name_and_then_given_up() {
    let mut flight = Flight::new(SHOP, Reason::Mandatory).then(loaded(row(5)));
    let claim = flight.asked().clone();
    for _ in 0..4 {
        flight = flight.then(Input::StoreUnavailable).then(Input::TimerFired);
        assert_eq!(*flight.asked(), claim);
    }
    let flight = flight.then(Input::StoreUnavailable);
    assert_eq!(flight.outcome(), later(NoTokenReason::StoreUnavailable, 5));
}

#[test]
fn a_pair_of_an_ended_grant_is_queued_for_revocation() {
    let late = || {
        Flight::sent(SHOP, Reason::Mandatory)
            .then(pair(true, false))
            .then(Input::Committed(CommitOutcome::Ended))
    };
    let reconnected = with(6, |it| it.grant = GrantNumber::new(2));
    for (found, outcome) in [
        (None, over(NoTokenReason::Ended)),
        (
            Some(reconnected),
            Outcome::Newer {
                grant: GrantNumber::new(2),
                generation: Generation::new(6),
            },
        ),
    ] {
        let flight = late().then(Input::Loaded(found.map(Box::new)));
        let revoke = Action::Revoke {
            grant: GrantNumber::new(1),
            fence: Fence::new(4),
        };
        assert_eq!(*flight.asked(), revoke);
        assert!(flight.machine.holds_a_pair());
        let flight = flight.then(Input::Revoked);
        assert_eq!(flight.outcome(), outcome);
    }
}

#[test]
fn a_restored_backup_gets_the_newer_pair_back_and_its_own_is_never_sent() {
    for old in [
        row(4),
        with(5, |it| it.fence = Fence::new(2)),
        with(9, |it| it.grant = GrantNumber::new(0)),
    ] {
        let flight =
            Flight::new(RotationClass::Strict, Reason::Mandatory).then(loaded(old.clone()));
        assert!(matches!(
            flight.last[0],
            Action::Report(Report::RestoredBackup { .. })
        ));
        assert!(matches!(
            flight.asked(),
            Action::Claim {
                kind: ClaimKind::Exchange,
                ..
            }
        ));
        let flight = flight.then(granted(old.clone(), false));
        assert_eq!(
            *flight.asked(),
            Action::WriteBack {
                expect: old.connection.generation,
                grant: old.connection.grant.next(),
                generation: old.connection.generation.next(),
                fence: Fence::new(4),
            }
        );
        let flight = flight.then(Input::WrittenBack(PutOutcome::Stored));
        assert!(matches!(flight.outcome(), Outcome::Newer { .. }));
    }
    let forgotten = Start {
        reason: Reason::Mandatory,
        seen: Some(Generation::new(5)),
        mark: Some(Mark {
            grant: GrantNumber::new(1),
            generation: Generation::new(5),
            fence: Fence::new(3),
            in_hand: false,
        }),
    };
    let flight = Flight::with(RotationClass::Strict, forgotten).then(loaded(row(4)));
    assert_eq!(flight.outcome(), over(NoTokenReason::StoreBehind));
}

#[test]
fn a_backup_restored_during_an_exchange_gets_the_response() {
    let flight = Flight::sent(RotationClass::Strict, Reason::Mandatory)
        .then(pair(true, false))
        .then(Input::Committed(CommitOutcome::Pending))
        .then(loaded(row(2)))
        .then(granted(row(2), false));
    assert!(flight.machine.holds_a_pair());
    assert!(matches!(flight.asked(), Action::WriteBack { .. }));
    // Another process wrote back first, with data older than the response.
    let other = with(3, |it| it.grant = GrantNumber::new(2));
    let flight = flight
        .then(Input::WrittenBack(PutOutcome::Moved(Box::new(row(3)))))
        .then(loaded(other.clone()))
        .then(granted(other, false))
        .then(Input::WrittenBack(PutOutcome::Stored));
    assert_eq!(
        flight.outcome(),
        Outcome::Newer {
            grant: GrantNumber::new(3),
            generation: Generation::new(4),
        }
    );
}

#[test]
fn tokens_that_never_work_are_refreshed_once_per_step_and_then_probed() {
    let confirmed = with(5, |it| it.confirmed = Some(Generation::new(5)));
    for (worked, unproven, age, found, expected) in [
        (true, 2, 0, row(5), None),
        (false, 2, 0, confirmed, None),
        (false, 0, 60, row(5), None),
        (false, 0, 20, row(5), Some((40, false))),
        (false, 1, 20, row(5), Some((100, false))),
        (false, 2, 240, row(5), None),
        (false, 3, 10_000, row(5), Some((0, true))),
    ] {
        let reason = Reason::Rejected {
            worked,
            unproven,
            age: secs(age),
        };
        let flight = Flight::new(SHOP, reason).then(loaded(found));
        match expected {
            Some((_, true)) => assert_eq!(flight.outcome(), Outcome::Probe),
            Some((rest, false)) => {
                assert_eq!(flight.outcome(), later(NoTokenReason::Unauthorized, rest));
            }
            None => assert!(matches!(flight.asked(), Action::Claim { .. }), "{reason:?}"),
        }
    }
}

#[test]
fn a_dead_grant_is_sent_again_only_on_request() {
    let reason = ReauthorizationReason::GrantRevoked;
    let dead = dead(reason);
    let flight = Flight::new(SHOP, Reason::Mandatory).then(loaded(dead.clone()));
    assert_eq!(
        flight.outcome(),
        over(NoTokenReason::NeedsReauthorization(reason))
    );
    let flight = Flight::new(SHOP, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(granted(dead.clone(), false));
    assert_eq!(flight.failure(), (true, Verdict::GiveUp { reason }));
    let flight = Flight::new(SHOP, Reason::Forced { good: false }).then(loaded(dead));
    assert!(matches!(flight.asked(), Action::Claim { .. }));
}

#[test]
fn a_connection_that_ends_stops_what_was_not_sent() {
    let waiting = Flight::new(SHOP, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(held(50))
        .then(Input::GrantEnded);
    assert_eq!(waiting.outcome(), over(NoTokenReason::Ended));
    let about_to_send = Flight::new(SHOP, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(granted(row(5), false))
        .then(Input::GrantEnded);
    assert_eq!(about_to_send.outcome(), over(NoTokenReason::Ended));
    let sent = Flight::sent(SHOP, Reason::Mandatory).then(Input::GrantEnded);
    assert!(sent.last.is_empty(), "the answer is still dealt with");
    let kept = sent.then(pair(true, false));
    assert!(matches!(kept.asked(), Action::Commit { .. }));
}

/// A flight with a new pair whose commit was overwritten by a restored backup, so that it must be
/// written back.
fn writing_back(found: Stored) -> Flight {
    Flight::sent(RotationClass::Strict, Reason::Mandatory)
        .then(pair(true, false))
        .then(Input::Committed(CommitOutcome::Pending))
        .then(loaded(found))
}

#[test]
fn a_new_pair_is_the_newest_state_that_this_process_knows() {
    // The store has the state before the exchange: older than the pair, but not older than the
    // start.
    let flight = writing_back(row(5));
    let seen = Action::Report(Report::RestoredBackup {
        seen: Generation::new(6),
        found: Generation::new(5),
    });
    assert_eq!(flight.last[0], seen);
    assert!(matches!(flight.asked(), Action::Claim { .. }));
}

#[test]
fn a_connection_that_ends_while_a_pair_is_written_back_is_not_the_end_of_the_pair() {
    let ended = Input::Claimed(ClaimOutcome::Ended);
    let flight = writing_back(row(2)).then(ended.clone());
    assert_eq!(*flight.asked(), Action::Load);
    let flight = flight.then(Input::Loaded(None));
    assert!(matches!(flight.asked(), Action::Revoke { .. }));
    // The pair is also kept while another claim is active.
    let held = held(50);
    let waiting = writing_back(row(2)).then(held).then(Input::GrantEnded);
    assert!(waiting.last.is_empty());
    assert!(waiting.machine.holds_a_pair());
    let nothing_in_hand = Flight::new(SHOP, Reason::Mandatory)
        .then(loaded(row(5)))
        .then(ended);
    assert_eq!(nothing_in_hand.outcome(), over(NoTokenReason::Ended));
}

/// Returns the waits during an outage of the store, until the flight ends or 20 times.
fn outage(mut flight: Flight) -> (Vec<Duration>, Vec<Outcome>, Flight) {
    let (mut pauses, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        flight = flight.then(Input::StoreUnavailable);
        answers.extend(flight.last.iter().filter_map(|action| match action {
            Action::Answer(outcome) => Some(*outcome),
            _ => None,
        }));
        let Action::Wait { limit, .. } = flight.asked() else {
            break;
        };
        pauses.push(*limit);
        flight = flight.then(Input::TimerFired);
    }
    (pauses, answers, flight)
}

#[test]
fn a_store_that_is_away_is_asked_with_growing_pauses() {
    let doubling = [250, 500, 1000, 2000].map(Duration::from_millis);
    let loading = Flight::new(SHOP, Reason::Mandatory);
    let (pauses, answers, flight) = outage(loading);
    assert_eq!((pauses.as_slice(), answers), (&doubling[..], vec![]));
    assert_eq!(flight.outcome(), later(NoTokenReason::StoreUnavailable, 5));
    // The original failure is reported even if it could not be recorded.
    let failing = Flight::sent(SHOP, Reason::Mandatory).then(failed(BUSY, Sent::No));
    let (pauses, answers, flight) = outage(failing);
    assert_eq!((pauses.as_slice(), answers), (&doubling[..], vec![]));
    assert!(is_later(flight.outcome(), NoTokenReason::Transient));
    let unheard = Flight::sent(SHOP, Reason::Mandatory).then(failed(BUSY, Sent::Maybe));
    let (_, answers, flight) = outage(unheard);
    assert_eq!(answers, []);
    assert!(is_later(flight.outcome(), NoTokenReason::Unresolved));
}

#[test]
fn what_would_be_lost_is_not_given_up_while_the_store_is_away() {
    let late = |found| {
        Flight::sent(SHOP, Reason::Mandatory)
            .then(pair(true, false))
            .then(found)
    };
    // A new pair before its place is known.
    let (pauses, answers, _) = outage(late(Input::Committed(CommitOutcome::Ended)));
    assert_eq!((pauses.len(), answers), (20, vec![]));
    assert_eq!(pauses[19], secs(4));
    // A restored backup that gets the cached pair back.
    let restoring = Flight::new(RotationClass::Strict, Reason::Mandatory).then(loaded(row(4)));
    assert!(!restoring.machine.holds_a_pair());
    let (pauses, answers, _) = outage(restoring);
    assert_eq!(pauses.len(), 20);
    assert_eq!(
        answers,
        [later(NoTokenReason::StoreUnavailable, 5)],
        "callers are told once"
    );
}

#[test]
fn a_lost_response_is_awaited_once_and_only_without_a_valid_token() {
    let lost = |reason, left| {
        let granted = Input::Claimed(ClaimOutcome::Granted {
            fence: Fence::new(4),
            until: until(secs(left)),
            stored: Box::new(row(5)),
            superseded: None,
        });
        Flight::new(SHOP, reason)
            .then(loaded(row(5)))
            .then(granted)
            .then(IN_TIME)
            .then(failed(BUSY, Sent::Maybe))
            .then(Input::Recorded(FailOutcome::Applied))
    };
    for (reason, left) in [(Reason::Advisory, 10), (Reason::Mandatory, 60)] {
        let flight = lost(reason, left);
        let outcome = flight.outcome();
        assert!(is_later(outcome, NoTokenReason::Unresolved), "{reason:?}");
    }
    let flight = lost(Reason::Mandatory, 10);
    assert!(matches!(flight.asked(), Action::Wait { .. }));
    let again = flight
        .then(Input::TimerFired)
        .then(loaded(row(5)))
        .then(granted(row(5), false))
        .then(IN_TIME)
        .then(failed(BUSY, Sent::Maybe))
        .then(Input::Recorded(FailOutcome::Applied));
    assert!(is_later(again.outcome(), NoTokenReason::Unresolved));
}

#[test]
fn an_input_that_answers_nothing_changes_nothing() {
    let mut flight = Flight::new(SHOP, Reason::Mandatory).then(loaded(row(5)));
    let before = flight.machine.clone();
    for input in [
        Input::Loaded(None),
        IN_TIME,
        pair(true, false),
        Input::Committed(CommitOutcome::Stored),
        Input::TimerFired,
        Input::Woken,
        Input::Revoked,
    ] {
        assert_eq!(flight.machine.step(input), Err(Unexpected));
        assert_eq!(flight.machine, before);
    }
}

#[test]
fn a_refusal_without_a_known_meaning_backs_off_and_ends_after_ten_attempts() {
    let status = |failures, reason: DegradedReason, pause| {
        let found = with(5, |it| it.failures = failures);
        for class in [RotationClass::Stable, SHOP, RotationClass::Strict] {
            let flight = Flight::new(class, Reason::Mandatory)
                .then(loaded(found.clone()))
                .then(granted(found.clone(), false))
                .then(IN_TIME)
                .then(failed(Fault::Malformed, Sent::Answered));
            assert!(flight.last.contains(&Action::Report(Report::Malformed)));
            let status = Some(Status::Degraded(reason));
            let expected = (true, Verdict::Later { status });
            assert_eq!(flight.failure(), expected, "{class:?} after {failures}");
            let flight = flight.then(Input::Recorded(FailOutcome::Applied));
            let expected = NoToken::later(NoTokenReason::RefreshRefused, pause);
            assert_eq!(flight.outcome(), Outcome::NoToken(expected));
        }
    };
    for failures in 0..ATTEMPTS - 1 {
        let pause = Settings::new(SHOP, 500).backoff(failures);
        status(failures, DegradedReason::RefreshFailing, pause);
    }
    for failures in ATTEMPTS - 1..ATTEMPTS + 3 {
        status(failures, DegradedReason::RefreshRefused, DAILY);
    }
}

#[test]
fn an_access_token_of_no_use_is_no_refresh_and_its_pair_is_kept() {
    for seconds in [0, 1, 4] {
        let reason = NoTokenReason::Unusable { seconds };
        let access = NewAccess::Unusable { seconds };
        let kept = Flight::sent(RotationClass::Stable, Reason::Mandatory)
            .then(brought(false, access))
            .then(Input::Recorded(FailOutcome::Applied));
        assert_eq!(kept.outcome(), later(reason, 60));
        let rotated =
            Flight::sent(RotationClass::Strict, Reason::Mandatory).then(brought(true, access));
        assert!(matches!(
            rotated.asked(),
            Action::Commit { retry_after: Some(pause), .. } if *pause == secs(60)
        ));
        let committed = rotated.then(Input::Committed(CommitOutcome::Stored));
        assert_eq!(committed.outcome(), later(reason, 60));
        let away = Flight::sent(RotationClass::Strict, Reason::Mandatory)
            .then(brought(true, access))
            .then(Input::StoreUnavailable);
        let answer = later(NoTokenReason::StoreUnavailable, 5);
        assert_eq!(away.last[0], Action::Answer(answer), "it is not served");
    }
}

#[test]
fn holds_and_resends_follow_the_described_grace() {
    let until_used = |max_seconds| Grace::UntilSuccessorUsed { max_seconds };
    let timed = |seconds| Grace::Time { seconds };
    let cases = [
        (0, None),
        (30, None),
        (59, None),
        (60, Some(55)),
        (62, Some(57)),
        (65, Some(60)),
        (120, Some(60)),
        (3600, Some(60)),
    ];
    for (grace, hold) in cases {
        for class in [timed(grace), until_used(grace)].map(RotationClass::Grace) {
            let Some(hold) = hold else {
                assert_eq!(effective(class), RotationClass::Strict, "{class:?}");
                continue;
            };
            assert_eq!(effective(class), class);
            assert_eq!(Timings::of(class).hold, secs(hold), "{class:?}");
            // Sent again during the grace period. After it, left alone while the access token is
            // valid.
            for (ago, resends) in [
                (0, true),
                (u64::from(grace) - hold, true),
                (u64::from(grace) - hold + 1, false),
            ] {
                let found = Stored {
                    claim: Some(overdue(secs(ago))),
                    ..row(5)
                };
                let flight = Flight::new(class, Reason::Advisory).then(loaded(found.clone()));
                let claims = matches!(flight.asked(), Action::Claim { .. });
                assert_eq!(claims, resends, "{class:?} {ago} s after the hold");
                let refused = Flight::new(class, Reason::Mandatory)
                    .then(loaded(found))
                    .then(granted_over(row(5), Some(overdue(secs(ago)))))
                    .then(IN_TIME)
                    .then(failed(REFUSED, Sent::Answered));
                let reason = if resends {
                    ReauthorizationReason::GrantRevoked
                } else {
                    ReauthorizationReason::LostInFlight
                };
                assert_eq!(refused.failure(), (true, Verdict::GiveUp { reason }));
            }
        }
    }
    println!("{} graces, in both forms", cases.len());
}

#[test]
fn a_grant_that_is_withheld_from_marking_backs_off() {
    let flight = Flight::sent(RotationClass::Strict, Reason::Mandatory)
        .then(failed(Fault::Withheld, Sent::Answered));
    let status = Some(Status::Degraded(DegradedReason::RefreshFailing));
    assert_eq!(flight.failure(), (true, Verdict::Later { status }));
    let flight = flight.then(Input::Recorded(FailOutcome::Applied));
    assert_eq!(flight.outcome(), later(NoTokenReason::Withheld, 60));
}

#[test]
fn no_failure_makes_the_tokens_of_another_account_usable() {
    let found = with(5, |it| {
        let reason = ReauthorizationReason::AccountMismatch;
        it.status = Status::NeedsReauthorization(reason);
        it.failures = ATTEMPTS;
    });
    let failures = [
        failed(BUSY, Sent::No),
        failed(BUSY, Sent::Answered),
        failed(BUSY, Sent::Maybe),
        failed(Fault::Malformed, Sent::Answered),
        failed(Fault::Withheld, Sent::Answered),
        brought(false, NewAccess::Same),
    ];
    for failure in failures {
        let flight = Flight::new(SHOP, Reason::Forced { good: false })
            .then(loaded(found.clone()))
            .then(granted(found.clone(), false))
            .then(IN_TIME)
            .then(failure.clone());
        let left_alone = Verdict::Later { status: None };
        assert_eq!(flight.failure().1, left_alone, "{failure:?}");
    }
}
