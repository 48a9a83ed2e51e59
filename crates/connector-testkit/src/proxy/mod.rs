//! Network faults: a proxy on the loopback address that drops, truncates and delays traffic on
//! request.
//!
//! A [`FaultProxy`] is a proxy between an HTTP/1.1 client and a server on the same machine. It
//! forwards all bytes unchanged, except for requests for which a test has injected a [`Fault`]. The
//! injection returns an [`Injected`], which reports the progress of the request with the fault. A
//! test can therefore check whether the server received the request, and can wait for events
//! instead of sleeping. Delays use the clock of the proxy.
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
//! let lost = proxy.inject("/token", Fault::DropResponse);
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

/// Maximum number of concurrent connections. Further connections wait.
const MAX_CONNECTIONS: usize = 1024;

/// A fault of one request or of its response.
///
/// A request fault happens before the server has received any byte of the request. A response fault
/// happens after the server has sent the whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Closes the connection. The server never receives the request.
    DropRequest,
    /// Resets the connection. The server never receives the request.
    ResetRequest,
    /// Waits until the client closes the connection. The server never receives the request.
    HoldRequest,
    /// Delays the request by the given time on the proxy's clock. The request is forwarded even if
    /// the client has closed the connection.
    DelayRequest(Duration),
    /// Waits until the client closes the connection, and then forwards the request.
    DeliverLate,
    /// Closes the connection instead of sending the response.
    DropResponse,
    /// Resets the connection instead of sending the response.
    ResetResponse,
    /// Sends no response until the client closes the connection.
    HoldResponse,
    /// Delays the response by the given time on the proxy's clock.
    DelayResponse(Duration),
    /// Closes the connection in the middle of the response.
    Truncate {
        /// The part of the response in which the connection is closed.
        within: Part,
        /// Number of bytes of this part to send before the connection is closed, modulo the length
        /// of the part.
        after: usize,
    },
    /// Sends the complete response byte by byte.
    Trickle,
}

/// A part of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The first line, including its line break.
    StatusLine,
    /// The headers, including the empty line after them.
    Headers,
    /// The body. If there is no body, the whole response is sent.
    Body,
}

/// The progress of a request with a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag records an independent event, and all combinations occur"
)]
pub struct Exchange {
    /// True after the proxy has received the whole request.
    pub is_met: bool,
    /// True after the proxy has forwarded the whole request.
    pub is_forwarded: bool,
    /// The status of the server's response, after the proxy has received the whole response.
    pub status: Option<StatusCode>,
    /// Number of forwarded bytes of the response.
    pub delivered: usize,
    /// True while the proxy waits for the client to close the connection, or for the clock.
    pub is_stalled: bool,
    /// True if the client closed the connection while the proxy waited for the close.
    pub has_client_left: bool,
    /// True after the exchange has ended.
    pub is_over: bool,
}

/// An injected fault, and the progress of its request.
#[derive(Debug, Clone)]
pub struct Injected {
    fault: Fault,
    // Every clone keeps the sender, so waiting cannot fail.
    progress: Arc<watch::Sender<Exchange>>,
}

impl Injected {
    /// Returns the fault.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// Returns the current progress.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        *self.progress.borrow()
    }

    /// Waits until the progress satisfies `wanted`. Waits forever if the progress never satisfies
    /// `wanted`, for example if there is no request.
    pub async fn when(&self, wanted: impl FnMut(&Exchange) -> bool) -> Exchange {
        let mut progress = self.progress.subscribe();
        match progress.wait_for(wanted).await {
            Ok(exchange) => *exchange,
            Err(_) => self.exchange(),
        }
    }

    /// Waits until the exchange has ended.
    pub async fn over(&self) -> Exchange {
        self.when(|exchange| exchange.is_over).await
    }

    fn note(&self, change: impl FnOnce(&mut Exchange)) {
        self.progress.send_modify(change);
    }

    /// Records that the proxy waits for the client or for the clock.
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

/// A proxy in front of one server. The proxy and all its connections end on drop.
///
/// Clients may reuse their connections. The server gets a new connection for each request. Headers
/// may have up to 64 KiB and messages up to 16 MiB; longer ones break the connection. The proxy
/// serves up to 1,024 connections concurrently.
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of `server` on a free port of the loopback address. Requires a tokio
    /// runtime.
    ///
    /// # Errors
    /// An I/O error if no port is available.
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

    /// Returns the address for clients.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects `fault` into the next request for `path` (ignoring the query). If there are earlier
    /// injections for the same path, they apply first.
    pub fn inject(&self, path: impl Into<String>, fault: Fault) -> Injected {
        let injected = Injected {
            fault,
            progress: Arc::new(watch::Sender::new(Exchange::default())),
        };
        let mut faults = self.shared.faults();
        faults.push_back((path.into(), injected.clone()));
        injected
    }

    /// Returns the number of faults whose request has not arrived yet.
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
    // The connections end together with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Both sides may break a connection at any time.
            let _ = converse(&shared, stream).await;
        });
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
    }
}

/// Handles the requests of one client sequentially.
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
            // The connection is closed before the exchange is marked as ended.
            drop(client);
            injected.note(|it| it.is_over = true);
            return then.map(drop);
        }
        injected.note(|it| it.is_over = true);
    }
    Ok(())
}

/// The next step for a client's connection.
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
        Fault::DeliverLate | Fault::DropResponse => return Ok(Then::Close),
        Fault::ResetResponse => return Ok(Then::Reset),
        Fault::HoldResponse => {
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
    if let Fault::DelayResponse(by) = fault {
        injected.stalled(shared.clock.sleep(by)).await;
    }
    if fault == Fault::Trickle {
        for byte in bytes.chunks(1) {
            client.write(byte).await?;
            injected.note(|it| it.delivered += 1);
            // Yields, so that the reader gets the bytes one by one.
            tokio::task::yield_now().await;
        }
    } else {
        client.write(bytes).await?;
        injected.note(|it| it.delivered = bytes.len());
    }
    Ok(then)
}

/// A request that is being sent to the server.
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
