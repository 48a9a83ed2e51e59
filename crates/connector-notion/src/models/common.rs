//! Values that are used by several kinds of objects.

use serde::{Deserialize, Serialize};

use super::rich_text::Link;
use super::tagged::{is_default, object, tagged};
use super::{DataSourceId, FileUploadId, Other, PageId};

/// A reference to an object by id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reference {
    /// The id.
    pub id: String,
}

impl Reference {
    /// Creates a reference to the object with this id.
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
    /// The time zone (IANA name), if the times contain no UTC offset.
    #[serde(default)]
    pub time_zone: Option<String>,
}

impl DateValue {
    /// Creates a date from a date or a time in ISO 8601.
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

/// A file that Notion stores. The URL is signed, expires after an hour, and is fetched without the
/// access token. Do not store the URL: read the block or the page again to get a new one.
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
    /// ID of the emoji.
    pub id: String,
    /// Name of the emoji.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// URL of the image.
    #[serde(default, skip_serializing_if = "is_default")]
    pub url: Option<String>,
}

tagged! {
    /// The location of a file.
    FileSource {
        /// A file at an external URL.
        External(Link) = "external",
        /// A file that Notion stores. Used only in responses.
        Hosted(HostedFile) = "file",
        /// A file upload. Used only in requests.
        Upload(Reference) = "file_upload",
    }
}

impl FileSource {
    /// Creates the location of a file at an external URL.
    #[must_use]
    pub fn external(url: impl Into<String>) -> Self {
        Self::External(Link { url: url.into() })
    }

    /// Creates the location of an uploaded file. Attach the file within one hour after the upload
    /// was created.
    #[must_use]
    pub fn upload(id: &FileUploadId) -> Self {
        Self::Upload(Reference::new(id.as_str()))
    }
}

object! {
    /// A file with a file name.
    File / FileHead {
        /// The file name.
        name: Option<String>,
        ..
        /// The location.
        source: FileSource,
    }
}

impl File {
    /// Creates a named file for a property of the type `files`.
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
    /// Creates an icon from an emoji.
    #[must_use]
    pub fn emoji(emoji: impl Into<String>) -> Self {
        Self::Emoji(emoji.into())
    }
}

/// One of Notion's own icons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedIcon {
    /// Name of the icon.
    pub name: String,
    /// Colour of the icon.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: Option<String>,
}

tagged! {
    /// The kind and id of a parent.
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
    /// The parent of an object.
    Parent / ParentHead {
        ..
        /// The parent. For a data source, `other` contains the `database_id`.
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

    /// Creates a reference to a page as the parent.
    #[must_use]
    pub fn page(id: &PageId) -> Self {
        Self::of(ParentKind::Page(id.to_string()))
    }

    /// Creates a reference to a data source as the parent of a row.
    #[must_use]
    pub fn data_source(id: &DataSourceId) -> Self {
        Self::of(ParentKind::DataSource(id.to_string()))
    }

    /// Creates a reference to the top level of the workspace as the parent. Only connections with
    /// permission to create pages there can use this parent.
    #[must_use]
    pub fn workspace() -> Self {
        Self::of(ParentKind::Workspace(true))
    }
}

/// An option of a property of the type `select`, `multi_select` or `status`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SelectOption {
    /// ID of the option. A request refers to an option by id or by name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub id: Option<String>,
    /// Name of the option.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// Colour of the option.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

impl SelectOption {
    /// Creates an option with this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }
}

/// A list in a response.
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
    /// Returns true if Notion ended the list although more results exist.
    pub(crate) fn is_cut(&self) -> bool {
        let status = self.request_status.as_ref();
        status.is_some_and(|it| it.kind != "complete")
    }
}
