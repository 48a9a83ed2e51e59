//! Flows for reports, feeds and queries, and routing of notifications.
//!
//! A flow creates a job, waits for it to complete, and opens the resulting document. The outcome
//! states how the job ended; only `Done` means that it was processed. Flows poll with increasing
//! intervals, under the usage plan of the operation. If you receive a notification that a job has
//! completed, you need not wait: one request confirms it (for example [`ReportFlow::check`]).

#[cfg(feature = "feeds")]
mod feed;
#[cfg(feature = "_documents")]
mod link;
#[cfg(feature = "feeds")]
mod listings;
#[cfg(feature = "notifications")]
mod notification;
#[cfg(feature = "_documents")]
mod polling;
#[cfg(feature = "data-kiosk")]
mod query;
#[cfg(feature = "_documents")]
mod reason;
#[cfg(feature = "reports")]
mod report;
#[cfg(feature = "_documents")]
mod status;

#[cfg(feature = "feeds")]
pub use self::feed::{FeedFlow, FeedOutcome};
#[cfg(feature = "feeds")]
pub use self::listings::{ListingsResult, MessageResult, MessageState};
#[cfg(feature = "notifications")]
pub use self::notification::{BusSecret, NotificationRoute, NotificationRoutes, subscribe};
#[cfg(feature = "_documents")]
pub use self::polling::Polling;
#[cfg(feature = "data-kiosk")]
pub use self::query::{QueryFlow, QueryOutcome};
#[cfg(feature = "reports")]
pub use self::report::{ReportFlow, ReportOutcome};
#[cfg(feature = "_documents")]
pub use self::status::ProcessingStatus;
