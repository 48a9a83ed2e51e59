//! Deliveries from providers: verified, kept, then handled.

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

pub(crate) use self::handler::SharedParts;
pub use self::handler::{Delivered, DeliveryHandler};
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
    /// The deliveries that are kept, at most `n`, from `after` on: what waits, what was handled in
    /// the last seven days, what was given up. Nothing of their content is shown.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: repeat it; [`ErrorKind::InvalidInput`] if the cursor is of
    /// another list.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>> {
        self.inner.store.deliveries(filter, after, n).await
    }

    /// Makes the worker handle a delivery again, now, that `tenant` owns and that was given up or
    /// handled. The audit log of the tenant records it.
    ///
    /// A delivery to an endpoint of the whole app belongs to no tenant: see
    /// [`Hub::replay_as_operator`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the tenant owns no such delivery, or it still waits to be handled;
    /// [`ErrorKind::StoreUnavailable`]: repeat it; [`ErrorKind::ShuttingDown`] after
    /// [`Hub::shutdown`].
    pub async fn replay(
        &self,
        key: &DeliveryKey,
        tenant: &TenantId,
        context: RequestContext,
    ) -> Result<()> {
        self.replay_of(key, Some(tenant), tenant, context).await
    }

    /// Makes the worker handle a delivery again, now, whoever owns it. For the service's own staff:
    /// never pass a key that a tenant supplied.
    ///
    /// The audit log of `on_behalf_of` records it.
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
        // Recorded first: a process that ends here has recorded a wish, and hidden no deed.
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
            "the tenant owns no such delivery that was handled or given up; list its deliveries",
        ))
    }
}
