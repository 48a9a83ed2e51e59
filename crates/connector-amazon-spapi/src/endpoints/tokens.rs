//! Tokens v2021-03-01.

use super::{SpApiOperation as _, operation, wrong};
use crate::models::token::{RestrictedDataToken, RestrictedDataTokenBody};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[CreateRestrictedDataToken::OPERATION];

/// Maximum number of operations of one token.
const RESOURCES: usize = 50;

operation! {
    /// Creates a token for operations that return personal data.
    ///
    /// [`RestrictedClients`](crate::RestrictedClients) requests and caches these tokens.
    ///
    /// See [Amazon docs: Tokens API](https://developer-docs.amazon.com/sp-api/docs/tokens-api-use-case-guide).
    CreateRestrictedDataToken -> RestrictedDataToken;
    "tokens_2021-03-01" POST "/tokens/2021-03-01/restrictedDataToken", Safe, 1.0 / 10;
    new { resources: body RestrictedDataTokenBody = "body" }
    check: |arguments| {
        let resources = arguments.value()["restrictedResources"].as_array();
        if !(1..=RESOURCES).contains(&resources.map_or(0, Vec::len)) {
            let message = "a token is for 1 to 50 operations; pass 1 to 50";
            return Err(wrong("CreateRestrictedDataToken", message));
        }
        Ok(())
    };
}
