//! Four hubs on one store and one expired token: one request at the provider.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::ConnectionKey;
use connector_core::clock::{Clock, ManualClock, Monotonic, Timestamp};
use connector_core::store::{Store, TokenStore};
use connector_hub::Hub;
use connector_store_sqlite::SqliteOptions;
use connector_testkit::artefacts;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{World, credential, digest, hub, past_expiry};

const HUBS: usize = 4;
const TASKS_PER_HUB: usize = 2_500;
const TASKS: usize = HUBS * TASKS_PER_HUB;

/// A clock that knows who sleeps shortly, to look at the store again.
#[derive(Debug, Clone)]
struct Looks {
    clock: ManualClock,
    /// How many sleep, and how many have woken.
    count: watch::Sender<(usize, usize)>,
}

impl Looks {
    const LONGEST: Duration = Duration::from_secs(1);

    fn new(clock: ManualClock) -> Self {
        Self {
            clock,
            count: watch::Sender::new((0, 0)),
        }
    }

    /// Once somebody sleeps, wakes all who do.
    async fn wake(&self) {
        let mut count = self.count.subscribe();
        let (asleep, woken) = *count.wait_for(|(asleep, _)| *asleep > 0).await.unwrap();
        self.clock.advance(Self::LONGEST);
        let all = count.wait_for(|(_, now)| *now >= woken + asleep).await;
        all.unwrap();
    }
}

#[async_trait]
impl Clock for Looks {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        if duration > Self::LONGEST {
            return self.clock.sleep(duration).await;
        }
        let _look = Look::new(&self.count);
        self.clock.sleep(duration).await;
    }
}

struct Look<'a>(&'a watch::Sender<(usize, usize)>);

impl<'a> Look<'a> {
    fn new(count: &'a watch::Sender<(usize, usize)>) -> Self {
        count.send_modify(|(asleep, _)| *asleep += 1);
        Self(count)
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|(asleep, woken)| {
            *asleep -= 1;
            *woken += 1;
        });
    }
}

/// All tasks of all hubs ask at once for the token of `key`, which has expired.
async fn stampede(hubs: Vec<Hub>, key: &ConnectionKey, clock: &Looks) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS_PER_HUB {
        for hub in &hubs {
            let (hub, key) = (hub.clone(), key.clone());
            tasks.spawn(async move {
                let token = hub.access_token(&key).await.unwrap();
                digest(token.secret())
            });
        }
    }
    // Nobody but the one hub that has the claim can bring a token before the time moves.
    let mut tokens = vec![tasks.join_next().await.unwrap().unwrap()];
    loop {
        tokio::select! {
            biased;
            ended = tasks.join_next() => match ended {
                Some(token) => tokens.push(token.unwrap()),
                None => return tokens,
            },
            () = clock.wake() => {}
        }
    }
}

async fn one_request_for_all<S: Store + Clone>(
    world: &World,
    account: &str,
    clock: &Looks,
    stores: Vec<S>,
) {
    let fleet: Vec<Hub> = stores
        .iter()
        .map(|store| {
            hub(
                world.openid,
                store.clone(),
                &world.keys,
                &world.wire,
                clock.clone(),
            )
        })
        .collect();
    let flow = world.begin_at(&fleet[0]).await;
    let query = world.consent(&flow, account).await;
    let finish = fleet[0].callback(
        connector_tests::openid::PROVIDER,
        &query,
        flow.binding.clone(),
    );
    let key = finish.await.unwrap().into_connection().key;
    for round in 1..=3 {
        clock.clock.advance(past_expiry());
        let tokens = stampede(fleet.clone(), &key, clock).await;
        assert_eq!(tokens.len(), TASKS);
        let stored = stores[0].load(&key).await.unwrap().unwrap();
        let kept = credential(&world.keys, &stored).await;
        let newest = digest(kept.secret());
        assert!(tokens.iter().all(|token| *token == newest));
        assert!(world.openid.is_active(kept.secret()).await.unwrap());
        let ledger = world.ledger(account).await;
        assert_eq!(
            (ledger.refreshes.accepted, ledger.refreshes.refused),
            (round, 0)
        );
        println!("{TASKS} tasks of {HUBS} hubs, round {round}: 1 token request, 0 refused");
    }
}

impl World {
    async fn begin_at(&self, hub: &Hub) -> crate::world::Flow {
        let authorize = hub.authorize(&self.tenant, connector_tests::openid::PROVIDER);
        let begun = authorize
            .actor(crate::world::owner())
            .begin()
            .await
            .unwrap();
        crate::world::Flow {
            url: begun.url().clone(),
            binding: begun.binding().clone(),
        }
    }
}

#[tokio::test]
async fn ten_thousand_tasks_of_four_hubs_on_one_store_in_memory_make_one_request() {
    let Some(world) = World::new() else { return };
    let clock = Looks::new(world.clock.clone());
    let stores = vec![world.store.clone(); HUBS];
    one_request_for_all(&world, "fleet-memory", &clock, stores).await;
}

#[tokio::test]
async fn ten_thousand_tasks_of_four_hubs_on_one_sqlite_file_make_one_request() {
    let Some(world) = World::new() else { return };
    let clock = Looks::new(world.clock.clone());
    let directory = artefacts::directory("openid-fleet").unwrap();
    let mut stores = Vec::new();
    for _ in 0..HUBS {
        let options = SqliteOptions::new(directory.path().join("fleet.sqlite"));
        let store = options.with_clock(Arc::new(world.clock.clone())).open();
        stores.push(store.await.unwrap());
    }
    one_request_for_all(&world, "fleet-sqlite", &clock, stores).await;
}
