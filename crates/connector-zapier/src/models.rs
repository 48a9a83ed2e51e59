//! The types that operations take and return.

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// An event for a Zap, in an envelope that does not change: `id`, `type`, `occurred_at`, `data`.
///
/// The owner of a Zap can select `data` with "Pick Off A Child Key". The data is shown in the history
/// of the Zap: put no secrets into it. See
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
    /// An event with a type such as `order.created`. Its id is derived from type, time and data, so
    /// that the same event has the same id in every process; see [`ZapEvent::with_id`].
    ///
    /// An array in `data` stays inside the envelope: the Zap runs once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `data` has no JSON form.
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

    /// An event that tells the owner of a Zap that the connection works. It starts the Zap.
    ///
    /// # Errors
    /// None; the result is that of [`ZapEvent::new`].
    pub fn test(now: Timestamp) -> Result<Self> {
        let event = Self::new("connection.test", now, &serde_json::json!({ "test": true }))?;
        let id = format!("test-{}", event.id);
        Ok(event.with_id(id))
    }

    /// Sets the id, by which Zapier recognises a repetition: unique for each event and the same for
    /// each attempt to send it. For changes of a resource, join its id and the time of the change.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
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

/// What Zapier says about an event that it took. All fields are absent from a hook in silent mode.
///
/// "Accepted" does not mean that a Zap ran: a catch hook accepts events even if its Zap is off,
/// paused or deleted, and the outcome of a run is not told to the sender.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Accepted {
    /// The id of the event at Zapier.
    pub id: Option<String>,
    /// The id of the request, for Zapier's support.
    pub request_id: Option<String>,
    /// The id of the attempt.
    pub attempt: Option<String>,
    /// The status, `success` as far as it is known.
    pub status: Option<String>,
}
