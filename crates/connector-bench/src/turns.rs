//! Alternating runs: compared programs take turns in one process, so that noise of a shared machine
//! affects all of them equally.

use std::time::Duration;

use connector_core::clock::{Clock as _, SystemClock};

/// A measured program.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'static str,
    run: Run<'a>,
}

enum Run<'a> {
    /// One call is one operation.
    Here(Box<dyn FnMut() + 'a>),
    /// One call runs the given number of operations, and returns their duration.
    Elsewhere(Box<dyn FnMut(u32) -> Duration + 'a>),
}

impl<'a> Candidate<'a> {
    /// Creates a candidate for which one call of `run` is one operation.
    pub(crate) fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self {
            name,
            run: Run::Here(Box::new(run)),
        }
    }

    /// Creates a candidate in another process. One call of `run` executes the given number of
    /// operations, and returns their duration by the clock of that process.
    pub(crate) fn elsewhere(name: &'static str, run: impl FnMut(u32) -> Duration + 'a) -> Self {
        Self {
            name,
            run: Run::Elsewhere(Box::new(run)),
        }
    }
}

/// Nanoseconds per operation, one value per turn.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// Returns the sum of `parts` for each turn.
    pub(crate) fn sum(parts: &[&Self]) -> Self {
        let turns = parts.iter().map(|part| part.0.len()).min().unwrap_or(0);
        Self(
            (0..turns)
                .map(|turn| parts.iter().map(|part| part.0[turn]).sum())
                .collect(),
        )
    }

    /// Returns `self / other` for each turn.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(own, other)| own / other).collect())
    }

    /// Returns all values multiplied by `factor`.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|figure| figure * factor).collect())
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns the minimum, median and maximum as cells of a Markdown table.
    pub(crate) fn cells(&self) -> String {
        format!(
            "{:.0} | {:.0} | {:.0}",
            self.min(),
            self.median(),
            self.max()
        )
    }
}

/// Runs every candidate `operations` times in each of `turns` turns, after one warm-up turn.
pub(crate) fn take_turns(
    candidates: &mut [Candidate<'_>],
    turns: u32,
    operations: u32,
) -> Vec<Figures> {
    let clock = SystemClock::new();
    let mut figures: Vec<Figures> = candidates.iter().map(|_| Figures(Vec::new())).collect();
    for turn in 0..=turns {
        for (candidate, figures) in candidates.iter_mut().zip(&mut figures) {
            let taken = match &mut candidate.run {
                Run::Here(run) => {
                    let start = clock.monotonic();
                    for _ in 0..operations {
                        run();
                    }
                    clock.monotonic().since(start)
                }
                Run::Elsewhere(run) => run(operations),
            };
            if turn > 0 {
                figures
                    .0
                    .push(taken.as_secs_f64() * 1e9 / f64::from(operations));
            }
        }
    }
    figures
}
