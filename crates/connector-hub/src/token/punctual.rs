//! A refresh token is sent while the claim to it is fresh, or not at all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::{HttpTransport, LastCheck, OutboundRequest, TransportError};

/// The transport of one exchange. A process may be stopped between the machine's look at the clocks
/// and the first byte; what it sends after that may have a known successor by then. So the transport
/// itself looks at both clocks once more.
pub(crate) struct Punctual {
    transport: Arc<dyn HttpTransport>,
    check: LastCheck,
    is_late: Arc<AtomicBool>,
}

impl Punctual {
    /// Requests through `transport` that leave within `patience` from now, on either clock.
    pub(crate) fn new(
        transport: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        patience: Duration,
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
        }
    }

    /// True if a request was held back.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Punctual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Punctual").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpTransport for Punctual {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = request.with_last_check(self.check.clone());
        self.transport.send(request).await
    }
}
