//! Deliveries from providers: verified, kept, then handled.

mod handler;
mod payload;
mod receipt;
mod receive;
mod route;
mod verified;

use connector_core::Result;
use connector_core::store::{Cursor, Slice};
use connector_core::store::{DeliveryFilter, DeliveryKey, DeliveryRecord};
use connector_core::{Error, ErrorKind, Event, RequestContext, TenantId};

pub(crate) use self::handler::SharedParts;
pub use self::handler::{Delivered, DeliveryHandler};
pub use self::receipt::Receipt;
pub use self::receive::Receive;
pub(crate) use self::route::Route;
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
    ) -> Result<Slice<DeliveryRecord>> {
        self.inner.store.deliveries(filter, after, n).await
    }

    /// Has a delivery that was given up or handled be handled again, now.
    ///
    /// It is recorded in the audit log of `tenant`: the one the delivery belongs to, or, for a
    /// delivery of an app as a whole, the one on whose behalf you ask.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such delivery, or it still waits to be handled;
    /// [`ErrorKind::StoreUnavailable`]: repeat it; [`ErrorKind::ShuttingDown`] after
    /// [`Hub::shutdown`].
    pub async fn replay(
        &self,
        key: &DeliveryKey,
        tenant: &TenantId,
        context: RequestContext,
    ) -> Result<()> {
        let inner = &self.inner;
        inner.accepting(REPLAY)?;
        // Recorded first: a process that ends here has recorded a wish, and hidden no deed.
        let event = Event::DeliveryReplayed {
            endpoint: key.endpoint.clone(),
            id: key.id.clone(),
        };
        let entry = audit::entry(audit::Target::delivery(tenant, key), &context, event);
        inner.store.append(entry).await?;
        if inner.store.replay(key).await? {
            inner.arrivals.notify_one();
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotFound,
            REPLAY,
            "no such delivery rests; list the deliveries that are parked or done",
        ))
    }
}
