//! Handlers of deliveries and of typed events.

use std::any::type_name;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::DeliveryKey;
use connector_core::webhook::{Event, TypedEvent};
use connector_core::{ConnectionKey, Error, Result, TenantId};

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

/// Handles the events of one type. Register the handler with
/// [`HubBuilder::on_event`](crate::HubBuilder::on_event).
///
/// An async function or closure with the arguments `(E, Delivered)` is a handler too. A type can
/// handle several event types. The rules of [`DeliveryHandler`] apply: a handler is called at least
/// once for each delivery and connection, in any order.
///
/// The signature of some providers does not cover the topic. In this case, an attacker who has seen
/// a delivery can send it again under another topic. Query the provider before you delete anything
/// because of an event.
///
/// ```
/// use connector_core::webhook::{Event, TypedEvent};
/// use connector_core::{ProviderId, Result};
/// use connector_hub::{Delivered, EventHandler, Hub};
///
/// #[derive(serde::Deserialize)]
/// struct OrderCreated {
///     id: u64,
/// }
///
/// impl TypedEvent for OrderCreated {
///     const PROVIDER: ProviderId = ProviderId::from_static("acme");
///     const TOPICS: &'static [&'static str] = &["order.created"];
///
///     fn decode(event: &Event) -> Result<Self> {
///         event.json()
///     }
/// }
///
/// struct Orders;
///
/// #[async_trait::async_trait]
/// impl EventHandler<OrderCreated> for Orders {
///     async fn handle(&self, order: OrderCreated, delivery: &Delivered) -> Result<()> {
///         let _fetch_the_order = (order.id, delivery.connection());
///         Ok(())
///     }
/// }
///
/// let builder = Hub::builder()
///     .on_event::<OrderCreated>(Orders)
///     .on_event(|order: OrderCreated, delivery: Delivered| async move {
///         let _fetch_the_order = (order.id, delivery.connection());
///         Ok(())
///     });
/// ```
#[async_trait]
pub trait EventHandler<E: TypedEvent>: Send + Sync + 'static {
    /// Handles one event for one connection. `delivery` contains the connection and the event as
    /// received. Time limits are those of [`DeliveryHandler::handle`].
    ///
    /// # Errors
    /// Any error. The hub retries the delivery as described for [`DeliveryHandler::handle`].
    async fn handle(&self, event: E, delivery: &Delivered) -> Result<()>;
}

#[async_trait]
impl<E, F, T> EventHandler<E> for F
where
    E: TypedEvent,
    F: Fn(E, Delivered) -> T + Send + Sync + 'static,
    T: Future<Output = Result<()>> + Send,
{
    async fn handle(&self, event: E, delivery: &Delivered) -> Result<()> {
        self(event, delivery.clone()).await
    }
}

/// The reason why a delivery was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unhandled {
    /// The stable name of the reason.
    pub(crate) reason: &'static str,
    /// True if a retry cannot succeed.
    pub(crate) is_final: bool,
}

impl Unhandled {
    pub(crate) const fn retried(reason: &'static str) -> Self {
        Self {
            reason,
            is_final: false,
        }
    }
}

impl From<Error> for Unhandled {
    fn from(error: Error) -> Self {
        Self::retried(error.kind().as_str())
    }
}

/// The deliveries that a handler takes.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Every,
    Matching(fn(&Event) -> bool),
    /// Deliveries that no handler of typed events takes.
    Other,
}

/// A registered handler.
pub(crate) struct Registration {
    takes: Takes,
    pub(crate) handler: Arc<dyn Call>,
}

/// Calls a handler of any kind.
#[async_trait]
pub(crate) trait Call: Send + Sync {
    async fn call(&self, delivery: &Delivered) -> Result<(), Unhandled>;
}

struct Untyped<H>(H);

#[async_trait]
impl<H: DeliveryHandler> Call for Untyped<H> {
    async fn call(&self, delivery: &Delivered) -> Result<(), Unhandled> {
        Ok(self.0.handle(delivery).await?)
    }
}

struct Typed<E, H> {
    handler: H,
    event: PhantomData<fn() -> E>,
}

#[async_trait]
impl<E: TypedEvent, H: EventHandler<E>> Call for Typed<E, H> {
    async fn call(&self, delivery: &Delivered) -> Result<(), Unhandled> {
        let event = delivery.event();
        let decoded = E::decode(event).map_err(|error| {
            tracing::error!(
                operation = "worker.deliveries",
                connector = event.provider.as_str(),
                topic = event.topic,
                r#type = type_name::<E>(),
                error = %error,
                "the body of an event does not have the form of its type; the delivery is parked"
            );
            Unhandled {
                reason: "undecodable",
                is_final: true,
            }
        })?;
        Ok(self.handler.handle(decoded, delivery).await?)
    }
}

impl Registration {
    pub(crate) fn every(handler: impl DeliveryHandler) -> Self {
        Self {
            takes: Takes::Every,
            handler: Arc::new(Untyped(handler)),
        }
    }

    pub(crate) fn other(handler: impl DeliveryHandler) -> Self {
        Self {
            takes: Takes::Other,
            handler: Arc::new(Untyped(handler)),
        }
    }

    pub(crate) fn typed<E: TypedEvent>(handler: impl EventHandler<E>) -> Self {
        Self {
            takes: Takes::Matching(E::matches),
            handler: Arc::new(Typed {
                handler,
                event: PhantomData,
            }),
        }
    }

    /// Returns the handlers that take an event, with their indexes.
    pub(crate) fn taking<'a>(all: &'a [Self], event: &Event) -> Vec<(usize, &'a Arc<dyn Call>)> {
        let matches = |it: &Self| matches!(it.takes, Takes::Matching(matches) if matches(event));
        let is_typed = all.iter().any(matches);
        let takes = |it: &Self| match it.takes {
            Takes::Every => true,
            Takes::Matching(_) => matches(it),
            Takes::Other => !is_typed,
        };
        let taking = all.iter().enumerate().filter(|(_, it)| takes(it));
        taking.map(|(index, it)| (index, &it.handler)).collect()
    }
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
