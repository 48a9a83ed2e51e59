//! Data types of requests and responses. Unknown fields are kept in `other` and written back
//! unchanged.

mod base;
mod comment;
pub(crate) mod cursor;
mod id;
mod record;
mod user;
mod webhook;

pub use self::base::{Base, BaseSchema, Field, NewField, NewTable, Table, View};
pub use self::comment::{Comment, CommentAuthor};
pub use self::id::{BaseId, CommentId, FieldId, InvalidId, RecordId, TableId, TableKey, WebhookId};
pub use self::record::{Deleted, Fields, Record, RecordWrite, Written};
pub use self::user::User;
pub use self::webhook::{
    CHANGES_TOPIC, CreatedWebhook, PAYLOAD_ERROR_TOPIC, Payloads, Refreshed, Webhook,
    WebhookPayload, WebhookSpecification,
};

/// The fields of a response that this version of the library does not know.
pub type Other = serde_json::Map<String, serde_json::Value>;
