//! Search for a valid order of the calls of a history.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use connector_core::ConnectionKey;

use super::model::Model;
use super::{Entry, Operation};

/// Maximum number of earlier calls to show in a violation.
const SHOWN: usize = 12;

/// Statistics of a valid history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Number of connections.
    pub connections: usize,
    /// Number of calls.
    pub calls: usize,
    /// Number of calls that overlapped another call on the same connection.
    pub overlapping: usize,
    /// Number of calls without a known outcome.
    pub unknown: usize,
}

/// A call for which there is no valid order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The connection.
    pub connection: ConnectionKey,
    /// The call for which there is no valid order with the earlier calls.
    pub call: Box<Entry>,
    /// Calls on the connection that started before the end of this call, latest last.
    pub before: Vec<Entry>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "no order of the calls on {} explains the outcome of {:?}",
            self.connection.id, self.call
        )?;
        self.before
            .iter()
            .try_for_each(|entry| writeln!(f, "  {entry:?}"))
    }
}

impl std::error::Error for Violation {}

/// Checks a history, separately for each connection.
///
/// The cost depends on the number of concurrent calls, not on the length of the history. At the end
/// of each call, the search reorders only the open calls, and merges orders that lead to the same
/// state.
///
/// # Errors
/// The first [`Violation`] of the first invalid connection.
pub fn check(entries: &[Entry]) -> Result<Checked, Box<Violation>> {
    let mut by_connection = BTreeMap::<&ConnectionKey, Vec<&Entry>>::new();
    for entry in entries {
        by_connection
            .entry(&entry.connection)
            .or_default()
            .push(entry);
    }
    let mut checked = Checked {
        connections: by_connection.len(),
        calls: entries.len(),
        ..Checked::default()
    };
    for entries in by_connection.values_mut() {
        entries.sort_by_key(|entry| entry.start);
        check_one(entries, &mut checked)?;
    }
    Ok(checked)
}

/// A partial order of the calls so far, represented by the open calls that have taken effect and
/// the resulting model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    effective: BTreeSet<usize>,
    model: Model,
}

fn check_one(entries: &[&Entry], checked: &mut Checked) -> Result<(), Box<Violation>> {
    let mut moments = Vec::with_capacity(entries.len() * 2);
    for (at, entry) in entries.iter().enumerate() {
        moments.push((entry.start, at, true));
        match &entry.end {
            Some((end, _)) => moments.push((*end, at, false)),
            None => checked.unknown += 1,
        }
    }
    moments.sort_unstable();

    let mut ways = HashSet::from([Way {
        effective: BTreeSet::new(),
        model: Model::default(),
    }]);
    let mut open = BTreeSet::new();
    let mut overlapping = BTreeSet::new();
    for (_, at, starts) in moments {
        if starts {
            // A read without a known outcome has no effect on the result.
            if entries[at].end.is_none() && entries[at].operation == Operation::Load {
                continue;
            }
            if !open.is_empty() {
                overlapping.insert(at);
                overlapping.extend(&open);
            }
            open.insert(at);
            continue;
        }
        ways = ways_past(entries, &ways, &open, at);
        open.remove(&at);
        if ways.is_empty() {
            return Err(Box::new(violation(entries, at)));
        }
    }
    checked.overlapping += overlapping.len();
    Ok(())
}

/// Returns every partial order in which the call `ends` has taken effect. Other open calls may take
/// effect before this call.
fn ways_past(
    entries: &[&Entry],
    ways: &HashSet<Way>,
    open: &BTreeSet<usize>,
    ends: usize,
) -> HashSet<Way> {
    let mut past = HashSet::new();
    let mut met = ways.clone();
    let mut left: Vec<Way> = ways.iter().cloned().collect();
    while let Some(way) = left.pop() {
        if way.effective.contains(&ends) {
            let mut way = way;
            way.effective.remove(&ends);
            past.insert(way);
            continue;
        }
        let mut further = Vec::new();
        let mut unchanged = way.effective.clone();
        for &next in open.difference(&way.effective) {
            let seen = entries[next].end.as_ref().map(|(_, outcome)| outcome);
            let operation = &entries[next].operation;
            for model in way.model.after(operation, seen) {
                if model != way.model {
                    further.push((next, model));
                    continue;
                }
                match seen {
                    Some(outcome) if operation.only_reads(outcome) => {
                        unchanged.insert(next);
                    }
                    Some(_) => further.push((next, model)),
                    // A call with an unknown outcome and no effect is left out.
                    None => (),
                }
            }
        }
        if unchanged != way.effective {
            // A read that fits here is placed here: this excludes no later order.
            let done = Way {
                effective: unchanged,
                model: way.model,
            };
            if met.insert(done.clone()) {
                left.push(done);
            }
            continue;
        }
        for (next, model) in further {
            let mut effective = way.effective.clone();
            effective.insert(next);
            let way = Way { effective, model };
            if met.insert(way.clone()) {
                left.push(way);
            }
        }
    }
    past
}

fn violation(entries: &[&Entry], at: usize) -> Violation {
    let call = entries[at];
    let end = call.end.as_ref().map_or(u64::MAX, |(end, _)| *end);
    let mut before: Vec<Entry> = entries
        .iter()
        .filter(|entry| entry.start < end && entry.start != call.start)
        .map(|entry| (*entry).clone())
        .collect();
    let surplus = before.len().saturating_sub(SHOWN);
    before.drain(..surplus);
    Violation {
        connection: call.connection.clone(),
        call: Box::new(call.clone()),
        before,
    }
}
