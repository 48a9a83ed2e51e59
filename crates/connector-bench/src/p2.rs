//! P2: 10,000 tasks that wait for one expired token, compared with the same number of tasks that
//! wait for one sleep.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::clock::{Clock as _, SystemClock};

use crate::Outcome;
use crate::fixture::{Endpoint, hub};

const TASKS: usize = 10_000;
const FETCH: Duration = Duration::from_millis(100);
const TURNS: usize = 7;

pub(crate) fn measure() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!(
        "{TASKS} tasks, an endpoint of {} ms, {TURNS} turns\n",
        FETCH.as_millis()
    );
    println!("| Turn | token calls | slowest waiter, ms | bare spawn and sleep, ms | ratio |");
    println!("|---|---|---|---|---|");
    let mut ratios = Vec::new();
    let mut calls_made = 0;
    for turn in 1..=TURNS {
        let (slowest, calls) = runtime.block_on(ours())?;
        let bare = runtime.block_on(bare())?;
        let ratio = slowest.as_secs_f64() / bare.as_secs_f64();
        println!(
            "| {turn} | {calls} | {} | {} | {ratio:.2} |",
            slowest.as_millis(),
            bare.as_millis()
        );
        ratios.push(ratio);
        calls_made = calls_made.max(calls);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let met = if calls_made == 1 && median <= 1.15 {
        "yes"
    } else {
        "no"
    };
    println!("\n| Row | Ratio of the slowest waiter: min | median | max | Target | Met |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| P2, {calls_made} token call at most | {:.2} | {median:.2} | {:.2} | 1.15, and 1 call | {met} |",
        ratios[0],
        ratios[ratios.len() - 1]
    );
    Ok(())
}

async fn ours() -> Result<(Duration, u32), Box<dyn std::error::Error>> {
    let endpoint = Endpoint {
        takes: FETCH,
        ..Endpoint::default()
    };
    let calls = Arc::clone(&endpoint.calls);
    let (hub, keys) = hub(1, Duration::ZERO, endpoint).await?;
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (hub, key, clock) = (hub.clone(), keys[0].clone(), clock.clone());
            tokio::spawn(async move {
                let token = hub.access_token(&key).await;
                (token.map(drop), clock.monotonic())
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for task in tasks {
        let (token, at) = task.await?;
        token?;
        slowest = slowest.max(at.since(start));
    }
    Ok((slowest, calls.load(Ordering::SeqCst)))
}

async fn bare() -> Result<Duration, Box<dyn std::error::Error>> {
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let (sender, receiver) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (mut receiver, clock) = (receiver.clone(), clock.clone());
            tokio::spawn(async move {
                // The sender lives until all tasks have ended, so waiting cannot fail.
                let _ = receiver.wait_for(|done| *done).await;
                clock.monotonic()
            })
        })
        .collect();
    clock.sleep(FETCH).await;
    sender.send_replace(true);
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await?.since(start));
    }
    Ok(slowest)
}
