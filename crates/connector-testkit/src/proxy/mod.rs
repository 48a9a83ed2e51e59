//! Faults on the wire: a proxy on the loopback address that loses, cuts and delays on request.
//!
//! A [`FaultProxy`] stands between a client of HTTP/1.1 and a server on this machine. It passes
//! every byte on as it is, except for requests that a test has injected a [`Fault`] for. What became
//! of such a request is told by the [`Injected`] that the injection gave back, so a test knows
//! whether the server acted, and waits for events and never for time. Time is the clock that the
//! proxy is given.
//!
//! ```
//! use connector_core::clock::{ManualClock, Timestamp};
//! use connector_testkit::proxy::{Fault, FaultProxy};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! # let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let server = listener.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = listener.accept().await?;
//! #     stream.read_buf(&mut Vec::with_capacity(1000)).await?;
//! #     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
//! # });
//! let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
//! let proxy = FaultProxy::start(server, clock).await?;
//! let lost = proxy.inject("/token", Fault::DropAnswer);
//!
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await?;
//! let mut answer = Vec::new();
//! client.read_to_end(&mut answer).await?;
//!
//! assert!(answer.is_empty());
//! assert_eq!(lost.exchange().status, Some(http::StatusCode::OK), "the server acted");
//! # Ok(())
//! # }
//! ```

mod message;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connector_core::clock::Clock;
use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::message::{Answer, Peer};

/// More connections than this wait until others have ended.
const MOST_CONNECTIONS: usize = 1024;

/// What goes wrong with one request, or with its answer.
///
/// Faults of a request come before the server has seen any of it, faults of an answer after the
/// server has given all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed; the server never sees the request.
    DropRequest,
    /// The connection is reset; the server never sees the request.
    ResetRequest,
    /// Nothing happens until the client hangs up; the server never sees the request.
    HoldRequest,
    /// The request takes this long, on the proxy's clock, and arrives whether or not the client is
    /// still there.
    DelayRequest(Duration),
    /// Nothing happens until the client hangs up. Then the server gets the request after all.
    DeliverLate,
    /// The connection is closed instead of an answer.
    DropAnswer,
    /// The connection is reset instead of an answer.
    ResetAnswer,
    /// There is no answer until the client hangs up.
    HoldAnswer,
    /// The answer takes this long, on the proxy's clock.
    DelayAnswer(Duration),
    /// The connection is closed in the middle of the answer.
    Truncate {
        /// The part of the answer that the end lies in.
        within: Part,
        /// How many bytes of that part still arrive, modulo its length.
        after: usize,
    },
    /// The answer arrives byte by byte. All of it arrives.
    Trickle,
}

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The first line, with its end.
    StatusLine,
    /// The headers, with the empty line behind them.
    Headers,
    /// The body. Where there is none, the whole answer arrives.
    Body,
}

/// What has become of a request that met a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing that happened, in any combination"
)]
pub struct Exchange {
    /// The request has arrived here, whole.
    pub is_met: bool,
    /// The request has been passed on, whole.
    pub is_forwarded: bool,
    /// What the server answered, once its answer is here, whole.
    pub status: Option<StatusCode>,
    /// How many bytes of the answer were passed on.
    pub delivered: usize,
    /// Nothing more happens by itself: the client has to hang up, or time has to pass.
    pub is_stalled: bool,
    /// The client has hung up while the proxy was waiting for that.
    pub has_client_left: bool,
    /// Nothing more happens at all.
    pub is_over: bool,
}

/// A fault that was injected, and what has become of it.
#[derive(Debug, Clone)]
pub struct Injected {
    fault: Fault,
    // Kept by every clone, so that waiting cannot fail.
    progress: Arc<watch::Sender<Exchange>>,
}

impl Injected {
    /// What goes wrong.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// What has happened so far.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        *self.progress.borrow()
    }

    /// Waits until the exchange is as `wanted`. It waits for ever if that never happens, as for a
    /// request that nobody makes.
    pub async fn when(&self, wanted: impl FnMut(&Exchange) -> bool) -> Exchange {
        let mut progress = self.progress.subscribe();
        match progress.wait_for(wanted).await {
            Ok(exchange) => *exchange,
            Err(_) => self.exchange(),
        }
    }

    /// Waits until nothing more happens.
    pub async fn over(&self) -> Exchange {
        self.when(|exchange| exchange.is_over).await
    }

    fn note(&self, change: impl FnOnce(&mut Exchange)) {
        self.progress.send_modify(change);
    }

    /// Marks a wait that only the client or the clock ends.
    async fn stalled<T>(&self, wait: impl Future<Output = T>) -> T {
        self.note(|it| it.is_stalled = true);
        let waited = wait.await;
        self.note(|it| it.is_stalled = false);
        waited
    }
}

struct Shared {
    server: SocketAddr,
    clock: Arc<dyn Clock>,
    faults: Mutex<VecDeque<(String, Injected)>>,
}

/// A proxy in front of one server. It ends, with all its connections, when it is dropped.
///
/// Clients may keep their connections; the server gets a new one for each request. Heads are read up
/// to 64 KiB, messages up to 16 MiB; what is longer is a connection that breaks. Up to 1,024
/// connections are served at once.
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of `server` on a port of the loopback address that is free. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(server: SocketAddr, clock: impl Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            clock: Arc::new(clock),
            faults: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            accepting,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes `fault` happen to the next request whose path is `path`, query aside, and that no
    /// earlier injection waits for.
    pub fn inject(&self, path: impl Into<String>, fault: Fault) -> Injected {
        let injected = Injected {
            fault,
            progress: Arc::new(watch::Sender::new(Exchange::default())),
        };
        let mut faults = self.shared.faults();
        faults.push_back((path.into(), injected.clone()));
        injected
    }

    /// How many faults no request has met yet.
    #[must_use]
    pub fn unmet(&self) -> usize {
        self.shared.faults().len()
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("address", &self.address)
            .field("server", &self.shared.server)
            .field("unmet", &self.unmet())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn faults(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Injected)>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meet(&self, path: &str) -> Option<Injected> {
        let mut faults = self.faults();
        let at = faults.iter().position(|(wanted, _)| wanted == path)?;
        faults.remove(at).map(|(_, injected)| injected)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Either side may break a connection whenever it likes.
            let _ = converse(&shared, stream).await;
        });
        while connections.try_join_next().is_some() {}
        if connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
    }
}

/// One client's requests, one after the other.
async fn converse(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    let mut client = Peer::new(stream)?;
    while let Some(request) = client.request().await? {
        let server = Upstream {
            address: shared.server,
            is_head: request.is_head(),
            bytes: request.bytes(),
        };
        let Some(injected) = shared.meet(request.path()) else {
            let answer = server.exchange().await?;
            client.write(answer.bytes()).await?;
            if answer.is_ended_by_close() {
                return Ok(());
            }
            continue;
        };
        injected.note(|it| it.is_met = true);
        let then = met(shared, &mut client, server, &injected).await;
        if matches!(then, Ok(Then::Reset)) {
            client.reset()?;
        }
        if !matches!(then, Ok(Then::GoOn)) {
            // Closed before it is said to be over.
            drop(client);
            injected.note(|it| it.is_over = true);
            return then.map(drop);
        }
        injected.note(|it| it.is_over = true);
    }
    Ok(())
}

/// What becomes of a client's connection.
enum Then {
    GoOn,
    Close,
    Reset,
}

async fn met(
    shared: &Shared,
    client: &mut Peer,
    server: Upstream<'_>,
    injected: &Injected,
) -> io::Result<Then> {
    let fault = injected.fault;
    match fault {
        Fault::DropRequest => return Ok(Then::Close),
        Fault::ResetRequest => return Ok(Then::Reset),
        Fault::HoldRequest | Fault::DeliverLate => {
            injected.stalled(client.left()).await;
            injected.note(|it| it.has_client_left = true);
            if fault == Fault::HoldRequest {
                return Ok(Then::Close);
            }
        }
        Fault::DelayRequest(by) => injected.stalled(shared.clock.sleep(by)).await,
        _ => {}
    }
    let mut stream = server.send().await?;
    injected.note(|it| it.is_forwarded = true);
    let answer = stream.answer(server.is_head).await?;
    injected.note(|it| it.status = Some(answer.status()));
    let bytes = answer.bytes();
    let then = match fault {
        Fault::DeliverLate | Fault::DropAnswer => return Ok(Then::Close),
        Fault::ResetAnswer => return Ok(Then::Reset),
        Fault::HoldAnswer => {
            injected.stalled(client.left()).await;
            injected.note(|it| it.has_client_left = true);
            return Ok(Then::Close);
        }
        Fault::Truncate { within, after } => {
            let kept = &bytes[..answer.cut(within, after)];
            client.write(kept).await?;
            injected.note(|it| it.delivered = kept.len());
            return Ok(Then::Close);
        }
        _ if answer.is_ended_by_close() => Then::Close,
        _ => Then::GoOn,
    };
    if let Fault::DelayAnswer(by) = fault {
        injected.stalled(shared.clock.sleep(by)).await;
    }
    if fault == Fault::Trickle {
        for byte in bytes.chunks(1) {
            client.write(byte).await?;
            injected.note(|it| it.delivered += 1);
            // Whoever reads sees them one by one.
            tokio::task::yield_now().await;
        }
    } else {
        client.write(bytes).await?;
        injected.note(|it| it.delivered = bytes.len());
    }
    Ok(then)
}

/// A request on its way to the server.
#[derive(Clone, Copy)]
struct Upstream<'a> {
    address: SocketAddr,
    is_head: bool,
    bytes: &'a [u8],
}

impl Upstream<'_> {
    async fn send(self) -> io::Result<Peer> {
        let mut server = Peer::new(TcpStream::connect(self.address).await?)?;
        server.write(self.bytes).await?;
        Ok(server)
    }

    async fn exchange(self) -> io::Result<Answer> {
        self.send().await?.answer(self.is_head).await
    }
}
