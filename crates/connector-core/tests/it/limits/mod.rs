//! Rate limits: the order of calls, and the load at the provider.

#![expect(
    clippy::clone_on_ref_ptr,
    clippy::struct_field_names,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::unchecked_time_subtraction,
    reason = "clones of test doubles, and long tables"
)]

mod hooks;
mod hostile;
mod hour;
mod isolation;
mod providers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{FixedToken, Idempotency, Request, Response, Session};
use connector_core::clock::Clock;
use connector_core::http::limit::{
    Budget, Draws, Limit, LimitKey, Limits, Per, Priority, RateModel, Report,
};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::Endpoint;
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_core::{AccountKey, ErrorKind, ProviderId, Result, Retry};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde::Deserialize;

use crate::simulation::{Seeded, VirtualClock};

const HOUR: Duration = Duration::from_secs(3600);

fn shared(clock: &VirtualClock) -> Arc<dyn Clock> {
    Arc::new(clock.clone())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bucket(capacity: u32, per_second: f64) -> RateModel {
    RateModel::Bucket {
        capacity,
        per_second,
    }
}

fn key(account: &str) -> LimitKey {
    let account = AccountKey::new(account).unwrap();
    LimitKey::new(ProviderId::from_static("acme"), "client", account)
}

fn account_budget(clock: &VirtualClock, model: RateModel) -> Budget {
    let limit = Limit::new("account", Per::Account, model);
    let account = Limits::new(shared(clock)).account(&key("a"), &[limit]);
    account.budget("account").unwrap()
}

const COST: RateModel = RateModel::Cost {
    capacity: 1000,
    per_second: 50,
};

#[test]
fn a_bucket_admits_its_capacity_and_then_its_refill() {
    let clock = VirtualClock::default();
    let budget = Budget::new(bucket(10, 2.0), shared(&clock));
    let went = clock.run(async {
        let mut went = Vec::new();
        for _ in 0..14 {
            let permit = budget
                .acquire(Priority::Interactive, "call", 1)
                .await
                .unwrap();
            went.push(clock.elapsed().as_millis());
            permit.complete(&Report::new());
        }
        went
    });
    let expected = [0; 10].into_iter().chain([500, 1000, 1500, 2000]);
    assert_eq!(went, expected.collect::<Vec<_>>());
}

#[test]
fn waiters_are_served_in_order_and_interactive_calls_first() {
    let clock = VirtualClock::default();
    let budget = Budget::new(bucket(1, 1.0), shared(&clock));
    let order = Mutex::new(Vec::new());
    let call = |name: &'static str, class, cost, after| {
        let (budget, order, clock) = (budget.clone(), &order, clock.clone());
        async move {
            clock.sleep(Duration::from_millis(after)).await;
            budget
                .acquire(class, "call", cost)
                .await
                .unwrap()
                .complete(&Report::new());
            order.lock().unwrap().push(name);
        }
        .boxed()
    };
    let tasks: Vec<BoxFuture<'_, ()>> = vec![
        call("first", Priority::Background, 1, 0),
        call("background 1", Priority::Background, 1, 1),
        call("background 2", Priority::Background, 1, 2),
        call("interactive 1", Priority::Interactive, 1, 3),
        call("interactive 2", Priority::Interactive, 1, 4),
        call("late", Priority::Interactive, 1, 2500),
    ];
    clock.run_all(tasks, HOUR);
    let expected = [
        "first",
        "interactive 1",
        "interactive 2",
        "late",
        "background 1",
        "background 2",
    ];
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn a_large_call_at_the_head_is_not_overtaken_by_small_ones() {
    let clock = VirtualClock::default();
    let budget = Budget::new(bucket(10, 1.0), shared(&clock));
    clock.run(async {
        budget
            .acquire(Priority::Interactive, "call", 10)
            .await
            .unwrap()
            .complete(&Report::new());
        let mut large = Box::pin(budget.acquire(Priority::Interactive, "call", 8));
        assert!(large.as_mut().now_or_never().is_none());
        clock.sleep(seconds(5)).await;
        let mut small = Box::pin(budget.acquire(Priority::Interactive, "call", 1));
        assert!(small.as_mut().now_or_never().is_none());
        let (large, small) = futures_util::future::join(
            large.map(|permit| (permit, clock.elapsed())),
            small.map(|permit| (permit, clock.elapsed())),
        )
        .await;
        assert_eq!((large.1, small.1), (seconds(8), seconds(9)));
    });
}

#[test]
fn a_cancelled_wait_leaves_no_gap() {
    let clock = VirtualClock::default();
    let budget = Budget::new(bucket(1, 1.0), shared(&clock));
    clock.run(async {
        budget
            .acquire(Priority::Interactive, "call", 1)
            .await
            .unwrap()
            .complete(&Report::new());
        let mut first = Box::pin(budget.acquire(Priority::Interactive, "call", 1));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(budget.acquire(Priority::Interactive, "call", 1));
        assert!(second.as_mut().now_or_never().is_none());
        clock.sleep(Duration::from_millis(500)).await;
        drop(first);
        drop(second.await);
        assert_eq!(clock.elapsed(), seconds(1));
        assert_eq!(format!("{budget:?}").matches("waiting: 0").count(), 1);
    });
}

#[test]
fn a_released_permit_is_returned_and_a_dropped_one_is_not() {
    let clock = VirtualClock::default();
    for (model, refill) in [
        (bucket(5, 1.0), seconds(5)),
        (
            RateModel::Window {
                requests: 5,
                seconds: 7,
            },
            seconds(7),
        ),
    ] {
        let budget = Budget::new(model, shared(&clock));
        clock.run(async {
            let start = clock.elapsed();
            let permit = budget
                .acquire(Priority::Interactive, "call", 5)
                .await
                .unwrap();
            permit.release();
            let permit = budget
                .acquire(Priority::Interactive, "call", 5)
                .await
                .unwrap();
            assert_eq!(clock.elapsed(), start);
            drop(permit);
            budget
                .acquire(Priority::Interactive, "call", 5)
                .await
                .unwrap()
                .release();
            assert_eq!(clock.elapsed(), start + refill);
        });
    }
}

#[test]
fn until_the_first_response_calls_are_sent_one_at_a_time() {
    let clock = VirtualClock::default();
    let budget = account_budget(&clock, COST);
    clock.run(async {
        let first = budget
            .acquire(Priority::Interactive, "call", 1)
            .await
            .unwrap();
        let mut second = Box::pin(budget.acquire(Priority::Interactive, "call", 1));
        assert!(second.as_mut().now_or_never().is_none());
        // A response without rate-limit values allows one more call.
        first.complete(&Report::new());
        let second = second.await.unwrap();
        let mut third = Box::pin(budget.acquire(Priority::Interactive, "call", 1));
        assert!(third.as_mut().now_or_never().is_none());
        let report = Report::new()
            .with_available(90.0)
            .with_capacity(2000.0)
            .with_rate(100.0);
        second.complete(&report);
        let third = third.await.unwrap();
        let fourth = budget
            .acquire(Priority::Interactive, "call", 1)
            .await
            .unwrap();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        drop((third, fourth));
        // 88 units are left, and the rate is the one that the response reported.
        drop(
            budget
                .acquire(Priority::Interactive, "call", 188)
                .await
                .unwrap(),
        );
        assert_eq!(clock.elapsed(), seconds(1));
    });
}

#[test]
fn the_requested_cost_of_an_operation_is_learned_from_responses() {
    let clock = VirtualClock::default();
    let budget = account_budget(&clock, COST);
    clock.run(async {
        let report = Report::new()
            .with_requested(507.0)
            .with_available(493.0)
            .with_capacity(1000.0)
            .with_rate(50.0);
        let permit = budget
            .acquire(Priority::Interactive, "list", 1)
            .await
            .unwrap();
        permit.complete(&report);
        // The wait that the provider's documentation states: (507 - 493) / 50.
        budget
            .acquire(Priority::Interactive, "list", 1)
            .await
            .unwrap()
            .release();
        assert_eq!(clock.elapsed(), Duration::from_millis(280));
        budget
            .acquire(Priority::Interactive, "get", 1)
            .await
            .unwrap()
            .release();
        assert_eq!(clock.elapsed(), Duration::from_millis(280));
    });
}

#[test]
fn invalid_reported_values_change_nothing() {
    let clock = VirtualClock::default();
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        let budget = account_budget(&clock, COST);
        clock.run(async {
            let start = clock.elapsed();
            let report = Report::new()
                .with_requested(nonsense)
                .with_actual(nonsense)
                .with_available(nonsense)
                .with_capacity(nonsense)
                .with_rate(nonsense);
            for _ in 0..2 {
                let permit = budget
                    .acquire(Priority::Interactive, "call", 500)
                    .await
                    .unwrap();
                permit.complete(&report);
            }
            let empty = Report::new().with_capacity(0.0).with_rate(0.0);
            let permit = budget
                .acquire(Priority::Interactive, "call", 50)
                .await
                .unwrap();
            assert_eq!(clock.elapsed(), start + seconds(1));
            permit.complete(&empty);
            drop(
                budget
                    .acquire(Priority::Interactive, "call", 100)
                    .await
                    .unwrap(),
            );
            assert_eq!(clock.elapsed(), start + seconds(3));
        });
    }
}

#[test]
fn a_call_above_the_capacity_is_sent_when_the_bucket_is_full() {
    let clock = VirtualClock::default();
    let budget = Budget::new(bucket(10, 1.0), shared(&clock));
    clock.run(async {
        drop(
            budget
                .acquire(Priority::Interactive, "call", 50)
                .await
                .unwrap(),
        );
        assert_eq!(clock.elapsed(), Duration::ZERO);
        drop(
            budget
                .acquire(Priority::Interactive, "call", 1)
                .await
                .unwrap(),
        );
        assert_eq!(clock.elapsed(), seconds(41));
    });
}

#[test]
fn an_account_has_one_budget_and_the_number_of_accounts_is_bounded() {
    let clock = VirtualClock::default();
    let limits = Limits::new(shared(&clock));
    let limit = Limit::new("account", Per::Account, bucket(1, 1.0));
    let limit_of = |number: u32| {
        let account = limits.account(&key(&number.to_string()), std::slice::from_ref(&limit));
        account.budget("account").unwrap()
    };
    clock.run(async {
        let permit = limit_of(0)
            .acquire(Priority::Interactive, "call", 1)
            .await
            .unwrap();
        permit.complete(&Report::new());
        let again = limit_of(0);
        drop(
            again
                .acquire(Priority::Interactive, "call", 1)
                .await
                .unwrap(),
        );
        assert_eq!(clock.elapsed(), seconds(1));
        drop(again);
        for number in 0..100_000 {
            clock.sleep(seconds(10)).await;
            let _ = limit_of(number);
        }
        let shown = format!("{limits:?}");
        let known: usize = shown
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap();
        println!("100000 accounts called, {known} stored at the end");
        assert!((1..=2048).contains(&known), "{shown}");
    });
}

proptest! {
    /// For any sequence of arrivals, waits, cancellations, responses and drops, the limit is not
    /// exceeded and no call waits forever.
    #[test]
    fn a_window_is_never_exceeded_and_never_stuck(
        calls in prop::collection::vec((0..3_000_u64, 1..4_u32, 0..3_u8, 0..400_u64), 1..60),
    ) {
        let clock = VirtualClock::default();
        let model = RateModel::Window { requests: 5, seconds: 2 };
        let budget = Budget::new(model, shared(&clock));
        let went = Mutex::new(Vec::new());
        let served = AtomicU64::new(0);
        let tasks = calls.iter().map(|&(after, cost, fate, latency)| {
            let (budget, clock, went, served) = (budget.clone(), clock.clone(), &went, &served);
            async move {
                clock.sleep(Duration::from_millis(after)).await;
                let class = if after % 2 == 0 { Priority::Background } else { Priority::Interactive };
                let acquire = budget.acquire(class, "call", cost);
                if fate == 0 {
                    let patience = clock.sleep(Duration::from_millis(latency));
                    let patience = std::pin::pin!(patience);
                    let acquire = std::pin::pin!(acquire);
                    let _ = futures_util::future::select(acquire, patience).await;
                } else {
                    let permit = acquire.await.unwrap();
                    clock.sleep(Duration::from_millis(latency / 2)).await;
                    went.lock().unwrap().push((clock.elapsed(), cost));
                    clock.sleep(Duration::from_millis(latency / 2)).await;
                    if fate == 1 { permit.complete(&Report::new()) } else { drop(permit) }
                }
                served.fetch_add(1, Ordering::Relaxed);
            }.boxed()
        }).collect();
        clock.run_all(tasks, HOUR);
        prop_assert_eq!(served.into_inner(), calls.len() as u64);
        let went = went.into_inner().unwrap();
        for (start, _) in &went {
            let within = went.iter().filter(|(at, _)| at >= start && *at < *start + seconds(2));
            prop_assert!(within.map(|(_, cost)| cost).sum::<u32>() <= 5);
        }
    }
}

/// A shop's bucket as the provider counts it.
#[derive(Debug)]
struct Shop {
    capacity: f64,
    per_second: f64,
    level: f64,
    at: Duration,
    used: f64,
    wasted: f64,
    calls: u64,
    throttled: u64,
}

impl Shop {
    fn new(capacity: f64, per_second: f64) -> Self {
        Self {
            capacity,
            per_second,
            level: capacity,
            at: Duration::ZERO,
            used: 0.0,
            wasted: 0.0,
            calls: 0,
            throttled: 0,
        }
    }

    fn call(&mut self, now: Duration, requested: f64, actual: f64) -> String {
        let level = self.level + now.saturating_sub(self.at).as_secs_f64() * self.per_second;
        self.wasted += (level - self.capacity).max(0.0);
        self.level = level.min(self.capacity);
        self.at = now;
        self.calls += 1;
        let goes = requested <= self.level;
        if goes {
            self.level -= actual;
            self.used += actual;
        } else {
            self.throttled += 1;
        }
        serde_json::json!({
            "throttled": !goes,
            "requested": requested,
            "actual": goes.then_some(actual),
            "maximum": self.capacity,
            "available": self.level.floor(),
            "rate": self.per_second,
        })
        .to_string()
    }
}

/// Many shops behind a network that delays and reorders requests.
#[derive(Debug)]
struct Shops {
    clock: VirtualClock,
    random: Seeded,
    shops: Mutex<BTreeMap<String, Shop>>,
}

#[async_trait]
impl HttpTransport for Shops {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = outbound.request;
        let latency = |random: &Seeded| Duration::from_millis(10 + random.below(140));
        self.clock.sleep(latency(&self.random)).await;
        let query = request.uri().query().unwrap();
        let (requested, actual) = query.split_once('=').unwrap();
        let body = self
            .shops
            .lock()
            .unwrap()
            .get_mut(request.uri().host().unwrap())
            .unwrap()
            .call(
                self.clock.elapsed(),
                requested.parse().unwrap(),
                actual.parse().unwrap(),
            );
        self.clock.sleep(latency(&self.random)).await;
        Ok(http::Response::new(body.into()))
    }
}

#[derive(Deserialize)]
struct Told {
    throttled: bool,
    requested: f64,
    actual: Option<f64>,
    maximum: f64,
    available: f64,
    rate: f64,
}

fn decode(response: &mut Response) -> Result<()> {
    let told: Told = response.json()?;
    let mut report = Report::new()
        .with_requested(told.requested)
        .with_available(told.available)
        .with_capacity(told.maximum)
        .with_rate(told.rate);
    if let Some(actual) = told.actual {
        report = report.with_actual(actual);
    }
    response.report(report);
    if told.throttled {
        let wait = (told.requested - told.available).max(0.0) / told.rate;
        return Err(response
            .error(ErrorKind::RateLimited, "throttled")
            .with_retry(Retry::After(Duration::from_secs_f64(wait))));
    }
    Ok(())
}

fn query(requested: u32, actual: u32) -> Result<Request> {
    Ok(Request::post(["graphql"])?.query(&requested.to_string(), &actual.to_string()))
}

/// An operation whose cost depends on its arguments.
struct List {
    requested: u32,
    actual: u32,
}

connector_core::provider::provider_client! {
    struct AcmeClient for ProviderId::from_static("acme");
}

impl Endpoint for List {
    type Client = AcmeClient;
    type Output = ();
    const NAME: &'static str = "List";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        Draws::cost(self.requested)
    }

    fn request(&self) -> Result<Request> {
        query(self.requested, self.actual)
    }

    fn decode(&self, response: &mut Response) -> Result<()> {
        decode(response)
    }
}

/// An operation without a declared cost.
struct Change;

impl Endpoint for Change {
    type Client = AcmeClient;
    type Output = ();
    const NAME: &'static str = "Change";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn request(&self) -> Result<Request> {
        query(40, 30)
    }

    fn decode(&self, response: &mut Response) -> Result<()> {
        decode(response)
    }
}

#[test]
fn an_hour_of_ten_shops_on_four_plans_uses_the_refill_and_is_rarely_throttled() {
    const PLANS: [(f64, f64); 4] = [
        (2000.0, 100.0),
        (4000.0, 200.0),
        (20_000.0, 1000.0),
        (40_000.0, 2000.0),
    ];
    let clock = VirtualClock::default();
    let hosts: Vec<String> = (0..10).map(|shop| format!("shop-{shop}.example")).collect();
    let shops = hosts.iter().enumerate().map(|(number, host)| {
        let (capacity, per_second) = PLANS[number % 4];
        (host.clone(), Shop::new(capacity, per_second))
    });
    let transport = Arc::new(Shops {
        clock: clock.clone(),
        random: Seeded::new(2),
        shops: Mutex::new(shops.collect()),
    });
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://acme.example")];
    description.limits = vec![Limit::cost(1000, 50)];
    let connector = GenericConnector::new(description).unwrap();
    let failed = AtomicU64::new(0);
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let origin = Origin::parse(&format!("https://{host}")).unwrap();
        let token = Arc::new(FixedToken::new(origin, "secret"));
        let session = Session::builder(&connector, token, transport.clone())
            .clock(shared(&clock))
            .random(Arc::new(Seeded::new(3)))
            .build();
        for worker in 0..12 {
            // Calls of twelve workers take longer than the default patience, and interactive calls
            // keep the limit busy all the time.
            let session = session.with_patience(2 * HOUR);
            let session = if worker % 2 == 0 {
                session
            } else {
                session.background()
            };
            let random = Seeded::new(100 + 12 * number as u64 + worker);
            let failed = &failed;
            tasks.push(
                async move {
                    loop {
                        let result = if random.below(4) == 0 {
                            session.send(&Change).await
                        } else {
                            let requested = u32::try_from(20 + random.below(780)).unwrap();
                            let share = u32::try_from(30 + random.below(71)).unwrap();
                            let actual = requested * share / 100;
                            session.send(&List { requested, actual }).await
                        };
                        failed.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
                    }
                }
                .boxed(),
            );
        }
    }
    clock.run_all(tasks, HOUR);
    let shops = transport.shops.lock().unwrap();
    let (mut calls, mut throttled) = (0, 0);
    for (host, shop) in &*shops {
        // The initial content of the bucket does not count as restored units.
        let used = (shop.used - shop.capacity) / (shop.per_second * HOUR.as_secs_f64());
        println!(
            "{host}: {:6} a second, {:6} calls, {:3} throttled, {:.2} % of the rate used",
            shop.per_second,
            shop.calls,
            shop.throttled,
            used * 100.0
        );
        assert!(used >= 0.95, "{host}");
        calls += shop.calls;
        throttled += shop.throttled;
    }
    println!("{calls} calls, {throttled} throttled");
    assert_eq!(shops.len(), 10);
    assert!(calls > 10_000);
    assert!(throttled * 1000 < calls);
    assert_eq!(failed.into_inner(), 0);
}

#[test]
fn an_hour_of_ten_tenants_under_a_window_uses_it_and_never_exceeds_it() {
    const REQUESTS: u32 = 120;
    const SECONDS: u32 = 60;
    let clock = VirtualClock::default();
    let served: Vec<Mutex<Vec<Duration>>> = (0..10).map(|_| Mutex::default()).collect();
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    for (tenant, served) in served.iter().enumerate() {
        let model = RateModel::Window {
            requests: REQUESTS,
            seconds: SECONDS,
        };
        let budget = Budget::new(model, shared(&clock));
        for worker in 0..6 {
            let (budget, clock) = (budget.clone(), clock.clone());
            let random = Seeded::new(10 * tenant as u64 + worker);
            tasks.push(
                async move {
                    loop {
                        let permit = budget
                            .acquire(Priority::Background, "call", 1)
                            .await
                            .unwrap();
                        clock.sleep(Duration::from_millis(random.below(200))).await;
                        served.lock().unwrap().push(clock.elapsed());
                        clock
                            .sleep(Duration::from_millis(1 + random.below(200)))
                            .await;
                        permit.complete(&Report::new());
                    }
                }
                .boxed(),
            );
        }
    }
    clock.run_all(tasks, HOUR);
    let allowed = f64::from(REQUESTS) * HOUR.as_secs_f64() / f64::from(SECONDS);
    for (tenant, served) in served.into_iter().enumerate() {
        let served = served.into_inner().unwrap();
        // The strictest interpretation: any period of that length, wherever it starts.
        let banned = served
            .windows(REQUESTS as usize + 1)
            .filter(|run| run[REQUESTS as usize] < run[0] + seconds(SECONDS.into()))
            .count();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let used = served.len() as f64 / allowed;
        println!(
            "tenant {tenant}: {} calls, {banned} too many, {:.2} % used",
            served.len(),
            used * 100.0
        );
        assert_eq!(banned, 0);
        assert!(used >= 0.95);
    }
}
