//! Webhook deliveries from providers: verified, stored, then passed to handlers.

mod handler;
mod inbox;
mod ingest;
mod payload;
mod receipt;
mod receive;
mod route;
mod subscription;
mod verified;

use connector_core::Result;
use connector_core::store::{Cursor, Page};
use connector_core::store::{DeliveryFilter, DeliveryKey, DeliveryRecord};
use connector_core::{Error, ErrorKind, Event, RequestContext, TenantId};

pub use self::handler::{Delivered, DeliveryHandler, EventHandler};
pub(crate) use self::handler::{Registration, SharedParts, Unhandled};
pub(crate) use self::inbox::of_connection;
pub use self::ingest::{Ingest, Message};
pub use self::receipt::Receipt;
pub use self::receive::Receive;
pub(crate) use self::route::Route;
pub use self::subscription::{SubscriptionSecret, SubscriptionSecrets};
pub use self::verified::Verified;
use crate::audit;
use crate::hub::Hub;

const REPLAY: &str = "hub.replay";

impl Hub {
    /// Lists at most `n` stored deliveries, starting after the cursor `after`. The list contains
    /// queued deliveries, parked deliveries, and deliveries that were handled within the last seven
    /// days. The list does not contain the content of the deliveries.
    ///
    /// # Errors
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    /// * [`ErrorKind::InvalidInput`] if the cursor is from another list.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>> {
        self.inner.store.deliveries(filter, after, n).await
    }

    /// Queues a parked or handled delivery of `tenant` again, so that the worker handles it now.
    /// The replay is recorded in the tenant's audit log.
    ///
    /// A delivery to an endpoint of the whole app belongs to no tenant. Use
    /// [`Hub::replay_as_operator`] for such a delivery.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the tenant has no such delivery, or if the delivery is still
    ///   queued.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    pub async fn replay(
        &self,
        key: &DeliveryKey,
        tenant: &TenantId,
        context: RequestContext,
    ) -> Result<()> {
        self.replay_of(key, Some(tenant), tenant, context).await
    }

    /// Queues any delivery again, regardless of its owner. Only for your service's own staff: never
    /// pass a key that a tenant supplied.
    ///
    /// The replay is recorded in the audit log of `on_behalf_of`.
    ///
    /// # Errors
    /// As for [`Hub::replay`].
    pub async fn replay_as_operator(
        &self,
        key: &DeliveryKey,
        on_behalf_of: &TenantId,
        context: RequestContext,
    ) -> Result<()> {
        self.replay_of(key, None, on_behalf_of, context).await
    }

    async fn replay_of(
        &self,
        key: &DeliveryKey,
        owner: Option<&TenantId>,
        recorded_for: &TenantId,
        context: RequestContext,
    ) -> Result<()> {
        let inner = &self.inner;
        inner.accepting(REPLAY)?;
        // The entry is written before the replay. If the process dies in between, the log has an
        // entry too many rather than one too few.
        let event = Event::DeliveryReplayed {
            endpoint: key.endpoint.clone(),
            id: key.id.clone(),
        };
        let entry = audit::entry(audit::Target::delivery(recorded_for, key), &context, event);
        inner.store.append(entry).await?;
        if inner.store.replay(key, owner).await? {
            inner.arrivals.notify_one();
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotFound,
            REPLAY,
            "the tenant has no such delivery that was handled or parked; list its deliveries",
        ))
    }
}
