//! Linearizability of the calls on one connection.

use std::sync::Arc;

use crate::fixture::StoreFixture;
use crate::history::{Actor, Recorder, Stamps, check};
use crate::store::samples::key;
use crate::store::steps::{done, joined};

/// Number of actors per connection. Half of the callers use each handle.
const ACTORS: u32 = 4;
/// Number of calls per actor.
const CALLS: u32 = 150;
/// Number of connections. They are tested sequentially, each with its own seed.
const ROUNDS: u8 = 4;

pub(in crate::store) async fn operations_on_one_connection_are_linear<F: StoreFixture>(
    fixture: &F,
) {
    let stores = [
        Arc::new(fixture.open().await),
        Arc::new(fixture.open().await),
    ];
    let stamps = Arc::new(Stamps::counter());
    for round in 1..=ROUNDS {
        let actors: Vec<_> = (0..ACTORS)
            .map(|number| {
                let store = Arc::clone(&stores[usize::from(number % 2 == 0)]);
                let stamps = Arc::clone(&stamps);
                tokio::spawn(async move {
                    let recorder = Recorder::new(store.as_ref(), &stamps);
                    let mut actor = Actor::new(u64::from(round), number);
                    let mut entries = Vec::new();
                    for _ in 0..CALLS {
                        let entry = done(recorder.begin(&key(round), actor.next_call()));
                        // Yields, so that calls overlap even if the store never waits.
                        tokio::task::yield_now().await;
                        let (entry, error) = done(recorder.finish(entry).await);
                        if let Some(error) = error {
                            panic!("{:?} failed: {}", entry.operation, error.report());
                        }
                        if let Some((_, outcome)) = &entry.end {
                            actor.learn(&entry.operation, outcome);
                        }
                        entries.push(entry);
                    }
                    entries
                })
            })
            .collect();
        let mut history = Vec::new();
        for actor in actors {
            history.extend(joined(actor.await));
        }
        if let Err(violation) = check(&history) {
            panic!("{violation}");
        }
    }
}
