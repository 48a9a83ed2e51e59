//! The delivery log, replay, and the test button.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, Message, MessageId};
use connector_core::store::{
    AttemptRecord, Cursor, EndpointId, EndpointState, MessageLease, OutboundFilter, OutboundRecord,
    Page,
};
use connector_core::{Error, ErrorKind, RequestContext, Result};

use super::endpoint::changed;
use super::target::invalid;
use super::{OPERATION, Outbound, TEST_EVENT};
use crate::worker::{LastSend, OUTBOUND_LEASE};

/// Number of messages per replay call to the store.
const PAGE: u16 = 200;
/// Pauses between checks whether a worker has sent a test message.
const POLL: Duration = Duration::from_millis(250);
/// Maximum number of these checks.
const POLLS: u32 = 140;

/// The result of a test message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestOutcome {
    /// The id of the test message.
    pub message: MessageId,
    /// True if the endpoint accepted the message.
    pub is_delivered: bool,
    /// The attempt: status, duration and the beginning of an error response.
    pub attempt: AttemptRecord,
}

impl Outbound {
    /// Sends a message of the type `webhook.test` to an endpoint now, whatever its event types, and
    /// waits for the result. The message takes the same path as all messages: the same URL checks,
    /// headers and signatures, and an entry in the delivery log. It is sent once.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the tenant has no such endpoint.
    /// * [`ErrorKind::InvalidInput`] if the endpoint is disabled.
    /// * [`ErrorKind::Timeout`] if there is no result after 35 seconds.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn test(&self, id: EndpointId) -> Result<TestOutcome> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        let endpoint = self.load(id).await?;
        if endpoint.state != EndpointState::Enabled {
            return Err(invalid("the endpoint is disabled; enable it first"));
        }
        let message = Message::json(
            MessageId::generate(&*inner.random)?,
            EventType::new(TEST_EVENT)?,
            inner.clock.now(),
            &serde_json::json!({ "test": true }),
        )?;
        let id = message.id.clone();
        let message = self.prepare_for(message, Some(endpoint.key.id)).await?;
        inner.store.enqueue(message).await?;
        let request =
            MessageLease::new(1, OUTBOUND_LEASE).for_one(endpoint.key.clone(), id.clone());
        // A worker may have leased the message first.
        let deadline = LastSend::of(inner);
        if let Some(leased) = inner.store.lease_messages(&request).await?.first() {
            let settlement = inner.attempt(leased, deadline.check()).await;
            inner.store.settle_messages(&[settlement]).await?;
        }
        for _ in 0..POLLS {
            let attempts = inner.store.attempts(&endpoint.key, &id).await?;
            if let Some(attempt) = attempts.into_iter().next() {
                return Ok(TestOutcome {
                    message: id,
                    is_delivered: attempt.log.error.is_none(),
                    attempt,
                });
            }
            inner.clock.sleep(POLL).await;
        }
        let message = "the test message has no result yet; look at the delivery log later";
        Err(Error::new(ErrorKind::Timeout, OPERATION, message))
    }

    /// Returns a filter for the tenant's deliveries, for [`Outbound::deliveries`].
    #[must_use]
    pub fn filter(&self) -> OutboundFilter {
        let mut filter = OutboundFilter::default();
        filter.tenant = Some(self.tenant.clone());
        filter.provider = Some(self.provider.clone());
        filter
    }

    /// Lists at most `n` of the tenant's deliveries, oldest first, starting after the cursor `after`.
    /// The tenant and the provider of the filter are replaced by those of this handle.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn deliveries(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>> {
        let mut own = self.filter();
        own.endpoint = filter.endpoint;
        own.message.clone_from(&filter.message);
        own.state = filter.state;
        own.undelivered = filter.undelivered;
        own.since = filter.since;
        own.until = filter.until;
        self.hub.inner.store.outbound(&own, after, n).await
    }

    /// Returns the attempts to deliver a message to an endpoint, oldest first: the last 20 attempts,
    /// each with the status and the beginning of an error response. Secrets, tokens and parts of the
    /// message are removed from the response.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn attempts(
        &self,
        endpoint: EndpointId,
        message: &MessageId,
    ) -> Result<Vec<AttemptRecord>> {
        let key = self.key(endpoint);
        self.hub.inner.store.attempts(&key, message).await
    }

    /// Sends a message to an endpoint again, whatever the result of earlier attempts.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the endpoint has no such message, if the endpoint is disabled, or
    ///   if the message is still waiting.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn replay(
        &self,
        endpoint: EndpointId,
        message: &MessageId,
        context: RequestContext,
    ) -> Result<()> {
        let mut filter = self.filter();
        filter.endpoint = Some(endpoint);
        filter.message = Some(message.clone());
        if self.replay_all(&filter, endpoint, &context).await? == 0 {
            let message = "the endpoint has no such message that could be sent again; check that the \
                           endpoint is enabled";
            return Err(Error::new(ErrorKind::NotFound, OPERATION, message));
        }
        Ok(())
    }

    /// Sends the messages to an endpoint again that were published at or after `since` and before
    /// `until`, and that were not delivered: skipped, failed and parked ones. Returns their number.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if the endpoint is disabled.
    /// * [`ErrorKind::NotFound`] if the tenant has no such endpoint.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn replay_between(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
        context: RequestContext,
    ) -> Result<u64> {
        if self.load(endpoint).await?.state != EndpointState::Enabled {
            return Err(invalid("the endpoint is disabled; enable it first"));
        }
        let mut filter = self.filter();
        filter.endpoint = Some(endpoint);
        filter.since = Some(since);
        filter.until = Some(until);
        filter.undelivered = true;
        self.replay_all(&filter, endpoint, &context).await
    }

    async fn replay_all(
        &self,
        filter: &OutboundFilter,
        endpoint: EndpointId,
        context: &RequestContext,
    ) -> Result<u64> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        // The entry is written before the replay. If the process dies in between, the log has an
        // entry too many rather than one too few.
        let entry = self.entry(context, changed(endpoint, "replayed"));
        inner.store.append(entry).await?;
        let mut replayed = 0;
        loop {
            let n = inner.store.replay_messages(filter, PAGE).await?;
            replayed += u64::from(n);
            // A single message is due only once.
            if n < u32::from(PAGE) || filter.message.is_some() {
                break;
            }
        }
        inner.outgoing.notify_one();
        Ok(replayed)
    }
}
