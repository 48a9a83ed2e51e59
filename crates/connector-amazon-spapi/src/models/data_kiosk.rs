//! Data Kiosk 2023-11-15.

use super::{Pagination, model};
use crate::flows::ProcessingStatus;

model! {
    /// A query to create.
    QuerySpecification {
        /// The GraphQL query, at most 8,000 characters without superfluous white space.
        query: String,
        /// The token of the next page of the results of the same query.
        pagination_token: Option<String>,
    }

    /// A query that was created.
    CreatedQuery {
        /// Its id, unique for the seller only.
        query_id: String,
    }

    /// A query.
    Query {
        /// Its id, unique for the seller only.
        query_id: String,
        /// Its text.
        query: String,
        /// The time of its creation (RFC 3339).
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
        /// The place of the next page of the results.
        pagination: Option<Pagination>,
    }

    /// A page of queries.
    QueryList {
        /// The queries.
        queries: Vec<Query>,
        /// The place of the next page.
        pagination: Option<Pagination>,
    }

    /// The place of a query's document.
    QueryDocument {
        /// Its id.
        document_id: String,
        /// The presigned URL. It is a secret: whoever has it reads the document.
        document_url: String,
    }
}

impl QuerySpecification {
    /// The query with this text, for example
    /// `query { analytics_salesAndTraffic_2024_04_24 { … } }`.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            ..Self::default()
        }
    }

    /// Sets the token of a further page of the results. The text of the query must be the same.
    #[must_use]
    pub fn with_pagination_token(mut self, token: impl Into<String>) -> Self {
        self.pagination_token = Some(token.into());
        self
    }
}
