//! The worker's slots, its end while messages arrive, and the rate of an endpoint.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::TenantId;
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, OutboundRequest, TransportError};
use connector_core::store::{MemoryStore, OutboundFilter, OutboundState, OutboundStore};
use connector_hub::{NewTarget, OutboundPolicy};
use connector_store_sqlite::SqliteOptions;
use connector_testkit::artefacts;
use connector_testkit::kill::{KillPoints, Side};
use tokio::time::Instant;

use crate::fair::Paused;
use crate::rig::{START, context, hub, message, status, tenant};

/// Accepts every message after a while, and counts the requests.
#[derive(Debug, Clone)]
struct Counting<C> {
    clock: C,
    takes: Duration,
    begun: Arc<AtomicUsize>,
}

#[async_trait]
impl<C: Clock> HttpTransport for Counting<C> {
    async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if !self.takes.is_zero() {
            self.clock.sleep(self.takes).await;
        }
        Ok(status(200))
    }
}

/// A worker with thousands of due messages stores results while it sends.
#[tokio::test]
async fn results_are_stored_before_more_slots_are_filled() {
    const TENANTS: usize = 20;
    const ENDPOINTS: usize = 50;
    const MESSAGES: usize = 4;
    let clock = ManualClock::new(Timestamp::from_unix_seconds(START));
    let begun = Arc::new(AtomicUsize::new(0));
    let transport = Counting {
        clock: clock.clone(),
        takes: Duration::ZERO,
        begun: Arc::clone(&begun),
    };
    let most = Arc::new(AtomicUsize::new(0));
    let (stored, peak) = (AtomicUsize::new(0), Arc::clone(&most));
    // Requests between two commits of results.
    let points = KillPoints::counting().with_observer(move |point| {
        if (point.operation, point.side) == ("outbound.settle_messages", Side::After) {
            let all = begun.load(Ordering::SeqCst);
            let earlier = stored.swap(all, Ordering::SeqCst);
            peak.fetch_max(all - earlier, Ordering::SeqCst);
        }
    });
    let folder = artefacts::directory("outbound").unwrap();
    let options = SqliteOptions::new(folder.path().join("outbound.db"));
    let store = options.with_clock(Arc::new(clock.clone())).open().await;
    let store = points.wrap(Arc::new(store.unwrap()));
    let keys = Keyring::generate().unwrap();
    let hub = hub(store, clock, transport.clone(), &keys).build().unwrap();
    for number in 0..TENANTS {
        let outbound = hub.outbound(&TenantId::new(format!("t{number}")).unwrap());
        for at in 0..ENDPOINTS {
            let target = NewTarget::new(format!("https://e{number}-{at}.example/"));
            outbound.add(target, context()).await.unwrap();
        }
        for number in 0..MESSAGES {
            outbound
                .publish(message(&format!("m{number}")))
                .await
                .unwrap();
        }
    }
    let delivered = hub.worker().tick().await.unwrap().outbound;
    let most = most.load(Ordering::SeqCst);
    println!("delivered: {delivered}, most requests between two commits of results: {most}");
    assert_eq!(delivered, TENANTS * ENDPOINTS * MESSAGES);
    assert!((1..=512).contains(&most), "{most}");
}

/// A stopping worker finishes its attempts, stores their results, and takes no further message.
#[tokio::test(start_paused = true)]
async fn a_stopping_worker_finishes_its_attempts_and_leases_no_more() {
    let clock = Paused(Instant::now());
    let begun = Arc::new(AtomicUsize::new(0));
    let transport = Counting {
        clock,
        takes: Duration::from_secs(5),
        begun: Arc::clone(&begun),
    };
    let store = MemoryStore::new(Arc::new(clock));
    let keys = Keyring::generate().unwrap();
    let hub = hub(store.clone(), clock, transport, &keys).build().unwrap();
    let outbound = hub.outbound(&tenant());
    let target = NewTarget::new("https://a.example/");
    outbound.add(target, context()).await.unwrap();
    let publisher = tokio::spawn(async move {
        for number in 0..120 {
            let message = message(&format!("m{number}"));
            outbound.publish(message).await.unwrap();
            clock.sleep(Duration::from_millis(500)).await;
        }
    });
    let stop = async move { clock.sleep(Duration::from_secs(10)).await };
    hub.worker().run(stop).await;
    let ended = clock.monotonic();
    let begun = begun.load(Ordering::SeqCst);
    let mut filter = OutboundFilter::default();
    filter.state = Some(OutboundState::Delivered);
    let delivered = store.outbound(&filter, None, 1_000).await.unwrap();
    let delivered = delivered.items.len();
    println!("begun: {begun}, delivered: {delivered}, ended after {ended:?}");
    assert!(begun > 3);
    assert_eq!(begun, delivered, "every attempt has its result");
    assert!(ended.since_origin() <= Duration::from_secs(16));
    publisher.abort();
}

/// Two processes send to one endpoint. No second has more requests than the limit.
#[tokio::test(start_paused = true)]
async fn the_rate_of_an_endpoint_is_kept_by_all_processes_together() {
    const RATE: usize = 20;
    let clock = Paused(Instant::now());
    let times = Arc::new(Mutex::new(Vec::new()));
    let transport = Timing(clock, Arc::clone(&times));
    let store = MemoryStore::new(Arc::new(clock));
    let keys = Keyring::generate().unwrap();
    let policy = OutboundPolicy::default()
        .with_rate_per_endpoint(u16::try_from(RATE).unwrap().try_into().unwrap());
    let start = || {
        let hub = hub(store.clone(), clock, transport.clone(), &keys);
        hub.with_outbound_policy(policy.clone()).build().unwrap()
    };
    let (one, two) = (start(), start());
    let outbound = one.outbound(&tenant());
    let target = NewTarget::new("https://a.example/");
    outbound.add(target, context()).await.unwrap();
    for number in 0..200 {
        let message = message(&format!("m{number}"));
        outbound.publish(message).await.unwrap();
    }
    let stop = || async move { clock.sleep(Duration::from_secs(60)).await };
    let (first, second) = (one.worker(), two.worker());
    tokio::join!(first.run(stop()), second.run(stop()));
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 200);
    let within = |from: Duration| {
        let second = from..from + Duration::from_secs(1);
        times.iter().filter(|at| second.contains(*at)).count()
    };
    let most = times.iter().map(|at| within(*at)).max().unwrap();
    let took = *times.iter().max().unwrap();
    println!(
        "requests: {}, most in a second: {most}, last after {took:?}",
        times.len()
    );
    // The four slots of the endpoint are free at the start.
    assert!(most <= RATE + 4, "{most}");
    assert!(took < Duration::from_secs(15), "the rate is used: {took:?}");
}

/// Accepts every message at once, and records the times of the requests.
#[derive(Debug, Clone)]
struct Timing(Paused, Arc<Mutex<Vec<Duration>>>);

#[async_trait]
impl HttpTransport for Timing {
    async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        let at = self.0.monotonic().since_origin();
        self.1.lock().unwrap().push(at);
        Ok(status(200))
    }
}
