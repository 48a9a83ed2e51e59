//! What happened, kept in the order it happened.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::clock::Timestamp;
use crate::connection::ConnectionId;
use crate::error::Result;
use crate::event::{AuditClass, AuditEntry};
use crate::store::{Cursor, Page};

/// An audit entry as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Its number. Later entries have higher ones; numbers may be skipped.
    pub number: u64,
    /// When it was recorded, on the store's clock.
    pub at: Timestamp,
    /// What was recorded.
    pub entry: AuditEntry,
}

/// Which entries to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFilter {
    /// Only those of this tenant.
    pub tenant: Option<TenantId>,
    /// Only those of this connection.
    pub connection: Option<ConnectionId>,
    /// Only those of this class.
    pub class: Option<AuditClass>,
    /// Only those recorded before this time, on the store's clock.
    pub until: Option<Timestamp>,
}

/// A recorded change that is handed to one handler for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The record.
    pub record: AuditRecord,
    /// The number of this lease. A later lease has a higher one.
    pub lease: u64,
}

/// Keeps what happened. Entries are never changed, and only [`AuditLog::prune`] removes them.
///
/// Any number of calls may run at once, from any number of processes.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Records an entry that belongs to no other commit.
    ///
    /// * It is read back as it was written, with a higher number than what was recorded before
    ///   (`audit_entries_are_read_back_in_order`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeating it may record it twice.
    async fn append(&self, entry: AuditEntry) -> Result<()>;

    /// Reads entries from the oldest on, at most `n`.
    ///
    /// * A filter leaves out what does not match, above all other tenants' entries
    ///   (`audit_filters_leave_out_other_tenants`).
    /// * Following the cursors meets every entry that was committed before the listing began
    ///   exactly once, and an entry recorded meanwhile at most once
    ///   (`audit_pages_meet_each_entry_once`).
    /// * With [`AuditFilter::until`], an entry recorded at that time or later is left out
    ///   (`audit_until_leaves_out_later_entries`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>>;

    /// Hands out at most `n` entries that handlers are to be told about, the oldest first, each to
    /// one caller until `lease` has passed.
    ///
    /// * Entries without `notify` are never handed out
    ///   (`only_entries_with_notify_are_handed_out`).
    /// * An entry is handed out again when its lease passes, and no more once it is handled
    ///   (`a_change_is_handed_out_until_it_is_handled`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; what an unknown outcome
    /// leased comes back when the lease has passed.
    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>>;

    /// Says that a change was handled; false if the lease was lost.
    ///
    /// * A lost lease changes nothing (`a_lost_change_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it; otherwise the change is
    /// handled again.
    async fn change_handled(&self, change: &Change) -> Result<bool>;

    /// Removes at most `n` entries, the oldest first, that were recorded longer ago than
    /// `older_than`, and returns how many it removed.
    ///
    /// * A younger entry stays, and at most `n` entries are removed by one call
    ///   (`pruning_removes_only_old_entries`).
    /// * A change that no handler has handled stays, however old it is, and does not keep later
    ///   entries from being removed (`pruning_keeps_unhandled_changes`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32>;
}
