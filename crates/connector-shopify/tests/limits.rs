//! The cost of calls, as answers tell it, and what comes of it.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

mod world;

use std::time::Duration;

use connector_core::api::RetryPolicy;
use connector_core::{ErrorKind, Retry};
use connector_shopify::sim::{Route, SimulatedShop};
use connector_shopify::{Cost, ShopDomain, endpoints::ListProducts};
use serde_json::{Value, json};

use world::World;

fn wait(cost: Value) -> Option<Duration> {
    serde_json::from_value::<Cost>(cost).unwrap().wait()
}

/// The body that Shopify publishes for a throttled query, and the wait that a library's test gives.
#[test]
fn the_published_throttle_answer_means_a_wait_of_280_ms() {
    let cost = json!({
        "requestedQueryCost": 507,
        "actualQueryCost": null,
        "throttleStatus": {
            "maximumAvailable": 1000.0, "currentlyAvailable": 493, "restoreRate": 50.0,
        },
    });
    assert_eq!(wait(cost), Some(Duration::from_millis(280)));
    println!("published throttle waits: 1");
}

#[test]
fn costs_with_parts_missing_or_odd_lead_to_no_endless_wait() {
    let status = |available: f64, rate: f64| {
        json!({ "requestedQueryCost": 100, "throttleStatus": {
            "maximumAvailable": 1000, "currentlyAvailable": available, "restoreRate": rate,
        } })
    };
    assert_eq!(wait(json!({})), None);
    assert_eq!(
        wait(json!({ "requestedQueryCost": 5, "throttleStatus": null })),
        None
    );
    assert_eq!(wait(status(100.0, 50.0)), Some(Duration::ZERO));
    assert_eq!(wait(status(500.0, 0.0)), Some(Duration::ZERO));
    for rate in [0.0, -1.0, 1e-9] {
        let longest = wait(status(0.0, rate)).unwrap();
        assert_eq!(longest, Duration::from_secs(120), "{rate}");
    }
}

/// A shop whose budget is one page of 98 products and a little.
async fn narrow() -> World {
    let shop = ShopDomain::parse("narrow.myshopify.com").unwrap();
    let shop = SimulatedShop::new(shop).with_plan("Basic", 120.0, 10.0);
    World::with(|builder| builder.with_shop(shop)).await
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_the_answer_says_and_succeeds() {
    let world = narrow().await;
    let credential = world.connect().await;
    // Each of these knows nothing of the other's calls, like two processes.
    let [one, other] = [world.client(&credential), world.client(&credential)];
    let page = ListProducts::new().with_page_size(98);
    one.send(&page).await.unwrap();
    let before = world.now();
    let sent = world.sim.count(Route::Graphql);
    let (answer, ()) = tokio::join!(other.send(&page), async {
        world.clock.wait_for_sleepers(1).await;
        world.clock.advance(Duration::from_secs(10));
    });
    // 60 products and 2 points for their list were taken of 120: 100 are there after 4 s.
    assert_eq!(answer.unwrap().items.len(), 60);
    assert!(world.now().since(before) <= Duration::from_secs(10));
    assert_eq!(
        world.sim.count(Route::Graphql) - sent,
        2,
        "refused once, then answered"
    );
}

#[tokio::test]
async fn a_throttled_call_that_is_not_repeated_says_when_to_come_back() {
    let world = narrow().await;
    let credential = world.connect().await;
    let page = ListProducts::new().with_page_size(98);
    world.client(&credential).send(&page).await.unwrap();
    let impatient = world.session_with(&credential, RetryPolicy::never());
    let error = impatient.send(&page).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let Retry::After(after) = error.retry() else {
        panic!("{error:?}");
    };
    assert!(
        after > Duration::from_secs(3) && after < Duration::from_secs(6),
        "{after:?}"
    );
    assert!(error.request_id().is_some());
}

#[tokio::test]
async fn one_session_paces_itself_and_is_never_throttled() {
    let world = narrow().await;
    let credential = world.connect().await;
    let client = world.client(&credential);
    let page = ListProducts::new().with_page_size(98);
    client.send(&page).await.unwrap();
    let sent = world.sim.count(Route::Graphql);
    let calls = async {
        for _ in 0..5 {
            client.send(&page).await.unwrap();
        }
    };
    let time = async {
        loop {
            world.clock.wait_for_sleepers(1).await;
            world.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = calls => {}
        () = time => {}
    }
    assert_eq!(
        world.sim.count(Route::Graphql) - sent,
        5,
        "no call was refused"
    );
}

#[tokio::test]
async fn a_query_that_costs_more_than_any_may_is_refused_for_good() {
    let world = World::new().await;
    let credential = world.connect().await;
    let document = "{ products(first: 250) { nodes { variants(first: 100) { nodes { id } } } } }";
    let client = world.client(&credential);
    let error = client.graphql::<Value>(document, &()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Rejected, Retry::Never)
    );
}
