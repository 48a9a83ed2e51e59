//! Pages, databases and data sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tagged::is_default;
use super::{
    DataSourceId, DatabaseId, FileSource, Icon, Other, PageId, Parent, Property, PropertyValue,
    RichText, Schema, User, plain_text,
};

/// Property values of a page, keyed by property name.
pub type Properties = BTreeMap<String, Property>;

macro_rules! described {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(default, skip_serializing_if = "is_default")]
                pub $field: $type,
            )*
            /// The object that contains this object. Absent if only the id is known.
            #[serde(default, skip_serializing_if = "is_default")]
            pub parent: Option<Parent>,
            /// Creation time (RFC 3339), rounded to the minute.
            #[serde(default, skip_serializing_if = "is_default")]
            pub created_time: Option<String>,
            /// Time of the last change (RFC 3339), rounded to the minute.
            #[serde(default, skip_serializing_if = "is_default")]
            pub last_edited_time: Option<String>,
            /// User or bot that created the object.
            #[serde(default, skip_serializing_if = "is_default")]
            pub created_by: Option<User>,
            /// User or bot that last changed the object.
            #[serde(default, skip_serializing_if = "is_default")]
            pub last_edited_by: Option<User>,
            /// The icon.
            #[serde(default, skip_serializing_if = "is_default")]
            pub icon: Option<Icon>,
            /// The cover.
            #[serde(default, skip_serializing_if = "is_default")]
            pub cover: Option<FileSource>,
            /// True if the object is in the trash.
            #[serde(default, skip_serializing_if = "is_default")]
            pub in_trash: bool,
            /// URL in Notion.
            #[serde(default, skip_serializing_if = "is_default")]
            pub url: Option<String>,
            /// Public URL, if the object is published.
            #[serde(default, skip_serializing_if = "is_default")]
            pub public_url: Option<String>,
            /// Further JSON members, kept unchanged.
            #[serde(flatten)]
            pub other: Other,
        }
    };
}

described! {
    /// A page: a document, or a row of a data source.
    ///
    /// See [Notion docs: Page](https://developers.notion.com/reference/page).
    Page {
        /// ID of the page.
        id: PageId,
        /// Properties, keyed by name.
        properties: Properties,
        /// True if the page is locked against changes in Notion's application.
        is_locked: bool,
    }
}

impl Page {
    /// Returns the title without formatting. Returns an empty string if the page has no title.
    #[must_use]
    pub fn title(&self) -> String {
        let title = self.properties.values().find_map(|it| match &it.value {
            PropertyValue::Title(pieces) => Some(plain_text(pieces)),
            _ => None,
        });
        title.unwrap_or_default()
    }

    /// Returns the names of the properties that may be incomplete. These are properties with 25 or
    /// more references, and all rollups if the page has a relation that may be incomplete, because
    /// a rollup counts only the first 25 related pages.
    #[must_use]
    pub fn cut_properties(&self) -> Vec<&str> {
        let is_relation = |it: &Property| matches!(it.value, PropertyValue::Relation(_));
        let is_rollup = |it: &Property| matches!(it.value, PropertyValue::Rollup(_));
        let mut all = self.properties.values();
        let relation_is_cut = all.any(|it| is_relation(it) && it.may_be_cut());
        let cut = self
            .properties
            .iter()
            .filter(|(_, it)| it.may_be_cut() || (relation_is_cut && is_rollup(it)));
        cut.map(|(name, _)| name.as_str()).collect()
    }
}

described! {
    /// A database: a container of data sources.
    ///
    /// See [Notion docs: Database](https://developers.notion.com/reference/database).
    Database {
        /// ID of the database.
        id: DatabaseId,
        /// The title.
        title: Vec<RichText>,
        /// The description.
        description: Vec<RichText>,
        /// The data sources of the database.
        data_sources: Vec<DataSourceReference>,
        /// True if the database is embedded in its parent page.
        is_inline: bool,
        /// True if the database is locked against changes in Notion's application.
        is_locked: bool,
    }
}

/// Reference to a data source of a database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataSourceReference {
    /// ID of the data source.
    pub id: DataSourceId,
    /// Name of the data source.
    #[serde(default)]
    pub name: String,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

described! {
    /// A data source: a table with a schema and rows.
    ///
    /// See [Notion docs: Data source](https://developers.notion.com/reference/data-source).
    DataSource {
        /// ID of the data source.
        id: DataSourceId,
        /// The title.
        title: Vec<RichText>,
        /// The description.
        description: Vec<RichText>,
        /// The schema: property configurations, keyed by property name.
        properties: Schema,
        /// The object that contains the data source's database.
        database_parent: Option<Parent>,
        /// True if the database is embedded in a page.
        is_inline: bool,
    }
}

/// A result of a search or a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PageOrDataSource {
    /// A page.
    Page(Box<Page>),
    /// A data source.
    DataSource(Box<DataSource>),
    /// An object whose kind or form this version does not support.
    Other(Other),
}

impl PageOrDataSource {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Page(it) => it.id.as_str(),
            Self::DataSource(it) => it.id.as_str(),
            Self::Other(it) => it
                .get("id")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default(),
        }
    }

    /// Returns the page, or `None` if the result is not a page.
    #[must_use]
    pub fn page(&self) -> Option<&Page> {
        match self {
            Self::Page(page) => Some(page),
            _ => None,
        }
    }

    fn time(&self, name: &str) -> Option<&str> {
        match (self, name) {
            (Self::Page(it), "created_time") => it.created_time.as_deref(),
            (Self::Page(it), _) => it.last_edited_time.as_deref(),
            (Self::DataSource(it), "created_time") => it.created_time.as_deref(),
            (Self::DataSource(it), _) => it.last_edited_time.as_deref(),
            (Self::Other(it), name) => it.get(name).and_then(serde_json::Value::as_str),
        }
    }

    /// Returns the creation time (RFC 3339).
    #[must_use]
    pub fn created_time(&self) -> Option<&str> {
        self.time("created_time")
    }

    /// Returns the time of the last change (RFC 3339).
    #[must_use]
    pub fn last_edited_time(&self) -> Option<&str> {
        self.time("last_edited_time")
    }
}

impl<'de> Deserialize<'de> for PageOrDataSource {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let members = Other::deserialize(from)?;
        let value = || serde_json::Value::Object(members.clone());
        let read = match members.get("object").and_then(serde_json::Value::as_str) {
            Some("page") => serde_json::from_value(value()).ok().map(Self::Page),
            Some("data_source") => serde_json::from_value(value()).ok().map(Self::DataSource),
            _ => None,
        };
        Ok(read.unwrap_or(Self::Other(members)))
    }
}

/// The content of a page as Markdown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageMarkdown {
    /// ID of the page.
    pub id: PageId,
    /// The content, in Notion's Markdown dialect.
    #[serde(default)]
    pub markdown: String,
    /// True if Notion truncated the content.
    #[serde(default)]
    pub truncated: bool,
    /// IDs of the blocks that are not in the content.
    #[serde(default)]
    pub unknown_block_ids: Vec<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A template of a data source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageTemplate {
    /// ID of the template.
    pub id: String,
    /// Name of the template.
    #[serde(default)]
    pub name: String,
    /// True if new pages use this template by default.
    #[serde(default)]
    pub is_default: bool,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// Result of a write that Notion may execute asynchronously.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MaybeLater<T> {
    /// The result of a write that Notion has executed.
    Done(T),
    /// The asynchronous task of a write that Notion has accepted but not yet executed. Poll the
    /// task with [`GetAsyncTask`](crate::endpoints::GetAsyncTask).
    Later(AsyncTask),
}

impl<T> MaybeLater<T> {
    /// Returns the result if Notion has executed the write.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::Later(_) => None,
        }
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for MaybeLater<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let members = Other::deserialize(from)?;
        let is_task = members.get("object").is_some_and(|it| it == "async_task");
        let value = serde_json::Value::Object(members);
        let read = if is_task {
            serde_json::from_value(value).map(Self::Later)
        } else {
            serde_json::from_value(value).map(Self::Done)
        };
        read.map_err(serde::de::Error::custom)
    }
}

/// A write that Notion executes asynchronously.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AsyncTask {
    /// ID of the task.
    pub id: String,
    /// Status: `queued`, `running`, `retrying`, `succeeded` or `failed`.
    #[serde(default)]
    pub status: String,
    /// Time to wait before the next poll, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub poll_after_seconds: Option<u64>,
    /// Result of a task that succeeded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Option<Other>,
    /// Error of a task that failed, in the format of Notion's error responses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: Option<Other>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}
