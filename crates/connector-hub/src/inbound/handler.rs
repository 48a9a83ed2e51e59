//! What applications do with deliveries.

use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::DeliveryKey;
use connector_core::webhook::Event;
use connector_core::{ConnectionKey, Result, TenantId};

use super::Verified;

/// What an application does when a provider tells it something.
///
/// A delivery is kept before the provider is told so, and handed to every handler by the worker, at
/// least once: a handler that fails, or a process that ends in the middle, means that it is handed
/// out again, to that handler at least, and to others as well. [`Delivered::key`] recognises a repetition. Deliveries may come in
/// any order.
///
/// A delivery to an app as a whole is handed out once for each live connection, of whatever tenant,
/// that leads to the account it names, and once without a connection if there is none.
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
    /// Handles one delivery for one connection. Called from many tasks at once; all calls for one
    /// delivery together have four minutes, then they are dropped.
    ///
    /// # Errors
    /// Whatever went wrong: the delivery is handed out again after 5 seconds, 30 seconds, 2 and 10
    /// minutes, 1, 2, 5 and twice 10 hours, and then parked until somebody replays it. Only the
    /// error's kind is kept.
    async fn handle(&self, delivery: &Delivered) -> Result<()>;
}

/// A delivery as handlers are given it.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub(crate) shared: Arc<SharedParts>,
    pub(crate) connection: Option<ConnectionKey>,
}

/// What is the same for every connection that a delivery is handed out for.
#[derive(Debug)]
pub(crate) struct SharedParts {
    pub(crate) event: Verified<Event>,
    pub(crate) key: DeliveryKey,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attempt: u32,
    pub(crate) accepted_at: Timestamp,
}

impl Delivered {
    /// What happened. What the signature does not cover is a hint: ask the provider before you end
    /// or delete anything because of it.
    #[must_use]
    pub fn event(&self) -> &Verified<Event> {
        &self.shared.event
    }

    /// The connection that it is about; `None` if there is none, as when an account that was
    /// disconnected asks for its data to be deleted.
    #[must_use]
    pub const fn connection(&self) -> Option<&ConnectionKey> {
        self.connection.as_ref()
    }

    /// What makes it the same delivery, however often it is handed out.
    #[must_use]
    pub fn key(&self) -> &DeliveryKey {
        &self.shared.key
    }

    /// The tenant whose own secret signed it; `None` if it was signed for the app as a whole.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.shared.tenant.as_ref()
    }

    /// How often it was handed out, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.shared.attempt
    }

    /// When it was accepted, on the store's clock.
    #[must_use]
    pub fn accepted_at(&self) -> Timestamp {
        self.shared.accepted_at
    }
}
