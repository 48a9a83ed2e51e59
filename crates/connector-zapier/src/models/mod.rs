//! Types of requests and responses.

use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, Message, MessageId};
use connector_core::{Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// An event for a Zap. All events have the same envelope: `id`, `type`, `occurred_at`, `data`.
///
/// The Zap's owner can select `data` with the setting "Pick Off A Child Key". Zapier shows the data in the
/// history of the Zap, so `data` must not contain secrets. See
/// [Zapier docs: Deduplication](https://docs.zapier.com/platform/build/deduplication).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZapEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(serialize_with = "as_text")]
    occurred_at: Timestamp,
    data: Value,
}

impl ZapEvent {
    /// Creates an event with a type such as `order.created`. The id is derived from type, time and data,
    /// so equal events have equal ids in all processes. Use [`ZapEvent::with_id`] to set another id.
    ///
    /// If `data` is an array, the Zap still runs once, because the array is inside the envelope.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `data` cannot be represented as JSON.
    pub fn new<T: Serialize + ?Sized>(
        kind: impl Into<String>,
        occurred_at: Timestamp,
        data: &T,
    ) -> Result<Self> {
        let data = serde_json::to_value(data).map_err(|_| {
            Error::new(
                ErrorKind::InvalidInput,
                "zapier.event",
                "the data of the event cannot be represented as JSON; use text keys and finite \
                 numbers",
            )
        })?;
        let kind = kind.into();
        let text = format!("{kind}\n{occurred_at}\n{data}");
        let id = digest(&SHA256, text.as_bytes());
        let id = id.as_ref().iter().take(16).map(|it| format!("{it:02x}"));
        Ok(Self {
            id: id.collect(),
            kind,
            occurred_at,
            data,
        })
    }

    /// Creates a test event, with which a user can check the connection. The event starts the Zap.
    ///
    /// # Errors
    /// None in practice, because the data is a constant.
    pub fn test(now: Timestamp) -> Result<Self> {
        let event = Self::new("connection.test", now, &serde_json::json!({ "test": true }))?;
        let id = format!("test-{}", event.id);
        Ok(event.with_id(id))
    }

    /// Sets the id, with which Zapier detects duplicates. The id must be unique per event, and the same
    /// in every attempt to send the event. If the event reports a change of a resource, combine the
    /// resource's id and the time of the change.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Returns the event as a message for the hub's outbound webhooks: for subscriptions of REST Hooks,
    /// and for samples. The body is the same as that of
    /// [`SendEvent`](crate::endpoints::SendEvent), so that live events and samples have one form.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the type of the event is not a valid
    /// [`EventType`], or if the id is empty.
    pub fn message(&self) -> Result<Message> {
        let event_type = EventType::new(&self.kind)?;
        // An id of another form is replaced by its digest. The body contains the id itself.
        let id = MessageId::new(&self.id);
        let id = match id {
            Err(_) if !self.id.is_empty() => {
                let digest = digest(&SHA256, self.id.as_bytes());
                let digits = digest
                    .as_ref()
                    .iter()
                    .take(16)
                    .map(|it| format!("{it:02x}"));
                MessageId::new(digits.collect::<String>())
            }
            id => id,
        };
        let payload = serde_json::to_vec(self).map_err(|_| {
            Error::new(
                ErrorKind::InvalidInput,
                "zapier.event",
                "the event cannot be represented as JSON",
            )
        })?;
        Ok(Message::new(id?, event_type, self.occurred_at, payload))
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the data.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Zapier's response to an accepted event. All fields are `None` if the hook is in silent mode.
///
/// This response does not confirm that a Zap ran. A catch hook accepts events even if its Zap is off,
/// paused or deleted, and Zapier does not report the outcome of a run to the sender.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Accepted {
    /// Zapier's id of the event.
    pub id: Option<String>,
    /// ID of the request, for inquiries to Zapier's support.
    pub request_id: Option<String>,
    /// ID of the attempt.
    pub attempt: Option<String>,
    /// Status: `success` in all known responses.
    pub status: Option<String>,
}
