//! The calls behind bulk operations. [`ShopifyClient::bulk`](crate::ShopifyClient::bulk) combines
//! them.

use super::{area, input, operation};
use crate::models::{BulkOperation, BulkOperationId, StagedTarget};

operation! {
    /// Starts a bulk query. [`ShopifyClient::bulk`](crate::ShopifyClient::bulk) also checks the
    /// query, waits for the result and reads it.
    ///
    /// See [Shopify docs: bulkOperationRunQuery](https://shopify.dev/docs/api/admin-graphql/latest/mutations/bulkOperationRunQuery).
    write RunBulkQuery -> BulkOperation = "($query: String!, $groupObjects: Boolean!)"
        "bulkOperationRunQuery(query: $query, groupObjects: $groupObjects) \
         { value: bulkOperation { ...BulkOperation } userErrors { field message code } }"
        [BulkOperation];
    cost 13;
    pub(crate) new(query: String = "query", group: bool = "groupObjects");
}

operation! {
    /// Starts a bulk mutation with uploaded variables.
    ///
    /// See [Shopify docs: bulkOperationRunMutation](https://shopify.dev/docs/api/admin-graphql/latest/mutations/bulkOperationRunMutation).
    write RunBulkMutation -> BulkOperation =
        "($mutation: String!, $stagedUploadPath: String!, $clientIdentifier: String)"
        "bulkOperationRunMutation(mutation: $mutation, stagedUploadPath: $stagedUploadPath, \
         clientIdentifier: $clientIdentifier) \
         { value: bulkOperation { ...BulkOperation } userErrors { field message code } }"
        [BulkOperation];
    cost 13;
    pub(crate) new(mutation: String = "mutation", path: String = "stagedUploadPath") {
        with_client_identifier: String = "clientIdentifier",
    };
}

operation! {
    /// Gets one bulk operation.
    ///
    /// See [Shopify docs: bulkOperation](https://shopify.dev/docs/api/admin-graphql/latest/queries/bulkOperation).
    get GetBulkOperation -> BulkOperation = "($id: ID!)"
        "bulkOperation(id: $id) { ...BulkOperation }" [BulkOperation];
    cost 1;
    pub new(id: BulkOperationId = "id");
}

operation! {
    /// Lists the app's bulk operations in the shop, page by page.
    ///
    /// See [Shopify docs: bulkOperations](https://shopify.dev/docs/api/admin-graphql/latest/queries/bulkOperations).
    list ListBulkOperations -> BulkOperation =
        "($first: Int!, $after: String, $query: String, $reverse: Boolean)"
        "bulkOperations(first: $first, after: $after, query: $query, reverse: $reverse) \
         { nodes { ...BulkOperation } pageInfo { hasNextPage endCursor } }" [BulkOperation];
    cost 2 + 1 each;
    pub new();
    search Plain;
}

operation! {
    /// Cancels a running bulk operation. Shopify cancels it after the call.
    ///
    /// See [Shopify docs: bulkOperationCancel](https://shopify.dev/docs/api/admin-graphql/latest/mutations/bulkOperationCancel).
    assign CancelBulkOperation -> BulkOperation = "($id: ID!)"
        "bulkOperationCancel(id: $id) { value: bulkOperation { ...BulkOperation } \
         userErrors { field message } }" [BulkOperation];
    cost 13;
    pub new(id: BulkOperationId = "id");
}

operation! {
    /// Creates places to which files can be uploaded.
    ///
    /// See [Shopify docs: stagedUploadsCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/stagedUploadsCreate).
    assign CreateStagedUploads -> Vec<StagedTarget> = "($input: [StagedUploadInput!]!)"
        "stagedUploadsCreate(input: $input) { value: stagedTargets { url resourceUrl \
         parameters { name value } } userErrors { field message } }" [];
    cost 14;
    pub new(uploads: [StagedUploadInput] = "input");
    check |it| it.check_list("CreateStagedUploads", "input");
}

input! {
    /// A file to upload. The resource is its purpose, for example `BULK_MUTATION_VARIABLES` or
    /// `IMAGE`.
    StagedUploadInput(resource: String = "resource", filename: String = "filename", media_type: String = "mimeType") {
        /// `POST` or `PUT`.
        with_method: String = "httpMethod",
    }
}

area![
    RunBulkQuery,
    RunBulkMutation,
    GetBulkOperation,
    ListBulkOperations,
    CancelBulkOperation,
    CreateStagedUploads,
];
