//! Webhooks and their payloads.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{AccountHint, Event};
use connector_core::{AccountKey, AppKey, Error, ErrorKind, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cursor::Position;
use super::{Other, TableId, WebhookId};
use crate::Airtable;

/// The changes that a webhook reports: filters and included values, as in Airtable's documentation
/// of [Create a webhook](https://airtable.com/developers/web/api/create-a-webhook).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookSpecification(Map<String, Value>);

impl WebhookSpecification {
    /// A specification in Airtable's form: `{"options":{"filters":{…},"includes":{…}}}`.
    #[must_use]
    pub const fn new(specification: Map<String, Value>) -> Self {
        Self(specification)
    }

    /// Limits the changes to one table.
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

    /// The table or view that the changes are limited to.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        let filters = self.0.get("options")?.get("filters")?;
        filters.get("recordChangeScope")?.as_str()
    }
}

impl Default for WebhookSpecification {
    /// All changes of records, fields and tables, with all cell values before and after.
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

/// The topic of an event that is a change: its body is a [`WebhookPayload`].
pub const CHANGES_TOPIC: &str = "changes";
/// The topic of an event that is an error payload: Airtable could not report changes. The hub records
/// that changes were missed.
pub const PAYLOAD_ERROR_TOPIC: &str = "payload_error";

const fn yes() -> bool {
    true
}

/// A webhook as Airtable lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The URL for pings.
    #[serde(default)]
    pub notification_url: Option<String>,
    /// The changes that it reports.
    #[serde(default)]
    pub specification: WebhookSpecification,
    /// False if Airtable has switched pings off after failures. Payloads are collected all the same.
    #[serde(default = "yes")]
    pub are_notifications_enabled: bool,
    /// False if the webhook collects no payloads.
    #[serde(default = "yes")]
    pub is_hook_enabled: bool,
    /// The number of its next payload.
    #[serde(default)]
    pub cursor_for_next_payload: Option<u64>,
    /// The time of its expiry (RFC 3339).
    #[serde(default)]
    pub expiration_time: Option<String>,
    /// The time until its expiry, at the time of the answer.
    #[serde(skip)]
    pub expires_in: Option<Duration>,
    /// Further members, for example the result of the last ping.
    #[serde(flatten)]
    pub other: Other,
}

/// A webhook that was created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedWebhook {
    /// Its id.
    pub id: WebhookId,
    /// The secret that signs its pings, in base64. Airtable shows it once.
    pub mac_secret: SecretString,
    /// The time until its expiry, at the time of the answer.
    pub expires_in: Option<Duration>,
    /// The time of the answer.
    pub received: Timestamp,
}

/// A webhook whose expiry was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refreshed {
    /// The time until its expiry, at the time of the answer.
    pub expires_in: Option<Duration>,
}

/// A page of payloads.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Payloads {
    /// The payloads, in order.
    pub payloads: Vec<WebhookPayload>,
    /// The number of the payload after them.
    pub cursor: u64,
    /// True if there may be more. An empty page is the last one in any case.
    pub might_have_more: bool,
    /// The time of the answer.
    pub received: Timestamp,
}

/// The changes of one transaction in a base, or an error in their place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookPayload {
    /// The time of the changes (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The number of the transaction in its base; with the webhook's id it identifies the payload.
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
    /// The changes of tables that existed before, by table id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub changed_tables_by_id: Map<String, Value>,
    /// The tables that were created, by table id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub created_tables_by_id: Map<String, Value>,
    /// The ids of the tables that were deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroyed_table_ids: Vec<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

impl WebhookPayload {
    /// Returns true if Airtable reports an error in place of changes.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error == Some(true)
    }

    /// The event of this payload, the same whenever it is read.
    pub(crate) fn to_event(&self, at: &Position, account: &AccountKey) -> Result<Event> {
        let topic = if self.is_error() {
            PAYLOAD_ERROR_TOPIC
        } else {
            CHANGES_TOPIC
        };
        let body = serde_json::to_vec(self).map_err(|_| {
            let message = "a payload could not be written; please report it";
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

    /// Reads an event that a subscription delivered.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedAnswer`] if the event is not one of this connector's subscriptions.
    pub fn of(event: &Event) -> Result<Self> {
        // The parser's own error may quote the body, so it is dropped.
        serde_json::from_slice(&event.body).map_err(|_| {
            let message = "the event is not a payload of a webhook of Airtable";
            Error::new(ErrorKind::UnexpectedAnswer, "airtable.payload", message)
                .with_provider(Airtable::ID.as_str().to_owned())
        })
    }
}
