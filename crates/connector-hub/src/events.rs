//! Telling the application what changed.

use async_trait::async_trait;
use connector_core::Result;
use connector_core::store::AuditRecord;

/// What an application does when a connection comes, changes its state, or goes.
///
/// Changes are recorded in the commit that makes them and handed out by the worker, at least once
/// each: a process that ends in the middle, or a handler that fails, means that the change is handed
/// out again. [`AuditRecord::number`] recognises a repetition. Changes of one connection usually
/// come in order; after a failure a later one may come first.
///
/// ```
/// use connector_core::store::AuditRecord;
/// use connector_core::{Event, Result, Status};
/// use connector_hub::ChangeHandler;
///
/// #[derive(Debug)]
/// struct Mail;
///
/// #[async_trait::async_trait]
/// impl ChangeHandler for Mail {
///     async fn handle(&self, change: &AuditRecord) -> Result<()> {
///         if let Event::StatusChanged { to: Status::NeedsReauthorization(reason), .. } =
///             &change.entry.event
///         {
///             let _ask_the_owner = (change.entry.key(), reason);
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait ChangeHandler: Send + Sync + 'static {
    /// Handles one change. Called from many tasks at once.
    ///
    /// # Errors
    /// Whatever went wrong: the change is handed out again, to every handler of the hub, after its
    /// lease of a minute has passed.
    ///
    /// # Deadline
    /// A call that is not ready within 45 s is dropped and repeated like one that failed. If calls
    /// for one change hang five times in a process, the hub parks the change: it logs an error, hands
    /// the change out no more, and keeps it in the audit log.
    async fn handle(&self, change: &AuditRecord) -> Result<()>;
}
