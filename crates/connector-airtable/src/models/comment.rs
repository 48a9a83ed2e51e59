//! Comments on records.

use serde::{Deserialize, Serialize};

use super::{CommentId, Other};

/// A comment on a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// Its text. A mention is `@[usr…]`.
    pub text: String,
    /// Its author.
    pub author: CommentAuthor,
    /// The time of its creation (RFC 3339).
    pub created_time: String,
    /// The time of its last change (RFC 3339), if it was changed.
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
