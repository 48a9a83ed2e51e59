//! Deliveries are accepted once and handled at least once, even if handlers fail.

use std::sync::Arc;
use std::time::Duration;

use connector_core::store::DeliveryState;
use connector_core::{AuditClass, ErrorKind, Event};
use connector_hub::Receipt;
use connector_store_sqlite::SqliteOptions;
use tokio::task::JoinSet;

use crate::rig::{MAIL, Mood, Recorder, Request, Rig, SHOP, Shared, apps, operator, tenant};

const PAUSES: [u64; 9] = [5, 30, 120, 600, 3600, 7200, 18_000, 36_000, 36_000];

/// The writes of a SQLite store wait for one lock. The worker leased further deliveries while other
/// deliveries held this lock and did not run, and every write of the process then waited forever.
#[tokio::test]
async fn deliveries_that_end_at_the_same_time_do_not_block_a_store_with_one_writer() {
    const DELIVERIES: usize = 64;
    let rig = Rig::new();
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(directory.path().join("c.db"));
    let options = options.with_clock(Arc::new(rig.clock.clone()));
    let store = options.open().await.unwrap();
    let hub = rig
        .another_on(store, Shared(Arc::clone(&rig.keyring)))
        .apps(apps())
        .on_delivery(rig.recorder.clone())
        .build()
        .unwrap();
    for number in 0..DELIVERIES {
        let request = Request::shop(&format!("d-{number}"), "t", format!("{number}"));
        hub.receive(&SHOP, request.into()).await.unwrap();
    }
    let limit = Duration::from_secs(120);
    let tick = tokio::time::timeout(limit, hub.worker().tick()).await;
    let handled = tick.expect("the store is blocked").unwrap().deliveries;
    println!("{handled} deliveries were handled at the same time on SQLite");
    assert_eq!(handled, DELIVERIES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delivery_that_comes_a_thousand_times_is_handled_once() {
    let rig = Arc::new(Rig::new());
    rig.connect("t1", SHOP, "a").await;
    let hubs = [rig.hub.clone(), rig.other_hub()];
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let hub = hubs[task % 2].clone();
        // 8 × 32 + 24 × 31 = 1,000
        let times = if task < 8 { 32 } else { 31 };
        tasks.spawn(async move {
            let (mut accepted, mut duplicates, mut handled) = (0, 0, 0);
            for time in 0..times {
                let request = Request::shop("d-1", "t", "1").about("a.shop.example");
                match hub.receive(&SHOP, request.into()).await.unwrap() {
                    Receipt::Accepted { events, .. } => accepted += events.len(),
                    Receipt::Duplicate { .. } => duplicates += 1,
                    other => panic!("{other:?}"),
                }
                if time % 8 == 0 {
                    handled += hub.worker().tick().await.unwrap().deliveries;
                }
            }
            (accepted, duplicates, handled)
        });
    }
    let (mut accepted, mut duplicates, mut handled) = (0, 0, 0);
    while let Some(counted) = tasks.join_next().await {
        let counted = counted.unwrap();
        accepted += counted.0;
        duplicates += counted.1;
        handled += counted.2;
    }
    handled += rig.tick().await;
    assert_eq!((accepted, duplicates, handled), (1, 999, 1));
    assert_eq!(rig.recorder.told().len(), 1);
    println!("1,000 deliveries of one id: {accepted} accepted, {duplicates} repeated, 1 handled");

    // The delivery is remembered for a week.
    rig.clock.advance(Duration::from_secs(7 * 86_400 - 60));
    let again = async || rig.receive(&SHOP, Request::shop("d-1", "t", "1")).await;
    rig.tick().await;
    assert!(matches!(again().await, Receipt::Duplicate { .. }));
    rig.clock.advance(Duration::from_secs(120));
    rig.tick().await;
    assert!(matches!(again().await, Receipt::Accepted { .. }));
}

#[tokio::test]
async fn an_unsigned_id_cannot_be_spent_on_another_body() {
    let rig = Rig::new();
    // An attacker who saw an old delivery sends it again with the id of a future one.
    rig.receive(&SHOP, Request::shop("to-come", "t", "old"))
        .await;
    let genuine = rig
        .receive(&SHOP, Request::shop("to-come", "t", "new"))
        .await;
    assert!(matches!(genuine, Receipt::Accepted { .. }));
    // A signed id cannot be changed by an attacker.
    rig.receive(&MAIL, Request::mail("d-1", "t", b"old")).await;
    let again = rig.receive(&MAIL, Request::mail("d-1", "t", b"new")).await;
    assert!(matches!(again, Receipt::Duplicate { .. }));
    // Endpoints have separate ids.
    let request = Request::mail("d-1", "t", b"old");
    let other = rig.hub.receive(&MAIL, request.into()).endpoint("other");
    assert!(matches!(other.await.unwrap(), Receipt::Accepted { .. }));
    assert_eq!(rig.tick().await, 4);
}

#[tokio::test]
async fn bundled_events_are_all_kept_once() {
    let rig = Rig::new();
    let bundle = || Request::shop("d-1", "t", "1").with("x-count", "3");
    let Receipt::Accepted { events, .. } = rig.receive(&SHOP, bundle()).await else {
        panic!("not accepted");
    };
    assert_eq!(events.len(), 3);
    assert!(matches!(
        rig.receive(&SHOP, bundle()).await,
        Receipt::Duplicate { .. }
    ));
    assert_eq!(rig.tick().await, 3);
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_gets_the_delivery_again_and_the_worker_continues() {
    for (mood, why) in [(Mood::Fails, "rejected"), (Mood::Panics, "panicked")] {
        let rig = Rig::new();
        rig.recorder.set(mood);
        let second = Recorder::new();
        let hub = rig.another().apps(apps());
        let hub = hub
            .on_delivery(rig.recorder.clone())
            .on_delivery(second.clone());
        let worker = hub.build().unwrap().worker();
        rig.receive(&SHOP, Request::shop("d-1", "poison", "1"))
            .await;
        rig.receive(&SHOP, Request::shop("d-2", "t", "2")).await;
        assert_eq!(worker.tick().await.unwrap().deliveries, 1);
        assert_eq!(
            second.told().len(),
            2,
            "the other handler is not kept from it"
        );
        let parked = rig.deliveries().await;
        let failed = parked
            .iter()
            .find(|it| it.state == DeliveryState::Waiting)
            .unwrap();
        assert_eq!(failed.error.as_deref(), Some(why));
        assert_eq!(worker.tick().await.unwrap().deliveries, 0);
        rig.recorder.set(Mood::Handles);
        rig.clock.advance(Duration::from_secs(6));
        assert_eq!(worker.tick().await.unwrap().deliveries, 1);
        assert_eq!(rig.recorder.told().last().unwrap().attempt, 2);
        assert_eq!(second.told().len(), 2, "nor is it told again");
        assert_eq!(worker.tick().await.unwrap().deliveries, 0);
    }
}

#[tokio::test]
async fn a_handler_that_hangs_is_dropped_and_others_are_served_meanwhile() {
    let rig = Arc::new(Rig::new());
    rig.recorder.set(Mood::Hangs);
    rig.receive(&SHOP, Request::shop("d-1", "poison", "1"))
        .await;
    let slow = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.tick().await }
    });
    rig.clock.wait_for_sleepers(1).await;
    rig.receive(&SHOP, Request::shop("d-2", "t", "2")).await;
    assert_eq!(rig.tick().await, 1);
    rig.clock.advance(Duration::from_secs(241));
    assert_eq!(slow.await.unwrap(), 0);
    let record = rig.deliveries().await;
    let slow = record
        .iter()
        .find(|it| it.state == DeliveryState::Waiting)
        .unwrap();
    assert_eq!(slow.error.as_deref(), Some("timeout"));
    rig.recorder.set(Mood::Handles);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(rig.tick().await, 1);
}

#[tokio::test]
async fn a_process_that_ends_between_acknowledging_and_handling_loses_nothing() {
    let rig = Rig::new();
    let hub = rig.another().apps(apps()).build().unwrap();
    for number in 0..50 {
        let request = Request::shop(&format!("d-{number}"), "t", format!("{number}"));
        hub.receive(&SHOP, request.into()).await.unwrap();
        // A worker without handlers leaves deliveries to a worker with handlers.
        assert_eq!(hub.worker().tick().await.unwrap().deliveries, 0);
    }
    drop(hub);
    assert_eq!(rig.tick().await, 50);
    assert_eq!(rig.recorder.told().len(), 50);
}

#[tokio::test]
async fn a_process_that_ends_while_a_handler_runs_repeats_it_elsewhere() {
    let rig = Rig::new();
    rig.recorder.set(Mood::Hangs);
    rig.receive(&SHOP, Request::shop("d-1", "poison", "1"))
        .await;
    let dying = rig.other_hub();
    let task = tokio::spawn(async move { dying.worker().tick().await });
    rig.clock.wait_for_sleepers(1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    rig.recorder.set(Mood::Handles);
    assert_eq!(rig.tick().await, 0, "it is still the other's");
    rig.clock.advance(Duration::from_secs(301));
    assert_eq!(rig.tick().await, 1);
    assert_eq!(rig.recorder.told().last().unwrap().attempt, 2);
}

#[tokio::test]
async fn what_fails_ten_times_is_parked_until_it_is_replayed() {
    let rig = Rig::new();
    rig.recorder.set(Mood::Fails);
    rig.receive(&SHOP, Request::shop("d-1", "poison", "1"))
        .await;
    let mut attempts = 0;
    for pause in PAUSES {
        assert_eq!(rig.tick().await, 0);
        attempts += 1;
        assert_eq!(rig.recorder.told().len(), attempts);
        rig.clock.advance(Duration::from_millis(pause * 1000 - 1));
        rig.tick().await;
        assert_eq!(
            rig.recorder.told().len(),
            attempts,
            "too early after {attempts}"
        );
        rig.clock.advance(Duration::from_secs(pause / 5 + 1));
    }
    rig.tick().await;
    assert_eq!(rig.recorder.told().len(), 10);
    let parked = rig.deliveries().await.remove(0);
    assert_eq!(parked.state, DeliveryState::Parked);
    assert_eq!(parked.error.as_deref(), Some("rejected"));
    rig.clock.advance(Duration::from_secs(86_400));
    rig.tick().await;
    assert_eq!(rig.recorder.told().len(), 10);

    rig.recorder.set(Mood::Handles);
    rig.hub
        .replay_as_operator(&parked.key, &tenant("t1"), operator())
        .await
        .unwrap();
    let entry = rig.audit().await.pop().unwrap();
    assert_eq!(
        (entry.class, entry.context),
        (AuditClass::Administration, operator())
    );
    assert!(
        matches!(entry.event, Event::DeliveryReplayed { ref endpoint, .. } if endpoint == "default")
    );
    let waits = rig
        .hub
        .replay_as_operator(&parked.key, &tenant("t1"), operator())
        .await;
    assert_eq!(waits.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rig.tick().await, 1);
    assert_eq!(rig.recorder.told().last().unwrap().attempt, 11);
    // A handled delivery may also be replayed.
    rig.hub
        .replay_as_operator(&parked.key, &tenant("t1"), operator())
        .await
        .unwrap();
    assert_eq!(rig.tick().await, 1);
}

#[tokio::test]
async fn a_running_worker_handles_what_arrives_at_once() {
    let rig = Rig::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = rig.hub.worker();
    let running = tokio::spawn(worker.run(async move {
        let _ = stopped.await;
    }));
    // The worker has polled once and sleeps.
    rig.clock.wait_for_sleepers(1).await;
    for number in 0..100 {
        let id = format!("d-{number}");
        rig.receive(&SHOP, Request::shop(&id, "t", id.clone()))
            .await;
        // The clock stands still, so only the arrival wakes the worker.
        while rig.recorder.told().len() <= number {
            tokio::task::yield_now().await;
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(rig.recorder.told().len(), 100);
}
