//! Requests with streamed bodies, sent through the same pipeline as other calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode};

use crate::access_token::AccessToken;
use crate::api::endpoint::{Endpoint, Idempotency};
use crate::api::link::Link;
use crate::api::options::CallOptions;
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::session::{Call, Failure, Session};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::{Answered, Draws, Permits};
use crate::http::{
    BodyError, BodyStream, RequestBody, Sent, StreamRequest, TransportError, TransportErrorKind,
};

/// Maximum time without progress in a transfer, unless the request sets a timeout.
const IDLE: Duration = Duration::from_secs(30);
/// Maximum length of a response that is not the download itself.
pub(super) const MAX_RESPONSE: u64 = 1024 * 1024;

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of bytes transferred.
    pub bytes: u64,
    /// Total length in bytes, if known.
    pub total: Option<u64>,
}

impl Progress {
    pub(super) const fn new(bytes: u64, total: Option<u64>) -> Self {
        Self { bytes, total }
    }
}

/// A callback that is called after each piece of a transfer. It runs on the async runtime, so it
/// must not block.
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(Progress) + Send + Sync>);

impl OnProgress {
    /// Creates the callback from `report`.
    pub fn new(report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    pub(super) fn report(&self, progress: Progress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

/// The target of a transfer: an [`Endpoint`] of the provider, which receives the credential, or a
/// [`Link`], which does not.
pub trait Transfer: Send + Sync {
    /// The type of the decoded response to an upload.
    type Output: Send;

    /// Builds the request of a transfer. `method` is the default method.
    ///
    /// # Errors
    /// Same as [`Session::send`], before anything is sent.
    fn prepare(&self, session: &Session, method: &Method) -> Result<Prepared>;

    /// Decodes the response to an upload.
    ///
    /// # Errors
    /// Same as [`Endpoint::decode`].
    fn finish(&self, response: Response) -> Result<Self::Output>;
}

impl<E: Endpoint> Transfer for E {
    type Output = E::Output;

    fn prepare(&self, session: &Session, _: &Method) -> Result<Prepared> {
        Ok(Prepared {
            call: session.call(self, CallOptions::new())?,
            link: None,
        })
    }

    fn finish(&self, mut response: Response) -> Result<E::Output> {
        self.decode(&mut response)
    }
}

impl Transfer for Link {
    type Output = http::Response<Bytes>;

    fn prepare(&self, session: &Session, method: &Method) -> Result<Prepared> {
        let method = self.method(method);
        let idempotency = match method {
            Method::POST | Method::PATCH => Idempotency::Never,
            _ => Idempotency::Safe,
        };
        let none: [&str; 0] = [];
        Ok(Prepared {
            call: Call {
                operation: "api.link",
                idempotency,
                scopes: &[],
                further_scopes: &[],
                draws: Draws::default(),
                timeout: None,
                priority: session.priority(),
                returns_refusals: false,
                request: Request::new(method, none)?,
            },
            link: Some(self.clone()),
        })
    }

    fn finish(&self, response: Response) -> Result<http::Response<Bytes>> {
        Ok(response.into_answer())
    }
}

/// A checked request of a transfer, ready to be sent.
pub struct Prepared {
    pub(super) call: Call,
    /// If set, the request goes to the link instead of the API.
    pub(super) link: Option<Link>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("operation", &self.call.operation)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// Settings of one exchange of a transfer, in addition to the settings of its request.
pub(super) struct Exchange<'a> {
    /// Overrides the request's method.
    pub(super) method: Option<Method>,
    pub(super) headers: HeaderMap,
    /// Creates the body for another attempt. Returns `None` if the source cannot be read again.
    pub(super) body: &'a mut (dyn FnMut() -> Option<RequestBody> + Send),
    pub(super) max_response_len: u64,
    pub(super) idle: Option<Duration>,
    /// Returns true for statuses that are results instead of errors.
    pub(super) accepts: fn(StatusCode) -> bool,
    /// True if the session retries failures. If false, the session handles only a 401, and the
    /// caller handles all other failures.
    pub(super) is_retried: bool,
}

type Opened = http::Response<BodyStream>;

impl Session {
    /// Sends a request until its response has one of the accepted statuses. Refreshes the token
    /// once after a 401 and retries like other calls.
    pub(super) async fn open(
        &self,
        prepared: &Prepared,
        exchange: &mut Exchange<'_>,
    ) -> Result<Opened> {
        let call = &prepared.call;
        let mut attempt = 1;
        let mut refreshed = false;
        let mut fresh: Option<AccessToken> = None;
        let mut last: Option<Error> = None;
        loop {
            let Some(body) = (exchange.body)() else {
                return Err(last.take().unwrap_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidInput,
                        call.operation,
                        "the body was already sent and cannot be read again; supply a new one",
                    )
                }));
            };
            let recording;
            let failure = if let Some(link) = &prepared.link {
                recording = self.recording(call);
                match self.open_link(call, link, exchange, body).await {
                    Ok(opened) => {
                        recording.succeeded(opened.status(), opened.headers()).await;
                        return Ok(opened);
                    }
                    Err(failure) => failure,
                }
            } else {
                let (token, permits) = self.admit(call, fresh.take()).await?;
                let request = match self.authenticated(call, &token) {
                    Ok(request) => request,
                    Err(error) => {
                        permits.release();
                        return Err(error);
                    }
                };
                recording = self.recording(call);
                let answer = match self.exchange(call, request, exchange, body).await {
                    Ok(Answer::Accepted(opened)) => {
                        self.settle_opened(call, permits, &opened);
                        self.shared.tokens.accepted(&token);
                        recording.succeeded(opened.status(), opened.headers()).await;
                        return Ok(opened);
                    }
                    Ok(Answer::Refused(response)) => Ok(response),
                    Err(Refused::Transport(error)) => Err(error),
                    Err(Refused::Final(error)) => {
                        recording.failed(&error).await;
                        return Err(error);
                    }
                };
                let classifier = &self.shared.classifier;
                let failure = self.outcome(call, &token, permits, answer, &mut |response| {
                    classifier.inspect(response)
                });
                let failure = match failure {
                    Ok(response) => return Err(unexpected(&response)),
                    Err(failure) => failure,
                };
                if failure.error.kind() == ErrorKind::Unauthorized && !refreshed {
                    recording.failed(&failure.error).await;
                    refreshed = true;
                    fresh = Some(self.shared.tokens.after_rejection(&token).await?);
                    last = Some(failure.error);
                    continue;
                }
                failure
            };
            recording.failed(&failure.error).await;
            if !exchange.is_retried {
                return Err(failure.error);
            }
            let kept = (failure.error.kind(), failure.error.message().to_owned());
            let pause = self.pause(call, attempt, failure.error, failure.acted)?;
            last = Some(Error::new(kept.0, call.operation, kept.1));
            self.rest(attempt, pause).await;
            attempt += 1;
        }
    }

    async fn open_link(
        &self,
        call: &Call,
        link: &Link,
        exchange: &mut Exchange<'_>,
        body: RequestBody,
    ) -> Result<Opened, Failure> {
        let request = link.to_http(call.request.method().clone(), Bytes::new());
        let response = match self.exchange(call, request, exchange, body).await {
            Ok(Answer::Accepted(opened)) => return Ok(opened),
            Ok(Answer::Refused(response)) => response,
            Err(Refused::Final(error)) => return Err(failure(error)),
            Err(Refused::Transport(error)) => return Err(self.unanswered(call.operation, error)),
        };
        let status = response.status();
        let response = self.response(call, response);
        let error = match response.by_status() {
            // The link would be rejected again, and there is no credential to refresh.
            Err(error) if matches!(status.as_u16(), 401 | 403 | 404 | 410) => response.error(
                match error.kind() {
                    ErrorKind::Unauthorized => ErrorKind::Forbidden,
                    kind => kind,
                },
                "the link was rejected; it may have expired, so request a new one",
            ),
            Err(_) if status.is_redirection() => response.error(
                ErrorKind::UnexpectedResponse,
                "the link returned a redirect, which is not followed; report it",
            ),
            Err(error) => error,
            Ok(()) => unexpected(&response),
        };
        Err(Failure {
            acted: status.is_server_error(),
            error,
            response: None,
        })
    }

    async fn exchange(
        &self,
        call: &Call,
        request: http::Request<Bytes>,
        exchange: &mut Exchange<'_>,
        body: RequestBody,
    ) -> Result<Answer, Refused> {
        let source = body.failure();
        let mut request = request.map(|_| body);
        if let Some(method) = &exchange.method {
            *request.method_mut() = method.clone();
        }
        for (name, value) in &exchange.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let idle = exchange.idle.or(call.timeout).or(call.request.timeout());
        let request = StreamRequest::new(request)
            .with_idle(idle.unwrap_or(IDLE))
            .with_max_response_len(exchange.max_response_len);
        let opened = self.shared.transport.open(request).await;
        if let Some(error) = source.get() {
            return Err(Refused::Final(self.source_failed(call, error)));
        }
        let opened = opened.map_err(Refused::Transport)?;
        if (exchange.accepts)(opened.status()) {
            return Ok(Answer::Accepted(opened));
        }
        let (parts, body) = opened.into_parts();
        // The rest of a longer or incomplete error body does not change the error.
        let body = collect(body, MAX_RESPONSE).await.unwrap_or_default();
        Ok(Answer::Refused(http::Response::from_parts(parts, body)))
    }

    pub(super) fn source_failed(&self, call: &Call, error: BodyError) -> Error {
        let message = match error {
            BodyError::TooShort => {
                "the body ended before its announced length; pass the true length, or none"
            }
            BodyError::TooLong => {
                "the body is longer than announced; pass the true length, or none"
            }
            BodyError::Source => {
                "the body could not be read from its source; the upload is not complete"
            }
        };
        self.named(Error::new(ErrorKind::InvalidInput, call.operation, message))
            .with_source(error)
    }

    pub(super) fn response(&self, call: &Call, answer: http::Response<Bytes>) -> Response {
        let provider = self.shared.provider.clone();
        Response::new(provider, call.operation, self.shared.clock.now(), answer)
    }

    /// Completes the permits of a transfer whose response has a status of success. Only the
    /// rate-limit values in its headers are used.
    fn settle_opened(&self, call: &Call, permits: Permits, opened: &Opened) {
        let mut head = http::Response::new(Bytes::new());
        *head.status_mut() = opened.status();
        head.headers_mut().clone_from(opened.headers());
        let mut response = self.response(call, head);
        let _ = self.shared.classifier.classify(&mut response);
        let answered = Answered {
            reports: response.take_reports(),
            headers: response.headers(),
            received: response.received(),
            refused: None,
        };
        let limits = &self.shared.limits;
        limits.settle(permits, self.limited(call), &answered);
    }

    /// Reads the whole body of an accepted response.
    pub(super) async fn finish(&self, call: &Call, opened: Opened) -> Result<Response> {
        let (parts, body) = opened.into_parts();
        let body = collect(body, MAX_RESPONSE)
            .await
            .map_err(|error| self.unanswered(call.operation, error).error)?;
        Ok(self.response(call, http::Response::from_parts(parts, body)))
    }
}

enum Answer {
    Accepted(Opened),
    Refused(http::Response<Bytes>),
}

enum Refused {
    Transport(TransportError),
    Final(Error),
}

fn failure(error: Error) -> Failure {
    Failure {
        error: error.with_retry(Retry::Never),
        acted: true,
        response: None,
    }
}

fn unexpected(response: &Response) -> Error {
    response.error(
        ErrorKind::UnexpectedResponse,
        "the provider returned an unexpected status; report it",
    )
}

/// Reads a body with a maximum length of `longest` bytes.
async fn collect(mut body: BodyStream, longest: u64) -> Result<Bytes, TransportError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > longest {
            return Err(TransportError::new(TransportErrorKind::Answer, Sent::Maybe));
        }
    }
    Ok(bytes.freeze())
}
