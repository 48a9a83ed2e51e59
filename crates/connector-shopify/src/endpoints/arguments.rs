//! Arguments of Shopify's GraphQL connections.

use connector_core::api::PageCursor;
use connector_core::{Error, ErrorKind, Result};
use serde::Serialize;

/// Maximum page size.
const LARGEST_PAGE: u32 = 250;
/// Default page size.
pub(super) const PAGE: u32 = 100;

/// The arguments of a paged list with search and sort order.
///
/// See [Shopify docs: connections](https://shopify.dev/docs/api/usage/pagination-graphql).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionArguments<S> {
    pub(super) first: u32,
    pub(super) after: Option<PageCursor>,
    query: Option<String>,
    pub(super) sort_key: Option<S>,
    pub(super) reverse: bool,
}

impl<S> ConnectionArguments<S> {
    pub(super) const fn new() -> Self {
        Self {
            first: PAGE,
            after: None,
            query: None,
            sort_key: None,
            reverse: false,
        }
    }

    /// Adds a condition to the query. All conditions must hold.
    pub(super) fn match_also(&mut self, condition: &str) {
        let query = self.query.get_or_insert_default();
        if !query.is_empty() {
            query.push_str(" AND ");
        }
        query.push_str(condition);
    }
}

/// Validates a page size.
pub(super) fn check_page(operation: &'static str, size: u32) -> Result<()> {
    if (1..=LARGEST_PAGE).contains(&size) {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::InvalidInput,
            operation,
            "the page size must be 1 to 250",
        ))
    }
}
