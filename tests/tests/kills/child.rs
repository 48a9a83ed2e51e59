//! The child process: a hub on the shared file, which reads commands as lines and writes results as
//! lines.
//!
//! The first line on standard input is an [`Order`]. Each later line is `tick` (the clock has
//! advanced), `halt` (pause), `go` (continue) or a [`Command`]. The child writes [`Told`] lines,
//! each with the prefix [`MARK`].

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::Keyring;
use connector_core::http::{HttpTransport, OutboundRequest, TransportError};
use connector_core::provider::GenericConnector;
use connector_core::provider::oauth::RotationClass;
use connector_core::{
    AccessToken, Actor, App, AppKey, ConnectionKey, CorrelationId, Error, ErrorKind, FixedApps,
    RequestContext, Retry,
};
use connector_http::HttpClient;
use connector_hub::{Delivered, DeliveryHandler, Hub, Receipt, Worker};
use connector_testkit::kill::{Action, Counted, KillPoints, Point, Side};
use connector_testkit::leak::digest;
use connector_testkit::trace;
use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::backend;
use crate::clock::FileClock;
use crate::keeper::key;
use crate::provider::{CLIENT_ID, ORIGIN, PROCESS, PROVIDER, delivery, description, opening};

/// The prefix of every line for the parent.
pub(crate) const MARK: &str = "@@";

/// The first message to a child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The name of the child, which the provider receives too.
    pub(crate) name: String,
    pub(crate) database: PathBuf,
    pub(crate) clock: PathBuf,
    pub(crate) class: RotationClass,
    /// The provider's port.
    pub(crate) port: u16,
    pub(crate) keys: String,
    pub(crate) client_secret: String,
    pub(crate) end: End,
    /// True if the child handles deliveries.
    pub(crate) handles: bool,
    /// True if the log of the child is recorded for the leak probe.
    pub(crate) trace: bool,
}

/// The action of a child at a kill point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// The child passes every point.
    Never,
    /// The child aborts at this point.
    Abort(u64),
    /// The child pauses at the first of these points until it gets `go`.
    Stop(Stage),
}

/// The progress of a token exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Claimed,
    AboutToSend,
    AboutToCommit,
}

impl Stage {
    /// Returns the point with this progress.
    pub(crate) const fn point(self) -> (&'static str, bool) {
        match self {
            Self::Claimed => ("token.claim", false),
            Self::AboutToSend => ("http.send", true),
            Self::AboutToCommit => ("token.commit", true),
        }
    }
}

/// A command to a child.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) id: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// Get the access token of a connection.
    Fetch(u32),
    /// Get the token in this number of concurrent tasks.
    FetchBy(u32, u32),
    /// Get the token and call the provider's API with it, as a client does.
    Use(u32),
    /// Force a refresh.
    Refresh(u32),
    /// One round of the worker.
    Work,
    /// Receive a delivery repeatedly in several tasks, with rounds of the worker in between.
    Receive { tasks: u32, times: u32 },
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// An access token. If the child used it, the API accepted it.
    Token { generation: u64, digest: String },
    /// The number of tasks, and the number of different tokens that they got.
    Tokens { tasks: u32, different: usize },
    /// The number of new, repeated and handled deliveries.
    Deliveries { new: u64, known: u64, handled: u64 },
    /// The command succeeded.
    Done,
    /// The command failed. It may be repeated after this number of milliseconds.
    Failed { kind: String, after: Option<u64> },
}

/// A message from a child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The child is about to pass a point.
    Point {
        number: u64,
        operation: String,
        before: bool,
    },
    /// The child is paused until it gets `go`.
    Halted,
    /// A command has ended.
    Outcome { id: u64, outcome: Outcome },
    /// The child is idle: its tasks wait only for the clock or for this number of HTTP responses.
    Idle {
        /// Number of lines that the child has read after its order.
        taken: u64,
        requests: i64,
        /// Wake-up time of the first sleeping task, in nanoseconds.
        wake: Option<u64>,
    },
}

fn tell(told: &Told) {
    let line = format!("{MARK}{}\n", serde_json::to_string(told).unwrap());
    let mut out = std::io::stdout().lock();
    // If the parent has ended, nobody reads this line, and the other pipe is closed soon.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// Activity of this process, for [`Told::Idle`].
#[derive(Debug)]
struct Activity {
    clock: FileClock,
    ready: AtomicBool,
    taken: AtomicU64,
    /// Calls of the store and the cipher.
    calls: AtomicI64,
    requests: AtomicI64,
    last: Mutex<Option<(u64, i64, Option<Duration>)>>,
}

impl Activity {
    /// Called when the only thread of the runtime has nothing to do.
    fn parked(&self) {
        if !self.ready.load(Ordering::SeqCst) || self.calls.load(Ordering::SeqCst) != 0 {
            return;
        }
        let now = (
            self.taken.load(Ordering::SeqCst),
            self.requests.load(Ordering::SeqCst),
            self.clock.next_wake(),
        );
        let mut last = self.last.lock().unwrap();
        if *last == Some(now) {
            return;
        }
        *last = Some(now);
        tell(&Told::Idle {
            taken: now.0,
            requests: now.1,
            wake: now.2.map(|at| u64::try_from(at.as_nanos()).unwrap()),
        });
    }
}

/// Counts the requests in flight, and adds the name of the sender to each request.
#[derive(Debug, Clone)]
struct Door {
    inner: Counted<HttpClient>,
    name: HeaderValue,
    activity: Arc<Activity>,
}

#[async_trait]
impl HttpTransport for Door {
    async fn send(
        &self,
        mut request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let headers = request.request.headers_mut();
        headers.insert(PROCESS, self.name.clone());
        let _under_way = UnderWay::new(&self.activity.requests);
        self.inner.send(request).await
    }
}

/// A request without a response that was not abandoned.
struct UnderWay<'a>(&'a AtomicI64);

impl<'a> UnderWay<'a> {
    fn new(requests: &'a AtomicI64) -> Self {
        requests.fetch_add(1, Ordering::SeqCst);
        Self(requests)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A barrier at which the process pauses until it gets `go`.
#[derive(Default)]
struct Stop {
    gone: Mutex<bool>,
    go: Condvar,
}

impl Stop {
    fn wait(&self) {
        let gone = self.gone.lock().unwrap();
        drop(self.go.wait_while(gone, |gone| !*gone).unwrap());
    }

    fn go(&self) {
        *self.gone.lock().unwrap() = true;
        self.go.notify_all();
    }
}

fn points(end: End, activity: &Arc<Activity>, stop: &Arc<Stop>) -> KillPoints {
    let (activity, stop) = (Arc::clone(activity), Arc::clone(stop));
    let points = match end {
        End::Abort(number) => KillPoints::at(number, Action::Abort),
        End::Never | End::Stop(_) => KillPoints::counting(),
    };
    points.with_observer(move |point: Point| {
        let before = point.side == Side::Before;
        // An abandoned request never passes its second point.
        if point.operation != "http.send" {
            let change = if before { 1 } else { -1 };
            activity.calls.fetch_add(change, Ordering::SeqCst);
        }
        // The next idle state is reported even if it equals the previous one.
        *activity.last.lock().unwrap() = None;
        tell(&Told::Point {
            number: point.number,
            operation: point.operation.to_owned(),
            before,
        });
        if matches!(end, End::Stop(stage) if stage.point() == (point.operation, before)) {
            stop.wait();
        }
    })
}

/// Executes the commands from standard input until it is closed.
pub(crate) fn run() {
    let mut lines = std::io::stdin().lock().lines();
    let order: Order = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    drop(lines);
    if order.trace {
        trace::init();
    }
    let activity = Arc::new(Activity {
        clock: FileClock::open(&order.clock),
        ready: AtomicBool::new(false),
        taken: AtomicU64::new(0),
        calls: AtomicI64::new(0),
        requests: AtomicI64::new(0),
        last: Mutex::default(),
    });
    let stop = Arc::new(Stop::default());
    let (sender, receiver) = mpsc::unbounded_channel();
    let going = Arc::clone(&stop);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line == "go" {
                going.go();
            } else if sender.send(line).is_err() {
                return;
            }
        }
    });
    let parked = Arc::clone(&activity);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parked.parked())
        .build()
        .unwrap();
    runtime.block_on(async move {
        let node = Node::open(order, &activity, &stop).await;
        serve(node, receiver, &activity, &stop).await;
    });
}

async fn serve(
    node: Arc<Node>,
    mut lines: mpsc::UnboundedReceiver<String>,
    activity: &Arc<Activity>,
    stop: &Stop,
) {
    activity.ready.store(true, Ordering::SeqCst);
    // The test harness has started a line.
    println!();
    while let Some(line) = lines.recv().await {
        if line == "tick" {
            activity.clock.moved();
        } else if line == "halt" {
            tell(&Told::Halted);
            // The only thread of the runtime.
            stop.wait();
        } else {
            let command: Command = serde_json::from_str(&line).unwrap();
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                let outcome = node.carry_out(command.what).await;
                tell(&Told::Outcome {
                    id: command.id,
                    outcome,
                });
            });
        }
        activity.taken.fetch_add(1, Ordering::SeqCst);
    }
}

struct Node {
    hub: Hub,
    worker: Worker,
    door: Door,
    client_secret: String,
    handled: Arc<AtomicU64>,
}

/// Counts the deliveries.
#[derive(Debug)]
struct Handled(Arc<AtomicU64>);

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, _: &Delivered) -> Result<(), Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Node {
    async fn open(order: Order, activity: &Arc<Activity>, stop: &Arc<Stop>) -> Arc<Self> {
        let clock = activity.clock.clone();
        let points = points(order.end, activity, stop);
        let store = backend::open(&order.database, Arc::new(clock.clone())).await;
        let client = HttpClient::builder()
            .with_loopback(opening(order.port))
            .with_clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let door = Door {
            inner: points.wrap(Arc::new(client)),
            name: HeaderValue::from_str(&order.name).unwrap(),
            activity: Arc::clone(activity),
        };
        let keyring = Keyring::parse(&SecretString::from(order.keys)).unwrap();
        let app = App::new(CLIENT_ID).with_client_secret(order.client_secret.clone());
        let handled = Arc::new(AtomicU64::new(0));
        let mut hub = Hub::builder()
            .store(points.wrap(Arc::new(store)))
            .cipher(points.wrap(Arc::new(keyring)))
            .transport(door.clone())
            .clock(clock)
            .apps(FixedApps::new().with(PROVIDER, AppKey::default(), app))
            .connector(GenericConnector::new(description(order.class)).unwrap());
        if order.handles {
            hub = hub.on_delivery(Handled(Arc::clone(&handled)));
        }
        let hub = hub.build().unwrap();
        Arc::new(Self {
            worker: hub.worker(),
            hub,
            door,
            client_secret: order.client_secret,
            handled,
        })
    }

    async fn carry_out(&self, what: What) -> Outcome {
        let outcome = match what {
            What::Fetch(connection) => self
                .hub
                .access_token(&key(connection))
                .await
                .map(|token| got(&token)),
            What::FetchBy(connection, tasks) => Ok(self.stampede(connection, tasks).await),
            What::Use(connection) => self.call(&key(connection)).await,
            What::Refresh(connection) => {
                let actor = Actor::User("owner".to_owned());
                let context = RequestContext::new(actor, CorrelationId::default());
                let refreshed = self.hub.refresh(&key(connection), context).await;
                refreshed.map(|()| Outcome::Done)
            }
            What::Work => self.worker.tick().await.map(|_| Outcome::Done),
            What::Receive { tasks, times } => self.receive(tasks, times).await,
        };
        outcome.unwrap_or_else(|error| failed(&error))
    }

    async fn stampede(&self, connection: u32, tasks: u32) -> Outcome {
        let mut fetching = JoinSet::new();
        for _ in 0..tasks {
            let hub = self.hub.clone();
            fetching.spawn(async move {
                let token = hub.access_token(&key(connection)).await;
                token.map(|token| digest(token.secret()))
            });
        }
        let mut tokens = Vec::new();
        while let Some(fetched) = fetching.join_next().await {
            match fetched.unwrap() {
                Ok(token) => tokens.push(token),
                Err(error) => return failed(&error),
            }
        }
        let got = u32::try_from(tokens.len()).unwrap();
        tokens.sort_unstable();
        tokens.dedup();
        Outcome::Tokens {
            tasks: got,
            different: tokens.len(),
        }
    }

    async fn receive(&self, tasks: u32, times: u32) -> Result<Outcome, Error> {
        let before = self.handled.load(Ordering::SeqCst);
        let mut receiving = JoinSet::new();
        for _ in 0..tasks {
            let (hub, worker) = (self.hub.clone(), self.hub.worker());
            let secret = self.client_secret.clone();
            receiving.spawn(async move {
                let (mut new, mut known) = (0, 0);
                for time in 0..times {
                    match hub.receive(&PROVIDER, delivery(&secret)).await? {
                        Receipt::Accepted { .. } => new += 1,
                        Receipt::Duplicate { .. } => known += 1,
                        other => panic!("{other:?}"),
                    }
                    if time % 8 == 0 {
                        worker.tick().await?;
                    }
                }
                Ok::<_, Error>((new, known))
            });
        }
        let (mut new, mut known) = (0, 0);
        while let Some(received) = receiving.join_next().await {
            let received = received.unwrap()?;
            new += received.0;
            known += received.1;
        }
        self.worker.tick().await?;
        let handled = self.handled.load(Ordering::SeqCst) - before;
        Ok(Outcome::Deliveries {
            new,
            known,
            handled,
        })
    }

    /// Calls the API, and retries once after a refusal.
    async fn call(&self, key: &ConnectionKey) -> Result<Outcome, Error> {
        let mut token = self.hub.access_token(key).await?;
        for _ in 0..2 {
            let bearer = format!("Bearer {}", token.secret().expose_secret());
            let request = http::Request::get(format!("{ORIGIN}/me"))
                .header(AUTHORIZATION, bearer)
                .body(Bytes::new())
                .unwrap();
            let answer = self.door.send(OutboundRequest::new(request)).await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => {
                    self.hub.accepted(key, token.generation());
                    return Ok(got(&token));
                }
                Ok(401) => token = self.hub.after_rejection(key, token.generation()).await?,
                other => panic!("the provider does not do that: {other:?}"),
            }
        }
        Err(Error::new(
            ErrorKind::Unauthorized,
            "test.call",
            "a newer token is refused too",
        ))
    }
}

fn got(token: &AccessToken) -> Outcome {
    Outcome::Token {
        generation: token.generation().get(),
        digest: digest(token.secret()),
    }
}

fn failed(error: &Error) -> Outcome {
    Outcome::Failed {
        kind: format!("{:?}", error.kind()),
        after: match error.retry() {
            Retry::After(after) => Some(u64::try_from(after.as_millis()).unwrap()),
            _ => None,
        },
    }
}
