//! Going on with token answers whose account was not found out when they came.

use std::time::Duration;

use super::Shared;

/// Answers that are taken at a time. Each costs up to three calls of the provider.
const BATCH: u16 = 16;
/// How long an answer is this process's: longer than it takes to identify and to place one.
const LEASE: Duration = Duration::from_secs(300);

impl Shared {
    /// Takes up what is in quarantine. What cannot be settled now comes back with its lease.
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
                    "a connect that was cut off is finished"
                ),
                Err(error) => tracing::warn!(
                    operation = "worker.quarantine",
                    connector = answer.provider.as_str(),
                    error = %error,
                    "a token answer is not a connection yet"
                ),
            }
        }
    }
}
