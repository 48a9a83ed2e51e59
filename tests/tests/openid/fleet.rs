//! Four hubs on one store with one expired token send one token request.

use std::sync::Arc;

use connector_core::ConnectionKey;
use connector_core::store::Store;
use connector_hub::Hub;
use connector_store_sqlite::SqliteOptions;
use connector_testkit::artefacts;
use connector_testkit::leak::digest;
use tokio::task::JoinSet;

use crate::world::{World, credential, hub, past_expiry};

const HUBS: usize = 4;
const TASKS_PER_HUB: usize = 2_500;
const TASKS: usize = HUBS * TASKS_PER_HUB;

/// All tasks of all hubs request the expired token of `key` at once.
async fn stampede(world: &World, hubs: &[Hub], key: &ConnectionKey) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS_PER_HUB {
        for hub in hubs {
            let (hub, key) = (hub.clone(), key.clone());
            tasks.spawn(async move {
                let token = hub.access_token(&key).await.unwrap();
                digest(token.secret())
            });
        }
    }
    world.clock.all(tasks).await
}

async fn one_request_for_all<S: Store + Clone>(world: &World, account: &str, stores: Vec<S>) {
    let fleet: Vec<Hub> = stores
        .iter()
        .map(|store| {
            hub(
                world.openid,
                store.clone(),
                &world.keys,
                &world.wire,
                world.clock.clone(),
            )
        })
        .collect();
    let key = world.connect_at(&fleet[0], account).await;
    for round in 1..=3 {
        world.clock.advance(past_expiry());
        let tokens = stampede(world, &fleet, &key).await;
        assert_eq!(tokens.len(), TASKS);
        let row = stores[0].load(&key).await.unwrap().unwrap();
        let kept = credential(&world.keys, &row).await;
        let newest = digest(kept.secret());
        assert!(tokens.iter().all(|token| *token == newest));
        assert!(world.openid.is_active(kept.secret()).await.unwrap());
        let ledger = world.ledger(account).await;
        assert_eq!(
            (ledger.refreshes.accepted, ledger.refreshes.refused),
            (round, 0)
        );
        println!(
            "{} tasks of {} hubs, round {round}: {} token requests so far",
            tokens.len(),
            fleet.len(),
            ledger.refreshes.all()
        );
    }
}

#[tokio::test]
async fn ten_thousand_tasks_of_four_hubs_on_one_store_in_memory_make_one_request() {
    let Some(world) = World::new() else { return };
    let stores = vec![world.store.clone(); HUBS];
    one_request_for_all(&world, "fleet-memory", stores).await;
}

#[tokio::test]
async fn ten_thousand_tasks_of_four_hubs_on_one_sqlite_file_make_one_request() {
    let Some(world) = World::new() else { return };
    let directory = artefacts::directory("openid-fleet").unwrap();
    let mut stores = Vec::new();
    for _ in 0..HUBS {
        let options = SqliteOptions::new(directory.path().join("fleet.sqlite"));
        let store = options.with_clock(Arc::new(world.clock.clone())).open();
        stores.push(store.await.unwrap());
    }
    one_request_for_all(&world, "fleet-sqlite", stores).await;
}
