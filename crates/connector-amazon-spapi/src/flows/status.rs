//! The status of a job of Amazon's.

use crate::models::texts;

texts! {
    /// The status of a report, a feed or a query.
    ProcessingStatus {
        /// It has not started.
        InQueue = "IN_QUEUE",
        /// It is being processed.
        InProgress = "IN_PROGRESS",
        /// It has ended. Its document says with which result.
        Done = "DONE",
        /// It has ended without data. The API's model does not list this value; older reports had it.
        DoneNoData = "DONE_NO_DATA",
        /// It was cancelled: on request before it started, or by Amazon, for example because there is
        /// no data or because the same report was requested too soon.
        Cancelled = "CANCELLED",
        /// It was aborted because of an error.
        Fatal = "FATAL",
    }
}

impl ProcessingStatus {
    /// Returns true if it does not change any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Done | Self::DoneNoData | Self::Cancelled | Self::Fatal
        )
    }
}
