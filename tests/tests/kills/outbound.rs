//! Processes that send webhooks are killed, again and again, and no message is lost.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, Monotonic, SystemClock, Timestamp};
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::outbound::{EventType, Message, MessageId, WEBHOOK_ID};
use connector_core::store::{OutboundFilter, OutboundState, OutboundStore as _};
use connector_core::{Actor, CorrelationId, RequestContext, TenantId};
use connector_http::HttpClient;
use connector_hub::{Hub, NewTarget};
use connector_sim::{Request, Response, Server, Service};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::artefacts;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::random::Numbers;

const ENDPOINTS: usize = 8;
const MESSAGES: usize = 250;
/// Longer than the lease of a message.
const PAST_LEASE: Duration = Duration::from_mins(10);
/// Maximum number of concurrent attempts of all processes: four per endpoint.
const MAX_IN_FLIGHT: usize = 4 * ENDPOINTS;

fn tenant() -> TenantId {
    TenantId::new("t1").unwrap()
}

fn origin(number: usize) -> Origin {
    Origin::parse(&format!("https://e{number}.example")).unwrap()
}

/// The system's clock, moved forward.
#[derive(Debug, Clone)]
struct Later(SystemClock, Duration);

#[async_trait]
impl Clock for Later {
    fn now(&self) -> Timestamp {
        self.0.now().after(self.1)
    }

    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

/// The first line on a child's standard input.
#[derive(Serialize, Deserialize)]
struct Order {
    database: PathBuf,
    keys: String,
    later: Duration,
    address: SocketAddr,
}

impl Order {
    async fn hub(&self) -> (Hub, SqliteStore) {
        let clock = Later(SystemClock::new(), self.later);
        let options = SqliteOptions::new(&self.database).with_clock(Arc::new(clock.clone()));
        let store = options.open().await.unwrap();
        let mut transport = HttpClient::builder();
        for number in 0..ENDPOINTS {
            let loopback = LoopbackOverride::new(origin(number), self.address);
            transport = transport.with_loopback(loopback.unwrap());
        }
        let hub = Hub::builder()
            .store(store.clone())
            .cipher(Keyring::parse(&SecretString::from(self.keys.clone())).unwrap())
            .clock(clock)
            .transport(transport.build().unwrap())
            .build()
            .unwrap();
        (hub, store)
    }
}

/// Runs a worker until standard input ends.
pub(crate) fn child() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let order: Order = serde_json::from_str(&line).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (hub, _) = order.hub().await;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            let _ = stop.send(());
        });
        let stopped = async {
            let _ = stopped.await;
        };
        hub.worker().run(stopped).await;
    });
}

fn start(order: &Order) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outbound_child", "--ignored"])
        .env(crate::CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let line = serde_json::to_string(order).unwrap() + "\n";
    let stdin = child.stdin.as_mut().unwrap();
    std::io::Write::write_all(stdin, line.as_bytes()).unwrap();
    child
}

/// The receivers of all endpoints.
#[derive(Default)]
struct Receivers {
    /// The number of requests by host and message.
    got: Mutex<BTreeMap<(String, String), usize>>,
    /// The number of different messages.
    different: watch::Sender<usize>,
}

impl Service for Receivers {
    fn origins(&self) -> Vec<Origin> {
        (0..ENDPOINTS).map(origin).collect()
    }

    fn respond(&self, request: &Request) -> Response {
        let id = request.headers()[WEBHOOK_ID].to_str().unwrap().to_owned();
        let host = request.url().host_str().unwrap().to_owned();
        let mut got = self.got.lock().unwrap();
        *got.entry((host, id)).or_default() += 1;
        self.different.send_replace(got.len());
        Response::new(200, "text/plain", "")
    }
}

/// R16, R22 and R23 for webhooks: an accepted message is sent at least once, whichever process dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_senders_lose_no_message() {
    let kills = if crate::full() { 200 } else { 12 };
    let receivers = Arc::new(Receivers::default());
    let clock = Arc::new(SystemClock::new());
    let server = Server::start(Arc::<Receivers>::clone(&receivers), clock)
        .await
        .unwrap();
    let directory = artefacts::directory("killed-senders").unwrap();
    let mut order = Order {
        database: directory.path().join("store.db"),
        keys: Keyring::generate().unwrap().expose_secret().to_owned(),
        later: Duration::ZERO,
        address: server.address(),
    };
    let (hub, store) = order.hub().await;
    let outbound = hub.outbound(&tenant());
    let context = || RequestContext::new(Actor::Worker, CorrelationId::default());
    for number in 0..ENDPOINTS {
        let target = NewTarget::new(format!("https://e{number}.example/"));
        outbound.add(target, context()).await.unwrap();
    }
    let mut numbers = Numbers::new(1);
    let mut published = 0;
    let mut publish = async |count: usize| {
        for _ in 0..count {
            let id = MessageId::new(format!("m{published}")).unwrap();
            let kind = EventType::new("order.created").unwrap();
            let at = Timestamp::from_unix_seconds(1);
            let message = Message::json(id, kind, at, &published).unwrap();
            outbound.publish(message).await.unwrap();
            published += 1;
        }
        published
    };
    let mut arrived = 0;
    for _ in 0..kills {
        publish(MESSAGES / kills + 1).await;
        let mut children = [start(&order), start(&order)];
        arrived += usize::try_from(1 + numbers.below(40)).unwrap();
        server.arrived("/", arrived).await;
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        arrived = server.count(&http::Method::POST, "/");
        order.later += PAST_LEASE;
    }
    let published = publish(1).await;
    // The last process finishes and stops.
    let mut last = start(&order);
    let all = published * ENDPOINTS;
    let mut different = receivers.different.subscribe();
    let different = *different.wait_for(|count| *count >= all).await.unwrap();
    drop(last.stdin.take());
    assert!(last.wait().unwrap().success());
    let duplicates = receivers.got.lock().unwrap().values().sum::<usize>() - different;
    let mut filter = OutboundFilter::default();
    filter.state = Some(OutboundState::Delivered);
    let (mut delivered, mut after) = (0, None);
    loop {
        let page = store.outbound(&filter, after.as_ref(), 500).await.unwrap();
        delivered += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    println!(
        "killed by SIGKILL: {} processes; messages sent: {all}, lost: {}, sent twice: {duplicates}",
        2 * kills,
        all - different
    );
    assert_eq!((different, delivered), (all, all));
    assert!(duplicates <= kills * MAX_IN_FLIGHT, "{duplicates}");
}
