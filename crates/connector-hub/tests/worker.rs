//! The background jobs of the worker.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the test prints the counts"
)]

mod provider;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::CredentialCipher;
use connector_core::clock::Clock;
use connector_core::provider::description::{RefreshPolicy, RevocationReach};
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::{AuditFilter, AuditLog, AuditRecord, Maintenance};
use connector_core::{
    App, AppKey, Error, ErrorKind, Event, FixedApps, ProviderId, ReauthorizationReason, Result,
    Status,
};
use connector_hub::{ChangeHandler, CheckOutcome, Hub};

use self::provider::{
    ACME, DUE, HOUR, MINUTE, New, Reply, World, access_token, context, describe, description,
    drive, keyring, settle,
};

#[tokio::test]
async fn connections_are_refreshed_before_anybody_waits() {
    const CONNECTIONS: usize = 500;
    let world = World::new(RotationClass::Strict);
    let mut keys = Vec::new();
    for account in 0..CONNECTIONS {
        keys.push(world.connect(&format!("a{account}")).await);
    }
    world.clock.advance(DUE);
    world.minutes(200).await;
    let mut fresh = 0;
    for key in &keys {
        fresh += usize::from(world.generation(key).await >= 4);
    }
    println!("worker: {fresh} of {CONNECTIONS} kept fresh over 200 minutes");
    assert_eq!(fresh, CONNECTIONS);
    assert_eq!(world.provider.most_redeemed(), 1);
}

#[tokio::test]
async fn a_policy_on_demand_refreshes_only_to_keep_alive() {
    const DAY: u32 = 24;
    let mut on_demand = description(RotationClass::Stable, RevocationReach::Grant);
    on_demand.refresh = RefreshPolicy::OnDemand;
    on_demand.lifetimes.idle_seconds = Some(8 * 86_400);
    let world = World::with(on_demand, |builder| builder);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    drop(world.drive(world.hub.access_token(&key)).await.unwrap());
    assert_eq!(world.provider.token_calls(), 1);
    for _ in 0..DAY * 5 {
        world.clock.advance(HOUR.saturating_sub(MINUTE));
        world.minutes(1).await;
    }
    assert_eq!(world.provider.token_calls(), 1);
    for _ in 0..DAY * 2 {
        world.clock.advance(HOUR.saturating_sub(MINUTE));
        world.minutes(1).await;
    }
    assert_eq!(world.provider.token_calls(), 2);
}

#[tokio::test]
async fn an_owner_is_asked_once_before_a_refresh_token_runs_out() {
    let mut ending = description(RotationClass::Stable, RevocationReach::Grant);
    ending.lifetimes.refresh_seconds = Some(60 * 86_400);
    let world = World::with(ending, |builder| builder);
    let key = world.connect("alpha").await;
    // No refresh extends this expiry: 60 days at first, then as the responses state.
    world.clock.advance(HOUR);
    drop(world.drive(world.hub.access_token(&key)).await.unwrap());
    world
        .provider
        .script(|_| Reply::With(|it| drop(it.remove("refresh_token"))));
    for _ in 0..24 * 58 {
        world.clock.advance(HOUR.saturating_sub(MINUTE));
        world.minutes(1).await;
    }
    let filter = AuditFilter::default();
    let log = world.store.audit(&filter, None, 10_000).await.unwrap();
    let warned = log
        .items
        .iter()
        .filter(|it| matches!(it.entry.event, Event::RefreshExpiring { .. }))
        .count();
    println!("refresh token that runs out: {warned} warning");
    assert_eq!(warned, 1);
}

struct Recorder {
    seen: Arc<Mutex<Vec<u64>>>,
    fails: Arc<AtomicUsize>,
    panics: bool,
}

#[async_trait]
impl ChangeHandler for Recorder {
    async fn handle(&self, change: &AuditRecord) -> Result<()> {
        let left = self.fails.load(Ordering::SeqCst);
        if left > 0 {
            self.fails.store(left - 1, Ordering::SeqCst);
            assert!(!self.panics, "the handler dies for the test");
            return Err(Error::new(ErrorKind::Network, "test.handler", "not now"));
        }
        self.seen.lock().unwrap().push(change.number);
        Ok(())
    }
}

#[tokio::test]
async fn changes_are_delivered_at_least_once_even_if_a_handler_fails() {
    for panics in [false, true] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let fails = Arc::new(AtomicUsize::new(3));
        let recorder = Recorder {
            seen: Arc::clone(&seen),
            fails: Arc::clone(&fails),
            panics,
        };
        let strict = description(RotationClass::Strict, RevocationReach::Grant);
        let world = World::with(strict, |builder| builder.on_change(recorder));
        let key = world.connect("alpha").await;
        world.provider.kill("alpha");
        world.clock.advance(DUE);
        world.minutes(10).await;
        world.hub.disconnect(&key, context()).await.unwrap();
        world.minutes(10).await;
        let told = seen.lock().unwrap().clone();
        println!("changes told, a handler that fails three times (panics: {panics}): {told:?}");
        // The dead grant, the expiry, and the revocation.
        let mut once = told.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), 3);
        assert_eq!(fails.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_running_worker_ends_at_shutdown() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = world.hub.worker().concurrency(2);
    let running = tokio::spawn(worker.run(async move {
        let _ = stopped.await;
    }));
    for _ in 0..70 {
        world.clock.advance(MINUTE);
        settle(64).await;
    }
    assert_eq!(world.generation(&key).await, 2);
    assert!(!running.is_finished());
    stop.send(()).unwrap();
    world.drive(running).await.unwrap();
}

#[tokio::test]
async fn a_check_returns_and_records_the_state_of_a_connection() {
    let world = World::new(RotationClass::Strict);
    let key = world.connect("alpha").await;
    let works = world.drive(world.hub.check(&key, context())).await.unwrap();
    assert!(works.works());
    let check = world.stored(&key).await.connection.check.unwrap();
    assert_eq!(check.error, None);
    // A refused token is refreshed once.
    world.provider.refuse_access(access_token("alpha", 1));
    let works = world.drive(world.hub.check(&key, context())).await.unwrap();
    assert!(works.works());
    assert_eq!(world.provider.token_calls(), 1);
    assert_eq!(
        world.stored(&key).await.connection.confirmed.unwrap().get(),
        2
    );
    world.provider.kill("alpha");
    let failed = world.drive(world.hub.check(&key, context())).await.unwrap();
    let CheckOutcome::Failed(error) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
    let reason = ReauthorizationReason::GrantRevoked;
    assert_eq!(
        world.status(&key).await,
        Status::NeedsReauthorization(reason)
    );
    let check = world.stored(&key).await.connection.check.unwrap();
    assert_eq!(check.error.as_deref(), Some("needs_reauthorization"));
}

#[tokio::test]
async fn keys_are_rotated_while_everything_runs() {
    const CONNECTIONS: usize = 1000;
    let world = World::new(RotationClass::Strict);
    let mut keys = Vec::new();
    for account in 0..CONNECTIONS {
        keys.push(world.connect(&format!("a{account}")).await);
    }
    let app = App::new("client").with_client_secret("secret".to_owned());
    let rotated = Hub::builder()
        .store(world.store.clone())
        .cipher(keyring(2, &[1]))
        .transport(world.provider.clone())
        .clock(world.clock.clone())
        .apps(FixedApps::new().with(ACME, AppKey::default(), app))
        .connector(GenericConnector::new(world.description.clone()).unwrap())
        .build()
        .unwrap();
    world.clock.advance(DUE);
    let mut pages = 0;
    let worker = world.hub.worker();
    let rotation = rotated.rotate_keys(|_| pages += 1);
    let (rotation, tick) = drive(&world.clock, async {
        tokio::join!(rotation, worker.tick())
    })
    .await;
    let (rotation, tick) = (rotation.unwrap(), tick.unwrap());
    // The other node has sealed records under the old key meanwhile. It gets the new key, and then
    // no record is left.
    let last = rotated.rotate_keys(|_| ()).await.unwrap();
    let (resealed, late) = (rotation.resealed, last.resealed);
    println!(
        "key rotation: {resealed} records resealed on {pages} reports while {} were refreshed, {late} \
         afterwards",
        tick.work
    );
    assert!(last.complete && last.unopenable == 0);
    assert!(rotation.resealed + rotation.changed >= CONNECTIONS as u64);
    let left = world
        .store
        .sealed_rows(&keyring(2, &[1]).sealing_key(), None, 1)
        .await;
    assert!(left.unwrap().items.is_empty());
    world.clock.advance(Duration::from_secs(4000));
    for key in keys.iter().take(50) {
        drop(
            drive(&world.clock, rotated.access_token(key))
                .await
                .unwrap(),
        );
    }
}

/// A handler that hangs on every change. Counts the calls, the concurrent calls, and the dropped
/// calls.
#[derive(Clone, Default)]
struct Hanging(Arc<[AtomicUsize; 3]>);

struct Running(Hanging);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0[1].fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ChangeHandler for Hanging {
    async fn handle(&self, _change: &AuditRecord) -> Result<()> {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        let at_once = self.0[1].fetch_add(1, Ordering::SeqCst) + 1;
        self.0[2].fetch_max(at_once, Ordering::SeqCst);
        let _running = Running(self.clone());
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_change_handler_that_hangs_is_aborted_and_its_change_parked() {
    let hanging = Hanging::default();
    let strict = description(RotationClass::Strict, RevocationReach::Grant);
    let handler = hanging.clone();
    let world = World::with(strict, |builder| builder.on_change(handler));
    let key = world.connect("alpha").await;
    world.provider.kill("alpha");
    world.clock.advance(DUE);
    world.minutes(30).await;
    let [calls, running, at_once] = [0, 1, 2].map(|it| hanging.0[it].load(Ordering::SeqCst));
    println!("a handler that hangs: {calls} calls, {at_once} at once, {running} left running");
    assert_eq!((calls, running, at_once), (5, 0, 1));
    // The change stays in the log, and is no longer delivered.
    let reason = ReauthorizationReason::GrantRevoked;
    assert_eq!(
        world.status(&key).await,
        Status::NeedsReauthorization(reason)
    );
    let filter = AuditFilter::default();
    let log = world.store.audit(&filter, None, 100).await.unwrap();
    assert!(log.items.iter().any(|it| it.entry.notify));
    world.clock.advance(HOUR);
    assert!(
        world
            .store
            .take_changes(10, MINUTE)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn providers_that_hang_do_not_delay_another() {
    const EACH: usize = 700;
    const CALM: usize = 20;
    let strict = |provider| describe(provider, RotationClass::Strict, RevocationReach::Grant);
    let hung = [ProviderId::from_static("b"), ProviderId::from_static("c")];
    let mut apps = FixedApps::new();
    for provider in hung.iter().chain([&ACME]) {
        apps = apps.with(provider.clone(), AppKey::default(), App::new("client"));
    }
    let world = World::with(strict(ACME), |builder| {
        let connector =
            |provider: &ProviderId| GenericConnector::new(strict(provider.clone())).unwrap();
        builder
            .apps(apps)
            .connector(connector(&hung[0]))
            .connector(connector(&hung[1]))
    });
    for number in 0..EACH {
        for provider in &hung {
            let new = New {
                provider: provider.clone(),
                ..New::of(&format!("a{number}"))
            };
            world.connect_in(&world.store, "t1", new).await;
        }
    }
    world.clock.advance(Duration::from_secs(1));
    let mut calm = Vec::new();
    for number in 0..CALM {
        calm.push(world.connect(&format!("calm{number}")).await);
    }
    world.clock.advance(DUE);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(world.hub.worker().run(async move {
        let _ = stopped.await;
    }));
    let since = world.clock.monotonic();
    let mut fresh = 0;
    while fresh < CALM && world.clock.monotonic().since(since) < MINUTE * 3 {
        settle(512).await;
        fresh = 0;
        for key in &calm {
            fresh += usize::from(world.generation(key).await == 2);
        }
        world.clock.advance(Duration::from_millis(100));
    }
    let took = world.clock.monotonic().since(since);
    println!("two providers hang over {EACH} each: {fresh} of {CALM} others fresh after {took:?}");
    assert_eq!(fresh, CALM);
    assert!(took <= Duration::from_secs(5), "{took:?}");
    stop.send(()).unwrap();
    world.drive(running).await.unwrap();
}

type Change = fn(&mut Description, u32);

/// Returns the number of token requests in ten days, and the lifetime of the claim in seconds.
async fn observe(change: Change, number: u32) -> (u64, u64) {
    let mut described = description(RotationClass::Stable, RevocationReach::Grant);
    described.refresh = RefreshPolicy::OnDemand;
    change(&mut described, number);
    let world = World::with(described, |builder| builder);
    let key = world.connect("alpha").await;
    world
        .provider
        .script(|_| Reply::With(|it| drop(it.remove("expires_in"))));
    world.clock.advance(HOUR);
    world.provider.close_gate();
    let (hub, asked) = (world.hub.clone(), key.clone());
    let caller = tokio::spawn(async move { hub.access_token(&asked).await.map(drop) });
    settle(64).await;
    let claim = world.stored(&key).await.claim.unwrap();
    world.provider.open_gate();
    world.drive(caller).await.unwrap().unwrap();
    for _ in 0..10 * 24 {
        world.clock.advance(HOUR.saturating_sub(MINUTE));
        world.minutes(1).await;
    }
    (
        world.provider.token_calls(),
        claim.until.remaining().as_secs(),
    )
}

#[tokio::test]
async fn every_number_of_a_description_that_the_engine_uses_has_an_effect() {
    let cases: [(&str, Change, u32, u32); 6] = [
        (
            "lifetimes.unstated",
            |it, seconds| {
                it.refresh = RefreshPolicy::Proactive;
                it.lifetimes.unstated =
                    connector_core::provider::description::UnstatedLifetime::Assume(seconds.into());
            },
            6 * 3600,
            48 * 3600,
        ),
        (
            "lifetimes.refresh_ahead_seconds",
            |it, seconds| {
                it.refresh = RefreshPolicy::Proactive;
                it.lifetimes.unstated =
                    connector_core::provider::description::UnstatedLifetime::Assume(24 * 3600);
                it.lifetimes.refresh_ahead_seconds = Some(seconds.into());
            },
            600,
            12 * 3600,
        ),
        (
            "lifetimes.refresh_seconds",
            |it, seconds| it.lifetimes.refresh_seconds = Some(seconds.into()),
            6 * 86_400,
            60 * 86_400,
        ),
        (
            "lifetimes.idle_seconds",
            |it, seconds| it.lifetimes.idle_seconds = Some(seconds.into()),
            2 * 86_400,
            60 * 86_400,
        ),
        (
            "rotation.grace.time.seconds",
            |it, seconds| it.rotation = RotationClass::Grace(Grace::Time { seconds }),
            60,
            63,
        ),
        (
            "rotation.grace.until_successor_used.max_seconds",
            |it, max_seconds| {
                let grace = Grace::UntilSuccessorUsed { max_seconds };
                it.rotation = RotationClass::Grace(grace);
            },
            60,
            3600,
        ),
    ];
    for (name, change, low, high) in cases {
        let (a, b) = (observe(change, low).await, observe(change, high).await);
        println!("{name}: {low} gives {a:?}, {high} gives {b:?}");
        assert_ne!(a, b, "{name}");
    }
    println!("{} numbers", cases.len());
}
