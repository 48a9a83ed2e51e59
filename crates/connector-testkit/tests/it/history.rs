//! Tests of the history checker: it accepts valid histories, and rejects invalid ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::MemoryStore;
use connector_core::{ConnectionId, ConnectionKey, TenantId};
use connector_testkit::history::{Actor, Entry, Operation, Outcome, Recorder, Stamps, View, check};

fn key(number: u8) -> ConnectionKey {
    ConnectionKey::new(
        TenantId::new("t1").unwrap(),
        ConnectionId::from_bytes([number; 16]),
    )
}

/// Records a history of concurrent tasks on an in-memory store.
async fn history(seed: u64, connections: u8, actors: u32, calls: u32) -> Vec<Entry> {
    let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
    let store = MemoryStore::new(Arc::new(clock));
    let stamps = Arc::new(Stamps::counter());
    let tasks: Vec<_> = (1..=connections)
        .flat_map(|connection| (0..actors).map(move |actor| (connection, actor)))
        .map(|(connection, number)| {
            let (store, stamps) = (store.clone(), Arc::clone(&stamps));
            tokio::spawn(async move {
                let recorder = Recorder::new(&store, &stamps);
                let mut actor = Actor::new(seed, number);
                let mut entries = Vec::new();
                for _ in 0..calls {
                    let entry = recorder.begin(&key(connection), actor.next_call()).unwrap();
                    tokio::task::yield_now().await;
                    let (entry, error) = recorder.finish(entry).await.unwrap();
                    assert!(error.is_none(), "{:?}: {error:?}", entry.operation);
                    if let Some((_, outcome)) = &entry.end {
                        actor.learn(&entry.operation, outcome);
                    }
                    entries.push(entry);
                }
                entries
            })
        })
        .collect();
    let mut entries = Vec::new();
    for task in tasks {
        entries.extend(task.await.unwrap());
    }
    entries
}

/// Returns the name of a call or an outcome, without its fields.
fn name(shown: &impl std::fmt::Debug) -> String {
    let shown = format!("{shown:?}");
    let end = shown.find(|c: char| !c.is_alphanumeric());
    shown[..end.unwrap_or(shown.len())].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_in_order_passes() {
    let entries = history(1, 8, 4, 3_000).await;
    let checked = check(&entries).unwrap();
    let mut met = BTreeMap::<String, usize>::new();
    for entry in &entries {
        let (_, outcome) = entry.end.as_ref().unwrap();
        let kind = format!("{} {}", name(&entry.operation), name(outcome));
        *met.entry(kind).or_default() += 1;
    }
    println!(
        "history: {} calls on {} connections, {} overlapping, {} kinds of outcome: {met:?}",
        checked.calls,
        checked.connections,
        checked.overlapping,
        met.len()
    );
    assert_eq!((checked.connections, checked.calls), (8, 96_000));
    assert!(checked.overlapping > 0);
    // The calls reach every kind of outcome that has rules.
    for kind in [
        "Claim Granted",
        "Claim Held",
        "Claim Moved",
        "Claim Ended",
        "Commit Stored",
        "Commit Pending",
        "Commit Ended",
        "Fail Applied",
        "Fail Moved",
        "Fail PendingLeft",
        "Fail Held",
        "Fail Ended",
        "Put Stored",
        "Put Moved",
        "Update Updated",
        "Update Moved",
        "End Ended",
        "End Moved",
        "End AlreadyEnded",
    ] {
        assert!(met.contains_key(kind), "{kind} never happened");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_outcomes_are_no_violation() {
    let mut entries = history(2, 4, 4, 200).await;
    for entry in entries.iter_mut().step_by(17) {
        entry.end = None;
    }
    let checked = check(&entries).unwrap();
    println!(
        "history: {} of {} outcomes lost",
        checked.unknown, checked.calls
    );
    assert!(checked.unknown > 0);
}

/// Returns a wrong outcome for the entry; `None` if no other outcome is certainly wrong.
fn wrong(entry: &Entry) -> Option<Outcome> {
    connector_testkit::trace::init();
    let shifted = |view: &View| View {
        generation: view.generation + 1,
        ..view.clone()
    };
    let (_, outcome) = entry.end.as_ref()?;
    Some(match outcome {
        Outcome::Loaded(Some(view)) => Outcome::Loaded(Some(shifted(view))),
        Outcome::Granted {
            fence,
            superseded,
            view,
        } => Outcome::Granted {
            fence: fence - 1,
            superseded: *superseded,
            view: view.clone(),
        },
        Outcome::Moved(view) => Outcome::Moved(shifted(view)),
        Outcome::PendingLeft(view) => Outcome::PendingLeft(shifted(view)),
        Outcome::Held(fence) => Outcome::Held(fence + 1),
        Outcome::Stored | Outcome::Applied | Outcome::AlreadyEnded => Outcome::Ended,
        Outcome::Pending => Outcome::Stored,
        Outcome::Updated(_) => Outcome::Missing,
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_outcome_is_noticed() {
    // The calls do not overlap, so only one order is possible.
    let entries = history(3, 1, 1, 400).await;
    check(&entries).unwrap();
    let (mut tried, mut missed) = (0, Vec::new());
    for at in 0..entries.len() {
        let Some(outcome) = wrong(&entries[at]) else {
            continue;
        };
        let mut changed = entries.clone();
        if let Some((_, seen)) = &mut changed[at].end {
            *seen = outcome;
        }
        tried += 1;
        if check(&changed).is_ok() {
            missed.push(changed[at].clone());
        }
    }
    println!(
        "wrong outcomes noticed: {} of {tried}",
        tried - missed.len()
    );
    assert!(tried > 0);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_forgotten_is_noticed() {
    let entries = history(4, 1, 1, 400).await;
    let claim_of = |entry: &Entry| match (&entry.operation, &entry.end) {
        (Operation::Commit { claim, .. }, Some((_, Outcome::Stored))) => Some(*claim),
        _ => None,
    };
    let (mut tried, mut missed) = (0, 0);
    for at in 0..entries.len() {
        let Some(claim) = claim_of(&entries[at]) else {
            continue;
        };
        // All entries about the result of this claim, including repetitions.
        let mut without = entries.clone();
        without.retain(|entry| claim_of(entry) != Some(claim));
        tried += 1;
        missed += usize::from(check(&without).is_ok());
    }
    println!("lost commits noticed: {} of {tried}", tried - missed);
    assert!(tried > 0);
    // The last commit may not have been read afterwards.
    assert!(missed <= 1, "{missed} of {tried} were missed");
}

fn entry(start: u64, end: u64, operation: Operation, outcome: Outcome) -> Entry {
    Entry {
        connection: key(1),
        start,
        operation,
        end: Some((end, outcome)),
    }
}

fn put(pair: u64) -> Operation {
    Operation::Put {
        at: None,
        grant: 1,
        generation: 1,
        fence: 1,
        pair,
    }
}

#[test]
fn the_order_of_real_time_counts() {
    let stored = entry(1, 2, put(7), Outcome::Stored);
    let after = entry(3, 4, Operation::Load, Outcome::Loaded(None));
    assert!(check(&[stored.clone(), after]).is_err(), "a stale read");
    let beside = entry(1, 5, Operation::Load, Outcome::Loaded(None));
    let stored = Entry {
        start: 2,
        end: Some((3, Outcome::Stored)),
        ..stored
    };
    assert!(check(&[stored, beside]).is_ok(), "an overlapping read");
}

#[test]
fn what_overlaps_may_have_happened_in_any_order() {
    let two = [
        entry(1, 4, put(7), Outcome::Missing),
        entry(2, 3, put(8), Outcome::Stored),
    ];
    assert!(
        check(&two).is_err(),
        "a put is never missing without an expectation"
    );
    let repeated = [
        entry(1, 4, put(7), Outcome::Stored),
        entry(2, 3, put(7), Outcome::Stored),
    ];
    assert!(check(&repeated).is_ok());
    let both = [
        entry(1, 4, put(7), Outcome::Stored),
        entry(2, 3, put(8), Outcome::Stored),
    ];
    assert!(check(&both).is_err(), "two first grants");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_written_and_read_back() {
    let mut entries = history(5, 2, 2, 50).await;
    entries.sort_by_key(|entry| entry.start);
    let mut text = String::new();
    for entry in &entries {
        // Written before the call and again after it.
        let begun = Entry {
            end: None,
            ..entry.clone()
        };
        for line in [&begun, entry] {
            text.push_str(&line.to_line().unwrap());
            text.push('\n');
        }
    }
    assert_eq!(Entry::read(&text).unwrap(), entries);
    text.push_str("{\"connection\":");
    assert_eq!(Entry::read(&text).unwrap(), entries, "a torn last line");
    text.push_str("nonsense\n");
    assert!(Entry::read(&text).is_err());
}

#[test]
fn shared_stamps_grow_across_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stamps");
    let (one, two) = (
        Stamps::shared(&path).unwrap(),
        Stamps::shared(&path).unwrap(),
    );
    let taken = std::thread::scope(|scope| {
        let threads = [&one, &two].map(|stamps| {
            scope.spawn(move || (0..500).map(|_| stamps.take().unwrap()).collect::<Vec<_>>())
        });
        threads.map(|thread| thread.join().unwrap())
    });
    for stamps in &taken {
        assert!(stamps.is_sorted());
    }
    let mut all = taken.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 1_000, "no stamp is given twice");
}
