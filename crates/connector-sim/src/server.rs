//! An HTTP/1.1 server on the loopback address that serves several host names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::{HttpTransport, LoopbackOverride, Origin};
use connector_core::{Error, ErrorKind, Result};
use http::Method;
use http::header::HOST;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::fault::Fault;
use crate::message::{Request, Response};
use crate::transport::InProcess;

/// Maximum size of a request body, in bytes.
const MAX_REQUEST: usize = 24 * 1024 * 1024;

/// A simulated provider behind a [`Server`].
pub trait Service: Send + Sync + 'static {
    /// Returns the origins that the provider serves now.
    fn origins(&self) -> Vec<Origin>;

    /// Returns the response to a request. Called from many tasks concurrently; must not block.
    fn respond(&self, request: &Request) -> Response;
}

/// The HTTP server of a simulated provider. The server counts requests, numbers them
/// (`x-request-id`), and injects the faults that a test scripts.
///
/// The server listens on a free port of 127.0.0.1, and ends on drop. Address requests to the
/// provider's real host name; a transport with [`Server::overrides`] redirects them to the
/// simulator.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Number of requests by method and path.
type Counts = BTreeMap<(String, String), usize>;

pub(crate) struct Shared {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Counts of the arrived requests.
    counts: watch::Sender<Counts>,
    /// Path patterns of held requests.
    held: watch::Sender<BTreeSet<String>>,
}

/// A function that gets every request.
type Observer = Arc<dyn Fn(&Request) + Send + Sync>;

#[derive(Default)]
struct State {
    observers: Vec<Observer>,
    /// The scripted faults, each with the path pattern of its request.
    faults: VecDeque<(String, Fault)>,
    requests: u64,
}

/// The result of one request.
pub(crate) enum Outcome {
    Complete(Response),
    /// The connection is closed in the middle of the body.
    Truncated(Response),
    /// The connection is closed without a response.
    Dropped,
}

impl Server {
    /// Starts a server for `service` that uses `clock` as its time source. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port of the loopback address is free.
    pub async fn start(service: Arc<dyn Service>, clock: Arc<dyn Clock>) -> Result<Self> {
        let unavailable = |error: std::io::Error| {
            Error::new(
                ErrorKind::Network,
                "sim.server.start",
                "no port of the loopback address is free",
            )
            .with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        let shared = Arc::new(Shared {
            service,
            clock,
            state: Mutex::default(),
            counts: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared), address));
        Ok(Self {
            shared,
            address,
            task,
        })
    }

    /// Returns the address of the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the loopback overrides that redirect requests for the provider's origins to this
    /// server.
    #[must_use]
    pub fn overrides(&self) -> Vec<LoopbackOverride> {
        let origins = self.shared.service.origins();
        // The server's address is a loopback address, so this cannot fail.
        let overrides = origins.into_iter();
        overrides
            .filter_map(|origin| LoopbackOverride::new(origin, self.address).ok())
            .collect()
    }

    /// Returns a transport that calls the provider without a socket, with the same rules and
    /// faults.
    ///
    /// Use this transport in tests with a manual clock. A request over a socket takes real time, so
    /// a test with a socket could not know when to advance the clock.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn HttpTransport> {
        Arc::new(InProcess::new(Arc::clone(&self.shared)))
    }

    /// Returns a loopback address for the provider's URL `url`, for a browser on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the provider does not serve the URL's origin.
    pub fn browser_url(&self, url: &Url) -> Result<Url> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidInput,
                "sim.server.browser_url",
                "the simulated provider does not serve this URL",
            )
        };
        let origin = Origin::of(url).map_err(|_| wrong())?;
        if !self.shared.service.origins().contains(&origin) {
            return Err(wrong());
        }
        let local = format!("http://{}/{}{}", self.address, origin.host(), url.path());
        let mut local = Url::parse(&local).map_err(|_| wrong())?;
        local.set_query(url.query());
        Ok(local)
    }

    /// Injects `fault` into the next request to `path`. If there are earlier faults for the same
    /// path, they apply first. A path that ends with `*` matches all paths with the prefix before
    /// the `*`.
    pub fn fault(&self, path: impl Into<String>, fault: Fault) {
        self.shared.state().faults.push_back((path.into(), fault));
    }

    /// Calls `observer` with each request that arrives, before a fault applies.
    pub fn observe(&self, observer: impl Fn(&Request) + Send + Sync + 'static) {
        self.shared.state().observers.push(Arc::new(observer));
    }

    /// Returns the number of scripted faults whose request has not arrived yet.
    #[must_use]
    pub fn pending_faults(&self) -> usize {
        self.shared.state().faults.len()
    }

    /// Returns the number of requests with the given method and path, including requests with a
    /// fault. `path` may end with `*`, as for [`Server::fault`].
    #[must_use]
    pub fn count(&self, method: &Method, path: &str) -> usize {
        counted(&self.shared.counts.borrow(), Some(method), path)
    }

    /// Returns the number of requests by method and path.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        self.shared.counts.borrow().clone()
    }

    /// Holds requests to `path` until [`Server::release`]. Held requests are already counted.
    /// `path` may end with `*`, as for [`Server::fault`].
    pub fn hold(&self, path: impl Into<String>) {
        let path = path.into();
        self.shared.held.send_modify(|held| {
            held.insert(path);
        });
    }

    /// Releases all held requests.
    pub fn release(&self) {
        self.shared.held.send_modify(BTreeSet::clear);
    }

    /// Waits until `count` requests to `path` have arrived, with any method.
    pub async fn arrived(&self, path: &str, count: usize) {
        let mut counts = self.shared.counts.subscribe();
        let arrived = counts.wait_for(|counts| counted(counts, None, path) >= count);
        // The sender lives as long as the server, so waiting cannot fail.
        let _ = arrived.await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Returns the number of requests whose path matches a pattern, with the given method or, for
/// `None`, with any method.
fn counted(counts: &Counts, method: Option<&Method>, pattern: &str) -> usize {
    let counts = counts.iter();
    counts
        .filter(|((known, path), _)| {
            method.is_none_or(|it| it.as_str() == known) && matches_path(pattern, path)
        })
        .map(|(_, count)| count)
        .sum()
}

/// Returns true if `path` equals `pattern`, or starts with the part of `pattern` before a final
/// `*`.
fn matches_path(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => pattern == path,
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the outcome of a request, after applying scripted faults.
    pub(crate) async fn handle(&self, request: &Request) -> Outcome {
        let path = request.path();
        let observers = self.state().observers.clone();
        for observer in &observers {
            observer(request);
        }
        let (fault, number) = {
            let mut state = self.state();
            state.requests += 1;
            let mut faults = state.faults.iter();
            let at = faults.position(|(pattern, _)| matches_path(pattern, path));
            let fault = at.and_then(|at| state.faults.remove(at));
            (fault.map(|(_, fault)| fault), state.requests)
        };
        self.counts.send_modify(|counts| {
            let key = (request.method().as_str().to_owned(), path.to_owned());
            *counts.entry(key).or_default() += 1;
        });
        let mut held = self.held.subscribe();
        let is_free = |held: &BTreeSet<String>| !held.iter().any(|it| matches_path(it, path));
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = held.wait_for(is_free).await;
        let numbered = |response: Response| {
            response.with_header("x-request-id", &format!("simulated-{number}"))
        };
        match &fault {
            Some(Fault::Slow(time)) => self.clock.sleep(*time).await,
            Some(Fault::DropBefore) => return Outcome::Dropped,
            Some(Fault::Answer {
                status,
                headers,
                body,
            }) => {
                let response = Response::new(*status, "application/json", body.clone());
                let headers = headers.iter();
                let response = headers.fold(numbered(response), |response, (name, value)| {
                    response.with_header(name, value)
                });
                return Outcome::Complete(response);
            }
            _ => {}
        }
        let response = numbered(self.service.respond(request));
        match fault {
            Some(Fault::DropAfter) => Outcome::Dropped,
            Some(Fault::Truncate) => Outcome::Truncated(response),
            Some(edit @ Fault::Edit(_)) => Outcome::Complete(edit.edit(response)),
            _ => Outcome::Complete(response),
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, address: SocketAddr) {
    // The connections end with this task, and this task ends with the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { over_http(&shared, address, request).await }
        });
        connections.spawn(async move {
            // The client or a fault may close a connection at any time.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn over_http(
    shared: &Shared,
    address: SocketAddr,
    request: http::Request<Incoming>,
) -> std::result::Result<http::Response<Page>, Broken> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST).collect().await;
    let body = body.map_err(|_| Broken)?.to_bytes();
    let Some(url) = real_url(&parts, address) else {
        let response = Response::page(404, "<h1>Not found</h1>");
        return Ok(response.into_http(|bytes| Page::new(&bytes, false)));
    };
    let request = Request::new(parts.method, url, parts.headers, body);
    match shared.handle(&request).await {
        Outcome::Complete(response) => Ok(response.into_http(|bytes| Page::new(&bytes, false))),
        Outcome::Truncated(response) => Ok(response.into_http(|bytes| Page::new(&bytes, true))),
        Outcome::Dropped => Err(Broken),
    }
}

/// Returns the provider's URL of a request. The host is in the `Host` header. If a browser uses the
/// loopback address, the host is in the first path segment.
fn real_url(parts: &http::request::Parts, address: SocketAddr) -> Option<Url> {
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    let target = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let is_local = host == address.to_string() || host == format!("localhost:{}", address.port());
    let text = if is_local {
        format!("https:/{target}")
    } else {
        format!("https://{host}{target}")
    };
    Url::parse(&text).ok()
}

/// An error that makes hyper close the connection.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scripted fault closed the connection")
    }
}

impl std::error::Error for Broken {}

/// A response body that may end before its stated length.
struct Page {
    bytes: Option<Bytes>,
    missing: u64,
}

impl Page {
    fn new(bytes: &Bytes, is_cut: bool) -> Self {
        let kept = if is_cut { bytes.len() / 2 } else { bytes.len() };
        let missing = (bytes.len() - kept) as u64;
        Self {
            missing: if is_cut { missing.max(1) } else { 0 },
            bytes: Some(bytes.slice(..kept)),
        }
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.missing > 0 => Some(Err(Broken)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.bytes.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(left + self.missing)
    }
}
