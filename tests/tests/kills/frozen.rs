//! Tests of a process that is frozen for longer than its claim is valid, and then continues.

use connector_core::provider::oauth::RotationClass;
use connector_core::store::Stored;

use crate::child::{End, Outcome, Stage, What};
use crate::process::First;
use crate::provider::Gate;
use crate::world::{DUE, GRACE_OF_A_DAY, GRACE_UNTIL_USED, PAST_CLAIM, PAST_EXPIRY, Rest, World};

/// Number of exchanges in flight when the process is frozen. Below the maximum number of concurrent
/// token requests per host.
const AT_ONCE: usize = 25;
/// Low enough not to count as a wave: if more than 20 grants are dead at once, a hub marks none of
/// them.
const FEW: usize = 5;

/// The progress of the exchanges when the process is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// The responses have arrived and are unread.
    Unread,
    /// The first pair is sealed and about to be committed. The other responses are unread.
    InHand,
    /// The claim was granted, and no request was sent.
    Claimed,
    /// The clocks were checked, and no request was sent.
    AboutToSend,
}

/// Results after the frozen process has continued.
#[derive(Debug, Default)]
struct Seen {
    /// Pairs that the process committed after the other process had refreshed. They were kept as
    /// pending.
    kept_as_pending: usize,
    /// Pairs that replaced the newer pair.
    replaced: usize,
    /// Pairs that the process committed without a newer pair in the store.
    in_time: usize,
    /// Exchanges with an unread response whose pair was not committed.
    responses_lost: usize,
    /// Connections that worked afterwards and again an hour later.
    work: usize,
    /// Connections that have ended.
    ended: usize,
    /// Callers of the other process that got an error although a valid token was stored.
    withheld: u64,
    /// Sent refresh tokens whose successor was in the store.
    known_successors: u64,
}

struct Frozen {
    world: World,
    seen: Seen,
}

impl Frozen {
    async fn new(class: RotationClass) -> Self {
        let mut world = World::new(class).await;
        world.start("b", End::Never).await;
        Self {
            world,
            seen: Seen::default(),
        }
    }

    /// Freezes a process with this number of exchanges, lets its claims expire, and resumes it.
    /// `due` means that the access tokens remain valid during this time.
    async fn once(&mut self, at: Where, exchanges: usize, due: bool, first: First) {
        let world = &mut self.world;
        let mut connections = Vec::new();
        for _ in 0..exchanges {
            connections.push(world.connect().await);
        }
        let end = match at {
            Where::Unread => End::Never,
            Where::InHand => End::Stop(Stage::AboutToCommit),
            Where::Claimed => End::Stop(Stage::Claimed),
            Where::AboutToSend => End::Stop(Stage::AboutToSend),
        };
        world.start("a", end).await;
        world.advance(if due { DUE } else { PAST_EXPIRY }).await;
        let answered = matches!(at, Where::Unread | Where::InHand);
        if answered {
            world.provider.set_gate(Gate::BeforeAnswering);
        }
        for connection in &connections {
            let what = if due {
                What::Refresh(*connection)
            } else {
                What::Use(*connection)
            };
            world.send("a", what).await;
        }
        world.quiesce().await;
        if at == Where::Unread {
            world.process("a").halt();
            world.quiesce().await;
        }
        // The responses are on their way. For `in hand`, the first processed response stops the
        // process.
        world.provider.set_gate(Gate::Open);
        world.quiesce().await;
        world.process("a").freeze();
        world.advance(PAST_CLAIM).await;

        let mut before = Vec::new();
        for connection in &connections {
            if due {
                let served = world.ask("b", What::Fetch(*connection)).await;
                assert!(matches!(served, Some(Outcome::Token { .. })), "{served:?}");
            } else {
                world.ask("b", What::Use(*connection)).await;
            }
            before.push(world.keeper.row(*connection).await);
        }
        world.thaw("a", first).await;

        for (connection, before) in connections.iter().zip(before) {
            let after = world.keeper.row(*connection).await;
            let [was, is] = [&before, &after].map(|row| row.connection.generation);
            let fence = |row: &Stored| row.current.as_ref().unwrap().fence;
            let replaced = is < was || is == was && fence(&before) != fence(&after);
            self.seen.replaced += usize::from(replaced);
            self.seen.in_time += usize::from(is > was);
            self.seen.kept_as_pending += after.pending.len();
            let lost = answered && is == was && after.pending.is_empty();
            self.seen.responses_lost += usize::from(lost);
        }
        for connection in &connections {
            world.rest("b", *connection).await;
        }
        world.advance(PAST_EXPIRY).await;
        for connection in connections {
            match world.rest("b", connection).await {
                Rest::Works => self.seen.work += 1,
                Rest::Ended => self.seen.ended += 1,
                other => panic!("connection {connection}: {other:?}"),
            }
            world.forget(connection).await;
        }
        world.retire("a").await;
        let counts = world.counts();
        self.seen.withheld = counts.withheld;
        self.seen.known_successors = counts.known_successors;
    }
}

/// Freezes a process repeatedly, each time with this number of exchanges.
async fn frozen(
    class: RotationClass,
    (at, exchanges): (Where, usize),
    due: bool,
    first: First,
    times: usize,
) -> Seen {
    let mut frozen = Frozen::new(class).await;
    for _ in 0..times {
        frozen.once(at, exchanges, due, first).await;
    }
    let seen = frozen.seen;
    let token = if due { "good" } else { "expired" };
    println!(
        "{class:?}, frozen {times} times with {exchanges} exchanges {at:?}, access tokens {token}, \
         {first:?} first: {seen:?}"
    );
    assert_eq!((seen.replaced, seen.withheld), (0, 0));
    assert_eq!(seen.work + seen.ended, times * exchanges);
    seen
}

const ORDERS: [First; 2] = [First::Answers, First::Time];

/// Number of times that a test freezes a process.
fn times(short: usize, full: usize) -> usize {
    if crate::full() { full } else { short }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_frozen_process_holds_is_kept_beside_the_newer_pair() {
    if crate::is_skipped() {
        return;
    }
    let times = times(1, 6);
    let mut kept = 0;
    for class in [GRACE_UNTIL_USED, GRACE_OF_A_DAY] {
        for at in [Where::Unread, Where::InHand] {
            for first in ORDERS {
                let seen = frozen(class, (at, AT_ONCE), false, first, times).await;
                assert_eq!(seen.kept_as_pending, times * AT_ONCE);
                let bad = (seen.responses_lost, seen.ended, seen.known_successors);
                assert_eq!(bad, (0, 0, 0));
                kept += seen.kept_as_pending;
            }
        }
    }
    println!("stale writes: {kept}, all kept as pending, 0 in the place of a newer generation");
    assert_eq!(kept, 8 * times * AT_ONCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_response_that_a_frozen_process_holds_counts_while_nobody_needs_the_token() {
    if crate::is_skipped() {
        return;
    }
    let times = times(1, 5);
    for at in [Where::Unread, Where::InHand] {
        for first in ORDERS {
            let seen = frozen(RotationClass::Strict, (at, AT_ONCE), true, first, times).await;
            assert_eq!(
                (seen.in_time, seen.work),
                (times * AT_ONCE, times * AT_ONCE)
            );
            assert_eq!((seen.responses_lost, seen.known_successors), (0, 0));
        }
    }
}

/// The one loss that no client can avoid: a token is needed, and only a frozen process has the new
/// pair.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frozen_process_without_grace_costs_what_it_holds_and_nothing_else() {
    if crate::is_skipped() {
        return;
    }
    let times = times(1, 20);
    let mut lost = 0;
    for at in [Where::Unread, Where::InHand] {
        for first in ORDERS {
            let seen = frozen(RotationClass::Strict, (at, FEW), false, first, times).await;
            assert_eq!(seen.known_successors, 0);
            lost += seen.ended;
        }
    }
    println!("grants lost with what a frozen process held: {lost}");
    assert!(lost > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_was_frozen_with_its_claim_sends_nothing() {
    if crate::is_skipped() {
        return;
    }
    let times = times(3, 100);
    for class in [GRACE_UNTIL_USED, GRACE_OF_A_DAY, RotationClass::Strict] {
        for due in [false, true] {
            let at = (Where::Claimed, 1);
            let seen = frozen(class, at, due, First::Answers, times).await;
            assert_eq!((seen.work, seen.known_successors), (times, 0));
        }
    }
}

/// The machine has checked the clocks before; the transport checks them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_was_frozen_about_to_send_sends_nothing() {
    if crate::is_skipped() {
        return;
    }
    let times = times(3, 100);
    for class in [GRACE_UNTIL_USED, GRACE_OF_A_DAY, RotationClass::Strict] {
        for due in [false, true] {
            let at = (Where::AboutToSend, 1);
            let seen = frozen(class, at, due, First::Answers, times).await;
            assert_eq!((seen.work, seen.known_successors), (times, 0));
        }
    }
}
