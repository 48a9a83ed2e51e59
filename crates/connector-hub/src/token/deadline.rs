//! A transport that sends a refresh token only while the claim leaves enough time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::{HttpTransport, LastCheck, OutboundRequest, TransportError};

use crate::token::flight::{Progress, Step};

/// The transport of one exchange. A process may be suspended after the machine has checked the
/// clocks and before the first byte is sent. In the meantime, another process may have replaced the
/// token. The transport therefore checks both clocks again before it sends.
pub(crate) struct DeadlineTransport {
    transport: Arc<dyn HttpTransport>,
    check: LastCheck,
    is_late: Arc<AtomicBool>,
    progress: Progress,
}

impl DeadlineTransport {
    /// Wraps `transport`. Requests are sent only within `patience` from now, on both clocks. Each
    /// sent request is recorded in `progress`.
    pub(crate) fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        progress: Progress,
    ) -> Self {
        let (steady, wall) = (clock.monotonic(), clock.now());
        let is_late = Arc::new(AtomicBool::new(false));
        let late = Arc::clone(&is_late);
        let check = LastCheck::new(move || {
            let gone = clock.monotonic().since(steady).max(clock.now().since(wall));
            let may_go = gone <= patience;
            late.fetch_or(!may_go, Ordering::Relaxed);
            may_go
        });
        Self {
            transport,
            check,
            is_late,
            progress,
        }
    }

    /// Returns true if a request was not sent because the deadline had passed.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for DeadlineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpTransport for DeadlineTransport {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = request.with_last_check(self.check.clone());
        self.progress.set(Step::Sent);
        self.transport.send(request).await
    }
}
