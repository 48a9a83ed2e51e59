//! Sick endpoints do not delay healthy ones, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::TenantId;
use connector_core::clock::{Clock, Monotonic, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::store::MemoryStore;
use connector_hub::{NewTarget, OutboundPolicy};
use tokio::time::Instant;

use crate::rig::{START, context, hub, lock, message, status};

const TENANTS: usize = 100;
const PER_TENANT: usize = 10;
const MESSAGES: usize = 8;
const FAST: Duration = Duration::from_millis(50);

/// Tokio's paused clock, which jumps to the next timer when every task waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paused(pub(crate) Instant);

#[async_trait]
impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(START).after(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.0.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The time of the delivery of each message, by the number of the endpoint.
type Arrivals = Arc<Mutex<BTreeMap<usize, Vec<Duration>>>>;

#[derive(Debug, Clone)]
struct Fleet {
    clock: Paused,
    arrivals: Arrivals,
    has_sick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Healthy,
    /// Accepts no connection.
    Down,
    /// Responds after 20 seconds.
    Slow,
    /// Fails every second attempt.
    Flapping,
}

fn kind_of(number: usize) -> Kind {
    match number % 100 {
        0..10 => Kind::Down,
        10..15 => Kind::Slow,
        15 => Kind::Flapping,
        _ => Kind::Healthy,
    }
}

#[async_trait]
impl HttpTransport for Fleet {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.request.uri().host().unwrap();
        let number: usize = host[1..].split('.').next().unwrap().parse().unwrap();
        let kind = if self.has_sick {
            kind_of(number)
        } else {
            Kind::Healthy
        };
        match kind {
            Kind::Down => {
                self.clock.sleep(Duration::from_secs(5)).await;
                return Err(TransportError::new(TransportErrorKind::Connect, Sent::No));
            }
            Kind::Slow => self.clock.sleep(Duration::from_secs(20)).await,
            _ => self.clock.sleep(FAST).await,
        }
        let mut arrivals = lock(&self.arrivals);
        let own = arrivals.entry(number).or_default();
        own.push(self.clock.0.elapsed());
        if kind == Kind::Flapping && own.len().is_multiple_of(2) {
            return Ok(status(500));
        }
        Ok(status(200))
    }
}

/// Publishes all messages at once and sends them for a while. Returns the arrivals.
async fn arrivals(has_sick: bool) -> BTreeMap<usize, Vec<Duration>> {
    let clock = Paused(Instant::now());
    let fleet = Fleet {
        clock,
        arrivals: Arrivals::default(),
        has_sick,
    };
    let keys = connector_core::cipher::Keyring::generate().unwrap();
    let store = MemoryStore::new(Arc::new(clock));
    let hub = hub(store, clock, fleet.clone(), &keys)
        .with_outbound_policy(OutboundPolicy::default())
        .build()
        .unwrap();
    let tenants: Vec<_> = (0..TENANTS)
        .map(|number| TenantId::new(format!("t{number}")).unwrap())
        .collect();
    for (of, tenant) in tenants.iter().enumerate() {
        let outbound = hub.outbound(tenant);
        for at in 0..PER_TENANT {
            let number = at * TENANTS + of;
            let target = NewTarget::new(format!("https://e{number}.example/"));
            outbound.add(target, context()).await.unwrap();
        }
        for number in 0..MESSAGES {
            outbound
                .publish(message(&format!("m{number}")))
                .await
                .unwrap();
        }
    }
    let worker = hub.worker();
    worker
        .run(async move { clock.sleep(Duration::from_secs(60)).await })
        .await;
    lock(&fleet.arrivals).clone()
}

/// Returns the last arrival at each healthy endpoint, sorted.
fn healthy(arrivals: &BTreeMap<usize, Vec<Duration>>) -> Vec<Duration> {
    let healthy = (0..TENANTS * PER_TENANT).filter(|it| kind_of(*it) == Kind::Healthy);
    let mut last: Vec<_> = healthy
        .map(|number| {
            let own = arrivals.get(&number).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(
                own.len(),
                MESSAGES,
                "endpoint {number} got {} messages",
                own.len()
            );
            own[MESSAGES - 1]
        })
        .collect();
    last.sort_unstable();
    last
}

#[tokio::test(start_paused = true)]
async fn sick_endpoints_do_not_delay_healthy_ones() {
    let alone = healthy(&arrivals(false).await);
    let all = arrivals(true).await;
    let beside = healthy(&all);
    let total: usize = all.values().map(Vec::len).sum();
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    println!(
        "healthy endpoints: {}, answered attempts: {total}, last arrival (99th percentile): {:?} \
         without sick endpoints, {:?} beside them",
        beside.len(),
        p99(&alone),
        p99(&beside)
    );
    assert!(!beside.is_empty());
    // Sick endpoints hold slots for at most a second before they move to slots of their own.
    assert!(p99(&beside) < p99(&alone) + Duration::from_secs(3));
    // A flapping endpoint gets its messages, too.
    assert!(all.get(&15).is_some_and(|own| own.len() > MESSAGES / 2));
}
