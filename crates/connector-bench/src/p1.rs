//! P1: a cached access token, compared with a concurrent map with an `ArcSwap` and two clock reads.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use connector_core::ConnectionKey;
use connector_core::clock::{Clock, SystemClock};
use connector_hub::{Hub, Token};
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::fixture::{Endpoint, hub};
use crate::turns::{Candidate, Figures, take_turns};

const CONNECTIONS: u32 = 10_000;
const READS: u32 = 20_000;
const TURNS: u32 = 15;

/// The minimum work of a read: look up the connection, borrow its token, read both clocks.
struct Limit {
    map: papaya::HashMap<ConnectionKey, ArcSwap<(u64, String)>>,
    clock: Arc<dyn Clock>,
}

impl Limit {
    fn new(keys: &[ConnectionKey]) -> Self {
        let map = papaya::HashMap::new();
        for key in keys {
            map.pin()
                .insert(key.clone(), ArcSwap::from_pointee((0, key.id.to_string())));
        }
        Self {
            map,
            clock: Arc::new(SystemClock::new()),
        }
    }

    fn read(&self, key: &ConnectionKey) {
        let map = self.map.pin();
        let guard = map.get(key).map(ArcSwap::load);
        black_box((self.clock.monotonic(), self.clock.now()));
        black_box(guard);
    }
}

fn ours(hub: &Hub, key: &ConnectionKey) {
    match hub.token(key) {
        Token::Ready(token) => {
            black_box(token);
        }
        Token::Wait(_) => black_box(()),
    }
}

/// Reads `READS` tokens on each of `threads` threads, each from a different start. Converts the
/// total time to the time per read on one core.
fn on_threads(runtime: &Runtime, threads: u32, read: &(dyn Fn(usize) + Sync)) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                // A read may start a comparison with the store, which needs a runtime.
                let _entered = runtime.enter();
                let start = thread as usize * 997;
                for step in 0..READS as usize {
                    read(start + step * 31);
                }
            });
        }
    });
}

pub(crate) fn measure() -> Outcome {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let day = Duration::from_hours(24);
    let (hub, keys) = runtime.block_on(hub(CONNECTIONS, day, Endpoint::default()))?;
    for key in &keys {
        runtime.block_on(hub.access_token(key))?;
    }
    let limit = Limit::new(&keys);
    println!("{CONNECTIONS} connections; ns per read on one core; {TURNS} turns\n");
    println!(
        "| Threads | ours: min | median | max | limit: min | median | max | ratio, median | target | met |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
    for threads in [1, 2, 8, 64] {
        // A cache entry is compared with the store every 30 seconds. This comparison is not part of
        // the benchmark.
        for key in &keys {
            runtime.block_on(hub.access_token(key))?;
        }
        let at = |step: usize| &keys[step % keys.len()];
        let figures = take_turns(
            &mut [
                Candidate::new("ours", || {
                    on_threads(&runtime, threads, &|step| ours(&hub, at(step)));
                }),
                Candidate::new("limit", || {
                    on_threads(&runtime, threads, &|step| limit.read(at(step)));
                }),
            ],
            TURNS,
            1,
        );
        let reads = f64::from(threads * READS) / f64::from(threads.min(cores));
        let [ours, limit] = [&figures[0], &figures[1]].map(|figures| figures.scaled(1.0 / reads));
        let ratio: Figures = ours.ratio_to(&limit);
        let met = if ratio.median() <= 1.5 && ours.median() <= 150.0 {
            "yes"
        } else {
            "no"
        };
        rows.push(format!(
            "| P1 {threads} threads, {:.0} ns | {:.2} | {:.2} | {:.2} | 1.5, and 150 ns | {met} |",
            ours.median(),
            ratio.min(),
            ratio.median(),
            ratio.max()
        ));
        println!(
            "| {threads} | {} | {} | {:.2} | 1.5, and 150 ns | {met} |",
            ours.cells(),
            limit.cells(),
            ratio.median()
        );
    }
    println!("\n| Row | Ratio to the limit: min | median | max | Target | Met |");
    println!("|---|---|---|---|---|---|");
    for row in &rows {
        println!("{row}");
    }
    Ok(())
}
