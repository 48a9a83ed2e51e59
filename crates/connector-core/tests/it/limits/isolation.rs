//! Independence of limits: a 429 response delays only the calls under one limit, and a call that
//! waits for one limit keeps no capacity of another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{FixedToken, Idempotency, Request, Response, RetryPolicy, Session};
use connector_core::clock::Clock;
use connector_core::http::limit::{
    AccountLimits, Budget, Draw, Draws, HeaderMatch, HeaderRule, Limit, LimitKey, Limits, Per,
    RateModel, TimeFormat, TimeHeader,
};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::Endpoint;
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_core::{AccountKey, ErrorKind, ProviderId, Result, Retry, TenantId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::{HOUR, bucket, key, seconds, shared};
use crate::simulation::VirtualClock;

type Headers = Vec<(&'static str, String)>;

/// Returns the configured response for each path after 100 ms, and records the arrival times of the
/// calls.
#[derive(Debug)]
pub(super) struct Paths {
    clock: VirtualClock,
    answers: Mutex<BTreeMap<String, (u16, Headers)>>,
    pub(super) arrived: Mutex<Vec<(String, Duration)>>,
}

impl Paths {
    pub(super) fn new(clock: &VirtualClock) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            answers: Mutex::default(),
            arrived: Mutex::default(),
        })
    }

    /// Sets the response for `path`, on the host of one account or of all accounts.
    pub(super) fn set(&self, path: &str, status: u16, headers: Headers) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.to_owned(), (status, headers));
    }

    pub(super) fn count(&self, path: &str) -> usize {
        let arrived = self.arrived.lock().unwrap();
        arrived.iter().filter(|(it, _)| it == path).count()
    }
}

#[async_trait]
impl HttpTransport for Paths {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let uri = outbound.request.uri();
        let path = format!("{}{}", uri.host().unwrap(), uri.path());
        let now = self.clock.elapsed();
        self.arrived.lock().unwrap().push((path.clone(), now));
        let (status, headers) = {
            let answers = self.answers.lock().unwrap();
            answers.get(&path).cloned().unwrap_or((200, Vec::new()))
        };
        self.clock.sleep(Duration::from_millis(100)).await;
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(Bytes::new()).unwrap())
    }
}

macro_rules! operation {
    ($name:ident) => {
        pub(super) struct $name(pub(super) Draws, pub(super) &'static str);

        impl Endpoint for $name {
            type Client = super::AcmeClient;
            type Output = ();
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: Idempotency = Idempotency::Safe;

            fn draws(&self) -> Draws {
                self.0.clone()
            }

            fn request(&self) -> Result<Request> {
                Request::get([self.1])
            }

            fn decode(&self, _: &mut Response) -> Result<()> {
                Ok(())
            }
        }
    };
}

operation!(Read);
operation!(Write);

pub(super) struct World {
    pub(super) clock: VirtualClock,
    pub(super) paths: Arc<Paths>,
    limits: Limits,
    described: Vec<Limit>,
}

impl World {
    pub(super) fn new(described: Vec<Limit>) -> Self {
        let clock = VirtualClock::default();
        Self {
            paths: Paths::new(&clock),
            limits: Limits::new(shared(&clock)),
            clock,
            described,
        }
    }

    pub(super) fn session(&self, account: &str) -> Session {
        self.session_of(account, &key(account))
    }

    fn session_of(&self, account: &str, key: &LimitKey) -> Session {
        let limits = self.limits.account(key, &self.described);
        self.session_with(account, limits)
    }

    fn session_with(&self, account: &str, limits: AccountLimits) -> Session {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        description.api = vec![EndpointTemplate::new("https://acme.example")];
        description.limits.clone_from(&self.described);
        let connector = GenericConnector::new(description).unwrap();
        let origin = Origin::parse(&format!("https://{account}.example")).unwrap();
        let token = Arc::new(FixedToken::new(origin, "secret"));
        Session::builder(&connector, token, Arc::<Paths>::clone(&self.paths))
            .clock(shared(&self.clock))
            .with_retry_policy(RetryPolicy::never())
            .limits(limits)
            .build()
    }
}

fn described() -> Vec<Limit> {
    let refused = |value: &str| {
        let mut rule = HeaderRule::default();
        rule.refused = Some(HeaderMatch::new("x-scope", [value]));
        rule
    };
    let wide = |name: &str, per| Limit::bucket(name, per, 1000, 100.0);
    vec![
        wide("app", Per::App).with_learn(refused("global")),
        wide("account", Per::Account).with_learn(refused("account")),
        wide("operation", Per::Operation),
        wide("channel", Per::Resource),
    ]
}

fn of_operation() -> Draws {
    Draws::default().with(Draw::new("operation"))
}

fn of_channel(channel: &'static str) -> Draws {
    of_operation().with(Draw::new("channel").with_key(channel))
}

/// Other calls next to the rejected one: name, account, operation, draws.
type Beside = (&'static str, &'static str, bool, Draws);

#[test]
fn a_rejected_operation_account_or_resource_delays_no_other() {
    let beside: Vec<Beside> = vec![
        ("the same call", "a", true, of_channel("c1")),
        ("another channel", "a", true, of_channel("c2")),
        ("no channel", "a", true, of_operation()),
        ("another operation", "a", false, of_operation()),
        (
            "another operation, same channel",
            "a",
            false,
            of_channel("c1"),
        ),
        ("another account", "b", true, of_channel("c1")),
    ];
    let scope = |value: &str| {
        vec![
            ("retry-after", "60".to_owned()),
            ("x-scope", value.to_owned()),
        ]
    };
    let plain = vec![("retry-after", "60".to_owned())];
    // The rejected call, and which of the other calls wait for a minute.
    let table: Vec<(&str, Draws, Headers, [bool; 6])> = vec![
        (
            "a resource",
            of_channel("c1"),
            plain.clone(),
            [true, false, false, false, true, false],
        ),
        (
            "an operation",
            of_operation(),
            plain.clone(),
            [true, true, true, false, false, false],
        ),
        (
            "an account",
            Draws::default(),
            plain.clone(),
            [true, true, true, true, true, false],
        ),
        (
            "an account without limits",
            Draws::none(),
            plain,
            [false, false, false, false, false, false],
        ),
        (
            "a resource, in the name of the account",
            of_channel("c1"),
            scope("account"),
            [true, true, true, true, true, false],
        ),
        (
            "a resource, in the name of the app",
            of_channel("c1"),
            scope("global"),
            [true, true, true, true, true, true],
        ),
    ];
    let (mut delayed, mut undelayed) = (0, 0);
    for (name, draws, headers, waits) in table {
        let world = World::new(described());
        world.paths.set("a.example/refused", 429, headers);
        world.clock.run(async {
            let refused = world.session("a").send(&Read(draws, "refused")).await;
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert_eq!(error.retry(), Retry::After(seconds(60)));
        });
        // The rejected limit has its own queue, which must not affect other calls.
        for ((beside, account, is_read, draws), waits) in beside.iter().zip(waits) {
            let session = world.session(account).with_patience(Duration::ZERO);
            let result = world.clock.run(async {
                if *is_read {
                    session.send(&Read(draws.clone(), "beside")).await
                } else {
                    session.send(&Write(draws.clone(), "beside")).await
                }
            });
            assert_eq!(result.is_err(), waits, "{name} refused, {beside}");
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::RateLimited);
                let Retry::After(after) = error.retry() else {
                    panic!("{error:?}")
                };
                assert!(after > seconds(55) && after <= seconds(60), "{after:?}");
                delayed += 1;
            } else {
                undelayed += 1;
            }
        }
        let session = world.session("a").with_patience(seconds(61));
        let last = Read(of_channel("c1"), "beside");
        world.clock.run(session.send(&last)).unwrap();
    }
    println!(
        "calls next to a rejected one: {undelayed} sent immediately, {delayed} delayed by its limit"
    );
    assert_eq!((undelayed, delayed), (15, 21));
}

#[test]
fn a_call_that_waits_for_one_limit_keeps_no_capacity_of_another() {
    let world = World::new(vec![
        Limit::bucket("app", Per::App, 5, 0.1),
        Limit::bucket("account", Per::Account, 5, 0.1),
        Limit::window("channel", Per::Resource, 1, 1200),
    ]);
    let session = world.session("a").with_patience(2 * HOUR);
    let draws = |channel| Draws::default().with(Draw::new("channel").with_key(channel));
    let busy = Read(draws("busy"), "busy");
    let late: Vec<BoxFuture<'_, Result<()>>> =
        (0..4).map(|_| session.send(&busy).boxed()).collect();
    let others = async {
        world.clock.sleep(seconds(1)).await;
        let mut times = Vec::new();
        for channel in ["c1", "c2", "c3", "c4"] {
            session.send(&Write(draws(channel), "free")).await.unwrap();
            times.push(world.clock.elapsed());
        }
        times
    };
    let (late, times) = world.clock.run(futures_util::future::join(
        futures_util::future::join_all(late),
        others,
    ));
    println!("4 calls next to 3 waiting calls were sent after {times:?}");
    assert!(times.iter().all(|it| *it < seconds(2)), "{times:?}");
    assert_eq!(late.iter().filter(|it| it.is_ok()).count(), 4);
    let arrived = world.paths.arrived.lock().unwrap();
    let busy = arrived.iter().filter(|it| it.0 == "a.example/busy");
    let busy: Vec<u64> = busy.map(|it| it.1.as_secs()).collect();
    assert_eq!(busy, [0, 1200, 2400, 3600]);
}

/// One tenant keeps 1,000 calls waiting for a limit that all tenants share.
#[test]
fn tenants_that_share_a_limit_take_turns() {
    const LOUD: usize = 1000;
    let models = [
        ("a bucket", bucket(1, 1.0), seconds(3)),
        (
            "a window",
            RateModel::Window {
                requests: 1,
                seconds: 1,
            },
            seconds(3),
        ),
        (
            "concurrency",
            RateModel::Concurrent { most: 1 },
            Duration::from_millis(200),
        ),
    ];
    let mut served = 0;
    for (name, model, most) in models {
        for own_accounts in [false, true] {
            let world = World::new(vec![Limit::new("app", Per::App, model)]);
            let session = |tenant: &str, account: &str| {
                let limits = world.limits.account(&key(account), &world.described);
                let tenant = TenantId::new(tenant).unwrap();
                world
                    .session_with(account, limits.with_tenant(tenant))
                    .with_patience(2 * HOUR)
            };
            let read = Read(Draws::default(), "read");
            let loud: Vec<Session> = (0..LOUD)
                .map(|it| session("loud", &format!("a{}", if own_accounts { it } else { 0 })))
                .collect();
            let mut flood: futures_util::stream::FuturesUnordered<_> =
                loud.iter().map(|session| session.send(&read)).collect();
            let calm = session("calm", "calm");
            let calls = async {
                world.clock.sleep(seconds(5)).await;
                let mut longest = Duration::ZERO;
                for _ in 0..20 {
                    let began = world.clock.elapsed();
                    calm.send(&read).await.unwrap();
                    longest = longest.max(world.clock.elapsed() - began);
                    served += 1;
                }
                longest
            };
            let mut calls = std::pin::pin!(calls);
            let longest = world.clock.run(std::future::poll_fn(|cx| {
                while let std::task::Poll::Ready(Some(_)) =
                    futures_util::StreamExt::poll_next_unpin(&mut flood, cx)
                {}
                calls.as_mut().poll(cx)
            }));
            println!(
                "{name}, beside {LOUD} calls of another tenant, own accounts {own_accounts}: a \
                 call took {longest:?} at most"
            );
            assert!(longest <= most, "{name}: {longest:?}");
            assert!(flood.len() > LOUD / 2, "the other tenant is still waiting");
        }
    }
    println!("{served} calls took turns");
    assert_eq!(served, 120);
}

#[test]
fn limits_are_shared_exactly_where_tenants_share_a_registration() {
    let world = World::new(vec![Limit::window("app", Per::App, 1, 60)]);
    let provider = ProviderId::from_static("acme");
    let key = |client: &str, tenant: Option<&str>, account: &str| {
        let account = AccountKey::new(account).unwrap();
        let key = LimitKey::new(provider.clone(), client, account);
        match tenant {
            Some(tenant) => key.with_tenant(TenantId::new(tenant).unwrap()),
            None => key,
        }
    };
    // The first call of a registration is sent, and a second one waits.
    let table = [
        (key("one", None, "a"), true),
        (key("one", None, "b"), false),
        (key("two", None, "a"), true),
        (key("one", Some("t1"), "a"), true),
        (key("one", Some("t1"), "b"), false),
        (key("one", Some("t2"), "a"), true),
    ];
    let count = table.len();
    for (key, goes) in table {
        let session = world.session_of("a", &key).with_patience(Duration::ZERO);
        let result = world.clock.run(session.send(&Read(Draws::default(), "x")));
        assert_eq!(result.is_ok(), goes, "{key:?}");
    }
    println!("registrations and tenants: {count} calls as expected");
}

#[test]
fn operations_that_share_a_bucket_of_the_provider_share_one_limit() {
    let mut rule = HeaderRule::default();
    rule.limit = Some("x-ratelimit-limit".to_owned());
    rule.remaining = Some("x-ratelimit-remaining".to_owned());
    rule.reset = Some(TimeHeader::new(
        "x-ratelimit-reset-after",
        TimeFormat::Seconds,
    ));
    rule.bucket = Some("x-ratelimit-bucket".to_owned());
    let route = Limit::new("route", Per::Resource, RateModel::Learned).with_learn(rule);
    let world = World::new(vec![route]);
    let told = |bucket: &str, left: u32| {
        vec![
            ("x-ratelimit-limit", "2".to_owned()),
            ("x-ratelimit-remaining", left.to_string()),
            ("x-ratelimit-reset-after", "30".to_owned()),
            ("x-ratelimit-bucket", bucket.to_owned()),
        ]
    };
    let draws = |channel| Draws::none().with(Draw::new("route").with_key(channel));
    let session = world.session("a").with_patience(Duration::ZERO);
    world.paths.set("a.example/read", 200, told("b1", 1));
    world.paths.set("a.example/write", 200, told("b1", 0));
    world.clock.run(async {
        // Two routes, each known only by its own name until the first response.
        session.send(&Read(draws("c1"), "read")).await.unwrap();
        session.send(&Write(draws("c1"), "write")).await.unwrap();
        // Both routes are now known to use one bucket, which is empty for this channel only.
        let read = session.send(&Read(draws("c1"), "read")).await;
        let write = session.send(&Write(draws("c1"), "write")).await;
        let errors = [read.unwrap_err(), write.unwrap_err()];
        for error in errors {
            let Retry::After(after) = error.retry() else {
                panic!("{error:?}")
            };
            assert!(after > seconds(29) && after <= seconds(30));
        }
        session.send(&Read(draws("c2"), "read")).await.unwrap();
        world.clock.sleep(seconds(30)).await;
        session.send(&Read(draws("c1"), "read")).await.unwrap();
    });
    assert_eq!(world.paths.count("a.example/read"), 3);
    assert_eq!(world.paths.count("a.example/write"), 1);
}

#[test]
fn waiting_calls_move_to_a_newly_discovered_bucket() {
    let mut rule = HeaderRule::default();
    rule.remaining = Some("x-left".to_owned());
    rule.limit = Some("x-limit".to_owned());
    rule.reset = Some(TimeHeader::new("x-reset", TimeFormat::Seconds));
    rule.bucket = Some("x-bucket".to_owned());
    let route = Limit::new("route", Per::Operation, RateModel::Learned).with_learn(rule);
    let world = World::new(vec![route]);
    let headers = [
        ("x-left", "0"),
        ("x-limit", "3"),
        ("x-reset", "10"),
        ("x-bucket", "b"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned()));
    world.paths.set("a.example/x", 200, headers.to_vec());
    let session = world.session("a").with_patience(HOUR);
    let draws = Draws::none().with(Draw::new("route"));
    let call = Read(draws, "x");
    let calls = (0..5).map(|_| session.send(&call));
    let results = world.clock.run(futures_util::future::join_all(calls));
    assert!(results.iter().all(Result::is_ok));
    let arrived = world.paths.arrived.lock().unwrap();
    let times: Vec<u64> = arrived.iter().map(|(_, at)| at.as_secs()).collect();
    println!("5 calls of one route arrived after {times:?} s");
    // One call discovers the bucket, three calls are sent in the next window, and the last call in
    // the window after that.
    assert_eq!(times, [0, 10, 10, 10, 20]);
}

#[test]
fn a_draw_from_an_unknown_limit_is_a_bug_that_names_the_limit() {
    let world = World::new(described());
    let session = world.session("a");
    let table = [
        (Draws::default().with(Draw::new("colour")), "`colour`"),
        (Draws::default().with(Draw::new("channel")), "`channel`"),
    ];
    for (draws, name) in table {
        let error = world
            .clock
            .run(session.send(&Read(draws, "x")))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Bug);
        assert!(error.message().contains(name), "{error}");
    }
    assert_eq!(world.paths.count("a.example/x"), 0);
}

proptest! {
    /// For any sequence of draws, waits, cancellations and completions, no limit is exceeded, no
    /// call waits forever, and no call is lost.
    #[test]
    fn calls_under_several_limits_neither_exceed_nor_block_each_other(
        calls in prop::collection::vec((0..5_000_u64, 0..8_u8, 0..4_u8, 0..2_u8), 1..60),
    ) {
        const CHANNELS: [&str; 2] = ["c1", "c2"];
        let world = World::new(vec![
            Limit::window("app", Per::App, 6, 3),
            Limit::window("account", Per::Account, 4, 2),
            Limit::concurrent("slots", Per::Account, 3),
            Limit::window("operation", Per::Operation, 3, 2),
            Limit::window("channel", Per::Resource, 2, 2),
        ]);
        let budget = Budget::new(
            RateModel::Window { requests: 5, seconds: 2 },
            shared(&world.clock),
        );
        let ended = Mutex::new(0);
        let tasks = calls.iter().map(|&(after, draws, fate, account)| {
            let (world, ended) = (&world, &ended);
            let account = ["a", "b"][usize::from(account)];
            let session = world.session(account).with_patience(HOUR).with_budget(budget.clone());
            let session = if after % 3 == 0 { session.background() } else { session };
            async move {
                world.clock.sleep(Duration::from_millis(after)).await;
                let mut call = Draws::default();
                if draws & 1 > 0 {
                    call = call.with(Draw::new("operation"));
                }
                if draws & 2 > 0 {
                    call = call.with(Draw::new("channel").with_key(CHANNELS[usize::from(draws / 4)]));
                }
                let call = Read(call, if draws & 1 > 0 { "operation" } else { "x" });
                let call = session.send(&call);
                if fate == 0 {
                    let patience = world.clock.sleep(Duration::from_millis(after));
                    futures_util::future::select(std::pin::pin!(call), std::pin::pin!(patience)).await;
                } else {
                    call.await.unwrap();
                }
                *ended.lock().unwrap() += 1;
            }.boxed()
        }).collect();
        world.clock.run_all(tasks, HOUR);
        prop_assert_eq!(*ended.lock().unwrap(), calls.len());
        let arrived = world.paths.arrived.lock().unwrap();
        let within = |of: &dyn Fn(&str) -> bool, most: usize, length| {
            let times: Vec<Duration> =
                arrived.iter().filter(|it| of(&it.0)).map(|it| it.1).collect();
            times.windows(most + 1).all(|run| run[most] >= run[0] + seconds(length))
        };
        prop_assert!(within(&|_| true, 5, 2));
        prop_assert!(within(&|_| true, 6, 3));
        prop_assert!(within(&|path| path.starts_with("a."), 4, 2));
        prop_assert!(within(&|path| path == "a.example/operation", 3, 2));
    }
}
