//! Data Kiosk 2023-11-15.

use connector_core::Result;
use connector_core::api::Page;

use serde_json::Value;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::flows::ProcessingStatus;
use crate::models::data_kiosk::{
    CreatedQuery, Query, QueryDocument, QueryList, QuerySpecification,
};
use crate::models::{Time, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetQueries::OPERATION,
    CreateQuery::OPERATION,
    GetQuery::OPERATION,
    CancelQuery::OPERATION,
    GetDocument::OPERATION,
];

/// Maximum length of a query in characters, without leading and trailing white space.
const MAX_LEN: usize = 8000;

fn check(arguments: &Arguments) -> Result<()> {
    let query = arguments.value()["query"]
        .as_str()
        .unwrap_or_default()
        .trim();
    if query.is_empty() || query.chars().count() > MAX_LEN {
        let message = "a query must have 1 to 8000 characters; shorten it";
        return Err(wrong("CreateQuery", message));
    }
    Ok(())
}

operation! {
    /// Lists the queries of the seller.
    ///
    /// See [Amazon docs: getQueries](https://developer-docs.amazon.com/sp-api/docs/data-kiosk-api-v2023-11-15-reference).
    GetQueries -> Page<Query>, answer QueryList;
    "dataKiosk_2023-11-15" GET "/dataKiosk/2023-11-15/queries", Safe, 0.0222 / 10;
    new {}
    set {
        /// Includes only entries with these statuses.
        with_processing_statuses: [ProcessingStatus] = "processingStatuses",
        /// Sets the page size, 1 to 100. Default: 10.
        with_page_size: u32 = "pageSize",
        /// Includes only entries created at or after this time. Default: 90 days ago.
        with_created_since: Time = "createdSince",
        /// Includes only entries created at or before this time. Default: now.
        with_created_until: Time = "createdUntil",
    }
    decode: |answer, _response| {
        let token = answer.pagination.and_then(|it| it.next_token);
        Ok(page(answer.queries, token))
    };
    pages: Query, keep "paginationToken";
}

operation! {
    /// Creates a query. Each call creates another one.
    ///
    /// See [Amazon docs: createQuery](https://developer-docs.amazon.com/sp-api/docs/data-kiosk-api-v2023-11-15-reference).
    CreateQuery -> CreatedQuery;
    "dataKiosk_2023-11-15" POST "/dataKiosk/2023-11-15/queries", Never, 0.0167 / 15;
    new { specification: body QuerySpecification = "body" }
    check: |arguments| check(arguments);
}

operation! {
    /// Returns a query with its status.
    ///
    /// See [Amazon docs: getQuery](https://developer-docs.amazon.com/sp-api/docs/data-kiosk-api-v2023-11-15-reference).
    GetQuery -> Query;
    "dataKiosk_2023-11-15" GET "/dataKiosk/2023-11-15/queries/{queryId}", Safe, 2.0 / 15;
    new { query_id: path String = "queryId" }
}

operation! {
    /// Cancels a query that is still queued.
    ///
    /// See [Amazon docs: cancelQuery](https://developer-docs.amazon.com/sp-api/docs/data-kiosk-api-v2023-11-15-reference).
    CancelQuery -> (), answer Value;
    "dataKiosk_2023-11-15" DELETE "/dataKiosk/2023-11-15/queries/{queryId}", Safe, 0.0222 / 10;
    new { query_id: path String = "queryId" }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Returns the download URL of a query's document, for
    /// [`Document::open_encoded`](crate::documents::Document::open_encoded).
    ///
    /// See [Amazon docs: getDocument](https://developer-docs.amazon.com/sp-api/docs/data-kiosk-api-v2023-11-15-reference).
    GetDocument -> QueryDocument;
    "dataKiosk_2023-11-15" GET "/dataKiosk/2023-11-15/documents/{documentId}", Safe, 0.0167 / 15;
    new { document_id: path String = "documentId" }
}
