//! Users and bots.

use serde::{Deserialize, Serialize};

use super::tagged::{is_default, object, tagged};
use super::{Other, UserId};

object! {
    /// A user, a bot, or in a property a group.
    ///
    /// See [Notion docs: User](https://developers.notion.com/reference/user).
    User / UserHead {
        /// The id.
        id: UserId,
        /// `user` or `group`.
        object: Option<String>,
        /// The name, with the capability to read users.
        name: Option<String>,
        /// The URL of the picture.
        avatar_url: Option<String>,
        ..
        /// A person or a bot. Without a type, only the id is known.
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
    /// The e-mail address, with the capability to read it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub email: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// A bot: the identity of a connection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bot {
    /// The owner of the bot: a user or the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<Owner>,
    /// The id of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_id: Option<String>,
    /// The name of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_name: Option<String>,
    /// The limits of the workspace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workspace_limits: Option<WorkspaceLimits>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

tagged! {
    /// The owner of a bot.
    Owner {
        User(Box<User>) = "user",
        Workspace(bool) = "workspace",
    }
}

/// The limits of a workspace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkspaceLimits {
    /// The largest file in bytes: 5,242,880 on the free plan.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_file_upload_size_in_bytes: Option<u64>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}
