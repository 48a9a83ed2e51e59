//! Counting where two judges agree.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// A way in which the library and the connector differ on purpose.
pub(crate) trait Difference: Debug + Copy + Ord + 'static {
    /// All of them, each of which a test has to meet.
    const ALL: &'static [Self];

    /// Whether it is the library that accepts.
    fn sdk_accepts(self) -> bool;

    /// Why it is right to differ.
    fn why(self) -> &'static str;
}

/// What the library and the connector decided about the same input.
pub(crate) struct Comparison<D> {
    accepted: usize,
    refused: usize,
    differing: BTreeMap<D, usize>,
}

impl<D: Difference> Comparison<D> {
    pub(crate) fn new() -> Self {
        Self {
            accepted: 0,
            refused: 0,
            differing: BTreeMap::new(),
        }
    }

    /// Counts two decisions. They may differ in the way that `difference` says, and in no other.
    pub(crate) fn record(
        &mut self,
        sdk: bool,
        ours: bool,
        difference: Option<D>,
        input: &impl Debug,
    ) {
        match (sdk, ours) {
            (true, true) => self.accepted += 1,
            (false, false) => self.refused += 1,
            _ => match difference {
                Some(difference) if difference.sdk_accepts() == sdk => {
                    *self.differing.entry(difference).or_default() += 1;
                }
                _ => panic!("the library says {sdk}, we say {ours}, not {difference:?}: {input:?}"),
            },
        }
    }

    /// Prints the counts and fails if one that must be there is 0.
    pub(crate) fn finish(self, what: &str) {
        println!(
            "{what} that both accept: {}, that both refuse: {}",
            self.accepted, self.refused
        );
        assert!(self.accepted > 0 && self.refused > 0);
        for difference in D::ALL {
            let count = self.differing.get(difference).copied().unwrap_or_default();
            let who = if difference.sdk_accepts() {
                "the library"
            } else {
                "we"
            };
            println!(
                "{what} that only {who} accept: {count}: {difference:?}: {}",
                difference.why()
            );
            assert!(count > 0, "{difference:?} was not met");
        }
    }
}
