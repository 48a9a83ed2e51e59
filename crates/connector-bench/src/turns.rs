//! Taking turns: what is compared runs alternately in one process, so that the noise of a shared
//! machine meets everything alike.

use std::time::Duration;

use connector_core::clock::{Clock as _, SystemClock};

/// What is measured.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    run: Run<'a>,
}

enum Run<'a> {
    /// One call is one operation.
    Here(Box<dyn FnMut() + 'a>),
    /// One call is as many operations as it is told, and returns what they took.
    Elsewhere(Box<dyn FnMut(u32) -> Duration + 'a>),
}

impl<'a> Contestant<'a> {
    /// One call of `run` is one operation.
    pub(crate) fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self {
            name,
            run: Run::Here(Box::new(run)),
        }
    }

    /// What another process does: one call of `run` lets it do as many operations as it is told, and
    /// returns what they took by that process's clock.
    pub(crate) fn elsewhere(name: &'static str, run: impl FnMut(u32) -> Duration + 'a) -> Self {
        Self {
            name,
            run: Run::Elsewhere(Box::new(run)),
        }
    }
}

/// Nanoseconds per operation, one figure per turn.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// Turn by turn, the sum of `parts`.
    pub(crate) fn sum(parts: &[&Self]) -> Self {
        let turns = parts.iter().map(|part| part.0.len()).min().unwrap_or(0);
        Self(
            (0..turns)
                .map(|turn| parts.iter().map(|part| part.0[turn]).sum())
                .collect(),
        )
    }

    /// Turn by turn, how many times `other` this is.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(own, other)| own / other).collect())
    }

    /// Every figure times `factor`.
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

    /// Minimum, median and maximum as cells of a markdown table.
    pub(crate) fn cells(&self) -> String {
        format!(
            "{:.0} | {:.0} | {:.0}",
            self.min(),
            self.median(),
            self.max()
        )
    }
}

/// Lets every contestant run `operations` times in each of `turns` turns, after one turn that does
/// not count.
pub(crate) fn take_turns(
    contestants: &mut [Contestant<'_>],
    turns: u32,
    operations: u32,
) -> Vec<Figures> {
    let clock = SystemClock::new();
    let mut figures: Vec<Figures> = contestants.iter().map(|_| Figures(Vec::new())).collect();
    for turn in 0..=turns {
        for (contestant, figures) in contestants.iter_mut().zip(&mut figures) {
            let taken = match &mut contestant.run {
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
