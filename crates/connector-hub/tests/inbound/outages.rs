//! The store or the cipher is unavailable: the provider is asked to retry, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use connector_core::store::DeliveryState;
use connector_hub::Receipt;
use connector_testkit::kill::{Action, KillPoints};

use crate::rig::{Recorder, Request, Rig, SHOP, Shared, apps};

fn request() -> http::Request<bytes::Bytes> {
    Request::shop("d-1", "app/uninstalled", "1")
        .about("a.shop.example")
        .into()
}

#[tokio::test]
async fn after_any_failed_call_an_acknowledged_delivery_is_handled_and_a_refused_one_is_retried() {
    let (mut refused, mut tried, mut number) = (0, 0, 1);
    loop {
        let rig = Rig::new();
        let connection = rig.connect("t1", SHOP, "a").await;
        let points = KillPoints::at(number, Action::Fail);
        let recorder = Recorder::new();
        let store = points.wrap(Arc::new(rig.store.clone()));
        let cipher = points.wrap(Arc::new(Shared(Arc::clone(&rig.keyring))));
        let hub = rig.another_on(store, cipher).apps(apps());
        let hub = hub.on_delivery(recorder.clone()).build().unwrap();

        let first = hub.receive(&SHOP, request()).await;
        let was_refused = first.is_err();
        if let Err(error) = first {
            assert_eq!(Receipt::refusal(&error).status(), 503, "{error}");
            refused += 1;
            let again = hub.receive(&SHOP, request()).await.unwrap();
            assert_eq!(again.response().status(), 200);
        }
        let worker = hub.worker();
        for _ in 0..3 {
            // A tick that could not read the store returns an error. The next one continues.
            let _ = worker.tick().await;
            rig.clock.advance(Duration::from_secs(301));
        }
        let fired = points.fired();
        let told = recorder.told();
        assert!(!told.is_empty(), "lost at {fired:?}");
        assert!(
            told.iter()
                .all(|it| it.connection.as_ref() == Some(&connection))
        );
        assert_eq!(
            rig.deliveries().await[0].state,
            DeliveryState::Done,
            "{fired:?}"
        );
        if fired.is_none() {
            assert!(!was_refused);
            assert_eq!(told.len(), 1);
            break;
        }
        tried += 1;
        number += 1;
    }
    assert!(refused >= 3 && tried > 20, "{refused} of {tried}");
    println!("{tried} failing calls: {refused} deliveries refused with 503, 0 lost");
}

#[tokio::test]
async fn a_hub_that_shuts_down_has_deliveries_repeated() {
    let rig = Rig::new();
    rig.hub.shutdown(Duration::from_secs(1)).await.unwrap();
    let error = rig.hub.receive(&SHOP, request()).await.unwrap_err();
    assert_eq!(Receipt::refusal(&error).status(), 503);
    let other = rig.other_hub();
    other.receive(&SHOP, request()).await.unwrap();
    assert_eq!(other.worker().tick().await.unwrap().deliveries, 1);
}
