//! Status of a job.

use crate::models::texts;

texts! {
    /// The status of a report, a feed or a query.
    ProcessingStatus {
        /// The job has not started.
        InQueue = "IN_QUEUE",
        /// The job is being processed.
        InProgress = "IN_PROGRESS",
        /// The job has completed. For the result, read its document.
        Done = "DONE",
        /// The job has completed without data. The API's model does not list this value; older
        /// reports have it.
        DoneNoData = "DONE_NO_DATA",
        /// The job was cancelled: on request before it started, or by Amazon. Amazon cancels a job,
        /// for example, if there is no data or if the same report was requested too soon.
        Cancelled = "CANCELLED",
        /// The job was aborted because of an error.
        Fatal = "FATAL",
    }
}

impl ProcessingStatus {
    /// Returns true if the status is final.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Done | Self::DoneNoData | Self::Cancelled | Self::Fatal
        )
    }
}
