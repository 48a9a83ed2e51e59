//! Waits are bounded: values in responses are clamped, waiters have a deadline and a maximum
//! number, and leaving a queue is cheap.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use connector_core::api::{FixedToken, Session};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::Origin;
use connector_core::http::limit::{
    Budget, Draws, HeaderRule, Limit, Limits, Per, Priority, RateModel, Report, TimeFormat,
    TimeHeader, UsageHeader,
};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_core::{ErrorKind, ProviderId, Retry};
use futures_util::FutureExt;

use super::isolation::{Paths, Read, World};
use super::{HOUR, key, seconds, shared};
use crate::simulation::{Step, VirtualClock, answer};

const VALUES: [&str; 22] = [
    "",
    "0",
    "-0",
    "-1",
    "1",
    "0.5",
    "1e-300",
    "1e300",
    "1e400",
    "-1e300",
    "NaN",
    "inf",
    "-inf",
    "86400",
    "4102444800",
    "99999999999999999999999999",
    "0x10",
    "1,0",
    "0/0",
    "1/0",
    "100/1e-300",
    "Fri, 31 Dec 9999 23:59:59 GMT",
];

fn rules() -> Vec<(&'static str, Limit)> {
    let text = |it: &str| Some(it.to_owned());
    let mut rate = HeaderRule::default();
    rate.rate = text("x-a");
    rate.limit = text("x-b");
    let mut used = HeaderRule::default();
    used.used_of_limit = text("x-a");
    let mut usage = HeaderRule::default();
    let mut header = UsageHeader::new("x-a", ["/*/0/used", "/used"]);
    header.regain_minutes = text("/wait");
    usage.usage = Some(header);
    let window = |format| {
        let mut rule = HeaderRule::default();
        rule.remaining = text("x-a");
        rule.limit = text("x-b");
        rule.reset = Some(TimeHeader::new("x-c", format));
        rule.window = Some(TimeHeader::new("x-d", TimeFormat::Milliseconds));
        rule
    };
    let bucket = || Limit::bucket("l", Per::Account, 10, 1.0);
    let mut table = vec![
        ("rate", bucket().with_learn(rate)),
        ("used of limit", bucket().with_learn(used)),
        ("usage", bucket().with_learn(usage)),
    ];
    for format in [
        TimeFormat::Seconds,
        TimeFormat::Milliseconds,
        TimeFormat::UnixSeconds,
        TimeFormat::UnixMilliseconds,
        TimeFormat::SecondsOrUnixSeconds,
        TimeFormat::Date,
    ] {
        let described = Limit::window("l", Per::Account, 10, 10);
        table.push(("window", described.with_learn(window(format))));
        let learned = Limit::new("l", Per::Account, RateModel::Learned);
        table.push(("learned", learned.with_learn(window(format))));
    }
    table
}

#[test]
fn no_header_value_makes_a_call_wait_beyond_its_patience_or_an_hour() {
    let (mut cases, mut refused, mut longest) = (0, 0, Duration::ZERO);
    for (name, limit) in rules() {
        for value in VALUES {
            for status in [200, 429] {
                let world = World::new(vec![limit.clone()]);
                let share =
                    format!(r#"{{"used":{value},"wait":{value},"x":[{{"used":{value}}}]}}"#);
                let first = if name == "usage" {
                    share
                } else {
                    value.to_owned()
                };
                let mut headers = vec![("retry-after", value.to_owned()), ("x-a", first)];
                headers.extend(["x-b", "x-c", "x-d"].map(|name| (name, value.to_owned())));
                world.paths.set("a.example/x", status, headers);
                let call = Read(Draws::default(), "x");
                world.clock.run(async {
                    for _ in 0..3 {
                        let _ = world.session("a").send(&call).await;
                    }
                    world.paths.set("a.example/x", 200, Vec::new());
                    let before = world.clock.elapsed();
                    let hasty = world
                        .session("a")
                        .with_patience(seconds(10))
                        .send(&call)
                        .await;
                    if let Err(error) = hasty {
                        assert_eq!(error.kind(), ErrorKind::RateLimited);
                        assert!(
                            matches!(error.retry(), Retry::After(after) if after <= HOUR),
                            "{name} {value}: {error:?}"
                        );
                        refused += 1;
                    }
                    let waited = world.clock.elapsed() - before;
                    assert!(waited <= seconds(11), "{name} {value}: {waited:?}");
                    let patient = world.session("a").with_patience(2 * HOUR).send(&call).await;
                    patient.unwrap();
                    let waited = world.clock.elapsed() - before;
                    assert!(waited <= HOUR + seconds(2), "{name} {value}: {waited:?}");
                    longest = longest.max(waited);
                });
                cases += 1;
            }
        }
    }
    println!(
        "hostile headers: {cases} cases, {refused} rejected in time, longest wait {longest:?}"
    );
    assert_eq!(cases, 15 * 22 * 2);
    assert!(refused > 0);
}

#[test]
fn no_reported_value_makes_a_call_wait_for_more_than_an_hour() {
    let figures = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-300, 1e300, f64::MAX];
    let models = [
        RateModel::Cost {
            capacity: 100,
            per_second: 10,
        },
        RateModel::Bucket {
            capacity: 100,
            per_second: 10.0,
        },
        RateModel::Window {
            requests: 100,
            seconds: 10,
        },
        RateModel::Concurrent { most: 2 },
        RateModel::Learned,
    ];
    let (mut cases, mut longest) = (0, Duration::ZERO);
    for model in models {
        for one in figures {
            for other in figures {
                let clock = VirtualClock::default();
                let limit = Limit::new("l", Per::Account, model);
                let limits = Limits::new(shared(&clock)).account(&key("a"), &[limit]);
                let budget = limits.budget("l").unwrap();
                let report = Report::new()
                    .with_requested(one)
                    .with_actual(other)
                    .with_available(one)
                    .with_capacity(other)
                    .with_rate(one)
                    .with_reset(Duration::MAX)
                    .with_window(Duration::MAX)
                    .with_hold(Duration::from_secs(86_400));
                clock.run(async {
                    for _ in 0..4 {
                        let before = clock.elapsed();
                        let permit = budget.acquire(Priority::Interactive, "call", 7).await;
                        longest = longest.max(clock.elapsed() - before);
                        permit.unwrap().complete(&report);
                    }
                });
                cases += 1;
            }
        }
    }
    println!("hostile reports: {cases} cases, longest wait {longest:?}");
    assert_eq!(cases, 245);
    assert!(longest <= HOUR + seconds(1), "{longest:?}");
}

fn connector() -> GenericConnector {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://acme.example")];
    GenericConnector::new(description).unwrap()
}

fn token() -> Arc<FixedToken> {
    let origin = Origin::parse("https://acme.example").unwrap();
    Arc::new(FixedToken::new(origin, "secret"))
}

#[test]
fn a_call_waits_up_to_its_sessions_patience() {
    let default = Duration::MAX;
    let table = [
        (Priority::Interactive, default, 30),
        (Priority::Background, default, 900),
        (Priority::Interactive, seconds(5), 5),
        (Priority::Background, seconds(5), 5),
        (Priority::Interactive, Duration::ZERO, 0),
    ];
    let count = table.len();
    for (class, patience, expected) in table {
        let clock = VirtualClock::default();
        // A permit that is never returned, so no response states when it becomes available.
        let budget = Budget::new(RateModel::Concurrent { most: 1 }, shared(&clock));
        let session = Session::builder(&connector(), token(), Paths::new(&clock))
            .clock(shared(&clock))
            .build()
            .with_budget(budget.clone());
        let session = if class == Priority::Background {
            session.background()
        } else {
            session
        };
        let session = if patience == default {
            session
        } else {
            session.with_patience(patience)
        };
        clock.run(async {
            let _place = budget.acquire(Priority::Interactive, "other", 1).await;
            let error = session
                .send(&Read(Draws::default(), "x"))
                .await
                .unwrap_err();
            assert_eq!(clock.elapsed(), seconds(expected));
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert!(matches!(error.retry(), Retry::After(after) if !after.is_zero()));
            assert_eq!(error.provider(), Some("acme"));
        });
    }
    println!("patience: {count} cases");
}

#[test]
fn a_call_that_cannot_be_sent_in_time_fails_immediately_with_a_retry_time() {
    let world = World::new(vec![Limit::bucket("l", Per::Account, 1, 0.01)]);
    world.clock.run(async {
        let call = Read(Draws::default(), "x");
        world.session("a").send(&call).await.unwrap();
        let before = world.clock.elapsed();
        let error = world.session("a").send(&call).await.unwrap_err();
        assert_eq!(world.clock.elapsed(), before);
        let Retry::After(after) = error.retry() else {
            panic!("{error:?}")
        };
        assert_eq!(after, seconds(100));
        assert!(error.message().contains("`l`"), "{error}");
        world.clock.sleep(after).await;
        world.session("a").send(&call).await.unwrap();
    });
}

#[tokio::test]
async fn patience_ends_on_the_manual_clock_too() {
    let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
    let budget = Budget::new(RateModel::Concurrent { most: 1 }, Arc::new(clock.clone()));
    let transport = crate::simulation::Script::new([answer(200, ""), Step::Hang]);
    let session = Session::builder(&connector(), token(), transport.clone())
        .clock(Arc::new(clock.clone()))
        .build()
        .with_budget(budget.clone())
        .with_patience(seconds(7));
    let place = budget.acquire(Priority::Interactive, "other", 1).await;
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move { session.send(&Read(Draws::default(), "x")).await })
    };
    clock.wait_for_sleepers(1).await;
    clock.advance(Duration::from_millis(6999));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(transport.count(), 0);
    drop(place);
    session.send(&Read(Draws::default(), "x")).await.unwrap();
    assert_eq!(transport.count(), 1);
}

#[test]
fn calls_beyond_the_queue_limit_fail_immediately() {
    for (most, bound) in [(Some(3), 3), (None, 10_000)] {
        let clock = VirtualClock::default();
        let mut budget = Budget::new(super::bucket(1, 1.0), shared(&clock));
        if let Some(most) = most {
            budget = budget.with_max_waiters(most);
        }
        clock.run(async {
            let acquire = || Box::pin(budget.acquire(Priority::Interactive, "call", 1));
            let _first = acquire().await;
            let mut waiting: Vec<_> = (0..bound).map(|_| acquire()).collect();
            assert!(waiting.iter_mut().all(|it| it.now_or_never().is_none()));
            let error = acquire().now_or_never().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            let Retry::After(after) = error.retry() else {
                panic!("{error:?}")
            };
            assert!(after >= seconds(bound - 1) || after == HOUR, "{after:?}");
            waiting.pop();
            assert!(
                acquire().now_or_never().is_none(),
                "the dropped call freed a place"
            );
        });
        println!("{bound} calls wait, and one more fails immediately");
    }
}

struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_thousand_waiters_leave_with_at_most_one_wake_each() {
    const WAITERS: usize = 100_000;
    for reversed in [false, true] {
        let clock = VirtualClock::default();
        let budget = Budget::new(super::bucket(1, 1.0), shared(&clock));
        let budget = budget.with_max_waiters(WAITERS);
        let first = budget.acquire(Priority::Interactive, "call", 1);
        first
            .now_or_never()
            .unwrap()
            .unwrap()
            .complete(&Report::new());
        let wakes = Arc::new(Wakes(AtomicU64::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut waiting: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
        for _ in 0..WAITERS {
            let mut call: Pin<Box<dyn Future<Output = _>>> =
                Box::pin(budget.acquire(Priority::Interactive, "call", 1));
            assert!(call.as_mut().poll(&mut cx).is_pending());
            waiting.push(call);
        }
        if reversed {
            waiting.reverse();
        }
        drop(waiting);
        let wakes = wakes.0.load(Ordering::Relaxed);
        println!("{WAITERS} waiters left, reversed {reversed}: {wakes} wakes");
        assert!(wakes <= WAITERS as u64);
        clock
            .run(budget.acquire(Priority::Interactive, "call", 1))
            .unwrap()
            .release();
        assert_eq!(clock.elapsed(), seconds(1));
    }
}
