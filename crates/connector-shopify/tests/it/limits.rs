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
    // The application knows better than the estimate.
    let query = Graphql::<Value>::new(document, &()).unwrap();
    let error = client.send(&query.with_cost(900)).await.unwrap_err();
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

const PLANS: [(f64, f64); 4] = [
    (2000.0, 100.0),
    (4000.0, 200.0),
    (20_000.0, 1000.0),
    (40_000.0, 2000.0),
];

/// Ten shops on four plans.
struct Hour {
    budgets: Arc<Budgets>,
    clock: ManualClock,
    start: Timestamp,
    shopify: Shopify,
}

impl Hour {
    fn new() -> Self {
        let start = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        let clock = ManualClock::new(start);
        let shops = (0..10).map(|number| {
            let (limit, rate) = PLANS[number % PLANS.len()];
            let account = Account {
                limit,
                rate,
                left: limit,
                at: start,
                taken: 0.0,
            };
            (Self::host(number), account)
        });
        let budgets = Arc::new(Budgets {
            clock: clock.clone(),
            shops: Mutex::new(shops.collect()),
            calls: AtomicUsize::new(0),
            throttled: AtomicUsize::new(0),
        });
        Self {
            budgets,
            clock,
            start,
            shopify: Shopify::new(ShopifyConfig::builder().build().unwrap()),
        }
    }

    fn host(number: usize) -> String {
        format!("shop-{number}.myshopify.com")
    }

    /// Returns a session of a shop in a process of its own: it shares nothing with other sessions.
    fn session(&self, shop: usize) -> Session {
        let origin = Origin::parse(&format!("https://{}", Self::host(shop))).unwrap();
        let token = Arc::new(FixedToken::new(origin, "token".to_owned()));
        Session::builder(&self.shopify, token, Arc::<Budgets>::clone(&self.budgets))
            .clock(Arc::new(self.clock.clone()))
            .build()
    }

    /// Lets `seconds` pass.
    async fn pass(&self, seconds: u64) {
        let end = self.clock.now().after(Duration::from_secs(seconds));
        while self.clock.now() < end {
            // On one thread, all ready tasks run before this one continues.
            for _ in 0..12 {
                tokio::task::yield_now().await;
            }
            self.clock.advance(Duration::from_millis(50));
        }
    }

    /// Returns the least part of a restore rate that was used, and the number of calls and of
    /// throttled ones.
    fn used(&self) -> (f64, usize, usize) {
        let seconds = self.clock.now().since(self.start).as_secs_f64();
        let shops = self.budgets.shops.lock().unwrap();
        let used = shops.values().map(|it| it.taken / (it.rate * seconds));
        let calls = self.budgets.calls.load(Ordering::Relaxed);
        let throttled = self.budgets.throttled.load(Ordering::Relaxed);
        (used.fold(1.0, f64::min), calls, throttled)
    }
}

/// Sends calls without a pause.
fn call_forever(session: Session) -> tokio::task::JoinHandle<()> {
    let client = ShopifyClient::new(session);
    tokio::spawn(async move {
        let query = Graphql::<Value>::new("{ shop { name } }", &()).unwrap();
        let query = query.with_cost(300);
        loop {
            client.send(&query).await.unwrap();
        }
    })
}

/// One virtual hour of ten shops on four plans, with more calls than the budgets allow. Four callers
/// of each shop share a process. Processes that share nothing get more refusals, until they share
/// their limits.
#[tokio::test]
async fn an_hour_of_ten_shops_uses_the_budgets_and_is_hardly_ever_throttled() {
    let hour = Hour::new();
    let mut callers = Vec::new();
    for shop in 0..10 {
        let session = hour.session(shop);
        callers.extend((0..4).map(|_| call_forever(session.clone())));
    }
    hour.pass(3600).await;
    let failed = callers.iter().filter(|caller| caller.is_finished()).count();
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    let (used, calls, throttled) = hour.used();
    println!(
        "calls: {calls}, throttled: {throttled}, least part of a restore rate that was used: \
         {used:.3}"
    );
    assert_eq!(failed, 0, "a call failed");
    assert!(calls > 10_000);
    assert!(throttled * 1000 < calls, "{throttled} of {calls}");
    assert!(used >= 0.95, "{used}");
}

/// An interactive call waits for the points of one query at most, however many calls a backfill
/// queues.
#[tokio::test]
async fn an_interactive_call_never_waits_behind_a_backfill() {
    let mut longest = Duration::ZERO;
    let mut count = 0;
    for (shop, (_, rate)) in PLANS.into_iter().enumerate() {
        let hour = Hour::new();
        let session = hour.session(shop);
        let backfill: Vec<_> = (0..20)
            .map(|_| call_forever(session.background()))
            .collect();
        hour.pass(120).await;
        let client = ShopifyClient::new(session);
        let query = Graphql::<Value>::new("{ shop { name } }", &()).unwrap();
        let query = query.with_cost(400);
        for _ in 0..20 {
            let begun = hour.clock.now();
            let call = client.send(&query);
            tokio::select! {
                outcome = call => drop(outcome.unwrap()),
                () = hour.pass(60) => panic!("the call still waits"),
            }
            let waited = hour.clock.now().since(begun);
            // The points of one query with the margin of the limiter, the call itself, and the
            // resolution of this test.
            let allowed = Duration::from_secs_f64(1.15 * NEEDED / rate);
            let allowed = allowed + Duration::from_millis(300);
            assert!(waited <= allowed, "{waited:?} on plan {shop}");
            longest = longest.max(waited);
            count += 1;
            hour.pass(3).await;
        }
        backfill.iter().for_each(tokio::task::JoinHandle::abort);
    }
    println!("interactive calls during a backfill: {count}, longest wait: {longest:?}");
}
