//! Comments and file uploads.

use serde::{Deserialize, Serialize};

use super::tagged::is_default;
use super::{CommentId, DiscussionId, FileUploadId, Other, Parent, RichText, User};

/// A comment.
///
/// See [Notion docs: Comment](https://developers.notion.com/reference/comment-object).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The page or block that it is about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent: Option<Parent>,
    /// The thread that it belongs to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discussion_id: Option<DiscussionId>,
    /// The time of its creation (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_time: Option<String>,
    /// The time of its last change (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_edited_time: Option<String>,
    /// Its author.
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_by: Option<User>,
    /// Its text.
    #[serde(default)]
    pub rich_text: Vec<RichText>,
    /// Further members: attachments, the author's shown name.
    #[serde(flatten)]
    pub other: Other,
}

/// A file upload.
///
/// See [Notion docs: File upload](https://developers.notion.com/reference/file-upload).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileUpload {
    /// Its id.
    pub id: FileUploadId,
    /// `pending`, `uploaded`, `expired` or `failed`.
    #[serde(default)]
    pub status: String,
    /// The name of the file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filename: Option<String>,
    /// The media type of the file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: Option<String>,
    /// The size of the file in bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_length: Option<u64>,
    /// The time until which it can be attached (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub expiry_time: Option<String>,
    /// The parts of a multi-part upload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub number_of_parts: Option<Parts>,
    /// The result of an import.
    #[serde(default, skip_serializing_if = "is_default")]
    pub file_import_result: Option<Other>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// The parts of a multi-part upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parts {
    /// The number of parts.
    #[serde(default)]
    pub total: u32,
    /// The number of parts that were sent.
    #[serde(default)]
    pub sent: u32,
}
