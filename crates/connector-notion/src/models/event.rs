//! Webhook events.

use connector_core::webhook::{Event, TypedEvent};
use connector_core::{Error, ErrorKind, ProviderId, Result};
use serde::{Deserialize, Serialize};

use super::Other;
use super::tagged::is_default;
use crate::Notion;

/// Event types that Notion documents. The connector also accepts events of other types.
///
/// See [Notion docs: Event types and delivery](https://developers.notion.com/reference/webhooks-events-delivery).
pub const EVENT_TYPES: &[&str] = &[
    "page.created",
    "page.content_updated",
    "page.properties_updated",
    "page.moved",
    "page.deleted",
    "page.undeleted",
    "page.locked",
    "page.unlocked",
    "page.transcription_block.transcript_deleted",
    "database.created",
    "database.content_updated",
    "database.schema_updated",
    "database.moved",
    "database.deleted",
    "database.undeleted",
    "data_source.created",
    "data_source.content_updated",
    "data_source.schema_updated",
    "data_source.moved",
    "data_source.deleted",
    "data_source.undeleted",
    "comment.created",
    "comment.updated",
    "comment.deleted",
    "view.created",
    "view.updated",
    "view.deleted",
    "file_upload.created",
    "file_upload.completed",
    "file_upload.expired",
    "file_upload.upload_failed",
];

/// A webhook event, which reports that an object changed. The event does not contain the object's
/// content, so read the object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// ID of the event. All delivery attempts have the same id.
    pub id: String,
    /// Event type: one of [`EVENT_TYPES`], or a type that this version does not know.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time of the change (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub timestamp: Option<String>,
    /// ID of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_id: Option<String>,
    /// The changed object.
    #[serde(default, skip_serializing_if = "is_default")]
    pub entity: Option<Entity>,
    /// Users and bots that made the change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub authors: Vec<Entity>,
    /// Users and bots with access to the object. The bots are accounts of this connector.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accessible_by: Vec<Entity>,
    /// Number of the delivery attempt, from 1 to 8.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempt_number: Option<u32>,
    /// Details that depend on the event type: the parent, and the changed blocks, properties or
    /// fields.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: Other,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// Reference to an object, a user or a bot, by id and type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entity {
    /// The id.
    pub id: String,
    /// The type, for example `page`, `block`, `person` or `bot`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// Matches [`EVENT_TYPES`]. Events of unknown types go to handlers of all or of other deliveries.
impl TypedEvent for WebhookEvent {
    const PROVIDER: ProviderId = Notion::ID;
    const TOPICS: &'static [&'static str] = EVENT_TYPES;

    fn decode(event: &Event) -> Result<Self> {
        Self::of(event)
    }
}

impl WebhookEvent {
    /// Parses an event that the hub delivered.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the event is not a Notion webhook event.
    pub fn of(event: &Event) -> Result<Self> {
        // The parser's error may quote the body, so it is dropped.
        serde_json::from_slice(&event.body).map_err(|_| {
            let message = "the event is not a Notion webhook event";
            Error::new(
                ErrorKind::UnexpectedResponse,
                "notion.webhook_event",
                message,
            )
            .with_provider(Notion::ID.as_str().to_owned())
        })
    }

    /// Returns the ids of the changed properties for events of the types `properties_updated` and
    /// `schema_updated`. Other events have none.
    #[must_use]
    pub fn updated_properties(&self) -> Vec<&str> {
        let changed = self.data.get("updated_properties");
        let changed = changed
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten();
        changed
            .filter_map(|it| it.get("id").unwrap_or(it).as_str())
            .collect()
    }
}
