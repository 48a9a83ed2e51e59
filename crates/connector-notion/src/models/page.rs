//! Pages, databases and data sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tagged::is_default;
use super::{
    DataSourceId, DatabaseId, FileSource, Icon, Other, PageId, Parent, Property, PropertyValue,
    RichText, Schema, User, plain_text,
};

/// The values of a page's properties, by name.
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
            /// The object that contains it. Absent if only the id is known.
            #[serde(default, skip_serializing_if = "is_default")]
            pub parent: Option<Parent>,
            /// The time of its creation (RFC 3339), rounded to the minute.
            #[serde(default, skip_serializing_if = "is_default")]
            pub created_time: Option<String>,
            /// The time of its last change (RFC 3339), rounded to the minute.
            #[serde(default, skip_serializing_if = "is_default")]
            pub last_edited_time: Option<String>,
            /// Its author.
            #[serde(default, skip_serializing_if = "is_default")]
            pub created_by: Option<User>,
            /// The author of its last change.
            #[serde(default, skip_serializing_if = "is_default")]
            pub last_edited_by: Option<User>,
            /// Its icon.
            #[serde(default, skip_serializing_if = "is_default")]
            pub icon: Option<Icon>,
            /// Its cover.
            #[serde(default, skip_serializing_if = "is_default")]
            pub cover: Option<FileSource>,
            /// True if it is in the trash.
            #[serde(default, skip_serializing_if = "is_default")]
            pub in_trash: bool,
            /// Its address in Notion.
            #[serde(default, skip_serializing_if = "is_default")]
            pub url: Option<String>,
            /// Its public address, if it is published.
            #[serde(default, skip_serializing_if = "is_default")]
            pub public_url: Option<String>,
            /// Further members.
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
        /// Its id.
        id: PageId,
        /// Its properties, by name.
        properties: Properties,
        /// True if it is locked against changes in Notion's application.
        is_locked: bool,
    }
}

impl Page {
    /// The title without formatting; empty if the page has none.
    #[must_use]
    pub fn title(&self) -> String {
        let title = self.properties.values().find_map(|it| match &it.value {
            PropertyValue::Title(pieces) => Some(plain_text(pieces)),
            _ => None,
        });
        title.unwrap_or_default()
    }

    /// The names of the properties that may be incomplete: those with 25 references or more, and
    /// every rollup beside a relation that may be cut, because it counts the first 25 pages only.
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
        /// Its id.
        id: DatabaseId,
        /// Its title.
        title: Vec<RichText>,
        /// Its description.
        description: Vec<RichText>,
        /// Its data sources.
        data_sources: Vec<DataSourceReference>,
        /// True if it is shown inside of its page.
        is_inline: bool,
        /// True if it is locked against changes in Notion's application.
        is_locked: bool,
    }
}

/// A data source of a database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataSourceReference {
    /// Its id.
    pub id: DataSourceId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

described! {
    /// A data source: a table with a schema and rows.
    ///
    /// See [Notion docs: Data source](https://developers.notion.com/reference/data-source).
    DataSource {
        /// Its id.
        id: DataSourceId,
        /// Its title.
        title: Vec<RichText>,
        /// Its description.
        description: Vec<RichText>,
        /// Its schema, by the names of properties.
        properties: Schema,
        /// The object that contains its database.
        database_parent: Option<Parent>,
        /// True if its database is shown inside of a page.
        is_inline: bool,
    }
}

/// A result of a search or of a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PageOrDataSource {
    /// A page.
    Page(Box<Page>),
    /// A data source.
    DataSource(Box<DataSource>),
    /// An object of a kind or a form that this version does not know.
    Other(Other),
}

impl PageOrDataSource {
    /// The id.
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

    /// The page, if it is one.
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

    /// The time of the creation (RFC 3339).
    #[must_use]
    pub fn created_time(&self) -> Option<&str> {
        self.time("created_time")
    }

    /// The time of the last change (RFC 3339).
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

/// A page's content as Markdown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageMarkdown {
    /// The page.
    pub id: PageId,
    /// The content, in Notion's dialect.
    #[serde(default)]
    pub markdown: String,
    /// True if the page is longer than the text.
    #[serde(default)]
    pub truncated: bool,
    /// The blocks that the text does not show.
    #[serde(default)]
    pub unknown_block_ids: Vec<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A template of a data source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageTemplate {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// True if new pages are made from it by default.
    #[serde(default)]
    pub is_default: bool,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// The result of a write that Notion may carry out later.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MaybeLater<T> {
    /// Carried out.
    Done(T),
    /// Accepted: read the task with [`GetAsyncTask`](crate::endpoints::GetAsyncTask).
    Later(AsyncTask),
}

impl<T> MaybeLater<T> {
    /// The result, if the write was carried out.
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

/// A write that Notion carries out later.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AsyncTask {
    /// Its id.
    pub id: String,
    /// `queued`, `running`, `retrying`, `succeeded` or `failed`.
    #[serde(default)]
    pub status: String,
    /// The number of seconds after which to read it again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub poll_after_seconds: Option<u64>,
    /// The result of a task that succeeded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: Option<Other>,
    /// The error of a task that failed, in the form of Notion's errors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: Option<Other>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}
