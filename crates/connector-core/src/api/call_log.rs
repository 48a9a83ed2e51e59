//! Records of requests to a provider's API, for an audit log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::runtime::Handle;

use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::provider::oauth::request_id;

/// One request to a provider's API and its result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CallRecord {
    /// The operation, for example `ListRecords`.
    pub operation: &'static str,
    /// The actor and the correlation id from
    /// [`Session::with_context`](super::Session::with_context).
    pub context: RequestContext,
    /// HTTP status of the response; `None` if no response arrived.
    pub status: Option<StatusCode>,
    /// The error kind; `None` if the request succeeded.
    pub failure: Option<ErrorKind>,
    /// The provider's request id, if the response contained one.
    pub request_id: Option<String>,
    /// True if the caller dropped the call before its result was known. The provider may have
    /// executed the request.
    pub is_abandoned: bool,
}

/// Receives a record of each request that a session sends to a provider's API. Each retry produces
/// a separate record.
pub trait CallLog: Send + Sync + 'static {
    /// Records a request. The session waits for this future before it returns the result, so that a
    /// durable log contains the record before the caller gets the result.
    fn record(&self, record: CallRecord) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A request in flight. If this value is dropped before the result is known, the request is
/// recorded as abandoned. Without a call log, this value records nothing.
pub(super) struct Recording<'a>(Option<(&'a Arc<dyn CallLog>, CallRecord)>);

impl<'a> Recording<'a> {
    /// Returns the value for a session without a call log.
    pub(super) const fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(
        log: &'a Arc<dyn CallLog>,
        operation: &'static str,
        context: RequestContext,
    ) -> Self {
        let record = CallRecord {
            operation,
            context,
            status: None,
            failure: None,
            request_id: None,
            is_abandoned: false,
        };
        Self(Some((log, record)))
    }

    /// Records a successful request.
    pub(super) async fn succeeded(mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some((log, mut record)) = self.0.take() {
            record.status = Some(status);
            record.request_id = request_id(headers);
            log.record(record).await;
        }
    }

    /// Records a failed request.
    pub(super) async fn failed(mut self, error: &Error) {
        if let Some((log, mut record)) = self.0.take() {
            record.status = error.status();
            record.failure = Some(error.kind());
            record.request_id = error.request_id().map(str::to_owned);
            log.record(record).await;
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some((log, mut record)) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            record.is_abandoned = true;
            drop(runtime.spawn(log.record(record)));
        }
    }
}
