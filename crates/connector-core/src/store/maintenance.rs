//! Store maintenance: key rotation and removal of expired rows.

use async_trait::async_trait;

use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::{KeyId, SealContext, Sealed, SealedKind};
use crate::connection::{ConnectionKey, Fence, GrantNumber};
use crate::error::Result;
use crate::provider::subscription::ChannelId;
use crate::provider_id::ProviderId;
use crate::store::{Cursor, DeliveryKey, EndpointKey, MessageKey, Page, StateKey, SubscriptionKey};

/// A reference to a sealed record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowRef {
    /// A connection's current credential.
    Current(ConnectionKey),
    /// A connection's previous credential.
    Previous(ConnectionKey),
    /// A connection's pending credential, identified by its fence.
    Pending(ConnectionKey, Fence),
    /// A token response in quarantine.
    Quarantine(StateKey),
    /// A credential queued for revocation, identified by its connection and its fence.
    Revocation(ConnectionKey, Fence),
    /// The data of a connect flow.
    State(StateKey),
    /// A delivery's content.
    Delivery(DeliveryKey),
    /// The secrets of a subscription's channels.
    Subscription(SubscriptionKey),
    /// The credential copy of an ended connection, stored to delete this channel.
    Ending(ConnectionKey, ChannelId),
    /// The URL, secrets and headers of an endpoint.
    Endpoint(EndpointKey),
    /// The payload of an outbound message.
    Message(MessageKey),
}

/// A sealed record with all fields that its seal is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// The reference to the record.
    pub row: RowRef,
    /// The tenant; `None` for deliveries of an app as a whole.
    pub tenant: Option<TenantId>,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The id that the seal is bound to.
    pub row_id: String,
    /// The kind of secret.
    pub kind: SealedKind,
    /// The grant that the secret belongs to; zero if there is none.
    pub grant: GrantNumber,
    /// The fence of the exchange that produced the secret; zero if there is none.
    pub fence: Fence,
    /// The sealed bytes.
    pub sealed: Sealed,
}

impl SealedRow {
    /// Returns the context that the record is sealed for.
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

/// Operations for key rotation and for the removal of expired rows. All store traits except
/// [`AuditLog`](crate::store::AuditLog) require this trait.
#[async_trait]
pub trait Maintenance: Send + Sync + 'static {
    /// Returns at most `n` sealed records of all kinds that are not sealed under `not_under`, in a
    /// stable order.
    ///
    /// * Every sealed record in the store is listed, of every kind
    ///   (`sealed_rows_lists_every_kind`).
    /// * Records under the given key are left out, so an empty list means that no other key is
    ///   needed any more (`sealed_rows_leaves_out_the_named_key`).
    /// * If you follow the cursors, every record that does not change during the listing is
    ///   returned exactly once (`sealed_rows_pages_meet_every_record_once`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>>;

    /// Replaces `seen` by `new`. If the record no longer contains `seen`, writes nothing and
    /// returns false.
    ///
    /// * The record opens to the same content. Its generation, version and due work do not change
    ///   (`reseal_changes_the_bytes_and_nothing_else`).
    /// * A record that has changed in the meantime is not written
    ///   (`reseal_of_a_changed_record_is_refused`).
    /// * Retrying after an unknown outcome is safe: the call returns false.
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool>;

    /// Removes at most `n` expired records and returns the number of removed records. Applies to
    /// states, quarantined responses, deliveries and outbound messages whose retention time has
    /// passed.
    ///
    /// * A record is never removed before its own retention time has passed. A delivery that is
    ///   neither done nor parked is never removed, and neither is a message
    ///   with a pending delivery (`purge_removes_only_what_has_expired`).
    /// * One call removes at most `n` records (`purge_is_bounded`).
    ///
    /// # Errors
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): retry.
    async fn purge(&self, n: u32) -> Result<u32>;
}
