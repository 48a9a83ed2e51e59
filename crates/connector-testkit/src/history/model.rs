//! A sequential in-memory model of the store contract for one connection.

use std::collections::VecDeque;

use super::{Held, Operation, Outcome, Standing, View};

/// Minimum number of commit results that a store must keep.
const REMEMBERED: usize = 8;

/// The model of one connection, which may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Model(Option<Row>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    /// All visible fields. The version in the view is always zero.
    view: View,
    version: Known,
    /// The number of the grant's first credential.
    first: u64,
    /// The fence of the claim that the active claim superseded.
    superseded: Option<u64>,
    results: VecDeque<(u64, Outcome)>,
}

/// The known facts about a record's version. The contract requires that the version increases with
/// every write. The contract defines only for updates which calls count as a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Exactly(u64),
    AtLeast(u64),
}

impl Known {
    const fn floor(self) -> u64 {
        match self {
            Self::Exactly(version) | Self::AtLeast(version) => version,
        }
    }

    fn allows(self, version: u64) -> bool {
        match self {
            Self::Exactly(known) => version == known,
            Self::AtLeast(floor) => version >= floor,
        }
    }
}

impl Model {
    /// Returns the models that are possible after `operation` with the outcome `seen`, or none if
    /// the outcome is impossible. If there is no outcome, the result contains the models for all
    /// possible outcomes.
    pub(super) fn after(&self, operation: &Operation, seen: Option<&Outcome>) -> Vec<Self> {
        self.possible(operation)
            .into_iter()
            .filter_map(|(expected, mut model)| match seen {
                None => Some(model),
                Some(seen) => model.agrees(&expected, seen).then_some(model),
            })
            .collect()
    }

    /// Compares the expected outcome with the actual outcome, and reads the version from the actual
    /// outcome.
    fn agrees(&mut self, expected: &Outcome, seen: &Outcome) -> bool {
        let mut seen = seen.clone();
        let version = match &mut seen {
            Outcome::Loaded(Some(view))
            | Outcome::Granted { view, .. }
            | Outcome::Moved(view)
            | Outcome::PendingLeft(view) => std::mem::take(&mut view.version),
            Outcome::Updated(version) => std::mem::take(version),
            _ => return *expected == seen,
        };
        match &mut self.0 {
            Some(row) if row.version.allows(version) => {
                row.version = Known::Exactly(version);
                *expected == seen
            }
            _ => false,
        }
    }

    /// Returns every outcome that is possible now, each with the model after it.
    fn possible(&self, operation: &Operation) -> Vec<(Outcome, Self)> {
        let Some(row) = &self.0 else {
            return vec![Self::without_a_row(operation)];
        };
        let unchanged = |outcome| vec![(outcome, self.clone())];
        let moved = || unchanged(Outcome::Moved(row.view.clone()));
        match *operation {
            Operation::Load => unchanged(Outcome::Loaded(Some(row.view.clone()))),
            Operation::Claim { .. } => row.claims(operation),
            Operation::Commit { .. } => row.commits(operation),
            Operation::Fail { .. } => row.fails(operation),
            Operation::Put {
                at,
                grant,
                generation,
                fence,
                pair,
            } => {
                if at == Some(row.view.generation) {
                    vec![row.changed(Outcome::Stored, |row| {
                        row.begin_grant(grant, generation, fence, pair);
                    })]
                } else if row.first == pair
                    && row.view.grant == grant
                    && row.view.generation == generation
                {
                    unchanged(Outcome::Stored)
                } else {
                    moved()
                }
            }
            Operation::Update { at, degraded } => {
                let mut possible = Vec::new();
                if row.is_live() && row.version.allows(at) {
                    possible.push(row.changed(Outcome::Updated(0), |row| {
                        row.version = Known::AtLeast(at);
                        let status = if degraded { "degraded" } else { "connected" };
                        status.clone_into(&mut row.view.status);
                    }));
                }
                if !row.is_live() || row.version != Known::Exactly(at) {
                    possible.extend(moved());
                }
                possible
            }
            Operation::End { at } => {
                if !row.is_live() {
                    unchanged(Outcome::AlreadyEnded)
                } else if at.is_some_and(|at| at != row.view.generation) {
                    moved()
                } else {
                    vec![row.changed(Outcome::Ended, Row::end)]
                }
            }
        }
    }

    fn without_a_row(operation: &Operation) -> (Outcome, Self) {
        let outcome = match *operation {
            Operation::Load => Outcome::Loaded(None),
            Operation::Claim { .. } | Operation::Commit { .. } | Operation::Fail { .. } => {
                Outcome::Ended
            }
            Operation::Put {
                at: None,
                grant,
                generation,
                fence,
                pair,
            } => {
                let mut row = Row::empty();
                row.view.fence = fence;
                row.begin_grant(grant, generation, fence, pair);
                return (Outcome::Stored, Self(Some(row)));
            }
            Operation::Put { .. } | Operation::Update { .. } | Operation::End { .. } => {
                Outcome::Missing
            }
        };
        (outcome, Self(None))
    }
}

impl Row {
    fn empty() -> Self {
        Self {
            view: View {
                grant: 0,
                generation: 0,
                fence: 0,
                version: 0,
                status: String::new(),
                current: None,
                previous: None,
                pending: Vec::new(),
                claim: None,
            },
            version: Known::AtLeast(0),
            first: 0,
            superseded: None,
            results: VecDeque::new(),
        }
    }

    fn is_live(&self) -> bool {
        self.view.status != "disconnected"
    }

    /// Applies a write that increases the version.
    fn changed(&self, outcome: Outcome, change: impl FnOnce(&mut Self)) -> (Outcome, Model) {
        let mut row = self.clone();
        change(&mut row);
        row.version = Known::AtLeast(row.version.floor().saturating_add(1));
        (outcome, Model(Some(row)))
    }

    /// Applies a write that may increase the version.
    fn touched(&self, outcome: Outcome, change: impl FnOnce(&mut Self)) -> (Outcome, Model) {
        let mut row = self.clone();
        change(&mut row);
        row.version = Known::AtLeast(row.version.floor());
        (outcome, Model(Some(row)))
    }

    fn begin_grant(&mut self, grant: u64, generation: u64, fence: u64, pair: u64) {
        self.end_grant();
        self.first = pair;
        self.view.grant = grant;
        self.view.generation = generation;
        "connected".clone_into(&mut self.view.status);
        self.view.current = Some(Held {
            pair,
            grant,
            generation,
            fence,
        });
    }

    fn end(&mut self) {
        self.end_grant();
        self.view.grant += 1;
        self.view.generation += 1;
        "disconnected".clone_into(&mut self.view.status);
    }

    fn end_grant(&mut self) {
        self.view.current = None;
        self.view.previous = None;
        self.view.pending.clear();
        self.view.claim = None;
        self.superseded = None;
    }

    fn resolve(&mut self, fence: u64) {
        if self.view.claim.as_ref().is_some_and(|it| it.fence == fence) {
            self.view.claim = None;
            self.superseded = None;
        }
    }

    fn claims(&self, operation: &Operation) -> Vec<(Outcome, Model)> {
        let Operation::Claim {
            claim,
            grant,
            seen,
            exchange,
            stands,
        } = *operation
        else {
            return Vec::new();
        };
        let same = |outcome| (outcome, Model(Some(self.clone())));
        if !self.is_live() && !exchange {
            return vec![same(Outcome::Ended)];
        }
        let mut possible = Vec::new();
        let moved = (grant, seen) != (self.view.grant, self.view.generation);
        if moved {
            possible.push(same(Outcome::Moved(self.view.clone())));
        }
        match &self.view.claim {
            // A repetition of the claim. The contract does not define whether it returns `Moved`
            // first.
            Some(standing) if standing.claim == claim => possible.push(same(Outcome::Granted {
                fence: standing.fence,
                superseded: self.superseded,
                view: self.view.clone(),
            })),
            _ if moved => (),
            Some(standing) if standing.stands => possible.push(same(Outcome::Held(standing.fence))),
            unresolved => {
                let superseded = unresolved.as_ref().map(|it| it.fence);
                let fence = self.view.fence + 1;
                let (_, after) = self.touched(Outcome::Applied, |row| {
                    row.view.fence = fence;
                    row.superseded = superseded;
                    row.view.claim = Some(Standing {
                        claim,
                        grant,
                        generation: seen,
                        fence,
                        exchange,
                        stands,
                    });
                });
                let view = after.0.iter().map(|row| row.view.clone()).next();
                possible.extend(view.map(|view| {
                    let granted = Outcome::Granted {
                        fence,
                        superseded,
                        view,
                    };
                    (granted, after)
                }));
            }
        }
        possible
    }

    fn commits(&self, operation: &Operation) -> Vec<(Outcome, Model)> {
        let Operation::Commit {
            claim,
            grant,
            base,
            fence,
            pair,
            takes_pending,
        } = *operation
        else {
            return Vec::new();
        };
        let same = |outcome| vec![(outcome, Model(Some(self.clone())))];
        if let Some((_, first)) = self.results.iter().find(|(of, _)| *of == claim) {
            return same(first.clone());
        }
        if !self.is_live() || grant != self.view.grant {
            return same(Outcome::Ended);
        }
        let moved = base != self.view.generation;
        let mut held = Held {
            pair,
            grant,
            generation: base,
            fence,
        };
        if let Some(taken) = takes_pending {
            let Some(found) = self.view.pending.iter().find(|it| it.fence == taken) else {
                return same(Outcome::Pending);
            };
            if moved {
                // The pair stays pending. The contract does not define whether that resolves the
                // claim.
                let resolved = self.touched(Outcome::Pending, |row| row.resolve(fence));
                let mut possible = same(Outcome::Pending);
                possible.push(resolved);
                return possible;
            }
            held = found.clone();
        }
        let remember = |row: &mut Self, outcome: Outcome| {
            row.resolve(fence);
            if row.results.len() == REMEMBERED {
                row.results.pop_front();
            }
            row.results.push_back((claim, outcome));
        };
        if moved {
            return vec![self.touched(Outcome::Pending, |row| {
                remember(row, Outcome::Pending);
                let place = row.view.pending.iter().position(|it| it.fence <= fence);
                let place = place.unwrap_or(row.view.pending.len());
                if row
                    .view
                    .pending
                    .get(place)
                    .is_none_or(|it| it.fence != fence)
                {
                    row.view.pending.insert(place, held);
                }
            })];
        }
        vec![self.changed(Outcome::Stored, |row| {
            remember(row, Outcome::Stored);
            row.view
                .pending
                .retain(|it| Some(it.fence) != takes_pending);
            row.view.generation += 1;
            held.generation = row.view.generation;
            row.view.previous = row.view.current.replace(held);
            "connected".clone_into(&mut row.view.status);
        })]
    }

    fn fails(&self, operation: &Operation) -> Vec<(Outcome, Model)> {
        let Operation::Fail {
            grant,
            base,
            fence,
            resolves,
            gives_up,
            ..
        } = *operation
        else {
            return Vec::new();
        };
        let mut resolved = self.clone();
        if resolves {
            resolved.resolve(fence);
        }
        let touched = |outcome| resolved.touched(outcome, |_| ());
        if !self.is_live() {
            return vec![touched(Outcome::Ended)];
        }
        if (grant, base) != (self.view.grant, self.view.generation) {
            return vec![touched(Outcome::Moved(resolved.view.clone()))];
        }
        let mut possible = Vec::new();
        if gives_up {
            // The contract does not define which of the two refusals comes first.
            if !self.view.pending.is_empty() {
                possible.push(touched(Outcome::PendingLeft(resolved.view.clone())));
            }
            if let Some(other) = &self.view.claim
                && other.fence != fence
                && other.stands
            {
                possible.push(touched(Outcome::Held(other.fence)));
            }
        }
        if possible.is_empty() {
            possible.push(resolved.changed(Outcome::Applied, |row| {
                if gives_up {
                    "needs_reauthorization".clone_into(&mut row.view.status);
                }
            }));
        }
        possible
    }
}
