//! Comments on records.

use serde::{Deserialize, Serialize};

use super::{CommentId, Other};

/// A comment on a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Comment {
    /// The id of the comment.
    pub id: CommentId,
    /// The text of the comment. A mention has the form `@[usr…]`.
    pub text: String,
    /// The author of the comment.
    pub author: CommentAuthor,
    /// Time of the comment's creation (RFC 3339).
    pub created_time: String,
    /// Time of the comment's last change (RFC 3339). `None` if the comment was not changed.
    #[serde(default)]
    pub last_updated_time: Option<String>,
    /// Further members: mentions, reactions, attachments.
    #[serde(flatten)]
    pub other: Other,
}

/// The author of a comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommentAuthor {
    /// The user's id, `usr…`.
    pub id: String,
    /// The user's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}
