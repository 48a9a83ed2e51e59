//! Webhooks that the application sends to its own customers.

mod endpoint;
mod log;
mod policy;
mod rest_hooks;
mod send;
mod target;

pub use self::endpoint::{AddedEndpoint, EndpointInfo, EndpointUpdate, NewTarget};
pub use self::log::TestOutcome;
pub use self::policy::OutboundPolicy;
pub use self::rest_hooks::RestHooks;

use connector_core::outbound::Message;
use connector_core::store::{EndpointId, Enqueued, MessageKey, NewMessage};
use connector_core::{ProviderId, Result, TenantId};

use crate::hub::Hub;

const OPERATION: &str = "hub.outbound";
/// The provider of endpoints that belong to the application itself.
const OWN: ProviderId = ProviderId::from_static("webhooks");
/// The type of test messages. They are sent once.
const TEST_EVENT: &str = "webhook.test";

impl Hub {
    /// Returns a handle for the webhooks that your service sends to this tenant.
    ///
    /// The tenant's endpoints receive signed messages, as specified by
    /// [Standard Webhooks](https://www.standardwebhooks.com/). [`Outbound::publish`] stores a
    /// message, and the workers of all nodes send it: at least once, with retries over about a day.
    ///
    /// ```no_run
    /// # use connector_core::outbound::{EventType, Message, MessageId};
    /// # use connector_core::{RequestContext, Result, TenantId, clock::Timestamp};
    /// # use connector_hub::{Hub, NewTarget};
    /// # async fn example(hub: Hub, tenant: TenantId, context: RequestContext, now: Timestamp) -> Result<()> {
    /// let created = EventType::new("order.created")?;
    /// let target = NewTarget::new("https://hooks.customer.example/orders")
    ///     .with_event_types([created.clone()]);
    /// let added = hub.outbound(&tenant).add(target, context).await?;
    /// let _show_once = added.verification_key();
    ///
    /// let order = serde_json::json!({ "order": 4711 });
    /// let id = MessageId::new("order-4711-created")?;
    /// hub.outbound(&tenant).publish(Message::json(id, created, now, &order)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn outbound(&self, tenant: &TenantId) -> Outbound {
        Outbound {
            hub: self.clone(),
            tenant: tenant.clone(),
            provider: OWN,
        }
    }
}

/// The outbound webhooks of one tenant; see [`Hub::outbound`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Outbound {
    hub: Hub,
    tenant: TenantId,
    provider: ProviderId,
}

impl Outbound {
    /// Selects the endpoints of a provider, for example Zapier's hooks. Default: the endpoints of
    /// your service's own webhooks. A message is sent only to endpoints of the selected provider.
    pub fn with_provider(mut self, provider: ProviderId) -> Self {
        self.provider = provider;
        self
    }

    /// Stores a message for all endpoints of the tenant that receive its event type, and wakes the
    /// worker of this process. Publishing again with the same id has no effect.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`](connector_core::ErrorKind::InvalidInput) if the payload is
    ///   longer than 1 MiB, if the resource is invalid, or if the event type is `webhook.test`, which
    ///   is reserved for [`Outbound::test`].
    /// * [`ErrorKind::StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): retry with
    ///   the same id.
    /// * [`ErrorKind::ShuttingDown`](connector_core::ErrorKind::ShuttingDown) after
    ///   [`Hub::shutdown`].
    pub async fn publish(&self, message: Message) -> Result<Enqueued> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        let message = self.prepare(message).await?;
        let enqueued = inner.store.enqueue(message).await?;
        inner.outgoing.notify_one();
        Ok(enqueued)
    }

    /// Seals a message without storing it. Pass the result to the store in the transaction that makes
    /// the reported change, for example to `SqliteStore::enqueue_in`. If the transaction is rolled
    /// back, nothing is sent. After the commit, call [`Outbound::wake`], or wait for up to five
    /// seconds until the worker finds the message.
    ///
    /// # Errors
    /// Same as [`Outbound::publish`].
    pub async fn prepare(&self, message: Message) -> Result<NewMessage> {
        if message.event_type.as_str() == TEST_EVENT {
            let message = "the event type webhook.test is reserved for test messages";
            return Err(target::invalid(message));
        }
        self.prepare_for(message, None).await
    }

    /// Wakes the worker of this process after a message was stored in a transaction of your own.
    pub fn wake(&self) {
        self.hub.inner.outgoing.notify_one();
    }

    async fn prepare_for(&self, message: Message, only: Option<EndpointId>) -> Result<NewMessage> {
        message.check()?;
        let inner = &self.hub.inner;
        let key = MessageKey {
            tenant: self.tenant.clone(),
            provider: self.provider.clone(),
            id: message.id,
        };
        let sealed = inner.seal_payload(&key, &message.payload).await?;
        Ok(NewMessage {
            key,
            event_type: message.event_type,
            resource: message.resource,
            at: message.at,
            sealed,
            keep_for: inner.outbound_policy.keep_for,
            only,
        })
    }
}
