//! Records.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Other, RecordId};

/// Cell values, keyed by the name or id of the field. Empty cells are absent.
pub type Fields = Map<String, Value>;

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// The id of the record.
    pub id: RecordId,
    /// Time of the record's creation (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<String>,
    /// The cells of the record. The URL of an attachment expires. Download the file without the
    /// access token.
    #[serde(default)]
    pub fields: Fields,
    /// Other fields, for example the number of comments.
    #[serde(flatten)]
    pub other: Other,
}

/// A record to update or to upsert.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
pub struct RecordWrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<RecordId>,
    fields: Fields,
}

impl RecordWrite {
    /// Creates a write of the given cells to an existing record.
    pub const fn to(id: RecordId, fields: Fields) -> Self {
        Self {
            id: Some(id),
            fields,
        }
    }

    /// Creates a write of the given cells for an upsert, which finds the record by its merge
    /// fields.
    pub const fn matched(fields: Fields) -> Self {
        Self { id: None, fields }
    }

    pub(crate) const fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

/// The result of writing records.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Written {
    /// The records after the write, in the order of the request.
    pub records: Vec<Record>,
    /// The ids of the records that an upsert created.
    #[serde(default)]
    pub created_records: Vec<RecordId>,
    /// The ids of the records that an upsert updated.
    #[serde(default)]
    pub updated_records: Vec<RecordId>,
}

/// A deleted record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Deleted {
    /// The id of the record.
    pub id: String,
    /// True if the record was deleted.
    pub deleted: bool,
}
