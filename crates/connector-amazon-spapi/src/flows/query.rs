//! Data Kiosk queries, from creation to document.

use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};

use super::link::with_link;
use super::reason::reason;
use super::{Polling, ProcessingStatus};
use crate::AmazonClient;
use crate::documents::{Document, DocumentOptions};
use crate::endpoints::{CreateQuery, GetDocument, GetQuery};
use crate::error::ours;
use crate::models::data_kiosk::{Query, QuerySpecification};

/// The result of waiting for a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum QueryOutcome {
    /// The query succeeded. Open its document with [`QueryFlow::open`].
    Done(Query),
    /// The query succeeded and returned no data.
    NoData(Query),
    /// The query was cancelled before processing started.
    Cancelled(Query),
    /// The query was aborted, or it ended with errors and without data.
    Fatal {
        /// The query.
        query: Query,
        /// The content of the error document. The text is meant for people.
        details: Option<String>,
    },
    /// The query is still being processed. Call [`QueryFlow::wait`] again, or wait for the
    /// notification.
    Pending(Query),
}

impl QueryOutcome {
    /// Returns the query, whatever its outcome.
    #[must_use]
    pub const fn query(&self) -> &Query {
        match self {
            Self::Done(query)
            | Self::NoData(query)
            | Self::Cancelled(query)
            | Self::Fatal { query, .. }
            | Self::Pending(query) => query,
        }
    }
}

/// Runs Data Kiosk queries and opens their documents.
#[derive(Debug, Clone)]
#[must_use]
pub struct QueryFlow {
    client: AmazonClient,
    polling: Polling,
}

impl QueryFlow {
    /// Creates a flow for the seller of `client`.
    pub fn new(client: AmazonClient) -> Self {
        Self {
            client,
            polling: Polling::default(),
        }
    }

    /// Sets the polling intervals and the maximum wait.
    pub const fn with_polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Creates a query and returns its id. Each call creates another query.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn create(&self, specification: &QuerySpecification) -> Result<String> {
        let created = self.client.send(&CreateQuery::new(specification)).await?;
        Ok(created.query_id)
    }

    /// Creates a query and waits for it to complete.
    ///
    /// # Errors
    /// As for [`QueryFlow::create`] and [`QueryFlow::wait`].
    pub async fn run(&self, specification: &QuerySpecification) -> Result<QueryOutcome> {
        let id = self.create(specification).await?;
        self.wait(&id).await
    }

    /// Waits for a query to complete. Returns [`QueryOutcome::Pending`] after the [maximum
    /// wait](Polling::with_longest_wait).
    ///
    /// # Errors
    /// As for [`QueryFlow::check`]. Temporary failures are retried.
    pub async fn wait(&self, query_id: &str) -> Result<QueryOutcome> {
        let is_pending = |it: &QueryOutcome| matches!(it, QueryOutcome::Pending(_));
        let check = || self.check(query_id);
        let clock = self.client.session().clock();
        self.polling.wait(clock, check, is_pending).await
    }

    /// Requests the status of a query once, for example after a notification that the query has
    /// completed.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn check(&self, query_id: &str) -> Result<QueryOutcome> {
        let query = self.client.send(&GetQuery::new(query_id)).await?;
        let status = query.processing_status.clone();
        Ok(match status {
            Some(ProcessingStatus::Done) if query.data_document_id.is_some() => {
                QueryOutcome::Done(query)
            }
            Some(ProcessingStatus::Done | ProcessingStatus::DoneNoData)
                if query.error_document_id.is_none() =>
            {
                QueryOutcome::NoData(query)
            }
            Some(ProcessingStatus::Cancelled) => QueryOutcome::Cancelled(query),
            Some(status) if status.is_final() => {
                let details = match query.error_document_id.as_deref() {
                    Some(id) => {
                        Box::pin(reason(self.open_document(id, DocumentOptions::new()))).await?
                    }
                    None => None,
                };
                QueryOutcome::Fatal { query, details }
            }
            _ => QueryOutcome::Pending(query),
        })
    }

    /// Opens the results of a query: one JSON value per line ([`Document::json_lines`]).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the query has no data; as for
    /// [`Session::send`](connector_core::api::Session::send) and [`Document::open_encoded`].
    pub async fn open(&self, query: &Query, options: DocumentOptions) -> Result<Document> {
        let Some(id) = query.data_document_id.as_deref() else {
            let message = "the query has no data; check its status";
            let error = Error::new(ErrorKind::NotFound, "amazon_spapi.query", message);
            return Err(ours(error));
        };
        self.open_document(id, options).await
    }

    async fn open_document(&self, id: &str, options: DocumentOptions) -> Result<Document> {
        let operation = GetDocument::new(id);
        let (session, options) = (self.client.session(), &options);
        with_link(&self.client, &operation, |place| async move {
            Document::open_encoded(session, &place.document_url, options.clone()).await
        })
        .await
    }

    /// Returns the specification of the query for the next page of results; `None` after the last
    /// page.
    #[must_use]
    pub fn next_page(query: &Query) -> Option<QuerySpecification> {
        let token = query.pagination.as_ref()?.next_token.as_deref()?;
        let next = QuerySpecification::new(query.query.as_str());
        (!token.is_empty()).then(|| next.with_pagination_token(token))
    }
}
