use connector_core::api;

use super::{Parameters, list, object, operation, paged};
use crate::models::{User, UserId};

operation! {
    /// Reads the bot of the access token, or the user of a personal access token.
    ///
    /// See [Notion docs: Retrieve your token's bot user](https://developers.notion.com/reference/get-self).
    GetMe {} -> User, Safe, GET |_it| ["users", "me"] => object;
}

impl GetMe {
    /// Creates the operation.
    pub fn new() -> Self {
        let parameters = Parameters::default();
        Self { parameters }
    }
}

impl Default for GetMe {
    fn default() -> Self {
        Self::new()
    }
}

operation! {
    /// Reads a user or a bot. Requires the capability to read users.
    ///
    /// See [Notion docs: Retrieve a user](https://developers.notion.com/reference/get-user).
    GetUser { user: UserId } -> User, Safe, GET |it| ["users", it.user.as_str()] => object;
}

impl GetUser {
    /// Reads the user with this id.
    pub fn new(user: UserId) -> Self {
        let parameters = Parameters::default();
        Self { user, parameters }
    }
}

operation! {
    /// Lists the users of the workspace, page by page. The list contains no guests. Requires the
    /// capability to read users.
    ///
    /// See [Notion docs: List all users](https://developers.notion.com/reference/get-users).
    ListUsers {} -> api::Page<User>, Safe, GET |_it| ["users"] => list;
}

impl ListUsers {
    /// Lists all users.
    pub fn new() -> Self {
        let parameters = Parameters::default();
        Self { parameters }
    }
}

impl Default for ListUsers {
    fn default() -> Self {
        Self::new()
    }
}

paged!(ListUsers of User);
