//! A caller that chooses its calls at random, as an engine with much bad luck would.

use super::{Held, Operation, Outcome, View};

/// Chooses calls on one connection by what it saw of it. The same seed and the same outcomes give
/// the same calls.
#[derive(Debug)]
pub struct Actor {
    random: u64,
    /// Names and pairs of this actor start here, so that nobody else uses them.
    next: u64,
    seen: Option<View>,
    mine: Option<Mine>,
    last: Option<Operation>,
}

/// A claim that this actor was granted.
#[derive(Debug, Clone)]
struct Mine {
    claim: u64,
    grant: u64,
    base: u64,
    fence: u64,
    exchange: bool,
    stands: bool,
    /// The pair to take instead of an exchange's result.
    pending: Option<Held>,
    /// True once the claim can bring nothing any more and is only to be resolved.
    over: bool,
}

impl Actor {
    /// The actor `number` of a run; no two actors of a connection share a number.
    #[must_use]
    pub const fn new(seed: u64, number: u32) -> Self {
        // Spread, so that neighbouring actors do not choose alike.
        let random = seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            random,
            next: (number as u64) << 32,
            seen: None,
            mine: None,
            last: None,
        }
    }

    /// One of `count` equally likely numbers, from zero on (splitmix64).
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

    /// The next call.
    pub fn next_call(&mut self) -> Operation {
        let operation = self.choose();
        self.last = Some(operation.clone());
        operation
    }

    fn choose(&mut self) -> Operation {
        let chance = self.one_of(100);
        // A call whose outcome got lost is repeated as it was.
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

    /// What the holder of a claim does next.
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

    /// Takes note of what a call returned. A call without a known outcome is not noted; it is
    /// repeated now and then.
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
            // A claim that stands is not left behind: nobody else could go on for a day.
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

    /// Takes note of what an outcome shows of the connection.
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
            // What else changed is read before the next choice, or tried with what was seen.
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

/// Calls that say what repeating them does.
fn may_be_repeated(operation: &Operation) -> bool {
    match operation {
        Operation::Claim { stands, .. } => *stands,
        Operation::Commit { takes_pending, .. } => takes_pending.is_none(),
        Operation::Put { .. } | Operation::Fail { .. } | Operation::End { .. } => true,
        Operation::Load | Operation::Update { .. } => false,
    }
}
