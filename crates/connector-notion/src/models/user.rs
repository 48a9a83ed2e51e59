//! Users and bots.

use serde::{Deserialize, Serialize};

use super::tagged::{is_default, object, tagged};
use super::{Other, UserId};

object! {
    /// A user or a bot. Property values can also contain groups.
    ///
    /// See [Notion docs: User](https://developers.notion.com/reference/user).
    User / UserHead {
        /// The id.
        id: UserId,
        /// `user` or `group`.
        object: Option<String>,
        /// The name. Present only if the connection has the capability to read users.
        name: Option<String>,
        /// URL of the profile picture.
        avatar_url: Option<String>,
        ..
        /// Details of the person or the bot. The type is empty if only the id is known.
        kind: UserKind,
    }
}

tagged! {
    /// The kind of a user.
    UserKind {
        Person(Person) = "person",
        Bot(Bot) = "bot",
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Person {
    /// E-mail address. Present only if the connection has the capability to read e-mail addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub email: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A bot, which is the identity of a connection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bot {
    /// Owner of the bot: a user or the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<Owner>,
    /// ID of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_id: Option<String>,
    /// Name of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_name: Option<String>,
    /// Limits of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_limits: Option<WorkspaceLimits>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

tagged! {
    /// Owner of a bot.
    Owner {
        User(Box<User>) = "user",
        Workspace(bool) = "workspace",
    }
}

/// Limits of a workspace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkspaceLimits {
    /// Maximum file size in bytes. On the free plan: 5,242,880.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_file_upload_size_in_bytes: Option<u64>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}
