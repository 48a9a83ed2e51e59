//! Maintenance of a store: rotation of keys and removal of expired rows.

use async_trait::async_trait;

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::{KeyId, SealContext, Sealed, SealedKind};
use crate::connection::{ConnectionKey, Fence, GrantNumber};
use crate::error::Result;
use crate::provider::subscription::ChannelId;
use crate::provider_id::ProviderId;
use crate::store::{Cursor, DeliveryKey, Page, StateKey, SubscriptionKey};

/// Which sealed record is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowRef {
    /// A connection's current credential.
    Current(ConnectionKey),
    /// A connection's previous credential.
    Previous(ConnectionKey),
    /// A connection's pending credential of this fence.
    Pending(ConnectionKey, Fence),
    /// A token answer in quarantine.
    Quarantine(StateKey),
    /// A credential queued for revocation, of this connection and fence.
    Revocation(ConnectionKey, Fence),
    /// What a connect flow remembers.
    State(StateKey),
    /// A delivery's content.
    Delivery(DeliveryKey),
    /// The secrets of a subscription's channels.
    Subscription(SubscriptionKey),
    /// The copy of a credential that ends this channel of an ended connection.
    Ending(ConnectionKey, ChannelId),
}

/// A sealed record with everything that its seal is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Which record.
    pub row: RowRef,
    /// The tenant it belongs to; `None` for deliveries of an app as a whole.
    pub tenant: Option<TenantId>,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The id that the seal is bound to.
    pub row_id: String,
    /// What kind of secret it is.
    pub kind: SealedKind,
    /// The grant it belongs to; zero where there is none.
    pub grant: GrantNumber,
    /// The exchange that produced it; zero where there is none.
    pub fence: Fence,
    /// The sealed bytes.
    pub sealed: Sealed,
}

impl SealedRow {
    /// The context that the record is bound to.
    #[must_use]
    pub fn seal_context(&self) -> SealContext<'_> {
        SealContext {
            tenant: self.tenant.as_ref(),
            provider: &self.provider,
            app: &self.app,
            row: &self.row_id,
            kind: self.kind,
            grant: self.grant,
            fence: self.fence,
        }
    }
}

/// What the rotation of keys and the removal of what has expired need from a store.
#[async_trait]
pub trait Maintenance: Send + Sync + 'static {
    /// Sealed records of every kind that are not sealed under `not_under`, at most `n`, in a stable
    /// order.
    ///
    /// * Every sealed record that the store keeps is listed, of every kind
    ///   (`sealed_rows_lists_every_kind`).
    /// * Records under the named key are left out, so that an empty list means that no other key is
    ///   needed any more (`sealed_rows_leaves_out_the_named_key`).
    /// * Following the cursors meets every record that stays unchanged meanwhile exactly once
    ///   (`sealed_rows_pages_meet_every_record_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>>;

    /// Puts `new` in place of `seen`; false if the record no longer holds `seen`, and then nothing
    /// is written.
    ///
    /// * The record opens to the same content; generation, version and due work stay as they are
    ///   (`reseal_changes_the_bytes_and_nothing_else`).
    /// * A record that changed meanwhile is left alone (`reseal_of_a_changed_record_is_refused`).
    /// * Repeating it after an unknown outcome is harmless: it answers false.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool>;

    /// Removes at most `n` records whose time has passed and returns how many it removed: states,
    /// quarantined answers, deliveries past their keeping time.
    ///
    /// * What is still kept by its own duration is never removed, and a delivery that is not done
    ///   or parked is never removed (`purge_removes_only_what_has_expired`).
    /// * At most `n` records are removed by one call (`purge_is_bounded`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): repeat it.
    async fn purge(&self, n: u32) -> Result<u32>;
}
