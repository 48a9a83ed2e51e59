//! R21: behind a pooler in transaction mode, every caller gets its own result.

use connector_core::ErrorKind;
use connector_core::store::{
    ClaimOutcome, CommitOutcome, Generation, PutOutcome, SideEffects, TokenStore,
};
use connector_testkit::StoreFixture;
use tokio::task::JoinSet;

use crate::fixture::grants::{claim, commit, first_grant, key};
use crate::fixture::{POOLER, PoolerFixture, SERVER, options, schema, url};

const CLIENTS: u8 = 8;
const OPERATIONS: u32 = 100_000;

/// The pooler has 4 connections to the server (`default_pool_size`), for 8 clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_its_own_result() {
    if let Some(reason) = PoolerFixture::skipped() {
        println!("skipped: {reason}");
        return;
    }
    let (server, pooler) = (url(SERVER).unwrap(), url(POOLER).unwrap());
    let name = schema();
    options(&server, &name).migrate().await.unwrap();
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let options = options(&pooler, &name)
            .with_pooler(true)
            .with_connections(1);
        tasks.spawn(async move {
            let store = options.open().await.unwrap();
            let put = store.put_grant(first_grant(client, &[client]), SideEffects::none());
            assert_eq!(put.await.unwrap(), PutOutcome::Stored);
            let (mut operations, mut foreign, mut generation) = (1_u32, 0_u32, 1_u64);
            while operations < OPERATIONS / u32::from(CLIENTS) {
                let own = store.load(&key(client)).await.unwrap().unwrap();
                let is_own = own.connection.key == key(client)
                    && own.connection.generation == Generation::new(generation)
                    && own
                        .current
                        .is_some_and(|it| it.sealed.bytes().first() == Some(&client));
                let read = store.generation(&key(client)).await.unwrap();
                foreign += u32::from(!is_own);
                foreign += u32::from(read != Some(Generation::new(generation)));
                operations += 2;
                if operations % 10 == 0 || operations % 11 == 0 {
                    let round = u8::try_from(operations % 251).unwrap();
                    let claimed = store.claim(&key(client), claim(round, generation)).await;
                    let ClaimOutcome::Granted { fence, stored, .. } = claimed.unwrap() else {
                        foreign += 1;
                        continue;
                    };
                    foreign += u32::from(stored.connection.key != key(client));
                    let result = commit(round, generation, fence, &[client, round]);
                    let stored = store
                        .commit(&key(client), result, SideEffects::none())
                        .await;
                    foreign += u32::from(stored.unwrap() != CommitOutcome::Stored);
                    generation += 1;
                    operations += 2;
                }
            }
            (operations, foreign)
        });
    }
    let (mut operations, mut foreign) = (0, 0);
    for (of_client, wrong) in tasks.join_all().await {
        operations += of_client;
        foreign += wrong;
    }
    println!("operations behind the pooler: {operations}, results of other clients: {foreign}");
    assert!(operations >= OPERATIONS);
    assert_eq!(foreign, 0);
}

/// Prepared statements behind the pooler fail with an error that names the setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_statements_behind_a_pooler_name_the_setting() {
    if PoolerFixture::skipped().is_some() {
        return;
    }
    let (server, pooler) = (url(SERVER).unwrap(), url(POOLER).unwrap());
    let name = schema();
    options(&server, &name).migrate().await.unwrap();
    // The store sends its settings when it connects, which PgBouncer refuses.
    let direct = options(&pooler, &name).with_connections(8).open().await;
    let error = direct.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.report());
    assert!(
        error.message().contains("with_pooler"),
        "{}",
        error.report()
    );
}
