//! Bases and their schema.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BaseId, FieldId, Other, TableId};

/// A base that the connection can access.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Base {
    /// The id of the base.
    pub id: BaseId,
    /// The name of the base.
    #[serde(default)]
    pub name: String,
    /// The user's permission level, for example `create`. Absent in the response to the creation of
    /// a base.
    #[serde(default)]
    pub permission_level: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub other: Other,
}

/// The tables of a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BaseSchema {
    /// The id of the base. Present only in the response to the creation of the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BaseId>,
    /// The tables.
    pub tables: Vec<Table>,
    /// Other fields.
    #[serde(flatten)]
    pub other: Other,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Table {
    /// The id of the table.
    pub id: TableId,
    /// The name of the table.
    pub name: String,
    /// The description of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The primary field, whose value is the name of a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_field_id: Option<FieldId>,
    /// The fields of the table.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The views of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<View>,
    /// Other fields.
    #[serde(flatten)]
    pub other: Other,
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Field {
    /// The id of the field.
    pub id: FieldId,
    /// The name of the field.
    pub name: String,
    /// The type of the field, for example `singleLineText`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The description of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The options of the field's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// Other fields.
    #[serde(flatten)]
    pub other: Other,
}

/// A view of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View {
    /// The id of the view, `viw…`.
    pub id: String,
    /// The name of the view.
    pub name: String,
    /// The type of the view, for example `grid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Other fields.
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
    /// Creates a field with the given name and type, for example `singleLineText`.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            description: None,
            options: None,
        }
    }

    /// Sets the description of the field.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the options of the field's type.
    pub fn with_options(mut self, options: Value) -> Self {
        self.options = Some(options);
        self
    }
}

/// A table to create. The first field is the primary field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
pub struct NewTable {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    fields: Vec<NewField>,
}

impl NewTable {
    /// Creates a table with the given name and fields.
    pub fn new(name: impl Into<String>, fields: impl IntoIterator<Item = NewField>) -> Self {
        Self {
            name: name.into(),
            description: None,
            fields: fields.into_iter().collect(),
        }
    }

    /// Sets the description of the table.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}
