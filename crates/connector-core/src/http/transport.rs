//! The HTTP transport trait, through which all network requests are sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::http::{BodyStream, StreamRequest};

/// Class of a request. The class selects the connection pool and the queue.
///
/// Token requests and API calls do not share queues or capacity. A token request never reuses a
/// connection: a reused connection may fail at the first byte, and then it is unknown whether the
/// provider rotated the refresh token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestClass {
    /// API calls: HTTP/2 if the provider supports it, with reused connections.
    #[default]
    Call,
    /// Requests to a token, revocation or identity endpoint: HTTP/1.1, each on a new connection.
    Token,
}

/// A request with its limits on time and response size.
#[non_exhaustive]
pub struct OutboundRequest {
    /// The HTTP request, with an absolute URL.
    pub request: http::Request<Bytes>,
    /// Maximum time from the DNS lookup to the last byte of the response.
    pub timeout: Duration,
    /// Maximum length of the response body in bytes, after decompression. A longer body is an
    /// error.
    pub max_response_len: usize,
    /// Class of the request, which selects its connections.
    pub class: RequestClass,
    /// Check that runs before the request is sent.
    pub last_check: Option<LastCheck>,
}

/// Shows lengths only, because URLs, headers and bodies contain codes, verifiers, secrets and
/// personal data.
impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest")
            .field("method", self.request.method())
            .field("host", &self.request.uri().host())
            .field("headers", &self.request.headers().len())
            .field("body_bytes", &self.request.body().len())
            .field("timeout", &self.timeout)
            .field("max_response_len", &self.max_response_len)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// A check that a transport runs immediately before it sends a request.
///
/// A refresh token must not be sent after its claim has expired, and the operating system can pause
/// the process at any moment before the first byte.
#[derive(Clone)]
pub struct LastCheck(Arc<dyn Fn() -> bool + Send + Sync>);

impl LastCheck {
    /// Creates a check that returns true as long as the request may be sent. It runs on the async
    /// runtime, so it must not block.
    pub fn new(may_go: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_go))
    }

    /// Returns true if the request may still be sent.
    #[must_use]
    pub fn may_go(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for LastCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastCheck")
    }
}

impl OutboundRequest {
    /// Creates a request with the limits of an API call: 30 seconds, 8 MiB.
    #[must_use]
    pub fn new(request: http::Request<Bytes>) -> Self {
        Self {
            request,
            timeout: Duration::from_secs(30),
            max_response_len: 8 * 1024 * 1024,
            class: RequestClass::Call,
            last_check: None,
        }
    }

    /// Creates a request to a token, revocation or identity endpoint, with limits of 15 seconds and
    /// 1 MiB.
    #[must_use]
    pub fn token(request: http::Request<Bytes>) -> Self {
        Self {
            request,
            timeout: Duration::from_secs(15),
            max_response_len: 1024 * 1024,
            class: RequestClass::Token,
            last_check: None,
        }
    }

    /// Sets the maximum total time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum length of the response body in bytes, after decompression.
    #[must_use]
    pub fn with_max_response_len(mut self, bytes: usize) -> Self {
        self.max_response_len = bytes;
        self
    }

    /// Sets the check that runs before the request is sent.
    #[must_use]
    pub fn with_last_check(mut self, check: LastCheck) -> Self {
        self.last_check = Some(check);
        self
    }
}

/// The possible effect of a failed request: whether the provider may have received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// No byte was sent. The request can be sent again.
    No,
    /// Some bytes may have arrived. The provider may have acted on the request.
    Maybe,
    /// The provider returned a complete response.
    Answered,
}

/// The reason why a transport returned no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The address is not allowed: it is not public, not https, or not a host name.
    AddressRefused,
    /// This process has too many requests to the same host in flight.
    Busy,
    /// No connection could be established.
    Connect,
    /// The deadline passed.
    Timeout,
    /// Rejected by its [`LastCheck`].
    TooLate,
    /// The connection failed during the exchange.
    Broken,
    /// The transport does not support the request.
    Unsupported,
    /// The response is too long, is not HTTP, or has an encoding that was not requested.
    Answer,
}

/// A request that failed without a complete response. `Display` shows no URL.
#[derive(Debug, thiserror::Error)]
#[error("{}", describe(self.kind))]
pub struct TransportError {
    kind: TransportErrorKind,
    sent: Sent,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

fn describe(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::AddressRefused => "requests to this address are not allowed",
        TransportErrorKind::Busy => "too many requests to this host are in flight",
        TransportErrorKind::Connect => "no connection could be established",
        TransportErrorKind::Timeout => "the deadline passed",
        TransportErrorKind::TooLate => "it was too late to send the request: its last check failed",
        TransportErrorKind::Broken => "the connection failed",
        TransportErrorKind::Unsupported => "the transport does not support streams",
        TransportErrorKind::Answer => "the response is too long or not HTTP",
    }
}

impl TransportError {
    /// Creates an error. `sent` states whether the provider may have received the request.
    #[must_use]
    pub fn new(kind: TransportErrorKind, sent: Sent) -> Self {
        Self {
            kind,
            sent,
            source: None,
        }
    }

    /// Sets the cause. Remove the URL from the cause first.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the reason of the failure.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Returns whether the provider may have received the request.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }
}

/// The transport through which this library sends all network requests.
///
/// Every implementation must follow these rules:
/// * Requests go only over https, only to public addresses, and only to the host of the request.
///   Redirects are not followed.
/// * The request's timeout covers the whole exchange. The response length is checked while the
///   response is read.
/// * A request is sent at most once. The transport does not retry.
/// * The transport calls the request's [`LastCheck`] as late as possible. If the check returns
///   false, nothing is sent, and the error is [`TransportErrorKind::TooLate`] with [`Sent::No`].
/// * The transport returns [`Sent::No`] only if it is certain that no byte of the request was sent.
///   In all other cases, the transport returns [`Sent::Maybe`].
///
/// Requests may run concurrently. Dropping the future cancels the request.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and reads the whole response, for any HTTP status.
    ///
    /// # Errors
    /// [`TransportError`] if there is no complete response. [`TransportError::sent`] states whether
    /// the provider may have received the request.
    async fn send(&self, request: OutboundRequest)
    -> Result<http::Response<Bytes>, TransportError>;

    /// Checks whether a request to `uri` would be allowed, without sending one. Looks up the host
    /// name. Used when a customer saves an address to which webhooks will be sent.
    ///
    /// The default implementation allows every address. Requests are checked again when they are
    /// sent.
    ///
    /// # Errors
    /// [`TransportErrorKind::AddressRefused`] if requests to this address are not allowed,
    /// [`TransportErrorKind::Connect`] if the host name cannot be resolved.
    async fn check(&self, uri: &http::Uri) -> Result<(), TransportError> {
        let _ = uri;
        Ok(())
    }

    /// Sends the request with a streamed body, and returns when the response head has arrived, for
    /// any HTTP status. The rules of [`HttpTransport::send`] apply, with [`StreamRequest::idle`]
    /// instead of the deadline. A gzip response is decompressed, with a limit on the compression
    /// ratio, unless the request sets encodings or a range.
    ///
    /// The default implementation returns [`TransportErrorKind::Unsupported`].
    ///
    /// # Errors
    /// [`TransportError`] if there is no response. [`TransportErrorKind::Unsupported`] if the
    /// transport does not support streams.
    async fn open(
        &self,
        request: StreamRequest,
    ) -> Result<http::Response<BodyStream>, TransportError> {
        drop(request);
        Err(TransportError::new(
            TransportErrorKind::Unsupported,
            Sent::No,
        ))
    }
}
