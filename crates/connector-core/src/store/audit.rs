//! The audit log, ordered by the time of the entries.

use std::time::Duration;

use async_trait::async_trait;

use crate::account::TenantId;
use crate::clock::Timestamp;
use crate::connection::ConnectionId;
use crate::error::Result;
use crate::event::{AuditClass, AuditEntry};
use crate::store::{Cursor, Page};

/// An entry of the audit log as the store saved it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// The number of the entry. An entry that is recorded after another one was committed has a higher
    /// number. Entries of concurrent calls may be committed in another order than that of their
    /// numbers, and numbers may have gaps.
    pub number: u64,
    /// The time of the entry, on the store's clock.
    pub at: Timestamp,
    /// The entry.
    pub entry: AuditEntry,
}

/// Filter for audit entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFilter {
    /// Matches only entries of this tenant.
    pub tenant: Option<TenantId>,
    /// Matches only entries of this connection.
    pub connection: Option<ConnectionId>,
    /// Matches only entries of this class.
    pub class: Option<AuditClass>,
    /// Matches only entries recorded at or after this time, on the store's clock.
    pub since: Option<Timestamp>,
    /// Matches only entries recorded before this time, on the store's clock.
    pub until: Option<Timestamp>,
}

/// An audit entry that is leased to one event handler.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The audit entry.
    pub record: AuditRecord,
    /// The number of this lease. Later leases have higher numbers.
    pub lease: u64,
}

/// Stores the audit log. Entries never change, and only [`AuditLog::prune`] removes entries.
///
/// The methods may be called concurrently, from any number of processes.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Records an entry that is not part of another commit.
    ///
    /// * The entry is read back as written, with a higher number than all earlier entries
    ///   (`audit_entries_are_read_back_in_order`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): a retry may record the entry
    /// twice.
    async fn append(&self, entry: AuditEntry) -> Result<()>;

    /// Returns at most `n` entries, oldest first.
    ///
    /// * Entries that do not match the filter are left out, especially entries of other tenants
    ///   (`audit_filters_leave_out_other_tenants`).
    /// * If you follow the cursors, every entry that was committed before the listing started is
    ///   returned exactly once. An entry recorded during the listing is returned at most once
    ///   (`audit_pages_meet_each_entry_once`). An entry that is committed after a page was read may
    ///   have a lower number than the page's last entry, so that a later page leaves it out.
    /// * A regular export therefore lists whole periods of time: from [`AuditFilter::since`] to an
    ///   [`AuditFilter::until`] that is further in the past than the longest call takes, for example a
    ///   minute. It must not continue at the cursor of the previous export.
    /// * With [`AuditFilter::until`], entries recorded at or after that time are left out
    ///   (`audit_until_leaves_out_later_entries`). With [`AuditFilter::since`], earlier entries are
    ///   left out (`audit_since_leaves_out_earlier_entries`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>>;

    /// Leases at most `n` entries for event handlers, oldest first. Each entry is leased to one
    /// caller until `lease` has passed.
    ///
    /// * Entries without `notify` are never leased (`only_entries_with_notify_are_handed_out`).
    /// * An entry is leased again after its lease expires, and never again after it has been
    ///   handled (`a_change_is_handed_out_until_it_is_handled`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry. Entries leased by a call
    /// with unknown outcome become available again when the lease has passed.
    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>>;

    /// Marks a change as handled. Returns false if the lease was lost.
    ///
    /// * A call with a lost lease changes nothing (`a_lost_change_lease_changes_nothing`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry; otherwise the change is
    /// handled again.
    async fn change_handled(&self, change: &Change) -> Result<bool>;

    /// Removes at most `n` entries that are older than `older_than`, oldest first, and returns the
    /// number of removed entries.
    ///
    /// * Younger entries are kept, and one call removes at most `n` entries
    ///   (`pruning_removes_only_old_entries`).
    /// * A change that no handler has handled is kept, whatever its age, and does not prevent the
    ///   removal of later entries (`pruning_keeps_unhandled_changes`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32>;
}
