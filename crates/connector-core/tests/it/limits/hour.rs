//! A simulated hour of ten accounts with four sessions each, for every rate model. Measures the
//! rejected calls and the used share of the allowance.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{FixedToken, Idempotency, Request, Response, Session};
use connector_core::clock::Clock;
use connector_core::http::limit::{
    Draws, HeaderRule, Limit, Limits, Per, RateModel, Report, TimeFormat, TimeHeader,
};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::Endpoint;
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_core::{ProviderId, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{HOUR, key, shared};
use crate::simulation::{Seeded, VirtualClock};

const ACCOUNTS: usize = 10;
const SESSIONS: usize = 4;
const WORKERS: usize = 3;

/// The provider's state of one account's limit.
#[derive(Debug, Clone)]
enum Server {
    Bucket {
        capacity: f64,
        per_second: f64,
        level: f64,
        at: Duration,
    },
    /// A sliding window of this length.
    Sliding {
        most: usize,
        length: Duration,
        calls: VecDeque<Duration>,
    },
    /// Windows that start at fixed times, which headers state.
    Fixed {
        most: u64,
        length: Duration,
        window: u128,
        count: u64,
    },
    Concurrent {
        most: u64,
        calls: u64,
    },
}

impl Server {
    fn bucket(capacity: f64, per_second: f64) -> Self {
        Self::Bucket {
            capacity,
            per_second,
            level: capacity,
            at: Duration::ZERO,
        }
    }

    fn sliding(most: usize, seconds: u64) -> Self {
        Self::Sliding {
            most,
            length: Duration::from_secs(seconds),
            calls: VecDeque::new(),
        }
    }

    fn fixed(most: u64, seconds: u64) -> Self {
        Self::Fixed {
            most,
            length: Duration::from_secs(seconds),
            window: 0,
            count: 0,
        }
    }

    /// Counts a call with this cost. Returns false if the call is rejected.
    fn admit(&mut self, now: Duration, cost: f64) -> bool {
        match self {
            Self::Bucket {
                capacity,
                per_second,
                level,
                at,
            } => {
                let restored = now.saturating_sub(*at).as_secs_f64() * *per_second;
                *level = (*level + restored).min(*capacity);
                *at = now;
                let goes = *level >= cost - 1e-6;
                *level -= if goes { cost } else { 0.0 };
                goes
            }
            Self::Sliding {
                most,
                length,
                calls,
            } => {
                while calls.front().is_some_and(|at| *at + *length <= now) {
                    calls.pop_front();
                }
                let goes = calls.len() < *most;
                if goes {
                    calls.push_back(now);
                }
                goes
            }
            Self::Fixed {
                most,
                length,
                window,
                count,
            } => {
                let current = now.as_nanos() / length.as_nanos();
                if current != *window {
                    (*window, *count) = (current, 0);
                }
                let goes = *count < *most;
                *count += u64::from(goes);
                goes
            }
            Self::Concurrent { most, calls } => {
                let goes = *calls < *most;
                *calls += u64::from(goes);
                goes
            }
        }
    }

    fn headers(&self, now: Duration) -> Vec<(&'static str, String)> {
        match self {
            Self::Bucket { level, .. } => vec![("x-left", level.floor().to_string())],
            Self::Fixed {
                most,
                length,
                window,
                count,
            } => {
                let ends = *length * u32::try_from(*window + 1).unwrap();
                vec![
                    ("x-limit", most.to_string()),
                    ("x-left", (most - count).to_string()),
                    ("x-reset", (ends - now).as_secs_f64().to_string()),
                ]
            }
            _ => Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    refused: AtomicU64,
    units: Mutex<f64>,
    /// Total time with calls in flight, in milliseconds.
    busy: AtomicU64,
}

#[derive(Debug)]
struct Provider {
    clock: VirtualClock,
    random: Seeded,
    accounts: Mutex<BTreeMap<String, Server>>,
    /// Processing time of a call.
    work: (u64, u64),
    counts: Counts,
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let latency = || Duration::from_millis(5 + self.random.below(70));
        let host = outbound.request.uri().host().unwrap().to_owned();
        let cost: f64 = outbound.request.uri().query().map_or(1.0, |query| {
            query.split_once('=').unwrap().1.parse().unwrap()
        });
        let before = self.clock.elapsed();
        self.clock.sleep(latency()).await;
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let admitted = {
            let mut accounts = self.accounts.lock().unwrap();
            let account = accounts.get_mut(&host).unwrap();
            account.admit(self.clock.elapsed(), cost)
        };
        if admitted {
            *self.counts.units.lock().unwrap() += cost;
            let (least, most) = self.work;
            if most > 0 {
                let work = least + self.random.below(most - least);
                self.clock.sleep(Duration::from_millis(work)).await;
            }
        } else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        let headers = {
            let mut accounts = self.accounts.lock().unwrap();
            let account = accounts.get_mut(&host).unwrap();
            if let (true, Server::Concurrent { calls, .. }) = (admitted, &mut *account) {
                *calls -= 1;
            }
            account.headers(self.clock.elapsed())
        };
        self.clock.sleep(latency()).await;
        let busy = self.clock.elapsed() - before;
        let busy = u64::try_from(busy.as_millis()).unwrap();
        self.counts.busy.fetch_add(busy, Ordering::Relaxed);
        let mut response = http::Response::builder().status(if admitted { 200 } else { 429 });
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(Bytes::new()).unwrap())
    }
}

struct Work {
    cost: u32,
}

impl Endpoint for Work {
    type Client = super::AcmeClient;
    type Output = ();
    const NAME: &'static str = "Work";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn draws(&self) -> Draws {
        Draws::cost(self.cost)
    }

    fn request(&self) -> Result<Request> {
        Ok(Request::get(["work"])?.query("cost", &self.cost.to_string()))
    }

    fn decode(&self, response: &mut Response) -> Result<()> {
        if let Some(left) = response.header("x-left").and_then(|it| it.parse().ok())
            && response.header("x-limit").is_none()
        {
            response.report(Report::new().with_available(left));
        }
        Ok(())
    }
}

/// Simulates an hour of `processes` processes. Returns the number of calls, the number of rejected
/// calls, and the used share of the allowance, which `share` computes from the units and the time
/// with calls in flight.
fn hour(
    limit: &Limit,
    server: &Server,
    processes: usize,
    work: (u64, u64),
    costs: u64,
    share: impl Fn(f64, f64) -> f64,
) -> (u64, u64, f64) {
    let clock = VirtualClock::default();
    let host = |account: usize| format!("account-{account}.example");
    let accounts = (0..ACCOUNTS).map(|account| (host(account), server.clone()));
    let provider = Arc::new(Provider {
        clock: clock.clone(),
        random: Seeded::new(11),
        accounts: Mutex::new(accounts.collect()),
        work,
        counts: Counts::default(),
    });
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://acme.example")];
    description.limits = vec![limit.clone()];
    let connector = GenericConnector::new(description).unwrap();
    let failed = AtomicU64::new(0);
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    for process in 0..processes {
        let limits = Limits::new(shared(&clock));
        for account in 0..ACCOUNTS {
            for session in 0..SESSIONS {
                let origin = Origin::parse(&format!("https://{}", host(account))).unwrap();
                let token = Arc::new(FixedToken::new(origin, "secret"));
                let limits = limits.account(&key(&host(account)), std::slice::from_ref(limit));
                let session_number = (process * ACCOUNTS + account) * SESSIONS + session;
                let session = Session::builder(&connector, token, provider.clone())
                    .clock(shared(&clock))
                    .random(Arc::new(Seeded::new(session_number as u64)))
                    .limits(limits)
                    .build()
                    .with_patience(HOUR);
                for worker in 0..WORKERS {
                    let random = Seeded::new((1000 + session_number * WORKERS + worker) as u64);
                    let (session, failed) = (session.clone(), &failed);
                    tasks.push(
                        async move {
                            loop {
                                let cost = u32::try_from(1 + random.below(costs)).unwrap();
                                let result = session.send(&Work { cost }).await;
                                failed.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
                            }
                        }
                        .boxed(),
                    );
                }
            }
        }
    }
    clock.run_all(tasks, HOUR);
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let busy = provider.counts.busy.load(Ordering::Relaxed) as f64 / 1000.0;
    let units = *provider.counts.units.lock().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let accounts = ACCOUNTS as f64;
    let share = share(units / accounts, busy / accounts);
    assert_eq!(failed.into_inner(), 0, "a call failed");
    let counts = &provider.counts;
    (
        counts.calls.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
        share,
    )
}

fn told() -> HeaderRule {
    let mut rule = HeaderRule::default();
    rule.limit = Some("x-limit".to_owned());
    rule.remaining = Some("x-left".to_owned());
    rule.reset = Some(TimeHeader::new("x-reset", TimeFormat::Seconds));
    rule
}

/// Computes the used share of the allowance from the units and the seconds with calls in flight.
type Share = Box<dyn Fn(f64, f64) -> f64>;

/// Name, limit as described, limit as enforced, processing time of calls in milliseconds, maximum
/// cost of a call, used share.
type Row = (&'static str, Limit, Server, (u64, u64), u64, Share);

#[test]
fn an_hour_under_each_model_uses_the_allowance_with_few_rejections() {
    let account = Per::Account;
    let rate = |allowed: f64, first: f64| move |units: f64, _| (units - first) / allowed;
    let table: Vec<Row> = vec![
        (
            "bucket",
            Limit::bucket("l", account, 40, 5.0),
            Server::bucket(40.0, 5.0),
            (0, 0),
            1,
            Box::new(rate(5.0 * 3600.0, 40.0)),
        ),
        (
            "bucket of units",
            Limit::bucket("l", account, 100, 20.0),
            Server::bucket(100.0, 20.0),
            (0, 0),
            9,
            Box::new(rate(20.0 * 3600.0, 100.0)),
        ),
        (
            "window",
            Limit::window("l", account, 120, 60),
            Server::sliding(120, 60),
            (0, 0),
            1,
            Box::new(rate(2.0 * 3600.0, 0.0)),
        ),
        (
            "window, stated in headers",
            Limit::window("l", account, 60, 60).with_learn(told()),
            Server::fixed(120, 60),
            (0, 0),
            1,
            Box::new(rate(2.0 * 3600.0, 0.0)),
        ),
        (
            "learned",
            Limit::new("l", account, RateModel::Learned).with_learn(told()),
            Server::fixed(50, 10),
            (0, 0),
            1,
            Box::new(rate(5.0 * 3600.0, 0.0)),
        ),
        (
            "cost",
            Limit::cost(1000, 50),
            Server::bucket(1000.0, 50.0),
            (0, 0),
            99,
            Box::new(rate(50.0 * 3600.0, 1000.0)),
        ),
        (
            "concurrent",
            Limit::concurrent("l", account, 5),
            Server::Concurrent { most: 5, calls: 0 },
            (1000, 4000),
            1,
            Box::new(|_, busy| busy / (5.0 * 3600.0)),
        ),
    ];
    println!("{ACCOUNTS} accounts, {SESSIONS} sessions each, one hour");
    for (name, limit, server, work, costs, share) in table {
        let (calls, refused, share) = hour(&limit, &server, 1, work, costs, share);
        println!(
            "{name}: {calls} calls, {refused} refused, {:.2} % used",
            share * 100.0
        );
        assert!(calls > 10_000, "{name}");
        assert!(refused * 1000 < calls, "{name}");
        assert!(share >= 0.95, "{name}");
    }
}

/// As long as processes do not share the state of limits, they detect each other through responses.
#[test]
fn two_processes_on_one_account_detect_each_other_through_responses() {
    let account = Per::Account;
    let table = [
        (
            "window, stated in headers",
            Limit::window("l", account, 120, 60).with_learn(told()),
            Server::fixed(120, 60),
            2.0 * 3600.0,
        ),
        (
            "bucket, refusals only",
            Limit::bucket("l", account, 40, 5.0),
            Server::bucket(40.0, 5.0),
            5.0 * 3600.0,
        ),
        (
            "window, refusals only",
            Limit::window("l", account, 120, 60),
            Server::sliding(120, 60),
            2.0 * 3600.0,
        ),
    ];
    for (name, limit, server, allowed) in table {
        let (calls, refused, share) =
            hour(&limit, &server, 2, (0, 0), 1, |units, _| units / allowed);
        println!(
            "{name}: {calls} calls of two processes, {refused} refused, {:.2} % used",
            share * 100.0
        );
        assert!(refused * 10 < calls, "{name}");
        assert!(share >= 0.8, "{name}");
    }
}
