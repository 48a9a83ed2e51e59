//! The cost of calls in responses, and its effect on rate limits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{FixedToken, RetryPolicy, Session};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::ProviderClient as _;
use connector_core::{ErrorKind, Retry};
use connector_shopify::sim::{Route, SimulatedShop};
use connector_shopify::{
    Cost, Graphql, ShopDomain, Shopify, ShopifyClient, ShopifyConfig, endpoints::ListProducts,
};
use serde_json::{Value, json};

use crate::world::World;

fn wait(cost: Value) -> Option<Duration> {
    serde_json::from_value::<Cost>(cost).unwrap().wait()
}

/// Shopify's documented response for a throttled query, and the wait from a test of its library.
#[test]
fn the_published_throttle_response_means_a_wait_of_280_ms() {
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

/// A shop whose budget suffices for little more than one page of 98 products.
async fn narrow() -> World {
    let shop = ShopDomain::parse("narrow.myshopify.com").unwrap();
    let shop = SimulatedShop::new(shop).with_plan("Basic", 120.0, 10.0);
    World::with(|builder| builder.with_shop(shop)).await
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_the_response_says_and_succeeds() {
    let world = narrow().await;
    let credential = world.connect().await;
    // The clients do not share their limits, like two processes.
    let [one, other] = [world.client(&credential), world.client(&credential)];
    let page = ListProducts::new().with_page_size(98);
    one.send(&page).await.unwrap();
    let before = world.now();
    let sent = world.sim.count(Route::Graphql);
    let (answer, ()) = tokio::join!(other.send(&page), async {
        world.clock.wait_for_sleepers(1).await;
        world.clock.advance(Duration::from_secs(10));
    });
    // The list took 62 of 120 points: 60 products and 2 points. 100 points are available after 4 s.
    assert_eq!(answer.unwrap().items.len(), 60);
    assert!(world.now().since(before) <= Duration::from_secs(10));
    assert_eq!(
        world.sim.count(Route::Graphql) - sent,
        2,
        "refused once, then answered"
    );
}

#[tokio::test]
async fn a_throttled_call_that_is_not_retried_returns_the_retry_delay() {
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

/// Simulated budgets of shops, without a network. Each call needs 400 points and consumes 280 to
/// 400 of them after a tenth of a second.
#[derive(Debug)]
struct Budgets {
    clock: ManualClock,
    shops: Mutex<HashMap<String, Account>>,
    calls: AtomicUsize,
    throttled: AtomicUsize,
}

#[derive(Debug)]
struct Account {
    limit: f64,
    rate: f64,
    left: f64,
    at: Timestamp,
    taken: f64,
}

const NEEDED: f64 = 400.0;

#[async_trait]
impl HttpTransport for Budgets {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep(Duration::from_millis(50)).await;
        let body = {
            let now = self.clock.now();
            let mut shops = self.shops.lock().unwrap();
            let shop = shops
                .get_mut(request.request.uri().host().unwrap())
                .unwrap();
            let refilled = now.since(shop.at).as_secs_f64() * shop.rate;
            shop.left = (shop.left + refilled).min(shop.limit);
            shop.at = now;
            let is_throttled = shop.left < NEEDED;
            let part = u32::try_from(call % 7).unwrap();
            let actual = NEEDED - 20.0 * f64::from(part);
            if is_throttled {
                self.throttled.fetch_add(1, Ordering::Relaxed);
            } else {
                shop.left -= actual;
                shop.taken += actual;
            }
            let cost = json!({ "cost": {
                "requestedQueryCost": NEEDED,
                "actualQueryCost": if is_throttled { None } else { Some(actual) },
                "throttleStatus": {
                    "maximumAvailable": shop.limit,
                    "currentlyAvailable": shop.left.floor(),
                    "restoreRate": shop.rate,
                },
            } });
            if is_throttled {
                let error =
                    json!({ "message": "Throttled", "extensions": { "code": "THROTTLED" } });
                json!({ "errors": [error], "extensions": cost })
            } else {
                json!({ "data": { "shop": null }, "extensions": cost })
            }
        };
        self.clock.sleep(Duration::from_millis(50)).await;
        Ok(http::Response::new(Bytes::from(body.to_string())))
    }
}

/// One virtual hour of ten shops on four plans, with more calls than the budgets allow.
#[tokio::test]
async fn an_hour_of_ten_shops_uses_the_budgets_and_is_hardly_ever_throttled() {
    const PLANS: [(f64, f64); 4] = [
        (2000.0, 100.0),
        (4000.0, 200.0),
        (20_000.0, 1000.0),
        (40_000.0, 2000.0),
    ];
    const CALLERS: usize = 4;
    let start = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
    let clock = ManualClock::new(start);
    let host = |number: usize| format!("shop-{number}.myshopify.com");
    let shops = (0..10).map(|number| {
        let (limit, rate) = PLANS[number % PLANS.len()];
        let account = Account {
            limit,
            rate,
            left: limit,
            at: start,
            taken: 0.0,
        };
        (host(number), account)
    });
    let budgets = Arc::new(Budgets {
        clock: clock.clone(),
        shops: Mutex::new(shops.collect()),
        calls: AtomicUsize::new(0),
        throttled: AtomicUsize::new(0),
    });
    let shopify = Shopify::new(ShopifyConfig::builder().build().unwrap());
    let mut callers = Vec::new();
    for number in 0..10 {
        let origin = Origin::parse(&format!("https://{}", host(number))).unwrap();
        let token = Arc::new(FixedToken::new(origin, "token".to_owned()));
        let session = Session::builder(&shopify, token, Arc::<Budgets>::clone(&budgets))
            .clock(Arc::new(clock.clone()))
            .build();
        for _ in 0..CALLERS {
            let client = ShopifyClient::new(session.clone());
            callers.push(tokio::spawn(async move {
                let query = Graphql::<Value>::new("{ shop { name } }", &()).unwrap();
                let query = query.with_cost(300);
                loop {
                    client.send(&query).await.unwrap();
                }
            }));
        }
    }
    let end = start.after(Duration::from_secs(3600));
    while clock.now() < end {
        // On one thread, all ready tasks run before this one continues.
        for _ in 0..12 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(50));
    }
    let failed = callers.iter().filter(|caller| caller.is_finished()).count();
    assert_eq!(failed, 0, "a call failed");
    for caller in callers {
        caller.abort();
    }
    let calls = budgets.calls.load(Ordering::Relaxed);
    let throttled = budgets.throttled.load(Ordering::Relaxed);
    println!("calls: {calls}, throttled: {throttled}");
    assert!(calls > 10_000);
    assert!(throttled * 1000 < calls);
    let shops = budgets.shops.lock().unwrap();
    let mut least: f64 = 1.0;
    for (host, shop) in shops.iter() {
        let used = shop.taken / (shop.rate * 3600.0);
        assert!(used >= 0.95, "{host} used {used}");
        least = least.min(used);
    }
    println!("least part of a restore rate that was used: {least:.3}");
}
