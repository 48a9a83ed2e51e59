//! The one door to the network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::http::{BodyStream, StreamRequest};

/// Which connections a request may use, and with whom it queues.
///
/// Token requests neither wait behind ordinary calls nor take their place, and never travel on a
/// connection that was used before: a reused one may break at the first byte, which leaves it open
/// whether the provider rotated the refresh token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestClass {
    /// Calls of an API: HTTP/2 where the provider has it, connections are kept.
    #[default]
    Call,
    /// Requests to a token, revocation or identity endpoint: HTTP/1.1, each on a connection of its
    /// own.
    Token,
}

/// A request with the bounds it must stay inside.
#[non_exhaustive]
pub struct OutboundRequest {
    /// The request. Its URL is absolute.
    pub request: http::Request<Bytes>,
    /// How long it may take from the first look-up to the last byte of the answer.
    pub timeout: Duration,
    /// The longest answer to read, in bytes after decompression. A longer one is an error.
    pub longest_answer: usize,
    /// Which connections it may use.
    pub class: RequestClass,
    /// What is asked before it leaves.
    pub last_check: Option<LastCheck>,
}

/// Shows lengths only: URLs, headers and bodies carry codes, verifiers, secrets and personal data.
impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest")
            .field("method", self.request.method())
            .field("host", &self.request.uri().host())
            .field("headers", &self.request.headers().len())
            .field("body_bytes", &self.request.body().len())
            .field("timeout", &self.timeout)
            .field("longest_answer", &self.longest_answer)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// A question that a transport asks at the last moment before a request leaves: may it still go?
///
/// A refresh token must not be sent once the claim to it is no longer fresh, and a process can be
/// stopped at any moment before the first byte.
#[derive(Clone)]
pub struct LastCheck(Arc<dyn Fn() -> bool + Send + Sync>);

impl LastCheck {
    /// A check that says true as long as the request may go. It is asked on the async runtime, so it
    /// must not wait.
    pub fn new(may_go: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_go))
    }

    /// True if the request may still go.
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
    /// A request with the bounds of an ordinary call: 30 seconds, 8 MiB.
    #[must_use]
    pub fn new(request: http::Request<Bytes>) -> Self {
        Self {
            request,
            timeout: Duration::from_secs(30),
            longest_answer: 8 * 1024 * 1024,
            class: RequestClass::Call,
            last_check: None,
        }
    }

    /// A request to a token, revocation or identity endpoint, with its bounds: 15 seconds, 1 MiB.
    #[must_use]
    pub fn token(request: http::Request<Bytes>) -> Self {
        Self {
            request,
            timeout: Duration::from_secs(15),
            longest_answer: 1024 * 1024,
            class: RequestClass::Token,
            last_check: None,
        }
    }

    /// Sets how long it may take altogether.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest answer to read, in bytes after decompression.
    #[must_use]
    pub fn with_longest_answer(mut self, bytes: usize) -> Self {
        self.longest_answer = bytes;
        self
    }

    /// Sets what is asked before it leaves.
    #[must_use]
    pub fn with_last_check(mut self, check: LastCheck) -> Self {
        self.last_check = Some(check);
        self
    }
}

/// Whether the provider may have seen a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// No byte of it left this machine: it may be sent again.
    No,
    /// Some of it may have arrived: the provider may act on it.
    Maybe,
    /// The provider answered it completely.
    Answered,
}

/// What kept a transport from bringing an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The address is not allowed: not public, not https, or not a name.
    AddressRefused,
    /// Too many requests of this process to the same host are under way.
    Busy,
    /// No connection could be made.
    Connect,
    /// The deadline passed.
    Timeout,
    /// Its [`LastCheck`] did not let it go.
    TooLate,
    /// The connection broke.
    Broken,
    /// The transport does not offer it.
    Unsupported,
    /// The answer is longer than allowed, or not HTTP, or in an encoding that was not asked for.
    Answer,
}

/// A request that brought no answer. Shows no URL.
#[derive(Debug, thiserror::Error)]
#[error("{}", describe(self.kind))]
pub struct TransportError {
    kind: TransportErrorKind,
    sent: Sent,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

fn describe(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::AddressRefused => "the address may not be reached from here",
        TransportErrorKind::Busy => "too many requests to this host are under way",
        TransportErrorKind::Connect => "no connection could be made",
        TransportErrorKind::Timeout => "the deadline passed",
        TransportErrorKind::TooLate => "it was too late to send the request",
        TransportErrorKind::Broken => "the connection broke",
        TransportErrorKind::Unsupported => "the transport has no streams",
        TransportErrorKind::Answer => "the answer is too long or not HTTP",
    }
}

impl TransportError {
    /// A failure of `kind`; `sent` says whether the provider may have seen the request.
    #[must_use]
    pub fn new(kind: TransportErrorKind, sent: Sent) -> Self {
        Self {
            kind,
            sent,
            source: None,
        }
    }

    /// Adds the cause. Strip its URL first.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the provider may have seen the request.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }
}

/// The only way that this library reaches the network.
///
/// What must hold for every implementation:
/// * Nothing but https to public addresses, and exactly the host of the request: no redirect is
///   followed.
/// * The request's timeout covers everything, and the answer's length is bounded while it is read.
/// * A request is sent at most once: no retry of its own.
/// * The request's [`LastCheck`] is asked as late as possible; if it says no, nothing is sent, and
///   the error is [`TransportErrorKind::TooLate`] with [`Sent::No`].
/// * [`Sent::No`] is claimed only when no byte of the request can have left; in doubt it is
///   [`Sent::Maybe`].
///
/// Any number of requests may run at once. A dropped future abandons its request.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`TransportError`] when there is no complete answer; [`TransportError::sent`] tells whether
    /// the provider may have seen the request.
    async fn send(&self, request: OutboundRequest)
    -> Result<http::Response<Bytes>, TransportError>;

    /// Sends the request while its body is read, and returns once the response's head has arrived,
    /// whatever its status. The same rules hold as for [`HttpTransport::send`], with
    /// [`StreamRequest::idle`] in the place of the deadline. A response in gzip is decompressed, and
    /// bounded in its ratio, unless the request names encodings or a range.
    ///
    /// Default: not offered.
    ///
    /// # Errors
    /// [`TransportError`] when there is no response; [`TransportErrorKind::Unsupported`] if the
    /// transport has no streams.
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
