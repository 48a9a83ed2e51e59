//! Jobs: reports, feeds and queries.

use std::time::Duration;

use connector_core::clock::Timestamp;
use serde_json::Value;

/// A report, a feed or a query.
pub(super) struct Job {
    pub(super) seller: String,
    pub(super) specification: Value,
    pub(super) created: Timestamp,
    /// Final status and document.
    pub(super) end: (&'static str, Option<String>),
    pub(super) is_cancelled: bool,
}

impl Job {
    /// Returns the status of the job, whose processing takes this long.
    pub(super) fn status(&self, takes: Duration, now: Timestamp) -> &'static str {
        let age = now.since(self.created);
        if self.is_cancelled {
            "CANCELLED"
        } else if age >= takes {
            self.end.0
        } else if age >= takes / 4 {
            "IN_PROGRESS"
        } else {
            "IN_QUEUE"
        }
    }

    /// Returns true if the document with this id belongs to the job, and the job to the seller.
    pub(super) fn has_document(&self, id: &str, seller: &str) -> bool {
        self.seller == seller && self.end.1.as_deref() == Some(id)
    }
}

/// Returns the index of the seller's job with this id. The id of the first job is `first`.
pub(super) fn own(jobs: &[Job], first: usize, id: &str, seller: &str) -> Option<usize> {
    let at = id.parse::<usize>().ok()?.checked_sub(first)?;
    (jobs.get(at)?.seller == seller).then_some(at)
}
