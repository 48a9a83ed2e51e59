//! The record of each request to a provider's API, for an audit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use tokio::runtime::Handle;

use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};

/// One request to a provider's API and its result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CallRecord {
    /// The operation, for example `ListRecords`.
    pub operation: &'static str,
    /// Who caused it: the context of [`Session::with_context`](super::Session::with_context).
    pub context: RequestContext,
    /// The status of the response, if there was one.
    pub status: Option<StatusCode>,
    /// The kind of its failure; `None` if it succeeded.
    pub failure: Option<ErrorKind>,
    /// The provider's own id of the request, if it sent one.
    pub request_id: Option<String>,
    /// True if the caller went away while the request was under way. The provider may have carried
    /// it out.
    pub is_abandoned: bool,
}

/// Receives a record of each request that was sent to a provider's API. A repetition is a request of
/// its own.
pub trait CallLog: Send + Sync + 'static {
    /// Records a request. The call goes on when the future is ready, so that a durable log has the
    /// record before the caller has the result.
    fn record(&self, record: CallRecord) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A request under way, recorded as abandoned if it is dropped before its result is known.
pub(super) struct Recording<'a> {
    log: &'a Arc<dyn CallLog>,
    record: Option<CallRecord>,
}

impl<'a> Recording<'a> {
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
        Self {
            log,
            record: Some(record),
        }
    }

    /// Records a request that succeeded.
    pub(super) async fn succeeded(mut self, status: StatusCode, request_id: Option<String>) {
        if let Some(mut record) = self.record.take() {
            record.status = Some(status);
            record.request_id = request_id;
            self.log.record(record).await;
        }
    }

    /// Records a request that failed.
    pub(super) async fn failed(mut self, error: &Error) {
        if let Some(mut record) = self.record.take() {
            record.status = error.status();
            record.failure = Some(error.kind());
            record.request_id = error.request_id().map(str::to_owned);
            self.log.record(record).await;
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take()
            && let Ok(runtime) = Handle::try_current()
        {
            record.is_abandoned = true;
            drop(runtime.spawn(self.log.record(record)));
        }
    }
}
