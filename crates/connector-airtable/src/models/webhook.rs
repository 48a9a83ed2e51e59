//! Webhooks and their payloads.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{AccountHint, Event, TypedEvent};
use connector_core::{AccountKey, AppKey, Error, ErrorKind, ProviderId, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cursor::Position;
use super::{Other, TableId, WebhookId};
use crate::Airtable;

/// The changes that a webhook reports, as filters and included values. The format is documented in
/// [Create a webhook](https://airtable.com/developers/web/api/create-a-webhook).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookSpecification(Map<String, Value>);

impl WebhookSpecification {
    /// Creates a specification from Airtable's format:
    /// `{"options":{"filters":{…},"includes":{…}}}`.
    #[must_use]
    pub const fn new(specification: Map<String, Value>) -> Self {
        Self(specification)
    }

    /// Restricts the changes to one table.
    #[must_use]
    pub fn with_scope(mut self, table: Option<TableId>) -> Self {
        let Some(table) = table else {
            return self;
        };
        let options = self.0.entry("options").or_insert_with(|| json!({}));
        if let Some(options) = options.as_object_mut() {
            let filters = options.entry("filters").or_insert_with(|| json!({}));
            if let Some(filters) = filters.as_object_mut() {
                filters.insert("recordChangeScope".to_owned(), String::from(table).into());
            }
        }
        self
    }

    /// Returns the table or view that the changes are restricted to.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        let filters = self.0.get("options")?.get("filters")?;
        filters.get("recordChangeScope")?.as_str()
    }
}

impl Default for WebhookSpecification {
    /// Returns a specification of all changes of records, fields and tables, with all cell values
    /// before and after.
    fn default() -> Self {
        let specification = json!({ "options": {
            "filters": { "dataTypes": ["tableData", "tableFields", "tableMetadata"] },
            "includes": {
                "includeCellValuesInFieldIds": "all",
                "includePreviousCellValues": true,
            },
        } });
        match specification {
            Value::Object(members) => Self(members),
            _ => Self(Map::new()),
        }
    }
}

/// The topic of an event that reports a change. The body is a [`WebhookPayload`].
pub const CHANGES_TOPIC: &str = "changes";
/// The topic of an error payload: Airtable could not report changes. The hub records that changes
/// are missing.
pub const PAYLOAD_ERROR_TOPIC: &str = "payload_error";

const fn yes() -> bool {
    true
}

/// A webhook in Airtable's list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Webhook {
    /// The id of the webhook.
    pub id: WebhookId,
    /// The URL for pings.
    #[serde(default)]
    pub notification_url: Option<String>,
    /// The changes that the webhook reports.
    #[serde(default)]
    pub specification: WebhookSpecification,
    /// False if Airtable has disabled pings after failures. Airtable still collects payloads.
    #[serde(default = "yes")]
    pub are_notifications_enabled: bool,
    /// False if the webhook collects no payloads.
    #[serde(default = "yes")]
    pub is_hook_enabled: bool,
    /// The number of the next payload.
    #[serde(default)]
    pub cursor_for_next_payload: Option<u64>,
    /// Time of the webhook's expiry (RFC 3339).
    #[serde(default)]
    pub expiration_time: Option<String>,
    /// Time until the webhook's expiry, as of the response.
    #[serde(skip)]
    pub expires_in: Option<Duration>,
    /// Other fields, for example the result of the last ping.
    #[serde(flatten)]
    pub other: Other,
}

/// A newly created webhook.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedWebhook {
    /// The id of the webhook.
    pub id: WebhookId,
    /// The secret that signs the pings, in base64. Airtable returns it only once.
    pub mac_secret: SecretString,
    /// Time until the webhook's expiry, as of the response.
    pub expires_in: Option<Duration>,
    /// Time of the response.
    pub received: Timestamp,
}

/// A webhook with an extended expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refreshed {
    /// Time until the webhook's expiry, as of the response.
    pub expires_in: Option<Duration>,
}

/// A page of payloads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Payloads {
    /// The payloads, in order.
    pub payloads: Vec<WebhookPayload>,
    /// The number of the payload after this page.
    pub cursor: u64,
    /// True if there may be more payloads. An empty page is always the last one.
    pub might_have_more: bool,
    /// Time of the response.
    pub received: Timestamp,
}

/// The changes of one transaction in a base, or an error instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookPayload {
    /// Time of the changes (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The number of the transaction in its base. Together with the webhook's id, this number
    /// identifies the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_transaction_number: Option<u64>,
    /// The cause of an error payload: `INVALID_FILTERS`, `INVALID_HOOK` or `INTERNAL_ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// True in an error payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// The source of the changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_metadata: Option<Value>,
    /// The changes of existing tables, keyed by table id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub changed_tables_by_id: Map<String, Value>,
    /// The created tables, keyed by table id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub created_tables_by_id: Map<String, Value>,
    /// The ids of the deleted tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroyed_table_ids: Vec<String>,
    /// Other fields.
    #[serde(flatten)]
    pub other: Other,
}

impl TypedEvent for WebhookPayload {
    const PROVIDER: ProviderId = Airtable::ID;
    const TOPICS: &'static [&'static str] = &[CHANGES_TOPIC, PAYLOAD_ERROR_TOPIC];

    fn decode(event: &Event) -> Result<Self> {
        Self::of(event)
    }
}

impl WebhookPayload {
    /// Returns true if Airtable reports an error instead of changes.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error == Some(true)
    }

    /// Returns the event for this payload. Repeated reads of a payload return the same event.
    pub(crate) fn to_event(&self, at: &Position, account: &AccountKey) -> Result<Event> {
        let topic = if self.is_error() {
            PAYLOAD_ERROR_TOPIC
        } else {
            CHANGES_TOPIC
        };
        let body = serde_json::to_vec(self).map_err(|_| {
            let message = "a payload could not be serialized; please report it";
            Error::new(ErrorKind::Bug, "airtable.catch_up", message)
        })?;
        let mut event = Event::new(Airtable::ID, AppKey::default(), topic, body.into());
        event.account = Some(AccountHint::Key(account.clone()));
        event.event_id = Some(match self.base_transaction_number {
            Some(number) => format!("{}-{number}", at.webhook),
            None => format!("{}-payload-{}", at.webhook, at.payload),
        });
        event.triggered_at = self.timestamp.as_deref().and_then(Timestamp::parse);
        Ok(event)
    }

    /// Parses an event from a subscription.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the event is not from a subscription of this connector.
    pub fn of(event: &Event) -> Result<Self> {
        // The parser's error is dropped, because it may quote the body.
        serde_json::from_slice(&event.body).map_err(|_| {
            let message = "the event is not a payload of an Airtable webhook";
            Error::new(ErrorKind::UnexpectedResponse, "airtable.payload", message)
                .with_provider(Airtable::ID.as_str().to_owned())
        })
    }
}
