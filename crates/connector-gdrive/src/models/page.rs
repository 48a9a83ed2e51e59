//! Pages of list responses. Each list operation has its own name for the array of results.

use connector_core::api::{Page, PageCursor};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound = "T: serde::de::DeserializeOwned")]
pub(crate) struct Listing<T> {
    #[serde(
        default,
        alias = "files",
        alias = "permissions",
        alias = "revisions",
        alias = "comments",
        alias = "replies",
        alias = "drives",
        alias = "accessProposals",
        alias = "labels"
    )]
    items: Vec<T>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    incomplete_search: bool,
}

impl<T> Listing<T> {
    pub(crate) fn into_page(self) -> Page<T> {
        match self.next_page_token {
            Some(token) => Page::new(self.items, Some(PageCursor::new(token))),
            // Google did not search all drives, so results may be missing from every page.
            None if self.incomplete_search => Page::truncated(self.items, None),
            None => Page::new(self.items, None),
        }
    }
}
