//! Records.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Other, RecordId};

/// Cell values by the name or id of the field. An empty cell is absent.
pub type Fields = Map<String, Value>;

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// The time of its creation (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<String>,
    /// Its cells. An attachment's URL expires, and is never fetched with the access token.
    #[serde(default)]
    pub fields: Fields,
    /// Further members, for example the number of comments.
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
    /// The cells of a record that exists.
    pub const fn to(id: RecordId, fields: Fields) -> Self {
        Self {
            id: Some(id),
            fields,
        }
    }

    /// The cells of a record that an upsert finds by the fields to merge on.
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
    /// The records that an upsert created.
    #[serde(default)]
    pub created_records: Vec<RecordId>,
    /// The records that an upsert updated.
    #[serde(default)]
    pub updated_records: Vec<RecordId>,
}

/// A record that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Deleted {
    /// Its id.
    pub id: String,
    /// True if it was deleted.
    pub deleted: bool,
}
