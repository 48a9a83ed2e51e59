//! P15: sending webhooks to many endpoints, compared with a bare reqwest loop that posts the same
//! bodies. The server responds at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{Clock as _, SystemClock};
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::outbound::{EventType, Message, MessageId};
use connector_core::store::{MemoryStore, Store};
use connector_core::{Actor, CorrelationId, RequestContext, TenantId};
use connector_http::HttpClient;
use connector_hub::{Hub, NewTarget};
use connector_store_sqlite::SqliteOptions;
use futures_util::{StreamExt as _, stream};
use reqwest::Client;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::server::Server;
use crate::turns::{Candidate, take_turns};
use crate::typed_call::DEADLINE;

const TURNS: u32 = 11;
/// Endpoints, 50 for each of 20 tenants.
const TENANTS: usize = 20;
const ENDPOINTS: usize = 50;
/// Messages per tenant and turn. Each goes to all of the tenant's endpoints.
const MESSAGES: usize = 5;
const OPERATIONS: u32 = 5_000;
const TARGET: f64 = 0.8;
/// Concurrent requests of both sides.
const IN_FLIGHT: usize = 256;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn tenant(number: usize) -> Result<TenantId, Failure> {
    Ok(TenantId::new(format!("t{number}"))?)
}

fn host(tenant: usize, endpoint: usize) -> String {
    format!("https://e{}.example", tenant * ENDPOINTS + endpoint)
}

fn payload() -> serde_json::Value {
    serde_json::json!({ "order": 4711, "text": "x".repeat(900) })
}

/// A hub with all endpoints, and the number of published messages.
struct Sender {
    hub: Hub,
    published: usize,
}

impl Sender {
    async fn new(store: impl Store, address: SocketAddr) -> Result<Self, Failure> {
        let mut transport = HttpClient::builder();
        for number in 0..TENANTS * ENDPOINTS {
            let origin = Origin::parse(&host(0, number))?;
            transport = transport.with_loopback(LoopbackOverride::new(origin, address)?);
        }
        let hub = Hub::builder()
            .store(store)
            .cipher(Keyring::parse(&Keyring::generate()?)?)
            .transport(transport.build()?)
            .build()?;
        for number in 0..TENANTS {
            let outbound = hub.outbound(&tenant(number)?);
            for endpoint in 0..ENDPOINTS {
                let target = NewTarget::new(host(number, endpoint));
                let correlation = CorrelationId::new("bench")?;
                let context = RequestContext::new(Actor::Worker, correlation);
                outbound.add(target, context).await?;
            }
        }
        Ok(Self { hub, published: 0 })
    }

    /// Publishes the messages of one turn. Returns the time in which the worker sends them.
    async fn turn(&mut self) -> Result<Duration, Failure> {
        for _ in 0..MESSAGES {
            for number in 0..TENANTS {
                let id = MessageId::new(format!("m{}", self.published))?;
                let kind = EventType::new("order.created")?;
                let now = SystemClock::new().now();
                let message = Message::json(id, kind, now, &payload())?;
                self.hub.outbound(&tenant(number)?).publish(message).await?;
                self.published += 1;
            }
        }
        let clock = SystemClock::new();
        let begun = clock.monotonic();
        let sent = self.hub.worker().tick().await?.outbound;
        let took = clock.monotonic().since(begun);
        if sent == usize::try_from(OPERATIONS)? {
            Ok(took)
        } else {
            Err(format!("{sent} messages were sent").into())
        }
    }
}

/// Posts the same bodies without storing, signing or recording anything.
async fn raw(client: &Client, address: SocketAddr, body: &str) -> Result<Duration, Failure> {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let requests = (0..OPERATIONS).map(|_| async {
        let request = client
            .post(format!("http://{address}/"))
            .body(body.to_owned());
        request.send().await?.error_for_status()?.bytes().await
    });
    let mut requests = stream::iter(requests).buffer_unordered(IN_FLIGHT);
    while let Some(sent) = requests.next().await {
        sent?;
    }
    Ok(clock.monotonic().since(begun))
}

/// Runs the work of a turn. A failure ends the program, because a turn has no result then.
fn turn(runtime: &Runtime, work: impl Future<Output = Result<Duration, Failure>>) -> Duration {
    match runtime.block_on(work) {
        Ok(took) => took,
        Err(error) => {
            println!("a turn failed: {error}");
            std::process::exit(1);
        }
    }
}

pub(crate) fn measure() -> Outcome {
    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = background.block_on(Server::start("", Duration::ZERO))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let directory = tempfile::tempdir()?;
    let (mut memory, mut sqlite) = runtime
        .block_on(async {
            let memory = MemoryStore::new(Arc::new(SystemClock::new()));
            let file = SqliteOptions::new(directory.path().join("p15.db"));
            Ok::<_, Failure>((
                Sender::new(memory, server.address).await?,
                Sender::new(file.open().await?, server.address).await?,
            ))
        })
        .map_err(|error| error.to_string())?;
    let client = Client::builder().timeout(DEADLINE).build()?;
    let body = payload().to_string();
    let figures = take_turns(
        &mut [
            Candidate::elsewhere("SQLite", |_| turn(&runtime, sqlite.turn())),
            Candidate::elsewhere("memory", |_| turn(&runtime, memory.turn())),
            Candidate::elsewhere("raw reqwest", |_| {
                turn(&runtime, raw(&client, server.address, &body))
            }),
        ],
        TURNS,
        OPERATIONS,
    );
    println!(
        "{TURNS} turns of {OPERATIONS} messages to {} endpoints; ns per message\n",
        TENANTS * ENDPOINTS
    );
    println!("| What | min | median | max |\n|---|---|---|---|");
    let names = ["hub, SQLite", "hub, memory store", "raw reqwest"];
    for (name, figures) in names.iter().zip(&figures) {
        println!("| {name} | {} |", figures.cells());
    }
    println!(
        "\n| Row | Rate to raw: min | median | max | Target | Met |\n|---|---|---|---|---|---|"
    );
    for (name, figures_of) in [("SQLite", &figures[0]), ("memory store", &figures[1])] {
        let ratio = figures[2].ratio_to(figures_of);
        let met = if ratio.median() >= TARGET {
            "yes"
        } else {
            "no"
        };
        println!(
            "| P15 {name} | {:.2} | {:.2} | {:.2} | at least {TARGET:.2} | {met} |",
            ratio.min(),
            ratio.median(),
            ratio.max()
        );
    }
    Ok(())
}
