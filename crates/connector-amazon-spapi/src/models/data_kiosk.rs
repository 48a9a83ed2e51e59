//! Data Kiosk 2023-11-15.

use super::{Pagination, model};
use crate::flows::ProcessingStatus;

model! {
    /// Request to create a query.
    QuerySpecification {
        /// The GraphQL query, at most 8,000 characters without leading and trailing white space.
        query: String,
        /// The token of another page of results of the same query.
        pagination_token: Option<String>,
    }

    /// The id of a created query.
    CreatedQuery {
        /// The id, unique per seller.
        query_id: String,
    }

    /// A query.
    Query {
        /// The id, unique per seller.
        query_id: String,
        /// Its text.
        query: String,
        /// The time of creation (RFC 3339).
        created_time: Option<String>,
        /// Its status.
        processing_status: Option<ProcessingStatus>,
        /// The time at which processing started (RFC 3339).
        processing_start_time: Option<String>,
        /// The time at which processing ended (RFC 3339).
        processing_end_time: Option<String>,
        /// The document with the results; absent if there is no data.
        data_document_id: Option<String>,
        /// The document with the errors.
        error_document_id: Option<String>,
        /// The token of the next page of results.
        pagination: Option<Pagination>,
    }

    /// A page of queries.
    QueryList {
        /// The queries.
        queries: Vec<Query>,
        /// Tokens of the next and the previous page.
        pagination: Option<Pagination>,
    }

    /// The download URL of a query's document.
    QueryDocument {
        /// Its id.
        document_id: String,
        /// The presigned download URL. Keep it secret: anyone who has it can read the document.
        document_url: String,
    }
}

impl QuerySpecification {
    /// Creates a specification from the text of a query, for example `query {
    /// analytics_salesAndTraffic_2024_04_24 { … } }`.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            ..Self::default()
        }
    }

    /// Sets the token of another page of results. The query text must be the same.
    #[must_use]
    pub fn with_pagination_token(mut self, token: impl Into<String>) -> Self {
        self.pagination_token = Some(token.into());
        self
    }
}
