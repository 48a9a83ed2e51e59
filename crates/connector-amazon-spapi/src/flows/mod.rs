//! Reports, feeds and queries from their creation to their result, and the routing of notifications.
//!
//! A flow creates a job, waits for its end and opens its document. Its result says in which of the
//! ways that Amazon knows the job ended: only one of them is a success. Waiting is polling with
//! growing pauses, under the usage plan of the operation; a notification that a job has ended makes
//! waiting unnecessary, and is then confirmed by one request ([`ReportFlow::check`]).

#[cfg(feature = "feeds")]
mod feed;
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
