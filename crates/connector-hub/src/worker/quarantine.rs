//! Resumes quarantined token responses whose account could not be identified when they arrived.

use std::time::Duration;

use super::Shared;

/// Maximum number of responses per lease call. Each response requires up to three provider calls.
const BATCH: u16 = 16;
/// Lease of a response. Longer than the time for identifying the account and storing the
/// credential.
const LEASE: Duration = Duration::from_secs(300);

impl Shared {
    /// Resumes the quarantined token responses. A response that cannot be processed now is retried
    /// after its lease.
    pub(super) async fn settle(&self) {
        let inner = &self.hub.inner;
        let kept = match inner.store.take_quarantined(BATCH, LEASE).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(operation = "worker.quarantine", error = %error, "none taken");
                return;
            }
        };
        for answer in kept {
            match inner.resume_quarantined(&answer).await {
                Ok(connected) => tracing::info!(
                    operation = "worker.quarantine",
                    connection = %connected.key().id,
                    "an interrupted connect flow was finished"
                ),
                Err(error) => tracing::warn!(
                    operation = "worker.quarantine",
                    connector = answer.provider.as_str(),
                    error = %error,
                    "a quarantined token response could not be connected yet"
                ),
            }
        }
    }
}
