//! The process stops at any call between the arrival of a delivery and its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::{
    DeliveryFilter, DeliveryKey, DeliveryState, MemoryStore, Store, TokenStore,
};
use connector_core::{ConnectionKey, Result};
use connector_hub::{Delivered, DeliveryHandler, Hub, Receipt};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::kill::{Action, Counted, KillPoints};

use crate::rig::{MAIL, Request, Rig, SHOP, Shared, apps, lock};

/// Counts its calls. Its effect lies between two calls of the store, so the process can stop before,
/// during and after it.
struct Effect<S> {
    store: Counted<S>,
    connection: ConnectionKey,
    calls: Arc<Mutex<BTreeMap<DeliveryKey, usize>>>,
}

#[async_trait]
impl<S: Store> DeliveryHandler for Effect<S> {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        self.store.generation(&self.connection).await?;
        *lock(&self.calls).entry(delivery.key().clone()).or_default() += 1;
        self.store.generation(&self.connection).await?;
        Ok(())
    }
}

fn requests() -> [http::Request<bytes::Bytes>; 3] {
    let about = |request: Request| request.about("a.shop.example");
    [
        // Three events in one delivery, and one that also asks for a probe of the connection.
        about(Request::shop("d-1", "t", "1").with("x-count", "3")).into(),
        about(Request::shop("d-2", "app/uninstalled", "2")).into(),
        Request::mail("d-3", "t", b"3").into(),
    ]
}
const EVENTS: usize = 5;

#[derive(Debug, Default)]
struct Counts {
    crashes: usize,
    acknowledged: usize,
    sent_again: usize,
    handled: usize,
    repeated: usize,
}

/// Stops the process at every point, over a new store each time.
async fn stop_everywhere<S: Store + Clone>(open: impl AsyncFn(&Rig) -> S) -> Counts {
    let mut counts = Counts::default();
    for number in 1.. {
        let rig = Rig::new();
        let store = open(&rig).await;
        let calls: Arc<Mutex<BTreeMap<DeliveryKey, usize>>> = Arc::default();
        let hub = async |points: &KillPoints| -> (Hub, ConnectionKey) {
            let plain = rig.another_on(store.clone(), Shared(Arc::clone(&rig.keyring)));
            let plain = plain.apps(apps()).build().unwrap();
            let connection = rig.connect_on(&plain, "t1", SHOP, "a").await;
            let counted = points.wrap(Arc::new(store.clone()));
            let cipher = points.wrap(Arc::new(Shared(Arc::clone(&rig.keyring))));
            let hub = rig.another_on(counted.clone(), cipher).apps(apps());
            let hub = hub.on_delivery(Effect {
                store: counted,
                connection: connection.clone(),
                calls: Arc::clone(&calls),
            });
            (hub.build().unwrap(), connection)
        };

        let points = KillPoints::at(number, Action::Hang);
        let (stopping, _) = hub(&points).await;
        let acknowledged = Arc::new(Mutex::new([false; 3]));
        let process = tokio::spawn({
            let acknowledged = Arc::clone(&acknowledged);
            async move {
                for (place, request) in requests().into_iter().enumerate() {
                    let provider = if place == 2 { &MAIL } else { &SHOP };
                    stopping.receive(provider, request).await.unwrap();
                    lock(&acknowledged)[place] = true;
                }
                stopping.worker().tick().await.unwrap();
            }
        });
        while points.fired().is_none() && !process.is_finished() {
            tokio::task::yield_now().await;
        }
        process.abort();
        let _ = process.await;
        let acknowledged = *lock(&acknowledged);
        let before = lock(&calls).clone();
        assert!(before.values().all(|times| *times == 1), "{before:?}");
        let crashed = points.fired();

        // Another process starts. The providers repeat what was not acknowledged.
        let (next, connection) = hub(&KillPoints::counting()).await;
        for (place, request) in requests().into_iter().enumerate() {
            let provider = if place == 2 { &MAIL } else { &SHOP };
            let receipt = next.receive(provider, request).await.unwrap();
            if acknowledged[place] {
                assert!(matches!(receipt, Receipt::Duplicate { .. }), "{crashed:?}");
                counts.acknowledged += 1;
            } else {
                counts.sent_again += 1;
            }
        }
        for _ in 0..2 {
            next.worker().tick().await.unwrap();
            rig.clock.advance(Duration::from_secs(301));
        }
        next.worker().tick().await.unwrap();

        let after = lock(&calls).clone();
        assert_eq!(after.len(), EVENTS, "lost at {crashed:?}");
        for (key, times) in &after {
            let in_flight = before.contains_key(key);
            assert!(
                *times == 1 || (*times == 2 && in_flight),
                "{key:?} {times} at {crashed:?}"
            );
            counts.repeated += times - 1;
        }
        counts.handled += after.values().sum::<usize>();
        let filter = DeliveryFilter::default();
        let stored = next.deliveries(&filter, None, 100).await.unwrap().items;
        assert!(
            stored.iter().all(|it| it.state == DeliveryState::Done),
            "{crashed:?}"
        );
        // Five events, and the row of the probe.
        assert_eq!(stored.len(), EVENTS + 1);
        assert!(store.load(&connection).await.unwrap().is_some());
        if crashed.is_none() {
            assert_eq!(after, before, "without a crash nothing is repeated");
            return counts;
        }
        counts.crashes += 1;
    }
    counts
}

fn check(store: &str, counts: &Counts) {
    println!("{store}: {counts:?}, 0 lost");
    assert!(
        counts.crashes > 80 && counts.acknowledged > 50,
        "{counts:?}"
    );
    assert!(counts.sent_again > 20 && counts.repeated > 5, "{counts:?}");
}

#[tokio::test]
async fn a_crash_at_any_call_loses_no_acknowledged_delivery_in_memory() {
    let counts = stop_everywhere(async |rig| MemoryStore::new(Arc::new(rig.clock.clone())));
    check("memory", &counts.await);
}

#[tokio::test]
async fn a_crash_at_any_call_loses_no_acknowledged_delivery_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let files = Mutex::new(0);
    let counts = stop_everywhere(async |rig: &Rig| -> SqliteStore {
        let number = {
            let mut files = lock(&files);
            *files += 1;
            *files
        };
        let options = SqliteOptions::new(folder.path().join(format!("{number}.db")));
        let options = options.with_clock(Arc::new(rig.clock.clone()));
        options.create_if_missing(true).open().await.unwrap()
    });
    check("sqlite", &counts.await);
}
