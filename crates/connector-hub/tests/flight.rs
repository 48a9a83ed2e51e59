//! One refresh for all callers, even if callers stop waiting.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the test prints the counts"
)]

mod provider;

use std::sync::Arc;
use std::time::Duration;

use connector_core::http::{OutboundRequest, Sent, TransportErrorKind};
use connector_core::provider::description::{Description, RevocationReach};
use connector_core::provider::oauth::{
    ExchangeError, Grace, RotationClass, TokenResponse, read_token_response,
};
use connector_core::provider::{Connector, Context, Renewal};
use connector_core::store::{
    Expect, Expiries, MemoryStore, PutGrant, PutOutcome, SideEffects, TokenStore,
};
use connector_core::{Credential, DegradedReason, Error, ErrorKind, Status};
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use self::provider::outage::Outage;
use self::provider::{
    DUE, HOUR, MINUTE, New, Numbers, Reply, World, access_token, description, drive, settle,
};

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
    // The flight ends even if no caller is left.
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
async fn every_expiry_costs_one_request_even_if_callers_leave() {
    const CALLERS: usize = 10_000;
    #[expect(clippy::disallowed_methods, reason = "selects the long mode")]
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
        // Some callers leave before the flight starts, some while they wait, and some when the
        // response is on its way. In every third round, all callers except the first leave.
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
        // The flight ends even if no caller is left.
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
        // The first caller starts the flight, which advances by one step with each poll.
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
    // This long after the last read, the token is compared with the store before it is returned.
    let token = world.drive(world.hub.access_token(&key)).await.unwrap();
    assert_eq!(token.secret().expose_secret(), access_token("alpha", 1));
    settle(64).await;
    assert_eq!(world.provider.token_calls(), 1);
    assert_eq!(world.generation(&key).await, 2);
}

#[tokio::test]
async fn a_response_that_came_while_the_process_stood_still_is_kept() {
    for (standstill, kept) in [(40, true), (20, false)] {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        world.clock.advance(HOUR);
        world.provider.close_gate();
        let (hub, asked) = (world.hub.clone(), key.clone());
        let caller = tokio::spawn(async move { hub.access_token(&asked).await.map(drop) });
        settle(64).await;
        // The timer of the exchange is set to 20 seconds, and fires on time or late.
        world.clock.advance(Duration::from_secs(standstill));
        settle(64).await;
        world.provider.open_gate();
        settle(64).await;
        // In both cases, the caller's maximum wait has passed.
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
    // Later callers with the same refused token get the same result.
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
async fn a_store_that_is_away_after_the_response_loses_nothing() {
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
            // Returned from memory after a read of the store. The refresh continues in the
            // background.
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
    // Cached tokens are returned, and no new work starts.
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
        let outcome = restored.put_grant(put, SideEffects::none()).await.unwrap();
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

#[tokio::test]
async fn a_refresh_that_brings_nothing_usable_is_one_request_and_a_pause() {
    type Change = fn(&mut serde_json::Map<String, serde_json::Value>);
    let cases: [(&str, Change); 5] = [
        ("0", |it| drop(it.insert("expires_in".into(), 0.into()))),
        ("1", |it| drop(it.insert("expires_in".into(), 1.into()))),
        ("-3600", |it| {
            drop(it.insert("expires_in".into(), (-3600).into()))
        }),
        ("text", |it| {
            drop(it.insert("expires_in".into(), "-1".into()))
        }),
        ("2", |it| drop(it.insert("expires_in".into(), 2.into()))),
    ];
    for (name, change) in cases {
        for class in [RotationClass::Stable, RotationClass::Strict, GRACE] {
            let world = World::new(class);
            let key = world.connect("alpha").await;
            world.clock.advance(HOUR);
            world.provider.script(move |_| Reply::With(change));
            let callers = (0..50).map(|_| world.hub.access_token(&key));
            let answers = world.drive(futures_util::future::join_all(callers)).await;
            let mut told = 0;
            for answer in answers {
                let error = answer.err().unwrap();
                assert_eq!(
                    error.kind(),
                    ErrorKind::UnexpectedResponse,
                    "{name} {class:?}"
                );
                assert!(error.to_string().contains(" s, "), "{error}");
                told += 1;
            }
            // Every caller during the pause gets the same error.
            for _ in 0..50 {
                let error = world
                    .drive(world.hub.access_token(&key))
                    .await
                    .err()
                    .unwrap();
                assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
            }
            let calls = world.provider.token_calls();
            println!("expires_in {name}, {class:?}: {calls} token call, {told} callers told why");
            assert_eq!((calls, told), (1, 50));
            let failing = Status::Degraded(DegradedReason::RefreshFailing);
            assert_eq!(world.status(&key).await, failing);
            // The new pair is not lost: it is used next.
            world.provider.behave();
            world.clock.advance(MINUTE * 2);
            drop(world.drive(world.hub.access_token(&key)).await.unwrap());
            assert_eq!(world.status(&key).await, Status::Connected);
            assert_eq!(world.provider.token_calls(), 2);
        }
    }
}

/// The response takes longer than the lifetime of the token.
#[tokio::test]
async fn a_token_that_is_older_than_its_lifetime_is_no_token() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    world
        .provider
        .script(|_| Reply::With(|it| drop(it.insert("expires_in".into(), 10.into()))));
    world.provider.close_gate();
    let (hub, asked) = (world.hub.clone(), key.clone());
    let caller = tokio::spawn(async move { hub.access_token(&asked).await.map(drop) });
    settle(64).await;
    world.clock.advance(Duration::from_secs(12));
    settle(64).await;
    world.provider.open_gate();
    let error = world.drive(caller).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{error}");
    assert_eq!(world.provider.token_calls(), 1);
    assert_eq!(world.generation(&key).await, 2, "the pair is kept");
}

#[tokio::test]
async fn a_caller_that_stops_waiting_gets_the_true_reason() {
    let mut cases = 0;
    for hangs_at in ["the store", "the provider", "another process"] {
        let world = World::new(RotationClass::Strict);
        let key = world.connect("alpha").await;
        let store = Outage::new(world.store.clone());
        let hub = world.hub_on(store.clone(), 0);
        world.clock.advance(HOUR);
        let (kind, words) = match hangs_at {
            "the store" => {
                store.hang();
                (ErrorKind::StoreUnavailable, "the store")
            }
            "the provider" => {
                world.provider.close_gate();
                (ErrorKind::RefreshUnresolved, "was sent")
            }
            _ => {
                world.hold(&key).await;
                (ErrorKind::RefreshUnresolved, "")
            }
        };
        let (caller, asked) = (hub.clone(), key.clone());
        let caller = tokio::spawn(async move { caller.access_token(&asked).await.map(drop) });
        let error = world.drive(caller).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{hangs_at}: {error}");
        assert!(error.to_string().contains(words), "{hangs_at}: {error}");
        assert_eq!(world.provider.token_calls(), 0);
        cases += 1;
    }
    println!("{cases} places to hang at");
    assert_eq!(cases, 3);
}

#[tokio::test]
async fn an_unresolved_claim_within_a_grace_is_sent_again_when_its_hold_ends() {
    let timed = RotationClass::Grace(Grace::Time { seconds: 120 });
    let mut resent = 0;
    for class in [timed, GRACE] {
        for asks in [false, true] {
            let world = World::new(class);
            let key = world.connect("alpha").await;
            world.provider.once(Reply::Lost);
            drop(
                world
                    .drive(world.hub.refresh(&key, provider::context()))
                    .await,
            );
            assert_eq!(world.provider.token_calls(), 1);
            let worker = world.hub.worker();
            for _ in 0..20 {
                if asks {
                    drop(world.drive(world.hub.access_token(&key)).await.unwrap());
                } else {
                    world.drive(worker.tick()).await.unwrap();
                }
                settle(64).await;
                world.clock.advance(Duration::from_secs(5));
            }
            // The token is valid for an hour the whole time.
            assert_eq!(world.provider.token_calls(), 2, "{class:?}, callers {asks}");
            assert_eq!(world.generation(&key).await, 2);
            assert_eq!(world.status(&key).await, Status::Connected);
            resent += 1;
        }
    }
    println!("{resent} lost responses sent again within 100 s");
    assert_eq!(resent, 4);
}

/// A connector that derives tokens without a refresh token, any number of times.
#[derive(Debug)]
struct Minting(Description);

#[async_trait::async_trait]
impl Connector for Minting {
    fn description(&self) -> &Description {
        &self.0
    }

    fn renewal(&self, _credential: &Credential) -> Renewal {
        Renewal::Mint
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        _credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let request = http::Request::post("https://acme.example/token")
            .body("account=alpha".into())
            .unwrap();
        let response = cx.send(OutboundRequest::new(request)).await;
        let response = response.map_err(|it| ExchangeError::from_transport("mint", it))?;
        read_token_response(&self.0, "mint", cx.clock.now(), &response)
    }
}

#[tokio::test]
async fn a_minted_token_is_renewed_without_a_refresh_token() {
    let mut described = description(RotationClass::Strict, RevocationReach::Grant);
    described.lifetimes.idle_seconds = Some(1800);
    let mut renewed = 0;
    for by in ["the worker", "a caller", "a refusal", "somebody"] {
        let connector = Minting(described.clone());
        let world = World::with(described.clone(), |builder| builder.connector(connector));
        let new = New {
            refreshable: false,
            ..New::of("alpha")
        };
        let key = world.connect_in(&world.store, "t1", new).await;
        // The response has no refresh token.
        world
            .provider
            .script(|_| Reply::With(|it| drop(it.remove("refresh_token"))));
        let token = world.drive(world.hub.access_token(&key)).await.unwrap();
        match by {
            "the worker" => {
                world.clock.advance(DUE);
                world.minutes(2).await;
            }
            "a caller" => {
                world.clock.advance(HOUR);
                let callers = (0..100).map(|_| world.hub.access_token(&key));
                let answers = world.drive(futures_util::future::join_all(callers)).await;
                assert!(answers.iter().all(Result::is_ok));
            }
            "a refusal" => {
                world.clock.advance(MINUTE * 2);
                let refused = token.generation();
                let callers = (0..100).map(|_| world.hub.after_rejection(&key, refused));
                let answers = world.drive(futures_util::future::join_all(callers)).await;
                assert!(answers.iter().all(Result::is_ok));
            }
            _ => {
                let refresh = world.hub.refresh(&key, provider::context());
                world.drive(refresh).await.unwrap();
            }
        }
        assert_eq!(
            world.provider.token_calls(),
            1,
            "one mint for each flight: {by}"
        );
        assert_eq!(world.generation(&key).await, 2, "{by}");
        let stored = world.stored(&key).await;
        assert!(!stored.connection.rotates, "{by}");
        // A lost response is retried like any other request, and no token needs to be kept alive.
        world
            .provider
            .once(Reply::Failed(TransportErrorKind::Timeout, Sent::Maybe));
        world.clock.advance(HOUR);
        world.minutes(3).await;
        world.minutes(30).await;
        assert_eq!(world.generation(&key).await, 3, "{by}");
        assert_eq!(world.provider.token_calls(), 3, "{by}");
        renewed += 1;
    }
    println!("{renewed} ways to mint");
    assert_eq!(renewed, 4);
}

/// Notion's tokens have no stated expiry, so they are refreshed only after a refusal.
#[tokio::test]
async fn a_token_without_an_expiry_is_refreshed_only_after_a_refusal() {
    let world = World::new(RotationClass::Strict);
    let new = New {
        access: None,
        ..New::of("alpha")
    };
    let key = world.connect_in(&world.store, "t1", new).await;
    for _ in 0..30 {
        world.clock.advance(HOUR * 24);
        world.minutes(1).await;
        drop(world.drive(world.hub.access_token(&key)).await.unwrap());
    }
    assert_eq!(
        world.provider.token_calls(),
        0,
        "nothing is refreshed on a guess"
    );
    let token = world.drive(world.hub.access_token(&key)).await.unwrap();
    let refused = token.generation();
    let callers = (0..100).map(|_| world.hub.after_rejection(&key, refused));
    let answers = world.drive(futures_util::future::join_all(callers)).await;
    let newer = answers.iter().filter(|it| it.is_ok()).count();
    let calls = world.provider.token_calls();
    println!("30 days without a refresh; 100 refusals: {calls} token call, {newer} served");
    assert_eq!((calls, newer), (1, 100));
}
