//! A caller that makes random calls, like an engine with many simultaneous failures.

use super::{Held, Operation, Outcome, View};

/// Selects calls on one connection from earlier outcomes. The same seed and the same outcomes give
/// the same calls.
#[derive(Debug)]
pub struct Actor {
    random: u64,
    /// Start of the number range for this actor's claims and pairs. No other actor uses the range.
    next: u64,
    seen: Option<View>,
    mine: Option<Mine>,
    last: Option<Operation>,
}

/// A claim that was granted to this actor.
#[derive(Debug, Clone)]
struct Mine {
    claim: u64,
    grant: u64,
    base: u64,
    fence: u64,
    exchange: bool,
    stands: bool,
    /// The pending pair to use instead of the result of an exchange.
    pending: Option<Held>,
    /// True if the claim can no longer return a credential and must only be resolved.
    over: bool,
}

impl Actor {
    /// Creates the actor `number` of a run. The actors of a connection must have different numbers.
    #[must_use]
    pub const fn new(seed: u64, number: u32) -> Self {
        // The multiplication gives actors with adjacent numbers different random sequences.
        let random = seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            random,
            next: (number as u64) << 32,
            seen: None,
            mine: None,
            last: None,
        }
    }

    /// Returns a random number below `count`, uniformly distributed (splitmix64).
    fn one_of(&mut self, count: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }

    fn new_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Returns the next call.
    pub fn next_call(&mut self) -> Operation {
        let operation = self.choose();
        self.last = Some(operation.clone());
        operation
    }

    fn choose(&mut self) -> Operation {
        let chance = self.one_of(100);
        // A call whose outcome was lost is repeated unchanged.
        if chance < 6
            && let Some(last) = self.last.clone().filter(may_be_repeated)
        {
            return last;
        }
        let Some(seen) = self.seen.clone() else {
            return if chance < 50 {
                Operation::Put {
                    at: None,
                    grant: 1,
                    generation: 1,
                    fence: 1,
                    pair: self.new_number(),
                }
            } else {
                Operation::Load
            };
        };
        if let Some(mine) = self.mine.clone() {
            return self.go_on(&mine);
        }
        match chance {
            0..14 => Operation::Load,
            14..22 => Operation::Update {
                at: seen.version,
                degraded: self.one_of(2) == 0,
            },
            22..26 => Operation::End {
                at: (self.one_of(2) == 0).then_some(seen.generation),
            },
            _ => Operation::Claim {
                claim: self.new_number(),
                grant: seen.grant,
                seen: seen.generation,
                exchange: seen.status == "disconnected" || self.one_of(8) == 0,
                stands: self.one_of(2) == 0,
            },
        }
    }

    /// Returns the next call for the holder of a claim.
    fn go_on(&mut self, mine: &Mine) -> Operation {
        match (self.one_of(10), mine.exchange) {
            (0, _) => Operation::Load,
            (chance, _) if mine.over || chance < 3 => Operation::Fail {
                claim: mine.claim,
                grant: mine.grant,
                base: mine.base,
                fence: mine.fence,
                resolves: mine.over || self.one_of(3) > 0,
                gives_up: self.one_of(2) == 0,
            },
            (_, true) => Operation::Put {
                at: Some(mine.base),
                grant: mine.grant + 1,
                generation: mine.base + 1,
                fence: mine.fence,
                pair: self.new_number(),
            },
            (_, false) => Operation::Commit {
                claim: mine.claim,
                grant: mine.grant,
                base: mine.base,
                fence: mine.fence,
                pair: match &mine.pending {
                    Some(pending) => pending.pair,
                    None => self.new_number(),
                },
                takes_pending: mine.pending.as_ref().map(|pending| pending.fence),
            },
        }
    }

    /// Records the outcome of a call. Do not record calls without a known outcome. The actor
    /// repeats such calls from time to time.
    pub fn learn(&mut self, operation: &Operation, outcome: &Outcome) {
        if let Outcome::Granted { fence, view, .. } = outcome
            && let Operation::Claim {
                claim,
                grant,
                seen,
                exchange,
                stands,
            } = *operation
        {
            let pending = view.pending.first().cloned();
            self.mine = Some(Mine {
                claim,
                grant,
                base: seen,
                fence: *fence,
                exchange,
                stands,
                pending: pending.filter(|_| self.one_of(2) == 0),
                over: false,
            });
        } else if let Some(mine) = &mut self.mine {
            // An active claim must be resolved: other actors could not continue for a day.
            let resolved = match (operation, outcome) {
                (Operation::Load | Operation::Claim { .. }, _) => {
                    return self.look(operation, outcome);
                }
                (Operation::Fail { resolves, .. }, _) => *resolves,
                (Operation::Commit { takes_pending, .. }, Outcome::Pending) => {
                    takes_pending.is_none()
                }
                (_, Outcome::Moved(_)) => false,
                _ => true,
            };
            mine.over = !resolved;
            if resolved || !mine.stands {
                self.mine = None;
            }
        }
        self.look(operation, outcome);
    }

    /// Records the state of the connection that an outcome contains.
    fn look(&mut self, operation: &Operation, outcome: &Outcome) {
        match outcome {
            Outcome::Loaded(seen) => self.seen.clone_from(seen),
            Outcome::Granted { view, .. } | Outcome::Moved(view) | Outcome::PendingLeft(view) => {
                self.seen = Some(view.clone());
            }
            Outcome::Updated(version) => {
                if let Some(seen) = &mut self.seen {
                    seen.version = *version;
                }
            }
            // Other changes are read before the next call, or the next call uses the old state.
            Outcome::Stored if self.one_of(2) == 0 => {
                if let (Operation::Commit { base, .. }, Some(seen)) = (operation, &mut self.seen) {
                    seen.generation = base + 1;
                }
            }
            Outcome::Missing => self.seen = None,
            _ => (),
        }
    }
}

/// Returns true for calls for which the contract defines the effect of a repetition.
fn may_be_repeated(operation: &Operation) -> bool {
    match operation {
        Operation::Claim { stands, .. } => *stands,
        Operation::Commit { takes_pending, .. } => takes_pending.is_none(),
        Operation::Put { .. } | Operation::Fail { .. } | Operation::End { .. } => true,
        Operation::Load | Operation::Update { .. } => false,
    }
}
