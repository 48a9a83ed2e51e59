//! A breadth-first search. States are identified by a hash of 128 bits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Two independent 64-bit hashes, so that no two states of a run have the same hash.
#[derive(Clone, Copy)]
struct Wide(u64, u64);

impl Default for Wide {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for Wide {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = fold(self.0 ^ n, 0xa076_1d64_78bd_642f) ^ self.0.rotate_left(23);
        self.1 = fold(self.1 ^ n, 0xe703_7ed1_a0b4_28db) ^ self.1.rotate_left(41);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn finish(&self) -> u64 {
        fold(self.0, 0x8ebc_6af0_9c88_c6e3) ^ self.1
    }
}

fn digest<T: Hash>(state: &T) -> u128 {
    let mut hasher = Wide::default();
    state.hash(&mut hasher);
    u128::from(hasher.0) << 64 | u128::from(hasher.1)
}

/// The hasher of the table, whose keys are hashes already.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, _: &[u8]) {}
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn write_u128(&mut self, n: u128) {
        self.0 = n as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A result that must not be reachable, or that must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Finding {
    /// The grant was lost although a working token was stored, pending, held by a live process, or
    /// about to reach one.
    Avoidable,
    /// The grant was lost, and no live process could have known a working token.
    Unavoidable,
    /// A token was sent although its successor was stored, at a provider that ends the grant for
    /// this.
    KnownReuse,
    /// No possible event ends the flights.
    Stuck,
    /// A pair was used before it was stored, which ended the grace period of the old one, and was
    /// then lost.
    ServedThenCrashed,
    /// A connection was given up while its owner was authorizing it again.
    Flap,
    /// A flight ended with a new pair that is neither stored nor queued for revocation.
    Dropped,
    /// A connection was found dead for a wrong reason.
    ToldWrong,
}

/// One possible step.
pub(crate) struct Step<S, L> {
    pub label: L,
    pub to: S,
    pub finding: Option<Finding>,
    /// False for events that are not guaranteed to happen, such as a crash.
    pub progress: bool,
}

/// The space to search.
pub(crate) trait Space {
    type State: Clone + Hash;
    type Label: Copy + std::fmt::Display;
    fn first(&self) -> Self::State;
    fn steps(&self, state: &Self::State, out: &mut Vec<Step<Self::State, Self::Label>>);
    /// Returns true if no process has any work left.
    fn is_quiet(&self, state: &Self::State) -> bool;
}

/// The result of a search.
pub(crate) struct Report {
    pub states: usize,
    pub found: BTreeMap<Finding, String>,
}

/// Returns the path from the first state to a state.
fn path<S: Space>(parents: &[Option<(u32, S::Label)>], mut at: usize) -> String {
    let mut labels = Vec::new();
    while let Some((parent, label)) = parents[at] {
        labels.push(label.to_string());
        at = parent as usize;
    }
    labels.reverse();
    labels.join(" | ")
}

/// Visits every reachable state. Panics above `limit` states, so that no limit is exceeded
/// unnoticed.
pub(crate) fn search<S: Space>(space: &S, limit: usize) -> Report {
    connector_testkit::trace::init();
    let mut index: HashMap<u128, u32, BuildHasherDefault<Taken>> = HashMap::default();
    let mut parents: Vec<Option<(u32, S::Label)>> = vec![None];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut quiet: Vec<bool> = Vec::new();
    let mut queue = VecDeque::new();
    let mut found = BTreeMap::new();
    let first = space.first();
    index.insert(digest(&first), 0);
    quiet.push(space.is_quiet(&first));
    queue.push_back((0_u32, first));
    let mut steps = Vec::new();
    while let Some((at, state)) = queue.pop_front() {
        steps.clear();
        space.steps(&state, &mut steps);
        for step in steps.drain(..) {
            if let Some(finding) = step.finding {
                found.entry(finding).or_insert_with(|| {
                    let way = path::<S>(&parents, at as usize);
                    format!("{way} | {}", step.label)
                });
            }
            let next = u32::try_from(parents.len()).expect("fewer than 2^32 states");
            let to = *index.entry(digest(&step.to)).or_insert(next);
            if to == next {
                assert!(parents.len() < limit, "more than {limit} states");
                parents.push(Some((at, step.label)));
                quiet.push(space.is_quiet(&step.to));
                queue.push_back((to, step.to));
            }
            if step.progress && to != at {
                edges.push((to, at));
            }
        }
    }
    if let Some(at) = endless(&quiet, &mut edges) {
        found.insert(Finding::Stuck, path::<S>(&parents, at));
    }
    Report {
        states: parents.len(),
        found,
    }
}

/// Returns the first state from which no quiet state can be reached. `edges` point backwards.
fn endless(quiet: &[bool], edges: &mut [(u32, u32)]) -> Option<usize> {
    edges.sort_unstable();
    let mut ends: Vec<bool> = quiet.to_vec();
    let mut stack: Vec<u32> = (0_u32..)
        .zip(quiet)
        .filter_map(|(at, quiet)| quiet.then_some(at))
        .collect();
    while let Some(at) = stack.pop() {
        let from = edges.partition_point(|edge| edge.0 < at);
        for &(_, before) in edges[from..].iter().take_while(|edge| edge.0 == at) {
            if !std::mem::replace(&mut ends[before as usize], true) {
                stack.push(before);
            }
        }
    }
    ends.iter().position(|ends| !ends)
}
