//! The typed API client.

use crate::Zapier;

connector_core::provider::provider_client! {
    /// A client that sends events to one hook: a catch hook, or the target of a REST Hook.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// # use connector_core::clock::Timestamp;
    /// use connector_zapier::ZapierClient;
    /// use connector_zapier::endpoints::SendEvent;
    /// use connector_zapier::models::ZapEvent;
    /// # async fn example(client: ZapierClient, now: Timestamp) -> Result<()> {
    /// let order = serde_json::json!({ "order": 4711, "total": "12.90" });
    /// let event = ZapEvent::new("order.created", now, &order)?.with_id("order-4711");
    /// client.send(&SendEvent::new(&event)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub struct ZapierClient for Zapier::ID;
}
