//! Bases and their schema.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BaseId, FieldId, Other, TableId};

/// A base that the connection reaches.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Base {
    /// Its id.
    pub id: BaseId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The user's permission level, for example `create`; absent in the answer to a creation.
    #[serde(default)]
    pub permission_level: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// The tables of a base. The answer to the creation of a base has its id too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BaseSchema {
    /// The base, in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BaseId>,
    /// The tables.
    pub tables: Vec<Table>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Table {
    /// Its id.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The field that names its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_field_id: Option<FieldId>,
    /// Its fields.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Its views.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<View>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Field {
    /// Its id.
    pub id: FieldId,
    /// Its name.
    pub name: String,
    /// Its type, for example `singleLineText`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The options of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A view of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View {
    /// Its id, `viw…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type, for example `grid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A field to create.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
pub struct NewField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Value>,
}

impl NewField {
    /// A field with this name and type, for example `singleLineText`.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            description: None,
            options: None,
        }
    }

    /// Sets the description.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the options of the type.
    pub fn with_options(mut self, options: Value) -> Self {
        self.options = Some(options);
        self
    }
}

/// A table to create. Its first field names its records.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
pub struct NewTable {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    fields: Vec<NewField>,
}

impl NewTable {
    /// A table with this name and these fields.
    pub fn new(name: impl Into<String>, fields: impl IntoIterator<Item = NewField>) -> Self {
        Self {
            name: name.into(),
            description: None,
            fields: fields.into_iter().collect(),
        }
    }

    /// Sets the description.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}
