//! Virtual time: tasks run until all of them wait, and then the clock jumps to the next sleeper.

#![allow(unreachable_pub, reason = "the modules of this program use it")]

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::{Clock, Monotonic, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::{Random, Result};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

pub const START: &str = "2026-11-20T12:00:00Z";

/// A clock that jumps. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct VirtualClock(Arc<Mutex<Time>>);

#[derive(Debug, Default)]
struct Time {
    now: Duration,
    next: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl VirtualClock {
    pub fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    /// Runs `task` until it completes.
    pub fn run<T>(&self, task: impl Future<Output = T>) -> T {
        let mut output = None;
        {
            let mut task = std::pin::pin!(async { output = Some(task.await) });
            let mut tasks = FuturesUnordered::new();
            tasks.push(task.as_mut());
            self.drive(&mut tasks, Duration::MAX);
        }
        output.expect("the task waits for an event that never occurs")
    }

    /// Runs `tasks` until all have completed or the clock would pass `until`. Remaining tasks are
    /// dropped.
    pub fn run_all(&self, tasks: Vec<BoxFuture<'_, ()>>, until: Duration) {
        let mut tasks: FuturesUnordered<_> = tasks.into_iter().collect();
        self.drive(&mut tasks, until);
    }

    fn drive<F: Future<Output = ()>>(&self, tasks: &mut FuturesUnordered<F>, until: Duration) {
        connector_testkit::trace::init();
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut cx = Context::from_waker(&waker);
        loop {
            while flag.0.swap(false, Ordering::SeqCst) {
                while let Poll::Ready(ended) = Pin::new(&mut *tasks).poll_next(&mut cx) {
                    if ended.is_none() {
                        return;
                    }
                }
            }
            let waker = {
                let mut time = self.0.lock().unwrap();
                match time.sleepers.pop_first() {
                    Some(((at, _), waker)) if at <= until => {
                        time.now = at;
                        waker
                    }
                    _ => return,
                }
            };
            waker.wake();
        }
    }
}

struct Sleep {
    clock: VirtualClock,
    until: Duration,
    id: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.0.lock().unwrap();
        if time.now >= self.until {
            return Poll::Ready(());
        }
        time.sleepers
            .insert((self.until, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let mut time = self.clock.0.lock().unwrap();
        time.sleepers.remove(&(self.until, self.id));
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse(START).unwrap().after(self.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        let sleep = {
            let mut time = self.0.lock().unwrap();
            time.next += 1;
            Sleep {
                clock: self.clone(),
                until: time.now.saturating_add(duration),
                id: time.next,
            }
        };
        sleep.await;
    }
}

/// A deterministic random source (xorshift64*).
#[derive(Debug)]
pub struct Seeded(Mutex<u64>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The reaction of a scripted transport to a request.
#[derive(Debug, Clone)]
pub enum Step {
    Answer(u16, Vec<(&'static str, String)>, String),
    Fail(TransportErrorKind, Sent),
    /// Never responds.
    Hang,
}

pub fn answer(status: u16, body: &str) -> Step {
    Step::Answer(status, Vec::new(), body.to_owned())
}

/// Answers requests with the scripted steps in turn. The last step is repeated.
#[derive(Debug)]
pub struct Script {
    steps: Mutex<VecDeque<Step>>,
    pub sent: Mutex<Vec<http::Request<Bytes>>>,
    pub timeouts: Mutex<Vec<Duration>>,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            sent: Mutex::default(),
            timeouts: Mutex::default(),
        })
    }

    pub fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Returns the values of a header in all requests that were sent.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let text = |request: &http::Request<Bytes>| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        sent.iter()
            .map(|request| text(request).unwrap_or_default())
            .collect()
    }
}

#[async_trait]
impl HttpTransport for Script {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.timeouts.lock().unwrap().push(outbound.timeout);
        self.sent.lock().unwrap().push(outbound.request);
        let step = {
            let mut steps = self.steps.lock().unwrap();
            match steps.len() {
                0 => panic!("the script has no step for this request"),
                1 => steps[0].clone(),
                _ => steps.pop_front().unwrap(),
            }
        };
        match step {
            Step::Answer(status, headers, body) => {
                let mut response = http::Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(Bytes::from(body)).unwrap())
            }
            Step::Fail(kind, sent) => Err(TransportError::new(kind, sent)),
            Step::Hang => std::future::pending().await,
        }
    }
}
