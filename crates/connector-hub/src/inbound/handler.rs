//! Handlers of deliveries.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::DeliveryKey;
use connector_core::webhook::Event;
use connector_core::{ConnectionKey, Result, TenantId};

use super::Verified;

/// Handles deliveries from providers.
///
/// The hub stores each delivery before acknowledging it. The worker passes the delivery to every
/// handler at least once. If a handler fails or the process is terminated, the delivery is passed
/// again, at least to the failed handler and possibly to other handlers. Use [`Delivered::key`] to
/// detect repetitions. Deliveries may arrive in any order.
///
/// A delivery to a shared app is handled once for each active connection of any tenant to the
/// account in the delivery. If there is no such connection, the delivery is handled once without a
/// connection.
///
/// ```
/// use connector_core::Result;
/// use connector_hub::{Delivered, DeliveryHandler};
///
/// #[derive(Debug)]
/// struct Orders;
///
/// #[async_trait::async_trait]
/// impl DeliveryHandler for Orders {
///     async fn handle(&self, delivery: &Delivered) -> Result<()> {
///         if delivery.event().topic == "orders/create"
///             && let Some(connection) = delivery.connection()
///         {
///             let _fetch_the_order = (connection, &delivery.event().body);
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait DeliveryHandler: Send + Sync + 'static {
    /// Handles one delivery for one connection. The hub calls this method from many tasks
    /// concurrently. The calls for one delivery have four minutes in total. The hub drops all calls
    /// that take longer.
    ///
    /// # Errors
    /// Any error. The hub retries the delivery after 5 s, 30 s, 2 min, 10 min, 1 h, 2 h, 5 h, 10 h
    /// and 10 h, and then parks it until it is replayed. Only the error's kind is stored.
    async fn handle(&self, delivery: &Delivered) -> Result<()>;
}

/// A delivery as passed to handlers.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub(crate) shared: Arc<SharedParts>,
    pub(crate) connection: Option<ConnectionKey>,
}

/// The fields that all connections of a delivery share.
#[derive(Debug)]
pub(crate) struct SharedParts {
    pub(crate) event: Verified<Event>,
    pub(crate) key: DeliveryKey,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attempt: u32,
    pub(crate) accepted_at: Timestamp,
}

impl Delivered {
    /// Returns the event. Fields that the signature does not cover are only hints: query the
    /// provider before you end or delete anything because of them.
    #[must_use]
    pub fn event(&self) -> &Verified<Event> {
        &self.shared.event
    }

    /// Returns the connection that the delivery is about. `None` if there is none, for example if a
    /// disconnected account requests the deletion of its data.
    #[must_use]
    pub const fn connection(&self) -> Option<&ConnectionKey> {
        self.connection.as_ref()
    }

    /// Returns the key that identifies the delivery across repeated calls.
    #[must_use]
    pub fn key(&self) -> &DeliveryKey {
        &self.shared.key
    }

    /// Returns the tenant whose own secret signed the delivery. `None` if the delivery was signed
    /// for the whole app.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.shared.tenant.as_ref()
    }

    /// Returns the number of attempts, including this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.shared.attempt
    }

    /// Returns the time of acceptance by the store's clock.
    #[must_use]
    pub fn accepted_at(&self) -> Timestamp {
        self.shared.accepted_at
    }
}
