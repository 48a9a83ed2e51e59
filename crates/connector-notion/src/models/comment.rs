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
    /// ID of the comment.
    pub id: CommentId,
    /// The page or block with the comment.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent: Option<Parent>,
    /// ID of the discussion thread.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discussion_id: Option<DiscussionId>,
    /// Creation time (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_time: Option<String>,
    /// Time of the last change (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_edited_time: Option<String>,
    /// User or bot that created the comment.
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_by: Option<User>,
    /// The text.
    #[serde(default)]
    pub rich_text: Vec<RichText>,
    /// Further JSON members: attachments, the author's display name.
    #[serde(flatten)]
    pub other: Other,
}

/// A file upload.
///
/// See [Notion docs: File upload](https://developers.notion.com/reference/file-upload).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileUpload {
    /// ID of the file upload.
    pub id: FileUploadId,
    /// Status: `pending`, `uploaded`, `expired` or `failed`.
    #[serde(default)]
    pub status: String,
    /// File name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filename: Option<String>,
    /// Media type of the file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: Option<String>,
    /// Size of the file in bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_length: Option<u64>,
    /// Time until which the upload can be attached (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub expiry_time: Option<String>,
    /// Progress of a multi-part upload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub number_of_parts: Option<Parts>,
    /// Result of an import from a URL.
    #[serde(default, skip_serializing_if = "is_default")]
    pub file_import_result: Option<Other>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// Progress of a multi-part upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parts {
    /// Total number of parts.
    #[serde(default)]
    pub total: u32,
    /// Number of uploaded parts.
    #[serde(default)]
    pub sent: u32,
}
