//! Reading all rows of data sources, however many there are.

use std::collections::BTreeSet;

use connector_core::api::PageCursor;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::QueryDataSource;
use super::data_sources::may_be_stale_cursor;
use crate::NotionClient;
use crate::error::is_not_shared;
use crate::models::{DataSourceId, PageOrDataSource};

/// The number of rows after which Notion ends a query.
const LIMIT: usize = 10_000;

/// The position of a [`ReadAll`] behind the rows that it returned. Store it with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadPosition {
    /// The number of the query.
    source: usize,
    /// The time of creation of the last row.
    since: Option<String>,
    /// True if rows with that time are done with.
    is_exclusive: bool,
    /// The rows with that time that were returned.
    seen: BTreeSet<String>,
    report: ReadReport,
}

/// What a read has returned, and what it could not return.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadReport {
    /// The number of rows that were returned.
    pub rows: u64,
    /// The data sources that do not exist or are not shared with the connection. Delete nothing
    /// because of it.
    pub not_shared: Vec<DataSourceId>,
    /// The places where rows are missing.
    pub gaps: Vec<Gap>,
}

/// More than 10,000 rows with the same time of creation: Notion returns the first 10,000 of them.
/// Query the data source with a filter of your own to read the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The data source.
    pub data_source: DataSourceId,
    /// The time of creation.
    pub created_time: String,
}

/// The outcome of a read.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum ReadOutcome {
    /// Every row of every data source that is shared was returned. The report names the others.
    Complete(ReadReport),
    /// Rows are missing.
    Partial {
        /// What was returned so far.
        report: ReadReport,
        /// The error that ended the read; `None` if it came to its end with gaps.
        error: Option<Error>,
        /// The position to go on from, with [`ReadAll::from_position`].
        resume: Box<ReadPosition>,
    },
}

/// A read of all rows of one or more data sources, in the order of their creation. Made by
/// [`NotionClient::read_all`].
///
/// Notion ends a query after 10,000 rows. The read goes on with the rows that were created since the
/// last one, and returns no row twice. It cannot loop: each query begins later than the one before.
#[derive(Debug)]
#[must_use]
pub struct ReadAll {
    client: NotionClient,
    queries: Vec<QueryDataSource>,
    position: ReadPosition,
    /// The start of the query that is being read.
    start: Option<(String, bool)>,
    cursor: Option<PageCursor>,
    /// The rows of this query so far.
    count: usize,
    /// The number of rows at which a query was last begun anew because of its cursor.
    restarted: Option<u64>,
}

impl NotionClient {
    /// Reads all rows of these queries, one after the other, page by page. Filters are kept; sorts are
    /// replaced.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// # use connector_notion::NotionClient;
    /// # use connector_notion::endpoints::{QueryDataSource, ReadOutcome};
    /// # async fn example(client: NotionClient, query: QueryDataSource) -> Result<()> {
    /// let mut read = client.read_all([query]);
    /// while let Some(rows) = read.next_page().await? {
    ///     // Store the rows and the position in one transaction.
    ///     let position = read.position();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_all(&self, queries: impl IntoIterator<Item = QueryDataSource>) -> ReadAll {
        ReadAll {
            client: self.clone(),
            queries: queries
                .into_iter()
                .map(QueryDataSource::by_creation)
                .collect(),
            position: ReadPosition::default(),
            start: None,
            cursor: None,
            count: 0,
            restarted: None,
        }
    }
}

impl ReadAll {
    /// Goes on behind the rows of an earlier read of the same queries.
    pub fn from_position(mut self, position: ReadPosition) -> Self {
        self.position = position;
        self.begin();
        self
    }

    /// The position behind the rows that were returned.
    #[must_use]
    pub const fn position(&self) -> &ReadPosition {
        &self.position
    }

    /// What was returned so far.
    #[must_use]
    pub const fn report(&self) -> &ReadReport {
        &self.position.report
    }

    /// The next rows; `None` at the end. A data source that is not shared is reported and left out.
    ///
    /// # Errors
    /// As for [`NotionClient::send`]. The position stays: call it again, or go on later.
    pub async fn next_page(&mut self) -> Result<Option<Vec<PageOrDataSource>>> {
        loop {
            let Some(query) = self.queries.get(self.position.source) else {
                return Ok(None);
            };
            let mut query = query.clone().since(self.start.clone());
            if let Some(cursor) = &self.cursor {
                query = query.after(cursor.clone());
            }
            let page = match self.client.session().send(&query).await {
                Ok(page) => page,
                Err(error) if is_not_shared(&error) => {
                    self.position
                        .report
                        .not_shared
                        .push(query.data_source().clone());
                    self.next_source();
                    continue;
                }
                Err(error) if self.cursor.is_some() && may_be_stale_cursor(&error) => {
                    let rows = self.position.report.rows;
                    if self.restarted.replace(rows) == Some(rows) {
                        return Err(error);
                    }
                    self.begin();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if page.next.is_some() && page.next == self.cursor {
                let message = "the provider returned the same page cursor twice; start again";
                return Err(
                    Error::new(ErrorKind::UnexpectedAnswer, "QueryDataSource", message)
                        .with_provider("notion"),
                );
            }
            self.count += page.items.len();
            let is_cut = page.truncated.is_some() || self.count >= LIMIT;
            let rows = self.unseen(page.items);
            match page.next {
                Some(next) => self.cursor = Some(next),
                None if is_cut => self.next_partition(query.data_source().clone())?,
                None => self.next_source(),
            }
            if !rows.is_empty() {
                self.position.report.rows += rows.len() as u64;
                return Ok(Some(rows));
            }
        }
    }

    /// Reads to the end or to the first error, and passes the rows on page by page.
    pub async fn read_to_end(
        &mut self,
        mut each: impl FnMut(Vec<PageOrDataSource>) + Send,
    ) -> ReadOutcome {
        let error = loop {
            match self.next_page().await {
                Ok(Some(rows)) => each(rows),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let report = self.report().clone();
        if error.is_none() && report.gaps.is_empty() {
            return ReadOutcome::Complete(report);
        }
        let resume = Box::new(self.position.clone());
        ReadOutcome::Partial {
            report,
            error,
            resume,
        }
    }

    /// The rows that were not returned before.
    fn unseen(&mut self, rows: Vec<PageOrDataSource>) -> Vec<PageOrDataSource> {
        let at = &mut self.position;
        let mut unseen = Vec::with_capacity(rows.len());
        for row in rows {
            if at.seen.contains(row.id()) {
                continue;
            }
            if let Some(time) = row.created_time()
                && at.since.as_deref().is_none_or(|since| since < time)
            {
                at.since = Some(time.to_owned());
                at.is_exclusive = false;
                at.seen.clear();
            }
            at.seen.insert(row.id().to_owned());
            unseen.push(row);
        }
        unseen
    }

    /// Begins the query of the position.
    fn begin(&mut self) {
        let at = &self.position;
        self.start = at.since.clone().map(|since| (since, at.is_exclusive));
        self.cursor = None;
        self.count = 0;
    }

    /// Goes on behind the rows of a query that Notion cut.
    fn next_partition(&mut self, data_source: DataSourceId) -> Result<()> {
        let at = &mut self.position;
        let Some(since) = at.since.clone() else {
            let message =
                "the rows name no time of creation, so that the read cannot go on; report it";
            return Err(
                Error::new(ErrorKind::UnexpectedAnswer, "QueryDataSource", message)
                    .with_provider("notion"),
            );
        };
        let began = self.start.as_ref().map(|(start, _)| start);
        if began == Some(&since) {
            // All rows of the query have one time: no later start shows the others.
            let created_time = since;
            let gap = Gap {
                data_source,
                created_time,
            };
            if !at.report.gaps.contains(&gap) {
                at.report.gaps.push(gap);
            }
            at.is_exclusive = true;
            at.seen.clear();
        }
        self.begin();
        Ok(())
    }

    fn next_source(&mut self) {
        let at = &mut self.position;
        at.source += 1;
        at.since = None;
        at.is_exclusive = false;
        at.seen.clear();
        self.begin();
    }
}
