//! One refresh for everybody, whatever happens to those who wait.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the counts are what a test shows"
)]

mod provider;

use std::sync::Arc;
use std::time::Duration;

use connector_core::oauth::{Grace, RotationClass};
use connector_core::store::{
    Effects, Expect, Expiries, MemoryStore, PutGrant, PutOutcome, TokenStore,
};
use connector_core::{Error, ErrorKind, Status};
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use self::provider::outage::Outage;
use self::provider::{DUE, HOUR, MINUTE, Numbers, Reply, World, access_token, drive, settle};

const GRACE: RotationClass = RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds: 3600 });

async fn crowd(callers: usize, cancelled: usize) -> (u64, usize) {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    world.provider.close_gate();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (hub, key) = (world.hub.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            let token = hub.access_token(&key).await?;
            Ok::<_, Error>(token.secret().expose_secret().to_owned())
        }));
    }
    settle(callers / 16 + 64).await;
    for task in tasks.drain(..cancelled) {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    world.provider.open_gate();
    let mut served = 0;
    for task in tasks {
        served += usize::from(task.await.unwrap().unwrap() == access_token("alpha", 2));
    }
    // The flight lands whether or not anybody is left to see it.
    settle(64).await;
    assert_eq!(world.generation(&key).await, 2);
    (world.provider.token_calls(), served)
}

#[tokio::test]
async fn a_crowd_on_an_expired_token_sends_one_request() {
    for (callers, cancelled) in [(100, 0), (10_000, 0), (10_000, 5_000), (10_000, 10_000)] {
        let (calls, served) = crowd(callers, cancelled).await;
        println!("{callers} callers, {cancelled} cancelled: {calls} token call, {served} served");
        assert_eq!((calls, served), (1, callers - cancelled));
    }
}

#[tokio::test]
async fn every_expiry_costs_one_request_whoever_goes_away() {
    const CALLERS: usize = 10_000;
    #[expect(clippy::disallowed_methods, reason = "the switch of the long mode")]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let rounds = if is_full { 1000 } else { 10 };
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let mut numbers = Numbers::new(1);
    let mut number = |below: usize| usize::try_from(numbers.below(below as u64)).unwrap();
    let (mut served, mut cancelled) = (0, 0);
    for round in 1..=rounds {
        world.clock.advance(HOUR);
        world.provider.close_gate();
        let mut tasks: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (hub, key) = (world.hub.clone(), key.clone());
                tokio::spawn(async move { hub.access_token(&key).await.map(|it| it.generation()) })
            })
            .collect();
        // Some go before anything was done for them, some while they wait, some once the answer
        // is on its way; in every third round, one more than all others.
        for _ in 0..3 {
            settle(number(CALLERS / 16)).await;
            for _ in 0..number(CALLERS / 4) {
                tasks[number(CALLERS)].abort();
            }
            if round % 3 == 0 {
                tasks[1..].iter().for_each(tokio::task::JoinHandle::abort);
            }
            world.provider.open_gate();
        }
        for task in tasks.drain(..) {
            match task.await {
                Ok(generation) => {
                    assert_eq!(generation.unwrap().get(), round + 1);
                    served += 1;
                }
                Err(error) => {
                    assert!(error.is_cancelled());
                    cancelled += 1;
                }
            }
        }
        // The flight lands whether or not anybody is left to see it.
        settle(64).await;
        assert_eq!(world.generation(&key).await, round + 1);
        assert_eq!(world.provider.token_calls(), round);
    }
    println!(
        "{CALLERS} callers x {rounds} rounds: {} token calls, {served} served, {cancelled} \
         cancelled",
        world.provider.token_calls()
    );
    assert_eq!(
        served + cancelled,
        CALLERS * usize::try_from(rounds).unwrap()
    );
    assert!(served > 0 && cancelled > 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_at_any_step_of_the_flight_changes_nothing() {
    const STEPS: usize = 32;
    let mut pending = 0;
    for steps in 0..STEPS {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        world.clock.advance(HOUR);
        world.provider.close_gate();
        // This one starts the flight, which goes on by a step with each poll.
        let mut first = Box::pin(world.hub.access_token(&key));
        for _ in 0..steps {
            pending += usize::from((&mut first).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(first);
        world.provider.open_gate();
        settle(64).await;
        let token = world.drive(world.hub.access_token(&key)).await.unwrap();
        assert_eq!(
            token.secret().expose_secret(),
            access_token("alpha", 2),
            "{steps} steps"
        );
        assert_eq!(world.provider.token_calls(), 1, "{steps} steps");
        assert_eq!(world.generation(&key).await, 2);
    }
    println!("one caller, gone after each of {STEPS} steps: 1 token call each");
    assert_eq!(pending, STEPS * (STEPS - 1) / 2);
}

#[tokio::test]
async fn a_caller_that_reads_seldom_starts_the_refresh_of_a_good_token_too() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    drop(world.drive(world.hub.access_token(&key)).await.unwrap());
    world.clock.advance(DUE);
    // So long after the last read the token is compared with the store before it is handed out.
    let token = world.drive(world.hub.access_token(&key)).await.unwrap();
    assert_eq!(token.secret().expose_secret(), access_token("alpha", 1));
    settle(64).await;
    assert_eq!(world.provider.token_calls(), 1);
    assert_eq!(world.generation(&key).await, 2);
}

#[tokio::test]
async fn an_answer_that_came_while_the_process_stood_still_is_kept() {
    for (standstill, kept) in [(40, true), (20, false)] {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        world.clock.advance(HOUR);
        world.provider.close_gate();
        let (hub, asked) = (world.hub.clone(), key.clone());
        let caller = tokio::spawn(async move { hub.access_token(&asked).await.map(drop) });
        settle(64).await;
        // The timer of the exchange is set to 20 seconds: on time, or late.
        world.clock.advance(Duration::from_secs(standstill));
        settle(64).await;
        world.provider.open_gate();
        settle(64).await;
        // The caller's patience is over either way.
        let told = caller.await.unwrap().unwrap_err();
        assert_eq!(told.kind(), ErrorKind::RefreshUnresolved);
        assert_eq!(world.provider.token_calls(), u64::from(kept));
        assert_eq!(world.generation(&key).await, 1 + u64::from(kept));
    }
}

#[tokio::test]
async fn a_hundred_refusals_lead_to_one_refresh() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let token = world.drive(world.hub.access_token(&key)).await.unwrap();
    let refused = token.generation();
    world.hub.accepted(&key, refused);
    world.provider.close_gate();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let (hub, key) = (world.hub.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            hub.after_rejection(&key, refused)
                .await
                .map(|it| it.generation())
        }));
    }
    settle(64).await;
    world.provider.open_gate();
    let mut newer = 0;
    for task in tasks {
        newer += usize::from(task.await.unwrap().unwrap() == refused.next());
    }
    // Those who come late with the same refused token get what the others got.
    let late = world.hub.after_rejection(&key, refused).await.unwrap();
    assert_eq!(late.generation(), refused.next());
    let calls = world.provider.token_calls();
    println!("100 refusals: {calls} token call, {newer} callers with a newer token");
    assert_eq!((calls, newer), (1, 100));
}

#[tokio::test]
async fn a_limit_is_obeyed_by_every_caller() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR.saturating_sub(MINUTE * 5));
    world
        .provider
        .script(|_| Reply::Answer(429, vec![("retry-after", "200".into())], String::new()));
    let mut served = 0;
    for _ in 0..1000 {
        served += usize::from(world.drive(world.hub.access_token(&key)).await.is_ok());
        settle(16).await;
        world.clock.advance(Duration::from_millis(100));
    }
    let calls = world.provider.token_calls();
    println!("limited for 100 s: {served} of 1000 callers served, {calls} token call");
    assert_eq!((served, calls), (1000, 1));
}

#[tokio::test]
async fn a_store_that_is_away_after_the_answer_loses_nothing() {
    const CASES: usize = 50;
    for (class, served_with) in [
        (RotationClass::Strict, access_token("alpha", 2)),
        (GRACE, access_token("alpha", 1)),
    ] {
        let (mut lost, mut served, mut asked, mut recovered) = (0, 0, 0, 0);
        for _ in 0..CASES {
            let world = World::new(class);
            let key = world.connect("alpha").await;
            let store = Outage::new(world.store.clone());
            let hub = world.hub_on(store.clone(), 0);
            drop(world.drive(hub.access_token(&key)).await.unwrap());
            world.clock.advance(DUE);
            world.provider.close_gate();
            // Served from memory after a look at the store; the refresh goes on behind it.
            drop(world.drive(hub.access_token(&key)).await.unwrap());
            drop(hub.access_token(&key).now_or_never());
            settle(64).await;
            store.set_gone(true);
            world.provider.open_gate();
            settle(64).await;
            for _ in 0..60 {
                world.clock.advance(Duration::from_secs(1));
                settle(16).await;
                asked += 1;
                let token = world.drive(hub.access_token(&key)).await.unwrap();
                served += usize::from(token.secret().expose_secret() == served_with);
            }
            store.set_gone(false);
            for _ in 0..5 {
                world.clock.advance(Duration::from_secs(1));
                settle(16).await;
            }
            lost += usize::from(world.generation(&key).await != 2);
            let token = world.drive(hub.access_token(&key)).await.unwrap();
            recovered += usize::from(token.secret().expose_secret() == access_token("alpha", 2));
            assert_eq!(world.provider.token_calls(), 1);
        }
        println!(
            "store away for 60 s, {class:?}: {CASES} pairs, {lost} lost, {served} of {asked} \
             callers served in time, {recovered} recovered within 5 s"
        );
        assert_eq!((lost, served, recovered), (0, asked, CASES));
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_a_pair_that_is_not_durable() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let store = Outage::new(world.store.clone());
    let hub = world.hub_on(store.clone(), 0);
    world.clock.advance(HOUR);
    world.provider.close_gate();
    let caller = hub.clone();
    let of = key.clone();
    let waiting = tokio::spawn(async move { caller.access_token(&of).await.map(drop) });
    settle(64).await;
    store.set_gone(true);
    world.provider.open_gate();
    settle(64).await;
    let cut = drive(&world.clock, hub.shutdown(Duration::from_secs(3))).await;
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::Timeout);
    store.set_gone(false);
    let calm = drive(&world.clock, hub.shutdown(Duration::from_secs(30))).await;
    calm.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(world.generation(&key).await, 2);
    // Tokens in memory are handed out, and nothing new is begun.
    hub.access_token(&key).await.unwrap();
    let refused = hub.refresh(&key, provider::context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ShuttingDown);
    let refused = hub.disconnect(&key, provider::context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ShuttingDown);
    assert_eq!(world.provider.token_calls(), 1);
}

#[tokio::test]
async fn a_restored_backup_redeems_no_token_twice() {
    const CASES: u64 = 20;
    let mut twice = 0;
    for _ in 0..CASES {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        let backup = world.stored(&key).await;
        let store = Outage::new(world.store.clone());
        let hub = world.hub_on(store.clone(), 0);
        for _ in 0..3 {
            world.clock.advance(HOUR);
            drop(world.drive(hub.access_token(&key)).await.unwrap());
        }
        let restored = MemoryStore::new(Arc::new(world.clock.clone()));
        let current = backup.current.unwrap();
        let put = PutGrant {
            key: key.clone(),
            provider: backup.connection.provider.clone(),
            app: backup.connection.app.clone(),
            account: backup.connection.account.clone(),
            expect: Expect::Absent,
            grant: current.grant,
            generation: current.generation,
            fence: current.fence,
            credential: current.sealed,
            expiries: Expiries::default(),
            status: Status::Connected,
            metadata: backup.connection.metadata.clone(),
            takes: None,
        };
        let outcome = restored.put_grant(put, Effects::none()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored);
        store.swap(restored.clone());
        for _ in 0..4 {
            world.clock.advance(HOUR / 2);
            let token = world.drive(hub.access_token(&key)).await.unwrap();
            assert!(token.secret().expose_secret() >= access_token("alpha", 4).as_str());
        }
        let row = restored.load(&key).await.unwrap().unwrap();
        assert_eq!(row.connection.grant.get(), 2);
        twice +=
            u64::from(world.provider.most_redeemed() != 1 || !world.provider.is_alive("alpha"));
    }
    println!("restored backup: {CASES} cases, {twice} tokens redeemed twice");
    assert_eq!(twice, 0);
}

#[tokio::test]
async fn processes_with_stale_caches_and_wrong_clocks_redeem_no_token_twice() {
    const ROUNDS: u32 = 150;
    for offset in [0, 3_600_000, -3_600_000] {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        let other = world.other_hub(offset);
        let (mut served, mut asked) = (0, 0);
        for round in 0..ROUNDS {
            world.clock.advance(MINUTE * 10);
            for hub in [&world.hub, &other] {
                asked += 1;
                let (a, b) = tokio::join!(
                    world.drive(world.hub.access_token(&key)),
                    drive(&world.clock, hub.access_token(&key)),
                );
                served += usize::from(a.is_ok() && b.is_ok());
                if round % 3 == 0 {
                    world.drive(hub.worker().tick()).await.unwrap();
                }
                settle(16).await;
            }
        }
        let calls = world.provider.token_calls();
        println!(
            "two processes, clocks {offset} ms apart: {served} of {asked} served, {calls} token \
             calls, each token redeemed {} time",
            world.provider.most_redeemed()
        );
        assert_eq!(served, asked);
        assert_eq!(world.provider.most_redeemed(), 1);
        assert!(calls >= 24 && world.provider.is_alive("alpha"));
    }
}
