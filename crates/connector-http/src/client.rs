//! The HTTP client that implements the transport for all providers.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_immediate, select};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, RANGE};
use http::{HeaderMap, Method, Uri};
use ipnet::IpNet;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use connector_core::clock::{Clock, Monotonic, SystemClock};
use connector_core::http::{
    BodyStream, HttpTransport, LoopbackOverride, OutboundRequest, RequestClass, Sent,
    StreamRequest, TransportError, TransportErrorKind,
};
use connector_core::{Error, ErrorKind, Result};

use crate::body::{Body, BodyProblem, Encoding};
use crate::bulkhead::{Bulkhead, Place};
use crate::guard::{Destination, Guard};
use crate::resolve::{CheckFailure, NotPublic, PublicOnly, Resolver, SystemResolver};
use crate::stream::{Arriving, streaming};

const OPERATION: &str = "http.client";
const USER_AGENT: &str = concat!("connectors/", env!("CARGO_PKG_VERSION"));

/// Maximum time from the DNS lookup to the end of the TLS handshake. It is shorter than all request
/// deadlines, so that an unresponsive host is reported as a connection failure and [`Sent::No`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time that a request waits for other requests to the same host.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timer delay from which the client assumes that the process or the machine was suspended. After
/// the process was suspended, the client waits for the same duration again, to read a response that
/// may have arrived during the suspension.
const OVERSLEPT: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 32;
/// Pings detect a broken HTTP/2 connection. Without pings, all requests to the host would fail
/// until TCP times out.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// For HTTP/1.1, the limits are 100 headers and about 400 KiB.
const LARGEST_HTTP2_HEADERS: u32 = 64 * 1024;

/// Builder for an [`HttpClient`].
#[derive(Debug, Clone)]
#[must_use]
pub struct HttpClientBuilder {
    user_agent: String,
    loopbacks: Vec<LoopbackOverride>,
    ports: Vec<u16>,
    networks: Vec<String>,
    proxy: Option<Proxy>,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
    calls_per_host: usize,
    token_requests_per_host: usize,
    streams_per_host: usize,
}

/// The operator's proxy. The proxy's URL may contain a password.
#[derive(Clone)]
struct Proxy(Url);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.0.host_str()).finish()
    }
}

impl HttpClientBuilder {
    /// Sets the `User-Agent` for requests that do not set one. Default: `connectors/<version>`.
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Adds an exception to the egress guard, so that requests for one origin are sent to a
    /// simulator on this machine.
    pub fn with_loopback(mut self, loopback: LoopbackOverride) -> Self {
        self.loopbacks.push(loopback);
        self
    }

    /// Allows an additional port besides 443, for providers that use another port.
    pub fn with_port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Allows the addresses of a private network, for example `10.20.0.0/16`, and names that are only
    /// valid in the local network, for example `hooks.internal`. For a client that sends webhooks to
    /// receivers in the operator's own network. Never take the network from user input.
    ///
    /// Link-local addresses and the metadata services of cloud providers stay blocked, and so do
    /// addresses in URLs: a request needs a host name and https.
    pub fn with_private_network(mut self, network: impl Into<String>) -> Self {
        self.networks.push(network.into());
        self
    }

    /// Sends all requests, except those to simulators, through an HTTP proxy (`http://` or
    /// `https://`, with or without user and password). Default: no proxy. Environment variables
    /// such as `HTTPS_PROXY` are not read.
    ///
    /// The proxy may be in a private network. The proxy resolves the providers' host names, so the
    /// proxy itself must block private addresses.
    pub fn with_proxy(mut self, proxy: Url) -> Self {
        self.proxy = Some(Proxy(proxy));
        self
    }

    /// Sets the DNS resolver. Default: [`SystemResolver`].
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets the clock for deadlines. Default: [`SystemClock`]. Connecting is also limited to 5
    /// seconds on the machine's own clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the maximum number of requests of a class in flight to one host. Default: 128 API
    /// calls, 32 token requests. Further requests wait up to 5 seconds and then fail with
    /// [`TransportErrorKind::Busy`]. 0 has the same effect as 1.
    pub fn with_requests_per_host(mut self, class: RequestClass, requests: usize) -> Self {
        match class {
            RequestClass::Token => self.token_requests_per_host = requests,
            _ => self.calls_per_host = requests,
        }
        self
    }

    /// Sets the maximum number of streams (uploads and downloads) in flight to one host. Default:
    /// 32. Further streams wait up to 5 seconds and then fail with [`TransportErrorKind::Busy`]. 0
    /// has the same effect as 1.
    pub fn with_streams_per_host(mut self, streams: usize) -> Self {
        self.streams_per_host = streams;
        self
    }

    /// Builds the client. Loads the machine's root certificates.
    ///
    /// With a loopback override, the client can be built on a machine without root certificates.
    /// Simulators do not use TLS, and requests to all other hosts fail in the TLS handshake.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the machine has no root certificates and there is no
    /// loopback override, or if the user agent, the proxy's URL or a network is invalid.
    pub fn build(self) -> Result<HttpClient> {
        let proxy_host = self
            .proxy
            .as_ref()
            .and_then(|it| it.0.host_str())
            .map(str::to_owned);
        let networks = self.networks.iter().map(|it| it.parse::<IpNet>());
        let networks: Vec<IpNet> = networks.collect::<Result<_, _>>().map_err(|_| {
            configuration("a private network must have the form address/prefix, as in 10.0.0.0/8")
        })?;
        let allows_local_names = !networks.is_empty();
        let resolver = Arc::new(PublicOnly::new(
            Arc::clone(&self.resolver),
            proxy_host,
            networks,
        ));
        let tls = match tls() {
            Err(error) if !self.loopbacks.is_empty() => {
                tracing::warn!(
                    operation = OPERATION,
                    %error,
                    "no root certificates: only requests to simulators will succeed"
                );
                trusting_nobody()?
            }
            tls => tls?,
        };
        let clients = |class, places: usize| -> Result<ClassClients> {
            Ok(ClassClients {
                places: Bulkhead::new(places.max(1)),
                public: self.client(class, &tls, &resolver, self.proxy.as_ref())?,
                simulated: self.simulated_client(class, &tls, &resolver)?,
            })
        };
        Ok(HttpClient {
            calls: clients(RequestClass::Call, self.calls_per_host)?,
            token_requests: clients(RequestClass::Token, self.token_requests_per_host)?,
            streams: Arc::new(Bulkhead::new(self.streams_per_host.max(1))),
            guard: Guard::new(&self.loopbacks, self.ports).with_local_names(allows_local_names),
            resolver,
            clock: self.clock,
        })
    }

    fn client(
        &self,
        class: RequestClass,
        tls: &ClientConfig,
        resolver: &Arc<PublicOnly>,
        proxy: Option<&Proxy>,
    ) -> Result<reqwest::Client> {
        let mut builder = self.settings(class, tls, resolver).https_only(true);
        if let Some(Proxy(url)) = proxy {
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(configuration("the proxy's URL must be http:// or https://"));
            }
            let proxy = reqwest::Proxy::all(url.as_str());
            builder = builder.proxy(proxy.map_err(|error| unusable("the proxy", error))?);
        }
        builder
            .build()
            .map_err(|error| unusable("the user agent or TLS", error))
    }

    /// Creates the client for loopback addresses. [`Guard::admit`] creates its URLs.
    fn simulated_client(
        &self,
        class: RequestClass,
        tls: &ClientConfig,
        resolver: &Arc<PublicOnly>,
    ) -> Result<Option<reqwest::Client>> {
        if self.loopbacks.is_empty() {
            return Ok(None);
        }
        self.settings(class, tls, resolver)
            .build()
            .map(Some)
            .map_err(|error| unusable("the user agent or TLS", error))
    }

    fn settings(
        &self,
        class: RequestClass,
        tls: &ClientConfig,
        resolver: &Arc<PublicOnly>,
    ) -> reqwest::ClientBuilder {
        let mut tls = tls.clone();
        let builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Arc::clone(resolver))
            .connect_timeout(CONNECT_TIMEOUT);
        let builder = if class == RequestClass::Token {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder.http1_only().pool_max_idle_per_host(0)
        } else {
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            builder
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .http2_max_header_list_size(LARGEST_HTTP2_HEADERS)
                .http2_keep_alive_interval(PING_INTERVAL)
                .http2_keep_alive_timeout(PING_TIMEOUT)
        };
        builder.tls_backend_preconfigured(tls)
    }
}

fn tls() -> Result<ClientConfig> {
    let unusable = |error: rustls::Error| {
        configuration(
            "TLS cannot be set up: the machine needs root certificates (package ca-certificates)",
        )
        .with_source(error)
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_platform_verifier()
        .map_err(unusable)?
        .with_no_client_auth();
    Ok(config)
}

/// Returns a TLS configuration that trusts no certificate.
fn trusting_nobody() -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| configuration("TLS cannot be set up").with_source(error))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

fn configuration(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, OPERATION, message)
}

fn unusable(what: &'static str, error: reqwest::Error) -> Error {
    Error::new(
        ErrorKind::Configuration,
        OPERATION,
        format!("{what} cannot be used for HTTP"),
    )
    .with_source(error.without_url())
}

/// An HTTP client that sends requests only over https and only to public hosts.
///
/// * A request is sent only if its URL is https, contains a host name (no IP address in any
///   notation, no machine-local name, no userinfo), and uses port 443 or an allowed port. If any of
///   the host's addresses is not public, the request is rejected. Otherwise, the client connects to
///   one of the checked addresses. [`LoopbackOverride`] is the only exception.
/// * Redirects are not followed, proxies are not read from the environment, and no request is sent
///   twice.
/// * The response body is limited in its length on the wire, in its decompressed length (gzip), and
///   in its compression ratio (100 beyond 1 MiB). The response headers are limited to 100 headers
///   in HTTP/1.1 and to 64 KiB in HTTP/2.
/// * A [`TransportError`] contains [`Sent::No`] if the request was rejected, if too many requests
///   to its host were in flight, or if no connection could be established. All later errors contain
///   [`Sent::Maybe`]. A deadline of less than about 10 seconds may pass while the client is
///   connecting; the error then also contains [`Sent::Maybe`].
///
/// The two [`RequestClass`]es share the configuration, but not connections or queues. The client
/// logs method, host, status and duration in milliseconds at level `DEBUG`. It needs a tokio
/// runtime with I/O and time drivers. Create one client per process, because creating a client
/// costs far more than a request.
///
/// ```no_run
/// use connector_core::http::{LoopbackOverride, Origin};
/// use connector_http::HttpClient;
///
/// let client = HttpClient::builder().with_user_agent("acme-orders/1.0").build()?;
///
/// // In tests: the real origin, answered by a simulator.
/// let origin = Origin::parse("https://api.example.com")?;
/// let loopback = LoopbackOverride::new(origin, "127.0.0.1:4010".parse()?)?;
/// let simulated = HttpClient::builder().with_loopback(loopback).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HttpClient {
    calls: ClassClients,
    token_requests: ClassClients,
    streams: Arc<Bulkhead>,
    guard: Guard,
    resolver: Arc<PublicOnly>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct ClassClients {
    places: Bulkhead,
    public: reqwest::Client,
    simulated: Option<reqwest::Client>,
}

impl ClassClients {
    fn to(&self, destination: &Destination) -> &reqwest::Client {
        match &self.simulated {
            Some(simulated) if destination.is_overridden() => simulated,
            // Accepts only https, so the client fails if a loopback request reaches it by mistake.
            _ => &self.public,
        }
    }
}

impl HttpClient {
    /// Returns a builder with default settings.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder {
            user_agent: USER_AGENT.to_owned(),
            loopbacks: Vec::new(),
            ports: Vec::new(),
            networks: Vec::new(),
            proxy: None,
            resolver: Arc::new(SystemResolver),
            clock: Arc::new(SystemClock::new()),
            calls_per_host: 128,
            token_requests_per_host: 32,
            streams_per_host: 32,
        }
    }

    const fn clients(&self, class: RequestClass) -> &ClassClients {
        match class {
            RequestClass::Token => &self.token_requests,
            _ => &self.calls,
        }
    }

    /// Applies the egress guard to a request.
    fn admit(
        &self,
        parts: &mut http::request::Parts,
    ) -> Result<(Url, Arc<Destination>), TransportError> {
        let admitted = self.guard.admit(&parts.uri, &mut parts.headers);
        admitted.ok_or_else(|| {
            tracing::debug!(method = %parts.method, "request rejected: its address is not allowed");
            TransportError::new(TransportErrorKind::AddressRefused, Sent::No)
        })
    }

    /// Waits for a permit to send a request to `host`. Returns the permit and the remaining part of
    /// `timeout`.
    async fn place<'a>(
        &self,
        clients: &'a ClassClients,
        host: &'a str,
        started: Monotonic,
        timeout: Duration,
    ) -> Result<(Place<'a>, Duration), TransportError> {
        let failed = |kind| Err(TransportError::new(kind, Sent::No));
        let mut entered = pin!(clients.places.enter(host));
        // Usually a place is free, and no timer is needed.
        let (place, left) = if let Some(place) = poll_immediate(entered.as_mut()).await {
            (place, timeout)
        } else {
            let patience = timeout.min(PLACE_TIMEOUT);
            let Some(place) = before(entered, self.clock.sleep(patience)).await else {
                return failed(TransportErrorKind::Busy);
            };
            let waited = self.clock.monotonic().since(started);
            (place, timeout.saturating_sub(waited))
        };
        if left.is_zero() {
            return failed(TransportErrorKind::Timeout);
        }
        Ok((place, left))
    }

    async fn open_stream(&self, request: StreamRequest) -> Opened {
        let StreamRequest {
            request,
            idle,
            max_response_len,
            class,
            last_check,
            ..
        } = request;
        let (mut parts, body) = request.into_parts();
        let (url, destination) = self.admit(&mut parts)?;
        let method = parts.method.clone();
        let entered = Arc::clone(&self.streams).enter_owned(destination.host.as_str().into());
        let place = before(pin!(entered), self.clock.sleep(idle.min(PLACE_TIMEOUT))).await;
        let Some(place) = place else {
            return Err(TransportError::new(TransportErrorKind::Busy, Sent::No));
        };
        if last_check.is_some_and(|check| !check.may_go()) {
            return Err(TransportError::new(TransportErrorKind::TooLate, Sent::No));
        }
        let (request, is_decoded, progress) = streaming(url, parts, body);
        let sending = self.clients(class).to(&destination).execute(request);
        let head = self.head(pin!(sending), idle, &progress).await;
        let host = &*destination.host;
        match &head {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(%method, host, status, "stream opened");
            }
            Err(error) => {
                let (kind, sent) = (error.kind(), error.sent());
                tracing::debug!(%method, host, ?kind, ?sent, "no response");
            }
        }
        let mut response = head?;
        let announced = response.content_length().unwrap_or(0);
        if announced > max_response_len {
            return Err(refused(BodyProblem::TooLong));
        }
        let encoding = encoding(&response, is_decoded);
        let mut opened = take_head(&mut response);
        if encoding == Encoding::Gzip {
            opened.headers_mut().remove(CONTENT_ENCODING);
            opened.headers_mut().remove(CONTENT_LENGTH);
        }
        let clock = Arc::clone(&self.clock);
        let body = Arriving::new(response, encoding, max_response_len, idle, clock, place);
        Ok(opened.map(|()| body.into_stream()))
    }

    /// Waits for the response head as long as the request body or the response makes progress.
    async fn head(
        &self,
        mut sending: Pin<&mut (impl Future<Output = reqwest::Result<reqwest::Response>> + Send)>,
        idle: Duration,
        sent: &AtomicU64,
    ) -> Result<reqwest::Response, TransportError> {
        let mut seen = 0;
        loop {
            if let Some(head) = before(sending.as_mut(), self.clock.sleep(idle)).await {
                return head.map_err(failure);
            }
            let now = sent.load(Ordering::Relaxed);
            if now == seen {
                return Err(TransportError::new(
                    TransportErrorKind::Timeout,
                    Sent::Maybe,
                ));
            }
            seen = now;
        }
    }

    /// Returns the result of `exchange` if it completes within `left`, the remaining part of
    /// `timeout`.
    async fn in_time(
        &self,
        mut exchange: Pin<&mut (impl Future<Output = Answer> + Send)>,
        started: Monotonic,
        timeout: Duration,
        left: Duration,
    ) -> Answer {
        if let Some(answer) = before(exchange.as_mut(), self.clock.sleep(left)).await {
            return answer;
        }
        // After a suspension of the process, the deadline has passed but the response may be
        // waiting unread.
        let is_overslept =
            self.clock.monotonic().since(started) >= timeout.saturating_add(OVERSLEPT);
        if is_overslept && let Some(answer) = before(exchange, self.clock.sleep(OVERSLEPT)).await {
            return answer;
        }
        Err(TransportError::new(
            TransportErrorKind::Timeout,
            Sent::Maybe,
        ))
    }
}

type Answer = Result<http::Response<Bytes>, TransportError>;
type Opened = Result<http::Response<BodyStream>, TransportError>;

pub(crate) type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Returns the result of `future` if it completes before `deadline`.
pub(crate) async fn before<F: Future + Unpin>(future: F, deadline: Sleep<'_>) -> Option<F::Output> {
    match select(future, deadline).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Builds the reqwest request and the settings for reading its response.
fn outgoing(
    url: Url,
    parts: http::request::Parts,
    body: Bytes,
    max_response_len: usize,
) -> (reqwest::Request, Reading) {
    let (mut request, is_decoded) = bodiless(url, parts);
    if body.is_empty() {
        announce_no_body(&mut request);
    } else {
        *request.body_mut() = Some(body.into());
    }
    let reading = Reading {
        max_response_len,
        is_decoded,
    };
    (request, reading)
}

/// Builds the reqwest request without its body. Also returns whether this client decompresses the
/// response.
pub(crate) fn bodiless(url: Url, parts: http::request::Parts) -> (reqwest::Request, bool) {
    let mut request = reqwest::Request::new(parts.method, url);
    let headers = request.headers_mut();
    *headers = parts.headers;
    // A range counts bytes of the encoded form. A caller that sets encodings also decodes them.
    let is_decoded = !headers.contains_key(ACCEPT_ENCODING) && !headers.contains_key(RANGE);
    if is_decoded {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    (request, is_decoded)
}

/// Adds `Content-Length: 0` to methods for which servers expect it. Without the header, some
/// servers respond with 411 (RFC 9110 section 8.6).
pub(crate) fn announce_no_body(request: &mut reqwest::Request) {
    if matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    ) {
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// Settings for reading a response.
struct Reading {
    max_response_len: usize,
    is_decoded: bool,
}

impl Reading {
    /// Waits for the response of `sending` and reads its whole body.
    async fn exchange(
        self,
        sending: impl Future<Output = reqwest::Result<reqwest::Response>>,
    ) -> Answer {
        let mut response = sending.await.map_err(failure)?;
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > self.max_response_len) {
            return Err(refused(BodyProblem::TooLong));
        }
        let mut body = Body::new(encoding(&response, self.is_decoded), self.max_response_len);
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            body.push(&chunk).map_err(refused)?;
        }
        let mut answer = take_head(&mut response).map(|()| Bytes::new());
        *answer.body_mut() = body.finish(answer.headers_mut()).map_err(refused)?;
        Ok(answer)
    }
}

/// Returns the encoding from which the body is decompressed.
fn encoding(response: &reqwest::Response, is_decoded: bool) -> Encoding {
    if is_decoded {
        Encoding::of(response.headers())
    } else {
        Encoding::Identity
    }
}

/// Takes the head of a response.
fn take_head(response: &mut reqwest::Response) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.version_mut() = response.version();
    *head.headers_mut() = std::mem::take(response.headers_mut());
    head
}

pub(crate) fn refused(problem: BodyProblem) -> TransportError {
    TransportError::new(TransportErrorKind::Answer, Sent::Maybe).with_source(problem)
}

/// Converts a reqwest error. All reqwest errors are converted here.
pub(crate) fn failure(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let chain = || std::iter::successors(error.source(), |&cause| cause.source());
    let (kind, sent) = if chain().any(<dyn StdError>::is::<NotPublic>) {
        (TransportErrorKind::AddressRefused, Sent::No)
    } else if error.is_connect() {
        // DNS lookup, TCP, proxy tunnel and TLS all happen before the request is sent.
        (TransportErrorKind::Connect, Sent::No)
    } else if error.is_builder() {
        (TransportErrorKind::AddressRefused, Sent::No)
    } else if error.is_timeout() {
        (TransportErrorKind::Timeout, Sent::Maybe)
    } else if chain()
        .filter_map(<dyn StdError>::downcast_ref::<hyper::Error>)
        .any(hyper::Error::is_parse)
    {
        (TransportErrorKind::Answer, Sent::Maybe)
    } else {
        (TransportErrorKind::Broken, Sent::Maybe)
    };
    TransportError::new(kind, sent).with_source(error)
}

impl HttpTransport for HttpClient {
    fn check<'life0, 'life1, 'async_trait>(
        &'life0 self,
        uri: &'life1 Uri,
    ) -> Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let failed = |kind| TransportError::new(kind, Sent::No);
            let admitted = self.guard.admit(uri, &mut HeaderMap::new());
            let (_, destination) =
                admitted.ok_or_else(|| failed(TransportErrorKind::AddressRefused))?;
            // A proxy resolves the names itself.
            if destination.is_overridden() || self.resolver.has_proxy() {
                return Ok(());
            }
            let checked = pin!(self.resolver.check(&destination.host));
            match before(checked, self.clock.sleep(CONNECT_TIMEOUT)).await {
                Some(Ok(())) => Ok(()),
                Some(Err(CheckFailure::NotPublic(_))) => {
                    Err(failed(TransportErrorKind::AddressRefused))
                }
                Some(Err(CheckFailure::Lookup(error))) => {
                    Err(failed(TransportErrorKind::Connect).with_source(error))
                }
                None => Err(failed(TransportErrorKind::Timeout)),
            }
        })
    }

    // An `async fn` would store the request three times in its future, and there is one future per
    // request in flight. The lifetimes have the names that `async_trait` generates.
    fn send<'life0, 'async_trait>(
        &'life0 self,
        request: OutboundRequest,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let OutboundRequest {
            request,
            timeout,
            max_response_len,
            class,
            last_check,
            ..
        } = request;
        let (mut parts, body) = request.into_parts();
        let (url, destination) = match self.admit(&mut parts) {
            Ok(admitted) => admitted,
            Err(refused) => return Box::pin(ready(Err(refused))),
        };
        let method = parts.method.clone();
        let clients = self.clients(class);
        let (request, reading) = outgoing(url, parts, body, max_response_len);
        Box::pin(async move {
            let started = self.clock.monotonic();
            let host = &*destination.host;
            let answer = match self.place(clients, host, started, timeout).await {
                Ok(_) if last_check.is_some_and(|check| !check.may_go()) => {
                    Err(TransportError::new(TransportErrorKind::TooLate, Sent::No))
                }
                Ok((_place, left)) => {
                    let exchange = reading.exchange(clients.to(&destination).execute(request));
                    self.in_time(pin!(exchange), started, timeout, left).await
                }
                Err(error) => Err(error),
            };
            // Reads the clock only if the log level is enabled.
            let elapsed_ms = || {
                let elapsed_ms = self.clock.monotonic().since(started).as_millis();
                u64::try_from(elapsed_ms).unwrap_or(u64::MAX)
            };
            match &answer {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    tracing::debug!(%method, host, status, elapsed_ms = elapsed_ms(), "answered");
                }
                Err(error) => {
                    let (kind, sent) = (error.kind(), error.sent());
                    tracing::debug!(%method, host, ?kind, ?sent, elapsed_ms = elapsed_ms(), "no response");
                }
            }
            answer
        })
    }

    fn open<'life0, 'async_trait>(
        &'life0 self,
        request: StreamRequest,
    ) -> Pin<Box<dyn Future<Output = Opened> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.open_stream(request))
    }
}
