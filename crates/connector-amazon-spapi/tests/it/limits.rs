//! Amazon's usage plans, as enforced by sessions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_amazon_spapi::endpoints::*;
use connector_amazon_spapi::models::price_v0::ItemType;
use connector_amazon_spapi::models::report::ReportSpecification;
use connector_amazon_spapi::sim::SELLER;
use connector_amazon_spapi::{AmazonClient, AmazonConfig, AmazonSpApi, Region};
use connector_core::api::{FixedToken, Session};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::limit::{LimitKey, Limits};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::{Connector as _, Endpoint, ProviderClient as _};
use connector_core::{AccountKey, ErrorKind, Result};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use http::Method;

use crate::rig::Rig;

const US: &str = "ATVPDKIKX0DER";
const HOUR: Duration = Duration::from_secs(3600);
const SELLERS: usize = 20;

/// The permits of each seller and operation, and the time at which they were counted.
type Buckets = BTreeMap<(String, &'static str), (f64, Timestamp)>;

/// Simulates Amazon's buckets, per seller and operation, without a network.
#[derive(Debug)]
struct Plans {
    clock: ManualClock,
    buckets: Mutex<Buckets>,
    answered: AtomicU64,
    refused: AtomicU64,
}

fn operation(method: &Method, path: &str) -> &'static Operation {
    let fits = |it: &&Operation| {
        let (wanted, found) = (it.path.split('/'), path.split('/'));
        it.method == method.as_str()
            && wanted.clone().count() == found.clone().count()
            && wanted
                .zip(found)
                .all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
    };
    OPERATIONS
        .iter()
        .flat_map(|it| it.iter())
        .find(fits)
        .unwrap()
}

#[async_trait]
impl HttpTransport for Plans {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = &outbound.request;
        let operation = operation(request.method(), request.uri().path());
        let seller = request.headers()["x-amz-access-token"]
            .to_str()
            .unwrap()
            .to_owned();
        let (now, plan) = (self.clock.now(), operation.plan);
        let mut buckets = self.buckets.lock().unwrap();
        let most = f64::from(plan.burst);
        let (points, at) = buckets
            .entry((seller, operation.name))
            .or_insert((most, now));
        *points = (*points + now.since(*at).as_secs_f64() * plan.per_second).min(most);
        *at = now;
        let response = http::Response::builder();
        if *points < 1.0 - 1e-6 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let body =
                Bytes::from_static(br#"{"errors":[{"code":"QuotaExceeded","message":"m"}]}"#);
            return Ok(response.status(429).body(body).unwrap());
        }
        *points -= 1.0;
        self.answered.fetch_add(1, Ordering::Relaxed);
        let rate = plan.per_second.to_string();
        let body = Bytes::from_static(br#"{"payload":[]}"#);
        Ok(response
            .header("x-amzn-ratelimit-limit", rate)
            .body(body)
            .unwrap())
    }
}

/// Sends the operations in turn for an hour, as fast as the limits allow.
async fn busy<E: Endpoint<Client = AmazonClient>>(
    client: AmazonClient,
    clock: ManualClock,
    operation: E,
) {
    let end = clock.now().after(HOUR);
    while clock.now() < end {
        // The response body is not valid for every operation; this test only checks limits.
        let _ = client.send(&operation).await;
    }
}

/// Twelve operations of one seller.
fn work(client: &AmazonClient, clock: &ManualClock) -> Vec<BoxFuture<'static, ()>> {
    macro_rules! all {
        ($($operation:expr),* $(,)?) => {
            vec![$(busy(client.clone(), clock.clone(), $operation).boxed()),*]
        };
    }
    all![
        GetMarketplaceParticipations::new(),
        SearchOrders::new().with_created_after("2026-11-01T00:00:00Z"),
        GetOrder::new("1"),
        GetPricing::new(US, ItemType::Asin).with_asins(["B1"]),
        GetListingOffers::new("S", US, "New"),
        ListTransactions::new().with_posted_after("2026-11-01T00:00:00Z"),
        GetReports::new(),
        GetFeeds::new(),
        GetQueries::new(),
        GetReportDocument::new("1"),
        GetDocument::new("1"),
        GetFeedDocument::new("1"),
    ]
}

/// Number of requests that one seller may send in an hour: the burst plus the refill.
fn allowance() -> f64 {
    let names = [
        "GetMarketplaceParticipations",
        "SearchOrders",
        "GetOrder",
        "GetPricing",
        "GetListingOffers",
        "ListTransactions",
        "GetReports",
        "GetFeeds",
        "GetQueries",
        "GetReportDocument",
        "GetDocument",
        "GetFeedDocument",
    ];
    let all = OPERATIONS.iter().flat_map(|it| it.iter());
    let plans = all.filter(|it| names.contains(&it.name)).map(|it| it.plan);
    plans
        .map(|it| f64::from(it.burst) + it.per_second * HOUR.as_secs_f64())
        .sum()
}

/// Runs `sellers` sellers with `processes` processes each for an hour. Returns responses, 429
/// responses, and the used share of the allowance.
async fn hour(sellers: usize, processes: usize) -> (u64, u64, f64) {
    let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
    let plans = Arc::new(Plans {
        clock: clock.clone(),
        buckets: Mutex::default(),
        answered: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let amazon = AmazonSpApi::new(AmazonConfig::builder().build().unwrap());
    let described = &amazon.description().limits;
    let mut tasks = Vec::new();
    for _ in 0..processes {
        let limits = Limits::new(Arc::new(clock.clone()));
        for seller in 0..sellers {
            let account = AccountKey::new(format!("NA:A{seller}")).unwrap();
            let key = LimitKey::new(AmazonSpApi::ID, "client", account);
            let origin = Origin::parse(Region::Na.endpoint()).unwrap();
            let token = Arc::new(FixedToken::new(origin, format!("seller-{seller}")));
            let session = Session::builder(&amazon, token, Arc::<Plans>::clone(&plans))
                .clock(Arc::new(clock.clone()))
                .limits(limits.account(&key, described))
                .build();
            let client = AmazonClient::new(session.with_patience(HOUR)).background();
            tasks.extend(work(&client, &clock));
        }
    }
    let mut all = join_all(tasks.into_iter().map(tokio::spawn));
    loop {
        tokio::select! {
            biased;
            _ = &mut all => break,
            () = tokio::task::yield_now() => {}
        }
        // All tasks are now waiting for time to advance.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(500));
    }
    let (answered, refused) = (
        plans.answered.load(Ordering::Relaxed),
        plans.refused.load(Ordering::Relaxed),
    );
    #[expect(clippy::cast_precision_loss, reason = "counts of an hour")]
    let used = answered as f64 / (allowance() * sellers as f64);
    (answered, refused, used)
}

#[tokio::test]
async fn an_hour_of_twenty_sellers_and_twelve_operations_uses_the_allowance_without_refusals() {
    let (answered, refused, used) = hour(SELLERS, 1).await;
    println!(
        "{SELLERS} sellers, 12 operations, an hour: {answered} answered, {refused} refused, {:.1} % used",
        used * 100.0
    );
    assert!(answered > 10_000 && refused * 1000 < answered);
    assert!(used >= 0.95, "{used}");
}

/// Processes that share a seller learn only from 429 responses, until there is a shared limiter.
#[tokio::test]
async fn four_processes_on_one_seller_go_on_although_they_refuse_each_other() {
    let (answered, refused, used) = hour(1, 4).await;
    println!(
        "4 processes on one seller, an hour: {answered} answered, {refused} refused, {:.1} % used",
        used * 100.0
    );
    // Target with a shared limiter: 0.95 used, and fewer than one in a thousand rejected.
    assert!(used >= 0.75, "{used}");
}

#[tokio::test]
async fn a_rate_in_a_header_corrects_the_default_and_a_refusal_has_none() {
    let rig = Rig::new().await;
    let client = rig.client().await.background();
    // The connection test was one call; the account is read five times below.
    rig.sim.set_plan("GetAccount", 0.5, 2);
    let began = rig.clock.now();
    for _ in 0..5 {
        rig.drive(client.send(&GetAccount::new())).await.unwrap();
    }
    let took = rig.clock.now().since(began);
    // The default plan allows one request per 62.5 seconds, with a burst of 15.
    let calls = rig.sim.server().count(&Method::GET, "/sellers/v1/account");
    println!("five calls at a rate that the header states: {took:?}, requests: {calls}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test]
async fn a_refusal_delays_no_other_seller_operation_or_report_type() {
    let rig = Rig::with_sellers(&[(SELLER, Region::Na), ("A1OTHER", Region::Na)]).await;
    let first = rig.client().await;
    rig.sim.authority().sign_in("A1OTHER").unwrap();
    let second = rig.client().await;
    let throttled = r#"{"errors":[{"code":"QuotaExceeded","message":"m","details":""}]}"#;
    let report = |kind: &'static str| CreateReport::new(&ReportSpecification::new(kind, [US]));
    let fault = || connector_amazon_spapi::sim::Fault::answer(429, throttled);
    let began = rig.clock.now();
    // One report type of one seller gets a 429, as if another application shared the limit.
    rig.sim
        .server()
        .fault("/reports/2021-06-30/reports", fault());
    let refused = {
        let client = first.background();
        tokio::spawn(async move { client.send(&report("GET_SALES_AND_TRAFFIC_REPORT")).await })
    };
    while rig
        .sim
        .server()
        .count(&Method::POST, "/reports/2021-06-30/reports")
        == 0
    {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    // Other types, operations and sellers do not wait.
    let impatient = |client: &AmazonClient| {
        AmazonClient::new(client.session().with_patience(Duration::from_millis(1)))
    };
    impatient(&first)
        .send(&report("GET_MERCHANT_LISTINGS_ALL_DATA"))
        .await
        .unwrap();
    impatient(&first).send(&GetReports::new()).await.unwrap();
    impatient(&second)
        .send(&report("GET_SALES_AND_TRAFFIC_REPORT"))
        .await
        .unwrap();
    let waits = impatient(&first)
        .send(&report("GET_SALES_AND_TRAFFIC_REPORT"))
        .await;
    let error = waits.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::RateLimited,
        "the refused type waits: {error}"
    );
    assert_eq!(rig.clock.now(), began, "nothing waited");
    rig.drive(refused).await.unwrap().unwrap();
    let took = rig.clock.now().since(began);
    println!("the refused report was created after {took:?}");
    println!("calls beside a refused report type: 3");
}
