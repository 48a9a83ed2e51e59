//! Counts the equal and the different decisions of the library and the connector.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// An intended difference between the library and the connector.
pub(crate) trait Difference: Debug + Copy + Ord + 'static {
    /// All intended differences. A test must meet each one.
    const ALL: &'static [Self];

    /// True if the library accepts and the connector refuses.
    fn sdk_accepts(self) -> bool;

    /// The reason for the difference.
    fn why(self) -> &'static str;
}

/// Counts of the decisions of the library and the connector on the same input.
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

    /// Counts two decisions. They may differ only as `difference` allows.
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

    /// Prints the counts, and fails if a required count is 0.
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
