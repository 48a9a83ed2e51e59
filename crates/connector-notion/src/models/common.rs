//! Values that several kinds of objects have.

use serde::{Deserialize, Serialize};

use super::rich_text::Link;
use super::tagged::{is_default, object, tagged};
use super::{DataSourceId, FileUploadId, Other, PageId};

/// A reference to an object by its id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reference {
    /// The id.
    pub id: String,
}

impl Reference {
    /// A reference to the object with this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}

/// A date or a range of dates (ISO 8601).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DateValue {
    /// The date, or the start of the range.
    pub start: String,
    /// The end of the range.
    #[serde(default)]
    pub end: Option<String>,
    /// The time zone (IANA), if the times state no offset.
    #[serde(default)]
    pub time_zone: Option<String>,
}

impl DateValue {
    /// A date or a time in ISO 8601.
    #[must_use]
    pub fn new(start: impl Into<String>) -> Self {
        Self {
            start: start.into(),
            ..Self::default()
        }
    }

    /// Sets the end of a range.
    #[must_use]
    pub fn until(mut self, end: impl Into<String>) -> Self {
        self.end = Some(end.into());
        self
    }
}

/// A file at Notion. Its URL is signed, expires after an hour and is fetched without the access
/// token: read the block or the page again instead of storing the URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostedFile {
    /// The signed URL.
    pub url: String,
    /// The time at which the URL expires.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expiry_time: Option<String>,
}

/// A custom emoji of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomEmoji {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// The URL of its image.
    #[serde(default, skip_serializing_if = "is_default")]
    pub url: Option<String>,
}

tagged! {
    /// The place of a file.
    FileSource {
        /// A file elsewhere.
        External(Link) = "external",
        /// A file at Notion; only in responses.
        Hosted(HostedFile) = "file",
        /// A file that was uploaded; only in requests.
        Upload(Reference) = "file_upload",
    }
}

impl FileSource {
    /// A file elsewhere.
    #[must_use]
    pub fn external(url: impl Into<String>) -> Self {
        Self::External(Link { url: url.into() })
    }

    /// A file that was uploaded, within an hour from the creation of its upload.
    #[must_use]
    pub fn upload(id: &FileUploadId) -> Self {
        Self::Upload(Reference::new(id.as_str()))
    }
}

object! {
    /// A file with its name.
    File / FileHead {
        /// The name.
        name: Option<String>,
        ..
        /// The place.
        source: FileSource,
    }
}

impl File {
    /// A file with a name, for a property of the type `files`.
    #[must_use]
    pub fn named(name: impl Into<String>, source: FileSource) -> Self {
        Self {
            name: Some(name.into()),
            source,
            other: Other::new(),
        }
    }
}

tagged! {
    /// The icon of a page, a database or a callout.
    Icon {
        Emoji(String) = "emoji",
        CustomEmoji(CustomEmoji) = "custom_emoji",
        /// One of Notion's own icons.
        Named(NamedIcon) = "icon",
        External(Link) = "external",
        Hosted(HostedFile) = "file",
        Upload(Reference) = "file_upload",
    }
}

impl Icon {
    /// An emoji.
    #[must_use]
    pub fn emoji(emoji: impl Into<String>) -> Self {
        Self::Emoji(emoji.into())
    }
}

/// One of Notion's own icons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedIcon {
    /// Its name.
    pub name: String,
    /// Its colour.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: Option<String>,
}

tagged! {
    /// The kind of a parent, with its id.
    ParentKind {
        Page(String) = "page_id",
        Database(String) = "database_id",
        DataSource(String) = "data_source_id",
        Block(String) = "block_id",
        Agent(String) = "agent_id",
        /// The top level of the workspace.
        Workspace(bool) = "workspace",
    }
}

object! {
    /// The object that contains another one.
    Parent / ParentHead {
        ..
        /// The parent. Beside a data source, `other` has the `database_id`.
        kind: ParentKind,
    }
}

impl Parent {
    fn of(kind: ParentKind) -> Self {
        Self {
            kind,
            other: Other::new(),
        }
    }

    /// A page.
    #[must_use]
    pub fn page(id: &PageId) -> Self {
        Self::of(ParentKind::Page(id.to_string()))
    }

    /// A data source, as the parent of its rows.
    #[must_use]
    pub fn data_source(id: &DataSourceId) -> Self {
        Self::of(ParentKind::DataSource(id.to_string()))
    }

    /// The top level of the workspace, for connections that may create pages there.
    #[must_use]
    pub fn workspace() -> Self {
        Self::of(ParentKind::Workspace(true))
    }
}

/// An option of a property of the type `select`, `multi_select` or `status`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SelectOption {
    /// Its id. A request names an option by its id or its name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// Its colour.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

impl SelectOption {
    /// The option with this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }
}

/// A list as Notion returns it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) results: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
    #[serde(default)]
    pub(crate) request_status: Option<RequestStatus>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RequestStatus {
    #[serde(rename = "type")]
    kind: String,
}

impl<T> List<T> {
    /// True if Notion ended the list although there is more.
    pub(crate) fn is_cut(&self) -> bool {
        let status = self.request_status.as_ref();
        status.is_some_and(|it| it.kind != "complete")
    }
}
