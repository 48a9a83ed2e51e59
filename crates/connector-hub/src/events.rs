//! Notification of the application about changes of connections.

use async_trait::async_trait;
use connector_core::Result;
use connector_core::store::AuditRecord;

/// Handles changes of connections: a connection was created, changed its status, or ended.
///
/// Each change is recorded in the commit that makes the change. The worker delivers each change at
/// least once: if the process is terminated during the call, or if the handler fails, the change is
/// delivered again. Use [`AuditRecord::number`] to detect repeated deliveries. Changes of one
/// connection usually arrive in order. After a failure, a later change can arrive first.
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
    /// Handles one change. The hub calls this method from many tasks concurrently.
    ///
    /// # Errors
    /// Any error. The hub delivers the change again, to all handlers, after the change's lease of
    /// one minute has expired.
    ///
    /// # Deadline
    /// The hub drops a call that takes longer than 45 s, and treats the call as failed. If calls
    /// for one change time out five times in a process, the hub parks the change: it logs an error,
    /// stops delivering the change, and keeps the change in the audit log.
    async fn handle(&self, change: &AuditRecord) -> Result<()>;
}
